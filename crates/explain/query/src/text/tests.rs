use super::*;
use crate::check::check;
use andon_model::event::Value;
use andon_model::query::*;
use proptest::prelude::*;

fn read(text: &str) -> Query {
    parse(text).unwrap_or_else(|error| panic!("{}", error.pointed(text)))
}

#[test]
fn the_canonical_text_of_a_question_is_pleasant_and_reads_back() {
    let check = |typed: &str, canonical: &str| {
        let query = read(typed);
        assert_eq!(print(&query), canonical);
        assert_eq!(read(canonical), query);
    };
    check("logs", "logs");
    check(
        "requests | where status >= 500 and zone = b | by region,1m | p99(duration_ms), count, error_share | last 1h | top 20 | join hosts on host take kernel | exemplars 5 | compare 1d",
        "requests | join hosts on host take kernel | where status >= 500 and zone = \"b\" | by region, 1m | p99(duration_ms), count, error_share | last 1h | top 20 | exemplars 5 | compare -1d",
    );
    check(
        "requests | differ ms>=500 and zone=b from -10m to now | last 1h",
        "requests | last 1h | differ ms >= 500 and zone = \"b\" from -10m to now",
    );
    check(
        "logs|\"connection reset\"|last 15m",
        "logs | where body contains \"connection reset\" | last 15m",
    );
    check(
        "logs | where host in (a, 'b c', 7, 1.5, true) | COUNT",
        "logs | where host in (\"a\", \"b c\", 7, 1.5, true) | count",
    );
    check(
        r#"logs | where body ~ "\d+\.\d \"x\"" and trace_id exists"#,
        r#"logs | where body matches "\\d+\\.\\d \"x\"" and trace_id exists"#,
    );
    check(
        "m | by auto, `1m`, `odd key` | max(`a)b`) | order -max(`a)b`), `odd key`",
        "m | by `1m`, `odd key`, auto | max(`a)b`) | order -max(`a)b`), `odd key`",
    );
    check(
        "m | by host | p99(x) | top 5 by p99(x) | from 2026-11-20 03:20 to now",
        "m | by host | p99(x) | from \"2026-11-20 03:20\" to now | top 5 by p99(x)",
    );
    check(
        "m | count | from 1700000000000 | limit 3",
        "m | count | from 1700000000000 | top 3",
    );
    check(
        "m | by a | sum(x) | order sum(x) desc, a asc",
        "m | by a | sum(x) | order -sum(x), a",
    );
    check(
        "m | where a.b-c/d:e = 10.0.0.1 && v != -5",
        "m | where a.b-c/d:e = \"10.0.0.1\" and v != -5",
    );
    check(
        "m | where code contains 500",
        "m | where code contains \"500\"",
    );
    check(
        "m | by a | count | compare 1w | order -count.change",
        "m | by a | count | order -count.change | compare -1w",
    );
}

#[test]
fn an_error_points_at_the_place_and_says_what_to_write() {
    let check = |text: &str, pointed: &str| {
        let error = parse(text).unwrap_err();
        assert_eq!(
            error.pointed(text),
            pointed.trim_start_matches('\n'),
            "\n{text}"
        );
    };
    check(
        "requests | wher status >= 500",
        "
no stage begins with `wher`
  requests | wher status >= 500
             ^^^^
did you mean `where`?",
    );
    check(
        "requests | where status => 500",
        "
a value of `status` is missing
  requests | where status => 500
                           ^",
    );
    check(
        "requests | p9(duration_ms)",
        "
no stage begins with `p9`
  requests | p9(duration_ms)
             ^^
did you mean `p90`?",
    );
    check(
        "requests | count, p98(duration_ms)",
        "
no calculation is called `p98`
  requests | count, p98(duration_ms)
                    ^^^
did you mean `p90`?",
    );
    check(
        "requests | p99",
        "
`p99` of what?
  requests | p99
             ^^^
name a key: `p99(duration_ms)`",
    );
    check(
        "requests | where zone = \"b",
        "
the \" that begins here does not end
  requests | where zone = \"b
                          ^^
close it with \"; inside, write \\\"",
    );
    check(
        "requests | where a = 1 or b = 2",
        "
conditions are joined by `and`
  requests | where a = 1 or b = 2
                         ^^
for one of several values write `key in (a, b)`",
    );
    check(
        "requests | where über = ä and",
        "
a key is missing here
  requests | where über = ä and
                               ^",
    );
    check(
        "requests | by region | count | top 5 by p99(x)",
        "
the answer has no column `p99(x)`
  requests | by region | count | top 5 by p99(x)
                                          ^^^^^^
columns are `region`, `count`",
    );
    check(
        "requests |\n  by region, region\n| count",
        "
`region` is here twice
    by region, region
               ^^^^^^",
    );
    check(
        "requests | last 5 minutes",
        "
`5` is no span of time
  requests | last 5 minutes
                  ^
write `15m`, `1h`, `1h30m`, `7d`",
    );
    check(
        "requests | where body matches \"(\"",
        "
no regular expression: unclosed group
  requests | where body matches \"(\"
                                ^^^
for a plain text use `contains`",
    );
    check(
        "requests count",
        "
this belongs to nothing before it
  requests count
           ^^^^^
stages are divided by `|`, the parts of a stage by `,`",
    );
    check(
        "",
        "
a question begins with a dataset
  
  ^
such as `logs | last 1h`",
    );
}

struct Sample;

impl Catalogue for Sample {
    fn datasets(&self) -> Vec<String> {
        ["hosts", "logs", "requests"].map(str::to_owned).into()
    }
    fn keys(&self, dataset: &str) -> Vec<String> {
        let keys: &[&str] = match dataset {
            "requests" => &["duration_ms", "region", "status", "zone", "odd key"],
            "hosts" => &["host", "kernel"],
            _ => &["body"],
        };
        keys.iter().map(|key| (*key).to_owned()).collect()
    }
    fn values(&self, _: &str, key: &str, _: &str) -> Vec<Value> {
        match key {
            "zone" => vec!["a".into(), "b 1".into(), "b\"2".into()],
            "status" => vec![Value::Integer(200), Value::Integer(503)],
            _ => Vec::new(),
        }
    }
}

#[test]
fn completion_proposes_what_can_stand_at_the_cursor() {
    let check = |text: &str, expected: &[&str]| {
        let found = complete(text, text.len(), &Sample);
        let texts: Vec<&str> = found.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(
            texts[..expected.len().min(texts.len())],
            *expected,
            "{text}: {texts:?}"
        );
        for one in &found {
            assert_eq!(one.replace.end, text.len());
        }
    };
    check("", &["hosts", "logs", "requests"]);
    check("re", &["requests"]);
    check("requests ", &["|"]);
    check("requests | wh", &["where"]);
    check("requests | p9", &["p90(", "p95(", "p99(", "p999("]);
    check("requests | where re", &["region"]);
    check("requests | where odd", &["`odd key`"]);
    check(
        "requests | where zone ",
        &["=", "!=", "<", "<=", ">", ">=", "in", "contains"],
    );
    check(
        "requests | where zone = ",
        &["\"a\"", "\"b 1\"", "\"b\\\"2\""],
    );
    check("requests | where zone = \"b ", &["\"b 1\""]);
    check(
        "requests | where zone in (\"a\", b",
        &["\"b 1\"", "\"b\\\"2\""],
    );
    check("requests | where status >= 5", &["503"]);
    check("requests | where status >= 500 a", &["and"]);
    check("requests | by r", &["region"]);
    check("requests | by region, 1", &["10s", "1m", "10m", "1h"]);
    check("requests | p99(d", &["duration_ms"]);
    check(
        "requests | by region | count, p50(duration_ms) | top 5 by p",
        &["p50(duration_ms)"],
    );
    check("requests | join hosts on ", &["host", "kernel"]);
    check("requests | join hosts on host t", &["take"]);
    check("requests | join hosts on host take k", &["kernel"]);
    check(
        "requests | join hosts on host take kernel | by hosts.",
        &["hosts.kernel"],
    );
    check("requests | last ", &["15m", "1h"]);
    check("requests | xyzzy ", &[]);
}

#[test]
fn completion_replaces_the_word_under_the_cursor_and_survives_any_place() {
    let text = "requests | where zo = 5";
    let found = complete(text, "requests | where zo".len(), &Sample);
    assert_eq!(found[0].text, "zone");
    assert_eq!(&text[found[0].replace.clone()], "zo");
    for at in 0..40 {
        complete("requests | where über = \"ä", at, &Sample);
    }
}

// Round trip

fn text_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ]{0,8}",
        "\\PC{0,8}",
        any::<String>(),
        Just("now".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("\\d+\"'`".to_owned()),
    ]
}

fn key_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9_.]{0,12}",
        "\\PC{1,6}",
        any::<String>().prop_filter("a key has a letter", |key| !key.is_empty()
            && key.len() < 200),
        prop::sample::select(vec![
            "and", "in", "1m", "auto", "by", "-x", "count", "p99(x)", "where", "5", "a)b",
            "time(x)"
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(Value::Float),
        text_value().prop_map(Value::Text),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let one = |value| Some(Operand::One(value));
    let operators = prop::sample::select(vec![
        FilterOp::Equal,
        FilterOp::NotEqual,
        FilterOp::Less,
        FilterOp::AtMost,
        FilterOp::More,
        FilterOp::AtLeast,
    ]);
    let condition = prop_oneof![
        (operators, any_value()).prop_map(move |(op, value)| (op, one(value))),
        prop::collection::vec(any_value(), 1..4)
            .prop_map(|many| (FilterOp::In, Some(Operand::Many(many)))),
        text_value().prop_map(move |text| (FilterOp::Contains, one(Value::Text(text)))),
        "[a-z.+*\"]{0,5}".prop_map(move |text| (FilterOp::Matches, one(Value::Text(text)))),
        Just((FilterOp::Exists, None)),
    ];
    (key_name(), condition).prop_map(|(key, (op, value))| Filter { key, op, value })
}

fn any_calc() -> impl Strategy<Value = Calc> {
    let ops: Vec<CalcOp> = crate::words::CALCS.iter().map(|(_, op, _)| *op).collect();
    (prop::sample::select(ops), key_name(), any::<bool>()).prop_map(|(op, key, keyed)| {
        let keyed = op != CalcOp::ErrorShare && (keyed || crate::check::needs_key(op));
        Calc {
            op,
            key: keyed.then_some(key),
        }
    })
}

fn any_when() -> impl Strategy<Value = When> {
    prop_oneof![
        (0..i64::MAX / 2000).prop_map(When::EpochMs),
        prop::sample::select(vec![
            "-1h",
            "now",
            "2026-11-20T03:20:00Z",
            "2026-11-20 03:20",
            "2026-11-20",
            "-1h30m"
        ])
        .prop_map(|text| When::Text(text.to_owned())),
    ]
}

prop_compose! {
    fn any_differ()(
        filters in prop::collection::vec(any_filter(), 0..3),
        from in prop::option::of(any_when()),
        to in prop::option::of(any_when()),
    ) -> Differ {
        Differ { filters, from, to }
    }
}

prop_compose! {
    fn any_query()(
        dataset in prop::sample::select(vec!["logs", "requests", "by", "9.a-b_c"]),
        from in prop::option::of(any_when()),
        to in prop::option::of(any_when()),
        filters in prop::collection::vec(any_filter(), 0..4),
        group_by in prop::collection::vec(key_name(), 0..3),
        bucket in prop::option::of(prop::sample::select(vec!["auto", "1m", "90s", "1h30m"])),
        calc in prop::collection::vec(any_calc(), 0..4),
        join in prop::option::of((key_name(), prop::collection::vec(key_name(), 1..3))),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..3),
        limit in prop::option::of(1..LIMIT_MAX),
        exemplars in prop::option::of(0..EXEMPLARS_MAX),
        compare in prop::option::of(prop::sample::select(vec!["-1d", "-90m"])),
        (skip, differ) in (prop::option::of(1usize..1_000), prop::option::weighted(0.2, any_differ())),
    ) -> Query {
        let mut query = Query {
            dataset: dataset.to_owned(),
            from,
            to,
            filters,
            group_by,
            bucket: bucket.map(str::to_owned),
            calc,
            join: join.map(|(on, take)| Join { dataset: "hosts".into(), on, take }),
            limit,
            exemplars,
            compare: compare.map(str::to_owned),
            order_by: Vec::new(),
            skip,
            differ,
        };
        if query.differ.is_some() {
            query = Query { dataset: query.dataset, from: query.from, to: query.to, filters: query.filters, join: query.join, limit: query.limit, differ: query.differ, ..Query::default() };
            return query;
        }
        let columns = crate::check::columns(&query);
        query.order_by = order
            .into_iter()
            .map(|(index, down)| format!("{}{}", if down { "-" } else { "" }, index.get(&columns)))
            .collect();
        query
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn every_question_that_makes_sense_reads_back_from_its_text(query in any_query()) {
        prop_assume!(check(&query).is_empty());
        let text = print(&query);
        let again = parse(&text);
        prop_assert!(again.is_ok(), "{text}\n{}", again.unwrap_err().pointed(&text));
        prop_assert_eq!(again.unwrap(), query, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place_inside_it(text in "\\PC{0,60}", cursor in 0usize..80) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            error.pointed(&text);
        }
        complete(&text, cursor, &Sample);
    }

    #[test]
    fn words_of_the_language_in_any_order_do_not_break_it(
        words in prop::collection::vec(prop::sample::select(vec![
            "logs", "|", "where", "by", "p99", "(", ")", ",", "=", "\"a", "`b`", "last", "1h", "top",
            "5", "order", "-", "join", "on", "take", "in", "compare", "from", "to", "and", "\n",
        ]), 0..14),
    ) {
        let text = words.join(" ");
        if let Err(error) = parse(&text) {
            error.pointed(&text);
        }
        complete(&text, text.len(), &Sample);
    }
}
