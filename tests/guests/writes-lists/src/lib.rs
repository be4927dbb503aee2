//! Writes lists, which can be read only, and ignores the answer.
#![cfg(target_arch = "wasm32")]

use weir_sdk::raw::columns::{Column, Type, U64Lists};
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
            writes: vec![ColumnDeclaration { name: "made".to_owned(), type_: Type::U64, description: String::new() }],
            tables: Vec::new(),
            stateful: false,
            on_error: OnError::Pass,
        }
    }

    fn process(batch: &Batch) -> Result<(), String> {
        let rows = batch.rows();
        let lists = U64Lists { offsets: (0..=rows).collect(), values: vec![7; rows as usize], valid: Vec::new() };
        let _ = batch.write("made", &Column::U64Lists(lists));
        Ok(())
    }

    fn advance(_: i64) -> Result<(), String> {
        Ok(())
    }
}

weir_sdk::raw::export_plugin!(Exported with_types_in weir_sdk::raw);
