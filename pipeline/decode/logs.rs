//! Log records.

use super::common::{Common, Counts, Rows, Times, count_invalid, time_or_null};
use super::values::{Slot, any_value, attribute, value_at_once};
use super::wire::{Read, Wire};
use crate::batch::build::{AttributesPart, Dictionary, Ids, Numbers, Part, ValuesPart};
use arrow_array::types::Int32Type;

/// The columns of log records.
#[derive(Debug, Default)]
pub(super) struct Logs {
    common: Common,
    observed_time: Times,
    severity_number: Numbers<Int32Type>,
    severity_text: Dictionary,
    event_name: Dictionary,
    body: ValuesPart,
    trace_id: Ids<16>,
    span_id: Ids<8>,
    attributes: AttributesPart,
    dropped_attributes: Counts,
    flags: Counts,
}

const RECORD: &str = "LogRecord";

impl Rows for Logs {
    const NAMES: [&'static str; 6] = [
        "ExportLogsServiceRequest",
        "ExportLogsServiceRequest.resource_logs",
        "ResourceLogs",
        "ResourceLogs.scope_logs",
        "ScopeLogs",
        "ScopeLogs.log_records",
    ];

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        self.common.each(see);
        see(&mut self.observed_time);
        see(&mut self.severity_number);
        see(&mut self.severity_text);
        see(&mut self.event_name);
        see(&mut self.body);
        see(&mut self.trace_id);
        see(&mut self.span_id);
        see(&mut self.attributes);
        see(&mut self.dropped_attributes);
        see(&mut self.flags);
    }

    fn item(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let (mut time, mut observed, mut severity_number, mut dropped, mut flags) = (0, 0, 0, 0, 0);
        let (mut severity_text, mut event_name) = (&b""[..], &b""[..]);
        let (mut trace_id, mut span_id) = (&b""[..], &b""[..]);
        let mut body = Slot::at_end_of(&self.body.arena);
        wire.next_fixed64(1).inspect(|&value| time = value);
        wire.next_small(2).inspect(|&value| severity_number = i32::from(value));
        wire.next_text(3).inspect(|&text| severity_text = text);
        if let Some(value) = wire.next_bytes(5) {
            value_at_once(Wire::new(value), &mut self.body.arena, &mut body)?;
        }
        while let Some(entry) = wire.next_bytes(6) {
            attribute(Wire::new(entry), &mut self.attributes.values)?;
        }
        wire.next_bytes(9).inspect(|&id| trace_id = id);
        wire.next_bytes(10).inspect(|&id| span_id = id);
        wire.next_fixed64(11).inspect(|&value| observed = value);
        while let Some(field) = wire.next(RECORD)? {
            match field.number {
                1 => time = wire.fixed64(field, "LogRecord.time_unix_nano")?,
                2 => severity_number = wire.varint(field, "LogRecord.severity_number")? as i32,
                3 => severity_text = wire.text(field, "LogRecord.severity_text")?,
                5 => any_value(wire.message(field, "LogRecord.body")?, &mut self.body.arena, &mut body, 1)?,
                6 => attribute(wire.message(field, "LogRecord.attributes")?, &mut self.attributes.values)?,
                7 => dropped = wire.varint(field, "LogRecord.dropped_attributes_count")? as u32,
                8 => flags = wire.fixed32(field, "LogRecord.flags")?,
                9 => trace_id = wire.bytes(field, "LogRecord.trace_id")?,
                10 => span_id = wire.bytes(field, "LogRecord.span_id")?,
                11 => observed = wire.fixed64(field, "LogRecord.observed_time_unix_nano")?,
                12 => event_name = wire.text(field, "LogRecord.event_name")?,
                _ => wire.skip(field, RECORD)?,
            }
        }
        self.common.time.push(if time == 0 { observed } else { time }.cast_signed());
        self.observed_time.push_option(time_or_null(observed));
        self.severity_number.push(severity_number);
        self.severity_text.push(severity_text);
        self.event_name.push(event_name);
        self.body.values.push(body.value(&self.body.arena));
        *invalid_ids += count_invalid(self.trace_id.push(trace_id), trace_id, false);
        *invalid_ids += count_invalid(self.span_id.push(span_id), span_id, false);
        self.attributes.values.end_row();
        self.dropped_attributes.push(dropped);
        self.flags.push(flags);
        Ok(())
    }
}
