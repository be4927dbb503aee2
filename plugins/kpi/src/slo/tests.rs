use super::history::{History, Hour, Slot};
use super::*;
use weir_sdk::Row as _;
use weir_sdk::prelude::{Result, Timestamp};

/// 2026-03-02T00:00:00Z.
pub(super) const DAY: i64 = 1_772_409_600_000_000_000;

/// Nanoseconds of a time of the day.
pub(super) fn at(hour: i64, minute: i64, second: i64) -> i64 {
    DAY + (hour * 3600 + minute * 60 + second) * 1_000_000_000
}

fn clock(time: i64) -> String {
    let seconds = (time - DAY) / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn slot(start: i64, valid: f64, bad: f64) -> Slot {
    Slot { start, valid, bad, planned: false }
}

/// A day of 10 requests a second: outages at 10:00, 14:00, 16:00 (a fifth fails) and 20:10, in maintenance; silence at
/// 18:00.
fn golden_day() -> Vec<Slot> {
    let within = |time, from, to| (from..to).contains(&time);
    let slot = |start| {
        let failed = within(start, at(10, 0, 0), at(10, 20, 0))
            || within(start, at(10, 22, 0), at(10, 23, 0))
            || within(start, at(14, 0, 0), at(14, 0, 30))
            || within(start, at(20, 10, 0), at(20, 20, 0));
        let bad = match start {
            _ if failed => 100.0,
            _ if within(start, at(16, 0, 0), at(16, 10, 0)) => 20.0,
            _ => 0.0,
        };
        Slot { start, valid: 100.0, bad, planned: within(start, at(20, 0, 0), at(20, 30, 0)) }
    };
    let silent = |start: &i64| within(*start, at(18, 0, 0), at(18, 10, 0));
    (0..8640).map(|number| DAY + number * SLOT_NS).filter(|start| !silent(start)).map(slot).collect()
}

pub(super) fn hours_of(slots: &[Slot]) -> Vec<Hour> {
    let mut hours: Vec<Hour> = Vec::new();
    for slot in slots {
        let start = slot.start / HOUR_NS * HOUR_NS;
        if hours.last().is_none_or(|hour| hour.start != start) {
            hours.push(Hour { start, ..Hour::default() });
        }
        let hour = hours.last_mut().expect("an hour");
        hour.valid += slot.valid;
        hour.bad += slot.bad;
        if slot.planned {
            hour.planned_valid += slot.valid;
            hour.planned_bad += slot.bad;
        }
    }
    hours
}

fn history(slots: &[Slot]) -> History {
    History::new([], slots.iter().copied())
}

pub(super) fn config() -> Config {
    Config::default()
}

pub(super) fn objective() -> Objective {
    config().objectives.remove(0)
}

/// The rows of the default objective.
pub(super) fn rows_of(history: &History, from: i64, until: i64) -> Vec<SloRow> {
    rows(history, &config(), &objective(), ("production", "checkout"), from, until).rows
}

fn edges_of(history: &History, rule: RuleName) -> Vec<(&'static str, String)> {
    let edges = edges(history, &config(), &objective(), DAY, at(24, 0, 0));
    let edges = edges.into_iter().filter(|edge| edge.rule == rule);
    edges.map(|edge| (if edge.fired { "fire" } else { "clear" }, clock(edge.at))).collect()
}

/// A generator that a seed replays.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Hours that are quiet, silent, a little bad and very bad, in runs of minutes.
pub(super) fn random_day(seed: u64) -> Vec<Slot> {
    let mut random = Random(seed);
    let mut slots = Vec::new();
    let mut start = DAY;
    while start < at(24, 0, 0) {
        let (kind, length) = (random.below(8), 1 + random.below(120));
        for _ in 0..length {
            let valid = random.below(40) as f64 + 0.25;
            let bad = match kind {
                0 => continue,
                1 => valid,
                2 => (valid * 0.02).ceil(),
                3 => (valid * 0.3).floor(),
                _ => 0.0,
            };
            slots.push(Slot { start, valid, bad: bad.min(valid), planned: random.below(10) == 0 });
            start += SLOT_NS;
        }
        start += if kind == 0 { length as i64 * SLOT_NS } else { 0 };
    }
    slots.retain(|slot| slot.start < at(24, 0, 0));
    slots
}

/// Burn rates the slow way: each window summed by itself.
fn firing_by_definition(slots: &[Slot], end: i64) -> [bool; 4] {
    let window = |seconds: i64| {
        let inside = slots.iter().filter(|slot| slot.start >= end - seconds * 1_000_000_000 && slot.start < end);
        inside.fold((0.0, 0.0), |(valid, bad), slot| (valid + slot.valid, bad + slot.bad))
    };
    let rules = [(14.4, 3600, 300), (6.0, 21_600, 1800), (3.0, 86_400, 7200), (1.0, 259_200, 21_600)];
    rules.map(|(factor, long, short)| {
        let (long, short) = (window(long), window(short));
        let burns = |(valid, bad): (f64, f64)| valid > 0.0 && bad / valid >= factor * 0.001;
        burns(long) && burns(short) && long.1 >= 10.0
    })
}

#[test]
fn the_fast_page_of_the_golden_day_fires_and_clears_when_it_should() {
    let expected = [
        ("fire", "10:01:00"),
        ("clear", "10:28:00"),
        ("fire", "16:04:20"),
        ("clear", "16:14:40"),
        ("fire", "20:11:00"),
        ("clear", "20:25:00"),
    ];
    assert_eq!(
        edges_of(&history(&golden_day()), RuleName::PageFast),
        expected.map(|(what, time)| (what, time.to_owned()))
    );
}

#[test]
fn the_slow_page_of_the_golden_day_fires_and_clears_when_it_should() {
    let expected = [
        ("fire", "10:02:10"),
        ("clear", "10:52:50"),
        ("fire", "14:00:20"),
        ("clear", "14:30:20"),
        ("fire", "16:01:00"),
        ("clear", "16:39:10"),
        ("fire", "20:10:20"),
        ("clear", "20:49:50"),
    ];
    assert_eq!(
        edges_of(&history(&golden_day()), RuleName::PageSlow),
        expected.map(|(what, time)| (what, time.to_owned()))
    );
}

#[test]
fn the_fast_ticket_of_the_golden_day_fires_and_clears_when_it_should() {
    let expected = [
        ("fire", "10:01:50"),
        ("clear", "12:22:40"),
        ("fire", "14:00:30"),
        ("clear", "16:00:20"),
        ("fire", "16:01:50"),
        ("clear", "18:08:20"),
        ("fire", "20:10:30"),
        ("clear", "22:19:40"),
    ];
    assert_eq!(
        edges_of(&history(&golden_day()), RuleName::TicketFast),
        expected.map(|(what, time)| (what, time.to_owned()))
    );
}

#[test]
fn the_slow_ticket_of_the_golden_day_fires_and_stays() {
    assert_eq!(edges_of(&history(&golden_day()), RuleName::TicketSlow), [("fire", "10:00:40".to_owned())]);
}

#[test]
fn rules_fire_on_random_days_as_their_definition_says() {
    for seed in [1, 7, 0x5eed, 0xfeed_beef] {
        let slots = random_day(seed);
        let history = history(&slots);
        let steps: Vec<_> = steps(&history, &config(), &objective(), DAY, at(24, 0, 0)).collect();
        assert_eq!(steps.len(), 8640, "seed {seed}");
        // The slow way looks at all slots for each end: a prime step keeps it short and meets every place of the hour.
        for step in steps.iter().step_by(29) {
            assert_eq!(step.firing, firing_by_definition(&slots, step.end), "seed {seed}, {}", clock(step.end));
        }
    }
}

#[test]
fn the_order_in_which_slots_come_does_not_matter() {
    let seed = 0xdead_5107;
    let mut slots = random_day(seed);
    let expected = rows_of(&history(&slots), DAY, at(24, 0, 0));
    Random(seed).shuffle(&mut slots);
    assert_eq!(rows_of(&history(&slots), DAY, at(24, 0, 0)), expected, "seed {seed}");
}

#[test]
fn hours_computed_one_by_one_are_those_computed_at_once() {
    let history = history(&golden_day());
    let single = (0..24).flat_map(|hour| rows_of(&history, at(hour, 0, 0), at(hour + 1, 0, 0)));
    assert_eq!(single.collect::<Vec<_>>(), rows_of(&history, DAY, at(24, 0, 0)));
}

#[test]
fn hours_in_the_place_of_old_slots_give_the_same_rows() {
    let slots = golden_day();
    let expected = rows_of(&history(&slots), at(18, 0, 0), at(24, 0, 0));
    // All windows but those of days stay within the slots, and those begin before the day.
    let (old, kept) = slots.split_at(slots.partition_point(|slot| slot.start < at(11, 0, 0)));
    let shortened = History::new(hours_of(old), kept.iter().copied());
    assert_eq!(rows_of(&shortened, at(18, 0, 0), at(24, 0, 0)), expected);
}

#[test]
fn an_hour_with_slots_is_taken_from_its_slots() {
    let slots = golden_day();
    let both = History::new(hours_of(&slots), slots.iter().copied());
    assert_eq!(rows_of(&both, DAY, at(24, 0, 0)), rows_of(&history(&slots), DAY, at(24, 0, 0)));
}

#[test]
fn an_hour_of_which_slots_are_forgotten_is_the_rest_and_its_other_slots() {
    let slots = golden_day();
    // In the first of two outages, and between them.
    for cut in [at(10, 7, 40), at(10, 21, 0)] {
        let kept = slots.iter().copied().filter(|slot| slot.start >= cut);
        let (cut_off, whole) = (History::cut(hours_of(&slots), kept, cut), history(&slots));
        let sums = |history: &History, from, to| history.between(from / SLOT_NS, to / SLOT_NS);
        for (from, to) in [(DAY, at(11, 0, 0)), (at(10, 0, 0), at(24, 0, 0)), (cut, at(10, 59, 0)), (at(10, 0, 0), cut)]
        {
            assert_eq!(sums(&cut_off, from, to), sums(&whole, from, to), "{} to {}", clock(from), clock(to));
        }
        let rest = sums(&cut_off, at(10, 0, 0), cut);
        let half = sums(&cut_off, at(10, 0, 0), at(10, 0, 0) + (cut - at(10, 0, 0)) / 2);
        assert_eq!((half.valid() * 2.0, half.bad() * 2.0), (rest.valid(), rest.bad()), "spread evenly");
    }
}

#[test]
fn a_window_that_cuts_an_hour_without_slots_has_the_share_of_its_time() {
    let hour = Hour { start: DAY, valid: 3600.0, bad: 360.0, ..Hour::default() };
    let history = History::new([hour], []);
    let row = rows_of(&history, DAY, at(0, 10, 0)).remove(0);
    assert_eq!((row.valid, row.good), (600.0, 540.0));
    assert_eq!(row.burn_5m, Some(100.0));
}

#[test]
fn nine_bad_requests_page_nobody_and_ten_do() {
    for (bad, paged) in [(9.0, false), (10.0, true)] {
        let row = rows_of(&history(&[slot(at(3, 0, 0), 10.0, bad)]), at(3, 0, 0), at(4, 0, 0)).remove(0);
        assert_eq!((row.page, row.ticket), (paged, paged), "{bad} bad requests");
    }
}

#[test]
fn a_rate_of_just_what_the_rule_asks_fires() {
    // 144 of 10,000 is 14.4 times 0.1 %, 143 is not.
    for (bad, fires) in [(143.0, false), (144.0, true)] {
        let history = history(&[slot(DAY, 10_000.0, bad)]);
        assert_eq!(edges_of(&history, RuleName::PageFast).is_empty(), !fires, "{bad} bad requests");
    }
}

#[test]
fn a_row_has_what_happened_in_its_hour() {
    let rows = rows_of(&history(&golden_day()), DAY, at(24, 0, 0));
    assert_eq!(rows.len(), 24);
    let row = &rows[10];
    assert_eq!((row.window_start, row.valid, row.good), (Timestamp(at(10, 0, 0)), 36_000.0, 36_000.0 - 12_600.0));
    let time = |hour, minute, second| Some(Timestamp(at(hour, minute, second)));
    assert!(row.page && row.ticket);
    assert_eq!((row.page_fired_at, row.page_cleared_at), (time(10, 1, 0), time(10, 28, 0)));
    assert_eq!((row.page_slow_fired_at, row.page_slow_cleared_at), (time(10, 2, 10), time(10, 52, 50)));
    assert_eq!((row.ticket_fired_at, row.ticket_cleared_at), (time(10, 1, 50), None));
    assert_eq!((row.ticket_slow_fired_at, row.ticket_slow_cleared_at), (time(10, 0, 40), None));
    assert_eq!((row.burn_5m, row.burn_1h), (Some(0.0), Some(350.0)));
    assert!(!rows[11].page && rows[11].ticket, "the ticket goes on in the hour after");
    assert_eq!((rows[11].ticket_fired_at, rows[12].ticket_cleared_at), (None, time(12, 22, 40)));
    assert!(!rows[9].page && !rows[9].ticket);
}

#[test]
fn maintenance_counts_for_burn_rates_and_not_for_the_budget() {
    let rows = rows_of(&history(&golden_day()), DAY, at(24, 0, 0));
    let row = &rows[20];
    assert_eq!((row.valid, row.good), (18_000.0, 18_000.0));
    assert_eq!(row.page_fired_at, Some(Timestamp(at(20, 11, 0))));
    assert!((row.burn_1h.expect("a rate") - 6000.0 / 36_000.0 / 0.001).abs() < 1e-9);
    let last = &rows[23];
    assert!((last.budget_remaining.expect("a budget") - (1.0 - 14_100.0 / 840.0)).abs() < 1e-9);
}

#[test]
fn the_budget_is_that_of_thirty_days() {
    let old = Hour { start: at(-30 * 24, 0, 0), valid: 100_000.0, bad: 50.0, ..Hour::default() };
    let history = History::new([old], [slot(DAY, 100_000.0, 50.0), slot(at(1, 0, 0), 1.0, 0.0)]);
    let rows = rows_of(&history, DAY, at(2, 0, 0));
    // At 01:00 the old hour has left the 30 days.
    assert!((rows[0].budget_remaining.expect("a budget") - 0.5).abs() < 1e-9);
    let partial = rows_of(&history, DAY, at(0, 0, 10)).remove(0);
    let expected = 1.0 - (50.0 + 50.0 * 359.0 / 360.0) / (100_000.0 + 100_000.0 * 359.0 / 360.0) / 0.001;
    assert!((partial.budget_remaining.expect("a budget") - expected).abs() < 1e-6);
}

#[test]
fn the_last_hour_may_be_a_part_of_one() {
    let history = history(&golden_day());
    let rows = rows_of(&history, at(9, 0, 0), at(10, 1, 5));
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].window_start, rows[1].valid), (Timestamp(at(10, 0, 0)), 600.0));
    assert_eq!((rows[1].page_fired_at, rows[1].page_cleared_at), (Some(Timestamp(at(10, 1, 0))), None));
}

#[test]
fn an_hour_of_silence_has_a_row_only_while_a_rule_fires() {
    // Bad at 00:00 and then nothing: the short window of the slow ticket empties at 06:00:10.
    let history = history(&[slot(DAY, 100.0, 100.0)]);
    let rows = rows_of(&history, DAY, at(24, 0, 0));
    let hours: Vec<_> = rows.iter().map(|row| clock(row.window_start.0)).collect();
    assert_eq!(hours, ["00:00:00", "01:00:00", "02:00:00", "03:00:00", "04:00:00", "05:00:00", "06:00:00"]);
    let last = rows.last().expect("a row");
    assert_eq!(last.ticket_slow_cleared_at, Some(Timestamp(at(6, 0, 10))));
    assert_eq!((last.valid, last.burn_1h), (0.0, None));
    assert!(rows_of(&History::default(), DAY, at(24, 0, 0)).is_empty());
}

#[test]
fn counts_that_no_slot_can_have_do_not_spoil_the_sums() {
    let wrong = [slot(at(1, 0, 0), f64::NAN, -5.0), slot(at(1, 0, 10), 1.0, f64::INFINITY)];
    let row = rows_of(&history(&wrong), at(1, 0, 0), at(2, 0, 0)).remove(0);
    assert_eq!((row.valid, row.good), (1.0, 0.0));
}

#[test]
fn every_column_is_described() {
    let table = SloRow::table();
    assert_eq!((table.name, table.columns.len()), ("slo", 26));
    assert!(table.columns.iter().all(|(_, _, about)| !about.is_empty()));
}

fn parse(json: &str) -> Result<Config, String> {
    let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let mistakes: Vec<String> = config.mistakes("slo").iter().map(ToString::to_string).collect();
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes.join("; ")) }
}

#[test]
fn the_first_objective_of_a_name_that_matches_is_the_services() {
    let config = parse(
        r#"{"objectives": [
            {"name": "availability", "target": 0.9999, "services": ["check*"], "environments": ["prod*"]},
            {"name": "availability", "target": 0.99},
            {"name": "strict", "target": 0.99999, "services": ["*out", "c*t"]}
        ]}"#,
    )
    .expect("a configuration");
    let targets = |environment, service| {
        let found = config.objectives_of(environment, service);
        found.iter().map(|objective| objective.target).collect::<Vec<_>>()
    };
    assert_eq!(targets("production", "checkout"), [0.9999, 0.99999]);
    assert_eq!(targets("staging", "checkout"), [0.99, 0.99999]);
    assert_eq!(targets("production", "cart"), [0.99, 0.99999]);
    assert_eq!(targets("production", "search"), [0.99]);
}

#[test]
fn a_star_stands_for_any_text() {
    let matches = |pattern: &str, service: &str| {
        let json = format!(r#"{{"objectives": [{{"name": "a", "target": 0.9, "services": ["{pattern}"]}}]}}"#);
        !parse(&json).expect("a configuration").objectives_of("", service).is_empty()
    };
    for (pattern, service) in [("*", ""), ("a", "a"), ("a*", "a"), ("a*c", "abbc"), ("*b*", "abc"), ("a*b*c", "abbc")] {
        assert!(matches(pattern, service), "{pattern} is {service}");
    }
    for (pattern, service) in [("a", "ab"), ("a*a", "a"), ("*b", "abc"), ("b*", "abc"), ("a*b*b", "ab"), ("", "a")] {
        assert!(!matches(pattern, service), "{pattern} is not {service}");
    }
}

#[test]
fn a_rule_may_be_another() {
    let json = r#"{"page_fast": {"burn": 10, "long": "30m", "short": "1m"}, "period": "28d", "bad_min": 1}"#;
    let config = parse(json).expect("a configuration");
    let slots = [slot(DAY, 600.0, 6.0)];
    let edges = edges(&history(&slots), &config, &objective(), DAY, at(1, 0, 0));
    let fast: Vec<_> = edges.iter().filter(|edge| edge.rule == RuleName::PageFast).map(|edge| clock(edge.at)).collect();
    assert_eq!(fast, ["00:00:10", "00:01:10"]);
    assert_eq!(config.slots_kept_ns(), 3 * 86_400 * 1_000_000_000);
}

#[test]
fn mistakes_name_their_key() {
    let mistake = |json: &str| parse(json).expect_err("a mistake");
    let rule = |rule: &str| mistake(&format!(r#"{{"page_slow": {rule}}}"#));
    assert_eq!(
        mistake(r#"{"objectives": [{"name": "a", "target": 1.0}]}"#),
        "slo.objectives[0].target: 1, but a target is above 0 and at most 0.999999999"
    );
    assert_eq!(
        rule(r#"{"burn": 6, "long": "5m", "short": "6h"}"#),
        "slo.page_slow.short: 6h, but it is shorter than `long`, 5m"
    );
    assert!(rule(r#"{"burn": 0, "long": "6h", "short": "5m"}"#).starts_with("slo.page_slow.burn: 0, but"));
    assert!(rule(r#"{"burn": 6, "long": "40d", "short": "5m"}"#).starts_with("slo.page_slow.long: 40d, but"));
    for time in ["5", "5s", "1.5h", "0m", "-1h", "h", "9999999d"] {
        let found = rule(&format!(r#"{{"burn": 6, "long": "{time}", "short": "5m"}}"#));
        assert!(found.contains(r#"expected a time such as "5m""#), "{time}: {found}");
    }
    assert!(mistake(r#"{"objectives": [{"name": "", "target": 0.9, "services": []}]}"#).contains("services: no name"));
    assert!(mistake(r#"{"objective": []}"#).contains("unknown field"));
}
