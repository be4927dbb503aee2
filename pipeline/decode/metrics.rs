//! Metrics: a row is a data point.

use super::common::{Common, Counts, Rows, Times, count_invalid, time_or_null, within_rows};
use super::values::attribute;
use super::wire::{Field, Read, Wire};
use crate::batch::build::{
    AttributesPart, Bools, ChildrenPart, Dictionary, Fields, Ids, Lists, NO_KEY, Numbers, Part, QuantileLists,
    SharedPart,
};
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt64Type};

/// The columns of data points.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    common: Common,
    name: Dictionary,
    description: Dictionary,
    unit: Dictionary,
    metadata: SharedPart,
    kind: Dictionary,
    temporality: Dictionary,
    monotonic: Bools,
    points: Points,
    /// Where the data of a metric goes that a later field of its oneof replaces: it must be valid all the same.
    replaced: Option<Box<Points>>,
}

/// The columns that each data point fills.
#[derive(Debug, Default)]
struct Points {
    start_time: Times,
    value_double: Numbers<Float64Type>,
    value_int: Numbers<Int64Type>,
    count: Numbers<UInt64Type>,
    sum: Numbers<Float64Type>,
    min: Numbers<Float64Type>,
    max: Numbers<Float64Type>,
    bounds: Lists<Float64Type>,
    bucket_counts: Lists<UInt64Type>,
    scale: Numbers<Int32Type>,
    zero_count: Numbers<UInt64Type>,
    zero_threshold: Numbers<Float64Type>,
    positive_offset: Numbers<Int32Type>,
    positive_counts: Lists<UInt64Type>,
    negative_offset: Numbers<Int32Type>,
    negative_counts: Lists<UInt64Type>,
    quantiles: QuantileLists,
    exemplars: ChildrenPart<Exemplars>,
    no_recorded_value: Bools,
    attributes: AttributesPart,
    flags: Counts,
}

#[derive(Debug, Default)]
struct Exemplars {
    time: Times,
    value_double: Numbers<Float64Type>,
    value_int: Numbers<Int64Type>,
    trace_id: Ids<16>,
    span_id: Ids<8>,
}

impl Fields for Exemplars {
    fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut dyn Part)) {
        see("time", &mut self.time);
        see("value_double", &mut self.value_double);
        see("value_int", &mut self.value_int);
        see("trace_id", &mut self.trace_id);
        see("span_id", &mut self.span_id);
    }
}

/// A number that is a double or an integer; the last one sent wins.
#[derive(Clone, Copy, Default)]
enum Number {
    #[default]
    None,
    Double(f64),
    Int(i64),
}

impl Number {
    fn double(self) -> Option<f64> {
        if let Self::Double(value) = self { Some(value) } else { None }
    }

    fn int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value) } else { None }
    }
}

/// What the data of a metric say of all its points.
#[derive(Default)]
struct Data {
    temporality: i32,
    monotonic: bool,
}

/// The fields of the five kinds of points that come once.
#[derive(Default)]
struct Point {
    start: u64,
    time: u64,
    flags: u32,
    number: Number,
    count: Option<u64>,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: Option<i32>,
    zero_count: Option<u64>,
    zero_threshold: Option<f64>,
    positive: Option<i32>,
    negative: Option<i32>,
}

const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;
const SUMMARY: u32 = 11;
const METRIC: &str = "Metric";

impl Rows for Metrics {
    const NAMES: [&'static str; 6] = [
        "ExportMetricsServiceRequest",
        "ExportMetricsServiceRequest.resource_metrics",
        "ResourceMetrics",
        "ResourceMetrics.scope_metrics",
        "ScopeMetrics",
        "ScopeMetrics.metrics",
    ];

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        self.common.each(see);
        see(&mut self.name);
        see(&mut self.description);
        see(&mut self.unit);
        see(&mut self.metadata);
        see(&mut self.kind);
        see(&mut self.temporality);
        see(&mut self.monotonic);
        self.points.each(see);
    }

    fn item(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let (kind, from) = chosen(wire)?;
        let (mut name, mut description, mut unit) = (&b""[..], &b""[..], &b""[..]);
        let (mut data, mut seen) = (Data::default(), 0);
        while let Some(field) = wire.next(METRIC)? {
            match field.number {
                1 => name = wire.text(field, "Metric.name")?,
                2 => description = wire.text(field, "Metric.description")?,
                3 => unit = wire.text(field, "Metric.unit")?,
                GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY => {
                    let message = wire.message(field, "Metric.data")?;
                    if seen >= from {
                        let mut into = Target { points: &mut self.points, times: &mut self.common.time, invalid_ids };
                        into.data(message, field.number, &mut data)?;
                    } else {
                        self.check_replaced(message, field.number)?;
                    }
                    seen += 1;
                }
                12 => attribute(wire.message(field, "Metric.metadata")?, &mut self.metadata.distinct.values)?,
                _ => wire.skip(field, METRIC)?,
            }
        }
        let rows = self.common.rows();
        if self.metadata.keys.len() == rows {
            self.metadata.distinct.values.forget_open_row();
            return Ok(());
        }
        self.metadata.fill(rows);
        for (column, text) in [(&mut self.name, name), (&mut self.description, description), (&mut self.unit, unit)] {
            let key = column.key(text);
            column.fill(rows, key);
        }
        self.fill_kind(rows, kind, &data);
        Ok(())
    }
}

/// The kind of data that a metric ends up with, and how many data fields in front of it another kind replaces: of a
/// oneof the last field wins, and fields of the same kind are merged.
fn chosen(mut wire: Wire<'_>) -> Read<(u32, usize)> {
    let (mut kind, mut from, mut seen) = (0, 0, 0);
    while let Some(field) = wire.next(METRIC)? {
        if matches!(field.number, GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY) {
            if field.number != kind {
                (kind, from) = (field.number, seen);
            }
            seen += 1;
        }
        wire.skip(field, METRIC)?;
    }
    Ok((kind, from))
}

impl Metrics {
    fn fill_kind(&mut self, rows: usize, kind: u32, data: &Data) {
        let name: &[u8] = match kind {
            GAUGE => b"gauge",
            SUM => b"sum",
            HISTOGRAM => b"histogram",
            EXPONENTIAL => b"exponential_histogram",
            _ => b"summary",
        };
        let key = self.kind.key(name);
        self.kind.fill(rows, key);
        let temporality = match (kind, data.temporality) {
            (GAUGE | SUMMARY, _) => NO_KEY,
            (_, 0) => self.temporality.key(b"unspecified"),
            (_, 1) => self.temporality.key(b"delta"),
            (_, 2) => self.temporality.key(b"cumulative"),
            (_, other) => self.temporality.key(itoa::Buffer::new().format(other).as_bytes()),
        };
        self.temporality.fill(rows, temporality);
        self.monotonic.fill(rows, (kind == SUM).then_some(data.monotonic));
    }

    /// Reads data that a later field replaces, for the sake of what is wrong with them.
    fn check_replaced(&mut self, message: Wire<'_>, kind: u32) -> Read<()> {
        let points = self.replaced.get_or_insert_default();
        let (mut times, mut ignored) = (Times::default(), 0);
        let mut into = Target { points, times: &mut times, invalid_ids: &mut ignored };
        let read = into.data(message, kind, &mut Data::default());
        points.each(&mut |part| part.rollback());
        read
    }
}

/// Where data points go.
struct Target<'a> {
    points: &'a mut Points,
    times: &'a mut Times,
    invalid_ids: &'a mut u64,
}

impl Target<'_> {
    fn data(&mut self, mut wire: Wire<'_>, kind: u32, data: &mut Data) -> Read<()> {
        let (name, has_temporality) = match kind {
            GAUGE => ("Gauge", false),
            SUM => ("Sum", true),
            HISTOGRAM => ("Histogram", true),
            EXPONENTIAL => ("ExponentialHistogram", true),
            _ => ("Summary", false),
        };
        while let Some(point) = wire.next_bytes(1) {
            self.point(Wire::new(point), kind)?;
        }
        while let Some(field) = wire.next(name)? {
            match field.number {
                1 => self.point(wire.message(field, name)?, kind)?,
                2 if has_temporality => data.temporality = wire.varint(field, name)? as i32,
                3 if kind == SUM => data.monotonic = wire.varint(field, "Sum.is_monotonic")? != 0,
                _ => wire.skip(field, name)?,
            }
        }
        Ok(())
    }

    fn point(&mut self, mut wire: Wire<'_>, kind: u32) -> Read<()> {
        let (name, mut point) = match kind {
            GAUGE | SUM => ("NumberDataPoint", Point::default()),
            HISTOGRAM => ("HistogramDataPoint", Point { count: Some(0), ..Point::default() }),
            EXPONENTIAL => ("ExponentialHistogramDataPoint", Point::exponential()),
            _ => ("SummaryDataPoint", Point { count: Some(0), sum: Some(0.0), ..Point::default() }),
        };
        wire.next_fixed64(2).inspect(|&time| point.start = time);
        wire.next_fixed64(3).inspect(|&time| point.time = time);
        if matches!(kind, GAUGE | SUM) {
            wire.next_fixed64(4).inspect(|&bits| point.number = Number::Double(f64::from_bits(bits)));
            wire.next_fixed64(6).inspect(|&value| point.number = Number::Int(value.cast_signed()));
            while let Some(entry) = wire.next_bytes(7) {
                attribute(Wire::new(entry), &mut self.points.attributes.values)?;
            }
        }
        while let Some(field) = wire.next(name)? {
            match (field.number, kind) {
                (2, _) => point.start = wire.fixed64(field, name)?,
                (3, _) => point.time = wire.fixed64(field, name)?,
                (_, GAUGE | SUM) => self.number_field(&mut wire, field, &mut point)?,
                (_, HISTOGRAM) => self.histogram_field(&mut wire, field, &mut point)?,
                (_, EXPONENTIAL) => self.exponential_field(&mut wire, field, &mut point)?,
                _ => self.summary_field(&mut wire, field, &mut point)?,
            }
        }
        self.times.push(point.time.cast_signed());
        self.points.end_row(&point, kind);
        within_rows(self.times.len())
    }

    fn number_field(&mut self, wire: &mut Wire<'_>, field: Field, point: &mut Point) -> Read<()> {
        const AT: &str = "NumberDataPoint";
        match field.number {
            4 => point.number = Number::Double(wire.double(field, "NumberDataPoint.as_double")?),
            5 => self.exemplar(wire.message(field, "NumberDataPoint.exemplars")?)?,
            6 => point.number = Number::Int(wire.fixed64(field, "NumberDataPoint.as_int")?.cast_signed()),
            7 => attribute(wire.message(field, "NumberDataPoint.attributes")?, &mut self.points.attributes.values)?,
            8 => point.flags = wire.varint(field, "NumberDataPoint.flags")? as u32,
            _ => wire.skip(field, AT)?,
        }
        Ok(())
    }

    fn histogram_field(&mut self, wire: &mut Wire<'_>, field: Field, point: &mut Point) -> Read<()> {
        const AT: &str = "HistogramDataPoint";
        match field.number {
            4 => point.count = Some(wire.fixed64(field, "HistogramDataPoint.count")?),
            5 => point.sum = Some(wire.double(field, "HistogramDataPoint.sum")?),
            6 => {
                let values = &mut self.points.bucket_counts.values;
                wire.fixed64s(field, "HistogramDataPoint.bucket_counts", |count| values.push(count))?;
            }
            7 => {
                let values = &mut self.points.bounds.values;
                wire.fixed64s(field, "HistogramDataPoint.explicit_bounds", |bits| values.push(f64::from_bits(bits)))?;
            }
            8 => self.exemplar(wire.message(field, "HistogramDataPoint.exemplars")?)?,
            9 => attribute(wire.message(field, "HistogramDataPoint.attributes")?, &mut self.points.attributes.values)?,
            10 => point.flags = wire.varint(field, "HistogramDataPoint.flags")? as u32,
            11 => point.min = Some(wire.double(field, "HistogramDataPoint.min")?),
            12 => point.max = Some(wire.double(field, "HistogramDataPoint.max")?),
            _ => wire.skip(field, AT)?,
        }
        Ok(())
    }

    fn exponential_field(&mut self, wire: &mut Wire<'_>, field: Field, point: &mut Point) -> Read<()> {
        const AT: &str = "ExponentialHistogramDataPoint";
        match field.number {
            1 => attribute(wire.message(field, AT)?, &mut self.points.attributes.values)?,
            4 => point.count = Some(wire.fixed64(field, "ExponentialHistogramDataPoint.count")?),
            5 => point.sum = Some(wire.double(field, "ExponentialHistogramDataPoint.sum")?),
            6 => point.scale = Some(wire.zigzag32(field, "ExponentialHistogramDataPoint.scale")?),
            7 => point.zero_count = Some(wire.fixed64(field, "ExponentialHistogramDataPoint.zero_count")?),
            8 => buckets(wire.message(field, AT)?, &mut point.positive, &mut self.points.positive_counts.values)?,
            9 => buckets(wire.message(field, AT)?, &mut point.negative, &mut self.points.negative_counts.values)?,
            10 => point.flags = wire.varint(field, "ExponentialHistogramDataPoint.flags")? as u32,
            11 => self.exemplar(wire.message(field, "ExponentialHistogramDataPoint.exemplars")?)?,
            12 => point.min = Some(wire.double(field, "ExponentialHistogramDataPoint.min")?),
            13 => point.max = Some(wire.double(field, "ExponentialHistogramDataPoint.max")?),
            14 => point.zero_threshold = Some(wire.double(field, "ExponentialHistogramDataPoint.zero_threshold")?),
            _ => wire.skip(field, AT)?,
        }
        Ok(())
    }

    fn summary_field(&mut self, wire: &mut Wire<'_>, field: Field, point: &mut Point) -> Read<()> {
        const AT: &str = "SummaryDataPoint";
        match field.number {
            4 => point.count = Some(wire.fixed64(field, "SummaryDataPoint.count")?),
            5 => point.sum = Some(wire.double(field, "SummaryDataPoint.sum")?),
            6 => self.quantile(wire.message(field, "SummaryDataPoint.quantile_values")?)?,
            7 => attribute(wire.message(field, "SummaryDataPoint.attributes")?, &mut self.points.attributes.values)?,
            8 => point.flags = wire.varint(field, "SummaryDataPoint.flags")? as u32,
            _ => wire.skip(field, AT)?,
        }
        Ok(())
    }

    fn quantile(&mut self, mut wire: Wire<'_>) -> Read<()> {
        let (mut quantile, mut value) = (0.0, 0.0);
        while let Some(field) = wire.next("ValueAtQuantile")? {
            match field.number {
                1 => quantile = wire.double(field, "ValueAtQuantile.quantile")?,
                2 => value = wire.double(field, "ValueAtQuantile.value")?,
                _ => wire.skip(field, "ValueAtQuantile")?,
            }
        }
        self.points.quantiles.quantiles.push(quantile);
        self.points.quantiles.values.values.push(value);
        Ok(())
    }

    fn exemplar(&mut self, mut wire: Wire<'_>) -> Read<()> {
        let (mut time, mut number, mut trace_id, mut span_id) = (0, Number::None, &b""[..], &b""[..]);
        let exemplars = &mut self.points.exemplars;
        while let Some(field) = wire.next("Exemplar")? {
            match field.number {
                2 => time = wire.fixed64(field, "Exemplar.time_unix_nano")?,
                3 => number = Number::Double(wire.double(field, "Exemplar.as_double")?),
                4 => span_id = wire.bytes(field, "Exemplar.span_id")?,
                5 => trace_id = wire.bytes(field, "Exemplar.trace_id")?,
                6 => number = Number::Int(wire.fixed64(field, "Exemplar.as_int")?.cast_signed()),
                7 => {
                    let entry = wire.message(field, "Exemplar.filtered_attributes")?;
                    attribute(entry, &mut exemplars.attributes.values)?;
                }
                _ => wire.skip(field, "Exemplar")?,
            }
        }
        let fields = &mut exemplars.fields;
        fields.time.push(time.cast_signed());
        fields.value_double.push_option(number.double());
        fields.value_int.push_option(number.int());
        *self.invalid_ids += count_invalid(fields.trace_id.push(trace_id), trace_id, false);
        *self.invalid_ids += count_invalid(fields.span_id.push(span_id), span_id, false);
        exemplars.attributes.values.end_row();
        Ok(())
    }
}

fn buckets(mut wire: Wire<'_>, offset: &mut Option<i32>, counts: &mut Vec<u64>) -> Read<()> {
    offset.get_or_insert(0);
    while let Some(field) = wire.next("Buckets")? {
        match field.number {
            1 => *offset = Some(wire.zigzag32(field, "Buckets.offset")?),
            2 => wire.varints(field, "Buckets.bucket_counts", |count| counts.push(count))?,
            _ => wire.skip(field, "Buckets")?,
        }
    }
    Ok(())
}

impl Point {
    fn exponential() -> Self {
        let (count, scale, zero_count, zero_threshold) = (Some(0), Some(0), Some(0), Some(0.0));
        Self { count, scale, zero_count, zero_threshold, ..Self::default() }
    }
}

impl Points {
    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        see(&mut self.start_time);
        see(&mut self.value_double);
        see(&mut self.value_int);
        see(&mut self.count);
        see(&mut self.sum);
        see(&mut self.min);
        see(&mut self.max);
        see(&mut self.bounds);
        see(&mut self.bucket_counts);
        see(&mut self.scale);
        see(&mut self.zero_count);
        see(&mut self.zero_threshold);
        see(&mut self.positive_offset);
        see(&mut self.positive_counts);
        see(&mut self.negative_offset);
        see(&mut self.negative_counts);
        see(&mut self.quantiles);
        see(&mut self.exemplars);
        see(&mut self.no_recorded_value);
        see(&mut self.attributes);
        see(&mut self.flags);
    }

    fn end_row(&mut self, point: &Point, kind: u32) {
        self.start_time.push_option(time_or_null(point.start));
        self.value_double.push_option(point.number.double());
        self.value_int.push_option(point.number.int());
        self.count.push_option(point.count);
        self.sum.push_option(point.sum);
        self.min.push_option(point.min);
        self.max.push_option(point.max);
        self.bounds.end_row(kind == HISTOGRAM);
        self.bucket_counts.end_row(kind == HISTOGRAM);
        self.scale.push_option(point.scale);
        self.zero_count.push_option(point.zero_count);
        self.zero_threshold.push_option(point.zero_threshold);
        self.positive_offset.push_option(point.positive);
        self.positive_counts.end_row(point.positive.is_some());
        self.negative_offset.push_option(point.negative);
        self.negative_counts.end_row(point.negative.is_some());
        self.quantiles.values.end_row(kind == SUMMARY);
        self.exemplars.end_row();
        self.no_recorded_value.push(point.flags & 1 != 0);
        self.attributes.values.end_row();
        self.flags.push(point.flags);
    }
}
