//! The table is that of the `.proto` files which opentelemetry-proto was generated from.

use super::super::descriptors::{self, Field, Integer, Kind};
use crate::Signal;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};

/// Every message and enum of the `.proto` files, by full name.
#[derive(Default)]
struct Published {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Published {
    fn load() -> Self {
        let mut published = Self::default();
        for file in FileDescriptorSet::decode(opentelemetry_proto::DESCRIPTORS).unwrap().file {
            let package = format!(".{}", file.package());
            for message in file.message_type {
                published.add(&package, message);
            }
            for names in file.enum_type {
                published.enums.insert(format!("{package}.{}", names.name()), names);
            }
        }
        published
    }

    fn add(&mut self, package: &str, message: DescriptorProto) {
        let name = format!("{package}.{}", message.name());
        for nested in &message.nested_type {
            self.add(&name, nested.clone());
        }
        for names in &message.enum_type {
            self.enums.insert(format!("{name}.{}", names.name()), names.clone());
        }
        self.messages.insert(name, message);
    }

    fn check(&self, name: &str, table: &descriptors::Message, seen: &mut BTreeSet<(String, usize)>) {
        if !seen.insert((name.to_owned(), std::ptr::from_ref(table).addr())) {
            return;
        }
        let published = &self.messages[name];
        assert_eq!(table.fields.len(), published.field.len(), "{name}");
        assert_eq!(table.is_value, published.name() == "AnyValue", "{name}");
        for field in &published.field {
            let place = format!("{name}.{}", field.name());
            let row = table.field(field.name()).unwrap_or_else(|| panic!("{place} is missing"));
            assert_eq!(row.json, field.json_name(), "{place}");
            assert_eq!(row.number as i32, field.number(), "{place}");
            assert_eq!(row.repeated, field.label() == Label::Repeated, "{place}");
            self.check_kind(&place, row, field, seen);
        }
    }

    fn check_kind(&self, place: &str, row: &Field, field: &FieldDescriptorProto, seen: &mut BTreeSet<(String, usize)>) {
        let is_id = matches!(field.name(), "trace_id" | "span_id" | "parent_span_id");
        let expected = match row.kind {
            Kind::String => Type::String,
            Kind::Id | Kind::Bytes => Type::Bytes,
            Kind::Bool => Type::Bool,
            Kind::Double => Type::Double,
            Kind::Integer(Integer::Int32) => Type::Int32,
            Kind::Integer(Integer::Uint32) => Type::Uint32,
            Kind::Integer(Integer::Sint32) => Type::Sint32,
            Kind::Integer(Integer::Fixed32) => Type::Fixed32,
            Kind::Integer(Integer::Int64) => Type::Int64,
            Kind::Integer(Integer::Uint64) => Type::Uint64,
            Kind::Integer(Integer::Fixed64) => Type::Fixed64,
            Kind::Integer(Integer::Sfixed64) => Type::Sfixed64,
            Kind::Enum(_) => Type::Enum,
            Kind::Message(_) => Type::Message,
        };
        assert_eq!(field.r#type(), expected, "{place}");
        assert_eq!(matches!(row.kind, Kind::Id), is_id, "{place}");
        match row.kind {
            Kind::Message(message) => self.check(field.type_name(), message, seen),
            Kind::Enum(names) => {
                let published = &self.enums[field.type_name()];
                assert_eq!(names.name, published.name(), "{place}");
                let known: Vec<_> = names.names.iter().copied().zip(0..).collect();
                let values: Vec<_> = published.value.iter().map(|value| (value.name(), value.number())).collect();
                assert_eq!(known, values, "{place}");
            }
            _ => {}
        }
    }
}

#[test]
fn the_table_is_that_of_the_proto_files() {
    let published = Published::load();
    let mut seen = BTreeSet::new();
    for (signal, package, service) in
        [(Signal::Spans, "trace", "Trace"), (Signal::Logs, "logs", "Logs"), (Signal::Metrics, "metrics", "Metrics")]
    {
        let Kind::Message(message) = descriptors::request(signal).kind else { panic!("{signal} is not a message") };
        let name = format!(".opentelemetry.proto.collector.{package}.v1.Export{service}ServiceRequest");
        published.check(&name, message, &mut seen);
    }
    assert_eq!(seen.len(), 34, "{seen:#?}");
}
