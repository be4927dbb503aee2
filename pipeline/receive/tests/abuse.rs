//! Slow, silent and vanishing clients, and calls that fail: what they cost the others, which is nothing.

use super::*;
use crate::receive::{Outcome, Protocol};
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

const HEAD: &str = "POST /v1/traces HTTP/1.1\r\nhost: weir\r\ncontent-type: application/x-protobuf\r\n";
const H2_PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

async fn start_impatient() -> Running {
    let change = |settings: &mut Settings| {
        settings.header_timeout = Duration::from_millis(300);
        settings.body_idle_timeout = Duration::from_millis(300);
        settings.body_timeout = Duration::from_millis(1200);
    };
    start_set(change).await
}

/// Writes `bytes` one by one with a pause between, until the server hangs up: how long that took, and what it said.
async fn trickle(addr: SocketAddr, first: &[u8], bytes: &[u8], pause: Duration) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    let (mut read, mut write) = TcpStream::connect(addr).await.unwrap().into_split();
    write.write_all(first).await.unwrap();
    let bytes = bytes.to_vec();
    let writing = tokio::spawn(async move {
        for byte in bytes {
            tokio::time::sleep(pause).await;
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        // Kept open: it is the server that must close.
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut answer)).await.expect("a hang-up");
    writing.abort();
    (began.elapsed(), answer)
}

fn within(took: Duration, least_ms: u64, most_ms: u64) {
    let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
    assert!((least..most).contains(&took), "it took {took:?}, not {least:?} to {most:?}");
}

#[tokio::test]
async fn a_header_that_trickles_is_cut_off_in_time() {
    let running = start_impatient().await;
    let (took, answer) = trickle(running.http, b"", HEAD.as_bytes(), Duration::from_millis(50)).await;
    within(took, 290, 5000);
    assert_eq!(answer, b"");
    assert_eq!(running.counters.snapshot().connections_timed_out, 1);
}

#[tokio::test]
async fn a_client_that_says_nothing_at_all_is_cut_off_in_time() {
    let running = start_impatient().await;
    let (took, _) = trickle(running.grpc, b"", b"", Duration::ZERO).await;
    within(took, 290, 5000);
}

#[tokio::test]
async fn a_second_header_that_trickles_is_cut_off_as_well() {
    let running = start_impatient().await;
    let first = format!("{HEAD}content-length: 1\r\n\r\nx");
    let (took, answer) = trickle(running.http, first.as_bytes(), HEAD.as_bytes(), Duration::from_millis(50)).await;
    within(took, 300, 5000);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_header_of_http2_that_trickles_is_cut_off_in_time() {
    let running = start_impatient().await;
    let headers = b"\x00\x10\x00\x01\x00\x00\x00\x00\x01\x82\x86\x84";
    let (took, _) = trickle(running.grpc, H2_PREFACE_AND_SETTINGS, headers, Duration::from_millis(20)).await;
    within(took, 290, 5000);
    // A whole frame that says more will follow, and nothing follows.
    let unfinished = [H2_PREFACE_AND_SETTINGS, b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"].concat();
    let (took, _) = trickle(running.grpc, &unfinished, b"", Duration::ZERO).await;
    within(took, 290, 5000);
}

#[tokio::test]
async fn a_body_that_stops_is_answered_as_retryable() {
    let running = start_impatient().await;
    let first = format!("{HEAD}connection: close\r\ncontent-length: 100\r\n\r\nonly this");
    let (took, answer) = trickle(running.http, first.as_bytes(), b"", Duration::ZERO).await;
    within(took, 290, 5000);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_bounded_as_a_whole() {
    let running = start_impatient().await;
    let first = format!("{HEAD}connection: close\r\ncontent-length: 100\r\n\r\n");
    let (took, answer) = trickle(running.http, first.as_bytes(), &[b'x'; 100], Duration::from_millis(100)).await;
    within(took, 1190, 5000);
    assert!(answer.starts_with(b"HTTP/1.1 503 "));
}

/// A body whose end never comes.
struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

#[tokio::test]
async fn a_message_that_stops_is_unavailable_with_retry_info_and_the_connection_lives() {
    let running = start_impatient().await;
    let mut sender: Http2<Stalled> = http2(running.grpc).await;
    for _ in 0..2 {
        let body = Stalled(Some(Bytes::from_static(b"\x00\x00\x00\x00\x64only this")));
        let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[GRPC], body);
        let reply = Reply::of(sender.send_request(request).await.unwrap()).await;
        assert_eq!(reply.grpc_code(), 14);
        assert!(reply.grpc_details().unwrap().retry_delay().is_some());
    }
}

#[tokio::test]
async fn a_slow_body_holds_what_has_come_and_no_more() {
    let running = start().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(running.http).await.unwrap();
        stream.write_all(format!("{HEAD}content-length: 60000000\r\n\r\nabc").as_bytes()).await.unwrap();
        clients.push(stream);
    }
    eventually("all bodies are begun", || running.counters.snapshot().wire_bytes == 150).await;
    let held = running.intake.budget.held();
    assert!(held <= 50 * (16 << 10), "{held} bytes for 150 that came");
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "x").await.status, 200, "others are served meanwhile");
    drop(clients);
    eventually("the budget is given back", || running.intake.budget.held() == 0).await;
    let abandoned = || running.counters.snapshot().requests(Protocol::HttpProtobuf, Outcome::Abandoned);
    eventually("they are counted", || abandoned() == 50).await;
}

#[tokio::test]
async fn idle_connections_are_closed_but_not_before_their_time() {
    let change = |settings: &mut Settings| {
        settings.header_timeout = Duration::from_millis(300);
        settings.idle_timeout = Duration::from_millis(1500);
    };
    let running = start_set(change).await;
    let mut http1 = TcpStream::connect(running.http).await.unwrap();
    let mut http2 = http2(running.grpc).await;
    // Pauses longer than the time for headers, shorter than that for idleness.
    for _ in 0..3 {
        http1.write_all(format!("{HEAD}content-length: 1\r\n\r\nx").as_bytes()).await.unwrap();
        let mut answer = [0; 2048];
        let length = http1.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
        let body = Full::new(Bytes::from(framed(0, b"x")));
        let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[GRPC], body);
        assert_eq!(Reply::of(http2.send_request(request).await.unwrap()).await.grpc_code(), 0);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(running.counters.snapshot().connections_open, 2);
    eventually("both are closed", || running.counters.snapshot().connections_open == 0).await;
    assert_eq!(running.counters.snapshot().connections_timed_out, 2);
    assert_eq!(http1.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_that_takes_long_is_not_idleness() {
    let change = |settings: &mut Settings| {
        settings.header_timeout = Duration::from_millis(300);
        settings.idle_timeout = Duration::from_millis(500);
    };
    let running = start_set(change).await;
    let call = tokio::spawn(post(running.http, TRACES, &[PROTOBUF], "wait"));
    tokio::time::sleep(Duration::from_millis(2000)).await;
    running.intake.gate.add_permits(1);
    assert_eq!(call.await.unwrap().status, 200);
}

#[tokio::test]
async fn concurrent_calls_do_not_wait_for_one_another() {
    let running = start().await;
    let mut sender = http2(running.grpc).await;
    let mut call = |message: &[u8]| {
        let body = Full::new(Bytes::from(framed(0, message)));
        let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[GRPC], body);
        sender.send_request(request)
    };
    let stuck: Vec<_> = (0..20).map(|_| tokio::spawn(call(b"wait"))).collect();
    eventually("they are stuck", || running.intake.waiting.load(Relaxed) == 20).await;
    let reply = Reply::of(call(b"quick").await.unwrap()).await;
    assert_eq!(reply.grpc_code(), 0, "on the same connection");
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "quick").await.status, 200, "and on another");
    running.intake.gate.add_permits(20);
    for call in stuck {
        assert_eq!(Reply::of(call.await.unwrap().unwrap()).await.grpc_code(), 0);
    }
}

#[tokio::test]
async fn a_call_that_panics_is_retryable_and_harms_no_other() {
    let running = start_answering(|_, body| match body {
        b"panic" => panic!("on purpose"),
        _ => Ok(Accepted::default()),
    })
    .await;
    let mut sender = http2(running.grpc).await;
    for (message, code) in [("panic", 14), ("fine", 0)] {
        let body = Full::new(Bytes::from(framed(0, message.as_bytes())));
        let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[GRPC], body);
        let reply = Reply::of(sender.send_request(request).await.unwrap()).await;
        assert_eq!(reply.grpc_code(), code, "{message}, on one connection");
    }
    let reply = post(running.http, TRACES, &[JSON], "{panic").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    assert_eq!(reply.status_json()["code"], 14);
    assert_eq!(running.counters.snapshot().panics, 2);
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn a_conversion_of_large_json_that_panics_is_retryable() {
    let change = |settings: &mut Settings| settings.json_to_protobuf = |_, _| panic!("on purpose");
    let running = start_set(change).await;
    assert_eq!(post(running.http, TRACES, &[JSON], vec![b'{'; 1 << 20]).await.status, 503);
    assert_eq!(post(running.http, TRACES, &[JSON], "{").await.status, 503);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_back_what_its_call_held() {
    let running = start().await;
    let call = tokio::spawn(post(running.http, TRACES, &[PROTOBUF], "wait"));
    eventually("the call waits", || running.intake.waiting.load(Relaxed) == 1).await;
    call.abort();
    let mut sender = http2(running.grpc).await;
    let body = Full::new(Bytes::from(framed(0, b"wait")));
    let request = request("POST", &format!("http://weir{TRACE_EXPORT}"), &[GRPC], body);
    let call = tokio::spawn(sender.send_request(request));
    eventually("the call waits", || running.intake.waiting.load(Relaxed) == 2).await;
    call.abort();
    drop(sender);
    let count = |protocol| running.counters.snapshot().requests(protocol, Outcome::Abandoned);
    eventually("gRPC is abandoned", || count(Protocol::Grpc) == 1).await;
    eventually("the budget is given back", || running.intake.budget.held() <= 4).await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_learns_at_once_that_it_must_not_send() {
    let running = start_set(|settings| settings.body_bytes_max = 10).await;
    let head = format!("{HEAD}expect: 100-continue\r\ncontent-length: 1000\r\n\r\n");
    let (took, answer) = trickle(running.http, head.as_bytes(), b"", Duration::ZERO).await;
    within(took, 0, 2000);
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
}
