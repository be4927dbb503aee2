//! What the plugin says of itself, and what it refuses.

use super::*;

fn mistakes(config: &str) -> Vec<String> {
    let Err(error) = Plugin::<Kpi>::configure(config) else { panic!("{config} is taken") };
    error.mistakes().map(|(key, _)| key.to_owned()).collect()
}

#[test]
fn every_column_of_every_table_is_described_and_its_rows_replace_others() {
    let tables = Plugin::<Kpi>::configure("{}").expect("defaults are right").description().tables;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["incidents", "availability", "kpi_hourly", "kpi_daily", "changes", "alerts", "slo"]);
    for table in &tables {
        assert!(!table.description.is_empty() && !table.key.is_empty(), "{}", table.name);
        for column in &table.columns {
            assert!(!column.description.is_empty(), "{}.{}", table.name, column.name);
        }
    }
}

#[test]
fn mistakes_are_told_all_at_once_each_at_its_key() {
    let config = r#"{ "slot_s": 7, "bad_ratio": 1.5, "time_zone": "+1", "open_down_s": 65, "severity_down": "bad" }"#;
    let found = mistakes(config);
    for key in ["slot_s", "bad_ratio", "time_zone", "open_down_s", "severity_down"] {
        assert!(found.iter().any(|known| known == key), "{key} is not in {found:?}");
    }
}

#[test]
fn a_mistake_in_a_section_is_told_at_its_key() {
    assert_eq!(mistakes(r#"{ "lifecycle": { "skew_s": 4000 } }"#), ["lifecycle.skew_s"]);
    assert_eq!(mistakes(r#"{ "slo": { "bad_min": -1 } }"#), ["slo.bad_min"]);
    assert_eq!(mistakes(r#"{ "cost_per_minute": { "shop": { "sev1": -1 } } }"#), ["cost_per_minute.shop.sev1"]);
    assert_eq!(mistakes(r#"{ "always_onn": [] }"#), ["always_onn"]);
}

#[test]
fn days_begin_where_the_offset_says() {
    let mut weir = Weir::new(r#"{ "time_zone": "-05:30" }"#);
    let all: Vec<Span> =
        (0..7200).map(|number| Span::new("shop", at(5, 0, 0) + number * SECOND / 2, number as u64, false)).collect();
    weir.process(spans(&all));
    weir.advance(at(6, 0, 0));
    let starts: Vec<_> = weir.rows("kpi_daily").iter().map(|row| row["window_start"].clone()).collect();
    assert_eq!(starts, [at(5, 30, 0) - DAY, at(5, 30, 0)]);
    let seconds: Vec<_> = weir.rows("kpi_hourly").iter().map(|row| number(row, "ast_s")).collect();
    assert_eq!(seconds, [1800.0, 1800.0]);
}
