//! Percent-encoding: `user%40example.com` is an email address, and so is `user%2540example.com`.

/// A text whose percent-encoding is undone, and where each of its bytes came from.
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// For each byte of `text`, and for its end, the place in the original.
    origin: Vec<usize>,
}

/// Encoded how many times at most.
const ROUNDS: usize = 3;

impl Decoded {
    /// Undoes the encoding of printable ASCII; `None` where there is none.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut decoded = Self::once(text, |at| at)?;
        for _ in 1..ROUNDS {
            match Self::once(&decoded.text, |at| decoded.origin[at]) {
                Some(again) => decoded = again,
                None => break,
            }
        }
        Some(decoded)
    }

    /// The place in the original of a place in the decoded text.
    pub(crate) fn origin(&self, at: usize) -> usize {
        self.origin[at]
    }

    fn once(text: &str, place: impl Fn(usize) -> usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let first = (0..bytes.len()).find(|&at| escaped(bytes, at).is_some())?;
        let mut decoded = Self { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len() + 1) };
        decoded.text.push_str(&text[..first]);
        decoded.origin.extend((0..first).map(&place));
        let mut rest = text[first..].char_indices();
        while let Some((offset, character)) = rest.next() {
            let at = first + offset;
            match escaped(bytes, at) {
                Some(byte) => {
                    decoded.text.push(char::from(byte));
                    decoded.origin.push(place(at));
                    rest.nth(1);
                }
                None => {
                    decoded.text.push(character);
                    decoded.origin.extend((at..at + character.len_utf8()).map(&place));
                }
            }
        }
        decoded.origin.push(place(text.len()));
        Some(decoded)
    }
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let &[b'%', high, low] = bytes.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    matches!(byte, b' '..=b'~').then_some(byte)
}
