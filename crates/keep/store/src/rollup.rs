//! Metric samples at coarser steps: beside a segment of samples stand small segments with one
//! row for each series and stretch of time, its count, sum, smallest and largest value. A
//! question about a long time reads those; they add up exactly like the samples themselves.

use crate::batch::{Batch, REST_KEY};
use crate::column::{Column, ColumnType, Values};
use crate::plan::ResolvedQuery;
use crate::scan::worker::micros;
use crate::segment::footer::Footer;
use crate::segment::write::Stretch;
use crate::series::series_of;
use andon_model::event::key;
use andon_model::query::CalcOp;
use andon_model::time::Timestamp;
use std::sync::Arc;

/// Steps of time, coarsest first, microseconds: an hour for weeks, five minutes for days.
pub(crate) const STEPS_US: [i64; 2] = [3_600_000_000, 300_000_000];
/// Samples that one row must stand for on average, else the samples are as good.
const SAMPLES_MIN: usize = 8;

/// Labels of samples that are rolled up; more make rows that cost what they save.
const LABELS_MAX: usize = 32;

/// Columns of a rolled-up row, beside its labels.
pub(crate) const COUNT: &str = "count";
pub(crate) const SUM: &str = "sum";
pub(crate) const MIN: &str = "min";
pub(crate) const MAX: &str = "max";

/// Samples in the order of their series, rolled up to steps of a width; none where that saves
/// nothing, or where rows have numbers beside their value.
pub(crate) fn roll_up(batches: &[Arc<Batch>], rows: &[Stretch], width: i64) -> Option<Batch> {
    let mut sources = Vec::new();
    for batch in batches {
        sources.push(Source::of(batch)?);
    }
    let total: usize = rows
        .iter()
        .map(|stretch| (stretch.to - stretch.from) as usize)
        .sum();
    let mut rolled = Batch::new();
    let mut step: Option<Step> = None;
    for stretch in rows {
        let source = &sources[stretch.batch as usize];
        for row in stretch.from as usize..stretch.to as usize {
            let begin = batches[stretch.batch as usize].at[row].div_euclid(width) * width;
            let value = source.value(row)?;
            match &mut step {
                Some(step) if step.series == source.series[row] && step.begin == begin => {
                    step.add(value);
                }
                _ => {
                    if let Some(step) = step.take() {
                        step.write(&sources, &mut rolled);
                    }
                    if rolled.len() * SAMPLES_MIN > total {
                        return None;
                    }
                    let place = (stretch.batch as usize, row);
                    step = Some(Step::begin(source.series[row], begin, place, value));
                }
            }
        }
    }
    if let Some(step) = step {
        step.write(&sources, &mut rolled);
    }
    rolled.end();
    (rolled.len() * SAMPLES_MIN <= total).then_some(rolled)
}

struct Source<'a> {
    series: Vec<u64>,
    labels: Vec<(&'a str, Indexed<'a>)>,
    /// Whole numbers and others.
    values: Vec<Indexed<'a>>,
}

/// A column, and where a row's value is in it.
struct Indexed<'a> {
    column: &'a Column,
    index: Option<Vec<u32>>,
}

impl<'a> Indexed<'a> {
    fn of(column: &'a Column, rows: usize) -> Self {
        Self {
            column,
            index: column.index(rows),
        }
    }

    fn place(&self, row: usize) -> Option<usize> {
        match &self.index {
            None => Some(row),
            Some(index) => (index[row] != u32::MAX).then_some(index[row] as usize),
        }
    }
}

impl<'a> Source<'a> {
    fn of(batch: &'a Batch) -> Option<Self> {
        let mut source = Self {
            series: series_of(batch),
            labels: Vec::new(),
            values: Vec::new(),
        };
        for named in &batch.columns {
            let indexed = || Indexed::of(&named.column, batch.len());
            match (named.column.values.kind(), &*named.name) {
                (ColumnType::Integer | ColumnType::Float, key::VALUE) => {
                    source.values.push(indexed());
                }
                (ColumnType::Integer | ColumnType::Float, _) => return None,
                (_, COUNT | SUM | MIN | MAX | key::VALUE | REST_KEY) => return None,
                (_, name) => source.labels.push((name, indexed())),
            }
        }
        (source.labels.len() <= LABELS_MAX).then_some(source)
    }

    fn value(&self, row: usize) -> Option<f64> {
        let mut values = self.values.iter().filter_map(|indexed| {
            let place = indexed.place(row)?;
            match &indexed.column.values {
                Values::Integer(values) => Some(values[place] as f64),
                Values::Float(values) => Some(values[place]),
                _ => None,
            }
        });
        values.next().filter(|value| !value.is_nan())
    }
}

struct Step {
    series: u64,
    begin: i64,
    place: (usize, usize),
    count: i64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Step {
    fn begin(series: u64, begin: i64, place: (usize, usize), value: f64) -> Self {
        Self {
            series,
            begin,
            place,
            count: 1,
            sum: value,
            min: value,
            max: value,
        }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn write(self, sources: &[Source<'_>], rolled: &mut Batch) {
        let (batch, row) = self.place;
        rolled.begin(Timestamp(self.begin));
        for (name, label) in &sources[batch].labels {
            let Some(place) = label.place(row) else {
                continue;
            };
            match &label.column.values {
                Values::Bool(values) => rolled.set_bool(name, values[place]),
                values => rolled.set_text(name, values.text(place)),
            }
        }
        rolled.set_integer(COUNT, self.count);
        rolled.set_float(SUM, self.sum);
        rolled.set_float(MIN, self.min);
        rolled.set_float(MAX, self.max);
    }
}

/// Whether rows of steps of a width answer a question as exactly as the samples of a segment.
pub(crate) fn answers(query: &ResolvedQuery, samples: &Footer, width: i64) -> bool {
    let value_only = |key: &Option<String>| key.as_deref().is_none_or(|key| key == key::VALUE);
    let calcs = query.calcs.iter().all(|calc| {
        let adds_up = matches!(
            calc.op,
            CalcOp::Count
                | CalcOp::Rate
                | CalcOp::Sum
                | CalcOp::Avg
                | CalcOp::Min
                | CalcOp::Max
                | CalcOp::Percent
        );
        adds_up && value_only(&calc.key)
    });
    let is_label = |key: &String| {
        let columns = samples.named(key);
        let numbers = |kind| matches!(kind, ColumnType::Integer | ColumnType::Float);
        !columns.iter().any(|column| numbers(column.kind))
            && ![COUNT, SUM, MIN, MAX].contains(&key.as_str())
    };
    let filters = query.filters.iter().map(|filter| &filter.key);
    let labels = filters.chain(&query.group_by).all(is_label);
    let bucket = query
        .bucket
        .is_none_or(|bucket| micros(bucket) % width == 0);
    let inside = samples.at_min() >= query.from.0 && samples.at_max() < query.to.0;
    let aligned = query.from.0.rem_euclid(width) == 0 && query.to.0.rem_euclid(width) == 0;
    let plain = query.lookup.is_none() && query.exemplars == 0 && !query.wants_events();
    calcs && labels && bucket && (inside || aligned) && plain
}
