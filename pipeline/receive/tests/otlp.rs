//! OTLP as it should be: what is taken, and how success is answered.

use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::{logs::v1::ResourceLogs, metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};

fn partial(_: Signal, _: &[u8]) -> Result<Accepted> {
    Ok(Accepted { rows: 5, rejected: 300, message: "300 rows are too old".to_owned() })
}

#[test]
fn the_listeners_are_loopback_4317_and_4318_by_default() {
    let settings = Settings::new(json_to_protobuf);
    assert_eq!(settings.grpc, Some("127.0.0.1:4317".parse().unwrap()));
    assert_eq!(settings.http, Some("127.0.0.1:4318".parse().unwrap()));
    assert_eq!(settings.body_bytes_max, 64 * 1024 * 1024);
}

#[tokio::test]
async fn grpc_clients_export_all_three_signals() {
    let running = start().await;
    let url = format!("http://{}", running.grpc);
    let spans = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { schema_url: "s".to_owned(), ..Default::default() }],
    };
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { schema_url: "m".to_owned(), ..Default::default() }],
    };
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { schema_url: "l".to_owned(), ..Default::default() }],
    };
    let answer = TraceServiceClient::connect(url.clone()).await.unwrap().export(spans.clone()).await.unwrap();
    assert_eq!(answer.into_inner(), ExportTraceServiceResponse { partial_success: None });
    let answer = MetricsServiceClient::connect(url.clone()).await.unwrap().export(metrics.clone()).await.unwrap();
    assert_eq!(answer.into_inner(), ExportMetricsServiceResponse { partial_success: None });
    let answer = LogsServiceClient::connect(url).await.unwrap().export(logs.clone()).await.unwrap();
    assert_eq!(answer.into_inner(), ExportLogsServiceResponse { partial_success: None });
    let expected = vec![
        (Signal::Spans, Bytes::from(spans.encode_to_vec())),
        (Signal::Metrics, Bytes::from(metrics.encode_to_vec())),
        (Signal::Logs, Bytes::from(logs.encode_to_vec())),
    ];
    assert_eq!(running.intake.seen(), expected);
}

#[tokio::test]
async fn http_takes_all_three_signals_in_protobuf_and_answers_in_protobuf() {
    let running = start().await;
    for (signal, path, _) in PATHS {
        let reply = post(running.http, path, &[PROTOBUF], path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "application/x-protobuf");
        assert_eq!(reply.body, "", "partial_success unset is an empty message");
        assert_eq!(running.intake.seen().last(), Some(&(signal, Bytes::from(path))));
    }
}

#[tokio::test]
async fn http_takes_all_three_signals_in_json_and_answers_in_json() {
    let running = start().await;
    for (signal, path, _) in PATHS {
        let reply = post(running.http, path, &[JSON], "{body").await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"{}"[..]));
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(running.intake.seen().last(), Some(&(signal, Bytes::from("body"))));
    }
}

#[tokio::test]
async fn both_listeners_serve_both_protocols_over_both_versions_of_http() {
    let running = start().await;
    for addr in [running.grpc, running.http] {
        assert_eq!(grpc(addr, TRACE_EXPORT, b"x").await.grpc_code(), 0);
        assert_eq!(post(addr, TRACES, &[PROTOBUF], "x").await.status, 200);
        let mut sender = http2(addr).await;
        let request = request("POST", &format!("http://weir{TRACES}"), &[JSON], Full::new(Bytes::from("{x")));
        let reply = Reply::of(sender.send_request(request).await.unwrap()).await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"{}"[..]));
    }
    assert_eq!(running.intake.seen(), vec![(Signal::Spans, Bytes::from("x")); 6]);
}

#[tokio::test]
async fn identity_gzip_and_zstd_are_understood_on_both() {
    let running = start().await;
    let body = b"a body that compresses, compresses, compresses".repeat(5000);
    for (name, sent) in
        [("identity", body.clone()), ("gzip", gzip(&body)), ("GZIP", gzip(&body)), ("zstd", zstd(&body))]
    {
        let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", name)], sent.clone()).await;
        assert_eq!(reply.status, 200, "{name}");
        let json = [&b"{"[..], &body].concat();
        let json = match name {
            "identity" => json,
            "zstd" => zstd(&json),
            _ => gzip(&json),
        };
        assert_eq!(post(running.http, TRACES, &[JSON, ("content-encoding", name)], json).await.status, 200, "{name}");
        let compressed = u8::from(name != "identity");
        let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", name)], framed(compressed, &sent)).await;
        assert_eq!(reply.grpc_code(), 0, "{name}");
    }
    let seen = running.intake.seen();
    assert_eq!(seen.len(), 12);
    assert!(seen.iter().all(|(_, bytes)| *bytes == body));
    assert_eq!(running.intake.budget.held(), 0, "the budget is given back");
}

#[tokio::test]
async fn a_message_not_compressed_is_read_even_if_an_encoding_is_named() {
    let running = start().await;
    let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", "gzip")], framed(0, b"plain")).await;
    assert_eq!(reply.grpc_code(), 0);
    assert_eq!(running.intake.seen(), vec![(Signal::Spans, Bytes::from("plain"))]);
}

#[tokio::test]
async fn several_gzip_members_or_zstd_frames_are_one_body() {
    let running = start().await;
    let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "gzip")], members).await.status, 200);
    let frames = [zstd(b"one "), zstd(b""), zstd(b"two")].concat();
    assert_eq!(post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "zstd")], frames).await.status, 200);
    assert_eq!(running.intake.seen(), vec![(Signal::Spans, Bytes::from("one two")); 2]);
}

#[tokio::test]
async fn parameters_and_case_of_the_media_type_are_tolerated() {
    let running = start().await;
    for (media, body) in [
        ("application/json; charset=utf-8", "{x"),
        ("Application/JSON", "{x"),
        ("application/x-protobuf;messageType=\"x\"", "x"),
    ] {
        assert_eq!(post(running.http, TRACES, &[("content-type", media)], body).await.status, 200, "{media}");
    }
    for media in ["application/grpc+proto", "application/grpc; charset=utf-8"] {
        let mut sender = http2(running.grpc).await;
        let body = Full::new(Bytes::from(framed(0, b"x")));
        let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[("content-type", media)], body);
        assert_eq!(Reply::of(sender.send_request(request).await.unwrap()).await.grpc_code(), 0, "{media}");
    }
    assert_eq!(running.intake.seen(), vec![(Signal::Spans, Bytes::from("x")); 5]);
}

#[tokio::test]
async fn an_empty_request_is_a_success_and_nothing_is_submitted() {
    let running = start_answering(|_, _| panic!("there is nothing to submit")).await;
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "").await.status, 200);
    let reply = post(running.http, TRACES, &[JSON], "{}").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"{}"[..]));
    let reply = grpc(running.grpc, TRACE_EXPORT, b"").await;
    assert_eq!((reply.grpc_code(), &reply.body[..]), (0, &framed(0, b"")[..]));
    let compressed = framed(1, &gzip(b""));
    let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", "gzip")], compressed).await;
    assert_eq!(reply.grpc_code(), 0);
    assert_eq!(running.counters.snapshot().panics, 0);
}

#[tokio::test]
async fn partial_success_in_protobuf_names_the_count_and_the_reason() {
    let running = start_answering(partial).await;
    let reply = post(running.http, TRACES, &[PROTOBUF], "x").await;
    assert_eq!(reply.status, 200);
    let spans = ExportTraceServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((spans.rejected_spans, spans.error_message.as_str()), (300, "300 rows are too old"));
    let reply = post(running.http, "/v1/metrics", &[PROTOBUF], "x").await;
    let points = ExportMetricsServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((points.rejected_data_points, points.error_message.as_str()), (300, "300 rows are too old"));
    let reply = post(running.http, "/v1/logs", &[PROTOBUF], "x").await;
    let records = ExportLogsServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((records.rejected_log_records, records.error_message.as_str()), (300, "300 rows are too old"));
}

#[tokio::test]
async fn partial_success_in_json_has_camel_case_names_and_64_bit_integers_as_strings() {
    let running = start_answering(partial).await;
    for (path, name) in
        [(TRACES, "rejectedSpans"), ("/v1/metrics", "rejectedDataPoints"), ("/v1/logs", "rejectedLogRecords")]
    {
        let reply = post(running.http, path, &[JSON], "{x").await;
        assert_eq!(reply.status, 200);
        let expected = serde_json::json!({ "partialSuccess": { name: "300", "errorMessage": "300 rows are too old" } });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap(), expected);
    }
}

#[tokio::test]
async fn partial_success_over_grpc_is_ok_with_a_message() {
    let running = start_answering(partial).await;
    let mut client = TraceServiceClient::connect(format!("http://{}", running.grpc)).await.unwrap();
    let request = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default()] };
    let answer = client.export(request).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!((answer.rejected_spans, answer.error_message.as_str()), (300, "300 rows are too old"));
}

#[tokio::test]
async fn a_timeout_in_the_headers_of_grpc_does_no_harm() {
    let running = start().await;
    for timeout in ["10S", "1n", "garbage", ""] {
        let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-timeout", timeout)], framed(0, b"x")).await;
        assert_eq!(reply.grpc_code(), 0, "{timeout:?}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_protocol_and_outcome() {
    use crate::receive::{Outcome, Protocol};
    let running = start_answering(|_, body| match body {
        b"p" => partial(Signal::Spans, body),
        b"d" => Err(Error::data("bad")),
        b"o" => Err(Error::overload("full")),
        _ => Ok(Accepted::default()),
    })
    .await;
    for body in ["x", "p", "d", "o"] {
        grpc(running.grpc, TRACE_EXPORT, body.as_bytes()).await;
        post(running.http, TRACES, &[PROTOBUF], body).await;
        post(running.http, TRACES, &[JSON], format!("{{{body}")).await;
    }
    post(running.http, "/nowhere", &[JSON], "{}").await;
    let snapshot = running.counters.snapshot();
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson] {
        for outcome in [Outcome::Accepted, Outcome::Partial, Outcome::Invalid, Outcome::Retry] {
            assert_eq!(snapshot.requests(protocol, outcome), 1, "{protocol:?} {outcome:?}");
        }
    }
    assert_eq!(snapshot.requests(Protocol::HttpJson, Outcome::Unsupported), 1);
    assert_eq!(snapshot.body_bytes, 12, "one byte in each of twelve messages");
    assert_eq!(snapshot.wire_bytes, 4 * 6 + 4 + 4 * 2, "with prefixes of gRPC and braces of JSON");
}
