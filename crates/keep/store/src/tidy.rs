//! Tidying up: small segments of one day become one, old ones go by age, too many by size.

use crate::batch::Batch;
use crate::error::StoreError;
use crate::seal::{self, PARTITION_US};
use crate::segment::write::Label;
use crate::segment::{Segment, SegmentError, file_name};
use crate::store::Shared;
use andon_model::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Segments that are merged at once at most.
const MERGE_MAX: usize = 16;
/// So many of about one size are worth it.
const MERGE_MIN: usize = 4;
/// Rows of a merged segment at most: they are all in memory while it is written.
const MERGED_ROWS_MAX: u64 = 1 << 20;
/// Bytes of the segments that are merged at most, for the same reason; they unfold to about
/// five times as many.
const MERGED_BYTES_MAX: u64 = 20 << 20;
/// Bytes of footers that stay in memory between questions.
const FOOTER_BYTES_MAX: usize = 32 << 20;

impl Shared {
    /// One round of everything.
    pub(crate) fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        self.expire(now);
        while let Some((dataset, segments)) = self.mergeable() {
            if self.state().stopping {
                break;
            }
            self.merge(&dataset, &segments)?;
        }
        self.forget_footers();
        Ok(())
    }

    fn forget_footers(&self) {
        let state = self.state();
        let segments = || state.segments.values().flatten();
        let bytes: usize = segments().map(|segment| segment.footer_bytes()).sum();
        if bytes > FOOTER_BYTES_MAX {
            segments().for_each(|segment| segment.forget());
        }
    }

    /// Lets go of segments by age, then by size.
    fn expire(&self, now: Timestamp) {
        let kept = self.kept.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner).clone();
        let mut state = self.state();
        let mut gone = Vec::new();
        for (dataset, segments) in &mut state.segments {
            let retention = kept.retention_of(dataset);
            let oldest = (now - retention.age_max).0;
            // Age counts from arrival: what is imported from long ago, or dated by a clock that is
            // wrong, is kept as long as anything.
            gone.extend(segments.extract_if(.., |segment| segment.sealed_at < oldest));
            segments.sort_by_key(|segment| (segment.at_max, segment.id));
            let mut bytes: u64 = segments.iter().map(|segment| segment.bytes_on_disk()).sum();
            gone.extend(segments.extract_if(.., |segment| {
                let over = bytes > retention.bytes_max;
                if over {
                    bytes -= segment.bytes_on_disk();
                }
                over
            }));
        }
        let all = || state.segments.values().flatten();
        let mut bytes: u64 = all().map(|segment| segment.bytes_on_disk()).sum();
        if bytes > kept.bytes_max {
            let mut oldest: Vec<(i64, u64, u64)> = all()
                .map(|segment| (segment.at_max, segment.id, segment.bytes_on_disk()))
                .collect();
            oldest.sort_unstable();
            let mut over = std::collections::BTreeSet::new();
            for (_, id, size) in oldest {
                if bytes <= kept.bytes_max {
                    break;
                }
                bytes -= size;
                over.insert(id);
            }
            for segments in state.segments.values_mut() {
                gone.extend(segments.extract_if(.., |segment| over.contains(&segment.id)));
            }
        }
        state.segments.retain(|_, segments| !segments.is_empty());
        drop(state);
        for segment in gone {
            self.counters
                .expired_rows
                .fetch_add(segment.rows, Ordering::Relaxed);
            segment.doom();
        }
    }

    /// Some small segments of one dataset and day, of about one size.
    fn mergeable(&self) -> Option<(String, Vec<Arc<Segment>>)> {
        let state = self.state();
        for (dataset, segments) in &state.segments {
            let mut alike: BTreeMap<(i64, u32), Vec<Arc<Segment>>> = BTreeMap::new();
            for segment in segments {
                let day = segment.at_min.div_euclid(PARTITION_US);
                let one_day = day == segment.at_max.div_euclid(PARTITION_US);
                let small = segment.rows <= MERGED_ROWS_MAX / MERGE_MIN as u64
                    && segment.bytes <= MERGED_BYTES_MAX / MERGE_MIN as u64;
                if one_day && small && segment.damage().is_none() {
                    let size = segment.rows.max(1_024).ilog2() / 2;
                    alike.entry((day, size)).or_default().push(segment.clone());
                }
            }
            for (_, mut group) in alike {
                if group.len() < MERGE_MIN {
                    continue;
                }
                group.sort_by_key(|segment| (segment.at_min, segment.id));
                let (mut rows, mut bytes) = (0, 0);
                let fit = group.iter().take(MERGE_MAX).take_while(|segment| {
                    rows += segment.rows;
                    bytes += segment.bytes;
                    rows <= MERGED_ROWS_MAX && bytes <= MERGED_BYTES_MAX
                });
                let fit = fit.count();
                group.truncate(fit);
                if fit >= 2 {
                    return Some((dataset.clone(), group));
                }
            }
        }
        None
    }

    /// Writes several segments as one. While it is not there, the several count.
    fn merge(&self, dataset: &str, segments: &[Arc<Segment>]) -> Result<(), StoreError> {
        let mut batches: Vec<Arc<Batch>> = Vec::new();
        for segment in segments {
            match read_all(segment) {
                Ok(read) => batches.extend(read.into_iter().map(Arc::new)),
                Err(error) => {
                    // Left out from here on; the others are merged another time.
                    segment.isolate(&error);
                    return Ok(());
                }
            }
        }
        let order = seal::order_of(&batches);
        let label = Label {
            dataset: dataset.to_owned(),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            wal: 0,
            replaces: segments.iter().map(|segment| segment.id).collect(),
            sealed_at: segments
                .iter()
                .map(|each| each.sealed_at)
                .max()
                .unwrap_or(0),
            order,
        };
        let dir = self.dataset_dir(dataset);
        let rows = seal::rows(&batches, order, |_| true);
        let footer = seal::write_segment(&dir, label, &batches, &rows);
        let footer = footer.map_err(|source| self.disk("merge segments", source))?;
        let path = dir.join(file_name(footer.id));
        let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let merged = Arc::new(Segment::of(&path, bytes, footer));
        let mut state = self.state();
        let there = state.segments.entry(dataset.to_owned()).or_default();
        there.retain(|there| !segments.iter().any(|gone| gone.id == there.id));
        there.push(merged);
        drop(state);
        segments.iter().for_each(|segment| segment.doom());
        let count = segments.len() as u64;
        self.counters
            .merged_segments
            .fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

fn read_all(segment: &Segment) -> Result<Vec<Batch>, SegmentError> {
    let reader = segment.reader()?;
    let blocks = 0..reader.footer.blocks.len();
    blocks.map(|block| reader.batch(block)).collect()
}
