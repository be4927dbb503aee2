//! Slots and ids of spans in the state, with the recent ones at hand.

use std::collections::{BTreeSet, HashMap, HashSet};

use weir_sdk::{BytesState, Error, Result, count};

use crate::codec::{In, Out};
use crate::config::Rules;
use crate::keys::ServiceId;
use crate::slots::{Block, Slot, Timeline};

/// A block or slot of a service. The oldest sort first.
type At = (i64, ServiceId);

const BLOCKS: BytesState<At> = BytesState::named("b");
const IDS: BytesState<At> = BytesState::named("d");
const DIRTY: BytesState<ServiceId> = BytesState::named("q");
/// What evaluations have found.
pub(crate) const RECORDS: BytesState<ServiceId> = BytesState::named("s");
const TOTALS: BytesState<()> = BytesState::named("g");

/// So many blocks and ids are at hand: about 10 MB of memory each.
const BLOCKS_AT_HAND: usize = 800;
const IDS_AT_HAND: usize = 1 << 20;

/// How far all is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Up to which slot services are evaluated; none before the first watermark.
    pub(crate) until: Option<i64>,
    /// The service that is next, and how many are left, until all are evaluated so far.
    pub(crate) next: ServiceId,
    pub(crate) left: u32,
    /// Rows of slots before it are too late.
    pub(crate) floor: Option<i64>,
    /// Slots before it are forgotten.
    cut: Option<i64>,
    pub(crate) block_bytes: u64,
    pub(crate) id_bytes: u64,
    pub(crate) point_bytes: u64,
}

impl Totals {
    fn load() -> Result<Self> {
        let Some(bytes) = TOTALS.get(&()) else { return Ok(Self::default()) };
        let mut bytes = In(&bytes);
        let mut read = || {
            let (until, next, left) = (bytes.maybe()?, bytes.small()?, bytes.small()?);
            let (floor, cut) = (bytes.maybe()?, bytes.maybe()?);
            let (block_bytes, id_bytes, point_bytes) = (bytes.u()?, bytes.u()?, bytes.u()?);
            Some(Self { until, next, left, floor, cut, block_bytes, id_bytes, point_bytes })
        };
        read().ok_or_else(|| Error::new("the state is of another version of the plugin: discard it"))
    }

    pub(crate) fn save(&self) -> Result {
        let mut out = Out::default();
        out.maybe(self.until).u(self.next.into()).u(self.left.into()).maybe(self.floor).maybe(self.cut);
        out.u(self.block_bytes).u(self.id_bytes).u(self.point_bytes);
        TOTALS.put(&(), &out.0)
    }

    /// The first slot from which on can be evaluated: an evaluation begins at most an hour and a silence before it, and
    /// looks a window further back.
    pub(crate) fn evaluable(&self, rules: &Rules) -> i64 {
        self.cut.map_or(i64::MIN, |cut| cut + margin(rules))
    }

    /// Whether rows of a slot can still be counted; counts those that cannot.
    pub(crate) fn takes(&self, slot: i64) -> bool {
        self.floor.is_none_or(|floor| slot >= floor)
    }
}

/// What has to be evaluated again of a service: its slots from one on, and whether all its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirty {
    pub(crate) from: i64,
    pub(crate) all: bool,
}

impl Dirty {
    /// Whether an evaluation up to that slot has to do with it.
    pub(crate) fn is_due(self, until: i64) -> bool {
        self.from < until || self.all
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = In(bytes);
        Some(Self { from: bytes.i()?, all: bytes.flag()? })
    }
}

/// Says that a service has to be evaluated again.
pub(crate) fn mark(id: ServiceId, dirty: Dirty) -> Result {
    let known = dirty_of(id);
    let joined = known.map_or(dirty, |known| Dirty { from: known.from.min(dirty.from), all: known.all || dirty.all });
    if known == Some(joined) {
        return Ok(());
    }
    let mut out = Out::default();
    out.i(joined.from).flag(joined.all);
    DIRTY.put(&id, &out.0)
}

/// What has to be evaluated again of a service.
pub(crate) fn dirty_of(id: ServiceId) -> Option<Dirty> {
    DIRTY.get(&id).and_then(|bytes| Dirty::read(&bytes))
}

/// Says that a service is evaluated.
pub(crate) fn clean(id: ServiceId) {
    DIRTY.delete(&id);
}

/// Services that have to be evaluated again up to that slot, at most so many.
pub(crate) fn due(until: i64, limit: usize) -> Result<Vec<ServiceId>> {
    let mut due = Vec::new();
    DIRTY.each(&(), |id, bytes| {
        if due.len() < limit && Dirty::read(&bytes).is_some_and(|dirty| dirty.is_due(until)) {
            due.push(id);
        }
        Ok(())
    })?;
    Ok(due)
}

/// Slots and ids, as they are in the state and as this call has changed them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) totals: Totals,
    blocks: HashMap<At, Block>,
    changed: BTreeSet<At>,
    ids: HashMap<At, Vec<u64>>,
    ids_at_hand: usize,
    /// Services that are known to have been evaluated before.
    evaluated: HashSet<ServiceId>,
    /// Whether slots have changed that were evaluated.
    restated: bool,
}

fn margin(rules: &Rules) -> i64 {
    rules.hour + rules.stale_max.max(rules.always_on) + rules.window
}

fn decode(rules: &Rules, bytes: &[u8]) -> Result<Block> {
    let other = || Error::new("slots in the state have another length: slot_s was changed, discard the state");
    Block::decode(bytes, rules.block as usize).ok_or_else(other)
}

impl Store {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self { totals: Totals::load()?, ..Self::default() })
    }

    fn block<'a>(blocks: &'a mut HashMap<At, Block>, rules: &Rules, at: At) -> Result<&'a mut Block> {
        let entry = match blocks.entry(at) {
            std::collections::hash_map::Entry::Occupied(entry) => return Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => entry,
        };
        let block = match BLOCKS.get(&at) {
            None => Block::new(rules.block as usize),
            Some(bytes) => decode(rules, &bytes)?,
        };
        Ok(entry.insert(block))
    }

    /// Changes a slot of a service, which is to be written at the end of the call.
    pub(crate) fn change(&mut self, rules: &Rules, id: ServiceId, slot: i64, change: impl FnOnce(&mut Slot)) -> Result {
        let at = (slot.div_euclid(rules.block), id);
        let block = Self::block(&mut self.blocks, rules, at)?;
        if let Some(slot) = block.slots.get_mut(slot.rem_euclid(rules.block) as usize) {
            change(slot);
        }
        self.changed.insert(at);
        if self.changed.len() >= BLOCKS_AT_HAND { self.save() } else { Ok(()) }
    }

    /// The slots of a service from one up to another.
    pub(crate) fn timeline(&self, rules: &Rules, id: ServiceId, from: i64, until: i64) -> Result<Timeline> {
        let mut slots = Vec::with_capacity(usize::try_from(until - from).unwrap_or(0));
        let mut slot = from;
        while slot < until {
            let (number, offset) = (slot.div_euclid(rules.block), slot.rem_euclid(rules.block));
            let end = until.min((number + 1) * rules.block);
            let part = offset as usize..(offset + end - slot) as usize;
            // One that is not at hand is not kept: an evaluation of all services would fill the memory with them.
            match (self.blocks.get(&(number, id)), BLOCKS.get(&(number, id))) {
                (Some(block), _) => slots.extend_from_slice(block.slots.get(part).unwrap_or_default()),
                (None, Some(bytes)) => {
                    let block = decode(rules, &bytes)?;
                    slots.extend_from_slice(block.slots.get(part).unwrap_or_default());
                }
                (None, None) => slots.resize(slots.len() + (end - slot) as usize, Slot::default()),
            }
            slot = end;
        }
        Ok(Timeline { first: from, slots })
    }

    /// Notes that a slot has changed that may have been evaluated already; tells whether it was.
    pub(crate) fn restates(&mut self, slot: i64) -> bool {
        let restates = self.totals.until.is_none_or(|until| slot < until);
        self.restated |= restates;
        restates
    }

    /// Whether slots have changed since this was asked last that were evaluated.
    pub(crate) fn take_restated(&mut self) -> bool {
        std::mem::take(&mut self.restated) && self.totals.until.is_some()
    }

    /// Whether a service was evaluated before.
    pub(crate) fn is_evaluated(&mut self, id: ServiceId) -> bool {
        if self.evaluated.contains(&id) {
            return true;
        }
        let evaluated = RECORDS.get(&id).is_some();
        if evaluated {
            self.evaluated.insert(id);
        }
        evaluated
    }

    /// The ids that are known of a slot, sorted.
    pub(crate) fn ids(&mut self, slot: i64, id: ServiceId) -> &mut Vec<u64> {
        let at_hand = &mut self.ids_at_hand;
        self.ids.entry((slot, id)).or_insert_with(|| {
            let bytes = IDS.get(&(slot, id)).unwrap_or_default();
            let ids: Vec<u64> = bytes.chunks_exact(8).filter_map(|id| In(id).hash()).collect();
            *at_hand += ids.len();
            ids
        })
    }

    /// Writes the ids of a slot, of which so many are new.
    pub(crate) fn save_ids(&mut self, slot: i64, id: ServiceId, new: usize) -> Result {
        let Some(ids) = self.ids.get(&(slot, id)) else { return Ok(()) };
        let mut bytes = Vec::with_capacity(ids.len() * 8);
        ids.iter().for_each(|id| bytes.extend(id.to_le_bytes()));
        self.ids_at_hand += new;
        self.totals.id_bytes += new as u64 * 8;
        IDS.put(&(slot, id), &bytes)
    }

    /// Writes what this call has changed, says which services have to be evaluated again, and keeps at hand what the next
    /// calls are likely to want.
    pub(crate) fn save(&mut self) -> Result {
        for at in std::mem::take(&mut self.changed) {
            let Some(block) = self.blocks.get(&at) else { continue };
            let before = BLOCKS.get(&at).map_or(0, |bytes| bytes.len() as u64);
            let bytes = block.encode();
            self.totals.block_bytes = (self.totals.block_bytes + bytes.len() as u64).saturating_sub(before);
            BLOCKS.put(&at, &bytes)?;
        }
        if self.blocks.len() > BLOCKS_AT_HAND {
            let newest = self.blocks.keys().map(|at| at.0).max().unwrap_or(0);
            self.blocks.retain(|at, _| at.0 == newest);
            if self.blocks.len() > BLOCKS_AT_HAND {
                self.blocks.clear();
            }
        }
        if self.ids_at_hand > IDS_AT_HAND {
            self.ids.clear();
            self.ids_at_hand = 0;
        }
        Ok(())
    }

    /// Forgets what is too old, and the oldest while there is more than is allowed.
    pub(crate) fn forget(&mut self, rules: &Rules) -> Result {
        if let Some(until) = self.totals.until {
            self.totals.floor = self.totals.floor.max(Some(until - rules.restate));
        }
        self.forget_ids(rules)?;
        self.forget_blocks(rules)
    }

    /// Forgets ids where there are far too many before the next evaluation.
    pub(crate) fn relieve(&mut self, rules: &Rules) -> Result {
        if self.totals.id_bytes > rules.config.dedup_bytes_max / 2 * 3 { self.forget_ids(rules) } else { Ok(()) }
    }

    fn forget_ids(&mut self, rules: &Rules) -> Result {
        let limit = rules.config.dedup_bytes_max;
        let over = self.totals.id_bytes > limit;
        loop {
            let page = IDS.first(16)?;
            let mut kept = page.is_empty();
            for (at, bytes) in page {
                let old = self.totals.floor.is_some_and(|floor| at.0 < floor);
                let surplus = over && self.totals.id_bytes > limit / 10 * 9;
                if !old && !surplus {
                    kept = true;
                    break;
                }
                if !old {
                    // Rows of this slot could not be told from their duplicates any more.
                    count("slots_closed_early", 1);
                    self.totals.floor = self.totals.floor.max(Some(at.0 + 1));
                }
                IDS.delete(&at);
                self.ids_at_hand -= self.ids.remove(&at).map_or(0, |ids| ids.len()).min(self.ids_at_hand);
                self.totals.id_bytes = self.totals.id_bytes.saturating_sub(bytes.len() as u64);
            }
            if kept {
                return Ok(());
            }
        }
    }

    fn forget_blocks(&mut self, rules: &Rules) -> Result {
        let limit = rules.config.slots_bytes_max;
        let over = self.totals.block_bytes > limit;
        let margin = margin(rules) + rules.block;
        loop {
            let page = BLOCKS.first(64)?;
            let mut kept = page.is_empty();
            for (at, bytes) in page {
                let end = (at.0 + 1) * rules.block;
                let old = self.totals.floor.is_some_and(|floor| end <= floor - margin);
                let needed = self.totals.until.is_none_or(|until| end + margin > until);
                if !old && (needed || !(over && self.totals.block_bytes > limit / 10 * 9)) {
                    kept = true;
                    break;
                }
                if !old {
                    count("blocks_closed_early", 1);
                    self.totals.floor = self.totals.floor.max(Some(end + margin));
                }
                self.totals.cut = self.totals.cut.max(Some(end));
                BLOCKS.delete(&at);
                self.blocks.remove(&at);
                self.totals.block_bytes = self.totals.block_bytes.saturating_sub(bytes.len() as u64);
            }
            if kept {
                return Ok(());
            }
        }
    }
}
