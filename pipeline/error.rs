//! The one error type. Its kinds are named by what the reader must do.

use std::fmt;

/// What the reader of an error must do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fix the configuration or the command line.
    Config,
    /// Fix or replace the plugin.
    Plugin,
    /// Retry later: a limit on memory, disk or concurrency is reached for the moment.
    Overload,
    /// Look at the disk or the object store.
    Storage,
    /// The sender is wrong: the bytes can never be accepted as they are.
    Data,
    /// Report it: Weir broke a promise that it made to itself.
    Bug,
}

/// An error: its kind, and a message that names the thing, the value seen, the limit and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// A result whose error is Weir's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The configuration or the command line must be fixed.
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: Kind::Config, message: message.into() }
    }

    /// A plugin must be fixed or replaced.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self { kind: Kind::Plugin, message: message.into() }
    }

    /// The caller must retry later.
    pub fn overload(message: impl Into<String>) -> Self {
        Self { kind: Kind::Overload, message: message.into() }
    }

    /// The disk or the object store needs attention.
    pub fn storage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Storage, message: message.into() }
    }

    /// The sender sent something that can never be accepted.
    pub fn data(message: impl Into<String>) -> Self {
        Self { kind: Kind::Data, message: message.into() }
    }

    /// Weir is wrong.
    pub fn bug(message: impl Into<String>) -> Self {
        Self { kind: Kind::Bug, message: message.into() }
    }

    /// What the reader must do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message, without the kind.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, with the place it happened in front of its message.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
