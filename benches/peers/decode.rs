//! What decoding costs in Weir, in prost and in otlp2records: the same bytes, 8,192 rows a request, nanoseconds a row.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --features decode --bin decode
//!
//! Medians of one run. Each has a turn of several rounds, of which the first does not count: prost and otlp2records leave
//! many small free pieces of memory, and whoever allocates next puts them together.

#[path = "../requests/mod.rs"]
#[allow(dead_code, reason = "the shapes of other benchmarks")]
mod requests;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp2records::{InputFormat, transform_logs, transform_metrics, transform_traces};
use prost::Message;
use requests::{ROWS, logs, metrics, spans};
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir::Signal;
use weir::decode::{Builder, decode};

const TURNS: usize = 8;
const ROUNDS: usize = 10;

fn main() {
    println!("{:<8} {:>9} {:>8} {:>15} {:>20}", "", "bytes/row", "weir", "prost", "otlp2records 0.11");
    run(
        Signal::Spans,
        &spans(0),
        |body| drop(black_box(ExportTraceServiceRequest::decode(body).expect("a request"))),
        |body| drop(black_box(transform_traces(body, InputFormat::Protobuf).expect("a request"))),
    );
    run(
        Signal::Logs,
        &logs(0),
        |body| drop(black_box(ExportLogsServiceRequest::decode(body).expect("a request"))),
        |body| drop(black_box(transform_logs(body, InputFormat::Protobuf).expect("a request"))),
    );
    run(
        Signal::Metrics,
        &metrics(0),
        |body| drop(black_box(ExportMetricsServiceRequest::decode(body).expect("a request"))),
        |body| drop(black_box(transform_metrics(body, InputFormat::Protobuf).expect("a request"))),
    );
}

fn run(signal: Signal, body: &[u8], by_prost: impl Fn(&[u8]), by_otlp2records: impl Fn(&[u8])) {
    let mut builder = Builder::new(signal);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        turn(&mut times[0], || {
            let decoded = decode(black_box(body), &mut builder).expect("a valid request");
            drop(black_box(builder.finish()));
            assert_eq!(decoded.rows, ROWS as u64);
        });
        turn(&mut times[1], || by_prost(black_box(body)));
        turn(&mut times[2], || by_otlp2records(black_box(body)));
    }
    let [weir, prost, otlp2records] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / ROWS as f64
    });
    println!(
        "{signal:<8} {:>9} {weir:>8.0} {prost:>8.0} {:>5.1}x {otlp2records:>13.0} {:>5.1}x",
        body.len() / ROWS,
        prost / weir,
        otlp2records / weir,
    );
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
