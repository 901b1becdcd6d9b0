//! One column of one block as bytes: which rows have a value, then the values, as a whole
//! compressed where that pays.

use super::bytes::{Bytes, put_bytes, put_u64};
use super::{BLOCK_ROWS_MAX, BLOCK_TEXT_BYTES_MAX, Damaged, floats, ints, text};
use crate::column::{Column, DICT_MAX, Dict, DictRef, Rows, Texts, Values};
use crate::pool;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

pub(super) const BOOL: u8 = 0;
pub(super) const INTEGER: u8 = 1;
pub(super) const FLOAT: u8 = 2;
pub(super) const CODES_OWN: u8 = 3;
pub(super) const CODES_SHARED: u8 = 4;
pub(super) const TEXT: u8 = 5;

const ALL: u8 = 0;
const BITMAP: u8 = 1;
const RUNS: u8 = 2;

const STORED: u8 = 0;
const ZSTD: u8 = 1;
/// Compression that keeps up with taking in on one core; higher levels save a few percent.
const ZSTD_LEVEL: i32 = 3;
/// Packed numbers seldom compress; the fastest level finds out cheaply.
const ZSTD_LEVEL_PACKED: i32 = 1;
/// What compression must save: an eighth, else reading is paid for nothing.
const SAVE_SHARE: usize = 8;

/// What a reader makes room for before it decompresses: a block's texts, their lengths, and
/// what else one column has.
const RAW_BYTES_MAX: usize = BLOCK_TEXT_BYTES_MAX + BLOCK_ROWS_MAX * 20;

/// Appends a column of `rows` rows. A shared dictionary is left out.
pub(crate) fn encode(out: &mut Vec<u8>, column: &Column, rows: usize) {
    encode_presence(out, column, rows);
    match &column.values {
        Values::Bool(values) => {
            out.push(BOOL);
            let codes: Vec<u16> = values.iter().map(|&value| value.into()).collect();
            ints::encode_codes(out, &codes);
        }
        Values::Integer(values) => {
            out.push(INTEGER);
            ints::encode(out, values);
        }
        Values::Float(values) => {
            out.push(FLOAT);
            floats::encode(out, values);
        }
        Values::Codes { codes, dict } => {
            match dict {
                DictRef::Own(dict) => {
                    out.push(CODES_OWN);
                    encode_dict(out, dict);
                }
                DictRef::Shared(_) => out.push(CODES_SHARED),
            }
            ints::encode_codes(out, codes);
        }
        Values::Text(texts) => {
            out.push(TEXT);
            text::encode(out, texts);
        }
    }
}

/// Reads a column of `rows` rows; `shared` is its segment's dictionary, if it has one.
pub(crate) fn decode(
    bytes: &mut Bytes<'_>,
    rows: usize,
    shared: Option<&Arc<Dict>>,
) -> Result<Column, Damaged> {
    if rows > BLOCK_ROWS_MAX {
        return Err(Damaged("more rows than a block has"));
    }
    let (present, count) = decode_presence(bytes, rows)?;
    let values = match bytes.u8()? {
        BOOL => {
            let codes = ints::decode_codes(bytes, count, 2)?;
            Values::Bool(codes.into_iter().map(|code| code == 1).collect())
        }
        INTEGER => Values::Integer(ints::decode(bytes, count)?),
        FLOAT => Values::Float(floats::decode(bytes, count)?),
        CODES_OWN => {
            let dict = decode_dict(bytes)?;
            Values::Codes {
                codes: ints::decode_codes(bytes, count, dict.len())?,
                dict: DictRef::Own(dict),
            }
        }
        CODES_SHARED => {
            let dict = shared.ok_or(Damaged("codes without their dictionary"))?;
            Values::Codes {
                codes: ints::decode_codes(bytes, count, dict.len())?,
                dict: DictRef::Shared(dict.clone()),
            }
        }
        TEXT => Values::Text(text::decode(bytes, count)?),
        _ => return Err(Damaged("an unknown type of column")),
    };
    Ok(Column { present, values })
}

/// Appends a dictionary.
pub(crate) fn encode_dict(out: &mut Vec<u8>, dict: &Dict) {
    put_u64(out, dict.len() as u64);
    let mut spelled = Vec::new();
    text::encode(&mut spelled, dict.texts());
    put_bytes(out, &spelled);
}

/// Reads a dictionary.
pub(crate) fn decode_dict(bytes: &mut Bytes<'_>) -> Result<Dict, Damaged> {
    let count = bytes.count(DICT_MAX)?;
    let texts: Texts = text::decode(&mut Bytes::new(bytes.bytes()?), count)?;
    Ok(Dict::of(texts))
}

fn encode_presence(out: &mut Vec<u8>, column: &Column, rows: usize) {
    let count = column.values.len();
    if count == rows {
        return out.push(ALL);
    }
    let first;
    let present = match &column.present {
        Some(present) => present,
        None => {
            first = Rows::all(count);
            &first
        }
    };
    // Lengths of runs in turn, absent then present: shorter than a bit a row where a column
    // is rare or comes in stretches.
    let mut runs = Vec::new();
    let mut told = 0;
    let mut run = 0..0;
    for row in present.iter() {
        if row != run.end {
            put_run(&mut runs, &mut told, &run);
            run = row..row;
        }
        run.end = row + 1;
        if runs.len() > rows / 8 {
            break;
        }
    }
    put_run(&mut runs, &mut told, &run);
    if runs.len() <= rows / 8 {
        out.push(RUNS);
        put_bytes(out, &runs);
    } else {
        out.push(BITMAP);
        out.extend((0..rows.div_ceil(8)).map(|byte| {
            let bits = (0..8).filter(|bit| present.has(byte * 8 + bit));
            bits.fold(0u8, |all, bit| all | 1 << bit)
        }));
    }
}

fn put_run(runs: &mut Vec<u8>, told: &mut usize, run: &std::ops::Range<usize>) {
    if !run.is_empty() {
        put_u64(runs, (run.start - *told) as u64);
        put_u64(runs, run.len() as u64);
        *told = run.end;
    }
}

pub(super) fn decode_presence(
    bytes: &mut Bytes<'_>,
    rows: usize,
) -> Result<(Option<Rows>, usize), Damaged> {
    let mut present = Rows::none(rows);
    match bytes.u8()? {
        ALL => return Ok((None, rows)),
        BITMAP => {
            let bitmap = bytes.take(rows.div_ceil(8))?;
            for row in 0..rows {
                if bitmap[row / 8] >> (row % 8) & 1 == 1 {
                    present.add(row);
                }
            }
        }
        RUNS => {
            let mut runs = Bytes::new(bytes.bytes()?);
            let mut row = 0;
            while !runs.is_empty() {
                row += runs.count(rows - row)?;
                for _ in 0..runs.count(rows - row)? {
                    present.add(row);
                    row += 1;
                }
            }
        }
        _ => return Err(Damaged("an unknown coding of which rows have a value")),
    }
    let count = present.count();
    Ok((Some(present), count))
}

/// Compresses what was encoded, if that saves enough.
pub(crate) fn seal(raw: &[u8], holds_text: bool) -> Vec<u8> {
    let level = if holds_text {
        ZSTD_LEVEL
    } else {
        ZSTD_LEVEL_PACKED
    };
    let mut out = Vec::with_capacity(raw.len() + 8);
    if (64..=RAW_BYTES_MAX).contains(&raw.len())
        && let Ok(packed) = zstd::bulk::compress(raw, level)
        && packed.len() < raw.len() - raw.len() / SAVE_SHARE
    {
        out.push(ZSTD);
        put_u64(&mut out, raw.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        out.push(STORED);
        out.extend_from_slice(raw);
    }
    out
}

/// The bytes as they were encoded.
pub(crate) fn unseal(sealed: &[u8]) -> Result<Cow<'_, [u8]>, Damaged> {
    let mut bytes = Bytes::new(sealed);
    match bytes.u8()? {
        STORED => Ok(Cow::Borrowed(bytes.rest())),
        ZSTD => {
            let length = bytes.count(RAW_BYTES_MAX)?;
            let raw = decompress(bytes.rest(), length)?;
            if raw.len() != length {
                return Err(Damaged("another length than was written"));
            }
            Ok(Cow::Owned(raw))
        }
        _ => Err(Damaged("an unknown way of compression")),
    }
}

thread_local! {
    /// Making one costs as much as a small block.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    let mut raw = pool::take(length);
    let done = DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(bytes, &mut raw)
    });
    done.map_err(|_| Damaged("bytes that do not decompress"))?;
    Ok(raw)
}
