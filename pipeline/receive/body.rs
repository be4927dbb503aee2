//! Bodies: read with limits of time and size, decompressed as they come, accounted in the memory budget as they grow.

use super::status::{Reason, Refusal};
use super::{Counters, Entry, Intake, Permit, Settings};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

/// The first piece of memory for a body.
const FIRST_BYTES: usize = 16 << 10;
/// How many times as much memory a body gets that needs more: one of a length that is known ends there.
const GROWTH_OF_KNOWN: usize = 4;
const GROWTH: usize = 2;
/// Decompression goes in steps of this size, so that the limit is checked before memory is taken.
const STEP_BYTES: usize = 32 << 10;
/// After this many steps other tasks of the thread get their turn: about half a millisecond of work.
const STEPS_PER_TURN: usize = 16;
/// What a gzip decoder keeps: the window of 32 KiB, its tables, and the buffer of one step.
const GZIP_STATE_BYTES: usize = 96 << 10;
/// A window of 8 MiB, the largest that HTTP allows for zstd (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Each member of gzip costs a new decoder; nobody but an attacker sends many.
const GZIP_MEMBERS_MAX: usize = 1024;
/// A body of which nothing comes for so long does not keep room from others any more.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// What is expected of a compressed body: OTLP becomes a fifth or less.
const DECOMPRESSED_RATIO: usize = 5;
/// How long a refused body is read on, so that the client gets to see the answer.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// The compression of that name; none if there is no name.
    pub(super) fn from_header(name: Option<&http::HeaderValue>) -> Result<Self, Refusal> {
        let Some(name) = name else { return Ok(Self::Identity) };
        let name = name.as_bytes().trim_ascii();
        [("", Self::Identity), ("identity", Self::Identity), ("gzip", Self::Gzip), ("zstd", Self::Zstd)]
            .into_iter()
            .find_map(|(known, coding)| name.eq_ignore_ascii_case(known.as_bytes()).then_some(coding))
            .ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                Refusal::new(Reason::Coding, format!("unknown compression {name:?}: send gzip, zstd or identity"))
            })
    }
}

/// The bytes of a body off the wire.
pub(super) struct Reader<'a> {
    body: Incoming,
    counters: &'a Counters,
    bytes_read: usize,
    bytes_max: usize,
    idle_timeout: Duration,
    deadline: Instant,
    timed_out: bool,
    /// Room that is kept for the body while it comes.
    entry: Option<Entry>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: Incoming, settings: &Settings, counters: &'a Counters) -> Self {
        Self {
            body,
            counters,
            bytes_read: 0,
            bytes_max: settings.body_bytes_max,
            idle_timeout: settings.body_idle_timeout,
            deadline: Instant::now() + settings.body_timeout,
            timed_out: false,
            entry: None,
        }
    }

    /// Waits until there is room for a body; so many bytes are expected as they are sent.
    pub(super) async fn enter<I: Intake>(&mut self, intake: &I, coding: Coding, bytes_expected: Option<usize>) {
        let ratio = if coding == Coding::Identity { 1 } else { DECOMPRESSED_RATIO };
        let bytes = bytes_expected.unwrap_or(FIRST_BYTES).saturating_mul(ratio).min(self.bytes_max);
        self.entry = Some(intake.enter(bytes).await);
    }

    /// The limit is on the message; what is around it, such as the prefix of gRPC, comes on top.
    pub(super) fn allow_extra(&mut self, bytes: usize) {
        self.bytes_max = self.bytes_max.saturating_add(bytes);
    }

    async fn frame(&mut self) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Elapsed> {
        let now = Instant::now();
        let due = self.deadline.min(now + self.idle_timeout);
        if self.entry.is_some() {
            if let Ok(frame) = timeout_at(due.min(now + STALLED_AFTER), self.body.frame()).await {
                return Ok(frame);
            }
            self.entry = None;
        }
        timeout_at(due, self.body.frame()).await
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = match self.frame().await {
                Ok(None) => {
                    // All of it is here, and holds what it takes.
                    self.entry = None;
                    return Ok(None);
                }
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(unreadable(&error)),
                Err(_) => {
                    self.timed_out = true;
                    return Err(Refusal::retry(format!(
                        "the body of the request did not come in time: {} bytes were read, then nothing for {:?}, or \
                         not all of it within the limit; send it again",
                        self.bytes_read, self.idle_timeout
                    )));
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            self.bytes_read = self.bytes_read.saturating_add(data.len());
            self.counters.wire_bytes.fetch_add(data.len() as u64, Relaxed);
            if self.bytes_read > self.bytes_max {
                return Err(Refusal::too_large("the request as sent", self.bytes_max));
            }
            return Ok(Some(data));
        }
    }

    /// Reads on and throws away, within limits: a client of HTTP/1 that is still sending sees only a reset when the
    /// connection is closed under it, and would send the same again.
    pub(super) async fn drain(mut self) {
        if self.timed_out {
            return;
        }
        let mut left = self.bytes_max;
        let rest = async {
            while let Some(Ok(frame)) = self.body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(bytes) {
                    Some(less) => left = less,
                    None => break,
                }
            }
        };
        // Out of time is out of patience: the connection is closed.
        let _ = timeout(DRAIN_TIME_MAX, rest).await;
    }
}

/// Framing that is wrong stays wrong; all else is a connection that broke.
fn unreadable(error: &hyper::Error) -> Refusal {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let is_framing = source.is_some_and(|io| matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData));
    if is_framing || error.is_parse() {
        return Refusal::invalid(format!("the body of the request cannot be read: {error}"));
    }
    Refusal::new(Reason::Gone, format!("the request ended in the middle of its body: {error}"))
}

/// A message in memory, and the part of the budget that it holds.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) permits: Vec<Permit>,
}

/// Decompresses and collects one message.
pub(super) struct Gatherer<'a, I> {
    intake: &'a I,
    decoder: Decoder,
    step: Vec<u8>,
    message: Vec<u8>,
    bytes_max: usize,
    bytes_expected: usize,
    growth: usize,
    permits: Vec<Permit>,
}

impl<'a, I: Intake> Gatherer<'a, I> {
    /// `bytes_expected` is what the client says it will send. It says so before it sends, so that it is a hint only.
    pub(super) fn new(
        intake: &'a I,
        coding: Coding,
        bytes_expected: Option<usize>,
        bytes_max: usize,
    ) -> Result<Self, Refusal> {
        let (decoder, state_bytes) = match coding {
            Coding::Identity => (Decoder::Identity, 0),
            Coding::Gzip => (Decoder::Gzip(Box::new(Gzip::new())), GZIP_STATE_BYTES),
            Coding::Zstd => (Decoder::Zstd(Box::new(Zstd::new()?)), STEP_BYTES),
        };
        let bytes_expected = match coding {
            Coding::Identity => bytes_expected,
            Coding::Gzip | Coding::Zstd => None,
        };
        let step = if state_bytes > 0 { vec![0; STEP_BYTES] } else { Vec::new() };
        let growth = if bytes_expected.is_some() { GROWTH_OF_KNOWN } else { GROWTH };
        let bytes_expected = bytes_expected.unwrap_or(bytes_max);
        let (message, permits) = (Vec::new(), Vec::new());
        let mut gatherer = Self { intake, decoder, step, message, bytes_max, bytes_expected, growth, permits };
        if state_bytes > 0 {
            gatherer.permits.push(intake.admit(state_bytes)?);
        }
        gatherer.grow(FIRST_BYTES.min(bytes_expected))?;
        Ok(gatherer)
    }

    /// Takes the next piece of the message as sent.
    pub(super) async fn push(&mut self, mut input: &[u8]) -> Result<(), Refusal> {
        if matches!(self.decoder, Decoder::Identity) {
            return self.append(input);
        }
        let mut step = std::mem::take(&mut self.step);
        for turn in 1.. {
            let (used, written) = self.decoder.step(input, &mut step)?;
            self.append(&step[..written])?;
            self.account_window()?;
            input = &input[used..];
            if input.is_empty() && written < step.len() {
                break;
            }
            if used == 0 && written == 0 {
                return Err(Refusal::invalid("the compressed body is corrupt: it does not go on"));
            }
            if turn % STEPS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.step = step;
        Ok(())
    }

    /// The message, once all of it was pushed.
    pub(super) fn finish(self) -> Result<Held, Refusal> {
        self.decoder.finish()?;
        Ok(Held { bytes: Bytes::from(self.message), permits: self.permits })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let length = self.message.len() + bytes.len();
        if length > self.bytes_max {
            return Err(Refusal::too_large("the request after decompression", self.bytes_max));
        }
        if length > self.message.capacity() {
            // Not beyond what was announced: a whole body then sits in memory of its size.
            let more = (self.message.capacity() * self.growth).min(self.bytes_expected.max(length));
            self.grow(more.max(length))?;
        }
        self.message.extend_from_slice(bytes);
        Ok(())
    }

    fn grow(&mut self, capacity: usize) -> Result<(), Refusal> {
        let more = capacity.saturating_sub(self.message.capacity());
        if more > 0 {
            self.permits.push(self.intake.admit(more)?);
            self.message
                .try_reserve_exact(capacity - self.message.len())
                .map_err(|error| Refusal::retry(format!("no memory for the request: {error}; retry later")))?;
        }
        Ok(())
    }

    /// zstd allocates its window when it has seen the header of a frame: at most 8 MiB, accounted right after.
    fn account_window(&mut self) -> Result<(), Refusal> {
        if let Decoder::Zstd(zstd) = &mut self.decoder {
            let size = zstd.context.sizeof();
            if size > zstd.accounted {
                self.permits.push(self.intake.admit(size - zstd.accounted)?);
                zstd.accounted = size;
            }
        }
        Ok(())
    }
}

enum Decoder {
    Identity,
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    /// Decompresses some of `input` into `output`: bytes used, bytes written.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Refusal> {
        match self {
            Self::Identity => Ok((0, 0)),
            Self::Gzip(gzip) => gzip.step(input, output),
            Self::Zstd(zstd) => zstd.step(input, output),
        }
    }

    fn finish(&self) -> Result<(), Refusal> {
        let (name, whole) = match self {
            Self::Identity => return Ok(()),
            Self::Gzip(gzip) => ("gzip", gzip.at_end),
            Self::Zstd(zstd) => ("zstd", zstd.at_end),
        };
        if whole { Ok(()) } else { Err(Refusal::invalid(format!("the {name} body is truncated"))) }
    }
}

/// gzip: any number of members, one after the other.
struct Gzip {
    inflate: Decompress,
    members: usize,
    at_end: bool,
}

impl Gzip {
    fn new() -> Self {
        Self { inflate: Decompress::new_gzip(15), members: 1, at_end: false }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Refusal> {
        if self.at_end {
            if input.is_empty() {
                return Ok((0, 0));
            }
            if self.members == GZIP_MEMBERS_MAX {
                return Err(Refusal::invalid(format!("the gzip body has more than {GZIP_MEMBERS_MAX} members")));
            }
            *self = Self { members: self.members + 1, ..Self::new() };
        }
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, output, FlushDecompress::None)
            .map_err(|error| Refusal::invalid(format!("the gzip body is corrupt: {error}")))?;
        self.at_end = status == Status::StreamEnd;
        let used = (self.inflate.total_in() - before_in) as usize;
        let written = (self.inflate.total_out() - before_out) as usize;
        Ok((used, written))
    }
}

/// zstd: any number of frames, one after the other.
struct Zstd {
    context: DCtx<'static>,
    accounted: usize,
    at_end: bool,
}

impl Zstd {
    fn new() -> Result<Self, Refusal> {
        let no_memory = || Refusal::retry("no memory for a zstd decoder; retry later");
        let mut context = DCtx::try_create().ok_or_else(no_memory)?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| no_memory())?;
        Ok(Self { context, accounted: 0, at_end: false })
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Refusal> {
        if self.at_end && input.is_empty() {
            return Ok((0, 0));
        }
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let hint = self
            .context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| Refusal::invalid(format!("the zstd body is corrupt: {}", get_error_name(code))))?;
        self.at_end = hint == 0;
        Ok((input.pos(), output.pos()))
    }
}
