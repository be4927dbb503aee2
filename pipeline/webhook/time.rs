//! Times as tools write them: RFC 3339.

/// The length of a date and time to the second, `2026-01-02T03:04:05`.
const TO_THE_SECOND: usize = 19;

/// Nanoseconds since 1970 of a time in RFC 3339; none if it is not one, is before 1970 or after 2262.
///
/// More than nine digits of a second are cut. An offset may lack its colon, as Jira's does. A leap second is the first
/// second of the next minute.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (head, rest) = text.split_at_checked(TO_THE_SECOND)?;
    let bytes = head.as_bytes();
    let separated = |at: usize, of: &[u8]| bytes.get(at).is_some_and(|byte| of.contains(byte));
    if !(separated(4, b"-")
        && separated(7, b"-")
        && separated(10, b"Tt ")
        && separated(13, b":")
        && separated(16, b":"))
    {
        return None;
    }
    let part = |from: usize, to: usize| digits(head.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ns, offset) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let seconds = days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second - offset_seconds(offset)?;
    let ns = seconds.checked_mul(1_000_000_000)?.checked_add(fraction_ns)?;
    u64::try_from(ns).ok()
}

/// Whether it is the time that Go writes where there is none.
pub(super) fn is_zero(text: &str) -> bool {
    text.starts_with("0001-01-01T00:00:00")
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The nanoseconds that the digits after the point are, and what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (fraction, rest) = text.split_at(end);
    let nine = &fraction[..fraction.len().min(9)];
    Some((digits(nine)? * 10_i64.pow(9 - u32::try_from(nine.len()).ok()?), rest))
}

fn offset_seconds(text: &str) -> Option<i64> {
    if text == "Z" || text == "z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_at_checked(2)?;
    let (hours, minutes) = (digits(hours)?, digits(minutes.strip_prefix(':').unwrap_or(minutes))?);
    (rest.len() <= 5 && rest.len() >= 4 && hours <= 23 && minutes <= 59)
        .then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the day that is not always there is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339_are_read() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2020-10-02T18:45:22.169Z", 1_601_664_322_169_000_000),
            ("2021-10-12T09:51:03.157076+02:00", 1_634_025_063_157_076_000),
            ("2021-10-12T07:51:03.157076Z", 1_634_025_063_157_076_000),
            ("2022-10-06T05:37:01.388057811Z", 1_665_034_621_388_057_811),
            ("2022-10-06 05:37:01.38805781199z", 1_665_034_621_388_057_811),
            ("2024-02-29t23:59:59-00:00", 1_709_251_199_000_000_000),
            ("2000-02-29T12:00:00-0530", 951_845_400_000_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2020-10-02",
            "2020-10-02T18:45:22",
            "2020-10-02T18:45Z",
            "2020-13-02T18:45:22Z",
            "2020-00-02T18:45:22Z",
            "2021-02-29T18:45:22Z",
            "1900-02-29T18:45:22Z",
            "2020-10-00T18:45:22Z",
            "2020-10-02T24:00:00Z",
            "2020-10-02T18:60:22Z",
            "2020-10-02T18:45:22.Z",
            "2020-10-02T18:45:22.5",
            "2020-10-02T18:45:22+",
            "2020-10-02T18:45:22+1",
            "2020-10-02T18:45:22+25:00",
            "2020-10-02T18:45:22+01:00 ",
            "2020-10-02T18:45:22+01:",
            "2020-10-02T+8:45:22Z",
            "２020-10-02T18:45:22Z",
            "1969-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            "2262-04-11T23:47:16.854775808Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before_it() {
        let mut expected = days(1970, 1, 1);
        assert_eq!(expected, Some(0));
        for year in 1970..2370 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(found) = days(year, month, day) else { continue };
                    assert_eq!(Some(found), expected, "{year}-{month}-{day}");
                    expected = Some(found + 1);
                }
            }
        }
        assert_eq!(expected, Some(146_097), "four centuries have that many days");
    }
}
