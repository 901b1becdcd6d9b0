//! OpenTelemetry's protocol: logs, metrics with exemplars, traces, in protobuf and JSON.
//! Source: opentelemetry-proto 1.x (`logs/v1`, `metrics/v1`, `trace/v1`, `collector/*/v1`).

pub mod json;
mod logs;
mod metrics;
mod shared;
mod traces;

#[cfg(test)]
mod tests;

use super::protobuf::{Message, WireError};
use crate::reject::Decoded;
use andon_model::time::Timestamp;
use serde_json::json;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/logs`
    Logs,
    /// `/v1/metrics`
    Metrics,
    /// `/v1/traces`
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];

    /// `logs`, `metrics`, `traces`: the last word of the path, and the usual dataset.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// The gRPC method's path.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }

    fn rejected_name(self) -> &'static str {
        match self {
            Self::Logs => "rejectedLogRecords",
            Self::Metrics => "rejectedDataPoints",
            Self::Traces => "rejectedSpans",
        }
    }
}

/// Reads an export request in protobuf.
///
/// Errors when it is no such message; nothing of it is taken then, and the client is told.
pub fn decode(signal: Signal, body: &[u8], received: Timestamp) -> Result<Decoded, WireError> {
    let mut out = shared::Out::new(received);
    match signal {
        Signal::Logs => logs::request(body, &mut out)?,
        Signal::Metrics => metrics::request(body, &mut out)?,
        Signal::Traces => traces::request(body, &mut out)?,
    }
    Ok(out.decoded)
}

/// The answer to a request whose rest was taken: which records were not, in protobuf.
pub fn answer(decoded: &Decoded) -> Vec<u8> {
    let mut answer = Message::default();
    if let Some(first) = decoded.rejected.first() {
        let mut partial = Message::default();
        partial.varint(1, decoded.rejected_total());
        partial.bytes(2, first.error.as_bytes());
        answer.bytes(1, &partial.0);
    }
    answer.0
}

/// The same in JSON.
pub fn answer_json(signal: Signal, decoded: &Decoded) -> Vec<u8> {
    let answer = match decoded.rejected.first() {
        Some(first) => json!({"partialSuccess": {
            signal.rejected_name(): decoded.rejected_total().to_string(),
            "errorMessage": first.error,
        }}),
        None => json!({}),
    };
    answer.to_string().into_bytes()
}

/// A failed request's answer (`google.rpc.Status`), in protobuf.
pub fn failure(code: u64, message: &str) -> Vec<u8> {
    let mut status = Message::default();
    status.varint(1, code);
    status.bytes(2, message.as_bytes());
    status.0
}
