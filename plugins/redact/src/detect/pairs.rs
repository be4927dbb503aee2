//! Secrets that are known by the key before them: `password=…`, `"api_key": "…"`, `Authorization: …`.

use super::{Span, before, end_of, start_of};

/// Keys of secrets, in lower case and without `-`, `_` and `.`: a key that ends so is one.
const SECRET: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "accountkey",
    "secret",
    "token",
    "authorization",
    "credential",
    "credentials",
    "signature",
];
/// The first so many stand before a colon in front of nothing but a secret; the others also in sentences
/// (`invalid token: unexpected end`).
const BEFORE_COLON: usize = 10;
const KEY_MAX: usize = 128;
const SCHEMES: [&str; 8] = ["bearer", "basic", "token", "apikey", "digest", "negotiate", "bot", "key"];
const HARMLESS: [&str; 6] = ["true", "false", "null", "none", "nil", "undefined"];
/// How much of an uncertain value is looked at: a bound on what a hostile text costs.
const PROBE: usize = 80;

#[derive(Clone, Copy, PartialEq)]
enum Secrecy {
    Certain,
    Likely,
}

/// Finds the values of secret keys. `is_named` says of a key whether the configuration names it; what it names goes
/// to `named`.
pub(crate) fn find(
    text: &str,
    secrets: bool,
    is_named: impl Fn(&str) -> bool,
    found: &mut Vec<Span>,
    named: &mut Vec<Span>,
) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&byte| byte == b'=' || byte == b':') {
        let sign = at + next;
        at = sign + 1;
        let Some((key, quoted)) = key_before(text, sign) else { continue };
        let is_named = is_named(key);
        let Some(secrecy) = (if is_named { Some(Secrecy::Certain) } else { secrecy(key).filter(|_| secrets) }) else {
            continue;
        };
        let certain = bytes[sign] == b'=' || quoted || secrecy == Secrecy::Certain;
        let probe = &bytes[at..(at + PROBE).min(bytes.len())];
        if (!certain && !probe.iter().any(u8::is_ascii_digit) && !starts_with_scheme(probe))
            || is_replacement(text, key, sign)
        {
            continue;
        }
        let Some(value) = value_after(text, sign, key, quoted) else { continue };
        let content = &text[value.clone()];
        let telling = content.len() >= 8 && content.bytes().any(|byte| byte.is_ascii_digit());
        if (certain || telling || content.contains(' ')) && !is_harmless(content) {
            at = value.end;
            if is_named {
                named.push(value)
            } else {
                found.push(value)
            };
        }
    }
}

/// `Bearer …`, with the space: a word without one ends nowhere near.
fn starts_with_scheme(value: &[u8]) -> bool {
    let start = end_of(value, 0, |byte| byte == b' ');
    let end = end_of(value, start, |byte| byte.is_ascii_alphabetic());
    let word = &value[start..end];
    value.get(end) == Some(&b' ') && SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Whether this is the colon of `[token:0123456789abcdef]`.
fn is_replacement(text: &str, key: &str, sign: usize) -> bool {
    let Some(start) = sign.checked_sub(key.len() + 1) else { return false };
    text.get(start..sign + 18).is_some_and(is_redacted)
}

/// The key before the sign, and whether it is in quotes.
fn key_before(text: &str, sign: usize) -> Option<(&str, bool)> {
    let bytes = text.as_bytes();
    let mut end = start_of(bytes, sign, |byte| byte == b' ');
    let quoted = matches!(before(bytes, end), Some(b'"' | b'\''));
    if quoted {
        end = start_of(bytes, end - 1, |byte| byte == b'\\');
    }
    let from = end.saturating_sub(KEY_MAX);
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = from + start_of(&bytes[from..end], end - from, is_key);
    (start < end).then(|| (&text[start..end], quoted))
}

fn secrecy(key: &str) -> Option<Secrecy> {
    let plain: Vec<u8> =
        key.bytes().filter(|byte| !b"-_.".contains(byte)).map(|byte| byte.to_ascii_lowercase()).collect();
    let place = SECRET.iter().position(|secret| plain.ends_with(secret.as_bytes()));
    let place = place.or_else(|| (plain == b"sig").then_some(SECRET.len()))?;
    Some(if place < BEFORE_COLON { Secrecy::Certain } else { Secrecy::Likely })
}

/// The value after the sign, without its quotes.
fn value_after(text: &str, sign: usize, key: &str, in_json: bool) -> Option<Span> {
    let bytes = text.as_bytes();
    if bytes[sign] == b'=' && matches!(bytes.get(sign + 1), Some(b'=' | b'>' | b'~')) {
        return None;
    }
    if bytes[sign..].starts_with(b"::") || bytes[sign..].starts_with(b"://") {
        return None;
    }
    let start = end_of(bytes, sign + 1, |byte| byte == b' ' || byte == b'\t');
    let quote = end_of(bytes, start, |byte| byte == b'\\');
    if let Some(&mark @ (b'"' | b'\'' | b'`')) = bytes.get(quote) {
        let value = quote + 1..closing(bytes, quote + 1, mark, quote - start);
        return (!value.is_empty()).then_some(value);
    }
    if in_json && matches!(bytes.get(start), Some(b'{' | b'[')) {
        return None;
    }
    let mut end = word_end(bytes, start, in_json);
    if key.len() >= 13 && key.as_bytes()[key.len() - 13..].eq_ignore_ascii_case(b"authorization") {
        let scheme = &text[start..end];
        if SCHEMES.iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
            let line = scheme.eq_ignore_ascii_case("digest");
            let next = end_of(bytes, end, |byte| byte == b' ' || byte == b'+');
            end = if line {
                end_of(bytes, next, |byte| !b"\r\n\"'".contains(&byte))
            } else {
                word_end(bytes, next, in_json)
            };
        }
    }
    (start < end).then_some(start..end)
}

/// Where the quoted value ends. The backslashes before its quotes say how often it was escaped: `\"` within `"…"`.
fn closing(bytes: &[u8], from: usize, mark: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        if byte == b'\\' {
            backslashes += 1;
            continue;
        }
        if byte == mark && (if escapes == 0 { backslashes % 2 == 0 } else { backslashes <= escapes }) {
            return if escapes == 0 { at } else { at - backslashes };
        }
        backslashes = 0;
    }
    bytes.len()
}

/// Where a value without quotes ends. A comma ends it only where something separate follows, because passwords have commas.
fn word_end(bytes: &[u8], start: usize, in_json: bool) -> usize {
    let mut end = start;
    while let Some(&byte) = bytes.get(end) {
        let last = match byte {
            b'&' | b';' | b'"' | b'\'' | b'<' | b'>' | b'`' => true,
            b',' => in_json || bytes.get(end + 1).is_none_or(u8::is_ascii_whitespace),
            b'}' | b']' => in_json,
            _ => byte.is_ascii_whitespace(),
        };
        if last {
            break;
        }
        end += 1;
    }
    end
}

/// Whether the value says nothing, or was redacted before.
fn is_harmless(value: &str) -> bool {
    let literal = HARMLESS.iter().any(|harmless| value.eq_ignore_ascii_case(harmless));
    literal || value.bytes().all(|byte| byte == b'*') || is_redacted(value)
}

/// `[REDACTED:token]` or `[token:0123456789abcdef]`.
fn is_redacted(value: &str) -> bool {
    let Some(inside) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match inside.split_once(':') {
        Some(("REDACTED", name)) => is_name(name),
        Some((name, hash)) => is_name(name) && hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => false,
    }
}
