//! What a plugin answers when it cannot do its work.

use std::fmt;

/// A result whose error is the plugin's; of nothing, where no type is named.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a call failed. Any [`std::error::Error`] becomes one with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    mistakes: Vec<(String, String)>,
}

impl Error {
    /// An error with a message: lower case, naming the thing, the value seen and what was expected.
    pub fn new(message: impl Into<String>) -> Self {
        Self::at("", message)
    }

    /// A mistake in the configuration: the key (`rules[2].pattern`), and what was expected there.
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { mistakes: vec![(key.into(), message.into())] }
    }

    /// Several mistakes in one answer, so that they are mended in one go; `Ok` where there are none.
    ///
    /// # Errors
    ///
    /// All of them.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Result {
        let mistakes: Vec<_> = errors.into_iter().flat_map(|error| error.mistakes).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(Self { mistakes }) }
    }

    /// The keys and messages; a key is empty where the mistake belongs to none.
    pub fn mistakes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.mistakes.iter().map(|(key, message)| (key.as_str(), message.as_str()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, message)) in self.mistakes.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "{separator}{key}{colon}{message}")?;
        }
        Ok(())
    }
}

// `Error` is no `std::error::Error` itself: the two could not both be.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
