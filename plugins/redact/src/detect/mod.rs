//! The detectors: each finds one kind of secret in a text, in time linear in its length.
//!
//! They see texts whose percent-encoding is undone. What they find starts and ends at ASCII characters or at the ends
//! of whole words, so that replacing it leaves valid UTF-8.

pub(crate) mod card;
pub(crate) mod email;
pub(crate) mod ip;
pub(crate) mod pairs;
pub(crate) mod token;

use std::ops::Range;

/// Where in a text something was found.
pub(crate) type Span = Range<usize>;

/// What a text holds, by which most texts are known to be clean after one cheap pass.
#[derive(Clone, Copy, Default)]
pub(crate) struct Signs {
    pub(crate) digits: usize,
    pub(crate) dots: usize,
    pub(crate) colons: usize,
    pub(crate) at: bool,
    pub(crate) equals: bool,
    pub(crate) percent: bool,
}

impl Signs {
    pub(crate) fn of(text: &str) -> Self {
        let mut counts = [0usize; 8];
        for byte in text.bytes() {
            counts[CLASS[byte as usize] as usize & 7] += 1;
        }
        Self {
            digits: counts[1],
            dots: counts[2],
            colons: counts[3],
            at: counts[4] > 0,
            equals: counts[5] > 0,
            percent: counts[6] > 0,
        }
    }
}

/// The class of each byte: an index of the counts in [`Signs::of`].
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        class[digit as usize] = 1;
        digit += 1;
    }
    class[b'.' as usize] = 2;
    class[b':' as usize] = 3;
    class[b'@' as usize] = 4;
    class[b'=' as usize] = 5;
    class[b'%' as usize] = 6;
    class
};

/// The byte before `at`, if any.
fn before(bytes: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|at| bytes.get(at)).copied()
}

/// Where the bytes from `from` on that satisfy `test` end.
fn end_of(bytes: &[u8], from: usize, test: impl Fn(u8) -> bool) -> usize {
    let from = from.min(bytes.len());
    bytes[from..].iter().position(|&byte| !test(byte)).map_or(bytes.len(), |length| from + length)
}

/// Where the bytes before `to` that satisfy `test` start.
fn start_of(bytes: &[u8], to: usize, test: impl Fn(u8) -> bool) -> usize {
    let to = to.min(bytes.len());
    bytes[..to].iter().rposition(|&byte| !test(byte)).map_or(0, |last| last + 1)
}
