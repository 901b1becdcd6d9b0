//! What clients may not make long, large or many.

use super::World;
use hyper::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends raw bytes; returns what comes back until the end, for some seconds at most.
async fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    // The node may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn huge_headers_are_refused() {
    let world = World::start();
    let long = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(200_000)
    );
    assert!(
        raw(&world, long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let many = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "x: y\r\n".repeat(500)
    );
    assert!(
        raw(&world, many.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let path = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "p".repeat(100_000)
    );
    assert!(raw(&world, path.as_bytes()).await.starts_with("HTTP/1.1 4"));
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn rubbish_ends_the_connection_and_nothing_else() {
    let world = World::start();
    for bytes in [
        &b"\0\0\0\0"[..],
        b"\x16\x03\x01\xff\xffrubbish",
        b"\x80\x81",
        b"G\xff\xff\r\n\r\n",
        b"GET",
        b"   \r\n",
        b"\xf0",
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{bytes:?} keeps its connection");
    }
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_oversized_body_is_refused_declared_or_not() {
    let world = World::start();
    let head =
        "POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let declared = format!(
        "{head}content-length: 1000000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    assert!(
        raw(&world, declared.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(8)
    );
    assert!(
        raw(&world, chunked.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let world = World::start();
    let started = Instant::now();
    let head = "POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(12), stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"));
    assert!(started.elapsed() > Duration::from_secs(4));
}

#[tokio::test]
async fn three_thousand_idle_connections_lock_nobody_out() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        hard >= 4000,
        "NOT CHECKED: only {hard} files may be open here"
    );
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8192)), hard).unwrap();

    let world = World::start_with("a", |config, _| config.connections_max = 256);
    let mut idle = Vec::new();
    for number in 0..3000 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // Silent ones, slow ones, and ones that keep a used connection.
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET / HT").await.unwrap(),
            _ => stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await
                .unwrap(),
        }
        idle.push(stream);
    }
    let started = Instant::now();
    assert_eq!(world.get("/api/v1/picture").await.status, StatusCode::OK);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let metrics = world.get("/metrics").await.text();
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(value("andon_http_connections_open") <= 256);
    assert!(value("andon_http_connections_evicted_total") >= 2700);
}

#[tokio::test]
async fn grid_frames_are_handed_on_without_their_first_byte() {
    let mut world = World::start();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"\xa7frame").await.unwrap();
    let (mut handed, remote) = world.frames.recv().await.unwrap();
    assert_eq!(remote, stream.local_addr().unwrap());
    let mut bytes = [0; 5];
    handed.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"frame");
}

#[tokio::test]
async fn gridbug_calls_reach_whoever_speaks_it_bounded() {
    let world = World::start_with("a", |_, sources| {
        sources.gridbug = Some(Arc::new(|request| {
            let known = request.key_header.as_deref() == Some("secret");
            crate::GridBugAnswer {
                status: if known || request.method == "GET" {
                    200
                } else {
                    401
                },
                content_type: "application/json",
                body: format!("{} {} {}", request.method, request.path, request.body.len()).into(),
            }
        }));
    });
    for path in crate::gate::GRIDBUG_PATHS
        .iter()
        .filter(|path| **path != "/post")
    {
        assert_eq!(world.get(path).await.text(), format!("GET {path} 0"));
    }
    let body = "x".repeat(64 * 1024);
    let good = world
        .ask("POST", "/post", &[("key", "secret")], &body)
        .await;
    assert_eq!(
        (good.status, good.text()),
        (StatusCode::OK, "POST /post 65536".to_owned())
    );
    assert_eq!(
        world
            .ask("POST", "/post", &[("key", "wrong")], "{}")
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world
            .ask("POST", "/post", &[], &format!("{body}x"))
            .await
            .status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let world = World::start_with("a", |_, sources| {
        sources.audit = Arc::new(crate::AuditLog::on_a_full_disk());
    });
    let admin = format!("Bearer {}", world.token("root", crate::Role::Admin));
    let headers = [
        ("authorization", admin.as_str()),
        ("content-type", "application/json"),
    ];
    let made = world
        .ask(
            "POST",
            "/api/v1/tokens",
            &headers,
            "{\"name\":\"bob\",\"role\":\"viewer\"}",
        )
        .await;
    assert_eq!(
        (made.status, made.code()),
        (StatusCode::INSUFFICIENT_STORAGE, "audit".to_owned())
    );
    assert_eq!(world.access.tokens().list().unwrap().len(), 1);
    assert!(
        world
            .get("/metrics")
            .await
            .text()
            .contains("andon_audit_errors_total 1")
    );
}

#[tokio::test]
async fn a_stop_ends_streams_and_idle_connections_promptly() {
    let mut world = World::start();
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream
        .write_all(b"GET /api/v1/picture/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 512];
    assert!(stream.read(&mut some).await.unwrap() > 0);
    world.cancel.cancel();
    let task = std::mem::replace(&mut world.task, tokio::spawn(async {}));
    tokio::time::timeout(Duration::from_secs(3), task)
        .await
        .expect("stopped in time")
        .unwrap();
    assert!(matches!(idle.read(&mut some).await, Ok(0) | Err(_)));
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest))
        .await
        .expect("ended");
}
