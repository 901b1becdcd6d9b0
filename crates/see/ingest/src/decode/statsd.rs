//! StatsD with DogStatsD's tags, rates, several values, events and service checks, and tags in
//! the name as Telegraf and InfluxDB write them.

use super::words;
use crate::record::{Record, infer};
use crate::reject::{Decoded, Reason};
use crate::when;
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;

/// Values of one line: each gets all its tags.
const VALUES_MAX: usize = 1000;

/// Reads the lines of one datagram, or whole lines of a connection.
pub fn decode(bytes: &[u8], received: Timestamp, out: &mut Decoded) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim).enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let taken = match () {
            _ if line.starts_with("_e{") => event(line, received, out),
            _ if line.starts_with("_sc|") => service_check(line, received, out),
            _ => metric(line, received, out),
        };
        if let Err(error) = taken {
            out.reject(number as u64 + 1, Reason::Malformed, error);
        }
    }
}

/// `name[,tag=value]:value[:value]|type[|@rate][|#tag:value,...][|T time][|c:container]`
fn metric(line: &str, received: Timestamp, out: &mut Decoded) -> Result<(), &'static str> {
    let mut parts = line.split('|');
    let head = parts.next().unwrap_or_default();
    let kind = parts.next().ok_or("no type after the value")?;
    let (name, values) = head.split_once(':').ok_or("no value after the name")?;
    let kind = match kind {
        "c" | "m" => "counter",
        "g" => "gauge",
        "ms" => "timer",
        "h" => "histogram",
        "d" => "distribution",
        "s" => "set",
        _ => return Err("the type is none of c, g, ms, h, d, s"),
    };
    let mut rate = 1.0;
    let mut template = Record::new(received);
    template.put(key::KIND, "metric");
    let mut name_tags = name.split(',');
    let name = name_tags.next().unwrap_or_default();
    if name.is_empty() {
        return Err("no name");
    }
    template.put_text(key::NAME, name);
    template.put("metric.type", kind);
    template.protect();
    for tag in name_tags {
        put_tag(&mut template, tag, '=');
    }
    for part in parts {
        if let Some(text) = part.strip_prefix('@') {
            rate = text.parse().map_err(|_| "the rate is no number")?;
            if !(rate > 0.0 && rate <= 1.0) {
                return Err("the rate is not above 0 and at most 1");
            }
        } else if let Some(tags) = part.strip_prefix('#') {
            tags.split(',')
                .for_each(|tag| put_tag(&mut template, tag, ':'));
        } else if let Some(container) = part.strip_prefix("c:") {
            template.put_text("container.id", container);
        } else if let Some(time) = part.strip_prefix('T').and_then(when::parse) {
            template.happened(time);
        }
    }
    if values.split(':').count() > VALUES_MAX {
        return Err("more than 1000 values in one line");
    }
    let is_number = |text: &str| kind == "set" || text.parse::<f64>().is_ok();
    if !values.split(':').all(is_number) {
        return Err("the value is no number");
    }
    for text in values.split(':') {
        let mut record = template.clone();
        put_value(&mut record, kind, text, rate);
        out.push(record);
    }
    Ok(())
}

fn put_value(record: &mut Record, kind: &str, text: &str, rate: f64) {
    let Some(number) = text.parse::<f64>().ok().filter(|_| kind != "set") else {
        return record.put_text("member", text);
    };
    let number = if kind == "counter" {
        number / rate
    } else {
        number
    };
    record.put(key::VALUE, Value::Float(number));
    if kind == "timer" {
        record.put(key::DURATION_MS, Value::Float(number));
        record.put("unit", "ms");
    }
    if kind == "gauge" && text.starts_with(['+', '-']) {
        record.put("metric.delta", Value::Bool(true));
    }
    if kind != "counter" && rate < 1.0 {
        record.put("sample_rate", Value::Float(rate));
    }
}

fn put_tag(record: &mut Record, tag: &str, separator: char) {
    match tag.split_once(separator) {
        Some((name, value)) if !name.is_empty() => {
            let name = match name {
                "service" => key::SERVICE,
                "host" => key::HOST,
                // What the sample itself says comes after its tags.
                key::VALUE => "label.value",
                key::DURATION_MS => "label.duration_ms",
                "unit" => "label.unit",
                name => name,
            };
            record.put(name, infer(name, value));
        }
        _ if !tag.is_empty() => record.put(tag, Value::Bool(true)),
        _ => {}
    }
}

/// `_e{5,4}:title|text|d:time|h:host|p:low|t:warning|s:source|#tags`
fn event(line: &str, received: Timestamp, out: &mut Decoded) -> Result<(), &'static str> {
    let wrong = "an event whose lengths do not fit";
    let (lengths, rest) = line[3..].split_once("}:").ok_or(wrong)?;
    let (title, text) = lengths.split_once(',').ok_or(wrong)?;
    let title_bytes: usize = title.parse().map_err(|_| wrong)?;
    let text_bytes: usize = text.parse().map_err(|_| wrong)?;
    let title = rest.get(..title_bytes).ok_or(wrong)?;
    let rest = rest
        .get(title_bytes..)
        .and_then(|rest| rest.strip_prefix('|'))
        .ok_or(wrong)?;
    let text = rest.get(..text_bytes).ok_or(wrong)?;
    let mut record = Record::new(received);
    record.put(key::KIND, "event");
    record.put_text(key::NAME, title);
    record.put_text(key::BODY, &text.replace("\\n", "\n"));
    fields(&rest[text_bytes..], &mut record);
    out.push(record);
    Ok(())
}

/// `_sc|name|status|d:time|h:host|#tags|m:message`
fn service_check(line: &str, received: Timestamp, out: &mut Decoded) -> Result<(), &'static str> {
    let mut parts = line.splitn(4, '|').skip(1);
    let name = parts.next().ok_or("a check without a name")?;
    let status = match parts.next() {
        Some("0") => "ok",
        Some("1") => "warning",
        Some("2") => "error",
        Some("3") => "unknown",
        _ => return Err("a check whose status is none of 0, 1, 2, 3"),
    };
    let mut record = Record::new(received);
    record.put(key::KIND, "event");
    record.put_text(key::NAME, name);
    record.put(key::STATUS, status);
    if let Some(rest) = parts.next() {
        fields(rest, &mut record);
    }
    out.push(record);
    Ok(())
}

fn fields(text: &str, record: &mut Record) {
    for part in text.split('|') {
        if let Some(tags) = part.strip_prefix('#') {
            tags.split(',').for_each(|tag| put_tag(record, tag, ':'));
            continue;
        }
        match part.split_once(':') {
            Some(("d", time)) => {
                if let Some(at) = when::parse(time) {
                    record.happened(at);
                }
            }
            Some(("h", host)) => record.put_text(key::HOST, host),
            Some(("t", level)) => {
                let level = words::severity(level).unwrap_or("info");
                record.put(key::SEVERITY, level);
            }
            Some(("m", text)) => record.put_text(key::BODY, text),
            Some(("s", source)) => record.put_text("source", source),
            Some(("p", priority)) => record.put_text("priority", priority),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Decoded {
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        let mut out = Decoded::default();
        decode(text.as_bytes(), now, &mut out);
        out
    }

    fn check(line: &str, expected: &[(&str, &str)]) {
        let out = read(line);
        assert_eq!(out.rejected, [], "{line}");
        for (key, value) in expected {
            let said = out.events[0].get(key).map(ToString::to_string);
            assert_eq!(said.as_deref(), Some(*value), "{key} of {line}");
        }
    }

    #[test]
    fn metrics_events_and_checks_are_read() {
        check(
            "page.views:1|c|@0.1|#region:eu,beta",
            &[
                ("name", "page.views"),
                ("value", "10"),
                ("region", "eu"),
                ("beta", "true"),
            ],
        );
        check(
            "took:320|ms",
            &[("duration_ms", "320"), ("metric.type", "timer")],
        );
        check("fuel:-10|g", &[("value", "-10"), ("metric.delta", "true")]);
        check(
            "users:ann|s|#service:web",
            &[("member", "ann"), ("service.name", "web")],
        );
        check(
            "cpu,host=a,zone=b:1.5|g",
            &[("value", "1.5"), ("host.name", "a"), ("zone", "b")],
        );
        check("x:1|c|T1763604000|c:abc", &[("container.id", "abc")]);
        check(
            "_e{6,9}:deploy|it went\\n|t:warning|h:web-1|#app:x",
            &[
                ("name", "deploy"),
                ("severity_text", "warn"),
                ("host.name", "web-1"),
            ],
        );
        check(
            "_sc|db.up|2|#app:x|m:gone",
            &[("status", "error"), ("body", "gone"), ("app", "x")],
        );
        assert_eq!(read("x:1:2:3|h\ny:1|c").events.len(), 4);
    }

    #[test]
    fn lines_that_are_none_are_told() {
        for (line, expected) in [
            ("x", "no type after the value"),
            ("x|c", "no value after the name"),
            ("x:1|q", "the type is none of c, g, ms, h, d, s"),
            ("x:one|c", "the value is no number"),
            ("x:1|c|@0", "the rate is not above 0 and at most 1"),
            (":1|c", "no name"),
            ("_e{5,99}:x|y", "an event whose lengths do not fit"),
        ] {
            let out = read(line);
            assert_eq!(
                out.rejected.first().map(|reject| reject.error.as_str()),
                Some(expected)
            );
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "[_esc{}0-9,:|@#TmgäX.\n-]{0,60}") {
            read(&text);
        }
    }
}
