//! Which samples are of one series: those whose texts and truth values are all the same.

use crate::batch::Batch;
use crate::column::{ColumnType, Values};
use crate::hash::{hash_bytes, mix};
use crate::segment::write::{Stretch, join};
use andon_model::event::key;
use std::sync::Arc;

/// For each row the series it is of. Two series with one number are as unlikely as a hash's
/// collision, and would only compress worse.
pub(crate) fn series_of(batch: &Batch) -> Vec<u64> {
    hashes_of(batch, |_| true)
}

fn hashes_of(batch: &Batch, counts: impl Fn(&str) -> bool) -> Vec<u64> {
    let mut series = vec![0u64; batch.len()];
    for named in batch.columns.iter().filter(|named| counts(&named.name)) {
        let column = &named.column;
        let name = hash_bytes(named.name.as_bytes());
        let hashes: Vec<u64> = match &column.values {
            Values::Codes { codes, dict } => {
                let texts: Vec<u64> = dict
                    .texts()
                    .iter()
                    .map(|text| hash_bytes(text.as_bytes()))
                    .collect();
                codes.iter().map(|&code| texts[usize::from(code)]).collect()
            }
            Values::Text(texts) => texts
                .iter()
                .map(|text| hash_bytes(text.as_bytes()))
                .collect(),
            Values::Bool(values) => values.iter().map(|&value| u64::from(value)).collect(),
            Values::Integer(_) | Values::Float(_) => continue,
        };
        debug_assert!(matches!(
            column.values.kind(),
            ColumnType::Bool | ColumnType::Text
        ));
        // Sums, so that the order of columns, which differs between batches, does not count.
        let index = column.index(batch.len());
        for (row, series) in series.iter_mut().enumerate() {
            let value = index.as_ref().map_or(row, |index| index[row] as usize);
            if let Some(hash) = hashes.get(value) {
                *series = series.wrapping_add(mix(name ^ hash));
            }
        }
    }
    series
}

/// All rows, series by series, each oldest first.
pub(crate) fn by_series(batches: &[Arc<Batch>], keep: impl Fn(i64) -> bool) -> Vec<Stretch> {
    let mut rows: Vec<((u64, u64), i64, u32, u32)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let series = series_of(batch);
        // By metric first: what is measured alike has values alike.
        let metrics = hashes_of(batch, |name| name == key::NAME);
        let both = batch.at.iter().zip(metrics.into_iter().zip(series));
        for (row, (&at, series)) in both.enumerate() {
            if keep(at) {
                rows.push((series, at, index as u32, row as u32));
            }
        }
    }
    rows.sort_unstable();
    join(rows.into_iter().map(|(_, _, batch, row)| (batch, row)))
}
