//! Real clients send what they send; see `install_clients.sh`. What is not installed is
//! skipped, and said so.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod world;

use andon_ingest::Inputs;
use andon_ingest::inputs::{Speaks, Transport};
use andon_ingest::listen::scrape::ScrapeTarget;
use andon_ingest::tail::FileInput;
use andon_model::event::Value;
use std::io::Write;
use std::sync::Arc;
use world::{Running, World, free_port, has, has_module, listen, listening, run, run_python, text};

const OTLP: &str = r#"
import sys, logging, time
kind, url = sys.argv[1], sys.argv[2]
from opentelemetry import trace, metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
if kind == 'http':
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http import Compression
    span = OTLPSpanExporter(url + '/v1/traces', compression=Compression.Gzip)
    metric = OTLPMetricExporter(url + '/v1/metrics')
    log = OTLPLogExporter(url + '/v1/logs')
else:
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    span = OTLPSpanExporter(url, insecure=True, compression=grpc.Compression.Gzip)
    metric = OTLPMetricExporter(url, insecure=True)
    log = OTLPLogExporter(url, insecure=True)
resource = Resource.create({'service.name': 'shop'})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(span))
meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(metric)])
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(log))
logger = logging.getLogger('app'); logger.addHandler(LoggingHandler(logger_provider=logs)); logger.setLevel('INFO')
meter = meters.get_meter('m')
took = meter.create_histogram('took', unit='ms')
count = meter.create_counter('orders')
tracer = tracing.get_tracer('t')
with tracer.start_as_current_span('order') as outer:
    with tracer.start_as_current_span('pay', attributes={'amount': 12.5, 'items': ['a', 'b']}):
        took.record(42.0, {'route': '/pay'})
        count.add(3, {'route': '/pay'})
        logger.error('card was %s', 'refused')
        time.sleep(0.02)
tracing.force_flush(); meters.force_flush(); logs.force_flush()
tracing.shutdown(); meters.shutdown(); logs.shutdown()
"#;

async fn opentelemetry(kind: &'static str) {
    if !has_module("opentelemetry.sdk._logs, grpc") {
        return;
    }
    let speaks = if kind == "http" {
        Speaks::Http
    } else {
        Speaks::OtlpGrpc
    };
    let world = World::start(kind, |_| listening(vec![listen(speaks, Transport::Tcp)])).await;
    let url = format!("http://{}", world.addresses[0]);
    run_python(OTLP, &[kind, &url]).await;
    let outer = world
        .expect(&[
            ("kind", "span"),
            ("name", "order"),
            ("service.name", "shop"),
        ])
        .await;
    let inner = world
        .expect(&[("kind", "span"), ("name", "pay"), ("amount", "12.5")])
        .await;
    assert_eq!(text(&inner, "parent_span_id"), text(&outer, "span_id"));
    assert_eq!(text(&inner, "items"), r#"["a","b"]"#);
    let took = inner.get("duration_ms").and_then(Value::number).unwrap();
    assert!((20.0..5000.0).contains(&took), "{took}");
    let log = world
        .expect(&[
            ("kind", "log"),
            ("body", "card was refused"),
            ("severity_text", "error"),
        ])
        .await;
    assert_eq!(text(&log, "trace_id"), text(&inner, "trace_id"));
    assert_eq!(text(&log, "span_id"), text(&inner, "span_id"));
    let histogram = world
        .expect(&[("kind", "metric"), ("name", "took"), ("route", "/pay")])
        .await;
    assert_eq!(
        (text(&histogram, "count"), text(&histogram, "max")),
        ("1".into(), "42".into())
    );
    world
        .expect(&[("kind", "metric"), ("name", "orders"), ("value", "3")])
        .await;
    // The SDK samples exemplars where a span is recorded.
    let exemplar = world
        .expect(&[("kind", "exemplar"), ("name", "took"), ("value", "42")])
        .await;
    assert_eq!(text(&exemplar, "span_id"), text(&inner, "span_id"));
    let datasets: Vec<_> = world
        .kept
        .batches
        .lock()
        .unwrap()
        .iter()
        .map(|batch| batch.dataset.clone())
        .collect();
    for dataset in ["logs", "metrics", "traces"] {
        assert!(datasets.iter().any(|name| name == dataset), "{dataset}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opentelemetry_sdk_over_http() {
    opentelemetry("http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opentelemetry_sdk_over_grpc() {
    opentelemetry("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logger_over_udp_and_tcp() {
    if !has("logger") {
        return;
    }
    let world = World::start("logger", |_| {
        listening(vec![
            listen(Speaks::Syslog, Transport::Udp),
            listen(Speaks::Syslog, Transport::Tcp),
        ])
    })
    .await;
    for (place, transport) in ["--udp", "--tcp"].iter().enumerate() {
        let port = world.port(place);
        let to = [
            "--server",
            "127.0.0.1",
            "--port",
            &port,
            transport,
            "--priority",
            "local3.warning",
            "--tag",
            "app",
        ];
        for (format, extra) in [
            (
                "--rfc5424",
                &["--sd-id", "order@1", "--sd-param", "id=\"7\""][..],
            ),
            ("--rfc3164", &[]),
        ] {
            let message = format!("sent with{transport}{format}");
            run("logger", &[&to[..], &[format], extra, &[&message]].concat()).await;
            let event = world
                .expect(&[
                    ("body", &message),
                    ("severity_text", "warn"),
                    ("service.name", "app"),
                ])
                .await;
            assert_eq!(text(&event, "syslog.facility"), "local3");
            assert!(!text(&event, "host.name").is_empty());
            if !extra.is_empty() {
                assert_eq!(text(&event, "syslog.sd.order.id"), "7");
            }
        }
        let message = format!("counted{transport}");
        if *transport == "--tcp" {
            run("logger", &[&to[..], &["--octet-count", &message]].concat()).await;
            world.expect(&[("body", &message)]).await;
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_forwards_a_file() {
    if !has("rsyslogd") {
        return;
    }
    let world = World::start("rsyslog", |_| {
        listening(vec![listen(Speaks::Syslog, Transport::Tcp)])
    })
    .await;
    let folder = world.folder.display().to_string();
    let config = format!(
        "global(workDirectory=\"{folder}\")\nmodule(load=\"imfile\")\n\
         input(type=\"imfile\" File=\"{folder}/app.log\" Tag=\"app:\" Severity=\"error\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\")\n",
        world.port(0)
    );
    std::fs::write(world.folder.join("rsyslog.conf"), config).unwrap();
    let mut file = std::fs::File::create(world.folder.join("app.log")).unwrap();
    for number in 0..200 {
        writeln!(file, "line {number} of the file").unwrap();
    }
    let conf = format!("{folder}/rsyslog.conf");
    let pid = format!("{folder}/rsyslog.pid");
    let rsyslog = Running::start(
        "rsyslogd",
        &["-n", "-f", &conf, "-i", &pid],
        &world.folder.join("out"),
    );
    world
        .expect(&[("body", "line 199 of the file"), ("service.name", "app")])
        .await;
    let count = world
        .events()
        .iter()
        .filter(|event| text(event, "service.name") == "app")
        .count();
    assert_eq!(count, 200);
    drop(rsyslog);
    world.end().await;
}

const TLS_SYSLOG: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as plain:
    with context.wrap_socket(plain) as tls:
        message = b'<11>1 2026-11-21T14:00:00Z h app - - - over tls'
        tls.sendall(str(len(message)).encode() + b' ' + message)
        tls.unwrap()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = |_: &std::path::Path| listening(vec![listen(Speaks::Syslog, Transport::Tls)]);
    let with = |inputs: Inputs| inputs.with_server_tls(Arc::new(tls));
    let world = World::start_with("tls", config, with).await;
    run_python(TLS_SYSLOG, &[&world.port(0)]).await;
    world
        .expect(&[("body", "over tls"), ("severity_text", "error")])
        .await;
    world.end().await;
}

const STATSD: &str = r#"
import sys, statsd
from datadog.dogstatsd import DogStatsd
port = int(sys.argv[1])
client = statsd.StatsClient('127.0.0.1', port)
client.incr('orders', 3); client.timing('took', 320); client.gauge('fuel', 7.5); client.set('users', 'ann')
dog = DogStatsd(host='127.0.0.1', port=port, disable_telemetry=True)
dog.histogram('size', 12.5, tags=['region:eu', 'canary'])
dog.event('deploy', 'version 2', alert_type='warning', tags=['app:shop'])
dog.service_check('db.up', 2, message='gone')
dog.flush()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn statsd_and_dogstatsd() {
    if !has_module("statsd, datadog") {
        return;
    }
    let world = World::start("statsd", |_| {
        listening(vec![listen(Speaks::Statsd, Transport::Udp)])
    })
    .await;
    run_python(STATSD, &[&world.port(0)]).await;
    world
        .expect(&[
            ("name", "orders"),
            ("value", "3"),
            ("metric.type", "counter"),
        ])
        .await;
    world
        .expect(&[("name", "took"), ("duration_ms", "320")])
        .await;
    world.expect(&[("name", "fuel"), ("value", "7.5")]).await;
    world.expect(&[("name", "users"), ("member", "ann")]).await;
    world
        .expect(&[("name", "size"), ("region", "eu"), ("canary", "true")])
        .await;
    world
        .expect(&[
            ("kind", "event"),
            ("name", "deploy"),
            ("body", "version 2"),
            ("severity_text", "warn"),
        ])
        .await;
    world
        .expect(&[("name", "db.up"), ("status", "error"), ("body", "gone")])
        .await;
    world.end().await;
}

const GRAPHITE: &str = r#"
import sys, graphyte
graphyte.init('127.0.0.1', port=int(sys.argv[1]), prefix='shop')
graphyte.send('orders', 42, timestamp=1763604000, tags={'dc': 'eu'})
"#;

#[tokio::test(flavor = "multi_thread")]
async fn graphite() {
    if !has_module("graphyte") {
        return;
    }
    let world = World::start("graphite", |_| {
        listening(vec![listen(Speaks::Graphite, Transport::Tcp)])
    })
    .await;
    run_python(GRAPHITE, &[&world.port(0)]).await;
    let event = world
        .expect(&[("name", "shop.orders"), ("value", "42"), ("dc", "eu")])
        .await;
    assert_eq!(event.at.to_string(), "2025-11-20T02:00:00.000Z");
    world.end().await;
}

const FLUENT: &str = r#"
import sys
from fluent import sender
client = sender.FluentSender('app', host='127.0.0.1', port=int(sys.argv[1]), nanosecond_precision=True)
assert client.emit('web', {'message': 'hello', 'k8s': {'pod': 'a-1'}, 'n': 5})
client.close()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn fluent_in_python() {
    if !has_module("fluent") {
        return;
    }
    let world = World::start("fluent", |_| {
        listening(vec![listen(Speaks::Fluent, Transport::Tcp)])
    })
    .await;
    run_python(FLUENT, &[&world.port(0)]).await;
    world
        .expect(&[
            ("body", "hello"),
            ("k8s.pod", "a-1"),
            ("n", "5"),
            ("fluent.tag", "app.web"),
        ])
        .await;
    world.end().await;
}

const FLUENT_ACK: &str = r#"
const { FluentClient } = require('@fluent-org/logger');
const modes = ['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'];
(async () => {
  for (const mode of modes) {
    const client = new FluentClient('app', { eventMode: mode, ack: { ackTimeout: 5000 },
      socket: { host: '127.0.0.1', port: Number(process.argv[2]), timeout: 5000 } });
    const sent = client.emit('web', { message: 'in ' + mode });
    await client.flush();
    await sent;
    await client.disconnect();
  }
})().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
"#;

#[tokio::test(flavor = "multi_thread")]
async fn fluent_with_acknowledgement_in_all_modes() {
    if !has("node")
        || !world::clients()
            .join("node/node_modules/@fluent-org/logger")
            .is_dir()
    {
        eprintln!("!! SKIPPED @fluent-org/logger: it is not installed (tests/install_clients.sh)");
        return;
    }
    let world = World::start("fluent-ack", |_| {
        listening(vec![listen(Speaks::Fluent, Transport::Tcp)])
    })
    .await;
    let script = world::clients().join("node/fluent_ack.js");
    std::fs::write(&script, FLUENT_ACK).unwrap();
    // It fails unless each chunk is acknowledged.
    run("node", &[&script.display().to_string(), &world.port(0)]).await;
    for mode in [
        "Message",
        "Forward",
        "PackedForward",
        "CompressedPackedForward",
    ] {
        world.expect(&[("body", &format!("in {mode}"))]).await;
    }
    world.end().await;
}

const LOKI: &str = r#"
import sys, logging, logging_loki
handler = logging_loki.LokiHandler(url=sys.argv[1] + '/loki/api/v1/push', tags={'app': 'shop'}, version='1')
logger = logging.getLogger('x'); logger.addHandler(handler)
logger.warning('low stock item=7 left=2')
"#;

const LOKI_NODE: &str = r#"
const winston = require('winston'); const Loki = require('winston-loki');
const transport = new Loki({ host: process.argv[2], labels: { app: 'cart' }, batching: false, onConnectionError: (e) => { console.error(e); process.exit(1); } });
const logger = winston.createLogger({ transports: [transport] });
logger.error('it broke');
setTimeout(() => process.exit(0), 1500);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn loki_clients() {
    let world = World::start("loki", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let url = format!("http://{}", world.addresses[0]);
    if has_module("logging_loki") {
        run_python(LOKI, &[&url]).await;
        let event = world
            .expect(&[
                ("body", "low stock item=7 left=2"),
                ("severity_text", "warn"),
            ])
            .await;
        assert_eq!(text(&event, "service.name"), "shop");
    }
    if has("node")
        && world::clients()
            .join("node/node_modules/winston-loki")
            .is_dir()
    {
        let script = world::clients().join("node/loki.js");
        std::fs::write(&script, LOKI_NODE).unwrap();
        run("node", &[&script.display().to_string(), &url]).await;
        world
            .expect(&[("service.name", "cart"), ("severity_text", "error")])
            .await;
    } else {
        eprintln!("!! SKIPPED winston-loki: it is not installed (tests/install_clients.sh)");
    }
    world.end().await;
}

const EXPOSE: &str = r#"
import sys, time
from prometheus_client import Counter, Histogram, start_http_server
orders = Counter('orders', 'Orders', ['route'])
took = Histogram('took_seconds', 'Took')
orders.labels('/pay').inc(5, {'trace_id': 'abc123'})
took.observe(0.3, {'trace_id': 'def456'})
start_http_server(int(sys.argv[1]), addr='127.0.0.1')
time.sleep(60)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_client_is_scraped_with_exemplars() {
    if !has_module("prometheus_client") {
        return;
    }
    let port = free_port();
    let world = World::start("scrape", |folder| {
        let _ = folder;
        let mut config = listening(Vec::new());
        let url = format!("http://127.0.0.1:{port}/metrics");
        let target = serde_json::json!({"url": url, "job": "shop", "every_s": 1});
        config.scrape = vec![serde_json::from_value::<ScrapeTarget>(target).unwrap()];
        config
    })
    .await;
    // Nobody is there at first.
    world
        .expect(&[("name", "up"), ("value", "0"), ("job", "shop")])
        .await;
    let port = port.to_string();
    let exposing = Running::start("python3", &["-c", EXPOSE, &port], &world.folder.join("out"));
    world.expect(&[("name", "up"), ("value", "1")]).await;
    let orders = world
        .expect(&[
            ("name", "orders_total"),
            ("route", "/pay"),
            ("value", "5"),
            ("kind", "metric"),
        ])
        .await;
    assert_eq!(
        (text(&orders, "metric.type"), text(&orders, "service.name")),
        ("counter".into(), "shop".into())
    );
    world
        .expect(&[
            ("kind", "exemplar"),
            ("name", "orders_total"),
            ("trace_id", "abc123"),
        ])
        .await;
    world
        .expect(&[
            ("kind", "exemplar"),
            ("name", "took_seconds_bucket"),
            ("value", "0.3"),
        ])
        .await;
    drop(exposing);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_writes_remotely() {
    if !has("prometheus") {
        return;
    }
    let world = World::start("remote-write", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let own = free_port();
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: self\n  static_configs:\n  - targets: ['127.0.0.1:{own}']\n\
         remote_write:\n- url: http://{}/api/v1/write\n  send_exemplars: true\n",
        world.addresses[0]
    );
    let path = world.folder.join("prometheus.yml");
    std::fs::write(&path, config).unwrap();
    let arguments = [
        format!("--config.file={}", path.display()),
        format!(
            "--storage.tsdb.path={}",
            world.folder.join("data").display()
        ),
        format!("--web.listen-address=127.0.0.1:{own}"),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let prometheus = Running::start("prometheus", &arguments, &world.folder.join("out"));
    let up = world
        .expect(&[("name", "up"), ("job", "self"), ("value", "1")])
        .await;
    assert_eq!(text(&up, "service.name"), "self");
    world.expect(&[("name", "prometheus_build_info")]).await;
    drop(prometheus);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_writes_its_access_log() {
    if !has("nginx") || !has("curl") {
        return;
    }
    let world = World::start("nginx", |folder| {
        let mut config = listening(Vec::new());
        let path = folder.join("*.log").display().to_string();
        let mut files = FileInput::new(&[&path], "web");
        files
            .attributes
            .insert("service.name".into(), "shop".into());
        config.files = vec![files];
        config
    })
    .await;
    let port = free_port();
    let folder = world.folder.display();
    let config = format!(
        "daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn;\nevents {{}}\n\
         http {{ access_log {folder}/access.log combined; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} location /bad {{ return 503; }} }} }}\n"
    );
    let path = world.folder.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let nginx = Running::start(
        "nginx",
        &["-p", &folder.to_string(), "-c", &path.display().to_string()],
        &world.folder.join("out"),
    );
    let base = format!("http://127.0.0.1:{port}");
    run(
        "curl",
        &[
            "-s",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            &format!("{base}/cart?id=7"),
        ],
    )
    .await;
    run(
        "curl",
        &["-s", "-A", "a \"quoted\" agent", &format!("{base}/bad")],
    )
    .await;
    let event = world
        .expect(&[
            ("url.path", "/cart"),
            ("url.query", "id=7"),
            ("status", "204"),
        ])
        .await;
    assert_eq!(
        (text(&event, "service.name"), text(&event, "client.address")),
        ("shop".into(), "127.0.0.1".into())
    );
    world
        .expect(&[
            ("url.path", "/bad"),
            ("status", "503"),
            ("severity_text", "error"),
        ])
        .await;
    drop(nginx);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_logs_over_syslog() {
    if !has("haproxy") || !has("curl") {
        return;
    }
    let world = World::start("haproxy", |_| {
        listening(vec![listen(Speaks::Syslog, Transport::Udp)])
    })
    .await;
    let port = free_port();
    let config = format!(
        "global\n log 127.0.0.1:{} local0\ndefaults\n mode http\n log global\n option httplog\n timeout client 5s\n timeout server 5s\n timeout connect 1s\n\
         frontend web\n bind 127.0.0.1:{port}\n default_backend none\nbackend none\n server gone 127.0.0.1:1\n",
        world.port(0)
    );
    let path = world.folder.join("haproxy.cfg");
    std::fs::write(&path, config).unwrap();
    let haproxy = Running::start(
        "haproxy",
        &["-db", "-f", &path.display().to_string()],
        &world.folder.join("out"),
    );
    run(
        "curl",
        &[
            "-s",
            "--retry",
            "10",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            &format!("http://127.0.0.1:{port}/cart"),
        ],
    )
    .await;
    let event = world
        .expect(&[
            ("url.path", "/cart"),
            ("status", "503"),
            ("haproxy.frontend", "web"),
        ])
        .await;
    assert_eq!(
        (text(&event, "service.name"), text(&event, "haproxy.server")),
        ("haproxy".into(), "gone".into())
    );
    drop(haproxy);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_sends_events_packed_and_plain() {
    if !has("curl") || !has("gzip") {
        return;
    }
    let world = World::start("curl", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let url = format!("http://{}/api/v1/events?dataset=orders", world.addresses[0]);
    let path = world.folder.join("orders.json");
    let mut lines = String::new();
    for number in 0..20_000 {
        lines.push_str(&format!(
            "{{\"ts\":1763604000125,\"n\":{number},\"user\":{{\"id\":\"u{number}\"}}}}\n"
        ));
    }
    lines.push_str("not json\n");
    std::fs::write(&path, &lines).unwrap();
    run("gzip", &["--keep", &path.display().to_string()]).await;
    for (file, header) in [
        ("orders.json", "Content-Encoding: identity"),
        ("orders.json.gz", "Content-Encoding: gzip"),
    ] {
        let data = format!("@{}", world.folder.join(file).display());
        let output = run("curl", &["-s", "--data-binary", &data, "-H", header, &url]).await;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["accepted"], 20_000);
        assert_eq!(answer["rejected"][0]["line"], 20_001);
    }
    assert_eq!(world.events().len(), 40_000);
    world.expect(&[("n", "19999"), ("user.id", "u19999")]).await;
    let output = run(
        "curl",
        &["-s", "-d", "{}", &url.replace("orders", "no%20name")],
    )
    .await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("is no dataset's name"));
    world.end().await;
}
