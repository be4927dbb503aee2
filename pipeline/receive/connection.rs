//! One connection: what it may cost in time. Who sends no header, or nothing at all, is let go.
//!
//! hyper's own header timeout also runs between two requests of HTTP/1.1, where a client may well be silent for a
//! minute, and there is none for HTTP/2. So the bytes are watched here as they come in.

use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const FRAME_HEADERS: u8 = 1;
const FRAME_CONTINUATION: u8 = 9;
const FLAG_END_HEADERS: u8 = 4;

/// Why a connection is over its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A header was begun and did not end.
    Header,
    /// No call for a long time.
    Idle,
    /// It was asked to close, and did not.
    Closing,
    /// A call is running: nothing is due, look again later.
    Nothing,
}

/// What is known of a connection from its bytes and its calls.
pub(super) struct Activity {
    state: Mutex<State>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

struct State {
    calls: usize,
    /// When the last call ended, or the connection began.
    quiet_since: Instant,
    /// When the header that is being read began.
    header_since: Option<Instant>,
    speaks: Speaks,
}

/// Which version of HTTP the bytes are.
enum Speaks {
    /// So many bytes of the preface of HTTP/2 have come, and nothing else.
    Preface(usize),
    Http1,
    Http2(Frames),
}

impl Activity {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Arc<Self> {
        let now = Instant::now();
        // Whoever connects has a header to send.
        let state = State { calls: 0, quiet_since: now, header_since: Some(now), speaks: Speaks::Preface(0) };
        Arc::new(Self { state: Mutex::new(state), header_timeout, idle_timeout })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; it lasts until what is returned is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        state.calls += 1;
        if !matches!(state.speaks, Speaks::Http2(_)) {
            state.header_since = None;
        }
        Call(Arc::clone(self))
    }

    fn received(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.state().received(bytes);
        }
    }

    fn due(&self) -> (Instant, Due) {
        let state = self.state();
        match state.header_since {
            Some(since) => (since + self.header_timeout, Due::Header),
            None if state.calls == 0 => (state.quiet_since + self.idle_timeout, Due::Idle),
            None => (Instant::now() + self.idle_timeout, Due::Nothing),
        }
    }
}

impl State {
    fn received(&mut self, mut bytes: &[u8]) {
        if let Speaks::Preface(matched) = &mut self.speaks {
            let expected = &PREFACE[*matched..];
            let common = expected.len().min(bytes.len());
            if bytes[..common] != expected[..common] {
                self.speaks = Speaks::Http1;
            } else if common < expected.len() {
                *matched += common;
                return;
            } else {
                self.speaks = Speaks::Http2(Frames::default());
                bytes = &bytes[common..];
            }
        }
        let in_header = match &mut self.speaks {
            Speaks::Http2(frames) => frames.feed(bytes),
            // During a call the bytes are those of its body.
            _ => self.calls == 0,
        };
        self.header_since = in_header.then(|| self.header_since.unwrap_or_else(Instant::now));
    }
}

/// A call of a connection, while it runs.
pub(super) struct Call(Arc<Activity>);

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.calls -= 1;
        state.quiet_since = Instant::now();
    }
}

/// Follows the frames of HTTP/2, to know whether one, or a block of headers in several, is begun and not ended.
#[derive(Default)]
struct Frames {
    header: [u8; FRAME_HEADER_BYTES],
    header_filled: usize,
    payload_left: usize,
    in_block: bool,
}

impl Frames {
    /// Whether a header is incomplete after these bytes.
    fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
            } else {
                let taken = (FRAME_HEADER_BYTES - self.header_filled).min(bytes.len());
                self.header[self.header_filled..self.header_filled + taken].copy_from_slice(&bytes[..taken]);
                self.header_filled += taken;
                bytes = &bytes[taken..];
                if self.header_filled == FRAME_HEADER_BYTES {
                    self.begin();
                }
            }
        }
        let is_headers = matches!(self.header[3], FRAME_HEADERS | FRAME_CONTINUATION);
        self.in_block || self.header_filled > 0 || (is_headers && self.payload_left > 0)
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.header_filled = 0;
        if matches!(kind, FRAME_HEADERS | FRAME_CONTINUATION) {
            self.in_block = flags & FLAG_END_HEADERS == 0;
        }
    }
}

/// The bytes of a connection, watched.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> TokioIo<Self> {
        TokioIo::new(Self { stream, activity })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.activity.received(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client or the server closed it.
    Closed,
    /// It was over its time.
    TimedOut,
}

/// Drives a connection to its end: until it closes, until it is over its time, or, once `stop` resolves, until its calls
/// are done. `close` asks it to finish its calls and close.
pub(super) async fn drive<C: Future>(
    connection: C,
    close: impl Fn(Pin<&mut C>),
    activity: &Activity,
    stop: impl Future,
) -> End {
    let (mut connection, mut stop) = (pin!(connection), pin!(stop));
    let mut stopped = false;
    let mut closing_until = None;
    let mut timer = pin!(sleep_until(Instant::now() + activity.header_timeout));
    std::future::poll_fn(|context| {
        if !stopped && stop.as_mut().poll(context).is_ready() {
            stopped = true;
            close(connection.as_mut());
        }
        loop {
            if connection.as_mut().poll(context).is_ready() {
                let end = if closing_until.is_some() { End::TimedOut } else { End::Closed };
                return Poll::Ready(end);
            }
            let why = loop {
                let (at, why) = closing_until.map_or_else(|| activity.due(), |at| (at, Due::Closing));
                // A timer that fires too early is set again; one that would fire too late is set at once.
                if at < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(at);
                }
                ready!(timer.as_mut().poll(context));
                if Instant::now() >= at {
                    break why;
                }
            };
            match why {
                Due::Header | Due::Closing => return Poll::Ready(End::TimedOut),
                Due::Nothing => {}
                Due::Idle => {
                    closing_until = Some(Instant::now() + activity.header_timeout);
                    close(connection.as_mut());
                }
            }
        }
    })
    .await
}
