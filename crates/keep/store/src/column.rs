//! One key's values in memory, all of one type. A key whose values have several types has
//! several columns, so nothing is turned into something else and nothing is lost.

use crate::hash::hash_bytes;
use crate::pool;
use andon_model::event::Value;
use std::ops::Deref;
use std::sync::Arc;

/// Texts of one dictionary at most: a code has 16 bits.
pub(crate) const DICT_MAX: usize = 1 << 16;

/// The type that a column's values share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnType {
    /// True and false.
    Bool,
    /// Whole numbers.
    Integer,
    /// Other numbers.
    Float,
    /// Texts.
    Text,
}

impl ColumnType {
    pub(crate) const ALL: [Self; 4] = [Self::Bool, Self::Integer, Self::Float, Self::Text];

    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Bool,
            Value::Integer(_) => Self::Integer,
            Value::Float(_) => Self::Float,
            Value::Text(_) => Self::Text,
        }
    }
}

/// Which of some rows are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    words: Vec<u64>,
    len: usize,
}

impl Rows {
    pub(crate) fn all(len: usize) -> Self {
        let mut rows = Self::none(len);
        rows.words.fill(u64::MAX);
        rows.trim();
        rows
    }

    pub(crate) fn none(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut()
            && !self.len.is_multiple_of(64)
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }

    pub(crate) fn grow(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
    }

    pub(crate) fn add(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// How many of the rows before this one are meant.
    pub(crate) fn rank(&self, row: usize) -> usize {
        let (whole, part) = (row / 64, row % 64);
        let before = &self.words[..whole.min(self.words.len())];
        let before: usize = before.iter().map(|word| word.count_ones() as usize).sum();
        let last = self
            .words
            .get(whole)
            .map_or(0, |word| word & ((1 << part) - 1));
        before + last.count_ones() as usize
    }

    pub(crate) fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    index * 64 + bit
                })
            })
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// Many texts in one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Texts {
    pub(crate) text: String,
    pub(crate) ends: Vec<u32>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let from = match index {
            0 => 0,
            _ => self.ends[index - 1] as usize,
        };
        &self.text[from..self.ends[index] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4
    }
}

const EMPTY: u32 = u32::MAX;

/// Texts that occur, each once, with a code. The table from text to code is made when
/// something is first looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dict {
    texts: Texts,
    table: Vec<u32>,
}

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Dict {
    pub(crate) fn of(texts: Texts) -> Self {
        Self {
            texts,
            table: Vec::new(),
        }
    }

    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn get(&self, code: usize) -> &str {
        self.texts.get(code)
    }

    /// The code of a text, which is given one if it has none and there is room.
    pub(crate) fn intern(&mut self, text: &str, max: usize) -> Option<u32> {
        if self.texts.len() * 2 >= self.table.len() {
            self.rebuild();
        }
        let mask = self.table.len() - 1;
        let mut slot = hash_bytes(text.as_bytes()) as usize & mask;
        loop {
            match self.table[slot] {
                EMPTY => break,
                code if self.texts.get(code as usize) == text => return Some(code),
                _ => slot = (slot + 1) & mask,
            }
        }
        if self.texts.len() >= max {
            return None;
        }
        let code = self.texts.len() as u32;
        self.table[slot] = code;
        self.texts.push(text);
        Some(code)
    }

    fn rebuild(&mut self) {
        let size = (self.texts.len() * 4).next_power_of_two().max(16);
        self.table = vec![EMPTY; size];
        for (code, text) in self.texts.iter().enumerate() {
            let mut slot = hash_bytes(text.as_bytes()) as usize & (size - 1);
            while self.table[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = code as u32;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes() + self.table.len() * 4
    }
}

/// A dictionary of one column's own, or one that all blocks of a segment share.
#[derive(Debug, Clone)]
pub(crate) enum DictRef {
    Own(Dict),
    Shared(Arc<Dict>),
}

impl Deref for DictRef {
    type Target = Dict;
    fn deref(&self) -> &Dict {
        match self {
            Self::Own(dict) => dict,
            Self::Shared(dict) => dict,
        }
    }
}

impl PartialEq for DictRef {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Values of the rows that have one, in the order of rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Bool(Vec<bool>),
    Integer(Vec<i64>),
    Float(Vec<f64>),
    Codes { codes: Vec<u16>, dict: DictRef },
    Text(Texts),
}

impl Values {
    pub(crate) fn empty(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Bool => Self::Bool(Vec::new()),
            ColumnType::Integer => Self::Integer(Vec::new()),
            ColumnType::Float => Self::Float(Vec::new()),
            ColumnType::Text => Self::Codes {
                codes: Vec::new(),
                dict: DictRef::Own(Dict::default()),
            },
        }
    }

    pub(crate) fn kind(&self) -> ColumnType {
        match self {
            Self::Bool(_) => ColumnType::Bool,
            Self::Integer(_) => ColumnType::Integer,
            Self::Float(_) => ColumnType::Float,
            Self::Codes { .. } | Self::Text(_) => ColumnType::Text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Codes { codes, .. } => codes.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Value {
        match self {
            Self::Bool(values) => Value::Bool(values[index]),
            Self::Integer(values) => Value::Integer(values[index]),
            Self::Float(values) => Value::Float(values[index]),
            Self::Codes { .. } | Self::Text(_) => Value::from(self.text(index)),
        }
    }

    /// The text at an index; empty for columns of other types.
    pub(crate) fn text(&self, index: usize) -> &str {
        match self {
            Self::Codes { codes, dict } => dict.get(usize::from(codes[index])),
            Self::Text(texts) => texts.get(index),
            _ => "",
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Integer(values) => values.len() * 8,
            Self::Float(values) => values.len() * 8,
            Self::Codes { codes, dict } => {
                let own = match dict {
                    DictRef::Own(dict) => dict.bytes(),
                    DictRef::Shared(_) => 0,
                };
                codes.len() * 2 + own
            }
            Self::Text(texts) => texts.bytes(),
        }
    }
}

/// One column: which rows have a value, and the values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// None: the first so many rows as there are values.
    pub(crate) present: Option<Rows>,
    pub(crate) values: Values,
}

impl Column {
    pub(crate) fn empty(kind: ColumnType) -> Self {
        Self {
            present: None,
            values: Values::empty(kind),
        }
    }

    /// Whether a row has a value.
    pub(crate) fn has(&self, row: usize) -> bool {
        match &self.present {
            Some(rows) => rows.has(row),
            None => row < self.values.len(),
        }
    }

    /// Notes that the next value is `row`'s. False if that row has one already.
    pub(crate) fn mark(&mut self, row: usize) -> bool {
        if self.has(row) {
            return false;
        }
        let count = self.values.len();
        if self.present.is_none() && count == row {
            return true;
        }
        let rows = self.present.get_or_insert_with(|| Rows::all(count));
        rows.grow(row + 1);
        rows.add(row);
        true
    }

    /// The value of a row.
    pub(crate) fn value(&self, row: usize) -> Option<Value> {
        if !self.has(row) {
            return None;
        }
        let index = self
            .present
            .as_ref()
            .map_or(row, |present| present.rank(row));
        Some(self.values.get(index))
    }

    /// For each of `rows` rows the index of its value, or `u32::MAX`; none if all have one.
    pub(crate) fn index(&self, rows: usize) -> Option<Vec<u32>> {
        index_of(self.present.as_ref(), self.values.len(), rows)
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        if let Values::Codes { codes, dict } = &mut self.values {
            if let DictRef::Own(own) = dict
                && let Some(code) = own.intern(text, dict_max(codes.len()))
            {
                codes.push(code as u16);
                return;
            }
            self.spell_out();
        }
        if let Values::Text(texts) = &mut self.values {
            texts.push(text);
        }
    }

    /// Turns codes into the texts that they stand for.
    fn spell_out(&mut self) {
        let Values::Codes { codes, dict } = &self.values else {
            return;
        };
        let mut texts = Texts::default();
        for &code in codes {
            texts.push(dict.get(usize::from(code)));
        }
        self.values = Values::Text(texts);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes() + self.present.as_ref().map_or(0, Rows::bytes)
    }
}

/// As [`Column::index`], of so many values that the `present` rows have.
pub(crate) fn index_of(present: Option<&Rows>, values: usize, rows: usize) -> Option<Vec<u32>> {
    if present.is_none() && values >= rows {
        return None;
    }
    let mut index = pool::take(rows);
    index.resize(rows, u32::MAX);
    match present {
        None => {
            for (row, place) in index.iter_mut().take(values).enumerate() {
                *place = row as u32;
            }
        }
        Some(present) => {
            for (value, row) in present.iter().enumerate() {
                index[row] = value as u32;
            }
        }
    }
    Some(index)
}

/// How large a dictionary may grow over so many values before it is a list of them: where
/// every other text is new (ids, messages), codes save nothing.
pub(crate) fn dict_max(values: usize) -> usize {
    (values / 2).clamp(1_024, DICT_MAX)
}
