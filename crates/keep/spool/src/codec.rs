//! A batch as bytes, packed: for the queue on disk and for the way to the keeper alike. Names
//! of attributes are written once a batch; lengths and whole numbers are variable in length.

use andon_model::event::{ATTRIBUTES_MAX, Event, TEXT_BYTES_MAX, Value};
use andon_model::time::Timestamp;
use std::collections::BTreeMap;
use std::io::Read as _;

/// Bytes of one batch unpacked at most.
pub const UNPACKED_BYTES_MAX: usize = 64 << 20;
/// Bytes of one batch as events at most, about: a name is written once and repeated in each
/// event that has it, so that little could become very much. Twice what an input takes at once.
pub const EXPANDED_BYTES_MAX: usize = 256 << 20;
/// Events of one batch at most.
pub const EVENTS_MAX: usize = 1 << 20;
/// A batch is packed once and unpacked once, and waits in between.
const LEVEL: i32 = 1;
/// The first byte; another layout has another.
const VERSION: u8 = 1;

/// Events on their way, and by which name they are known to have come already.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parcel {
    /// Where they go.
    pub dataset: String,
    /// Where they come from, unique within the node that sends them.
    pub source: String,
    /// Grows from parcel to parcel of a source: one that came is known by it.
    pub sequence: u64,
    /// In the order they came.
    pub events: Vec<Event>,
}

/// Packs and unpacks parcels. Holds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Codec;

/// Why bytes are no parcel.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// They cannot be unpacked, or it would be too much.
    #[error("it cannot be unpacked: {0}")]
    Packing(#[from] std::io::Error),
    /// They end too early, or name what is not there.
    #[error("it is no batch of events")]
    Malformed,
    /// Another version wrote them.
    #[error("it is written in a way that this version does not know ({0})")]
    Version(u8),
}

impl Codec {
    /// The parcel as packed bytes.
    pub fn pack(parcel: &Parcel) -> Result<Vec<u8>, CodecError> {
        let plain = plain(parcel);
        if plain.len() > UNPACKED_BYTES_MAX {
            return Err(CodecError::Malformed);
        }
        Ok(zstd::bulk::compress(&plain, LEVEL)?)
    }

    /// The parcel that packed bytes are. Whatever they are, memory is bounded.
    pub fn unpack(bytes: &[u8]) -> Result<Parcel, CodecError> {
        let reader = zstd::stream::read::Decoder::with_buffer(bytes)?;
        let mut plain = Vec::new();
        reader
            .take(UNPACKED_BYTES_MAX as u64 + 1)
            .read_to_end(&mut plain)?;
        if plain.len() > UNPACKED_BYTES_MAX {
            return Err(CodecError::Malformed);
        }
        read(&plain)
    }
}

fn plain(parcel: &Parcel) -> Vec<u8> {
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    let mut body = Vec::new();
    let mut before = 0;
    for event in &parcel.events {
        signed(&mut body, event.at.0.wrapping_sub(before));
        before = event.at.0;
        varint(&mut body, event.attributes.len() as u64);
        for (name, value) in &event.attributes {
            let next = names.len() as u64;
            let number = *names.entry(name).or_insert_with(|| {
                order.push(name);
                next
            });
            varint(&mut body, number);
            match value {
                Value::Bool(value) => body.push(u8::from(*value)),
                Value::Integer(value) => {
                    body.push(2);
                    signed(&mut body, *value);
                }
                Value::Float(value) => {
                    body.push(3);
                    body.extend_from_slice(&value.to_bits().to_le_bytes());
                }
                Value::Text(value) => {
                    body.push(4);
                    text(&mut body, value);
                }
            }
        }
    }
    let mut out = vec![VERSION];
    text(&mut out, &parcel.dataset);
    text(&mut out, &parcel.source);
    varint(&mut out, parcel.sequence);
    varint(&mut out, order.len() as u64);
    for name in order {
        text(&mut out, name);
    }
    varint(&mut out, parcel.events.len() as u64);
    out.extend_from_slice(&body);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn read(bytes: &[u8]) -> Result<Parcel, CodecError> {
    let mut reader = Reader(bytes);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let mut parcel = Parcel {
        dataset: reader.text()?,
        source: reader.text()?,
        sequence: reader.varint()?,
        events: Vec::new(),
    };
    let mut names = Vec::new();
    for _ in 0..reader.count(UNPACKED_BYTES_MAX)? {
        names.push(reader.text()?);
    }
    let mut before = 0_i64;
    let mut expanded = 0_usize;
    for _ in 0..reader.count(EVENTS_MAX)? {
        before = before.wrapping_add(reader.signed()?);
        let mut event = Event::new(Timestamp(before));
        for _ in 0..reader.count(ATTRIBUTES_MAX * 2)? {
            let number = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
            let name = names.get(number).ok_or(CodecError::Malformed)?;
            expanded += 64 + name.len();
            if expanded > EXPANDED_BYTES_MAX {
                return Err(CodecError::Malformed);
            }
            let value = match reader.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                2 => Value::Integer(reader.signed()?),
                3 => Value::Float(f64::from_bits(u64::from_le_bytes(reader.eight()?))),
                4 => Value::Text(reader.text()?),
                _ => return Err(CodecError::Malformed),
            };
            event.attributes.push((name.clone(), value));
        }
        parcel.events.push(event);
    }
    match reader.0.is_empty() {
        true => Ok(parcel),
        false => Err(CodecError::Malformed),
    }
}

/// For fuzzers: a parcel as it comes from another node, packed and unpacked.
pub fn fuzz(bytes: &[u8]) {
    for parcel in [Codec::unpack(bytes), read(bytes)].into_iter().flatten() {
        // Text that repeats packs well: only what could have been written comes back.
        if let Ok(again) = Codec::pack(&parcel).and_then(|packed| Codec::unpack(&packed)) {
            assert_eq!(again.events.len(), parcel.events.len());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(CodecError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    fn eight(&mut self) -> Result<[u8; 8], CodecError> {
        self.take(8)?.try_into().map_err(|_| CodecError::Malformed)
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Malformed)
    }

    fn signed(&mut self) -> Result<i64, CodecError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn count(&mut self, most: usize) -> Result<usize, CodecError> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        // Each takes a byte at least, so that a count alone allocates nothing.
        match count <= most && count <= self.0.len() {
            true => Ok(count),
            false => Err(CodecError::Malformed),
        }
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let length = self.count(TEXT_BYTES_MAX.max(1 << 20))?;
        let text = std::str::from_utf8(self.take(length)?);
        Ok(text.map_err(|_| CodecError::Malformed)?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some() -> Parcel {
        Parcel {
            dataset: "logs".into(),
            source: "file/x".into(),
            sequence: u64::MAX,
            events: vec![
                Event::new(Timestamp(-5)),
                Event::new(Timestamp(i64::MAX))
                    .with("a", Value::Integer(i64::MIN))
                    .with("b", Value::Float(f64::NEG_INFINITY))
                    .with("c", "\u{e4}"),
                Event::new(Timestamp(i64::MIN)).with("a", Value::Bool(true)),
            ],
        }
    }

    #[test]
    fn a_parcel_comes_back_as_it_was() {
        let parcel = some();
        let packed = Codec::pack(&parcel).unwrap();
        assert_eq!(Codec::unpack(&packed).unwrap(), parcel);
        let mut other = plain(&parcel);
        other[0] = 9;
        assert!(matches!(read(&other), Err(CodecError::Version(9))));
    }

    #[test]
    fn a_name_that_is_repeated_too_often_is_refused() {
        let mut plain = vec![VERSION];
        for text in ["logs", "x"] {
            varint(&mut plain, text.len() as u64);
            plain.extend(text.bytes());
        }
        varint(&mut plain, 1);
        varint(&mut plain, 1);
        varint(&mut plain, 1 << 20);
        plain.resize(plain.len() + (1 << 20), b'n');
        let (events, attributes) = (1_000_u64, 512_u64);
        varint(&mut plain, events);
        for _ in 0..events {
            signed(&mut plain, 0);
            varint(&mut plain, attributes);
            for _ in 0..attributes {
                varint(&mut plain, 0);
                plain.push(1);
            }
        }
        assert!(matches!(read(&plain), Err(CodecError::Malformed)));
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(&bytes);
            fuzz(&[&[VERSION], bytes.as_slice()].concat());
        }

        #[test]
        fn changed_bytes_are_refused_or_read(place: prop::sample::Index, byte: u8) {
            let mut plain = plain(&some());
            let place = place.index(plain.len());
            plain[place] = byte;
            fuzz(&plain);
        }

        #[test]
        fn a_cut_parcel_is_none(end in 0_usize..60) {
            let plain = plain(&some());
            prop_assume!(end < plain.len());
            prop_assert!(read(&plain[..end]).is_err());
        }
    }
}
