//! A column of a batch in memory, value by value.

use serde_json::json;

use crate::columns::bit;
use crate::raw::columns::Type;
use crate::raw::columns::{Bools, Column, Dictionary, F64Lists, F64s, Fixed, S64s, Text, U64Lists, U64s};
use crate::{Bitmap, ColumnBuilder};

/// What is said where a plugin hands lists back.
const NO_LISTS: &str = "it is a column of lists, which can be read, not written";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Bytes(Vec<u8>),
    U64List(Vec<u64>),
    F64List(Vec<f64>),
}

impl Value {
    fn json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => json!(value),
            Self::I64(value) => json!(value),
            Self::U64(value) => json!(value),
            Self::F64(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::U64List(values) => json!(values),
            Self::F64List(values) => json!(values),
            Self::Bytes(value) => json!(value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        }
    }
}

/// A column: its values, and how it is handed out.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Of lists that of their values: no type is one of lists, since nobody can declare one.
    pub(super) kind: Type,
    pub(super) values: Vec<Option<Value>>,
    form: Form,
}

/// How a column is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Dictionary,
    Lists,
}

impl Stored {
    pub(crate) fn new(values: ColumnBuilder) -> Self {
        Self::from_raw(&values.finish()).expect("a builder makes whole columns")
    }

    pub(crate) fn dictionary(mut self) -> Self {
        self.form = Form::Dictionary;
        self
    }

    /// Lists of unsigned integers.
    pub(crate) fn u64_lists(rows: Vec<Option<Vec<u64>>>) -> Self {
        let values = rows.into_iter().map(|row| row.map(Value::U64List)).collect();
        Self { kind: Type::U64, values, form: Form::Lists }
    }

    /// Lists of numbers.
    pub(crate) fn f64_lists(rows: Vec<Option<Vec<f64>>>) -> Self {
        let values = rows.into_iter().map(|row| row.map(Value::F64List)).collect();
        Self { kind: Type::F64, values, form: Form::Lists }
    }

    pub(super) fn is_lists(&self) -> bool {
        self.form == Form::Lists
    }

    /// The column with other values, handed out in the same way.
    pub(super) fn with_values(&self, values: Vec<Option<Value>>) -> Self {
        Self { values, ..*self }
    }

    pub(super) fn nothing(rows: usize) -> Self {
        Self { kind: Type::Text, values: vec![None; rows], form: Form::Plain }
    }

    pub(crate) fn rows(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn json(&self, row: usize) -> serde_json::Value {
        self.values[row].as_ref().map_or(serde_json::Value::Null, Value::json)
    }

    pub(crate) fn from_raw(column: &Column) -> Result<Self, String> {
        let valid = |valid: &[u8], row| valid.is_empty() || bit(valid, row);
        let with = |kind, valid_bits: &[u8], values: Vec<Value>| {
            let values = values.into_iter().enumerate();
            Self {
                kind,
                values: values.map(|(row, value)| valid(valid_bits, row).then_some(value)).collect(),
                form: Form::Plain,
            }
        };
        Ok(match column {
            Column::Bools(Bools { values, valid, rows }) => {
                with(Type::Bool, valid, (0..*rows as usize).map(|row| Value::Bool(bit(values, row))).collect())
            }
            Column::S64s(S64s { values, valid }) => {
                with(Type::S64, valid, values.iter().copied().map(Value::I64).collect())
            }
            Column::U64s(U64s { values, valid }) => {
                with(Type::U64, valid, values.iter().copied().map(Value::U64).collect())
            }
            Column::F64s(F64s { values, valid }) => {
                with(Type::F64, valid, values.iter().copied().map(Value::F64).collect())
            }
            Column::Text(text) => with(Type::Text, &text.valid, texts(text)?.into_iter().map(Value::Text).collect()),
            Column::Dictionary(Dictionary { keys, values, valid }) => {
                let texts = texts(values)?;
                let text = |key: &u32| texts.get(*key as usize).cloned().map(Value::Text);
                let values: Option<_> = keys.iter().map(text).collect();
                with(Type::Text, valid, values.ok_or("a key beyond the dictionary")?).dictionary()
            }
            Column::U64Lists(_) | Column::F64Lists(_) => return Err(NO_LISTS.to_owned()),
            Column::Fixed(Fixed { width, bytes, valid }) => {
                let kind = if *width == 16 { Type::Fixed16 } else { Type::Fixed8 };
                let rows = bytes.chunks(*width as usize);
                with(kind, valid, rows.map(|bytes| Value::Bytes(bytes.to_owned())).collect())
            }
        })
    }

    pub(super) fn to_raw(&self) -> Column {
        if self.form == Form::Lists {
            return self.to_lists();
        }
        let mut builder = ColumnBuilder::new(self.kind);
        for value in &self.values {
            use crate::Cell;
            match value {
                None => builder.push_null(),
                Some(Value::Bool(value)) => value.append(&mut builder),
                Some(Value::I64(value)) => value.append(&mut builder),
                Some(Value::U64(value)) => value.append(&mut builder),
                Some(Value::F64(value)) => value.append(&mut builder),
                Some(Value::Text(value)) => value.append(&mut builder),
                Some(Value::Bytes(value)) => match (value.first_chunk::<16>(), value.first_chunk::<8>()) {
                    (Some(value), _) => value.append(&mut builder),
                    (None, Some(value)) => value.append(&mut builder),
                    (None, None) => builder.push_null(),
                },
                // A column of lists is one of nothing else.
                Some(Value::U64List(_) | Value::F64List(_)) => builder.push_null(),
            }
        }
        match builder.finish() {
            Column::Text(text) if self.form == Form::Dictionary => self.to_dictionary(text),
            column => column,
        }
    }

    fn to_lists(&self) -> Column {
        let mut valid = Bitmap::default();
        let (mut offsets, mut integers, mut numbers) = (vec![0], Vec::new(), Vec::new());
        for value in &self.values {
            match value {
                Some(Value::U64List(values)) => integers.extend(values),
                Some(Value::F64List(values)) => numbers.extend(values),
                _ => {}
            }
            offsets.push((integers.len() + numbers.len()) as u32);
            valid.push(value.is_some());
        }
        let valid = valid.into_validity();
        match self.kind {
            Type::F64 => Column::F64Lists(F64Lists { offsets, values: numbers, valid }),
            _ => Column::U64Lists(U64Lists { offsets, values: integers, valid }),
        }
    }

    fn to_dictionary(&self, text: Text) -> Column {
        let mut distinct: Vec<&str> = Vec::new();
        let keys = self.values.iter().map(|value| {
            let text = if let Some(Value::Text(text)) = value { text.as_str() } else { "" };
            let known = distinct.iter().position(|&other| other == text);
            known.unwrap_or_else(|| {
                distinct.push(text);
                distinct.len() - 1
            }) as u32
        });
        let keys = keys.collect();
        let values = ColumnBuilder::from_values(distinct);
        let Column::Text(values) = values.finish() else { return Column::Text(text) };
        Column::Dictionary(Dictionary { keys, values, valid: text.valid })
    }

    /// Sets what is not null in `new`. Where an attribute then has values of two types it becomes text.
    pub(super) fn merge(&mut self, new: Self) {
        if self.values.iter().all(Option::is_none) || self.kind == Type::Time {
            self.kind = if self.kind == Type::Time { Type::Time } else { new.kind };
        }
        for (old, new) in self.values.iter_mut().zip(new.values) {
            if new.is_some() {
                *old = new;
            }
        }
        let mut kinds = self.values.iter().flatten().map(std::mem::discriminant);
        let first = kinds.next();
        if kinds.any(|kind| Some(kind) != first) {
            self.kind = Type::Text;
            for value in self.values.iter_mut().flatten() {
                if !matches!(value, Value::Text(_)) {
                    *value = Value::Text(value.json().to_string());
                }
            }
        } else if !matches!(self.kind, Type::Time) && first.is_some() {
            self.kind = new.kind;
        }
    }
}

fn texts(text: &Text) -> Result<Vec<String>, String> {
    text.offsets
        .windows(2)
        .map(|ends| {
            let bytes = text.bytes.get(ends[0] as usize..ends[1] as usize).ok_or("an offset beyond the bytes")?;
            String::from_utf8(bytes.to_owned()).map_err(|error| error.to_string())
        })
        .collect()
}
