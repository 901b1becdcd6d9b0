//! Whole numbers in few bits: each pack of 128 has its own lowest value and width. The numbers
//! are taken as they are, as steps from one to the next, as changes of the steps (clocks), or
//! as runs of equal ones (whatever belongs to a series); whichever is smallest.

use super::Damaged;
use super::bits::{PACK, pack, packed_bytes, unpack, width};
use super::bytes::{Bytes, put_i64, put_u64};
use crate::pool;

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
    let effort = match mode {
        PLAIN => Effort::Some,
        _ => Effort::Much,
    };
    encode_packs(out, &steps, effort);
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
    let mut values = pool::take(count);
    if mode == PLAIN {
        decode_packs(bytes, count, |low, pack| {
            let low = low.wrapping_mul(unit).wrapping_add(base);
            let value = |&value: &u64| low.wrapping_add((value as i64).wrapping_mul(unit));
            match unit {
                1 => values.extend(pack.iter().map(|&value| low.wrapping_add(value as i64))),
                _ => values.extend(pack.iter().map(value)),
            }
        })?;
        return Ok(values);
    }
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

/// Reads `count` numbers, each turned into something else on the way.
pub(crate) fn decode_as<T>(
    bytes: &mut Bytes<'_>,
    count: usize,
    into: &mut Vec<T>,
    turn: impl Fn(i64) -> T,
) -> Result<(), Damaged> {
    let mut head = bytes.clone();
    if head.u8()? != PLAIN {
        let values = decode(bytes, count)?;
        into.extend(values.iter().map(|&value| turn(value)));
        pool::give(values);
        return Ok(());
    }
    let base = head.i64()?;
    let unit = head.i64()?;
    *bytes = head;
    decode_packs(bytes, count, |low, pack| {
        let low = low.wrapping_mul(unit).wrapping_add(base);
        let value = |&value: &u64| turn(low.wrapping_add((value as i64).wrapping_mul(unit)));
        match unit {
            1 => into.extend(
                pack.iter()
                    .map(|&value| turn(low.wrapping_add(value as i64))),
            ),
            _ => into.extend(pack.iter().map(value)),
        }
    })
}

/// Appends small numbers without a sign, such as codes of a dictionary.
pub(crate) fn encode_codes(out: &mut Vec<u8>, codes: &[u16]) {
    let wide: Vec<i64> = codes.iter().map(|&code| i64::from(code)).collect();
    if runs_pay(&wide) {
        return encode_runs(out, &wide);
    }
    out.push(PLAIN);
    encode_packs(out, &wide, Effort::Little);
}

/// Reads codes, all of which must be below `limit`.
pub(crate) fn decode_codes(
    bytes: &mut Bytes<'_>,
    count: usize,
    limit: usize,
) -> Result<Vec<u16>, Damaged> {
    let mut codes = pool::take(count);
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
    encode_packs(out, &heads, Effort::Some);
    encode_packs(out, &lengths, Effort::Some);
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

/// Marks a pack with more than a width: a unit of its own, and numbers too large for it.
const EXTRAS: u8 = 0x80;
/// Numbers of one pack that may be too large for its width: a series' first step among small
/// ones, a slow request among quick ones.
const OUTLIERS_MAX: usize = 12;

/// How a pack is written.
struct Layout {
    low: i64,
    unit: i64,
    width: u32,
    bits: usize,
}

fn encode_packs(out: &mut Vec<u8>, values: &[i64], effort: Effort) {
    let mut apart = [0u64; PACK];
    for values in values.chunks(PACK) {
        let layout = layout(values, effort);
        let apart = &mut apart[..values.len()];
        spread(apart, values, layout.low, layout.unit);
        let too_large = |value: u64| layout.width < 64 && value >> layout.width > 0;
        let outliers = apart.iter().filter(|&&value| too_large(value)).count();
        let plain = layout.unit == 1 && outliers == 0;
        out.push(layout.width as u8 | if plain { 0 } else { EXTRAS });
        put_i64(out, layout.low);
        if !plain {
            put_i64(out, layout.unit);
            out.push(outliers as u8);
            for (index, value) in apart.iter_mut().enumerate() {
                if too_large(*value) {
                    out.push(index as u8);
                    put_u64(out, *value >> layout.width);
                    *value &= (1 << layout.width) - 1;
                }
            }
        }
        pack(out, apart, layout.width);
    }
}

/// How many units each value is above `low`, around the end of 64 bits where it is below.
fn spread(apart: &mut [u64], values: &[i64], low: i64, unit: i64) {
    for (apart, value) in apart.iter_mut().zip(values) {
        let above = value.wrapping_sub(low);
        *apart = if unit == 1 { above } else { above / unit } as u64;
    }
}

/// How hard to look for a small layout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// Codes: they have no unit, and none stands out.
    Little,
    /// Measured numbers: some may stand out above.
    Some,
    /// Steps: some stand out below, too.
    Much,
}

fn layout(values: &[i64], effort: Effort) -> Layout {
    let low = values.iter().copied().min().unwrap_or(0);
    let mut apart = [0u64; PACK];
    let apart = &mut apart[..values.len()];
    spread(apart, values, low, 1);
    if effort == Effort::Little {
        let width = width(apart);
        return Layout {
            low,
            unit: 1,
            width,
            bits: 0,
        };
    }
    let best = with_outliers(values, low, apart);
    if effort == Effort::Some || best.width < 2 {
        return best;
    }
    // A few large steps down would make all others large: count from above them instead.
    let mut sorted = [0i64; PACK];
    let sorted = &mut sorted[..values.len()];
    sorted.copy_from_slice(values);
    sorted.sort_unstable();
    for below in [1, 2, 4] {
        let Some(&other) = sorted.get(below).filter(|other| **other != low) else {
            continue;
        };
        spread(apart, values, other, 1);
        let candidate = with_outliers(values, other, apart);
        if candidate.bits < best.bits {
            return candidate;
        }
    }
    best
}

fn with_outliers(values: &[i64], low: i64, apart: &mut [u64]) -> Layout {
    let mut unit = 0u64;
    for value in values {
        unit = greatest_divisor(unit, value.wrapping_sub(low).unsigned_abs());
        if unit == 1 {
            break;
        }
    }
    let unit = i64::try_from(unit.max(1)).unwrap_or(1);
    if unit > 1 {
        spread(apart, values, low, unit);
    }
    let mut lengths = [0u8; 65];
    for value in apart.iter() {
        lengths[(64 - value.leading_zeros()) as usize] += 1;
    }
    let top = lengths.iter().rposition(|&count| count > 0).unwrap_or(0);
    let mut best = Layout {
        low,
        unit,
        width: top as u32,
        bits: top * values.len(),
    };
    let mut outliers = 0;
    for width in (0..top).rev() {
        outliers += usize::from(lengths[width + 1]);
        if outliers > OUTLIERS_MAX {
            break;
        }
        let above = lengths[width + 1..=top].iter().enumerate();
        let extra: usize = above
            .map(|(more, &count)| usize::from(count) * (8 + (more + 1).div_ceil(7) * 8))
            .sum();
        let bits = width * values.len() + extra;
        if bits < best.bits {
            best = Layout {
                low,
                unit,
                width: width as u32,
                bits,
            };
        }
    }
    best
}

/// Reads some of `count` numbers, at ascending places.
pub(crate) fn pick(
    bytes: &mut Bytes<'_>,
    count: usize,
    places: &[usize],
) -> Result<Vec<i64>, Damaged> {
    let mut head = bytes.clone();
    if head.u8()? != PLAIN {
        let values = decode(bytes, count)?;
        let picked = places.iter().map(|&place| values[place]).collect();
        pool::give(values);
        return Ok(picked);
    }
    let base = head.i64()?;
    let unit = head.i64()?;
    *bytes = head;
    let values = pick_packed(bytes, count, places)?;
    let value = |value: i64| value.wrapping_mul(unit).wrapping_add(base);
    Ok(values.into_iter().map(value).collect())
}

/// Reads some of `count` codes; whether their dictionary has them is for the caller to see.
pub(crate) fn pick_codes(
    bytes: &mut Bytes<'_>,
    count: usize,
    places: &[usize],
) -> Result<Vec<i64>, Damaged> {
    match bytes.u8()? {
        PLAIN => pick_packed(bytes, count, places),
        RUNS => {
            let values = decode_runs(bytes, count)?;
            Ok(places.iter().map(|&place| values[place]).collect())
        }
        _ => Err(Damaged("an unknown coding of codes")),
    }
}

fn pick_packed(bytes: &mut Bytes<'_>, count: usize, places: &[usize]) -> Result<Vec<i64>, Damaged> {
    let mut picked = Vec::with_capacity(places.len());
    let mut found = 0;
    let wants = |pack: usize| {
        let next = places.partition_point(|&place| place < pack * PACK);
        places.get(next).is_some_and(|&place| place / PACK == pack)
    };
    walk_packs(bytes, count, wants, |pack, low, values| {
        while let Some(&place) = places.get(found).filter(|&&place| place / PACK == pack) {
            picked.push(low.wrapping_add(values[place % PACK] as i64));
            found += 1;
        }
    })?;
    Ok(picked)
}

fn decode_packs(
    bytes: &mut Bytes<'_>,
    count: usize,
    mut each: impl FnMut(i64, &[u64]),
) -> Result<(), Damaged> {
    walk_packs(bytes, count, |_| true, |_, low, values| each(low, values))
}

/// Shows the packs that are wanted, each with its number, and steps over the others.
#[inline(always)]
fn walk_packs(
    bytes: &mut Bytes<'_>,
    count: usize,
    mut wants: impl FnMut(usize) -> bool,
    mut each: impl FnMut(usize, i64, &[u64]),
) -> Result<(), Damaged> {
    let mut values = [0u64; PACK];
    let mut outliers = [(0u8, 0u64); OUTLIERS_MAX];
    for number in 0..count.div_ceil(PACK) {
        let here = (count - number * PACK).min(PACK);
        let head = bytes.u8()?;
        let width = u32::from(head & !EXTRAS);
        if width > 64 {
            return Err(Damaged("numbers wider than 64 bits"));
        }
        let low = bytes.i64()?;
        let mut unit = 1;
        let mut found = 0;
        if head & EXTRAS != 0 {
            unit = bytes.i64()?;
            found = usize::from(bytes.u8()?);
            let places = outliers.get_mut(..found);
            for (place, value) in places.ok_or(Damaged("too many outliers"))? {
                *place = bytes.u8()?;
                *value = bytes.u64()?;
            }
        }
        let packed = packed_bytes(here, width);
        // What follows the pack may be read along, and is masked away.
        let rest = bytes.rest();
        bytes.take(packed)?;
        if !wants(number) {
            continue;
        }
        let whole = (packed_bytes(PACK, width) + 8).min(rest.len());
        unpack(&rest[..whole], width, &mut values);
        for &(place, high) in &outliers[..found] {
            let value = values.get_mut(usize::from(place));
            *value.ok_or(Damaged("an outlier beyond its pack"))? |= high.unbounded_shl(width);
        }
        if unit != 1 {
            for value in &mut values {
                *value = value.wrapping_mul(unit as u64);
            }
        }
        each(number, low, &values[..here]);
    }
    Ok(())
}
