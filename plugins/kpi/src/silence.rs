//! How many services are silent at once: silence of many is a gap in the pipeline, and no outage of theirs.

use std::collections::BTreeMap;

use weir_sdk::{BytesState, Error, Result};

use crate::codec::{In, Out};
use crate::config::Rules;
use crate::history::History;

const SILENCES: BytesState<()> = BytesState::named("z");

/// From where to where a service was silent; without an end while it is.
type Silence = (i64, Option<i64>);

/// The silences of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Silent {
    /// Whether it was ever seen.
    seen: bool,
    silences: Vec<Silence>,
}

impl Silent {
    pub(crate) fn of(history: &History) -> Self {
        let open = |to: i64| (to != history.done).then_some(to);
        let silences = history.silences.iter().map(|(from, to)| (*from, open(*to))).collect();
        Self { seen: history.last_seen.is_some(), silences }
    }
}

/// The number of services that are silent, and of all that could be, slot by slot.
///
/// Kept only where silence matters: where services are declared always-on.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    /// Changes of both numbers by slot.
    steps: BTreeMap<i64, [i64; 2]>,
    /// Whether services have not been looked at since the numbers changed.
    unsettled: bool,
    changed: bool,
}

impl Silences {
    pub(crate) fn load() -> Result<Self> {
        let Some(bytes) = SILENCES.get(&()) else { return Ok(Self::default()) };
        let mut bytes = In(&bytes);
        let mut read = || {
            let entries = bytes.list(|bytes| Some((bytes.i()?, [bytes.i()?, bytes.i()?])))?;
            // An earlier version did not write it.
            let unsettled = bytes.flag().unwrap_or(true);
            Some(Self { steps: entries.into_iter().collect(), unsettled, changed: false })
        };
        read().ok_or_else(|| Error::new("the count of silent services cannot be read: discard the state"))
    }

    /// Writes what has changed.
    pub(crate) fn save(&mut self) -> Result {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let mut out = Out::default();
        out.u(self.steps.len() as u64);
        self.steps.iter().for_each(|(slot, [silent, all])| _ = out.i(*slot).i(*silent).i(*all));
        out.flag(self.unsettled);
        SILENCES.put(&(), &out.0)
    }

    /// Whether the numbers have changed since the last [`settle`](Self::settle).
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The services that this may concern are looked at now.
    pub(crate) fn settle(&mut self) {
        (self.unsettled, self.changed) = (false, true);
    }

    fn add(&mut self, slot: i64, index: usize, change: i64) {
        let step = self.steps.entry(slot).or_default();
        step[index] += change;
        if *step == [0, 0] {
            self.steps.remove(&slot);
        }
    }

    /// A silence: for an hour the service is among the silent, then it is not among the services until it is back.
    fn count(&mut self, rules: &Rules, (from, to): Silence, sign: i64) {
        let gone = from + rules.hour;
        self.add(from, 0, sign);
        self.add(to.map_or(gone, |to| to.min(gone)), 0, -sign);
        if to.is_none_or(|to| to > gone) {
            self.add(gone, 1, -sign);
            to.into_iter().for_each(|to| self.add(to, 1, sign));
        }
    }

    /// Puts the silences of a service in the place of those before its last evaluation.
    pub(crate) fn replace(&mut self, rules: &Rules, before: &Silent, after: &Silent) {
        if before == after || rules.config.always_on.is_empty() {
            return;
        }
        if after.seen != before.seen {
            self.add(i64::MIN, 1, if after.seen { 1 } else { -1 });
        }
        before.silences.iter().for_each(|silence| self.count(rules, *silence, -1));
        after.silences.iter().for_each(|silence| self.count(rules, *silence, 1));
        (self.unsettled, self.changed) = (true, true);
    }

    /// Forgets what was before a slot, but for what it adds up to.
    pub(crate) fn forget(&mut self, before: i64) {
        let rest = self.steps.split_off(&before);
        let old = std::mem::replace(&mut self.steps, rest);
        let sum = |index: usize| old.values().map(|step| step[index]).sum();
        self.add(i64::MIN, 0, sum(0));
        self.add(i64::MIN, 1, sum(1));
    }

    /// Whether so many services are silent at a slot that it is the pipeline's fault.
    pub(crate) fn is_pipeline_gap(&self, rules: &Rules, slot: i64) -> bool {
        let sum = |index: usize| -> i64 { self.steps.range(..=slot).map(|(_, step)| step[index]).sum() };
        let (silent, all) = (sum(0), sum(1));
        let config = &rules.config;
        silent >= i64::from(config.pipeline_gap_services) && silent as f64 >= config.pipeline_gap_share * all as f64
    }
}
