//! Zones as they are, against what their clocks show.

use super::*;

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn zone(text: &str) -> Zone {
    Zone::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Seconds since 1970 of a time in UTC.
fn utc(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> i64 {
    days(year, month, day) * DAY + hour * HOUR + minute * MINUTE
}

/// Checks that the day of that time begins there and lasts so many hours, to its first and last second.
#[track_caller]
fn lasts(zone: &Zone, begin: i64, hours: i64) {
    let day = (begin, begin + hours * HOUR);
    for time in [begin, begin + 1, begin + 12 * HOUR, day.1 - 1] {
        assert_eq!(zone.day(time), day, "{}", time - begin);
    }
    assert_eq!(zone.day(begin - 1).1, begin);
    assert_eq!(zone.day(day.1).0, day.1);
}

#[test]
fn a_date_has_its_number() {
    assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(2026, 3, 3)), (0, 11_016, 20_515));
    assert_eq!(days(2100, 3, 1) - days(2100, 2, 1), 28);
}

#[test]
fn a_fixed_offset_moves_midnight() {
    lasts(&zone("UTC"), utc(2026, 3, 3, 0, 0), 24);
    lasts(&zone("+05:30"), utc(2026, 3, 2, 18, 30), 24);
    lasts(&zone("-03:00"), utc(2026, 3, 3, 3, 0), 24);
    lasts(&zone("<+0545>-5:45"), utc(2026, 3, 2, 18, 15), 24);
}

#[test]
fn days_on_which_clocks_are_moved_have_an_hour_less_or_more() {
    let berlin = zone(BERLIN);
    lasts(&berlin, utc(2026, 3, 27, 23, 0), 24);
    lasts(&berlin, utc(2026, 3, 28, 23, 0), 23);
    lasts(&berlin, utc(2026, 3, 29, 22, 0), 24);
    lasts(&berlin, utc(2026, 10, 24, 22, 0), 25);
    lasts(&berlin, utc(2026, 10, 25, 23, 0), 24);
    let new_york = zone("EST5EDT,M3.2.0,M11.1.0");
    lasts(&new_york, utc(2026, 3, 8, 5, 0), 23);
    lasts(&new_york, utc(2026, 11, 1, 4, 0), 25);
}

#[test]
fn in_the_south_summer_spans_the_new_year() {
    let sydney = zone("AEST-10AEDT,M10.1.0,M4.1.0/3");
    lasts(&sydney, utc(2026, 4, 4, 13, 0), 25);
    lasts(&sydney, utc(2026, 6, 30, 14, 0), 24);
    lasts(&sydney, utc(2026, 10, 3, 14, 0), 23);
    lasts(&sydney, utc(2026, 12, 31, 13, 0), 24);
    let chatham = zone("<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45");
    lasts(&chatham, utc(2026, 4, 4, 10, 15), 25);
    lasts(&chatham, utc(2026, 9, 26, 11, 15), 23);
}

#[test]
fn where_midnight_is_skipped_or_comes_twice_the_day_begins_once() {
    // Clocks go from 0:00 to 1:00 in spring, and from 0:00 back to 23:00 in autumn.
    let beirut = zone("EET-2EEST,M3.5.0/0,M10.5.0/0");
    lasts(&beirut, utc(2026, 3, 28, 22, 0), 23);
    lasts(&beirut, utc(2026, 10, 23, 21, 0), 25);
    lasts(&beirut, utc(2026, 10, 24, 22, 0), 24);
    // And from 1:00 to 0:00.
    let havana = zone("CST5CDT,M3.2.0/0,M11.1.0/1");
    lasts(&havana, utc(2026, 11, 1, 4, 0), 25);
    // Changes on the evening before, and two days after.
    let nuuk = zone("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
    lasts(&nuuk, utc(2026, 3, 28, 2, 0), 23);
    let gaza = zone("EET-2EEST,M3.4.4/50,M10.4.4/50");
    lasts(&gaza, utc(2026, 3, 27, 22, 0), 23);
}

#[test]
fn winter_time_can_be_the_one_that_is_saved_and_summer_can_be_all_year() {
    // Ireland's standard time is that of summer.
    let dublin = zone("IST-1GMT0,M10.5.0,M3.5.0/1");
    lasts(&dublin, utc(2026, 3, 29, 0, 0), 23);
    lasts(&dublin, utc(2026, 10, 24, 23, 0), 25);
    let always = zone("EST5EDT,0/0,J365/25");
    for date in days(2026, 12, 20)..days(2027, 1, 10) {
        lasts(&always, date * DAY + 4 * HOUR, 24);
    }
}

#[test]
fn days_follow_each_other_without_gap_over_decades() {
    for rule in [BERLIN, "EET-2EEST,M3.5.0/0,M10.5.0/0", "AEST-10AEDT,M10.1.0,M4.1.0/3", "EST5EDT,J60,J300/1"] {
        let zone = zone(rule);
        let (mut from, mut to) = zone.day(0);
        let mut lengths = std::collections::BTreeMap::new();
        while to < 80 * 366 * DAY {
            *lengths.entry((to - from) / HOUR).or_insert(0) += 1;
            let next = zone.day(to);
            assert_eq!(next.0, to, "{rule}");
            assert_eq!((to - zone.hour_offset()) % HOUR, 0, "{rule}");
            (from, to) = next;
        }
        assert!(lengths.keys().eq(&[23, 24, 25]) && lengths[&23] >= 80 && lengths[&25] >= 80, "{rule}: {lengths:?}");
    }
}

#[test]
fn what_is_no_zone_says_what_is_expected() {
    for text in ["", "CE-1", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "+5:30", "CET-1,x"] {
        let error = Zone::parse(text).expect_err(text);
        assert!(error.contains("CET-1CEST,M3.5.0,M10.5.0/3"), "{error}");
    }
    let error = Zone::parse("Europe/Berlin").expect_err("a name");
    assert!(error.contains("names are not known here") && error.contains("/usr/share/zoneinfo"), "{error}");
    let error = Zone::parse("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").expect_err("half an hour");
    assert!(error.contains("moved by whole hours"), "{error}");
    assert!(Zone::parse("LMT-0:53:28").expect_err("seconds").contains("quarters of an hour"));
}
