//! What is exported as Parquet, read by the library that writes it and by DuckDB: the same events,
//! of the same types, whatever keys they have.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::time::Timestamp;
use andon_store::{Batch, Store, StoreError};
use common::{Dice, Folder, open, segment_files};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

const ALWAYS: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
const BEGIN: i64 = 1_795_132_800_123_456;

/// Events of several shapes; a key of several types among them.
fn mixed(count: i64) -> Vec<Event> {
    let mut dice = Dice(7);
    let event = |number: i64| {
        let mut event = Event::new(Timestamp(BEGIN + number * 1_000))
            .with("service.name", format!("service-{}", dice.below(5)))
            .with("trace_id", format!("{:016x}", dice.next()));
        event.set("n", Value::Integer(number));
        match number % 4 {
            0 => event.set("status", Value::Integer(200 + number % 7)),
            1 => event.set("status", Value::from("timeout \"x\"\n\u{1f600}")),
            2 => event.set("status", Value::Bool(number % 8 == 2)),
            _ => {}
        }
        let milliseconds = dice.below(100_000) as f64 / 1_000.0;
        match number % 3 {
            0 => event.set("duration_ms", Value::Integer(number)),
            _ => event.set("duration_ms", Value::Float(milliseconds)),
        }
        if number % 100 == 0 {
            event.set("id", Value::Integer(i64::MAX - number));
            event.set("strange", Value::Float(f64::NAN));
        }
        if number % 100 == 1 {
            event.set("id", Value::Float(0.5));
        }
        event
    };
    (0..count).map(event).collect()
}

fn export(store: &Store, file: &Path, span: (Timestamp, Timestamp)) -> u64 {
    let out = std::fs::File::create(file).unwrap();
    let report = store.export_parquet("web", span, out).unwrap();
    assert_eq!(report.notes, [""; 0]);
    report.rows
}

/// All rows, each with the columns that are there.
fn rows(file: &Path) -> Vec<BTreeMap<String, Field>> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let columns = row.unwrap().into_columns().into_iter();
        columns.filter(|(_, field)| *field != Field::Null).collect()
    });
    rows.collect()
}

/// What an event should be as a row.
fn row(event: &Event) -> BTreeMap<String, Field> {
    let mut row = BTreeMap::from([("ts".to_owned(), Field::TimestampMicros(event.at.0))]);
    for (key, value) in &event.attributes {
        let (name, field) = match (key.as_str(), value) {
            ("duration_ms", Value::Integer(value)) => (key.clone(), Field::Double(*value as f64)),
            ("status", Value::Bool(value)) => ("status:bool".into(), Field::Bool(*value)),
            ("status" | "id", Value::Integer(value)) => (format!("{key}:int"), Field::Long(*value)),
            ("status", Value::Text(value)) => ("status:text".into(), Field::Str(value.clone())),
            ("id", Value::Float(value)) => ("id:float".into(), Field::Double(*value)),
            (_, Value::Integer(value)) => (key.clone(), Field::Long(*value)),
            (_, Value::Float(value)) => (key.clone(), Field::Double(*value)),
            (_, Value::Text(value)) => (key.clone(), Field::Str(value.clone())),
            (_, Value::Bool(value)) => (key.clone(), Field::Bool(*value)),
        };
        row.insert(name, field);
    }
    row
}

/// As text, for what is not a number does not equal itself.
fn told(rows: impl IntoIterator<Item = BTreeMap<String, Field>>) -> Vec<String> {
    let mut told: Vec<String> = rows.into_iter().map(|row| format!("{row:?}")).collect();
    told.sort();
    told
}

#[test]
fn every_event_is_a_row_of_the_same_values_and_types() {
    let folder = Folder::new("parquet");
    let store = open(&folder.0.join("store"));
    let file = folder.0.join("events.parquet");
    let events = mixed(5_000);
    // Sealed in two segments, and some that are not.
    for (part, events) in events.chunks(2_000).enumerate() {
        store.append("web", events).unwrap();
        if part < 2 {
            store.seal().unwrap();
        }
    }
    assert_eq!(segment_files(&folder.0.join("store"), "web").len(), 2);
    assert_eq!(export(&store, &file, ALWAYS), 5_000);
    assert_eq!(told(rows(&file)), told(events.iter().map(row)));

    let span = (Timestamp(events[10].at.0), Timestamp(events[4_990].at.0));
    assert_eq!(export(&store, &file, span), 4_980);
    assert_eq!(told(rows(&file)), told(events[10..4_990].iter().map(row)));

    export(&store, &file, ALWAYS);
    agree_with_duckdb(&file, &events);
}

#[test]
fn what_has_no_column_is_in_the_rest() {
    let folder = Folder::new("parquet-rest");
    let store = open(&folder.0.join("store"));
    let file = folder.0.join("events.parquet");
    let mut batch = Batch::new();
    for number in 0..1_500 {
        batch.begin(Timestamp(BEGIN));
        batch.set_integer("always", number);
        batch.set_integer(&format!("key-{number}"), number);
    }
    store.append_batch("web", batch).unwrap();
    assert_eq!(export(&store, &file, ALWAYS), 1_500);
    let rows = rows(&file);
    assert_eq!(rows.len(), 1_500);
    let mut in_rest = 0;
    for row in rows {
        let Some(Field::Long(number)) = row.get("always") else {
            panic!("{row:?}");
        };
        let key = format!("key-{number}");
        match row.get("andon.rest") {
            None => assert_eq!(row.get(&key), Some(&Field::Long(*number))),
            Some(rest) => {
                in_rest += 1;
                let rest = rest.to_string();
                assert!(rest.contains(&format!("\"{key}\":{number}")), "{rest}");
            }
        }
    }
    assert_eq!(in_rest, 501);
}

#[test]
fn groups_end_with_their_bytes_and_no_event_makes_a_file_too() {
    let folder = Folder::new("parquet-groups");
    let store = open(&folder.0.join("store"));
    let file = folder.0.join("events.parquet");
    let text = "x".repeat(100_000);
    for number in 0..15 {
        let event = |row| {
            let body = format!("{number} {row} {text}");
            Event::new(Timestamp(BEGIN + row)).with("body", body)
        };
        let events: Vec<Event> = (0..50).map(event).collect();
        store.append("web", &events).unwrap();
    }
    assert_eq!(export(&store, &file, ALWAYS), 750);
    let reader = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    // 75 MB in groups of 64 MiB.
    assert_eq!(reader.num_row_groups(), 2);
    assert_eq!(reader.get_row_iter(None).unwrap().count(), 750);

    assert_eq!(export(&store, &file, (Timestamp(0), Timestamp(1))), 0);
    assert!(rows(&file).is_empty());
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_with_its_reason() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = Folder::new("parquet-full");
    let store = open(&folder.0);
    store.append("web", &mixed(1_000)).unwrap();
    for room in [0, 3, 5_000] {
        match store.export_parquet("web", ALWAYS, Full(room)) {
            Err(StoreError::Export(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Asks DuckDB for counts, sums and types; from Python, where that has it.
fn agree_with_duckdb(file: &Path, events: &[Event]) {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !there.is_ok_and(|out| out.status.success()) {
        eprintln!("!! SKIPPED DuckDB: the library is not installed (pip install duckdb)");
        return;
    }
    let script = r#"
import duckdb, json, sys
table = f"read_parquet('{sys.argv[1]}')"
one = lambda sql: duckdb.sql(sql).fetchall()
types = {name: kind for name, kind, *_ in one(f"describe select * from {table}")}
totals = one(f"""select count(*), count("status:int"), count("status:text"), count("status:bool"),
    sum(n)::bigint, sum("status:int")::bigint, sum(duration_ms), max("id:int"), epoch_us(min(ts)),
    epoch_us(max(ts)), count(distinct trace_id), count(*) filter (where isnan(strange)) from {table}""")
by = one(f"""select "service.name", count(*) from {table} group by all order by 1""")
print(json.dumps([types, totals[0], by]))
"#;
    let out = Command::new(&python)
        .args(["-c", script, file.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let types = serde_json::json!({
        "ts": "TIMESTAMP WITH TIME ZONE", "duration_ms": "DOUBLE", "id:float": "DOUBLE",
        "id:int": "BIGINT", "n": "BIGINT", "service.name": "VARCHAR", "status:bool": "BOOLEAN",
        "status:int": "BIGINT", "status:text": "VARCHAR", "strange": "DOUBLE", "trace_id": "VARCHAR",
    });
    assert_eq!(said[0], types);
    let all = |key: &str| -> Vec<Value> {
        let values = events.iter().filter_map(|event| event.get(key));
        values.cloned().collect()
    };
    let whole = |key: &str| -> Vec<i64> {
        let values = all(key).into_iter().filter_map(|value| match value {
            Value::Integer(value) => Some(value),
            _ => None,
        });
        values.collect()
    };
    let status = all("status");
    let count = |is: fn(&Value) -> bool| status.iter().filter(|value| is(value)).count();
    let durations = all("duration_ms").into_iter().map(|value| match value {
        Value::Integer(value) => value as f64,
        Value::Float(value) => value,
        other => panic!("{other:?}"),
    });
    let wanted = serde_json::json!([
        events.len(),
        count(|value| matches!(value, Value::Integer(_))),
        count(|value| matches!(value, Value::Text(_))),
        count(|value| matches!(value, Value::Bool(_))),
        whole("n").iter().sum::<i64>(),
        whole("status").iter().sum::<i64>(),
        0,
        whole("id").iter().max(),
        events[0].at.0,
        events[events.len() - 1].at.0,
        all("trace_id").len(),
        all("strange").len(),
    ]);
    let mut totals = said[1].clone();
    let sum = totals[6].take().as_f64().unwrap();
    totals[6] = 0.into();
    assert_eq!(totals, wanted);
    let wanted: f64 = durations.sum();
    assert!((sum - wanted).abs() < wanted * 1e-9, "{sum} {wanted}");
    let mut by: BTreeMap<String, u64> = BTreeMap::new();
    for name in all("service.name") {
        *by.entry(name.to_string()).or_default() += 1;
    }
    let by: Vec<_> = by.into_iter().collect();
    assert_eq!(said[2], serde_json::json!(by));
}
