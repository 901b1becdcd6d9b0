//! One typed column of a unit and how to find a row's value in it: read for this question, kept
//! from the one before, or a batch's own.

use crate::batch::Batch;
use crate::column::{Column, Values};
use crate::pool;
use crate::sketch::sizes::Sizes;
use std::rc::Rc;
use std::sync::Arc;

/// One typed column of a unit.
pub(crate) struct Lane {
    source: Source,
    /// By row the place of its value, or `u32::MAX`; none if each row has one.
    pub(crate) index: Option<Vec<u32>>,
    /// What its dictionary is called as long as one segment is read; none where the next
    /// block's may be another.
    pub(crate) dict: Option<usize>,
}

enum Source {
    Own(Column),
    Kept(Arc<Column>),
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
    /// A column made or read for this.
    pub(crate) fn own(column: Column, rows: usize) -> Self {
        Self::of(Source::Own(column), rows)
    }

    /// A column that stays in memory.
    pub(crate) fn kept(column: Arc<Column>, rows: usize) -> Self {
        Self::of(Source::Kept(column), rows)
    }

    /// The column at a place of a batch.
    pub(crate) fn chunk(batch: &Arc<Batch>, place: usize) -> Self {
        Self::of(Source::Chunk(batch.clone(), place), batch.len())
    }

    fn of(source: Source, rows: usize) -> Self {
        let mut lane = Self {
            source,
            index: None,
            dict: None,
        };
        lane.index = lane.column().index(rows);
        lane
    }

    /// The same, whose dictionary has a name.
    pub(crate) fn with_dict(mut self, name: usize) -> Self {
        self.dict = Some(name);
        self
    }

    fn column(&self) -> &Column {
        match &self.source {
            Source::Own(column) => column,
            Source::Kept(column) => column,
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

/// The sizes of one column's numbers.
pub(crate) struct SizeLane {
    pub(crate) sizes: Arc<Sizes>,
    /// As of a [`Lane`].
    pub(crate) index: Option<Vec<u32>>,
}

impl SizeLane {
    /// The place of a row's number.
    #[inline]
    pub(crate) fn place(&self, row: u32) -> Option<usize> {
        match &self.index {
            None => Some(row as usize),
            Some(index) => Some(index[row as usize])
                .filter(|&place| place != u32::MAX)
                .map(|place| place as usize),
        }
    }
}

impl Drop for SizeLane {
    fn drop(&mut self) {
        if let Some(index) = self.index.take() {
            pool::give(index);
        }
    }
}
