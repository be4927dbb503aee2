//! What is sent is what is stored: any OTLP, as protobuf and as JSON, through the pipeline into Parquet and back.

#[path = "otlp/arbitrary.rs"]
mod arbitrary;
#[path = "otlp/as_json/mod.rs"]
mod as_json;
mod service;

use as_json::{AsJson, Style};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use service::reference::Rows;
use service::rows::{self, Cell, Row, assert_same};
use weir::Signal;
use weir::config::Config;
use weir::run::Pipeline;

/// What a pipeline stores of what `ingest` hands it.
fn stored(signal: Signal, configure: impl FnOnce(&mut Config), ingest: impl FnOnce(&Pipeline)) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::builder().config(service::config(folder.path(), configure)).start().unwrap();
    ingest(&pipeline);
    let summary = pipeline.shutdown();
    assert!(summary.failure.is_none(), "{summary:?}");
    rows::read(folder.path(), signal.name())
}

/// One worker and no plugins: what is tested is the way of the data, and a pipeline starts in no time.
fn bare(config: &mut Config) {
    config.plugins.clear();
    config.batch.workers = 1;
}

fn assert_survives<M: Message + Default + Rows + AsJson>(signal: Signal, message: &M, style: Style) {
    // What the encoder cannot say is not sent: prost leaves out a -0, because it equals the default.
    let message = &M::decode(message.encode_to_vec().as_slice()).unwrap();
    let accepted = |rows: u64| assert_eq!(rows, message.rows().len() as u64, "rows that were acknowledged");
    let protobuf = stored(signal, bare, |to| accepted(to.ingest(signal, &message.encode_to_vec()).unwrap().rows));
    assert_same(protobuf, message.rows());
    let json = message.as_json(style);
    let json = stored(signal, bare, |to| accepted(to.ingest_json(signal, json.as_bytes()).unwrap().rows));
    assert_same(json, message.rows());
}

proptest! {
    #![proptest_config(Cases { cases: 64, ..Cases::default() })]

    #[test]
    fn any_traces_survive_the_way_into_parquet_and_back(
        message in arbitrary::traces(), style in any::<[bool; 8]>(),
    ) {
        assert_survives(Signal::Spans, &message, style.into());
    }

    #[test]
    fn any_logs_survive_the_way_into_parquet_and_back(message in arbitrary::logs(), style in any::<[bool; 8]>()) {
        assert_survives(Signal::Logs, &message, style.into());
    }

    #[test]
    fn any_metrics_survive_the_way_into_parquet_and_back(
        message in arbitrary::metrics(), style in any::<[bool; 8]>(),
    ) {
        assert_survives(Signal::Metrics, &message, style.into());
    }
}

/// The same messages each time.
fn generate<M: std::fmt::Debug>(count: usize, strategy: impl Strategy<Value = M>) -> Vec<M> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Cases::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// All at once through a pipeline with the chain that is there by default, gathered to large batches.
fn assert_survive_together<M: Message + Default + Rows>(signal: Signal, messages: &[M]) {
    let mut stored = stored(
        signal,
        |config| config.batch.workers = 2,
        |to| {
            for message in messages {
                to.ingest(signal, &message.encode_to_vec()).unwrap();
            }
        },
    );
    let sent = messages.iter().map(|message| M::decode(message.encode_to_vec().as_slice()).unwrap());
    let expected: Vec<Row> = sent.flat_map(|message| message.rows()).collect();
    // Plugins may have columns of their own, which without settings hold nothing.
    for row in &mut stored {
        row.retain(|column, cell| expected[0].contains_key(column) || *cell != Cell::Null);
    }
    assert_same(stored, expected);
}

#[test]
fn many_traces_survive_together_and_plugins_without_settings_change_nothing() {
    assert_survive_together(Signal::Spans, &generate(300, arbitrary::traces()));
}

#[test]
fn many_logs_survive_together_and_plugins_without_settings_change_nothing() {
    assert_survive_together(Signal::Logs, &generate(300, arbitrary::logs()));
}

#[test]
fn many_metrics_survive_together_and_plugins_without_settings_change_nothing() {
    assert_survive_together(Signal::Metrics, &generate(300, arbitrary::metrics()));
}

/// The example as JSON, and as the protobuf that it means: rows that are the same, and of which there are so many.
fn assert_example<M: Message + Default + Rows>(signal: Signal, json: &str, count: usize) -> Vec<Row> {
    let protobuf = weir::decode::json::to_protobuf(signal, json.as_bytes()).unwrap();
    let from_json = stored(signal, bare, |to| drop(to.ingest_json(signal, json.as_bytes()).unwrap()));
    let from_protobuf = stored(signal, bare, |to| drop(to.ingest(signal, &protobuf).unwrap()));
    assert_same(from_json.clone(), M::decode(protobuf.as_slice()).unwrap().rows());
    assert_same(from_protobuf, from_json.clone());
    assert_eq!(from_json.len(), count);
    from_json
}

#[test]
fn the_published_trace_becomes_its_rows() {
    let json = include_str!("otlp/examples/trace.json");
    let rows = assert_example::<ExportTraceServiceRequest>(Signal::Spans, json, 1);
    assert_eq!(format!("{:?}", rows[0]["trace_id"]), "0x5b8efff798038103d269b633813fc60c");
    assert_eq!(format!("{:?}", rows[0]["service_name"]), r#""my.service""#);
}

#[test]
fn the_published_logs_become_their_rows() {
    let json = include_str!("otlp/examples/logs.json");
    let rows = assert_example::<ExportLogsServiceRequest>(Signal::Logs, json, 1);
    assert_eq!(format!("{:?}", rows[0]["body"]), r#""Example log record""#);
}

#[test]
fn the_published_events_become_their_rows() {
    let json = include_str!("otlp/examples/events.json");
    assert_example::<ExportLogsServiceRequest>(Signal::Logs, json, 1);
}

#[test]
fn the_published_metrics_become_their_rows() {
    let json = include_str!("otlp/examples/metrics.json");
    let rows = assert_example::<ExportMetricsServiceRequest>(Signal::Metrics, json, 4);
    let sum = rows.iter().find(|row| format!("{:?}", row["kind"]) == r#""sum""#).unwrap();
    assert_eq!(format!("{:?} {:?}", sum["value_double"], sum["temporality"]), r#"5.0 "delta""#);
}

/// Fields that no version of OTLP has: one of each wire type.
const UNKNOWN: &[u8] = &[
    0xc0, 0x3e, 0x05, // 1000: a varint
    0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8, // 1001: 64 bits
    0xd2, 0x3e, 3, b'a', b'b', b'c', // 1002: bytes
    0xdd, 0x3e, 1, 2, 3, 4, // 1003: 32 bits
];

#[test]
fn protobuf_fields_that_are_not_known_are_ignored() {
    let message = service::traces(vec![service::span(1, "a")]);
    let with_unknown = |bytes: Vec<u8>| [UNKNOWN, &bytes, UNKNOWN].concat();
    let field = |number: u8, bytes: Vec<u8>| {
        let bytes = with_unknown(bytes);
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        [out, bytes].concat()
    };
    // The same message by hand, with fields that are not known in each of its parts.
    let spans = &message.resource_spans[0];
    let span = field(2, spans.scope_spans[0].spans[0].encode_to_vec());
    let resource = field(1, spans.resource.as_ref().unwrap().encode_to_vec());
    let bytes = with_unknown(field(1, [resource, field(2, span)].concat()));
    assert_eq!(ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap(), message, "the test's own encoding");

    let stored = stored(Signal::Spans, bare, |to| drop(to.ingest(Signal::Spans, &bytes).unwrap()));
    assert_same(stored, message.rows());
}

#[test]
fn json_fields_that_are_not_known_are_ignored() {
    let message = service::logs(vec![service::log("hello")]);
    let json = message.as_json(Style { unknown_fields: true, ..Style::default() });
    assert!(json.contains("notYetInvented"));
    let stored = stored(Signal::Logs, bare, |to| drop(to.ingest_json(Signal::Logs, json.as_bytes()).unwrap()));
    assert_same(stored, message.rows());
}

#[test]
fn a_request_that_comes_after_another_in_one_batch_does_not_change_its_rows() {
    let requests =
        [service::logs(vec![service::log("one")]), service::logs(vec![service::log("two"), service::log("")])];
    let stored = stored(Signal::Logs, bare, |to| {
        for request in &requests {
            to.ingest(Signal::Logs, &request.encode_to_vec()).unwrap();
        }
        to.ingest(Signal::Spans, &service::traces(vec![service::span(1, "other")]).encode_to_vec()).unwrap();
    });
    assert_same(stored, requests.iter().flat_map(Rows::rows).collect());
}
