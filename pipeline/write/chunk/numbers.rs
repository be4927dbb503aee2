//! Numbers, times and booleans: a dictionary where they repeat, differences of integers otherwise, doubles as they are.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use parquet::basic::Encoding;
use parquet::errors::Result;

use super::dictionary::Repeating;
use super::pages::{Bound, Content, Pages, chunk};
use super::{Column, Compressor, Encoded, PAGE_ROWS, Position, delta, dictionary, hybrid};

/// How the bits of a number are to be understood.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bool,
    Signed(u32),
    Unsigned(u32),
    Double,
}

const SIGN: u64 = 1 << 63;

impl Kind {
    /// A number that is less where the value is.
    fn order(self, bits: u64) -> u64 {
        match self {
            Self::Bool | Self::Unsigned(_) => bits,
            Self::Signed(_) => bits ^ SIGN,
            Self::Double if bits & SIGN == 0 => bits | SIGN,
            Self::Double => !bits,
        }
    }

    fn is_nan(self, bits: u64) -> bool {
        self == Self::Double && f64::from_bits(bits).is_nan()
    }

    /// Appends a value as PLAIN.
    fn write(self, out: &mut Vec<u8>, bits: u64) {
        match self {
            Self::Bool => out.push(bits as u8),
            Self::Signed(32) | Self::Unsigned(32) => out.extend_from_slice(&(bits as u32).to_le_bytes()),
            _ => out.extend_from_slice(&bits.to_le_bytes()),
        }
    }

    fn bounds(self, values: &[u64]) -> Option<(Number, Number)> {
        let all = || values.iter().filter(|&&bits| !self.is_nan(bits)).map(|&bits| self.order(bits));
        let (least, greatest) = match self {
            Self::Double => all().min().zip(all().max())?,
            _ if values.is_empty() => return None,
            _ => all().fold((u64::MAX, 0), |(least, greatest), order| (least.min(order), greatest.max(order))),
        };
        Some((self.least(least), self.greatest(greatest)))
    }

    /// As readers want it: 0 stands for -0, too.
    fn least(self, order: u64) -> Number {
        let zero = self == Self::Double && order == SIGN;
        Number { order: if zero { SIGN - 1 } else { order }, kind: self }
    }

    fn greatest(self, order: u64) -> Number {
        let zero = self == Self::Double && order == SIGN - 1;
        Number { order: if zero { SIGN } else { order }, kind: self }
    }
}

/// A least or greatest value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    order: u64,
    kind: Kind,
}

impl Bound for Number {
    fn bytes(&self) -> Vec<u8> {
        let bits = match self.kind {
            Kind::Bool | Kind::Unsigned(_) => self.order,
            Kind::Signed(_) => self.order ^ SIGN,
            Kind::Double if self.order & SIGN == 0 => !self.order,
            Kind::Double => self.order & !SIGN,
        };
        let mut bytes = Vec::with_capacity(8);
        self.kind.write(&mut bytes, bits);
        bytes
    }
}

/// None if these are numbers of a type that no table has.
pub(super) fn encode(column: Column<'_>, compressor: &mut Compressor) -> Result<Option<Encoded>> {
    let valid = column.valid();
    let Some((kind, mut values)) = gathered(column, &valid) else { return Ok(None) };
    let mut alike = valid.is_empty() && values.len() < column.order.len();
    if alike && kind.is_nan(values[0]) {
        // It has no place in the order of a dictionary.
        values.resize(column.order.len(), values[0]);
        alike = false;
    }
    let repeating = match alike {
        true => Some(Repeating { values: values.clone(), places: Vec::new() }),
        false => repeating(column, kind, &values),
    };
    if let Some(repeating) = repeating {
        let mut page = Vec::with_capacity(repeating.values.len() * 8);
        repeating.values.iter().for_each(|&bits| kind.write(&mut page, bits));
        let bounds = |least, greatest| (kind.least(kind.order(least)), kind.greatest(kind.order(greatest)));
        return dictionary::write(column, &valid, &repeating, &page, bounds, compressor).map(Some);
    }
    let encoding = match kind {
        Kind::Bool | Kind::Double => Encoding::PLAIN,
        Kind::Signed(_) | Kind::Unsigned(_) => Encoding::DELTA_BINARY_PACKED,
    };
    let encoded = chunk(column.descr, compressor, |pages| {
        let bounds = write(pages, column.order.len(), &valid, kind, &values, encoding)?;
        Ok(Content { encoding, bounds, bounded: true, distinct: None })
    });
    encoded.map(Some)
}

fn repeating(column: Column<'_>, kind: Kind, values: &[u64]) -> Option<Repeating<u64>> {
    // Times repeat in runs, whose differences are smaller than a dictionary. A value that is none has no place in an order.
    let is_time = matches!(column.parts.first()?.data_type(), DataType::Timestamp(_, _));
    if kind == Kind::Bool || is_time || values.iter().any(|&bits| kind.is_nan(bits)) {
        return None;
    }
    if !dictionary::repeat(values.iter().step_by(values.len().div_ceil(dictionary::SAMPLE).max(1))) {
        return None;
    }
    dictionary::repeating(values.iter().copied(), |_| size_of::<u64>(), |_| move |bits| kind.order(bits))
}

/// The values of rows that have one, as bits; one value only where it is the same in more rows, all of them.
fn gathered(column: Column<'_>, valid: &[bool]) -> Option<(Kind, Vec<u64>)> {
    let (signed, unsigned) = (|value: i64| value.cast_unsigned(), |value| value);
    Some(match column.parts.first()?.data_type() {
        DataType::Boolean => {
            let parts = column.parts.iter().map(|part| part.as_boolean_opt()).collect::<Option<Vec<_>>>()?;
            let bits = |(part, row): Position| u64::from(parts[part as usize].values().value(row as usize));
            (Kind::Bool, with_value(column, valid).map(bits).collect())
        }
        DataType::Int32 => (Kind::Signed(32), of::<Int32Type>(column, valid, |value| signed(value.into()))?),
        DataType::UInt32 => (Kind::Unsigned(32), of::<UInt32Type>(column, valid, u64::from)?),
        DataType::Int64 => (Kind::Signed(64), of::<Int64Type>(column, valid, signed)?),
        DataType::UInt64 => (Kind::Unsigned(64), of::<UInt64Type>(column, valid, unsigned)?),
        DataType::Float64 => (Kind::Double, of::<Float64Type>(column, valid, f64::to_bits)?),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            (Kind::Signed(64), of::<TimestampNanosecondType>(column, valid, signed)?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (Kind::Signed(64), of::<TimestampMicrosecondType>(column, valid, signed)?)
        }
        _ => return None,
    })
}

fn of<T: ArrowPrimitiveType>(column: Column<'_>, valid: &[bool], bits: impl Fn(T::Native) -> u64) -> Option<Vec<u64>> {
    let values = |part: &&dyn Array| part.as_primitive_opt::<T>().map(|part| part.values().clone());
    let parts = column.parts.iter().map(values).collect::<Option<Vec<_>>>()?;
    let parts: Vec<&[T::Native]> = parts.iter().map(|part| part.as_ref()).collect();
    let value = |(part, row): Position| bits(parts[part as usize][row as usize]);
    let first = parts.iter().find_map(|part| part.first().copied())?;
    if valid.is_empty() && parts.iter().all(|part| part.iter().all(|&value| bits(value) == bits(first))) {
        return Some(vec![bits(first)]);
    }
    Some(match valid {
        [] => column.order.iter().map(|&at| value(at)).collect(),
        _ => with_value(column, valid).map(value).collect(),
    })
}

/// Where the rows that have a value stand.
fn with_value(column: Column<'_>, valid: &[bool]) -> impl Iterator<Item = Position> {
    let has_value = move |at: &usize| valid.get(*at).is_none_or(|valid| *valid);
    column.order.iter().enumerate().filter(move |(at, _)| has_value(at)).map(|(_, position)| *position)
}

fn write(
    pages: &mut Pages<'_, '_>,
    rows: usize,
    valid: &[bool],
    kind: Kind,
    mut values: &[u64],
    encoding: Encoding,
) -> Result<Vec<Option<(Number, Number)>>> {
    let (mut page, mut bounds) = (Vec::new(), Vec::new());
    for from in (0..rows).step_by(PAGE_ROWS) {
        let rows = PAGE_ROWS.min(rows - from);
        let valid = valid.get(from..from + rows).unwrap_or_default();
        let nulls = valid.iter().filter(|valid| !**valid).count();
        let (here, rest) = values.split_at(rows - nulls);
        values = rest;
        pages.levels(&mut page, rows, valid);
        match kind {
            Kind::Bool => hybrid::pack(&mut page, here.iter().copied(), 1),
            Kind::Double => here.iter().for_each(|bits| page.extend_from_slice(&bits.to_le_bytes())),
            Kind::Signed(width) | Kind::Unsigned(width) => delta::encode(&mut page, here, width),
        }
        pages.data(&page, rows, nulls, encoding)?;
        bounds.push(kind.bounds(here));
    }
    Ok(bounds)
}
