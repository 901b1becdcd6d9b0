//! How fast lines become events, on one core; and what waits for a network to send them.

use andon_ingest::decode::StreamDecoder;
use andon_ingest::decode::line::{LineFormat, LineStream, Multiline};
use andon_ingest::decode::ndjson::Ndjson;
use andon_ingest::decode::otlp::{self, Signal};
use andon_ingest::{Accepting, Batch, Decoded, Gate, Patience, Sink};
use andon_model::time::Timestamp;
use divan::counter::{BytesCount, ItemsCount};
use std::sync::Arc;

const LINES: usize = 20_000;

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    Timestamp(1_763_604_000_000_000)
}

fn ndjson() -> String {
    (0..LINES)
        .map(|n| {
            format!(
                "{{\"ts\":{},\"region\":\"region-{}\",\"zone\":\"zone-{}\",\"host\":\"host-{:04}\",\"service\":\"svc-{}\",\"endpoint\":\"/api/v1/e{}\",\"status\":{},\"duration_ms\":{}.{:03},\"kernel_version\":\"6.1.{}\",\"trace_id\":\"{:032x}\"}}\n",
                1_763_604_000_000u64 + n as u64, n % 5, n % 15, n % 1000, n % 20, n % 200, 200 + n % 3 * 100, n % 500, n % 1000, n % 6, n
            )
        })
        .collect()
}

fn logfmt() -> String {
    (0..LINES)
        .map(|n| format!("ts=2026-11-20T03:20:00.{:03}Z level=info host=host-{:04} service=svc-{} endpoint=/api/v1/e{} status=200 duration_ms={}.5 msg=\"request done\"\n", n % 1000, n % 1000, n % 20, n % 200, n % 500))
        .collect()
}

fn access() -> String {
    (0..LINES)
        .map(|n| format!("10.0.{}.{} - - [20/Nov/2026:03:20:00 +0000] \"GET /api/v1/e{}?id={n} HTTP/1.1\" 200 {n} \"-\" \"curl/8.5.0\" 0.125\n", n % 250, n % 251, n % 200))
        .collect()
}

fn plain() -> String {
    (0..LINES)
        .map(|n| format!("2026-11-20 03:20:00,{:03} INFO  [pool-{}] c.e.shop.Cart - took item {n} for user {} off the shelf\n", n % 1000, n % 16, n % 777))
        .collect()
}

fn run(
    bencher: divan::Bencher<'_, '_>,
    text: &str,
    decoder: impl Fn() -> Box<dyn StreamDecoder> + Sync,
) {
    bencher
        .counter(ItemsCount::new(LINES))
        .counter(BytesCount::new(text.len()))
        .bench(|| {
            let mut out = Decoded::default();
            let mut decoder = decoder();
            for piece in text.as_bytes().chunks(256 * 1024) {
                decoder.push(piece, now(), &mut out);
            }
            decoder.finish(now(), &mut out);
            assert_eq!(out.events.len(), LINES);
            out
        });
}

#[divan::bench]
fn ndjson_lines(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &ndjson(), || Box::new(Ndjson::default()));
}

fn stream(format: LineFormat) -> Box<dyn StreamDecoder> {
    Box::new(LineStream::new(&format, &Multiline::Traces).expect("a format that needs no pattern"))
}

#[divan::bench]
fn logfmt_lines(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &logfmt(), || stream(LineFormat::Logfmt));
}

#[divan::bench]
fn logfmt_lines_found_by_looking(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &logfmt(), || stream(LineFormat::Auto));
}

#[divan::bench]
fn access_lines_found_by_looking(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &access(), || stream(LineFormat::Auto));
}

#[divan::bench]
fn plain_lines_found_by_looking(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &plain(), || stream(LineFormat::Auto));
}

#[divan::bench]
fn otlp_log_records(bencher: divan::Bencher<'_, '_>) {
    let record = |n: usize| {
        format!(
            r#"{{"timeUnixNano":"{}","severityNumber":9,"body":{{"stringValue":"request {n} done"}},"attributes":[{{"key":"endpoint","value":{{"stringValue":"/api/v1/e{}"}}}},{{"key":"status","value":{{"intValue":"200"}}}},{{"key":"duration_ms","value":{{"doubleValue":{}.5}}}}],"traceId":"{n:032x}","spanId":"{n:016x}"}}"#,
            1_763_604_000_000_000_000u64 + n as u64,
            n % 200,
            n % 500
        )
    };
    let records: Vec<_> = (0..LINES).map(record).collect();
    let text = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"web"}}}},{{"key":"host.name","value":{{"stringValue":"h"}}}}]}},"scopeLogs":[{{"logRecords":[{}]}}]}}]}}"#,
        records.join(",")
    );
    let bytes = otlp::json::to_protobuf(Signal::Logs, text.as_bytes()).expect("a request");
    bencher
        .counter(ItemsCount::new(LINES))
        .counter(BytesCount::new(bytes.len()))
        .bench(|| otlp::decode(Signal::Logs, &bytes, now()).expect("a request"));
}

struct Nowhere;

impl Sink for Nowhere {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        Box::pin(async move {
            divan::black_box(batch);
            Ok(())
        })
    }
}

/// What the gate itself costs: bounds on names, and the node's stamp.
#[divan::bench]
fn gate(bencher: divan::Bencher<'_, '_>) {
    through_gate(bencher, false);
}

/// The same where events of two shapes come in turn.
#[divan::bench]
fn gate_with_two_shapes(bencher: divan::Bencher<'_, '_>) {
    through_gate(bencher, true);
}

fn through_gate(bencher: divan::Bencher<'_, '_>, has_two_shapes: bool) {
    let mut out = Decoded::default();
    Ndjson::default().push(ndjson().as_bytes(), now(), &mut out);
    for event in out.events.iter_mut().step_by(2).filter(|_| has_two_shapes) {
        event.attributes.swap(0, 1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let gate = Gate::new(Arc::new(Nowhere), Some("node-1"), Some("site-1"));
    let counters = gate.counters("bench");
    bencher
        .counter(ItemsCount::new(LINES))
        .with_inputs(|| Batch {
            dataset: "events".into(),
            events: out.events.clone(),
            id: None,
        })
        .bench_values(|batch| runtime.block_on(gate.deliver(&counters, batch, Patience::None)));
}
