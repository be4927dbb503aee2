//! What it costs. Numbers for whoever asks, no test: they say nothing where other work shares the machine.
//!
//!     cargo test --release -p weir-plugin-kpi cost -- --ignored --nocapture

use weir_sdk::prelude::*;

use super::*;

/// Nanoseconds for which this thread has run; other work of the machine does not count.
fn ran_ns() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(f64::NAN)
}

/// Reads the columns that the plugin reads and does nothing: what the stand-in for Weir costs.
struct Reader;

impl Processor for Reader {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let (time, duration) = (spans.i64("time")?, spans.i64("duration_ns")?);
        let (weight, code) = (spans.f64("adjusted_count")?, spans.i64("http_response_status_code")?);
        let (trace, span) = (spans.trace_ids("trace_id")?, spans.span_ids("span_id")?);
        let texts = ["kind", "status_code", "service_name", "service_namespace", "environment"];
        let rows: usize = texts.iter().filter_map(|name| Some(spans.text(name).ok()?.len())).sum();
        std::hint::black_box((time.len(), duration.len(), weight.len(), code.len(), trace.len(), span.len(), rows));
        Ok(())
    }
}

weir_sdk::plugin!(Reader);

const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// Batches of 8,192 spans of ten services, a thousand a second.
fn batches() -> Vec<TestBatch> {
    let span = |number: u64| {
        let service = NAMES[(crate::codec::mix(0, number) % 10) as usize];
        Span::new(service, at(10, 0, 0) + number as i64 * SECOND / 1000, number, false)
    };
    (0..24).map(|batch| spans(&(0..8192).map(|row| span(batch * 8192 + row)).collect::<Vec<_>>())).collect()
}

#[test]
#[ignore = "it measures"]
fn cost_of_a_span() {
    let all = batches();
    let rows = all.len() as f64 * 8192.0;
    let mut reader = Plugin::<Reader>::configure("{}").expect("no configuration");
    let began = ran_ns();
    all.iter().for_each(|batch| _ = reader.process(batch.clone()));
    let read = (ran_ns() - began) / rows;
    let mut weir = Weir::new("{}");
    let began = ran_ns();
    all.iter().for_each(|batch| _ = weir.process(batch.clone()));
    let whole = (ran_ns() - began) / rows;
    println!("{:.0} ns a span, of which reading takes {read:.0}", whole);
}

#[test]
#[ignore = "it measures"]
fn cost_of_an_evaluation() {
    let services: Vec<&'static str> = (0..500).map(|number| &*format!("service-{number}").leak()).collect();
    let mut weir = Weir::new("{}");
    for minute in 0..70 {
        let all: Vec<Span> = (0..60)
            .step_by(10)
            .flat_map(|second| services.iter().enumerate().map(move |(index, name)| (second, index, *name)))
            .map(|(second, index, name)| Span {
                weight: 50.0,
                ..Span::new(name, at(10, minute, second), (minute * 60 + second) as u64 * 1000 + index as u64, false)
            })
            .collect();
        weir.process(spans(&all));
        let began = ran_ns();
        weir.advance(at(10, minute + 1, 0));
        if minute % 10 == 9 {
            println!("minute {minute}: {:.1} us a service, rows as JSON", (ran_ns() - began) / 500e3);
        }
    }
}
