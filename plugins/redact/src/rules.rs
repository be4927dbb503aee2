//! The configuration, checked, and what it makes of a text.

use crate::detect::{Signs, Span, card, email, ip, pairs, token};
use crate::percent::Decoded;
use hmac::{Hmac, Mac};
use regex_lite::Regex;
use serde::Deserialize;
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::Ipv6Addr;

/// Fewer bytes could be guessed.
const KEY_BYTES_MIN: usize = 16;
const PATTERN_NAME_MAX: usize = 32;

/// The configuration of the plugin, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The detectors that are used.
    pub detect: Vec<Detector>,
    /// Patterns of one's own.
    pub patterns: Vec<Pattern>,
    /// Attributes whose whole value is replaced: `user.email`, `password`, `internal.*`.
    pub keys: Vec<String>,
    /// What a secret is replaced with.
    pub mode: Mode,
    /// The key of `mode = "hash"`.
    pub key: Option<String>,
    /// Columns and attributes that are never touched.
    pub except: Vec<String>,
}

/// A detector that comes with the plugin.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Detector {
    /// Email addresses.
    Email,
    /// Payment card numbers.
    Card,
    /// Tokens, keys, passwords.
    Token,
    /// IP addresses.
    Ip,
}

/// What a secret is replaced with.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `[REDACTED:email]`
    #[default]
    Mask,
    /// `[email:0123456789abcdef]`: the first 16 hexadecimal digits of HMAC-SHA256, the same for the same secret.
    Hash,
}

/// A pattern of one's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// What stands in the replacement.
    pub name: String,
    /// A regular expression in the syntax of the `regex-lite` crate.
    pub regex: String,
}

/// A mistake in the configuration: the key, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, as in `patterns[1].regex`.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            detect: vec![Detector::Email, Detector::Card, Detector::Token, Detector::Ip],
            patterns: Vec::new(),
            keys: Vec::new(),
            mode: Mode::Mask,
            key: None,
            except: Vec::new(),
        }
    }
}

/// What is secret, and what takes its place.
pub struct Rules {
    detect: Vec<Detector>,
    patterns: Vec<Regex>,
    keys: Vec<KeyPattern>,
    hash: Option<Hmac<Sha256>>,
    /// The names of what can be found, by [`Found::label`].
    labels: Vec<String>,
}

/// A key, or a prefix of keys.
struct KeyPattern {
    text: String,
    prefix: bool,
}

struct Found {
    span: Span,
    label: usize,
}

const EMAIL: usize = 0;
const CARD: usize = 1;
const TOKEN: usize = 2;
const IP: usize = 3;
const KEY: usize = 4;
const PATTERNS: usize = 5;

impl Rules {
    /// Checks a configuration.
    ///
    /// # Errors
    ///
    /// All its mistakes.
    pub fn new(config: &Config) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut mistake = |key: String, message: String| mistakes.push(Mistake { key, message });
        let mut labels: Vec<String> = ["email", "card", "token", "ip", "key"].map(String::from).to_vec();
        let mut patterns = Vec::new();
        for (index, Pattern { name, regex }) in config.patterns.iter().enumerate() {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > PATTERN_NAME_MAX || !name.bytes().all(is_name) {
                let limit = format!("expected 1 to {PATTERN_NAME_MAX} of a-z, 0-9 and _, found \"{name}\"");
                mistake(format!("patterns[{index}].name"), limit);
            } else if labels.contains(name) {
                mistake(format!("patterns[{index}].name"), format!("\"{name}\" is taken: choose another name"));
            }
            labels.push(name.clone());
            match Regex::new(regex) {
                Ok(regex) if regex.is_match("") => mistake(
                    format!("patterns[{index}].regex"),
                    "it matches the empty text, and so every text: let it match at least one character".to_owned(),
                ),
                Ok(regex) => patterns.push(regex),
                Err(error) => mistake(format!("patterns[{index}].regex"), format!("not a regular expression: {error}")),
            }
        }
        for (index, key) in config.keys.iter().enumerate() {
            if key.is_empty() || key.trim_end_matches('*').contains('*') {
                mistake(format!("keys[{index}]"), format!("expected a key, or a prefix and *, found \"{key}\""));
            }
        }
        let key = config.key.as_deref().unwrap_or_default();
        if config.mode == Mode::Hash && key.len() < KEY_BYTES_MIN {
            let message = format!("mode = \"hash\" needs a key of {KEY_BYTES_MIN} bytes or more, found {}", key.len());
            mistake("key".to_owned(), message);
        }
        if config.mode == Mode::Mask && config.key.is_some() {
            mistake("key".to_owned(), "a key is for mode = \"hash\": set that, or remove the key".to_owned());
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        // HMAC takes a key of any length, so that this is `None` in the mode `mask` only.
        let hash = (config.mode == Mode::Hash).then(|| Hmac::new_from_slice(key.as_bytes()).ok()).flatten();
        let keys = config.keys.iter().map(|key| KeyPattern::new(key)).collect();
        Ok(Self { detect: config.detect.clone(), patterns, keys, hash, labels })
    }

    /// The names of what can be found; [`Rules::redact`] counts by their indices.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Whether the configuration wants the whole value of that key replaced.
    pub fn names_key(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| pattern.matches(key))
    }

    /// Whether any keys are configured.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What takes the place of the whole value of a key.
    pub fn redact_value(&self, value: &str, counts: &mut [u64]) -> String {
        let mut redacted = String::new();
        self.replace(value, KEY, &mut redacted, counts);
        redacted
    }

    /// The text without its secrets, `None` where it has none. `counts` has a place for each of the labels.
    pub fn redact(&self, text: &str, counts: &mut [u64]) -> Option<String> {
        let mut found = Vec::new();
        let signs = Signs::of(text);
        let decoded = if signs.percent { Decoded::of(text) } else { None };
        match &decoded {
            None => self.find(text, signs, &mut found),
            Some(decoded) => {
                self.find(&decoded.text, Signs::of(&decoded.text), &mut found);
                self.find_patterns(&decoded.text, &mut found);
                for Found { span, .. } in &mut found {
                    *span = decoded.origin(span.start)..decoded.origin(span.end);
                }
            }
        }
        self.find_patterns(text, &mut found);
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|found| (found.span.start, std::cmp::Reverse(found.span.end)));
        let mut redacted = String::with_capacity(text.len());
        let mut kept = 0;
        let mut rest = found.into_iter().peekable();
        while let Some(Found { mut span, label }) = rest.next() {
            // Two that overlap are one, which has the name of the first.
            while let Some(next) = rest.next_if(|next| next.span.start < span.end) {
                span.end = span.end.max(next.span.end);
            }
            redacted.push_str(&text[kept..span.start]);
            kept = span.end;
            self.replace(&text[span], label, &mut redacted, counts);
        }
        redacted.push_str(&text[kept..]);
        Some(redacted)
    }

    fn find(&self, text: &str, signs: Signs, found: &mut Vec<Found>) {
        let on = |detector| self.detect.contains(&detector);
        let mut spans = Vec::new();
        let mut userinfos = Vec::new();
        let mut take = |spans: &mut Vec<Span>, label| found.extend(spans.drain(..).map(|span| Found { span, label }));
        if on(Detector::Token) {
            if signs.at && signs.colons > 0 {
                token::find_userinfo(text, &mut spans);
                userinfos.extend(spans.iter().map(|span| span.end));
            }
            if text.len() >= token::LENGTH_MIN {
                token::find_words(text, &mut spans);
                token::find_private_keys(text, &mut spans);
            }
        }
        if signs.equals || signs.colons > 0 {
            let mut named = Vec::new();
            pairs::find(text, on(Detector::Token), |key| self.names_key(key), &mut spans, &mut named);
            take(&mut named, KEY);
        }
        take(&mut spans, TOKEN);
        if on(Detector::Email) && signs.at {
            email::find(text, &userinfos, &mut spans);
            take(&mut spans, EMAIL);
        }
        if on(Detector::Card) && signs.digits >= card::DIGITS_MIN {
            card::find(text, &mut spans);
            take(&mut spans, CARD);
        }
        if on(Detector::Ip) && signs.dots >= 3 && signs.digits >= 4 {
            ip::find_v4(text, &mut spans);
            take(&mut spans, IP);
        }
        if on(Detector::Ip) && signs.colons >= 2 {
            ip::find_v6(text, &mut spans);
            take(&mut spans, IP);
        }
    }

    fn find_patterns(&self, text: &str, found: &mut Vec<Found>) {
        for (index, pattern) in self.patterns.iter().enumerate() {
            let matches = pattern.find_iter(text).filter(|found| !found.is_empty());
            found.extend(matches.map(|found| Found { span: found.range(), label: PATTERNS + index }));
        }
    }

    fn replace(&self, secret: &str, label: usize, redacted: &mut String, counts: &mut [u64]) {
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
        let name = &self.labels[label];
        match &self.hash {
            None => {
                redacted.push_str("[REDACTED:");
                redacted.push_str(name);
            }
            Some(hash) => {
                let digest = hash.clone().chain_update(canonical(secret, label).as_bytes()).finalize().into_bytes();
                redacted.push('[');
                redacted.push_str(name);
                redacted.push(':');
                for byte in &digest[..8] {
                    // Writing to a string cannot fail.
                    let _ = write!(redacted, "{byte:02x}");
                }
            }
        }
        redacted.push(']');
    }
}

/// One form of a secret that can be written in several, so that its hash is the same wherever it stands.
fn canonical(secret: &str, label: usize) -> Cow<'_, str> {
    let plain = Decoded::of(secret).map_or(Cow::Borrowed(secret), |decoded| Cow::Owned(decoded.text));
    match label {
        EMAIL => Cow::Owned(plain.to_lowercase()),
        CARD => Cow::Owned(plain.chars().filter(char::is_ascii_digit).collect()),
        IP => match plain.parse::<Ipv6Addr>() {
            Ok(address) => Cow::Owned(address.to_canonical().to_string()),
            Err(_) => plain,
        },
        _ => plain,
    }
}

impl KeyPattern {
    fn new(key: &str) -> Self {
        Self { text: key.trim_end_matches('*').to_lowercase(), prefix: key.ends_with('*') }
    }

    fn matches(&self, key: &str) -> bool {
        let start = key.get(..self.text.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.text));
        start && (self.prefix || key.len() == self.text.len())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
