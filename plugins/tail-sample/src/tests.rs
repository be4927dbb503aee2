mod life;
mod rules;
mod spread;

use weir_sdk::testing::{Plugin, TestBatch, Tested};

use super::TailSample;

/// The second in which the tests begin.
const BEGIN_S: i64 = 1_700_000_000;
const HALF: u64 = 1 << 55;
const TOP: u64 = (1 << 56) - 1;

/// Random numbers by splitmix64, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn ns(ms: i64) -> i64 {
    BEGIN_S * 1_000_000_000 + ms * 1_000_000
}

/// A trace id with this randomness.
fn id(randomness: u64) -> [u8; 16] {
    (0xabcd_u128 << 112 | u128::from(randomness)).to_be_bytes()
}

/// A span or log record of a trace that is named by its randomness; times in milliseconds from the beginning.
#[derive(Clone, Debug)]
struct Row {
    trace: Option<u64>,
    at: i64,
    ms: i64,
    error: bool,
    service: &'static str,
    root: bool,
    state: Option<&'static str>,
    route: Option<&'static str>,
    status: Option<i64>,
    adjusted: f64,
}

/// A span of a millisecond, fine, with a parent.
fn span(trace: u64, at: i64) -> Row {
    Row {
        trace: Some(trace),
        at,
        ms: 1,
        error: false,
        service: "shop",
        root: false,
        state: None,
        route: None,
        status: None,
        adjusted: 1.0,
    }
}

fn spans(rows: &[Row]) -> TestBatch {
    TestBatch::spans()
        .column("trace_id", rows.iter().map(|row| row.trace.map(id)))
        .column("trace_state", rows.iter().map(|row| row.state))
        .column("time", rows.iter().map(|row| ns(row.at)))
        .column("end_time", rows.iter().map(|row| ns(row.at + row.ms)))
        .column("parent_span_id", rows.iter().map(|row| (!row.root).then_some([1_u8; 8])))
        .dictionary("status_code", rows.iter().map(|row| if row.error { "ERROR" } else { "UNSET" }))
        .dictionary("service_name", rows.iter().map(|row| row.service))
        .column("adjusted_count", rows.iter().map(|row| row.adjusted))
        .attribute("http.route", rows.iter().map(|row| row.route))
        .attribute("http.response.status_code", rows.iter().map(|row| row.status))
}

fn logs(rows: &[Row]) -> TestBatch {
    TestBatch::logs()
        .column("trace_id", rows.iter().map(|row| row.trace.map(id)))
        .column("time", rows.iter().map(|row| ns(row.at)))
        .dictionary("service_name", rows.iter().map(|row| row.service))
}

/// A row that went on: its trace by the randomness, what it stands for, its trace state.
#[derive(Clone, Debug, PartialEq)]
struct Out {
    trace: u64,
    adjusted: f64,
    state: Option<String>,
}

/// A plugin, and all that has come out of it.
struct Running {
    plugin: Plugin<TailSample>,
    out: Vec<Out>,
    dropped: usize,
    restarts: bool,
}

impl Running {
    fn new(config: &str) -> Self {
        let plugin = Plugin::configure(config).expect("a configuration");
        Self { plugin, out: Vec::new(), dropped: 0, restarts: false }
    }

    fn process(&mut self, batch: TestBatch) -> Tested {
        let tested = self.plugin.process(batch).expect("a processed batch");
        self.see(tested)
    }

    fn spans(&mut self, rows: &[Row]) -> Tested {
        self.process(spans(rows))
    }

    /// A row of no trace moves the clock.
    fn until(&mut self, at: i64) -> Tested {
        self.spans(&[Row { trace: None, ms: 0, ..span(0, at) }])
    }

    fn see(&mut self, tested: Tested) -> Tested {
        let (ids, counts, states) = ("trace_id", "adjusted_count", "trace_state");
        let columns = [ids, counts, states].map(|name| {
            let staying = tested.column(name);
            let staying = tested.kept().into_iter().map(move |row| staying[row].clone());
            staying.chain(tested.released(name)).collect::<Vec<_>>()
        });
        let [ids, counts, states] = columns;
        for ((id, count), state) in ids.iter().zip(&counts).zip(&states) {
            let Some(id) = id.as_str() else { continue };
            self.out.push(Out {
                trace: u64::from_str_radix(&id[18..], 16).expect("an id in hex"),
                adjusted: count.as_f64().unwrap_or(1.0),
                state: state.as_str().map(str::to_owned),
            });
        }
        self.dropped += tested.dropped().len() + tested.released_dropped().len();
        if self.restarts {
            self.plugin.restart().expect("a new instance");
        }
        tested
    }

    /// The traces of the rows that have gone on, in their order.
    fn traces(&self) -> Vec<u64> {
        self.out.iter().map(|out| out.trace).collect()
    }
}

/// What goes on of spans that all come at once, once their wait is over.
fn sampled(config: &str, rows: &[Row]) -> Running {
    let mut running = Running::new(config);
    running.spans(rows);
    running.until(60_000);
    running
}
