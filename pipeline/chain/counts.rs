//! What the chain counts: every row that did not come out, by plugin and reason, and what the plugins did.

use crate::sandbox::{FaultKind, Level, Noted};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many reasons of its own a plugin may give; the rows of the others are counted as `other`.
const REASONS: usize = 32;

/// How many counters of its own a plugin may have; further ones are not counted.
const COUNTERS: usize = 256;

/// Receives the messages of plugins that are within their limit: the plugin's name, the level, the message.
pub type LogSink = Box<dyn Fn(&str, Level, &str) + Send + Sync>;

/// The counts of a chain. One lock a batch and plugin is taken, for less than a microsecond.
pub struct Counts {
    numbers: Mutex<Numbers>,
    log: LogSink,
}

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Rows handed to the chain.
    pub rows_in: u64,
    /// Rows that left the chain in batches.
    pub rows_out: u64,
    /// By plugin.
    pub plugins: BTreeMap<String, PluginNumbers>,
}

/// The counts of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginNumbers {
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Rows that went to the dead letters, by the kind of fault.
    pub dead_lettered: BTreeMap<String, u64>,
    /// Faults, by their kind.
    pub faults: BTreeMap<String, u64>,
    /// How often it was called.
    pub calls: u64,
    /// How long it ran, in nanoseconds.
    pub call_nanos: u64,
    /// Rows it emitted into its own tables.
    pub rows_emitted: u64,
    /// Rows that it holds now.
    pub held: u64,
    /// The bytes that they hold.
    pub held_bytes: u64,
    /// Rows that went on because too much was held, by the limit.
    pub overflowed: BTreeMap<String, u64>,
    /// The plugin's own counters.
    pub counters: BTreeMap<String, u64>,
    /// Messages that were not shown because there were too many of them.
    pub suppressed_log_lines: u64,
}

impl Numbers {
    /// Rows dropped by all plugins together.
    pub fn dropped(&self) -> u64 {
        self.plugins.values().flat_map(|plugin| plugin.dropped.values()).sum()
    }

    /// Rows that plugins hold, all together.
    pub fn held(&self) -> u64 {
        self.plugins.values().map(|plugin| plugin.held).sum()
    }

    /// Rows that went to the dead letters, by all plugins together.
    pub fn dead_lettered(&self) -> u64 {
        self.plugins.values().flat_map(|plugin| plugin.dead_lettered.values()).sum()
    }
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.numbers().fmt(f)
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new(Box::new(|plugin, level, message| {
            eprintln!("plugin {plugin}: {}: {message}", level_name(level));
        }))
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
    }
}

impl Counts {
    /// Counts from zero; the plugins' messages go to `log`, which [`Counts::default`] sets to the standard error.
    pub fn new(log: LogSink) -> Self {
        Self { numbers: Mutex::default(), log }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // Sums are whole whoever panicked.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> Numbers {
        self.numbers().clone()
    }

    pub(crate) fn rows_in(&self, rows: usize) {
        self.numbers().rows_in += rows as u64;
    }

    pub(crate) fn rows_out(&self, rows: usize) {
        self.numbers().rows_out += rows as u64;
    }

    fn plugin(&self, name: &str, change: impl FnOnce(&mut PluginNumbers)) {
        let mut numbers = self.numbers();
        if !numbers.plugins.contains_key(name) {
            numbers.plugins.insert(name.to_owned(), PluginNumbers::default());
        }
        if let Some(plugin) = numbers.plugins.get_mut(name) {
            change(plugin);
        }
    }

    pub(crate) fn called(&self, plugin: &str, took: Duration) {
        self.plugin(plugin, |numbers| {
            numbers.calls += 1;
            numbers.call_nanos += took.as_nanos() as u64;
        });
    }

    pub(crate) fn succeeded(&self, plugin: &str, counters: BTreeMap<String, u64>, rows_emitted: u64) {
        self.plugin(plugin, |numbers| {
            numbers.rows_emitted += rows_emitted;
            for (counter, add) in counters {
                if numbers.counters.len() < COUNTERS || numbers.counters.contains_key(&counter) {
                    let value = numbers.counters.entry(counter).or_default();
                    *value = value.saturating_add(add);
                }
            }
        });
    }

    pub(crate) fn dropped(&self, plugin: &str, reason: &str, rows: u64) {
        self.plugin(plugin, |numbers| {
            let known = numbers.dropped.contains_key(reason) || numbers.dropped.len() < REASONS;
            *numbers.dropped.entry(if known { reason } else { "other" }.to_owned()).or_default() += rows;
        });
    }

    pub(crate) fn dead_lettered(&self, plugin: &str, reason: &str, rows: u64) {
        self.plugin(plugin, |numbers| *numbers.dead_lettered.entry(reason.to_owned()).or_default() += rows);
    }

    pub(crate) fn held(&self, plugin: &str, rows: u64, bytes: u64) {
        self.plugin(plugin, |numbers| (numbers.held, numbers.held_bytes) = (rows, bytes));
    }

    pub(crate) fn overflowed(&self, plugin: &str, limit: &str, rows: u64) {
        self.plugin(plugin, |numbers| *numbers.overflowed.entry(limit.to_owned()).or_default() += rows);
    }

    pub(crate) fn fault(&self, plugin: &str, kind: FaultKind) {
        self.plugin(plugin, |numbers| *numbers.faults.entry(kind.name().to_owned()).or_default() += 1);
    }

    pub(crate) fn suppressed(&self, plugin: &str) {
        self.plugin(plugin, |numbers| numbers.suppressed_log_lines += 1);
    }

    /// Says something about a plugin to the operator.
    pub(crate) fn warn(&self, plugin: &str, message: &str) {
        self.log(plugin, Level::Warn, message);
    }

    /// A message of the plugin, or of the chain about it.
    pub(crate) fn log(&self, plugin: &str, level: Level, message: &str) {
        (self.log)(plugin, level, message);
    }
}

/// Lets so many messages of a plugin a second through, over all its instances.
#[derive(Debug)]
pub(crate) struct LogGate {
    limit: u32,
    window: Mutex<(Instant, u32)>,
}

impl LogGate {
    pub(crate) fn new(limit: u32, now: Instant) -> Self {
        Self { limit, window: Mutex::new((now, 0)) }
    }

    pub(crate) fn admit(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.0) >= Duration::from_secs(1) {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= self.limit
    }

    pub(crate) fn note(&self, now: Instant, plugin: &str, counts: &Counts, noted: &Noted) {
        if self.admit(now) {
            counts.log(plugin, noted.level, &noted.message);
        } else {
            counts.suppressed(plugin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_a_bounded_number_of_reasons() {
        let counts = Counts::default();
        for reason in 0..100 {
            counts.dropped("p", &format!("reason {reason}"), 1);
        }
        counts.dropped("p", "reason 0", 1);
        let dropped = &counts.snapshot().plugins["p"].dropped;
        assert_eq!(dropped.len(), REASONS + 1);
        assert_eq!((dropped["reason 0"], dropped["other"]), (2, 100 - REASONS as u64));
    }

    #[test]
    fn messages_beyond_the_limit_of_a_second_are_not_shown() {
        let start = Instant::now();
        let gate = LogGate::new(3, start);
        let admitted = |now| (0..10).filter(|_| gate.admit(now)).count();
        assert_eq!(admitted(start), 3);
        assert_eq!(admitted(start + Duration::from_millis(999)), 0);
        assert_eq!(admitted(start + Duration::from_secs(1)), 3);
    }
}
