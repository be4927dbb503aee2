//! The scanner: where a text is read, and what is there.

use std::borrow::Cow;

use serde::de::{self, Expected, Unexpected};

use super::Fault;

/// How deep values may lie in each other.
const DEPTH_MAX: u32 = 128;

/// A text that is read from its beginning to its end.
pub(super) struct Scanner<'de> {
    text: &'de str,
    at: usize,
    depth: u32,
}

/// A number, whole where it is written so and fits.
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl<'de> Scanner<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The byte that is read, 0 behind the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The first byte of what is next, 0 where nothing is.
    #[inline(never)]
    pub(super) fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    #[cold]
    fn wrong(&self, expected: &str) -> Fault {
        match self.text[self.at..].chars().next() {
            Some(found) => Fault::new(&format!("no JSON: expected {expected}, found {found:?} at byte {}", self.at)),
            None => Fault::new(&format!("no JSON: expected {expected}, found the end")),
        }
    }

    /// Takes this word, if it is there.
    fn word(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.peek();
        if self.at < self.text.len() { Err(self.wrong("the end")) } else { Ok(()) }
    }

    #[inline(never)]
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        let found = self.word("true");
        if found || self.word("false") { Ok(found) } else { Err(self.wrong("true or false")) }
    }

    /// Takes `null`, if it is next.
    #[inline(never)]
    pub(super) fn null(&mut self) -> Result<bool, Fault> {
        if self.peek() != b'n' {
            return Ok(false);
        }
        if self.word("null") { Ok(true) } else { Err(self.wrong("null")) }
    }

    pub(super) fn at_number(&mut self) -> bool {
        matches!(self.peek(), b'-' | b'0'..=b'9')
    }

    /// Digits from here on, at least one.
    fn some_digits(&mut self) -> Result<(), Fault> {
        if !self.byte().is_ascii_digit() {
            return Err(self.wrong("a digit"));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    /// The text of the whole part of a number.
    pub(super) fn digits(&mut self) -> Result<&'de str, Fault> {
        let start = self.at;
        self.word("-");
        // No digit follows a zero.
        if !self.word("0") {
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    #[inline(never)]
    pub(super) fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        let digits = self.digits()?;
        if !matches!(self.byte(), b'.' | b'e' | b'E') {
            if let Ok(value) = digits.parse() {
                return Ok(Number::Unsigned(value));
            }
            match digits.parse::<i64>() {
                // There is no whole -0.
                Ok(value) if value < 0 => return Ok(Number::Signed(value)),
                _ => {}
            }
        }
        if self.word(".") {
            self.some_digits()?;
        }
        if self.word("e") || self.word("E") {
            let _ = self.word("+") || self.word("-");
            self.some_digits()?;
        }
        let text = &self.text[start..self.at];
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Number::Float(value)),
            _ => Err(Fault::new(&format!("{text}: a number out of range"))),
        }
    }

    #[inline(never)]
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Fault> {
        let whole = self.text;
        let mut text = Cow::Borrowed("");
        self.at += 1;
        loop {
            let start = self.at;
            while !matches!(self.byte(), b'"' | b'\\' | 0..0x20) {
                self.at += 1;
            }
            text += &whole[start..self.at];
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => {
                    self.at += 1;
                    text.to_mut().push(self.escaped()?);
                }
                _ => return Err(self.wrong("the rest of a string")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let letter = match self.byte() {
            letter @ (b'"' | b'\\' | b'/') => letter.into(),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.escaped_unit();
            }
            _ => return Err(self.wrong("an escape")),
        };
        self.at += 1;
        Ok(letter)
    }

    /// A character as one unit of UTF-16, or two.
    fn escaped_unit(&mut self) -> Result<char, Fault> {
        let first = self.hex()?;
        let units = match first {
            0xD800..0xDC00 if self.word("\\u") => [first, self.hex()?],
            _ => [first, 0],
        };
        match char::decode_utf16(units).next() {
            Some(Ok(letter)) => Ok(letter),
            _ => Err(self.wrong("the other half of a character")),
        }
    }

    fn hex(&mut self) -> Result<u16, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.ok_or_else(|| self.wrong("four hexadecimal digits"))?;
        self.at += 4;
        Ok(digits.iter().fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0) as u16))
    }

    /// Enters an array or object.
    pub(super) fn open(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new("nested too deeply: 128 levels are allowed"));
        }
        Ok(())
    }

    /// Leaves an array or object that nothing is left of.
    #[inline(never)]
    pub(super) fn close(&mut self, bracket: u8) -> Result<(), Fault> {
        if self.peek() != bracket {
            return Err(self.wrong(if bracket == b']' { "]" } else { "}" }));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Whether there is another item of an array, of which so many were read.
    #[inline(never)]
    pub(super) fn item(&mut self, index: usize) -> Result<bool, Fault> {
        self.another(index, b']')
    }

    fn another(&mut self, index: usize, bracket: u8) -> Result<bool, Fault> {
        if self.peek() == bracket {
            return Ok(false);
        }
        if index > 0 {
            if !self.word(",") {
                return Err(self.wrong("a comma"));
            }
            if self.peek() == bracket {
                return Err(self.wrong("a value"));
            }
        }
        Ok(true)
    }

    /// The key of the next field of an object, of which so many were read.
    #[inline(never)]
    pub(super) fn key(&mut self, index: usize) -> Result<Option<String>, Fault> {
        if !self.another(index, b'}')? {
            return Ok(None);
        }
        if self.byte() != b'"' {
            return Err(self.wrong("a key"));
        }
        let key = self.string()?.into_owned();
        if self.peek() != b':' {
            return Err(self.wrong("a colon"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Passes over the next value.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b't' | b'f' => self.boolean().map(|_| ()),
            b'n' => self.null().map(|_| ()),
            b'[' => {
                self.open()?;
                for index in 0.. {
                    if !self.item(index)? {
                        break;
                    }
                    self.skip()?;
                }
                self.close(b']')
            }
            b'{' => {
                self.open()?;
                for index in 0.. {
                    if self.key(index)?.is_none() {
                        break;
                    }
                    self.skip()?;
                }
                self.close(b'}')
            }
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            _ => Err(self.wrong("a value")),
        }
    }

    /// What is said of the next value where another kind is expected.
    #[cold]
    #[inline(never)]
    pub(super) fn unexpected(&mut self, expected: &dyn Expected) -> Fault {
        let kind = |seen: Unexpected<'_>| de::Error::invalid_type(seen, expected);
        let said = match self.peek() {
            b'"' => self.string().map(|text| kind(Unexpected::Str(&text))),
            b't' | b'f' => self.boolean().map(|value| kind(Unexpected::Bool(value))),
            b'n' => self.null().map(|_| kind(Unexpected::Unit)),
            b'[' => Ok(kind(Unexpected::Seq)),
            b'{' => Ok(kind(Unexpected::Map)),
            b'-' | b'0'..=b'9' => self.number().map(|number| match number {
                Number::Unsigned(value) => kind(Unexpected::Unsigned(value)),
                Number::Signed(value) => kind(Unexpected::Signed(value)),
                Number::Float(value) => kind(Unexpected::Float(value)),
            }),
            _ => Err(self.wrong("a value")),
        };
        said.unwrap_or_else(|fault| fault)
    }
}
