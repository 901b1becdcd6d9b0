//! What logs, metrics and traces have in common: attributes, resources, scopes, values.

use crate::decode::protobuf::{Fields, Wire, WireError};
use crate::limits::DEPTH_MAX;
use crate::record::Record;
use crate::reject::Decoded;
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;
use std::fmt::Write;

/// Events of one request.
pub struct Out {
    pub decoded: Decoded,
    pub received: Timestamp,
}

impl Out {
    pub fn new(received: Timestamp) -> Self {
        Self {
            decoded: Decoded::default(),
            received,
        }
    }

    pub fn push(&mut self, record: Record) {
        self.decoded.push(record);
    }
}

/// What all records of one resource and scope share.
#[derive(Default, Clone)]
pub struct Origin(Vec<(String, Value)>);

impl Origin {
    /// Of a `Resource` message.
    pub fn resource(bytes: &[u8]) -> Result<Self, WireError> {
        let mut holder = Record::new(Timestamp(0));
        attributes(bytes, 1, &mut holder)?;
        Ok(Self(owned(&holder)))
    }

    /// With an `InstrumentationScope` message.
    pub fn with_scope(&self, bytes: &[u8]) -> Result<Self, WireError> {
        let mut holder = Record::new(Timestamp(0));
        for field in Fields::new(bytes) {
            match field? {
                (1, Wire::Bytes(name)) if !name.is_empty() => holder.put_bytes("scope.name", name),
                (2, Wire::Bytes(text)) if !text.is_empty() => {
                    holder.put_bytes("scope.version", text);
                }
                _ => {}
            }
        }
        attributes(bytes, 3, &mut holder)?;
        let mut origin = self.clone();
        origin.0.extend(owned(&holder));
        Ok(origin)
    }

    /// Puts it into a record. Where the record says something else under a name, the
    /// resource's word goes under `resource.` and the name.
    pub fn put(&self, record: &mut Record) {
        for (name, value) in &self.0 {
            if !record.put_absent(name, value.clone()) && record.get(name) != Some(value) {
                record.put_absent(&format!("resource.{name}"), value.clone());
            }
        }
    }
}

fn owned(record: &Record) -> Vec<(String, Value)> {
    let attributes = record.attributes();
    attributes
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

/// The parts of `ResourceLogs` and its like: origin of each scope, and its records' bytes.
pub fn each_record(
    request: &[u8],
    out: &mut Out,
    mut each: impl FnMut(&[u8], &Origin, &mut Out) -> Result<(), WireError>,
) -> Result<(), WireError> {
    for field in Fields::new(request) {
        let (1, Wire::Bytes(resource_records)) = field? else {
            continue;
        };
        let resource = match message(resource_records, 1)? {
            Some(resource) => Origin::resource(resource)?,
            None => Origin::default(),
        };
        for field in Fields::new(resource_records) {
            let (2, Wire::Bytes(scope_records)) = field? else {
                continue;
            };
            let origin = match message(scope_records, 1)? {
                Some(scope) => resource.with_scope(scope)?,
                None => resource.clone(),
            };
            for field in Fields::new(scope_records) {
                if let (2, Wire::Bytes(record)) = field? {
                    each(record, &origin, out)?;
                }
            }
        }
    }
    Ok(())
}

/// The bytes of a field that is a message, if it is there.
pub fn message(bytes: &[u8], number: u32) -> Result<Option<&[u8]>, WireError> {
    for field in Fields::new(bytes) {
        match field? {
            (found, Wire::Bytes(message)) if found == number => return Ok(Some(message)),
            _ => {}
        }
    }
    Ok(None)
}

/// Puts the `KeyValue`s of a repeated field.
pub fn attributes(bytes: &[u8], number: u32, record: &mut Record) -> Result<(), WireError> {
    record.protect();
    for field in Fields::new(bytes) {
        match field? {
            (found, Wire::Bytes(pair)) if found == number => key_value(pair, "", 0, record)?,
            _ => {}
        }
    }
    Ok(())
}

fn key_value(
    bytes: &[u8],
    prefix: &str,
    depth: usize,
    record: &mut Record,
) -> Result<(), WireError> {
    let name = message(bytes, 1)?.unwrap_or_default();
    let name = record.text(name).into_owned();
    let path = match prefix {
        "" => name,
        prefix => format!("{prefix}.{name}"),
    };
    match message(bytes, 2)? {
        Some(value) => put_value(record, &path, value, depth),
        None => Ok(()),
    }
}

/// Puts an `AnyValue`: lists as JSON text, maps flattened, bytes in hexadecimal.
pub fn put_value(
    record: &mut Record,
    path: &str,
    bytes: &[u8],
    depth: usize,
) -> Result<(), WireError> {
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(text)) => record.put_bytes(path, text),
            (2, value) => record.put(path, Value::Bool(value.number() != 0)),
            (3, value) => record.put(path, Value::Integer(value.signed())),
            (4, value) => record.put(path, Value::Float(value.float())),
            (6, Wire::Bytes(map)) if depth < DEPTH_MAX => {
                for field in Fields::new(map) {
                    if let (1, Wire::Bytes(pair)) = field? {
                        key_value(pair, path, depth + 1, record)?;
                    }
                }
            }
            (5 | 6, Wire::Bytes(_)) => {
                let mut text = String::new();
                json_value(bytes, depth, &mut text)?;
                record.put(path, text);
            }
            (7, Wire::Bytes(raw)) => record.put(path, hex(raw)),
            _ => {}
        }
    }
    Ok(())
}

fn json_value(bytes: &[u8], depth: usize, text: &mut String) -> Result<(), WireError> {
    let quoted = |bytes: &[u8]| serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(value)) => text.push_str(&quoted(value)),
            (2, value) => text.push_str(if value.number() == 0 { "false" } else { "true" }),
            (3, value) => drop(write!(text, "{}", value.signed())),
            (4, value) => text.push_str(&serde_json::Value::from(value.float()).to_string()),
            (5 | 6, _) if depth >= 2 * DEPTH_MAX => text.push_str("null"),
            (5, Wire::Bytes(list)) => {
                text.push('[');
                let start = text.len();
                for field in Fields::new(list) {
                    if let (1, Wire::Bytes(value)) = field? {
                        text.push_str(if text.len() == start { "" } else { "," });
                        json_value(value, depth + 1, text)?;
                    }
                }
                text.push(']');
            }
            (6, Wire::Bytes(map)) => {
                text.push('{');
                let start = text.len();
                for field in Fields::new(map) {
                    if let (1, Wire::Bytes(pair)) = field? {
                        text.push_str(if text.len() == start { "" } else { "," });
                        text.push_str(&quoted(message(pair, 1)?.unwrap_or_default()));
                        text.push(':');
                        json_value(message(pair, 2)?.unwrap_or_default(), depth + 1, text)?;
                    }
                }
                text.push('}');
            }
            (7, Wire::Bytes(raw)) => drop(write!(text, "\"{}\"", hex(raw))),
            _ => {}
        }
    }
    Ok(())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Puts an id unless it is empty or all zeros.
pub fn put_id(record: &mut Record, name: &str, id: &[u8]) {
    if id.iter().any(|byte| *byte != 0) {
        record.put(name, hex(&id[..id.len().min(16)]));
    }
}

/// Nanoseconds since 1970; 0 says nothing.
pub fn time(nanos: u64) -> Option<Timestamp> {
    (nanos != 0).then(|| Timestamp(i64::try_from(nanos / 1000).unwrap_or(i64::MAX)))
}

/// Puts the kind and what it is about, first of all.
pub fn begin(out: &Out, kind: &str, name: Option<&[u8]>) -> Record {
    let mut record = Record::with_capacity(out.received, 16);
    record.put(key::KIND, kind);
    if let Some(name) = name {
        record.put_bytes(key::NAME, name);
    }
    record
}
