//! One thread's share of a question: units in, groups out.

use super::exemplar::{Candidates, Picked};
use super::filters::Filters;
use super::keys::{KeyIds, NO_GROUP, Pairs};
use super::measure::Measures;
use super::unit::{OpenSegment, Unit, View};
use crate::answer::{GroupKey, GroupState, PartialAnswer};
use crate::error::ScanError;
use crate::plan::ResolvedQuery;
use crate::segment::SegmentError;
use crate::warm::Asking;
use std::collections::BTreeSet;
use std::time::Duration;

/// Groups of one question at most, whatever the memory.
const GROUPS_MAX: usize = 1 << 20;

/// Time buckets as numbers: whole widths since 1970, from the first that the question has.
struct Buckets {
    width: i64,
    first: i64,
    count: usize,
}

pub(crate) struct Worker<'a> {
    query: &'a ResolvedQuery,
    asking: Option<Asking<'a>>,
    memory_max: usize,
    filters: Filters,
    buckets: Option<Buckets>,
    keys: Vec<KeyIds>,
    pairs: Vec<Pairs>,
    measures: Measures,
    pub(crate) candidates: Candidates,
    segment: Option<OpenSegment>,
    rows_scanned: u64,
    bytes_scanned: u64,
    /// Rows of groups that came after the limit.
    left_out: u64,
    open: bool,
    notes: BTreeSet<String>,
    scratch: Scratch,
}

/// Which rows of a unit count.
enum Selected {
    All,
    /// Those listed.
    Some,
}

#[derive(Default)]
struct Scratch {
    rows: Vec<u32>,
    /// Each number in turn: the rows of a unit of which all count.
    all: Vec<u32>,
    groups: Vec<u32>,
    ids: Vec<u32>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        query: &'a ResolvedQuery,
        memory_max: usize,
        asking: Option<Asking<'a>>,
    ) -> Result<Self, ScanError> {
        let buckets = query.bucket.map(|width| {
            let width = micros(width).max(1);
            let first = query.from.0.div_euclid(width);
            let last = (query.to.0 - 1).div_euclid(width);
            Buckets {
                width,
                first,
                count: (last - first + 1).max(0) as usize,
            }
        });
        let dimensions = query.group_by.len() + usize::from(buckets.is_some());
        let pairs = (1..dimensions).map(|_| Pairs::default());
        Ok(Self {
            query,
            asking,
            memory_max,
            filters: Filters::new(&query.filters)?,
            buckets,
            keys: query.group_by.iter().map(|_| KeyIds::default()).collect(),
            pairs: pairs.collect(),
            measures: Measures::new(query),
            candidates: Candidates::new(query.exemplars),
            segment: None,
            rows_scanned: 0,
            bytes_scanned: 0,
            left_out: 0,
            open: true,
            notes: BTreeSet::new(),
            scratch: Scratch::default(),
        })
    }

    /// Looks through one unit. A damaged one is left out and named.
    pub(crate) fn scan(&mut self, number: usize, unit: &Unit) {
        self.visit(unit, |worker, view, rows| worker.add(number, view, rows));
    }

    /// Shows the rows of a unit that meet the conditions, unless it is known to have none.
    pub(crate) fn visit(
        &mut self,
        unit: &Unit,
        each: impl FnOnce(&mut Self, &mut View<'_>, &[u32]) -> Result<(), SegmentError>,
    ) {
        let mut segment = self.segment.take();
        let visited = self.visit_in(unit, &mut segment, each);
        self.segment = segment;
        if let (Err(error), Unit::Block(segment, _)) = (visited, unit) {
            segment.isolate(&error);
            self.notes
                .insert(format!("{error}; its events are missing"));
            self.segment = None;
        }
    }

    fn visit_in(
        &mut self,
        unit: &Unit,
        open: &mut Option<OpenSegment>,
        each: impl FnOnce(&mut Self, &mut View<'_>, &[u32]) -> Result<(), SegmentError>,
    ) -> Result<(), SegmentError> {
        let lookup = self.query.lookup.as_ref();
        let before;
        let mut view = match unit {
            Unit::Chunk(batch) => {
                before = 0;
                View::chunk(batch, lookup)
            }
            Unit::Block(segment, block) => {
                if open
                    .as_ref()
                    .is_none_or(|open| open.serial != segment.serial)
                {
                    *open = Some(OpenSegment::open(segment)?);
                    self.filters.enter_segment();
                    self.keys.iter_mut().for_each(KeyIds::enter_segment);
                }
                let Some(open) = open else { return Ok(()) };
                before = open.reader.bytes_read();
                if !self
                    .filters
                    .may_match(open, *block, (lookup, self.asking))?
                {
                    self.bytes_scanned += open.reader.bytes_read() - before;
                    return Ok(());
                }
                View::block(open, *block, lookup, self.asking)
            }
        };
        let mut rows = std::mem::take(&mut self.scratch.rows);
        let mut all = std::mem::take(&mut self.scratch.all);
        let selected = self.select(unit, &mut view, &mut rows);
        let visited = selected.and_then(|selected| match selected {
            Selected::All => {
                let known = all.len() as u32;
                let count = view.rows;
                all.extend(known..(count as u32).max(known));
                each(self, &mut view, &all[..count])
            }
            Selected::Some if rows.is_empty() => Ok(()),
            Selected::Some => each(self, &mut view, &rows),
        });
        self.rows_scanned += view.rows as u64;
        self.bytes_scanned += match unit {
            Unit::Chunk(_) => view.rows as u64 * 8,
            Unit::Block(..) => {
                drop(view);
                open.as_ref()
                    .map_or(0, |open| open.reader.bytes_read() - before)
            }
        };
        self.scratch.rows = rows;
        self.scratch.all = all;
        visited
    }

    /// The rows that are in time and meet the conditions; where all do, they are not listed.
    fn select(
        &mut self,
        unit: &Unit,
        view: &mut View<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<Selected, SegmentError> {
        let (from, to) = (self.query.from.0, self.query.to.0);
        rows.clear();
        let whole = match unit {
            Unit::Chunk(_) => false,
            Unit::Block(segment, _) => segment.at_min >= from && segment.at_max < to,
        };
        let count = view.rows as u32;
        let block = view.span();
        if whole || block.is_some_and(|(first, last)| first >= from && last < to) {
            if self.filters.is_empty() && count > 0 {
                return Ok(Selected::All);
            }
            self.filters.select(view, rows)?;
            return Ok(Selected::Some);
        } else {
            let at = view.at()?;
            if view.sorted {
                let first = at.partition_point(|&at| at < from) as u32;
                let last = at.partition_point(|&at| at < to) as u32;
                rows.extend(first..last.max(first));
            } else {
                rows.extend((0..count).filter(|&row| (from..to).contains(&at[row as usize])));
            }
        }
        self.filters.retain(view, rows)?;
        Ok(Selected::Some)
    }

    fn add(
        &mut self,
        number: usize,
        view: &mut View<'_>,
        rows: &[u32],
    ) -> Result<(), SegmentError> {
        let mut groups = std::mem::take(&mut self.scratch.groups);
        let added = self
            .group(view, rows, &mut groups)
            .and_then(|(count, one)| {
                if !self.open && groups.contains(&NO_GROUP) {
                    let kept: (Vec<u32>, Vec<u32>) = rows
                        .iter()
                        .zip(&groups)
                        .filter(|(_, group)| **group != NO_GROUP)
                        .unzip();
                    self.left_out += (rows.len() - kept.0.len()) as u64;
                    return self.measures.add(view, &kept.0, (&kept.1, None), count);
                }
                self.measures.add(view, rows, (&groups, one), count)
            });
        self.scratch.groups = groups;
        added?;
        self.candidates.add(number, view, rows)?;
        if self.open && (self.bytes() > self.memory_max || self.groups() >= GROUPS_MAX) {
            self.open = false;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(KeyIds::bytes).sum();
        let pairs: usize = self.pairs.iter().map(Pairs::bytes).sum();
        keys + pairs + self.measures.bytes()
    }

    fn groups(&self) -> usize {
        match (self.pairs.last(), self.keys.first(), &self.buckets) {
            (Some(pairs), _, _) => pairs.pairs.len(),
            (None, Some(keys), _) => keys.values.len(),
            (None, None, Some(buckets)) => buckets.count,
            (None, None, None) => 1,
        }
    }

    /// The group of each row, how many groups there are, and which one all rows are in, if
    /// that is known.
    fn group(
        &mut self,
        view: &mut View<'_>,
        rows: &[u32],
        groups: &mut Vec<u32>,
    ) -> Result<(usize, Option<u32>), SegmentError> {
        groups.clear();
        let mut one = None;
        let mut lanes = Vec::new();
        for key in &self.query.group_by {
            lanes.push(view.lanes(key)?);
        }
        let mut dimensions = 0;
        let mut count = 1;
        if let Some(buckets) = &self.buckets {
            let ends = view.span().map(|(first, last)| {
                (
                    first.div_euclid(buckets.width),
                    last.div_euclid(buckets.width),
                )
            });
            match ends {
                Some((first, last)) if first == last => {
                    let group = (first - buckets.first) as u32;
                    groups.resize(rows.len(), group);
                    one = Some(group);
                }
                _ => bucket(buckets, &view.at()?, rows, groups),
            }
            dimensions = 1;
            count = buckets.count;
        }
        let mut ids = std::mem::take(&mut self.scratch.ids);
        for (key, lanes) in self.keys.iter_mut().zip(&lanes) {
            one = None;
            if dimensions == 0 {
                key.number(lanes, rows, self.open, groups);
                count = key.values.len();
            } else {
                ids.clear();
                key.number(lanes, rows, self.open, &mut ids);
                let pairs = &mut self.pairs[dimensions - 1];
                pairs.combine(groups, &ids, (count, key.values.len()), self.open);
                count = pairs.pairs.len();
            }
            dimensions += 1;
        }
        self.scratch.ids = ids;
        if dimensions == 0 {
            groups.resize(rows.len(), 0);
            one = Some(0);
        }
        Ok((count, one))
    }

    /// What the group of a number is called.
    fn key(&self, mut group: u32) -> GroupKey {
        let mut ids = Vec::new();
        for pairs in self.pairs.iter().rev() {
            let (before, id) = pairs.pairs[group as usize];
            ids.push(id);
            group = before;
        }
        ids.push(group);
        ids.reverse();
        let mut ids = ids.into_iter();
        let time = self.buckets.as_ref().and_then(|buckets| {
            let bucket = i64::from(ids.next()?);
            Some((buckets.first + bucket).saturating_mul(buckets.width))
        });
        let values = self.keys.iter().zip(ids);
        GroupKey {
            time,
            values: values
                .map(|(key, id)| key.values[id as usize].clone())
                .collect(),
        }
    }

    /// All that it has found so far.
    pub(crate) fn partial(&self) -> PartialAnswer {
        let mut partial = PartialAnswer::default();
        for (group, &count) in self.measures.counts.iter().enumerate() {
            if count == 0 {
                continue;
            }
            let state = GroupState {
                count,
                errors: self.measures.errors[group],
                keys: self.measures.state(group as u32),
            };
            partial.groups.insert(self.key(group as u32), state);
        }
        partial.notes.extend(self.notes.iter().cloned());
        if self.left_out > 0 {
            let note = "too many groups for this query's memory: the events of some are missing";
            partial.notes.insert(note.to_owned());
        }
        partial.is_partial = !partial.notes.is_empty();
        partial.rows_left_out = self.left_out;
        partial.stats.rows_scanned = self.rows_scanned;
        partial.stats.bytes_scanned = self.bytes_scanned;
        partial
    }

    /// What remains when all units are done.
    pub(crate) fn finish(self) -> (PartialAnswer, Candidates) {
        (self.partial(), self.candidates)
    }

    /// The rows whose size is in one step of the histogram, until there are enough.
    pub(crate) fn pick_typical(&mut self, number: usize, unit: &Unit, bin: i32, into: &mut Picked) {
        self.visit(unit, |_, view, rows| {
            into.add_in_bin(number, view, rows, bin)
        });
    }
}

fn bucket(buckets: &Buckets, at: &[i64], rows: &[u32], groups: &mut Vec<u32>) {
    let (mut begin, mut end, mut number) = (0, 0, 0);
    for &row in rows {
        let at = at[row as usize];
        if !(begin..end).contains(&at) {
            let bucket = at.div_euclid(buckets.width);
            begin = bucket.saturating_mul(buckets.width);
            end = begin.saturating_add(buckets.width);
            number = (bucket - buckets.first) as u32;
        }
        groups.push(number);
    }
}

pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
