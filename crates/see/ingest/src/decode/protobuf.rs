//! Protocol buffers' wire format, read field by field without copying and without a schema:
//! each decoder knows its few field numbers. No generated code, no compiler for it.
//! Source: protobuf.dev, "Encoding".

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end within a field.
    #[error("the message ends within a field")]
    Short,
    /// A number of more than ten bytes.
    #[error("a number has more than ten bytes")]
    LongNumber,
    /// A type of field that is not in use.
    #[error("a field has the unknown type {0}")]
    Type(u8),
}

/// A field's value, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// int32, int64, uint32, uint64, bool, enum; sint in zigzag.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// string, bytes, messages, packed lists.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
}

impl<'a> Wire<'a> {
    /// Bytes; empty for other types.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// A whole number; 0 for bytes.
    pub fn number(self) -> u64 {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => number,
            Self::Fixed32(number) => number.into(),
            Self::Bytes(_) => 0,
        }
    }

    /// A signed number, as int64 and sfixed64 are.
    pub fn signed(self) -> i64 {
        self.number() as i64
    }

    /// A signed number in zigzag, as sint32 and sint64 are.
    pub fn zigzag(self) -> i64 {
        let number = self.number();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    /// A double or float; 0 for other types.
    pub fn float(self) -> f64 {
        match self {
            Self::Fixed64(bits) => f64::from_bits(bits),
            Self::Fixed32(bits) => f32::from_bits(bits).into(),
            _ => 0.0,
        }
    }
}

/// The fields of a message, in their order: number and value. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of a message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), WireError> {
        let tag = varint(&mut self.0)?;
        let number = (tag >> 3) as u32;
        let value = match (tag & 7) as u8 {
            0 => Wire::Varint(varint(&mut self.0)?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
                self.0 = rest;
                Wire::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = varint(&mut self.0)?;
                let length = usize::try_from(length).map_err(|_| WireError::Short)?;
                if length > self.0.len() {
                    return Err(WireError::Short);
                }
                let (bytes, rest) = self.0.split_at(length);
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
                self.0 = rest;
                Wire::Fixed32(u32::from_le_bytes(*bytes))
            }
            other => return Err(WireError::Type(other)),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(WireError::Short)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(WireError::LongNumber)
}

/// Numbers of a repeated field: one by one, or packed with `bytes_each` (8), or as varints (0).
pub fn numbers(wire: Wire<'_>, bytes_each: usize, into: &mut Vec<u64>) -> Result<(), WireError> {
    let Wire::Bytes(mut bytes) = wire else {
        into.push(wire.number());
        return Ok(());
    };
    if bytes_each == 8 {
        let (chunks, rest) = bytes.as_chunks::<8>();
        into.extend(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
        return if rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::Short)
        };
    }
    while !bytes.is_empty() {
        into.push(varint(&mut bytes)?);
    }
    Ok(())
}

/// Writes messages, for answers and for what is turned into this format.
#[derive(Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// A varint field.
    pub fn varint(&mut self, number: u32, value: u64) {
        self.raw(u64::from(number) << 3);
        self.raw(value);
    }

    /// A fixed64 field.
    pub fn fixed64(&mut self, number: u32, value: u64) {
        self.raw(u64::from(number) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A string, bytes or message field.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.raw(u64::from(number) << 3 | 2);
        self.raw(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_read_back_as_written() {
        let mut message = Message::default();
        message.varint(1, u64::MAX);
        message.fixed64(2, 1.5f64.to_bits());
        message.bytes(300, b"text");
        let fields: Vec<_> = Fields::new(&message.0).collect::<Result<_, _>>().unwrap();
        let expected = [
            (1, Wire::Varint(u64::MAX)),
            (2, Wire::Fixed64(1.5f64.to_bits())),
            (300, Wire::Bytes(b"text")),
        ];
        assert_eq!(fields, expected);
        assert_eq!(Wire::Varint(3).zigzag(), -2);
        let cut = Fields::new(&message.0[..message.0.len() - 1]).last();
        assert_eq!(cut, Some(Err(WireError::Short)));
        assert_eq!(Fields::new(&[0x0b]).last(), Some(Err(WireError::Type(3))));
    }

    proptest! {
        #[test]
        fn rubbish_ends(bytes: Vec<u8>) {
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }
    }
}
