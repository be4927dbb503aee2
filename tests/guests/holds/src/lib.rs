//! Holds the spans that failed, by their trace ids, until event time moves: then it marks them and lets go all but the first.
use weir_sdk::{Bitmap, prelude::*};

struct Guest;

const WAITING: State<[u8; 16], bool> = State::named("waiting");

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;
    const STATEFUL: bool = true;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.writes("was_held", Type::Bool, "whether the span was held back");
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let (status, traces) = (spans.text("status_code")?, spans.trace_ids("trace_id")?);
        let rows = Bitmap::of(spans.rows(), |row| status.is(row, "ERROR"));
        let trace = |row: usize| traces.get(row).copied().unwrap_or_default();
        for row in (0..spans.rows()).filter(|&row| status.is(row, "ERROR")) {
            WAITING.put(&trace(row), &true)?;
        }
        spans.hold(rows, trace)
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        if watermark.0 < 0 {
            return Err(Error::new("time runs backwards"));
        }
        let keys: Vec<[u8; 16]> = WAITING.scan()?.into_iter().map(|(key, _)| key).collect();
        keys.iter().for_each(|key| WAITING.delete(key));
        let mut first = true;
        for mut spans in held(Signal::Spans, keys)? {
            let rows = spans.rows();
            spans.set("was_held", vec![true; rows])?;
            spans.keep_because("the first", |row| !std::mem::take(&mut first) || row > 0)?;
        }
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
