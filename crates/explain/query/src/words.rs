//! The fixed words of a question: stages, calculations, operators; and the nearest of them to
//! what someone typed.

use andon_model::query::{Calc, CalcOp, FilterOp};

/// First words of a stage, with what each does.
pub const STAGES: [(&str, &str); 13] = [
    ("where", "keep events for which all conditions hold"),
    (
        "by",
        "one row for each value of these keys, or each time bucket",
    ),
    ("last", "the time from so long ago until now"),
    ("from", "the time from here, `to` there"),
    ("to", "the time until here"),
    ("top", "the largest so many rows"),
    (
        "order",
        "sort by columns, `-` before one for the largest first",
    ),
    ("join", "take keys of another dataset beside"),
    ("exemplars", "raw events that stand for the answer"),
    ("compare", "the same question at an earlier time, beside"),
    (
        "differ",
        "which values are more frequent where this holds than elsewhere",
    ),
    ("limit", "so many rows at most"),
    ("skip", "leave out the first so many rows"),
];

/// Calculations by name, with what each works out.
pub const CALCS: [(&str, CalcOp, &str); 15] = [
    (
        "count",
        CalcOp::Count,
        "events; with a key, those that have it",
    ),
    ("rate", CalcOp::Rate, "events a second"),
    ("sum", CalcOp::Sum, "of all numbers"),
    ("avg", CalcOp::Avg, "their mean"),
    ("min", CalcOp::Min, "the smallest"),
    ("max", CalcOp::Max, "the largest"),
    ("p50", CalcOp::P50, "median"),
    ("p90", CalcOp::P90, "90th percentile"),
    ("p95", CalcOp::P95, "95th percentile"),
    ("p99", CalcOp::P99, "99th percentile"),
    ("p999", CalcOp::P999, "99.9th percentile"),
    (
        "error_share",
        CalcOp::ErrorShare,
        "share of events that failed, 0 to 1",
    ),
    ("distinct", CalcOp::Distinct, "different values"),
    ("percent", CalcOp::Percent, "part of the whole, 0 to 100"),
    ("heatmap", CalcOp::Heatmap, "counts by log-scaled value"),
];

/// Operators of a condition, with what each asks.
pub const OPERATORS: [(&str, FilterOp, &str); 10] = [
    ("=", FilterOp::Equal, "the same"),
    ("!=", FilterOp::NotEqual, "different, or absent"),
    ("<", FilterOp::Less, "below"),
    ("<=", FilterOp::AtMost, "below or the same"),
    (">", FilterOp::More, "above"),
    (">=", FilterOp::AtLeast, "above or the same"),
    ("in", FilterOp::In, "one of a list: in (a, b)"),
    (
        "contains",
        FilterOp::Contains,
        "the text holds this, in any case",
    ),
    (
        "matches",
        FilterOp::Matches,
        "a regular expression finds something",
    ),
    ("exists", FilterOp::Exists, "the event has the key"),
];

/// Words that other tools use for the same thing.
const SYNONYMS: [(&str, &str); 29] = [
    ("mean", "avg"),
    ("average", "avg"),
    ("median", "p50"),
    ("errors", "error_share"),
    ("error_rate", "error_share"),
    ("unique", "distinct"),
    ("uniq", "distinct"),
    ("count_distinct", "distinct"),
    ("cardinality", "distinct"),
    ("histogram", "heatmap"),
    ("total", "sum"),
    ("share", "percent"),
    ("filter", "where"),
    ("group", "by"),
    ("stats", "count"),
    ("sort", "order"),
    ("head", "limit"),
    ("take", "limit"),
    ("since", "last"),
    ("until", "to"),
    ("lookup", "join"),
    ("examples", "exemplars"),
    ("versus", "compare"),
    ("offset", "skip"),
    ("bubbleup", "differ"),
    ("explain", "differ"),
    ("like", "contains"),
    ("has", "contains"),
    ("regex", "matches"),
];

/// The word for a calculation.
pub fn calc_word(op: CalcOp) -> &'static str {
    let found = CALCS.iter().find(|(_, other, _)| *other == op);
    found.map_or("count", |(word, ..)| word)
}

/// The calculation that a word stands for.
pub fn calc_op(word: &str) -> Option<CalcOp> {
    let mut calcs = CALCS.iter();
    calcs.find(|(name, ..)| *name == word).map(|(_, op, _)| *op)
}

/// The word for an operator.
pub fn operator_word(op: FilterOp) -> &'static str {
    let found = OPERATORS.iter().find(|(_, other, _)| *other == op);
    found.map_or("=", |(word, ..)| word)
}

/// Name of a calculation's column: `count`, `p99(duration_ms)`.
pub fn calc_name(calc: &Calc) -> String {
    match &calc.key {
        Some(key) => format!("{}({key})", calc_word(calc.op)),
        None => calc_word(calc.op).to_owned(),
    }
}

/// The valid word that was probably meant: another tool's word for it, or one whose letters
/// differ least, at most a third of them, or that begins so.
pub fn nearest<'a>(typed: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = typed.to_lowercase();
    let synonym = SYNONYMS.iter().find(|(word, _)| *word == lower);
    let mut best: Option<(usize, &str)> = None;
    for word in valid {
        if synonym.is_some_and(|(_, meant)| *meant == word) {
            return Some(word);
        }
        let distance = distance(&lower, &word.to_lowercase());
        let begun = lower.len() >= 3 && word.starts_with(&lower);
        let close = begun || distance <= word.chars().count().max(3) / 3;
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// Letters to add, drop, change or swap with their neighbour to get from one to the other.
fn distance(left: &str, right: &str) -> usize {
    /// Longer words are never taken for one another; bounds the table.
    const CHARS_MAX: usize = 64;
    let left: Vec<char> = left.chars().take(CHARS_MAX).collect();
    let right: Vec<char> = right.chars().take(CHARS_MAX).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let same = usize::from(left[i - 1] != right[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            let swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant_is_found() {
        let check = |typed: &str, expected: Option<&str>| {
            let words = STAGES.iter().map(|(word, _)| *word);
            let words = words.chain(CALCS.iter().map(|(word, ..)| *word));
            assert_eq!(nearest(typed, words), expected, "{typed}");
        };
        check("wher", Some("where"));
        check("hwere", Some("where"));
        check("p9", Some("p90"));
        check("WHERE", Some("where"));
        check("average", Some("avg"));
        check("exemplar", Some("exemplars"));
        check("xyzzy", None);
        check("", None);
    }
}
