//! What hostile and broken senders do: bombs, endless streams, connections that say nothing
//! useful. Everything stays bounded, is answered clearly, and is counted.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod world;

use andon_ingest::inputs::{Speaks, Transport};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use world::{World, listen, listening};

fn post(world: &World, path: &str, headers: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.addresses[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The answer may come before all is read.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_on_every_path() {
    let world = World::start("bombs", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let zeros = vec![b' '; 128 << 20];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("zstd", zstd::stream::encode_all(&zeros[..], 1).unwrap()),
    ];
    for (name, bomb) in &bombs {
        assert!(bomb.len() < 2 << 20);
        for path in [
            "/api/v1/events?dataset=x",
            "/v1/logs",
            "/v1/metrics",
            "/v1/traces",
        ] {
            let answer = post(&world, path, &format!("Content-Encoding: {name}\r\n"), bomb);
            let status = answer.lines().next().unwrap_or_default().to_owned();
            assert!(
                status.contains(" 413 ") || status.contains(" 400 "),
                "{path} {name}: {status}"
            );
        }
    }
    // Snappy says beforehand how large it becomes.
    let answer = post(
        &world,
        "/api/v1/write",
        "",
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 0],
    );
    assert!(
        answer.contains("400 Bad Request") && answer.contains("more than is taken"),
        "{answer}"
    );
    assert!(world.events().is_empty());
    let figures = world.gate.registry().figures();
    assert_eq!(figures["events"].rejected["bad_packing"], 2);
    assert_eq!(figures["otlp_http"].rejected["bad_packing"], 6);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_get_clear_answers() {
    let world = World::start("malformed", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let json = "Content-Type: application/json\r\n";
    for (path, headers, body, expected) in [
        (
            "/v1/logs",
            json,
            &b"{\"resourceLogs\":5}"[..],
            "resourceLogs is not what it should be",
        ),
        (
            "/v1/logs",
            "",
            b"\xff\xff",
            "the message ends within a field",
        ),
        (
            "/loki/api/v1/push",
            json,
            b"{}",
            "no push request: missing field `streams`",
        ),
        ("/loki/api/v1/push", "", b"\x05\x00", "snappy"),
        ("/api/v1/events?dataset=", "", b"{}", "no dataset's name"),
        (
            "/api/v1/events?dataset=x&format=xml",
            "",
            b"{}",
            "none of ndjson, csv, lines",
        ),
        (
            "/api/v1/events?dataset=x",
            "Content-Encoding: br\r\n",
            b"{}",
            "none of gzip, deflate, zstd",
        ),
        ("/nothing", "", b"", "nothing takes events at this path"),
    ] {
        let answer = post(&world, path, headers, body);
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sink_makes_a_connection_wait_and_a_request_come_again() {
    let world = World::start("full", |_| {
        listening(vec![
            listen(Speaks::Http, Transport::Tcp),
            listen(Speaks::Syslog, Transport::Tcp),
        ])
    })
    .await;
    world.kept.is_full.store(true, Ordering::SeqCst);
    let mut stream = TcpStream::connect(world.addresses[1]).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let line = [&b"<13>"[..], &[b'x'; 1000], b"\n"].concat();
    let mut written = 0usize;
    let started = Instant::now();
    // A client that never stops is stopped by its own socket.
    while stream.write_all(&line).is_ok() && started.elapsed() < Duration::from_secs(20) {
        written += 1;
    }
    assert!(
        written < 64_000,
        "{written} lines were taken with nobody to keep them"
    );
    let answer = post(&world, "/v1/logs", "", b"");
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "an empty request needs no room: {answer}"
    );
    let started = Instant::now();
    let answer = post(&world, "/api/v1/events?dataset=x", "", b"{\"a\":1}\n");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("the queue is full"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(20));
    world.kept.is_full.store(false, Ordering::SeqCst);
    // All that was written before is kept once there is room.
    let started = Instant::now();
    while world.events().len() < written && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.events().len() >= written);
    assert!(world.gate.registry().figures()["syslog"].full > 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_of_events_is_kept_as_it_comes() {
    let world = World::start("slow", |_| {
        listening(vec![listen(Speaks::Http, Transport::Tcp)])
    })
    .await;
    let mut stream = TcpStream::connect(world.addresses[0]).unwrap();
    stream.write_all(b"POST /api/v1/events?dataset=x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for number in 0..3 {
        let line = format!("{{\"n\":{number}}}\n");
        stream
            .write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())
            .unwrap();
        world.expect(&[("n", &number.to_string())]).await;
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = [0; 512];
    let bytes = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..bytes]).contains("\"accepted\":3"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_on_every_port_harms_nobody() {
    let speaks = [
        Speaks::Http,
        Speaks::OtlpGrpc,
        Speaks::Syslog,
        Speaks::Statsd,
        Speaks::Graphite,
        Speaks::Fluent,
        Speaks::Lines,
    ];
    let inputs = speaks
        .iter()
        .map(|speaks| listen(speaks.clone(), Transport::Tcp))
        .collect();
    let world = World::start("rubbish", |_| listening(inputs)).await;
    let mut random = 7u64;
    for address in &world.addresses {
        for size in [1, 100, 100_000] {
            let bytes: Vec<u8> = (0..size)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (random >> 33) as u8
                })
                .collect();
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(&bytes);
        }
    }
    // They still answer.
    let mut stream = TcpStream::connect(world.addresses[2]).unwrap();
    stream.write_all(b"<13>still here\n").unwrap();
    world.expect(&[("body", "still here")]).await;
    let answer = post(&world, "/api/v1/events?dataset=x", "", b"{\"a\":1}\n");
    assert!(answer.contains("\"accepted\":1"), "{answer}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_measured_without_configuration() {
    let world = World::start("system", |_| {
        let mut config = listening(Vec::new());
        config.system.enabled = true;
        config.system.every_s = 1;
        config
    })
    .await;
    for name in [
        "system.cpu.utilization",
        "system.memory.utilization",
        "system.network.io.rate",
        "process.cpu.utilization",
    ] {
        let event = world.expect(&[("name", name)]).await;
        assert_eq!(world::text(&event, "host.name"), "test-host");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_hold_the_token_is_turned_away() {
    let world = World::start("token", |_| {
        let mut input = listen(Speaks::Http, Transport::Tcp);
        input.token = Some("secret".into());
        listening(vec![input])
    })
    .await;
    for (header, status) in [
        ("", "401"),
        ("Authorization: Bearer secre\r\n", "401"),
        ("Authorization: Bearer secret\r\n", "200"),
    ] {
        let answer = post(&world, "/api/v1/events?dataset=x", header, b"{\"a\":1}\n");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    assert_eq!(world.events().len(), 1);
    assert_eq!(
        world.gate.registry().figures()["http"].rejected["forbidden"],
        2
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_datagram_or_push_does_not_become_gigabytes() {
    let world = World::start("amplify", |_| {
        listening(vec![
            listen(Speaks::Http, Transport::Tcp),
            listen(Speaks::Statsd, Transport::Udp),
        ])
    })
    .await;
    // 100 kB of labels for each of a million entries.
    let label = "x".repeat(100_000);
    let entries = vec!["[\"1763604000000000000\",\"\"]"; 100_000].join(",");
    let body =
        format!("{{\"streams\":[{{\"stream\":{{\"a\":\"{label}\"}},\"values\":[{entries}]}}]}}");
    let answer = post(
        &world,
        "/loki/api/v1/push",
        "Content-Type: application/json\r\n",
        body.as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let figures = world.gate.registry().figures();
    assert!(figures["loki"].accepted < 2000);
    assert_eq!(
        figures["loki"].accepted + figures["loki"].rejected["too_long"],
        100_000
    );
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "x:{}|c|#{}",
        vec!["1"; 20_000].join(":"),
        "t".repeat(20_000)
    );
    socket.send_to(line.as_bytes(), world.addresses[1]).unwrap();
    socket.send_to(b"last:1|c", world.addresses[1]).unwrap();
    world.expect(&[("name", "last")]).await;
    assert_eq!(
        world.gate.registry().figures()["statsd"].rejected["malformed"],
        1
    );
    world.end().await;
}
