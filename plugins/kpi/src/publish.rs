//! Rows go out when they have changed, and back when they are no more.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use weir_sdk::prelude::*;

use crate::codec::{In, Out, mix_text};

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

/// The rows of a service that are out, each by a hash of what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published(BTreeMap<Place, u64>);

/// The hash of what is written.
struct Hasher(u64);

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = mix_text(self.0, text);
        Ok(())
    }
}

impl Published {
    /// Makes the rows of a table whose times lie between `from` and `to` these: what is new or has changed is emitted,
    /// what is out and not among them is taken back. `bare` makes a row with only the key of another.
    pub(crate) fn sync<R: Row + fmt::Debug>(
        &mut self,
        table: Table,
        (from, to): (i64, i64),
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        self.sync_where(table, (from, to), |_| true, rows, bare)
    }

    /// The same for the rows of that key alone.
    pub(crate) fn sync_named<R: Row + fmt::Debug>(
        &mut self,
        table: Table,
        times: (i64, i64),
        key: &str,
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        self.sync_where(table, times, |known| known == key, rows, bare)
    }

    fn sync_where<R: Row + fmt::Debug>(
        &mut self,
        table: Table,
        (from, to): (i64, i64),
        meant: impl Fn(&str) -> bool,
        rows: impl IntoIterator<Item = (i64, String, R)>,
        bare: impl Fn(i64, &str) -> R,
    ) -> Result<u64> {
        let (mut seen, mut changed) = (BTreeMap::new(), Vec::new());
        for (time, key, row) in rows {
            let mut hash = Hasher(0);
            // A hasher refuses nothing.
            let _ = write!(hash, "{row:?}");
            let place = (table, time, key);
            if self.0.get(&place) != Some(&hash.0) {
                changed.push(row);
            }
            seen.insert(place, hash.0);
        }
        let range = (table, from, String::new())..(table, to, String::new());
        let out = self.0.range(range).map(|(place, _)| place);
        let gone: Vec<Place> = out.filter(|at| meant(&at.2) && !seen.contains_key(at)).cloned().collect();
        let work = (changed.len() + gone.len()) as u64;
        for place in gone {
            retract(&bare(place.1, &place.2))?;
            self.0.remove(&place);
        }
        for row in &changed {
            emit(row)?;
        }
        self.0.append(&mut seen);
        Ok(work)
    }

    /// Forgets the rows of a table before a time: they are out for good.
    pub(crate) fn forget(&mut self, table: Table, before: i64) {
        self.0.retain(|place, _| place.0 != table || place.1 >= before);
    }

    /// Whether any row of the table is out.
    pub(crate) fn has(&self, table: Table) -> bool {
        self.0.range((table, i64::MIN, String::new())..).next().is_some_and(|(place, _)| place.0 == table)
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.u(self.0.len() as u64);
        for ((table, time, key), hash) in &self.0 {
            out.u(*table as u64).i(*time).text(key).hash(*hash);
        }
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let entries = bytes.list(|bytes| {
            let table = *Table::ALL.get(usize::try_from(bytes.u()?).ok()?)?;
            Some(((table, bytes.i()?, bytes.text()?), bytes.hash()?))
        })?;
        Some(Self(entries.into_iter().collect()))
    }
}
