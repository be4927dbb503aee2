//! A column as it comes becomes one of the type that was asked for, in the same buffers.

use super::{Bools, F64s, Fixed, I64s, Lists, Text, U64s, Validity};
use crate::raw::columns as raw;
use crate::{Error, Result};

/// A column of the type that was asked for.
pub(crate) trait FromColumn: Sized {
    const WANTED: &'static str;

    fn from_column(name: &str, column: raw::Column) -> Result<Result<Self, raw::Column>>;

    /// As many null rows: what a column is that no row has, whatever its type.
    fn nothing(rows: usize) -> Self;

    fn read(name: &str, column: raw::Column) -> Result<Self> {
        let column = match Self::from_column(name, column)? {
            Ok(typed) => return Ok(typed),
            Err(other) => other,
        };
        if let raw::Column::Text(text) = &column {
            let rows = text.offsets.len().saturating_sub(1);
            if Validity(text.valid.clone()).none(rows) {
                return Ok(Self::nothing(rows));
            }
        }
        Err(Error::new(format!("column \"{name}\" is read as {}, but it is {}", Self::WANTED, kind(&column))))
    }
}

fn kind(column: &raw::Column) -> String {
    match column {
        raw::Column::Bools(_) => "bool".to_owned(),
        raw::Column::S64s(_) => "i64".to_owned(),
        raw::Column::U64s(_) => "u64".to_owned(),
        raw::Column::F64s(_) => "f64".to_owned(),
        raw::Column::Text(_) | raw::Column::Dictionary(_) => "text".to_owned(),
        raw::Column::Fixed(fixed) => format!("{} bytes a row", fixed.width),
        raw::Column::U64Lists(_) => Lists::<u64>::WANTED.to_owned(),
        raw::Column::F64Lists(_) => Lists::<f64>::WANTED.to_owned(),
    }
}

impl FromColumn for I64s {
    const WANTED: &'static str = "i64";

    fn from_column(_: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::S64s(raw::S64s { values, valid }) => Ok(Self { values, valid: Validity(valid) }),
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        Self { values: vec![0; rows], valid: Validity::nothing(rows) }
    }
}

impl FromColumn for U64s {
    const WANTED: &'static str = "u64";

    fn from_column(_: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::U64s(raw::U64s { values, valid }) => Ok(Self { values, valid: Validity(valid) }),
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        Self { values: vec![0; rows], valid: Validity::nothing(rows) }
    }
}

impl FromColumn for F64s {
    const WANTED: &'static str = "f64";

    fn from_column(_: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::F64s(raw::F64s { values, valid }) => Ok(Self { values, valid: Validity(valid) }),
            // The same attribute is an integer from one service and a fraction from the next.
            raw::Column::S64s(raw::S64s { values, valid }) => {
                Ok(Self { values: values.into_iter().map(|value| value as f64).collect(), valid: Validity(valid) })
            }
            raw::Column::U64s(raw::U64s { values, valid }) => {
                Ok(Self { values: values.into_iter().map(|value| value as f64).collect(), valid: Validity(valid) })
            }
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        Self { values: vec![0.0; rows], valid: Validity::nothing(rows) }
    }
}

impl FromColumn for Bools {
    const WANTED: &'static str = "bool";

    fn from_column(_: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::Bools(raw::Bools { values, valid, rows }) => {
                Ok(Self { values, valid: Validity(valid), rows: rows as usize })
            }
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        Self { values: Validity::nothing(rows).0, valid: Validity::nothing(rows), rows }
    }
}

impl<const N: usize> FromColumn for Fixed<N> {
    const WANTED: &'static str = match N {
        8 => "8 bytes a row",
        16 => "16 bytes a row",
        _ => "bytes of another width",
    };

    fn from_column(_: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::Fixed(fixed) if fixed.width as usize == N => {
                Ok(Self { bytes: fixed.bytes, valid: Validity(fixed.valid) })
            }
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        Self { bytes: vec![0; rows * N], valid: Validity::nothing(rows) }
    }
}

impl FromColumn for Text {
    const WANTED: &'static str = "text";

    fn from_column(name: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
        Ok(match column {
            raw::Column::Text(text) => Ok(Self::from_raw(name, text, None)?),
            raw::Column::Dictionary(raw::Dictionary { keys, values, valid }) => {
                Ok(Self::from_raw(name, values, Some((keys, valid)))?)
            }
            other => Err(other),
        })
    }

    fn nothing(rows: usize) -> Self {
        let valid = Validity::nothing(rows);
        Self { offsets: vec![0; rows + 1], bytes: String::new(), valid, keys: None }
    }
}
