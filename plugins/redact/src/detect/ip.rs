//! IP addresses: IPv4 in dotted decimal, IPv6 in every form of RFC 4291.

use super::{Span, before, end_of, start_of};
use std::net::Ipv6Addr;

/// Products whose versions have four numbers and stand in every user agent, before a `/`.
const PRODUCTS: [&str; 11] = [
    "Chrome",
    "Chromium",
    "HeadlessChrome",
    "CriOS",
    "Edg",
    "EdgA",
    "EdgiOS",
    "OPR",
    "YaBrowser",
    "Vivaldi",
    "Version",
];

/// The longest form, an IPv4 address mapped to IPv6 with every zero written.
const LENGTH_MAX: usize = 45;

pub(crate) fn find_v4(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(first) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + first;
        // All that digits and dots make up is one thing: an address, a version, an object identifier.
        let mut end = end_of(bytes, start, |byte| byte.is_ascii_digit() || byte == b'.');
        at = end;
        while bytes[end - 1] == b'.' {
            end -= 1;
        }
        if is_v4(&text[start..end]) && stands_alone(bytes, start, end) {
            found.push(start..end);
        }
    }
}

fn is_v4(text: &str) -> bool {
    let octet = |part: &str| (1..=3).contains(&part.len()) && part.parse::<u16>().is_ok_and(|value| value < 256);
    text.len() <= 15 && text.split('.').count() == 4 && text.split('.').all(octet)
}

fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let after = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphabetic());
    let version = matches!(before(bytes, start), Some(b'v' | b'V'))
        && !start.checked_sub(2).is_some_and(|at| bytes[at].is_ascii_alphabetic());
    let part = before(bytes, start) == Some(b'.');
    !after && !version && !part && !is_product(bytes, start)
}

fn is_product(bytes: &[u8], start: usize) -> bool {
    if before(bytes, start) != Some(b'/') {
        return false;
    }
    let name = start_of(bytes, start - 1, |byte| byte.is_ascii_alphabetic());
    matches!(before(bytes, name), None | Some(b' ')) && PRODUCTS.iter().any(|p| p.as_bytes() == &bytes[name..start - 1])
}

/// Finds IPv6 addresses in the words of hexadecimal digits, colons and dots.
pub(crate) fn find_v6(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let mut at = 0;
    while let Some(first) = bytes[at..].iter().position(|&byte| part(byte)) {
        let start = at + first;
        at = end_of(bytes, start, part);
        let word = &text[start..at];
        if word.bytes().filter(|&byte| byte == b':').count() > 1 {
            find_in_word(text, start..at, found);
        }
    }
}

/// A word may hold more than an address (`add:2001:db8::1`, a port, a full stop): what is between two colons is tried.
fn find_in_word(text: &str, word: Span, found: &mut Vec<Span>) {
    let whole =
        starts(text, &word).find(|&start| longest(text, start, word.end).is_some_and(|end| end + 1 >= word.end));
    if let Some(start) = whole {
        found.extend(longest(text, start, word.end).map(|end| start..end));
        return;
    }
    let mut from = word.start;
    for start in starts(text, &word) {
        if start >= from
            && let Some(end) = longest(text, start, word.end)
        {
            found.push(start..end);
            from = end;
        }
    }
}

/// Where in the word an address may start: at its start, after a colon, at the first colon of two.
fn starts<'a>(text: &'a str, word: &'a Span) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let at_colon =
        move |at: usize| bytes[at] == b':' && at > 0 && bytes[at - 1] != b':' && bytes.get(at + 1) == Some(&b':');
    word.clone()
        .filter(move |&at| at == word.start || bytes[at - 1] == b':' || at_colon(at))
        .filter(move |&at| starts_alone(bytes, at))
}

fn starts_alone(bytes: &[u8], start: usize) -> bool {
    match before(bytes, start) {
        // After `::` it is the rest of something, a path of Rust or C++.
        Some(b':') => bytes[start] != b':' && before(bytes, start - 1) != Some(b':'),
        Some(byte) => !byte.is_ascii_alphanumeric() && byte != b'_' && byte != b'.',
        None => true,
    }
}

/// The end of the longest address that starts at `start`, in a word that ends at `limit`.
fn longest(text: &str, start: usize, limit: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // One byte more than an address has, which says whether it goes on.
    let window = limit.min(start + LENGTH_MAX + 1);
    let mut longest = None;
    for end in start + 2..=window {
        let ends = match bytes.get(end) {
            Some(b':' | b'.') if end < limit => true,
            Some(&next) if end == limit => !next.is_ascii_alphanumeric() && next != b'_',
            Some(_) => false,
            None => true,
        };
        if ends && is_v6(&text[start..end]) {
            longest = Some(end);
        }
    }
    longest
}

/// Without a digit and with few groups, `abc::def` is rather a name than an address.
fn is_v6(text: &str) -> bool {
    let told = text.bytes().any(|byte| byte.is_ascii_digit()) || text.bytes().filter(|&byte| byte == b':').count() > 3;
    told && text.len() <= LENGTH_MAX && text.parse::<Ipv6Addr>().is_ok()
}
