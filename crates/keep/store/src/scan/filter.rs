//! Which rows meet all conditions, and which blocks cannot have any.

use super::unit::{Lane, Lanes, OpenSegment, View, places};
use crate::batch::REST_KEY;
use crate::coding::bloom::{words_of, words_within};
use crate::column::{ColumnType, Values};
use crate::error::ScanError;
use crate::plan::{Condition, Lookup, Test};
use crate::segment::SegmentError;
use andon_model::event::Value;
use memchr::memmem::Finder;
use regex::Regex;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes that a compiled expression may take; common ones take a few thousand.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Depth of brackets in an expression.
const PATTERN_NEST_MAX: u32 = 50;

/// A condition made ready to be asked of many values.
pub(crate) struct Filter {
    pub(crate) key: String,
    matcher: Matcher,
    /// Words that each matching text has.
    words: Vec<u64>,
}

enum Matcher {
    Equal(Value),
    NotEqual(Value),
    Order(Value, fn(Ordering) -> bool),
    In(Vec<Value>),
    /// In small letters.
    Contains(Box<Finder<'static>>),
    Matches(Regex),
    Exists,
}

impl Filter {
    pub(crate) fn new(condition: &Condition) -> Result<Self, ScanError> {
        let mut words = Vec::new();
        let matcher = match &condition.test {
            Test::Equal(value) => {
                if let Value::Text(text) = value {
                    words = words_of(text);
                }
                Matcher::Equal(value.clone())
            }
            Test::NotEqual(value) => Matcher::NotEqual(value.clone()),
            Test::Less(value) => Matcher::Order(value.clone(), Ordering::is_lt),
            Test::AtMost(value) => Matcher::Order(value.clone(), Ordering::is_le),
            Test::More(value) => Matcher::Order(value.clone(), Ordering::is_gt),
            Test::AtLeast(value) => Matcher::Order(value.clone(), Ordering::is_ge),
            Test::In(values) => Matcher::In(values.clone()),
            Test::Contains(part) => {
                words = words_within(part);
                let part = part.to_ascii_lowercase();
                Matcher::Contains(Box::new(Finder::new(part.as_bytes()).into_owned()))
            }
            Test::Matches(pattern) => Matcher::Matches(compile(pattern)?),
            Test::Exists => Matcher::Exists,
        };
        Ok(Self {
            key: condition.key.clone(),
            matcher,
            words,
        })
    }

    fn holds_where_absent(&self) -> bool {
        matches!(self.matcher, Matcher::NotEqual(_))
    }

    fn holds_for_text(&self, text: &str, scratch: &mut Vec<u8>) -> bool {
        match &self.matcher {
            Matcher::Contains(finder) => {
                scratch.clear();
                scratch.extend_from_slice(text.as_bytes());
                scratch.make_ascii_lowercase();
                finder.find(scratch).is_some()
            }
            Matcher::Matches(regex) => regex.is_match(text),
            Matcher::Exists => true,
            Matcher::Equal(Value::Text(value)) => value == text,
            Matcher::NotEqual(Value::Text(value)) => value != text,
            Matcher::NotEqual(_) => true,
            Matcher::Order(Value::Text(value), holds) => holds(text.cmp(value)),
            Matcher::In(values) => {
                let mut values = values.iter();
                values.any(|value| matches!(value, Value::Text(value) if value == text))
            }
            Matcher::Equal(_) | Matcher::Order(..) => false,
        }
    }

    fn holds_for_bool(&self, value: bool) -> bool {
        match &self.matcher {
            Matcher::Exists => true,
            Matcher::Equal(Value::Bool(other)) => value == *other,
            Matcher::NotEqual(Value::Bool(other)) => value != *other,
            Matcher::NotEqual(_) => true,
            Matcher::Order(Value::Bool(other), holds) => holds(value.cmp(other)),
            Matcher::In(values) => values.contains(&Value::Bool(value)),
            _ => false,
        }
    }

    fn holds_for_integer(&self, value: i64) -> bool {
        let compare = |other: &Value| match other {
            Value::Integer(other) => Some(value.cmp(other)),
            Value::Float(other) => (value as f64).partial_cmp(other),
            _ => None,
        };
        self.holds_for_number(compare)
    }

    fn holds_for_float(&self, value: f64) -> bool {
        self.holds_for_number(|other| value.partial_cmp(&other.number()?))
    }

    fn holds_for_number(&self, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
        match &self.matcher {
            Matcher::Exists => true,
            Matcher::Equal(other) => compare(other) == Some(Ordering::Equal),
            Matcher::NotEqual(other) => compare(other) != Some(Ordering::Equal),
            Matcher::Order(other, holds) => compare(other).is_some_and(holds),
            Matcher::In(others) => others
                .iter()
                .any(|other| compare(other) == Some(Ordering::Equal)),
            Matcher::Contains(_) | Matcher::Matches(_) => false,
        }
    }

    /// Whether a block's numbers between `low` and `high` may meet it.
    fn may_hold_between(&self, low: f64, high: f64) -> bool {
        let number = |value: &Value| value.number();
        match &self.matcher {
            Matcher::Equal(value) => {
                number(value).is_some_and(|value| low <= value && value <= high)
            }
            Matcher::In(values) => {
                let mut numbers = values.iter().filter_map(number);
                numbers.any(|value| low <= value && value <= high)
            }
            Matcher::Order(value, holds) => number(value).is_some_and(|value| {
                let ends = [low.partial_cmp(&value), high.partial_cmp(&value)];
                ends.into_iter().flatten().any(holds)
            }),
            Matcher::Contains(_) | Matcher::Matches(_) => false,
            Matcher::NotEqual(_) | Matcher::Exists => true,
        }
    }
}

/// The same limits as where the question was checked.
fn compile(pattern: &str) -> Result<Regex, ScanError> {
    let built = regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .nest_limit(PATTERN_NEST_MAX)
        .build();
    built.map_err(|error| ScanError::Pattern {
        pattern: pattern.to_owned(),
        reason: error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned(),
    })
}

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

    /// Forgets what was known of the segment before.
    pub(crate) fn enter_segment(&mut self) {
        self.tables.clear();
    }

    /// Whether a block may have rows that meet all conditions.
    pub(crate) fn may_match(
        &mut self,
        segment: &mut OpenSegment,
        block: usize,
        lookup: Option<&Lookup>,
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
                may = may || self.may_match_column(segment, place, block, (number, filter))?;
            }
            if !may {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_match_column(
        &mut self,
        segment: &mut OpenSegment,
        place: usize,
        block: usize,
        (number, filter): (usize, &Filter),
    ) -> Result<bool, SegmentError> {
        let dict = segment.dict(place)?;
        let column = &segment.reader.footer.columns[place];
        let Some(part) = &column.blocks[block] else {
            return Ok(false);
        };
        if let Some((low, high)) = part.range {
            return Ok(filter.may_hold_between(low, high));
        }
        if let Some(dict) = dict {
            let key = (number, Arc::as_ptr(&dict) as usize);
            let table = match self.tables.get(&key) {
                Some(table) => table.clone(),
                None => {
                    let texts = dict.texts().iter();
                    let scratch = &mut self.scratch;
                    let table = texts.map(|text| filter.holds_for_text(text, scratch));
                    let table: Arc<Vec<bool>> = Arc::new(table.collect());
                    self.tables.insert(key, table.clone());
                    table
                }
            };
            return Ok(table.contains(&true));
        }
        if column.kind == ColumnType::Text {
            return segment.reader.may_have(column, block, &filter.words);
        }
        Ok(true)
    }

    /// Leaves the rows that meet all conditions.
    pub(crate) fn retain(
        &mut self,
        view: &mut View<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<(), SegmentError> {
        let filters = self.filters.clone();
        for (number, filter) in filters.iter().enumerate() {
            if rows.is_empty() {
                return Ok(());
            }
            let lanes = view.lanes(&filter.key)?;
            self.retain_one(view, &lanes, (number, filter), rows);
        }
        Ok(())
    }

    fn retain_one(
        &mut self,
        view: &View<'_>,
        lanes: &Lanes,
        (number, filter): (usize, &Filter),
        rows: &mut Vec<u32>,
    ) {
        if let [lane] = lanes.as_slice()
            && lane.index.is_none()
        {
            return self.retain_full(view, lane, (number, filter), rows);
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
        view: &View<'_>,
        lane: &Lane,
        (number, filter): (usize, &Filter),
        rows: &mut Vec<u32>,
    ) {
        let scratch = &mut self.scratch;
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
                let mut make = || {
                    let texts = dict.texts().iter();
                    Arc::new(
                        texts
                            .map(|text| filter.holds_for_text(text, scratch))
                            .collect(),
                    )
                };
                let table: Arc<Vec<bool>> = match view.dict_identity(lane) {
                    None => make(),
                    Some(identity) => {
                        let known = self.tables.entry((number, identity));
                        known.or_insert_with(make).clone()
                    }
                };
                retain_branchless(rows, |row| table[usize::from(codes[row as usize])]);
            }
            Values::Text(texts) => {
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
