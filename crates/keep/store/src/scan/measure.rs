//! What is worked out for each group while rows go by: plain arrays, one place a group.

use super::lane::{Lane, Lanes, SizeLane};
use super::unit::View;
use crate::column::{Rows, Values};
use crate::hash::{hash_bytes, mix};
use crate::plan::ResolvedQuery;
use crate::rollup;
use crate::segment::SegmentError;
use crate::sketch::histogram::{Groups, Histograms};
use crate::sketch::{Distinct, Histogram};
use andon_model::event::key;
use andon_model::query::CalcOp;
use serde::{Deserialize, Serialize};

/// What is needed of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) key: String,
    pub(crate) present: bool,
    pub(crate) numbers: bool,
    pub(crate) histogram: bool,
    pub(crate) distinct: bool,
}

/// What a question needs of each key, each key once.
pub(crate) fn needs(query: &ResolvedQuery) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for calc in &query.calcs {
        let Some(key) = &calc.key else { continue };
        let place = match needs.iter().position(|need| need.key == *key) {
            Some(place) => place,
            None => {
                needs.push(Need {
                    key: key.clone(),
                    present: false,
                    numbers: false,
                    histogram: false,
                    distinct: false,
                });
                needs.len() - 1
            }
        };
        let need = &mut needs[place];
        match calc.op {
            CalcOp::Count | CalcOp::Rate => need.present = true,
            CalcOp::Sum | CalcOp::Avg | CalcOp::Min | CalcOp::Max | CalcOp::Percent => {
                need.numbers = true;
            }
            CalcOp::P50 | CalcOp::P90 | CalcOp::P95 | CalcOp::P99 | CalcOp::P999 => {
                need.histogram = true;
            }
            CalcOp::Heatmap => need.histogram = true,
            CalcOp::Distinct => need.distinct = true,
            CalcOp::ErrorShare => {}
        }
    }
    needs
}

/// Sum and ends of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// How many.
    pub count: u64,
    /// All together.
    pub sum: f64,
    /// The smallest; infinite if there is none.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Numbers {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// One key's results in one group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KeyState {
    /// Events that have it.
    pub present: u64,
    /// Its numbers.
    pub numbers: Numbers,
    /// Its numbers by size.
    pub histogram: Option<Histogram>,
    /// Its different values.
    pub distinct: Option<Distinct>,
}

struct KeyMeasure {
    need: Need,
    present: Vec<u64>,
    numbers: Vec<Numbers>,
    histograms: Histograms,
    distinct: Vec<Distinct>,
}

/// What of a key is looked at.
enum Columns {
    Values(Lanes),
    Sizes(Vec<SizeLane>),
}

/// All results of all groups, as one thread sees them.
pub(crate) struct Measures {
    pub(crate) counts: Vec<u64>,
    pub(crate) errors: Vec<u64>,
    wants_errors: bool,
    keys: Vec<KeyMeasure>,
}

impl Measures {
    pub(crate) fn new(query: &ResolvedQuery) -> Self {
        let measure = |need| KeyMeasure {
            need,
            present: Vec::new(),
            numbers: Vec::new(),
            histograms: Histograms::default(),
            distinct: Vec::new(),
        };
        let mut calcs = query.calcs.iter();
        Self {
            counts: Vec::new(),
            errors: Vec::new(),
            wants_errors: calcs.any(|calc| calc.op == CalcOp::ErrorShare),
            keys: needs(query).into_iter().map(measure).collect(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| {
            let distinct: usize = key.distinct.iter().map(Distinct::bytes).sum();
            key.present.len() * 8 + key.numbers.len() * 32 + key.histograms.bytes() + distinct
        });
        self.counts.len() * 16 + keys.sum::<usize>()
    }

    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.errors.resize(groups, 0);
        for key in &mut self.keys {
            key.present.resize(groups, 0);
            if key.need.numbers {
                key.numbers.resize(groups, Numbers::default());
            }
            if key.need.histogram {
                key.histograms.grow(groups);
            }
            if key.need.distinct {
                key.distinct.resize(groups, Distinct::default());
            }
        }
    }

    /// Adds rows to their groups, of which there are so many.
    pub(crate) fn add(
        &mut self,
        view: &mut View<'_>,
        rows: &[u32],
        (groups, one): (&[u32], Option<u32>),
        count: usize,
    ) -> Result<(), SegmentError> {
        if view.is_rollup {
            return self.add_rolled_up(view, rows, groups, count);
        }
        // All that can fail comes first: a unit counts as a whole or not at all.
        let mut columns = Vec::new();
        for key in &self.keys {
            let need = &key.need;
            let sizes_do = need.histogram && !(need.present || need.numbers || need.distinct);
            let sizes = match sizes_do {
                true => view.sizes(&need.key)?,
                false => None,
            };
            columns.push(match sizes {
                Some(sizes) => Columns::Sizes(sizes),
                None => Columns::Values(view.lanes(&need.key)?),
            });
        }
        let failed = match self.wants_errors {
            true => Some(view.failed()?),
            false => None,
        };
        self.grow(count);
        match one {
            Some(group) => self.counts[group as usize] += rows.len() as u64,
            None => count_each(&mut self.counts, groups),
        }
        let whole = rows.len() == view.rows;
        if let Some(failed) = failed {
            if whole {
                failed
                    .iter()
                    .for_each(|row| self.errors[groups[row] as usize] += 1);
            } else {
                for (&row, &group) in rows.iter().zip(groups) {
                    self.errors[group as usize] += u64::from(failed.has(row as usize));
                }
            }
        }
        for (key, columns) in self.keys.iter_mut().zip(&columns) {
            match columns {
                Columns::Values(lanes) => {
                    lanes.iter().for_each(|lane| key.add(lane, rows, groups));
                }
                Columns::Sizes(lanes) => {
                    let rows = (!whole).then_some(rows);
                    let groups = one.map_or(Groups::Each(groups), Groups::One);
                    for SizeLane { sizes, index, .. } in lanes {
                        let index = index.as_deref();
                        key.histograms.add_sizes(sizes, index, rows, groups);
                    }
                }
            }
        }
        Ok(())
    }

    /// As above, where each row stands for many samples of one series.
    fn add_rolled_up(
        &mut self,
        view: &mut View<'_>,
        rows: &[u32],
        groups: &[u32],
        count: usize,
    ) -> Result<(), SegmentError> {
        let counts = view.lanes(rollup::COUNT)?;
        let mut parts = Vec::new();
        for name in [rollup::SUM, rollup::MIN, rollup::MAX] {
            parts.push(view.lanes(name)?);
        }
        self.grow(count);
        let number = |lanes: &Lanes, row: u32| {
            let lane = lanes.first()?;
            let place = lane.place(row)?;
            match lane.values() {
                Values::Integer(values) => Some(values[place] as f64),
                Values::Float(values) => Some(values[place]),
                _ => None,
            }
        };
        for (&row, &group) in rows.iter().zip(groups) {
            let samples = number(&counts, row).unwrap_or(0.0) as u64;
            let part = |index: usize| number(&parts[index], row);
            let numbers = Numbers {
                count: samples,
                sum: part(0).unwrap_or(0.0),
                min: part(1).unwrap_or(f64::INFINITY),
                max: part(2).unwrap_or(f64::NEG_INFINITY),
            };
            self.counts[group as usize] += samples;
            for key in &mut self.keys {
                key.present[group as usize] += samples;
                if let Some(own) = key.numbers.get_mut(group as usize) {
                    own.merge(&numbers);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn state(&self, group: u32) -> Vec<KeyState> {
        let place = group as usize;
        let states = self.keys.iter().map(|key| KeyState {
            present: key.present[place],
            numbers: key.numbers.get(place).copied().unwrap_or_default(),
            histogram: key.need.histogram.then(|| key.histograms.get(group)),
            distinct: key.distinct.get(place).cloned(),
        });
        states.collect()
    }
}

impl KeyMeasure {
    fn add(&mut self, lane: &Lane, rows: &[u32], groups: &[u32]) {
        if self.need.present {
            for (&row, &group) in rows.iter().zip(groups) {
                self.present[group as usize] += u64::from(lane.place(row).is_some());
            }
        }
        if self.need.numbers || self.need.histogram {
            match lane.values() {
                Values::Integer(values) => {
                    self.add_numbers(lane, rows, groups, |place| values[place] as f64);
                }
                Values::Float(values) => {
                    self.add_numbers(lane, rows, groups, |place| values[place]);
                }
                _ => {}
            }
        }
        if self.need.distinct {
            self.add_distinct(lane, rows, groups);
        }
    }

    fn add_numbers(
        &mut self,
        lane: &Lane,
        rows: &[u32],
        groups: &[u32],
        value: impl Fn(usize) -> f64,
    ) {
        let full = lane.index.is_none();
        if self.need.numbers {
            for (&row, &group) in rows.iter().zip(groups) {
                if let Some(place) = lane.place(row) {
                    let value = value(place);
                    if !value.is_nan() {
                        self.numbers[group as usize].add(value);
                    }
                }
            }
        }
        let whole = full && rows.len() == lane.values().len();
        if self.need.histogram && whole {
            // Each row in turn, so that nothing need be looked up.
            let numbers = groups.iter().enumerate();
            self.histograms
                .add_all(numbers.map(|(row, &group)| (group, value(row))));
        } else if self.need.histogram && full {
            let numbers = rows.iter().zip(groups);
            let numbers = numbers.map(|(&row, &group)| (group, value(row as usize)));
            self.histograms.add_all(numbers);
        } else if self.need.histogram {
            let numbers = rows.iter().zip(groups);
            let numbers =
                numbers.filter_map(|(&row, &group)| Some((group, value(lane.place(row)?))));
            self.histograms.add_all(numbers);
        }
    }

    fn add_distinct(&mut self, lane: &Lane, rows: &[u32], groups: &[u32]) {
        let by_code: Vec<u64> = match lane.values() {
            Values::Codes { dict, .. } => dict.texts().iter().map(hash_text).collect(),
            _ => Vec::new(),
        };
        // Rows of one group and code follow each other often enough to remember the last.
        let mut last = (u32::MAX, u64::MAX);
        for (&row, &group) in rows.iter().zip(groups) {
            let Some(place) = lane.place(row) else {
                continue;
            };
            let hash = match lane.values() {
                Values::Codes { codes, .. } => by_code[usize::from(codes[place])],
                Values::Text(texts) => hash_text(texts.get(place)),
                Values::Bool(values) => mix(u64::from(values[place]) ^ 0xb001),
                Values::Integer(values) => hash_number(values[place] as f64, values[place]),
                Values::Float(values) => hash_number(values[place], values[place] as i64),
            };
            if (group, hash) != last {
                self.distinct[group as usize].add(hash);
                last = (group, hash);
            }
        }
    }
}

fn hash_text(text: &str) -> u64 {
    mix(hash_bytes(text.as_bytes()) ^ 0x7e87)
}

/// The same for a number whichever of both types it has.
fn hash_number(value: f64, whole: i64) -> u64 {
    if whole as f64 == value {
        mix(whole as u64 ^ 0x1417)
    } else {
        mix(value.to_bits() ^ 0xf10a)
    }
}

/// Counts how often each group occurs. Rows of one group often follow each other, and a
/// counter cannot be raised again before it is written: so four take turns.
fn count_each(counts: &mut [u64], groups: &[u32]) {
    const FEW: usize = 256;
    if counts.len() == 1 {
        counts[0] += groups.len() as u64;
        return;
    }
    if counts.len() > FEW {
        groups.iter().for_each(|&group| counts[group as usize] += 1);
        return;
    }
    let mut turns = [[0u32; FEW]; 4];
    let mut fours = groups.chunks_exact(4);
    for four in &mut fours {
        for (turn, &group) in turns.iter_mut().zip(four) {
            turn[group as usize % FEW] += 1;
        }
    }
    fours
        .remainder()
        .iter()
        .for_each(|&group| counts[group as usize] += 1);
    for turn in turns {
        for (count, more) in counts.iter_mut().zip(turn) {
            *count += u64::from(more);
        }
    }
}

/// Which rows failed: `status` is `error` or a number from 500 on, or `severity_text` is
/// `error` or `fatal`, or `error` is true.
pub(crate) fn failed_rows(view: &mut View<'_>) -> Result<Rows, SegmentError> {
    let mut failed = vec![false; view.rows];
    type Tests = (fn(&str) -> bool, fn(f64) -> bool, fn(bool) -> bool);
    let tests: [(&str, Tests); 3] = [
        (
            key::STATUS,
            (
                |text| text.eq_ignore_ascii_case("error"),
                |number| number >= 500.0,
                |_| false,
            ),
        ),
        (
            key::SEVERITY,
            (
                |text| text.eq_ignore_ascii_case("error") || text.eq_ignore_ascii_case("fatal"),
                |_| false,
                |_| false,
            ),
        ),
        ("error", (|_| false, |_| false, |value| value)),
    ];
    for (name, (text, number, truth)) in tests {
        let lanes: Lanes = view.lanes(name)?;
        for lane in lanes.iter() {
            let mut each = |test: &dyn Fn(usize) -> bool| {
                for (row, failed) in failed.iter_mut().enumerate() {
                    *failed |= lane.place(row as u32).is_some_and(test);
                }
            };
            match lane.values() {
                Values::Bool(values) => each(&|place| truth(values[place])),
                Values::Integer(values) if lane.index.is_none() && number(500.0) => {
                    for (failed, &value) in failed.iter_mut().zip(values) {
                        *failed |= value >= 500;
                    }
                }
                Values::Integer(values) => each(&|place| number(values[place] as f64)),
                Values::Float(values) => each(&|place| number(values[place])),
                Values::Codes { codes, dict } => {
                    let table: Vec<bool> = dict.texts().iter().map(text).collect();
                    if table.contains(&true) {
                        each(&|place| table[usize::from(codes[place])]);
                    }
                }
                Values::Text(texts) => each(&|place| text(texts.get(place))),
            }
        }
    }
    let mut rows = Rows::none(failed.len());
    for (row, _) in failed.iter().enumerate().filter(|(_, failed)| **failed) {
        rows.add(row);
    }
    Ok(rows)
}
