//! Payment card numbers: 13 to 19 digits that a card could have and whose check digit (Luhn) is right.

use super::{Span, before, end_of, start_of};

/// The fewest digits of a card number.
pub(crate) const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;
/// More groups than this are no card number but a list of numbers.
const GROUPS_MAX: usize = 6;
/// No id that digits may be part of is longer.
const ID_MAX: usize = 64;

pub(crate) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut groups: Vec<Span> = Vec::new();
    let mut at = 0;
    while let Some(first) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + first;
        let end = end_of(bytes, start, |byte| byte.is_ascii_digit());
        let joined = groups.last().is_some_and(|last| is_separator(&text[last.end..start]));
        if !joined {
            find_in_groups(bytes, &groups, found);
            groups.clear();
        }
        groups.push(start..end);
        at = end;
    }
    find_in_groups(bytes, &groups, found);
}

fn is_separator(between: &str) -> bool {
    matches!(between, " " | "-" | "+" | "\u{a0}")
}

/// Finds cards among groups of digits that single separators join: whole groups, so that no card is found within a
/// longer number, but any of them, so that a date beside a card does not hide it.
fn find_in_groups(bytes: &[u8], groups: &[Span], found: &mut Vec<Span>) {
    let mut first = 0;
    while first < groups.len() {
        match (first..groups.len()).take(GROUPS_MAX).rev().find(|&last| is_card(bytes, groups, first, last)) {
            Some(last) => {
                found.push(groups[first].start..groups[last].end);
                first = last + 1;
            }
            None => first += 1,
        }
    }
}

fn is_card(bytes: &[u8], groups: &[Span], first: usize, last: usize) -> bool {
    let chosen = &groups[first..=last];
    let length: usize = chosen.iter().map(Span::len).sum();
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&length) {
        return false;
    }
    let whole = first == 0 && last + 1 == groups.len();
    if !(is_usual(chosen) || (whole && chosen.iter().all(|group| group.len() > 1))) {
        return false;
    }
    let mut digits = [0; DIGITS_MAX];
    let all = chosen.iter().flat_map(|group| &bytes[group.clone()]);
    for (digit, byte) in digits.iter_mut().zip(all) {
        *digit = byte - b'0';
    }
    let digits = &digits[..length];
    is_issued(digits) && luhn(digits) && !is_part_of_other(bytes, chosen[0].start..chosen[chosen.len() - 1].end)
}

/// Groups as cards are printed: all in one, by fours, 4-6-5 (American Express), 4-6-4 (Diners), 6-13 (UnionPay), 8-8.
fn is_usual(groups: &[Span]) -> bool {
    let lengths = || groups.iter().map(Span::len);
    let by_fours = groups.len() > 2 && groups[..groups.len() - 1].iter().all(|group| group.len() == 4) && {
        groups[groups.len() - 1].len() <= 4
    };
    groups.len() == 1
        || by_fours
        || [&[4, 6, 5][..], &[4, 6, 4], &[6, 13], &[8, 8]].iter().any(|l| lengths().eq(l.iter().copied()))
}

/// Whether a card can start so. Nothing starts with 1 but timestamps: 13, 16 or 19 digits of milli-, micro- or nanoseconds.
fn is_issued(digits: &[u8]) -> bool {
    match digits[0] {
        3..=6 => true,
        2 => digits.len() >= 16 && matches!(digits[1], 0 | 2..=7) && digits.len() != 18,
        8 => digits.len() == 16 && matches!(digits[1], 1 | 2),
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, &digit)| match u32::from(digit) * (1 + index as u32 % 2) {
            doubled @ 10.. => doubled - 9,
            value => value,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether the digits belong to something else: a decimal fraction, a hexadecimal id, a UUID.
fn is_part_of_other(bytes: &[u8], span: Span) -> bool {
    let fraction = before(bytes, span.start) == Some(b'.')
        && span.start.checked_sub(2).is_some_and(|at| bytes[at].is_ascii_digit());
    let (start, end) = around(bytes, &span, |byte| byte.is_ascii_alphanumeric());
    let word = &bytes[start..end];
    let id = word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_alphabetic);
    fraction || id || is_in_uuid(bytes, &span)
}

/// The bytes around the span that satisfy `test`, no further than an id is long: so that the cost is linear.
fn around(bytes: &[u8], span: &Span, test: impl Fn(u8) -> bool) -> (usize, usize) {
    let from = span.start.saturating_sub(ID_MAX);
    let to = (span.end + ID_MAX).min(bytes.len());
    (from + start_of(&bytes[from..span.start], span.start - from, &test), end_of(&bytes[..to], span.end, &test))
}

fn is_in_uuid(bytes: &[u8], span: &Span) -> bool {
    let (start, end) = around(bytes, span, |byte| byte.is_ascii_hexdigit() || byte == b'-');
    let word = &bytes[start..end];
    word.len() == 36 && word.iter().enumerate().all(|(at, &byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23))
}
