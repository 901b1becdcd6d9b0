//! Numbers of equal width side by side without gaps, lowest bit first, in packs of 128: few
//! enough that a large one among them costs little, many enough that widths cost nothing.

/// Numbers in one pack.
pub(crate) const PACK: usize = 128;
/// A reader loads eight bytes at a time, so a pack is read from a buffer with so many to spare.
const SPARE: usize = 8;

/// Bits that the largest of these needs.
pub(crate) fn width(values: &[u64]) -> u32 {
    64 - values
        .iter()
        .fold(0, |all, value| all | value)
        .leading_zeros()
}

/// Bytes that `count` numbers of a width take.
pub(crate) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends numbers, none of which needs more than `width` bits.
pub(crate) fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    if width == 0 {
        return;
    }
    let mut pending = 0u128;
    let mut filled = 0u32;
    for &value in values {
        pending |= u128::from(value) << filled;
        filled += width;
        while filled >= 32 {
            out.extend_from_slice(&(pending as u32).to_le_bytes());
            pending >>= 32;
            filled -= 32;
        }
    }
    let left = filled.div_ceil(8) as usize;
    out.extend_from_slice(&pending.to_le_bytes()[..left]);
}

/// Reads a pack of `width` bits a number from the begin of `bytes`; where they are fewer than
/// a whole pack takes, the numbers that are not there have no meaning.
pub(crate) fn unpack(bytes: &[u8], width: u32, out: &mut [u64; PACK]) {
    let needed = packed_bytes(PACK, width) + SPARE;
    if bytes.len() >= needed {
        return unpack_padded(&bytes[..needed], width, out);
    }
    let mut padded = [0u8; PACK * 8 + SPARE];
    padded[..bytes.len()].copy_from_slice(bytes);
    unpack_padded(&padded[..needed], width, out);
}

fn unpack_padded(bytes: &[u8], width: u32, out: &mut [u64; PACK]) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                0 => out.fill(0),
                $($width => unpack_narrow::<$width>(bytes, out),)*
                _ => unpack_wide(bytes, width, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
}

/// Eight numbers of `WIDTH` bits are `WIDTH` bytes, so each has a fixed place in them.
fn unpack_narrow<const WIDTH: usize>(bytes: &[u8], out: &mut [u64; PACK]) {
    let mask = (1u64 << WIDTH) - 1;
    for (group, eight) in out.chunks_exact_mut(8).enumerate() {
        let from = &bytes[group * WIDTH..group * WIDTH + WIDTH + SPARE];
        for (index, value) in eight.iter_mut().enumerate() {
            let bit = index * WIDTH;
            let Some(word) = from[bit / 8..].first_chunk::<8>() else {
                continue;
            };
            *value = u64::from_le_bytes(*word) >> (bit % 8) & mask;
        }
    }
}

fn unpack_wide(bytes: &[u8], width: u32, out: &mut [u64; PACK]) {
    let mask = u64::MAX >> (64 - width);
    for (index, value) in out.iter_mut().enumerate() {
        let bit = index * width as usize;
        let mut word = [0u8; 16];
        let from = &bytes[bit / 8..];
        let count = from.len().min(9);
        word[..count].copy_from_slice(&from[..count]);
        *value = (u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask;
    }
}
