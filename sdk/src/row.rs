//! Rows emitted into a plugin's own tables: gathered as columns, handed over at the end of the call.

use std::any::TypeId;
use std::cell::RefCell;

use crate::{ColumnBuilder, Error, Result, Table, host};

/// A row of a table of the plugin's own: derive it.
///
/// ```
/// use weir_sdk::prelude::*;
///
/// /// How many spans a service has sent so far.
/// #[derive(Row)]
/// #[row(table = "running", mode = "upsert", key = ["service"], time = "time")]
/// struct Running {
///     /// The time of the latest span.
///     time: Timestamp,
///     /// The service.
///     service: String,
///     /// Its spans so far.
///     spans: u64,
/// }
/// ```
///
/// `table` and `time` (the column that says the day) are needed; `mode` is `append` unless it is said; the comments
/// describe the table and its columns. A field is any [`Cell`](crate::Cell), or `Option` of one.
pub trait Row: 'static {
    /// The table.
    fn table() -> Table;

    /// Adds the row to the table's columns.
    fn append(&self, columns: &mut [ColumnBuilder]);

    /// A number of what the row says: to know a row that has not changed without keeping it. Equal rows have equal ones, on
    /// every machine; others have equal ones by chance, one in 2^64.
    fn digest(&self) -> u64;
}

/// So many rows of a table are handed over at once, so that what is gathered stays small.
const ROWS_MAX: u32 = 8192;

struct Gathered {
    row: TypeId,
    retracted: bool,
    table: Table,
    columns: Vec<ColumnBuilder>,
    rows: u32,
}

thread_local! {
    static GATHERED: RefCell<Vec<Gathered>> = const { RefCell::new(Vec::new()) };
}

/// Emits a row into its table, which [`Processor::describe`](crate::Processor::describe) must declare. It is written if
/// this call of the plugin succeeds.
///
/// # Errors
///
/// The table is not declared, or the call has emitted too many rows.
pub fn emit<R: Row>(row: &R) -> Result {
    gather(TypeId::of::<R>(), R::table, &|columns| row.append(columns), false)
}

/// Takes a row out of its table, of mode `upsert`: the one of the same key, in the day that `time` says. Of one key in one
/// call, what came last stands.
///
/// # Errors
///
/// As for [`emit`]; or the table is not of mode `upsert`.
pub fn retract<R: Row>(row: &R) -> Result {
    gather(TypeId::of::<R>(), R::table, &|columns| row.append(columns), true)
}

/// Adds a row of that type to what is gathered: one piece of code for the rows of all tables.
fn gather(row: TypeId, table: fn() -> Table, append: &dyn Fn(&mut [ColumnBuilder]), retracted: bool) -> Result {
    GATHERED.with_borrow_mut(|tables| {
        let same_row = |gathered: &Gathered| gathered.row == row;
        // Emitted and retracted rows of a table reach Weir in the order of the calls.
        if let Some(other) = tables.iter_mut().find(|gathered| same_row(gathered) && gathered.retracted != retracted) {
            other.flush()?;
        }
        let known = tables.iter().position(|gathered| same_row(gathered) && gathered.retracted == retracted);
        let index = known.unwrap_or_else(|| {
            let table = table();
            let columns = new_columns(&table);
            tables.push(Gathered { row, retracted, table, columns, rows: 0 });
            tables.len() - 1
        });
        let gathered = &mut tables[index];
        append(&mut gathered.columns);
        gathered.rows += 1;
        if gathered.rows < ROWS_MAX { Ok(()) } else { gathered.flush() }
    })
}

fn new_columns(table: &Table) -> Vec<ColumnBuilder> {
    table.columns.iter().map(|(_, kind, _)| ColumnBuilder::new(*kind)).collect()
}

impl Gathered {
    fn flush(&mut self) -> Result {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = std::mem::replace(&mut self.columns, new_columns(&self.table));
        let columns: Vec<_> = columns.into_iter().map(ColumnBuilder::finish).collect();
        let rows = std::mem::take(&mut self.rows);
        let hand_over = if self.retracted { host::retract } else { host::emit };
        hand_over(self.table.name, rows, &columns).map_err(Error::new)
    }
}

/// Hands over what the call has emitted and retracted.
pub(crate) fn flush() -> Result {
    GATHERED.with_borrow_mut(|tables| tables.iter_mut().try_for_each(Gathered::flush))
}

/// Forgets what a failed call had emitted and retracted.
pub(crate) fn discard() {
    GATHERED.with_borrow_mut(Vec::clear);
}
