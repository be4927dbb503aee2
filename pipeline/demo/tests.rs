use super::*;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

const MIDNIGHT: u64 = 1_767_225_600 * 1_000_000_000;

fn day(seed: u64) -> Day {
    Day::new(seed, MIDNIGHT, 1.0)
}

fn service(resource: &Option<Resource>) -> String {
    let attributes = resource.iter().flat_map(|resource| &resource.attributes);
    let name = attributes.filter(|attribute| attribute.key == "service.name").find_map(|attribute| {
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) => Some(name.clone()),
            _ => None,
        }
    });
    name.expect("a service name")
}

fn spans(chunk: &Chunk) -> impl Iterator<Item = (String, &Span)> {
    chunk.traces.resource_spans.iter().flat_map(|group| {
        let name = service(&group.resource);
        group.scope_spans.iter().flat_map(|scope| &scope.spans).map(move |span| (name.clone(), span))
    })
}

/// The share of the server spans of each service and ten minutes that fail.
fn error_ratios() -> BTreeMap<(String, u64), (u64, u64)> {
    let mut ratios = BTreeMap::<_, (u64, u64)>::new();
    for chunk in day(1) {
        for (name, span) in spans(&chunk).filter(|(_, span)| span.kind == SpanKind::Server as i32) {
            let minute = (span.start_time_unix_nano - MIDNIGHT) / MINUTE;
            let (bad, all) = ratios.entry((name, minute)).or_default();
            *all += 1;
            *bad += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
        }
    }
    ratios
}

fn ratio(ratios: &BTreeMap<(String, u64), (u64, u64)>, service: &str, minutes: impl Fn(u64) -> bool) -> f64 {
    let chosen = ratios.iter().filter(|((name, minute), _)| name == service && minutes(*minute));
    let (bad, all) = chosen.fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
    assert!(all > 20, "{service}: too few requests");
    bad as f64 / all as f64
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let bytes = |seed| {
        let chunks = day(seed).skip(595).take(20);
        chunks.flat_map(|chunk| {
            [chunk.traces.encode_to_vec(), chunk.logs.encode_to_vec(), chunk.metrics.encode_to_vec()].concat()
        })
    };
    assert!(bytes(7).eq(bytes(7)));
    assert!(!bytes(7).eq(bytes(8)));
}

#[test]
fn outages_are_in_the_data_and_the_rest_of_the_day_is_healthy() {
    let ratios = error_ratios();
    for episode in Day::story() {
        let within = episode.from_ns / MINUTE..episode.to_ns / MINUTE;
        if !matches!(episode.effect, Effect::Slows(_) | Effect::Fills(_)) {
            let found = ratio(&ratios, episode.service, |minute| within.contains(&minute));
            assert!(found >= 0.5, "{}: {found}", episode.what);
        }
    }
    let fails = |minute: u64| {
        Day::story().iter().any(|episode| {
            !matches!(episode.effect, Effect::Slows(_) | Effect::Fills(_))
                // A minute more: what began within it may end after it.
                && (episode.from_ns / MINUTE..episode.to_ns / MINUTE + 1).contains(&minute)
        })
    };
    for service in ["frontend", "checkout", "cart", "payment", "catalog", "shipping"] {
        let found = ratio(&ratios, service, |minute| !fails(minute));
        assert!(found < 0.02, "{service}: {found}");
    }
}

#[test]
fn a_day_has_some_two_hundred_thousand_spans_and_every_parent_is_there() {
    let mut count = 0;
    for chunk in day(2) {
        let ids: BTreeSet<(&[u8], &[u8])> =
            spans(&chunk).map(|(_, span)| (&span.trace_id[..], &span.span_id[..])).collect();
        count += ids.len();
        assert_eq!(ids.len(), spans(&chunk).count(), "a span id is there twice");
        for (service, span) in spans(&chunk) {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            let parent = (&span.trace_id[..], &span.parent_span_id[..]);
            assert!(span.parent_span_id.is_empty() == (service == "frontend" && span.kind == SpanKind::Server as i32));
            assert!(span.parent_span_id.is_empty() || ids.contains(&parent), "{service} {}: no parent", span.name);
        }
    }
    assert!((150_000..250_000).contains(&count), "{count} spans");
}

#[test]
fn a_child_lies_within_its_parent_unless_it_was_sent_a_message() {
    for chunk in day(3).skip(600).step_by(60) {
        let by_id: BTreeMap<&[u8], &Span> = spans(&chunk).map(|(_, span)| (&span.span_id[..], span)).collect();
        for (_, span) in spans(&chunk).filter(|(_, span)| span.kind != SpanKind::Consumer as i32) {
            if let Some(parent) = by_id.get(&span.parent_span_id[..]) {
                assert!(span.start_time_unix_nano >= parent.start_time_unix_nano, "{} in {}", span.name, parent.name);
                assert!(
                    span.end_time_unix_nano <= parent.end_time_unix_nano + MINUTE / 60,
                    "{} in {}",
                    span.name,
                    parent.name
                );
            }
        }
    }
}

#[test]
fn every_kind_of_metric_appears_and_the_disk_ends_at_97_percent() {
    let mut kinds = BTreeSet::new();
    let mut disk = Vec::new();
    for chunk in day(4) {
        let groups = chunk.metrics.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
        for metric in groups.flat_map(|group| &group.metrics) {
            match metric.data.as_ref().expect("data") {
                Data::Gauge(gauge) => {
                    kinds.insert("gauge");
                    if metric.name == "system.filesystem.utilization" {
                        disk.extend(gauge.data_points.iter().filter_map(|point| point.value));
                    }
                }
                Data::Sum(_) => _ = kinds.insert("sum"),
                Data::Histogram(histogram) => {
                    kinds.insert("histogram");
                    for point in &histogram.data_points {
                        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    }
                }
                Data::ExponentialHistogram(_) => _ = kinds.insert("exponential"),
                Data::Summary(_) => _ = kinds.insert("summary"),
            }
        }
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert_eq!(disk.len(), MINUTES);
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble;
    let (Some(AsDouble(first)), Some(AsDouble(last))) = (disk.first(), disk.last()) else { panic!("no numbers") };
    assert!((0.54..0.56).contains(first) && (0.969..=0.97).contains(last), "{first} to {last}");
}

#[test]
fn the_catalog_slows_down_and_recovers() {
    let median = |from: usize, minutes: usize| {
        let mut took = Vec::new();
        for chunk in day(5).skip(from).take(minutes) {
            let of_catalog =
                spans(&chunk).filter(|(name, span)| name == "catalog" && span.kind == SpanKind::Server as i32);
            took.extend(of_catalog.map(|(_, span)| span.end_time_unix_nano - span.start_time_unix_nano));
        }
        took.sort_unstable();
        took[took.len() / 2]
    };
    let (before, late, after) = (median(770, 10), median(858, 10), median(880, 10));
    assert!(late > 8 * before && after < 2 * before, "{before} {late} {after}");
}

#[test]
fn events_have_the_attributes_that_they_require() {
    let mut names = BTreeMap::<String, usize>::new();
    for chunk in day(6) {
        let groups = chunk.logs.resource_logs.iter().flat_map(|group| &group.scope_logs);
        for record in groups.flat_map(|group| &group.log_records).filter(|record| !record.event_name.is_empty()) {
            *names.entry(record.event_name.clone()).or_default() += 1;
            let has = |key: &str| record.attributes.iter().any(|attribute| attribute.key == key);
            let kind = record.event_name.split('.').nth(1).expect("itops.KIND.WHAT");
            let kind = if kind == "deployment" { "change" } else { kind };
            assert!(has(&format!("itops.{kind}.id")), "{}", record.event_name);
            assert!(kind != "alert" || has("itops.alert.fingerprint"));
        }
    }
    assert_eq!(names["itops.incident.detected"], 5);
    assert_eq!(names["itops.incident.resolved"], 4, "the disk's incident is open at the end of the day");
    assert_eq!(names["itops.deployment.rolled_back"], 1);
    assert_eq!(names["itops.maintenance.scheduled"], 1);
    assert!(names["itops.alert.fired"] > 20);
}

#[test]
fn a_chunk_is_small_also_when_the_traffic_is_large() {
    let largest = Day::new(9, MIDNIGHT, 100.0).skip(1_139).take(2).map(|chunk| chunk.traces.encoded_len()).max();
    assert!(largest.is_some_and(|bytes| bytes < 32 << 20), "{largest:?}");
    assert!(day(9).all(|chunk| chunk.traces.encoded_len() < 1 << 20));
}

#[test]
fn the_day_has_a_minute_a_chunk_and_a_report_whatever_the_scale() {
    assert_eq!(day(1).count(), 24 * 60 + 1);
    assert_eq!(Day::new(1, MIDNIGHT, f64::NAN).next().map(|chunk| chunk.at_ns), Some(MIDNIGHT + MINUTE));
    assert_eq!(
        Day::new(1, MIDNIGHT, 0.0).take(60).map(|chunk| chunk.traces.resource_spans.len()).max(),
        Some(0).or(None)
    );
}

#[test]
fn the_report_comes_when_the_day_is_settled_and_counts_the_orders() {
    let report = Day::new(1, MIDNIGHT, 0.2).last().expect("a report");
    assert_eq!(report.at_ns, MIDNIGHT + (24 * 60 + 5) * MINUTE);
    assert!(report.traces.resource_spans.is_empty() && report.metrics.resource_metrics.is_empty());
    let record = &report.logs.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.time_unix_nano, report.at_ns);
    let Some(Value::StringValue(body)) = record.body.as_ref().and_then(|body| body.value.as_ref()) else {
        panic!("no text")
    };
    let orders: u64 = body.strip_prefix("orders of the day: ").and_then(|count| count.parse().ok()).expect("a count");
    let placed = Day::new(1, MIDNIGHT, 0.2).flat_map(|chunk| {
        spans(&chunk).filter(|(_, span)| span.name == "send order.created").map(drop).collect::<Vec<_>>()
    });
    assert_eq!(orders, placed.count() as u64);
}

#[test]
fn somebody_looks_whether_services_are_well_and_sees_their_outages() {
    let mut seen = BTreeMap::<(String, bool), u64>::new();
    for chunk in Day::new(1, MIDNIGHT, 0.0) {
        for group in &chunk.metrics.resource_metrics {
            let name = service(&group.resource);
            let ups = group.scope_metrics.iter().flat_map(|scope| &scope.metrics).filter(|metric| metric.name == "up");
            for metric in ups {
                let Some(Data::Gauge(gauge)) = &metric.data else { panic!("no gauge") };
                for point in &gauge.data_points {
                    assert!((chunk.at_ns - MINUTE..chunk.at_ns).contains(&point.time_unix_nano));
                    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble;
                    *seen.entry((name.clone(), point.value == Some(AsDouble(1.0)))).or_default() += 1;
                }
            }
        }
    }
    let of = |name: &str, well| seen.get(&(name.to_owned(), well)).copied().unwrap_or(0);
    assert_eq!((of("checkout", true), of("checkout", false)), (4 * (24 * 60 - 38), 4 * 38));
    assert_eq!((of("payment", false), of("shipping", false), of("cart", false)), (4 * 12, 4 * 30, 0));
    assert_eq!((of("db-host", true), of("db-host", false)), (2 * 24 * 60, 0));
}
