//! Guests of every kind in a chain: no misbehaviour stops the host, loses a row, or leaves half a change behind.

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use weir::batch::{Batch, View};
use weir::chain::{Chain, Counts, Emitted, Link, Numbers, Outcome};
use weir::sandbox::{Engine, EngineOptions, Level, Limits, OnError, Plugin};
use weir::{Kind, Signal, decode};

#[path = "chain/lists.rs"]
mod lists;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(&EngineOptions { cache: false, cache_dir: None }).expect("an engine"));

/// A link whose calls may take long: the machine of the tests may be busy.
fn link(guest: &str) -> Link {
    let limits = Limits { time_per_call: Duration::from_secs(20), ..Limits::default() };
    let module = std::fs::read(weir_build::guest(guest).expect("the guest builds")).expect("the guest is there");
    Link {
        plugin: Plugin::load(&ENGINE, guest, &module, &limits).expect("the guest loads"),
        config_json: match guest {
            "drop-fast" => r#"{"faster_than_ms":5}"#.into(),
            "emits-many" => r#"{"rows":3}"#.into(),
            _ => "{}".into(),
        },
        name: guest.into(),
        signals: None,
        on_error: None,
        limits,
    }
}

fn failing(guest: &str, on_error: OnError) -> Link {
    let mut link = Link { on_error: Some(on_error), ..link(guest) };
    if guest == "loops" {
        link.limits.time_per_call = Duration::from_millis(100);
    }
    link
}

fn text_attribute(key: &str, value: String) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value)) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

/// Spans of a shop: every third lasts 9 ms instead of 1, every tenth failed.
fn spans(service: &str, rows: u64) -> Batch {
    let span = |row: u64| Span {
        trace_id: u128::from(row + 1).to_be_bytes().to_vec(),
        span_id: (row + 1).to_be_bytes().to_vec(),
        name: format!("GET /{}", row % 7),
        start_time_unix_nano: 1_700_000_000_000_000_000 + row,
        end_time_unix_nano: 1_700_000_000_000_000_000 + row + if row.is_multiple_of(3) { 9_000_000 } else { 1_000_000 },
        attributes: vec![text_attribute("url.path", format!("/items/{row}"))],
        status: Some(Status { code: if row.is_multiple_of(10) { 2 } else { 0 }, message: String::new() }),
        ..Default::default()
    };
    let resource = Resource { attributes: vec![text_attribute("service.name", service.into())], ..Default::default() };
    let scope_spans = vec![ScopeSpans { spans: (0..rows).map(span).collect(), ..Default::default() }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }],
    };
    let mut builder = decode::Builder::new(Signal::Spans);
    decode::decode(&request.encode_to_vec(), &mut builder).expect("it decodes");
    builder.finish()
}

fn silent() -> Arc<Counts> {
    Arc::new(Counts::new(Box::new(|_, _, _| {})))
}

fn chain(links: Vec<Link>) -> (Chain, Arc<Counts>) {
    let counts = silent();
    (Chain::new(links, 1, counts.clone()).expect("the chain starts"), counts)
}

/// Every column of a batch that can be read, to compare batches by.
fn contents(batch: &Batch) -> Vec<(String, ArrayRef)> {
    let names = batch.columns().map(|(name, _)| name.to_owned());
    names.filter_map(|name| batch.read(&name).ok().map(|values| (name, values))).collect()
}

fn assert_account(numbers: &Numbers, rows_in: u64) {
    assert_eq!(numbers.rows_in, rows_in);
    assert_eq!(numbers.rows_in, numbers.rows_out + numbers.dropped() + numbers.dead_lettered(), "{numbers:?}");
}

/// The guests that fail on every batch, the kind of their fault and what is said of it.
const FAILING: [(&str, &str, &str); 12] = [
    ("panics", "trap", "plugin `panics` panicked: a batch of 60 rows is too much for me"),
    ("loops", "time", "plugin `loops` took longer than 100 ms"),
    ("allocates", "memory", "plugin `allocates` memory limit 64 MiB reached ([plugin.limits] memory)"),
    ("error", "error", "plugin `error` this batch is not to my liking"),
    (
        "undeclared",
        "error",
        "plugin `undeclared` column `surprise` is written, but the description's `writes` does not declare it",
    ),
    ("wrong-length", "contract", "plugin `wrong-length` column `made`: it has 61 rows, and there are 60"),
    ("bad-utf8", "contract", "plugin `bad-utf8` column `made`: `bytes` is not UTF-8 at byte 0"),
    ("bad-offsets", "contract", "plugin `bad-offsets` column `made`: `offsets` end at 60000, and `bytes` has 10"),
    (
        "writes-lists",
        "contract",
        "plugin `writes-lists` column `made`: it is a column of lists, which can be read, not written, and declared as u64",
    ),
    ("bad-keys", "contract", "plugin `bad-keys` column `made`: key 5 of row 0 is beyond the 1 values"),
    (
        "fills-state",
        "error",
        "plugin `fills-state` state limit 64 MiB reached ([plugin.limits] state): delete entries, or raise it",
    ),
    ("emits-many", "error", "plugin `emits-many` 3 rows emitted in one call, 2 allowed ([plugin.limits] rows_emitted)"),
];

fn misbehaving(guest: &str, on_error: OnError) -> Link {
    let mut link = failing(guest, on_error);
    if guest == "emits-many" {
        link.limits.rows_emitted = 2;
    }
    link
}

#[test]
fn every_fault_is_named_exactly() {
    for (guest, kind, reason) in FAILING {
        let (chain, counts) = chain(vec![misbehaving(guest, OnError::DeadLetter)]);
        let outcome = chain.process(0, 0, Some(spans("shop", 60)), None);
        let said = outcome.dead.iter().map(|dead| dead.reason.clone()).collect::<Vec<_>>();
        assert_eq!(said.len(), 1, "{guest}");
        assert!(said[0].starts_with(reason), "{guest}: {}", said[0]);
        let numbers = counts.snapshot();
        assert_eq!(numbers.plugins[guest].faults.iter().collect::<Vec<_>>(), [(&kind.to_owned(), &1)], "{guest}");
    }
}

#[test]
fn under_pass_the_batch_goes_on_as_it_was() {
    for (guest, ..) in FAILING {
        let (chain, counts) = chain(vec![misbehaving(guest, OnError::Pass)]);
        for sequence in 0..2 {
            let mut outcome = chain.process(0, sequence, Some(spans("shop", 60)), None);
            let batch = outcome.batches.pop().expect("it goes on").settle();
            assert_eq!(contents(&batch), contents(&spans("shop", 60)), "{guest}");
            assert!(outcome.dead.is_empty() && outcome.emitted.is_empty() && outcome.stop.is_none(), "{guest}");
        }
        assert_account(&counts.snapshot(), 120);
    }
}

#[test]
fn under_drop_the_rows_are_counted_by_plugin_and_reason() {
    for (guest, ..) in FAILING {
        let (chain, counts) = chain(vec![misbehaving(guest, OnError::Drop), link("logs-many")]);
        for sequence in 0..2 {
            let outcome = chain.process(0, sequence, Some(spans("shop", 60)), None);
            assert!(outcome.batches.is_empty() && outcome.dead.is_empty() && outcome.stop.is_none(), "{guest}");
        }
        let numbers = counts.snapshot();
        assert_eq!(numbers.plugins[guest].dropped["error"], 120, "{guest}");
        assert_account(&numbers, 120);
    }
}

#[test]
fn under_dead_letter_the_batch_is_set_aside_as_it_was() {
    for (guest, kind, _) in FAILING {
        let (chain, counts) = chain(vec![misbehaving(guest, OnError::DeadLetter)]);
        let outcome = chain.process(0, 0, Some(spans("shop", 60)), None);
        assert!(outcome.batches.is_empty() && outcome.stop.is_none(), "{guest}");
        assert_eq!(contents(&outcome.dead[0].batch), contents(&spans("shop", 60)), "{guest}");
        let numbers = counts.snapshot();
        assert_eq!(numbers.plugins[guest].dead_lettered[kind], 60, "{guest}");
        assert_account(&numbers, 60);
    }
}

#[test]
fn under_stop_the_pipeline_is_told_and_no_row_is_lost() {
    for (guest, _, reason) in FAILING {
        let (chain, counts) = chain(vec![misbehaving(guest, OnError::Stop)]);
        let outcome = chain.process(0, 0, Some(spans("shop", 60)), None);
        let stop = outcome.stop.expect("it stops");
        assert_eq!(stop.kind(), Kind::Plugin);
        assert!(stop.message().starts_with(reason), "{stop}");
        assert_eq!(outcome.dead[0].batch.rows(), 60, "{guest}");
        assert_account(&counts.snapshot(), 60);
    }
}

#[test]
fn a_fault_costs_neither_the_changes_nor_the_rows_of_the_plugins_before() {
    let (chain, counts) = chain(vec![link("counter"), failing("panics", OnError::DeadLetter)]);
    let outcome = chain.process(0, 0, Some(spans("shop", 60)), None);
    let dead = &outcome.dead[0].batch;
    assert_eq!(dead.read("running").expect("written").as_primitive::<UInt64Type>().value(59), 60);
    assert!(dead.read("touched").is_err(), "what the failing plugin wrote is undone");
    assert_eq!(outcome.emitted.iter().map(|emitted| emitted.rows).sum::<usize>(), 1);
    assert_eq!(counts.snapshot().plugins["counter"].counters["batches"], 1);
}

#[test]
fn a_failed_call_counts_nothing_in_the_plugins_own_counters() {
    let (chain, counts) = chain(vec![failing("error", OnError::Pass)]);
    chain.process(0, 0, Some(spans("shop", 60)), None);
    assert!(counts.snapshot().plugins["error"].counters.is_empty());
}

/// How many entries the state of a plugin has.
fn entries(chain: &Chain, plugin: &str) -> usize {
    let kept = chain.kept(true).expect("it can be encoded");
    kept.iter().find(|kept| kept.plugin == plugin).expect("it keeps state").entries.len()
}

#[test]
fn a_fault_leaves_the_state_as_it_was() {
    let (chain, _) = chain(vec![link("counter"), failing("fills-state", OnError::Pass)]);
    chain.process(0, 0, Some(spans("shop", 60)), None);
    assert_eq!(entries(&chain, "fills-state"), 0);
    assert_eq!(entries(&chain, "counter"), 1);
}

#[test]
fn state_restored_goes_on_where_the_snapshot_was_taken() {
    let (first, _) = chain(vec![link("counter")]);
    first.process(0, 0, Some(spans("shop", 60)), None);
    let (second, _) = chain(vec![link("counter")]);
    second.restore(first.kept(true).expect("it can be encoded")).expect("the plugin is there");
    let batch = second.process(0, 0, Some(spans("shop", 1)), None).batches.pop().expect("it goes on");
    assert_eq!(batch.read("running").expect("written").as_primitive::<UInt64Type>().value(0), 61);
    let (other, _) = chain(vec![link("reads-one")]);
    let refused = other.restore(first.kept(true).expect("it can be encoded")).expect_err("there is no such plugin");
    assert!(refused.message().contains("no stateful plugin of that name"), "{refused}");
}

#[test]
fn advance_changes_the_state_of_stateful_plugins() {
    let (chain, _) = chain(vec![link("counter")]);
    chain.process(0, 0, Some(spans("shop", 1)), None);
    let before = entries(&chain, "counter");
    let outcome = chain.process(0, 1, None, Some(42));
    assert!(outcome.batches.is_empty() && outcome.emitted.is_empty());
    assert_eq!(entries(&chain, "counter"), before + 1);
}

#[test]
fn a_plugin_asks_for_advance_until_it_asks_no_more() {
    let (chain, counts) = chain(vec![link("asks-again")]);
    let asks = |chain: &Chain| chain.asking().eq(["asks-again"]);
    assert!(asks(&chain), "it may have asked before it was started");
    chain.process(0, 0, None, Some(40));
    assert!(!asks(&chain));
    chain.process(0, 1, Some(spans("shop", 3)), None);
    for (number, asks_again) in [(2, true), (3, true), (4, false)] {
        assert!(asks(&chain));
        assert_eq!(chain.process(0, number, None, Some(40)).emitted.len(), 1);
        assert_eq!(asks(&chain), asks_again);
    }
    assert_eq!(counts.snapshot().plugins["asks-again"].counters["turns"], 4);
}

/// The rows of spans, and how many of them are marked as held before.
fn rows_and_held(outcome: &Outcome) -> (usize, usize) {
    let held = |batch: &View| if batch.has_column("was_held") { batch.rows() } else { 0 };
    (outcome.batches.iter().map(View::rows).sum(), outcome.batches.iter().map(held).sum())
}

#[test]
fn held_rows_leave_the_batch_and_go_on_when_the_plugin_takes_them_back() {
    let (chain, counts) = chain(vec![link("holds"), link("counter")]);
    let outcome = chain.process(0, 0, Some(spans("shop", 60)), None);
    assert_eq!(rows_and_held(&outcome), (54, 0), "every tenth failed");
    let numbers = counts.snapshot();
    assert_eq!((numbers.held(), numbers.rows_out), (6, 54));
    let outcome = chain.process(0, 1, Some(spans("shop", 20)), Some(42));
    assert_eq!(rows_and_held(&outcome), (18 + 7, 7), "six of the first batch and two of this one, but the first");
    let running = outcome.batches.iter().map(|batch| batch.read("running").expect("the next plugin had them"));
    let mut running: Vec<u64> =
        running.flat_map(|column| column.as_primitive::<UInt64Type>().values().to_vec()).collect();
    running.sort_unstable();
    assert_eq!(running, (55..=79).collect::<Vec<_>>());
    let numbers = counts.snapshot();
    assert_eq!(numbers.plugins["holds"].dropped["the first"], 1);
    assert_eq!(numbers.rows_in, numbers.rows_out + numbers.dropped() + numbers.held());
}

#[test]
fn held_rows_are_recorded_and_restored_with_the_state() {
    let (first, _) = chain(vec![link("holds")]);
    first.process(0, 0, Some(spans("shop", 60)), None);
    let whole = first.kept(true).expect("it can be encoded");
    first.process(0, 1, Some(spans("till", 30)), None);
    let changes = first.kept(false).expect("it can be encoded");
    let (second, counts) = chain(vec![link("holds")]);
    second.restore(whole).expect("the plugin is there");
    second.restore(changes).expect("the plugin is there");
    assert_eq!(counts.snapshot().held(), 9);
    let (again, expected) = (second.process(0, 0, None, Some(7)), first.process(0, 2, None, Some(7)));
    let contents_of =
        |outcome: &Outcome| outcome.batches.iter().map(|batch| contents(&batch.clone().settle())).collect::<Vec<_>>();
    assert_eq!(contents_of(&again), contents_of(&expected));
    assert_eq!(rows_and_held(&again), (8, 8));
}

#[test]
fn a_call_that_fails_holds_and_takes_back_nothing() {
    let (chain, counts) = chain(vec![link("holds")]);
    chain.process(0, 0, Some(spans("shop", 60)), None);
    let outcome = chain.process(0, 1, None, Some(-1));
    assert!(outcome.batches.is_empty());
    assert_eq!(counts.snapshot().held(), 6);
    assert_eq!(rows_and_held(&chain.process(0, 2, None, Some(1))), (5, 5));
}

#[test]
fn held_rows_over_a_limit_go_on_or_are_dropped_the_oldest_first() {
    for passes in [true, false] {
        let mut link = link("holds");
        (link.limits.held_rows, link.limits.held_overflow_passes) = (7, passes);
        let (chain, counts) = chain(vec![link]);
        chain.process(0, 0, Some(spans("shop", 60)), None);
        let outcome = chain.process(0, 1, Some(spans("shop", 20)), None);
        assert_eq!(rows_and_held(&outcome).0, if passes { 18 + 6 } else { 18 });
        let numbers = counts.snapshot();
        assert_eq!(numbers.held(), 2);
        assert_eq!(numbers.rows_in, numbers.rows_out + numbers.dropped() + numbers.held());
        let overflowed = numbers.plugins["holds"].overflowed.get("held rows limit").copied();
        assert_eq!(overflowed, passes.then_some(6));
    }
}

#[test]
fn masked_rows_are_dropped_and_counted() {
    let (chain, counts) = chain(vec![link("drop-fast")]);
    let batch = chain.process(0, 0, Some(spans("shop", 60)), None).batches.pop().expect("some rows stay");
    // 20 are slow, 6 failed, 2 are both.
    assert_eq!(batch.rows(), 24);
    let numbers = counts.snapshot();
    assert_eq!(numbers.plugins["drop-fast"].dropped.values().sum::<u64>(), 36);
    assert_account(&numbers, 60);
}

#[test]
fn a_batch_whose_rows_are_all_dropped_ends_there() {
    let mut link = link("drop-fast");
    link.config_json = r#"{"faster_than_ms":50}"#.into();
    let (chain, counts) = chain(vec![link, failing("panics", OnError::Stop)]);
    let batch = spans("shop", 60).slice(1, 8);
    let outcome = chain.process(0, 0, Some(batch), None);
    assert!(outcome.batches.is_empty() && outcome.stop.is_none());
    assert_account(&counts.snapshot(), 8);
}

#[test]
fn a_guest_reads_and_rewrites_columns_across_the_boundary() {
    let (chain, _) = chain(vec![link("boundary")]);
    let batch = chain.process(0, 0, Some(spans("shop", 60)), None).batches.pop().expect("they stay");
    let path = batch.read("attributes.url.path").expect("an attribute");
    assert!(path.as_string::<i32>().iter().all(|path| path == Some("/items/#")), "{path:?}");
    let added = chain.added_columns(Signal::Spans);
    assert_eq!(added.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["duration_us"]);
}

#[test]
fn emitted_rows_say_where_they_come_from() {
    let (chain, _) = chain(vec![link("emits-many")]);
    let emitted = chain.process(0, 0, Some(spans("shop", 60)), None).emitted;
    assert_eq!(emitted.iter().map(|emitted| emitted.rows).sum::<usize>(), 3);
    let first: &Emitted = &emitted[0];
    assert_eq!((&*first.table, &*first.plugin, &*first.config_hash), ("numbered", "emits-many", "2bafd4629cc04e70"));
    let time = first.columns[0].as_primitive::<TimestampNanosecondType>();
    assert_eq!(time.value(0), 1_700_000_000_000_000_000);
    let types: Vec<_> = chain.tables()[0].columns.iter().map(|column| column.column_type.data_type()).collect();
    assert_eq!(first.columns.iter().map(|column| column.data_type().clone()).collect::<Vec<_>>(), types);
}

#[test]
fn batches_of_other_signals_pass_by() {
    let mut panics = failing("panics", OnError::Stop);
    panics.signals = Some(vec![Signal::Logs]);
    let (chain, counts) = chain(vec![panics]);
    assert_eq!(chain.process(0, 0, Some(spans("shop", 60)), None).batches.pop().expect("it goes on").rows(), 60);
    assert!(counts.snapshot().plugins.get("panics").is_none_or(|numbers| numbers.calls == 0), "it is not called");
    let mut link = link("reads-one");
    link.signals = Some(vec![Signal::Logs]);
    let refused = Chain::new(vec![link], 1, silent()).expect_err("it takes spans alone");
    assert_eq!(refused.message(), "plugin `reads-one`: `signals` has logs, and it takes spans");
}

#[test]
fn two_plugins_of_one_name_are_refused() {
    let refused = Chain::new(vec![link("reads-one"), link("reads-one")], 1, silent()).expect_err("refused");
    assert_eq!(refused.message(), "two plugins are named `reads-one`: give one another name");
}

#[test]
fn messages_beyond_the_limit_are_counted_instead_of_shown() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let counts = {
        let shown = shown.clone();
        let sink = move |plugin: &str, level: Level, message: &str| {
            shown.lock().expect("no panic").push((plugin.to_owned(), level, message.to_owned()));
        };
        Arc::new(Counts::new(Box::new(sink)))
    };
    let now = Instant::now();
    let chain =
        Chain::with_clock(vec![link("logs-many")], 1, counts.clone(), Arc::new(move || now)).expect("the chain starts");
    chain.process(0, 0, Some(spans("shop", 1)), None);
    let shown = shown.lock().expect("no panic");
    assert_eq!(shown.len(), 100);
    assert_eq!(shown[7], ("logs-many".into(), Level::Info, "message 7".into()));
    assert_eq!(counts.snapshot().plugins["logs-many"].suppressed_log_lines, 901);
}

#[test]
fn a_plugin_that_keeps_failing_is_put_aside_and_tried_again() {
    let seconds = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let clock = {
        let seconds = seconds.clone();
        Arc::new(move || start + Duration::from_secs(seconds.load(Ordering::SeqCst)))
    };
    let counts = silent();
    let links = vec![failing("error", OnError::DeadLetter)];
    let chain = Chain::with_clock(links, 1, counts.clone(), clock).expect("the chain starts");
    for sequence in 0..8 {
        assert_eq!(
            chain.process(0, sequence, Some(spans("shop", 1)), None).dead.len(),
            1,
            "the policy holds all the time"
        );
    }
    let calls = || counts.snapshot().plugins["error"].calls;
    assert_eq!(calls(), 5);
    seconds.store(1, Ordering::SeqCst);
    for sequence in 8..12 {
        chain.process(0, sequence, Some(spans("shop", 1)), None);
    }
    assert_eq!(calls(), 6, "it was tried once");
    let numbers = counts.snapshot();
    assert_eq!(numbers.plugins["error"].dead_lettered["put aside"], 6);
    assert_account(&numbers, 12);
}

#[test]
fn a_stateful_plugin_gives_the_same_output_however_many_workers_there_are() {
    const BATCHES: u64 = 40;
    let run = |workers: usize| -> Vec<(Vec<(String, ArrayRef)>, usize)> {
        let links = vec![link("drop-fast"), link("counter"), failing("error", OnError::Pass)];
        let chain = Chain::new(links, workers, silent()).expect("the chain starts");
        let next = AtomicU64::new(0);
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (chain, next, outcomes) = (&chain, &next, &outcomes);
                scope.spawn(move || {
                    loop {
                        let sequence = next.fetch_add(1, Ordering::SeqCst);
                        if sequence >= BATCHES {
                            break;
                        }
                        // Later batches are smaller, so that they would overtake the earlier ones.
                        let service = ["shop", "till"][sequence as usize % 2];
                        let outcome: Outcome =
                            chain.process(worker, sequence, Some(spans(service, 200 - 4 * sequence)), None);
                        outcomes.lock().expect("no panic").push((sequence, outcome));
                    }
                });
            }
        });
        let mut outcomes = outcomes.into_inner().expect("no panic");
        outcomes.sort_by_key(|(sequence, _)| *sequence);
        let content = |mut outcome: Outcome| {
            (contents(&outcome.batches.pop().expect("some rows stay").settle()), outcome.emitted.len())
        };
        outcomes.into_iter().map(|(_, outcome)| content(outcome)).collect()
    };
    let (alone, four) = (run(1), run(4));
    assert_eq!(alone.len() as u64, BATCHES);
    assert!(alone == four);
}
