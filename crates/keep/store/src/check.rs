//! Looking after the files: is every byte as it was written, and what can be saved of those
//! that are not.

use crate::batch::Batch;
use crate::error::StoreError;
use crate::export::read;
use crate::open::{DAMAGED_DIR, make_dir};
use crate::seal;
use crate::segment::write::Label;
use crate::segment::{Segment, file_name};
use crate::store::{Shared, Store};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Segments read from begin to end.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their events.
    pub rows: u64,
    /// What is wrong, each with its file.
    pub damage: Vec<Damage>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The dataset it belongs to, if that is known.
    pub dataset: Option<String>,
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Damaged files that were taken out of the store, and where they are.
    pub set_aside: Vec<Damage>,
    /// Events of them that were saved.
    pub rows_saved: u64,
    /// Events that were in them and could not be read whole.
    pub rows_lost: u64,
}

impl Store {
    /// Reads every byte and says what is damaged; what is, is left out of answers from here on.
    pub fn check(&self) -> CheckReport {
        let mut report = CheckReport::default();
        for file in &self.shared.state().unreadable {
            report.damage.push(Damage {
                dataset: file.dataset.clone(),
                file: file.path.display().to_string(),
                what: file.reason.clone(),
            });
        }
        for (dataset, segment) in self.shared.all_segments() {
            report.segments += 1;
            report.bytes += segment.bytes;
            report.rows += segment.rows;
            let found = match segment.reader() {
                Ok(reader) => reader.check(),
                Err(error) => vec![error],
            };
            for (_, rollup) in &segment.rollups {
                let found = rollup
                    .reader()
                    .map_or_else(|error| vec![error], |reader| reader.check());
                for error in found {
                    // The samples themselves answer in its place.
                    rollup.isolate(&error);
                    report.damage.push(Damage {
                        dataset: Some(dataset.clone()),
                        file: rollup.path.display().to_string(),
                        what: error.to_string(),
                    });
                }
            }
            for error in found {
                segment.isolate(&error);
                report.damage.push(Damage {
                    dataset: Some(dataset.clone()),
                    file: segment.path.display().to_string(),
                    what: error.to_string(),
                });
            }
        }
        report
    }

    /// Takes damaged files out of the store, after saving the events of theirs that can be
    /// read whole. The files are kept in the folder `damaged`.
    pub fn repair(&self) -> Result<RepairReport, StoreError> {
        self.check();
        let _alone = self
            .shared
            .tidying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut report = RepairReport::default();
        let aside = self.shared.dir.join(DAMAGED_DIR);
        make_dir(&aside).map_err(|source| self.shared.disk("make a folder", source))?;
        let unreadable = std::mem::take(&mut self.shared.state().unreadable);
        for file in unreadable {
            let to = set_aside(&file.path, &aside, file.dataset.as_deref());
            let to = to.map_err(|source| self.shared.disk("set a file aside", source))?;
            report.set_aside.push(Damage {
                dataset: file.dataset,
                file: to,
                what: file.reason,
            });
        }
        for (dataset, segment) in self.shared.all_segments() {
            if let Some(what) = segment.damage() {
                let what = what.to_owned();
                let (saved, to) = self.shared.replace_damaged(&dataset, &segment, &aside)?;
                report.rows_saved += saved;
                report.rows_lost += segment.rows - saved.min(segment.rows);
                report.set_aside.push(Damage {
                    dataset: Some(dataset),
                    file: to,
                    what,
                });
            }
        }
        Ok(report)
    }
}

/// Moves a file out of the store; where it is then.
fn set_aside(path: &Path, aside: &Path, dataset: Option<&str>) -> std::io::Result<String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let to = aside.join(format!("{}-{file}", dataset.unwrap_or("log")));
    if path.parent() != Some(aside) {
        std::fs::rename(path, &to)?;
        return Ok(to.display().to_string());
    }
    Ok(path.display().to_string())
}

impl Shared {
    fn all_segments(&self) -> Vec<(String, Arc<Segment>)> {
        let state = self.state();
        let all = state.segments.iter();
        let all = all.flat_map(|(dataset, segments)| {
            segments
                .iter()
                .map(move |segment| (dataset.clone(), segment.clone()))
        });
        all.collect()
    }

    /// Writes what is whole of a damaged segment as a new one, and moves the old one aside.
    fn replace_damaged(
        &self,
        dataset: &str,
        segment: &Arc<Segment>,
        aside: &Path,
    ) -> Result<(u64, String), StoreError> {
        let mut saved: Vec<Arc<Batch>> = Vec::new();
        if let Ok(footer) = segment.footer() {
            let blocks = 0..footer.blocks.len();
            saved.extend(blocks.filter_map(|block| read(segment, block).ok()));
        }
        let rows = saved.iter().map(|batch| batch.len() as u64).sum();
        let mut replacement = None;
        if rows > 0 {
            let dir = self.dataset_dir(dataset);
            let order = seal::order_of(&saved);
            let label = Label {
                dataset: dataset.to_owned(),
                id: self.next_id.fetch_add(1, Ordering::Relaxed),
                wal: 0,
                replaces: vec![segment.id],
                sealed_at: segment.sealed_at,
                order,
            };
            let stretches = seal::rows(&saved, order, |_| true);
            let footer = seal::write_segment(&dir, label, &saved, &stretches);
            let footer = footer.map_err(|source| self.disk("save what is whole", source))?;
            let path = dir.join(file_name(footer.id));
            let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            replacement = Some(Arc::new(Segment::of(&path, bytes, footer)));
        }
        let to = set_aside(&segment.path, aside, Some(dataset));
        let to = to.map_err(|source| self.disk("set a segment aside", source))?;
        segment.rollups.iter().for_each(|(_, rollup)| rollup.doom());
        let mut state = self.state();
        let there = state.segments.entry(dataset.to_owned()).or_default();
        there.retain(|there| there.id != segment.id);
        there.extend(replacement);
        Ok((rows, to))
    }
}
