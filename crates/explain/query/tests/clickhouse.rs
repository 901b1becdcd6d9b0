//! ClickHouse answers as the oracle does: a real server of 2018, and the library of today.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod oracle;
#[path = "../../../keep/clickhouse/tests/real/mod.rs"]
#[allow(clippy::disallowed_methods)] // Waits for processes, and is shared.
mod real;

use andon_clickhouse::answer::{self, Rows, Totals};
use andon_clickhouse::layout::{EVENTS, columns};
use andon_clickhouse::select::{self, Tables};
use andon_clickhouse::{Attempt, ClickHouse, Settings, encode, literal, schema};
use andon_model::event::Event;
use andon_model::query::{Answer, Cell, Column, ColumnKind};
use andon_model::time::Timestamp;
use andon_query::run::{Asking, ClickHouseSource, Dataset, Limits, RunError, Source, Stores, run};
use andon_query::{Plan, parse, resolve};
use andon_store::Cancel;
use oracle::*;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const EVENTS_COUNT: usize = 2_500;

fn plan(text: &str) -> Plan {
    resolve(
        &parse(text).unwrap_or_else(|error| panic!("{}", error.pointed(text))),
        Timestamp(START + 60 * MINUTE),
    )
    .unwrap()
}

fn oracle() -> Naive {
    Naive::new([("requests", requests(EVENTS_COUNT, 7)), ("hosts", hosts(8))])
}

fn expected(plan: &Plan, oracle: &Naive) -> Answer {
    Stores::new(vec![oracle])
        .answer(&plan.query, &Asking::new(&Cancel::new()))
        .unwrap()
}

fn client(servers: &real::Servers) -> ClickHouse {
    let urls = servers.urls();
    ClickHouse::new(Settings {
        cluster: (urls.len() > 1).then(|| "andon".to_owned()),
        urls,
        ..Settings::default()
    })
    .unwrap()
}

#[test]
fn servers_of_2018_answer_as_the_oracle_does_alone_and_as_a_cluster() {
    for count in [2, 1] {
        let Some(servers) = real::Servers::start(count, &format!("oracle{count}")) else {
            return;
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clickhouse = client(&servers);
        let oracle = oracle();
        runtime.block_on(async {
            clickhouse.prepare().await.unwrap();
            for (dataset, events) in &oracle.datasets {
                for (index, part) in events.chunks(500).enumerate() {
                    clickhouse
                        .insert(dataset, part, &index.to_string(), Attempt::First)
                        .await
                        .unwrap();
                }
            }
        });
        let source = ClickHouseSource {
            clickhouse: &clickhouse,
            runtime: runtime.handle().clone(),
        };
        for text in questions(if count == 1 { 150 } else { 60 }, 9) {
            let plan = plan(&text);
            let theirs = source.answer(&plan.query, &Asking::new(&Cancel::new()));
            let theirs = theirs.unwrap_or_else(|error| {
                let sql = select::groups(&plan.query, &clickhouse.tables())
                    .unwrap()
                    .sql;
                panic!("{text}\n{error}\n{sql}")
            });
            same(&plan.query, &expected(&plan, &oracle), &theirs)
                .unwrap_or_else(|why| panic!("{text}\n{why}"));
        }
        ordered_and_raw(&source, &oracle);
    }
}

/// What the groups do not show: order, limits, raw events, exemplars, comparisons.
fn ordered_and_raw(source: &ClickHouseSource<'_>, oracle: &Naive) {
    let time = "from 1763700000000 to 1763703600000";
    for text in [
        "requests | by region | sum(duration_ms) | top 3",
        "requests | by region, 7m | count",
        "requests | by host.name | max(duration_ms), count | top 5 by max(duration_ms)",
        "requests | by odd | count | order odd",
        "requests | by odd | count | order -odd | top 3",
        "requests | by region, 10m | count, avg(duration_ms) | compare -20m | order region, time",
    ] {
        let text = format!("{text} | {time}");
        let plan = plan(&text);
        let theirs = run(&plan, source, &Asking::new(&Cancel::new())).unwrap();
        let ours = run(
            &plan,
            &Stores::new(vec![oracle]),
            &Asking::new(&Cancel::new()),
        )
        .unwrap();
        let shown = |answer: &Answer| -> Vec<String> {
            let cell = |cell: &Cell| match cell {
                Cell::Value(value) => value
                    .number()
                    .map_or(value.to_string(), |number| format!("{number:.6e}")),
                other => format!("{other:?}"),
            };
            answer
                .rows
                .iter()
                .map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "))
                .collect()
        };
        assert_eq!(shown(&theirs), shown(&ours), "{text}");
    }
    let text = format!("requests | where status >= 500 and body contains reset | top 20 | {time}");
    let plan_raw = plan(&text);
    let theirs = source
        .answer(&plan_raw.query, &Asking::new(&Cancel::new()))
        .unwrap();
    let ours = expected(&plan_raw, oracle);
    assert_eq!(by_name(&theirs), by_name(&ours));
    let text = format!(
        "requests | join hosts on host.name take kernel, region | where hosts.kernel = \"6.2.0\" | top 50 | {time}"
    );
    let plan_raw = plan(&text);
    let theirs = source
        .answer(&plan_raw.query, &Asking::new(&Cancel::new()))
        .unwrap();
    assert_eq!(by_name(&theirs), by_name(&expected(&plan_raw, oracle)));

    let text = format!("requests | count | exemplars 3 | {time}");
    let answer = source
        .answer(&plan(&text).query, &Asking::new(&Cancel::new()))
        .unwrap();
    let durations: Vec<f64> = answer.exemplars[..3]
        .iter()
        .map(|one| one.attributes["duration_ms"].number().unwrap())
        .collect();
    let mut all: Vec<f64> = oracle.datasets["requests"]
        .iter()
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
}

/// Rows by the names of their columns, whose order is a matter of taste.
fn by_name(answer: &Answer) -> Vec<BTreeMap<&str, &Cell>> {
    let names = || answer.columns.iter().map(|column| column.name.as_str());
    answer
        .rows
        .iter()
        .map(|row| names().zip(row).collect())
        .collect()
}

#[test]
fn a_question_that_takes_too_long_is_called_off_on_the_server() {
    let Some(servers) = real::Servers::start(1, "late") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clickhouse = client(&servers);
    let events = requests(EVENTS_COUNT, 7);
    runtime.block_on(async {
        clickhouse.prepare().await.unwrap();
        for round in 0..20 {
            clickhouse
                .insert("requests", &events, &round.to_string(), Attempt::First)
                .await
                .unwrap();
        }
    });
    let source = ClickHouseSource {
        clickhouse: &clickhouse,
        runtime: runtime.handle().clone(),
    };
    let heavy = "requests | where body matches \"(a|b|c|d|e)*f.*(g|h)*i\" | by body, odd | distinct(odd), heatmap(duration_ms), p999(duration_ms)";
    let cancel = Cancel::new();
    let mut asking = Asking::new(&cancel);
    asking.limits.time_max = Duration::from_millis(1);
    let error = source.answer(&plan(heavy).query, &asking).unwrap_err();
    assert!(
        matches!(&error, RunError::Failed { reason, .. } if reason.contains("within 1ms")),
        "{error}"
    );
}

/// Runs statements in the library of today; none if it is not there.
fn chdb(statements: &[String]) -> Option<Vec<String>> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import chdb"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("!! SKIPPED chdb: the library is not installed (pip install chdb)");
        return None;
    }
    let script = "
import json, sys
from chdb import session
engine = session.Session()
for line in open(sys.argv[1]):
    try:
        print(json.dumps(str(engine.query(json.loads(line), 'JSONCompact'))))
    except Exception as error:
        print(json.dumps('error: ' + str(error)))
";
    let file = std::env::temp_dir().join(format!("andon-chdb-{}.jsonl", std::process::id()));
    let lines: Vec<String> = statements
        .iter()
        .map(|sql| serde_json::to_string(sql).unwrap())
        .collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let output = Command::new(&python)
        .arg("-c")
        .arg(script)
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        answers.len(),
        statements.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(answers)
}

#[test]
fn the_clickhouse_of_today_answers_as_the_oracle_does() {
    let oracle = oracle();
    let tables = Tables {
        database: "andon".into(),
        table: EVENTS,
    };
    let rows = std::env::temp_dir().join(format!("andon-chdb-{}.bin", std::process::id()));
    let mut bytes = Vec::new();
    for (dataset, events) in &oracle.datasets {
        events
            .iter()
            .for_each(|event| encode::row(dataset, 1, event, &mut bytes));
    }
    std::fs::write(&rows, bytes).unwrap();
    let shape = columns()
        .iter()
        .map(|(name, kind)| format!("{} {kind}", literal::name(name)))
        .collect::<Vec<_>>();
    let names = columns()
        .iter()
        .map(|(name, _)| literal::name(name))
        .collect::<Vec<_>>();
    let mut statements = vec![
        "CREATE DATABASE andon".to_owned(),
        schema::create_table("andon"),
        format!(
            "INSERT INTO andon.events ({}) SELECT {} FROM file({}, 'RowBinary', {})",
            names.join(", "),
            names.join(", "),
            literal::text(&rows.display().to_string()),
            literal::text(&shape.join(", ")),
        ),
        "SET output_format_json_quote_64bit_integers = 1, output_format_json_quote_denormals = 1"
            .to_owned(),
    ];
    let prepared = statements.len();
    let texts = questions(150, 9);
    let plans: Vec<Plan> = texts.iter().map(|text| plan(text)).collect();
    for plan in &plans {
        statements.push(select::groups(&plan.query, &tables).unwrap().sql);
        statements.push(
            select::totals(&plan.query, &tables)
                .unwrap()
                .unwrap_or_else(|| "SELECT 1".into()),
        );
    }
    let raw =
        plan("requests | where status >= 500 | top 500 | from 1763700000000 to 1763703600000");
    let pick = select::Pick::ByTime(andon_store::Direction::Descending);
    statements.push(select::events(&raw.query, &tables, pick, raw.query.limit).unwrap());
    statements.push("ALTER TABLE andon.events DROP PARTITION ('hosts', 20413)".to_owned());
    statements.push(select::median(&raw.query, &tables).unwrap());
    let answers = chdb(&statements);
    std::fs::remove_file(&rows).unwrap();
    let Some(answers) = answers else { return };
    for (answer, sql) in answers.iter().zip(&statements) {
        assert!(!answer.starts_with("error: "), "{sql}\n{answer}");
    }
    for (index, (text, plan)) in texts.iter().zip(&plans).enumerate() {
        let at = prepared + index * 2;
        let rows = answer::read(answers[at].as_bytes(), "chdb").unwrap();
        let totals = Totals::of(&answer::read(answers[at + 1].as_bytes(), "chdb").unwrap());
        let select = select::groups(&plan.query, &tables).unwrap();
        let theirs = answered(
            &answer::groups(&rows, &select, &plan.query, Some(&totals)),
            plan,
            &rows,
        );
        same(&plan.query, &expected(plan, &oracle), &theirs)
            .unwrap_or_else(|why| panic!("{text}\n{why}"));
    }
    let at = prepared + texts.len() * 2;
    let events = answer::events(&answer::read(answers[at].as_bytes(), "chdb").unwrap(), None);
    assert_eq!(sorted(events), sorted(found(&raw, &oracle)));
}

fn answered(cells: &[Vec<Cell>], plan: &Plan, rows: &Rows) -> Answer {
    let column = |name: String| Column {
        name,
        kind: ColumnKind::Number,
    };
    let mut cells = cells.to_vec();
    if rows.data.is_empty() && plan.query.group_by.is_empty() && plan.query.bucket.is_none() {
        cells.push(answer::empty_row(&plan.query));
    }
    Answer {
        columns: plan.query.column_names().into_iter().map(column).collect(),
        rows: cells,
        ..Answer::default()
    }
}

fn found(plan: &Plan, oracle: &Naive) -> Vec<Event> {
    let found = oracle.scan(&plan.query, &Limits::default(), &Cancel::new(), None);
    found.unwrap().events
}

fn sorted(mut events: Vec<Event>) -> Vec<String> {
    for event in &mut events {
        event.attributes.sort_by(|left, right| left.0.cmp(&right.0));
    }
    let mut shown: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    shown.sort();
    shown
}
