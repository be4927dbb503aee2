//! What the signals have in common: resources, scopes, the frame around the rows.

use super::ROWS_MAX;
use super::values::attribute;
use super::wire::{Field, Read, Wire, refuse};
use crate::batch::Any;
use crate::batch::build::{Dictionary, NO_KEY, Numbers, Part, SharedPart};
use arrow_array::types::{TimestampNanosecondType, UInt32Type};

/// Times.
pub(super) type Times = Numbers<TimestampNanosecondType>;
/// Counts and flags.
pub(super) type Counts = Numbers<UInt32Type>;

/// The columns that every signal has in front of its own.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) time: Times,
    service: [Dictionary; 5],
    resource_attributes: SharedPart,
    resource_dropped: Counts,
    resource_schema_url: Dictionary,
    scope_name: Dictionary,
    scope_version: Dictionary,
    scope_attributes: SharedPart,
    scope_dropped: Counts,
    schema_url: Dictionary,
}

/// The resource attributes that have columns of their own, the first that is text winning.
const SERVICE: [&[&str]; 5] = [
    &["service.name"],
    &["service.namespace"],
    &["service.version"],
    &["service.instance.id"],
    &["deployment.environment.name", "deployment.environment"],
];

/// What a resource said besides its attributes.
#[derive(Default)]
pub(super) struct ResourceState<'a> {
    dropped: u32,
    pub(super) schema_url: &'a [u8],
}

/// What a scope said besides its attributes.
#[derive(Default)]
pub(super) struct ScopeState<'a> {
    name: &'a [u8],
    version: &'a [u8],
    dropped: u32,
    pub(super) schema_url: &'a [u8],
}

impl Common {
    pub(super) fn rows(&self) -> usize {
        self.time.len()
    }

    pub(super) fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        see(&mut self.time);
        self.service.iter_mut().for_each(|part| see(part));
        see(&mut self.resource_attributes);
        see(&mut self.resource_dropped);
        see(&mut self.resource_schema_url);
        see(&mut self.scope_name);
        see(&mut self.scope_version);
        see(&mut self.scope_attributes);
        see(&mut self.scope_dropped);
        see(&mut self.schema_url);
    }

    /// Reads a `Resource`; a second one is merged into the first.
    pub(super) fn resource(&mut self, mut wire: Wire<'_>, state: &mut ResourceState<'_>) -> Read<()> {
        const AT: &str = "Resource";
        while let Some(field) = wire.next(AT)? {
            match field.number {
                1 => {
                    let entry = wire.message(field, "Resource.attributes")?;
                    attribute(entry, &mut self.resource_attributes.distinct.values)?;
                }
                2 => state.dropped = wire.varint(field, "Resource.dropped_attributes_count")? as u32,
                3 => entity_ref(wire.message(field, "Resource.entity_refs")?)?,
                _ => wire.skip(field, AT)?,
            }
        }
        Ok(())
    }

    /// Gives the rows that came within a resource its columns; a resource without rows leaves nothing.
    pub(super) fn end_resource(&mut self, state: &ResourceState<'_>) {
        let rows = self.rows();
        if self.resource_attributes.keys.len() == rows {
            self.resource_attributes.distinct.values.forget_open_row();
            return;
        }
        self.resource_attributes.fill(rows);
        let values = &self.resource_attributes.distinct.values;
        let row = self.resource_attributes.keys[rows - 1] as usize;
        for (column, names) in self.service.iter_mut().zip(SERVICE) {
            let text = names.iter().find_map(|name| match values.find(row, name) {
                Some(Any::Text(text)) => Some(text),
                _ => None,
            });
            let key = text.map_or(NO_KEY, |text| column.key(text.as_bytes()));
            column.fill(rows, key);
        }
        self.resource_dropped.fill(rows, state.dropped);
        let key = self.resource_schema_url.key(state.schema_url);
        self.resource_schema_url.fill(rows, key);
    }

    /// Reads an `InstrumentationScope`; a second one is merged into the first.
    pub(super) fn scope<'a>(&mut self, mut wire: Wire<'a>, state: &mut ScopeState<'a>) -> Read<()> {
        const AT: &str = "InstrumentationScope";
        while let Some(field) = wire.next(AT)? {
            match field.number {
                1 => state.name = wire.text(field, "InstrumentationScope.name")?,
                2 => state.version = wire.text(field, "InstrumentationScope.version")?,
                3 => {
                    let entry = wire.message(field, "InstrumentationScope.attributes")?;
                    attribute(entry, &mut self.scope_attributes.distinct.values)?;
                }
                4 => state.dropped = wire.varint(field, "InstrumentationScope.dropped_attributes_count")? as u32,
                _ => wire.skip(field, AT)?,
            }
        }
        Ok(())
    }

    /// Gives the rows that came within a scope its columns; a scope without rows leaves nothing.
    pub(super) fn end_scope(&mut self, state: &ScopeState<'_>) {
        let rows = self.rows();
        if self.scope_attributes.keys.len() == rows {
            self.scope_attributes.distinct.values.forget_open_row();
            return;
        }
        self.scope_attributes.fill(rows);
        self.scope_dropped.fill(rows, state.dropped);
        for (column, text) in [
            (&mut self.scope_name, state.name),
            (&mut self.scope_version, state.version),
            (&mut self.schema_url, state.schema_url),
        ] {
            let key = column.key(text);
            column.fill(rows, key);
        }
    }
}

/// No column holds entity references; a wrong one is refused all the same.
fn entity_ref(mut wire: Wire<'_>) -> Read<()> {
    while let Some(field) = wire.next("EntityRef")? {
        match field.number {
            1..=4 => drop(wire.text(field, "EntityRef")?),
            _ => wire.skip(field, "EntityRef")?,
        }
    }
    Ok(())
}

/// How many samples an item stands for, by the threshold in its tracestate (`ot=th:…`): 1 without a valid one.
pub(super) fn adjusted_count(trace_state: &[u8]) -> f64 {
    const WHOLE: u64 = 1 << 56;
    let threshold = trace_state.split(|&byte| byte == b',').find_map(|member| {
        let fields = member.trim_ascii().strip_prefix(b"ot=")?;
        let digits = fields.split(|&byte| byte == b';').find_map(|field| field.strip_prefix(b"th:"))?;
        if digits.is_empty() || digits.len() > 14 {
            return None;
        }
        let number = digits.iter().try_fold(0_u64, |number, &digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(digit))
        })?;
        Some(number << (4 * (14 - digits.len())))
    });
    threshold.map_or(1.0, |threshold| WHOLE as f64 / (WHOLE - threshold) as f64)
}

/// Counts an id that was not valid, if one had to be there or something was sent.
pub(super) fn count_invalid(valid: bool, id: &[u8], required: bool) -> u64 {
    u64::from(!valid && (required || !id.is_empty()))
}

/// A time as the 64 bits it is, null if it is 0.
pub(super) fn time_or_null(time: u64) -> Option<i64> {
    (time != 0).then_some(time.cast_signed())
}

/// What a signal's decoder has to do for the frame around it.
pub(super) trait Rows: Default {
    /// The columns that every signal has.
    fn common(&mut self) -> &mut Common;
    /// Every column, in the order of the schema.
    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part));
    /// Reads one item of a scope: a span, a log record, a metric.
    fn item(&mut self, wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()>;
    /// The names of the request, the resource's and the scope's message, and of the fields that lead to the next.
    const NAMES: [&'static str; 6];

    /// Reads a whole request.
    fn request(&mut self, body: &[u8], invalid_ids: &mut u64) -> Read<()> {
        let [request, resources, ..] = Self::NAMES;
        let mut wire = Wire::new(body);
        while let Some(field) = wire.next(request)? {
            match field.number {
                1 => self.resource_rows(wire.message(field, resources)?, invalid_ids)?,
                _ => wire.skip(field, request)?,
            }
        }
        Ok(())
    }

    /// Reads the rows of a resource. Its columns are filled when all is read, so that the fields may have any order.
    fn resource_rows(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let [_, _, message, scopes, ..] = Self::NAMES;
        let mut state = ResourceState::default();
        while let Some(field) = wire.next(message)? {
            match field.number {
                1 => {
                    let resource = wire.message(field, message)?;
                    self.common().resource(resource, &mut state)?;
                }
                2 => self.scope_rows(wire.message(field, scopes)?, invalid_ids)?,
                3 => state.schema_url = schema_url(&mut wire, field, message)?,
                _ => wire.skip(field, message)?,
            }
        }
        self.common().end_resource(&state);
        Ok(())
    }

    /// Reads the rows of a scope, in the same way.
    fn scope_rows(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let [_, _, _, _, message, items] = Self::NAMES;
        let mut state = ScopeState::default();
        if let Some(scope) = wire.next_bytes(1) {
            self.common().scope(Wire::new(scope), &mut state)?;
        }
        while let Some(item) = wire.next_bytes(2) {
            self.item(Wire::new(item), invalid_ids)?;
            within_rows(self.common().rows())?;
        }
        while let Some(field) = wire.next(message)? {
            match field.number {
                1 => {
                    let scope = wire.message(field, message)?;
                    self.common().scope(scope, &mut state)?;
                }
                2 => {
                    self.item(wire.message(field, items)?, invalid_ids)?;
                    within_rows(self.common().rows())?;
                }
                3 => state.schema_url = schema_url(&mut wire, field, message)?,
                _ => wire.skip(field, message)?,
            }
        }
        self.common().end_scope(&state);
        Ok(())
    }
}

/// Refuses a request of more rows than [`ROWS_MAX`]: an empty row is two bytes on the wire and hundreds in memory.
pub(super) fn within_rows(rows: usize) -> Read<()> {
    if rows <= ROWS_MAX {
        return Ok(());
    }
    Err(refuse("request", &format!("it has more than {ROWS_MAX} rows; send smaller requests")))
}

fn schema_url<'a>(wire: &mut Wire<'a>, field: Field, message: &str) -> Read<&'a [u8]> {
    wire.text(field, message)
}
