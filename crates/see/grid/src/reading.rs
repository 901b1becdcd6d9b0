//! Reads one owner's rows into the slice that is shown. What is not understood is named, and
//! hides nothing beside it.

use crate::payload::{self, Entry};
use crate::row::{self, Row, RowIndex};
use andon_model::{
    Heartbeat, HostHealth, Identity, IncidentClaim, LinkReport, PathReport, Remark, Slice,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What rows say.
pub struct Reading {
    /// `None` without a valid identity.
    pub slice: Option<Slice>,
    /// Rows that cannot be shown.
    pub invalid: Vec<RowIndex>,
    /// Entries of lists that cannot be shown, although their neighbours can.
    pub unread_entries: u64,
}

/// Reads all rows of one life of one owner.
pub fn read_slice(rows: &BTreeMap<RowIndex, Arc<Row>>) -> Reading {
    let mut reader = Reader {
        rows,
        invalid: Vec::new(),
        unread_entries: 0,
    };
    let identity: Option<Identity> = reader.one(row::IDENTITY);
    let host: Option<HostHealth> = reader.one(row::HOST);
    let targets = reader.list(row::TARGETS);
    let neighbours = reader.list(row::NEIGHBOURS);
    let links = reader.newest(row::LINKS, |report: &LinkReport| report.to.clone());
    let paths = reader.newest(row::PATHS, |report: &PathReport| report.to.clone());
    let incidents = reader.newest(row::INCIDENTS, |claim: &IncidentClaim| claim.id.clone());
    let remarks = reader.newest(row::REMARKS, |remark: &Remark| remark.sequence);
    let heartbeats = reader.newest(row::HEARTBEATS, |beat: &Heartbeat| beat.name.clone());
    let any = rows.values().next().map(|row| row.claim());
    let slice = identity.zip(any).map(|(identity, any)| Slice {
        public_key: any.public_key(),
        epoch: any.epoch(),
        version: rows
            .values()
            .map(|row| row.version().version)
            .max()
            .unwrap_or(0),
        identity,
        host: host.unwrap_or_default(),
        links: links.into_iter().collect(),
        targets: targets.into_iter().map(|(_, target)| target).collect(),
        neighbours: neighbours
            .into_iter()
            .map(|(_, neighbour)| neighbour)
            .collect(),
        paths,
        incidents,
        remarks,
        heartbeats,
    });
    Reading {
        slice,
        invalid: reader.invalid,
        unread_entries: reader.unread_entries,
    }
}

struct Reader<'a> {
    rows: &'a BTreeMap<RowIndex, Arc<Row>>,
    invalid: Vec<RowIndex>,
    unread_entries: u64,
}

impl Reader<'_> {
    fn one<T: Entry>(&mut self, index: RowIndex) -> Option<T> {
        let value = payload::decode(self.rows.get(&index)?.payload());
        if value.is_none() {
            self.invalid.push(index);
        }
        value
    }

    /// Entries by key. While one moves from one row to another, both may hold it: the newer
    /// row is right.
    fn newest<T: Entry, K: Ord>(&mut self, rows: (RowIndex, u16), key: impl Fn(&T) -> K) -> Vec<T> {
        let mut newest: BTreeMap<K, (u64, T)> = BTreeMap::new();
        for (version, entry) in self.list::<T>(rows) {
            let key = key(&entry);
            if newest.get(&key).is_none_or(|(held, _)| *held < version) {
                newest.insert(key, (version, entry));
            }
        }
        newest.into_values().map(|(_, entry)| entry).collect()
    }

    /// Entries, each with the version of its row.
    fn list<T: Entry>(&mut self, (first, count): (RowIndex, u16)) -> Vec<(u64, T)> {
        let mut entries = Vec::new();
        for (index, row) in self.rows.range(first..first + count) {
            let Some(list) = payload::decode_list::<T>(row.payload()) else {
                self.invalid.push(*index);
                continue;
            };
            self.unread_entries += list.unread as u64;
            if list.unread > 0 && list.entries.is_empty() {
                self.invalid.push(*index);
            }
            let version = row.version().version;
            entries.extend(list.entries.into_iter().map(|entry| (version, entry)));
        }
        entries
    }
}
