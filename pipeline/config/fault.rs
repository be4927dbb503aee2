//! What is wrong with a configuration, and how it is shown.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use crate::Error;

/// How many faults are shown in full; a file with more has one cause more likely than many.
const SHOWN_MAX: usize = 20;

/// How much of a source line is shown, in characters.
const LINE_CHARS_MAX: usize = 160;

/// Where a fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line as it is to be shown: without control characters and secrets, cut if it is very long.
    source: String,
    /// What to underline of it, in characters from 0.
    underline: Range<usize>,
}

/// One mistake: what is wrong, where, what was expected and how to cure it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong: names the key, the value seen and the limit.
    pub message: String,
    /// Where; none if the file could not be read at all.
    pub place: Option<Place>,
    /// What was expected there.
    pub expected: Option<String>,
    /// The cure.
    pub help: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, expected: None, help: None }
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn render(&self, out: &mut String, paint: Paint) {
        let _ = writeln!(out, "{}{}", paint.red("error"), paint.bold(&format!(": {}", self.message)));
        let mut margin = String::new();
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            margin = " ".repeat(number.len());
            let bar = paint.blue("|");
            let arrow = paint.blue("-->");
            let _ = writeln!(out, "{margin}{arrow} {}:{}:{}", place.file, place.line, place.column);
            let _ = writeln!(out, "{margin} {bar}");
            let _ = writeln!(out, "{} {bar} {}", paint.blue(&number), place.source);
            let carets = "^".repeat(place.underline.len().max(1));
            let _ = writeln!(out, "{margin} {bar} {}{}", " ".repeat(place.underline.start), paint.red(&carets));
            if self.expected.is_some() || self.help.is_some() {
                let _ = writeln!(out, "{margin} {bar}");
            }
        }
        let equals = paint.blue("=");
        if let Some(expected) = &self.expected {
            let _ = writeln!(out, "{margin} {equals} expected {expected}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{margin} {equals} {} {help}", paint.bold("help:"));
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, at least one. They are put in the order of the file.
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.place.as_ref().map(|place| (place.line, place.column)));
        Self(faults)
    }

    /// The faults in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// The faults as a compiler would print them. Without `colour` it is plain text.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let mut out = String::new();
        for fault in self.0.iter().take(SHOWN_MAX) {
            fault.render(&mut out, paint);
            out.push('\n');
        }
        match self.0.len() {
            0 | 1 => {
                out.pop();
            }
            count if count > SHOWN_MAX => {
                let _ = writeln!(out, "error: {count} faults in the configuration; the first {SHOWN_MAX} are shown");
            }
            count => {
                let _ = writeln!(out, "error: {count} faults in the configuration");
            }
        }
        out
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        let text = faults.render(false);
        // Whoever prints an error says "error: " first.
        Error::config(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
    }
}

/// Finds the place of a range of bytes in a text.
pub(super) fn place(file: &str, text: &str, range: Range<usize>, secret: bool) -> Place {
    let start = floor_boundary(text, range.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let column = text[line_start..start].chars().count();
    let end = floor_boundary(text, range.end).clamp(start, line_end);
    let length = text[start..end].trim_end().chars().count();
    let hidden = if secret { line.find('=').map(|at| at + 1) } else { secret_start(text, line_start, line) };
    let (source, underline) = shown(line, column..column + length, hidden);
    Place {
        file: file.to_owned(),
        line: text[..line_start].matches('\n').count() + 1,
        column: column + 1,
        source,
        underline,
    }
}

/// What stands after the equals sign of the line at a place in the text, without a comment. None if there is no such
/// sign, or if it is a secret.
pub(super) fn value_on_line(text: &str, at: usize) -> Option<&str> {
    let at = floor_boundary(text, at);
    let line_start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next()?;
    if secret_start(text, line_start, line).is_some() {
        return None;
    }
    let (_, value) = line.split_once('=')?;
    Some(value.split('#').next().unwrap_or_default().trim())
}

/// The line as it is to be shown, and the underlined part of it. From `hidden` on, in bytes, it is not shown.
fn shown(line: &str, underline: Range<usize>, hidden: Option<usize>) -> (String, Range<usize>) {
    let mut chars: Vec<char> = line
        .chars()
        .map(|char| match char {
            '\t' => ' ',
            // Nothing that a file contains may reach the terminal as a command to it.
            control if control.is_control() => '\u{fffd}',
            other => other,
        })
        .collect();
    let (mut start, mut end) = (underline.start, underline.end);
    if let Some(hidden) = hidden {
        chars.truncate(line[..hidden].chars().count());
        chars.extend([' ', '…']);
        end = end.min(chars.len());
        start = start.min(chars.len() - 1);
    }
    if chars.len() > LINE_CHARS_MAX {
        let from = start.saturating_sub(LINE_CHARS_MAX / 2);
        let to = (from + LINE_CHARS_MAX).min(chars.len());
        let cut_after = to < chars.len();
        chars = chars[from.min(to)..to].to_vec();
        (start, end) = (start - from, end.saturating_sub(from).min(chars.len()));
        if from > 0 && !chars.is_empty() {
            chars[0] = '…';
        }
        if cut_after {
            chars.push('…');
        }
    }
    (chars.into_iter().collect::<String>().trim_end().to_owned(), start..end.max(start))
}

/// Where, in bytes of the line, a secret starts: after the equals sign (or whatever else divides it from its name) that
/// follows a name which sounds like a secret's. A line without a name of its own goes on with what is above it.
fn secret_start(text: &str, line_start: usize, line: &str) -> Option<usize> {
    if let Some(name) = secret_name(line) {
        return Some(line[name..].find(['=', ':', '"', '\'']).map_or(line.len(), |at| name + at + 1));
    }
    let divider = line.find(['=', '"', '\'', '[', '#']);
    let has_name = divider.is_some_and(|at| !line[at..].starts_with(['"', '\'']));
    if has_name {
        return None;
    }
    let above = text[..line_start].rfind('=').map(|at| text[..at].rfind('\n').map_or(0, |at| at + 1)..at);
    above.filter(|above| secret_name(&text[above.clone()]).is_some()).map(|_| 0)
}

/// Where a name that sounds like a secret's starts.
fn secret_name(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    ["secret", "_key", "password", "token"].iter().filter_map(|word| lower.find(word)).min()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Writes in colour, or does not.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn blue(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}
