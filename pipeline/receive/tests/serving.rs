//! Listeners and connections: binding, limits, keep-alive, browsers, pages, shutdown.

use super::*;
use crate::Kind;
use crate::receive::{Outcome, Protocol};

const ORIGIN: (&str, &str) = ("origin", "https://shop.example");
const ASKS: (&str, &str) = ("access-control-request-method", "POST");

#[tokio::test]
async fn a_port_in_use_is_a_fault_of_the_configuration_that_names_address_cause_and_cure() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = other.local_addr().unwrap();
    for key in ["receive.grpc", "receive.http"] {
        let mut settings = settings();
        match key {
            "receive.grpc" => settings.grpc = Some(addr),
            _ => settings.http = Some(addr),
        }
        let error = bind(settings).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Config);
        for part in [key, &addr.to_string(), "in use", "ss -ltnp", "another address"] {
            assert!(error.message().contains(part), "{part} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn an_address_that_this_machine_does_not_have_is_a_fault_of_the_configuration() {
    let mut settings = settings();
    settings.http = Some("192.0.2.1:4318".parse().unwrap());
    let error = bind(settings).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("receive.http cannot listen on 192.0.2.1:4318"), "{error}");
}

#[tokio::test]
async fn one_port_for_both_is_a_fault_of_the_configuration() {
    let mut settings = settings();
    settings.grpc = Some("127.0.0.1:4999".parse().unwrap());
    settings.http = settings.grpc;
    let error = bind(settings).await.err().unwrap();
    assert!(error.message().contains("give each a port of its own"), "{error}");
}

#[tokio::test]
async fn listening_beyond_loopback_warns_of_the_risk_and_names_the_key() {
    let mut settings = settings();
    settings.http = Some("0.0.0.0:0".parse().unwrap());
    let receivers = bind(settings).await.unwrap();
    let [warning] = receivers.warnings() else { panic!("{:?}", receivers.warnings()) };
    for part in ["receive.http", "0.0.0.0:", "without TLS", "without authentication", "127.0.0.1:"] {
        assert!(warning.contains(part), "{part} is not in: {warning}");
    }
    let mut settings = self::settings();
    settings.grpc = Some("[::1]:0".parse().unwrap());
    if let Ok(receivers) = bind(settings).await {
        assert_eq!(receivers.warnings(), [""; 0], "loopback, of either family, is nobody else's");
    }
}

#[tokio::test]
async fn a_listener_can_be_left_out() {
    let mut settings = settings();
    settings.grpc = None;
    let addrs = bind(settings).await.unwrap().local_addrs();
    assert!(addrs.grpc.is_none() && addrs.http.is_some());
}

#[tokio::test]
async fn a_connection_is_kept_for_further_requests() {
    let running = start().await;
    let stream = TcpStream::connect(running.http).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..5 {
        sender.ready().await.unwrap();
        let request = request("POST", TRACES, &[PROTOBUF, ("host", "weir")], Full::new(Bytes::from("x")));
        assert_eq!(Reply::of(sender.send_request(request).await.unwrap()).await.status, 200);
    }
    let snapshot = running.counters.snapshot();
    assert_eq!((snapshot.connections_accepted, snapshot.connections_open), (1, 1));
    assert_eq!(snapshot.requests(Protocol::HttpProtobuf, Outcome::Accepted), 5);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted_and_room_is_made_again() {
    let running = start_set(|settings| settings.connections_max = 2).await;
    let first = TcpStream::connect(running.http).await.unwrap();
    let second = TcpStream::connect(running.grpc).await.unwrap();
    eventually("both are open", || running.counters.snapshot().connections_open == 2).await;
    let mut third = TcpStream::connect(running.http).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    assert_eq!(running.counters.snapshot().connections_refused, 1);
    drop((first, second));
    eventually("both are gone", || running.counters.snapshot().connections_open == 0).await;
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "x").await.status, 200);
}

#[tokio::test]
async fn browsers_may_not_send_unless_configured() {
    let running = start().await;
    let reply = http1(running.http, "OPTIONS", TRACES, &[ORIGIN, ASKS], "").await;
    assert_eq!(reply.status, 405);
    let reply = post(running.http, TRACES, &[JSON, ORIGIN], "{x").await;
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn browsers_of_a_configured_origin_may_send_and_others_may_not() {
    let allowed = vec![ORIGIN.1.to_owned()];
    let running = start_set(|settings| settings.cors_allowed_origins = allowed).await;
    let asks_headers = ("access-control-request-headers", "content-type,x-tenant");
    let reply = http1(running.http, "OPTIONS", TRACES, &[ORIGIN, ASKS, asks_headers], "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), ORIGIN.1);
    assert_eq!(reply.header("access-control-allow-methods"), "POST");
    assert_eq!(reply.header("access-control-allow-headers"), "content-type,x-tenant");
    assert_eq!(reply.header("vary"), "origin");
    let reply = post(running.http, TRACES, &[JSON, ORIGIN], "{x").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, ORIGIN.1));
    let reply = post(running.http, TRACES, &[JSON, ORIGIN], "nonsense").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (400, ORIGIN.1));

    let stranger = ("origin", "https://elsewhere.example");
    let reply = http1(running.http, "OPTIONS", TRACES, &[stranger, ASKS], "").await;
    assert_eq!(reply.status, 403);
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn any_origin_may_send_if_that_is_configured() {
    let running = start_set(|settings| settings.cors_allowed_origins = vec!["*".to_owned()]).await;
    let reply = http1(running.http, "OPTIONS", TRACES, &[ORIGIN, ASKS], "").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, ORIGIN.1));
}

#[tokio::test]
async fn pages_are_served_on_the_http_listener_only() {
    let pages = |path: &str| match path {
        "/metrics" => Some((200, "text/plain; version=0.0.4", "weir_up 1\n".to_owned())),
        "/readyz" => Some((503, "text/plain", "not yet\n".to_owned())),
        _ => None,
    };
    let running = start_set(|settings| settings.extra = Some(Arc::new(pages))).await;
    let reply = http1(running.http, "GET", "/metrics?all", &[], "").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"weir_up 1\n"[..]));
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4");
    let reply = http1(running.http, "GET", "/readyz", &[], "").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (503, &b"not yet\n"[..]));
    let reply = http1(running.http, "HEAD", "/metrics", &[], "").await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    let reply = post(running.http, "/metrics", &[JSON], "{}").await;
    assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "GET, HEAD"));
    assert_eq!(http1(running.http, "GET", "/other", &[], "").await.status, 404);
    assert_eq!(http1(running.grpc, "GET", "/metrics", &[], "").await.status, 404);
}

#[tokio::test]
async fn shutdown_lets_running_calls_finish_and_takes_no_new_ones() {
    let mut running = start().await;
    let idle = TcpStream::connect(running.http).await.unwrap();
    let over_http = tokio::spawn(post(running.http, TRACES, &[PROTOBUF], "wait"));
    let over_grpc = tokio::spawn(async move { grpc(running.grpc, TRACE_EXPORT, b"wait").await });
    eventually("both wait", || running.intake.waiting.load(Relaxed) == 2).await;
    running.stop.take().unwrap().send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(running.http).await.is_err(), "nobody listens any more");
    assert!(!running.serving.is_finished());
    running.intake.gate.add_permits(2);
    assert_eq!(over_http.await.unwrap().status, 200);
    assert_eq!(over_grpc.await.unwrap().grpc_code(), 0);
    running.serving.await.unwrap();
    assert_eq!(running.counters.snapshot().connections_open, 0);
    drop(idle);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut running = start_set(|settings| settings.shutdown_timeout = Duration::from_millis(300)).await;
    let call = tokio::spawn(post(running.http, TRACES, &[PROTOBUF], "wait"));
    eventually("it waits", || running.intake.waiting.load(Relaxed) == 1).await;
    running.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), running.serving).await.expect("an end").unwrap();
    call.abort();
}

#[tokio::test]
async fn dropping_the_server_closes_everything() {
    let running = start().await;
    let mut client = TcpStream::connect(running.http).await.unwrap();
    eventually("it is open", || running.counters.snapshot().connections_open == 1).await;
    running.serving.abort();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(running.counters.snapshot().connections_open, 0);
}
