//! Which columns a table has that holds all events of a snapshot, though nobody declared any:
//! one for each key and type. No value is turned into another, and none is left out.

use super::Part;
use crate::batch::{REST_KEY, read_rest};
use crate::column::{Column, ColumnType, Values};
use crate::scan::{Snapshot, Unit};
use andon_model::event::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Columns of a table at most, time and rest not counted. Each costs its place in the file's
/// footer for every group of rows, and readers list all of them.
pub(super) const COLUMNS_MAX: usize = 1_000;
/// Keys that are counted to find those that get columns; later ones go into the rest.
const KEYS_MAX: usize = 100_000;
/// The column of times.
pub(super) const TIME: &str = "ts";
/// The column of attributes that have none of their own, a JSON object each.
pub(super) const REST: &str = "andon.rest";
/// Whole numbers below this are exact in a float.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// What the values of a table's column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    Integer,
    Float,
    /// Whole and other numbers, as floats that are exact.
    Number,
    Text,
}

impl Shape {
    fn of(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Bool => Self::Bool,
            ColumnType::Integer => Self::Integer,
            ColumnType::Float => Self::Float,
            ColumnType::Text => Self::Text,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Number => "number",
            Self::Text => "text",
        }
    }

    pub(super) fn holds(self, kind: ColumnType) -> bool {
        self == Self::of(kind)
            || self == Self::Number && matches!(kind, ColumnType::Integer | ColumnType::Float)
    }
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableColumn {
    /// What it is called: the key, with its type where the key alone would not tell.
    pub(super) name: String,
    /// Whose values it has.
    pub(super) key: Arc<str>,
    pub(super) shape: Shape,
}

/// The columns of a table, beside the time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// By key.
    pub(super) columns: Vec<TableColumn>,
    /// Whether some attributes have no column.
    pub(super) has_rest: bool,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Seen {
    values: u64,
    kinds: BTreeSet<ColumnType>,
    /// Some whole number may not be exact as a float.
    is_large: bool,
}

impl Table {
    /// The table for all that a snapshot has. Reads no more than what segments say of themselves.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut keys: BTreeMap<Arc<str>, Seen> = BTreeMap::new();
        let mut has_rest = false;
        let mut see = |key: &Arc<str>, kind, values: u64, is_large: bool| {
            if **key == *REST_KEY || !keys.contains_key(key) && keys.len() >= KEYS_MAX {
                has_rest = true;
                return;
            }
            let seen = keys.entry(key.clone()).or_default();
            seen.values += values;
            seen.kinds.insert(kind);
            seen.is_large |= is_large;
        };
        for unit in &snapshot.units {
            match unit {
                Unit::Chunk(batch) => {
                    for named in &batch.columns {
                        let values = &named.column.values;
                        let is_large = is_large(values);
                        see(&named.name, values.kind(), values.len() as u64, is_large);
                    }
                }
                Unit::Block(segment, block) => {
                    // One that does not tell cannot be read either, and is a note then.
                    let Ok(footer) = segment.footer() else {
                        continue;
                    };
                    let blocks = footer.blocks.len() as u64;
                    for column in &footer.columns {
                        let Some(part) = &column.blocks[*block] else {
                            continue;
                        };
                        let is_exact = part.range.is_some_and(|(low, high)| {
                            low.abs() < EXACT_BELOW && high.abs() < EXACT_BELOW
                        });
                        let is_large = column.kind == ColumnType::Integer && !is_exact;
                        let values = column.values.div_ceil(blocks);
                        see(&column.name, column.kind, values, is_large);
                    }
                }
            }
        }
        Self::choose(keys, has_rest)
    }

    /// Gives columns to the keys with most values, as long as there are some to give.
    fn choose(keys: BTreeMap<Arc<str>, Seen>, mut has_rest: bool) -> Self {
        let mut ranked: Vec<(Arc<str>, Seen)> = keys.into_iter().collect();
        ranked.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.values));
        let mut chosen: Vec<(Arc<str>, Vec<Shape>)> = Vec::new();
        let mut count = 0;
        for (key, seen) in ranked {
            let shapes = shapes(&seen);
            count += shapes.len();
            if count > COLUMNS_MAX {
                has_rest = true;
                break;
            }
            chosen.push((key, shapes));
        }
        chosen.sort_by(|left, right| left.0.cmp(&right.0));
        let taken = [TIME, REST].into_iter().map(str::to_owned);
        let mut taken: BTreeSet<String> = taken.collect();
        // Keys first: one that is called like another's column with its type keeps its name.
        let plain = chosen.iter().filter(|(_, shapes)| shapes.len() == 1);
        let plain: BTreeSet<Arc<str>> = plain
            .filter(|(key, _)| taken.insert(key.to_string()))
            .map(|(key, _)| key.clone())
            .collect();
        let mut columns = Vec::new();
        for (key, shapes) in chosen {
            for shape in shapes {
                let name = if plain.contains(&key) {
                    key.to_string()
                } else {
                    let mut name = format!("{key}:{}", shape.word());
                    while !taken.insert(name.clone()) {
                        name.push('_');
                    }
                    name
                };
                let key = key.clone();
                columns.push(TableColumn { name, key, shape });
            }
        }
        Self { columns, has_rest }
    }

    /// Whether values of a key have a column.
    fn has(&self, key: &str, kind: ColumnType) -> bool {
        let from = self.columns.partition_point(|column| *column.key < *key);
        let own = self.columns[from..].iter();
        let mut own = own.take_while(|column| *column.key == *key);
        own.any(|column| column.shape.holds(kind))
    }

    /// For each meant row of a part, what has no column.
    pub(super) fn rest(&self, part: &Part) -> Vec<Vec<(String, Value)>> {
        let batch = &part.batch;
        let mut rests = vec![Vec::new(); batch.len()];
        for named in &batch.columns {
            let values = &named.column.values;
            if self.has(&named.name, values.kind()) {
                continue;
            }
            let index = named.column.index(batch.len());
            for (row, rest) in rests.iter_mut().enumerate() {
                let place = index.as_ref().map_or(row, |index| index[row] as usize);
                if place == u32::MAX as usize {
                    continue;
                }
                if *named.name == *REST_KEY {
                    rest.extend(read_rest(values.text(place)));
                } else {
                    rest.push((named.name.to_string(), values.get(place)));
                }
            }
        }
        let rows = part.rows();
        rows.map(|row| std::mem::take(&mut rests[row])).collect()
    }
}

/// The columns that one key needs.
fn shapes(seen: &Seen) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = seen.kinds.iter().map(|&kind| Shape::of(kind)).collect();
    let is_numbers = shapes.contains(&Shape::Integer) && shapes.contains(&Shape::Float);
    if is_numbers && !seen.is_large {
        shapes.retain(|shape| !matches!(shape, Shape::Integer | Shape::Float));
        shapes.push(Shape::Number);
    }
    shapes
}

fn is_large(values: &Values) -> bool {
    let Values::Integer(values) = values else {
        return false;
    };
    let limit = EXACT_BELOW as u64;
    values.iter().any(|value| value.unsigned_abs() >= limit)
}

/// The columns of a part that have values for a table's column: two where it takes numbers of
/// both kinds.
pub(super) fn sources<'p>(part: &'p Part, wanted: &TableColumn) -> Vec<&'p Column> {
    let columns = part.batch.named(&wanted.key);
    columns
        .filter(|column| wanted.shape.holds(column.values.kind()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[(&str, u64, &[ColumnType], bool)], expected: &[(&str, &str, Shape)]) {
        let keys = keys.iter().map(|(key, values, kinds, is_large)| {
            let seen = Seen {
                values: *values,
                kinds: kinds.iter().copied().collect(),
                is_large: *is_large,
            };
            (Arc::from(*key), seen)
        });
        let table = Table::choose(keys.collect(), false);
        let found = table.columns.iter();
        let found: Vec<_> = found
            .map(|column| (column.name.as_str(), &*column.key, column.shape))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_key_and_type_has_a_column_with_a_name_of_its_own() {
        use ColumnType::{Bool, Float, Integer, Text};
        check(&[("a", 1, &[Text], false)], &[("a", "a", Shape::Text)]);
        check(
            &[("n", 1, &[Integer, Float], false)],
            &[("n", "n", Shape::Number)],
        );
        check(
            &[("n", 1, &[Integer, Float], true)],
            &[
                ("n:int", "n", Shape::Integer),
                ("n:float", "n", Shape::Float),
            ],
        );
        check(
            &[
                ("status", 9, &[Integer, Text, Bool], false),
                ("status:text", 1, &[Text], false),
                ("ts", 1, &[Integer], false),
            ],
            &[
                ("status:bool", "status", Shape::Bool),
                ("status:int", "status", Shape::Integer),
                ("status:text_", "status", Shape::Text),
                ("status:text", "status:text", Shape::Text),
                ("ts:int", "ts", Shape::Integer),
            ],
        );
    }

    #[test]
    fn rare_keys_go_without_a_column_once_there_are_too_many() {
        let keys = (0..COLUMNS_MAX as u64 + 5).map(|number| {
            let seen = Seen {
                values: number,
                kinds: [ColumnType::Text].into(),
                is_large: false,
            };
            (Arc::from(format!("key-{number:05}")), seen)
        });
        let table = Table::choose(keys.collect(), false);
        assert!(table.has_rest);
        assert_eq!(table.columns.len(), COLUMNS_MAX);
        assert!(!table.has("key-00004", ColumnType::Text));
        assert!(table.has("key-00005", ColumnType::Text));
        assert!(!table.has("key-00005", ColumnType::Bool));
    }
}
