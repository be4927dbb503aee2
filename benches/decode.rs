//! What decoding costs: OTLP protobuf into columns, beside prost's decoding of the same bytes, a copy of them, and zstd
//! alone on them, which is the floor of whoever keeps them compressed.
//!
//! `cargo bench --bench decode`. All take turns within one run; the figures are medians in nanoseconds a row. A turn
//! is several rounds, of which the first does not count: prost leaves many small free pieces of memory, and whoever
//! allocates next puts them together. After the usual shapes come unkind ones, of spans.

mod requests;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use requests::{ROWS, logs, metrics, spans, unkind};
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir::Signal;
use weir::decode::{Builder, decode};

const TURNS: usize = 8;
const ROUNDS: usize = 10;
/// As Weir compresses files.
const ZSTD_LEVEL: i32 = 1;

fn main() {
    println!(
        "{:<38} {:>9} {:>8} {:>9} {:>10} {:>8} {:>7}",
        "", "bytes/row", "weir ns", "prost ns", "memcpy ns", "zstd ns", "ratio"
    );
    run("spans", Signal::Spans, ROWS, &[spans(0)], by_prost::<ExportTraceServiceRequest>);
    run("logs", Signal::Logs, ROWS, &[logs(0)], by_prost::<ExportLogsServiceRequest>);
    run("metrics", Signal::Metrics, ROWS, &[metrics(0)], by_prost::<ExportMetricsServiceRequest>);
    let unkind = |name, rows, bodies: &[Vec<u8>]| {
        run(name, Signal::Spans, rows, bodies, by_prost::<ExportTraceServiceRequest>);
    };
    unkind("spans, 1 a request", ROWS, &unkind::one_row(ROWS));
    unkind("spans of 10,000 resources and services", 10_000, &[unkind::services(10_000)]);
    unkind("spans of 200 attributes", 1_000, &[unkind::attributes(1_000, 200)]);
    unkind("spans, no value of which comes twice", ROWS, &[unkind::values(ROWS)]);
    unkind("spans, no text of which comes twice", ROWS, &[unkind::distinct(ROWS)]);
}

fn by_prost<T: Message + Default>(body: &[u8]) {
    drop(black_box(T::decode(body).expect("a valid request")));
}

/// Requests that come one after the other, and their rows.
fn run(name: &str, signal: Signal, rows: usize, bodies: &[Vec<u8>], by_prost: impl Fn(&[u8])) {
    let mut builder = Builder::new(signal);
    let whole = bodies.concat();
    let mut copy = vec![0; whole.len()];
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("a level of zstd");
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..TURNS {
        turn(&mut times[0], || {
            let decoded: u64 =
                bodies.iter().map(|body| decode(black_box(body), &mut builder).expect("a valid request").rows).sum();
            drop(black_box(builder.finish()));
            assert_eq!(decoded, rows as u64);
        });
        turn(&mut times[1], || bodies.iter().for_each(|body| by_prost(black_box(body))));
        turn(&mut times[2], || {
            copy.copy_from_slice(black_box(&whole));
            black_box(&copy);
        });
        turn(&mut times[3], || drop(black_box(compressor.compress(black_box(&whole)))));
    }
    let [weir, prost, memcpy, zstd] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / rows as f64
    });
    println!(
        "{name:<38} {:>9} {weir:>8.0} {prost:>9.0} {memcpy:>10.0} {zstd:>8.0} {:>6.1}x",
        whole.len() / rows,
        prost / weir
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
