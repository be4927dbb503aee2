//! Columns of lists on their way into a guest.

use super::*;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, exponential_histogram_data_point, metric,
};

/// Data points: a histogram, a gauge, an exponential histogram, and a histogram without buckets.
fn points() -> Batch {
    let histogram = |bounds: &[f64], counts: &[u64]| {
        let point = HistogramDataPoint {
            explicit_bounds: bounds.to_vec(),
            bucket_counts: counts.to_vec(),
            ..Default::default()
        };
        metric::Data::Histogram(Histogram { data_points: vec![point], ..Default::default() })
    };
    let buckets = exponential_histogram_data_point::Buckets { offset: -3, bucket_counts: vec![4, 0, u64::MAX] };
    let exponential = ExponentialHistogramDataPoint { positive: Some(buckets), ..Default::default() };
    let all = [
        histogram(&[0.1, 0.5], &[1, 2, 3]),
        metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] }),
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            ..Default::default()
        }),
        histogram(&[], &[]),
    ];
    let metrics = all.map(|data| Metric { name: "taken".into(), data: Some(data), ..Default::default() }).to_vec();
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let request =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let mut builder = decode::Builder::new(Signal::Metrics);
    decode::decode(&request.encode_to_vec(), &mut builder).expect("it decodes");
    builder.finish()
}

#[test]
fn a_guest_reads_lists_a_slice_a_row() {
    let (chain, _) = chain(vec![link("reads-lists")]);
    let batch = chain.process(0, 0, Some(points()), None).batches.pop().expect("they stay");
    let texts = |column: &str| {
        let texts = batch.read(column).expect("a column of the guest");
        texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    let read = [
        "Some([0.1, 0.5]) Some([1, 2, 3]) None",
        "None None None",
        "None None Some([4, 0, 18446744073709551615])",
        "Some([]) Some([]) None",
    ];
    assert_eq!(texts("read"), read.map(|text| Some(text.to_owned())));
    let written = [Some("[0.1,0.5] [1,2,3]"), None, None, Some("[] []")];
    assert_eq!(texts("written"), written.map(|text| text.map(str::to_owned)));
    assert_eq!(
        texts("refused")[0].as_deref(),
        Some(
            "quantiles: is a list of structures, which plugins cannot read; column \"bounds\" is read as lists of u64, but it \
             is lists of f64"
        )
    );
}
