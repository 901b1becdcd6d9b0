//! Where in a text the conditions of a question were met, so that the eye finds it.

use crate::pattern;
use crate::predicate::find;
use andon_store::{Condition, Test};
use regex::Regex;
use std::ops::Range;

/// Places in one text at most; beyond it nothing stands out any more.
pub const PLACES_MAX: usize = 100;

/// What is looked for, by key.
#[derive(Debug, Clone)]
pub struct Highlighter {
    sought: Vec<(String, Sought)>,
}

#[derive(Debug, Clone)]
enum Sought {
    Text(Vec<u8>),
    Pattern(Regex),
}

impl Highlighter {
    /// Of the conditions of a question those that look into texts.
    pub fn new(conditions: &[Condition]) -> Self {
        let sought = conditions.iter().filter_map(|condition| {
            let sought = match &condition.test {
                Test::Contains(text) if !text.is_empty() => {
                    Sought::Text(text.to_ascii_lowercase().into_bytes())
                }
                Test::Matches(text) => Sought::Pattern(pattern::compile(text).ok()?),
                _ => return None,
            };
            Some((condition.key.clone(), sought))
        });
        Self {
            sought: sought.collect(),
        }
    }

    /// Bytes of a key's text that meet a condition, in order, without overlaps, at most
    /// [`PLACES_MAX`].
    pub fn places(&self, key: &str, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        for (_, sought) in self.sought.iter().filter(|(other, _)| other == key) {
            match sought {
                Sought::Text(wanted) => texts(text, wanted, &mut places),
                Sought::Pattern(pattern) => {
                    let found = pattern.find_iter(text).map(|found| found.range());
                    places.extend(found.filter(|range| !range.is_empty()).take(PLACES_MAX));
                }
            }
        }
        joined(places)
    }
}

fn texts(text: &str, wanted: &[u8], places: &mut Vec<Range<usize>>) {
    let mut at = 0;
    let mut found = 0;
    while found < PLACES_MAX
        && let Some(next) = find(&text.as_bytes()[at..], wanted)
    {
        places.push(at + next..at + next + wanted.len());
        at += next + wanted.len();
        found += 1;
    }
}

fn joined(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| (place.start, place.end));
    let mut out: Vec<Range<usize>> = Vec::new();
    for place in places {
        match out.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => out.push(place),
        }
    }
    out.truncate(PLACES_MAX);
    out
}

/// The same places counted as browsers count: in UTF-16.
pub fn utf16(text: &str, places: &[Range<usize>]) -> Vec<Range<usize>> {
    let count = |end: usize| {
        text.get(..end)
            .map_or(0, |head| head.encode_utf16().count())
    };
    places
        .iter()
        .map(|place| count(place.start)..count(place.end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::resolve::conditions;

    #[test]
    fn what_was_looked_for_is_marked_where_it_stands() {
        let query = parse("logs | \"reset\" | where body matches \"rese.*?y\" and host contains x");
        let highlighter = Highlighter::new(&conditions(&query.unwrap()));
        let text = "über RESET reset by x";
        let marked: Vec<&str> = highlighter
            .places("body", text)
            .into_iter()
            .map(|place| &text[place])
            .collect();
        assert_eq!(marked, ["RESET", "reset by"]);
        assert!(highlighter.places("host", "abc").is_empty());
        assert_eq!(utf16(text, &highlighter.places("body", text))[0], 5..10);
    }
}
