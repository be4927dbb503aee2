//! Counts rows by service in its state, writes the count to each row and emits it once a batch.
use std::collections::BTreeMap;
use weir_sdk::prelude::*;

/// How many rows a service has sent so far.
#[derive(Row)]
#[row(table = "running", mode = "upsert", key = ["service"], time = "time")]
struct Running {
    /// The time of the latest row of the batch.
    time: Timestamp,
    /// The service.
    service: String,
    /// Its rows so far.
    rows: u64,
}

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;
    const STATEFUL: bool = true;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["time", "service_name"]);
        plugin.writes("running", Type::U64, "the number of the row among those of its service");
        plugin.emits::<Running>();
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        let (time, service) = (batch.i64("time")?, batch.text("service_name")?);
        let state = State::<String, u64>::named("running");
        let mut services: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
        let mut counts = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let name = service.get(row).unwrap_or_default();
            if !services.contains_key(name) {
                services.insert(name, (state.get(&name.to_owned())?.unwrap_or(0), i64::MIN));
            }
            let (count, latest) = services.entry(name).or_default();
            *count += 1;
            *latest = (*latest).max(time.get(row).unwrap_or(0));
            counts.push(*count);
        }
        for (name, (count, latest)) in services {
            state.put(&name.to_owned(), &count)?;
            emit(&Running { time: Timestamp(latest), service: name.to_owned(), rows: count })?;
        }
        count("batches", 1);
        batch.set("running", counts)
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        State::<String, i64>::named("watermark").put(&"latest".to_owned(), &watermark.0)
    }
}

weir_sdk::plugin!(Guest);
