//! A batch in memory, value by value: slow and plain.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::batch::Source;
use crate::columns::bit;
use crate::raw::columns::{Column, Text};
use crate::raw::{ColumnDeclaration, columns::Type};
use crate::{ColumnBuilder, Signal};

use super::host;
use super::stored::{Stored, Value};

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) signal: Signal,
    pub(crate) rows: usize,
    pub(crate) columns: BTreeMap<String, Stored>,
    /// Row by row, the reason for which it is dropped.
    pub(crate) dropped: Vec<Option<String>>,
    /// Row by row, whether it is held back.
    pub(crate) held: Vec<bool>,
}

/// The batch of a call, with what the plugin has declared.
pub(crate) struct Lent {
    pub(crate) batch: RefCell<Memory>,
    pub(crate) writes: Vec<ColumnDeclaration>,
    /// The columns that were read: a test may ask.
    pub(crate) read: RefCell<BTreeSet<String>>,
}

impl Lent {
    pub(crate) fn new(batch: Memory, writes: Vec<ColumnDeclaration>) -> Self {
        Self { batch: RefCell::new(batch), writes, read: RefCell::default() }
    }
}

const NAMESPACES: [&str; 3] = ["attributes", "resource", "scope"];

fn is_in(name: &str, place: &str) -> bool {
    name == place || name.strip_prefix(place).is_some_and(|rest| rest.starts_with('.'))
}

fn is_attribute(name: &str) -> bool {
    NAMESPACES.iter().any(|namespace| name != *namespace && is_in(name, namespace))
}

impl Lent {
    fn declared(&self, column: &str, kind: Option<Type>) -> Result<(), String> {
        let fits = |declared: &&ColumnDeclaration| match declared.name.strip_suffix('*') {
            Some(start) => column.starts_with(start),
            None => declared.name == column,
        };
        let declared = self.writes.iter().find(fits);
        let declared = declared.ok_or_else(|| format!("column \"{column}\" is not declared: writes(…) in describe"))?;
        let same = |kind: Type| {
            declared.name.ends_with('*')
                || declared.type_ == kind
                || matches!((declared.type_, kind), (Type::Time, Type::S64) | (Type::Json, Type::Text))
        };
        if kind.is_none_or(same) {
            return Ok(());
        }
        Err(format!("column \"{column}\" is declared as {:?}, but written as {kind:?}", declared.type_))
    }
}

impl Source for Lent {
    fn signal(&self) -> Signal {
        self.batch.borrow().signal
    }

    fn rows(&self) -> usize {
        self.batch.borrow().rows
    }

    fn read(&self, name: &str) -> Result<Column, String> {
        self.read.borrow_mut().insert(name.to_owned());
        let batch = self.batch.borrow();
        match batch.columns.get(name) {
            Some(column) => Ok(column.to_raw()),
            None if is_attribute(name) => Ok(Stored::nothing(batch.rows).to_raw()),
            None => Err(format!("there is no column \"{name}\" in this batch")),
        }
    }

    fn write(&self, name: &str, values: &Column) -> Result<(), String> {
        let new = Stored::from_raw(values).map_err(|error| format!("column \"{name}\": {error}"))?;
        self.declared(name, Some(new.kind))?;
        let mut batch = self.batch.borrow_mut();
        let rows = batch.rows;
        if batch.columns.get(name).is_some_and(Stored::is_lists) {
            return Err(format!("column \"{name}\" is a column of lists, which can be read, not written"));
        }
        batch.columns.entry(name.to_owned()).or_insert_with(|| Stored::nothing(rows)).merge(new);
        Ok(())
    }

    fn remove(&self, name: &str, rows: &[u8]) -> Result<(), String> {
        self.declared(name, None)?;
        if let Some(column) = self.batch.borrow_mut().columns.get_mut(name) {
            let chosen = column.values.iter_mut().enumerate().filter(|(row, _)| bit(rows, *row));
            chosen.for_each(|(_, value)| *value = None);
        }
        Ok(())
    }

    fn texts(&self, place: &str) -> Result<Text, String> {
        let found = self.batch.borrow().texts(place)?;
        match ColumnBuilder::from_values(found).finish() {
            Column::Text(text) => Ok(text),
            _ => Err("texts are text".to_owned()),
        }
    }

    fn replace_texts(&self, place: &str, replacements: &Text) -> Result<(), String> {
        self.declared(place, None).or_else(|error| self.declared(&format!("{place}."), None).map_err(|_| error))?;
        let found = self.batch.borrow().texts(place)?;
        let new = Stored::from_raw(&Column::Text(replacements.clone()))?;
        if new.rows() != found.len() {
            return Err(format!("\"{place}\" has {} texts, but {} replacements are given", found.len(), new.rows()));
        }
        let changes = found.into_iter().zip(new.values);
        let changes: BTreeMap<String, String> = changes
            .filter_map(|(old, new)| if let Some(Value::Text(new)) = new { Some((old, new)) } else { None })
            .collect();
        self.batch.borrow_mut().replace(place, &changes);
        Ok(())
    }

    fn places(&self) -> Vec<String> {
        let batch = self.batch.borrow();
        let place = |(name, column): (&String, &Stored)| match NAMESPACES.iter().find(|space| is_in(name, space)) {
            Some(namespace) => Some((*namespace).to_owned()),
            None => matches!(column.kind, Type::Text | Type::Json).then(|| name.clone()),
        };
        let places: BTreeSet<String> = batch.columns.iter().filter_map(place).collect();
        places.into_iter().collect()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        self.declared(from, None)?;
        self.declared(to, None)?;
        if let Some(name) = [from, to].iter().find(|name| !is_attribute(name)) {
            return Err(format!("\"{name}\" is no attribute"));
        }
        let mut batch = self.batch.borrow_mut();
        let rows = batch.rows;
        if let Some(column) = batch.columns.remove(from) {
            batch.columns.entry(to.to_owned()).or_insert_with(|| Stored::nothing(rows)).merge(column);
        }
        Ok(())
    }

    fn keep(&self, rows: &[u8], reason: &str) -> Result<(), String> {
        for (row, dropped) in self.batch.borrow_mut().dropped.iter_mut().enumerate() {
            if dropped.is_none() && !bit(rows, row) {
                *dropped = Some(reason.to_owned());
            }
        }
        Ok(())
    }

    fn hold(&self, rows: &[u8], keys: &Column) -> Result<(), String> {
        let mut batch = self.batch.borrow_mut();
        let Stored { values: keys, .. } = Stored::from_raw(keys)?;
        for row in (0..batch.rows).filter(|&row| bit(rows, row)).collect::<Vec<_>>() {
            if batch.dropped[row].is_some() || batch.held[row] {
                continue;
            }
            let key = match keys.get(row) {
                Some(Some(Value::Bytes(key))) => key.clone(),
                Some(Some(Value::Text(key))) => key.clone().into_bytes(),
                _ => return Err(format!("row {row} is held, and its key is null")),
            };
            host::hold(key, batch.row(row));
            batch.held[row] = true;
        }
        Ok(())
    }
}

/// A batch of held rows is the plugin's, and the test wants to see what becomes of it.
impl Source for Rc<Lent> {
    fn signal(&self) -> Signal {
        (**self).signal()
    }

    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn read(&self, column: &str) -> Result<Column, String> {
        (**self).read(column)
    }

    fn write(&self, column: &str, values: &Column) -> Result<(), String> {
        (**self).write(column, values)
    }

    fn remove(&self, column: &str, rows: &[u8]) -> Result<(), String> {
        (**self).remove(column, rows)
    }

    fn texts(&self, place: &str) -> Result<Text, String> {
        (**self).texts(place)
    }

    fn replace_texts(&self, place: &str, replacements: &Text) -> Result<(), String> {
        (**self).replace_texts(place, replacements)
    }

    fn places(&self) -> Vec<String> {
        (**self).places()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        (**self).rename(from, to)
    }

    fn keep(&self, rows: &[u8], reason: &str) -> Result<(), String> {
        (**self).keep(rows, reason)
    }

    fn hold(&self, rows: &[u8], keys: &Column) -> Result<(), String> {
        (**self).hold(rows, keys)
    }
}

impl Memory {
    pub(crate) fn new(signal: Signal, rows: usize, columns: BTreeMap<String, Stored>) -> Self {
        Self { signal, rows, columns, dropped: vec![None; rows], held: vec![false; rows] }
    }

    /// Whether the row goes on.
    pub(crate) fn stays(&self, row: usize) -> bool {
        self.dropped[row].is_none() && !self.held[row]
    }

    fn row(&self, row: usize) -> Self {
        let one = |column: &Stored| column.with_values(vec![column.values[row].clone()]);
        let columns = self.columns.iter().map(|(name, column)| (name.clone(), one(column)));
        Self::new(self.signal, 1, columns.collect())
    }

    /// The texts of a place in their order: of attributes the keys too.
    fn texts(&self, place: &str) -> Result<Vec<String>, String> {
        let mut found = BTreeSet::new();
        let mut known = NAMESPACES.contains(&place);
        for (name, column) in self.columns.iter().filter(|(name, _)| is_in(name, place)) {
            known = true;
            found.extend(name.strip_prefix(place).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned));
            for value in column.values.iter().flatten() {
                match value {
                    Value::Text(text) => _ = found.insert(text.clone()),
                    Value::I64(number) if number.unsigned_abs() >= 100_000_000_000 => {
                        _ = found.insert(number.to_string())
                    }
                    _ => {}
                }
            }
        }
        if known {
            Ok(found.into_iter().collect())
        } else {
            Err(format!("there is no place \"{place}\" in this batch"))
        }
    }

    fn replace(&mut self, place: &str, changes: &BTreeMap<String, String>) {
        for (name, mut column) in std::mem::take(&mut self.columns) {
            if !is_in(&name, place) {
                self.columns.insert(name, column);
                continue;
            }
            let old = column.clone();
            for value in column.values.iter_mut().flatten() {
                let text = match &*value {
                    Value::Text(text) => text.clone(),
                    Value::I64(number) => number.to_string(),
                    _ => continue,
                };
                if let Some(new) = changes.get(&text) {
                    *value = Value::Text(new.clone());
                }
            }
            let mut whole = old.with_values(vec![None; old.values.len()]);
            whole.merge(column);
            let key = name.strip_prefix(place).and_then(|rest| rest.strip_prefix('.'));
            let name = match key.and_then(|key| changes.get(key)) {
                Some(new) => format!("{place}.{new}"),
                None => name,
            };
            self.columns.insert(name, whole);
        }
    }
}
