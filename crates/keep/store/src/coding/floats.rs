//! Numbers with fractions. Most were written as decimals by someone, so they are whole numbers
//! of a tenth, a hundredth, a thousandth: those are kept, and the few that are not beside
//! them. What is no decimal is kept as its bits.

use super::Damaged;
use super::bytes::{Bytes, put_u64};
use super::ints;
use crate::pool;

const BITS: u8 = 0xff;
/// Fractions longer than this are measured, not written.
const DIGITS_MAX: u8 = 9;
/// Whole numbers up to this are exact in a float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// One value in so many may be no decimal before all are kept as bits.
const EXCEPTION_SHARE: usize = 16;

/// Appends numbers; their count is for the caller to keep. Every bit comes back.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[f64]) {
    let digits = digits(values);
    let Some((digits, whole, exceptions)) = digits.and_then(|digits| decimals(values, digits))
    else {
        out.push(BITS);
        let bits: Vec<i64> = values.iter().map(|value| value.to_bits() as i64).collect();
        return ints::encode(out, &bits);
    };
    out.push(digits);
    put_u64(out, exceptions.len() as u64);
    for (index, bits) in exceptions {
        put_u64(out, index as u64);
        out.extend_from_slice(&bits.to_le_bytes());
    }
    ints::encode(out, &whole);
}

/// How numbers were kept.
enum Head {
    /// As their bits.
    Bits,
    /// As whole numbers of a fraction; those that are not, beside them, each with its place.
    Decimals {
        scale: f64,
        exceptions: Vec<(usize, f64)>,
    },
}

impl Head {
    fn read(bytes: &mut Bytes<'_>, count: usize) -> Result<Self, Damaged> {
        let digits = bytes.u8()?;
        if digits == BITS {
            return Ok(Self::Bits);
        }
        if digits > DIGITS_MAX {
            return Err(Damaged("decimals of too many digits"));
        }
        let mut exceptions = Vec::new();
        for _ in 0..bytes.count(count)? {
            let index = bytes.count(count.saturating_sub(1))?;
            exceptions.push((index, f64::from_bits(bytes.fixed_u64()?)));
        }
        let scale = scale(digits);
        Ok(Self::Decimals { scale, exceptions })
    }
}

/// Reads `count` numbers.
pub(crate) fn decode(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<f64>, Damaged> {
    let mut values: Vec<f64> = pool::take(count);
    match Head::read(bytes, count)? {
        Head::Bits => {
            ints::decode_as(bytes, count, &mut values, |bits| {
                f64::from_bits(bits as u64)
            })?;
        }
        Head::Decimals { scale, exceptions } => {
            ints::decode_as(bytes, count, &mut values, |whole| whole as f64 / scale)?;
            for (index, value) in exceptions {
                values[index] = value;
            }
        }
    }
    Ok(values)
}

/// Reads some of `count` numbers, at ascending places.
pub(crate) fn pick(
    bytes: &mut Bytes<'_>,
    count: usize,
    places: &[usize],
) -> Result<Vec<f64>, Damaged> {
    let head = Head::read(bytes, count)?;
    let whole = ints::pick(bytes, count, places)?.into_iter();
    match head {
        Head::Bits => Ok(whole.map(|bits| f64::from_bits(bits as u64)).collect()),
        Head::Decimals { scale, exceptions } => {
            let mut values: Vec<f64> = whole.map(|whole| whole as f64 / scale).collect();
            for (index, value) in exceptions {
                if let Ok(place) = places.binary_search(&index) {
                    values[place] = value;
                }
            }
            Ok(values)
        }
    }
}

fn scale(digits: u8) -> f64 {
    10f64.powi(i32::from(digits))
}

fn as_decimal(value: f64, scale: f64) -> Option<i64> {
    let rounded = (value * scale).round();
    if rounded.is_nan() || rounded.abs() >= EXACT_MAX {
        return None;
    }
    // By way of the whole number, which knows no negative zero.
    let whole = rounded as i64;
    ((whole as f64 / scale).to_bits() == value.to_bits()).then_some(whole)
}

/// The fewest digits that nearly all of a sample have; none if it is no decimals.
fn digits(values: &[f64]) -> Option<u8> {
    let stride = values.len().div_ceil(256).max(1);
    let sample = values.iter().step_by(stride);
    let mut allowed = sample.len() / EXCEPTION_SHARE;
    let mut digits = 0;
    for &value in sample {
        match (digits..=DIGITS_MAX).find(|&digits| as_decimal(value, scale(digits)).is_some()) {
            Some(enough) => digits = enough,
            None => allowed = allowed.checked_sub(1)?,
        }
    }
    Some(digits)
}

type Decimals = (u8, Vec<i64>, Vec<(usize, u64)>);

fn decimals(values: &[f64], digits: u8) -> Option<Decimals> {
    let scale = scale(digits);
    let mut whole = Vec::with_capacity(values.len());
    let mut exceptions = Vec::new();
    for (index, &value) in values.iter().enumerate() {
        match as_decimal(value, scale) {
            Some(value) => whole.push(value),
            None => {
                exceptions.push((index, value.to_bits()));
                if exceptions.len() > values.len() / EXCEPTION_SHARE {
                    return None;
                }
                // Like its neighbour, so that it does not widen the pack.
                whole.push(whole.last().copied().unwrap_or(0));
            }
        }
    }
    Some((digits, whole, exceptions))
}
