//! Documents (a node, a verdict, an incident) written small, whatever fields they have: the
//! tree that serde makes of them, with every text by number. Fields that a later version adds
//! are kept, and an earlier reader leaves them out.

use crate::bytes::{Rubbish, Take, put_bytes, put_i, put_u};
use crate::texts::Texts;
use andon_model::Name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// Depth of a document at most; a verdict has three.
const DEPTH_MAX: usize = 16;
/// Longer texts are written where they stand; they hardly come twice.
const SHARED_BYTES_MAX: usize = 512;
/// The same in a document that hardly changes: times, addresses and fingerprints are its own,
/// and the writer need not remember them.
const ONCE_BYTES_MAX: usize = 16;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
const SIGNED: u8 = 4;
const FLOAT: u8 = 5;
const TEXT: u8 = 6;
const SHARED: u8 = 7;
const LIST: u8 = 8;
const MAP: u8 = 9;

/// Writes a document of which the next hour will see much again.
pub(crate) fn pack<T: Serialize>(out: &mut Vec<u8>, texts: &mut Texts, document: &T) {
    // The types written hold nothing that a JSON tree cannot.
    let tree = serde_json::to_value(document).unwrap_or_default();
    put(out, texts, &tree, SHARED_BYTES_MAX);
}

/// Writes a document most of whose texts come but once.
pub(crate) fn pack_once<T: Serialize>(out: &mut Vec<u8>, texts: &mut Texts, document: &T) {
    let tree = serde_json::to_value(document).unwrap_or_default();
    put(out, texts, &tree, ONCE_BYTES_MAX);
}

/// Reads a document.
pub(crate) fn unpack<T: DeserializeOwned>(
    take: &mut Take<'_>,
    texts: &[Name],
) -> Result<T, Rubbish> {
    serde_json::from_value(get(take, texts, DEPTH_MAX)?).map_err(|_| Rubbish)
}

fn put(out: &mut Vec<u8>, texts: &mut Texts, value: &Value, shared_max: usize) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Number(number) => put_number(out, number),
        Value::String(text) => put_text(out, texts, text, shared_max),
        Value::Array(items) => {
            out.push(LIST);
            put_u(out, items.len() as u64);
            for item in items {
                put(out, texts, item, shared_max);
            }
        }
        Value::Object(fields) => {
            out.push(MAP);
            put_u(out, fields.len() as u64);
            for (key, value) in fields {
                put_text(out, texts, key, SHARED_BYTES_MAX);
                put(out, texts, value, shared_max);
            }
        }
    }
}

fn put_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(value) = number.as_u64() {
        out.push(UNSIGNED);
        put_u(out, value);
    } else if let Some(value) = number.as_i64() {
        out.push(SIGNED);
        put_i(out, value);
    } else {
        out.push(FLOAT);
        out.extend_from_slice(&number.as_f64().unwrap_or_default().to_le_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, texts: &mut Texts, text: &str, shared_max: usize) {
    if text.len() > shared_max {
        out.push(TEXT);
        put_bytes(out, text.as_bytes());
    } else {
        out.push(SHARED);
        put_u(out, texts.number(text).into());
    }
}

fn get(take: &mut Take<'_>, texts: &[Name], depth: usize) -> Result<Value, Rubbish> {
    if depth == 0 {
        return Err(Rubbish);
    }
    Ok(match take.byte()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        UNSIGNED => take.u()?.into(),
        SIGNED => take.i()?.into(),
        FLOAT => {
            Number::from_f64(f64::from_le_bytes(take.array()?)).map_or(Value::Null, Value::Number)
        }
        kind @ (TEXT | SHARED) => Value::String(text(take, kind, texts)?),
        LIST => {
            let count = take.u()?;
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(get(take, texts, depth - 1)?);
            }
            Value::Array(items)
        }
        MAP => {
            let count = take.u()?;
            let mut fields = Map::new();
            for _ in 0..count {
                let kind = take.byte()?;
                let key = text(take, kind, texts)?;
                fields.insert(key, get(take, texts, depth - 1)?);
            }
            Value::Object(fields)
        }
        _ => return Err(Rubbish),
    })
}

fn text(take: &mut Take<'_>, kind: u8, texts: &[Name]) -> Result<String, Rubbish> {
    match kind {
        TEXT => Ok(take.str()?.to_owned()),
        SHARED => Ok(named(texts, take.u32()?)?.to_string()),
        _ => Err(Rubbish),
    }
}

/// The text of a number.
pub(crate) fn named(texts: &[Name], number: u32) -> Result<&Name, Rubbish> {
    texts.get(number as usize).ok_or(Rubbish)
}
