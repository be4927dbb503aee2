//! Email addresses: `local@domain.tld`.

use super::Span;

/// Finds addresses. `userinfos` are the ends of the user information of URLs, ascending: the `@` after one is no address.
pub(crate) fn find(text: &str, userinfos: &[usize], found: &mut Vec<Span>) {
    for (at, _) in text.match_indices('@') {
        if userinfos.binary_search(&at).is_ok() {
            continue;
        }
        if let (Some(start), Some(end)) = (local_start(text, at), domain_end(text, at + 1)) {
            found.push(start..end);
        }
    }
}

/// Where the local part that ends at `at` starts.
fn local_start(text: &str, at: usize) -> Option<usize> {
    let before = &text[..at];
    if let Some(quoted) = before.strip_suffix('"') {
        // `"john smith"@example.com`; RFC 5321 allows 64 bytes.
        let start = quoted.rfind(['"', '@'])?;
        return (quoted[start..].starts_with('"') && at - start <= 66 && start + 2 < at).then_some(start);
    }
    let start = before.rfind(|character| !is_local(character)).map_or(0, |last| last + width(before, last));
    let trimmed =
        before[start..].trim_start_matches(|character: char| !character.is_alphanumeric() && character != '_');
    (!trimmed.is_empty()).then_some(at - trimmed.len())
}

fn width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

/// `/`, `=`, `?`, `&`, `{`, `|`, `}` and `` ` `` may stand in an address, too, but in telemetry they stand before one.
fn is_local(character: char) -> bool {
    character.is_alphanumeric() || "._+-'!#$*^~%".contains(character)
}

/// Where the domain that starts at `start` ends: two labels or more, the last one of letters or punycode.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..];
    let rest = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '.').unwrap_or(rest.len())];
    let mut at = start;
    let mut end = None;
    for (index, label) in rest.split('.').enumerate() {
        let name = label.trim_end_matches('-');
        if name.is_empty() {
            break;
        }
        if index > 0 && is_top_level(name) {
            end = Some(at + name.len());
        }
        if name.len() < label.len() {
            break;
        }
        at += label.len() + 1;
    }
    end
}

fn is_top_level(label: &str) -> bool {
    let letters = label.chars().all(char::is_alphabetic) && label.chars().nth(1).is_some();
    letters || label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}
