//! A plugin that replaces texts, wherever they stand.

use weir_sdk::prelude::*;

// guide: config
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    words: Vec<String>,
    #[serde(default = "stars")]
    with: String,
}

fn stars() -> String {
    "***".to_owned()
}
// guide: end

#[derive(Debug)]
struct Mask(Config);

impl Processor for Mask {
    type Config = Config;
    const SIGNALS: Signals = Signals::ALL;
    const SUMMARY: &'static str = "Masks words, wherever they stand";
    // guide: closed
    const ON_ERROR: OnError = OnError::DeadLetter;
    // guide: end

    // guide: new
    fn new(config: Config) -> Result<Self> {
        let empty = config.words.iter().enumerate().filter(|(_, word)| word.is_empty());
        Error::all(empty.map(|(index, _)| Error::at(format!("words[{index}]"), "expected a word, got \"\"")))?;
        Ok(Self(config))
    }
    // guide: end

    fn describe(&self, plugin: &mut Description) {
        plugin.writes("*", Type::Text, "Any text may be masked");
    }

    // guide: texts
    fn process(&mut self, batch: &mut Batch) -> Result {
        for place in batch.places() {
            let texts = batch.texts(&place)?;
            let masked: Vec<Option<String>> = texts.iter().map(|text| self.mask(text?)).collect();
            count("texts_masked", masked.iter().flatten().count() as u64);
            batch.replace_texts(&place, masked)?;
        }
        Ok(())
    }
    // guide: end
}

impl Mask {
    /// The text with its words masked; `None` where there is none of them.
    fn mask(&self, text: &str) -> Option<String> {
        let Config { words, with } = &self.0;
        let hit = words.iter().any(|word| text.contains(word.as_str()));
        hit.then(|| words.iter().fold(text.to_owned(), |text, word| text.replace(word.as_str(), with)))
    }
}

weir_sdk::plugin!(Mask, name = "mask");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_sdk::testing::{Plugin, TestBatch, run};

    #[test]
    fn words_are_masked_in_values_and_keys() {
        let logs = TestBatch::logs()
            .column("body", ["the secret is out", "fine"])
            .attribute("secret.key", [Some("x"), None])
            .resource("note", ["a secret", "a secret"]);
        let tested = run::<Mask>(r#"{ "words": ["secret"] }"#, logs).unwrap();
        assert_eq!(tested.column("body"), ["the *** is out", "fine"]);
        assert_eq!(tested.attribute("***.key"), [json!("x"), json!(null)]);
        assert_eq!(tested.column("resource.note"), ["a ***", "a ***"]);
        assert_eq!(tested.counter("texts_masked"), 3);
    }

    // guide: mistakes
    #[test]
    fn an_empty_word_is_a_mistake_at_its_key() {
        let error = Plugin::<Mask>::configure(r#"{ "words": ["pin", ""] }"#).unwrap_err();
        assert_eq!(error.to_string(), r#"words[1]: expected a word, got """#);
        let error = Plugin::<Mask>::configure(r#"{ "words": ["pin"], "whit": "x" }"#).unwrap_err();
        assert!(error.to_string().starts_with("whit: unknown field"), "{error}");
    }
    // guide: end
}
