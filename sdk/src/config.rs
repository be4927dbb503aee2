//! A plugin's configuration: JSON to the plugin's own type, mistakes with the key that they stand at.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, json};

/// The configuration of a plugin that has none: every key is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

pub(crate) fn parse<C: DeserializeOwned>(text: &str) -> Result<C> {
    json::read(text).map_err(|fault| Error::at(fault.path(), fault.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[expect(dead_code, reason = "only parsed")]
        pattern: String,
    }

    #[derive(Debug, Deserialize)]
    struct Config {
        #[serde(default)]
        #[expect(dead_code, reason = "only parsed")]
        rules: Vec<Rule>,
        #[expect(dead_code, reason = "only parsed")]
        limit: u32,
    }

    fn mistake(json: &str) -> (String, String) {
        let error = parse::<Config>(json).expect_err("a mistake");
        let (key, message) = error.mistakes().next().expect("one mistake");
        (key.to_owned(), message.to_owned())
    }

    #[test]
    fn a_mistake_names_its_key_and_what_was_expected() {
        let (key, message) = mistake(r#"{"limit": 1, "rules": [{"pattern": "a"}, {"pattern": 5}]}"#);
        assert_eq!(
            (key.as_str(), message.as_str()),
            ("rules[1].pattern", "invalid type: integer `5`, expected a string")
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(mistake("{}").0, "limit");
        assert_eq!(mistake(r#"{"limit": 1, "rules": [{}]}"#).0, "rules[0].pattern");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let (key, message) = mistake(r#"{"limit": 1, "rules": [{"patern": "a"}]}"#);
        assert_eq!(key, "rules[0].patern");
        assert!(message.contains("expected `pattern`"), "{message}");
    }

    #[test]
    fn no_configuration_is_an_empty_object() {
        assert!(parse::<NoConfig>("{}").is_ok());
        assert!(parse::<NoConfig>(r#"{"a": 1}"#).is_err());
    }
}
