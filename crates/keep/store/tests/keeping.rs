//! What is kept, for how long, and what happens to files that go bad.
#![allow(clippy::unwrap_used)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::query::{Calc, CalcOp};
use andon_model::time::Timestamp;
use andon_store::{
    Batch, Condition, KeyType, Options, ResolvedQuery, Retention, Store, StoreError, Tailed, Test,
};
use common::{Dice, Folder, ask, open, options, segment_files};
use std::time::Duration;

const DAY: i64 = 86_400_000_000;

fn some_events(from: i64, step: i64, count: i64) -> Vec<Event> {
    let event = |number: i64| {
        Event::new(Timestamp(from + number * step))
            .with("service.name", format!("service-{}", number % 3))
            .with("body", format!("line {number}"))
    };
    (0..count).map(event).collect()
}

fn rows(store: &Store, dataset: &str) -> u64 {
    let datasets = store.datasets();
    let found = datasets.iter().find(|found| found.name == dataset);
    found.map_or(0, |found| found.rows)
}

#[test]
fn events_of_any_time_are_kept_by_their_own_day() {
    let folder = Folder::new("late");
    let store = open(&folder.0);
    store
        .append("web", &some_events(100 * DAY, DAY / 4, 12))
        .unwrap();
    store.append("web", &some_events(-5, 1, 1)).unwrap();
    let far = Timestamp::parse("2100-01-01T00:00:00Z").unwrap();
    store.append("web", &some_events(far.0, 1, 1)).unwrap();
    store.seal().unwrap();
    assert_eq!(store.stats().segments, 5);
    assert_eq!(rows(&store, "web"), 14);
    // Anybody's clock may be anywhere: days beyond a limit share a segment.
    store
        .append("wild", &some_events(0, 400 * DAY, 200))
        .unwrap();
    store.seal().unwrap();
    assert!(
        store.stats().segments <= 5 + 32,
        "{}",
        store.stats().segments
    );
    assert_eq!(rows(&store, "wild"), 200);
}

#[test]
fn the_old_go_by_age_and_the_oldest_by_size() {
    let folder = Folder::new("retention");
    let age = Retention {
        age_max: Duration::from_secs(2 * 86_400),
        ..Retention::default()
    };
    let mut kept = options();
    kept.retention.insert("aged".into(), age);
    let store = Store::open(&folder.0, kept.clone()).unwrap();
    for day in 0..5 {
        store
            .append("aged", &some_events(day * DAY, 1, 100))
            .unwrap();
        store
            .append("sized", &some_events(day * DAY, 1, 100))
            .unwrap();
        store
            .append("other", &some_events(day * DAY, 1, 100))
            .unwrap();
        store.seal().unwrap();
    }
    // These events are of 1970, and arrived today.
    let now = Timestamp(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as i64);
    store.maintain(now + Duration::from_secs(86_400)).unwrap();
    assert_eq!((rows(&store, "aged"), rows(&store, "sized")), (500, 500));
    store
        .maintain(now + Duration::from_secs(3 * 86_400))
        .unwrap();
    assert_eq!((rows(&store, "aged"), rows(&store, "sized")), (0, 500));
    assert_eq!(segment_files(&folder.0, "aged").len(), 0);
    drop(store);
    let bytes = std::fs::metadata(&segment_files(&folder.0, "sized")[0])
        .unwrap()
        .len();
    let size = Retention {
        bytes_max: bytes * 2 + bytes / 2,
        ..Retention::default()
    };
    kept.retention.insert("sized".into(), size);
    let store = Store::open(&folder.0, kept.clone()).unwrap();
    store.maintain(Timestamp(5 * DAY)).unwrap();
    assert_eq!((rows(&store, "sized"), rows(&store, "other")), (200, 500));
    assert_eq!(store.stats().rows_expired, 300, "of sized");
    drop(store);
    kept.bytes_max = bytes * 4;
    let store = Store::open(&folder.0, kept).unwrap();
    store.maintain(Timestamp(5 * DAY)).unwrap();
    let left = store.stats();
    assert!(
        left.bytes_sealed <= bytes * 4 && left.rows_sealed > 0,
        "{left:?}"
    );
}

#[test]
fn small_segments_become_one_and_nothing_is_lost_meanwhile() {
    let folder = Folder::new("merge");
    let store = open(&folder.0);
    for part in 0..10 {
        store
            .append("web", &some_events(part * 1_000, 10, 150))
            .unwrap();
        store.seal().unwrap();
    }
    assert_eq!(store.stats().segments, 10);
    store.maintain(Timestamp(0)).unwrap();
    assert!(store.stats().segments <= 2, "{:?}", store.stats());
    assert_eq!(rows(&store, "web"), 1_500);
    assert_eq!(
        segment_files(&folder.0, "web").len() as u64,
        store.stats().segments
    );
    drop(store);
    assert_eq!(rows(&open(&folder.0), "web"), 1_500);
}

#[test]
fn a_flipped_bit_is_named_left_out_and_repaired() {
    let folder = Folder::new("flip");
    let store = open(&folder.0);
    for part in 0..3 {
        store
            .append("web", &some_events(part * DAY, 1, 1_000))
            .unwrap();
        store.seal().unwrap();
    }
    drop(store);
    let files = segment_files(&folder.0, "web");
    let bad = &files[1];
    let whole = std::fs::read(bad).unwrap();
    let mut query = ResolvedQuery::new("web", Timestamp(0), Timestamp(10 * DAY));
    query.calcs = vec![Calc {
        op: CalcOp::Distinct,
        key: Some("body".into()),
    }];
    query.group_by = vec!["service.name".into()];
    let mut dice = Dice(3);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let place = dice.below(bytes.len() as u64) as usize;
        bytes[place] ^= 1 << dice.below(8);
        std::fs::write(bad, &bytes).unwrap();
        let store = open(&folder.0);
        let damage = store.check().damage;
        assert!(!damage.is_empty(), "byte {place} changed unnoticed");
        assert!(
            damage[0].what.contains("000000000002.segment"),
            "{damage:?}"
        );
        let answer = ask(&store, &query);
        assert!(answer.partial, "byte {place}");
        assert!(
            answer.notes[0].contains("web/000000000002.segment"),
            "{:?}",
            answer.notes
        );
        assert_eq!(answer.rows.len(), 3);
    }
    let store = open(&folder.0);
    let repaired = store.repair().unwrap();
    assert_eq!(repaired.set_aside.len(), 1, "{repaired:?}");
    assert!(std::path::Path::new(&repaired.set_aside[0].file).exists());
    assert!(!ask(&store, &query).partial);
    assert_eq!(rows(&store, "web"), 2_000 + repaired.rows_saved);
    drop(store);
    assert!(open(&folder.0).check().damage.is_empty());
}

#[test]
fn what_is_exported_is_every_event_as_it_came() {
    let folder = Folder::new("export");
    let store = open(&folder.0);
    let mut event = Event::new(Timestamp(1_795_132_800_123_456))
        .with("service.name", "web \"1\"\n")
        .with("kind", "event");
    event.set("count", Value::Integer(-7));
    event.set("share", Value::Float(0.1));
    event.set("strange", Value::Float(f64::NAN));
    event.set("ok", Value::Bool(true));
    store.append("web", &[event]).unwrap();
    for sealed in [false, true] {
        if sealed {
            store.seal().unwrap();
        }
        let mut out = Vec::new();
        let always = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        assert_eq!(store.export("web", always, &mut out).unwrap().rows, 1);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let wanted = serde_json::json!({
            "ts": "2026-11-20T00:00:00.123456Z", "service.name": "web \"1\"\n", "kind": "event",
            "count": -7, "share": 0.1, "strange": "NaN", "ok": true,
        });
        assert_eq!(line, wanted);
    }
}

#[test]
fn keys_and_values_are_there_to_complete_what_is_typed() {
    let folder = Folder::new("catalogue");
    let store = open(&folder.0);
    let mut mixed = Event::new(Timestamp(1)).with("service.name", "Web");
    mixed.set("status", Value::Integer(200));
    store.append("web", &[mixed]).unwrap();
    store.seal().unwrap();
    store.append("web", &some_events(10, 1, 5)).unwrap();
    store
        .append("web", &[Event::new(Timestamp(2)).with("status", "lost")])
        .unwrap();
    let keys = store.keys("web");
    assert_eq!((keys[0].name.as_str(), keys[0].rows), ("service.name", 6));
    let status = keys.iter().find(|key| key.name == "status").unwrap();
    assert_eq!(status.types, [KeyType::Number, KeyType::Text]);
    let found = store.values("web", "service.name", "w", 10);
    assert_eq!(found, [Value::from("Web")]);
    let found = store.values("web", "service.name", "service-", 2);
    assert_eq!(found, [Value::from("service-0"), Value::from("service-1")]);
    let found = store.values("web", "status", "", 10);
    assert_eq!(found, [Value::Integer(200), Value::from("lost")]);
}

#[test]
fn whoever_watches_sees_what_arrives_and_how_much_was_missed() {
    let folder = Folder::new("tail");
    let store = open(&folder.0);
    let tail = store.tail("web").unwrap();
    store.append("other", &some_events(0, 1, 3)).unwrap();
    store.append("web", &some_events(0, 1, 3)).unwrap();
    assert_eq!(
        tail.next(Duration::from_secs(5)),
        Tailed::Events(some_events(0, 1, 3))
    );
    assert_eq!(tail.next(Duration::ZERO), Tailed::Quiet);
    for _ in 0..70 {
        store.append("web", &some_events(0, 1, 1)).unwrap();
    }
    assert_eq!((tail.missed(), tail.missed()), (6, 0));
    drop(store);
    while let Tailed::Events(_) = tail.next(Duration::ZERO) {}
    assert_eq!(tail.next(Duration::ZERO), Tailed::Ended);
}

#[test]
fn what_cannot_be_stored_is_refused_with_its_reason() {
    let folder = Folder::new("refused");
    let limits = Options {
        datasets_max: 2,
        ..options()
    };
    let store = Store::open(&folder.0, limits).unwrap();
    let event = some_events(0, 1, 1);
    assert!(matches!(
        store.append("../etc", &event),
        Err(StoreError::DatasetName { .. })
    ));
    store.append("a", &event).unwrap();
    store.append("b", &event).unwrap();
    assert!(matches!(
        store.append("c", &event),
        Err(StoreError::TooManyDatasets { .. })
    ));
    assert!(matches!(
        Store::open(&folder.0, options()),
        Err(StoreError::InUse { .. })
    ));
    let mut batch = Batch::new();
    batch.begin(Timestamp(5));
    batch.set_text("", "no name");
    batch.set_text(&"long".repeat(100), "name too long");
    batch.set_text("twice", "first");
    batch.set_text("twice", "second");
    batch.set_text("body", &"ö".repeat(200_000));
    let receipt = store.append_batch("a", batch).unwrap();
    let counters = receipt.counters;
    assert_eq!(
        (
            counters.attributes_refused,
            counters.attributes_repeated,
            counters.texts_cut
        ),
        (2, 1, 1)
    );
}

#[test]
fn a_large_batch_is_stored_in_parts() {
    let folder = Folder::new("large");
    let store = open(&folder.0);
    let mut batch = Batch::new();
    for number in 0..150_000 {
        batch.begin(Timestamp(number));
        batch.set_integer("number", number);
    }
    assert_eq!(store.append_batch("web", batch).unwrap().rows, 150_000);
    assert_eq!(rows(&store, "web"), 150_000);
}

#[test]
fn metric_samples_take_little_and_answer_like_events() {
    let folder = Folder::new("metrics");
    let store = open(&folder.0);
    for step in 0..400i64 {
        let mut batch = Batch::new();
        for series in 0..100i64 {
            batch.begin(Timestamp(step * 15_000_000));
            batch.set_text("kind", "metric");
            batch.set_text("name", "http.requests");
            batch.set_text("host.name", &format!("host-{series}"));
            batch.set_float("value", (step * (series % 7 + 1) * 10) as f64);
        }
        store.append_batch("metrics", batch).unwrap();
    }
    store.seal().unwrap();
    let stats = store.stats();
    let bytes = stats.bytes_sealed as f64 / stats.rows_sealed as f64;
    assert!(bytes <= 1.5, "{bytes} bytes a sample");
    let mut query = ResolvedQuery::new("metrics", Timestamp(0), Timestamp(100 * 15_000_000));
    query.group_by = vec!["host.name".into()];
    query.calcs = vec![
        Calc {
            op: CalcOp::Max,
            key: Some("value".into()),
        },
        Calc {
            op: CalcOp::Count,
            key: None,
        },
    ];
    query.bucket = Some(Duration::from_secs(150));
    let answer = ask(&store, &query);
    assert_eq!(answer.rows.len(), 10 * 100);
    let counts = answer.rows.iter().map(|row| format!("{:?}", row[3]));
    assert!(
        counts
            .into_iter()
            .all(|count| count.contains("Integer(10)"))
    );
}

#[test]
fn coarser_steps_answer_exactly_like_the_samples_and_are_read_in_their_place() {
    let folder = Folder::new("rollup");
    let store = open(&folder.0);
    let mut dice = Dice(11);
    for step in 0..1_000i64 {
        let mut batch = Batch::new();
        for series in 0..20i64 {
            batch.begin(Timestamp(
                DAY + step * 15_000_000 + dice.below(9_000) as i64,
            ));
            batch.set_text("kind", "metric");
            batch.set_text("name", if series < 10 { "load" } else { "temperature" });
            batch.set_text("host.name", &format!("host-{}", series % 5));
            match dice.below(2) {
                0 => batch.set_integer("value", dice.below(1_000) as i64),
                _ => batch.set_float("value", dice.below(1_000) as f64 / 4.0),
            }
        }
        store.append_batch("metrics", batch).unwrap();
    }
    let calc = |op, key: &str| Calc {
        op,
        key: (!key.is_empty()).then(|| key.to_owned()),
    };
    let mut query = ResolvedQuery::new("metrics", Timestamp(DAY), Timestamp(2 * DAY));
    query.group_by = vec!["host.name".into()];
    query.filters = vec![Condition {
        key: "name".into(),
        test: Test::Equal(Value::from("load")),
    }];
    query.calcs = vec![
        calc(CalcOp::Count, ""),
        calc(CalcOp::Rate, "value"),
        calc(CalcOp::Sum, "value"),
        calc(CalcOp::Avg, "value"),
        calc(CalcOp::Min, "value"),
        calc(CalcOp::Max, "value"),
        calc(CalcOp::Percent, "value"),
    ];
    let hour = 3_600_000_000;
    let spans = [
        (DAY, 2 * DAY),
        (DAY + hour, DAY + 2 * hour),
        (DAY + 1, DAY + 2 * hour + 7),
    ];
    let buckets = [None, Some(300), Some(3_600), Some(60)];
    let base = query.clone();
    let answers = |store: &Store| -> Vec<(String, u64)> {
        let mut all = Vec::new();
        for (from, to) in spans {
            for bucket in buckets {
                let mut query = base.clone();
                (query.from, query.to) = (Timestamp(from), Timestamp(to));
                query.bucket = bucket.map(Duration::from_secs);
                let answer = ask(store, &query);
                assert!(!answer.partial, "{:?}", answer.notes);
                // Sums of quarters are exact in any order.
                all.push((format!("{:?}", answer.rows), answer.stats.rows_scanned));
            }
        }
        all
    };
    let before = answers(&store);
    store.seal().unwrap();
    let coarse = answers(&store);
    for (before, coarse) in before.iter().zip(&coarse) {
        assert_eq!(before.0, coarse.0);
    }
    assert!(
        coarse[0].1 * 50 < before[0].1,
        "{} rows in place of {}",
        coarse[0].1,
        before[0].1
    );
    assert!(
        coarse[1].1 * 8 < before[1].1,
        "{} rows in place of {}",
        coarse[1].1,
        before[1].1
    );
    // What asks for single samples reads them.
    query.calcs = vec![calc(CalcOp::P99, "value"), calc(CalcOp::Distinct, "value")];
    assert_eq!(ask(&store, &query).stats.rows_scanned, 20_000);
    // Without the files beside them, and with damaged ones, the samples answer.
    drop(store);
    let mut rollups = segment_files(&folder.0, "metrics");
    rollups.retain(|file| file.extension().is_some_and(|end| end != "segment"));
    assert_eq!(rollups.len(), 2);
    std::fs::remove_file(&rollups[0]).unwrap();
    std::fs::write(&rollups[1], "rubbish").unwrap();
    for (before, after) in before.iter().zip(answers(&open(&folder.0))) {
        assert_eq!(before.0, after.0);
    }
}
