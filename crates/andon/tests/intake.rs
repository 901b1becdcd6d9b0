//! Taking in on real nodes: each input from a configuration file to the answer of a question,
//! heartbeats that stop, settings that change while the node runs, and senders that mean harm.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use andon_model::{IncidentState, VerdictKind};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use support::fleet::{Fleet, Node, refs};
use support::sight::all_well;
use support::{free_address, hold, http, skip, wait_for, wait_within};

fn text(node: SocketAddr, question: &str) -> Result<Value, String> {
    let body = json!({ "text": question }).to_string();
    let answer = http::request(node, "POST", "/api/v1/query", &[], &body)?;
    match answer.status {
        200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
        status => Err(format!("{status}: {}", answer.body)),
    }
}

/// Waits until a question that counts is answered with this number.
#[track_caller]
fn counted(node: SocketAddr, question: &str, expected: u64) {
    wait_for(question, || {
        let answer = text(node, &format!("{question} | last 1d | count"))?;
        let count = answer["rows"][0][0].as_u64();
        hold(count == Some(expected), || answer["rows"].to_string())
    });
}

/// Sends over a connection of its own.
fn tcp(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(bytes).unwrap();
}

fn udp(to: SocketAddr, bytes: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(bytes, to).unwrap();
}

fn listen(speaks: &str, transport: &str, address: SocketAddr) -> String {
    format!(
        "[[ingest.listen]]\nspeaks = \"{speaks}\"\ntransport = \"{transport}\"\naddress = \"{address}\"\n"
    )
}

const OTLP: &str = r#"
import sys
kind, url = sys.argv[1], sys.argv[2]
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
if kind == 'http':
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    span, metric = OTLPSpanExporter(url + '/v1/traces'), OTLPMetricExporter(url + '/v1/metrics')
else:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    span, metric = OTLPSpanExporter(url, insecure=True), OTLPMetricExporter(url, insecure=True)
resource = Resource.create({'service.name': 'shop'})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(span))
meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(metric)])
with tracing.get_tracer('t').start_as_current_span('order over ' + kind):
    meters.get_meter('m').create_histogram('took_' + kind, unit='ms').record(42.0)
tracing.shutdown(); meters.shutdown()
"#;

/// Python with the clients that `./test` installs; `None`, loudly, where they are not.
fn python() -> Option<Command> {
    let clients = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/clients");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", clients);
    let found = python
        .args(["-c", "import opentelemetry.sdk, grpc"])
        .output();
    if found.is_ok_and(|found| found.status.success()) {
        return Some(python);
    }
    skip("OpenTelemetry's SDK", "it is not installed");
    None
}

fn otlp(kind: &str, url: &str) -> bool {
    let Some(found) = python() else { return false };
    let path = found
        .get_envs()
        .find_map(|(name, value)| value.filter(|_| name == "PYTHONPATH"));
    let sent = Command::new("python3")
        .env("PYTHONPATH", path.unwrap())
        .args(["-c", OTLP, kind, url])
        .output()
        .unwrap();
    assert!(sent.status.success(), "{sent:?}");
    true
}

#[test]
fn what_is_sent_to_any_input_is_found_by_a_question() {
    let fleet = Fleet::new("intake");
    let [syslog, statsd, graphite, fluent, web, grpc, lines] = [(); 7].map(|()| free_address());
    let folder = fleet.folder.path().join("logs");
    std::fs::create_dir_all(&folder).unwrap();
    let plan = fleet.node("one");
    let config = format!(
        "{}{}{}{}{}{}{}{}\n[[ingest.files]]\npaths = [\"{}/*.log*\"]\ndataset = \"web\"\n\
         [[ingest.scrape]]\nurl = \"http://{}/metrics\"\njob = \"andon\"\nevery_s = 1\n",
        listen("syslog", "udp", syslog),
        listen("syslog", "tls", syslog),
        listen("statsd", "udp", statsd),
        listen("graphite", "tcp", graphite),
        listen("fluent", "tcp", fluent),
        listen("http", "tcp", web),
        listen("otlp_grpc", "tcp", grpc),
        listen("lines", "tcp", lines),
        folder.display(),
        plan.address,
    );
    let node = plan.config(&config).start();
    let at = node.address;
    wait_for("the node", || node.picture());

    udp(syslog, b"<11>1 - h app 7 - [order@1 id=\"9\"] over udp");
    udp(statsd, b"orders:3|c|#region:eu");
    tcp(graphite, b"shop.fuel;dc=eu 7.5 -1\n");
    tcp(
        lines,
        b"level=warn msg=\"a line\" n=5\nandon event deploy version=7\n",
    );
    counted(
        at,
        "logs | where service.name = app | where severity_text = error | where syslog.sd.order.id = \"9\"",
        1,
    );
    counted(
        at,
        "metrics | where name = orders | where region = eu | where value = 3",
        1,
    );
    counted(at, "metrics | where name = shop.fuel | where dc = eu", 1);
    counted(at, "logs | where body = \"a line\" | where n = 5", 1);
    counted(at, "logs | where kind = event | where version = \"7\"", 1);

    // A chunk of Fluent's is acknowledged once it is durable.
    let mut stream = TcpStream::connect(fluent).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    stream
        .write_all(
            b"\x93\xa3app\x91\x92\xce\x6a\xfd\x54\x40\x81\xa3log\xa6fluent\x81\xa5chunk\xa2id",
        )
        .unwrap();
    let mut ack = [0; 8];
    stream.read_exact(&mut ack).unwrap();
    assert_eq!(&ack, b"\x81\xa3ack\xa2id");

    let push = r#"{"streams":[{"stream":{"app":"shop","level":"warn"},"values":[["TS","low stock item=7"]]}]}"#;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let push = push.replace("TS", &now.as_nanos().to_string());
    let pushed = http::request(web, "POST", "/loki/api/v1/push", &[], &push).unwrap();
    assert_eq!(pushed.status, 204, "{}", pushed.body);
    counted(
        at,
        "logs | where service.name = shop | where body = \"low stock item=7\"",
        1,
    );

    let log = |name: &str, text: &str| {
        let path = folder.join(name);
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    log(
        "app.log",
        "ERROR broke\njava.lang.IllegalStateException: x\n\tat a.b(C.java:7)\nINFO fine\n",
    );
    log(
        "access.log",
        "10.0.0.1 - - [21/Nov/2099:14:00:00 +0000] \"GET /cart?id=7 HTTP/1.1\" 503 12 \"-\" \"curl/8\"\n",
    );
    counted(
        at,
        "web | where body contains IllegalStateException | where body contains broke",
        1,
    );
    counted(
        at,
        "web | where url.path = \"/cart\" | where status = 503",
        1,
    );
    std::fs::rename(folder.join("app.log"), folder.join("app.log.1")).unwrap();
    log("app.log", "INFO after rotation\n");
    counted(at, "web | where body contains \"after rotation\"", 1);
    counted(at, "web", 4);

    if otlp("http", &format!("http://{at}")) && otlp("grpc", &format!("http://{grpc}")) {
        for kind in ["http", "grpc"] {
            counted(
                at,
                &format!("traces | where name = \"order over {kind}\" | where service.name = shop"),
                1,
            );
            counted(
                at,
                &format!(
                    "metrics | where name = took_{kind} | where kind = metric | where value = 42"
                ),
                1,
            );
        }
    }
    wait_for("the node's own metrics, scraped", || {
        let answer = text(
            at,
            "metrics | where name = andon_ingest_accepted_total | by job | max(value)",
        )?;
        hold(answer["rows"][0][0] == "andon", || {
            answer["rows"].to_string()
        })
    });
    wait_for("the machine", || {
        let answer = text(at, "metrics | where name = system.cpu.busy or name = process.memory.usage | by name | count")
            .or_else(|_| text(at, "metrics | where name in (system.cpu.busy, process.memory.usage) | by name | count"))?;
        hold(
            answer["rows"]
                .as_array()
                .is_some_and(|rows| rows.len() == 2),
            || answer["rows"].to_string(),
        )
    });

    // Other words for what is to be taken in: what they leave alone goes on.
    let mut kept_open = TcpStream::connect(lines).unwrap();
    kept_open
        .write_all(b"level=info msg=\"before the change\"\n")
        .unwrap();
    counted(at, "logs | where body = \"before the change\"", 1);
    let other = free_address();
    let changed = config.replace(&graphite.to_string(), &other.to_string());
    std::fs::write(node.plan.config_file(), &changed).unwrap();
    node.signal(Signal::SIGHUP);
    wait_for("the new inputs", || {
        node.logged(&["[ingest] is applied", "\"started\":1", "\"stopped\":1"])
    });
    tcp(other, b"shop.fuel;dc=us 8 -1\n");
    counted(at, "metrics | where name = shop.fuel | where dc = us", 1);
    assert!(TcpStream::connect(graphite).is_err());
    kept_open
        .write_all(b"level=info msg=\"after the change\"\n")
        .unwrap();
    counted(at, "logs | where body = \"after the change\"", 1);
    // What cannot work changes nothing; what cannot be had is told, and the rest runs.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = changed.replace(&other.to_string(), &taken.local_addr().unwrap().to_string());
    std::fs::write(node.plan.config_file(), wrong).unwrap();
    node.signal(Signal::SIGHUP);
    wait_for("a complaint", || {
        node.logged(&["this input does not run", "Graphite"])
    });
    udp(statsd, b"orders:4|c|#region:us");
    counted(at, "metrics | where name = orders | where region = us", 1);
    node.leave();
}

/// How heartbeats stand for a node: those missing, by name.
fn missing(node: &Node) -> Result<Vec<String>, String> {
    let verdicts = node.picture()?.verdicts.into_iter();
    let missing = verdicts.filter(|verdict| verdict.kind == VerdictKind::HeartbeatMissing);
    let mut names: Vec<String> = missing.map(|verdict| verdict.subject).collect();
    names.sort();
    Ok(names)
}

#[track_caller]
fn all_miss(nodes: &[&Node], expected: &[&str]) {
    wait_for(&format!("every node to miss {expected:?}"), || {
        nodes.iter().try_for_each(|node| {
            let missing = missing(node)?;
            hold(missing == expected, || {
                format!("{} misses {missing:?}", node.id)
            })
        })
    });
}

#[test]
fn a_heartbeat_that_stops_is_an_alert_on_every_node() {
    let fleet = Fleet::new("heartbeats");
    let mut nodes = fleet.start(&["web-1", "web-2"]);
    wait_for("two nodes that agree", || all_well(&refs(&nodes)));
    let beat = |node: &Node, args: &[&str]| {
        let url = format!("http://{}", node.address);
        let sent = node.run(&[&["event", "heartbeat"], args, &["--node", &url]].concat());
        assert!(sent.status.success(), "{sent:?}");
    };
    beat(&nodes[0], &["nightly", "--every", "1s", "id=db1"]);
    let lines = "some prefix andon heartbeat copier every=1s\nandon heartbeat weekly every=7d\n";
    let path = "/api/v1/events?dataset=events&format=lines";
    let sent = http::request(nodes[0].address, "POST", path, &[], lines).unwrap();
    assert_eq!(sent.status, 200, "{}", sent.body);
    all_miss(&refs(&nodes), &["copier", "nightly/db1"]);
    let picture = nodes[1].picture().unwrap();
    let verdict = picture
        .verdicts
        .iter()
        .find(|verdict| verdict.subject == "nightly/db1");
    let sentence = &verdict.unwrap().sentence;
    assert!(
        sentence.contains("every 1 s") && sentence.contains("to web-1"),
        "{sentence}"
    );

    let states = |node: &Node, cause: &str| -> Result<Vec<IncidentState>, String> {
        let answer = http::get(node.address, "/api/v1/incidents")?;
        let all: Vec<andon_model::Incident> =
            serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let of = all.iter().filter(|incident| incident.cause == cause);
        Ok(of.map(|incident| incident.state).collect())
    };
    wait_for("one incident on both", || {
        nodes.iter().try_for_each(|node| {
            let states = states(node, "heartbeat_missing:nightly/db1")?;
            hold(states == [IncidentState::Open], || format!("{states:?}"))
        })
    });

    // It is remembered over a kill, and a beat to any node ends it.
    let first = nodes.remove(0).kill().start();
    all_miss(&[&first, &nodes[0]], &["copier", "nightly/db1"]);
    beat(&nodes[0], &["nightly", "--every", "60s", "id=db1"]);
    beat(&first, &["copier", "--stop"]);
    all_miss(&[&first, &nodes[0]], &[]);
    wait_for("the incident to be over", || {
        let states = states(&first, "heartbeat_missing:nightly/db1")?;
        hold(
            states.iter().all(|state| *state != IncidentState::Open),
            || format!("{states:?}"),
        )
    });
    let metrics = http::get(first.address, "/metrics").unwrap();
    assert!(
        metrics
            .body
            .contains("andon_heartbeats{state=\"beating\"} 1"),
        "{}",
        metrics.body
    );
}

/// Sends events, and waits for the answer as long as it takes.
fn post(node: SocketAddr, dataset: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(node).unwrap();
    stream.set_read_timeout(Some(2 * support::LIMIT)).unwrap();
    let head = format!(
        "POST /api/v1/events?dataset={dataset} HTTP/1.0\r\nhost: {node}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Bytes of memory of its own that a node holds.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn slow_and_hostile_senders_keep_nobody_waiting_and_cost_little() {
    let fleet = Fleet::new("slow-senders");
    let node = fleet.node("one").start();
    wait_for("the node", || node.picture());
    // More than there are threads to wait with.
    let head = "POST /api/v1/events?dataset=slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n{\"n\":1}\n";
    let mut slow = Vec::new();
    for _ in 0..700 {
        let mut stream = TcpStream::connect_timeout(&node.address, Duration::from_secs(5)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        slow.push(stream);
    }
    counted(node.address, "slow", 700);
    let wide: String = (0..600).map(|key| format!("\"k{key}\":{key},")).collect();
    let bodies = [
        (
            "keys",
            (0..20_000)
                .map(|n| format!("{{\"user-{n}\":1}}\n"))
                .collect::<String>(),
        ),
        ("wide", format!("{{{wide}\"n\":1}}\n").repeat(400)),
        (
            "types",
            "{\"k\":1}\n{\"k\":\"a\"}\n{\"k\":1.5}\n{\"k\":true}\n".repeat(1_000),
        ),
        (
            "times",
            "{\"ts\":0}\n{\"ts\":4102444800000}\n".repeat(1_000),
        ),
    ];
    for (dataset, body) in &bodies {
        let answer = post(node.address, dataset, body);
        assert_eq!(
            answer["accepted"],
            body.lines().count(),
            "{dataset}: {answer:.300}"
        );
    }
    counted(node.address, "types | where k = a", 1_000);
    let most = memory(&node);
    assert!(most < 300 << 20, "{} MB", most >> 20);
    drop(slow);
    let pause = Duration::from_secs(1);
    wait_within(
        4 * support::LIMIT,
        pause,
        "the memory to be given back",
        || {
            let left = memory(&node);
            hold(left < 48 << 20, || format!("{} MB", left >> 20))
        },
    );
}
