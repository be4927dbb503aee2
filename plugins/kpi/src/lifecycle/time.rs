//! Times as RFC 3339 text.

const DAY_S: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// The time that RFC 3339 text says, in nanoseconds since 1970; digits beyond nanoseconds are cut off.
///
/// # Errors
///
/// What is wrong with the text. Leap seconds are refused, for Unix time has none.
pub(crate) fn parse_time(text: &str) -> Result<i64, &'static str> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return Err("there is no such day");
    }
    literal(&mut rest, b"Tt ")?;
    let hour = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let second = digits(&mut rest, 2)?;
    if second == 60 {
        return Err("leap seconds have no Unix time");
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err("there is no such time of day");
    }
    let fraction = fraction(&mut rest)?;
    let offset = offset(&mut rest)?;
    if !rest.is_empty() {
        return Err("there is more behind the time");
    }
    let seconds = days_since_1970(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset;
    let nanoseconds = seconds.checked_mul(SECOND_NS).and_then(|nanoseconds| nanoseconds.checked_add(fraction));
    nanoseconds.ok_or("it is not between the years 1678 and 2262")
}

const NOT_RFC_3339: &str = "it is not RFC 3339 (2026-01-31T10:00:00Z)";

fn literal(rest: &mut &[u8], one_of: &[u8]) -> Result<(), &'static str> {
    let (first, after) = rest.split_first().ok_or(NOT_RFC_3339)?;
    *rest = after;
    if one_of.contains(first) { Ok(()) } else { Err(NOT_RFC_3339) }
}

fn digits(rest: &mut &[u8], count: usize) -> Result<i64, &'static str> {
    let (number, after) = rest.split_at_checked(count).ok_or(NOT_RFC_3339)?;
    *rest = after;
    number.iter().try_fold(0, |value, byte| match byte {
        b'0'..=b'9' => Ok(value * 10 + i64::from(byte - b'0')),
        _ => Err(NOT_RFC_3339),
    })
}

fn fraction(rest: &mut &[u8]) -> Result<i64, &'static str> {
    if rest.first() != Some(&b'.') {
        return Ok(0);
    }
    literal(rest, b".")?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at_checked(count).filter(|_| count > 0).ok_or(NOT_RFC_3339)?;
    *rest = after;
    let padded = number.iter().copied().chain(std::iter::repeat(b'0'));
    Ok(padded.take(9).fold(0, |value, byte| value * 10 + i64::from(byte - b'0')))
}

fn offset(rest: &mut &[u8]) -> Result<i64, &'static str> {
    let sign = match rest.first() {
        Some(b'Z' | b'z') => return literal(rest, b"Zz").map(|()| 0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err("its offset is missing (Z or +01:00)"),
    };
    literal(rest, b"+-")?;
    let hours = digits(rest, 2)?;
    literal(rest, b":")?;
    let minutes = digits(rest, 2)?;
    if hours > 23 || minutes > 59 {
        return Err("there is no such offset");
    }
    Ok(sign * (hours * 3600 + minutes * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`: years are counted from March, so that the leap day is their last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_nanoseconds_since_1970() {
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse_time("2026-01-31T10:00:00Z"), Ok(1_769_853_600_000_000_000));
        assert_eq!(parse_time("2000-02-29t23:59:59z"), Ok(951_868_799_000_000_000));
        assert_eq!(parse_time("1969-12-31 23:59:59Z"), Ok(-1_000_000_000));
    }

    #[test]
    fn an_offset_is_taken_off() {
        let utc = parse_time("2026-01-31T10:00:00Z");
        assert_eq!(parse_time("2026-01-31T11:00:00+01:00"), utc);
        assert_eq!(parse_time("2026-01-31T00:15:00-09:45"), utc);
        assert_eq!(parse_time("2026-02-01T05:30:00+19:30"), utc);
        assert_eq!(parse_time("2026-01-31T10:00:00-00:00"), utc);
    }

    #[test]
    fn a_fraction_has_any_number_of_digits_and_is_cut_off_at_nanoseconds() {
        let second = |nanoseconds: i64| Ok(1_000_000_000 + nanoseconds);
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z"), second(500_000_000));
        assert_eq!(parse_time("1970-01-01T00:00:01.000000001Z"), second(1));
        assert_eq!(parse_time("1970-01-01T00:00:01.9999999999999+00:00"), second(999_999_999));
        assert!(parse_time("1970-01-01T00:00:01.Z").is_err());
    }

    #[test]
    fn a_leap_second_is_refused() {
        assert_eq!(parse_time("2016-12-31T23:59:60Z"), Err("leap seconds have no Unix time"));
    }

    #[test]
    fn a_day_that_the_calendar_does_not_have_is_refused() {
        for day in ["2026-02-29", "1900-02-29", "2026-00-01", "2026-13-01", "2026-04-31", "2026-01-00"] {
            assert_eq!(parse_time(&format!("{day}T00:00:00Z")), Err("there is no such day"), "{day}");
        }
        assert!(parse_time("2024-02-29T00:00:00Z").is_ok());
    }

    #[test]
    fn a_time_out_of_range_is_refused() {
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1600-01-01T00:00:00Z"] {
            assert_eq!(parse_time(text), Err("it is not between the years 1678 and 2262"), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        let wrong = [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T10:00:00",
            "2026-01-31T10:00Z",
            "2026-1-31T10:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T10:60:00Z",
            "2026-01-31T10:00:61Z",
            "2026-01-31T10:00:00+0100",
            "2026-01-31T10:00:00+24:00",
            "2026-01-31T10:00:00+01:60",
            "2026-01-31T10:00:00Z ",
            "+026-01-31T10:00:00Z",
            "2026-01-31T10:00:00é",
            "２026-01-31T10:00:00Z",
        ];
        for text in wrong {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = days_since_1970(1800, 1, 1);
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }
}
