//! Writes a dictionary whose keys lead out of its values, and ignores the answer.
#![cfg(target_arch = "wasm32")]

use weir_sdk::raw::columns::{Column, Dictionary, Text, Type};
use weir_sdk::raw::host::{Batch, Signal};
use weir_sdk::raw::{ColumnDeclaration, Description, Guest, Mistake, OnError};

struct Exported;

impl Guest for Exported {
    fn configure(_: String) -> Result<(), Vec<Mistake>> {
        Ok(())
    }

    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: String::new(),
            signals: vec![Signal::Spans, Signal::Logs, Signal::Metrics],
            reads: Vec::new(),
            writes: vec![ColumnDeclaration { name: "made".to_owned(), type_: Type::Text, description: String::new() }],
            tables: Vec::new(),
            stateful: false,
            on_error: OnError::Pass,
        }
    }

    fn process(batch: &Batch) -> Result<(), String> {
        let rows = batch.rows();
        let values = Text { offsets: vec![0, 1], bytes: vec![b'x'], valid: Vec::new() };
        let keys = vec![5; rows as usize];
        let _ = batch.write("made", &Column::Dictionary(Dictionary { keys, values, valid: Vec::new() }));
        Ok(())
    }

    fn advance(_: i64) -> Result<(), String> {
        Ok(())
    }
}

weir_sdk::raw::export_plugin!(Exported with_types_in weir_sdk::raw);
