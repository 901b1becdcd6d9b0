//! Snappy's block format, unpacked within a bound. Prometheus and Loki pack what they send.
//! Source: google/snappy, `format_description.txt`.

/// Why bytes cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    /// They end too early.
    #[error("snappy data ends too early")]
    Short,
    /// They say that they unpack to more than is taken.
    #[error("snappy data unpacks to {0} bytes, more than is taken")]
    TooLarge(u64),
    /// A copy from before the beginning, or a length that is not the one that was said.
    #[error("snappy data is damaged")]
    Damaged,
}

/// All bytes, unpacked, of at most `bytes_max`.
pub fn decompress(mut bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, SnappyError> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = take(&mut bytes, 1)?[0];
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > bytes_max as u64 {
        return Err(SnappyError::TooLarge(length));
    }
    let length = length as usize;
    // Grows with what is there, not with what was promised.
    let mut out = Vec::with_capacity(length.min(bytes.len().saturating_mul(4)));
    while !bytes.is_empty() {
        let tag = take(&mut bytes, 1)?[0];
        if tag & 3 == 0 {
            let count = literal_length(tag, &mut bytes)?;
            let literal = take(&mut bytes, count)?;
            out.extend_from_slice(literal);
        } else {
            let (offset, count) = copy(tag, &mut bytes)?;
            let start = out.len().checked_sub(offset).filter(|_| offset > 0);
            let start = start.ok_or(SnappyError::Damaged)?;
            if out.len() + count > length {
                return Err(SnappyError::Damaged);
            }
            for place in start..start + count {
                out.push(out[place]);
            }
        }
        if out.len() > length {
            return Err(SnappyError::Damaged);
        }
    }
    (out.len() == length)
        .then_some(out)
        .ok_or(SnappyError::Damaged)
}

fn literal_length(tag: u8, bytes: &mut &[u8]) -> Result<usize, SnappyError> {
    let code = usize::from(tag >> 2);
    if code < 60 {
        return Ok(code + 1);
    }
    let extra = take(bytes, code - 59)?;
    let length = extra
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Ok(length + 1)
}

fn copy(tag: u8, bytes: &mut &[u8]) -> Result<(usize, usize), SnappyError> {
    let long = usize::from(tag >> 2) + 1;
    Ok(match tag & 3 {
        1 => {
            let low = take(bytes, 1)?[0];
            let offset = usize::from(tag >> 5) << 8 | usize::from(low);
            (offset, usize::from(tag >> 2 & 7) + 4)
        }
        2 => {
            let offset = take(bytes, 2)?;
            (
                usize::from(u16::from_le_bytes([offset[0], offset[1]])),
                long,
            )
        }
        _ => {
            let offset = take(bytes, 4)?;
            let offset = u32::from_le_bytes([offset[0], offset[1], offset[2], offset[3]]);
            (offset as usize, long)
        }
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], SnappyError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(SnappyError::Short)?;
    *bytes = rest;
    Ok(taken)
}

/// Packs without packing: one literal after the other. For tests and small messages.
pub fn wrap(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for chunk in bytes.chunks(60) {
        out.push((chunk.len() as u8 - 1) << 2);
        out.extend_from_slice(chunk);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_and_copies_unpack() {
        // "abcd" as a literal, then a copy of 8 bytes from 4 back, then one of 4 from 2 back.
        let packed = [
            16,
            3 << 2,
            b'a',
            b'b',
            b'c',
            b'd',
            4 << 2 | 1,
            4,
            3 << 2 | 2,
            2,
            0,
        ];
        assert_eq!(decompress(&packed, 100).unwrap(), b"abcdabcdabcdcdcd");
        assert_eq!(decompress(&packed, 15), Err(SnappyError::TooLarge(16)));
        assert_eq!(decompress(&packed[..5], 100), Err(SnappyError::Short));
        assert_eq!(decompress(&[4, 1, 9], 100), Err(SnappyError::Damaged));
        assert_eq!(
            decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f], 100),
            Err(SnappyError::TooLarge(u32::MAX.into()))
        );
    }

    proptest! {
        #[test]
        fn what_was_wrapped_unpacks_and_rubbish_is_an_error(bytes: Vec<u8>) {
            prop_assert_eq!(decompress(&wrap(&bytes), 1 << 20).unwrap(), bytes.clone());
            let _ = decompress(&bytes, 1 << 20);
        }
    }
}
