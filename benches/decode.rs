//! What decoding costs: OTLP protobuf into columns, beside prost's decoding of the same bytes and a copy of them.
//!
//! `cargo bench --bench decode`. All three take turns within one run; the figures are medians in nanoseconds a row. A turn
//! is several rounds, of which the first does not count: prost leaves many small free pieces of memory, and whoever
//! allocates next puts them together.

mod requests;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use requests::{ROWS, logs, metrics, spans};
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir::Signal;
use weir::decode::{Builder, decode};

const TURNS: usize = 8;
const ROUNDS: usize = 10;

fn main() {
    println!("{:<8} {:>9} {:>10} {:>10} {:>10} {:>7}", "", "bytes/row", "weir ns", "prost ns", "memcpy ns", "ratio");
    run(Signal::Spans, &spans(0), |body| drop(black_box(ExportTraceServiceRequest::decode(body))));
    run(Signal::Logs, &logs(0), |body| drop(black_box(ExportLogsServiceRequest::decode(body))));
    run(Signal::Metrics, &metrics(0), |body| drop(black_box(ExportMetricsServiceRequest::decode(body))));
}

fn run(signal: Signal, body: &[u8], by_prost: impl Fn(&[u8])) {
    let mut builder = Builder::new(signal);
    let mut copy = vec![0; body.len()];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        turn(&mut times[0], || {
            let decoded = decode(black_box(body), &mut builder).expect("a valid request");
            drop(black_box(builder.finish()));
            assert_eq!(decoded.rows, ROWS as u64);
        });
        turn(&mut times[1], || by_prost(black_box(body)));
        turn(&mut times[2], || {
            copy.copy_from_slice(black_box(body));
            black_box(&copy);
        });
    }
    let [weir, prost, memcpy] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / ROWS as f64
    });
    let (bytes, ratio) = (body.len() / ROWS, prost / weir);
    println!("{signal:<8} {bytes:>9} {weir:>10.0} {prost:>10.0} {memcpy:>10.0} {ratio:>6.1}x");
}

fn turn(times: &mut Vec<Duration>, mut round: impl FnMut()) {
    for number in 0..=ROUNDS {
        let start = Instant::now();
        round();
        if number > 0 {
            times.push(start.elapsed());
        }
    }
}
