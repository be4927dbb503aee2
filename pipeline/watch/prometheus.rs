//! The text format of Prometheus.

use super::{Family, Kind};
use std::fmt::Write as _;

/// The families as Prometheus text, version 0.0.4.
pub fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String does not fail.
        let _ = writeln!(out, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
        for (labels, value) in &family.samples {
            out.push_str(family.name);
            for (index, (name, value)) in labels.iter().enumerate() {
                let _ = write!(out, "{}{name}=\"{}\"", if index == 0 { '{' } else { ',' }, escape(value));
            }
            let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
        }
    }
    out
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_text_with_escaped_labels() {
        let families = [
            Family::counter("weir_rows_total", "rows").with(&[("signal", "spans"), ("reason", "a\"b\\\n")], 3.0),
            Family::gauge("weir_held_bytes", "bytes").with(&[], 0.5),
        ];
        assert_eq!(
            text(&families),
            "# HELP weir_rows_total rows\n# TYPE weir_rows_total counter\n\
             weir_rows_total{signal=\"spans\",reason=\"a\\\"b\\\\\\n\"} 3\n\
             # HELP weir_held_bytes bytes\n# TYPE weir_held_bytes gauge\nweir_held_bytes 0.5\n"
        );
    }
}
