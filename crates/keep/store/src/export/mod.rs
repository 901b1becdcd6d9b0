//! The way out for everything: a dataset's events as a file that other tools read.

mod ndjson;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod table;

use crate::batch::Batch;
use crate::error::StoreError;
use crate::scan::{Snapshot, Unit};
use crate::segment::{Segment, SegmentError};
use andon_model::time::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Events written.
    pub rows: u64,
    /// What is missing, and why.
    pub notes: Vec<String>,
}

/// Some events of a dataset, and which of them are meant.
struct Part {
    batch: Arc<Batch>,
    /// None: all of them.
    rows: Option<Vec<u32>>,
}

impl Part {
    fn of(batch: Arc<Batch>, (from, to): (Timestamp, Timestamp)) -> Self {
        let is_meant = |at: i64| (from.0..to.0).contains(&at);
        let rows = if batch.at.iter().all(|&at| is_meant(at)) {
            None
        } else {
            let rows = 0..batch.len() as u32;
            Some(
                rows.filter(|&row| is_meant(batch.at[row as usize]))
                    .collect(),
            )
        };
        Self { batch, rows }
    }

    fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.batch.len(), Vec::len)
    }

    /// The rows that are meant, ascending.
    #[cfg(feature = "parquet")]
    fn rows(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.rows {
            None => Box::new(0..self.batch.len()),
            Some(rows) => Box::new(rows.iter().map(|&row| row as usize)),
        }
    }
}

/// Hands on what a snapshot has, roughly oldest first, until `take` fails. What cannot be read is
/// left out of the store from here on, and a note.
fn walk(
    snapshot: Snapshot,
    span: (Timestamp, Timestamp),
    mut take: impl FnMut(Part) -> Result<(), StoreError>,
) -> Result<ExportReport, StoreError> {
    let mut report = ExportReport {
        rows: 0,
        notes: snapshot.notes,
    };
    for unit in snapshot.units.iter().rev() {
        let batch = match unit {
            Unit::Chunk(batch) => Ok(batch.clone()),
            Unit::Block(segment, block) => read(segment, *block),
        };
        match batch {
            Ok(batch) => {
                let part = Part::of(batch, span);
                let rows = part.len() as u64;
                if rows > 0 {
                    take(part)?;
                    report.rows += rows;
                }
            }
            Err(error) => {
                if let Unit::Block(segment, _) = unit {
                    segment.isolate(&error);
                }
                let note = format!("{error}; its events are missing");
                report.notes.push(note);
            }
        }
    }
    Ok(report)
}

/// A whole block of a segment.
pub(crate) fn read(segment: &Segment, block: usize) -> Result<Arc<Batch>, SegmentError> {
    Ok(Arc::new(segment.reader()?.batch(block)?))
}
