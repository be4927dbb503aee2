//! Consistent probability sampling as OpenTelemetry specifies it: thresholds, the randomness of a trace, and where both
//! stand in a `tracestate`. Samplers that share it make the same decision on a trace wherever they meet it.

pub mod threshold;
pub mod trace_state;
