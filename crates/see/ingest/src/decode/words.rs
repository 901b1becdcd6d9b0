//! Words that logs use for the same things, and the units they write.

use crate::record::{Record, infer};
use andon_model::event::{Value, key};

/// OpenTelemetry's and Andon's name for what a log calls otherwise. Only for lines that
/// programs write for people; what is sent to Andon by name keeps its names.
pub fn usual_key(name: &str) -> &str {
    match name {
        "msg" | "message" | "@message" | "log" | "MESSAGE" => key::BODY,
        "level" | "lvl" | "severity" | "log.level" | "loglevel" | "@level" => key::SEVERITY,
        "traceId" | "traceID" | "trace.id" | "otelTraceID" => key::TRACE_ID,
        "spanId" | "spanID" | "span.id" | "otelSpanID" => key::SPAN_ID,
        "service" | "otelServiceName" => key::SERVICE,
        "host" | "hostname" => key::HOST,
        "durationMs" | "elapsed_ms" | "took_ms" | "latency_ms" => key::DURATION_MS,
        name => name,
    }
}

/// One of `trace`, `debug`, `info`, `warn`, `error`, `fatal` for what logs write, if it is one.
pub fn severity(word: &str) -> Option<&'static str> {
    let known = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("finest", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("debu", "debug"),
        ("fine", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("informational", "info"),
        ("notice", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("eror", "error"),
        ("severe", "error"),
        ("fatal", "fatal"),
        ("crit", "fatal"),
        ("critical", "fatal"),
        ("alert", "fatal"),
        ("emerg", "fatal"),
        ("emergency", "fatal"),
        ("panic", "fatal"),
    ];
    let mut known = known.into_iter();
    known
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, severity)| severity)
}

/// Syslog's severity as OpenTelemetry's word. Source: RFC 5424 §6.2.1.
pub fn syslog_severity(number: u8) -> &'static str {
    match number {
        0..=2 => "fatal",
        3 => "error",
        4 => "warn",
        5 | 6 => "info",
        _ => "debug",
    }
}

/// Puts a pair of a log line under its usual name, levels as one of six words.
pub fn put_usual(record: &mut Record, name: &str, text: &str) {
    let usual = usual_key(name);
    let value = match usual {
        key::SEVERITY => severity(text).unwrap_or(text).into(),
        key::BODY | key::TRACE_ID | key::SPAN_ID | key::SERVICE | key::HOST => text.into(),
        _ => infer(usual, text),
    };
    record.put(usual, value);
}

/// Milliseconds of `1.5s`, `20ms`, `3m`, `2h`, `1d`, `150us`, `90ns`; a bare number is
/// milliseconds.
pub fn duration_ms(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let factor = match text[end..].trim() {
        "ns" => 1e-6,
        "us" | "µs" | "μs" => 1e-3,
        "" | "ms" => 1.0,
        "s" | "sec" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        "d" => 86_400e3,
        _ => return None,
    };
    Some(number * factor)
}

/// A status as it was said: a number such as HTTP's, else a word.
pub fn status(text: &str) -> Value {
    infer(key::STATUS, text)
}
