//! The one JSON document that bugs exchange, in `GET /bugs` and `POST /post` alike. Read
//! leniently in its fields (other builds may add some), strictly in its bounds: what comes
//! out is short, plain and few, whatever came in.

use andon_model::id::to_plain_text;
use serde::Serialize;
use serde_json::Value;

/// Largest document that is read. 1,000 bugs take about 80 kB. Doubled, one hostile document
/// could take 16 MB while it is taken apart.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Largest document that is sent: what GridBug takes as shipped is 10,000.
pub const SENT_BYTES_MAX: usize = 9_500;
/// Bugs of one document that are looked at, and bugs that are known in all.
pub const BUGS_MAX: usize = 1_000;
/// Longest id, bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Longest host with port, bytes: the longest DNS name and five digits.
pub const HOST_BYTES_MAX: usize = 260;
/// Longest role or build, bytes.
pub const WORD_BYTES_MAX: usize = 32;

/// Why a document was not taken. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`DOCUMENT_BYTES_MAX`].
    #[error("the document has more than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON.
    #[error("the document is not JSON")]
    NotJson,
    /// Not an object with a `gridbugs` list.
    #[error("the document holds no list \"gridbugs\"")]
    NoList,
    /// No usable `node_id`.
    #[error("the document names no \"node_id\"")]
    NoId,
}

/// One bug in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// host:port.
    pub host: String,
    /// Its id.
    pub id: String,
    /// Whether the sender reaches it; absent until polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alive: Option<bool>,
}

/// A bug's view of its grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Always 1.
    pub version: u32,
    /// The bugs that the sender knows.
    pub gridbugs: Vec<Entry>,
    /// The sender's id.
    pub node_id: String,
    /// The sender's role.
    pub node_role: String,
    /// The sender's build.
    pub node_build: String,
    /// Where the sender is reached; empty where it did not say.
    pub node_host: String,
}

/// A document as read, and how many of its entries were not usable or too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What is usable.
    pub document: Document,
    /// Entries passed over.
    pub passed_over: u64,
}

impl Document {
    /// Reads a document from untrusted bytes.
    pub fn read(bytes: &[u8]) -> Result<Reading, DocumentError> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge);
        }
        // serde_json refuses more than 128 levels of nesting, NaN and infinities by itself.
        let value: Value = serde_json::from_slice(bytes).map_err(|_| DocumentError::NotJson)?;
        let list = value
            .get("gridbugs")
            .and_then(Value::as_array)
            .ok_or(DocumentError::NoList)?;
        let node_id = word(&value, "node_id", ID_BYTES_MAX);
        if node_id.is_empty() {
            return Err(DocumentError::NoId);
        }
        let gridbugs: Vec<Entry> = list.iter().take(BUGS_MAX).filter_map(entry).collect();
        let passed_over = (list.len() - gridbugs.len()) as u64;
        let node_host = value
            .get("node_host")
            .and_then(Value::as_str)
            .filter(|host| is_host_port(host));
        let document = Document {
            version: 1,
            gridbugs,
            node_id,
            node_role: word(&value, "node_role", WORD_BYTES_MAX),
            node_build: word(&value, "node_build", WORD_BYTES_MAX),
            node_host: node_host.unwrap_or_default().to_owned(),
        };
        Ok(Reading {
            document,
            passed_over,
        })
    }

    /// The document as JSON.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The document as JSON of at most [`SENT_BYTES_MAX`]: the first entry, and of the others
    /// as many as fit, beginning at a place that moves with `turn`, so that all have theirs.
    pub fn write_bounded(mut self, turn: u64) -> Vec<u8> {
        let whole = self.write();
        if whole.len() <= SENT_BYTES_MAX || self.gridbugs.len() < 2 {
            return whole;
        }
        let others = self.gridbugs.len() - 1;
        self.gridbugs[1..]
            .rotate_left(usize::try_from(turn.wrapping_mul(61) % others as u64).unwrap_or(0));
        let entries = std::mem::take(&mut self.gridbugs);
        let mut room = SENT_BYTES_MAX.saturating_sub(self.write().len());
        for entry in entries {
            let bytes = serde_json::to_vec(&entry).map_or(usize::MAX, |json| json.len() + 1);
            if bytes > room {
                break;
            }
            room -= bytes;
            self.gridbugs.push(entry);
        }
        self.write()
    }
}

fn entry(value: &Value) -> Option<Entry> {
    let host = value
        .get("host")?
        .as_str()
        .filter(|host| is_host_port(host))?
        .to_owned();
    let id = word(value, "id", ID_BYTES_MAX);
    (!id.is_empty()).then(|| Entry {
        host,
        id,
        alive: value.get("alive").and_then(Value::as_bool),
    })
}

fn word(value: &Value, field: &str, bytes_max: usize) -> String {
    to_plain_text(
        value.get(field).and_then(Value::as_str).unwrap_or_default(),
        bytes_max,
    )
}

/// Whether this is `name:port`, `1.2.3.4:port` or `[v6]:port`, and nothing else.
pub fn is_host_port(text: &str) -> bool {
    if text.len() > HOST_BYTES_MAX {
        return false;
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port_fits = digits && port.parse::<u16>().is_ok_and(|port| port != 0);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = !host.is_empty() && host.bytes().all(plain);
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    port_fits && (is_name || is_v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documented_form_is_read() {
        let json =
            br#"{"version": 1, "gridbugs": [{"host": "10.0.1.2:8777", "id": "LAN", "alive": true},
            {"host": "origin:8777", "id": "origin"}], "node_id": "LAN", "node_role": "node",
            "node_build": "0.1.0", "node_host": "10.0.1.2:8777"}"#;
        let Reading {
            document,
            passed_over,
        } = Document::read(json).unwrap();
        assert_eq!(passed_over, 0);
        assert_eq!(document.node_host, "10.0.1.2:8777");
        assert_eq!(document.gridbugs[0].alive, Some(true));
        assert_eq!(document.gridbugs[1].alive, None);
        assert_eq!(
            Document::read(&document.write()).unwrap().document,
            document
        );
    }

    #[test]
    fn hostile_documents_are_refused_or_cut() {
        let check = |json: &str, expected: DocumentError| {
            assert_eq!(Document::read(json.as_bytes()), Err(expected))
        };
        check("", DocumentError::NotJson);
        check("{\"gridbugs\": [{\"alive\": NaN}]}", DocumentError::NotJson);
        check(&"[".repeat(100_000), DocumentError::NotJson);
        check(&" ".repeat(DOCUMENT_BYTES_MAX + 1), DocumentError::TooLarge);
        check("[]", DocumentError::NoList);
        check("{\"gridbugs\": {}}", DocumentError::NoList);
        check("{\"gridbugs\": []}", DocumentError::NoId);
        check(
            "{\"gridbugs\": [], \"node_id\": \"\\u202e\"}",
            DocumentError::NoId,
        );
        let entries = vec!["{\"host\":\"h:1\",\"id\":\"x\"}"; 9_999].join(",");
        let json = format!("{{\"node_id\":\"n\",\"gridbugs\":[{entries},{{\"host\":1}}]}}");
        let reading = Document::read(json.as_bytes()).unwrap();
        assert_eq!(
            (reading.document.gridbugs.len(), reading.passed_over),
            (BUGS_MAX, 9_000)
        );
        let odd = r#"{"node_id":"<script>\u0007","gridbugs":[{"host":"h:1/../x","id":"a"},{"host":"h:1","id":7},
            7,null,{"host":"h:1","id":"ok","alive":"yes"}]}"#;
        let reading = Document::read(odd.as_bytes()).unwrap();
        assert_eq!(reading.document.node_id, "<script>");
        let kept = Entry {
            host: "h:1".into(),
            id: "ok".into(),
            alive: None,
        };
        assert_eq!(
            (reading.document.gridbugs, reading.passed_over),
            (vec![kept], 4)
        );
    }

    #[test]
    fn hosts_are_hosts() {
        for good in ["a:1", "10.0.0.1:8777", "[::1]:8777", "a-b.c_d:65535"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in [
            "", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "a b:1", "a/b:1", "user@a:1",
            "::1:8777", "[x]:1",
        ] {
            assert!(!is_host_port(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_sent_fits_into_what_gridbug_takes_and_all_have_their_turn() {
        let gridbugs: Vec<_> = (0..500)
            .map(|n| Entry {
                host: format!("10.0.{}.{}:8777", n / 250, n % 250),
                id: format!("bug-{n}"),
                alive: Some(true),
            })
            .collect();
        let document = Document {
            version: 1,
            gridbugs,
            node_id: "me".into(),
            node_role: "node".into(),
            node_build: "1".into(),
            node_host: "me:1".into(),
        };
        let mut told = std::collections::BTreeSet::new();
        for turn in 0..40 {
            let json = document.clone().write_bounded(turn);
            assert!(json.len() <= SENT_BYTES_MAX);
            let read = Document::read(&json).unwrap().document;
            assert_eq!(read.gridbugs[0].id, "bug-0");
            told.extend(read.gridbugs.into_iter().map(|entry| entry.id));
        }
        assert_eq!(told.len(), 500);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, text in "\\PC{0,40}") {
            let _ = Document::read(&bytes);
            let json = format!("{{\"node_id\":{0:?},\"gridbugs\":[{{\"host\":{0:?},\"id\":{0:?}}}]}}", text);
            if let Ok(reading) = Document::read(json.as_bytes()) {
                prop_assert!(andon_model::id::is_plain_text(&reading.document.node_id, ID_BYTES_MAX));
            }
        }
    }
}
