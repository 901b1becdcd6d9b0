//! One entry for each reader of bytes that clients send, for fuzzers and for the bounded test
//! below. None may panic, and whatever comes out keeps the model's limits.

use crate::decode::StreamDecoder;
use crate::decode::csv::Csv;
use crate::decode::journal::Journal;
use crate::decode::line::{LineFormat, LineStream, Multiline};
use crate::decode::ndjson::Ndjson;
use crate::decode::otlp::{self, Signal};
use crate::decode::prometheus::{self, TextFormat};
use crate::decode::{graphite, loki, snappy, statsd};
use crate::inflate::{Encoding, inflate};
use crate::limits::BODY_UNPACKED_BYTES_MAX;
use crate::listen::connection::Protocol;
use crate::listen::protocols::{FluentStream, Lines, MetricLines, SyslogStream};
use crate::reject::Decoded;
use andon_model::event::{ATTRIBUTES_MAX, KEY_BYTES_MAX, TEXT_BYTES_MAX, Value};
use andon_model::time::Timestamp;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp(1_795_000_000_000_000);

/// What a decoder makes is fit to be kept, whatever it was made of.
fn sound(out: &Decoded) {
    for event in &out.events {
        // Besides what a client may send, an event tells what was mended.
        assert!(
            event.attributes.len() <= ATTRIBUTES_MAX + 2,
            "too many attributes"
        );
        let mut names = BTreeSet::new();
        for (name, value) in &event.attributes {
            assert!(names.insert(name), "{name:?} is there twice");
            assert!(!name.is_empty() && name.len() <= KEY_BYTES_MAX, "{name:?}");
            if let Value::Text(text) = value {
                assert!(text.len() <= TEXT_BYTES_MAX, "a text is too long");
            }
        }
    }
}

/// OTLP as protobuf and as JSON, of all signals.
pub fn otlp(bytes: &[u8]) {
    for signal in [Signal::Logs, Signal::Metrics, Signal::Traces] {
        if let Ok(out) = otlp::decode(signal, bytes, NOW) {
            sound(&out);
        }
        if let Ok(message) = otlp::json::to_protobuf(signal, bytes) {
            otlp::decode(signal, &message, NOW).iter().for_each(sound);
        }
    }
}

/// Loki's push, as JSON and as unpacked protobuf.
pub fn loki(bytes: &[u8]) {
    loki::json(bytes, NOW).iter().for_each(sound);
    loki::protobuf(bytes, NOW).iter().for_each(sound);
}

/// Remote-write, packed and not, and what a scraped target says.
pub fn prometheus(bytes: &[u8]) {
    prometheus::remote_write(bytes, NOW).iter().for_each(sound);
    if let Ok(message) = snappy::decompress(bytes, BODY_UNPACKED_BYTES_MAX) {
        prometheus::remote_write(&message, NOW)
            .iter()
            .for_each(sound);
    }
    let extra = [("job".to_owned(), "j".to_owned())];
    for format in [TextFormat::Prometheus, TextFormat::OpenMetrics] {
        sound(&prometheus::text(bytes, format, &extra, NOW));
    }
}

/// Unpacking: snappy, gzip, deflate, zstd.
pub fn packed(bytes: &[u8]) {
    const MOST: usize = 1 << 20;
    if let Ok(out) = snappy::decompress(bytes, MOST) {
        assert!(out.len() <= MOST);
    }
    for name in ["gzip", "deflate", "zstd", "identity"] {
        let encoding = Encoding::by_name(name);
        if let Some(Ok(out)) = encoding.map(|encoding| inflate(encoding, bytes, MOST)) {
            assert!(out.len() <= MOST);
        }
    }
}

/// Syslog, StatsD, Graphite and Fluent's forward protocol, as datagrams and as connections.
pub fn protocols(bytes: &[u8]) {
    let mut out = Decoded::default();
    statsd::decode(bytes, NOW, &mut out);
    graphite::decode(bytes, 1, NOW, &mut out);
    sound(&out);
    converse(bytes, &|| Box::new(SyslogStream::default()));
    converse(bytes, &|| Box::new(FluentStream::default()));
    converse(bytes, &|| Box::new(MetricLines::new(Lines::Statsd)));
    converse(bytes, &|| Box::new(MetricLines::new(Lines::Graphite)));
}

/// The same bytes at once and in two pieces become as many events.
fn converse(bytes: &[u8], protocol: &dyn Fn() -> Box<dyn Protocol>) {
    let split = split_of(bytes);
    let told = [bytes.len(), split].map(|split| {
        let mut out = Decoded::default();
        let mut protocol = protocol();
        let (first, second) = bytes.split_at(split);
        let pushed = protocol.push(first, NOW, &mut out);
        if pushed.is_ok() && !second.is_empty() {
            let _ = protocol.push(second, NOW, &mut out);
        }
        protocol.finish(NOW, &mut out);
        sound(&out);
        out.events.len()
    });
    assert_eq!(told[0], told[1], "in two pieces, split at {split}");
}

/// Lines of all formats (access logs, logfmt, Andon's own and so on), NDJSON, CSV, the journal.
pub fn lines(bytes: &[u8]) {
    let formats = [
        LineFormat::Auto,
        LineFormat::Plain,
        LineFormat::Json,
        LineFormat::Logfmt,
        LineFormat::KeyValue,
        LineFormat::Andon,
        LineFormat::Access,
        LineFormat::Haproxy,
        LineFormat::Syslog,
        LineFormat::Pattern("<at:time> <level> [<thread>] took <took:duration>: <body>".into()),
    ];
    for format in &formats {
        for rule in [Multiline::Off, Multiline::Traces] {
            stream(bytes, &|| {
                LineStream::new(format, &rule).map_or_else(
                    |_| Box::new(LineStream::default()) as Box<dyn StreamDecoder>,
                    |stream| Box::new(stream),
                )
            });
        }
    }
    stream(bytes, &|| Box::new(Ndjson::default()));
    stream(bytes, &|| Box::new(Csv::default()));
    let mut out = Decoded::default();
    let mut journal = Journal::default();
    journal.push(bytes, NOW, &mut out);
    sound(&out);
}

fn stream(bytes: &[u8], decoder: &dyn Fn() -> Box<dyn StreamDecoder>) {
    let split = split_of(bytes);
    let told = [bytes.len(), split].map(|split| {
        let mut out = Decoded::default();
        let mut decoder = decoder();
        let (first, second) = bytes.split_at(split);
        decoder.push(first, NOW, &mut out);
        decoder.push(second, NOW, &mut out);
        decoder.finish(NOW, &mut out);
        sound(&out);
        out.events.len()
    });
    assert_eq!(told[0], told[1], "in two pieces, split at {split}");
}

/// Anywhere, by what the bytes themselves say.
fn split_of(bytes: &[u8]) -> usize {
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    sum % (bytes.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// What well-behaved clients send.
    fn corpus() -> Vec<Vec<u8>> {
        let logs = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1795000000000000000","severityNumber":9,"body":{"stringValue":"done"},"attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"l","value":{"arrayValue":{"values":[{"doubleValue":0.5}]}}}],"traceId":"0af7651916cd43dd8448eb211c80319c"}]}]}]}"#;
        let metrics = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"took","unit":"ms","histogram":{"dataPoints":[{"timeUnixNano":"1795000000000000000","count":"2","sum":9,"bucketCounts":["1","1"],"explicitBounds":[5],"exemplars":[{"asDouble":7,"traceId":"0af7651916cd43dd8448eb211c80319c"}]}]}},{"name":"n","sum":{"dataPoints":[{"asInt":"3"}]}}]}]}]}"#;
        let traces = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"pay","traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","startTimeUnixNano":"1795000000000000000","endTimeUnixNano":"1795000000020000000","status":{"code":2},"events":[{"name":"e"}]}]}]}]}"#;
        let mut corpus: Vec<Vec<u8>> = Vec::new();
        for (signal, text) in [
            (Signal::Logs, &logs[..]),
            (Signal::Metrics, metrics),
            (Signal::Traces, traces),
        ] {
            corpus.push(text.to_vec());
            corpus.push(otlp::json::to_protobuf(signal, text).unwrap());
        }
        let label = |name: &str, value: &str| {
            let mut label = vec![0x0a, name.len() as u8];
            label.extend(name.bytes());
            label.extend([0x12, value.len() as u8]);
            label.extend(value.bytes());
            label
        };
        let mut series = Vec::new();
        for label in [label("__name__", "up"), label("job", "a")] {
            series.extend([0x0a, label.len() as u8]);
            series.extend(label);
        }
        series.extend([0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        let mut write = vec![0x0a, series.len() as u8];
        write.extend(series);
        corpus.push(snappy::wrap(&write));
        corpus.push(write);
        let fluent: [&[u8]; 2] = [
            b"\x93\xa3app\xce\x6a\xfd\x54\x40\x82\xa7message\xa2hi\xa1n\x05",
            b"\x93\xa3app\x91\x92\xd7\x00\x6a\xfd\x54\x40\x00\x00\x00\x01\x81\xa3log\xa1x\x82\xa5chunk\xa2id\xa4size\x01",
        ];
        corpus.extend(fluent.map(<[u8]>::to_vec));
        let texts = [
            "<34>1 2026-11-21T14:00:00Z host app 7 id [a@1 k=\"v\\\"w\"] it works\n",
            "<13>Nov 21 14:00:00 host app[7]: it works\n41 <11>1 2026-11-21T14:00:00Z h a - - - over tls\n",
            "orders:3|c|@0.1|#region:eu,canary\ntook:320:12|ms\nusers:ann|s\n_e{6,9}:deploy|version 2|t:warning\n_sc|db.up|2|m:gone\n",
            "shop.orders;dc=eu 42 1795000000\nshop.fuel nan -1\n",
            "{\"streams\":[{\"stream\":{\"app\":\"shop\",\"level\":\"warn\"},\"values\":[[\"1795000000000000000\",\"low stock item=7\",{\"m\":\"x\"}]]}]}",
            "# TYPE took histogram\ntook_bucket{le=\"0.5\"} 3 # {trace_id=\"abc\"} 0.3 1.5\ntook_sum 1\ntook_count 3\nup{a=\"b\\n\"} 1 1795000000000\n",
            "10.0.0.1 - ann [21/Nov/2026:14:00:00 +0000] \"GET /cart?id=7 HTTP/1.1\" 200 12 \"-\" \"curl/8\" 0.125\n",
            "10.0.0.1:5 [21/Nov/2026:14:00:00.123] web none/gone 0/0/-1/-1/3 503 221 - - SC-- 1/1/0/0/3 0/0 \"GET /cart HTTP/1.1\"\n",
            "ts=2026-11-21T14:00:00Z level=info msg=\"say \\\"hi\\\"\" n=7 d=1.5s\n",
            "2026-11-21 14:00:00,125 ERROR [main] c.e.Cart - broke\njava.lang.Error: x\n\tat a.b(C.java:7)\nCaused by: y\n",
            "andon begin order.pay id=42 customer=7\nandon end order.pay id=42 status=ok\nandon heartbeat nightly every=24h grace=5m\n",
            "{\"ts\":1795000000125,\"a\":{\"b\":[1,null,{\"c\":\"d\"}]},\"n\":18446744073709551615}\n{\"ts\":\"2026-11-21T14:00:00Z\"}\n",
            "ts,n,\"a \"\"b\"\"\"\n2026-11-21T14:00:00Z,7,\"x\ny\"\n",
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795000000000000\nMESSAGE=hello\nPRIORITY=3\n\n",
            "2026-11-21T14:00:00Z warn [t-1] took 12ms: slow\n",
        ];
        corpus.extend(texts.map(|text| text.as_bytes().to_vec()));
        for text in texts {
            let mut packer =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(text.as_bytes()).unwrap();
            corpus.push(packer.finish().unwrap());
            corpus.push(zstd::stream::encode_all(text.as_bytes(), 1).unwrap());
        }
        corpus
    }

    fn read(bytes: &[u8]) {
        otlp(bytes);
        loki(bytes);
        prometheus(bytes);
        packed(bytes);
        protocols(bytes);
        lines(bytes);
    }

    #[test]
    fn what_clients_send_is_read() {
        let corpus = corpus();
        corpus.iter().for_each(|bytes| read(bytes));
        // The corpus is not rubbish: each reader finds something in it.
        assert_eq!(
            otlp::decode(Signal::Traces, &corpus[5], NOW)
                .unwrap()
                .events
                .len(),
            2
        );
        assert_eq!(
            prometheus::remote_write(&corpus[7], NOW)
                .unwrap()
                .events
                .len(),
            1
        );
        for chunk in &corpus[8..10] {
            let mut out = Decoded::default();
            FluentStream::default().push(chunk, NOW, &mut out).unwrap();
            assert_eq!(out.events.len(), 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

        #[test]
        fn no_bytes_harm_a_reader(
            which: prop::sample::Index,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in prop::option::of(any::<prop::sample::Index>()),
            twice: bool,
            rubbish in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let corpus = corpus();
            let mut bytes = which.get(&corpus).clone();
            for (place, byte) in edits {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if twice {
                bytes.extend_from_within(..);
            }
            bytes.extend(rubbish);
            read(&bytes);
        }
    }
}
