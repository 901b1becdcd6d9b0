//! A full head becomes segments: one for each dataset and day, so that old days can go as a
//! whole and a late event is kept with its time, not with its arrival.

use crate::batch::{Batch, COLUMNS_MAX};
use crate::column::{ColumnType, Values};
use crate::head::Chunks;
use crate::rollup::{STEPS_US, roll_up};
use crate::segment::footer::{Footer, RowOrder};
use crate::segment::rollup_name;
use crate::segment::write::{self, Label, Stretch};
use andon_model::event::key;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Microseconds of one partition of time: a day.
pub(crate) const PARTITION_US: i64 = 86_400_000_000;
/// Days that one sealing writes apart; events whose clocks are anywhere share the last one.
const PARTITIONS_MAX: usize = 32;

/// Writes one dataset's rows. `ids` gives each segment its number.
pub(crate) fn seal(
    dir: &Path,
    dataset: &str,
    chunks: &Chunks,
    wal: u64,
    sealed_at: i64,
    mut ids: impl FnMut() -> u64,
) -> io::Result<Vec<Footer>> {
    let mut days: BTreeMap<i64, usize> = BTreeMap::new();
    for at in chunks.chunks.iter().flat_map(|chunk| &chunk.at) {
        *days.entry(at.div_euclid(PARTITION_US)).or_default() += 1;
    }
    // The days with most events are written apart, whatever is left together.
    let mut by_count: Vec<(usize, i64)> = days.iter().map(|(&day, &count)| (count, day)).collect();
    by_count.sort_unstable_by(|left, right| right.cmp(left));
    let apart = match by_count.len() {
        few if few <= PARTITIONS_MAX => few,
        _ => PARTITIONS_MAX - 1,
    };
    let mut apart: Vec<i64> = by_count[..apart].iter().map(|(_, day)| *day).collect();
    apart.sort_unstable();
    let order = order_of(&chunks.chunks);
    let mut footers = Vec::new();
    let mut write = |rows: Vec<Stretch>| -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let label = Label {
            dataset: dataset.to_owned(),
            id: ids(),
            wal,
            replaces: Vec::new(),
            sealed_at,
            order,
        };
        footers.push(write_segment(dir, label, &chunks.chunks, &rows)?);
        Ok(())
    };
    for &day in &apart {
        let rows = rows(&chunks.chunks, order, |at| {
            at.div_euclid(PARTITION_US) == day
        });
        write(rows)?;
    }
    if apart.len() < days.len() {
        let rows = rows(&chunks.chunks, order, |at| {
            apart.binary_search(&at.div_euclid(PARTITION_US)).is_err()
        });
        write(rows)?;
    }
    Ok(footers)
}

/// Writes a segment, and what stands beside it first: a rollup without its segment is nothing,
/// and goes when the store opens.
pub(crate) fn write_segment(
    dir: &Path,
    label: Label,
    batches: &[Arc<Batch>],
    rows: &[Stretch],
) -> io::Result<Footer> {
    let folded = fold(batches);
    let batches = folded.as_deref().unwrap_or(batches);
    if label.order == RowOrder::Series {
        for width in STEPS_US {
            let Some(rolled) = roll_up(batches, rows, width) else {
                continue;
            };
            let all = [Stretch {
                batch: 0,
                from: 0,
                to: rolled.len() as u32,
            }];
            let name = rollup_name(label.id, width);
            write::write_as(dir, &name, label.clone(), &[Arc::new(rolled)], &all)?;
        }
    }
    write::write(dir, label, batches, rows)
}

/// Where batches together have more columns than one may have, the rarest lose theirs.
fn fold(batches: &[Arc<Batch>]) -> Option<Vec<Arc<Batch>>> {
    let mut counts: BTreeMap<(&str, ColumnType), usize> = BTreeMap::new();
    for named in batches.iter().flat_map(|batch| &batch.columns) {
        let values = &named.column.values;
        *counts.entry((&named.name, values.kind())).or_default() += values.len();
    }
    if counts.len() <= COLUMNS_MAX {
        return None;
    }
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kept: BTreeSet<_> = order
        .into_iter()
        .take(COLUMNS_MAX)
        .map(|(key, _)| key)
        .collect();
    let fold = |batch: &Arc<Batch>| Arc::new(batch.fold(|name, kind| kept.contains(&(name, kind))));
    Some(batches.iter().map(fold).collect())
}

/// Some of the rows, in the order that suits them.
pub(crate) fn rows(
    batches: &[Arc<Batch>],
    order: RowOrder,
    keep: impl Fn(i64) -> bool,
) -> Vec<Stretch> {
    match order {
        RowOrder::Time => write::by_time(batches, keep),
        RowOrder::Series => crate::series::by_series(batches, keep),
    }
}

/// Metric samples belong with their series: labels then repeat, steps are even, and values
/// are like their neighbours. Everything else is asked by time.
pub(crate) fn order_of(batches: &[Arc<Batch>]) -> RowOrder {
    let all = batches.iter().all(|batch| {
        let mut kinds = batch.named(key::KIND);
        let metric = kinds.next().is_some_and(|column| match &column.values {
            Values::Codes { dict, .. } => {
                let full = column.values.len() == batch.len();
                full && dict.texts().iter().all(|text| text == "metric")
            }
            _ => false,
        });
        metric && kinds.next().is_none()
    });
    match all && !batches.is_empty() {
        true => RowOrder::Series,
        false => RowOrder::Time,
    }
}
