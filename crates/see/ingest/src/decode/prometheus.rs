//! Prometheus' metrics: the text that is scraped (its own format and OpenMetrics, with
//! exemplars), and what remote-write 1.0 sends.

use super::protobuf::{Fields, Wire, WireError};
use crate::record::{Record, floor};
use crate::reject::{Decoded, Reason};
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;
use std::collections::BTreeMap;

/// What a stale series' last sample is (a NaN with a message).
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// Samples of one scrape; a larger target is cut there, and counted.
pub const SAMPLES_MAX: usize = 500_000;

/// How the text writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `text/plain; version=0.0.4`: milliseconds.
    Prometheus,
    /// `application/openmetrics-text`: seconds.
    OpenMetrics,
}

/// A series' name and labels.
#[derive(Debug, Default, Clone, PartialEq)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

/// Reads what a target exposes; `extra` labels (`job`, `instance`) go to each sample that does
/// not have them. A line that is none is told, the others are taken.
pub fn text(
    body: &[u8],
    format: TextFormat,
    extra: &[(String, String)],
    received: Timestamp,
) -> Decoded {
    let mut out = Decoded::default();
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    let body = String::from_utf8_lossy(body);
    for (number, line) in body.lines().enumerate() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            let (what, name) = (words.next(), words.next().unwrap_or_default());
            let family = match what {
                Some("TYPE" | "UNIT") => families.entry(name.to_owned()).or_default(),
                _ => continue,
            };
            let word = words.next().unwrap_or_default().to_owned();
            match what {
                Some("TYPE") => family.0 = word,
                _ => family.1 = word,
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        if out.events.len() >= SAMPLES_MAX {
            out.reject(
                number as u64 + 1,
                Reason::TooMany,
                format!("more than {SAMPLES_MAX} samples"),
            );
            continue;
        }
        match sample(line, format) {
            Ok(sample) => {
                let family = families.get(family_of(&sample.series.name, &families));
                sample.put(family, extra, received, &mut out);
            }
            Err(error) => out.reject(number as u64 + 1, Reason::Malformed, error),
        }
    }
    out
}

fn family_of<'a>(name: &'a str, families: &BTreeMap<String, (String, String)>) -> &'a str {
    if families.contains_key(name) {
        return name;
    }
    let suffixes = ["_total", "_sum", "_count", "_bucket", "_created", "_info"];
    let mut bases = suffixes
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix));
    bases
        .find(|base| families.contains_key(*base))
        .unwrap_or(name)
}

/// Labels, value, and microseconds since 1970.
type Exemplar = (Vec<(String, String)>, f64, Option<f64>);

struct Sample {
    series: Series,
    value: f64,
    at: Option<f64>,
    exemplar: Option<Exemplar>,
}

impl Sample {
    fn put(
        self,
        family: Option<&(String, String)>,
        extra: &[(String, String)],
        received: Timestamp,
        out: &mut Decoded,
    ) {
        let mut record =
            Record::with_capacity(received, 6 + self.series.labels.len() + extra.len());
        put_series(
            &mut record,
            "metric",
            &self.series,
            Some(number(self.value)),
        );
        if let Some((kind, unit)) = family {
            for (name, word) in [("metric.type", kind), ("unit", unit)] {
                if !word.is_empty() {
                    record.put_text(name, word);
                }
            }
        }
        put_extra(&mut record, extra);
        if let Some(micros) = self.at {
            record.happened(Timestamp(micros as i64));
        }
        out.push(record);
        let Some((labels, value, at)) = self.exemplar else {
            return;
        };
        let mut record = Record::new(received);
        put_series(&mut record, "exemplar", &self.series, Some(number(value)));
        put_exemplar_labels(&mut record, &labels);
        put_extra(&mut record, extra);
        if let Some(micros) = at {
            record.happened(Timestamp(micros as i64));
        }
        out.push(record);
    }
}

fn put_series(record: &mut Record, kind: &str, series: &Series, value: Option<Value>) {
    record.put(key::KIND, kind);
    record.put_text(key::NAME, &series.name);
    match value {
        Some(value) => record.put(key::VALUE, value),
        None => record.put("stale", Value::Bool(true)),
    }
    record.protect();
    for (name, value) in &series.labels {
        record.put_text(name, value);
    }
}

/// `job` is what OpenTelemetry calls `service.name`.
fn put_extra(record: &mut Record, extra: &[(String, String)]) {
    for (name, value) in extra {
        record.put_absent(name, value.as_str());
    }
    if let Some(Value::Text(job)) = record.get("job").cloned() {
        record.put_absent(key::SERVICE, job);
    }
}

fn put_exemplar_labels(record: &mut Record, labels: &[(String, String)]) {
    for (name, value) in labels {
        match name.as_str() {
            "trace_id" | "traceID" | "TraceID" => record.put_text(key::TRACE_ID, value),
            "span_id" | "spanID" | "SpanID" => record.put_text(key::SPAN_ID, value),
            name => record.put_text(name, value),
        }
    }
}

/// A whole number where nothing is lost by it: most counters are.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        Value::Integer(value as i64)
    } else {
        Value::Float(value)
    }
}

/// `name{label="value",...} value [time] [# {label="value",...} value [time]]`
fn sample(line: &str, format: TextFormat) -> Result<Sample, String> {
    let (series, rest) = series(line)?;
    let (sample, exemplar) = match rest.split_once(" # ") {
        Some((sample, exemplar)) => (sample, Some(exemplar)),
        None => (rest, None),
    };
    let mut words = sample.split_whitespace();
    let value = words.next().ok_or("no value")?;
    let value = float(value).ok_or_else(|| format!("\"{}\" is no number", short(value)))?;
    let at = words.next().map(|word| time(word, format)).transpose()?;
    if words.next().is_some() {
        return Err("more after the time".into());
    }
    let exemplar = exemplar.and_then(|text| {
        let (series, rest) = series_labels(text.trim_start()).ok()?;
        let mut words = rest.split_whitespace();
        let value = float(words.next()?)?;
        let at = words
            .next()
            .and_then(|word| time(word, TextFormat::OpenMetrics).ok());
        Some((series.labels, value, at))
    });
    Ok(Sample {
        series,
        value,
        at,
        exemplar,
    })
}

fn series(line: &str) -> Result<(Series, &str), String> {
    let end = line.find(['{', ' ', '\t']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !rest.starts_with('{') {
        let series = Series {
            name: name.to_owned(),
            labels: Vec::new(),
        };
        return Ok((series, rest));
    }
    let (mut series, rest) = series_labels(rest)?;
    if !name.is_empty() {
        series.name = name.to_owned();
    }
    match series.name.as_str() {
        "" => Err("no name".into()),
        _ => Ok((series, rest)),
    }
}

/// `{a="b","quoted name"="c"}`; a quoted text alone is the metric's name.
fn series_labels(text: &str) -> Result<(Series, &str), String> {
    let mut rest = text.strip_prefix('{').ok_or("no labels")?;
    let mut series = Series::default();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((series, after));
        }
        let (name, after) = match rest.strip_prefix('"') {
            Some(inner) => quoted(inner)?,
            None => {
                let end = rest
                    .find(['=', '}', ','])
                    .ok_or("a label is never closed")?;
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        let after = after.trim_start();
        match after.strip_prefix('=') {
            Some(value) => {
                let inner = value
                    .trim_start()
                    .strip_prefix('"')
                    .ok_or("a label's value has no quotes")?;
                let (value, after) = quoted(inner)?;
                series.labels.push((name, value));
                rest = after;
            }
            None if rest.starts_with('"') => {
                series.name = name;
                rest = after;
            }
            None => return Err("a label without a value".into()),
        }
    }
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            '"' => return Ok((value, &text[place + 1..])),
            char => value.push(char),
        }
    }
    Err("a quote is never closed".into())
}

fn float(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// Microseconds since 1970.
fn time(text: &str, format: TextFormat) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("\"{}\" is no time", short(text)))?;
    Ok(match format {
        TextFormat::Prometheus => number * 1e3,
        TextFormat::OpenMetrics => number * 1e6,
    })
}

fn short(text: &str) -> &str {
    &text[..floor(text, 40)]
}

/// Reads a remote-write 1.0 request, unpacked.
pub fn remote_write(body: &[u8], received: Timestamp) -> Result<Decoded, WireError> {
    let mut out = Decoded::default();
    for field in Fields::new(body) {
        if let (1, Wire::Bytes(bytes)) = field? {
            time_series(bytes, received, &mut out)?;
        }
    }
    Ok(out)
}

fn time_series(bytes: &[u8], received: Timestamp, out: &mut Decoded) -> Result<(), WireError> {
    let mut series = Series::default();
    for field in Fields::new(bytes) {
        if let (1, Wire::Bytes(bytes)) = field? {
            let (name, value) = label(bytes)?;
            match name.as_str() {
                "__name__" => series.name = value,
                _ => series.labels.push((name, value)),
            }
        }
    }
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        let (kind, Wire::Bytes(bytes)) = (number, value) else {
            continue;
        };
        let mut record = Record::with_capacity(received, series.labels.len() + 4);
        match kind {
            2 => {
                let (value, at) = remote_sample(bytes, (1, 2))?;
                put_series(&mut record, "metric", &series, value);
                record.happened(at);
            }
            3 => {
                let (value, at) = remote_sample(bytes, (2, 3))?;
                put_series(&mut record, "exemplar", &series, value);
                record.happened(at);
                let mut labels = Vec::new();
                for field in Fields::new(bytes) {
                    if let (1, Wire::Bytes(bytes)) = field? {
                        labels.push(label(bytes)?);
                    }
                }
                put_exemplar_labels(&mut record, &labels);
            }
            4 => native_histogram(bytes, &series, &mut record)?,
            _ => continue,
        }
        put_extra(&mut record, &[]);
        out.push(record);
    }
    Ok(())
}

/// A native histogram: its count, its sum and their mean; its buckets are not read.
fn native_histogram(bytes: &[u8], series: &Series, record: &mut Record) -> Result<(), WireError> {
    let (mut count, mut sum, mut millis) = (0.0, 0.0, 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, value @ Wire::Varint(_)) => count = value.number() as f64,
            (2, value @ Wire::Fixed64(_)) => count = value.float(),
            (3, value) => sum = value.float(),
            (15, value) => millis = value.signed(),
            _ => {}
        }
    }
    let mean = if count > 0.0 { sum / count } else { 0.0 };
    put_series(record, "metric", series, Some(Value::Float(mean)));
    record.put("metric.type", "histogram");
    record.put("count", number(count));
    record.put("sum", Value::Float(sum));
    record.happened(Timestamp(millis.saturating_mul(1000)));
    Ok(())
}

/// A sample's value, none where its series became stale, and its time.
fn remote_sample(
    bytes: &[u8],
    (value_at, time_at): (u32, u32),
) -> Result<(Option<Value>, Timestamp), WireError> {
    // Zeros are left out on the wire.
    let mut value = Wire::Fixed64(0);
    let mut millis = 0;
    for field in Fields::new(bytes) {
        match field? {
            (found, wire) if found == value_at => value = wire,
            (found, wire) if found == time_at => millis = wire.signed(),
            _ => {}
        }
    }
    let value = (value.number() != STALE).then(|| number(value.float()));
    Ok((value, Timestamp(millis.saturating_mul(1000))))
}

fn label(bytes: &[u8]) -> Result<(String, String), WireError> {
    let mut pair = [String::new(), String::new()];
    for field in Fields::new(bytes) {
        if let (number @ (1 | 2), Wire::Bytes(text)) = field? {
            pair[number as usize - 1] = String::from_utf8_lossy(text).into_owned();
        }
    }
    let [name, value] = pair;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::Message;
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
    }

    #[test]
    fn scraped_text_becomes_samples_and_exemplars() {
        let body = "# HELP http_requests_total Requests\n# TYPE http_requests_total counter\n\
            http_requests_total{method=\"post\",kind=\"k\",path=\"C:\\\\a \\\"b\\\"\\n\"} 1027 1763604000125\n\
            # TYPE took histogram\n# UNIT took seconds\n\
            took_bucket{le=\"+Inf\"} 3 # {trace_id=\"abc\"} 0.67 1763604000.5\n\
            temp -Inf\nbroken{a=\"b\nno_value\nx 1 2 3\n{\"utf8.name\",a=\"b\"} 1.5\n# EOF\n";
        let extra = [("job".to_owned(), "web".to_owned())];
        let out = text(body.as_bytes(), TextFormat::Prometheus, &extra, now());
        assert_eq!(out.events.len(), 5);
        let told: Vec<_> = out
            .rejected
            .iter()
            .map(|r| (r.line, r.error.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (8, "a quote is never closed"),
                (9, "no value"),
                (10, "more after the time")
            ]
        );
        let first = &out.events[0];
        assert_eq!(first.at.to_string(), "2025-11-20T02:00:00.125Z");
        assert_eq!(first.get("path"), Some(&"C:\\a \"b\"\n".into()));
        assert_eq!(first.get("value"), Some(&Value::Integer(1027)));
        assert_eq!(first.get("service.name"), Some(&"web".into()));
        assert_eq!(first.get("metric.type"), Some(&"counter".into()));
        assert_eq!(first.get("label.kind"), Some(&"k".into()));
        assert_eq!(first.get("kind"), Some(&"metric".into()));
        assert_eq!(out.events[1].get("unit"), Some(&"seconds".into()));
        assert_eq!(out.events[2].get("kind"), Some(&"exemplar".into()));
        assert_eq!(out.events[2].get("trace_id"), Some(&"abc".into()));
        assert_eq!(out.events[2].at.to_string(), "2025-11-20T02:00:00.500Z");
        assert_eq!(out.events[4].get("name"), Some(&"utf8.name".into()));
    }

    #[test]
    fn remote_writes_become_samples() {
        let pair = |name: &str, value: &str| {
            let mut label = Message::default();
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
            label.0
        };
        let sample = |value: u64, millis: u64| {
            let mut sample = Message::default();
            sample.fixed64(1, value);
            sample.varint(2, millis);
            sample.0
        };
        let mut series = Message::default();
        series.bytes(1, &pair("__name__", "up"));
        series.bytes(1, &pair("job", "web"));
        series.bytes(2, &sample(1.5f64.to_bits(), 1_763_604_000_125));
        series.bytes(2, &sample(STALE, 1_763_604_000_125));
        let mut exemplar = Message::default();
        exemplar.bytes(1, &pair("trace_id", "abc"));
        exemplar.fixed64(2, 2f64.to_bits());
        exemplar.varint(3, 1_763_604_000_125);
        series.bytes(3, &exemplar.0);
        let mut request = Message::default();
        request.bytes(1, &series.0);
        let events = remote_write(&request.0, now()).unwrap().events;
        assert_eq!(events[0].get("value"), Some(&Value::Float(1.5)));
        assert_eq!(events[0].at.to_string(), "2025-11-20T02:00:00.125Z");
        assert_eq!(events[1].get("stale"), Some(&Value::Bool(true)));
        assert_eq!(events[2].get("trace_id"), Some(&"abc".into()));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, line in "[a{}\"=,#\\\\ 1.\nä]{0,60}") {
            let _ = remote_write(&bytes, now());
            text(&bytes, TextFormat::OpenMetrics, &[], now());
            text(line.as_bytes(), TextFormat::Prometheus, &[], now());
        }
    }
}
