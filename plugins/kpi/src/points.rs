//! Data points of series, and what each adds to the slots.
//!
//! What a point adds depends on it and on the points of its series in the hour before it, and on nothing else. So when a
//! point comes late, what the few after it had added is taken away and added anew, and the sums are those of the points in
//! the order of their times, whatever the order in which they came.

use weir_sdk::{BytesState, Error, Result, count};

use crate::codec::{In, Out};
use crate::config::Rules;
use crate::failures::Name;
use crate::ingest::metrics::Changes;
use crate::keys::ServiceId;
use crate::slots::{ONE, Source};
use crate::store::Store;

/// The points of a series in five minutes, and before them the last that came earlier where those are forgotten. The
/// oldest sort first.
const POINTS: BytesState<(i64, u64)> = BytesState::named("p");

const BLOCK_NS: i64 = 300_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
/// The blocks that an hour before a point reaches back.
const BLOCKS: i64 = HOUR_NS / BLOCK_NS;
/// What a point adds depends on so many points before it.
const BEFORE: usize = 3;
/// A call forgets so many entries; the next one goes on.
const FORGOTTEN_AT_ONCE: usize = 4096;

/// Whether a point counts since the start of the series, or since the point before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporality {
    Delta,
    Cumulative,
}

/// A series of data points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    pub(crate) hash: u64,
    pub(crate) service: ServiceId,
    pub(crate) source: Source,
    /// Whether its requests failed, and of what.
    pub(crate) bad: bool,
    pub(crate) failure: Option<Name>,
    pub(crate) temporality: Temporality,
}

/// A data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) time: i64,
    pub(crate) start: Option<i64>,
    pub(crate) count: u64,
    pub(crate) slow: Option<Slow>,
}

/// How many of a point's requests took longer than the latency threshold that its service had when it came: differences
/// are taken between points of one threshold only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slow {
    pub(crate) over_ns: i64,
    /// In parts of [`ONE`](crate::slots::ONE).
    pub(crate) parts: u64,
}

/// What a point tells of: requests, and the slow ones among them in parts of [`ONE`](crate::slots::ONE).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) count: u64,
    pub(crate) slow: u64,
}

impl Point {
    /// The number of the five minutes that a time lies in.
    pub(crate) fn block(time: i64) -> i64 {
        time.div_euclid(BLOCK_NS)
    }

    /// All that it has counted.
    fn all(&self) -> Told {
        Told { count: self.count, slow: self.slow.map_or(0, |slow| slow.parts) }
    }

    /// What it has counted since an earlier one.
    fn since(&self, last: &Self) -> Told {
        let slow = match (self.slow, last.slow) {
            (Some(slow), Some(last)) if slow.over_ns == last.over_ns => slow.parts.saturating_sub(last.parts),
            _ => 0,
        };
        Told { count: self.count - last.count, slow }
    }
}

/// What the first number of a point says: whether its start is that of the point before it, whether slow requests follow,
/// whether their threshold is the last one, whether their number is whole.
const SAME_START: u64 = 1;
const SLOW: u64 = 2;
const SAME_LIMIT: u64 = 4;
const WHOLE: u64 = 8;

/// Appends points to those that are encoded already.
fn append(known: &[Point], points: &[Point], bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Out(bytes);
    out.0.reserve(points.len() * 10);
    let mut last = known.last().copied().unwrap_or(Point { time: 0, start: None, count: 0, slow: None });
    let mut known = known.iter().rev().find_map(|point| point.slow).unwrap_or(Slow { over_ns: 0, parts: 0 });
    for point in points {
        let flag = |is: bool, flag: u64| if is { flag } else { 0 };
        let more = point.slow.map_or(0, |slow| slow.parts.wrapping_sub(known.parts).cast_signed());
        let whole = more % ONE.cast_signed() == 0;
        let same_limit = point.slow.is_some_and(|slow| slow.over_ns == known.over_ns);
        let slow = flag(point.slow.is_some(), SLOW | flag(same_limit, SAME_LIMIT) | flag(whole, WHOLE));
        out.i(point.time - last.time).u(flag(point.start == last.start, SAME_START) | slow);
        if point.start != last.start {
            out.maybe(point.start.map(|start| point.time - start));
        }
        out.i(point.count.wrapping_sub(last.count).cast_signed());
        if let Some(slow) = point.slow {
            if !same_limit {
                out.i(slow.over_ns);
            }
            out.i(if whole { more / ONE.cast_signed() } else { more });
            known = slow;
        }
        last = *point;
    }
    out.0
}

fn encode(points: &[Point]) -> Vec<u8> {
    append(&[], points, Vec::new())
}

fn decode(bytes: &[u8]) -> Option<Vec<Point>> {
    let mut bytes = In(bytes);
    let mut points = Vec::new();
    let mut last = Point { time: 0, start: None, count: 0, slow: None };
    let mut known = Slow { over_ns: 0, parts: 0 };
    while !bytes.0.is_empty() {
        let time = last.time + bytes.i()?;
        let flags = bytes.u()?;
        let start = if flags & SAME_START != 0 { last.start } else { bytes.maybe()?.map(|before| time - before) };
        let count = last.count.wrapping_add(bytes.i()?.cast_unsigned());
        let slow = if flags & SLOW != 0 {
            let over_ns = if flags & SAME_LIMIT != 0 { known.over_ns } else { bytes.i()? };
            let more = if flags & WHOLE != 0 { bytes.i()?.wrapping_mul(ONE.cast_signed()) } else { bytes.i()? };
            known = Slow { over_ns, parts: known.parts.wrapping_add(more.cast_unsigned()) };
            Some(known)
        } else {
            None
        };
        last = Point { time, start, count, slow };
        points.push(last);
    }
    Some(points)
}

fn read(bytes: &[u8]) -> Result<Vec<Point>> {
    decode(bytes).ok_or_else(|| Error::new("data points in the state cannot be read: discard the state"))
}

fn load(block: i64, series: u64) -> Result<Vec<Point>> {
    POINTS.get(&(block, series)).map_or(Ok(Vec::new()), |bytes| read(&bytes))
}

/// The points that come before the first of a block and can have to do with those of it: the last few within an hour.
fn before(block: i64, series: u64, wanted: usize) -> Result<Vec<Point>> {
    let (mut found, mut at) = (Vec::new(), block);
    while found.len() < wanted && at >= block - BLOCKS {
        at -= 1;
        let mut older = load(at, series)?;
        older.append(&mut found);
        found = older;
    }
    Ok(found)
}

/// The points of later blocks, up to the newest that there is, that can have to do with those of a block.
fn after(block: i64, series: u64, newest: i64) -> Result<Vec<Point>> {
    let mut found = Vec::new();
    for at in block + 1..=newest.min(block + BLOCKS + 1) {
        found.extend(load(at, series)?);
        if found.len() >= BEFORE {
            break;
        }
    }
    Ok(found)
}

/// Adds points of a series that lie in one block; those that are known already change nothing.
pub(crate) fn insert(
    rules: &Rules,
    store: &mut Store,
    series: &Series,
    mut points: Vec<Point>,
    changes: &mut Changes,
) -> Result {
    let Some(block) = points.first().map(|point| Point::block(point.time)) else { return Ok(()) };
    points.sort_unstable();
    let key = (block, series.hash);
    let bytes = POINTS.get(&key).unwrap_or_default();
    let stored = bytes.len() as u64;
    let own = read(&bytes)?;
    let first = points.first().map_or(0, |point| point.time);
    let earlier = own.partition_point(|known| known.time < first);
    let mut all = before(block, series.hash, BEFORE.saturating_sub(earlier))?;
    all.extend_from_slice(&own);
    let newest = store.totals.newest.map_or(block, |newest| newest.max(block));
    all.extend(after(block, series.hash, newest)?);
    store.totals.newest = Some(newest);
    let (mut new, mut duplicates) = (Vec::new(), 0);
    for point in points {
        let at = all.partition_point(|known| (known.time, known.start) < (point.time, point.start));
        if all.get(at).is_some_and(|known| (known.time, known.start) == (point.time, point.start)) {
            duplicates += 1;
            continue;
        }
        (at..all.len().min(at + BEFORE)).for_each(|index| add(rules, series, &all, index, false, changes));
        all.insert(at, point);
        (at..all.len().min(at + BEFORE + 1)).for_each(|index| add(rules, series, &all, index, true, changes));
        new.push(point);
    }
    count("points_duplicated", duplicates);
    if new.is_empty() {
        return Ok(());
    }
    // Mostly the new ones are the last ones.
    let bytes = match own.last().is_none_or(|last| new.first().is_some_and(|new| last < new)) {
        true => append(&own, &new, bytes),
        false => {
            let mut both = [own, new].concat();
            both.sort_unstable();
            encode(&both)
        }
    };
    let totals = &mut store.totals;
    totals.point_bytes = (totals.point_bytes + bytes.len() as u64).saturating_sub(stored);
    POINTS.put(&key, &bytes)
}

/// Adds what a point adds to the slots, or takes it away.
fn add(rules: &Rules, series: &Series, points: &[Point], index: usize, add: bool, changes: &mut Changes) {
    let Some(&point) = points.get(index) else { return };
    let earliest = point.time - HOUR_NS;
    let before = points.get(index.saturating_sub(BEFORE)..index).unwrap_or_default();
    let before = &before[before.partition_point(|other| other.time < earliest)..];
    let (told, from) = match series.temporality {
        Temporality::Delta => (point.all(), point.start.unwrap_or(point.time - rules.slot_ns()).max(earliest)),
        Temporality::Cumulative => difference(rules, &point, before),
    };
    changes.spread(rules, series, (from, point.time), &told, add);
}

/// What a cumulative point tells of, and since when.
fn difference(rules: &Rules, point: &Point, before: &[Point]) -> (Told, i64) {
    let slot = point.time - rules.slot_ns();
    let stale = |interval: i64| {
        let interval = interval.saturating_mul(rules.config.stale_intervals);
        interval.clamp(rules.time_of(rules.stale_min), rules.time_of(rules.stale_max))
    };
    let longest = rules.time_of(rules.stale_max);
    let Some(last) = before.last() else {
        // The first that is seen of a series: what it has counted in a long life before is not of this slot.
        let young = point.start.filter(|start| point.time - start <= longest);
        return young.map_or((Told { count: 0, slow: 0 }, slot), |start| (point.all(), start));
    };
    let reset = point.start > last.start || point.count < last.count;
    let (told, from) = match reset {
        true => (point.all(), point.start.unwrap_or(last.time).max(last.time)),
        false => (point.since(last), last.time),
    };
    let intervals = before.windows(2).map(|pair| pair[1].time - pair[0].time);
    let interval = intervals.filter(|interval| *interval <= longest).max();
    // Of a series that was silent for longer than usual nobody knows when its requests were: the silence stays one, and
    // they are counted where it ended.
    if point.time - from > interval.map_or(longest, stale) { (told, slot) } else { (told, from) }
}

/// Forgets the points that no other depends on any more, and the oldest while there are more than is allowed: at most so
/// many in a call. The last ones of each series go on into its next block, so that later points are what they would be.
pub(crate) fn forget(rules: &Rules, store: &mut Store) -> Result {
    let limit = rules.config.points_bytes_max;
    let surplus = store.totals.point_bytes > limit;
    let mut left = FORGOTTEN_AT_ONCE;
    loop {
        let page = POINTS.first(64)?;
        let mut kept = page.is_empty();
        for ((block, series), bytes) in page {
            let end = rules.slot_of((block + 1).saturating_mul(BLOCK_NS));
            let totals = &mut store.totals;
            let old = totals.floor.is_some_and(|floor| end + rules.hour <= floor);
            // Rows that come now must not be too late.
            let needed = totals.until.is_none_or(|until| end > until);
            if !old && (needed || !(surplus && totals.point_bytes > limit / 10 * 9)) {
                (kept, store.points_left) = (true, false);
                break;
            }
            if left == 0 {
                (kept, store.points_left) = (true, true);
                break;
            }
            left -= 1;
            if !old && totals.floor.is_none_or(|floor| floor < end) {
                count("points_closed_early", 1);
                totals.floor = Some(end);
            }
            POINTS.delete(&(block, series));
            totals.point_bytes = totals.point_bytes.saturating_sub(bytes.len() as u64);
            if !old {
                hand_on(store, block, series, &read(&bytes)?)?;
            }
        }
        if kept {
            return Ok(());
        }
    }
}

/// The last points of a block that is forgotten go into the next one, as long as points of that can depend on them.
fn hand_on(store: &mut Store, block: i64, series: u64, points: &[Point]) -> Result {
    let oldest = (block + 1).saturating_mul(BLOCK_NS) - HOUR_NS;
    let last = points.get(points.len().saturating_sub(BEFORE)..).unwrap_or_default();
    let last = &last[last.partition_point(|point| point.time < oldest)..];
    if last.is_empty() {
        return Ok(());
    }
    let key = (block + 1, series);
    let next = POINTS.get(&key).unwrap_or_default();
    let both = [last, &read(&next)?].concat();
    let bytes = encode(&both);
    store.totals.point_bytes += (bytes.len() - next.len()) as u64;
    POINTS.put(&key, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_back_as_they_were_written() {
        let slow = |over_ns, parts| Some(Slow { over_ns, parts });
        let point = |time, start, count, slow| Point { time, start, count, slow };
        let points = [
            point(10, None, 5, None),
            point(20, Some(10), 7, slow(500, 3 * ONE)),
            point(30, Some(10), u64::MAX, slow(500, 3 * ONE + 1)),
            point(40, Some(10), 0, slow(i64::MAX, 0)),
            point(50, None, 1, None),
            point(60, None, 2, slow(i64::MAX, u64::MAX)),
            point(70, None, 2, slow(i64::MAX, 0)),
        ];
        let bytes = encode(&points);
        assert_eq!(decode(&bytes).as_deref(), Some(&points[..]));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn a_point_takes_a_byte_more_for_its_slow_requests() {
        let point = |number: i64, slow| Point {
            time: number * 10_000_000_000,
            start: Some(0),
            count: 100 * number as u64,
            slow,
        };
        let slow = |number: i64| Slow { over_ns: 500_000_000, parts: 3 * number as u64 * ONE };
        let bare = encode(&(0..360).map(|number| point(number, None)).collect::<Vec<_>>());
        let slow = encode(&(0..360).map(|number| point(number, Some(slow(number)))).collect::<Vec<_>>());
        assert!(slow.len() <= bare.len() + 360 + 8, "{} and {}", bare.len(), slow.len());
    }
}
