//! Batches as bytes and back, and rows gathered from several of them.

use crate::batch::{Any, Attributes, Batch, Column, Shared, Tag, Value, pack};
use crate::decode::tests::{arbitrary, batch_of, show};
use crate::decode::{Builder, VALUE_DEPTH_MAX};
use crate::{Kind, Signal};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

/// Rows as names and texts of their cells.
type Rows = Vec<Vec<(String, String)>>;

fn request() -> BoxedStrategy<(Signal, Vec<Vec<u8>>)> {
    let bodies = |strategy: BoxedStrategy<Vec<u8>>| prop::collection::vec(strategy, 1..4);
    prop_oneof![
        bodies(arbitrary::traces().prop_map(|request| request.encode_to_vec()).boxed())
            .prop_map(|bodies| (Signal::Spans, bodies)),
        bodies(arbitrary::logs().prop_map(|request| request.encode_to_vec()).boxed())
            .prop_map(|bodies| (Signal::Logs, bodies)),
        bodies(arbitrary::metrics().prop_map(|request| request.encode_to_vec()).boxed())
            .prop_map(|bodies| (Signal::Metrics, bodies)),
    ]
    .boxed()
}

/// What has to be the same: the signal, names and types of the columns, and every cell.
fn shown(batch: &Batch) -> (Signal, Vec<String>, Rows) {
    let kind = |(name, column): (&str, &Column)| match column {
        Column::Array(array) => format!("{name}: {}", array.data_type()),
        Column::Children(children) => {
            let fields = children.columns.iter().map(|(name, array)| format!("{name}: {}", array.data_type()));
            format!("{name}: {}", fields.collect::<Vec<_>>().join(", "))
        }
        other => format!("{name}: {:?}", std::mem::discriminant(other)),
    };
    (batch.signal(), batch.columns().map(kind).collect(), show::rows(batch))
}

/// Columns of every type that a plugin may add, every third row null.
fn with_added_columns(mut batch: Batch) -> Batch {
    let rows = batch.rows();
    let valid = |row: &usize| row % 3 != 2;
    let some = |row: usize| valid(&row).then_some(row);
    let nan = f64::from_bits(0x7ff8_0000_0000_1234);
    let texts: Vec<Option<String>> = (0..rows).map(|row| some(row).map(|row| format!("t{}", row % 2))).collect();
    let dictionary: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
    let ids = (0..rows).map(|row| some(row).map(|row| [row as u8; 16]));
    let added: [(&str, ArrayRef); 8] = [
        ("is", Arc::new((0..rows).map(|row| some(row).map(|row| row % 2 == 0)).collect::<BooleanArray>())),
        ("whole", Arc::new((0..rows).map(|row| some(row).map(|row| -(row as i64))).collect::<Int64Array>())),
        ("count", Arc::new((0..rows).map(|row| some(row).map(|row| u64::MAX - row as u64)).collect::<UInt64Array>())),
        ("double", Arc::new((0..rows).map(|row| some(row).map(|_| nan)).collect::<Float64Array>())),
        ("when", {
            let times: TimestampNanosecondArray = (0..rows).map(|row| some(row).map(|row| row as i64)).collect();
            Arc::new(times.with_timezone("UTC"))
        }),
        ("text", Arc::new(StringArray::from(texts.clone()))),
        ("repeated", Arc::new(dictionary)),
        ("id", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16).unwrap())),
    ];
    for (name, values) in added {
        batch.write(name, &values).unwrap();
    }
    batch
}

fn logs() -> Batch {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    let record = |severity: &str| LogRecord { severity_text: severity.to_owned(), ..LogRecord::default() };
    let log_records = ["INFO", "WARN", "INFO"].map(record).to_vec();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    batch_of(Signal::Logs, &[ExportLogsServiceRequest { resource_logs }.encode_to_vec()])
}

fn attributes_of<'a>(batch: &'a mut Batch, name: &str) -> &'a mut Attributes {
    let (_, column) = batch.columns.iter_mut().find(|(known, _)| **known == *name).expect("there is such a column");
    match Arc::make_mut(column) {
        Column::Attributes(attributes) | Column::Shared(Shared { values: attributes, .. }) => attributes,
        _ => panic!("{name} holds no attributes"),
    }
}

fn put_text(attributes: &mut Attributes, key: &str, text: &[u8], tag: Tag) {
    let start = attributes.arena.len();
    attributes.arena.extend_from_slice(text);
    attributes.push(key.as_bytes(), Value::long(tag, start, text.len()));
}

/// A log record whose attributes have this value.
fn with_value(tag: Tag, content: &[u8]) -> Batch {
    let mut batch = logs().take(&[0]);
    let attributes = attributes_of(&mut batch, "attributes");
    *attributes = Attributes::default();
    put_text(attributes, "k", content, tag);
    attributes.end_row();
    batch
}

fn nested(levels: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 1..levels {
        let inner = std::mem::take(&mut content);
        pack::long(&mut content, Tag::Array, &inner);
    }
    content
}

fn refusal(bytes: &[u8]) -> String {
    let error = Batch::decode(bytes).expect_err("refused");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    error.message().to_owned()
}

#[test]
fn doubles_duplicates_empty_keys_and_nulls_of_attributes_come_back_bit_by_bit() {
    let mut batch = logs().take(&[0]);
    let attributes = attributes_of(&mut batch, "attributes");
    *attributes = Attributes::default();
    let values = [Value::double(f64::from_bits(0xfff8_dead_beef_0001)), Value::NULL, Value::int(-1), Value::bool(true)];
    values.into_iter().for_each(|value| attributes.push(b"", value));
    put_text(attributes, "", b"", Tag::Text);
    put_text(attributes, "", &[0xff], Tag::Bytes);
    attributes.end_row();
    let back = Batch::decode(&batch.encode().unwrap()).unwrap();
    let Some(Column::Attributes(attributes)) = back.column("attributes") else { panic!("attributes") };
    let back: Vec<Value> = attributes.entries.iter().map(|entry| entry.value).collect();
    assert_eq!(back[..4], values);
    assert!(matches!(back[4].resolve(&attributes.arena), Any::Text("")));
    assert!(matches!(back[5].resolve(&attributes.arena), Any::Bytes([0xff])));
    assert_eq!(attributes.keys.len(), 1);
}

#[test]
fn a_batch_without_rows_comes_back_with_its_columns_or_without() {
    let empty = Builder::new(Signal::Metrics).finish();
    assert_eq!(shown(&Batch::decode(&empty.encode().unwrap()).unwrap()), shown(&empty));
    let none = Batch { signal: Signal::Spans, rows: 0, columns: Vec::new() };
    assert_eq!(shown(&Batch::decode(&none.encode().unwrap()).unwrap()), shown(&none));
}

#[test]
fn values_as_deep_as_the_decoder_takes_them_come_back_and_deeper_ones_are_refused() {
    let deepest = with_value(Tag::Array, &nested(VALUE_DEPTH_MAX)).encode().unwrap();
    assert!(Batch::decode(&deepest).is_ok());
    let deeper = with_value(Tag::Array, &nested(VALUE_DEPTH_MAX + 1)).encode().unwrap();
    assert!(refusal(&deeper).contains("attributes: a value nests deeper than 64 levels"));
}

#[test]
fn what_is_no_text_and_no_packed_value_is_refused() {
    for (tag, content, why) in [
        (Tag::Text, &b"\xff"[..], "text: is not UTF-8"),
        (Tag::Array, &[9], "9 is the tag of no value"),
        (Tag::Array, &[4, 5, 0, 0, 0, b'a'], "content: 5 bytes are said to follow, 1 are left"),
        (Tag::Array, &[2, 0], "number: 8 bytes"),
        (Tag::Map, &[1, 0, 0, 0, 0xff, 0], "key of a map: is not UTF-8"),
        (Tag::Map, &[0, 0, 0, 0], "tag: 1 bytes"),
    ] {
        let refusal = refusal(&with_value(tag, content).encode().unwrap());
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn keys_ends_and_numbers_of_rows_that_do_not_agree_are_refused() {
    let refused = |change: &dyn Fn(&mut Batch), why: &str| {
        let mut batch = with_value(Tag::Text, b"v");
        change(&mut batch);
        let refusal = refusal(&batch.encode().unwrap());
        assert!(refusal.contains(why), "{refusal}");
    };
    refused(&|batch| attributes_of(batch, "attributes").entries[0].key = 1, "the key of number 1; there are 1");
    refused(&|batch| attributes_of(batch, "attributes").end_row(), "attributes: has 2 values in a batch of 1 rows");
    refused(&|batch| attributes_of(batch, "scope_attributes").ends.clear(), "attributes of number 0; there are 0");
    refused(&|batch| batch.rows = 2, "time: has 1 values in a batch of 2 rows");
    refused(&|batch| batch.columns.swap(1, 2), "service_namespace: stands where service_name must be");
    refused(&|batch| batch.columns.truncate(3), "has 3 columns");
    refused(
        &|batch| batch.columns[0].1 = Arc::new(Column::Array(Arc::new(Int64Array::from(vec![1])))),
        "time: is a column of Int64",
    );
    refused(
        &|batch| batch.columns.push((Arc::from("x"), batch.columns[7].1.clone())),
        "x: is a column of UInt32, which no plugin can add",
    );
}

#[test]
fn other_versions_and_bytes_that_follow_the_end_are_refused() {
    let mut bytes = logs().encode().unwrap();
    bytes.push(0);
    assert!(refusal(&bytes).contains("1 bytes follow its end"));
    bytes[0] = 7;
    assert!(refusal(&bytes).contains("is of version 7; this Weir reads version 1"));
    assert!(refusal(&[]).contains("version: 1 bytes are said to follow, 0 are left"));
}

#[test]
fn every_beginning_of_a_batch_is_refused() {
    let bytes = with_added_columns(logs()).encode().unwrap();
    (0..bytes.len()).for_each(|length| drop(refusal(&bytes[..length])));
}

#[test]
fn a_column_that_only_some_batches_have_is_null_in_the_others() {
    let (plain, mut tagged) = (logs(), logs());
    tagged.write("tenant", &(Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef)).unwrap();
    for order in [[&plain, &tagged], [&tagged, &plain]] {
        let joined = Batch::concat(&order).unwrap();
        let Some(Column::Array(tenant)) = joined.column("tenant") else { panic!("tenant") };
        let tenants: Vec<_> = tenant.as_string::<i32>().iter().flatten().collect();
        assert_eq!((tenant.len(), tenants), (6, vec!["a", "b", "c"]));
    }
}

#[test]
fn a_column_of_two_types_is_an_error_of_the_plugin() {
    let (mut numbers, mut texts) = (logs(), logs());
    numbers.write("tenant", &(Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)).unwrap();
    texts.write("tenant", &(Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef)).unwrap();
    let error = Batch::concat(&[&numbers, &texts]).unwrap_err();
    assert_eq!(error.kind(), Kind::Plugin);
    assert!(error.message().contains("tenant: is a column of Int64 in some rows, of Utf8 in others"), "{error}");
}

#[test]
fn joined_batches_hold_equal_texts_keys_and_resources_once() {
    let batch = with_added_columns(logs());
    let joined = Batch::concat(&[&batch; 50]).unwrap();
    assert_eq!(joined.rows(), 150);
    let Some(Column::Array(severity)) = joined.column("severity_text") else { panic!("an array") };
    assert_eq!(severity.as_dictionary::<Int32Type>().values().len(), 2);
    let Some(Column::Shared(resource)) = joined.column("resource_attributes") else { panic!("shared") };
    assert_eq!(resource.values.rows(), 1);
}

#[test]
fn taken_rows_leave_the_texts_and_keys_of_the_others_behind() {
    let mut batch = logs();
    let keyed: ArrayRef = Arc::new(StringArray::from(vec![None, Some("x"), None]));
    batch.write("attributes.of.the.second", &keyed).unwrap();
    let taken = batch.take(&[2, 7, 0]);
    assert_eq!(taken.rows(), 2);
    let Some(Column::Array(severity)) = taken.column("severity_text") else { panic!("an array") };
    assert_eq!(severity.as_dictionary::<Int32Type>().values().as_string::<i32>(), &StringArray::from(vec!["INFO"]));
    let Some(Column::Attributes(attributes)) = taken.column("attributes") else { panic!("attributes") };
    assert!(attributes.keys.is_empty());
}

#[test]
fn batches_of_two_signals_and_no_batches_cannot_be_joined() {
    assert_eq!(Batch::concat(&[]).unwrap_err().kind(), Kind::Bug);
    let spans = Builder::new(Signal::Spans).finish();
    assert_eq!(Batch::concat(&[&logs(), &spans]).unwrap_err().kind(), Kind::Bug);
}

#[test]
fn memory_counts_the_whole_allocation_behind_a_slice_and_each_one_once() {
    let batch = Batch::concat(&[&logs(); 100]).unwrap();
    let slice = batch.slice(0, 1);
    assert!(slice.memory_bytes() > 20 * slice.bytes(), "{} of {}", slice.memory_bytes(), slice.bytes());
    assert!(batch.memory_bytes() >= batch.bytes());
    assert!(batch.memory_bytes() < 2 * batch.bytes() + (16 << 10), "{} of {}", batch.memory_bytes(), batch.bytes());
    let mut twice = batch.clone();
    let once = twice.memory_bytes();
    twice.columns.push((Arc::from("again"), batch.columns[0].1.clone()));
    assert!(
        (once..once + batch.rows() * size_of::<i64>()).contains(&twice.memory_bytes()),
        "{once}, then {}",
        twice.memory_bytes()
    );
}

/// A change of bytes: at a place, so many bits of one byte flipped, or bytes cut out, doubled or overwritten.
#[derive(Clone, Debug)]
struct Mutation(prop::sample::Index, u8, u8, prop::sample::Index);

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = self.0.index(bytes.len());
        let end = (at + 1 + self.3.index(16)).min(bytes.len());
        match self.1 % 5 {
            0 | 1 => bytes[at] ^= self.2.max(1),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => bytes[at..end].fill(self.2),
        }
        if bytes.is_empty() {
            bytes.push(self.2);
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = (any::<prop::sample::Index>(), any::<u8>(), any::<u8>(), any::<prop::sample::Index>());
    prop::collection::vec(one.prop_map(|(at, what, with, end)| Mutation(at, what, with, end)), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_is_decoded_as_it_was((signal, bodies) in request(), offset in 0..3_usize) {
        let batch = with_added_columns(batch_of(signal, &bodies));
        let slice = batch.slice(offset, batch.rows().saturating_sub(2 * offset));
        for batch in [batch, slice] {
            let bytes = batch.encode().unwrap();
            let back = Batch::decode(&bytes).unwrap();
            prop_assert_eq!(shown(&back), shown(&batch));
            prop_assert_eq!(back.encode().unwrap().len(), bytes.len());
        }
    }

    #[test]
    fn taken_rows_are_the_rows_that_were_there(
        (signal, bodies) in request(), picks in prop::collection::vec(0..20_u32, 0..20),
    ) {
        let batch = with_added_columns(batch_of(signal, &bodies));
        let rows = show::rows(&batch);
        let expected: Vec<_> = picks.iter().filter_map(|&row| rows.get(row as usize).cloned()).collect();
        let taken = batch.take(&picks);
        prop_assert_eq!(show::rows(&taken), expected);
        prop_assert_eq!(shown(&Batch::decode(&taken.encode().unwrap()).unwrap()), shown(&taken));
    }

    #[test]
    fn joined_batches_have_the_rows_of_each_in_turn((signal, bodies) in request(), picks in any::<u64>()) {
        let part = |body| with_added_columns(batch_of(signal, std::slice::from_ref(body)));
        let parts: Vec<Batch> = bodies.iter().map(part).collect();
        let some: Vec<u32> = (0..64).filter(|row| picks >> row & 1 == 1).collect();
        let parts: Vec<Batch> = parts.iter().flat_map(|part| [part.take(&some), part.clone()]).collect();
        let joined = Batch::concat(&parts.iter().collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(show::rows(&joined), parts.iter().flat_map(show::rows).collect::<Vec<_>>());
        prop_assert_eq!(shown(&Batch::decode(&joined.encode().unwrap()).unwrap()), shown(&joined));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_the_bytes_makes_decoding_or_its_result_panic(
        (signal, bodies) in request(),
        mutations in mutations(),
    ) {
        let mut bytes = with_added_columns(batch_of(signal, &bodies)).encode().unwrap();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        match Batch::decode(&bytes) {
            Err(refusal) => prop_assert_eq!(refusal.kind(), Kind::Storage),
            Ok(mut batch) => {
                // A time of another zone is a valid column, but none that can be shown.
                batch.columns.retain(|(name, _)| **name != *"when");
                prop_assert_eq!(show::rows(&batch).len(), batch.rows());
                let rows: Vec<u32> = (0..batch.rows() as u32).rev().collect();
                prop_assert_eq!(batch.take(&rows).rows(), batch.rows());
                prop_assert!(batch.memory_bytes() > 0 || batch.columns().next().is_none());
            }
        }
    }
}
