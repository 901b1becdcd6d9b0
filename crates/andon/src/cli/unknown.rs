//! Why a question finds nothing: names that nobody has ever sent, and the nearest that somebody
//! has. Nothing is asked for it unless an answer looks as if it were needed.

use super::asked::AskedNode;
use andon_model::query::{Answer, Cell, ColumnKind, Query};
use andon_model::time::Timestamp;
use andon_query::words::nearest;
use std::collections::BTreeSet;
use std::time::Duration;

/// Datasets that are named where none is near.
const NAMED_MAX: usize = 8;
/// For each of the two lists.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether an answer looks as if something in its question were misspelt: nothing was there to
/// look at, nothing was found, or a whole column is empty.
fn is_odd(answer: &Answer) -> bool {
    let is_empty = |index: usize| {
        let mut cells = answer.rows.iter().map(|row| row.get(index));
        cells.all(|cell| matches!(cell, None | Some(Cell::Null)))
    };
    let mut columns = answer.columns.iter().enumerate();
    answer.stats.rows_scanned == 0
        || answer.rows.is_empty()
        || columns.any(|(index, column)| column.kind != ColumnKind::Time && is_empty(index))
}

/// What in the question nobody knows, a sentence each. Whoever cannot be asked says nothing.
pub async fn names(asked: &AskedNode, query: &Query, answer: &Answer) -> Vec<String> {
    if !is_odd(answer) {
        return Vec::new();
    }
    let Some(datasets) = list(asked, "/api/v1/datasets").await else {
        return Vec::new();
    };
    let Some(dataset) = datasets.iter().find(|one| one.name == query.dataset) else {
        return vec![no_dataset(&query.dataset, &names_of(datasets))];
    };
    if let Some(note) = elsewhere(dataset, answer) {
        return vec![note];
    }
    let path = format!("/api/v1/datasets/{}/keys", query.dataset);
    match list(asked, &path).await {
        Some(keys) => no_keys(query, &names_of(keys)),
        None => Vec::new(),
    }
}

/// A dataset, or a key of one.
#[derive(serde::Deserialize)]
struct Named {
    name: String,
    /// A dataset's oldest event.
    from: Option<Timestamp>,
    /// Its newest.
    to: Option<Timestamp>,
}

async fn list(asked: &AskedNode, path: &str) -> Option<Vec<Named>> {
    let answer = asked.client(TIMEOUT).get(path).await.ok()?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body).ok(),
        _ => None,
    }
}

fn names_of(list: Vec<Named>) -> BTreeSet<String> {
    list.into_iter().map(|one| one.name).collect()
}

/// Where the events of a dataset are, if none is of the time that was asked about.
fn elsewhere(dataset: &Named, answer: &Answer) -> Option<String> {
    let (from, to) = (dataset.from?, dataset.to?);
    if to >= answer.from? && from < answer.to? {
        return None;
    }
    let (first, last) = (
        from.to_string(),
        (to + Duration::from_millis(1)).to_string(),
    );
    Some(format!(
        "the events of `{}` are of another time: add `| from {first} | to {last}`",
        dataset.name
    ))
}

fn no_dataset(name: &str, datasets: &BTreeSet<String>) -> String {
    let names = || datasets.iter().map(String::as_str);
    let help = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if datasets.is_empty() => "nothing was sent yet".to_owned(),
        None => {
            let some: Vec<&str> = names().take(NAMED_MAX).collect();
            let more = match datasets.len() > NAMED_MAX {
                true => ", …",
                false => "",
            };
            format!("there are: {}{more}", some.join(", "))
        }
    };
    format!("no dataset is called `{name}`; {help}")
}

/// Keys of a question that no event of its dataset has. Those that a join brings are not known.
fn no_keys(query: &Query, keys: &BTreeSet<String>) -> Vec<String> {
    if query.join.is_some() {
        return Vec::new();
    }
    let filters = query.filters.iter().map(|filter| &filter.key);
    let calcs = query.calc.iter().filter_map(|calc| calc.key.as_ref());
    let named: BTreeSet<&String> = filters.chain(&query.group_by).chain(calcs).collect();
    let unknown = named.into_iter().filter(|key| !keys.contains(*key));
    let told = unknown.map(|key| {
        let near = nearest(key, keys.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_default();
        format!("no event of `{}` has the key `{key}`{near}", query.dataset)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn who_asks_about_another_time_is_told_where_the_events_are() {
        let dataset = |from, to| Named {
            name: "zk".to_owned(),
            from: Some(Timestamp(from)),
            to: Some(Timestamp(to)),
        };
        let answer = Answer {
            from: Some(Timestamp(5_000_000)),
            to: Some(Timestamp(9_000_000)),
            ..Answer::default()
        };
        let told = elsewhere(&dataset(0, 1_000_000), &answer).unwrap();
        let range = "| from 1970-01-01T00:00:00.000Z | to 1970-01-01T00:00:01.001Z";
        assert!(told.contains(range), "{told}");
        assert!(elsewhere(&dataset(9_000_000, 9_500_000), &answer).is_some());
        assert_eq!(elsewhere(&dataset(0, 5_000_000), &answer), None);
    }

    #[test]
    fn a_name_that_nobody_sent_is_told_with_the_nearest_that_somebody_did() {
        let told = |name, datasets: &[&str]| no_dataset(name, &set(datasets));
        assert_eq!(
            told("requets", &["logs", "requests"]),
            "no dataset is called `requets`; did you mean `requests`?"
        );
        assert_eq!(
            told("zzz", &["logs", "requests"]),
            "no dataset is called `zzz`; there are: logs, requests"
        );
        assert!(told("logs", &[]).ends_with("nothing was sent yet"));
        let keys = set(&["status", "region", "duration_ms"]);
        let check = |question: &str, expected: &[&str]| {
            let query = andon_query::parse(question).unwrap();
            assert_eq!(no_keys(&query, &keys), expected, "{question}");
        };
        check("a | where status = 1 | by region | p99(duration_ms)", &[]);
        check(
            "a | where statsu = 1 | by nowhere",
            &[
                "no event of `a` has the key `nowhere`",
                "no event of `a` has the key `statsu`; did you mean `status`?",
            ],
        );
        check("a | join b on region take x | by x", &[]);
    }

    #[test]
    fn only_an_answer_that_looks_odd_is_asked_about() {
        let column = |name: &str, kind| andon_model::query::Column {
            name: name.to_owned(),
            kind,
        };
        let mut answer = Answer {
            columns: vec![column("key", ColumnKind::Key)],
            rows: vec![vec![Cell::Value("x".into())], vec![Cell::Null]],
            ..Answer::default()
        };
        answer.stats.rows_scanned = 5;
        assert!(!is_odd(&answer));
        answer.rows.remove(0);
        assert!(is_odd(&answer), "a key that nothing has");
        answer.rows.clear();
        assert!(is_odd(&answer), "nothing found");
    }
}
