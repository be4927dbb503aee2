//! What is kept of the signals, how far it is evaluated, and what is to be evaluated again.
//!
//! Evaluations look at one service after the other, page by page: see [`pages`](crate::pages).

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use weir_sdk::{BytesState, Error, Result, count};

use crate::codec::{In, Mixed, Out};
use crate::config::Rules;
use crate::failures;
use crate::ids::Ids;
use crate::keys::ServiceId;
use crate::pages::{PAGES, Pages, broken, page_of};
use crate::points;
use crate::slots::{Page, Slot, Timeline};

const DIRTY: BytesState<ServiceId> = BytesState::named("q");
/// What evaluations have found.
pub(crate) const RECORDS: BytesState<ServiceId> = BytesState::named("s");
const TOTALS: BytesState<()> = BytesState::named("g");

/// Slots of one page that an evaluation of all services keeps at hand.
const SWEEP_SLOTS: usize = 128;

/// The form of the state.
const VERSION: u64 = 3;

/// How far all is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Up to which slot services are evaluated; none before the first watermark.
    pub(crate) until: Option<i64>,
    /// The service that is next, and how many are left, until all are evaluated so far.
    pub(crate) next: ServiceId,
    pub(crate) left: u32,
    /// The service that is next to be looked at for whether its silence is an outage, while such a round goes on.
    pub(crate) silent: Option<ServiceId>,
    /// Rows of slots before it are too late.
    pub(crate) floor: Option<i64>,
    /// Slots before it are forgotten.
    pub(crate) cut: Option<i64>,
    pub(crate) slot_bytes: u64,
    pub(crate) id_bytes: u64,
    pub(crate) point_bytes: u64,
    /// The newest five minutes of which there are data points.
    pub(crate) newest: Option<i64>,
}

impl Totals {
    fn load(rules: &Rules) -> Result<Self> {
        let Some(bytes) = TOTALS.get(&()) else { return Ok(Self::default()) };
        let mut bytes = In(&bytes);
        let mut read = || {
            let slot_s = bytes.u().filter(|version| *version == VERSION).and_then(|_| bytes.i())?;
            let (until, next, left) = (bytes.maybe()?, bytes.small()?, bytes.small()?);
            let silent = bytes.maybe()?.map(u32::try_from).transpose().ok()?;
            let (floor, cut) = (bytes.maybe()?, bytes.maybe()?);
            let (slot_bytes, id_bytes, point_bytes) = (bytes.u()?, bytes.u()?, bytes.u()?);
            let newest = bytes.maybe()?;
            Some((slot_s, Self { until, next, left, silent, floor, cut, slot_bytes, id_bytes, point_bytes, newest }))
        };
        let other = || Error::new("the state is of another version of the plugin: discard it");
        let (slot_s, totals) = read().ok_or_else(other)?;
        if slot_s != rules.config.slot_s {
            let now = rules.config.slot_s;
            return Err(Error::new(format!(
                "slots in the state are of {slot_s} s and slot_s is {now}: discard the state"
            )));
        }
        Ok(totals)
    }

    pub(crate) fn save(&self, rules: &Rules) -> Result {
        let mut out = Out::default();
        out.u(VERSION).i(rules.config.slot_s);
        out.maybe(self.until)
            .u(self.next.into())
            .u(self.left.into())
            .maybe(self.silent.map(i64::from))
            .maybe(self.floor)
            .maybe(self.cut);
        out.u(self.slot_bytes).u(self.id_bytes).u(self.point_bytes).maybe(self.newest);
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

/// Slots of one page, kept while the services of it are evaluated in turn.
#[derive(Debug, Default)]
struct Sweep {
    page: u32,
    slots: HashMap<i64, Page, Mixed>,
}

impl Sweep {
    /// Fills in the slots of a service from one on.
    fn slots(&mut self, rules: &Rules, id: ServiceId, from: i64, slots: &mut [Slot]) -> Result {
        for (number, slot) in (from..).zip(slots) {
            let (at, place) = page_of(rules, id, number);
            if self.page != at.1 || self.slots.len() > 2 * SWEEP_SLOTS {
                *self = Self { page: at.1, slots: HashMap::default() };
            }
            let page = match self.slots.entry(number) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let bytes = PAGES.get(&at).unwrap_or_default();
                    entry.insert(Page::decode(&bytes).ok_or_else(broken)?)
                }
            };
            *slot = page.at(place);
        }
        Ok(())
    }
}

/// Slots and ids, as they are in the state and as this call has changed them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) totals: Totals,
    pub(crate) ids: Ids,
    pub(crate) pages: Pages,
    /// Whether more data points are to be forgotten than a call does.
    pub(crate) points_left: bool,
    /// While all services are evaluated in turn.
    sweep: RefCell<Option<Sweep>>,
    /// What is known of services by their numbers, so that rows of a service need not ask the state each time.
    known: Vec<Known>,
    /// Whether slots have changed that were evaluated.
    restated: bool,
}

/// What is known of a service.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Whether it was evaluated before, if that was asked.
    evaluated: Option<bool>,
    /// It is marked to be evaluated again at least from this slot on.
    marked: i64,
}

fn margin(rules: &Rules) -> i64 {
    rules.hour + rules.stale_max.max(rules.always_on) + rules.window
}

impl Store {
    pub(crate) fn load(rules: &Rules) -> Result<Self> {
        Ok(Self { totals: Totals::load(rules)?, pages: Pages::load(rules)?, ..Self::default() })
    }

    /// Changes a slot of a service, which is to be written at the end of the call.
    pub(crate) fn change(&mut self, rules: &Rules, id: ServiceId, slot: i64, change: impl FnOnce(&mut Slot)) -> Result {
        let place = self.pages.open(rules, id, slot)?;
        change(self.pages.touch(place).0);
        Ok(())
    }

    /// The slots of a service from one up to another.
    pub(crate) fn timeline(&self, rules: &Rules, id: ServiceId, from: i64, until: i64) -> Result<Timeline> {
        let mut slots = vec![Slot::default(); usize::try_from(until - from).unwrap_or(0)];
        let mut sweep = self.sweep.borrow_mut();
        match sweep.as_mut().filter(|_| slots.len() <= SWEEP_SLOTS) {
            Some(sweep) => sweep.slots(rules, id, from, &mut slots)?,
            None => self.slots(rules, id, from, &mut slots)?,
        }
        Ok(Timeline { first: from, slots })
    }

    /// Fills in the slots of a service from one on.
    fn slots(&self, rules: &Rules, id: ServiceId, from: i64, slots: &mut [Slot]) -> Result {
        let until = from + slots.len() as i64;
        let mut block = from.div_euclid(rules.block);
        while block * rules.block < until {
            let ((.., page, _), place) = page_of(rules, id, block * rules.block);
            PAGES.each(&(block, page), |(.., slot), bytes| {
                let wanted = usize::try_from(slot - from).ok().and_then(|at| slots.get_mut(at));
                if let Some(wanted) = wanted {
                    *wanted = Page::decode_one(&bytes, place).ok_or_else(broken)?;
                }
                Ok(())
            })?;
            block += 1;
        }
        Ok(())
    }

    /// Says that services are evaluated in the order of their numbers from now on, or are no longer. No slot may change
    /// meanwhile.
    pub(crate) fn sweeps(&mut self, sweeps: bool) {
        self.sweep = RefCell::new(sweeps.then(Sweep::default));
    }

    /// Notes that what is kept beside slots takes other bytes than before.
    pub(crate) fn resized(&mut self, before: usize, after: usize) {
        let total = self.totals.slot_bytes + after as u64;
        self.totals.slot_bytes = total.saturating_sub(before as u64);
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

    fn known(&mut self, id: ServiceId) -> &mut Known {
        let place = id as usize;
        if place >= self.known.len() {
            self.known.resize(place + 1, Known { evaluated: None, marked: i64::MAX });
        }
        &mut self.known[place]
    }

    /// Whether a service was evaluated before.
    pub(crate) fn is_evaluated(&mut self, id: ServiceId) -> bool {
        *self.known(id).evaluated.get_or_insert_with(|| RECORDS.get(&id).is_some())
    }

    /// Says that slots of a service from one on have to be evaluated again.
    pub(crate) fn mark(&mut self, id: ServiceId, from: i64) -> Result {
        let known = self.known(id);
        if known.marked <= from {
            return Ok(());
        }
        known.marked = from;
        mark(id, Dirty { from, all: false })
    }

    /// A service is evaluated now; what it was marked for is done with that.
    pub(crate) fn evaluates(&mut self, id: ServiceId) {
        *self.known(id) = Known { evaluated: Some(true), marked: i64::MAX };
    }

    /// Writes what this call has changed, and keeps at hand what the next calls are likely to want.
    pub(crate) fn save(&mut self) -> Result {
        self.ids.save(&mut self.totals)?;
        self.pages.save()?;
        self.weigh();
        Ok(())
    }

    /// Brings all slots into the state, for those who look for them there.
    pub(crate) fn settle(&mut self) -> Result {
        if self.pages.is_settled() {
            return Ok(());
        }
        self.pages.fold()?;
        self.weigh();
        Ok(())
    }

    fn weigh(&mut self) {
        self.totals.slot_bytes = self.totals.slot_bytes.saturating_add_signed(self.pages.take_grown());
    }

    /// Forgets what is too old, and the oldest while there is more than is allowed.
    pub(crate) fn forget(&mut self, rules: &Rules) -> Result {
        if let Some(until) = self.totals.until {
            self.totals.floor = self.totals.floor.max(Some(until - rules.restate));
        }
        self.ids.forget(rules, &mut self.totals)?;
        self.forget_slots(rules)
    }

    /// Forgets ids and data points where there are far too many before the next evaluation.
    pub(crate) fn relieve(&mut self, rules: &Rules) -> Result {
        if self.totals.id_bytes > rules.config.dedup_bytes_max / 2 * 3 {
            self.ids.forget(rules, &mut self.totals)?;
        }
        let surplus = self.totals.point_bytes > rules.config.points_bytes_max / 2 * 3;
        if surplus { points::forget(rules, self) } else { Ok(()) }
    }

    fn forget_slots(&mut self, rules: &Rules) -> Result {
        let limit = rules.config.slots_bytes_max;
        let over = self.totals.slot_bytes > limit;
        let margin = margin(rules) + rules.block;
        loop {
            let page = PAGES.first(64)?;
            let mut kept = page.is_empty();
            for (at, bytes) in page {
                let end = (at.0 + 1) * rules.block;
                let old = self.totals.floor.is_some_and(|floor| end <= floor - margin);
                let needed = self.totals.until.is_none_or(|until| end + margin > until);
                if !old && (needed || !(over && self.totals.slot_bytes > limit / 10 * 9)) {
                    kept = true;
                    break;
                }
                if !old && self.totals.floor.is_none_or(|floor| floor < end + margin) {
                    count("blocks_closed_early", 1);
                    self.totals.floor = self.totals.floor.max(Some(end + margin));
                }
                if self.totals.cut.is_none_or(|cut| cut < end) {
                    self.totals.cut = Some(end);
                    let beside = failures::forget(at.0)?;
                    self.totals.slot_bytes = self.totals.slot_bytes.saturating_sub(beside);
                }
                PAGES.delete(&at);
                self.totals.slot_bytes = self.totals.slot_bytes.saturating_sub(bytes.len() as u64);
            }
            if kept {
                break;
            }
        }
        if let Some(cut) = self.totals.cut {
            self.pages.forget(cut.div_euclid(rules.block));
        }
        Ok(())
    }
}
