//! Spans.

use super::common::{Common, Counts, Rows, Times, adjusted_count, count_invalid};
use super::values::attribute;
use super::wire::{Read, Wire};
use crate::batch::build::{AttributesPart, ChildrenPart, Dictionary, Fields, Ids, Numbers, Part, TextColumn};
use arrow_array::types::{Float64Type, Int64Type};

/// The columns of spans.
#[derive(Debug, Default)]
pub(super) struct Spans {
    common: Common,
    trace_id: Ids<16>,
    span_id: Ids<8>,
    parent_span_id: Ids<8>,
    trace_state: TextColumn,
    name: Dictionary,
    kind: Dictionary,
    end_time: Times,
    duration: Numbers<Int64Type>,
    status_code: Dictionary,
    status_message: TextColumn,
    adjusted_count: Numbers<Float64Type>,
    events: ChildrenPart<Events>,
    dropped_events: Counts,
    links: ChildrenPart<Links>,
    dropped_links: Counts,
    attributes: AttributesPart,
    dropped_attributes: Counts,
    flags: Counts,
}

#[derive(Debug, Default)]
struct Events {
    time: Times,
    name: TextColumn,
    dropped_attributes: Counts,
}

impl Fields for Events {
    fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut dyn Part)) {
        see("time", &mut self.time);
        see("name", &mut self.name);
        see("dropped_attributes_count", &mut self.dropped_attributes);
    }
}

#[derive(Debug, Default)]
struct Links {
    trace_id: Ids<16>,
    span_id: Ids<8>,
    trace_state: TextColumn,
    dropped_attributes: Counts,
    flags: Counts,
}

impl Fields for Links {
    fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut dyn Part)) {
        see("trace_id", &mut self.trace_id);
        see("span_id", &mut self.span_id);
        see("trace_state", &mut self.trace_state);
        see("dropped_attributes_count", &mut self.dropped_attributes);
        see("flags", &mut self.flags);
    }
}

/// The fields of a span that come once; the last one wins.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a [u8],
    name: &'a [u8],
    kind: i32,
    start: u64,
    end: u64,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    flags: u32,
    status: Status<'a>,
}

#[derive(Default)]
struct Status<'a> {
    message: &'a [u8],
    code: i32,
}

const SPAN: &str = "Span";

impl Rows for Spans {
    const NAMES: [&'static str; 6] = [
        "ExportTraceServiceRequest",
        "ExportTraceServiceRequest.resource_spans",
        "ResourceSpans",
        "ResourceSpans.scope_spans",
        "ScopeSpans",
        "ScopeSpans.spans",
    ];

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        self.common.each(see);
        see(&mut self.trace_id);
        see(&mut self.span_id);
        see(&mut self.parent_span_id);
        see(&mut self.trace_state);
        see(&mut self.name);
        see(&mut self.kind);
        see(&mut self.end_time);
        see(&mut self.duration);
        see(&mut self.status_code);
        see(&mut self.status_message);
        see(&mut self.adjusted_count);
        see(&mut self.events);
        see(&mut self.dropped_events);
        see(&mut self.links);
        see(&mut self.dropped_links);
        see(&mut self.attributes);
        see(&mut self.dropped_attributes);
        see(&mut self.flags);
    }

    fn item(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let mut span = Span::default();
        wire.next_bytes(1).inspect(|&id| span.trace_id = id);
        wire.next_bytes(2).inspect(|&id| span.span_id = id);
        wire.next_text(3).inspect(|&text| span.trace_state = text);
        wire.next_bytes(4).inspect(|&id| span.parent_span_id = id);
        wire.next_text(5).inspect(|&text| span.name = text);
        wire.next_small(6).inspect(|&kind| span.kind = i32::from(kind));
        wire.next_fixed64(7).inspect(|&time| span.start = time);
        wire.next_fixed64(8).inspect(|&time| span.end = time);
        while let Some(entry) = wire.next_bytes(9) {
            attribute(Wire::new(entry), &mut self.attributes.values)?;
        }
        while let Some(field) = wire.next(SPAN)? {
            match field.number {
                1 => span.trace_id = wire.bytes(field, "Span.trace_id")?,
                2 => span.span_id = wire.bytes(field, "Span.span_id")?,
                3 => span.trace_state = wire.text(field, "Span.trace_state")?,
                4 => span.parent_span_id = wire.bytes(field, "Span.parent_span_id")?,
                5 => span.name = wire.text(field, "Span.name")?,
                6 => span.kind = wire.varint(field, "Span.kind")? as i32,
                7 => span.start = wire.fixed64(field, "Span.start_time_unix_nano")?,
                8 => span.end = wire.fixed64(field, "Span.end_time_unix_nano")?,
                9 => attribute(wire.message(field, "Span.attributes")?, &mut self.attributes.values)?,
                10 => span.dropped_attributes = wire.varint(field, "Span.dropped_attributes_count")? as u32,
                11 => self.event(wire.message(field, "Span.events")?)?,
                12 => span.dropped_events = wire.varint(field, "Span.dropped_events_count")? as u32,
                13 => *invalid_ids += self.link(wire.message(field, "Span.links")?)?,
                14 => span.dropped_links = wire.varint(field, "Span.dropped_links_count")? as u32,
                15 => status(wire.message(field, "Span.status")?, &mut span.status)?,
                16 => span.flags = wire.fixed32(field, "Span.flags")?,
                _ => wire.skip(field, SPAN)?,
            }
        }
        *invalid_ids += self.end_row(&span);
        Ok(())
    }
}

impl Spans {
    fn end_row(&mut self, span: &Span<'_>) -> u64 {
        let (start, end) = (span.start.cast_signed(), span.end.cast_signed());
        self.common.time.push(start);
        self.end_time.push(end);
        self.duration.push(end.wrapping_sub(start));
        let mut invalid = count_invalid(self.trace_id.push(span.trace_id), span.trace_id, true);
        invalid += count_invalid(self.span_id.push(span.span_id), span.span_id, true);
        invalid += count_invalid(self.parent_span_id.push(span.parent_span_id), span.parent_span_id, false);
        self.trace_state.push(span.trace_state);
        self.adjusted_count.push(if span.trace_state.is_empty() { 1.0 } else { adjusted_count(span.trace_state) });
        self.name.push(span.name);
        push_enum(&mut self.kind, span.kind, &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]);
        push_enum(&mut self.status_code, span.status.code, &["UNSET", "OK", "ERROR"]);
        self.status_message.push(span.status.message);
        self.events.end_row();
        self.dropped_events.push(span.dropped_events);
        self.links.end_row();
        self.dropped_links.push(span.dropped_links);
        self.attributes.values.end_row();
        self.dropped_attributes.push(span.dropped_attributes);
        self.flags.push(span.flags);
        invalid
    }

    fn event(&mut self, mut wire: Wire<'_>) -> Read<()> {
        let (mut time, mut name, mut dropped) = (0, &b""[..], 0);
        while let Some(field) = wire.next("Event")? {
            match field.number {
                1 => time = wire.fixed64(field, "Event.time_unix_nano")?,
                2 => name = wire.text(field, "Event.name")?,
                3 => attribute(wire.message(field, "Event.attributes")?, &mut self.events.attributes.values)?,
                4 => dropped = wire.varint(field, "Event.dropped_attributes_count")? as u32,
                _ => wire.skip(field, "Event")?,
            }
        }
        let fields = &mut self.events.fields;
        fields.time.push(time.cast_signed());
        fields.name.push(name);
        fields.dropped_attributes.push(dropped);
        self.events.attributes.values.end_row();
        Ok(())
    }

    fn link(&mut self, mut wire: Wire<'_>) -> Read<u64> {
        let (mut trace_id, mut span_id, mut trace_state) = (&b""[..], &b""[..], &b""[..]);
        let (mut dropped, mut flags) = (0, 0);
        while let Some(field) = wire.next("Link")? {
            match field.number {
                1 => trace_id = wire.bytes(field, "Link.trace_id")?,
                2 => span_id = wire.bytes(field, "Link.span_id")?,
                3 => trace_state = wire.text(field, "Link.trace_state")?,
                4 => attribute(wire.message(field, "Link.attributes")?, &mut self.links.attributes.values)?,
                5 => dropped = wire.varint(field, "Link.dropped_attributes_count")? as u32,
                6 => flags = wire.fixed32(field, "Link.flags")?,
                _ => wire.skip(field, "Link")?,
            }
        }
        let fields = &mut self.links.fields;
        let mut invalid = count_invalid(fields.trace_id.push(trace_id), trace_id, true);
        invalid += count_invalid(fields.span_id.push(span_id), span_id, true);
        fields.trace_state.push(trace_state);
        fields.dropped_attributes.push(dropped);
        fields.flags.push(flags);
        self.links.attributes.values.end_row();
        Ok(invalid)
    }
}

fn status<'a>(mut wire: Wire<'a>, status: &mut Status<'a>) -> Read<()> {
    while let Some(field) = wire.next("Status")? {
        match field.number {
            2 => status.message = wire.text(field, "Status.message")?,
            3 => status.code = wire.varint(field, "Status.code")? as i32,
            _ => wire.skip(field, "Status")?,
        }
    }
    Ok(())
}

/// Adds the name of an enum's value, or its number where nobody has named it.
pub(super) fn push_enum(column: &mut Dictionary, value: i32, names: &[&str]) {
    match usize::try_from(value).ok().and_then(|value| names.get(value)) {
        Some(name) => column.push(name.as_bytes()),
        None => column.push(itoa::Buffer::new().format(value).as_bytes()),
    }
}
