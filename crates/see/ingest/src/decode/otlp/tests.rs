use super::*;
use andon_model::event::Event;
use proptest::prelude::*;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
}

fn read(signal: Signal, text: &str) -> Vec<Event> {
    let bytes = json::to_protobuf(signal, text.as_bytes()).unwrap();
    decode(signal, &bytes, now()).unwrap().events
}

fn check(event: &Event, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        let said = event.get(key).map(ToString::to_string);
        assert_eq!(said.as_deref(), Some(*value), "{key} of {event:?}");
    }
}

const LOGS: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}},
 {"key":"n","value":{"intValue":"5"}}]},"scopeLogs":[{"scope":{"name":"lib"},"logRecords":[{"timeUnixNano":"1763604000125000000",
 "severityNumber":17,"severityText":"Error","body":{"stringValue":"it broke"},"attributes":[{"key":"n","value":{"intValue":7}},
 {"key":"list","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"a\"b"}]}}},
 {"key":"map","value":{"kvlistValue":{"values":[{"key":"x","value":{"doubleValue":1.5}}]}}}],
 "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","flags":1}]}]}]}"#;

#[test]
fn log_records_carry_their_resource() {
    let events = read(Signal::Logs, LOGS);
    assert_eq!(events[0].at.to_string(), "2025-11-20T02:00:00.125Z");
    check(
        &events[0],
        &[
            ("kind", "log"),
            ("severity_text", "error"),
            ("body", "it broke"),
            ("n", "7"),
            ("resource.n", "5"),
            ("service.name", "web"),
            ("scope.name", "lib"),
            ("list", r#"[1,"a\"b"]"#),
            ("map.x", "1.5"),
            ("trace_id", "5b8efff798038103d269b633813fc60c"),
            ("span_id", "eee19b7ec3c1b174"),
        ],
    );
}

#[test]
fn spans_carry_their_duration_and_events_their_span() {
    let events = read(
        Signal::Traces,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
        "parentSpanId":"eee19b7ec3c1b173","name":"GET /","kind":2,"startTimeUnixNano":"1763604000000000000","endTimeUnixNano":"1763604000001500000",
        "events":[{"timeUnixNano":"1763604000001000000","name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"X"}}]}],
        "links":[{"traceId":"00ff","spanId":"01"}],"status":{"code":2,"message":"no"}}]}]}]}"#,
    );
    check(
        &events[0],
        &[
            ("kind", "span"),
            ("duration_ms", "1.5"),
            ("status", "error"),
            ("status.message", "no"),
            ("span.kind", "server"),
            ("parent_span_id", "eee19b7ec3c1b173"),
            ("links.0.trace_id", "00ff"),
        ],
    );
    check(
        &events[1],
        &[
            ("kind", "event"),
            ("name", "exception"),
            ("parent_span_id", "eee19b7ec3c1b174"),
            ("exception.type", "X"),
        ],
    );
}

#[test]
fn points_of_all_metrics_become_events_and_exemplars_too() {
    let events = read(
        Signal::Metrics,
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"requests","unit":"1","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"42","timeUnixNano":"1763604000000000000",
          "attributes":[{"key":"route","value":{"stringValue":"/"}}]}]}},
        {"name":"temp","gauge":{"dataPoints":[{"asDouble":-1.5}]}},
        {"name":"took","unit":"ms","histogram":{"dataPoints":[{"count":"4","sum":100,"min":1,"max":60,"bucketCounts":["1","2","1"],"explicitBounds":[10,50],
          "attributes":[{"key":"route","value":{"stringValue":"/"}}],
          "exemplars":[{"asDouble":60,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","timeUnixNano":"1763604000000000000"}]}]}},
        {"name":"exp","exponentialHistogram":{"dataPoints":[{"count":3,"sum":7,"scale":0,"zeroCount":1,"positive":{"offset":1,"bucketCounts":["1","1"]}}]}},
        {"name":"sum","summary":{"dataPoints":[{"count":2,"sum":5,"quantileValues":[{"quantile":0.99,"value":4}]}]}}
        ]}]}]}"#,
    );
    check(
        &events[0],
        &[
            ("name", "requests"),
            ("value", "42"),
            ("route", "/"),
            ("metric.temporality", "cumulative"),
            ("metric.monotonic", "true"),
        ],
    );
    check(&events[1], &[("value", "-1.5"), ("metric.type", "gauge")]);
    check(
        &events[2],
        &[
            ("count", "4"),
            ("value", "25"),
            ("p50", "30"),
            ("max", "60"),
            ("buckets", r#"[[10.0,1],[50.0,2],["+Inf",1]]"#),
        ],
    );
    check(
        &events[3],
        &[
            ("kind", "exemplar"),
            ("name", "took"),
            ("value", "60"),
            ("route", "/"),
            ("trace_id", "5b8efff798038103d269b633813fc60c"),
        ],
    );
    check(
        &events[4],
        &[("p50", "3"), ("buckets", "[[0.0,1],[4.0,1],[8.0,1]]")],
    );
    check(&events[5], &[("p99", "4"), ("value", "2.5")]);
}

#[test]
fn a_small_request_that_would_become_large_is_bounded() {
    let mut pair = Message::default();
    pair.bytes(1, b"k");
    let mut value = Message::default();
    value.bytes(1, &vec![b'x'; 200_000]);
    pair.bytes(2, &value.0);
    let mut resource = Message::default();
    resource.bytes(1, &pair.0);
    let mut scope = Message::default();
    for _ in 0..10_000 {
        scope.bytes(2, &[]);
    }
    let mut group = Message::default();
    group.bytes(1, &resource.0);
    group.bytes(2, &scope.0);
    let mut request = Message::default();
    request.bytes(1, &group.0);
    assert!(request.0.len() < 300_000);
    let decoded = decode(Signal::Logs, &request.0, now()).unwrap();
    assert!(decoded.events.len() < 2000);
    assert_eq!(
        decoded.events.len() as u64 + decoded.rejected_total(),
        10_000
    );
    assert!(!answer(&decoded).is_empty());
}

#[test]
fn json_that_is_no_request_says_what_is_wrong() {
    let check = |text: &str, expected: &str| {
        let error = json::to_protobuf(Signal::Logs, text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("[]", "no JSON: not an object");
    check(
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}"#,
        "traceId is not what it should be: hexadecimal digits",
    );
    check(
        r#"{"resourceLogs":[5]}"#,
        "resourceLogs is not what it should be: an object",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn rubbish_and_damaged_requests_never_panic(bytes: Vec<u8>, place: prop::sample::Index, byte: u8) {
        let mut damaged = json::to_protobuf(Signal::Logs, LOGS.as_bytes()).unwrap();
        let place = place.index(damaged.len());
        damaged[place] = byte;
        for signal in Signal::ALL {
            let _ = decode(signal, &bytes, now());
            let _ = decode(signal, &damaged, now());
            let _ = json::to_protobuf(signal, &bytes);
        }
    }
}
