//! Graphite's plain text: `path value time`, with tags after the path (`path;tag=value`).

use crate::record::{Record, infer};
use crate::reject::{Decoded, Reason};
use crate::when;
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;

/// Reads one line; `number` is its place.
pub fn decode(line: &[u8], number: u64, received: Timestamp, out: &mut Decoded) {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace();
    let (path, value, time) = (words.next(), words.next(), words.next());
    let Some(path) = path else {
        return;
    };
    let Some(value) = value.and_then(|value| value.parse::<f64>().ok()) else {
        return out.reject(number, Reason::Malformed, "no number after the path");
    };
    let mut record = Record::with_capacity(received, 4);
    record.put(key::KIND, "metric");
    let mut parts = path.split(';');
    record.put_text(key::NAME, parts.next().unwrap_or_default());
    record.put(key::VALUE, Value::Float(value));
    record.protect();
    for tag in parts {
        if let Some((name, value)) = tag.split_once('=') {
            record.put(name, infer(name, value));
        }
    }
    match time {
        None | Some("-1" | "N") => {}
        Some(time) => match when::parse(time) {
            Some(at) => record.happened(at),
            None => return out.reject(number, Reason::BadTime, "the time is no number"),
        },
    }
    out.push(record);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Decoded {
        let mut out = Decoded::default();
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        decode(line.as_bytes(), 1, now, &mut out);
        out
    }

    #[test]
    fn lines_become_samples() {
        let event = &read("servers.web-1.load;dc=eu;rack=7 0.25 1763604000").events[0];
        assert_eq!(event.at.to_string(), "2025-11-20T02:00:00.000Z");
        assert_eq!(event.get("name"), Some(&"servers.web-1.load".into()));
        assert_eq!(event.get("rack"), Some(&Value::Integer(7)));
        assert_eq!(event.get("value"), Some(&Value::Float(0.25)));
        assert_eq!(read("a 1 -1").events.len(), 1);
        assert_eq!(
            read("a one 1").rejected[0].error,
            "no number after the path"
        );
        assert_eq!(read("a 1 soon").rejected[0].error, "the time is no number");
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(line in "[a;= 1.ä-]{0,40}") {
            read(&line);
        }
    }
}
