//! The embedded store answers as the oracle does: from memory, from disk, and as two stores.

#![allow(clippy::unwrap_used)]

mod oracle;

use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Cell};
use andon_model::time::Timestamp;
use andon_query::run::embedded::Embedded;
use andon_query::run::{Asking, Source, Stores, run};
use andon_query::{Plan, parse, resolve};
use andon_store::{Cancel, Options, Retention, Store};
use oracle::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("andon-query-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn plan(text: &str) -> Plan {
    let query = parse(text).unwrap_or_else(|error| panic!("{}", error.pointed(text)));
    resolve(&query, Timestamp(START + 60 * MINUTE)).unwrap()
}

/// The events of the tests are from a day long ago, and are to stay.
fn options() -> Options {
    Options {
        retention_default: Retention {
            age_max: Duration::from_secs(100 * 365 * 86_400),
            ..Retention::default()
        },
        ..Options::default()
    }
}

fn filled(folder: &Folder, oracle: &Naive) -> Store {
    let store = Store::open(&folder.0, options()).unwrap();
    for (dataset, events) in &oracle.datasets {
        for part in events.chunks(700) {
            store.append(dataset, part).unwrap();
        }
    }
    store
}

fn embedded(store: &Store) -> Embedded<'_> {
    Embedded {
        label: "keeper".into(),
        store,
    }
}

fn check_all(stores: &[&Embedded<'_>], oracle: &Naive, seed: u64) {
    let cancel = Cancel::new();
    let asking = Asking::new(&cancel);
    let stores = Stores::new(stores.to_vec());
    for text in questions(80, seed) {
        let plan = plan(&text);
        let ours = Stores::new(vec![oracle])
            .answer(&plan.query, &asking)
            .unwrap();
        let theirs = stores.answer(&plan.query, &asking).unwrap();
        same(&plan.query, &ours, &theirs)
            .unwrap_or_else(|why| panic!("{text}\n{:?}\n{why}", theirs.notes));
        assert!(!theirs.partial, "{text}: {:?}", theirs.notes);
    }
}

#[test]
fn one_store_answers_as_the_oracle_does_from_memory_and_from_disk() {
    let oracle = Naive::new([("requests", requests(4_000, 7)), ("hosts", hosts(8))]);
    let folder = Folder::new("one");
    let store = filled(&folder, &oracle);
    check_all(&[&embedded(&store)], &oracle, 11);
    ordered(&store, &oracle);
    store.seal().unwrap();
    check_all(&[&embedded(&store)], &oracle, 12);
    ordered(&store, &oracle);
    drop(store);
    let again = Store::open(&folder.0, options()).unwrap();
    check_all(&[&embedded(&again)], &oracle, 13);
}

#[test]
fn two_stores_with_different_events_answer_as_one_with_all() {
    let all = requests(4_000, 17);
    let (left, right) = all.split_at(1_300);
    let oracle = Naive::new([("requests", all.clone()), ("hosts", hosts(18))]);
    let folders = [Folder::new("left"), Folder::new("right")];
    let first = filled(
        &folders[0],
        &Naive::new([("requests", left.to_vec()), ("hosts", hosts(18))]),
    );
    let second = filled(&folders[1], &Naive::new([("requests", right.to_vec())]));
    first.seal().unwrap();
    check_all(&[&embedded(&first), &embedded(&second)], &oracle, 14);
}

/// What groups do not show: order, limits, raw events with a join, exemplars, comparisons.
fn ordered(store: &Store, oracle: &Naive) {
    let cancel = Cancel::new();
    let asking = Asking::new(&cancel);
    let embedded = embedded(store);
    let stores = Stores::new(vec![&embedded]);
    let time = "from 1763700000000 to 1763703600000";
    for text in [
        "requests | by region | sum(duration_ms) | top 3",
        "requests | by region, 7m | count",
        "requests | by host.name | max(duration_ms), count | top 5 by max(duration_ms)",
        "requests | by odd | count | order odd",
        "requests | by odd | count | order -odd | top 3",
        "requests | by region, 10m | count, avg(duration_ms) | compare -20m | order region, time",
        "requests | by host.name | count | compare -20m | top 3 by count.before",
    ] {
        let plan = plan(&format!("{text} | {time}"));
        let ours = run(&plan, &Stores::new(vec![oracle]), &asking).unwrap();
        let theirs = run(&plan, &stores, &asking).unwrap();
        let shown = |answer: &Answer| -> Vec<String> {
            let cell = |cell: &Cell| match cell {
                Cell::Value(value) => value
                    .number()
                    .map_or(value.to_string(), |number| format!("{number:.6e}")),
                other => format!("{other:?}"),
            };
            let rows = answer.rows.iter();
            rows.map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "))
                .collect()
        };
        assert_eq!(shown(&theirs), shown(&ours), "{text}");
    }
    for text in [
        "requests | where status >= 500 and body contains reset | top 20",
        "requests | where odd exists | order time | top 30",
        "requests | join hosts on host.name take kernel, region | where hosts.kernel = \"6.2.0\" | top 50",
    ] {
        let plan = plan(&format!("{text} | {time}"));
        let ours = run(&plan, &Stores::new(vec![oracle]), &asking).unwrap();
        let theirs = run(&plan, &stores, &asking).unwrap();
        assert_eq!(by_name(&theirs), by_name(&ours), "{text}");
    }
    let plan = plan(&format!("requests | count | exemplars 3 | {time}"));
    let answer = run(&plan, &stores, &asking).unwrap();
    let slow = |one: &andon_model::query::Exemplar| one.attributes["duration_ms"].number().unwrap();
    let durations: Vec<f64> = answer.exemplars[..3].iter().map(slow).collect();
    let events = oracle.datasets["requests"].iter();
    let mut all: Vec<f64> = events
        .filter_map(|event| event.get("duration_ms")?.number())
        .collect();
    all.sort_by(f64::total_cmp);
    assert_eq!(
        durations,
        all[all.len() - 3..]
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
    );
    assert_eq!(answer.exemplars.len(), 9);
    assert_eq!(answer.rows[0][0], Cell::Value(Value::Integer(4_000)));
}

/// Rows by the names of their columns, whose order is a matter of taste.
fn by_name(answer: &Answer) -> Vec<BTreeMap<&str, &Cell>> {
    let names = || answer.columns.iter().map(|column| column.name.as_str());
    let rows = answer.rows.iter().map(|row| {
        let cells = names().zip(row).filter(|(_, cell)| **cell != Cell::Null);
        cells.collect()
    });
    rows.collect()
}

#[test]
fn completion_knows_what_the_store_has() {
    let folder = Folder::new("complete");
    let store = filled(
        &folder,
        &Naive::new([("requests", requests(500, 3)), ("hosts", hosts(4))]),
    );
    let keeper = embedded(&store);
    let check = |text: &str, expected: &str| {
        let found = andon_query::text::complete(text, text.len(), &keeper);
        assert!(
            found.iter().any(|one| one.text == expected),
            "{text}: {found:?}"
        );
    };
    check("req", "requests");
    check("requests | where dur", "duration_ms");
    check("requests | where region = ", "\"r3\"");
    check("requests | where host.name in (\"h1", "\"h12\"");
    check("requests | join hosts on host.name take ker", "kernel");
}

fn asked(store: &Store, text: &str) -> Answer {
    let cancel = Cancel::new();
    let embedded = embedded(store);
    run(
        &plan(text),
        &Stores::new(vec![&embedded]),
        &Asking::new(&cancel),
    )
    .unwrap()
}

fn event(minute: i64, number: i64, attributes: Vec<(&str, Value)>) -> Event {
    Event {
        at: Timestamp(START + minute * MINUTE + number),
        attributes: attributes
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}

#[test]
fn what_sets_the_slow_ones_apart_is_found_and_names_of_single_events_are_not_it() {
    let folder = Folder::new("differ");
    let store = Store::open(&folder.0, options()).unwrap();
    let events: Vec<Event> = (0..3_000)
        .map(|n| {
            let (kernel, zone) = (format!("6.{}", n % 6), format!("z{}", n / 6 % 5));
            let planted = kernel == "6.3" && zone == "z2" && n > 1_500;
            let took = if planted {
                900.0
            } else {
                10.0 + (n % 7) as f64
            };
            let mut attributes = vec![
                ("kernel", Value::Text(kernel)),
                ("zone", Value::Text(zone)),
                ("shift", Value::Integer(n % 2)),
                ("trace_id", Value::Text(format!("t{n}"))),
                ("took", Value::Float(took)),
            ];
            if planted {
                attributes.push(("retry", Value::Bool(true)));
            }
            event(n / 60, n % 60, attributes)
        })
        .collect();
    store.append("requests", &events).unwrap();
    let answer = asked(&store, "requests | last 1h | differ took >= 500");
    let rows: Vec<String> = answer
        .rows
        .iter()
        .map(|row| format!("{:?} {:?}", row[0], row[1]))
        .collect();
    let first: String = rows.iter().take(3).cloned().collect();
    for word in ["6.3", "z2", "retry"] {
        assert!(first.contains(word), "{rows:?}");
    }
    // Half of all requests are of either shift: as many inside, so it is nothing.
    assert!(!rows.iter().any(|row| row.contains("trace_id")), "{rows:?}");
    assert!(
        answer.notes.iter().any(|note| note.contains("trace_id")),
        "{:?}",
        answer.notes
    );
    let Cell::Value(share) = &answer.rows[0][2] else {
        panic!("{answer:?}")
    };
    assert_eq!(share.number(), Some(100.0));
    // Time alone sets apart too, and an empty inside is an answer.
    let late = asked(&store, "requests | last 1h | differ from -2h to now");
    assert!(
        late.notes
            .iter()
            .any(|note| note.contains("nothing is left to compare")),
        "{late:?}"
    );
    assert!(
        asked(&store, "requests | last 1h | differ took > 5000")
            .rows
            .is_empty()
    );
}

#[test]
fn page_after_page_is_the_whole_also_where_many_events_have_one_moment() {
    let folder = Folder::new("pages");
    let store = Store::open(&folder.0, options()).unwrap();
    for part in 0..5 {
        let events: Vec<Event> = (0..100)
            .map(|n| event(5, n / 50, vec![("n", Value::Integer(part * 100 + n))]))
            .collect();
        store.append("logs", &events).unwrap();
    }
    let whole = asked(&store, "logs | last 1h | top 1000");
    assert_eq!(whole.rows.len(), 500);
    assert_eq!(
        whole.to.unwrap().since(whole.from.unwrap()),
        Duration::from_secs(3_600)
    );
    let mut paged = Vec::new();
    for page in 0..6 {
        let text = format!("logs | last 1h | top 90 | skip {}", page * 90);
        paged.extend(asked(&store, &text).rows);
    }
    assert_eq!(paged, whole.rows);
}
