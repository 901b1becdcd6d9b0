//! All conditions of a question together: which rows meet them, and which blocks cannot have any.

use super::filter::Filter;
use super::lane::{Lane, Lanes};
use super::unit::{OpenSegment, View, places};
use crate::batch::REST_KEY;
use crate::column::{ColumnType, Dict, Values};
use crate::error::ScanError;
use crate::plan::{Condition, Lookup};
use crate::segment::SegmentError;
use crate::warm::Asking;
use std::collections::HashMap;
use std::sync::Arc;

/// All conditions of a question, and what is known of the segment being read.
pub(crate) struct Filters {
    filters: Arc<Vec<Filter>>,
    /// By condition and dictionary: which codes meet it.
    tables: HashMap<(usize, usize), Arc<Vec<bool>>>,
    scratch: Vec<u8>,
}

impl Filters {
    pub(crate) fn new(conditions: &[Condition]) -> Result<Self, ScanError> {
        let filters: Result<_, _> = conditions.iter().map(Filter::new).collect();
        Ok(Self {
            filters: Arc::new(filters?),
            tables: HashMap::new(),
            scratch: Vec::new(),
        })
    }

    /// Whether every row meets them.
    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Forgets what was known of the segment before.
    pub(crate) fn enter_segment(&mut self) {
        self.tables.clear();
    }

    /// Whether a block may have rows that meet all conditions.
    pub(crate) fn may_match(
        &mut self,
        segment: &mut OpenSegment,
        block: usize,
        (lookup, asking): (Option<&Lookup>, Option<Asking<'_>>),
    ) -> Result<bool, SegmentError> {
        let filters = self.filters.clone();
        for (number, filter) in filters.iter().enumerate() {
            let looked_up = lookup.is_some_and(|lookup| lookup.column(&filter.key).is_some());
            let rest = places(&segment.reader, REST_KEY);
            if looked_up || !rest.is_empty() || filter.holds_where_absent() {
                continue;
            }
            let mut may = false;
            for place in places(&segment.reader, &filter.key) {
                let dict = segment.dict(place, asking)?;
                let column = (place, dict);
                may = may || self.may_match_column(segment, column, block, (number, filter))?;
            }
            if !may {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_match_column(
        &mut self,
        segment: &OpenSegment,
        (place, dict): (usize, Option<Arc<Dict>>),
        block: usize,
        (number, filter): (usize, &Filter),
    ) -> Result<bool, SegmentError> {
        let column = &segment.reader.footer.columns[place];
        let Some(part) = &column.blocks[block] else {
            return Ok(false);
        };
        if let Some((low, high)) = part.range {
            return Ok(filter.may_hold_between(low, high));
        }
        if let Some(dict) = dict {
            let table = self.table(number, filter, (Some(place), &dict));
            return Ok(table.contains(&true));
        }
        if column.kind == ColumnType::Text {
            return segment.reader.may_have(column, block, &filter.words);
        }
        Ok(true)
    }

    /// Lists the rows of a unit that meet all conditions.
    pub(crate) fn select(
        &mut self,
        view: &mut View<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<(), SegmentError> {
        rows.clear();
        if let Some(filter) = self.filters.clone().first() {
            let lanes = view.lanes(&filter.key)?;
            if let [lane] = lanes.as_slice()
                && lane.index.is_none()
                && let Values::Codes { codes, dict } = lane.values()
            {
                let table = self.table(0, filter, (lane.dict, dict));
                select_codes(codes, &table, rows);
                return self.retain_from(1, view, rows);
            }
        }
        rows.extend(0..view.rows as u32);
        self.retain_from(0, view, rows)
    }

    /// Which codes of a dictionary meet a condition; known as long as a segment is read.
    fn table(
        &mut self,
        number: usize,
        filter: &Filter,
        (name, dict): (Option<usize>, &Dict),
    ) -> Arc<Vec<bool>> {
        let scratch = &mut self.scratch;
        let mut make = || {
            let texts = dict.texts().iter();
            let table = texts.map(|text| filter.holds_for_text(text, scratch));
            Arc::new(table.collect())
        };
        match name {
            None => make(),
            Some(name) => {
                let known = self.tables.entry((number, name));
                known.or_insert_with(make).clone()
            }
        }
    }

    /// Leaves the rows that meet all conditions.
    pub(crate) fn retain(
        &mut self,
        view: &mut View<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<(), SegmentError> {
        self.retain_from(0, view, rows)
    }

    fn retain_from(
        &mut self,
        first: usize,
        view: &mut View<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<(), SegmentError> {
        let filters = self.filters.clone();
        for (number, filter) in filters.iter().enumerate().skip(first) {
            if rows.is_empty() {
                return Ok(());
            }
            let lanes = view.lanes(&filter.key)?;
            self.retain_one(&lanes, (number, filter), rows);
        }
        Ok(())
    }

    fn retain_one(
        &mut self,
        lanes: &Lanes,
        (number, filter): (usize, &Filter),
        rows: &mut Vec<u32>,
    ) {
        if let [lane] = lanes.as_slice()
            && lane.index.is_none()
        {
            return self.retain_full(lane, (number, filter), rows);
        }
        let scratch = &mut self.scratch;
        rows.retain(|&row| {
            let mut places = lanes.iter().map(|lane| (lane, lane.place(row)));
            let found = places.find_map(|(lane, place)| Some((lane, place?)));
            let Some((lane, place)) = found else {
                return filter.holds_where_absent();
            };
            match lane.values() {
                Values::Bool(values) => filter.holds_for_bool(values[place]),
                Values::Integer(values) => filter.holds_for_integer(values[place]),
                Values::Float(values) => filter.holds_for_float(values[place]),
                values => filter.holds_for_text(values.text(place), scratch),
            }
        });
    }

    /// As above, where each row has a value and all are of one type.
    fn retain_full(
        &mut self,
        lane: &Lane,
        (number, filter): (usize, &Filter),
        rows: &mut Vec<u32>,
    ) {
        match lane.values() {
            Values::Bool(values) => {
                rows.retain(|&row| filter.holds_for_bool(values[row as usize]));
            }
            Values::Integer(values) => {
                rows.retain(|&row| filter.holds_for_integer(values[row as usize]));
            }
            Values::Float(values) => {
                rows.retain(|&row| filter.holds_for_float(values[row as usize]));
            }
            Values::Codes { codes, dict } => {
                let table = self.table(number, filter, (lane.dict, dict));
                retain_branchless(rows, |row| table[usize::from(codes[row as usize])]);
            }
            Values::Text(texts) => {
                let scratch = &mut self.scratch;
                rows.retain(|&row| filter.holds_for_text(texts.get(row as usize), scratch));
            }
        }
    }
}

/// `retain` without a branch a row, which the processor could not foresee.
fn retain_branchless(rows: &mut Vec<u32>, holds: impl Fn(u32) -> bool) {
    let mut kept = 0;
    for index in 0..rows.len() {
        let row = rows[index];
        rows[kept] = row;
        kept += usize::from(holds(row));
    }
    rows.truncate(kept);
}

/// Codes that are looked at before those of their rows that count are listed.
const STRETCH: usize = 64;

/// Lists the rows whose code counts: without a branch a row, and, where a dictionary is small,
/// without one to see that the table has it.
fn select_codes(codes: &[u16], table: &[bool], rows: &mut Vec<u32>) {
    let mut small = [false; 256];
    let is_small = table.len() <= small.len();
    if is_small {
        small[..table.len()].copy_from_slice(table);
    }
    let mut found = [0u32; STRETCH];
    for (stretch, codes) in codes.chunks(STRETCH).enumerate() {
        let first = (stretch * STRETCH) as u32;
        let mut count = 0;
        for (row, &code) in (first..).zip(codes) {
            found[count % STRETCH] = row;
            count += usize::from(match is_small {
                true => small[usize::from(code as u8)],
                false => table[usize::from(code)],
            });
        }
        rows.extend_from_slice(&found[..count]);
    }
}
