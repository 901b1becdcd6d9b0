//! Log records.

use super::shared::{Origin, Out, attributes, begin, each_record, put_id, put_value, time};
use crate::decode::protobuf::{Fields, Wire, WireError};
use crate::decode::words;
use andon_model::event::key;

pub fn request(body: &[u8], out: &mut Out) -> Result<(), WireError> {
    each_record(body, out, log_record)
}

fn log_record(bytes: &[u8], origin: &Origin, out: &mut Out) -> Result<(), WireError> {
    let mut record = begin(out, "log", None);
    let (mut said, mut observed, mut number) = (None, None, 0);
    let mut level = None;
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => said = time(value.number()),
            (2, value) => number = value.number(),
            (3, Wire::Bytes(text)) if !text.is_empty() => {
                level = Some(record.text(text).into_owned());
            }
            (5, Wire::Bytes(value)) => put_value(&mut record, key::BODY, value, 0)?,
            (9, Wire::Bytes(id)) => put_id(&mut record, key::TRACE_ID, id),
            (10, Wire::Bytes(id)) => put_id(&mut record, key::SPAN_ID, id),
            (11, value) => observed = time(value.number()),
            (12, Wire::Bytes(name)) if !name.is_empty() => record.put_bytes(key::NAME, name),
            _ => {}
        }
    }
    if let Some(at) = said.or(observed) {
        record.happened(at);
    }
    // Source: opentelemetry.io, "Logs Data Model", SeverityNumber: four to a word.
    let by_number = match number {
        0 => None,
        1..=4 => Some("trace"),
        5..=8 => Some("debug"),
        9..=12 => Some("info"),
        13..=16 => Some("warn"),
        17..=20 => Some("error"),
        _ => Some("fatal"),
    };
    let by_text = level.as_deref().and_then(words::severity);
    if let Some(severity) = by_number.or(by_text).or(level.as_deref()) {
        record.put(key::SEVERITY, severity);
    }
    attributes(bytes, 6, &mut record)?;
    origin.put(&mut record);
    out.push(record);
    Ok(())
}
