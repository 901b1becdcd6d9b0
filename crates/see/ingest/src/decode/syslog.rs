//! Syslog records: RFC 5424, RFC 3164 and the many things that devices send for it. Whatever
//! begins with no priority is still a record, with all of it as its body.

use super::words::syslog_severity;
use crate::record::{Record, infer};
use crate::when;
use andon_model::event::{Value, key};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
/// Parameters of structured data that are kept of one record.
const PARAMETERS_MAX: usize = 256;

/// Puts what a record says into `record`; `local_offset` is the machine's zone in seconds east
/// of Greenwich, since RFC 3164 names none. Returns whether it had a priority.
pub fn parse(bytes: &[u8], record: &mut Record, local_offset: i64) -> bool {
    let end = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    let text = record
        .text(&bytes[..end.map_or(0, |end| end + 1)])
        .into_owned();
    record.put(key::KIND, "log");
    let Some((priority, rest)) = priority(&text) else {
        if !header_3164(&text, record, local_offset) {
            record.put_text(key::BODY, &text);
        }
        return false;
    };
    record.put(key::SEVERITY, syslog_severity(priority % 8));
    if let Some(facility) = FACILITIES.get(usize::from(priority / 8)) {
        record.put("syslog.facility", *facility);
    }
    let is_5424 = rest
        .strip_prefix("1 ")
        .is_some_and(|rest| header_5424(rest, record));
    if !is_5424 && !header_3164(rest, record, local_offset) {
        record.put_text(key::BODY, rest);
    }
    true
}

/// Whether bytes begin like a syslog record: `<134>`.
pub fn has_priority(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'<')
        && priority(&String::from_utf8_lossy(&bytes[..bytes.len().min(5)])).is_some()
}

fn priority(text: &str) -> Option<(u8, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let priority = number
        .parse()
        .ok()
        .filter(|priority| is_number && *priority <= 191)?;
    Some((priority, rest))
}

/// `TIMESTAMP HOST APP PROCID MSGID SD MSG`. False leaves the record as it was.
fn header_5424(text: &str, record: &mut Record) -> bool {
    let mut parts = text.splitn(6, ' ');
    let mut next = || parts.next();
    let (Some(at), Some(host), Some(app), Some(process), Some(id), Some(rest)) =
        (next(), next(), next(), next(), next(), next())
    else {
        return false;
    };
    match (at, when::rfc3339(at.as_bytes())) {
        (_, Some(at)) => record.happened(at),
        ("-", None) => {}
        _ => return false,
    }
    put_unless_nil(record, key::HOST, host);
    put_unless_nil(record, key::SERVICE, app);
    if process != "-" {
        record.put("process.pid", infer("pid", process));
    }
    put_unless_nil(record, "syslog.msgid", id);
    let message = structured_data(rest, record);
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    record.put_text(key::BODY, message);
    true
}

fn put_unless_nil(record: &mut Record, key: &str, text: &str) {
    if !matches!(text, "-" | "") {
        record.put_text(key, text);
    }
}

/// Reads `-` or `[id name="value" ...]...`; returns what follows.
fn structured_data<'a>(text: &'a str, record: &mut Record) -> &'a str {
    if let Some(rest) = text.strip_prefix('-') {
        return rest.strip_prefix(' ').unwrap_or(rest);
    }
    let mut rest = text;
    let mut parameters = 0;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).unwrap_or(element.len());
        let (id, mut inner) = element.split_at(end);
        let id = id.split('@').next().unwrap_or(id);
        while let Some(parameter) = inner.strip_prefix(' ') {
            let Some((name, value)) = parameter.split_once("=\"") else {
                break;
            };
            let (value, after) = quoted(value);
            if parameters < PARAMETERS_MAX {
                record.put(&format!("syslog.sd.{id}.{name}"), infer(name, &value));
            }
            parameters += 1;
            inner = after;
        }
        match inner.split_once(']') {
            Some((_, after)) => rest = after,
            None => return "",
        }
    }
    rest.strip_prefix(' ').unwrap_or(rest)
}

/// A value until its closing quote, which is read too.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' => return (value, &text[place + 1..]),
            char => value.push(char),
        }
    }
    (value, "")
}

/// `Oct 11 22:14:15 host tag[pid]: message`, or the same with an RFC 3339 time as rsyslog
/// forwards it, with or without a host. False leaves the record as it was.
pub fn header_3164(text: &str, record: &mut Record, local_offset: i64) -> bool {
    let bytes = text.as_bytes();
    let old = when::rfc3164_prefix(bytes, record.received(), local_offset);
    let Some((at, taken)) = old.or_else(|| when::rfc3339_prefix(bytes)) else {
        return false;
    };
    let Some(rest) = text.get(taken..).and_then(|rest| rest.strip_prefix(' ')) else {
        return false;
    };
    record.happened(at);
    // The host may be missing: then the first word is the tag, which ends in a colon.
    let first_end = rest.find(' ').unwrap_or(rest.len());
    let first = &rest[..first_end];
    let rest = if first.ends_with(':') || first.contains('[') {
        rest
    } else {
        put_unless_nil(record, key::HOST, first);
        rest[first_end..].trim_start_matches(' ')
    };
    let message = tag(rest, record);
    record.put_text(key::BODY, message);
    true
}

/// Takes `tag[pid]: ` or `tag: ` off a message.
fn tag<'a>(text: &'a str, record: &mut Record) -> &'a str {
    let end = text.find([' ', ':', '[']).unwrap_or(text.len());
    let (tag, rest) = text.split_at(end);
    if tag.is_empty() || tag.len() > 128 {
        return text;
    }
    let (pid, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((pid, rest)) => (Some(pid), rest),
        None => (None, rest),
    };
    let Some(message) = rest.strip_prefix(':') else {
        return text;
    };
    record.put_text(key::SERVICE, tag);
    match pid.map(|pid| infer("pid", pid)) {
        Some(pid @ Value::Integer(_)) => record.put("process.pid", pid),
        Some(other) => record.put("process.pid", other),
        None => {}
    }
    message.strip_prefix(' ').unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Mends;
    use andon_model::event::Event;
    use andon_model::time::Timestamp;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Event {
        let mut record = Record::new(Timestamp::parse("2026-11-21T14:00:00Z").unwrap());
        parse(bytes, &mut record, 3600);
        record.finish(&mut Mends::default())
    }

    fn check(text: &str, at: &str, expected: &[(&str, &str)]) {
        let event = read(text.as_bytes());
        assert_eq!(event.at.to_string(), at, "{text}");
        for (key, value) in expected {
            let said = event.get(key).map(ToString::to_string);
            assert_eq!(said.as_deref(), Some(*value), "{key} of {text}");
        }
    }

    #[test]
    fn records_of_both_rfcs_are_read() {
        check(
            "<165>1 2026-10-11T22:14:15.003Z mail.example su 99 ID47 [ex@32473 iut=\"3\" text=\"a \\\"b\\\" \\]\"][o@1] \u{feff}An event",
            "2026-10-11T22:14:15.003Z",
            &[
                ("host.name", "mail.example"),
                ("service.name", "su"),
                ("process.pid", "99"),
                ("syslog.msgid", "ID47"),
                ("syslog.sd.ex.iut", "3"),
                ("syslog.sd.ex.text", "a \"b\" ]"),
                ("body", "An event"),
                ("severity_text", "info"),
                ("syslog.facility", "local4"),
            ],
        );
        check(
            "<34>1 - - - - - -",
            "2026-11-21T14:00:00.000Z",
            &[("severity_text", "fatal"), ("body", "")],
        );
        check(
            "<34>Oct 11 22:14:15 mymachine su[7]: 'su root' failed\n",
            "2026-10-11T21:14:15.000Z",
            &[
                ("host.name", "mymachine"),
                ("service.name", "su"),
                ("process.pid", "7"),
                ("body", "'su root' failed"),
            ],
        );
        check(
            "<13>Nov  9 01:02:03 root: no host here",
            "2026-11-09T00:02:03.000Z",
            &[("service.name", "root"), ("body", "no host here")],
        );
        check(
            "<13>2026-11-20T03:20:00.5+01:00 web-1 nginx: x y",
            "2026-11-20T02:20:00.500Z",
            &[
                ("host.name", "web-1"),
                ("service.name", "nginx"),
                ("body", "x y"),
            ],
        );
        check(
            "<13>just words",
            "2026-11-21T14:00:00.000Z",
            &[("body", "just words"), ("severity_text", "info")],
        );
        check("<999>x", "2026-11-21T14:00:00.000Z", &[("body", "<999>x")]);
        check(
            "<13>1 broken",
            "2026-11-21T14:00:00.000Z",
            &[("body", "1 broken")],
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_well_as_possible() {
        let event = read(b"<13>Nov  9 01:02:03 h t: caf\xe9\0");
        assert_eq!(event.get("body"), Some(&"caf\u{fffd}".into()));
        assert_eq!(event.get("andon.mended"), Some(&"utf8".into()));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, text in "<1[0-9]>1? ?[-a :\\[\\]=\"\\\\1ä]{0,60}") {
            read(&bytes);
            read(text.as_bytes());
            read(format!("<13>1 - - - - - {text}").as_bytes());
            read(format!("<13>Nov  9 01:02:03 {text}").as_bytes());
        }
    }
}
