//! What must be in a log, kept outside of it.

use std::collections::BTreeMap;

use super::*;

/// What a log should hold, as its user knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// The position of the last epoch.
    pub(super) from: Lsn,
    /// Told to be durable, by LSN.
    certain: BTreeMap<Lsn, Record>,
    /// Appended, and not told to be durable.
    uncertain: BTreeMap<Lsn, Record>,
}

impl Model {
    pub(super) fn appended(&mut self, record: Record) {
        assert!(!self.certain.contains_key(&record.lsn), "record {} has the number of another", record.lsn);
        self.uncertain.insert(record.lsn, record);
    }

    /// Takes over what the log says is durable.
    pub(super) fn see(&mut self, log: &Log) {
        let left = self.uncertain.split_off(&log.durable_lsn());
        self.certain.append(&mut self.uncertain);
        self.uncertain = left;
    }

    /// An epoch takes everything below a position, at most what is durable.
    pub(super) fn epoch(&mut self, log: &Log, random: &mut Random) {
        self.from += random.below(log.durable_lsn().saturating_sub(self.from) + 1);
    }

    /// Compares what is recovered: everything certain, nothing that was never appended, in order and once. From now on it is certain.
    pub(super) fn check(&mut self, log: &Log, found: Vec<Record>) {
        for (at, record) in found.iter().enumerate() {
            assert_eq!(record.lsn, self.from + at as u64, "a record is missing or there twice");
            let known = self.certain.get(&record.lsn).or(self.uncertain.get(&record.lsn));
            assert_eq!(Some(record), known, "record {} is not the one that was appended", record.lsn);
        }
        let end = self.from + found.len() as u64;
        assert_eq!((log.next_lsn(), log.durable_lsn()), (end, end));
        if let Some((last, _)) = self.certain.last_key_value() {
            assert!(*last < end, "record {last} was durable and is gone, as the log ends at {end}");
        }
        self.certain = found.into_iter().map(|record| (record.lsn, record)).collect();
        self.uncertain.clear();
    }
}
