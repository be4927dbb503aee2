//! What a plugin may count on: its columns, its state, its rows, and that a failed call changes nothing.

use serde_json::json;
use weir_sdk::prelude::*;
use weir_sdk::testing::{Plugin, TestBatch, run};

/// Makes a plugin whose `process` is this body.
macro_rules! processor {
    ($name:ident, |$batch:ident| $body:block) => {
        struct $name;

        impl Processor for $name {
            type Config = NoConfig;
            const SIGNALS: Signals = Signals::ALL;

            fn new(_: NoConfig) -> Result<Self> {
                Ok(Self)
            }

            fn describe(&self, plugin: &mut Description) {
                plugin.writes("made", Type::S64, "").writes("attributes.*", Type::Text, "").emits::<Seen>();
            }

            fn process(&mut self, $batch: &mut Batch) -> Result $body
        }

        weir_sdk::plugin!($name);
    };
}

/// What was seen
/// of a batch.
#[derive(Row)]
#[row(table = "seen", mode = "upsert", key = ["name", "id"], time = "at")]
struct Seen {
    /// When.
    at: Timestamp,
    /// Whose.
    name: String,
    /// Of which trace.
    id: Option<[u8; 16]>,
    rows: u64,
    share: Option<f64>,
}

#[test]
fn a_column_of_another_type_is_refused_by_name_and_types() {
    processor!(Reads, |batch| {
        batch.i64("name")?;
        Ok(())
    });
    let error = run::<Reads>("{}", TestBatch::spans().column("name", ["a"])).expect_err("another type");
    assert_eq!(error.to_string(), "column \"name\" is read as i64, but it is text");
}

#[test]
fn an_attribute_that_no_row_has_is_null_in_any_type() {
    processor!(Absent, |batch| {
        assert_eq!(batch.i64("attributes.x")?.get(1), None);
        assert_eq!(batch.f64("attributes.x")?.get(1), None);
        assert_eq!(batch.bool("attributes.x")?.get(1), None);
        assert_eq!(batch.text("attributes.x")?.get(1), None);
        assert!(!batch.text("attributes.x")?.is(1, ""));
        assert_eq!(batch.span_ids("attributes.x")?.get(1), None);
        Ok(())
    });
    run::<Absent>("{}", TestBatch::logs().rows(2)).expect("a batch");
}

#[test]
fn a_column_of_lists_is_read_as_slices_and_not_written() {
    processor!(Lists, |batch| {
        let (counts, bounds) = (batch.u64_lists("bucket_counts")?, batch.f64_lists("bounds")?);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [Some(&[1, 2][..]), None, Some(&[])]);
        assert_eq!(bounds.iter().collect::<Vec<_>>(), [Some(&[0.5][..]), None, None]);
        assert_eq!(batch.any_as_text("bounds")?.get(0), Some("[0.5]"));
        assert_eq!(batch.any_as_text("bounds")?.get(1), None);
        assert_eq!(batch.f64_lists("attributes.x")?.get(1), None);
        let error = batch.f64_lists("bucket_counts").expect_err("another type");
        assert_eq!(error.to_string(), "column \"bucket_counts\" is read as lists of f64, but it is lists of u64");
        batch.set("made", counts.iter().map(|counts| counts.map(|counts| counts.iter().sum::<u64>() as i64)))
    });
    let batch = || {
        TestBatch::metrics()
            .u64_lists("bucket_counts", [Some(vec![1, 2]), None, Some(vec![])])
            .f64_lists("bounds", [Some(vec![0.5]), None, None])
    };
    let tested = run::<Lists>("{}", batch()).expect("a batch");
    assert_eq!(tested.column("made"), [json!(3), json!(null), json!(0)]);
    assert_eq!(tested.column("bucket_counts"), [json!([1, 2]), json!(null), json!([])]);

    struct Writes;

    impl Processor for Writes {
        type Config = NoConfig;
        const SIGNALS: Signals = Signals::METRICS;

        fn new(_: NoConfig) -> Result<Self> {
            Ok(Self)
        }

        fn describe(&self, plugin: &mut Description) {
            plugin.writes("bounds", Type::F64, "");
        }

        fn process(&mut self, batch: &mut Batch) -> Result {
            batch.set("bounds", [0.5, 0.5, 0.5])
        }
    }

    weir_sdk::plugin!(Writes);
    let error = run::<Writes>("{}", batch()).expect_err("no list can be written");
    assert_eq!(error.to_string(), "column \"bounds\" is a column of lists, which can be read, not written");
}

#[test]
fn text_reads_the_same_as_dictionary_and_row_by_row() {
    processor!(Text, |batch| {
        for column in ["plain", "dictionary"] {
            let text = batch.text(column)?;
            assert_eq!(text.iter().collect::<Vec<_>>(), [Some("ä"), None, Some("b"), Some("ä")], "{column}");
            assert!(text.is(3, "ä") && !text.is(2, "ä") && !text.is(1, ""), "{column}");
        }
        assert!(batch.text("dictionary")?.is_dictionary());
        assert_eq!(batch.text("dictionary")?.key(0), batch.text("dictionary")?.key(3));
        Ok(())
    });
    let values = [Some("ä"), None, Some("b"), Some("ä")];
    run::<Text>("{}", TestBatch::logs().column("plain", values).dictionary("dictionary", values)).expect("a batch");
}

#[test]
fn numbers_ids_and_nulls_survive_the_way_there_and_back() {
    processor!(Numbers, |batch| {
        let numbers = batch.i64("n")?;
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [Some(i64::MIN), None, Some(7)]);
        assert_eq!(batch.f64("n")?.get(2), Some(7.0));
        assert_eq!(batch.trace_ids("id")?.get(0), Some(&[1; 16]));
        assert_eq!(batch.any_as_text("n")?.get(2), Some("7"));
        batch.set("made", numbers.iter())
    });
    let batch = TestBatch::metrics().column("n", [Some(i64::MIN), None, Some(7)]).column("id", [[1; 16]; 3]);
    let tested = run::<Numbers>("{}", batch).expect("a batch");
    assert_eq!(tested.column("made"), [json!(i64::MIN), json!(null), json!(7)]);
}

#[test]
fn null_leaves_its_row_as_it_was() {
    processor!(Some_, |batch| { batch.set("attributes.a", [None, Some("new")]) });
    let tested = run::<Some_>("{}", TestBatch::spans().attribute("a", ["x", "y"])).expect("a batch");
    assert_eq!(tested.attribute("a"), ["x", "new"]);
}

#[test]
fn a_column_of_another_length_or_name_is_refused() {
    processor!(Long, |batch| { batch.set("made", [1, 2, 3]) });
    processor!(Unknown, |batch| { batch.set("other", [1, 2]) });
    processor!(Typed, |batch| { batch.set("made", ["a", "b"]) });
    let batch = TestBatch::spans().rows(2);
    let message = |tested: Result<_>| tested.err().map(|error: Error| error.to_string()).unwrap_or_default();
    let long = message(run::<Long>("{}", batch.clone()));
    assert_eq!(long, "column \"made\" is written with 3 rows, but the batch has 2");
    assert!(message(run::<Unknown>("{}", batch.clone())).starts_with("column \"other\" is not declared"));
    assert!(message(run::<Typed>("{}", batch)).contains("declared as"));
}

#[test]
fn rows_must_be_kept_by_every_filter() {
    processor!(Filters, |batch| {
        batch.keep_because("odd", |row| row % 2 == 0)?;
        batch.keep(|row| row < 9)
    });
    let tested = run::<Filters>("{}", TestBatch::spans().rows(11)).expect("a batch");
    assert_eq!(tested.kept(), [0, 2, 4, 6, 8]);
    assert_eq!(tested.dropped()[0], (1, "odd"));
    assert_eq!(tested.dropped()[5], (10, "filtered"));
}

#[test]
fn emitted_rows_arrive_as_columns_of_the_declared_table() {
    processor!(Emits, |batch| {
        for rows in 0..2 {
            let id = (rows == 1).then_some([0xab; 16]);
            emit(&Seen { at: Timestamp(5), name: format!("n{rows}"), id, rows, share: None })?;
        }
        count("batches", 1);
        log::warn(format!("{} rows", batch.rows()));
        Ok(())
    });
    let mut plugin = Plugin::<Emits>::configure("{}").expect("a plugin");
    let tested = plugin.process(TestBatch::spans().rows(3)).expect("a batch");
    let rows = tested.emitted("seen");
    assert_eq!(*rows[0], json!({ "at": 5, "name": "n0", "id": null, "rows": 0, "share": null }));
    assert_eq!(rows[1]["id"], "ab".repeat(16));
    assert_eq!((tested.counter("batches"), tested.logs_of("warn")), (1, vec!["3 rows"]));

    let table = &plugin.description().tables[0];
    assert_eq!((table.name.as_str(), table.description.as_str()), ("seen", "What was seen of a batch."));
    assert_eq!((table.key.join(","), table.time.as_str()), ("name,id".to_owned(), "at"));
    let columns: Vec<_> = table.columns.iter().map(|column| (column.type_, column.description.as_str())).collect();
    let expected = [(Type::Time, "When."), (Type::Text, "Whose."), (Type::Fixed16, "Of which trace.")];
    assert_eq!(columns[..3], expected);
    assert_eq!(columns[3..], [(Type::U64, ""), (Type::F64, "")]);
}

#[test]
fn a_failed_call_leaves_state_and_rows_as_they_were() {
    const RUNNING: State<String, u64> = State::named("running");
    processor!(Moody, |batch| {
        let key = "rows".to_owned();
        let before = RUNNING.get(&key)?.unwrap_or(0);
        RUNNING.put(&key, &(before + batch.rows() as u64))?;
        emit(&Seen { at: Timestamp(0), name: key, id: None, rows: before, share: None })?;
        if batch.rows() == 2 { Err(Error::new("two rows")) } else { Ok(()) }
    });
    let mut plugin = Plugin::<Moody>::configure("{}").expect("a plugin");
    plugin.process(TestBatch::spans().rows(1)).expect("a batch");
    assert_eq!(plugin.process(TestBatch::spans().rows(2)).expect_err("two rows").to_string(), "two rows");
    let tested = plugin.process(TestBatch::spans().rows(3)).expect("a batch");
    let rows: Vec<_> = tested.emitted("seen").iter().map(|row| row["rows"].clone()).collect();
    assert_eq!(rows, [1]);
    assert_eq!(tested.state().values().collect::<Vec<_>>(), [b"4"]);
}

#[test]
fn texts_of_a_place_are_replaced_everywhere_in_it() {
    processor!(Shouts, |batch| {
        assert_eq!(batch.places(), ["attributes", "name"]);
        let texts = batch.texts("attributes")?;
        let replacements: Vec<_> = texts.iter().map(|text| (text? == "secret").then_some("***")).collect();
        batch.replace_texts("attributes", replacements)
    });
    let batch = TestBatch::spans().column("name", ["secret"; 2]).attribute("a", ["secret", "b"]).attribute("n", [1, 2]);
    let tested = run::<Shouts>("{}", batch).expect("a batch");
    assert_eq!(tested.attribute("a"), ["***", "b"]);
    assert_eq!(tested.column("name"), ["secret"; 2]);
    assert_eq!(tested.attribute("n"), [1, 2]);
}

#[test]
fn a_plugin_has_the_name_of_its_package_unless_it_says_another() {
    processor!(Named, |_batch| { Ok(()) });
    struct Other;
    impl Processor for Other {
        type Config = NoConfig;
        const SIGNALS: Signals = Signals::SPANS.and(Signals::LOGS);
        const STATEFUL: bool = true;
        fn new(_: NoConfig) -> Result<Self> {
            Ok(Self)
        }
        fn process(&mut self, _: &mut Batch) -> Result {
            Ok(())
        }
    }
    weir_sdk::plugin!(Other, name = "other", version = "9");
    let named = Plugin::<Named>::configure("{}").expect("a plugin").description();
    assert_eq!((named.name.as_str(), named.reads.join(",")), ("weir-sdk", "*".to_owned()));
    let other = Plugin::<Other>::configure("{}").expect("a plugin").description();
    assert_eq!((other.name.as_str(), other.version.as_str(), other.stateful), ("other", "9", true));
    assert_eq!(other.signals, [Signal::Spans, Signal::Logs]);
}
