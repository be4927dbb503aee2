//! Reads every column of lists, and says what it has read.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::METRICS;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.writes("read", Type::Text, "bounds, counts and positive counts as they were read");
        plugin.writes("written", Type::Text, "the same as JSON");
        plugin.writes("refused", Type::Text, "why the quantiles cannot be read");
    }

    fn process(&mut self, points: &mut Batch) -> Result {
        let bounds = points.f64_lists("bounds")?;
        let (counts, positive) = (points.u64_lists("bucket_counts")?, points.u64_lists("positive_bucket_counts")?);
        let read = |row| format!("{:?} {:?} {:?}", bounds.get(row), counts.get(row), positive.get(row));
        points.set("read", (0..points.rows()).map(read).collect::<Vec<_>>())?;
        let written = ["bounds", "bucket_counts"].map(|column| points.any_as_text(column));
        let [Ok(bounds), Ok(counts)] = written else { return Err(Error::new("lists are no text")) };
        let both = |row| Some(format!("{} {}", bounds.get(row)?, counts.get(row)?));
        points.set("written", (0..points.rows()).map(both).collect::<Vec<_>>())?;
        let refused = [points.u64_lists("quantiles").err(), points.u64_lists("bounds").err()];
        let refused = refused.map(|error| error.map(|error| error.to_string()).unwrap_or_default()).join("; ");
        points.set("refused", (0..points.rows()).map(|_| refused.as_str()).collect::<Vec<_>>())
    }
}

weir_sdk::plugin!(Guest);
