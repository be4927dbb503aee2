//! Sizes: what is too large, before and after decompression, and what it costs to find out.

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

const MIB: usize = 1 << 20;
const LIMIT: usize = 64 * MIB;

/// Zeros that are 1 GiB when decompressed, and about 1 MiB as sent.
fn gigabyte_gzip() -> Vec<u8> {
    gzip(&vec![0; 16 * MIB]).repeat(64)
}

fn gigabyte_zstd() -> Vec<u8> {
    zstd(&vec![0; 16 * MIB]).repeat(64)
}

/// The most memory that this process has had, in bytes.
fn memory_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_body_of_65_mib_is_413_with_a_status_and_no_retry() {
    let running = start().await;
    let reply = post(running.http, TRACES, &[PROTOBUF], vec![1; 65 * MIB]).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (413, ""));
    let status = reply.status_protobuf();
    assert_eq!((status.code, status.details.len()), (8, 0));
    assert!(status.message.contains("67108864") && status.message.contains("receive.request_max"));
    let reply = post(running.http, TRACES, &[JSON], vec![b'{'; 65 * MIB]).await;
    assert_eq!((reply.status.as_u16(), reply.status_json()["code"].as_i64()), (413, Some(8)));
    assert_eq!(running.intake.held_max.load(Relaxed), 0, "what announces itself as too large is given no memory");
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413_too() {
    let running = start_set(|settings| settings.body_bytes_max = 1000).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: weir\r\ncontent-type: application/x-protobuf\r\n";
    let chunks = format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3);
    let request = format!("{head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let answer = raw(running.http, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_sees_the_413() {
    let running = start_set(|settings| settings.body_bytes_max = 8 * MIB).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: weir\r\ncontent-type: application/x-protobuf\r\n";
    let request = [format!("{head}content-length: {}\r\n\r\n", 8 * MIB + 1).as_bytes(), &[1; 8 * MIB + 1]].concat();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_message_of_65_mib_is_resource_exhausted_without_retry_info() {
    let running = start().await;
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { schema_url: "x".repeat(65 * MIB), ..Default::default() }],
    };
    let mut client = TraceServiceClient::connect(format!("http://{}", running.grpc)).await.unwrap();
    let status = client.export(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert!(status.details().is_empty(), "RetryInfo would make the client send it again");
    assert!(status.message().contains("67108864"), "{}", status.message());
    client.export(ExportTraceServiceRequest::default()).await.unwrap();
}

#[tokio::test]
async fn the_limit_itself_is_allowed_and_one_byte_more_is_not() {
    let running = start_set(|settings| settings.body_bytes_max = 100_000).await;
    for (length, http_status, grpc_code) in [(100_000, 200, 0), (100_001, 413, 8)] {
        let body = vec![7; length];
        for (coding, sent) in [("identity", body.clone()), ("gzip", gzip(&body)), ("zstd", zstd(&body))] {
            let headers = [PROTOBUF, ("content-encoding", coding)];
            let reply = post(running.http, TRACES, &headers, sent.clone()).await;
            assert_eq!(reply.status.as_u16(), http_status, "{length} {coding}");
            let sent = framed(u8::from(coding != "identity"), &sent);
            let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", coding)], sent).await;
            assert_eq!(reply.grpc_code(), grpc_code, "{length} {coding}");
        }
    }
    assert_eq!(running.intake.seen().len(), 6);
}

#[tokio::test]
async fn protobuf_that_json_makes_longer_is_limited_as_well() {
    fn swell(_: Signal, body: &[u8]) -> Result<Vec<u8>> {
        Ok(body.repeat(8))
    }
    let change = |settings: &mut Settings| {
        settings.body_bytes_max = 1_000_000;
        settings.json_to_protobuf = swell;
    };
    let running = start_set(change).await;
    assert_eq!(post(running.http, TRACES, &[JSON], vec![b'1'; 125_000]).await.status, 200);
    assert_eq!(post(running.http, TRACES, &[JSON], vec![b'1'; 125_001]).await.status, 413);
    assert_eq!(post(running.http, TRACES, &[JSON], vec![b'1'; 200_000]).await.status, 413, "off the thread");
}

#[tokio::test]
async fn a_gzip_bomb_is_413_or_resource_exhausted_and_costs_no_more_than_the_limit() {
    let running = start().await;
    let before = memory_peak();
    for bomb in [gzip(&vec![0; LIMIT + 1]), gigabyte_gzip()] {
        let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "gzip")], bomb.clone()).await;
        assert_eq!(reply.status, 413);
        let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", "gzip")], framed(1, &bomb)).await;
        assert_eq!((reply.grpc_code(), reply.grpc_details()), (8, None));
    }
    let held_max = running.intake.held_max.load(Relaxed);
    assert!(held_max <= LIMIT + MIB, "{held_max} bytes were held at once");
    assert_eq!(running.intake.budget.held(), 0);
    // Other tests run in the same process, but none of them takes anything near this.
    let grown = memory_peak().saturating_sub(before);
    assert!(grown < 800 * MIB, "the process grew by {grown} bytes");
}

#[tokio::test]
async fn a_zstd_bomb_is_413_or_resource_exhausted_and_costs_no_more_than_the_limit() {
    let running = start().await;
    let bomb = gigabyte_zstd();
    let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "zstd")], bomb.clone()).await;
    assert_eq!(reply.status, 413);
    let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", "zstd")], framed(1, &bomb)).await;
    assert_eq!((reply.grpc_code(), reply.grpc_details()), (8, None));
    let held_max = running.intake.held_max.load(Relaxed);
    assert!(held_max <= LIMIT + 10 * MIB, "{held_max} bytes were held at once");
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn a_zstd_window_over_8_mib_is_refused() {
    let running = start().await;
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.write_all(&vec![0; 20 * MIB]).unwrap();
    let body = encoder.finish().unwrap();
    let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "zstd")], body).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn the_window_of_zstd_is_accounted() {
    let running = start_with(settings(), 4 * MIB, |_, _| Ok(Accepted::default())).await;
    for (window_log, status) in [(20, 200), (23, 503)] {
        let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(b"a frame that does not say how long it is").unwrap();
        encoder.flush().unwrap();
        let body = encoder.finish().unwrap();
        let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "zstd")], body).await;
        assert_eq!(reply.status.as_u16(), status, "a window of 2^{window_log}");
    }
}

#[tokio::test]
async fn gzip_members_without_end_are_refused() {
    let running = start().await;
    let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "gzip")], gzip(b"").repeat(1025)).await;
    assert_eq!(reply.status, 400);
    let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", "gzip")], gzip(b"x").repeat(1024)).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_full_budget_is_answered_as_overload_before_and_while_a_body_is_read() {
    let running = start_with(settings(), 100_000, |_, _| Ok(Accepted::default())).await;
    let large = vec![1; 200_000];
    for body in [large.clone(), gzip(&large.repeat(10))] {
        let coding = if body == large { "identity" } else { "gzip" };
        let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", coding)], body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"), "{coding}");
        assert!(reply.status_protobuf().retry_delay().is_some());
        let body = framed(u8::from(coding != "identity"), &body);
        let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", coding)], body).await;
        assert_eq!(reply.grpc_code(), 14, "{coding}");
        assert!(reply.grpc_details().unwrap().retry_delay().is_some());
    }
    let permit = running.intake.budget.hold(100_000).unwrap();
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "x").await.status, 503);
    drop(permit);
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "x").await.status, 200);
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn a_body_is_accounted_until_the_pipeline_has_taken_it() {
    let running = start().await;
    let body = [&b"wait"[..], &[0; 50_000]].concat();
    let call = tokio::spawn(post(running.http, TRACES, &[PROTOBUF], body));
    eventually("the call waits", || running.intake.waiting.load(Relaxed) == 1).await;
    assert_eq!(running.intake.budget.held(), 50_004);
    running.intake.gate.add_permits(1);
    assert_eq!(call.await.unwrap().status, 200);
    assert_eq!(running.intake.budget.held(), 0);
}
