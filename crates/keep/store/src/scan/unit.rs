//! What is looked through at once: a batch of the head, or one block of a segment. Columns are
//! read when something asks for them, once.

use crate::batch::{Batch, REST_KEY, read_rest};
use crate::column::{Column, ColumnType, Dict, DictRef, Values};
use crate::plan::Lookup;
use crate::pool;
use crate::segment::footer::RowOrder;
use crate::segment::read::Reader;
use crate::segment::{Segment, SegmentError};
use andon_model::event::Value;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// Where some rows are.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    Chunk(Arc<Batch>),
    Block(Arc<Segment>, usize),
}

/// One typed column of a unit and how to find a row's value in it.
pub(crate) struct Lane {
    source: Source,
    /// By row the place of its value, or `u32::MAX`; none if each row has one.
    pub(crate) index: Option<Vec<u32>>,
}

enum Source {
    Own(Column),
    Chunk(Arc<Batch>, usize),
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(index) = self.index.take() {
            pool::give(index);
        }
        let Source::Own(column) = &mut self.source else {
            return;
        };
        match &mut column.values {
            Values::Integer(values) => pool::give(std::mem::take(values)),
            Values::Float(values) => pool::give(std::mem::take(values)),
            Values::Codes { codes, .. } => pool::give(std::mem::take(codes)),
            Values::Bool(_) | Values::Text(_) => {}
        }
    }
}

impl Lane {
    fn of(source: Source, rows: usize) -> Self {
        let mut lane = Self {
            source,
            index: None,
        };
        lane.index = lane.column().index(rows);
        lane
    }

    fn column(&self) -> &Column {
        match &self.source {
            Source::Own(column) => column,
            Source::Chunk(batch, place) => &batch.columns[*place].column,
        }
    }

    pub(crate) fn values(&self) -> &Values {
        &self.column().values
    }

    /// The place of a row's value.
    #[inline]
    pub(crate) fn place(&self, row: u32) -> Option<usize> {
        match &self.index {
            None => Some(row as usize),
            Some(index) => match index[row as usize] {
                u32::MAX => None,
                place => Some(place as usize),
            },
        }
    }
}

/// A key's columns, one for each type that its values have.
pub(crate) type Lanes = Rc<Vec<Lane>>;

/// A segment open for reading, and its dictionaries as far as they were asked for.
pub(crate) struct OpenSegment {
    pub(crate) id: u64,
    pub(crate) reader: Reader,
    pub(crate) is_rollup: bool,
    dicts: HashMap<usize, Option<Arc<Dict>>>,
    /// By looked-up column and dictionary: what each code stands for.
    looked_up: HashMap<(usize, usize), Option<Arc<CodeTable>>>,
}

/// Codes of one dictionary turned into codes of another.
struct CodeTable {
    codes: Vec<u16>,
    dict: Arc<Dict>,
}

impl OpenSegment {
    pub(crate) fn open(segment: &Segment) -> Result<Self, SegmentError> {
        Ok(Self {
            id: segment.id,
            reader: segment.reader()?,
            is_rollup: segment.is_rollup,
            dicts: HashMap::new(),
            looked_up: HashMap::new(),
        })
    }

    /// The dictionary of the column at a place in the footer.
    pub(crate) fn dict(&mut self, place: usize) -> Result<Option<Arc<Dict>>, SegmentError> {
        if let Some(known) = self.dicts.get(&place) {
            return Ok(known.clone());
        }
        let dict = self.reader.dict(&self.reader.footer.columns[place])?;
        self.dicts.insert(place, dict.clone());
        Ok(dict)
    }
}

/// Places in the footer of the columns of one name.
pub(crate) fn places(reader: &Reader, name: &str) -> std::ops::Range<usize> {
    let columns = &reader.footer.columns;
    let from = columns.partition_point(|column| *column.name < *name);
    from..from + reader.footer.named(name).len()
}

/// One unit while it is looked through.
pub(crate) struct View<'a> {
    place: Place<'a>,
    pub(crate) rows: usize,
    /// Whether each row stands for many.
    pub(crate) is_rollup: bool,
    at: Option<Rc<Vec<i64>>>,
    pub(crate) sorted: bool,
    lookup: Option<&'a Lookup>,
    lanes: HashMap<String, Lanes>,
}

enum Place<'a> {
    Chunk(Arc<Batch>),
    Block(&'a mut OpenSegment, usize),
}

impl<'a> View<'a> {
    pub(crate) fn chunk(batch: &Arc<Batch>, lookup: Option<&'a Lookup>) -> Self {
        Self {
            place: Place::Chunk(batch.clone()),
            rows: batch.len(),
            is_rollup: false,
            at: None,
            sorted: false,
            lookup,
            lanes: HashMap::new(),
        }
    }

    pub(crate) fn block(
        segment: &'a mut OpenSegment,
        block: usize,
        lookup: Option<&'a Lookup>,
    ) -> Self {
        let footer = &segment.reader.footer;
        Self {
            rows: footer.blocks[block].rows as usize,
            is_rollup: segment.is_rollup,
            at: None,
            sorted: footer.order == RowOrder::Time,
            place: Place::Block(segment, block),
            lookup,
            lanes: HashMap::new(),
        }
    }

    /// The first and last moment of its rows, where that is known without reading them.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        match &self.place {
            Place::Chunk(_) => None,
            Place::Block(segment, block) => {
                let block = &segment.reader.footer.blocks[*block];
                Some((block.at_min, block.at_max))
            }
        }
    }

    /// When each row happened.
    pub(crate) fn at(&mut self) -> Result<Rc<Vec<i64>>, SegmentError> {
        if let Some(at) = &self.at {
            return Ok(at.clone());
        }
        let at = Rc::new(match &self.place {
            Place::Chunk(batch) => batch.at.clone(),
            Place::Block(segment, block) => segment.reader.at(*block)?,
        });
        self.at = Some(at.clone());
        Ok(at)
    }

    /// The columns of a key, whether the events have it or the lookup brings it.
    pub(crate) fn lanes(&mut self, name: &str) -> Result<Lanes, SegmentError> {
        if let Some(lanes) = self.lanes.get(name) {
            return Ok(lanes.clone());
        }
        let lanes = Rc::new(self.find(name)?);
        self.lanes.insert(name.to_owned(), lanes.clone());
        Ok(lanes)
    }

    fn find(&mut self, name: &str) -> Result<Vec<Lane>, SegmentError> {
        let Some(lookup) = self.lookup else {
            return self.own(name);
        };
        let Some(column) = lookup.column(name) else {
            return self.own(name);
        };
        let mut lanes = match lookup.is_qualified(name) {
            true => Vec::new(),
            false => self.own(name)?,
        };
        let taken = |row: u32| lanes.iter().any(|lane: &Lane| lane.place(row).is_some());
        let taken: Option<Vec<bool>> =
            (!lanes.is_empty()).then(|| (0..self.rows as u32).map(taken).collect());
        if taken.as_ref().is_none_or(|taken| taken.contains(&false)) {
            let on = self.lanes(&lookup.on)?;
            if let (None, [lane]) = (&taken, on.as_slice())
                && lane.index.is_none()
                && let Some(column) = self.looked_up_codes(lookup, column, lane)
            {
                let source = Source::Own(column);
                return Ok(vec![Lane::of(source, self.rows)]);
            }
            let at = self.at()?;
            lanes.extend(looked_up(lookup, column, &on, &at, taken.as_deref()));
        }
        Ok(lanes)
    }

    /// Codes to codes: the usual case, and a table for each dictionary.
    fn looked_up_codes(&mut self, lookup: &Lookup, column: usize, on: &Lane) -> Option<Column> {
        let Values::Codes { codes, dict } = on.values() else {
            return None;
        };
        let identity = self.dict_identity(on);
        let table = match (&mut self.place, identity) {
            (Place::Block(segment, _), Some(identity)) => {
                let known = segment.looked_up.entry((column, identity));
                let make = || code_table(lookup, column, dict).map(Arc::new);
                known.or_insert_with(make).clone()?
            }
            _ => Arc::new(code_table(lookup, column, dict)?),
        };
        let mut taken = pool::take(codes.len());
        taken.extend(codes.iter().map(|&code| table.codes[usize::from(code)]));
        Some(Column {
            present: None,
            values: Values::Codes {
                codes: taken,
                dict: DictRef::Shared(table.dict.clone()),
            },
        })
    }

    fn own(&mut self, name: &str) -> Result<Vec<Lane>, SegmentError> {
        let rows = self.rows;
        let mut lanes = self.typed(name)?;
        if name != REST_KEY {
            let rest = self.typed(REST_KEY)?;
            for lane in &rest {
                lanes.extend(rest_columns(lane, name, rows));
            }
        }
        Ok(lanes)
    }

    fn typed(&mut self, name: &str) -> Result<Vec<Lane>, SegmentError> {
        let rows = self.rows;
        match &mut self.place {
            Place::Chunk(batch) => {
                let places = batch.places(name).iter();
                let lane =
                    |&place: &u32| Lane::of(Source::Chunk(batch.clone(), place as usize), rows);
                Ok(places.map(lane).collect())
            }
            Place::Block(segment, block) => {
                let mut lanes = Vec::new();
                for place in places(&segment.reader, name) {
                    let dict = segment.dict(place)?;
                    let meta = &segment.reader.footer.columns[place];
                    let column = segment.reader.column(meta, *block, dict.as_ref())?;
                    lanes.extend(column.map(|column| Lane::of(Source::Own(column), rows)));
                }
                Ok(lanes)
            }
        }
    }

    /// Some rows as they were taken in, all their attributes.
    pub(crate) fn batch(&mut self) -> Result<Arc<Batch>, SegmentError> {
        match &self.place {
            Place::Chunk(batch) => Ok(batch.clone()),
            Place::Block(segment, block) => Ok(Arc::new(segment.reader.batch(*block)?)),
        }
    }

    /// What changes when a dictionary is another one: nothing while a segment is read.
    pub(crate) fn dict_identity(&self, lane: &Lane) -> Option<usize> {
        match (&self.place, lane.values()) {
            (
                Place::Block(..),
                Values::Codes {
                    dict: DictRef::Shared(dict),
                    ..
                },
            ) if matches!(lane.source, Source::Own(_)) => Some(Arc::as_ptr(dict) as usize),
            _ => None,
        }
    }
}

/// The values of one key among attributes that have no column of their own.
fn rest_columns(rest: &Lane, name: &str, rows: usize) -> Vec<Lane> {
    let mut made: BTreeMap<ColumnType, Column> = BTreeMap::new();
    let texts = rest.values();
    let wanted = serde_json::to_string(name).unwrap_or_default();
    for row in 0..rows as u32 {
        let Some(place) = rest.place(row) else {
            continue;
        };
        let text = texts.text(place);
        if !text.contains(&wanted) {
            continue;
        }
        let found = read_rest(text).into_iter().find(|(key, _)| key == name);
        if let Some((_, value)) = found {
            push(&mut made, row, &value);
        }
    }
    let lane = |column| Lane::of(Source::Own(column), rows);
    made.into_values().map(lane).collect()
}

fn push(columns: &mut BTreeMap<ColumnType, Column>, row: u32, value: &Value) {
    let kind = ColumnType::of(value);
    let column = columns.entry(kind).or_insert_with(|| Column::empty(kind));
    if !column.mark(row as usize) {
        return;
    }
    match (&mut column.values, value) {
        (Values::Bool(values), Value::Bool(value)) => values.push(*value),
        (Values::Integer(values), Value::Integer(value)) => values.push(*value),
        (Values::Float(values), Value::Float(value)) => values.push(*value),
        (_, Value::Text(text)) => column.push_text(text),
        _ => {}
    }
}

/// What one value of the joined key stands for.
#[derive(Clone, Copy)]
enum Found<'a> {
    Nothing,
    One(&'a Value),
    /// It depends on when.
    Several(&'a [crate::plan::LookupRow]),
}

fn find<'a>(lookup: &'a Lookup, column: usize, on: &str) -> Found<'a> {
    let value = |row: &'a crate::plan::LookupRow| row.values.get(column).and_then(Option::as_ref);
    match lookup.rows.get(on).map(Vec::as_slice) {
        None | Some([]) => Found::Nothing,
        Some(rows) => {
            let first = value(&rows[0]);
            match rows.iter().all(|row| value(row) == first) {
                true => first.map_or(Found::Nothing, Found::One),
                false => Found::Several(rows),
            }
        }
    }
}

fn resolve<'a>(found: Found<'a>, column: usize, at: i64) -> Option<&'a Value> {
    match found {
        Found::Nothing => None,
        Found::One(value) => Some(value),
        Found::Several(rows) => {
            let after = rows.partition_point(|row| row.at.0 <= at);
            rows[after.saturating_sub(1)].values.get(column)?.as_ref()
        }
    }
}

/// A looked-up key's columns, for the rows that are not `taken`.
fn looked_up(
    lookup: &Lookup,
    column: usize,
    on: &[Lane],
    at: &[i64],
    taken: Option<&[bool]>,
) -> Vec<Lane> {
    let rows = at.len();
    let mut made: BTreeMap<ColumnType, Column> = BTreeMap::new();
    for lane in on {
        let known: Vec<Found<'_>> = match lane.values() {
            Values::Codes { dict, .. } => {
                let texts = dict.texts().iter();
                texts.map(|text| find(lookup, column, text)).collect()
            }
            _ => Vec::new(),
        };
        for (row, &at) in at.iter().enumerate() {
            if taken.is_some_and(|taken| taken[row]) {
                continue;
            }
            let Some(place) = lane.place(row as u32) else {
                continue;
            };
            let found = match lane.values() {
                Values::Codes { codes, .. } => known[usize::from(codes[place])],
                Values::Text(texts) => find(lookup, column, texts.get(place)),
                values => find(lookup, column, &values.get(place).to_string()),
            };
            if let Some(value) = resolve(found, column, at) {
                push(&mut made, row as u32, value);
            }
        }
    }
    let lane = |column| Lane::of(Source::Own(column), rows);
    made.into_values().map(lane).collect()
}

/// What each text of a dictionary stands for, where that is always one other text.
fn code_table(lookup: &Lookup, column: usize, dict: &Dict) -> Option<CodeTable> {
    let mut taken = Dict::default();
    let mut codes = Vec::with_capacity(dict.len());
    for text in dict.texts().iter() {
        match find(lookup, column, text) {
            Found::One(Value::Text(text)) => {
                codes.push(taken.intern(text, crate::column::DICT_MAX)? as u16);
            }
            _ => return None,
        }
    }
    let dict = Arc::new(taken);
    Some(CodeTable { codes, dict })
}
