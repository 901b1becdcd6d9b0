//! Some events as columns: what is appended at once, what the head is made of, what a block
//! of a segment reads back as.

use crate::column::{Column, ColumnType, DictRef, Values};
use crate::hash::MixState;
use andon_model::event::{ATTRIBUTES_MAX, Event, KEY_BYTES_MAX, TEXT_BYTES_MAX, Value};
use andon_model::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// Columns of one batch at most; the attributes of a row that would begin one more go into
/// [`REST_KEY`], where they are found all the same, only more slowly.
pub const COLUMNS_MAX: usize = 1_024;
/// Name of the column that holds attributes beyond [`COLUMNS_MAX`]; no event's key can be
/// called so, since an empty key is refused.
pub(crate) const REST_KEY: &str = "";

/// Bytes of one row's attributes beyond [`COLUMNS_MAX`] at most: so that a row always fits
/// into a block.
const REST_BYTES_MAX: usize = 1 << 20;

/// Events as columns. Filling one row by row costs no allocation a row:
/// [`Batch::begin`], then a `set_*` for each attribute.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) at: Vec<i64>,
    pub(crate) columns: Vec<NamedColumn>,
    places: HashMap<Arc<str>, Vec<u32>, MixState>,
    /// Where the next attribute most likely goes: rows tend to have the same shape.
    cursor: usize,
    attributes: usize,
    rest: Vec<(String, Value)>,
    rest_bytes: usize,
    pub(crate) counters: BatchCounters,
}

/// What a batch left out or cut, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCounters {
    /// Attributes without a name, with a name too long, or beyond what one event may have.
    pub attributes_refused: u64,
    /// Texts cut at their limit.
    pub texts_cut: u64,
    /// Second values of a key in one event.
    pub attributes_repeated: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct NamedColumn {
    pub(crate) name: Arc<str>,
    pub(crate) column: Column,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One of these events.
    pub fn of(events: &[Event]) -> Self {
        let mut batch = Self::new();
        batch.at.reserve(events.len());
        for event in events {
            batch.push(event);
        }
        batch.end();
        batch
    }

    pub(crate) fn from_parts(at: Vec<i64>, columns: Vec<NamedColumn>) -> Self {
        let mut batch = Self {
            at,
            ..Self::default()
        };
        for named in columns {
            batch.add_column(named.name, named.column);
        }
        batch
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Bytes of memory it takes, about.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter();
        let columns: usize = columns.map(|named| named.column.bytes() + 128).sum();
        columns + self.at.len() * 8
    }

    /// What was left out or cut while filling it.
    pub fn counters(&self) -> BatchCounters {
        self.counters
    }

    /// Adds one event.
    pub fn push(&mut self, event: &Event) {
        self.begin(event.at);
        for (name, value) in &event.attributes {
            self.set(name, value);
        }
    }

    /// Begins a row; the `set_*` that follow are its attributes.
    pub fn begin(&mut self, at: Timestamp) {
        self.end();
        self.at.push(at.0);
    }

    /// Ends the last row. Needed only before looking at the batch; appending does it.
    pub fn end(&mut self) {
        self.cursor = 0;
        self.attributes = 0;
        self.rest_bytes = 0;
        if self.rest.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.rest);
        let text = serde_json::to_string(&RestOut(&rest)).unwrap_or_default();
        let place = match self.find(REST_KEY, ColumnType::Text) {
            Some(place) => place,
            None => self.add_column(REST_KEY.into(), Column::empty(ColumnType::Text)),
        };
        let row = self.at.len() - 1;
        let column = &mut self.columns[place].column;
        if column.mark(row) {
            column.push_text(&text);
        }
    }

    /// Gives the row an attribute.
    pub fn set(&mut self, name: &str, value: &Value) {
        match value {
            Value::Bool(value) => self.set_bool(name, *value),
            Value::Integer(value) => self.set_integer(name, *value),
            Value::Float(value) => self.set_float(name, *value),
            Value::Text(value) => self.set_text(name, value),
        }
    }

    /// Gives the row a truth value.
    pub fn set_bool(&mut self, name: &str, value: bool) {
        if let Some(column) = self.place(name, ColumnType::Bool, || Value::Bool(value))
            && let Values::Bool(values) = &mut column.values
        {
            values.push(value);
        }
    }

    /// Gives the row a whole number.
    pub fn set_integer(&mut self, name: &str, value: i64) {
        if let Some(column) = self.place(name, ColumnType::Integer, || Value::Integer(value))
            && let Values::Integer(values) = &mut column.values
        {
            values.push(value);
        }
    }

    /// Gives the row another number.
    pub fn set_float(&mut self, name: &str, value: f64) {
        if let Some(column) = self.place(name, ColumnType::Float, || Value::Float(value))
            && let Values::Float(values) = &mut column.values
        {
            values.push(value);
        }
    }

    /// Gives the row a text, cut at the model's limit.
    pub fn set_text(&mut self, name: &str, value: &str) {
        let mut value = value;
        if value.len() > TEXT_BYTES_MAX {
            self.counters.texts_cut += 1;
            value = cut(value, TEXT_BYTES_MAX);
        }
        if let Some(column) = self.place(name, ColumnType::Text, || Value::from(value)) {
            column.push_text(value);
        }
    }

    /// The column that the row's next value goes to, marked as having it.
    fn place(
        &mut self,
        name: &str,
        kind: ColumnType,
        value: impl FnOnce() -> Value,
    ) -> Option<&mut Column> {
        let row = self.at.len().checked_sub(1)?;
        let likely = self.columns.get(self.cursor);
        let place = match likely {
            Some(likely) if *likely.name == *name && likely.column.values.kind() == kind => {
                self.cursor
            }
            _ => match self.find(name, kind) {
                Some(place) => place,
                None => {
                    if name.is_empty() || name.len() > KEY_BYTES_MAX {
                        self.counters.attributes_refused += 1;
                        return None;
                    }
                    if self.columns.len() >= COLUMNS_MAX {
                        self.set_rest(name, value());
                        return None;
                    }
                    self.add_column(name.into(), Column::empty(kind))
                }
            },
        };
        self.cursor = place + 1;
        if self.attributes >= ATTRIBUTES_MAX {
            self.counters.attributes_refused += 1;
            return None;
        }
        self.attributes += 1;
        let column = &mut self.columns[place].column;
        if !column.mark(row) {
            self.counters.attributes_repeated += 1;
            return None;
        }
        Some(column)
    }

    fn set_rest(&mut self, name: &str, value: Value) {
        let bytes = match &value {
            Value::Text(text) => name.len() + text.len(),
            _ => name.len() + 8,
        };
        let room = self.rest.len() + self.attributes < ATTRIBUTES_MAX
            && self.rest_bytes + bytes <= REST_BYTES_MAX;
        if room {
            self.rest_bytes += bytes;
            self.rest.push((name.to_owned(), value));
        } else {
            self.counters.attributes_refused += 1;
        }
    }

    fn find(&self, name: &str, kind: ColumnType) -> Option<usize> {
        let places = self.places.get(name)?.iter();
        let mut places = places.map(|&place| place as usize);
        places.find(|&place| self.columns[place].column.values.kind() == kind)
    }

    fn add_column(&mut self, name: Arc<str>, column: Column) -> usize {
        let place = self.columns.len();
        self.places
            .entry(name.clone())
            .or_default()
            .push(place as u32);
        self.columns.push(NamedColumn { name, column });
        place
    }

    /// Places of the columns of one name.
    pub(crate) fn places(&self, name: &str) -> &[u32] {
        self.places.get(name).map_or(&[], Vec::as_slice)
    }

    /// The columns of one name, each of another type.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &Column> {
        let places = self.places.get(name).into_iter().flatten();
        places.map(|&place| &self.columns[place as usize].column)
    }

    /// Adds another batch's rows after its own.
    pub(crate) fn append(&mut self, other: &Batch) {
        self.end();
        let before = self.at.len();
        self.at.extend_from_slice(&other.at);
        let mut homeless = Vec::new();
        for named in &other.columns {
            let kind = named.column.values.kind();
            // A rest goes together with what has no place here.
            if *named.name == *REST_KEY {
                homeless.push(named);
                continue;
            }
            let place = match self.find(&named.name, kind) {
                Some(place) => place,
                None if self.columns.len() >= COLUMNS_MAX => {
                    homeless.push(named);
                    continue;
                }
                None => self.add_column(named.name.clone(), Column::empty(kind)),
            };
            let rows = other.at.len();
            append_column(&mut self.columns[place].column, before, &named.column, rows);
        }
        if !homeless.is_empty() {
            self.append_rest(before, other, &homeless);
        }
    }

    /// Rows that bring columns for which there is no place, or attributes in a rest.
    fn append_rest(&mut self, before: usize, other: &Batch, homeless: &[&NamedColumn]) {
        let mut rests: Vec<Vec<(String, Value)>> = vec![Vec::new(); other.len()];
        for named in homeless {
            let index = named.column.index(other.len());
            for (row, rest) in rests.iter_mut().enumerate() {
                let value = index.as_ref().map_or(row, |index| index[row] as usize);
                if value == u32::MAX as usize {
                    continue;
                }
                if *named.name == *REST_KEY {
                    rest.extend(read_rest(named.column.values.text(value)));
                } else {
                    rest.push((named.name.to_string(), named.column.values.get(value)));
                }
            }
        }
        let place = match self.find(REST_KEY, ColumnType::Text) {
            Some(place) => place,
            None => self.add_column(REST_KEY.into(), Column::empty(ColumnType::Text)),
        };
        let column = &mut self.columns[place].column;
        for (row, rest) in rests.iter().enumerate() {
            if !rest.is_empty() && column.mark(before + row) {
                column.push_text(&serde_json::to_string(&RestOut(rest)).unwrap_or_default());
            }
        }
    }

    /// The same events, with a column only for what `keeps` says; all else goes into the rest.
    pub(crate) fn fold(&self, keeps: impl Fn(&str, ColumnType) -> bool) -> Self {
        let mut folded = Self::from_parts(self.at.clone(), Vec::new());
        let mut homeless = Vec::new();
        for named in &self.columns {
            let kept = *named.name != *REST_KEY && keeps(&named.name, named.column.values.kind());
            if kept {
                folded.add_column(named.name.clone(), named.column.clone());
            } else {
                homeless.push(named);
            }
        }
        if !homeless.is_empty() {
            folded.append_rest(0, self, &homeless);
        }
        folded
    }

    /// One row as an event, its attributes in the order of columns.
    pub fn event(&self, row: usize) -> Event {
        let mut event = Event::new(Timestamp(self.at[row]));
        for named in &self.columns {
            if let Some(value) = named.column.value(row) {
                add_attribute(&mut event, &named.name, value);
            }
        }
        event
    }

    /// All rows as events, in their order.
    pub fn events(&self) -> Vec<Event> {
        let at = self.at.iter();
        let mut events: Vec<Event> = at.map(|&at| Event::new(Timestamp(at))).collect();
        for named in &self.columns {
            let index = named.column.index(self.len());
            for (row, event) in events.iter_mut().enumerate() {
                let value = index.as_ref().map_or(row, |index| index[row] as usize);
                if value != u32::MAX as usize {
                    add_attribute(event, &named.name, named.column.values.get(value));
                }
            }
        }
        events
    }
}

/// A text's begin of at most so many bytes, cut between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) fn add_attribute(event: &mut Event, name: &str, value: Value) {
    match value {
        Value::Text(text) if name == REST_KEY => event.attributes.extend(read_rest(&text)),
        value => event.attributes.push((name.to_owned(), value)),
    }
}

/// Adds the values of a column that is about the `rows` rows from `before` on.
fn append_column(column: &mut Column, before: usize, other: &Column, rows: usize) {
    let all = other.present.is_none() && other.values.len() >= rows;
    if all && column.present.is_none() && column.values.len() == before {
        // Nothing to mark: still each row has a value.
    } else {
        let count = column.values.len();
        let present = column
            .present
            .get_or_insert_with(|| crate::column::Rows::all(count));
        present.grow(before + rows);
        match &other.present {
            Some(rows) => rows.iter().for_each(|row| present.add(before + row)),
            None => (0..other.values.len()).for_each(|row| present.add(before + row)),
        }
    }
    match (&mut column.values, &other.values) {
        (Values::Bool(values), Values::Bool(more)) => values.extend_from_slice(more),
        (Values::Integer(values), Values::Integer(more)) => values.extend_from_slice(more),
        (Values::Float(values), Values::Float(more)) => values.extend_from_slice(more),
        (_, Values::Codes { codes, dict }) => append_codes(column, codes, dict),
        (_, Values::Text(texts)) => texts.iter().for_each(|text| column.push_text(text)),
        _ => {}
    }
}

fn append_codes(column: &mut Column, codes: &[u16], dict: &DictRef) {
    if let Values::Codes {
        codes: own_codes,
        dict: DictRef::Own(own),
    } = &mut column.values
    {
        let max = crate::column::dict_max(own_codes.len() + codes.len());
        let map: Option<Vec<u32>> = dict
            .texts()
            .iter()
            .map(|text| own.intern(text, max))
            .collect();
        if let Some(map) = map {
            own_codes.extend(codes.iter().map(|&code| map[usize::from(code)] as u16));
            return;
        }
    }
    for &code in codes {
        column.push_text(dict.get(usize::from(code)));
    }
}

/// Attributes without a column of their own, as JSON: a list of names and values.
struct RestOut<'a>(&'a [(String, Value)]);

impl serde::Serialize for RestOut<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Floats as their bits: JSON knows neither infinities nor what is not a number.
        serializer.collect_seq(self.0.iter().map(|(name, value)| match value {
            Value::Float(value) => (name, 1u8, Value::Integer(value.to_bits() as i64)),
            value => (name, 0u8, value.clone()),
        }))
    }
}

/// The attributes that a rest holds; none if it is not one.
pub(crate) fn read_rest(text: &str) -> Vec<(String, Value)> {
    let read: Vec<(String, u8, Value)> = serde_json::from_str(text).unwrap_or_default();
    let attributes = read.into_iter().map(|(name, float, value)| match value {
        Value::Integer(bits) if float == 1 => (name, Value::Float(f64::from_bits(bits as u64))),
        value => (name, value),
    });
    attributes.collect()
}
