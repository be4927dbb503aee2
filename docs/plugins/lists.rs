//! Reading lists.

use weir_sdk::prelude::*;

struct Tails;

impl Processor for Tails {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::METRICS;
    const SUMMARY: &'static str = "How many measurements of a histogram are beyond its last bound";

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["bounds", "bucket_counts"]);
        plugin.writes("beyond", Type::U64, "Measurements beyond the last bound of the histogram");
        plugin.writes("last_bound", Type::F64, "The last bound of the histogram");
    }

    fn process(&mut self, points: &mut Batch) -> Result {
        // guide: lists
        let bounds = points.f64_lists("bounds")?; // Option<&[f64]> a row
        let counts = points.u64_lists("bucket_counts")?;
        points.set("last_bound", bounds.iter().map(|bounds| bounds?.last().copied()))?;
        points.set("beyond", counts.iter().map(|counts| counts?.last().copied()))
        // guide: end
    }
}

weir_sdk::plugin!(Tails, name = "tails");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_sdk::testing::{TestBatch, run};

    #[test]
    fn a_list_is_a_slice_and_null_where_the_point_is_no_histogram() {
        let points = TestBatch::metrics()
            .f64_lists("bounds", [Some(vec![0.1, 0.5]), None, Some(vec![])])
            .u64_lists("bucket_counts", [Some(vec![7, 2, 1]), None, Some(vec![])]);
        let tested = run::<Tails>("{}", points).unwrap();
        assert_eq!(tested.column("beyond"), [json!(1), json!(null), json!(null)]);
        assert_eq!(tested.column("last_bound"), [json!(0.5), json!(null), json!(null)]);
    }
}
