//! Questions to real servers on loopback, made here: healthy, slow, silent, wrong, hostile.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use andon_model::{
    LinkReason, LinkState, NodeId, NodeKey, ProbeKind, SiteId, TargetId, TargetSpec, Timestamp,
};
use andon_target::ask::Asker;
use andon_target::ask::dns::{LookupError, srv_lookup_at};
use andon_target::{Answer, Me, Outcome, Question, spawn};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use simple_dns::rdata::{A, RData, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_millis(1_500);

fn spec(address: &str, probe: ProbeKind) -> TargetSpec {
    TargetSpec {
        id: TargetId::new("t").unwrap(),
        address: address.to_owned(),
        probe,
        from_nodes: vec![],
        from_sites: vec![],
        interval_ms: 1_000,
        timeout_ms: 1_000,
    }
}

fn utc() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp(since.as_micros() as i64)
}

async fn ask_with(asker: &Asker, address: &str, probe: ProbeKind) -> Answer {
    let question = Question::from_spec(&spec(address, probe)).unwrap();
    let started = Instant::now();
    let answer = asker.ask(&question, TIMEOUT, utc()).await;
    assert!(
        started.elapsed() < TIMEOUT + Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert!(
        andon_model::id::is_plain_text(&answer.detail, 120),
        "{}",
        answer.detail
    );
    answer
}

async fn ask(address: &str, probe: ProbeKind) -> Answer {
    ask_with(&Asker::trusting(vec![]), address, probe).await
}

#[track_caller]
fn assert_failed(answer: &Answer, reason: LinkReason, words: &str) {
    assert_eq!(answer.outcome, Outcome::Failed(reason), "{answer:?}");
    assert!(
        answer.detail.contains(words),
        "{:?} lacks {words:?}",
        answer.detail
    );
}

/// Serves every connection with `serve`, on a fresh port.
async fn server<F, S>(serve: S) -> SocketAddr
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

/// Reads a request's head, sends `answer`, and closes.
async fn http_server(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = Arc::new(answer.into());
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// A port that is taken and not listened on, so that nobody else can listen there meanwhile.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

fn http(status: Option<&str>, body: Option<&str>) -> ProbeKind {
    ProbeKind::Http {
        status: status.map(str::to_owned),
        body: body.map(str::to_owned),
    }
}

#[tokio::test]
async fn tcp_tells_open_refused_and_nameless_apart() {
    let open = server(|stream| async move { drop(stream) }).await;
    let answer = ask(&open.to_string(), ProbeKind::Tcp).await;
    assert_eq!(answer.outcome, Outcome::Good);
    assert!(
        answer.rtt_us.is_some()
            && answer.phases.connect_us.is_some()
            && answer.phases.tls_us.is_none()
    );
    let (_taken, closed) = closed_port();
    assert_failed(
        &ask(&closed.to_string(), ProbeKind::Tcp).await,
        LinkReason::Refused,
        "refused",
    );
    // localhost may lead to ::1 first, where nobody listens: the other address is tried.
    assert_eq!(
        ask(&format!("localhost:{}", open.port()), ProbeKind::Tcp)
            .await
            .outcome,
        Outcome::Good
    );
}

#[tokio::test]
async fn http_answers_are_judged_by_status_and_body() {
    let check = async |response: &str, probe: ProbeKind, expected: Result<&str, &str>| {
        let at = http_server(response).await;
        let answer = ask(&format!("http://{at}/health?x=1"), probe).await;
        match expected {
            Ok(detail) => assert_eq!(
                (answer.outcome, answer.detail.as_str()),
                (Outcome::Good, detail)
            ),
            Err(detail) => assert_failed(&answer, LinkReason::Answer, detail),
        }
    };
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    check(good, http(None, None), Ok("HTTP 200")).await;
    check(good, http(None, Some("ell")), Ok("HTTP 200")).await;
    check(
        good,
        http(None, Some("bye")),
        Err("lacks the expected text"),
    )
    .await;
    check(good, http(Some("204,300-399"), None), Err("HTTP 200")).await;
    check(
        "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n",
        http(None, None),
        Err("HTTP 503"),
    )
    .await;
    let redirect = "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    check(redirect, http(None, None), Ok("HTTP 302")).await;
    check(redirect, http(Some("200"), None), Err("HTTP 302")).await;
    let zipped = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nzip";
    check(zipped, http(None, Some("hello")), Err("compressed")).await;
    check(
        "HTTP/1.0 200 OK\r\n\r\nuntil closed",
        http(None, Some("closed")),
        Ok("HTTP 200"),
    )
    .await;
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    check(chunked, http(None, Some("hello")), Ok("HTTP 200")).await;
}

#[tokio::test]
async fn hostile_http_ends_in_a_failure_within_its_time() {
    let check = async |response: Vec<u8>, words: &str| {
        let at = http_server(response).await;
        assert_failed(
            &ask(&format!("http://{at}/"), http(None, None)).await,
            LinkReason::Answer,
            words,
        );
    };
    check(b"".to_vec(), "").await;
    check(b"SSH-2.0-OpenSSH_9\r\n".to_vec(), "not HTTP").await;
    check(vec![0xff; 100], "not HTTP").await;
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort".to_vec(),
        "",
    )
    .await;
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_vec(),
        "",
    )
    .await;
    check(
        [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 200_000]].concat(),
        "",
    )
    .await;
    check(
        [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(5_000)].concat(),
        "",
    )
    .await;
}

#[tokio::test]
async fn endless_answers_cost_their_timeout_or_their_bound() {
    let endless_headers = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let answer = ask(&format!("http://{endless_headers}/"), http(None, None)).await;
    assert_failed(&answer, LinkReason::Silent, "waiting for the answer");
    let endless_body = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let answer = ask(
        &format!("http://{endless_body}/"),
        http(None, Some("needle")),
    )
    .await;
    assert_failed(&answer, LinkReason::Answer, "first 256 KiB");
    let dripping = server(|mut stream| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            .await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let answer = ask(&format!("http://{dripping}/"), http(None, None)).await;
    assert_failed(&answer, LinkReason::Silent, "reading the answer");
    assert!(answer.phases.first_byte_us.is_some() && answer.phases.name_us.is_none());
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_costs_its_timeout_on_every_protocol() {
    let silent = server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(600)).await;
        drop(stream);
    })
    .await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp_at = udp.local_addr().unwrap().to_string();
    let dns = ProbeKind::Dns {
        server: Some(udp_at.clone()),
        record: None,
        expect: None,
    };
    let (silent, plain_url, secure_url) = (
        silent.to_string(),
        format!("http://{silent}/"),
        format!("https://{silent}/"),
    );
    let (plain, secure, tls, stamp, dns) = tokio::join!(
        ask(&plain_url, http(None, None)),
        ask(&secure_url, http(None, None)),
        ask(&silent, ProbeKind::Tls { expiry_days: None }),
        ask(&udp_at, ProbeKind::Stamp),
        ask("example.com", dns),
    );
    assert_failed(
        &plain,
        LinkReason::Silent,
        "no answer in 1.5s (waiting for the answer)",
    );
    assert_failed(&secure, LinkReason::Silent, "TLS handshake");
    assert_failed(&tls, LinkReason::Silent, "TLS handshake");
    assert_failed(&stamp, LinkReason::Silent, "no answer");
    assert_failed(&dns, LinkReason::Silent, "no answer");
}

/// A TLS server with a certificate for `name`, valid from and until so many days from now;
/// answers HTTP 200. Returns where, and the certificate.
async fn tls_server(
    name: &str,
    from_days: i64,
    until_days: i64,
) -> (SocketAddr, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let day = |days: i64| {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let seconds = utc().0 / 1_000_000 + days * 86_400 + 3_600;
        epoch + Duration::from_secs(seconds as u64)
    };
    (params.not_before, params.not_after) = (day(from_days), day(until_days));
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let at = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (at, der)
}

#[tokio::test]
async fn certificates_are_judged_by_time_name_and_issuer() {
    let check =
        async |name: &str, days: (i64, i64), trusted: bool, expected: Outcome, words: &str| {
            let (at, der) = tls_server(name, days.0, days.1).await;
            let asker = Asker::trusting(if trusted { vec![der] } else { vec![] });
            let address = format!("localhost:{}", at.port());
            let tls = ask_with(
                &asker,
                &address,
                ProbeKind::Tls {
                    expiry_days: Some(14),
                },
            )
            .await;
            assert_eq!(tls.outcome, expected, "{tls:?}");
            assert!(
                tls.detail.contains(words),
                "{:?} lacks {words:?}",
                tls.detail
            );
            let certificate = tls.certificate.unwrap();
            assert_eq!(
                (certificate.names.as_slice(), certificate.chain.len()),
                ([name.to_owned()].as_slice(), 1)
            );
            let https = ask_with(
                &asker,
                &format!("https://{address}/"),
                http(None, Some("ok")),
            )
            .await;
            assert_eq!(https.outcome, expected, "{https:?}");
            assert!(
                https.phases.tls_us.is_some()
                    && https.phases.name_us.is_some()
                    && https.certificate.is_some()
            );
        };
    let wrong = Outcome::Failed(LinkReason::Answer);
    check("localhost", (-1, 90), true, Outcome::Good, "").await;
    check(
        "localhost",
        (-1, 90),
        false,
        Outcome::Poor,
        "not trusted here",
    )
    .await;
    check(
        "localhost",
        (-1, 3),
        true,
        Outcome::Poor,
        "expires in 3 days",
    )
    .await;
    check("localhost", (-9, -2), true, wrong, "expired 1 day ago").await;
    check("localhost", (5, 90), true, wrong, "valid only in 5 days").await;
    check(
        "other.example",
        (-1, 90),
        true,
        wrong,
        "another name (other.example)",
    )
    .await;
}

#[tokio::test]
async fn what_is_not_tls_is_told() {
    let at = http_server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let answer = ask(&at.to_string(), ProbeKind::Tls { expiry_days: None }).await;
    assert_failed(&answer, LinkReason::Answer, "not TLS");
    let at = server(|stream| async move { drop(stream) }).await;
    let answer = ask(&at.to_string(), ProbeKind::Tls { expiry_days: None }).await;
    assert_failed(&answer, LinkReason::Answer, "TLS handshake");
}

type Reply = fn(&Packet<'_>) -> Vec<Vec<u8>>;

/// Answers each UDP query with the datagrams of `reply`.
async fn dns_server(reply: Reply) -> SocketAddr {
    // One port for both: some other's socket may hold the second half of a pair.
    let (tcp, socket, at) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        if let Ok(socket) = UdpSocket::bind(at).await {
            break (tcp, socket, at);
        }
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.unwrap();
            let mut answer = good(&Packet::parse(&query).unwrap()).remove(0);
            answer[2] &= !0x02;
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for datagram in reply(&Packet::parse(&buffer[..length]).unwrap()) {
                let _ = socket.send_to(&datagram, from).await;
            }
        }
    });
    at
}

fn good(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let mut packet = Packet::new_reply(query.id());
    packet.questions = query.questions.clone();
    let srv = |priority, weight, port, target| {
        RData::SRV(SRV {
            priority,
            weight,
            port,
            target: Name::new_unchecked(target),
        })
    };
    let all = [
        RData::A(A {
            address: 0x0a00_0001,
        }),
        RData::TXT(TXT::new().with_string("v=spf1 -all").unwrap()),
        srv(20, 0, 3, "c.example.com"),
        srv(10, 1, 2, "b.example.com"),
        srv(10, 9, 1, "a.example.com"),
        srv(1, 9, 0, "."),
    ];
    for rdata in all {
        packet.answers.push(ResourceRecord::new(
            Name::new_unchecked("example.com"),
            CLASS::IN,
            60,
            rdata,
        ));
    }
    vec![packet.build_bytes_vec().unwrap()]
}

fn nxdomain(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let mut packet = Packet::new_reply(query.id());
    packet.questions = query.questions.clone();
    *packet.rcode_mut() = RCODE::NameError;
    vec![packet.build_bytes_vec().unwrap()]
}

fn truncated(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let mut packet = Packet::new_reply(query.id());
    packet.questions = query.questions.clone();
    packet.set_flags(PacketFlag::TRUNCATION);
    vec![packet.build_bytes_vec().unwrap()]
}

/// Rubbish, a forged answer with another id, and then the right one.
fn forged_first(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let right = good(query).remove(0);
    let mut forged = nxdomain(query).remove(0);
    forged[0] ^= 0xff;
    vec![
        b"rubbish".to_vec(),
        vec![],
        right[..20].to_vec(),
        forged,
        right,
    ]
}

fn garbled(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let mut bytes = nxdomain(query).remove(0);
    bytes[3] = 0;
    bytes[6..8].copy_from_slice(&[0xff, 0xff]);
    bytes.extend([0xc0; 100]);
    vec![bytes]
}

#[tokio::test]
async fn dns_answers_are_judged_by_code_type_and_text() {
    let check =
        async |reply: Reply, record: &str, expect: Option<&str>, expected: Result<(), &str>| {
            let server = dns_server(reply).await.to_string();
            let expect = expect.map(str::to_owned);
            let probe = ProbeKind::Dns {
                server: Some(server),
                record: Some(record.into()),
                expect,
            };
            let answer = ask("example.com", probe).await;
            match expected {
                Ok(()) => assert_eq!(answer.outcome, Outcome::Good, "{answer:?}"),
                Err(words) => assert_failed(&answer, LinkReason::Answer, words),
            }
        };
    check(good, "a", None, Ok(())).await;
    check(good, "A", Some("10.0.0.1"), Ok(())).await;
    check(good, "A", Some("10.0.0.2"), Err("the first is 10.0.0.1")).await;
    check(good, "TXT", Some("spf1"), Ok(())).await;
    check(good, "AAAA", None, Err("has no Aaaa record")).await;
    check(nxdomain, "A", None, Err("NXDOMAIN")).await;
    check(truncated, "A", Some("10.0.0.1"), Ok(())).await;
    check(forged_first, "A", Some("10.0.0.1"), Ok(())).await;
    check(garbled, "A", None, Err("cannot be read")).await;
}

#[tokio::test]
async fn a_service_name_leads_to_hosts_by_priority_and_weight() {
    let servers = [dns_server(good).await];
    let found = srv_lookup_at("_andon._udp.example.com", &servers)
        .await
        .unwrap();
    let expected = [
        ("a.example.com", 1),
        ("b.example.com", 2),
        ("c.example.com", 3),
    ];
    assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)));
    let none = [dns_server(nxdomain).await];
    assert!(matches!(
        srv_lookup_at("_x._udp.a", &none).await,
        Err(LookupError::Nothing { .. })
    ));
    assert!(matches!(
        srv_lookup_at(&"x".repeat(300), &none).await,
        Err(LookupError::Name { .. })
    ));
    // The first server is silent: the second is asked within the same five seconds.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let found = srv_lookup_at(
        "_andon._udp.example.com",
        &[silent.local_addr().unwrap(), servers[0]],
    )
    .await;
    assert_eq!(found.unwrap().len(), 3);
}

#[tokio::test]
async fn stamp_reflectors_answer_and_the_rest_is_passed_over() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            assert_eq!(length, 44);
            let mut reflected = [0; 44];
            reflected[24..38].copy_from_slice(&buffer[..14]);
            let mut other = reflected;
            other[27] ^= 1;
            for datagram in [&b"rubbish"[..], &other, &reflected[..43], &reflected] {
                let _ = socket.send_to(datagram, from).await;
            }
        }
    });
    assert_eq!(
        ask(&at.to_string(), ProbeKind::Stamp).await.outcome,
        Outcome::Good
    );
    let closed = UdpSocket::bind("127.0.0.77:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_failed(
        &ask(&closed.to_string(), ProbeKind::Stamp).await,
        LinkReason::Refused,
        "refused",
    );
}

#[tokio::test]
async fn echo_comes_back_from_both_loopbacks_or_the_kernel_is_blamed() {
    for address in ["127.0.0.1", "::1"] {
        let answer = ask(address, ProbeKind::Icmp).await;
        if answer.outcome == Outcome::NotAsked {
            assert!(
                answer.detail.contains("ping_group_range"),
                "{}",
                answer.detail
            );
            eprintln!("NOT TESTED HERE: {address}: {}", answer.detail);
        } else {
            assert_eq!(answer.outcome, Outcome::Good, "{answer:?}");
            assert!(answer.rtt_us.is_some_and(|rtt_us| rtt_us < 1_000_000));
        }
    }
}

#[tokio::test]
async fn a_target_that_fails_and_recovers_is_reported_within_seconds() {
    let body = Arc::new(Mutex::new("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let current = body.clone();
    let at = server(move |mut stream| {
        let answer = *current.lock().unwrap();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let me = Me {
        key: NodeKey(1),
        id: NodeId::new("a").unwrap(),
        site: SiteId::new("s").unwrap(),
    };
    let published = Arc::new(Mutex::new(Vec::new()));
    let sink = published.clone();
    let cancel = CancellationToken::new();
    let reports = move |reports| *sink.lock().unwrap() = reports;
    let (handle, task) = spawn(me, utc, reports, cancel.clone());
    let until = async |state: LinkState| {
        let start = Instant::now();
        loop {
            let report = published.lock().unwrap().first().cloned();
            if report
                .as_ref()
                .is_some_and(|report: &andon_model::LinkReport| report.state == state)
            {
                return report.unwrap();
            }
            assert!(
                start.elapsed() < Duration::from_secs(6),
                "{state:?} is not {report:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    handle.set_targets(vec![(
        NodeKey(1),
        spec(&format!("http://{at}/"), http(None, None)),
    )]);
    assert_eq!(
        until(LinkState::Up).await.detail.as_deref(),
        Some("HTTP 200")
    );
    *body.lock().unwrap() = "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n";
    let down = until(LinkState::Down).await;
    assert_eq!(
        (down.reason, down.detail.as_deref()),
        (Some(LinkReason::Answer), Some("HTTP 503"))
    );
    assert_eq!(
        down.loss,
        andon_model::LossPair::default(),
        "which way is not known"
    );
    *body.lock().unwrap() = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    until(LinkState::Up).await;
    let detail = handle.detail(&TargetId::new("t").unwrap()).unwrap();
    assert!(detail.samples.len() >= 5 && detail.phases.total_us.is_some());
    assert!(detail.samples.iter().any(|sample| sample.ok == Some(false)));
    assert!(
        serde_json::to_string(&detail)
            .unwrap()
            .contains("\"state\":\"up\"")
    );
    assert!(handle.detail(&TargetId::new("other").unwrap()).is_none());
    handle.set_targets(vec![]);
    let start = Instant::now();
    while !published.lock().unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    task.await.unwrap();
}
