//! Numbers and texts as few bytes as they need: LEB128, zigzag for what may be negative.
//! Reading never panics; whatever does not fit is [`Rubbish`].

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rubbish;

pub(crate) fn put_u(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_i(out: &mut Vec<u8>, value: i64) {
    put_u(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Rubbish> {
        let (first, rest) = self.0.split_first().ok_or(Rubbish)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn exactly(&mut self, count: usize) -> Result<&'a [u8], Rubbish> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Rubbish)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Rubbish> {
        self.exactly(N)?.try_into().map_err(|_| Rubbish)
    }

    pub(crate) fn u(&mut self) -> Result<u64, Rubbish> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Rubbish);
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Rubbish)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Rubbish> {
        u32::try_from(self.u()?).map_err(|_| Rubbish)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Rubbish> {
        u16::try_from(self.u()?).map_err(|_| Rubbish)
    }

    pub(crate) fn i(&mut self) -> Result<i64, Rubbish> {
        let value = self.u()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Rubbish> {
        let length = usize::try_from(self.u()?).map_err(|_| Rubbish)?;
        self.exactly(length)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, Rubbish> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Rubbish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_read_back(unsigned: u64, signed: i64, text: String) {
            let mut out = Vec::new();
            put_u(&mut out, unsigned);
            put_i(&mut out, signed);
            put_bytes(&mut out, text.as_bytes());
            let mut take = Take(&out);
            prop_assert_eq!(take.u(), Ok(unsigned));
            prop_assert_eq!(take.i(), Ok(signed));
            prop_assert_eq!(take.str(), Ok(text.as_str()));
            prop_assert!(take.is_empty());
        }

        #[test]
        fn rubbish_is_an_error(bytes: Vec<u8>) {
            let mut take = Take(&bytes);
            while !take.is_empty() {
                if take.u().is_err() && take.str().is_err() && take.i().is_err() {
                    break;
                }
            }
        }
    }
}
