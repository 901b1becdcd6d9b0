//! Raw events: the newest that meet the conditions, without looking further back than needed.

use super::worker::Worker;
use super::{Budget, Cancel, RowReader, Unit};
use crate::answer::{PartialAnswer, oldest_first, sort_events};
use crate::error::ScanError;
use crate::plan::ResolvedQuery;
use crate::warm::Asking;
use andon_model::query::LIMIT_MAX;
use std::time::Instant;

/// Where a row is, and when it happened.
type Found = (i64, usize, u32);

pub(crate) fn scan(
    query: &ResolvedQuery,
    units: &[Unit],
    cancel: &Cancel,
    deadline: Instant,
    (budget, asking): (&Budget, Asking<'_>),
) -> Result<PartialAnswer, ScanError> {
    let limit = query.limit.min(LIMIT_MAX);
    let oldest = oldest_first(query);
    // The best moment that a unit can offer comes first; what cannot beat what is found ends it.
    let mut order: Vec<(i64, usize)> = units
        .iter()
        .enumerate()
        .map(|(n, unit)| (best(unit, oldest), n))
        .collect();
    order.sort_unstable_by(|left, right| right.cmp(left));
    let threads = budget.threads.max(1);
    let mut workers = Vec::new();
    for _ in 0..threads {
        workers.push(Worker::new(query, 0, Some(asking))?);
    }
    let mut found: Vec<Found> = Vec::new();
    let mut answer = PartialAnswer::default();
    for (round, share) in order.chunks(threads).enumerate() {
        if cancel.is_cancelled() {
            return Err(ScanError::Cancelled);
        }
        if Instant::now() >= deadline {
            let (done, total) = (round * threads, order.len());
            let time = budget.time;
            answer.is_partial = true;
            answer.notes.insert(format!(
                "stopped after {time:?}: {done} of {total} blocks looked through"
            ));
            break;
        }
        let enough = limit > 0 && found.len() >= limit;
        if limit == 0 || enough && found[limit - 1].0 >= share[0].0 {
            break;
        }
        let floor = if enough { found[limit - 1].0 } else { i64::MIN };
        std::thread::scope(|scope| {
            let handles: Vec<_> = workers
                .iter_mut()
                .zip(share)
                .map(|(worker, &(_, number))| {
                    scope.spawn(move || look(worker, units, number, (limit, floor), oldest))
                })
                .collect();
            for handle in handles {
                found.extend(handle.join().unwrap_or_default());
            }
        });
        found.sort_unstable_by(|left, right| {
            right
                .0
                .cmp(&left.0)
                .then(left.1.cmp(&right.1))
                .then(right.2.cmp(&left.2))
        });
        found.truncate(limit);
    }
    for worker in workers {
        let (partial, _) = worker.finish();
        answer.stats.rows_scanned += partial.stats.rows_scanned;
        answer.stats.bytes_scanned += partial.stats.bytes_scanned;
        answer.is_partial |= partial.is_partial;
        answer.notes.extend(partial.notes);
    }
    found.sort_unstable_by_key(|&(_, unit, _)| unit);
    let mut read = RowReader::new(asking);
    for rows in found.chunk_by(|left, right| left.1 == right.1) {
        let wanted: Vec<u32> = rows.iter().map(|row| row.2).collect();
        match read.rows(&units[rows[0].1], &wanted) {
            Ok(events) => answer.events.extend(events),
            Err(error) => {
                if let Unit::Block(segment, _) = &units[rows[0].1] {
                    segment.isolate(&error);
                }
                answer.is_partial = true;
                answer
                    .notes
                    .insert(format!("{error}; its events are missing"));
            }
        }
    }
    sort_events(&mut answer.events, query);
    Ok(answer)
}

/// The newest moment of a unit; with `oldest`, the oldest, negated so that larger is better.
fn best(unit: &Unit, oldest: bool) -> i64 {
    let (min, max) = match unit {
        Unit::Chunk(batch) => {
            let at = || batch.at.iter().copied();
            (at().min().unwrap_or(0), at().max().unwrap_or(0))
        }
        Unit::Block(segment, block) => match segment.footer() {
            Ok(footer) => {
                let block = &footer.blocks[*block];
                (block.at_min, block.at_max)
            }
            Err(_) => (segment.at_min, segment.at_max),
        },
    };
    if oldest { min.saturating_neg() } else { max }
}

/// The best rows of one unit, at most `limit`, none worse than `floor`.
fn look(
    worker: &mut Worker<'_>,
    units: &[Unit],
    number: usize,
    (limit, floor): (usize, i64),
    oldest: bool,
) -> Vec<Found> {
    let mut found = Vec::new();
    worker.visit(&units[number], |_, view, rows| {
        let at = view.at()?;
        let moment = |row: u32| match oldest {
            true => at[row as usize].saturating_neg(),
            false => at[row as usize],
        };
        let rows = rows.iter().map(|&row| (moment(row), number, row));
        found.extend(rows.filter(|row| row.0 >= floor));
        if found.len() > limit {
            found.select_nth_unstable_by(limit - 1, |left: &Found, right| right.cmp(left));
            found.truncate(limit);
        }
        Ok(())
    });
    found
}
