//! `[batch]`: how rows are gathered, and how many threads work on them.

use std::time::Duration;

use super::keys::{Key, Section};
use super::table::{Node, Reader};
use super::values;

pub(super) static SECTION: Section = Section {
    path: "batch",
    header: "[batch]",
    keys: &[
        Key::new(
            "rows_max",
            "8192",
            "rows at which a batch is full; one that requests overfill has less than twice as many",
        ),
        Key::new("delay_max", "\"100ms\"", "after which a batch goes on although it is not full"),
        Key::new("workers", "0", "threads that decode, run plugins and write; 0 is as many as there are cores"),
    ],
};

/// How rows are gathered into batches and how many threads work on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Rows at which a batch is full.
    pub rows_max: usize,
    /// After which a batch goes on although it is not full.
    pub delay_max: Duration,
    /// Threads that work on batches; 0 is as many as there are cores.
    pub workers: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows_max: 8_192, delay_max: Duration::from_millis(100), workers: 0 }
    }
}

impl Batch {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &Node<'_>) {
        let Some(node) = reader.section(root, &SECTION) else { return };
        reader.set(&node, "rows_max", &mut self.rows_max, |value| values::number(value, 1..=1_048_576));
        reader.set(&node, "delay_max", &mut self.delay_max, |value| {
            values::time(value, Duration::from_millis(1)..=Duration::from_secs(60))
        });
        reader.set(&node, "workers", &mut self.workers, |value| values::number(value, 0..=1_024));
    }
}
