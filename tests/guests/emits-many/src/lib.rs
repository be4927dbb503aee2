//! Emits as many rows a batch as it is told.
use weir_sdk::prelude::*;

#[derive(Deserialize)]
struct Config {
    rows: u64,
}

/// Rows by their number.
#[derive(Row)]
#[row(table = "numbered", time = "time")]
struct Numbered {
    /// The time of the batch's first row.
    time: Timestamp,
    /// The number of the row.
    number: u64,
    /// The number in words.
    text: String,
}

struct Guest(Config);

impl Processor for Guest {
    type Config = Config;
    const SIGNALS: Signals = Signals::ALL;

    fn new(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["time"]).emits::<Numbered>();
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        let time = batch.i64("time")?;
        let time = Timestamp(time.get(0).unwrap_or(0));
        for number in 0..self.0.rows {
            emit(&Numbered { time, number, text: format!("row {number}") })?;
        }
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
