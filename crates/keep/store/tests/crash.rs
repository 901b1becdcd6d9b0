//! A process that stores events is killed at any moment, again and again. Whatever it was told
//! is stored must be there afterwards, once.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::time::Timestamp;
use andon_store::{Background, Batch, Options, Origin, Store};
use common::{Dice, Folder};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "ANDON_STORE_CRASH_FOLDER";
const FIRST: &str = "ANDON_STORE_CRASH_FIRST";
const KILLS: usize = 25;

fn small() -> Options {
    Options {
        head_rows_max: 400,
        background: Background::Caller,
        ..Options::default()
    }
}

fn some_events(first: u64, count: u64) -> Vec<Event> {
    let event = |number: u64| {
        Event::new(Timestamp(number as i64 * 1_000))
            .with("number", format!("{number}"))
            .with("body", "x".repeat(number as usize % 50))
    };
    (first..first + count).map(event).collect()
}

/// Not a test of its own: what the killed process does.
#[test]
#[ignore = "run by the test below, in a process that is killed"]
fn the_process_that_is_killed() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else {
        return;
    };
    let store = Store::open(Path::new(&folder), small()).unwrap();
    let first: u64 = first.parse().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let store = &store;
            scope.spawn(move || {
                let mut number = first + writer * 1_000_000;
                loop {
                    let count = 1 + number % 40;
                    store.append("crash", &some_events(number, count)).unwrap();
                    // The pipe is read after the kill: what is in it was said before.
                    println!("stored {number} {count}");
                    number += count;
                }
            });
        }
        scope.spawn(|| {
            loop {
                store.maintain(Timestamp(0)).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    });
}

#[test]
fn what_was_acknowledged_is_there_once_after_any_kill() {
    let folder = Folder::new("crash");
    let mut dice = Dice(u64::from(std::process::id()));
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    for round in 0..KILLS as u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "the_process_that_is_killed",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, &folder.0)
            .env(FIRST, (round * 10_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| *word != "stored")
                .skip(1);
            if let (Some(Ok(number)), Some(Ok(count))) =
                (words.next().map(str::parse), words.next().map(str::parse))
            {
                acknowledged.push((number, count));
            }
        };
        // After the first word, so that opening is killed only in some rounds.
        if round % 5 != 0 {
            lines
                .by_ref()
                .map_while(Result::ok)
                .find(|line| line.contains("stored"))
                .map(&mut note);
        }
        std::thread::sleep(Duration::from_millis(dice.below(120)));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(&mut note);
    }
    assert!(
        acknowledged.len() > KILLS,
        "only {} batches",
        acknowledged.len()
    );
    let store = Store::open(&folder.0, small()).unwrap();
    store.seal().unwrap();
    assert!(store.check().damage.is_empty());
    let mut exported = Vec::new();
    let always = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    store.export("crash", always, &mut exported).unwrap();
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for line in String::from_utf8(exported).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = line["number"].as_str().unwrap().parse().unwrap();
        *seen.entry(number).or_default() += 1;
    }
    for (number, count) in acknowledged {
        for number in number..number + count {
            assert_eq!(seen.get(&number), Some(&1), "event {number}");
        }
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
}

#[test]
fn a_batch_sent_again_counts_once_also_after_its_log_is_gone() {
    let folder = Folder::new("again");
    let batch = |number: u64| Batch::of(&some_events(number, 10));
    let origin = |sequence| Origin {
        source: "node-1".into(),
        sequence,
    };
    for sealed in [false, true] {
        let store = Store::open(&folder.0, small()).unwrap();
        let first = if sealed { 3 } else { 1 };
        assert_eq!(
            store
                .append_once("spool", batch(first), origin(first))
                .unwrap()
                .rows,
            10
        );
        assert_eq!(
            store
                .append_once("spool", batch(first), origin(first))
                .unwrap()
                .repeated,
            10
        );
        if sealed {
            store.seal().unwrap();
        }
        drop(store);
        let store = Store::open(&folder.0, small()).unwrap();
        assert_eq!(store.last_sequence("node-1"), Some(first));
        assert_eq!(
            store
                .append_once("spool", batch(first), origin(first))
                .unwrap()
                .rows,
            0
        );
        assert_eq!(
            store
                .append_once("spool", batch(first + 1), origin(first + 1))
                .unwrap()
                .rows,
            10
        );
    }
    let store = Store::open(&folder.0, small()).unwrap();
    let rows: u64 = store.datasets().iter().map(|dataset| dataset.rows).sum();
    assert_eq!(rows, 40);
}

#[test]
fn a_log_cut_at_any_byte_gives_back_all_whole_batches() {
    let folder = Folder::new("torn");
    let store = Store::open(&folder.0, small()).unwrap();
    for number in 0..4 {
        store.append("torn", &some_events(number * 10, 10)).unwrap();
    }
    drop(store);
    let log = folder.0.join("wal").join("000000000001.wal");
    let whole = std::fs::read(&log).unwrap();
    let mut last = 0;
    for length in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        let copy = Folder::new("torn-copy");
        std::fs::create_dir_all(copy.0.join("wal")).unwrap();
        std::fs::write(
            copy.0.join("wal").join("000000000001.wal"),
            &whole[..length],
        )
        .unwrap();
        let store = Store::open(&copy.0, small()).unwrap();
        let rows: u64 = store.datasets().iter().map(|dataset| dataset.rows).sum();
        assert!(
            rows.is_multiple_of(10) && rows >= last,
            "{rows} events of {length} bytes"
        );
        last = rows;
    }
    assert_eq!(last, 40);
}

#[test]
fn a_log_with_a_flipped_bit_gives_back_all_other_batches_and_says_so() {
    let folder = Folder::new("bad-log");
    let store = Store::open(&folder.0, small()).unwrap();
    for number in 0..4 {
        store.append("log", &some_events(number * 10, 10)).unwrap();
    }
    drop(store);
    let log = folder.0.join("wal").join("000000000001.wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() * 3 / 8;
    bytes[middle] ^= 16;
    std::fs::write(&log, &bytes).unwrap();
    let store = Store::open(&folder.0, small()).unwrap();
    let rows: u64 = store.datasets().iter().map(|dataset| dataset.rows).sum();
    assert_eq!(rows, 30);
    let damage = store.check().damage;
    assert!(
        damage.len() == 1 && damage[0].what.contains("log 1 is damaged"),
        "{damage:?}"
    );
    let mut query = andon_store::ResolvedQuery::new("log", Timestamp(0), Timestamp(1_000_000));
    query.calcs = vec![];
    let answer = common::ask(&store, &query);
    assert!(
        answer.partial && answer.rows.len() == 30,
        "{:?}",
        answer.notes
    );
    let value = Value::from("0");
    assert!(store.values("log", "number", "", 100).contains(&value));
}
