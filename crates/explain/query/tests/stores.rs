//! Asking one or several stores: slices, joins, comparisons, limits, failures.

#![allow(clippy::unwrap_used)]

mod oracle;

use andon_model::event::Value;
use andon_model::query::{Answer, Cell};
use andon_model::time::Timestamp;
use andon_query::run::{Asking, Early, RunError, Stores, run, trace};
use andon_query::{parse, resolve::resolve};
use andon_store::Cancel;
use oracle::*;
use std::sync::Mutex;

fn now() -> Timestamp {
    Timestamp(START + 60 * MINUTE)
}

fn ask(text: &str, stores: &[&Naive]) -> Result<Answer, RunError> {
    let plan = resolve(&parse(text).unwrap(), now()).unwrap();
    run(
        &plan,
        &Stores::new(stores.to_vec()),
        &Asking::new(&Cancel::new()),
    )
}

#[test]
fn two_stores_answer_as_one_that_holds_all() {
    let all = requests(4_000, 1);
    let (left, right) = all.split_at(1_500);
    let whole = Naive::new([("requests", all.clone()), ("hosts", hosts(2))]);
    let first = Naive::new([("requests", left.to_vec()), ("hosts", hosts(2))]);
    let second = Naive::new([("requests", right.to_vec())]);
    for text in questions(60, 3) {
        let plan = resolve(&parse(&text).unwrap(), now()).unwrap();
        let one = ask(&text, &[&whole]).unwrap();
        let two = ask(&text, &[&first, &second]).unwrap();
        same(&plan.query, &one, &two).unwrap_or_else(|why| panic!("{text}\n{why}"));
        assert!(!two.partial, "{text}: {:?}", two.notes);
    }
}

#[test]
fn a_join_takes_the_last_row_not_after_the_event_else_the_first() {
    let at = |minute: i64| Timestamp(START + minute * MINUTE);
    let event = |minute| andon_model::event::Event::new(at(minute)).with("host", "a");
    let host = |minute, kernel: &str| event(minute).with("kernel", kernel);
    let store = Naive::new([
        ("requests", vec![event(5), event(15), event(25)]),
        ("hosts", vec![host(20, "6.2"), host(10, "6.1")]),
    ]);
    let text = "requests | join hosts on host take kernel | by kernel | count | last 1h";
    let answer = ask(text, &[&store]).unwrap();
    let rows = format!("{:?}", answer.rows);
    assert!(
        rows.contains("[Value(Text(\"6.1\")), Value(Integer(2))]"),
        "{rows}"
    );
    assert!(
        rows.contains("[Value(Text(\"6.2\")), Value(Integer(1))]"),
        "{rows}"
    );
}

#[test]
fn a_comparison_shows_before_change_and_what_has_vanished() {
    let at = |minute: i64, zone: &str| {
        andon_model::event::Event::new(Timestamp(START + minute * MINUTE)).with("zone", zone)
    };
    let mut events = vec![
        at(50, "a"),
        at(51, "a"),
        at(52, "b"),
        at(20, "a"),
        at(21, "gone"),
    ];
    events.push(at(53, "a"));
    let store = Naive::new([("requests", events)]);
    let answer = ask(
        "requests | by zone | count | last 30m | compare -30m | order zone",
        &[&store],
    )
    .unwrap();
    let names: Vec<&str> = answer
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["zone", "count", "count.before", "count.change"]);
    let text = |cell: &Cell| match cell {
        Cell::Value(value) => value.to_string(),
        _ => "-".to_owned(),
    };
    let rows: Vec<String> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(rows, ["a 3 1 200", "b 1 - -", "gone - 1 -"]);
    let top = ask(
        "requests | by zone, 10m | count | last 30m | compare -30m | top 1 by count.change",
        &[&store],
    )
    .unwrap();
    assert_eq!(top.rows.len(), 1);
    assert_eq!(top.rows[0][4], Cell::Value(Value::Float(200.0)));
}

#[test]
fn a_store_that_fails_is_noted_and_only_if_all_fail_is_it_an_error() {
    let good = Naive::new([("requests", requests(100, 1))]);
    let mut bad = Naive::new([]);
    bad.broken = true;
    bad.name = "keeper-2".into();
    let answer = ask("requests | count", &[&good, &bad]).unwrap();
    assert!(answer.partial);
    assert_eq!(answer.notes, ["keeper-2 is missing: its disk is gone"]);
    let error = ask("requests | count", &[&bad]).unwrap_err();
    assert!(matches!(error, RunError::Failed { help, .. } if help == "replace it"));
    assert_eq!(ask("requests | count", &[]).unwrap_err(), RunError::Nobody);
}

#[test]
fn raw_events_come_newest_first_and_no_more_than_asked_for() {
    let store = Naive::new([("requests", requests(1_000, 1))]);
    let answer = ask("requests | top 10", &[&store]).unwrap();
    assert_eq!(answer.rows.len(), 10);
    assert!(answer.notes.is_empty(), "{:?}", answer.notes);
    let many = Naive::new([("requests", requests(1_200, 1))]);
    let answer = ask("requests", &[&many]).unwrap();
    assert!(
        answer.notes[0].contains("first 1000 rows"),
        "{:?}",
        answer.notes
    );
    let times: Vec<String> = answer
        .rows
        .iter()
        .map(|row| format!("{:?}", row[0]))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    let oldest = ask("requests | order time | top 10", &[&store]).unwrap();
    assert!(format!("{:?}", oldest.rows[0][0]) < times[9]);
}

#[test]
fn a_question_tells_how_far_it_is_and_can_be_called_off() {
    let first = Naive::new([("requests", requests(2_000, 1))]);
    let second = Naive::new([("requests", requests(400, 2))]);
    let plan = resolve(&parse("requests | count | last 1h").unwrap(), now()).unwrap();
    let stores = Stores::new(vec![&first, &second]);
    let cancel = Cancel::new();
    let told: Mutex<Vec<(f64, Cell)>> = Mutex::new(Vec::new());
    let tell = |early: Early| {
        assert!(early.answer.partial);
        told.lock()
            .unwrap()
            .push((early.share, early.answer.rows[0][0].clone()));
    };
    let asking = Asking {
        tell: Some(&tell),
        ..Asking::new(&cancel)
    };
    let answer = run(&plan, &stores, &asking).unwrap();
    assert_eq!(answer.rows[0][0], Cell::Value(Value::Integer(2_400)));
    assert!(!answer.partial);
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(told.len(), 8);
    let (share, last) = told
        .iter()
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .unwrap();
    assert_eq!((*share, last), (1.0, &Cell::Value(Value::Integer(2_400))));
    cancel.cancel();
    assert_eq!(
        run(&plan, &stores, &asking).unwrap_err(),
        RunError::Cancelled
    );
}

#[test]
fn a_trace_is_found_and_drawn_whole() {
    let span = |at: i64, id: &str, parent: &str| {
        andon_model::event::Event::new(Timestamp(START + at))
            .with("trace_id", "t1")
            .with("span_id", id)
            .with("parent_span_id", parent)
            .with("duration_ms", Value::Float(0.5))
    };
    let mut events = requests(100, 1);
    events.extend([span(250, "b", "a"), span(0, "a", "")]);
    let store = Naive::new([("spans", events)]);
    let cancel = Cancel::new();
    let time = (Timestamp(START), now());
    let stores = Stores::new(vec![&store]);
    let (trace, notes) = trace("spans", "t1", time, &stores, &Asking::new(&cancel)).unwrap();
    let spans: Vec<(usize, u64)> = trace
        .spans
        .iter()
        .map(|span| (span.depth, span.offset_us))
        .collect();
    assert_eq!(spans, [(0, 0), (1, 250)]);
    assert!(notes.is_empty());
}

#[test]
fn every_question_of_the_cookbook_can_be_asked() {
    let book = include_str!("../../../../docs/query.md");
    let (_, book) = book.split_once("## Questions").unwrap();
    let (book, _) = book.split_once("## As JSON").unwrap();
    let questions: Vec<&str> = book
        .lines()
        .filter_map(|line| {
            line.split_once(": `")
                .or(line.split_once("? `"))?
                .1
                .strip_suffix('`')
        })
        .collect();
    assert!(questions.len() >= 20, "{questions:?}");
    for text in questions {
        let (query, _) = andon_query::plan(text, now())
            .unwrap_or_else(|error| panic!("{}", error.pointed(text)));
        assert_eq!(parse(&andon_query::print(&query)).unwrap(), query);
    }
}
