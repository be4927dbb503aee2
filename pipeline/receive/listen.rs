//! Sockets: bind, accept, bound the number of connections, and let calls finish at shutdown.

use super::connection::{Activity, End, Watched, drive};
use super::{Counters, Intake, Listener, Server, Settings, http};
use crate::{Error, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Headers of a request, and what hyper reads ahead of a body: memory that a connection costs without asking.
const HTTP1_BUFFER_BYTES_MAX: usize = 64 << 10;
const HTTP2_HEADER_BYTES_MAX: u32 = 16 << 10;
/// What a client may send on one connection before it is read: memory that no budget counts. An eighth of hyper's default.
const HTTP2_WINDOW_BYTES: u32 = 128 << 10;
/// The largest frame of a body, twice the default: a client that makes use of it is read with fewer calls of the system. A
/// connection keeps room for one, which is why it is not larger.
const HTTP2_FRAME_BYTES: u32 = 32 << 10;
/// A client of HTTP/2 that has vanished is found by asking.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after the system could not give a connection: without file descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The addresses that are listened on; with port 0 in the settings, the one the system chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddrs {
    /// Of the gRPC listener.
    pub grpc: Option<SocketAddr>,
    /// Of the HTTP listener.
    pub http: Option<SocketAddr>,
}

/// Bound sockets. Clients can connect; they are served by [`Receivers::serve`].
pub struct Receivers {
    settings: Settings,
    counters: Arc<Counters>,
    listeners: Vec<(Listener, TcpListener)>,
    addrs: LocalAddrs,
    warnings: Vec<String>,
}

/// Binds the sockets, or says in an error of kind [`Config`](crate::Kind::Config) which address cannot be had, and why.
pub async fn bind(settings: Settings) -> Result<Receivers> {
    if let (Some(grpc), Some(http)) = (settings.grpc, settings.http)
        && grpc == http
        && grpc.port() != 0
    {
        let message = format!("receive.grpc and receive.http are both {grpc}: give each a port of its own");
        return Err(Error::config(message));
    }
    let mut receivers = Receivers {
        counters: Arc::default(),
        listeners: Vec::new(),
        addrs: LocalAddrs { grpc: None, http: None },
        warnings: Vec::new(),
        settings,
    };
    for (kind, addr) in [(Listener::Grpc, receivers.settings.grpc), (Listener::Http, receivers.settings.http)] {
        let Some(addr) = addr else { continue };
        let listener = TcpListener::bind(addr).await.map_err(|error| bind_error(kind, addr, &error))?;
        let local = listener.local_addr().map_err(|error| bind_error(kind, addr, &error))?;
        match kind {
            Listener::Grpc => receivers.addrs.grpc = Some(local),
            Listener::Http => receivers.addrs.http = Some(local),
        }
        receivers.warnings.extend(exposure(kind, local));
        receivers.listeners.push((kind, listener));
    }
    Ok(receivers)
}

fn bind_error(kind: Listener, addr: SocketAddr, error: &io::Error) -> Error {
    let (key, port) = (kind.key(), addr.port());
    let cure = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another process listens there, perhaps an OpenTelemetry Collector or another Weir (`ss -ltnp 'sport = \
             :{port}'` names it): stop it, or set {key} to another address"
        ),
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege: set {key} to a higher port, 4317 or 4318 for example")
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address: set {key} to one of its own, or to 127.0.0.1:{port}")
        }
        _ => format!("set {key} to another address"),
    };
    Error::config(format!("{key} cannot listen on {addr}: {error}; {cure}"))
}

/// What is said about a listener that other machines can reach.
fn exposure(kind: Listener, addr: SocketAddr) -> Option<String> {
    let key = kind.key();
    (!addr.ip().to_canonical().is_loopback()).then(|| {
        format!(
            "{key} listens on {addr} without TLS and without authentication: whoever reaches it can read the telemetry \
             on its way and write rows of their own; set {key} = \"127.0.0.1:{}\", or let only a trusted network reach it",
            addr.port()
        )
    })
}

impl Receivers {
    /// The addresses that are listened on.
    pub fn local_addrs(&self) -> LocalAddrs {
        self.addrs
    }

    /// What the operator should be told about these settings.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The counters, which live on while and after the receivers serve.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Serves until `shutdown` resolves; then accepts nothing more, lets the calls that run finish within
    /// [`Settings::shutdown_timeout`], and returns. Dropping the future closes everything at once.
    pub async fn serve<I: Intake>(self, intake: Arc<I>, shutdown: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(self.settings.connections_max.min(Semaphore::MAX_PERMITS)));
        let server = Arc::new(Server { settings: self.settings, intake, counters: self.counters });
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        for (kind, listener) in self.listeners {
            loops.spawn(accept(Arc::clone(&server), kind, listener, Arc::clone(&connections), stopped.clone()));
        }
        shutdown.await;
        stop.send_replace(true);
        while loops.join_next().await.is_some() {}
    }
}

/// Accepts until told to stop, then waits for the connections that are open.
async fn accept<I: Intake>(
    server: Arc<Server<I>>,
    kind: Listener,
    listener: TcpListener,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let builder = Arc::new(builder(&server.settings));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(permit) => {
                    let (server, builder) = (Arc::clone(&server), Arc::clone(&builder));
                    tasks.spawn(connection(server, kind, stream, builder, permit, stopped.clone()));
                }
                // Closed at once: its client retries, and perhaps finds another server.
                Err(_) => drop(server.counters.connections_refused.fetch_add(1, Relaxed)),
            },
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                server.counters.accept_errors.fetch_add(1, Relaxed);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all_done = async { while tasks.join_next().await.is_some() {} };
    // What is not done by then is cut off when `tasks` is dropped.
    let _ = tokio::time::timeout(server.settings.shutdown_timeout, all_done).await;
    tasks.shutdown().await;
}

/// How connections are served: HTTP/1.1 or HTTP/2, as the client begins.
fn builder(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The time for headers is bounded by `connection`.
    builder.http1().header_read_timeout(None).max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(HTTP2_HEADER_BYTES_MAX)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .keep_alive_interval(HTTP2_PING_INTERVAL);
    builder
}

/// Serves one connection.
///
/// TLS will sit here: the handshake, bounded by the time for headers, turns `stream` into an encrypted one, and the
/// certificate of the client into something that `http::route` can authenticate by.
async fn connection<I: Intake>(
    server: Arc<Server<I>>,
    kind: Listener,
    stream: TcpStream,
    builder: Arc<auto::Builder<TokioExecutor>>,
    _permit: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    let counters = Arc::clone(&server.counters);
    counters.connections_accepted.fetch_add(1, Relaxed);
    let _open = Open::new(&counters.connections_open);
    // Answers are small and waited for. A socket that refuses is as good as closed, which hyper will notice.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new(server.settings.header_timeout, server.settings.idle_timeout);
    let service = service_fn(|request| {
        let (server, call) = (Arc::clone(&server), activity.call());
        async move {
            let response = http::route(&server, kind, request).await;
            drop(call);
            Ok::<_, Infallible>(response)
        }
    });
    let io = Watched::new(stream, Arc::clone(&activity));
    let connection = builder.serve_connection(io, service);
    let close = |connection: Pin<&mut auto::Connection<'_, _, _, _>>| connection.graceful_shutdown();
    let end = drive(connection, close, &activity, stopped.wait_for(|stopped| *stopped)).await;
    if end == End::TimedOut {
        counters.connections_timed_out.fetch_add(1, Relaxed);
    }
}

/// A gauge that is one higher while this lives.
struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
