//! What is there to ask about: datasets, their keys, and values to complete what is typed.

use crate::batch::REST_KEY;
use crate::column::{ColumnType, Values};
use crate::store::Store;
use andon_model::event::Value;
use andon_model::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keys that are told at most.
pub const KEYS_MAX: usize = 10_000;
/// Values that are told at most.
pub const VALUES_MAX: usize = 1_000;
/// Segments whose values are looked through, newest first.
const VALUE_SEGMENTS_MAX: usize = 8;

/// One dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetInfo {
    /// What it is called.
    pub name: String,
    /// Events in it.
    pub rows: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Its oldest event.
    pub from: Timestamp,
    /// Its newest event.
    pub to: Timestamp,
}

/// One key of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// What it is called.
    pub name: String,
    /// Types that its values have.
    pub types: Vec<KeyType>,
    /// Events that have it.
    pub rows: u64,
}

/// A value's type as people call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// True and false.
    Bool,
    /// Numbers.
    Number,
    /// Texts.
    Text,
}

impl From<ColumnType> for KeyType {
    fn from(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Bool => Self::Bool,
            ColumnType::Integer | ColumnType::Float => Self::Number,
            ColumnType::Text => Self::Text,
        }
    }
}

impl Store {
    /// All datasets, by name.
    pub fn datasets(&self) -> Vec<DatasetInfo> {
        let state = self.shared.state();
        let mut found: BTreeMap<&str, DatasetInfo> = BTreeMap::new();
        let mut add = |name, rows, bytes, from, to| {
            let info = found.entry(name).or_insert_with(|| DatasetInfo {
                name: String::from(name),
                rows: 0,
                bytes: 0,
                from: Timestamp(i64::MAX),
                to: Timestamp(i64::MIN),
            });
            info.rows += rows;
            info.bytes += bytes;
            info.from = info.from.min(Timestamp(from));
            info.to = info.to.max(Timestamp(to));
        };
        for (name, segments) in &state.segments {
            for segment in segments {
                add(
                    name,
                    segment.rows,
                    segment.bytes,
                    segment.at_min,
                    segment.at_max,
                );
            }
        }
        for head in state.frozen.iter().map(Arc::as_ref).chain([&state.active]) {
            for (name, chunks) in &head.datasets {
                for chunk in &chunks.chunks {
                    let at = || chunk.at.iter().copied();
                    if let (Some(from), Some(to)) = (at().min(), at().max()) {
                        add(name, chunk.len() as u64, 0, from, to);
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// The keys of a dataset, those that most events have first.
    pub fn keys(&self, dataset: &str) -> Vec<KeyInfo> {
        let mut found: BTreeMap<String, (BTreeSet<KeyType>, u64)> = BTreeMap::new();
        let mut add = |name: &str, kind: ColumnType, rows: u64| {
            if name == REST_KEY || rows == 0 {
                return;
            }
            if !found.contains_key(name) {
                if found.len() >= KEYS_MAX {
                    return;
                }
                found.insert(name.to_owned(), (BTreeSet::new(), 0));
            }
            if let Some((types, count)) = found.get_mut(name) {
                types.insert(kind.into());
                *count += rows;
            }
        };
        let (segments, chunks) = self.parts(dataset);
        for chunk in chunks {
            for named in &chunk.columns {
                let column = &named.column.values;
                add(&named.name, column.kind(), column.len() as u64);
            }
        }
        for segment in segments {
            // One that cannot be read is told by the next question.
            let Ok(footer) = segment.footer() else {
                continue;
            };
            for column in &footer.columns {
                add(&column.name, column.kind, column.values);
            }
        }
        let mut keys: Vec<KeyInfo> = found
            .into_iter()
            .map(|(name, (types, rows))| KeyInfo {
                name,
                types: types.into_iter().collect(),
                rows,
            })
            .collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.rows));
        keys
    }

    /// Values of a key whose text begins so, whatever the case of ASCII letters, in order;
    /// from the newest events, so that completion is quick.
    pub fn values(&self, dataset: &str, key: &str, prefix: &str, limit: usize) -> Vec<Value> {
        let limit = limit.min(VALUES_MAX);
        let mut found = Found {
            prefix: prefix.to_ascii_lowercase(),
            texts: BTreeSet::new(),
            numbers: BTreeMap::new(),
            bools: BTreeSet::new(),
        };
        let (mut segments, chunks) = self.parts(dataset);
        for chunk in chunks {
            for column in chunk.named(key) {
                found.add(&column.values);
            }
        }
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.at_max));
        for segment in segments.into_iter().take(VALUE_SEGMENTS_MAX) {
            let Ok(reader) = segment.reader() else {
                continue;
            };
            for column in reader.footer.named(key) {
                match reader.dict(column) {
                    Ok(Some(dict)) => dict.texts().iter().for_each(|text| found.add_text(text)),
                    Ok(None) => {
                        let last = reader.footer.blocks.len() - 1;
                        if let Ok(Some(column)) = reader.column(column, last, None) {
                            found.add(&column.values);
                        }
                    }
                    Err(_) => {}
                }
            }
        }
        let bools = found.bools.into_iter().map(Value::Bool);
        let numbers = found.numbers.into_values();
        let texts = found.texts.into_iter().map(Value::Text);
        bools.chain(numbers).chain(texts).take(limit).collect()
    }

    #[allow(clippy::type_complexity)]
    fn parts(
        &self,
        dataset: &str,
    ) -> (
        Vec<Arc<crate::segment::Segment>>,
        Vec<Arc<crate::batch::Batch>>,
    ) {
        let state = self.shared.state();
        let segments = state.segments.get(dataset).into_iter().flatten();
        let segments = segments.filter(|segment| segment.damage().is_none());
        let mut chunks = Vec::new();
        for head in state.frozen.iter().map(Arc::as_ref).chain([&state.active]) {
            if let Some(found) = head.datasets.get(dataset) {
                chunks.extend(found.chunks.iter().cloned());
            }
        }
        (segments.cloned().collect(), chunks)
    }
}

struct Found {
    prefix: String,
    texts: BTreeSet<String>,
    /// By bits that sort as numbers do.
    numbers: BTreeMap<crate::scan::keys::KeyValue, Value>,
    bools: BTreeSet<bool>,
}

impl Found {
    fn begins(&self, text: &str) -> bool {
        let head = text.as_bytes().get(..self.prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(self.prefix.as_bytes()))
    }

    fn add_text(&mut self, text: &str) {
        if self.texts.len() < VALUES_MAX && self.begins(text) && !self.texts.contains(text) {
            self.texts.insert(text.to_owned());
        }
    }

    fn add_number(&mut self, value: f64, told: Value) {
        let key = crate::scan::keys::KeyValue::float(value);
        if self.numbers.len() < VALUES_MAX
            && !self.numbers.contains_key(&key)
            && self.begins(&told.to_string())
        {
            self.numbers.insert(key, told);
        }
    }

    fn add(&mut self, values: &Values) {
        match values {
            Values::Bool(values) => {
                for &value in values {
                    if self.begins(&value.to_string()) {
                        self.bools.insert(value);
                    }
                }
            }
            Values::Integer(values) => {
                for &value in values.iter().rev().take(10_000) {
                    self.add_number(value as f64, Value::Integer(value));
                }
            }
            Values::Float(values) => {
                for &value in values.iter().rev().take(10_000) {
                    self.add_number(value, Value::Float(value));
                }
            }
            Values::Codes { dict, .. } => dict.texts().iter().for_each(|text| self.add_text(text)),
            Values::Text(texts) => texts
                .iter()
                .take(10_000)
                .for_each(|text| self.add_text(text)),
        }
    }
}
