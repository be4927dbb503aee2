//! Keeps the traces in which something failed, and no other.
use weir_sdk::prelude::*;

// guide: hold
/// Traces that wait: the trace id → whether something failed in it so far.
const WAITING: State<[u8; 16], bool> = State::named("waiting");

struct KeepFailed;

impl Processor for KeepFailed {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;
    const STATEFUL: bool = true;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let (trace, status) = (spans.trace_ids("trace_id")?, spans.text("status_code")?);
        for row in 0..spans.rows() {
            let key = trace.get(row).copied().unwrap_or_default();
            let failed = WAITING.get(&key)?.unwrap_or(false) || status.is(row, "ERROR");
            WAITING.put(&key, &failed)?;
        }
        spans.hold(Bitmap::of(spans.rows(), |_| true), |row| trace.get(row).copied().unwrap_or_default())
    }

    fn advance(&mut self, _: Timestamp) -> Result {
        let (failed, fine): (Vec<_>, Vec<_>) = WAITING.scan()?.into_iter().partition(|(_, failed)| *failed);
        for (key, _) in failed.iter().chain(&fine) {
            WAITING.delete(key);
        }
        held(Signal::Spans, failed.into_iter().map(|(key, _)| key))?;
        for mut spans in held(Signal::Spans, fine.into_iter().map(|(key, _)| key))? {
            spans.keep_because("nothing failed", |_| false)?;
        }
        Ok(())
    }
}
// guide: end

weir_sdk::plugin!(KeepFailed, name = "keep-failed");

#[cfg(test)]
mod tests {
    use super::*;
    use weir_sdk::testing::{Plugin, TestBatch};

    // guide: hold_test
    #[test]
    fn a_trace_stays_whole_or_goes_whole() {
        let mut plugin = Plugin::<KeepFailed>::configure("{}").unwrap();
        let spans = TestBatch::spans()
            .column("trace_id", [[1_u8; 16], [2; 16], [1; 16]])
            .column("status_code", ["ERROR", "OK", "UNSET"]);
        assert_eq!(plugin.process(spans).unwrap().held(), [0, 1, 2]);
        plugin.restart().unwrap();
        let tested = plugin.advance(0).unwrap();
        assert_eq!(tested.released("status_code"), ["ERROR", "UNSET"]);
        assert_eq!(tested.released_dropped(), ["nothing failed"]);
    }
    // guide: end
}
