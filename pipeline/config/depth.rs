//! Refuses keys of very many parts before the document is parsed.
//!
//! The parser limits brackets within brackets and the parts of a key, each for itself, to 80. One within the other they
//! make a tree thousands of levels deep, and dropping that overflows the stack of a thread.

use std::ops::Range;

/// How many dots a key may have. The tree is at most 80 times as deep.
const DOTS_MAX: usize = 15;

/// The first key that has too many parts.
pub(super) fn long_key(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut at, mut start, mut dots) = (0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'"' | b'\'' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'=' | b',' | b'{' | b'}' | b'[' | b']' | b'\n' => (start, dots) = (at + 1, 0),
            b'.' => dots += 1,
            _ => {}
        }
        at += 1;
        if dots > DOTS_MAX {
            return Some(start..at);
        }
    }
    None
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// Where the string ends that starts with the quote at `from`: after its last quote, or at the end of the line if it is
/// not closed.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let quote = bytes[from];
    let long = bytes[from..].starts_with(&[quote; 3]);
    let mut at = from + if long { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !long => return at,
            byte if byte == quote && !long => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_very_many_parts_is_found_where_it_stands() {
        let long = ".a".repeat(DOTS_MAX + 1);
        assert_eq!(long_key(&format!("x = 1\na{long} = 1")).map(|range| range.start), Some(6));
        assert!(long_key(&format!("[a{long}]")).is_some());
        assert!(long_key(&format!("x = {{ \"a\"{long} = 1 }}")).is_some());
        assert!(long_key(&format!("x = {{\n a{long} = 1 }}")).is_some());
        assert_eq!(long_key(&format!("a{} = 1", ".a".repeat(DOTS_MAX))), None);
    }

    #[test]
    fn dots_in_texts_and_comments_are_not_parts_of_keys() {
        let dots = ".".repeat(100);
        for text in [
            format!("# {dots}"),
            format!("x = \"{dots}\""),
            format!("x = \"\\\"{dots}\""),
            format!("x = '{dots}'"),
            format!("x = '''\n'{dots}''' # {dots}"),
            format!("x = \"\"\"\n\"{dots}\"\"\""),
            format!("x = \"unclosed {dots}\ny = 1"),
        ] {
            assert_eq!(long_key(&text), None, "{text}");
        }
        assert_eq!(long_key(&"x = [1.5, 2.5]\n".repeat(100)), None);
    }
}
