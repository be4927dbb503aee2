//! Credentials that are known by their form: authorization values, JSON web tokens, keys with a known prefix, private
//! keys in PEM, user information of URLs.

use super::{Span, before, end_of, start_of};

/// A prefix of keys, how many bytes follow at least, and whether there must be a digit among them.
struct Prefix(&'static str, usize, bool);

/// By their first letter they are looked up at the start of every word.
const PREFIXES: [Prefix; 42] = [
    Prefix("AKIA", 16, false),
    Prefix("ASIA", 16, false),
    Prefix("ABIA", 16, false),
    Prefix("ACCA", 16, false),
    Prefix("AIza", 30, false),
    Prefix("GOCSPX-", 20, false),
    Prefix("ghp_", 20, false),
    Prefix("gho_", 20, false),
    Prefix("ghu_", 20, false),
    Prefix("ghs_", 20, false),
    Prefix("ghr_", 20, false),
    Prefix("github_pat_", 20, false),
    Prefix("glpat-", 16, false),
    Prefix("gldt-", 16, false),
    Prefix("glrt-", 16, false),
    Prefix("xoxb-", 8, false),
    Prefix("xoxa-", 8, false),
    Prefix("xoxp-", 8, false),
    Prefix("xoxr-", 8, false),
    Prefix("xoxs-", 8, false),
    Prefix("xoxe-", 8, false),
    Prefix("xoxe.xox", 8, false),
    Prefix("xapp-", 8, false),
    Prefix("sk_live_", 8, false),
    Prefix("sk_test_", 8, false),
    Prefix("rk_live_", 8, false),
    Prefix("rk_test_", 8, false),
    Prefix("whsec_", 16, false),
    Prefix("sk-", 16, true),
    Prefix("npm_", 30, false),
    Prefix("pypi-", 40, false),
    Prefix("hf_", 30, false),
    Prefix("dop_v1_", 32, false),
    Prefix("shpat_", 24, false),
    Prefix("shpss_", 24, false),
    Prefix("SG.", 30, false),
    Prefix("ya29.", 20, false),
    Prefix("hvs.", 20, false),
    Prefix("dckr_pat_", 20, false),
    Prefix("lin_api_", 20, false),
    Prefix("AGE-SECRET-KEY-", 20, false),
    Prefix("PMAK-", 20, false),
];

/// A text that is shorter holds none of these.
pub(crate) const LENGTH_MIN: usize = 12;

/// How far to look for a digit: enough to tell a key from words, and a bound on what a hostile text costs.
const DIGIT_WITHIN: usize = 64;

/// Which bytes start a prefix, a scheme or a JSON web token.
const STARTS: [bool; 256] = {
    let mut starts = [false; 256];
    let mut index = 0;
    while index < PREFIXES.len() {
        starts[PREFIXES[index].0.as_bytes()[0] as usize] = true;
        index += 1;
    }
    starts[b'e' as usize] = true;
    starts[b'b' as usize] = true;
    starts[b'B' as usize] = true;
    starts
};

/// Finds keys, JSON web tokens and authorization values at the starts of words.
pub(crate) fn find_words(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut inside = false;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric
            && !inside
            && STARTS[byte as usize]
            && let Some(span) = word(bytes, at)
        {
            at = span.end;
            found.push(span);
            inside = false;
            continue;
        }
        inside = alphanumeric;
        at += 1;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<Span> {
    prefixed(bytes, at).or_else(|| web_token(bytes, at)).or_else(|| authorization(bytes, at))
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn prefixed(bytes: &[u8], at: usize) -> Option<Span> {
    let rest = &bytes[at..];
    let Prefix(prefix, least, digit) = PREFIXES.iter().find(|prefix| rest.starts_with(prefix.0.as_bytes()))?;
    let from = at + prefix.len();
    let window = &bytes[from.min(bytes.len())..(from + DIGIT_WITHIN).min(bytes.len())];
    let near = &window[..window.iter().position(|&byte| !is_key(byte)).unwrap_or(window.len())];
    if near.len() < *least || (*digit && !near.iter().any(u8::is_ascii_digit)) {
        return None;
    }
    // Some keys have parts that dots join; a full stop at the end is the sentence's.
    let end = end_of(bytes, from, |byte| is_key(byte) || byte == b'.');
    Some(at..start_of(bytes, end, |byte| byte == b'.'))
}

/// `eyJ` is how `{"` starts in base64: header, payload, signature.
fn web_token(bytes: &[u8], at: usize) -> Option<Span> {
    if !bytes[at..].starts_with(b"eyJ") || before(bytes, at).is_some_and(is_key) {
        return None;
    }
    let header = end_of(bytes, at, is_key);
    let end = end_of(bytes, header, |byte| is_key(byte) || byte == b'.' || byte == b'=');
    let end = start_of(bytes, end, |byte| byte == b'.');
    (header - at >= 10 && end > header + 4).then_some(at..end)
}

/// What follows `Bearer` or `Basic`, unless it is a word of a sentence (`Basic authentication failed`).
fn authorization(bytes: &[u8], at: usize) -> Option<Span> {
    let scheme_end = end_of(bytes, at, |byte| byte.is_ascii_alphabetic());
    let basic = bytes[at..scheme_end].eq_ignore_ascii_case(b"basic");
    if !(basic || bytes[at..scheme_end].eq_ignore_ascii_case(b"bearer")) {
        return None;
    }
    let start = end_of(bytes, scheme_end, |byte| byte == b' ' || byte == b'+');
    let is_value = |byte: u8| is_key(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=');
    let end = start_of(bytes, end_of(bytes, start, is_value), |byte| byte == b'.');
    if start == scheme_end || end <= start {
        return None;
    }
    let value = &bytes[start..end];
    let secret = if basic {
        is_base64_pair(value)
    } else {
        value.len() >= 20 || (value.len() >= 6 && value.iter().any(u8::is_ascii_digit))
    };
    secret.then_some(start..end)
}

/// Whether this is base64 of `user:password`.
fn is_base64_pair(value: &[u8]) -> bool {
    let (mut bits, mut count) = (0u32, 0);
    for &byte in value {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            if (bits >> count) as u8 == b':' {
                return true;
            }
        }
    }
    false
}

/// Finds private keys in PEM, to their end or to the end of a text that was cut.
pub(crate) fn find_private_keys(text: &str, found: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(begin) = text[from..].find("-----BEGIN ") {
        let start = from + begin;
        from = start + "-----BEGIN ".len();
        let title =
            end_of(text.as_bytes(), from, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
        if !text[from..title].ends_with("PRIVATE KEY") && !text[from..title].ends_with("PRIVATE KEY BLOCK") {
            continue;
        }
        let end = text[title..].find("-----END ").map_or(text.len(), |end| {
            let end = title + end + "-----END ".len();
            let title =
                end_of(text.as_bytes(), end, |byte| byte != b'-' && !byte.is_ascii_whitespace() || byte == b' ');
            end_of(text.as_bytes(), title, |byte| byte == b'-')
        });
        found.push(start..end);
        from = end;
    }
}

/// Finds the user information of URLs, `user:password` in `scheme://user:password@host`. A name alone is no secret, unless
/// it is so long that it rather is a token.
pub(crate) fn find_userinfo(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    for (at, scheme) in text.match_indices("://") {
        let start = at + scheme.len();
        let end = end_of(bytes, start, |byte| !byte.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(&byte));
        let Some(length) = bytes[start..end].iter().rposition(|&byte| byte == b'@') else { continue };
        let user = &bytes[start..start + length];
        let pair = user.iter().position(|&byte| byte == b':').is_some_and(|colon| colon + 1 < user.len());
        if pair || user.len() >= 20 {
            found.push(start..start + length);
        }
    }
}
