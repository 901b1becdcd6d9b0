//! NATS' own protocol as bytes: lines that end with CR LF, some followed by a payload. Pure.
//!
//! Source: docs.nats.io, "Client Protocol".

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Bytes of one line at most: INFO names all servers of a large cluster.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of one payload at most: no server is configured for more.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Bytes of a message at most, headers and payload.
    pub max_payload: usize,
    /// Whether messages may have headers.
    pub headers: bool,
    /// Whether it speaks TLS only.
    pub tls_required: bool,
    /// To be signed by who logs in by a key.
    pub nonce: String,
    /// Its version.
    pub version: String,
}

/// What a client says of itself.
#[derive(Debug, Default, Serialize)]
pub struct Connect<'c> {
    /// No answer to each line.
    pub verbose: bool,
    /// No checks of subjects beyond what is needed.
    pub pedantic: bool,
    /// Which program.
    pub name: &'c str,
    /// In which language.
    pub lang: &'c str,
    /// Its version.
    pub version: &'c str,
    /// 1: INFO may come at any time.
    pub protocol: u8,
    /// Messages with headers.
    pub headers: bool,
    /// To be told where nobody listens.
    pub no_responders: bool,
    /// Own messages are not wanted back.
    pub echo: bool,
    /// Login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'c str>,
    /// Login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'c str>,
    /// Login by a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'c str>,
    /// Login by a key: who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<&'c str>,
    /// Login by a key: the signed nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<&'c str>,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Where it was sent to.
    pub subject: String,
    /// Where an answer goes.
    pub reply: Option<String>,
    /// What the server says instead of a message: 408 for a time that is over, 503 for nobody.
    pub status: Option<u16>,
    /// What follows the status.
    pub reason: String,
    /// What is in it.
    pub payload: Bytes,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Of itself.
    Info(Box<Info>),
    /// A message on a subject that was subscribed.
    Message(Message),
    /// It wants a PONG.
    Ping,
    /// It answers a PING.
    Pong,
    /// Well received.
    Fine,
    /// An error; with most of them it hangs up.
    Error(String),
}

/// What is not NATS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that is no part of the protocol.
    #[error("a line that is not NATS: {0:?}")]
    Line(String),
    /// A line without an end.
    #[error("a line of more than {LINE_BYTES_MAX} bytes")]
    Long,
    /// A payload that is too large, or does not end where it says.
    #[error("a message of {0} bytes that does not end there, or is too large")]
    Payload(usize),
}

/// Takes the next thing that a server said out of what was read; `None` while it is not whole.
pub fn decode(read: &mut BytesMut) -> Result<Option<Said>, ProtocolError> {
    let Some(end) = read.iter().take(LINE_BYTES_MAX).position(|b| *b == b'\n') else {
        return match read.len() < LINE_BYTES_MAX {
            true => Ok(None),
            false => Err(ProtocolError::Long),
        };
    };
    let line = String::from_utf8_lossy(&read[..end]);
    let line = line.trim_end_matches('\r');
    let odd = || ProtocolError::Line(line.chars().take(80).collect());
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let said = match verb.to_ascii_uppercase().as_str() {
        "MSG" | "HMSG" => {
            let has_headers = verb.len() == 4;
            let (message, headers, bytes) = parse_message(rest, has_headers).ok_or_else(odd)?;
            if bytes > PAYLOAD_BYTES_MAX || headers > bytes {
                return Err(ProtocolError::Payload(bytes));
            }
            let whole = end + 1 + bytes + 2;
            if read.len() < whole {
                return Ok(None);
            }
            if read[whole - 2..whole] != *b"\r\n" {
                return Err(ProtocolError::Payload(bytes));
            }
            return Ok(Some(Said::Message(with_payload(
                message, headers, bytes, end, read,
            ))));
        }
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "+OK" => Said::Fine,
        "-ERR" => Said::Error(rest.trim().trim_matches('\'').to_owned()),
        "INFO" => Said::Info(serde_json::from_str(rest).map_err(|_| odd())?),
        _ => return Err(odd()),
    };
    read.advance(end + 1);
    Ok(Some(said))
}

/// `subject sid [reply] [header-bytes] bytes`.
fn parse_message(rest: &str, has_headers: bool) -> Option<(Message, usize, usize)> {
    let mut words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let bytes = words.pop()?.parse().ok()?;
    let headers = match has_headers {
        true => words.pop()?.parse().ok()?,
        false => 0,
    };
    let (subject, reply) = match words.as_slice() {
        [subject, _sid] => (subject, None),
        [subject, _sid, reply] => (subject, Some((*reply).to_owned())),
        _ => return None,
    };
    let message = Message {
        subject: (*subject).to_owned(),
        reply,
        ..Message::default()
    };
    Some((message, headers, bytes))
}

fn with_payload(
    mut message: Message,
    headers: usize,
    bytes: usize,
    line_end: usize,
    read: &mut BytesMut,
) -> Message {
    read.advance(line_end + 1);
    let mut payload = read.split_to(bytes).freeze();
    read.advance(2);
    let head = payload.split_to(headers);
    message.payload = payload;
    let head = String::from_utf8_lossy(&head);
    let first = head.lines().next().unwrap_or_default();
    if let Some(status) = first.strip_prefix("NATS/1.0").map(str::trim) {
        let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
        message.status = code.parse().ok();
        message.reason = reason.trim().to_owned();
    }
    message
}

/// Writes what a client says of itself.
pub fn connect(out: &mut BytesMut, connect: &Connect<'_>) {
    let text = serde_json::to_string(connect).unwrap_or_default();
    put(out, &["CONNECT ", &text, "\r\n"]);
}

/// Writes that messages on a subject are wanted, by a number of one's own.
pub fn subscribe(out: &mut BytesMut, subject: &str, sid: u64) {
    put(out, &["SUB ", subject, " ", &sid.to_string(), "\r\n"]);
}

/// Writes a message.
pub fn publish(
    out: &mut BytesMut,
    subject: &str,
    reply: Option<&str>,
    headers: &[(&str, &str)],
    payload: &[u8],
) {
    let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
    let bytes = payload.len();
    if headers.is_empty() {
        put(out, &["PUB ", subject, " ", &reply, &bytes.to_string()]);
        put(out, &["\r\n"]);
    } else {
        let mut head = "NATS/1.0\r\n".to_owned();
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let sizes = format!("{} {}\r\n", head.len(), head.len() + bytes);
        put(out, &["HPUB ", subject, " ", &reply, &sizes, &head]);
    }
    out.extend_from_slice(payload);
    put(out, &["\r\n"]);
}

/// Writes a PING.
pub fn ping(out: &mut BytesMut) {
    put(out, &["PING\r\n"]);
}

/// Writes the answer to one.
pub fn pong(out: &mut BytesMut) {
    put(out, &["PONG\r\n"]);
}

fn put(out: &mut BytesMut, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

/// For fuzzers: whatever a server says is read within bounds, and always to an end.
pub fn fuzz(bytes: &[u8]) {
    let mut read = BytesMut::from(bytes);
    loop {
        let before = read.len();
        match decode(&mut read) {
            Ok(Some(_)) => assert!(read.len() < before),
            Ok(None) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<Option<Said>, ()>) {
        // Also where it comes byte by byte.
        let mut read = BytesMut::new();
        let mut last = Ok(None);
        for byte in text.bytes() {
            read.extend_from_slice(&[byte]);
            last = decode(&mut read).map_err(drop);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last, expected, "{text:?}");
    }

    fn message(subject: &str, reply: Option<&str>, payload: &'static [u8]) -> Message {
        Message {
            subject: subject.to_owned(),
            reply: reply.map(str::to_owned),
            payload: Bytes::from_static(payload),
            ..Message::default()
        }
    }

    #[test]
    fn what_a_server_says_is_read_however_it_is_cut() {
        let said = |said| Ok(Some(said));
        check("PING\r\n", said(Said::Ping));
        check("pong\r\n", said(Said::Pong));
        check("+OK\r\n", said(Said::Fine));
        let error = "Authorization Violation".to_owned();
        check(
            "-ERR 'Authorization Violation'\r\n",
            said(Said::Error(error)),
        );
        let info = Info {
            max_payload: 1024,
            headers: true,
            ..Info::default()
        };
        let text = "INFO {\"max_payload\":1024,\"headers\":true,\"port\":4222} \r\n";
        check(text, said(Said::Info(Box::new(info))));
        let plain = message("a.b", None, b"x\r\ny");
        check("MSG a.b 1 4\r\nx\r\ny\r\n", said(Said::Message(plain)));
        let answered = message("a", Some("_I.2"), b"");
        check("MSG a 1 _I.2 0\r\n\r\n", said(Said::Message(answered)));
        let nobody = Message {
            status: Some(503),
            ..message("_I.2", None, b"")
        };
        check(
            "HMSG _I.2 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            said(Said::Message(nobody)),
        );
        let over = Message {
            status: Some(408),
            reason: "Request Timeout".to_owned(),
            ..message("_I.2", Some("r"), b"z")
        };
        check(
            "HMSG _I.2 1 r 32 33\r\nNATS/1.0 408 Request Timeout\r\n\r\nz\r\n",
            said(Said::Message(over)),
        );
    }

    #[test]
    fn what_is_not_nats_is_refused() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG a 1\r\n",
            "MSG a 1 -2\r\n",
            "MSG a 1 r x 2\r\n",
            "MSG a 1 99999999999\r\n",
            "HMSG a 1 9 2\r\n",
            "MSG a 1 1\r\nxyz",
            "INFO {\r\n",
        ] {
            check(text, Err(()));
        }
        let mut endless = BytesMut::from(vec![b'x'; LINE_BYTES_MAX].as_slice());
        assert_eq!(decode(&mut endless), Err(ProtocolError::Long));
    }

    #[test]
    fn what_is_written_is_what_servers_read() {
        let mut out = BytesMut::new();
        publish(&mut out, "a.b", Some("_I.1"), &[], b"hi");
        publish(&mut out, "a.b", None, &[("Nats-Msg-Id", "7")], b"hi");
        subscribe(&mut out, "_I.*", 1);
        assert_eq!(
            out,
            "PUB a.b _I.1 2\r\nhi\r\nHPUB a.b 28 30\r\nNATS/1.0\r\nNats-Msg-Id: 7\r\n\r\nhi\r\nSUB _I.* 1\r\n"
                .as_bytes()
        );
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_or_read_to_its_end(
            verb in prop::sample::select(vec!["MSG a 1 ", "HMSG a 1 4 ", "INFO ", "", "-ERR "]),
            rest in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            fuzz(&[verb.as_bytes(), &rest].concat());
        }
    }
}
