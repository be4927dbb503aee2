//! The path of the field that is being read: `resourceSpans[0].scopeSpans[0].spans[3].traceId`.

use std::fmt::{self, Write};

/// The most characters of a sender's text that an error repeats.
const SHOWN_MAX: usize = 64;

/// A path with more steps than this is shown by its first and last ones.
const STEPS_SHOWN_MAX: usize = 24;

/// One step from the request towards a field; it is also one level of nesting in the JSON.
pub(super) enum Step {
    /// Into a field of the table.
    Field(&'static str),
    /// Into a field that the table does not know, by its (shortened) name.
    Unknown(String),
    /// Into an element of an array.
    Index(usize),
}

/// The steps taken so far. They are left as they are when an error passes, so that the error can show them.
#[derive(Default)]
pub(super) struct Path {
    steps: Vec<Step>,
}

impl Path {
    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.steps.pop();
    }

    /// How many levels deep the JSON is nested here.
    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("the request");
        }
        let hidden = self.steps.len().saturating_sub(STEPS_SHOWN_MAX);
        for (index, step) in self.steps.iter().enumerate() {
            if hidden > 0 && index == STEPS_SHOWN_MAX / 2 {
                f.write_str(".…")?;
            }
            if index >= STEPS_SHOWN_MAX / 2 && index < STEPS_SHOWN_MAX / 2 + hidden {
                continue;
            }
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Field(name) => write!(f, "{dot}{name}")?,
                Step::Unknown(name) => write!(f, "{dot}{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A sender's text in quotes, escaped and cut to what an error can bear.
pub(super) fn shown(text: &str) -> String {
    let mut shown = format!("{:?}", shortened(text));
    if shortened(text).len() < text.len() {
        // Writing to a String cannot fail.
        let _ = write!(shown, "… ({} bytes)", text.len());
    }
    shown
}

/// The first characters of a text.
pub(super) fn shortened(text: &str) -> &str {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
