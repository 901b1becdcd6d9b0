//! Raw events that stand for others: the slowest, those that failed, and typical ones. While
//! rows go by only their places are noted; the few that are picked are read at the end.

use super::lane::{Lane, SizeLane};
use super::unit::View;
use crate::column::Values;
use crate::plan::EXEMPLAR_KEY;
use crate::pool;
use crate::segment::SegmentError;
use crate::sketch::histogram::{Groups, Histograms, bin_of};
use std::cmp::Ordering;

/// Rows of a unit that tell what is typical of it.
const SAMPLE_ROWS: usize = 8 << 10;

/// Where a row is, and why it might be picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// Larger is picked first.
    pub(crate) weight: f64,
    pub(crate) at: i64,
    pub(crate) unit: usize,
    pub(crate) row: u32,
}

impl Candidate {
    /// The one to pick first comes first, whoever found it.
    fn order(&self, other: &Self) -> Ordering {
        let weight = other.weight.total_cmp(&self.weight);
        let at = other.at.cmp(&self.at);
        let place = (self.unit, self.row).cmp(&(other.unit, other.row));
        weight.then(at).then(place)
    }
}

/// The best so many.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    count: usize,
    picked: Vec<Candidate>,
    /// What a candidate must reach, once there are enough.
    threshold: f64,
}

impl Picked {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count,
            picked: Vec::new(),
            threshold: f64::NEG_INFINITY,
        }
    }

    #[inline]
    fn add(&mut self, candidate: Candidate) {
        self.picked.push(candidate);
        if self.picked.len() >= self.count * 2 + 64 {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.picked.sort_unstable_by(Candidate::order);
        self.picked.truncate(self.count);
        if let Some(last) = self
            .picked
            .last()
            .filter(|_| self.picked.len() == self.count)
        {
            self.threshold = last.weight;
        }
    }

    /// Begins with what the last of them surely reaches.
    pub(crate) fn expect(&mut self, threshold: f64) {
        self.threshold = self.threshold.max(threshold);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.picked.len() >= self.count
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.picked.extend(other.picked);
        self.trim();
    }

    pub(crate) fn take(mut self) -> Vec<Candidate> {
        self.trim();
        self.picked
    }

    /// Adds the rows whose size is in one step, until there are enough.
    pub(crate) fn add_in_bin(
        &mut self,
        unit: usize,
        view: &mut View<'_>,
        rows: &[u32],
        bin: i32,
    ) -> Result<(), SegmentError> {
        let mut found = Vec::new();
        for lane in view.lanes(EXEMPLAR_KEY)?.iter() {
            let fits = |row: u32| {
                lane.place(row)
                    .is_some_and(|place| bin_of(size(lane, place)) == bin)
            };
            let room = self.count.saturating_sub(self.picked.len() + found.len());
            found.extend(rows.iter().copied().filter(|&row| fits(row)).take(room));
        }
        if found.is_empty() {
            return Ok(());
        }
        let at = view.at()?;
        self.picked.extend(found.into_iter().map(|row| Candidate {
            weight: 0.0,
            at: at[row as usize],
            unit,
            row,
        }));
        Ok(())
    }
}

/// What was noted while rows went by.
pub(crate) struct Candidates {
    count: usize,
    pub(crate) slowest: Picked,
    pub(crate) failed: Picked,
    /// Sizes of all, to know what is typical.
    pub(crate) sizes: Histograms,
}

impl Candidates {
    pub(crate) fn new(count: usize) -> Self {
        let mut sizes = Histograms::default();
        sizes.grow(usize::from(count > 0));
        Self {
            count,
            slowest: Picked::new(count),
            failed: Picked::new(count),
            sizes,
        }
    }

    pub(crate) fn add(
        &mut self,
        unit: usize,
        view: &mut View<'_>,
        rows: &[u32],
    ) -> Result<(), SegmentError> {
        if self.count == 0 {
            return Ok(());
        }
        self.add_sizes(unit, view, rows)?;
        // Units come newest first: once there are enough, older ones have none to offer.
        let newest = view.span().map_or(i64::MAX, |(_, last)| last);
        if (newest as f64) < self.failed.threshold {
            return Ok(());
        }
        let failed = view.failed()?;
        let at = view.at()?;
        for &row in rows.iter().filter(|&&row| failed.has(row as usize)) {
            let at = at[row as usize];
            // The newest first, so that its surroundings can still be looked at.
            let weight = at as f64;
            if weight >= self.failed.threshold {
                self.failed.add(Candidate {
                    weight,
                    at,
                    unit,
                    row,
                });
            }
        }
        self.failed.trim();
        Ok(())
    }

    fn add_sizes(
        &mut self,
        unit: usize,
        view: &mut View<'_>,
        rows: &[u32],
    ) -> Result<(), SegmentError> {
        // What is typical shows in a sample, too.
        let stride = rows.len().div_ceil(SAMPLE_ROWS).max(1);
        let mut sample = pool::take(rows.len() / stride + 1);
        sample.extend(rows.iter().copied().step_by(stride));
        let added = self.add_slow(unit, view, rows, &sample);
        pool::give(sample);
        added
    }

    fn add_slow(
        &mut self,
        unit: usize,
        view: &mut View<'_>,
        rows: &[u32],
        sample: &[u32],
    ) -> Result<(), SegmentError> {
        let threshold = self.slowest.threshold;
        let too_quick = view.max_of(EXEMPLAR_KEY).is_some_and(|max| max < threshold);
        if let Some(lanes) = view.sizes(EXEMPLAR_KEY)? {
            for lane in &lanes {
                let index = lane.index.as_deref();
                self.sizes
                    .add_sizes(&lane.sizes, index, Some(sample), Groups::One(0));
            }
            let reaches = |lane: &SizeLane, row: u32| {
                let place = lane.place(row);
                place.is_some_and(|place| lane.sizes.may_reach(place, threshold))
            };
            let some = || {
                let mut rows = rows.iter();
                rows.any(|&row| lanes.iter().any(|lane| reaches(lane, row)))
            };
            if too_quick || !some() {
                return Ok(());
            }
        } else {
            for lane in view.lanes(EXEMPLAR_KEY)?.iter() {
                let sample = sample.iter();
                let sample = sample.filter_map(|&row| Some((0, size(lane, lane.place(row)?))));
                self.sizes.add_all(sample);
            }
            if too_quick {
                return Ok(());
            }
        }
        let mut slow: Vec<(u32, f64)> = Vec::new();
        for lane in view.lanes(EXEMPLAR_KEY)?.iter() {
            slow_rows(lane, rows, threshold, &mut slow);
        }
        if slow.is_empty() {
            return Ok(());
        }
        let at = view.at()?;
        for (row, weight) in slow {
            if weight >= self.slowest.threshold {
                let at = at[row as usize];
                self.slowest.add(Candidate {
                    weight,
                    at,
                    unit,
                    row,
                });
            }
        }
        self.slowest.trim();
        Ok(())
    }
}

/// The number at a place; none is one for columns of other types.
fn size(lane: &Lane, place: usize) -> f64 {
    match lane.values() {
        Values::Integer(values) => values[place] as f64,
        Values::Float(values) => values[place],
        _ => f64::NAN,
    }
}

/// The rows whose number is not below the threshold.
fn slow_rows(lane: &Lane, rows: &[u32], threshold: f64, slow: &mut Vec<(u32, f64)>) {
    match lane.values() {
        Values::Float(values) if values.len() == rows.len() && lane.index.is_none() => {
            for (stretch, values) in values.chunks(64).enumerate() {
                // Nearly all stretches have none, and are done with quickly.
                let some = values
                    .iter()
                    .fold(false, |some, &value| some | (value >= threshold));
                if some {
                    let values = values.iter().enumerate();
                    let slow_here = values.filter(|(_, value)| **value >= threshold);
                    let row = |place: usize| (stretch * 64 + place) as u32;
                    slow.extend(slow_here.map(|(place, &value)| (row(place), value)));
                }
            }
        }
        _ => {
            let sized = rows
                .iter()
                .filter_map(|&row| Some((row, size(lane, lane.place(row)?))));
            slow.extend(sized.filter(|(_, size)| *size >= threshold));
        }
    }
}
