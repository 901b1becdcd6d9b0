//! Against real servers: tables, blocks that arrive once, retention, a cluster of which one
//! server is killed, and a move that is stopped half way.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod real;

use andon_clickhouse::{
    Attempt, Batches, ClickHouse, ClickHouseError, Settings, Slice, Source, migrate,
};
use andon_model::event::{Event, Value};
use andon_model::query::{Calc, CalcOp, Cell};
use andon_model::time::Timestamp;
use andon_store::ResolvedQuery;
use real::Servers;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const DAY: i64 = 86_400_000_000;
const START: i64 = 1_763_700_000_000_000;

fn client(servers: &Servers) -> ClickHouse {
    let urls = servers.urls();
    ClickHouse::new(Settings {
        cluster: (urls.len() > 1).then(|| "andon".to_owned()),
        urls,
        ..Settings::default()
    })
    .unwrap()
}

fn events(count: usize, from: i64) -> Vec<Event> {
    let event = |index: usize| {
        Event::new(Timestamp(from + index as i64 * 1_000))
            .with("host.name", format!("h{}", index % 7))
            .with(
                "status",
                Value::Integer(if index.is_multiple_of(10) { 503 } else { 200 }),
            )
            .with("duration_ms", Value::Float(index as f64 / 10.0))
            .with("ratio", Value::Integer(index as i64))
    };
    (0..count).map(event).collect()
}

fn all(dataset: &str) -> ResolvedQuery {
    let mut query = ResolvedQuery::new(
        dataset,
        Timestamp(START - 100 * DAY),
        Timestamp(START + 100 * DAY),
    );
    query.limit = 100_000;
    query
}

async fn count(clickhouse: &ClickHouse, dataset: &str) -> i64 {
    let mut query = all(dataset);
    query.calcs = vec![Calc {
        op: CalcOp::Count,
        key: None,
    }];
    let answer = clickhouse
        .ask(&query, &CancellationToken::new())
        .await
        .unwrap();
    match answer.rows[0][0] {
        Cell::Value(Value::Integer(count)) => count,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_comes_back_as_it_went_in() {
    let Some(servers) = Servers::start(1, "values") else {
        return;
    };
    let clickhouse = client(&servers);
    assert_eq!(clickhouse.prepare().await.unwrap(), [0]);
    assert_eq!(clickhouse.prepare().await.unwrap(), [1]);
    let values = [
        Value::Text(String::new()),
        Value::Text("it's a \\ \"test\"\n\t`x` ü 漢 \u{0} '; DROP TABLE events; --".into()),
        Value::Integer(0),
        Value::Integer(i64::MAX),
        Value::Integer(i64::MIN),
        Value::Integer((1 << 53) + 1),
        Value::Float(0.1),
        Value::Float(-0.0),
        Value::Float(5.0),
        Value::Float(1.5e300),
        Value::Float(f64::INFINITY),
        Value::Bool(true),
        Value::Bool(false),
    ];
    let keys = [
        "status",
        "duration_ms",
        "value",
        "host.name",
        "body",
        "trace_id",
        "kind",
        "odd key's `\\",
        "x",
    ];
    let mut written = Vec::new();
    for (number, value) in values.iter().enumerate() {
        for (place, key) in keys.iter().enumerate() {
            let at = Timestamp(START + (number * 100 + place) as i64);
            written.push(Event::new(at).with(key, value.clone()));
        }
    }
    written.push(Event::new(Timestamp(START + 5_000)));
    clickhouse
        .insert("odd", &written, "t", Attempt::First)
        .await
        .unwrap();
    let (mut read, _) = clickhouse
        .events(&all("odd"), &CancellationToken::new())
        .await
        .unwrap();
    read.sort_by_key(|event| event.at);
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(&written) {
        assert_eq!(read, written);
    }
    let not_a_number = [Event::new(Timestamp(START)).with("duration_ms", Value::Float(f64::NAN))];
    clickhouse
        .insert("nan", &not_a_number, "t", Attempt::First)
        .await
        .unwrap();
    let (read, _) = clickhouse
        .events(&all("nan"), &CancellationToken::new())
        .await
        .unwrap();
    assert!(matches!(read[0].get("duration_ms"), Some(Value::Float(number)) if number.is_nan()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_is_there_once_and_old_days_go() {
    let Some(servers) = Servers::start(1, "blocks") else {
        return;
    };
    let clickhouse = client(&servers);
    clickhouse.prepare().await.unwrap();
    let mut batch = events(20_000, START);
    batch.extend(events(5_000, START - 3 * DAY));
    batch.extend(events(5_000, START - 9 * DAY));
    let first = clickhouse
        .insert("web", &batch, "a", Attempt::First)
        .await
        .unwrap();
    assert_eq!((first.written, first.known), (30_000, 0));
    // A program that was restarted knows nothing of the first attempt.
    let restarted = client(&servers);
    let again = restarted
        .insert("web", &batch, "a", Attempt::Again)
        .await
        .unwrap();
    assert_eq!((again.written, again.known), (0, 30_000));
    let other = restarted
        .insert("web", &batch[..10], "b", Attempt::Again)
        .await
        .unwrap();
    assert_eq!(other.written, 10);
    assert_eq!(count(&clickhouse, "web").await, 30_010);

    assert_eq!(clickhouse.datasets().await.unwrap(), ["web"]);
    // Old events that arrived a moment ago stay, until that is long ago too.
    let old = Timestamp(START - 5 * DAY);
    for (arrived_before, dropped) in [(old, 0), (Timestamp(i64::MAX), 1)] {
        assert_eq!(
            clickhouse
                .drop_before("web", old, arrived_before)
                .await
                .unwrap(),
            dropped
        );
    }
    assert_eq!(count(&clickhouse, "web").await, 25_010);
    let size = clickhouse.sizes().await.unwrap()["web"].clone();
    assert_eq!(size.days.len(), 2);
    assert_eq!(
        clickhouse
            .drop_beyond("web", size.bytes() - 1)
            .await
            .unwrap(),
        1
    );
    assert_eq!(count(&clickhouse, "web").await, 20_010);
    assert_eq!(clickhouse.drop_beyond("web", 0).await.unwrap(), 0);

    let now = Timestamp(START + 60_000_000);
    let keys = clickhouse.keys("web", now).await.unwrap();
    assert_eq!(keys, ["duration_ms", "host.name", "ratio", "status"]);
    let values = clickhouse
        .values("web", "host.name", "H", now)
        .await
        .unwrap();
    assert_eq!(values.len(), 7);
    let values = clickhouse.values("web", "status", "", now).await.unwrap();
    assert_eq!(values, [Value::Integer(200), Value::Integer(503)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_server_of_two_killed_the_rest_answers_and_says_so() {
    let Some(mut servers) = Servers::start(2, "cluster") else {
        return;
    };
    let clickhouse = Arc::new(client(&servers));
    clickhouse.prepare().await.unwrap();
    clickhouse.prepare().await.unwrap();
    for part in 0..20 {
        let batch = events(1_000, START + part * 1_000_000);
        clickhouse
            .insert("web", &batch, &format!("t{part}"), Attempt::First)
            .await
            .unwrap();
    }
    assert_eq!(count(&clickhouse, "web").await, 20_000);
    let on_each: Vec<u64> = {
        let mut rows = Vec::new();
        for index in 0..2 {
            let one = ClickHouse::new(Settings {
                urls: vec![servers.url(index)],
                ..Settings::default()
            });
            rows.push(count(&one.unwrap(), "web").await as u64);
        }
        rows
    };
    assert!(on_each.iter().all(|rows| *rows > 0), "{on_each:?}");

    servers.kill(0);
    let mut query = all("web");
    query.group_by = vec!["host.name".into()];
    query.calcs = vec![Calc {
        op: CalcOp::P99,
        key: Some("duration_ms".into()),
    }];
    let answer = clickhouse
        .ask(&query, &CancellationToken::new())
        .await
        .unwrap();
    assert!(answer.partial);
    assert!(
        answer.notes[0].contains("does not answer"),
        "{:?}",
        answer.notes
    );
    assert_eq!(answer.rows.len(), 7);
    assert_eq!(count(&clickhouse, "web").await as u64, on_each[1]);

    // Events go to the server that is left.
    for part in 0..8 {
        let batch = events(500, START + part * 7);
        let token = format!("left {part}");
        let sent = clickhouse.insert("web", &batch, &token, Attempt::First);
        sent.await.unwrap();
    }
    assert_eq!(count(&clickhouse, "web").await as u64, on_each[1] + 4_000);
    let health = clickhouse.health().await;
    assert!(
        health[0]
            .trouble
            .as_deref()
            .unwrap()
            .contains("cannot reach")
    );
    assert!(health[0].help.as_deref().unwrap().contains("8123"));
    assert!(health[1].version.as_deref().unwrap().starts_with("18."));

    servers.restart(0);
    assert_eq!(count(&clickhouse, "web").await, 24_000);
    let answer = clickhouse
        .ask(&query, &CancellationToken::new())
        .await
        .unwrap();
    assert!(!answer.partial, "{:?}", answer.notes);
}

struct Sample;

impl Source for Sample {
    fn slices(&self) -> Result<Vec<Slice>, String> {
        let slice = |index: i64| Slice {
            dataset: "web".into(),
            from_us: START + index * DAY,
            to_us: START + (index + 1) * DAY,
        };
        Ok((0..4).map(slice).collect())
    }
    fn batches<'s>(&'s self, slice: &Slice) -> Result<Batches<'s>, String> {
        let from = slice.from_us;
        Ok(Box::new((0..3).map(move |part| {
            Ok(events(2_000, from + part * 3_000_000))
        })))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_stopped_goes_on_and_moves_nothing_twice() {
    let Some(servers) = Servers::start(1, "move") else {
        return;
    };
    let clickhouse = client(&servers);
    clickhouse.prepare().await.unwrap();
    let checkpoint = std::env::temp_dir().join(format!("andon-move-{}", std::process::id()));
    std::fs::remove_file(&checkpoint).ok();
    let mut runs = 0;
    let done = loop {
        runs += 1;
        let cancel = CancellationToken::new();
        let mut batches = 0;
        let outcome = migrate(&Sample, &clickhouse, &checkpoint, &cancel, |_| {
            batches += 1;
            if batches == 5 {
                cancel.cancel();
            }
        });
        match outcome.await {
            Err(ClickHouseError::Cancelled) => {
                // What a crash leaves of a note that was being written.
                let mut text = std::fs::read_to_string(&checkpoint).unwrap();
                text.push_str("{\"dataset\":\"we");
                std::fs::write(&checkpoint, text).unwrap();
            }
            outcome => break outcome.unwrap(),
        }
        assert!(runs < 20);
    };
    assert!(runs > 1);
    assert_eq!((done.slices_done, done.slices), (4, 4));
    assert_eq!(count(&clickhouse, "web").await, 24_000);
    std::fs::write(&checkpoint, "what is this\n").unwrap();
    let cancel = CancellationToken::new();
    let error = migrate(&Sample, &clickhouse, &checkpoint, &cancel, |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    std::fs::remove_file(&checkpoint).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do_and_a_question_can_be_called_off() {
    let Some(servers) = Servers::start(1, "errors") else {
        return;
    };
    let clickhouse = client(&servers);
    let cancel = CancellationToken::new();
    let error = clickhouse.ask(&all("web"), &cancel).await.unwrap_err();
    assert!(
        error.help().contains("tables are missing"),
        "{error}: {}",
        error.help()
    );
    clickhouse.prepare().await.unwrap();
    cancel.cancel();
    let error = clickhouse.ask(&all("web"), &cancel).await.unwrap_err();
    assert_eq!(error, ClickHouseError::Cancelled);
    let nobody = ClickHouse::new(Settings {
        urls: vec!["http://127.0.0.1:1".into()],
        ..Settings::default()
    });
    let error = nobody.unwrap().prepare().await.unwrap_err();
    assert!(
        error.is_passing() && error.to_string().contains("cannot reach"),
        "{error}"
    );
}

/// Passes requests on, and swallows so many answers to inserts: the work is done, and nobody
/// is told.
async fn forgetful(server: String, swallow: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = server.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        loop {
            let Ok((mut client, _)) = listener.accept().await else {
                return;
            };
            let (server, swallow) = (server.clone(), Arc::clone(&swallow));
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(server).await.unwrap();
                let (mut read, mut write) = client.split();
                let (mut answer, mut request) = upstream.split();
                let mut first = vec![0; 64];
                let length = read.read(&mut first).await.unwrap();
                let is_insert = String::from_utf8_lossy(&first[..length]).contains("INSERT");
                request.write_all(&first[..length]).await.unwrap();
                let there = tokio::io::copy(&mut read, &mut request);
                let back = async {
                    let mut all = Vec::new();
                    answer.read_to_end(&mut all).await.ok();
                    let left = swallow.load(Ordering::SeqCst);
                    if is_insert && left > 0 {
                        swallow.store(left - 1, Ordering::SeqCst);
                        return;
                    }
                    write.write_all(&all).await.ok();
                };
                tokio::select! {
                    () = back => {}
                    Err(_) = there => {}
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_whose_fate_is_unknown_is_not_written_twice() {
    let Some(servers) = Servers::start(1, "fate") else {
        return;
    };
    let swallow = Arc::new(AtomicUsize::new(2));
    let url = forgetful(servers.url(0), Arc::clone(&swallow)).await;
    let clickhouse = Arc::new(
        ClickHouse::new(Settings {
            urls: vec![url],
            ..Settings::default()
        })
        .unwrap(),
    );
    clickhouse.prepare().await.unwrap();
    swallow.store(1, Ordering::SeqCst);
    let batch = events(12_000, START);
    let error = clickhouse
        .insert("web", &batch, "t", Attempt::First)
        .await
        .unwrap_err();
    assert!(error.is_uncertain() && error.is_passing(), "{error}");
    let again = clickhouse
        .insert("web", &batch, "t", Attempt::First)
        .await
        .unwrap();
    assert_eq!((again.written, again.known), (0, 12_000));
    assert_eq!(count(&clickhouse, "web").await, 12_000);
}
