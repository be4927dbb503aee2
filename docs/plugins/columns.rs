//! Reading and writing columns.

use weir_sdk::prelude::*;

struct Classes;

impl Processor for Classes {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;
    const SUMMARY: &'static str = "Classes of status codes, a flag for slow spans, one spelling of pods";

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    // guide: describe
    fn describe(&self, plugin: &mut Description) {
        plugin
            .reads(["name", "duration_ns", "attributes.http.*", "resource.k8s.pod.name"])
            .writes("status_class", Type::Text, "Class of the HTTP status: 2xx, 3xx, 4xx or 5xx")
            .writes("slow", Type::Bool, "Whether the span took longer than a second")
            .writes("attributes.pod", Type::Text, "Name of the pod in small letters")
            .writes("attributes.http.*", Type::Text, "Spellings of old conventions");
    }
    // guide: end

    fn process(&mut self, spans: &mut Batch) -> Result {
        // guide: read
        let duration = spans.i64("duration_ns")?; // a column of the table
        let status = spans.i64("attributes.http.response.status_code")?; // an attribute of the span
        let pod = spans.text("resource.k8s.pod.name")?; // an attribute of its resource
        // guide: end

        // guide: set
        let class = |code: i64| match code {
            100..=599 => Some(format!("{}xx", code / 100)),
            _ => None,
        };
        spans.set("status_class", status.iter().map(|code| code.and_then(class)))?;
        spans.set("slow", (0..spans.rows()).map(|row| duration[row] > 1_000_000_000))?;
        // guide: end

        // guide: once
        // `pod` is a dictionary: what is worked out for a distinct text once is looked up for each row.
        let small: Vec<String> = (0..pod.distinct_len()).map(|key| pod.distinct(key).to_lowercase()).collect();
        let keys = (0..pod.len()).map(|row| pod.get(row).map(|_| pod.key(row) as u32));
        spans.set_dictionary("attributes.pod", &small, keys)?;
        // guide: end

        // guide: text
        let method = spans.text("attributes.http.method")?;
        let mut upper = TextBuilder::new();
        for row in 0..spans.rows() {
            match method.get(row) {
                Some(text) => upper.push_with(|buffer| buffer.extend(text.chars().map(|c| c.to_ascii_uppercase()))),
                None => upper.push(None), // null: this row stays as it was
            }
        }
        spans.set_text("attributes.http.method", upper)?;
        // guide: end

        // guide: rename
        spans.rename("attributes.http.method", "attributes.http.request.method")?;
        spans.remove("attributes.http.flavor", |_| true)?;
        // guide: end

        // guide: keep
        let route = spans.text("attributes.http.route")?;
        spans.keep_because("health checks", |row| !route.is(row, "/healthz"))
        // guide: end
    }
}

weir_sdk::plugin!(Classes, name = "classes");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_sdk::testing::{TestBatch, Tested, run};

    fn tested() -> Tested {
        let spans = TestBatch::spans()
            .column("duration_ns", [5_i64, 2_000_000_000, 7])
            .attribute("http.response.status_code", [Some(204_i64), None, Some(503)])
            .attribute("http.method", [Some("get"), None, Some("Post")])
            .attribute("http.flavor", ["1.1", "2", "2"])
            .attribute("http.route", [Some("/cart"), Some("/healthz"), None])
            .dictionary("resource.k8s.pod.name", [Some("Shop-1"), None, Some("Shop-1")]);
        run::<Classes>("{}", spans).unwrap()
    }

    #[test]
    fn columns_are_set_and_null_leaves_a_row_as_it_was() {
        let tested = tested();
        assert_eq!(tested.column("status_class"), [json!("2xx"), json!(null), json!("5xx")]);
        assert_eq!(tested.column("slow"), [false, true, false]);
        assert_eq!(tested.attribute("pod"), [json!("shop-1"), json!(null), json!("shop-1")]);
    }

    #[test]
    fn attributes_are_renamed_and_removed() {
        let tested = tested();
        assert_eq!(tested.attribute("http.request.method"), [json!("GET"), json!(null), json!("POST")]);
        assert_eq!(tested.attribute("http.flavor"), [json!(null), json!(null), json!(null)]);
    }

    #[test]
    fn health_checks_are_dropped_under_that_reason() {
        assert_eq!(tested().dropped(), [(1, "health checks")]);
    }
}
