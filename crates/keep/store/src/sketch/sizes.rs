//! Numbers of a block's column as the steps of the histogram that they are in: all that a
//! quantile or a heatmap wants of them, in two bytes each.

use super::histogram::{OCTAVE_FIRST, PLACES, bin_of, place_of};
use crate::column::{Column, Rows, Values, index_of};

/// Stands for a number outside of the doublings that have a place; which one is told beside.
pub(crate) const BEYOND: u16 = u16::MAX;

/// One in so many numbers may be beyond, else they are read each time.
const BEYOND_SHARE: usize = 8;

/// The steps of a column's numbers, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sizes {
    pub(crate) places: Vec<u16>,
    /// Numbers that have no place, by index.
    beyond: Vec<(u32, f64)>,
    /// Which rows they are of, as a column has it.
    present: Option<Rows>,
}

impl Sizes {
    /// None for columns of other types, and where too many have no place: zeros above all.
    pub(crate) fn of(column: &Column) -> Option<Self> {
        let mut sizes = match &column.values {
            Values::Integer(values) => Self::of_numbers(values, |&value| value as f64),
            Values::Float(values) => Self::of_numbers(values, |&value| value),
            _ => None,
        }?;
        sizes.present.clone_from(&column.present);
        Some(sizes)
    }

    /// For each of `rows` rows the index of its number, or `u32::MAX`; none if all have one.
    pub(crate) fn index(&self, rows: usize) -> Option<Vec<u32>> {
        index_of(self.present.as_ref(), self.places.len(), rows)
    }

    fn of_numbers<T>(values: &[T], number: impl Fn(&T) -> f64) -> Option<Self> {
        let place = |value: &T| match place_of(number(value)) {
            place if place < PLACES => place as u16,
            _ => BEYOND,
        };
        let places: Vec<u16> = values.iter().map(place).collect();
        let mut beyond = Vec::new();
        // A pass of its own, as nearly all columns have none.
        if places.contains(&BEYOND) {
            for (index, &place) in places.iter().enumerate() {
                if place == BEYOND {
                    beyond.push((index as u32, number(&values[index])));
                }
            }
            if beyond.len() > values.len() / BEYOND_SHARE {
                return None;
            }
        }
        Some(Self {
            places,
            beyond,
            present: None,
        })
    }

    /// Whether each number has a place.
    pub(crate) fn is_plain(&self) -> bool {
        self.beyond.is_empty()
    }

    /// The number at an index, where it has no place.
    pub(crate) fn beyond(&self, index: usize) -> f64 {
        let found = self
            .beyond
            .binary_search_by_key(&(index as u32), |&(index, _)| index);
        found.map_or(f64::NAN, |found| self.beyond[found].1)
    }

    /// Whether the number at an index may be so large: never wrong where it says no.
    #[inline]
    pub(crate) fn may_reach(&self, index: usize, threshold: f64) -> bool {
        let bin = match self.places[index] {
            BEYOND => return self.beyond(index) >= threshold,
            place => OCTAVE_FIRST + i32::from(place),
        };
        bin >= bin_of(threshold)
    }

    pub(crate) fn bytes(&self) -> usize {
        let present = self.present.as_ref().map_or(0, Rows::bytes);
        self.places.len() * 2 + self.beyond.len() * 16 + present
    }
}
