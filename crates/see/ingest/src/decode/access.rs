//! Access logs of web servers: common and combined as Apache and nginx write them, with a
//! virtual host before or fields after, and HAProxy's HTTP and TCP lines.

use crate::record::{Record, infer};
use crate::when;
use andon_model::event::{Value, key};

/// A field: a word, or what stands in brackets, braces or quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field<'a> {
    Word(&'a str),
    Bracketed(&'a str),
    Braced(&'a str),
    Quoted(&'a str),
}

impl<'a> Field<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Word(text) | Self::Bracketed(text) | Self::Braced(text) | Self::Quoted(text) => {
                text
            }
        }
    }
}

/// Fields of a line; at most 64, since no server writes more by itself.
fn fields(line: &str) -> Vec<Field<'_>> {
    let mut fields = Vec::with_capacity(16);
    let mut rest = line.trim_start();
    while !rest.is_empty() && fields.len() < 64 {
        let (field, after) = match rest.as_bytes()[0] {
            b'[' => enclosed(rest, b']', Field::Bracketed),
            b'{' => enclosed(rest, b'}', Field::Braced),
            b'"' => enclosed(rest, b'"', Field::Quoted),
            _ => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (Field::Word(&rest[..end]), &rest[end..])
            }
        };
        fields.push(field);
        rest = after.trim_start();
    }
    fields
}

fn enclosed<'a>(text: &'a str, close: u8, field: fn(&'a str) -> Field<'a>) -> (Field<'a>, &'a str) {
    let bytes = text.as_bytes();
    let mut place = 1;
    while place < bytes.len() {
        match bytes[place] {
            b'\\' => place += 1,
            byte if byte == close => return (field(&text[1..place]), &text[place + 1..]),
            _ => {}
        }
        place += 1;
    }
    (field(&text[1..]), "")
}

/// Puts a request's line (`GET /a?b=c HTTP/1.1`) by OpenTelemetry's names.
fn put_request(record: &mut Record, request: &str) {
    record.put_text(key::BODY, request);
    let mut words = request.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method {
        return;
    }
    record.put("http.request.method", method);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    record.put_text("url.path", path);
    if let Some(query) = query {
        record.put_text("url.query", query);
    }
    if let Some(version) = words.next().and_then(|word| word.strip_prefix("HTTP/")) {
        record.put("network.protocol.version", version);
    }
}

fn put_status(record: &mut Record, status: i64) {
    record.put(key::STATUS, Value::Integer(status));
    record.put("http.response.status_code", Value::Integer(status));
    record.put(key::SEVERITY, if status >= 500 { "error" } else { "info" });
}

fn put_said(record: &mut Record, name: &str, text: &str) {
    if !matches!(text, "" | "-") {
        record.put_text(name, text);
    }
}

/// Common and combined, with a virtual host as the first field or further fields at the end:
/// a number with a point there is taken for nginx' `$request_time` in seconds, `rt=0.1` and
/// its like for what they say, and others are kept as `field.10` and on.
/// Returns whether the line is one; if not, the record is as it was.
pub fn parse_access(line: &str, record: &mut Record) -> bool {
    // Cheap refusal of all other lines.
    let Some(bracket) = line.find(" [") else {
        return false;
    };
    if when::access_log(&line.as_bytes()[bracket + 2..], 0).is_none()
        && !line[bracket..].contains("] \"")
    {
        return false;
    }
    let fields = fields(line);
    let Some(place) = fields
        .iter()
        .position(|field| matches!(field, Field::Bracketed(_)))
    else {
        return false;
    };
    let at = when::access_log(fields[place].text().as_bytes(), 0);
    let request = fields.get(place + 1).copied();
    let status = fields
        .get(place + 2)
        .and_then(|field| field.text().parse::<u16>().ok());
    let (Some(at), Some(Field::Quoted(request)), Some(status), true) =
        (at, request, status, (3..=4).contains(&place))
    else {
        return false;
    };
    record.put(key::KIND, "log");
    record.happened(at);
    let first = place - 3;
    if first == 1 {
        put_said(record, "server.address", fields[0].text());
    }
    put_said(record, "client.address", fields[first].text());
    put_said(record, "user.name", fields[first + 2].text());
    put_request(record, request);
    put_status(record, status.into());
    let rest = &fields[place + 3..];
    if let Some(bytes) = rest
        .first()
        .and_then(|field| field.text().parse::<i64>().ok())
    {
        record.put("http.response.body.size", Value::Integer(bytes));
    }
    if let Some(referer) = rest.get(1) {
        put_said(record, "http.request.header.referer", referer.text());
    }
    if let Some(agent) = rest.get(2) {
        put_said(record, "user_agent.original", agent.text());
    }
    for (number, field) in rest.iter().enumerate().skip(3) {
        put_further(record, number + 7, *field);
    }
    true
}

fn put_further(record: &mut Record, number: usize, field: Field<'_>) {
    let text = field.text();
    if let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) {
        record.put(name, infer(name, value.trim_matches('"')));
        return;
    }
    let seconds = text.parse::<f64>().ok();
    match seconds.filter(|_| matches!(field, Field::Word(_)) && text.contains('.')) {
        Some(seconds) if record.get(key::DURATION_MS).is_none() => {
            record.put(key::DURATION_MS, Value::Float(seconds * 1000.0));
        }
        _ => put_said(record, &format!("field.{number}"), text),
    }
}

/// HAProxy's HTTP and TCP lines, with or without `haproxy[1234]: ` before. Times are in the
/// machine's zone, `local_offset` seconds east. Timers of -1 (never came so far) are left out.
/// Source: HAProxy 2.6 configuration manual, 8.2.2 and 8.2.3.
/// Returns whether the line is one; if not, the record is as it was.
pub fn parse_haproxy(line: &str, record: &mut Record, local_offset: i64) -> bool {
    let start = match line.find("]: ") {
        Some(place) if line[..place].contains("haproxy[") => place + 3,
        _ => 0,
    };
    let fields = fields(&line[start..]);
    let [
        client,
        Field::Bracketed(at),
        frontend,
        backend,
        timers,
        rest @ ..,
    ] = fields.as_slice()
    else {
        return false;
    };
    let Some(at) = when::access_log(at.as_bytes(), local_offset) else {
        return false;
    };
    let (Some((backend, server)), Some((address, port))) = (
        backend.text().split_once('/'),
        client.text().rsplit_once(':'),
    ) else {
        return false;
    };
    let timers: Vec<i64> = timers
        .text()
        .split('/')
        .filter_map(|timer| timer.trim_start_matches('+').parse().ok())
        .collect();
    let names: &[&str] = match timers.len() {
        5 => &[
            "haproxy.tr_ms",
            "haproxy.tw_ms",
            "haproxy.tc_ms",
            "haproxy.tresp_ms",
            key::DURATION_MS,
        ],
        3 => &["haproxy.tw_ms", "haproxy.tc_ms", key::DURATION_MS],
        _ => return false,
    };
    record.put(key::KIND, "log");
    record.happened(at);
    record.put_text("client.address", address);
    record.put("client.port", infer("port", port));
    record.put_text("haproxy.frontend", frontend.text());
    record.put_text("haproxy.backend", backend);
    record.put_text("haproxy.server", server);
    for (name, timer) in names.iter().zip(&timers).filter(|(_, timer)| **timer >= 0) {
        record.put(name, Value::Float(*timer as f64));
    }
    let numbers_at = |place: usize| {
        let text = rest
            .get(place)
            .map(|field| field.text().trim_start_matches('+'));
        text.and_then(|text| text.parse::<i64>().ok())
    };
    let is_http = timers.len() == 5;
    let (bytes, state, connections) = if is_http {
        if let Some(status) = numbers_at(0).filter(|status| *status > 0) {
            put_status(record, status);
        }
        (numbers_at(1), rest.get(4), rest.get(5))
    } else {
        (numbers_at(0), rest.get(1), rest.get(2))
    };
    if let Some(bytes) = bytes {
        record.put("http.response.body.size", Value::Integer(bytes));
    }
    if let Some(state) = state {
        record.put_text("haproxy.termination_state", state.text());
    }
    if let Some(connections) = connections {
        record.put_text("haproxy.connections", connections.text());
    }
    let mut headers = rest
        .iter()
        .filter(|field| matches!(field, Field::Braced(_)));
    if let Some(captured) = headers.next() {
        put_said(record, "haproxy.captured", captured.text());
    }
    match rest.last() {
        Some(Field::Quoted(request)) => put_request(record, request),
        _ => record.put_text(key::BODY, &line[start..]),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Mends;
    use andon_model::event::Event;
    use andon_model::time::Timestamp;
    use proptest::prelude::*;

    fn read(line: &str, parse: impl Fn(&str, &mut Record) -> bool) -> Option<Event> {
        let mut record = Record::new(Timestamp::parse("2026-11-21T14:00:00Z").unwrap());
        let is_one = parse(line, &mut record);
        assert!(is_one || record.is_empty());
        is_one.then(|| record.finish(&mut Mends::default()))
    }

    fn check(event: &Event, expected: &[(&str, &str)]) {
        for (key, value) in expected {
            let said = event.get(key).map(ToString::to_string);
            assert_eq!(said.as_deref(), Some(*value), "{key}");
        }
    }

    #[test]
    fn apache_and_nginx_lines_are_read() {
        let line = r#"10.1.2.3 - frank [20/Nov/2026:13:55:36 +0200] "GET /cart?id=7 HTTP/1.1" 503 2326 "http://x/\"y" "Mozilla/5.0 (X11)" 0.125 "-" rt=0.5"#;
        let event = read(line, parse_access).unwrap();
        assert_eq!(event.at.to_string(), "2026-11-20T11:55:36.000Z");
        check(
            &event,
            &[
                ("client.address", "10.1.2.3"),
                ("user.name", "frank"),
                ("url.path", "/cart"),
                ("url.query", "id=7"),
                ("http.request.method", "GET"),
                ("status", "503"),
                ("http.response.body.size", "2326"),
                ("severity_text", "error"),
                ("user_agent.original", "Mozilla/5.0 (X11)"),
                ("duration_ms", "125"),
                ("rt", "0.5"),
                ("network.protocol.version", "1.1"),
            ],
        );
        let common = r#"::1 - - [20/Nov/2026:13:55:36 +0000] "\x16\x03\x01" 400 -"#;
        check(
            &read(common, parse_access).unwrap(),
            &[("status", "400"), ("body", "\\x16\\x03\\x01")],
        );
        let vhost = r#"shop.example:443 10.1.2.3 - - [20/Nov/2026:13:55:36 +0000] "HEAD / HTTP/2.0" 200 0 "-" "-""#;
        let event = read(vhost, parse_access).unwrap();
        check(
            &event,
            &[
                ("server.address", "shop.example:443"),
                ("client.address", "10.1.2.3"),
            ],
        );
        assert_eq!(event.get("user_agent.original"), None);
    }

    #[test]
    fn haproxy_lines_are_read() {
        let haproxy = |line: &str, record: &mut Record| parse_haproxy(line, record, 0);
        let http = r#"Nov 20 12:14:14 lb haproxy[14389]: 10.0.1.2:33317 [20/Nov/2026:12:14:14.655] http-in static/srv1 10/0/30/69/+109 200 +2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1""#;
        let event = read(http, haproxy).unwrap();
        check(
            &event,
            &[
                ("client.address", "10.0.1.2"),
                ("client.port", "33317"),
                ("haproxy.backend", "static"),
                ("haproxy.server", "srv1"),
                ("duration_ms", "109"),
                ("haproxy.tc_ms", "30"),
                ("status", "200"),
                ("url.path", "/index.html"),
                ("http.response.body.size", "2750"),
                ("haproxy.termination_state", "----"),
                ("haproxy.captured", "1wt.eu"),
            ],
        );
        let tcp =
            "10.0.1.2:33313 [20/Nov/2026:12:12:51.443] fnt bck/srv1 0/-1/5007 212 -- 0/0/0/0/3 0/0";
        let event = read(tcp, haproxy).unwrap();
        check(
            &event,
            &[
                ("duration_ms", "5007"),
                ("http.response.body.size", "212"),
                ("haproxy.termination_state", "--"),
            ],
        );
        assert_eq!(event.get("haproxy.tc_ms"), None);
    }

    proptest! {
        #[test]
        fn rubbish_is_none_and_no_panic(line in r#"[a1 \[\]"{}/:\\ä+-]{0,80}"#, tail in "[ -~]{0,40}") {
            read(&line, parse_access);
            read(&format!("a - - [20/Nov/2026:13:55:36 +0000] {line}{tail}"), parse_access);
            read(&format!("1:1 [20/Nov/2026:13:55:36.111] {line}{tail}"), |l, r| parse_haproxy(l, r, 0));
        }
    }
}
