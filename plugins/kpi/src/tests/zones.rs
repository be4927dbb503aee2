//! Days and hours of a time zone whose clocks are moved.

use super::*;

const HOUR: i64 = 3600 * SECOND;

/// The tables of a service that is well from one time to another, but for an outage of 600 s that ends there.
fn tables(zone: &str, from: i64, to: i64, outage_to: i64) -> Weir {
    let mut weir = Weir::new(&format!(r#"{{ "time_zone": "{zone}" }}"#));
    let is_bad = |time: i64| (outage_to - 600 * SECOND..outage_to).contains(&time);
    let all: Vec<Span> = (from..to)
        .step_by((10 * SECOND) as usize)
        .enumerate()
        .map(|(number, time)| Span { weight: 100.0, ..Span::new("shop", time, number as u64, is_bad(time)) })
        .collect();
    for some in all.chunks(4000) {
        weir.process(spans(some));
        weir.advance(some.last().map_or(0, |span| span.time) - 300 * SECOND);
    }
    weir.advance(to);
    weir
}

/// Checks that the days begin there, with so many hours each, and that their hours are all of them.
#[track_caller]
fn check(zone: &str, begin: i64, hours: [i64; 3]) {
    let ends: Vec<i64> = hours
        .iter()
        .scan(begin, |at, hours| {
            *at += hours * HOUR;
            Some(*at)
        })
        .collect();
    // The outage goes up to the end of the day on which clocks are moved, and is of that day alone.
    let weir = tables(zone, begin, ends[2], ends[1]);
    let days = weir.rows("kpi_daily");
    let found: Vec<(i64, f64, f64)> = days
        .iter()
        .map(|day| (day["window_start"].as_i64().expect("a time"), number(day, "ast_s"), number(day, "down_s")))
        .collect();
    let seconds = hours.map(|hours| (hours * 3600) as f64);
    assert_eq!(found, [(begin, seconds[0], 0.0), (ends[0], seconds[1], 600.0), (ends[1], seconds[2], 0.0)], "{zone}");
    for (day, (from, to)) in days.iter().zip([(begin, ends[0]), (ends[0], ends[1]), (ends[1], ends[2])]) {
        assert_eq!(number(day, "availability_time"), 1.0 - number(day, "down_s") / number(day, "ast_s"));
        let within = |row: &&&Value| (from..to).contains(&row["window_start"].as_i64().expect("a time"));
        let rows = weir.rows("kpi_hourly");
        let of_day: Vec<_> = rows.iter().filter(within).collect();
        assert_eq!(of_day.len() as i64, (to - from) / HOUR, "{zone}");
        for column in ["ast_s", "down_s", "valid", "incidents"] {
            assert_eq!(of_day.iter().map(|row| number(row, column)).sum::<f64>(), number(day, column), "{column}");
        }
    }
    for interval in weir.rows("availability") {
        let (from, to) = (interval["from_at"].as_i64(), interval["to_at"].as_i64());
        let cut = |end: &&i64| from.is_some_and(|from| from < **end) && to.is_some_and(|to| to > **end);
        assert_eq!(ends.iter().find(cut), None, "an interval of two days: {interval}");
    }
}

#[test]
fn a_day_has_23_hours_in_spring_and_25_in_autumn() {
    // 2026-03-28, 2026-10-24 in Berlin.
    check("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_652_400 * SECOND, [24, 23, 24]);
    check("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_792_800 * SECOND, [24, 25, 24]);
}

#[test]
fn in_the_south_it_is_the_other_way_round() {
    // 2026-04-04, 2026-10-03 in Sydney.
    check("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_775_221_200 * SECOND, [24, 25, 24]);
    check("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_790_949_600 * SECOND, [24, 23, 24]);
}
