//! The points that are kept, in the plugin's state: what came before a fault or out of its order is not lost.
//!
//! An hour's row is computed from its points once event time has passed its end, and again when a late point changes
//! them. Points lie in blocks of ten minutes, so that a new one rewrites little.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use weir_sdk::BytesState;
use weir_sdk::prelude::*;

use crate::names::{Role, SeriesName};
use crate::points::{Block, Packed};
use crate::row::Utilization;
use crate::timeline::Series;
use crate::{HOUR_NS, hour_of};

const BLOCK_NS: i64 = HOUR_NS / 6;
/// So many series of one resource: a host with 128 CPUs has fewer.
const SERIES_MAX: usize = 1024;
/// A call computes rows of about so many points, which takes a fraction of the time that it has; the next one goes on.
const POINTS_PER_CALL: i64 = 300_000;
/// What an hour's row costs besides its points, in points.
const POINTS_PER_ROW: i64 = 100;
/// A call forgets about so many bytes of old hours.
const BYTES_FORGOTTEN_PER_CALL: u64 = 2 << 20;
/// So many hours are kept, whatever is in them: a year, sent at once.
const HOURS_MAX: usize = 366 * 24;
/// What an entry of the state takes besides its value.
const ENTRY_BYTES: u64 = 48;

/// What the plugin knows of time and of how much it keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    watermark: Option<i64>,
    /// Whether there is an hour that has ended and whose row is not up to date.
    pending: bool,
    /// Whether there may be something to forget.
    expiring: bool,
    /// Bytes of points by the start of their hour.
    bytes: BTreeMap<i64, u64>,
    /// The end of the newest hour that was given up before its time: points before it come too late.
    evicted: Option<i64>,
    instances: u64,
    next_id: u64,
}

/// A resource of which an instance is measured: the key of a row without its window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Points as they came, by the key of their series.
type BySeries = BTreeMap<String, Vec<(i64, f64)>>;

const CLOCK: State<(), Clock> = State::named("clock");
/// Environment, service, resource, instance → number.
const NUMBERS: State<(String, String, String, String), u64> = State::named("numbers");
const INSTANCES: State<u64, Instance> = State::named("instances");
/// Hour, number of the instance, block of the hour → points by series.
const BLOCKS: BytesState<(i64, u64, u32)> = BytesState::named("blocks");
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
    fn blocks(&self, oldest: i64) -> BTreeMap<(i64, u32), BySeries> {
        let mut blocks: BTreeMap<_, BySeries> = BTreeMap::new();
        for (series, time, value) in self.points.iter().filter(|(_, time, _)| *time >= oldest) {
            let hour = hour_of(*time);
            let block = time.saturating_sub(hour) / BLOCK_NS;
            blocks.entry((hour, block as u32)).or_default().entry(series.to_key()).or_default().push((*time, *value));
        }
        blocks
    }
}

fn block_of(bytes: &[u8]) -> Result<Block> {
    Block::from_bytes(bytes).ok_or_else(|| Error::new("state \"blocks\" holds what is no block of points"))
}

/// Hands over the points that are kept of an instance for an hour, block by block and series by series.
fn each_series(hour: i64, number: u64, mut each: impl FnMut(String, Packed)) -> Result {
    BLOCKS.each(&(hour, number), |_, bytes| {
        block_of(&bytes)?.0.into_iter().for_each(|(name, packed)| each(name, packed));
        Ok(())
    })
}

/// Makes the row of an instance, with its unit, for the hour that starts there, from the points of its series.
pub(crate) trait MakeRow: Fn(&Identity, Option<&str>, i64, &[Series]) -> Option<Utilization> {}

impl<F: Fn(&Identity, Option<&str>, i64, &[Series]) -> Option<Utilization>> MakeRow for F {}

/// What is at hand of the state. A call takes it, and puts it back at its end: after one that failed there is none.
#[derive(Default)]
struct Hand {
    instances: HashMap<Identity, (u64, Instance)>,
    /// Hours of instances that are known to be among the changed ones.
    changed: HashSet<(i64, u64)>,
}

/// So many instances and hours are at hand.
const AT_HAND: usize = 1 << 15;

/// The plugin's state, within its limits.
pub(crate) struct Store {
    instances_max: u64,
    restate_ns: i64,
    bytes_max: u64,
    points_per_call: i64,
    hand: RefCell<Hand>,
}

impl Store {
    pub(crate) fn new(instances_max: u64, restate_ns: i64, bytes_max: u64) -> Self {
        Self { instances_max, restate_ns, bytes_max, points_per_call: POINTS_PER_CALL, hand: RefCell::default() }
    }

    /// Keeps the points of a batch. A point that is known changes nothing.
    pub(crate) fn insert(&self, gathered: BTreeMap<Identity, Gathered>, row: impl MakeRow) -> Result {
        let mut clock = CLOCK.get(&())?.unwrap_or_default();
        let mut hand = self.hand.take();
        let before = clock.clone();
        let oldest = clock.watermark.map(|watermark| watermark.saturating_sub(self.restate_ns));
        let oldest = oldest.max(clock.evicted).unwrap_or(i64::MIN);
        for (identity, found) in gathered {
            let blocks = found.blocks(oldest);
            let kept: usize = blocks.values().flat_map(BTreeMap::values).map(Vec::len).sum();
            count("points_too_late", (found.points.len() - kept) as u64);
            let Some(last) = blocks.keys().map(|(hour, _)| *hour).max() else { continue };
            let Some(number) = self.number(&mut clock, &mut hand, identity, found.units, last)? else {
                count("instances_overflow", kept as u64);
                continue;
            };
            for ((hour, block), series) in blocks {
                merge(&mut clock, &mut hand, hour, number, block, series)?;
            }
        }
        if self.evict(&mut clock, &row)? {
            hand.changed.clear();
        }
        self.hand.replace(hand);
        // Rows that are out change: nobody is to wait for them until the next hour is over.
        if clock.pending {
            advance_again();
        }
        if clock == before { Ok(()) } else { CLOCK.put(&(), &clock) }
    }

    /// The number of an instance, a new one where there is room for it.
    fn number(
        &self,
        clock: &mut Clock,
        hand: &mut Hand,
        identity: Identity,
        units: [Option<String>; 4],
        last: i64,
    ) -> Result<Option<u64>> {
        if hand.instances.len() >= AT_HAND {
            hand.instances.clear();
        }
        if !hand.instances.contains_key(&identity) {
            let Identity { environment, service_name, resource, instance } = identity.clone();
            let key = (environment, service_name, resource, instance);
            let known = match NUMBERS.get(&key)? {
                Some(number) => INSTANCES.get(&number)?.map(|instance| (number, instance)),
                None => None,
            };
            let known = match known {
                Some(known) => known,
                None if clock.instances >= self.instances_max => return Ok(None),
                None => {
                    let number = clock.next_id;
                    clock.next_id += 1;
                    clock.instances += 1;
                    NUMBERS.put(&key, &number)?;
                    let instance = Instance { identity: identity.clone(), units: units.clone(), last };
                    INSTANCES.put(&number, &instance)?;
                    (number, instance)
                }
            };
            hand.instances.insert(identity.clone(), known);
        }
        let Some((number, known)) = hand.instances.get_mut(&identity) else { return Ok(None) };
        let mut changed = last > known.last;
        known.last = known.last.max(last);
        for (known, unit) in known.units.iter_mut().zip(units) {
            if unit > *known {
                (*known, changed) = (unit, true);
            }
        }
        if changed {
            INSTANCES.put(number, known)?;
        }
        Ok(Some(*number))
    }

    /// Gives up the oldest hours while there is more than may be kept; whether there was. Their rows are emitted as they are.
    fn evict(&self, clock: &mut Clock, row: &impl MakeRow) -> Result<bool> {
        let mut bytes: u64 = clock.bytes.values().sum();
        let evicted = clock.evicted;
        while bytes > self.bytes_max || clock.bytes.len() > HOURS_MAX {
            let Some((hour, size)) = clock.bytes.pop_first() else { break };
            bytes -= size;
            for (key, _) in CHANGED.scan_prefix(&hour)? {
                update(key, row)?;
            }
            forget(hour)?;
            // What is left of its points would make another row than all of them did.
            clock.evicted = clock.evicted.max(Some(hour.saturating_add(HOUR_NS)));
            count("hours_evicted", 1);
        }
        Ok(clock.evicted != evicted)
    }

    /// Event time has passed a point: emits the rows that `row` makes of the hours that ended and changed.
    pub(crate) fn advance(&self, watermark: i64, row: impl MakeRow) -> Result {
        let mut clock = CLOCK.get(&())?.unwrap_or_default();
        let mut hand = self.hand.take();
        let before = clock.watermark;
        let watermark = before.map_or(watermark, |before| before.max(watermark));
        let ended = before.is_none_or(|before| hour_of(before) != hour_of(watermark));
        clock.watermark = Some(watermark);
        if ended || clock.pending {
            hand.changed.clear();
            clock.pending = emit_changed(watermark, self.points_per_call, &row)?;
            clock.expiring |= ended;
        } else if clock.expiring {
            hand = Hand::default();
            clock.expiring = self.expire(&mut clock, watermark)?;
        }
        self.hand.replace(hand);
        if clock.pending || clock.expiring {
            advance_again();
        }
        CLOCK.put(&(), &clock)
    }

    /// Forgets hours that cannot change any more or, where there are none, the instances of which nothing is left;
    /// whether there may be more. It has a call for itself, as the rows have.
    fn expire(&self, clock: &mut Clock, watermark: i64) -> Result<bool> {
        // The hour before the oldest that may change says what held when that one began.
        let oldest = hour_of(watermark.saturating_sub(self.restate_ns)).saturating_sub(HOUR_NS);
        let mut forgotten = 0;
        while let Some(first) = clock.bytes.first_entry().filter(|first| *first.key() < oldest) {
            let (hour, size) = first.remove_entry();
            forget(hour)?;
            forgotten += size;
            if forgotten > BYTES_FORGOTTEN_PER_CALL {
                return Ok(true);
            }
        }
        for (number, instance) in INSTANCES.scan()? {
            if instance.last < oldest {
                let Identity { environment, service_name, resource, instance } = instance.identity;
                NUMBERS.delete(&(environment, service_name, resource, instance));
                INSTANCES.delete(&number);
                clock.instances = clock.instances.saturating_sub(1);
            }
        }
        Ok(false)
    }
}

/// Adds points to a block, and notes whose row that changes.
fn merge(clock: &mut Clock, hand: &mut Hand, hour: i64, number: u64, block: u32, series: BySeries) -> Result {
    let key = (hour, number, block);
    let known = BLOCKS.get(&key);
    let size_before = known.as_ref().map_or(0, |bytes| ENTRY_BYTES + bytes.len() as u64);
    let mut points = block_of(&known.unwrap_or_default())?.0;
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
    let stored = Block(points).to_bytes();
    BLOCKS.put(&key, &stored)?;
    let bytes = clock.bytes.entry(hour).or_default();
    *bytes = bytes.saturating_sub(size_before) + ENTRY_BYTES + stored.len() as u64;
    if hand.changed.len() >= AT_HAND {
        hand.changed.clear();
    }
    if hand.changed.insert((hour, number)) {
        CHANGED.put(&(hour, number), &true)?;
    }
    let next = hour.saturating_add(HOUR_NS);
    // The row of the hour after was made with the last point of this one, that of the hour before with its first.
    let previous = hour.saturating_sub(HOUR_NS);
    let neighbors = [(true, next), (starts, previous)];
    // Rows are emitted of hours that have ended.
    let has_ended = |hour: i64| clock.watermark.is_some_and(|watermark| hour.saturating_add(HOUR_NS) <= watermark);
    let concerned = neighbors.map(|(concerned, hour)| (concerned && has_ended(hour), hour));
    for (_, hour) in concerned.into_iter().filter(|(concerned, _)| *concerned) {
        if EMITTED.get(&(hour, number))?.is_some() {
            CHANGED.put(&(hour, number), &true)?;
            clock.pending = true;
        }
    }
    clock.pending |= clock.watermark.is_some_and(|watermark| next <= watermark);
    Ok(())
}

fn forget(hour: i64) -> Result {
    let mut blocks = Vec::new();
    BLOCKS.each(&hour, |key, _| {
        blocks.push(key);
        Ok(())
    })?;
    blocks.iter().for_each(|key| BLOCKS.delete(key));
    CHANGED.scan_prefix(&hour)?.iter().for_each(|(key, _)| CHANGED.delete(key));
    EMITTED.scan_prefix(&hour)?.iter().for_each(|(key, _)| EMITTED.delete(key));
    Ok(())
}

/// Emits the changed rows of the hours that ended; whether there are more than fit into a call.
fn emit_changed(watermark: i64, mut left: i64, row: &impl MakeRow) -> Result<bool> {
    for (key, _) in CHANGED.scan()? {
        if key.0.saturating_add(HOUR_NS) > watermark {
            return Ok(false);
        }
        if left <= 0 {
            return Ok(true);
        }
        left -= update(key, row)?;
    }
    Ok(false)
}

/// Computes the row of an hour of an instance and emits it if it is another one than before; what that cost, in points.
fn update(key: (i64, u64), row: &impl MakeRow) -> Result<i64> {
    let (hour, number) = key;
    CHANGED.delete(&key);
    let Some(instance) = INSTANCES.get(&number)? else { return Ok(0) };
    let series = series_of(hour, number)?;
    let unit = [Role::Limit, Role::Part, Role::Used, Role::Ratio].map(|role| instance.units[role as usize].as_deref());
    let row = row(&instance.identity, unit.into_iter().flatten().next(), hour, &series);
    // An hour that has no row yet may get one by a point of the hour beside it.
    let digest = row.as_ref().map_or(NO_ROW, Utilization::digest);
    if EMITTED.get(&key)? != Some(digest) {
        row.iter().try_for_each(emit)?;
        EMITTED.put(&key, &digest)?;
    }
    Ok(POINTS_PER_ROW + series.iter().map(|series| series.points.len() as i64).sum::<i64>())
}

/// The points of an instance in an hour, each series with the last one before it and, of a counter, the first one after
/// it.
fn series_of(hour: i64, number: u64) -> Result<Vec<Series>> {
    let mut all = BySeries::new();
    each_series(hour.saturating_sub(HOUR_NS), number, |name, packed| {
        if let Some(last) = packed.points().pop() {
            all.insert(name, vec![last]);
        }
    })?;
    each_series(hour, number, |name, packed| all.entry(name).or_default().extend(packed.points()))?;
    let mut firsts: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    if all.keys().any(|name| SeriesName::of_key(name).is_some_and(|(_, counter, _)| counter)) {
        each_series(hour.saturating_add(HOUR_NS), number, |name, packed| {
            if let Some(first) = packed.first() {
                firsts.entry(name).or_insert(first);
            }
        })?;
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

    /// What the rows were made of: instances and hours.
    type Made = RefCell<Vec<(String, i64)>>;

    fn note(made: &Made) -> impl MakeRow {
        |identity: &Identity, _: Option<&str>, hour: i64, _: &[Series]| {
            made.borrow_mut().push((identity.instance.clone(), hour / HOUR_NS));
            None
        }
    }

    fn insert(store: &Store, instance: &str, times: impl IntoIterator<Item = i64>) -> Vec<(String, i64)> {
        let made = Made::default();
        store.insert(points(instance, times), note(&made)).expect("room");
        made.into_inner()
    }

    fn advance(store: &Store, watermark: i64) -> Vec<(String, i64)> {
        let made = Made::default();
        store.advance(watermark, note(&made)).expect("an advance");
        made.into_inner()
    }

    /// The hours of which there are blocks.
    fn hours() -> Vec<i64> {
        BLOCKS.first(1000).expect("blocks").iter().map(|((hour, _, _), _)| *hour).collect()
    }

    #[test]
    fn what_does_not_fit_into_a_call_is_done_by_the_next() {
        let store = Store { points_per_call: 150, ..Store::new(10, 26 * HOUR_NS, 1 << 20) };
        for instance in ["a", "b", "c"] {
            insert(&store, instance, (0..10).map(|number| number * HOUR_NS / 10));
        }
        assert_eq!(advance(&store, HOUR_NS), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
        assert_eq!(advance(&store, HOUR_NS), [("c".to_owned(), 0)]);
        assert_eq!(advance(&store, HOUR_NS + 1), []);
    }

    #[test]
    fn the_oldest_hours_go_when_there_is_no_room_and_do_not_come_back() {
        let store = Store::new(10, 26 * HOUR_NS, 800);
        let mut made = Vec::new();
        for hour in 0..10 {
            let times = (0..20).map(|number| hour * HOUR_NS + number * 1_234_567_891);
            made.extend(insert(&store, "a", times));
        }
        assert_eq!(made[..2], [("a".to_owned(), 0), ("a".to_owned(), 1)]);
        let clock = CLOCK.get(&()).expect("a clock").expect("one");
        assert!(clock.bytes.values().sum::<u64>() <= 800 && !clock.bytes.contains_key(&0), "{clock:?}");
        let before = hours();
        insert(&store, "a", [1]);
        assert_eq!(hours(), before);
    }

    #[test]
    fn what_cannot_change_any_more_is_forgotten() {
        let store = Store::new(10, 26 * HOUR_NS, 1 << 20);
        insert(&store, "a", [1]);
        insert(&store, "b", [30 * HOUR_NS]);
        (0..3).for_each(|call| _ = advance(&store, 31 * HOUR_NS + call));
        assert_eq!(hours(), [30 * HOUR_NS]);
        let instances = INSTANCES.scan().expect("instances");
        assert_eq!(instances.iter().map(|(_, one)| one.identity.instance.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(CLOCK.get(&()).expect("a clock").expect("one").instances, 1);
    }

    #[test]
    fn times_at_the_ends_of_what_can_be_said_are_kept() {
        let store = Store::new(10, 26 * HOUR_NS, 1 << 20);
        insert(&store, "a", [i64::MIN, i64::MIN + 1, i64::MAX]);
        assert!(advance(&store, i64::MAX - 1).iter().any(|(instance, _)| instance == "a"));
    }
}
