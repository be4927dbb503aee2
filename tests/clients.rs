//! The Rust SDK of OpenTelemetry exports over each protocol; what is stored is compared, field by field, with what the
//! SDK handed to its exporter.

mod service;

#[path = "clients/logs.rs"]
mod logs;
#[path = "clients/metrics.rs"]
mod metrics;
#[path = "clients/sdk.rs"]
mod sdk;
#[path = "clients/traces.rs"]
mod traces;

use sdk::Transport;
use service::Service;

#[test]
fn traces_over_grpc_are_stored_as_the_sdk_exported_them() {
    traces::assert_stored(Transport::Grpc);
}

#[test]
fn traces_over_http_protobuf_are_stored_as_the_sdk_exported_them() {
    traces::assert_stored(Transport::HttpProtobuf);
}

#[test]
fn traces_over_http_json_are_stored_as_the_sdk_exported_them() {
    traces::assert_stored(Transport::HttpJson);
}

#[test]
fn logs_over_grpc_are_stored_as_the_sdk_exported_them() {
    logs::assert_stored(Transport::Grpc);
}

#[test]
fn logs_over_http_protobuf_are_stored_as_the_sdk_exported_them() {
    logs::assert_stored(Transport::HttpProtobuf);
}

#[test]
fn logs_over_http_json_are_stored_as_the_sdk_exported_them() {
    logs::assert_stored(Transport::HttpJson);
}

#[test]
fn metrics_over_grpc_are_stored_as_the_sdk_exported_them() {
    metrics::assert_stored(Transport::Grpc);
}

#[test]
fn metrics_over_http_protobuf_are_stored_as_the_sdk_exported_them() {
    metrics::assert_stored(Transport::HttpProtobuf);
}

#[test]
fn metrics_over_http_json_are_stored_as_the_sdk_exported_them() {
    metrics::assert_stored(Transport::HttpJson);
}
