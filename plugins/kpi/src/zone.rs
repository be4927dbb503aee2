//! Time zones: how far local clocks are from UTC, and when a local day begins.
//!
//! There is no table of zones here, so a zone is told by its rule as POSIX writes it (`CET-1CEST,M3.5.0,M10.5.0/3`): it
//! holds for every zone as it is today.

/// Seconds.
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// Hours nest in days if clocks are moved by whole ones, and slots if zones differ by quarters.
const QUARTER: i64 = 15 * MINUTE;

/// How far a zone may be from UTC, and its summer from its winter.
const OFFSET_MAX: i64 = 15 * HOUR;
const SHIFT_MAX: i64 = 3 * HOUR;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// Standard time: seconds east of UTC.
    standard: i64,
    summer: Option<Summer>,
}

/// Daylight saving time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    /// Seconds east of UTC.
    offset: i64,
    /// When it begins and ends.
    from: Change,
    to: Change,
}

/// When clocks are moved: a day of the year, and seconds of that day by the clocks before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: YearDay,
    time: i64,
}

/// A day of each year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum YearDay {
    /// `M3.5.0`: the month, which of its weeks (5: the last), the weekday (0: Sunday).
    Week(i64, i64, i64),
    /// `J60`: 1 to 365, February 29 is never counted.
    NoLeap(i64),
    /// `59`: 0 to 365, February 29 is counted.
    Counted(i64),
}

impl YearDay {
    /// Days since 1970.
    fn of(self, year: i64) -> i64 {
        match self {
            Self::Week(month, week, weekday) => {
                let first = days(year, month, 1);
                // 1970-01-01 was a Thursday.
                let day = first + (weekday - (first + 4)).rem_euclid(7) + 7 * (week - 1);
                let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
                if day >= next { day - 7 } else { day }
            }
            Self::NoLeap(day) => {
                let leap = days(year, 3, 1) - days(year, 2, 1) == 29;
                days(year, 1, 1) + day - 1 + i64::from(leap && day >= 60)
            }
            Self::Counted(day) => days(year, 1, 1) + day,
        }
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that leap days end them.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

impl Zone {
    /// Reads `UTC`, `+05:30` or a rule.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "UTC" {
            return Ok(Self { standard: 0, summer: None });
        }
        let zone = if text.starts_with(['+', '-']) { fixed(text) } else { rule(text) };
        let Some(zone) = zone else {
            let hint = if text.contains('/') && !text.contains(',') {
                "names are not known here; the last line of the zone's file in /usr/share/zoneinfo is its rule: "
            } else {
                ""
            };
            return Err(format!(
                "\"{text}\", expected UTC, an offset (+05:30) or a rule as of POSIX TZ: {hint}CET-1CEST,M3.5.0,M10.5.0/3"
            ));
        };
        let whole = |seconds: i64, of: i64| seconds % of == 0;
        if !whole(zone.standard, QUARTER) || zone.standard.abs() > OFFSET_MAX {
            return Err(format!("\"{text}\", expected quarters of an hour from UTC, at most {} h", OFFSET_MAX / HOUR));
        }
        let shift = zone.summer.as_ref().map_or(0, |summer| summer.offset - zone.standard);
        if !whole(shift, HOUR) || shift.abs() > SHIFT_MAX {
            let most = SHIFT_MAX / HOUR;
            return Err(format!("\"{text}\", expected clocks that are moved by whole hours, at most {most}"));
        }
        Ok(zone)
    }

    /// Seconds by which local hours begin after those of UTC.
    pub(crate) fn hour_offset(&self) -> i64 {
        (-self.standard).rem_euclid(HOUR)
    }

    /// The last change of clocks up to a time (seconds since 1970), and the offset that holds since.
    fn since(&self, time: i64) -> (i64, i64) {
        let Some(summer) = &self.summer else { return (i64::MIN, self.standard) };
        // A year has 365.2425 days; those beside it are looked at as well.
        let year = 1970 + time.div_euclid(31_556_952);
        let changes = (year - 2..=year + 1).flat_map(|year| {
            let at = |change: Change, offset: i64| change.day.of(year) * DAY + change.time - offset;
            // Where one ends as the next begins (summer time all year), it goes on.
            [(at(summer.to, summer.offset), 0, self.standard), (at(summer.from, self.standard), 1, summer.offset)]
        });
        let last = changes.filter(|(at, ..)| *at <= time).max();
        last.map_or((i64::MIN, self.standard), |(at, _, offset)| (at, offset))
    }

    /// When a local date (days since 1970) begins: its midnight, the first if there are two, or where midnight is skipped the
    /// time of that change.
    fn begin(&self, date: i64) -> i64 {
        let summer = self.summer.as_ref().map_or(self.standard, |summer| summer.offset);
        let midnights = [self.standard, summer].map(|offset| (date * DAY - offset, offset));
        let real = midnights.into_iter().filter(|(at, offset)| self.since(*at).1 == *offset).map(|(at, _)| at).min();
        real.unwrap_or_else(|| {
            let change = self.since(date * DAY - self.standard).0;
            (change - self.hour_offset()).div_euclid(HOUR) * HOUR + self.hour_offset()
        })
    }

    /// The local day that a time (seconds since 1970) lies in, from and to.
    pub(crate) fn day(&self, time: i64) -> (i64, i64) {
        let date = (time + self.standard).div_euclid(DAY);
        let begins = (date - 1..=date + 2).map(|date| self.begin(date));
        let (mut from, mut to) = (i64::MIN, i64::MAX);
        for begin in begins {
            if begin <= time {
                from = from.max(begin);
            } else {
                to = to.min(begin);
            }
        }
        (from, to)
    }
}

/// `+05:30`
fn fixed(text: &str) -> Option<Zone> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2 && !text.starts_with(['+', '-']));
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|minutes| *minutes < 60)?);
    let offset = hours * HOUR + minutes * MINUTE;
    Some(Zone { standard: if sign == "-" { -offset } else { offset }, summer: None })
}

/// `CET-1CEST,M3.5.0,M10.5.0/3`: what is east of UTC has a minus there.
fn rule(text: &str) -> Option<Zone> {
    let (standard, rest) = clock(name(text)?)?;
    if rest.is_empty() {
        return Some(Zone { standard: -standard, summer: None });
    }
    let rest = name(rest)?;
    let (offset, rest) = if rest.starts_with(',') { (standard - HOUR, rest) } else { clock(rest)? };
    let (from, rest) = change(rest.strip_prefix(',')?)?;
    let (to, rest) = change(rest.strip_prefix(',')?)?;
    rest.is_empty().then_some(Zone { standard: -standard, summer: Some(Summer { offset: -offset, from, to }) })
}

/// The name of a clock, `CET` or `<+03>`; gives what follows.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        let (name, rest) = quoted.split_once('>')?;
        let right = name.len() >= 3 && name.chars().all(|of| of.is_ascii_alphanumeric() || "+-".contains(of));
        return right.then_some(rest);
    }
    let end = text.find(|of: char| !of.is_ascii_alphabetic()).unwrap_or(text.len());
    if end >= 3 { text.get(end..) } else { None }
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, mut rest) = number(text, 167)?;
    let mut seconds = hours * HOUR;
    for unit in [MINUTE, 1] {
        let Some(more) = rest.strip_prefix(':') else { break };
        let (value, left) = number(more, 59)?;
        seconds += value * unit;
        rest = left;
    }
    Some((sign * seconds, rest))
}

fn number(text: &str, most: i64) -> Option<(i64, &str)> {
    let end = text.find(|of: char| !of.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let value = digits.parse().ok().filter(|value| *value <= most && digits.len() <= 3)?;
    Some((value, rest))
}

/// `M3.5.0/2`; two o'clock where no time is said.
fn change(text: &str) -> Option<(Change, &str)> {
    let (day, rest) = if let Some(rest) = text.strip_prefix('M') {
        let (month, rest) = number(rest, 12)?;
        let (week, rest) = number(rest.strip_prefix('.')?, 5)?;
        let (weekday, rest) = number(rest.strip_prefix('.')?, 6)?;
        ((month >= 1 && week >= 1).then_some(YearDay::Week(month, week, weekday))?, rest)
    } else if let Some(rest) = text.strip_prefix('J') {
        let (day, rest) = number(rest, 365)?;
        ((day >= 1).then_some(YearDay::NoLeap(day))?, rest)
    } else {
        let (day, rest) = number(text, 365)?;
        (YearDay::Counted(day), rest)
    };
    let (time, rest) = match rest.strip_prefix('/') {
        Some(rest) => clock(rest)?,
        None => (2 * HOUR, rest),
    };
    Some((Change { day, time }, rest))
}

#[cfg(test)]
mod tests;
