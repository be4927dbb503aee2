//! The batch that a plugin is handed: rows of one signal, column by column.

use crate::builder::check_rows;
use crate::columns::{Bools, F64s, Fixed, FromColumn, I64s, Lists, Text, U64s};
use crate::raw::columns as raw;
use crate::{Bitmap, Cell, ColumnBuilder, Error, Result, Signal, TextBuilder, host};

/// What is behind a batch: Weir, or the batch of a test.
pub(crate) trait Source {
    fn signal(&self) -> Signal;
    fn rows(&self) -> usize;
    fn read(&self, column: &str) -> Result<raw::Column, String>;
    fn write(&self, column: &str, values: &raw::Column) -> Result<(), String>;
    fn remove(&self, column: &str, rows: &[u8]) -> Result<(), String>;
    fn texts(&self, place: &str) -> Result<raw::Text, String>;
    fn replace_texts(&self, place: &str, replacements: &raw::Text) -> Result<(), String>;
    fn places(&self) -> Vec<String>;
    fn rename(&self, from: &str, to: &str) -> Result<(), String>;
    fn keep(&self, rows: &[u8], reason: &str) -> Result<(), String>;
    fn hold(&self, rows: &[u8], keys: &raw::Column) -> Result<(), String>;
}

/// The batch of a call is lent; one of held rows is the plugin's until the call ends.
enum Origin<'a> {
    Lent(&'a dyn Source),
    Held(Box<dyn Source>),
}

/// Rows of one signal. Only the columns that are read are copied into the plugin.
///
/// A column is named as in its table (`duration_ns`), an attribute by its path: `attributes.http.route`,
/// `resource.k8s.pod.name`, `scope.NAME`.
pub struct Batch<'a> {
    origin: Origin<'a>,
    rows: usize,
}

/// The distinct texts of a place: see [`Batch::texts`].
pub type Texts = Text;

macro_rules! readers {
    ($($(#[$about:meta])* $name:ident: $column:ty;)*) => {$(
        $(#[$about])*
        ///
        /// # Errors
        ///
        /// The column has another type, or there is none of that name.
        pub fn $name(&self, column: &str) -> Result<$column> {
            self.read(column)
        }
    )*};
}

impl<'a> Batch<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { rows: source.rows(), origin: Origin::Lent(source) }
    }

    pub(crate) fn of_held(source: Box<dyn Source>) -> Batch<'static> {
        Batch { rows: source.rows(), origin: Origin::Held(source) }
    }

    fn source(&self) -> &dyn Source {
        match &self.origin {
            Origin::Lent(source) => *source,
            Origin::Held(source) => &**source,
        }
    }

    /// The signal of the rows.
    pub fn signal(&self) -> Signal {
        self.source().signal()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    readers! {
        /// A column of integers or times.
        i64: I64s;
        /// A column of unsigned integers.
        u64: U64s;
        /// A column of numbers; integers become floating-point.
        f64: F64s;
        /// A column of truth values.
        bool: Bools;
        /// A column of text.
        text: Text;
        /// A column of trace ids.
        trace_ids: Fixed<16>;
        /// A column of span ids.
        span_ids: Fixed<8>;
        /// A column of lists of unsigned integers: the counts of a histogram's buckets.
        u64_lists: Lists<u64>;
        /// A column of lists of numbers: the bounds of a histogram's buckets.
        f64_lists: Lists<f64>;
    }

    /// A column of any type as text: numbers, booleans and lists as they are in JSON, ids in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// There is no column of that name.
    pub fn any_as_text(&self, name: &str) -> Result<Text> {
        Text::of_any(name, self.source().read(name).map_err(Error::new)?)
    }

    fn read<C: FromColumn>(&self, name: &str) -> Result<C> {
        C::read(name, self.source().read(name).map_err(Error::new)?)
    }

    /// Sets a column, which [`Processor::describe`](crate::Processor::describe) must declare, to a value a row. `None` leaves its row as it was.
    ///
    /// # Errors
    ///
    /// There are not as many values as rows, or the column is not declared so.
    pub fn set<C: Cell>(&mut self, column: &str, values: impl IntoIterator<Item = C>) -> Result {
        self.set_column(column, ColumnBuilder::from_values(values))
    }

    /// The same, with a column that was built row by row.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub fn set_column(&mut self, column: &str, values: ColumnBuilder) -> Result {
        check_rows(column, values.len(), self.rows)?;
        self.write(column, &values.finish())
    }

    /// The same, with text that was built row by row.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub fn set_text(&mut self, column: &str, values: TextBuilder) -> Result {
        check_rows(column, values.len(), self.rows)?;
        self.write(column, &raw::Column::Text(values.finish()))
    }

    /// Sets a column of text that repeats: a row's text is the one of its key, of `None` its row stays as it was.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set), or a key beyond the texts.
    pub fn set_dictionary<S: AsRef<str>>(
        &mut self,
        column: &str,
        texts: impl IntoIterator<Item = S>,
        keys: impl IntoIterator<Item = Option<u32>>,
    ) -> Result {
        let mut values = TextBuilder::new();
        texts.into_iter().for_each(|text| values.push(Some(text.as_ref())));
        let (mut numbers, mut valid) = (Vec::with_capacity(self.rows), Bitmap::default());
        for key in keys {
            if let Some(key) = key.filter(|&key| key as usize >= values.len()) {
                let message = format!("column \"{column}\": key {key}, but there are {} texts", values.len());
                return Err(Error::new(message));
            }
            numbers.push(key.unwrap_or(0));
            valid.push(key.is_some());
        }
        check_rows(column, numbers.len(), self.rows)?;
        if valid.count() == 0 {
            return Ok(());
        }
        let valid = if valid.count() == self.rows { Vec::new() } else { valid.into_bits() };
        self.write(column, &raw::Column::Dictionary(raw::Dictionary { keys: numbers, values: values.finish(), valid }))
    }

    fn write(&mut self, column: &str, values: &raw::Column) -> Result {
        self.source().write(column, values).map_err(Error::new)
    }

    /// Makes the column null, or deletes the attribute, in the rows for which `chosen` says yes.
    ///
    /// # Errors
    ///
    /// The column is not declared as written.
    pub fn remove(&mut self, column: &str, chosen: impl FnMut(usize) -> bool) -> Result {
        let rows = Bitmap::of(self.rows, chosen);
        if rows.count() == 0 {
            return Ok(());
        }
        self.source().remove(column, &rows.into_bits()).map_err(Error::new)
    }

    /// Renames an attribute (`attributes.a` to `attributes.b`) in every row that has it.
    ///
    /// # Errors
    ///
    /// One of them is no attribute, or is not declared as written.
    pub fn rename(&mut self, from: &str, to: &str) -> Result {
        self.source().rename(from, to).map_err(Error::new)
    }

    /// The places that hold text: columns, and namespaces of attributes.
    pub fn places(&self) -> Vec<String> {
        self.source().places()
    }

    /// Every text of a place and of all it contains, each once: values, nested values and keys.
    ///
    /// # Errors
    ///
    /// There is no such place.
    pub fn texts(&self, place: &str) -> Result<Texts> {
        Text::from_raw(place, self.source().texts(place).map_err(Error::new)?, None)
    }

    /// Replaces texts of a place, everywhere in it: a replacement for each of its [`texts`](Self::texts), `None` leaves
    /// that one as it is.
    ///
    /// # Errors
    ///
    /// There are not as many replacements as texts, or the place is not declared as written.
    pub fn replace_texts<S: AsRef<str>>(
        &mut self,
        place: &str,
        replacements: impl IntoIterator<Item = Option<S>>,
    ) -> Result {
        let mut texts = TextBuilder::new();
        let mut changes = false;
        for replacement in replacements {
            changes |= replacement.is_some();
            texts.push(replacement.as_ref().map(AsRef::as_ref));
        }
        if !changes {
            return Ok(());
        }
        self.source().replace_texts(place, &texts.finish()).map_err(Error::new)
    }

    /// Keeps the rows for which `keep` says yes and drops the others, counted as `filtered`.
    ///
    /// # Errors
    ///
    /// Weir refuses, which it does for no filter of this kind.
    pub fn keep(&mut self, keep: impl FnMut(usize) -> bool) -> Result {
        self.keep_because("filtered", keep)
    }

    /// Keeps the rows for which `keep` says yes and drops the others, counted as `reason`. Called twice, both must keep
    /// a row.
    ///
    /// # Errors
    ///
    /// The reason is not one that can be counted.
    pub fn keep_because(&mut self, reason: &str, keep: impl FnMut(usize) -> bool) -> Result {
        self.keep_rows(reason, Bitmap::of(self.rows, keep))
    }

    /// The same, with the rows already chosen.
    ///
    /// # Errors
    ///
    /// As for [`keep_because`](Self::keep_because).
    pub fn keep_rows(&mut self, reason: &str, rows: Bitmap) -> Result {
        check_rows("keep", rows.rows(), self.rows)?;
        if rows.count() == self.rows {
            return Ok(());
        }
        self.source().keep(&rows.into_bits(), reason).map_err(Error::new)
    }

    /// Holds back the chosen rows, each under its key. They leave the batch, and Weir keeps them, also over a restart, until
    /// [`held`] takes them back; `[plugin.limits]` bounds how many, and for how long.
    ///
    /// # Errors
    ///
    /// The plugin is not [`STATEFUL`](crate::Processor::STATEFUL).
    pub fn hold<const N: usize>(&mut self, rows: Bitmap, key: impl FnMut(usize) -> [u8; N]) -> Result {
        check_rows("hold", rows.rows(), self.rows)?;
        if rows.count() == 0 {
            return Ok(());
        }
        let bytes = (0..self.rows).flat_map(key).collect();
        let keys = raw::Column::Fixed(raw::Fixed { width: N as u32, bytes, valid: Vec::new() });
        self.source().hold(&rows.into_bits(), &keys).map_err(Error::new)
    }
}

/// Takes back the rows of a signal that are held under any of these keys, in the order in which they were held. What stays
/// of them ([`Batch::keep`]) goes on behind this plugin when the call ends, with the columns that are set now.
///
/// # Errors
///
/// Weir has no memory for them within the limits of this call.
pub fn held<const N: usize>(signal: Signal, keys: impl IntoIterator<Item = [u8; N]>) -> Result<Vec<Batch<'static>>> {
    let keys: Vec<Vec<u8>> = keys.into_iter().map(Vec::from).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let batches = host::held(signal, &keys).map_err(Error::new)?;
    Ok(batches.into_iter().map(|batch| Batch::of_held(Box::new(batch))).collect())
}
