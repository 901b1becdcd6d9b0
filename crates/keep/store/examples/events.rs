//! The events benchmark: generates the same events each time, takes them in, and asks the five
//! questions of a debugging hour. `bench/events/peers.py` asks the same of other engines.
//!
//! ```text
//! events ingest DIR ROWS     take in generated events, durable, and seal them
//! events write FILE ROWS     the same events as NDJSON (as logfmt where FILE ends with .log),
//!                            and FILE.hosts.csv
//! events ask DIR             the five questions, five times each, as JSON lines
//! events metrics DIR         what a metric sample takes on disk
//! events rest DIR            memory after the five questions, and two minutes later
//! events month DIR           questions about thirty days of samples, from steps and from samples
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use andon_model::event::Value;
use andon_model::query::{Answer, Calc, CalcOp};
use andon_model::time::Timestamp;
use andon_store::{
    Background, Batch, Budget, Cancel, Condition, Direction, Lookup, LookupRow, Options, Order,
    ResolvedQuery, Store, Test,
};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// 2026-11-20T00:00:00Z.
const BEGIN_US: i64 = 1_795_132_800_000_000;
const HOUR_US: i64 = 3_600_000_000;
const HOSTS: u64 = 1_000;
const ROWS_A_BATCH: u64 = 8_192;
/// How often each question is asked after the first time.
const ROUNDS: usize = 5;
const KERNELS: [&str; 6] = ["5.15.160", "6.1.90", "6.1.112", "6.6.30", "6.8.9", "6.9.3"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["ingest", dir, rows] => ingest(Path::new(dir), rows.parse().unwrap()),
        ["write", file, rows] => write(Path::new(file), rows.parse().unwrap()),
        ["ask", dir] => ask(Path::new(dir)),
        ["metrics", dir] => metrics(Path::new(dir)),
        ["month", dir] => month(Path::new(dir)),
        ["rest", dir] => rest(Path::new(dir)),
        _ => eprintln!(
            "events ingest DIR ROWS | write FILE ROWS | ask DIR | metrics DIR | month DIR | rest DIR"
        ),
    }
}

/// One generated event; the same number is always the same event.
struct Made {
    at: i64,
    host: u64,
    service: u64,
    endpoint: u64,
    status: i64,
    duration_ms: f64,
    trace: u64,
}

fn random(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn share(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

fn zone_of(host: u64) -> u64 {
    host % 15
}

fn kernel_of(host: u64) -> usize {
    (random(host ^ 0xfeed) % 6) as usize
}

fn make(number: u64, rows: u64) -> Made {
    let mut seed = random(number);
    let mut next = || {
        seed = random(seed);
        seed
    };
    let at = (number as f64 / rows as f64 * HOUR_US as f64) as i64 / 1_000 * 1_000;
    let host = next() % HOSTS;
    let service = next() % 20;
    let endpoint = service * 10 + next() % 10;
    // Sum of uniforms: near enough to a bell for a log-normal duration.
    let bell: f64 = (0..6).map(|_| share(next())).sum::<f64>() - 3.0;
    let mut duration = 20.0 * (bell * 1.1).exp() * (1.0 + service as f64 / 20.0);
    if kernel_of(host) == 2 {
        duration *= 2.5;
    }
    if zone_of(host) == 7 && at > HOUR_US / 2 {
        duration *= 4.0;
    }
    let failed = next() % 1_000 < if kernel_of(host) == 2 { 30 } else { 8 };
    let status = match (failed, next() % 50) {
        (true, 0..20) => 503,
        (true, _) => 500,
        (false, 0) => 404,
        (false, _) => 200,
    };
    Made {
        at: BEGIN_US + at,
        host,
        service,
        endpoint,
        status,
        duration_ms: (duration * 1_000.0).round() / 1_000.0,
        trace: next(),
    }
}

struct Names {
    region: Vec<String>,
    zone: Vec<String>,
    host: Vec<String>,
    service: Vec<String>,
    endpoint: Vec<String>,
}

fn names() -> Names {
    let all = |count: u64, name: &dyn Fn(u64) -> String| (0..count).map(name).collect();
    Names {
        region: all(5, &|number| format!("region-{number}")),
        zone: all(15, &|zone| {
            format!(
                "region-{}-{}",
                zone / 3,
                ["a", "b", "c"][(zone % 3) as usize]
            )
        }),
        host: all(HOSTS, &|number| format!("host-{number:04}")),
        service: all(20, &|number| format!("service-{number:02}")),
        endpoint: all(200, &|number| format!("/api/v1/endpoint-{number:03}")),
    }
}

fn fill(batch: &mut Batch, names: &Names, made: &Made) {
    let zone = zone_of(made.host);
    batch.begin(Timestamp(made.at));
    batch.set_text("region", &names.region[(zone / 3) as usize]);
    batch.set_text("zone", &names.zone[zone as usize]);
    batch.set_text("host.name", &names.host[made.host as usize]);
    batch.set_text("service.name", &names.service[made.service as usize]);
    batch.set_text("endpoint", &names.endpoint[made.endpoint as usize]);
    batch.set_integer("status", made.status);
    batch.set_float("duration_ms", made.duration_ms);
    batch.set_text("kernel", KERNELS[kernel_of(made.host)]);
    let mut digits = [0u8; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(made.trace >> (60 - place * 4) & 15) as usize];
    }
    batch.set_text("trace_id", std::str::from_utf8(&digits).unwrap());
}

/// Highest memory of this process, MB.
fn memory_peak_mb() -> u64 {
    memory_mb("VmHWM")
}

/// A line of what the system says of this process, MB.
fn memory_mb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    let kb: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .unwrap_or(0);
    kb / 1024
}

/// Processor time of all threads so far.
fn cpu_ms() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let ms =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(usage.user_time()) + ms(usage.system_time())
}

fn options() -> Options {
    Options {
        background: Background::Caller,
        ..Options::default()
    }
}

fn ingest(dir: &Path, rows: u64) {
    let store = Store::open(dir, options()).unwrap();
    let names = names();
    let next = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(ROWS_A_BATCH, Ordering::Relaxed);
                    if from >= rows {
                        return;
                    }
                    let mut batch = Batch::new();
                    for number in from..(from + ROWS_A_BATCH).min(rows) {
                        fill(&mut batch, &names, &make(number, rows));
                    }
                    store.append_batch("events", batch).unwrap();
                }
            });
        }
    });
    let durable = started.elapsed().as_secs_f64();
    let busy_ms = cpu_ms();
    store.seal().unwrap();
    let sealed = started.elapsed().as_secs_f64();
    let stats = store.stats();
    println!(
        "{}",
        serde_json::json!({
            "engine": "andon", "rows": rows,
            "durable_rows_per_s": (rows as f64 / durable) as u64,
            "rows_per_processor_s": (rows as f64 / busy_ms * 1e3) as u64,
            "sealed_rows_per_s": (rows as f64 / sealed) as u64,
            "bytes_per_row": (stats.bytes_sealed as f64 / rows as f64 * 100.0).round() / 100.0,
            "segments": stats.segments,
            "memory_peak_mb": memory_peak_mb(),
        })
    );
}

fn write(file: &Path, rows: u64) {
    let names = names();
    let as_lines = file.extension().is_some_and(|end| end == "log");
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(file).unwrap());
    for number in 0..rows {
        let made = make(number, rows);
        let zone = zone_of(made.host) as usize;
        // What JSON puts into quotes, and what not.
        let text = |text: &str| (text.to_owned(), true);
        let number = |number: String| (number, false);
        let ts = match as_lines {
            true => text(&Timestamp(made.at).to_string()),
            false => number((made.at / 1_000).to_string()),
        };
        let fields = [
            ("ts", ts),
            ("region", text(&names.region[zone / 3])),
            ("zone", text(&names.zone[zone])),
            ("host.name", text(&names.host[made.host as usize])),
            ("service.name", text(&names.service[made.service as usize])),
            ("endpoint", text(&names.endpoint[made.endpoint as usize])),
            ("status", number(made.status.to_string())),
            ("duration_ms", number(made.duration_ms.to_string())),
            ("kernel", text(KERNELS[kernel_of(made.host)])),
            ("trace_id", text(&format!("{:016x}", made.trace))),
        ];
        let fields = fields.map(|(key, (value, is_text))| match (as_lines, is_text) {
            (true, _) => format!("{key}={value}"),
            (false, true) => format!("\"{key}\":\"{value}\""),
            (false, false) => format!("\"{key}\":{value}"),
        });
        match as_lines {
            true => writeln!(out, "{}", fields.join(" ")).unwrap(),
            false => writeln!(out, "{{{}}}", fields.join(",")).unwrap(),
        }
    }
    out.flush().unwrap();
    let hosts = file.with_extension("hosts.csv");
    let mut out = BufWriter::new(std::fs::File::create(hosts).unwrap());
    writeln!(out, "host,kernel_version").unwrap();
    for host in 0..HOSTS {
        writeln!(
            out,
            "{},{}",
            names.host[host as usize],
            KERNELS[kernel_of(host)]
        )
        .unwrap();
    }
    out.flush().unwrap();
}

fn calc(op: CalcOp, key: &str) -> Calc {
    let key = (!key.is_empty()).then(|| key.to_owned());
    Calc { op, key }
}

fn questions() -> Vec<(&'static str, ResolvedQuery)> {
    let base = || ResolvedQuery::new("events", Timestamp(BEGIN_US), Timestamp(BEGIN_US + HOUR_US));
    let mut by_region = base();
    by_region.group_by = vec!["region".into()];
    by_region.calcs = vec![
        calc(CalcOp::Count, ""),
        calc(CalcOp::ErrorShare, ""),
        calc(CalcOp::P50, "duration_ms"),
        calc(CalcOp::P99, "duration_ms"),
    ];
    let mut top_hosts = base();
    top_hosts.filters = vec![Condition {
        key: "zone".into(),
        test: Test::Equal(Value::from("region-2-b")),
    }];
    top_hosts.group_by = vec!["host.name".into()];
    top_hosts.calcs = vec![calc(CalcOp::P99, "duration_ms")];
    top_hosts.limit = 20;
    top_hosts.order_by = vec![Order {
        column: "p99(duration_ms)".into(),
        direction: Direction::Descending,
    }];
    let mut heatmap = base();
    heatmap.bucket = Some(Duration::from_secs(60));
    heatmap.calcs = vec![calc(CalcOp::Heatmap, "duration_ms")];
    let mut join = base();
    let names = names();
    let row = |host: u64| LookupRow {
        at: Timestamp(BEGIN_US - 1),
        values: vec![Some(Value::from(KERNELS[kernel_of(host)]))],
    };
    let rows = (0..HOSTS).map(|host| (names.host[host as usize].clone(), vec![row(host)]));
    join.lookup = Some(Lookup {
        dataset: "hosts".into(),
        on: "host.name".into(),
        take: vec!["kernel_version".into()],
        rows: rows.collect::<BTreeMap<_, _>>(),
    });
    join.group_by = vec!["hosts.kernel_version".into()];
    join.calcs = vec![calc(CalcOp::P99, "duration_ms")];
    let mut exemplars = base();
    exemplars.calcs = vec![calc(CalcOp::P999, "duration_ms")];
    exemplars.exemplars = 10;
    vec![
        ("q1 count, error share, p50, p99 by region", by_region),
        ("q2 one zone, top 20 hosts by p99", top_hosts),
        ("q3 heatmap 60 x 40", heatmap),
        ("q4 join, p99 by kernel version", join),
        ("q5 10 exemplars of the slowest 0.1 %", exemplars),
    ]
}

/// Times of five rounds each, the first apart: nothing is in memory then.
fn ask(dir: &Path) {
    let store = Store::open(dir, options()).unwrap();
    let mut recorded = serde_json::Map::new();
    for (name, query) in questions() {
        let mut times = Vec::new();
        let mut cpu_times = Vec::new();
        let mut answer = Answer::default();
        for _ in 0..=ROUNDS {
            let (started, cpu) = (Instant::now(), cpu_ms());
            let partial = store
                .scan(&query, &Cancel::new(), &Budget::default())
                .unwrap();
            answer = partial.finish(&query);
            times.push(started.elapsed().as_secs_f64() * 1e3);
            cpu_times.push(cpu_ms() - cpu);
        }
        assert!(!answer.partial, "{:?}", answer.notes);
        let (first, first_cpu) = (times.remove(0), cpu_times.remove(0));
        times.sort_by(f64::total_cmp);
        cpu_times.sort_by(f64::total_cmp);
        recorded.insert(
            name[..2].to_owned(),
            serde_json::json!({
                "name": name, "first_ms": first, "first_cpu_ms": first_cpu, "best_ms": times[0],
                "median_ms": times[ROUNDS / 2], "cpu_ms": cpu_times[0], "answer": answer,
            }),
        );
    }
    recorded.insert("memory_peak_mb".into(), memory_peak_mb().into());
    recorded.insert("warm_mb".into(), (store.stats().bytes_warm >> 20).into());
    println!("{}", serde_json::Value::Object(recorded));
}

/// What memory is given back once nobody asks any more.
fn rest(dir: &Path) {
    let store = Store::open(dir, options()).unwrap();
    for (_, query) in questions() {
        let partial = store.scan(&query, &Cancel::new(), &Budget::default());
        partial.unwrap().finish(&query);
    }
    let (asked_mb, warm) = (memory_mb("VmRSS"), store.stats().bytes_warm);
    while store.stats().bytes_warm > 0 {
        std::thread::sleep(Duration::from_millis(500));
    }
    println!(
        "{}",
        serde_json::json!({
            "memory_after_asking_mb": asked_mb, "of_it_kept_mb": warm >> 20,
            "memory_two_minutes_later_mb": memory_mb("VmRSS"),
        })
    );
}

const MONTH_SERIES: u64 = 1_000;
const MONTH_DAYS: i64 = 30;
const DAY_US: i64 = 24 * HOUR_US;
/// Five minutes, as many fleets sample what is only looked at by the month.
const MONTH_STEP_US: i64 = 300_000_000;

/// Thirty days of a thousand series, and what their processors did by host and day: answered
/// from steps of an hour, and, where buckets do not fit those, from the samples.
fn month(dir: &Path) {
    let store = Store::open(dir, options()).unwrap();
    if store.stats().rows_sealed == 0 {
        for step in 0..MONTH_DAYS * DAY_US / MONTH_STEP_US {
            let mut batch = Batch::new();
            for series in 0..MONTH_SERIES {
                let word = random(step as u64 * MONTH_SERIES + series);
                let names = [
                    "system.cpu.utilization",
                    "system.memory.usage",
                    "system.disk.io",
                    "up",
                ];
                batch.begin(Timestamp(BEGIN_US + step * MONTH_STEP_US));
                batch.set_text("kind", "metric");
                batch.set_text("name", names[(series % 4) as usize]);
                batch.set_text("host.name", &format!("host-{:04}", series / 4));
                batch.set_float("value", (share(word) * 1e4).round() / 100.0);
            }
            store.append_batch("metrics", batch).unwrap();
        }
        store.seal().unwrap();
        store.maintain(Timestamp(BEGIN_US)).unwrap();
    }
    let ask = |bucket: Duration| {
        let end = Timestamp(BEGIN_US + MONTH_DAYS * DAY_US);
        let mut query = ResolvedQuery::new("metrics", Timestamp(BEGIN_US), end);
        query.filters = vec![Condition {
            key: "name".into(),
            test: Test::Equal(Value::from("system.cpu.utilization")),
        }];
        query.group_by = vec!["host.name".into()];
        query.bucket = Some(bucket);
        query.calcs = vec![calc(CalcOp::Avg, "value"), calc(CalcOp::Max, "value")];
        query.limit = 100_000;
        let mut times = Vec::new();
        let mut answer = Answer::default();
        let mut cpu_times = Vec::new();
        for _ in 0..5 {
            let (started, cpu) = (Instant::now(), cpu_ms());
            let partial = store.scan(&query, &Cancel::new(), &Budget::default());
            answer = partial.unwrap().finish(&query);
            times.push(started.elapsed().as_secs_f64() * 1e3);
            cpu_times.push(cpu_ms() - cpu);
        }
        assert!(!answer.partial, "{:?}", answer.notes);
        times.sort_by(f64::total_cmp);
        cpu_times.sort_by(f64::total_cmp);
        serde_json::json!({
            "best_ms": times[0], "median_ms": times[2], "cpu_ms": cpu_times[0], "rows": answer.rows.len(),
            "rows_scanned": answer.stats.rows_scanned,
        })
    };
    let by_day = ask(Duration::from_secs(86_400));
    let by_hours = ask(Duration::from_secs(4 * 3_600));
    // No multiple of any step.
    let from_samples = ask(Duration::from_secs(5 * 3_600 + 60));
    println!(
        "{}",
        serde_json::json!({
            "samples": store.stats().rows_sealed, "by_day": by_day, "by_4_hours": by_hours,
            "from_samples": from_samples, "memory_peak_mb": memory_peak_mb(),
        })
    );
}

/// Two thousand series, a sample each 15 seconds for two hours: counters, gauges with two
/// decimals, and shares that hardly move.
fn metrics(dir: &Path) {
    let store = Store::open(dir, options()).unwrap();
    let mut rows = 0u64;
    let mut values = vec![0.0f64; 2_000];
    for step in 0..480 {
        let mut batch = Batch::new();
        for (series, value) in values.iter_mut().enumerate() {
            let word = random((step * 2_000 + series) as u64);
            let (name, told) = match series % 4 {
                0 => {
                    *value += (word % 500) as f64;
                    ("http.server.requests", *value)
                }
                1 => {
                    *value = (*value + share(word) - 0.5).clamp(0.0, 100.0);
                    ("system.cpu.utilization", (*value * 100.0).round() / 100.0)
                }
                2 => {
                    *value += if word.is_multiple_of(50) {
                        4_096.0
                    } else {
                        0.0
                    };
                    ("process.memory.usage", *value)
                }
                _ => ("up", 1.0),
            };
            let jitter = (random(word) % 3) as i64 * 1_000;
            batch.begin(Timestamp(BEGIN_US + step as i64 * 15_000_000 + jitter));
            batch.set_text("kind", "metric");
            batch.set_text("name", name);
            batch.set_text("host.name", &format!("host-{:04}", series / 4));
            batch.set_text("service.name", &format!("service-{:02}", series / 4 % 20));
            batch.set_float("value", told);
            rows += 1;
        }
        store.append_batch("metrics", batch).unwrap();
    }
    store.seal().unwrap();
    store.maintain(Timestamp(BEGIN_US + HOUR_US)).unwrap();
    let bytes = store.stats().bytes_sealed as f64 / rows as f64;
    println!(
        "{}",
        serde_json::json!({"samples": rows, "bytes_per_sample": bytes})
    );
}
