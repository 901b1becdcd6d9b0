//! How often which size of number occurs: 64 steps in each doubling, so that the middle of a
//! step is within 0.8 % of every number in it, and two histograms add up without a loss.

use super::sizes::{BEYOND, Sizes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Steps within one doubling.
pub(crate) const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.ilog2();
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - STEP_BITS;

/// The step that a number is in: zero for zero, below it for negative ones. A float's own
/// bits count doublings and steps.
#[inline]
pub(crate) fn bin_of(value: f64) -> i32 {
    let magnitude = ((value.to_bits() & (u64::MAX >> 1)) >> SHIFT) as i32;
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The place of a positive number's counter; beyond all places for any other.
#[inline]
pub(crate) fn place_of(value: f64) -> usize {
    ((value.to_bits() >> SHIFT) as u32).wrapping_sub(OCTAVE_FIRST as u32) as usize
}

/// Where a step begins, seen from zero.
pub(crate) fn bound_of(bin: i32) -> f64 {
    let magnitude = f64::from_bits(u64::from(bin.unsigned_abs()) << SHIFT);
    if bin < 0 { -magnitude } else { magnitude }
}

/// A number within 0.8 % of all in a step.
pub(crate) fn middle_of(bin: i32) -> f64 {
    let (near, far) = (bound_of(bin), bound_of(bin + bin.signum()));
    if bin == 0 || !far.is_finite() {
        near
    } else {
        near + (far - near) / 2.0
    }
}

/// Counts of numbers by size.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// By step, lowest first; only steps that have some.
    pub(crate) bins: BTreeMap<i32, u64>,
}

impl Histogram {
    /// Counts one number; what is none is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_nan() {
            *self.bins.entry(bin_of(value)).or_default() += 1;
        }
    }

    /// Counts all of another's.
    pub fn merge(&mut self, other: &Self) {
        if self.bins.is_empty() {
            return self.bins.clone_from(&other.bins);
        }
        // Both are in order: one walk along both is a fraction of a search for each step.
        let own = std::mem::take(&mut self.bins);
        let mut merged: Vec<(i32, u64)> = Vec::with_capacity(own.len() + other.bins.len());
        let mut theirs = other.bins.iter().peekable();
        for (bin, count) in own {
            while let Some((&before, &more)) = theirs.next_if(|(other, _)| **other < bin) {
                merged.push((before, more));
            }
            let same = theirs.next_if(|(other, _)| **other == bin);
            merged.push((bin, count + same.map_or(0, |(_, more)| *more)));
        }
        merged.extend(theirs.map(|(&bin, &count)| (bin, count)));
        self.bins = merged.into_iter().collect();
    }

    /// Numbers counted.
    pub fn count(&self) -> u64 {
        self.bins.values().sum()
    }

    /// The number below which a share of all is, within 0.8 %; between two of them in
    /// proportion, as the SQL standard's `percentile_cont` has it.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let rank = share.clamp(0.0, 1.0) * last as f64;
        let below = self.nth(rank.floor() as u64)?;
        let above = self.nth(rank.ceil() as u64)?;
        // The same of both may be infinite, and their difference no number.
        if below == above {
            return Some(below);
        }
        Some(below + (above - below) * rank.fract())
    }

    /// About the number that so many others are below.
    fn nth(&self, rank: u64) -> Option<f64> {
        let mut before = 0;
        let mut bins = self.bins.iter();
        let (&bin, _) = bins.find(|(_, count)| {
            before += **count;
            before > rank
        })?;
        Some(middle_of(bin))
    }

    /// Lower bound and count of each bin, with so many steps a doubling (a power of two up to
    /// 64). Bins have the same bounds in every histogram.
    pub fn bins(&self, steps: usize) -> Vec<(f64, u64)> {
        let width = (STEPS / steps.clamp(1, STEPS)) as i32;
        let mut bins: Vec<(f64, u64)> = Vec::new();
        for (&bin, &count) in &self.bins {
            // Towards minus infinity for both signs: a bin's bound is its lowest number.
            let low = match bin {
                0.. => bin / width * width,
                _ => -((-bin) / width + 1) * width,
            };
            let bound = bound_of(low);
            match bins.last_mut() {
                Some((last, sum)) if *last == bound => *sum += count,
                _ => bins.push((bound, count)),
            }
        }
        bins
    }

    /// The first and last step that has some.
    pub(crate) fn ends(&self) -> Option<(i32, i32)> {
        let (&first, _) = self.bins.first_key_value()?;
        let (&last, _) = self.bins.last_key_value()?;
        Some((first, last))
    }
}

/// Doublings that have a place of their own: from a millionth to ten trillion.
const OCTAVES: usize = 64;
pub(crate) const OCTAVE_FIRST: i32 = (1023 - 20) * STEPS as i32;

pub(crate) const PLACES: usize = OCTAVES * STEPS;
/// Groups up to which each has a counter for every step: quickest to fill, 16 kB a group.
const DENSE_GROUPS_MAX: usize = 256;

/// One histogram for each of many groups, filled row by row. Of many groups each takes a page
/// of counters for each doubling that occurs in it.
#[derive(Debug, Default)]
pub(crate) struct Histograms {
    /// By group and step, while there are few groups.
    dense: Vec<u32>,
    /// By group and doubling: which page, zero for none yet.
    table: Vec<u32>,
    pages: Vec<[u32; STEPS]>,
    /// By group.
    zeros: Vec<u64>,
    /// Other numbers outside of the doublings that have a place.
    beyond: BTreeMap<(u32, i32), u64>,
}

/// The groups of some rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Groups<'a> {
    /// All are in this one.
    One(u32),
    /// Row by row.
    Each(&'a [u32]),
}

impl Groups<'_> {
    fn of(&self, number: usize) -> u32 {
        match self {
            Self::One(group) => *group,
            Self::Each(groups) => groups[number],
        }
    }
}

impl Histograms {
    pub(crate) fn grow(&mut self, groups: usize) {
        if self.pages.is_empty() && groups <= DENSE_GROUPS_MAX {
            return self.dense.resize(groups.next_power_of_two() * PLACES, 0);
        }
        if self.pages.is_empty() {
            self.pages.push([0; STEPS]);
        }
        self.table.resize(groups * OCTAVES, 0);
        // What was counted while groups were few moves to pages.
        for (place, count) in std::mem::take(&mut self.dense).into_iter().enumerate() {
            if count > 0 {
                *self.counter((place / PLACES) as u32, place % PLACES) = count;
            }
        }
    }

    fn counter(&mut self, group: u32, place: usize) -> &mut u32 {
        let slot = &mut self.table[group as usize * OCTAVES + place / STEPS];
        if *slot == 0 {
            *slot = self.pages.len() as u32;
            self.pages.push([0; STEPS]);
        }
        &mut self.pages[*slot as usize][place % STEPS]
    }

    /// Counts numbers, each in its group.
    pub(crate) fn add_all(&mut self, numbers: impl Iterator<Item = (u32, f64)>) {
        if self.dense.is_empty() {
            return numbers.for_each(|(group, value)| self.add(group, value));
        }
        for (group, value) in numbers {
            let place = place_of(value);
            if place < PLACES {
                let counter = &mut self.dense[group as usize * PLACES + place];
                *counter = counter.wrapping_add(1);
            } else {
                self.add_beyond(group, value);
            }
        }
    }

    /// Counts numbers told by their steps. `index` says where in `sizes` a row's is, if it has
    /// one; without it each row has. `rows` are those that count, each in its group; without
    /// them it is all.
    pub(crate) fn add_sizes(
        &mut self,
        sizes: &Sizes,
        index: Option<&[u32]>,
        rows: Option<&[u32]>,
        groups: Groups<'_>,
    ) {
        let all = || sizes.places.iter();
        let plain = sizes.is_plain() && !self.dense.is_empty() && index.is_none();
        match (plain, rows, groups) {
            (true, None, Groups::One(group)) => {
                let counters = &mut self.dense[group as usize * PLACES..][..PLACES];
                for &place in all() {
                    let counter = &mut counters[usize::from(place) % PLACES];
                    *counter = counter.wrapping_add(1);
                }
            }
            (true, None, Groups::Each(groups)) => {
                for (&place, &group) in all().zip(groups) {
                    let counter = &mut self.dense[group as usize * PLACES + usize::from(place)];
                    *counter = counter.wrapping_add(1);
                }
            }
            (true, Some(rows), Groups::One(group)) => {
                let counters = &mut self.dense[group as usize * PLACES..][..PLACES];
                for &row in rows {
                    let counter = &mut counters[usize::from(sizes.places[row as usize]) % PLACES];
                    *counter = counter.wrapping_add(1);
                }
            }
            (true, Some(rows), Groups::Each(groups)) => {
                for (&row, &group) in rows.iter().zip(groups) {
                    let place = usize::from(sizes.places[row as usize]);
                    let counter = &mut self.dense[group as usize * PLACES + place];
                    *counter = counter.wrapping_add(1);
                }
            }
            (false, ..) => {
                let count =
                    rows.map_or(index.map_or(sizes.places.len(), <[u32]>::len), <[u32]>::len);
                for number in 0..count {
                    let row = rows.map_or(number, |rows| rows[number] as usize);
                    let at = index.map_or(row as u32, |index| index[row]);
                    if at != u32::MAX {
                        self.add_size(groups.of(number), sizes, at as usize);
                    }
                }
            }
        }
    }

    #[inline]
    fn add_size(&mut self, group: u32, sizes: &Sizes, at: usize) {
        match sizes.places[at] {
            BEYOND => self.add_beyond(group, sizes.beyond(at)),
            place => self.add_place(group, usize::from(place)),
        }
    }

    /// Counts one number.
    #[inline]
    pub(crate) fn add(&mut self, group: u32, value: f64) {
        let place = place_of(value);
        if place >= PLACES {
            return self.add_beyond(group, value);
        }
        self.add_place(group, place);
    }

    #[inline]
    fn add_place(&mut self, group: u32, place: usize) {
        let counter = match self.dense.is_empty() {
            true => self.counter(group, place),
            false => &mut self.dense[group as usize * PLACES + place],
        };
        *counter = counter.saturating_add(1);
    }

    #[cold]
    fn add_beyond(&mut self, group: u32, value: f64) {
        if value == 0.0 {
            // Of all that have no place the usual one: idle processors, empty queues.
            if self.zeros.len() <= group as usize {
                self.zeros.resize(group as usize + 1, 0);
            }
            self.zeros[group as usize] += 1;
        } else if !value.is_nan() {
            *self.beyond.entry((group, bin_of(value))).or_default() += 1;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let dense = self.dense.len() * 4;
        dense
            + self.zeros.len() * 8
            + self.table.len() * 4
            + self.pages.len() * 4 * STEPS
            + self.beyond.len() * 40
    }

    /// One group's, on its own.
    pub(crate) fn get(&self, group: u32) -> Histogram {
        // Collected in order, which makes a map at once instead of number by number.
        let mut bins: Vec<(i32, u64)> = Vec::new();
        let mut add = |place: usize, counts: &[u32]| {
            let some = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            let bin = |step| OCTAVE_FIRST + (place + step) as i32;
            bins.extend(some.map(|(step, &count)| (bin(step), u64::from(count))));
        };
        if self.dense.is_empty() {
            let table = &self.table[group as usize * OCTAVES..][..OCTAVES];
            for (octave, &page) in table.iter().enumerate().filter(|(_, page)| **page > 0) {
                add(octave * STEPS, &self.pages[page as usize]);
            }
        } else {
            add(0, &self.dense[group as usize * PLACES..][..PLACES]);
        }
        let beyond = self.beyond.range((group, i32::MIN)..=(group, i32::MAX));
        bins.extend(beyond.map(|(&(_, bin), &count)| (bin, count)));
        let zeros = self.zeros.get(group as usize).copied();
        bins.extend(zeros.filter(|&zeros| zeros > 0).map(|zeros| (0, zeros)));
        Histogram {
            bins: bins.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Column, Values};

    #[test]
    fn the_middle_of_a_step_is_within_the_promised_share_of_every_number_in_it() {
        let mut value = 1e-9;
        while value < 1e15 {
            for value in [value, -value] {
                let told = middle_of(bin_of(value));
                assert!(
                    ((told - value) / value).abs() <= 0.008,
                    "{value} told as {told}"
                );
            }
            value *= 1.0007;
        }
    }

    #[test]
    fn many_histograms_at_once_count_like_one_by_one() {
        let values = [0.0, -3.5, 1e-12, 17.0, 17.1, 4e18, f64::NAN, f64::INFINITY];
        let mut many = Histograms::default();
        let mut one = Histogram::default();
        for groups in [3, 64, 65, 1_000] {
            many.grow(groups);
            many.add_all(values.into_iter().map(|value| (1, value)));
            many.add(1, 5.0);
            values
                .into_iter()
                .chain([5.0])
                .for_each(|value| one.add(value));
            assert_eq!(many.get(1), one, "{groups} groups");
            assert_eq!(many.get(2).count(), 0);
        }
        assert_eq!(one.count(), 4 * 8);
    }

    #[test]
    fn numbers_told_by_their_steps_count_like_the_numbers() {
        let values: Vec<f64> = (0..400)
            .map(|number| match number % 40 {
                0 => 0.0,
                1 => -2.5,
                2 => f64::NAN,
                3 => 1e300,
                _ => f64::from(number * number) / 7.0,
            })
            .collect();
        let column = |values| Column {
            present: None,
            values,
        };
        let sizes = Sizes::of(&column(Values::Float(values.clone()))).unwrap();
        let plain = Sizes::of(&column(Values::Integer((1..=400).collect()))).unwrap();
        assert!(!sizes.is_plain() && plain.is_plain());
        let groups: Vec<u32> = (0..400).map(|number| number % 3).collect();
        let rows: Vec<u32> = (0..400).filter(|row| row % 7 != 0).collect();
        let of_rows: Vec<u32> = rows.iter().map(|row| row % 3).collect();
        let index: Vec<u32> = (0..400)
            .map(|row| if row % 5 == 0 { u32::MAX } else { 399 - row })
            .collect();
        for many in [3, 300] {
            for (sizes, number) in [
                (&sizes, &(|at: usize| values[at]) as &dyn Fn(usize) -> f64),
                (&plain, &|at: usize| (at + 1) as f64),
            ] {
                for index in [None, Some(index.as_slice())] {
                    for (rows, groups) in [
                        (None, Groups::Each(&groups)),
                        (None, Groups::One(2)),
                        (Some(rows.as_slice()), Groups::Each(&of_rows)),
                        (Some(rows.as_slice()), Groups::One(2)),
                    ] {
                        let mut quick = Histograms::default();
                        quick.grow(many);
                        quick.add_sizes(sizes, index, rows, groups);
                        let mut plainly = Histograms::default();
                        plainly.grow(many);
                        let all: Vec<u32> = rows.map_or((0..400).collect(), <[u32]>::to_vec);
                        for (place, &row) in all.iter().enumerate() {
                            let at = index.map_or(row, |index| index[row as usize]);
                            if at != u32::MAX {
                                plainly.add(groups.of(place), number(at as usize));
                            }
                        }
                        for group in 0..3 {
                            assert_eq!(quick.get(group), plainly.get(group));
                        }
                    }
                }
            }
        }
        let (mut left, right) = (Histogram::default(), Histogram::default());
        left.merge(&right);
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn merging_adds_up_step_by_step() {
        let of = |numbers: &[f64]| {
            let mut histogram = Histogram::default();
            numbers.iter().for_each(|&number| histogram.add(number));
            histogram
        };
        let (left, right) = ([3.0, -1.0, 0.0, 900.0, 3.0], [4.0, 3.0, -7.0, 1e9]);
        let mut merged = of(&left);
        merged.merge(&of(&right));
        let both: Vec<f64> = left.iter().chain(&right).copied().collect();
        assert_eq!(merged, of(&both));
        let mut other = of(&right);
        other.merge(&of(&left));
        assert_eq!(other, of(&both));
    }

    #[test]
    fn coarse_bins_keep_every_count_and_begin_at_round_numbers() {
        let mut histogram = Histogram::default();
        for value in [1.0, 1.2, 1.9, 2.0, 3.9, 4.0, -1.5] {
            histogram.add(value);
        }
        let bins = histogram.bins(1);
        assert_eq!(bins, [(-2.0, 1), (1.0, 3), (2.0, 2), (4.0, 1)]);
    }
}
