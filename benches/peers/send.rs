//! Sends OTLP as cheaply as it can: requests encoded before the clock starts, a connection a sender, one request on its way
//! in each. Says what it sent as one line of JSON.
//!
//!     send ADDRESS grpc|http spans|logs|metrics [rows=500000] [rows_per_request=1000] [resources=4] [services=4]
//!          [senders=4] [seconds=0]
//!
//! With `seconds` it sends for so long instead of so many rows, the same requests again and again.

#[path = "../requests/mod.rs"]
#[allow(dead_code, reason = "the shapes of other benchmarks")]
mod requests;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use requests::shaped::{self, Shape};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error>;

/// Requests that are held ready: more are these once more.
const READY: u64 = 1_024;
/// How long a sender waits that was told to come back.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
enum Protocol {
    Grpc,
    Http,
}

enum Connection {
    Grpc(http2::SendRequest<Full<Bytes>>),
    Http(http1::SendRequest<Full<Bytes>>),
}

/// What all senders share.
struct Load {
    address: String,
    path: &'static str,
    protocol: Protocol,
    bodies: Vec<Bytes>,
    requests_max: u64,
    ends: Option<Instant>,
    next: Cell<u64>,
    told_to_wait: Cell<u64>,
    latencies: RefCell<Vec<Duration>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, protocol, signal, options @ ..] = arguments.as_slice() else {
        return Err("send ADDRESS grpc|http spans|logs|metrics [rows=…] […]".into());
    };
    let options = parsed(options)?;
    let option = |name: &str, otherwise: u64| options.get(name).copied().unwrap_or(otherwise);
    let shape = Shape {
        rows: option("rows_per_request", 1_000) as usize,
        resources: option("resources", 4) as usize,
        services: option("services", 4) as usize,
    };
    let protocol = if protocol == "grpc" { Protocol::Grpc } else { Protocol::Http };
    let (body, path) = of_signal(signal, protocol)?;
    let seconds = option("seconds", 0);
    let requests_max = if seconds > 0 { u64::MAX } else { option("rows", 500_000).div_ceil(shape.rows as u64) };
    let bodies: Vec<Bytes> =
        (0..requests_max.min(READY)).map(|number| framed(body(number, &shape), protocol)).collect();
    let wire = bodies.iter().map(Bytes::len).sum::<usize>() as f64 / (bodies.len() * shape.rows) as f64;

    let started = Instant::now();
    let load = Rc::new(Load {
        address: address.clone(),
        path,
        protocol,
        bodies,
        requests_max,
        ends: (seconds > 0).then(|| started + Duration::from_secs(seconds)),
        next: Cell::new(0),
        told_to_wait: Cell::new(0),
        latencies: RefCell::default(),
    });
    let tasks = tokio::task::LocalSet::new();
    let senders: Vec<_> = (0..option("senders", 4)).map(|_| tasks.spawn_local(send(load.clone()))).collect();
    tasks
        .run_until(async {
            for sender in senders {
                sender.await??;
            }
            Ok::<_, Failure>(())
        })
        .await?;
    let elapsed = started.elapsed();
    let mut latencies = load.latencies.take();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{{\"rows\": {}, \"seconds\": {:.3}, \"wire_bytes_per_row\": {wire:.1}, \"told_to_wait\": {}, \"p50_ms\": {:.2}, \
         \"p99_ms\": {:.2}}}",
        latencies.len() * shape.rows,
        elapsed.as_secs_f64(),
        load.told_to_wait.get(),
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn parsed(options: &[String]) -> Result<HashMap<&str, u64>, Failure> {
    let mut all = HashMap::new();
    for option in options {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("{option}: give name=number"))?;
        all.insert(name, value.parse().map_err(|_| format!("{option}: not a number"))?);
    }
    Ok(all)
}

type Body = fn(u64, &Shape) -> Vec<u8>;

fn of_signal(signal: &str, protocol: Protocol) -> Result<(Body, &'static str), Failure> {
    Ok(match (signal, protocol) {
        ("spans", Protocol::Grpc) => (shaped::spans, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        ("logs", Protocol::Grpc) => (shaped::logs, "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
        ("metrics", Protocol::Grpc) => {
            (shaped::metrics, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
        }
        ("spans", Protocol::Http) => (shaped::spans, "/v1/traces"),
        ("logs", Protocol::Http) => (shaped::logs, "/v1/logs"),
        ("metrics", Protocol::Http) => (shaped::metrics, "/v1/metrics"),
        _ => return Err(format!("{signal}: one of spans, logs, metrics").into()),
    })
}

/// A body as it goes over the wire: gRPC puts five bytes before a message.
fn framed(message: Vec<u8>, protocol: Protocol) -> Bytes {
    match protocol {
        Protocol::Http => message.into(),
        Protocol::Grpc => {
            let mut framed = BytesMut::with_capacity(message.len() + 5);
            framed.put_u8(0);
            framed.put_u32(message.len() as u32);
            framed.put_slice(&message);
            framed.freeze()
        }
    }
}

/// Sends until everything is sent or the time is over.
async fn send(load: Rc<Load>) -> Result<(), Failure> {
    let mut connection = connect(&load).await?;
    loop {
        let number = load.next.get();
        if number >= load.requests_max || load.ends.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
        load.next.set(number + 1);
        let body = &load.bodies[(number % load.bodies.len() as u64) as usize];
        let begun = Instant::now();
        while !accepted(connection.request(&load, body.clone()).await?).await? {
            load.told_to_wait.set(load.told_to_wait.get() + 1);
            tokio::time::sleep(PAUSE).await;
        }
        load.latencies.borrow_mut().push(begun.elapsed());
    }
}

async fn connect(load: &Load) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(&load.address).await?;
    stream.set_nodelay(true)?;
    Ok(match load.protocol {
        Protocol::Grpc => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Connection::Grpc(sender)
        }
        Protocol::Http => {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Connection::Http(sender)
        }
    })
}

impl Connection {
    async fn request(&mut self, load: &Load, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let request = Request::post(match self {
            Self::Grpc(_) => format!("http://{}{}", load.address, load.path),
            Self::Http(_) => load.path.to_owned(),
        });
        Ok(match self {
            Self::Grpc(sender) => {
                let request = request.header(header::CONTENT_TYPE, "application/grpc").header(header::TE, "trailers");
                sender.ready().await?;
                sender.send_request(request.body(Full::new(body))?).await?
            }
            Self::Http(sender) => {
                let request = request
                    .header(header::CONTENT_TYPE, "application/x-protobuf")
                    .header(header::HOST, load.address.as_str());
                sender.ready().await?;
                sender.send_request(request.body(Full::new(body))?).await?
            }
        })
    }
}

/// Whether the server took the request; if not, it said that it may come again. A refusal is an error.
async fn accepted(response: Response<Incoming>) -> Result<bool, Failure> {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await?;
    let grpc = |headers: &HeaderMap| headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
    let status = grpc(&parts.headers).or_else(|| grpc(collected.trailers()?));
    match (parts.status, status) {
        (StatusCode::OK, None | Some(0)) => Ok(true),
        // RESOURCE_EXHAUSTED and UNAVAILABLE.
        (StatusCode::OK, Some(8 | 14)) => Ok(false),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => Ok(false),
        (http, status) => {
            let said = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
            Err(format!("refused: HTTP {http}, gRPC {status:?}: {said} {:?}", parts.headers).into())
        }
    }
}
