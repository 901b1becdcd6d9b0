use super::*;
use andon_model::event::{Event, Value};
use andon_model::query::*;
use andon_model::time::Timestamp;

fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.into(),
        kind,
    }
}

fn text(text: &str) -> Cell {
    Cell::Value(text.into())
}

fn float(number: f64) -> Cell {
    Cell::Value(Value::Float(number))
}

fn by_region() -> Answer {
    Answer {
        columns: vec![
            column("region", ColumnKind::Key),
            column("count", ColumnKind::Number),
            column("p99(duration_ms)", ColumnKind::Number),
        ],
        rows: vec![
            vec![
                text("eu-west, \"a\"\u{1b}[31m"),
                Cell::Value(Value::Integer(1_204)),
                float(81.234_5),
            ],
            vec![Cell::Null, Cell::Value(Value::Integer(7)), Cell::Null],
            vec![
                text("漢字"),
                Cell::Value(Value::Integer(3)),
                float(0.001_234),
            ],
        ],
        notes: vec!["keeper-2 is missing: gone\u{7}".into()],
        partial: true,
        stats: QueryStats {
            rows_scanned: 1_234_567,
            bytes_scanned: 9_876_543,
            elapsed_ms: 12.3,
        },
        ..Answer::default()
    }
}

#[test]
fn a_table_lines_up_and_shows_nothing_that_steers_a_terminal() {
    assert_eq!(
        super::answer(&by_region(), 80),
        "region            count  p99(duration_ms)
eu-west, \"a\"[31m   1204             81.23
-                     7                 -
漢字                  3          0.001234
! keeper-2 is missing: gone
partial: 3 rows from 1,234,567 events, 9.9 MB read, 12 ms
"
    );
    let narrow = table(&by_region(), 24);
    assert!(
        narrow.lines().all(|line| plain::width(line) <= 24),
        "{narrow}"
    );
    assert_eq!(table(&Answer::default(), 80), "nothing found\n");
}

#[test]
fn csv_keeps_every_digit_and_quotes_what_needs_it() {
    assert_eq!(
        csv(&by_region()),
        "region,count,p99(duration_ms)\r\n\"eu-west, \"\"a\"\"\u{1b}[31m\",1204,81.2345\r\n,7,\r\n漢字,3,0.001234\r\n"
    );
}

#[test]
fn series_are_bars_with_gaps_where_nothing_was() {
    assert_eq!(
        spark::bars(&[Some(0.0), Some(1.0), None, Some(7.0)]),
        "▁▂ █"
    );
    let time = |minute: i64| text(&Timestamp(minute * 60_000_000).to_string());
    let row = |minute, region: &str, count| vec![time(minute), text(region), float(count)];
    let answer = Answer {
        columns: vec![
            column("time", ColumnKind::Time),
            column("region", ColumnKind::Key),
            column("count", ColumnKind::Number),
        ],
        rows: vec![
            row(0, "a", 1.0),
            row(1, "a", 4.0),
            row(3, "a", 8.0),
            row(3, "b", 5.0),
        ],
        ..Answer::default()
    };
    assert_eq!(
        sparklines(&answer, 80),
        "count
a ▂▅ █ max 8 last 8
b    █ max 5 last 5
1970-01-01T00:00:00.000Z to 1970-01-01T00:03:00.000Z, every 1m
"
    );
}

#[test]
fn series_line_up_whatever_their_numbers() {
    let time = |minute: i64| text(&Timestamp(minute * 60_000_000).to_string());
    let answer = Answer {
        columns: vec![
            column("time", ColumnKind::Time),
            column("count", ColumnKind::Number),
            column("sum(n)", ColumnKind::Number),
        ],
        rows: (0..4)
            .map(|minute| vec![time(minute), float(minute as f64), float(1_000.0)])
            .collect(),
        ..Answer::default()
    };
    assert_eq!(
        sparklines(&answer, 80),
        "count
▁▃▆█ max 3 last 3
sum(n)
████ max 1000 last 1000
1970-01-01T00:00:00.000Z to 1970-01-01T00:03:00.000Z, every 1m
"
    );
}

/// Raw events, with a key that all have and a text that is longer than a line.
fn raw(rows: usize) -> Answer {
    let keys = ["body", "host.name", "status", "trace_id", "said"];
    let keys = keys.map(|name| column(name, ColumnKind::Key));
    let row = |number: usize| {
        vec![
            text(&Timestamp(number as i64 * 1_000).to_string()),
            text("GET /a?b=c\u{1b}[31m took long"),
            text("host-1"),
            Cell::Value(Value::Integer(500 + number as i64)),
            text("4bf92f3577b34da6a3ce929d0e0e4736"),
            match number {
                0 => Cell::Null,
                _ => text("a \"b\""),
            },
        ]
    };
    Answer {
        columns: [column("time", ColumnKind::Time)]
            .into_iter()
            .chain(keys)
            .collect(),
        rows: (0..rows).map(row).collect(),
        ..Answer::default()
    }
}

#[test]
fn raw_events_that_no_table_holds_are_lines_of_which_nothing_is_cut_off() {
    assert_eq!(
        records(&raw(2), 60),
        "1970-01-01T00:00:00.000Z  GET /a?b=c[31m took long
    host.name=host-1 status=500
    trace_id=4bf92f3577b34da6a3ce929d0e0e4736
1970-01-01T00:00:00.001Z  GET /a?b=c[31m took long
    host.name=host-1 status=501
    trace_id=4bf92f3577b34da6a3ce929d0e0e4736 said=\"a \\\"b\\\"\"
"
    );
    let drawn = super::answer(&raw(3), 60);
    assert!(
        drawn.contains(
            "in all:  host.name=host-1\n    trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n3 rows"
        ),
        "{drawn}"
    );
    // What fits is a table, and a narrow one cuts no times.
    assert!(super::answer(&raw(3), 200).starts_with("time  "));
    for width in [20, 24, 37, 60, 100] {
        for line in records(&raw(3), width).lines() {
            assert!(plain::width(line) <= width.max(24), "{width}: {line}");
        }
    }
    assert!(table(&raw(3), 40).contains("1970-01-01T00:00:00.002Z"));
}

#[test]
fn exemplars_tell_all_that_they_hold() {
    let exemplar = Exemplar {
        why: ExemplarKind::Failed,
        at: Timestamp(0),
        attributes: [
            ("trace_id".to_owned(), "4bf92f3577b34da6".into()),
            ("duration_ms".to_owned(), Value::Float(1_093.426)),
            ("kernel".to_owned(), "6.1.112".into()),
        ]
        .into_iter()
        .collect(),
    };
    assert_eq!(
        exemplars(&[exemplar], 70),
        "failed   1970-01-01T00:00:00.000Z  duration_ms=1093.426 kernel=6.1.112
    trace_id=4bf92f3577b34da6
"
    );
}

#[test]
fn a_heatmap_shows_where_the_events_are() {
    let row = |name: &str, bins: Vec<(f64, u64)>| vec![text(name), Cell::Bins(bins)];
    let answer = Answer {
        columns: vec![
            column("zone", ColumnKind::Key),
            column("heatmap(ms)", ColumnKind::Heatmap),
        ],
        rows: vec![
            row("a", vec![(-1.0, 2), (1.0, 1), (10.0, 1_000)]),
            row("b", vec![(100.0, 30)]),
            row("c", Vec::new()),
        ],
        ..Answer::default()
    };
    let drawn = heatmap(&answer, 80);
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!(lines[0], "heatmap(ms)");
    assert_eq!(lines[1], "      100 │ ░");
    assert_eq!(lines[20], "        1 │░");
    assert!(drawn.contains("│█"), "{drawn}");
    assert!(
        drawn.ends_with("a to c\n2 events at or below zero are not shown\n"),
        "{drawn}"
    );
    // One row alone is drawn lying down.
    let alone = Answer {
        columns: vec![column("heatmap(ms)", ColumnKind::Heatmap)],
        rows: vec![vec![Cell::Bins(vec![
            (0.75, 1),
            (10.0, 1_000),
            (100.0, 500),
        ])]],
        ..Answer::default()
    };
    let drawn = heatmap(&alone, 40);
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!(lines[1], format!("      100 │{} 500", "█".repeat(11) + "▌"));
    assert_eq!(lines[20], "     0.75 │▏ 1");
    assert!(
        drawn.contains(&format!("│{} 1,000\n", "█".repeat(23))),
        "{drawn}"
    );
    assert!(lines.iter().all(|line| plain::width(line) <= 40), "{drawn}");
}

#[test]
fn a_waterfall_shows_who_waits_for_whom() {
    let span = |at: i64, id: &str, parent: &str, ms: i64, status: &str| {
        Event::new(Timestamp(at))
            .with("name", id)
            .with("service.name", "shop")
            .with("span_id", id)
            .with("parent_span_id", parent)
            .with("duration_ms", Value::Integer(ms))
            .with("status", status)
    };
    let events = [
        span(0, "order", "", 100, "ok"),
        span(50_000, "pay", "order", 50, "error"),
        span(60_000, "lost", "x", 0, "ok"),
    ];
    let drawn = waterfall(&crate::Waterfall::of(&events), 50);
    assert_eq!(
        drawn,
        "1970-01-01T00:00:00.000Z  100 ms
shop: order  ██████████████████████ 100 ms
  shop: pay             ███████████ 50 ms ✗
? shop: lost              ·         0 µs
"
    );
}
