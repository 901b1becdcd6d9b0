//! Texts that are not worth a dictionary: ids in hexadecimal as half as many bytes, all others
//! one after the other.

use super::bytes::{Bytes, put_u64};
use super::{BLOCK_TEXT_BYTES_MAX, Damaged, ints};
use crate::column::Texts;

const SPELLED: u8 = 0;
const HEX: u8 = 1;
const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends texts; their count is for the caller to keep.
pub(crate) fn encode(out: &mut Vec<u8>, texts: &Texts) {
    if let Some(digits) = hex_digits(texts) {
        out.push(HEX);
        put_u64(out, digits as u64);
        let pairs = texts.text.as_bytes().chunks_exact(2);
        out.extend(pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])));
        return;
    }
    out.push(SPELLED);
    let mut lengths = Vec::with_capacity(texts.len());
    let mut before = 0;
    for &end in &texts.ends {
        lengths.push(i64::from(end - before));
        before = end;
    }
    ints::encode(out, &lengths);
    out.extend_from_slice(texts.text.as_bytes());
}

/// Reads `count` texts, which take the rest of the bytes.
pub(crate) fn decode(bytes: &mut Bytes<'_>, count: usize) -> Result<Texts, Damaged> {
    match bytes.u8()? {
        HEX => decode_hex(bytes, count),
        SPELLED => decode_spelled(bytes, count),
        _ => Err(Damaged("an unknown coding of texts")),
    }
}

/// Reads some of `count` texts, at ascending places.
pub(crate) fn pick(
    bytes: &mut Bytes<'_>,
    count: usize,
    places: &[usize],
) -> Result<Vec<String>, Damaged> {
    let mut texts = Vec::with_capacity(places.len());
    match bytes.u8()? {
        HEX => {
            let digits = bytes.count(64)?;
            if !digits.is_multiple_of(2) {
                return Err(Damaged("half a byte of hexadecimal digits"));
            }
            let packed = bytes.take(count * digits / 2)?;
            for &place in places {
                let packed = &packed[place * digits / 2..][..digits / 2];
                let halves = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let digit = |half: u8| char::from(HEX_DIGITS[usize::from(half)]);
                texts.push(halves.map(digit).collect());
            }
        }
        SPELLED => {
            let lengths = ints::decode(bytes, count)?;
            let all = bytes.rest();
            let (mut at, mut wanted) = (0usize, places.iter().peekable());
            for (index, length) in lengths.into_iter().enumerate() {
                let length = u32::try_from(length);
                let length = length.map_err(|_| Damaged("a text of negative length"))?;
                let end = at + length as usize;
                if wanted.next_if(|place| **place == index).is_some() {
                    let text = all.get(at..end).ok_or(Damaged("too short"))?;
                    let text = std::str::from_utf8(text);
                    let text = text.map_err(|_| Damaged("text that is not UTF-8"))?;
                    texts.push(text.to_owned());
                }
                at = end;
            }
        }
        _ => return Err(Damaged("an unknown coding of texts")),
    }
    Ok(texts)
}

fn decode_spelled(bytes: &mut Bytes<'_>, count: usize) -> Result<Texts, Damaged> {
    let lengths = ints::decode(bytes, count)?;
    let mut end = 0u32;
    let mut ends = Vec::with_capacity(count);
    for length in lengths {
        let length = u32::try_from(length).map_err(|_| Damaged("a text of negative length"))?;
        end = end
            .checked_add(length)
            .ok_or(Damaged("texts over their limit"))?;
        ends.push(end);
    }
    let text = bytes.take(end as usize)?;
    let text = std::str::from_utf8(text).map_err(|_| Damaged("text that is not UTF-8"))?;
    if ends.iter().any(|&end| !text.is_char_boundary(end as usize)) {
        return Err(Damaged("texts cut within a character"));
    }
    Ok(Texts {
        text: text.to_owned(),
        ends,
    })
}

fn decode_hex(bytes: &mut Bytes<'_>, count: usize) -> Result<Texts, Damaged> {
    let digits = bytes.count(64)?;
    if !digits.is_multiple_of(2) {
        return Err(Damaged("half a byte of hexadecimal digits"));
    }
    if count * digits > BLOCK_TEXT_BYTES_MAX {
        return Err(Damaged("texts over their limit"));
    }
    let packed = bytes.take(count * digits / 2)?;
    let mut text = Vec::with_capacity(packed.len() * 2);
    for &byte in packed {
        text.push(HEX_DIGITS[usize::from(byte >> 4)]);
        text.push(HEX_DIGITS[usize::from(byte & 15)]);
    }
    let text = String::from_utf8(text).map_err(|_| Damaged("text that is not UTF-8"))?;
    let ends = (1..=count).map(|index| (index * digits) as u32).collect();
    Ok(Texts { text, ends })
}

/// How many digits each text has, if all are hexadecimal, in small letters, and equally long.
fn hex_digits(texts: &Texts) -> Option<usize> {
    let digits = *texts.ends.first()? as usize;
    let even = (2..=64).contains(&digits) && digits.is_multiple_of(2);
    let equal = || {
        let mut ends = texts.ends.iter().enumerate();
        ends.all(|(index, &end)| end as usize == (index + 1) * digits)
    };
    let hex = || {
        let mut bytes = texts.text.bytes();
        bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (even && equal() && hex()).then_some(digits)
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}
