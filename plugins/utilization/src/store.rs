//! The points that are kept, in the plugin's state: what came before a fault or out of its order is not lost.
//!
//! An hour's row is computed from its points once event time has passed its end, and again when a late point changes them.
//! Points lie in blocks of ten minutes, so that a new one rewrites little.

use std::collections::BTreeMap;

use weir_sdk::prelude::*;

use crate::names::{Role, SeriesName};
use crate::points::Packed;
use crate::row::Utilization;
use crate::timeline::Series;
use crate::{HOUR_NS, hour_of};

const BLOCK_NS: i64 = HOUR_NS / 6;
/// So many series of one resource: a host with 128 CPUs has fewer.
const SERIES_MAX: usize = 1024;
/// A call computes rows of about so many points, which takes a fraction of the time that it has; the next one goes on.
const POINTS_PER_CALL: i64 = 200_000;
/// Hours beyond those that may still change: the open ones, and some for clocks that are ahead.
const HOURS_AHEAD: usize = 48;
/// What an entry of the state takes besides its value.
const ENTRY_BYTES: u64 = 48;

/// What the plugin knows of time and of how much it keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    watermark: Option<i64>,
    /// Whether there is an hour that has ended and whose row is not up to date.
    pending: bool,
    /// Bytes of points by the start of their hour.
    bytes: BTreeMap<i64, u64>,
    /// The end of the newest hour that was given up before its time: points before it come too late.
    evicted: Option<i64>,
    instances: u64,
    next_id: u64,
}

/// A resource of which an instance is measured: the key of a row without its window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) environment: String,
    pub(crate) service_name: String,
    pub(crate) resource: String,
    pub(crate) instance: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Instance {
    identity: Identity,
    /// The unit of each role's values.
    units: [Option<String>; 4],
    /// The newest hour with a point.
    last: i64,
}

type Block = BTreeMap<String, Packed>;

const CLOCK: State<(), Clock> = State::named("clock");
/// Environment, service, resource, instance → number.
const NUMBERS: State<(String, String, String, String), u64> = State::named("numbers");
const INSTANCES: State<u64, Instance> = State::named("instances");
/// Hour, number of the instance, block of the hour → points by series.
const BLOCKS: State<(i64, u64, u32), Block> = State::named("blocks");
/// Hours of instances whose row is not up to date.
const CHANGED: State<(i64, u64), bool> = State::named("changed");
const NO_ROW: u64 = 0;
/// Digests of the rows that were emitted.
const EMITTED: State<(i64, u64), u64> = State::named("emitted");

/// The points of a batch for one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    points: Vec<(SeriesName, i64, f64)>,
    units: [Option<String>; 4],
}

impl Gathered {
    pub(crate) fn add(&mut self, series: SeriesName, time: i64, value: f64) {
        self.points.push((series, time, value));
    }

    /// Of several units the last in the order of the alphabet stays, whichever came first.
    pub(crate) fn unit(&mut self, role: Role, unit: Option<&str>) {
        let known = &mut self.units[role as usize];
        if unit.is_some_and(|unit| known.as_deref().is_none_or(|known| known < unit)) {
            *known = unit.map(str::to_owned);
        }
    }

    /// The points not before `oldest`, by hour, block and series.
    fn blocks(&self, oldest: i64) -> BTreeMap<(i64, u32), BTreeMap<String, Vec<(i64, f64)>>> {
        let mut blocks: BTreeMap<_, BTreeMap<String, Vec<(i64, f64)>>> = BTreeMap::new();
        for (series, time, value) in self.points.iter().filter(|(_, time, _)| *time >= oldest) {
            let hour = hour_of(*time);
            let block = time.saturating_sub(hour) / BLOCK_NS;
            blocks.entry((hour, block as u32)).or_default().entry(series.to_key()).or_default().push((*time, *value));
        }
        blocks
    }
}

fn size(block: &Block) -> u64 {
    let series = block.iter().map(|(name, points)| name.len() as u64 + points.size() + 8);
    ENTRY_BYTES + series.sum::<u64>()
}

/// The plugin's state, within its limits.
pub(crate) struct Store {
    instances_max: u64,
    restate_ns: i64,
    bytes_max: u64,
    points_per_call: i64,
}

impl Store {
    pub(crate) fn new(instances_max: u64, restate_ns: i64, bytes_max: u64) -> Self {
        Self { instances_max, restate_ns, bytes_max, points_per_call: POINTS_PER_CALL }
    }

    /// Keeps the points of a batch. A point that is known changes nothing.
    pub(crate) fn insert(&self, gathered: BTreeMap<Identity, Gathered>) -> Result {
        let mut clock = CLOCK.get(&())?.unwrap_or_default();
        let before = clock.clone();
        let oldest = clock.watermark.map(|watermark| watermark.saturating_sub(self.restate_ns));
        let oldest = oldest.max(clock.evicted).unwrap_or(i64::MIN);
        for (identity, found) in gathered {
            let blocks = found.blocks(oldest);
            let kept: usize = blocks.values().flat_map(BTreeMap::values).map(Vec::len).sum();
            count("points_too_late", (found.points.len() - kept) as u64);
            let Some(last) = blocks.keys().map(|(hour, _)| *hour).max() else { continue };
            let Some(number) = self.number(&mut clock, identity, found.units, last)? else {
                count("instances_overflow", kept as u64);
                continue;
            };
            for ((hour, block), series) in blocks {
                merge(&mut clock, hour, number, block, series)?;
            }
        }
        self.evict(&mut clock)?;
        if clock == before { Ok(()) } else { CLOCK.put(&(), &clock) }
    }

    /// The number of an instance, a new one where there is room for it.
    fn number(
        &self,
        clock: &mut Clock,
        identity: Identity,
        units: [Option<String>; 4],
        last: i64,
    ) -> Result<Option<u64>> {
        let Identity { environment, service_name, resource, instance } = identity.clone();
        let key = (environment, service_name, resource, instance);
        let known = match NUMBERS.get(&key)? {
            Some(number) => INSTANCES.get(&number)?.map(|instance| (number, instance)),
            None => None,
        };
        let Some((number, known)) = known else {
            if clock.instances >= self.instances_max {
                return Ok(None);
            }
            let number = clock.next_id;
            clock.next_id += 1;
            clock.instances += 1;
            NUMBERS.put(&key, &number)?;
            INSTANCES.put(&number, &Instance { identity, units, last })?;
            return Ok(Some(number));
        };
        let mut now = known.clone();
        now.last = now.last.max(last);
        for (known, unit) in now.units.iter_mut().zip(units) {
            *known = known.take().max(unit);
        }
        if now != known {
            INSTANCES.put(&number, &now)?;
        }
        Ok(Some(number))
    }

    /// Gives up the oldest hours while there is more than may be kept.
    fn evict(&self, clock: &mut Clock) -> Result {
        let hours_max = (self.restate_ns / HOUR_NS) as usize + HOURS_AHEAD;
        while clock.bytes.values().sum::<u64>() > self.bytes_max || clock.bytes.len() > hours_max {
            let Some((hour, _)) = clock.bytes.pop_first() else { break };
            forget(hour)?;
            // What is left of its points would make another row than all of them did.
            clock.evicted = clock.evicted.max(Some(hour.saturating_add(HOUR_NS)));
            count("hours_evicted", 1);
        }
        Ok(())
    }

    /// Event time has passed a point: emits the rows that `row` makes of the hours that ended and changed.
    pub(crate) fn advance(
        &self,
        watermark: i64,
        row: impl Fn(&Identity, Option<&str>, i64, &[Series]) -> Option<Utilization>,
    ) -> Result {
        let mut clock = CLOCK.get(&())?.unwrap_or_default();
        let before = clock.watermark;
        let watermark = before.map_or(watermark, |before| before.max(watermark));
        let ended = before.is_none_or(|before| hour_of(before) != hour_of(watermark));
        clock.watermark = Some(watermark);
        if ended || clock.pending {
            clock.pending = emit_changed(watermark, self.points_per_call, row)?;
        }
        if ended {
            self.expire(&mut clock, watermark)?;
        }
        CLOCK.put(&(), &clock)
    }

    /// Forgets hours that cannot change any more, and instances of which nothing is left.
    fn expire(&self, clock: &mut Clock, watermark: i64) -> Result {
        // The hour before the oldest that may change says what held when that one began.
        let oldest = hour_of(watermark.saturating_sub(self.restate_ns)).saturating_sub(HOUR_NS);
        let kept = clock.bytes.split_off(&oldest);
        for hour in std::mem::replace(&mut clock.bytes, kept).into_keys() {
            forget(hour)?;
        }
        for (number, instance) in INSTANCES.scan()? {
            if instance.last < oldest {
                let Identity { environment, service_name, resource, instance } = instance.identity;
                NUMBERS.delete(&(environment, service_name, resource, instance));
                INSTANCES.delete(&number);
                clock.instances = clock.instances.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// Adds points to a block, and notes whose row that changes.
fn merge(clock: &mut Clock, hour: i64, number: u64, block: u32, series: BTreeMap<String, Vec<(i64, f64)>>) -> Result {
    let key = (hour, number, block);
    let known = BLOCKS.get(&key)?;
    let size_before = known.as_ref().map_or(0, size);
    let mut points = known.unwrap_or_default();
    let (mut changed, mut starts, mut overflow) = (false, false, 0);
    for (name, new) in series {
        if points.len() >= SERIES_MAX && !points.contains_key(&name) {
            overflow += new.len() as u64;
            continue;
        }
        let counter = SeriesName::of_key(&name).is_some_and(|(_, counter, _)| counter);
        let packed = points.entry(name).or_default();
        let first = packed.first();
        changed |= packed.merge(&new);
        starts |= counter && packed.first() != first;
    }
    count("series_overflow", overflow);
    if !changed {
        return Ok(());
    }
    BLOCKS.put(&key, &points)?;
    let bytes = clock.bytes.entry(hour).or_default();
    *bytes = bytes.saturating_sub(size_before) + size(&points);
    CHANGED.put(&(hour, number), &true)?;
    let next = hour.saturating_add(HOUR_NS);
    // The row of the hour after was made with the last point of this one, that of the hour before with its first.
    let previous = hour.saturating_sub(HOUR_NS);
    let neighbors = [(true, next), (starts, previous)];
    for (_, hour) in neighbors.into_iter().filter(|(concerned, _)| *concerned) {
        if EMITTED.get(&(hour, number))?.is_some() {
            CHANGED.put(&(hour, number), &true)?;
            clock.pending = true;
        }
    }
    clock.pending |= clock.watermark.is_some_and(|watermark| next <= watermark);
    Ok(())
}

fn forget(hour: i64) -> Result {
    BLOCKS.scan_prefix(&hour)?.iter().for_each(|(key, _)| BLOCKS.delete(key));
    CHANGED.scan_prefix(&hour)?.iter().for_each(|(key, _)| CHANGED.delete(key));
    EMITTED.scan_prefix(&hour)?.iter().for_each(|(key, _)| EMITTED.delete(key));
    Ok(())
}

/// Emits the changed rows of the hours that ended; whether there are more than fit into a call.
fn emit_changed(
    watermark: i64,
    mut left: i64,
    row: impl Fn(&Identity, Option<&str>, i64, &[Series]) -> Option<Utilization>,
) -> Result<bool> {
    for (key, _) in CHANGED.scan()? {
        let (hour, number) = key;
        if hour.saturating_add(HOUR_NS) > watermark {
            return Ok(false);
        }
        if left <= 0 {
            return Ok(true);
        }
        CHANGED.delete(&key);
        let Some(instance) = INSTANCES.get(&number)? else { continue };
        let series = series_of(hour, number)?;
        left -= 1 + series.iter().map(|series| series.points.len() as i64).sum::<i64>();
        let unit =
            [Role::Limit, Role::Part, Role::Used, Role::Ratio].map(|role| instance.units[role as usize].as_deref());
        let row = row(&instance.identity, unit.into_iter().flatten().next(), hour, &series);
        // An hour that has no row yet may get one by a point of the hour beside it.
        let digest = row.as_ref().map_or(NO_ROW, Utilization::digest);
        if EMITTED.get(&key)? != Some(digest) {
            row.iter().try_for_each(emit)?;
            EMITTED.put(&key, &digest)?;
        }
    }
    Ok(false)
}

/// The points of an instance in an hour, each series with the last one before it and, of a counter, the first one after it.
fn series_of(hour: i64, number: u64) -> Result<Vec<Series>> {
    let mut all: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for (_, block) in BLOCKS.scan_prefix(&(hour.saturating_sub(HOUR_NS), number))? {
        for (name, packed) in block {
            if let Some(last) = packed.points().pop() {
                all.insert(name, vec![last]);
            }
        }
    }
    for (_, block) in BLOCKS.scan_prefix(&(hour, number))? {
        for (name, packed) in block {
            all.entry(name).or_default().extend(packed.points());
        }
    }
    let mut firsts: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    if all.keys().any(|name| SeriesName::of_key(name).is_some_and(|(_, counter, _)| counter)) {
        for (_, block) in BLOCKS.scan_prefix(&(hour.saturating_add(HOUR_NS), number))? {
            for (name, packed) in block {
                if let Some(first) = packed.first() {
                    firsts.entry(name).or_insert(first);
                }
            }
        }
    }
    let series = all.into_iter().filter_map(|(name, mut points)| {
        let (role, counter, group) = SeriesName::of_key(&name)?;
        points.extend(firsts.get(&name).filter(|_| counter));
        Some(Series { role, counter, group: group.to_owned(), points })
    });
    Ok(series.collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn identity(instance: &str) -> Identity {
        let text = str::to_owned;
        Identity { environment: text("prod"), service_name: text("a"), resource: text("cpu"), instance: text(instance) }
    }

    fn points(instance: &str, times: impl IntoIterator<Item = i64>) -> BTreeMap<Identity, Gathered> {
        let mut found = Gathered::default();
        let series = SeriesName { role: Role::Ratio, counter: false, group: String::new(), parts: String::new() };
        times.into_iter().for_each(|time| found.add(series.clone(), time, 0.5));
        BTreeMap::from([(identity(instance), found)])
    }

    /// The instances whose rows were made, with the hours.
    fn advance(store: &Store, watermark: i64) -> Vec<(String, i64)> {
        let made = RefCell::default();
        let note = |identity: &Identity, _: Option<&str>, hour: i64, _: &[Series]| {
            let made: &RefCell<Vec<_>> = &made;
            made.borrow_mut().push((identity.instance.clone(), hour / HOUR_NS));
            None
        };
        store.advance(watermark, note).expect("an advance");
        made.into_inner()
    }

    #[test]
    fn what_does_not_fit_into_a_call_is_done_by_the_next() {
        let store = Store { points_per_call: 15, ..Store::new(10, 26 * HOUR_NS, 1 << 20) };
        for instance in ["a", "b", "c"] {
            store.insert(points(instance, (0..10).map(|number| number * HOUR_NS / 10))).expect("room");
        }
        assert_eq!(advance(&store, HOUR_NS), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
        assert_eq!(advance(&store, HOUR_NS), [("c".to_owned(), 0)]);
        assert_eq!(advance(&store, HOUR_NS + 1), []);
    }

    #[test]
    fn the_oldest_hours_go_when_there_is_no_room_and_do_not_come_back() {
        let store = Store::new(10, 26 * HOUR_NS, 1000);
        for hour in 0..10 {
            let times = (0..20).map(|number| hour * HOUR_NS + number * 1_234_567_891);
            store.insert(points("a", times)).expect("room");
        }
        let clock = CLOCK.get(&()).expect("a clock").expect("one");
        assert!(clock.bytes.values().sum::<u64>() <= 1000 && !clock.bytes.contains_key(&0), "{clock:?}");
        let blocks = BLOCKS.scan().expect("blocks").len();
        store.insert(points("a", [1])).expect("room");
        assert_eq!(BLOCKS.scan().expect("blocks").len(), blocks);
    }

    #[test]
    fn what_cannot_change_any_more_is_forgotten() {
        let store = Store::new(10, 26 * HOUR_NS, 1 << 20);
        store.insert(points("a", [1])).expect("room");
        store.insert(points("b", [30 * HOUR_NS])).expect("room");
        advance(&store, 31 * HOUR_NS);
        let blocks: Vec<i64> = BLOCKS.scan().expect("blocks").iter().map(|((hour, _, _), _)| *hour).collect();
        assert_eq!(blocks, [30 * HOUR_NS]);
        let instances = INSTANCES.scan().expect("instances");
        assert_eq!(instances.iter().map(|(_, one)| one.identity.instance.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(CLOCK.get(&()).expect("a clock").expect("one").instances, 1);
    }

    #[test]
    fn times_at_the_ends_of_what_can_be_said_are_kept() {
        let store = Store::new(10, 26 * HOUR_NS, 1 << 20);
        store.insert(points("a", [i64::MIN, i64::MIN + 1, i64::MAX])).expect("room");
        assert!(advance(&store, i64::MAX - 1).iter().any(|(instance, _)| instance == "a"));
    }
}
