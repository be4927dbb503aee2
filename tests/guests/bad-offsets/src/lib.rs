//! Writes text whose offsets lead out of its bytes, and ignores the answer.
#![cfg(target_arch = "wasm32")]

use weir_sdk::raw::columns::{Column, Text, Type};
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
        let text =
            Text { offsets: (0..=rows).map(|row| row * 1000).collect(), bytes: vec![b'x'; 10], valid: Vec::new() };
        let _ = batch.write("made", &Column::Text(text));
        Ok(())
    }

    fn advance(_: i64) -> Result<(), String> {
        Ok(())
    }
}

weir_sdk::raw::export_plugin!(Exported with_types_in weir_sdk::raw);
