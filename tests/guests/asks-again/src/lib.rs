//! Works through the rows it was given one a call: each batch leaves as many as it has, and `advance` is asked for until
//! they are done. Or for ever, if it is told so.
use weir_sdk::prelude::*;

/// A row that is done.
#[derive(Row)]
#[row(table = "turns", time = "time")]
struct Turn {
    /// The watermark.
    time: Timestamp,
    /// How many are left.
    left: u64,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    for_ever: bool,
}

struct Guest(Config);

const LEFT: State<(), u64> = State::named("left");

impl Processor for Guest {
    type Config = Config;
    const SIGNALS: Signals = Signals::ALL;
    const STATEFUL: bool = true;

    fn new(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.emits::<Turn>();
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        advance_again();
        LEFT.put(&(), &(LEFT.get(&())?.unwrap_or(0) + batch.rows() as u64))
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        let left = LEFT.get(&())?.unwrap_or(0);
        count("turns", 1);
        if left > 1 || self.0.for_ever {
            advance_again();
        }
        let Some(left) = left.checked_sub(1) else { return Ok(()) };
        emit(&Turn { time: watermark, left })?;
        LEFT.put(&(), &left)
    }
}

weir_sdk::plugin!(Guest);
