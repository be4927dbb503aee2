//! What the plugin boundary costs: the same work on 8,192 spans native and in a plugin, a plugin that reads one column
//! and drops rows, the fixed cost of a call, and the chain of the shipped plugins. Nanoseconds a row (a call for the
//! fixed cost), medians of one run.
//!
//!     cargo bench --bench boundary

#[allow(dead_code, reason = "other benches use the other signals")]
mod requests;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, ArrayRef, Int64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir::batch::{Batch, View};
use weir::chain::{Chain, Counts, Link};
use weir::decode::{Builder, decode};
use weir::sandbox::{Engine, EngineOptions, Limits, Plugin, shipped};
use weir::{Error, Result, Signal};

const ROUNDS: usize = 51;

fn main() -> Result<()> {
    let mut builder = Builder::new(Signal::Spans);
    decode(&requests::spans(0), &mut builder)?;
    let batch = builder.finish();
    let empty = batch.slice(0, 0);
    let engine = Engine::new(&EngineOptions { cache: true, cache_dir: None })?;
    let guest = |name: &str| -> Result<Chain> {
        let path = weir_build::guest(name).map_err(Error::plugin)?;
        let module = std::fs::read(&path).map_err(|error| Error::storage(format!("{}: {error}", path.display())))?;
        Chain::new(vec![link(&engine, name, &module)?], 1, Arc::new(Counts::default()))
    };
    let (boundary, reads_one) = (guest("boundary")?, guest("reads-one")?);
    let chain = ["enrich", "sample"].map(|name| link(&engine, name, shipped(name).unwrap_or_default()));
    let chain = Chain::new(chain.into_iter().collect::<Result<Vec<_>>>()?, 1, Arc::new(Counts::default()))?;

    let rows = batch.rows() as f64;
    println!("{} spans a batch, median of {ROUNDS} rounds\n", batch.rows());
    let native_ns = median(|| drop(black_box(native(black_box(&batch))))) / rows;
    let through = |chain: &Chain, batch: &Batch| {
        let mut sequence = 0;
        median(|| {
            drop(black_box(chain.process(0, sequence, Some(batch.clone()), None)));
            sequence += 1;
        })
    };
    let plugin_ns = through(&boundary, &batch) / rows;
    println!("3 columns read, 2 written, a mask   native {native_ns:>7.1} ns a row");
    println!(
        "                                    plugin {plugin_ns:>7.1} ns a row, {:.2} x native",
        plugin_ns / native_ns
    );
    println!("1 column read, a mask               plugin {:>7.1} ns a row", through(&reads_one, &batch) / rows);
    let view = native(&batch)?;
    let settle_ns = median(|| drop(black_box(view.clone().settle()))) / rows;
    println!("a batch made of what is left               {settle_ns:>7.1} ns a row, once for all plugins");
    println!("a call with an empty batch          plugin {:>7.1} µs a call", through(&reads_one, &empty) / 1e3);
    println!("enrich and sample, without settings plugin {:>7.1} ns a row", through(&chain, &batch) / rows);
    Ok(())
}

fn link(engine: &Engine, name: &str, module: &[u8]) -> Result<Link> {
    let limits = Limits { time_per_call: Duration::from_secs(20), ..Limits::default() };
    let plugin = Plugin::load(engine, name, module, &limits)?;
    Ok(Link { plugin, config_json: "{}".into(), name: name.into(), signals: None, on_error: None, limits })
}

/// What the guest `boundary` does, on the same columns.
fn native(batch: &Batch) -> Result<View> {
    let mut batch = View::from(batch.clone());
    let duration = batch.read("duration_ns")?;
    let duration = duration.as_primitive::<Int64Type>();
    let status = batch.read("status_code")?;
    let status = status.as_dictionary::<arrow_array::types::Int32Type>();
    let codes = status.values().as_string::<i32>();
    let path = batch.read("attributes.url.path")?;
    let path = path.as_string::<i32>();
    let micros: Int64Array = duration.values().iter().map(|ns| ns / 1000).collect();
    let routes: StringArray = (0..path.len()).map(|row| path.is_valid(row).then(|| route(path.value(row)))).collect();
    let keep = BooleanBuffer::collect_bool(batch.rows(), |row| {
        duration.value(row) >= 1_000_000 || status.key(row).is_some_and(|key| codes.value(key) == "ERROR")
    });
    batch.write("duration_us", &(Arc::new(micros) as ArrayRef))?;
    batch.write("attributes.url.path", &(Arc::new(routes) as ArrayRef))?;
    batch.keep(&keep);
    Ok(batch)
}

fn route(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(digit) = rest.find(|letter: char| letter.is_ascii_digit()) {
        out.push_str(&rest[..digit]);
        out.push('#');
        rest = rest[digit..].trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    out.push_str(rest);
    out
}

/// The median time of a round, in nanoseconds.
fn median(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2].as_nanos() as f64
}
