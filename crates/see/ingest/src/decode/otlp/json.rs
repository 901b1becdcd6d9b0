//! OTLP's JSON is turned into its protobuf form, so that one decoder judges both. Knows the
//! names and numbers of those fields that the decoder reads; others are passed over, as the
//! specification asks.

use super::Signal;
use crate::decode::protobuf::Message;
use serde_json::{Map, Value};

/// Why a text is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpJsonError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// A field holds something else than its type.
    #[error("{field} is not what it should be: {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// Its type.
        expected: &'static str,
    },
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Bytes written in hexadecimal: trace ids and span ids.
    Hex,
    Base64,
    Bool,
    /// Whole numbers, as a number or as text, in varint.
    Whole,
    /// The same in zigzag.
    Zigzag,
    /// The same in eight bytes.
    Fixed,
    Double,
    Message(&'static [Field]),
    /// A list of values, and one of pairs, which hold values again.
    Values,
    Pairs,
}

type Field = (&'static str, u32, Kind);

use Kind::{Base64, Bool, Double, Fixed, Hex, Text, Whole, Zigzag};

static VALUE: &[Field] = &[
    ("stringValue", 1, Text),
    ("boolValue", 2, Bool),
    ("intValue", 3, Whole),
    ("doubleValue", 4, Double),
    ("arrayValue", 5, Kind::Values),
    ("kvlistValue", 6, Kind::Pairs),
    ("bytesValue", 7, Base64),
];
static VALUES: &[Field] = &[("values", 1, Kind::Message(VALUE))];
static PAIRS: &[Field] = &[("values", 1, Kind::Message(PAIR))];
static PAIR: &[Field] = &[("key", 1, Text), ("value", 2, Kind::Message(VALUE))];
static RESOURCE: &[Field] = &[("attributes", 1, Kind::Message(PAIR))];
static SCOPE: &[Field] = &[
    ("name", 1, Text),
    ("version", 2, Text),
    ("attributes", 3, Kind::Message(PAIR)),
];
static LOGS: &[Field] = &[("resourceLogs", 1, Kind::Message(RESOURCE_LOGS))];
static RESOURCE_LOGS: &[Field] = &[
    ("resource", 1, Kind::Message(RESOURCE)),
    ("scopeLogs", 2, Kind::Message(SCOPE_LOGS)),
];
static SCOPE_LOGS: &[Field] = &[
    ("scope", 1, Kind::Message(SCOPE)),
    ("logRecords", 2, Kind::Message(LOG_RECORD)),
];
static LOG_RECORD: &[Field] = &[
    ("timeUnixNano", 1, Fixed),
    ("severityNumber", 2, Whole),
    ("severityText", 3, Text),
    ("body", 5, Kind::Message(VALUE)),
    ("attributes", 6, Kind::Message(PAIR)),
    ("traceId", 9, Hex),
    ("spanId", 10, Hex),
    ("observedTimeUnixNano", 11, Fixed),
    ("eventName", 12, Text),
];
static TRACES: &[Field] = &[("resourceSpans", 1, Kind::Message(RESOURCE_SPANS))];
static RESOURCE_SPANS: &[Field] = &[
    ("resource", 1, Kind::Message(RESOURCE)),
    ("scopeSpans", 2, Kind::Message(SCOPE_SPANS)),
];
static SCOPE_SPANS: &[Field] = &[
    ("scope", 1, Kind::Message(SCOPE)),
    ("spans", 2, Kind::Message(SPAN)),
];
static SPAN: &[Field] = &[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, Whole),
    ("startTimeUnixNano", 7, Fixed),
    ("endTimeUnixNano", 8, Fixed),
    ("attributes", 9, Kind::Message(PAIR)),
    ("events", 11, Kind::Message(SPAN_EVENT)),
    ("links", 13, Kind::Message(LINK)),
    ("status", 15, Kind::Message(STATUS)),
];
static SPAN_EVENT: &[Field] = &[
    ("timeUnixNano", 1, Fixed),
    ("name", 2, Text),
    ("attributes", 3, Kind::Message(PAIR)),
];
static LINK: &[Field] = &[("traceId", 1, Hex), ("spanId", 2, Hex)];
static STATUS: &[Field] = &[("message", 2, Text), ("code", 3, Whole)];
static METRICS: &[Field] = &[("resourceMetrics", 1, Kind::Message(RESOURCE_METRICS))];
static RESOURCE_METRICS: &[Field] = &[
    ("resource", 1, Kind::Message(RESOURCE)),
    ("scopeMetrics", 2, Kind::Message(SCOPE_METRICS)),
];
static SCOPE_METRICS: &[Field] = &[
    ("scope", 1, Kind::Message(SCOPE)),
    ("metrics", 2, Kind::Message(METRIC)),
];
static METRIC: &[Field] = &[
    ("name", 1, Text),
    ("unit", 3, Text),
    ("gauge", 5, Kind::Message(NUMBERS)),
    ("sum", 7, Kind::Message(NUMBERS)),
    ("histogram", 9, Kind::Message(HISTOGRAMS)),
    ("exponentialHistogram", 10, Kind::Message(EXPONENTIALS)),
    ("summary", 11, Kind::Message(SUMMARIES)),
];
static NUMBERS: &[Field] = &[
    ("dataPoints", 1, Kind::Message(NUMBER)),
    ("aggregationTemporality", 2, Whole),
    ("isMonotonic", 3, Bool),
];
static NUMBER: &[Field] = &[
    ("timeUnixNano", 3, Fixed),
    ("asDouble", 4, Double),
    ("exemplars", 5, Kind::Message(EXEMPLAR)),
    ("asInt", 6, Fixed),
    ("attributes", 7, Kind::Message(PAIR)),
];
static HISTOGRAMS: &[Field] = &[
    ("dataPoints", 1, Kind::Message(HISTOGRAM)),
    ("aggregationTemporality", 2, Whole),
];
static HISTOGRAM: &[Field] = &[
    ("timeUnixNano", 3, Fixed),
    ("count", 4, Fixed),
    ("sum", 5, Double),
    ("bucketCounts", 6, Fixed),
    ("explicitBounds", 7, Double),
    ("exemplars", 8, Kind::Message(EXEMPLAR)),
    ("attributes", 9, Kind::Message(PAIR)),
    ("min", 11, Double),
    ("max", 12, Double),
];
static EXPONENTIALS: &[Field] = &[
    ("dataPoints", 1, Kind::Message(EXPONENTIAL)),
    ("aggregationTemporality", 2, Whole),
];
static EXPONENTIAL: &[Field] = &[
    ("attributes", 1, Kind::Message(PAIR)),
    ("timeUnixNano", 3, Fixed),
    ("count", 4, Fixed),
    ("sum", 5, Double),
    ("scale", 6, Zigzag),
    ("zeroCount", 7, Fixed),
    ("positive", 8, Kind::Message(BUCKETS)),
    ("negative", 9, Kind::Message(BUCKETS)),
    ("exemplars", 11, Kind::Message(EXEMPLAR)),
    ("min", 12, Double),
    ("max", 13, Double),
    ("zeroThreshold", 14, Double),
];
static BUCKETS: &[Field] = &[("offset", 1, Zigzag), ("bucketCounts", 2, Whole)];
static SUMMARIES: &[Field] = &[("dataPoints", 1, Kind::Message(SUMMARY))];
static SUMMARY: &[Field] = &[
    ("timeUnixNano", 3, Fixed),
    ("count", 4, Fixed),
    ("sum", 5, Double),
    ("quantileValues", 6, Kind::Message(QUANTILE)),
    ("attributes", 7, Kind::Message(PAIR)),
];
static QUANTILE: &[Field] = &[("quantile", 1, Double), ("value", 2, Double)];
static EXEMPLAR: &[Field] = &[
    ("timeUnixNano", 2, Fixed),
    ("asDouble", 3, Double),
    ("spanId", 4, Hex),
    ("traceId", 5, Hex),
    ("asInt", 6, Fixed),
    ("filteredAttributes", 7, Kind::Message(PAIR)),
];

/// The protobuf form of a request in JSON.
pub fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, OtlpJsonError> {
    let text = String::from_utf8_lossy(body);
    let parsed: Value =
        serde_json::from_str(&text).map_err(|error| OtlpJsonError::Json(error.to_string()))?;
    let fields = match signal {
        Signal::Logs => LOGS,
        Signal::Metrics => METRICS,
        Signal::Traces => TRACES,
    };
    let Value::Object(object) = parsed else {
        return Err(OtlpJsonError::Json("not an object".into()));
    };
    Ok(message(fields, &object)?.0)
}

fn message(
    fields: &'static [Field],
    object: &Map<String, Value>,
) -> Result<Message, OtlpJsonError> {
    let mut out = Message::default();
    for (name, value) in object {
        let same = |field: &&Field| field.0 == name || is_snake_of(name, field.0);
        let Some(field) = fields.iter().find(same) else {
            continue;
        };
        match value {
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    put(&mut out, field, value)?;
                }
            }
            value => put(&mut out, field, value)?,
        }
    }
    Ok(out)
}

/// Whether `text` is the snake_case of a camelCase name: some senders write the proto's names.
fn is_snake_of(text: &str, camel: &str) -> bool {
    text.contains('_') && text.replace('_', "").eq_ignore_ascii_case(camel)
}

fn put(out: &mut Message, field: &Field, value: &Value) -> Result<(), OtlpJsonError> {
    let (name, number, kind) = *field;
    let wrong = |expected: &'static str| OtlpJsonError::Field {
        field: name,
        expected,
    };
    match kind {
        Text => out.bytes(number, value.as_str().ok_or(wrong("text"))?.as_bytes()),
        Hex => {
            let text = value.as_str().ok_or(wrong("hexadecimal digits"))?;
            out.bytes(number, &unhex(text).ok_or(wrong("hexadecimal digits"))?);
        }
        Base64 => {
            use base64::Engine;
            let text = value.as_str().ok_or(wrong("base64"))?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            out.bytes(number, &bytes.map_err(|_| wrong("base64"))?);
        }
        Bool => out.varint(
            number,
            value.as_bool().ok_or(wrong("true or false"))?.into(),
        ),
        Whole => out.varint(number, whole(value).ok_or(wrong("a whole number"))?),
        Zigzag => {
            let value = whole(value).ok_or(wrong("a whole number"))? as i64;
            out.varint(number, ((value << 1) ^ (value >> 63)) as u64);
        }
        Fixed => out.fixed64(number, whole(value).ok_or(wrong("a whole number"))?),
        Double => {
            let value = double(value).ok_or(wrong("a number"))?;
            out.fixed64(number, value.to_bits());
        }
        Kind::Message(_) | Kind::Values | Kind::Pairs => {
            let fields = match kind {
                Kind::Message(fields) => fields,
                Kind::Values => VALUES,
                _ => PAIRS,
            };
            let object = value.as_object().ok_or(wrong("an object"))?;
            out.bytes(number, &message(fields, object)?.0);
        }
    }
    Ok(())
}

/// Signed numbers keep their bits. Enumerations by name are read by what their names end in.
fn whole(value: &Value) -> Option<u64> {
    let from_text = |text: &str| {
        let signed = || text.parse::<i64>().ok().map(|number| number as u64);
        text.parse::<u64>()
            .ok()
            .or_else(signed)
            .or_else(|| by_name(text))
    };
    match value {
        Value::Number(number) => {
            let signed = || number.as_i64().map(|number| number as u64);
            let float = || {
                number
                    .as_f64()
                    .filter(|n| n.fract() == 0.0)
                    .map(|n| n as i64 as u64)
            };
            number.as_u64().or_else(signed).or_else(float)
        }
        Value::String(text) => from_text(text),
        _ => None,
    }
}

fn by_name(text: &str) -> Option<u64> {
    let names: &[(&str, u64)] = &[
        ("SPAN_KIND_INTERNAL", 1),
        ("SPAN_KIND_SERVER", 2),
        ("SPAN_KIND_CLIENT", 3),
        ("SPAN_KIND_PRODUCER", 4),
        ("SPAN_KIND_CONSUMER", 5),
        ("STATUS_CODE_UNSET", 0),
        ("STATUS_CODE_OK", 1),
        ("STATUS_CODE_ERROR", 2),
        ("AGGREGATION_TEMPORALITY_DELTA", 1),
        ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
        ("SEVERITY_NUMBER_TRACE", 1),
        ("SEVERITY_NUMBER_DEBUG", 5),
        ("SEVERITY_NUMBER_INFO", 9),
        ("SEVERITY_NUMBER_WARN", 13),
        ("SEVERITY_NUMBER_ERROR", 17),
        ("SEVERITY_NUMBER_FATAL", 21),
    ];
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|(_, number)| *number)
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 64 {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    digits
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}
