//! Values of a key as small numbers, given out as they occur, so that groups are found by
//! counting instead of comparing.

use super::lane::Lane;
use crate::column::Values;
use crate::hash::MixState;
use andon_model::event::Value;
use andon_model::query::Cell;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A row whose group came too late to have one.
pub(crate) const NO_GROUP: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX - 1;
/// Whole numbers below this are found in a table: status codes, ports, counts.
const SMALL_MAX: usize = 1 << 16;

/// A value as part of a group's name. Numbers that are the same are one, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyValue {
    /// The event has no such key.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number, by bits that sort as it does.
    Float(u64),
    /// A text.
    Text(Box<str>),
}

impl KeyValue {
    /// The group that a number is in.
    pub(crate) fn float(value: f64) -> Self {
        let whole = value as i64;
        if whole as f64 == value && whole.unsigned_abs() < 1 << 53 {
            return Self::Integer(whole);
        }
        let bits = value.to_bits();
        Self::Float(if bits >> 63 == 1 {
            !bits
        } else {
            bits | 1 << 63
        })
    }

    /// As a cell of an answer.
    pub fn cell(&self) -> Cell {
        Cell::Value(match self {
            Self::Null => return Cell::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Float(bits) if bits >> 63 == 1 => Value::Float(f64::from_bits(bits ^ 1 << 63)),
            Self::Float(bits) => Value::Float(f64::from_bits(!bits)),
            Self::Text(text) => Value::Text(text.to_string()),
        })
    }
}

/// The numbers of one key's values.
#[derive(Default)]
pub(crate) struct KeyIds {
    known: HashMap<KeyValue, u32, MixState>,
    /// Texts apart, so that one is looked up without a copy.
    texts: HashMap<Box<str>, u32, MixState>,
    pub(crate) values: Vec<KeyValue>,
    bytes: usize,
    /// By dictionary of the segment being read: code to number.
    tables: HashMap<usize, Vec<u32>>,
    small: Vec<u32>,
}

impl KeyIds {
    /// Forgets what was known of the segment before.
    pub(crate) fn enter_segment(&mut self) {
        self.tables.clear();
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.values.len() * 96 + self.small.len() * 4
    }

    fn id(&mut self, value: KeyValue, open: bool) -> u32 {
        if let Some(&id) = self.known.get(&value) {
            return id;
        }
        if !open {
            return NO_GROUP;
        }
        let id = self.values.len() as u32;
        self.values.push(value.clone());
        self.known.insert(value, id);
        id
    }

    fn text_id(&mut self, text: &str, open: bool) -> u32 {
        if let Some(&id) = self.texts.get(text) {
            return id;
        }
        if !open {
            return NO_GROUP;
        }
        let id = self.values.len() as u32;
        self.bytes += text.len() * 2;
        self.values.push(KeyValue::Text(text.into()));
        self.texts.insert(text.into(), id);
        id
    }

    /// The number of a value of a column.
    fn value_id(&mut self, values: &Values, place: usize, open: bool) -> u32 {
        let value = match values {
            Values::Bool(values) => KeyValue::Bool(values[place]),
            Values::Integer(values) => KeyValue::Integer(values[place]),
            Values::Float(values) => KeyValue::float(values[place]),
            values => return self.text_id(values.text(place), open),
        };
        self.id(value, open)
    }

    /// Appends the number of each row's value. Unless `open`, new values get none.
    pub(crate) fn number(&mut self, lanes: &[Lane], rows: &[u32], open: bool, out: &mut Vec<u32>) {
        let lane = match lanes {
            [] => {
                let id = self.id(KeyValue::Null, open);
                return out.resize(out.len() + rows.len(), id);
            }
            [lane] if lane.index.is_none() => lane,
            _ => return self.number_mixed(lanes, rows, open, out),
        };
        match lane.values() {
            Values::Codes { codes, dict } => {
                let identity = lane.dict;
                let known = identity.and_then(|identity| self.tables.remove(&identity));
                let mut table = known.unwrap_or_else(|| vec![UNKNOWN; dict.len()]);
                if dict.len() * 4 <= rows.len() {
                    // All codes most likely occur, and then no row need ask whether it is known.
                    for (code, known) in table.iter_mut().enumerate() {
                        if *known == UNKNOWN {
                            *known = self.text_id(dict.get(code), open);
                        }
                    }
                    if rows.len() == codes.len() {
                        out.extend(codes.iter().map(|&code| table[usize::from(code)]));
                    } else {
                        let codes = rows.iter().map(|&row| codes[row as usize]);
                        out.extend(codes.map(|code| table[usize::from(code)]));
                    }
                } else {
                    for &row in rows {
                        let code = usize::from(codes[row as usize]);
                        if table[code] == UNKNOWN {
                            table[code] = self.text_id(dict.get(code), open);
                        }
                        out.push(table[code]);
                    }
                }
                if let Some(identity) = identity {
                    self.tables.insert(identity, table);
                }
            }
            Values::Integer(values) => {
                for &row in rows {
                    let id = self.integer(values[row as usize], open);
                    out.push(id);
                }
            }
            values => {
                for &row in rows {
                    let id = self.value_id(values, row as usize, open);
                    out.push(id);
                }
            }
        }
    }

    fn number_mixed(&mut self, lanes: &[Lane], rows: &[u32], open: bool, out: &mut Vec<u32>) {
        // One lookup for each code of each lane at most.
        let mut tables: Vec<Vec<u32>> = Vec::new();
        for lane in lanes {
            tables.push(match lane.values() {
                Values::Codes { dict, .. } => vec![UNKNOWN; dict.len()],
                _ => Vec::new(),
            });
        }
        for &row in rows {
            let mut places = lanes.iter().enumerate();
            let found = places.find_map(|(index, lane)| Some((index, lane.place(row)?)));
            let id = match found {
                None => self.id(KeyValue::Null, open),
                Some((index, place)) => match lanes[index].values() {
                    Values::Codes { codes, dict } => {
                        let code = usize::from(codes[place]);
                        let known = &mut tables[index][code];
                        if *known == UNKNOWN {
                            *known = self.text_id(dict.get(code), open);
                        }
                        *known
                    }
                    Values::Integer(values) => self.integer(values[place], open),
                    values => self.value_id(values, place, open),
                },
            };
            out.push(id);
        }
    }

    fn integer(&mut self, value: i64, open: bool) -> u32 {
        let small = usize::try_from(value)
            .ok()
            .filter(|&value| value < SMALL_MAX);
        let Some(small) = small else {
            return self.id(KeyValue::Integer(value), open);
        };
        if self.small.len() <= small {
            self.small.resize((small + 1).next_power_of_two(), UNKNOWN);
        }
        if self.small[small] == UNKNOWN {
            let id = self.id(KeyValue::Integer(value), open);
            if id == NO_GROUP {
                return id;
            }
            self.small[small] = id;
        }
        self.small[small]
    }
}

/// Table entries of a dense pair table at most: four megabytes.
const DENSE_MAX: usize = 1 << 20;

/// Numbers of pairs: a group so far, and the value of one more key.
#[derive(Default)]
pub(crate) struct Pairs {
    dense: Vec<u32>,
    stride: usize,
    sparse: HashMap<u64, u32, MixState>,
    /// By number: the pair.
    pub(crate) pairs: Vec<(u32, u32)>,
}

impl Pairs {
    pub(crate) fn bytes(&self) -> usize {
        self.dense.len() * 4 + self.sparse.len() * 24 + self.pairs.len() * 8
    }

    /// Turns each group into that of its pair with `next`. `groups` and `values` are how many
    /// of both there are.
    pub(crate) fn combine(
        &mut self,
        all: &mut [u32],
        next: &[u32],
        (groups, values): (usize, usize),
        open: bool,
    ) {
        self.grow(groups, values);
        for (group, &value) in all.iter_mut().zip(next) {
            if *group == NO_GROUP || value == NO_GROUP {
                *group = NO_GROUP;
                continue;
            }
            let pair = (*group, value);
            *group = if self.stride > 0 {
                let place = pair.0 as usize * self.stride + pair.1 as usize;
                let known = &mut self.dense[place];
                if *known == NO_GROUP && open {
                    *known = self.pairs.len() as u32;
                    self.pairs.push(pair);
                }
                *known
            } else {
                let key = u64::from(pair.0) << 32 | u64::from(pair.1);
                match self.sparse.get(&key) {
                    Some(&known) => known,
                    None if open => {
                        let number = self.pairs.len() as u32;
                        self.sparse.insert(key, number);
                        self.pairs.push(pair);
                        number
                    }
                    None => NO_GROUP,
                }
            };
        }
    }

    /// Makes room: a table where both counts multiply to something small, else hashing.
    fn grow(&mut self, groups: usize, values: usize) {
        if !self.sparse.is_empty() {
            return;
        }
        let fits = self.stride >= values && self.dense.len() >= groups * self.stride;
        if fits && self.stride > 0 {
            return;
        }
        let stride = values.next_power_of_two().max(self.stride);
        let size = (groups.next_power_of_two()).saturating_mul(stride);
        if size > DENSE_MAX {
            for (number, &(group, value)) in self.pairs.iter().enumerate() {
                let key = u64::from(group) << 32 | u64::from(value);
                self.sparse.insert(key, number as u32);
            }
            (self.dense, self.stride) = (Vec::new(), 0);
            return;
        }
        self.dense = vec![NO_GROUP; size];
        self.stride = stride;
        for (number, &(group, value)) in self.pairs.iter().enumerate() {
            self.dense[group as usize * stride + value as usize] = number as u32;
        }
    }
}
