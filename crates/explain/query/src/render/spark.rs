//! Series over time as lines of small bars, one for each group and calculation.

use super::plain::{cell, cut, number, padded, safe, width};
use andon_model::query::{Answer, Cell, ColumnKind};
use andon_model::time::Timestamp;
use std::collections::BTreeMap;

/// Bars by height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a group's name.
const NAME_MAX: usize = 32;
/// Columns of bars at least.
const BARS_MIN: usize = 10;

/// Bars for numbers, as many as numbers; a gap where there is none. The lowest bar is zero, or
/// the smallest number if that is below.
pub fn bars(numbers: &[Option<f64>]) -> String {
    let finite = || {
        numbers
            .iter()
            .flatten()
            .copied()
            .filter(|number| number.is_finite())
    };
    let most = finite().fold(0.0, f64::max);
    let least = finite().fold(0.0, f64::min);
    let bar = |number: f64| {
        if most <= least {
            return BARS[0];
        }
        let part = ((number - least) / (most - least)).clamp(0.0, 1.0);
        BARS[((part * 7.0).round() as usize).min(7)]
    };
    let text = numbers.iter().map(|number| match number {
        Some(number) if !number.is_nan() => bar(*number),
        _ => ' ',
    });
    text.collect()
}

/// The groups of a bucketed answer, each with its bars, its largest number and its last.
pub fn sparklines(answer: &Answer, width_max: usize) -> String {
    let time = answer
        .columns
        .iter()
        .position(|column| column.kind == ColumnKind::Time);
    let Some(time) = time else {
        return super::table(answer, width_max);
    };
    let moments = moments(answer, time);
    let mut out = String::new();
    for (index, column) in answer.columns.iter().enumerate() {
        if column.kind == ColumnKind::Number {
            let groups = groups(answer, index, &moments, time);
            out.push_str(&chart(&safe(&column.name), &groups, width_max));
        }
    }
    let mut ends = moments.keys();
    if let (Some(first), Some(last)) = (ends.next(), moments.keys().last()) {
        let step = ends
            .next()
            .and_then(|second| Some((parsed(first)?, parsed(second)?)));
        let step = step.map(|(first, second)| format!(", every {}", span(second - first)));
        let step = step.unwrap_or_default();
        out.push_str(&format!("{first} to {last}{step}\n"));
    }
    out
}

fn parsed(moment: &str) -> Option<i64> {
    Timestamp::parse(moment).ok().map(|moment| moment.0)
}

/// Microseconds as a bucket's width is written.
fn span(us: i64) -> String {
    let units = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1_000, "ms"),
    ];
    let unit = units.iter().find(|(unit, _)| us >= *unit && us % unit == 0);
    unit.map_or_else(
        || format!("{us}us"),
        |(unit, name)| format!("{}{name}", us / unit),
    )
}

/// All buckets from the first to the last, also those without rows, by their text.
fn moments(answer: &Answer, time: usize) -> BTreeMap<String, usize> {
    let mut seen: Vec<i64> = answer
        .rows
        .iter()
        .filter_map(|row| Timestamp::parse(&cell(row.get(time)?)).ok())
        .map(|moment| moment.0)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    /// More than any terminal has columns.
    const MOMENTS_MAX: i64 = 10_000;
    let step = seen
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .min()
        .unwrap_or(1)
        .max(1);
    let (first, last) = (
        seen.first().copied().unwrap_or(0),
        seen.last().copied().unwrap_or(0),
    );
    let whole = (last - first) / step < MOMENTS_MAX;
    let all: Vec<i64> = match whole {
        true => (0..=(last - first) / step)
            .map(|index| first + index * step)
            .collect(),
        false => seen,
    };
    let names = all.into_iter().map(|moment| Timestamp(moment).to_string());
    names
        .enumerate()
        .map(|(index, name)| (name, index))
        .collect()
}

type Series = Vec<Option<f64>>;

fn groups(
    answer: &Answer,
    value: usize,
    moments: &BTreeMap<String, usize>,
    time: usize,
) -> Vec<(String, Series)> {
    let mut order: Vec<String> = Vec::new();
    let mut groups: BTreeMap<String, Series> = BTreeMap::new();
    for row in &answer.rows {
        let keys = row.iter().zip(&answer.columns);
        let keys = keys.filter(|(_, column)| column.kind == ColumnKind::Key);
        let name = keys.map(|(key, _)| cell(key)).collect::<Vec<_>>().join(" ");
        let Some(at) = row.get(time).and_then(|moment| moments.get(&cell(moment))) else {
            continue;
        };
        let series = groups.entry(name.clone()).or_insert_with(|| {
            order.push(name);
            vec![None; moments.len()]
        });
        series[*at] = match row.get(value) {
            Some(Cell::Value(value)) => value.number(),
            _ => None,
        };
    }
    let take = |name: String| groups.remove(&name).map(|series| (name, series));
    order.into_iter().filter_map(take).collect()
}

fn chart(title: &str, groups: &[(String, Series)], width_max: usize) -> String {
    let widest = groups
        .iter()
        .map(|(name, _)| width(name))
        .max()
        .unwrap_or(0);
    let names = widest.min(NAME_MAX);
    let room = width_max.saturating_sub(names + 26).max(BARS_MIN);
    let mut out = format!("{title}\n");
    let mut lines: Vec<[String; 4]> = Vec::new();
    for (name, series) in groups {
        let most = series
            .iter()
            .flatten()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let last = series.iter().rev().find_map(|number| *number);
        let shown = |number: Option<f64>| number.map_or("-".to_owned(), self::number);
        let most = shown(most.is_finite().then_some(most));
        let name = match names {
            0 => String::new(),
            _ => padded(&cut(name, names), names, false) + " ",
        };
        lines.push([name, bars(&squeezed(series, room)), most, shown(last)]);
    }
    let widest = |place: usize| {
        lines
            .iter()
            .map(|line| width(&line[place]))
            .max()
            .unwrap_or(0)
    };
    let (mosts, lasts) = (widest(2), widest(3));
    for [name, bars, most, last] in &lines {
        let most = padded(most, mosts, true);
        let last = padded(last, lasts, true);
        out.push_str(&format!("{name}{bars} max {most} last {last}\n"));
    }
    out
}

/// So many numbers at most: of neighbours that share a column the largest is shown.
fn squeezed(series: &[Option<f64>], room: usize) -> Series {
    let each = series.len().div_ceil(room.max(1)).max(1);
    let most = |part: &[Option<f64>]| part.iter().flatten().copied().reduce(f64::max);
    series.chunks(each).map(most).collect()
}
