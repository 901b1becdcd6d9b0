//! Whole numbers in few bits: each pack of 128 has its own lowest value and width. The numbers
//! are taken as they are, as steps from one to the next, as changes of the steps (clocks), or
//! as runs of equal ones (whatever belongs to a series); whichever is smallest.

use super::Damaged;
use super::bits::{PACK, pack, packed_bytes, unpack, width};
use super::bytes::{Bytes, put_i64, put_u64};

const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA_OF_DELTA: u8 = 2;
const RUNS: u8 = 3;

/// Packs that are tried to choose a way; all of them in a small column.
const SAMPLE_PACKS: usize = 12;

/// Appends numbers; their count is for the caller to keep.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[i64]) {
    if runs_pay(values) {
        return encode_runs(out, values);
    }
    let (base, unit) = base_and_unit(values);
    let mut steps: Vec<i64> = if (base, unit) == (0, 1) {
        values.to_vec()
    } else {
        let apart = values.iter().map(|value| value.wrapping_sub(base));
        if unit == 1 {
            apart.collect()
        } else {
            apart.map(|value| value / unit).collect()
        }
    };
    let mode = choose(&steps);
    out.push(mode);
    put_i64(out, base);
    put_i64(out, unit);
    for _ in 0..mode {
        for index in (1..steps.len()).rev() {
            steps[index] = steps[index].wrapping_sub(steps[index - 1]);
        }
    }
    encode_packs(out, &steps);
}

/// Reads `count` numbers.
pub(crate) fn decode(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<i64>, Damaged> {
    let mode = bytes.u8()?;
    if mode == RUNS {
        return decode_runs(bytes, count);
    }
    if mode > DELTA_OF_DELTA {
        return Err(Damaged("an unknown coding of whole numbers"));
    }
    let base = bytes.i64()?;
    let unit = bytes.i64()?;
    let mut values = Vec::with_capacity(count);
    decode_packs(bytes, count, |low, pack| {
        values.extend(pack.iter().map(|&value| low.wrapping_add(value as i64)));
    })?;
    for _ in 0..mode {
        let mut last = 0i64;
        for value in &mut values {
            last = last.wrapping_add(*value);
            *value = last;
        }
    }
    if (base, unit) != (0, 1) {
        for value in &mut values {
            *value = value.wrapping_mul(unit).wrapping_add(base);
        }
    }
    Ok(values)
}

/// Appends small numbers without a sign, such as codes of a dictionary.
pub(crate) fn encode_codes(out: &mut Vec<u8>, codes: &[u16]) {
    let wide: Vec<i64> = codes.iter().map(|&code| i64::from(code)).collect();
    if runs_pay(&wide) {
        return encode_runs(out, &wide);
    }
    out.push(PLAIN);
    encode_packs(out, &wide);
}

/// Reads codes, all of which must be below `limit`.
pub(crate) fn decode_codes(
    bytes: &mut Bytes<'_>,
    count: usize,
    limit: usize,
) -> Result<Vec<u16>, Damaged> {
    let mut codes = Vec::with_capacity(count);
    match bytes.u8()? {
        PLAIN => decode_packs(bytes, count, |low, pack| {
            codes.extend(
                pack.iter()
                    .map(|&value| (low as u64).wrapping_add(value) as u16),
            );
        })?,
        RUNS => {
            for value in decode_runs(bytes, count)? {
                codes.push(u16::try_from(value).map_err(|_| Damaged("a code over its limit"))?);
            }
        }
        _ => return Err(Damaged("an unknown coding of codes")),
    }
    let highest = codes.iter().fold(0, |highest, &code| code.max(highest));
    if count > 0 && usize::from(highest) >= limit {
        return Err(Damaged("a code that its dictionary does not have"));
    }
    Ok(codes)
}

fn runs_pay(values: &[i64]) -> bool {
    if values.len() < 16 {
        return false;
    }
    let limit = values.len() / 16;
    let changes = values.windows(2).filter(|pair| pair[0] != pair[1]);
    changes.take(limit + 1).count() <= limit
}

fn encode_runs(out: &mut Vec<u8>, values: &[i64]) {
    out.push(RUNS);
    let mut heads = Vec::new();
    let mut lengths = Vec::new();
    for run in values.chunk_by(|left, right| left == right) {
        heads.push(run[0]);
        lengths.push(run.len() as i64);
    }
    put_u64(out, heads.len() as u64);
    // Packs, not `encode`: runs of runs would nest without a bound.
    encode_packs(out, &heads);
    encode_packs(out, &lengths);
}

fn decode_runs(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<i64>, Damaged> {
    let runs = bytes.count(count)?;
    let mut heads = Vec::with_capacity(runs);
    let mut lengths = Vec::with_capacity(runs);
    for values in [&mut heads, &mut lengths] {
        decode_packs(bytes, runs, |low, pack| {
            values.extend(pack.iter().map(|&value| low.wrapping_add(value as i64)));
        })?;
    }
    let mut values = Vec::with_capacity(count);
    for (head, length) in heads.into_iter().zip(lengths) {
        let length = usize::try_from(length).map_err(|_| Damaged("a run of negative length"))?;
        if length > count - values.len() {
            return Err(Damaged("runs longer than their column"));
        }
        values.resize(values.len() + length, head);
    }
    if values.len() != count {
        return Err(Damaged("runs shorter than their column"));
    }
    Ok(values)
}

/// The lowest value and the greatest step that all others are multiples of away from it.
fn base_and_unit(values: &[i64]) -> (i64, i64) {
    let (Some(&low), Some(&high)) = (values.iter().min(), values.iter().max()) else {
        return (0, 1);
    };
    if high.checked_sub(low).is_none() {
        return (0, 1);
    }
    let mut unit = 0u64;
    for &value in values {
        unit = greatest_divisor(unit, value.wrapping_sub(low) as u64);
        if unit == 1 {
            break;
        }
    }
    (low, i64::try_from(unit.max(1)).unwrap_or(1))
}

fn greatest_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

fn choose(steps: &[i64]) -> u8 {
    let packs = steps.len().div_ceil(PACK);
    let stride = packs.div_ceil(SAMPLE_PACKS).max(1);
    let mut bits = [0usize; 3];
    for index in (0..packs).step_by(stride) {
        // Two before, so that the pack's first steps are steps from something.
        let from = (index * PACK).saturating_sub(2);
        let to = (index * PACK + PACK).min(steps.len());
        let mut values = steps[from..to].to_vec();
        let lead = index * PACK - from;
        for (mode, bits) in bits.iter_mut().enumerate() {
            if mode > 0 {
                for index in (1..values.len()).rev() {
                    values[index] = values[index].wrapping_sub(values[index - 1]);
                }
                if from == 0 {
                    values[0] = values.get(1).copied().unwrap_or(0);
                }
            }
            let pack = &values[lead..];
            let low = pack.iter().copied().min().unwrap_or(0);
            let spread = pack
                .iter()
                .fold(0, |all, value| all | value.wrapping_sub(low) as u64);
            *bits += (64 - spread.leading_zeros()) as usize * pack.len();
        }
    }
    // Steps cost a pass to read, so they must save something: an eighth.
    let plain = bits[0] - bits[0] / 8;
    match () {
        () if bits[2] < bits[1] - bits[1] / 8 && bits[2] < plain => DELTA_OF_DELTA,
        () if bits[1] < plain => DELTA,
        () => PLAIN,
    }
}

fn encode_packs(out: &mut Vec<u8>, values: &[i64]) {
    let mut apart = [0u64; PACK];
    for values in values.chunks(PACK) {
        let low = values.iter().copied().min().unwrap_or(0);
        let apart = &mut apart[..values.len()];
        for (apart, value) in apart.iter_mut().zip(values) {
            *apart = value.wrapping_sub(low) as u64;
        }
        let width = width(apart);
        out.push(width as u8);
        put_i64(out, low);
        pack(out, apart, width);
    }
}

fn decode_packs(
    bytes: &mut Bytes<'_>,
    count: usize,
    mut each: impl FnMut(i64, &[u64]),
) -> Result<(), Damaged> {
    let mut values = [0u64; PACK];
    let mut left = count;
    while left > 0 {
        let here = left.min(PACK);
        let width = u32::from(bytes.u8()?);
        if width > 64 {
            return Err(Damaged("numbers wider than 64 bits"));
        }
        let low = bytes.i64()?;
        let packed = packed_bytes(here, width);
        // What follows the pack may be read along, and is masked away.
        let rest = bytes.rest();
        bytes.take(packed)?;
        let whole = (packed_bytes(PACK, width) + 8).min(rest.len());
        unpack(&rest[..whole], width, &mut values);
        each(low, &values[..here]);
        left -= here;
    }
    Ok(())
}
