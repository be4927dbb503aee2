//! Consistent probability sampling as OpenTelemetry defines it: a span is kept when its randomness `R` is not below the
//! threshold `T`, both 56 bits; `T` is the probability to be dropped times 2^56.

use std::fmt::Write;

/// Hexadecimal digits of 56 bits.
const DIGITS: usize = 14;
/// One more than the greatest threshold and the greatest randomness.
pub const RANGE: u64 = 1 << 56;
/// Digits of precision that are kept of a threshold made from a ratio, so that `th` stays short.
const PRECISION: i32 = 4;

/// The threshold of a ratio between 2^-56 and 1.
pub fn from_ratio(ratio: f64) -> u64 {
    let threshold = RANGE - (ratio * RANGE as f64).round() as u64;
    // Leading digits f or 0 say nothing of a ratio next to 0 or 1: the precision is counted behind them.
    let leading = |distance: f64| if distance > 0.0 { (-distance.log2() / 4.0).floor() as i32 } else { 0 };
    let precision = (PRECISION + leading(ratio).max(leading(1.0 - ratio))).min(DIGITS as i32);
    let shift = 4 * (DIGITS as i32 - precision);
    if shift == 0 {
        return threshold.min(RANGE - 1);
    }
    let rounded = (threshold + (1 << (shift - 1))) >> shift << shift;
    rounded.min(RANGE - 1)
}

/// The randomness of a trace: the last 56 bits of its id.
pub fn randomness(trace_id: &[u8; 16]) -> u64 {
    trace_id[9..].iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

/// How many spans one stands for that a threshold below [`RANGE`] let through.
pub fn adjusted_count(threshold: u64) -> f64 {
    RANGE as f64 / (RANGE - threshold) as f64
}

/// A threshold as `th` has it: zeros at its end left out.
pub fn write(threshold: u64, out: &mut String) {
    let start = out.len();
    // Writing to a string cannot fail.
    let _ = write!(out, "{threshold:014x}");
    let digits = out[start..].trim_end_matches('0').len().max(1);
    out.truncate(start + digits);
}

/// The value of `th`: up to 14 digits, the missing ones zeros.
pub fn parse(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= DIGITS && text.bytes().all(is_digit);
    let value = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
    Some(value << (4 * (DIGITS - text.len())))
}

/// The value of `rv`: exactly 14 digits.
pub fn parse_randomness(text: &str) -> Option<u64> {
    if text.len() == DIGITS { parse(text) } else { None }
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn th(ratio: f64) -> String {
        let mut text = String::new();
        write(from_ratio(ratio), &mut text);
        text
    }

    #[test]
    fn thresholds_are_those_that_opentelemetry_gives_for_a_ratio() {
        assert_eq!(th(1.0), "0");
        assert_eq!(th(0.5), "8");
        assert_eq!(th(0.25), "c");
        assert_eq!(th(0.1), "e666");
        assert_eq!(th(0.01), "fd70a");
        assert_eq!(th(1.0 / 3.0), "aaab");
        assert_eq!(th(2.0_f64.powi(-56)), "ffffffffffffff");
    }

    #[test]
    fn a_kept_span_stands_for_as_many_as_its_threshold_says() {
        assert_eq!(adjusted_count(0), 1.0);
        assert_eq!(adjusted_count(from_ratio(0.25)), 4.0);
        assert!((adjusted_count(from_ratio(0.001)) - 1000.0).abs() < 1.0);
    }

    #[test]
    fn the_digits_that_are_missing_are_zeros() {
        assert_eq!(parse("8"), Some(1 << 55));
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("00000000000001"), Some(1));
        for wrong in ["", "000000000000000", "8G", "F", "+8"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse_randomness("8"), None);
    }

    #[test]
    fn randomness_is_the_last_seven_bytes() {
        let id = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0a, 0, 0, 0, 0, 0, 0x0f];
        assert_eq!(randomness(&id), 0x000a_0000_0000_000f);
    }
}
