//! What a plugin says of itself. Weir holds it to that.

use crate::{Row, raw};

pub use crate::raw::columns::Type;
pub use crate::raw::host::Signal;
pub use crate::raw::{Mode, OnError};

/// The signals that a plugin takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// Traces: a row is a span.
    pub const SPANS: Self = Self(1);
    /// Logs: a row is a log record.
    pub const LOGS: Self = Self(2);
    /// Metrics: a row is a data point.
    pub const METRICS: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// These signals and the others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let all = [(Self::SPANS, Signal::Spans), (Self::LOGS, Signal::Logs), (Self::METRICS, Signal::Metrics)];
        all.into_iter().filter(move |(one, _)| self.0 & one.0 != 0).map(|(_, signal)| signal)
    }
}

/// A table of a plugin's own: `#[derive(Row)]` makes it.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row of it is.
    pub description: &'static str,
    /// Its columns: name, type, description.
    pub columns: Vec<(&'static str, Type, &'static str)>,
    /// Whether rows are added, or replace those of the same key.
    pub mode: Mode,
    /// The columns of the key, for [`Mode::Upsert`].
    pub key: &'static [&'static str],
    /// The column that says the day of a row.
    pub time: &'static str,
}

/// What a plugin reads, writes and emits: filled by [`Processor::describe`](crate::Processor::describe).
#[derive(Clone, Debug, Default)]
pub struct Description {
    reads: Vec<String>,
    writes: Vec<(String, Type, String)>,
    tables: Vec<Table>,
    on_error: Option<OnError>,
}

impl Description {
    /// Columns that it reads: names, or paths that may end in `*`. A plugin that names none reads any.
    pub fn reads<S: Into<String>>(&mut self, columns: impl IntoIterator<Item = S>) -> &mut Self {
        self.reads.extend(columns.into_iter().map(Into::into));
        self
    }

    /// A column or attribute that it sets, removes or renames; `attributes.…` may end in `*`.
    pub fn writes(&mut self, column: impl Into<String>, kind: Type, description: impl Into<String>) -> &mut Self {
        self.writes.push((column.into(), kind, description.into()));
        self
    }

    /// A table that it emits rows into.
    pub fn emits<R: Row>(&mut self) -> &mut Self {
        self.tables.push(R::table());
        self
    }

    /// What becomes of a batch on which it fails, where that depends on the configuration:
    /// [`ON_ERROR`](crate::Processor::ON_ERROR) otherwise.
    pub fn on_error(&mut self, policy: OnError) -> &mut Self {
        self.on_error = Some(policy);
        self
    }

    pub(crate) fn finish<P: crate::Processor + crate::Identity>(mut self) -> raw::Description {
        if self.reads.is_empty() {
            self.reads.push("*".to_owned());
        }
        let column = |name: &str, type_: Type, description: &str| raw::ColumnDeclaration {
            name: name.to_owned(),
            type_,
            description: description.to_owned(),
        };
        let table = |table: Table| raw::Table {
            name: table.name.to_owned(),
            description: table.description.to_owned(),
            columns: table.columns.iter().map(|(name, kind, about)| column(name, *kind, about)).collect(),
            mode: table.mode,
            key: table.key.iter().map(|&name| name.to_owned()).collect(),
            time: table.time.to_owned(),
        };
        raw::Description {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            summary: P::SUMMARY.to_owned(),
            signals: P::SIGNALS.iter().collect(),
            reads: self.reads,
            writes: self.writes.iter().map(|(name, kind, about)| column(name, *kind, about)).collect(),
            tables: self.tables.into_iter().map(table).collect(),
            stateful: P::STATEFUL,
            on_error: self.on_error.unwrap_or(P::ON_ERROR),
        }
    }
}
