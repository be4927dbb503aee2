//! What the boundary is measured with: three columns read, two written, some rows dropped.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["duration_ns", "status_code", "attributes.url.path"]);
        plugin.writes("duration_us", Type::S64, "the duration in microseconds");
        plugin.writes("attributes.url.path", Type::Text, "the path with # for numbers");
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let duration = spans.i64("duration_ns")?;
        let status = spans.text("status_code")?;
        let path = spans.text("attributes.url.path")?;
        spans.set("duration_us", duration.values().iter().map(|ns| ns / 1000))?;
        let mut routes = TextBuilder::new();
        for row in 0..spans.rows() {
            match path.get(row) {
                // Numbers in a path name one thing of many.
                Some(path) => routes.push_with(|out| {
                    let mut rest = path;
                    while let Some(digit) = rest.find(|letter: char| letter.is_ascii_digit()) {
                        out.push_str(&rest[..digit]);
                        out.push('#');
                        rest = rest[digit..].trim_start_matches(|letter: char| letter.is_ascii_digit());
                    }
                    out.push_str(rest);
                }),
                None => routes.push(None),
            }
        }
        spans.set_text("attributes.url.path", routes)?;
        spans.keep(|row| duration[row] >= 1_000_000 || status.is(row, "ERROR"))
    }
}

weir_sdk::plugin!(Guest);
