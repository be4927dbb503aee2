//! The limits of a plugin, and the watch over its memory.

use std::fmt::Write as _;
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// What one instance of a plugin may use. The keys stand in `[plugin.limits]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes; also what one call may make the host hold: pending writes, emitted rows, log text.
    pub memory_bytes: usize,
    /// How long one call may have a processor. Starting an instance may take ten times as long.
    pub time_per_call: Duration,
    /// Rows emitted by one call.
    pub rows_emitted: usize,
    /// Keys and values of the plugin's state together, in bytes.
    pub state_bytes: usize,
    /// Rows that the plugin holds back.
    pub held_rows: usize,
    /// The bytes that they hold.
    pub held_bytes: usize,
    /// How long, in event time, a row may be held.
    pub held_age: Duration,
    /// Whether rows over one of these limits go on, the oldest first; if not, they are dropped and counted.
    pub held_overflow_passes: bool,
    /// Messages that reach the log in a second; the others are counted.
    pub log_lines_per_second: u32,
    /// The module or component, in bytes.
    pub component_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            time_per_call: Duration::from_millis(100),
            rows_emitted: 100_000,
            state_bytes: 64 << 20,
            held_rows: 500_000,
            held_bytes: 64 << 20,
            held_age: Duration::from_secs(600),
            held_overflow_passes: true,
            log_lines_per_second: 100,
            component_bytes: 16 << 20,
        }
    }
}

/// Bytes as a person writes them: `64 MiB`, `1.5 KiB`, `17 bytes`.
pub(crate) fn bytes_text(bytes: usize) -> String {
    const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        if bytes >= 1 << shift {
            let whole = bytes >> shift;
            let tenths = ((bytes - (whole << shift)) * 10) >> shift;
            let mut text = whole.to_string();
            if tenths > 0 {
                let _ = write!(text, ".{tenths}");
            }
            return format!("{text} {unit}");
        }
    }
    format!("{bytes} bytes")
}

/// Tables hold function pointers; this many elements are more than any compiler's output has.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Grants memory up to the limit, and remembers that it refused: the guest itself only sees an allocation fail.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    used: usize,
    elements: usize,
    refused: bool,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, elements: 0, refused: false }
    }

    /// What the guest has taken so far; it gives nothing back.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether memory was refused since the last time this was asked.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        if elements > TABLE_ELEMENTS {
            return Ok(false);
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        32
    }

    fn tables(&self) -> usize {
        32
    }

    fn memories(&self) -> usize {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_a_person_writes_them() {
        let texts: Vec<_> = [64 << 20, 1536, 17, 3 << 30].into_iter().map(bytes_text).collect();
        assert_eq!(texts, ["64 MiB", "1.5 KiB", "17 bytes", "3 GiB"]);
    }

    #[test]
    fn memory_is_counted_over_all_memories_and_a_refusal_is_remembered_once() {
        let mut memory = Memory::new(100);
        assert!(memory.memory_growing(0, 60, None).expect("never a trap"));
        assert!(!memory.memory_growing(0, 60, None).expect("never a trap"));
        assert!(memory.take_refused());
        assert!(!memory.take_refused());
        assert!(memory.memory_growing(60, 100, None).expect("never a trap"));
    }
}
