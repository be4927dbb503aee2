//! The columns that a batch of each signal has, in their order, each with the line that describes it in the table.

use crate::Signal;

/// A column: its name, what it holds, whether a row may lack it.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef {
    /// The name, the same in a batch, in a plugin and in the table.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a row may be null.
    pub nullable: bool,
    /// One line for the reader of the table.
    pub description: &'static str,
}

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub enum ColumnKind {
    /// Nanoseconds since 1970 in UTC: the 64 bits of the wire as they are, so that a time beyond `i64::MAX` wraps.
    Time,
    /// A boolean.
    Bool,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// An unsigned integer of 32 bits.
    UInt32,
    /// An unsigned integer of 64 bits.
    UInt64,
    /// A double.
    Double,
    /// Text that repeats: Arrow's `Dictionary(Int32, Utf8)`.
    Dictionary,
    /// Text.
    Text,
    /// So many bytes.
    Fixed(i32),
    /// A list of doubles.
    ListDouble,
    /// A list of unsigned integers.
    ListUInt64,
    /// Attributes of the row's own.
    Attributes,
    /// Attributes that many rows share.
    SharedAttributes,
    /// One value of any type.
    Value,
    /// A list of structures with these fields, one of which, `attributes`, is of the kind [`ColumnKind::Attributes`].
    Children(&'static [ColumnDef]),
    /// A list of structures of `quantile` and `value`, both doubles.
    Quantiles,
}

use ColumnKind::{
    Attributes, Bool, Children, Dictionary, Double, Fixed, Int32, Int64, ListDouble, ListUInt64, Quantiles,
    SharedAttributes, Text, Time, UInt32, UInt64, Value,
};

/// The columns of a batch of that signal, in their order.
pub fn columns(signal: Signal) -> &'static [ColumnDef] {
    match signal {
        Signal::Spans => &SPANS,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    }
}

const fn always(name: &'static str, kind: ColumnKind, description: &'static str) -> ColumnDef {
    ColumnDef { name, kind, nullable: false, description }
}

const fn maybe(name: &'static str, kind: ColumnKind, description: &'static str) -> ColumnDef {
    ColumnDef { name, kind, nullable: true, description }
}

/// How many columns the signals have in common in front of their own.
pub(crate) const COMMON_COUNT: usize = 14;

const fn common(time: &'static str) -> [ColumnDef; COMMON_COUNT] {
    [
        always("time", Time, time),
        maybe("service_name", Dictionary, "Resource attribute service.name, if it is text"),
        maybe("service_namespace", Dictionary, "Resource attribute service.namespace, if it is text"),
        maybe("service_version", Dictionary, "Resource attribute service.version, if it is text"),
        maybe("service_instance_id", Dictionary, "Resource attribute service.instance.id, if it is text"),
        maybe(
            "environment",
            Dictionary,
            "Resource attribute deployment.environment.name, or else deployment.environment",
        ),
        always("resource_attributes", SharedAttributes, "Attributes of the resource, typed as they came"),
        always("resource_dropped_attributes_count", UInt32, "How many resource attributes the sender dropped"),
        maybe("resource_schema_url", Dictionary, "Schema URL of the resource; empty if none was sent"),
        maybe("scope_name", Dictionary, "Name of the instrumentation scope; empty if none was sent"),
        maybe("scope_version", Dictionary, "Version of the instrumentation scope; empty if none was sent"),
        always("scope_attributes", SharedAttributes, "Attributes of the instrumentation scope, typed as they came"),
        always("scope_dropped_attributes_count", UInt32, "How many scope attributes the sender dropped"),
        maybe("schema_url", Dictionary, "Schema URL of the scope and its rows; empty if none was sent"),
    ]
}

/// Puts two lists one after the other; `N` is the length of both together.
const fn join<const A: usize, const B: usize, const N: usize>(
    first: [ColumnDef; A],
    then: [ColumnDef; B],
) -> [ColumnDef; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < A + B {
        all[at] = if at < A { first[at] } else { then[at - A] };
        at += 1;
    }
    all
}

static SPANS: [ColumnDef; COMMON_COUNT + 18] = join(common("When the span started"), SPANS_OWN);

const SPANS_OWN: [ColumnDef; 18] = [
    maybe("trace_id", Fixed(16), "Trace of the span; null if the sender's was not valid"),
    maybe("span_id", Fixed(8), "The span; null if the sender's id was not valid"),
    maybe("parent_span_id", Fixed(8), "Parent of the span; null in a root span"),
    maybe("trace_state", Text, "W3C tracestate; empty if none was sent"),
    maybe("name", Dictionary, "Name of the span"),
    maybe("kind", Dictionary, "UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER"),
    always("end_time", Time, "When the span ended"),
    always("duration_ns", Int64, "Nanoseconds from start to end"),
    maybe("status_code", Dictionary, "UNSET, OK or ERROR"),
    maybe("status_message", Text, "What the sender said of the status; empty if nothing"),
    always("adjusted_count", Double, "How many spans this one stands for: 1 unless sampled"),
    always("events", Children(&EVENTS), "Events of the span"),
    always("dropped_events_count", UInt32, "How many events the sender dropped"),
    always("links", Children(&LINKS), "Links to other spans"),
    always("dropped_links_count", UInt32, "How many links the sender dropped"),
    always("attributes", Attributes, "Attributes of the span, typed as they came"),
    always("dropped_attributes_count", UInt32, "How many attributes the sender dropped"),
    always("flags", UInt32, "W3C trace flags, and whether the parent is remote"),
];

const EVENTS: [ColumnDef; 4] = [
    always("time", Time, "When it happened"),
    maybe("name", Text, "Name of the event"),
    always("attributes", Attributes, "Attributes of the event"),
    always("dropped_attributes_count", UInt32, "How many attributes the sender dropped"),
];

const LINKS: [ColumnDef; 6] = [
    maybe("trace_id", Fixed(16), "Trace of the linked span; null if not valid"),
    maybe("span_id", Fixed(8), "The linked span; null if not valid"),
    maybe("trace_state", Text, "W3C tracestate of the link"),
    always("attributes", Attributes, "Attributes of the link"),
    always("dropped_attributes_count", UInt32, "How many attributes the sender dropped"),
    always("flags", UInt32, "W3C trace flags of the link"),
];

static LOGS: [ColumnDef; COMMON_COUNT + 10] =
    join(common("When it happened, or when it was observed if the sender did not say"), LOGS_OWN);

const LOGS_OWN: [ColumnDef; 10] = [
    maybe("observed_time", Time, "When the record was observed; null if the sender did not say"),
    always(
        "severity_number",
        Int32,
        "1-4 TRACE, 5-8 DEBUG, 9-12 INFO, 13-16 WARN, 17-20 ERROR, 21-24 FATAL, 0 not said",
    ),
    maybe("severity_text", Dictionary, "The severity in the words of the source"),
    maybe("event_name", Dictionary, "Name of the event; empty if the record is none"),
    maybe("body", Value, "The body: text as it is, other types as JSON"),
    maybe("trace_id", Fixed(16), "Trace during which the record was written"),
    maybe("span_id", Fixed(8), "Span during which the record was written"),
    always("attributes", Attributes, "Attributes of the record, typed as they came"),
    always("dropped_attributes_count", UInt32, "How many attributes the sender dropped"),
    always("flags", UInt32, "W3C trace flags"),
];

static METRICS: [ColumnDef; COMMON_COUNT + 28] = join(common("When the data point was taken"), METRICS_OWN);

const METRICS_OWN: [ColumnDef; 28] = [
    maybe("name", Dictionary, "Name of the metric"),
    maybe("description", Dictionary, "Description of the metric"),
    maybe("unit", Dictionary, "Unit of the metric, in UCUM"),
    always("metadata", SharedAttributes, "Metadata of the metric"),
    maybe("kind", Dictionary, "gauge, sum, histogram, exponential_histogram or summary"),
    maybe("temporality", Dictionary, "unspecified, delta or cumulative; null for gauge and summary"),
    maybe("monotonic", Bool, "Whether a sum never falls; null unless a sum"),
    maybe("start_time", Time, "Start of the interval that the point covers; null if the sender did not say"),
    maybe("value_double", Double, "Value of a gauge or sum, if it is a double"),
    maybe("value_int", Int64, "Value of a gauge or sum, if it is an integer"),
    maybe("count", UInt64, "How many measurements a histogram or summary holds"),
    maybe("sum", Double, "Sum of the measurements of a histogram or summary"),
    maybe("min", Double, "Smallest measurement of a histogram"),
    maybe("max", Double, "Largest measurement of a histogram"),
    maybe("bounds", ListDouble, "Upper bounds of the buckets of a histogram, the last one left out"),
    maybe("bucket_counts", ListUInt64, "How many measurements are in each bucket of a histogram"),
    maybe("scale", Int32, "Scale of an exponential histogram: the base is 2^(2^-scale)"),
    maybe("zero_count", UInt64, "How many measurements of an exponential histogram are in the zero bucket"),
    maybe("zero_threshold", Double, "Width of the zero bucket of an exponential histogram"),
    maybe("positive_offset", Int32, "Index of the first positive bucket of an exponential histogram"),
    maybe("positive_bucket_counts", ListUInt64, "Counts of the positive buckets of an exponential histogram"),
    maybe("negative_offset", Int32, "Index of the first negative bucket of an exponential histogram"),
    maybe("negative_bucket_counts", ListUInt64, "Counts of the negative buckets of an exponential histogram"),
    maybe("quantiles", Quantiles, "Quantiles of a summary"),
    always("exemplars", Children(&EXEMPLARS), "Exemplars of the data point"),
    always("no_recorded_value", Bool, "Whether the sender says that there is no value at this time"),
    always("attributes", Attributes, "Attributes of the data point, typed as they came"),
    always("flags", UInt32, "Flags of the data point"),
];

const EXEMPLARS: [ColumnDef; 6] = [
    always("time", Time, "When it was measured"),
    maybe("value_double", Double, "The measured value, if it is a double"),
    maybe("value_int", Int64, "The measured value, if it is an integer"),
    maybe("trace_id", Fixed(16), "Trace during which it was measured"),
    maybe("span_id", Fixed(8), "Span during which it was measured"),
    always("attributes", Attributes, "Attributes that the data point lacks"),
];
