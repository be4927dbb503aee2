//! Rows go out when they have changed, and back when they are no more.

use weir_sdk::prelude::*;

use crate::codec::{In, Out};

/// A table of the plugin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Hours,
    Days,
    Availability,
    Incidents,
    Changes,
    Alerts,
    Slo,
}

impl Table {
    const ALL: [Self; 7] =
        [Self::Hours, Self::Days, Self::Availability, Self::Incidents, Self::Changes, Self::Alerts, Self::Slo];
}

/// A row's place: its table, its time, and what its key has besides the service and the time.
type Place = (Table, i64, String);

/// The rows of a service that are out, each by the digest of what it says, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published(Vec<(Place, u64)>);

/// Puts rows in the order of their places.
fn sort(rows: &mut [(Place, u64)]) {
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
}

impl Published {
    /// Makes the rows of a table whose times lie between `from` and `to` these: what is new or has changed is emitted,
    /// what is out and not among them is taken back. `bare` makes a row with only the key of another.
    pub(crate) fn sync<R: Row>(
        &mut self,
        table: Table,
        (from, to): (i64, i64),
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        self.sync_where(table, (from, to), |_| true, rows, bare)
    }

    /// The same for the rows of that key alone.
    pub(crate) fn sync_named<R: Row>(
        &mut self,
        table: Table,
        times: (i64, i64),
        key: &str,
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        self.sync_where(table, times, |known| known == key, rows, bare)
    }

    fn sync_where<R: Row>(
        &mut self,
        table: Table,
        (from, to): (i64, i64),
        meant: impl Fn(&str) -> bool,
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        let (mut seen, mut changed) = (Vec::new(), Vec::new());
        for (time, key, row) in rows {
            let (place, digest) = ((table, time, key), row.digest());
            if self.digest(&place) != Some(digest) {
                changed.push(row);
            }
            seen.push((place, digest));
        }
        sort(&mut seen);
        let gone = self.between(table, from, to).iter().map(|(place, _)| place);
        let is_seen = |place: &Place| seen.binary_search_by(|(known, _)| known.cmp(place)).is_ok();
        let gone: Vec<Place> = gone.filter(|place| meant(&place.2) && !is_seen(place)).cloned().collect();
        let work = (changed.len() + gone.len()) as u64;
        for place in gone {
            retract(&bare(place.1, &place.2))?;
            if let Ok(at) = self.find(&place) {
                self.0.remove(at);
            }
        }
        for row in &changed {
            emit(row)?;
        }
        for (place, digest) in seen {
            match self.find(&place) {
                Ok(at) => self.0[at].1 = digest,
                Err(at) => self.0.insert(at, (place, digest)),
            }
        }
        Ok(work)
    }

    fn find(&self, place: &Place) -> std::result::Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(place))
    }

    fn digest(&self, place: &Place) -> Option<u64> {
        self.find(place).ok().map(|at| self.0[at].1)
    }

    /// The rows of a table from a time up to another.
    fn between(&self, table: Table, from: i64, to: i64) -> &[(Place, u64)] {
        let place = |time: i64| self.0.partition_point(|((known, at, _), _)| (*known, *at) < (table, time));
        self.0.get(place(from)..place(to)).unwrap_or_default()
    }

    /// Forgets the rows before the time of their table: they are out for good.
    pub(crate) fn forget(&mut self, before: impl Fn(Table) -> i64) {
        let before = Table::ALL.map(before);
        self.0.retain(|((table, time, _), _)| *time >= before[*table as usize]);
    }

    /// Whether any row of the table is out.
    pub(crate) fn has(&self, table: Table) -> bool {
        !self.between(table, i64::MIN, i64::MAX).is_empty()
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.u(self.0.len() as u64);
        let mut steps = Steps::default();
        for ((table, time, key), digest) in &self.0 {
            out.u(*table as u64).i(steps.change(*table, *time)).text(key).hash(*digest);
        }
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let mut steps = Steps::default();
        let entries = bytes.list(|bytes| {
            let table = *Table::ALL.get(usize::try_from(bytes.u()?).ok()?)?;
            let time = steps.time(table, bytes.i()?);
            Some(((table, time, bytes.text()?), bytes.hash()?))
        })?;
        Some(Self(entries))
    }
}

/// Times of rows are mostly hours or days in a row: what is written is how the distance from one to the next changes.
#[derive(Default)]
struct Steps {
    table: Option<Table>,
    time: i64,
    step: i64,
}

impl Steps {
    fn enter(&mut self, table: Table) {
        if self.table != Some(table) {
            *self = Self { table: Some(table), ..Self::default() };
        }
    }

    fn change(&mut self, table: Table, time: i64) -> i64 {
        self.enter(table);
        let step = time.wrapping_sub(self.time);
        let change = step.wrapping_sub(self.step);
        (self.time, self.step) = (time, step);
        change
    }

    fn time(&mut self, table: Table, change: i64) -> i64 {
        self.enter(table);
        self.step = self.step.wrapping_add(change);
        self.time = self.time.wrapping_add(self.step);
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_is_read_back_and_rows_in_a_row_take_ten_bytes() {
        const HOUR: i64 = 3_600_000_000_000;
        let row = |table, time, key: &str| ((table, time, key.to_owned()), 7);
        let mut rows: Vec<_> = (0..50).map(|hour| row(Table::Hours, 490_000 * HOUR + hour * HOUR, "")).collect();
        rows.extend([row(Table::Days, 24 * HOUR, ""), row(Table::Incidents, -1, "a"), row(Table::Incidents, -1, "b")]);
        let published = Published(rows);
        let mut out = Out::default();
        published.write(&mut out);
        assert_eq!(Published::read(&mut In(&out.0)), Some(published));
        assert!(out.0.len() < 53 * 11 + 60, "{}", out.0.len());
    }
}
