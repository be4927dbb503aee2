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
}

impl Store {
    pub(crate) fn new(instances_max: u64, restate_ns: i64, bytes_max: u64) -> Self {
        Self { instances_max, restate_ns, bytes_max }
    }

    /// Keeps the points of a batch. A point that is known changes nothing.
    pub(crate) fn insert(&self, gathered: BTreeMap<Identity, Gathered>) -> Result {
        let mut clock = CLOCK.get(&())?.unwrap_or_default();
        let before = clock.clone();
        let oldest = clock.watermark.map_or(i64::MIN, |watermark| watermark.saturating_sub(self.restate_ns));
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
            clock.pending = emit_changed(watermark, row)?;
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
    let (mut changed, mut overflow) = (false, 0);
    for (name, new) in series {
        if points.len() >= SERIES_MAX && !points.contains_key(&name) {
            overflow += new.len() as u64;
            continue;
        }
        changed |= points.entry(name).or_default().merge(&new);
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
    // A row of the hour after was made with the last point of this one.
    if EMITTED.get(&(next, number))?.is_some() {
        CHANGED.put(&(next, number), &true)?;
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
    row: impl Fn(&Identity, Option<&str>, i64, &[Series]) -> Option<Utilization>,
) -> Result<bool> {
    let mut left = POINTS_PER_CALL;
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
        let Some(row) = row(&instance.identity, unit.into_iter().flatten().next(), hour, &series) else { continue };
        let digest = row.digest();
        if EMITTED.get(&key)? != Some(digest) {
            emit(&row)?;
            EMITTED.put(&key, &digest)?;
        }
    }
    Ok(false)
}

/// The points of an instance in an hour, each series with the last one before it.
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
    let series = all.into_iter().filter_map(|(name, points)| {
        let (role, group) = SeriesName::of_key(&name)?;
        Some(Series { role, group: group.to_owned(), points })
    });
    Ok(series.collect())
}
