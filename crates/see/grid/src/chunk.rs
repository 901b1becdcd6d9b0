//! A keyed list spread over rows so that each entry stays in the row it was put in: one
//! changed link then costs one row, not all of them.

use crate::payload::{LIST_HEAD_BYTES, encode_list};
use crate::row::{PAYLOAD_BYTES_MAX, RowIndex};
use std::collections::{BTreeMap, BTreeSet};

/// Largest encoded entry.
pub const ENTRY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - LIST_HEAD_BYTES;

/// Entries by key, and the chunk of each.
pub struct Chunks<K> {
    first: RowIndex,
    chunks_max: u16,
    chunk_of: BTreeMap<K, u16>,
    chunks: Vec<Chunk<K>>,
    changed: BTreeSet<u16>,
    /// Entries that found no place: too large, or all rows full.
    pub refused: u64,
}

struct Chunk<K> {
    entries: BTreeMap<K, Vec<u8>>,
    bytes: usize,
}

impl<K: Ord + Clone> Chunks<K> {
    /// Rows `first` to `first + chunks_max - 1`.
    pub fn new((first, chunks_max): (RowIndex, u16)) -> Self {
        Self {
            first,
            chunks_max,
            chunk_of: BTreeMap::new(),
            chunks: Vec::new(),
            changed: BTreeSet::new(),
            refused: 0,
        }
    }

    /// Sets an entry; in the chunk where it was, if it still fits there. Whether it has a place.
    pub fn set(&mut self, key: K, entry: Vec<u8>) -> bool {
        if self.holds(&key, &entry) {
            return true;
        }
        if entry.len() > ENTRY_BYTES_MAX {
            self.refused += 1;
            return false;
        }
        let before = self.chunk_of.get(&key).copied();
        self.remove(&key);
        let Some(chunk) = self.place_for(entry.len(), before) else {
            self.refused += 1;
            return false;
        };
        let place = &mut self.chunks[usize::from(chunk)];
        place.bytes += entry.len();
        place.entries.insert(key.clone(), entry);
        self.chunk_of.insert(key, chunk);
        self.changed.insert(chunk);
        true
    }

    /// Whether the entry is held just so.
    pub fn holds(&self, key: &K, entry: &[u8]) -> bool {
        let chunk = self
            .chunk_of
            .get(key)
            .map(|chunk| &self.chunks[usize::from(*chunk)]);
        chunk
            .and_then(|chunk| chunk.entries.get(key))
            .is_some_and(|held| held == entry)
    }

    /// Removes an entry. Its chunk stays, emptier: an empty row says that nothing is there.
    pub fn remove(&mut self, key: &K) {
        let Some(chunk) = self.chunk_of.remove(key) else {
            return;
        };
        let place = &mut self.chunks[usize::from(chunk)];
        if let Some(entry) = place.entries.remove(key) {
            place.bytes -= entry.len();
            self.changed.insert(chunk);
        }
    }

    /// Removes all entries but those.
    pub fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let gone: Vec<K> = self
            .chunk_of
            .keys()
            .filter(|key| !keep(key))
            .cloned()
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Keys that share a row which is to be written anyway: their news travel free.
    pub fn riding_along(&self) -> Vec<K> {
        self.changed
            .iter()
            .flat_map(|chunk| self.chunks[usize::from(*chunk)].entries.keys().cloned())
            .collect()
    }

    /// Rows that changed since they were last taken.
    pub fn take_changed(&mut self) -> Vec<(RowIndex, Vec<u8>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|chunk| self.row(chunk)).collect()
    }

    /// All rows.
    pub fn rows(&self) -> Vec<(RowIndex, Vec<u8>)> {
        (0..self.chunks.len() as u16)
            .map(|chunk| self.row(chunk))
            .collect()
    }

    fn row(&self, chunk: u16) -> (RowIndex, Vec<u8>) {
        let entries = &self.chunks[usize::from(chunk)].entries;
        (
            self.first + chunk,
            encode_list(entries.values().map(Vec::as_slice)),
        )
    }

    fn place_for(&mut self, bytes: usize, before: Option<u16>) -> Option<u16> {
        let fits = |chunk: &Chunk<K>| chunk.bytes + bytes <= ENTRY_BYTES_MAX;
        if let Some(before) = before.filter(|before| fits(&self.chunks[usize::from(*before)])) {
            return Some(before);
        }
        if let Some(place) = self.chunks.iter().position(fits) {
            return Some(place as u16);
        }
        let next = u16::try_from(self.chunks.len())
            .ok()
            .filter(|next| *next < self.chunks_max)?;
        self.chunks.push(Chunk {
            entries: BTreeMap::new(),
            bytes: 0,
        });
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_entry_writes_one_row_and_moves_no_other() {
        let mut chunks = Chunks::new((16, 100));
        for key in 0..100u32 {
            assert!(chunks.set(key, vec![0; 60]));
        }
        let rows = chunks.take_changed();
        assert!(
            rows.len() >= 6
                && rows
                    .iter()
                    .all(|(_, payload)| payload.len() <= PAYLOAD_BYTES_MAX)
        );
        let before = chunks.chunk_of.clone();
        chunks.set(50, vec![1; 60]);
        assert_eq!(chunks.take_changed().len(), 1);
        assert_eq!(chunks.chunk_of, before);
        chunks.set(50, vec![1; 60]);
        assert!(chunks.take_changed().is_empty());
    }

    #[test]
    fn a_list_that_shrinks_leaves_empty_rows_behind() {
        let mut chunks = Chunks::new((16, 100));
        for key in 0..100u32 {
            chunks.set(key, vec![0; 60]);
        }
        let rows = chunks.take_changed().len();
        chunks.retain(|_| false);
        assert_eq!(chunks.take_changed().len(), rows);
        chunks.set(7, vec![0; 60]);
        assert_eq!(chunks.take_changed()[0].0, 16);
    }

    #[test]
    fn what_finds_no_place_is_counted() {
        let mut chunks = Chunks::new((16, 1));
        assert!(!chunks.set(0, vec![0; ENTRY_BYTES_MAX + 1]));
        assert!(chunks.set(1, vec![0; ENTRY_BYTES_MAX]));
        assert!(!chunks.set(2, vec![0; 1]));
        assert_eq!(chunks.refused, 2);
    }
}
