//! Spans, and the events inside them, which become events of their own.

use super::shared::{Origin, Out, attributes, begin, each_record, hex, put_id, time};
use crate::decode::protobuf::{Fields, Wire, WireError};
use crate::record::Record;
use andon_model::event::{Value, key};

/// Links of one span that are kept.
const LINKS_MAX: usize = 8;

pub fn request(body: &[u8], out: &mut Out) -> Result<(), WireError> {
    each_record(body, out, span)
}

fn span(bytes: &[u8], origin: &Origin, out: &mut Out) -> Result<(), WireError> {
    let mut record = begin(out, "span", None);
    let (mut start, mut end) = (0, 0);
    let mut trace_id: &[u8] = &[];
    let mut span_id: &[u8] = &[];
    let mut links = 0;
    record.put(key::STATUS, "unset");
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(id)) => trace_id = id,
            (2, Wire::Bytes(id)) => span_id = id,
            (3, Wire::Bytes(state)) if !state.is_empty() => {
                record.put_bytes("trace_state", state);
            }
            (4, Wire::Bytes(id)) => put_id(&mut record, key::PARENT_ID, id),
            (5, Wire::Bytes(name)) => record.put_bytes(key::NAME, name),
            (6, value) => put_kind(&mut record, value.number()),
            (7, value) => start = value.number(),
            (8, value) => end = value.number(),
            (13, Wire::Bytes(link)) => {
                if links < LINKS_MAX {
                    put_link(&mut record, links, link)?;
                }
                links += 1;
            }
            (15, Wire::Bytes(status)) => put_status(&mut record, status)?,
            _ => {}
        }
    }
    put_id(&mut record, key::TRACE_ID, trace_id);
    put_id(&mut record, key::SPAN_ID, span_id);
    if let Some(at) = time(start) {
        record.happened(at);
    }
    if end >= start && start > 0 {
        record.put(key::DURATION_MS, Value::Float((end - start) as f64 / 1e6));
    }
    attributes(bytes, 9, &mut record)?;
    origin.put(&mut record);
    out.push(record);
    for field in Fields::new(bytes) {
        if let (11, Wire::Bytes(event)) = field? {
            span_event(event, (trace_id, span_id), origin, out)?;
        }
    }
    Ok(())
}

fn put_kind(record: &mut Record, number: u64) {
    let kind = match number {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => return,
    };
    record.put("span.kind", kind);
}

fn put_status(record: &mut Record, bytes: &[u8]) -> Result<(), WireError> {
    for field in Fields::new(bytes) {
        match field? {
            (2, Wire::Bytes(text)) if !text.is_empty() => record.put_bytes("status.message", text),
            (3, code) => {
                let status = match code.number() {
                    1 => "ok",
                    2 => "error",
                    _ => "unset",
                };
                record.put(key::STATUS, status);
            }
            _ => {}
        }
    }
    Ok(())
}

fn put_link(record: &mut Record, number: usize, bytes: &[u8]) -> Result<(), WireError> {
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(id)) => record.put(&format!("links.{number}.trace_id"), hex(id)),
            (2, Wire::Bytes(id)) => record.put(&format!("links.{number}.span_id"), hex(id)),
            _ => {}
        }
    }
    Ok(())
}

fn span_event(
    bytes: &[u8],
    (trace_id, span_id): (&[u8], &[u8]),
    origin: &Origin,
    out: &mut Out,
) -> Result<(), WireError> {
    let mut record = begin(out, "event", None);
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => {
                if let Some(at) = time(value.number()) {
                    record.happened(at);
                }
            }
            (2, Wire::Bytes(name)) => record.put_bytes(key::NAME, name),
            _ => {}
        }
    }
    put_id(&mut record, key::TRACE_ID, trace_id);
    put_id(&mut record, key::PARENT_ID, span_id);
    attributes(bytes, 3, &mut record)?;
    origin.put(&mut record);
    out.push(record);
    Ok(())
}
