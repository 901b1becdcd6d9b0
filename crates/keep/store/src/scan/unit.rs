//! What is looked through at once: a batch of the head, or one block of a segment. Columns are
//! read when something asks for them, once.

use super::lane::{Lane, Lanes, SizeLane};
use super::looked::{CodeTable, code_table, looked_up, rest_columns};
use super::measure::failed_rows;
use crate::batch::{Batch, REST_KEY};
use crate::column::{Column, ColumnType, Dict, DictRef, Rows, Values};
use crate::plan::Lookup;
use crate::pool;
use crate::segment::footer::{Footer, RowOrder};
use crate::segment::read::Reader;
use crate::segment::{Segment, SegmentError};
use crate::sketch::sizes::Sizes;
use crate::warm::{Asking, Kept, Part, Spot};
use andon_model::event::Event;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// More than a segment has columns: names of dictionaries begin again beyond.
const DICT_NAMES: usize = 1 << 20;

/// Where some rows are.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    Chunk(Arc<Batch>),
    Block(Arc<Segment>, usize),
}

/// A segment open for reading, and its dictionaries as far as they were asked for.
pub(crate) struct OpenSegment {
    pub(crate) serial: u64,
    pub(crate) reader: Reader,
    pub(crate) is_rollup: bool,
    dicts: HashMap<usize, Option<Arc<Dict>>>,
    /// By looked-up column and dictionary: what each code stands for.
    looked_up: HashMap<(usize, usize), Option<Arc<CodeTable>>>,
}

impl OpenSegment {
    pub(crate) fn open(segment: &Segment) -> Result<Self, SegmentError> {
        Ok(Self {
            serial: segment.serial,
            reader: segment.reader()?,
            is_rollup: segment.is_rollup,
            dicts: HashMap::new(),
            looked_up: HashMap::new(),
        })
    }

    fn spot(&self, column: usize, block: usize, part: Part) -> Spot {
        Spot {
            segment: self.serial,
            column: column as u32,
            block: block as u32,
            part,
        }
    }

    /// The dictionary of the column at a place in the footer.
    pub(crate) fn dict(
        &mut self,
        place: usize,
        asking: Option<Asking<'_>>,
    ) -> Result<Option<Arc<Dict>>, SegmentError> {
        if let Some(known) = self.dicts.get(&place) {
            return Ok(known.clone());
        }
        let meta = &self.reader.footer.columns[place];
        let spot = self.spot(place, 0, Part::Dict);
        let asking = asking.filter(|_| meta.dict.is_some());
        let kept = asking.and_then(|asking| asking.find(spot));
        let dict = match kept {
            Some(Kept::Dict(dict)) => Some(dict),
            _ => self.reader.dict(meta)?,
        };
        if let (Some(asking), Some(dict)) = (asking, &dict) {
            asking.keep(spot, Kept::Dict(dict.clone()));
        }
        self.dicts.insert(place, dict.clone());
        Ok(dict)
    }

    /// A block's part of the column at a place; codes are kept for the next question.
    fn lane(
        &mut self,
        place: usize,
        block: usize,
        asking: Option<Asking<'_>>,
    ) -> Result<Option<Lane>, SegmentError> {
        let dict = self.dict(place, asking)?;
        let meta = &self.reader.footer.columns[place];
        let rows = self.reader.footer.blocks[block].rows as usize;
        let spot = self.spot(place, block, Part::Codes);
        let asking = asking.filter(|_| dict.is_some());
        if let Some(part) = &meta.blocks[block]
            && let Some(Kept::Codes(column)) = asking.and_then(|asking| asking.find(spot))
        {
            self.reader.count_read(&part.piece);
            return Ok(Some(Lane::kept(column, rows).with_dict(place)));
        }
        let Some(column) = self.reader.column(meta, block, dict.as_ref())? else {
            return Ok(None);
        };
        let Values::Codes { .. } = &column.values else {
            return Ok(Some(Lane::own(column, rows)));
        };
        let Some(asking) = asking.filter(|asking| asking.has_room(column.bytes())) else {
            return Ok(Some(Lane::own(column, rows).with_dict(place)));
        };
        let column = Arc::new(column);
        asking.keep(spot, Kept::Codes(column.clone()));
        Ok(Some(Lane::kept(column, rows).with_dict(place)))
    }

    /// Some rows of a block as they were taken in, in ascending order.
    pub(crate) fn rows(
        &mut self,
        block: usize,
        rows: &[u32],
        asking: Option<Asking<'_>>,
    ) -> Result<Vec<Event>, SegmentError> {
        let mut dicts = Vec::new();
        for place in 0..self.reader.footer.columns.len() {
            let has_some = self.reader.footer.columns[place].blocks[block].is_some();
            dicts.push(match has_some {
                true => self.dict(place, asking)?,
                false => None,
            });
        }
        self.reader
            .rows(block, rows, |place| Ok(dicts[place].clone()))
    }

    /// The sizes of a block's part of a column of numbers; none where they are not kept.
    fn sizes(
        &mut self,
        place: usize,
        block: usize,
        asking: Asking<'_>,
    ) -> Result<Option<Arc<Sizes>>, SegmentError> {
        let meta = &self.reader.footer.columns[place];
        let spot = self.spot(place, block, Part::Sizes);
        let Some(part) = &meta.blocks[block] else {
            return Ok(None);
        };
        if let Some(Kept::Sizes(sizes)) = asking.find(spot) {
            self.reader.count_read(&part.piece);
            return Ok(Some(sizes));
        }
        let rows = self.reader.footer.blocks[block].rows as usize;
        if !asking.has_room(rows * 2) {
            return Ok(None);
        }
        let Some(column) = self.reader.column(meta, block, None)? else {
            return Ok(None);
        };
        let sizes = Sizes::of(&column).map(Arc::new);
        if let Some(sizes) = &sizes {
            asking.keep(spot, Kept::Sizes(sizes.clone()));
        }
        // Whose drop gives its buffer back.
        drop(Lane::own(column, rows));
        Ok(sizes)
    }
}

/// Places in the footer of the columns of one name.
pub(crate) fn places(reader: &Reader, name: &str) -> std::ops::Range<usize> {
    let columns = &reader.footer.columns;
    let from = columns.partition_point(|column| *column.name < *name);
    from..from + reader.footer.named(name).len()
}

/// The largest number of a key in a block: minus infinity where it has none, infinity where
/// that is not known.
pub(crate) fn max_of(footer: &Footer, block: usize, name: &str) -> f64 {
    let columns = footer.named(name).iter();
    let numbers =
        columns.filter(|column| matches!(column.kind, ColumnType::Integer | ColumnType::Float));
    let parts = numbers.filter_map(|column| column.blocks[block].as_ref());
    let max = parts.map(|part| part.range.map_or(f64::INFINITY, |range| range.1));
    max.fold(f64::NEG_INFINITY, f64::max)
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
    asking: Option<Asking<'a>>,
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
            asking: None,
        }
    }

    pub(crate) fn block(
        segment: &'a mut OpenSegment,
        block: usize,
        lookup: Option<&'a Lookup>,
        asking: Option<Asking<'a>>,
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
            asking,
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
                return Ok(vec![column]);
            }
            let at = self.at()?;
            lanes.extend(looked_up(lookup, column, &on, &at, taken.as_deref()));
        }
        Ok(lanes)
    }

    /// Codes to codes: the usual case, and a table for each dictionary.
    fn looked_up_codes(&mut self, lookup: &Lookup, column: usize, on: &Lane) -> Option<Lane> {
        let Values::Codes { codes, dict } = on.values() else {
            return None;
        };
        let table = match (&mut self.place, on.dict) {
            (Place::Block(segment, _), Some(name)) => {
                let known = segment.looked_up.entry((column, name));
                let make = || code_table(lookup, column, dict).map(Arc::new);
                known.or_insert_with(make).clone()?
            }
            _ => Arc::new(code_table(lookup, column, dict)?),
        };
        let mut taken = pool::take(codes.len());
        taken.extend(codes.iter().map(|&code| table.codes[usize::from(code)]));
        let taken = Column {
            present: None,
            values: Values::Codes {
                codes: taken,
                dict: DictRef::Shared(table.dict.clone()),
            },
        };
        let lane = Lane::own(taken, self.rows);
        // Beyond the names of the segment's own, each column with each dictionary another.
        let name = on.dict.map(|on| (column + 1) * DICT_NAMES + on);
        Some(match name {
            Some(name) => lane.with_dict(name),
            None => lane,
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
        match &mut self.place {
            Place::Chunk(batch) => {
                let places = batch.places(name).iter();
                let lane = |&place: &u32| Lane::chunk(batch, place as usize);
                Ok(places.map(lane).collect())
            }
            Place::Block(segment, block) => {
                let mut lanes = Vec::new();
                for place in places(&segment.reader, name) {
                    lanes.extend(segment.lane(place, *block, self.asking)?);
                }
                Ok(lanes)
            }
        }
    }

    /// The sizes of a key's numbers, where those are all that is wanted and can be kept; none:
    /// the numbers are to be read.
    pub(crate) fn sizes(&mut self, name: &str) -> Result<Option<Vec<SizeLane>>, SegmentError> {
        let (Place::Block(segment, block), Some(asking)) = (&mut self.place, self.asking) else {
            return Ok(None);
        };
        let looked_up = self
            .lookup
            .is_some_and(|lookup| lookup.column(name).is_some());
        let is_open = self.lanes.contains_key(name);
        if looked_up || is_open || !places(&segment.reader, REST_KEY).is_empty() {
            return Ok(None);
        }
        let mut lanes = Vec::new();
        for place in places(&segment.reader, name) {
            let meta = &segment.reader.footer.columns[place];
            let numbers = matches!(meta.kind, ColumnType::Integer | ColumnType::Float);
            if !numbers || meta.blocks[*block].is_none() {
                continue;
            }
            let Some(sizes) = segment.sizes(place, *block, asking)? else {
                return Ok(None);
            };
            let index = sizes.index(self.rows);
            lanes.push(SizeLane { sizes, index });
        }
        Ok(Some(lanes))
    }

    /// The largest number of a key where each row's is in a column of its own.
    pub(crate) fn max_of(&self, name: &str) -> Option<f64> {
        let Place::Block(segment, block) = &self.place else {
            return None;
        };
        let looked_up = self
            .lookup
            .is_some_and(|lookup| lookup.column(name).is_some());
        if looked_up || !places(&segment.reader, REST_KEY).is_empty() {
            return None;
        }
        Some(max_of(&segment.reader.footer, *block, name))
    }

    /// Which rows failed.
    pub(crate) fn failed(&mut self) -> Result<Arc<Rows>, SegmentError> {
        let spot = match &self.place {
            Place::Chunk(_) => None,
            Place::Block(segment, block) => Some(segment.spot(0, *block, Part::Failed)),
        };
        let known = self.asking.zip(spot);
        // A looked-up status is not the events' own.
        let known = known.filter(|_| self.lookup.is_none());
        if let Some((asking, spot)) = known
            && let Some(Kept::Failed(rows)) = asking.find(spot)
        {
            return Ok(rows);
        }
        let rows = Arc::new(failed_rows(self)?);
        if let Some((asking, spot)) = known {
            asking.keep(spot, Kept::Failed(rows.clone()));
        }
        Ok(rows)
    }
}
