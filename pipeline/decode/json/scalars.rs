//! Scalars as ProtoJSON writes them.

use super::descriptors::Integer;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::fmt;

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);

/// A JSON number as serde_json hands it over.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
}

impl Number {
    pub(super) fn double(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Signed(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    /// The number, if it is whole.
    pub(super) fn whole(self) -> Option<i128> {
        match self {
            Self::Unsigned(number) => Some(number.into()),
            Self::Signed(number) => Some(number.into()),
            // What is not finite has no fraction of zero; what is too large saturates and fails the check of the range.
            Self::Double(number) => (number.fract() == 0.0).then_some(number as i128),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            // Debug writes 1e300 where Display writes 301 digits.
            Self::Double(number) => fmt::Debug::fmt(number, f),
        }
    }
}

impl Integer {
    /// The least and the greatest number of this kind.
    pub(super) fn range(self) -> (i128, i128) {
        match self {
            Self::Int32 | Self::Sint32 => (i32::MIN.into(), i32::MAX.into()),
            Self::Uint32 | Self::Fixed32 => (0, u32::MAX.into()),
            Self::Int64 | Self::Sfixed64 => (i64::MIN.into(), i64::MAX.into()),
            Self::Uint64 | Self::Fixed64 => (0, u64::MAX.into()),
        }
    }

    /// The number, if it is in range.
    pub(super) fn checked(self, number: i128) -> Option<i128> {
        let (least, greatest) = self.range();
        (least..=greatest).contains(&number).then_some(number)
    }
}

/// The parts of a text that has JSON's form of a number.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if are_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        are_digits(whole).then_some(Self { negative, whole, fraction, exponent })
    }

    /// The number, if it is whole and of less than 39 digits.
    fn integer(&self) -> Option<i128> {
        let digits = [self.whole, self.fraction].concat();
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(0);
        }
        let shift = self
            .exponent
            .checked_sub(i64::try_from(self.fraction.len()).ok()?)?
            .checked_add(i64::try_from(digits.len() - significant.len()).ok()?)?;
        let power = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
        let magnitude = significant.parse::<i128>().ok()?.checked_mul(power)?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    are_digits(digits).then(|| text.parse().ok()).flatten()
}

/// The integer that a text is, exactly, also where it is written like `1.50e3`.
pub(super) fn integer(text: &str) -> Option<i128> {
    // Most are plain digits, and no 64-bit integer has more than 20 of them.
    if text.len() <= 20 && are_digits(text) {
        return text.parse().ok();
    }
    Decimal::parse(text)?.integer()
}

/// The double that a text is: a number, or ProtoJSON's name of what JSON has no number for.
pub(super) fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // Rust also reads "inf" and "+1", which are nobody's JSON; what is out of range becomes infinite.
        _ => Decimal::parse(text).and_then(|_| text.parse().ok()).filter(|double: &f64| double.is_finite()),
    }
}

/// The bytes that a base64 text is: standard or URL-safe, padded or not.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text)
}

/// Calls `put` with every byte of a hex text; false, and nothing was put, if it is not hex.
///
/// An odd number of digits makes no bytes, but a wrong length must not cost the row: the last digit then counts as a byte,
/// unless that gives the length of a valid id, which it is not.
pub(super) fn hex(text: &str, mut put: impl FnMut(u8)) -> bool {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let mut pairs = text.as_bytes().chunks_exact(2);
    for pair in pairs.by_ref() {
        put(digit(pair[0]).unwrap_or(0) << 4 | digit(pair[1]).unwrap_or(0));
    }
    if let [last] = pairs.remainder()
        && !matches!(text.len().div_ceil(2), 8 | 16)
    {
        put(digit(*last).unwrap_or(0));
    }
    true
}
