//! Single values of a column, without the others: an exemplar is one row of sixty thousand.
//! Only what must be walked through to get to them is.

use super::bytes::Bytes;
use super::column::{
    BOOL, CODES_OWN, CODES_SHARED, FLOAT, INTEGER, TEXT, decode_dict, decode_presence,
};
use super::{BLOCK_ROWS_MAX, Damaged, floats, ints, text};
use crate::column::Dict;
use andon_model::event::Value;
use std::sync::Arc;

/// The values of some rows, in the order of `wanted`, which is ascending and below `rows`.
/// Otherwise as [`super::column::decode`].
pub(crate) fn pick(
    bytes: &mut Bytes<'_>,
    rows: usize,
    shared: Option<&Arc<Dict>>,
    wanted: &[u32],
) -> Result<Vec<Option<Value>>, Damaged> {
    if rows > BLOCK_ROWS_MAX {
        return Err(Damaged("more rows than a block has"));
    }
    let (present, count) = decode_presence(bytes, rows)?;
    let place = |&row: &u32| match &present {
        None => Some(row as usize),
        Some(present) => present
            .has(row as usize)
            .then(|| present.rank(row as usize)),
    };
    let places: Vec<Option<usize>> = wanted.iter().map(place).collect();
    let some: Vec<usize> = places.iter().flatten().copied().collect();
    let values = values(bytes, count, shared, &some)?;
    let mut values = values.into_iter();
    let value = |place: Option<usize>| place.and_then(|_| values.next());
    Ok(places.into_iter().map(value).collect())
}

fn values(
    bytes: &mut Bytes<'_>,
    count: usize,
    shared: Option<&Arc<Dict>>,
    places: &[usize],
) -> Result<Vec<Value>, Damaged> {
    let own;
    let dict = match bytes.u8()? {
        BOOL => {
            let codes = ints::pick_codes(bytes, count, places)?;
            return Ok(codes
                .into_iter()
                .map(|code| Value::Bool(code == 1))
                .collect());
        }
        INTEGER => {
            let values = ints::pick(bytes, count, places)?;
            return Ok(values.into_iter().map(Value::Integer).collect());
        }
        FLOAT => {
            let values = floats::pick(bytes, count, places)?;
            return Ok(values.into_iter().map(Value::Float).collect());
        }
        TEXT => {
            let texts = text::pick(bytes, count, places)?;
            return Ok(texts.into_iter().map(Value::Text).collect());
        }
        CODES_OWN => {
            own = decode_dict(bytes)?;
            &own
        }
        CODES_SHARED => &**shared.ok_or(Damaged("codes without their dictionary"))?,
        _ => return Err(Damaged("an unknown type of column")),
    };
    let codes = ints::pick_codes(bytes, count, places)?;
    let text = |code: i64| {
        let code = usize::try_from(code).ok().filter(|&code| code < dict.len());
        let code = code.ok_or(Damaged("a code that its dictionary does not have"))?;
        Ok(Value::from(dict.get(code)))
    };
    codes.into_iter().map(text).collect()
}
