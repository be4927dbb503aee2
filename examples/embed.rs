//! Weir within another program: no sockets, no configuration file, no runtime.
//!
//!     cargo run --example embed -- ./telemetry

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use std::error::Error;
use weir::Signal;
use weir::config::{Config, Destination, Plugin};
use weir::run::Pipeline;

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.write.to = Destination::Local(std::env::args().nth(1).unwrap_or("./telemetry".into()).into());
    config.plugins = vec![Plugin::shipped("redact")];
    let pipeline = Pipeline::builder().config(config).start()?;

    // Any OTLP request will do: from a socket of yours, a queue, a file.
    let accepted = pipeline.ingest(Signal::Logs, &request("alice@example.com paid"))?;
    println!("accepted {} row", accepted.rows);

    // Now all that was accepted is in files that are published.
    pipeline.flush()?;

    for table in pipeline.shutdown().written {
        println!("{}: {} rows in {} file, {} bytes", table.table, table.rows, table.files, table.bytes);
    }
    Ok(())
}

fn request(body: &str) -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: 1_772_533_230_000_000_000, // 2026-03-03T10:20:30Z: the folder of the row
        body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}
