//! Who may do what: every role at every door, and those who pretend.

use super::{Reply, World, ask};
use crate::access::Role;
use crate::audit;
use crate::connection::{self, Link};
use crate::serve::assemble;
use hyper::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;

/// A request over a connection that claims to come from anywhere.
async fn ask_from(
    remote: &str,
    tls: bool,
    open: bool,
    path: &str,
    headers: &[(&str, &str)],
) -> Reply {
    let (config, mut sources, world) = super::world::prepare("a");
    if open {
        sources.gridbug = Some(Arc::new(|request| crate::GridBugAnswer {
            status: 200,
            content_type: "application/json",
            body: request.path.into(),
        }));
    }
    let service = assemble(config, sources, &world.cancel).unwrap();
    let claim = service.shared.slots.claim().unwrap();
    let link = Link {
        remote: remote.parse::<SocketAddr>().unwrap(),
        local_port: 8777,
        tls,
        certificate: None,
    };
    let (here, there) = tokio::io::duplex(64 * 1024);
    tokio::spawn(connection::serve(
        there,
        link,
        Arc::clone(&claim.slot),
        service.shared,
        service.router,
    ));
    ask(here, "10.1.1.1:8777", "GET", path, headers, "").await
}

#[tokio::test]
async fn from_another_machine_plain_http_answers_health_alone() {
    let json = [("accept", "application/json")];
    for (path, gridbug, status) in [
        ("/healthz", false, 200),
        ("/readyz", false, 200),
        ("/api/v1/picture", false, 426),
        ("/", false, 426),
        ("/login", false, 426),
        ("/metrics", false, 426),
        ("/bugs", false, 426),
        ("/bugs", true, 200),
        ("/api/v1/picture", true, 426),
    ] {
        let reply = ask_from("192.0.2.7:5000", false, gridbug, path, &json).await;
        assert_eq!(reply.status.as_u16(), status, "{path} gridbug {gridbug}");
        if status == 426 {
            assert!(
                reply.json()["error"]["help"]
                    .as_str()
                    .unwrap()
                    .contains("https://")
            );
        }
    }
    // A name in Host is how a rebound page would come in.
    let rebound = ask_from(
        "192.0.2.7:5000",
        false,
        true,
        "/bugs",
        &[("host", "evil.example")],
    )
    .await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn from_another_machine_https_needs_a_token_for_all_but_the_login_page() {
    for (path, status) in [
        ("/login", 200),
        ("/healthz", 200),
        ("/api/v1/picture", 401),
        ("/api/v1/me", 401),
        ("/metrics", 401),
        ("/", 401),
        ("/api/v1/openapi.json", 401),
        ("/api/v1/nodes/a", 401),
        ("/api/v1/picture/stream", 401),
    ] {
        assert_eq!(
            ask_from("192.0.2.7:5000", true, false, path, &[])
                .await
                .status
                .as_u16(),
            status,
            "{path}"
        );
    }
    for remote in ["127.0.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
        assert_eq!(
            ask_from(remote, true, false, "/api/v1/picture", &[])
                .await
                .status,
            StatusCode::OK,
            "{remote}"
        );
    }
}

#[tokio::test]
async fn each_role_opens_its_doors_and_no_others() {
    let world = World::start_with("a", |config, _| config.loopback_viewer = false);
    let secrets = [
        (None, String::new()),
        (Some(Role::Viewer), world.token("v", Role::Viewer)),
        (Some(Role::Operator), world.token("o", Role::Operator)),
        (Some(Role::Admin), world.token("adm", Role::Admin)),
    ];
    let doors = [
        ("GET", "/api/v1/picture", Role::Viewer, 200),
        ("GET", "/api/v1/me", Role::Viewer, 200),
        ("GET", "/api/v1/nodes/a", Role::Viewer, 200),
        ("GET", "/metrics", Role::Viewer, 200),
        ("GET", "/api/v1/tokens", Role::Admin, 200),
        ("DELETE", "/api/v1/tokens/none", Role::Admin, 404),
        ("POST", "/api/v1/tokens", Role::Admin, 415),
        ("GET", "/api/v1/audit", Role::Admin, 200),
    ];
    for (role, secret) in &secrets {
        let authorization = format!("Bearer {secret}");
        let headers = [("authorization", authorization.as_str())];
        let headers = if role.is_some() { &headers[..] } else { &[] };
        for (method, path, needed, status) in doors {
            let expected = match role {
                None => 401,
                Some(role) if *role < needed => 403,
                Some(_) => status,
            };
            let reply = world.ask(method, path, headers, "").await;
            assert_eq!(reply.status.as_u16(), expected, "{role:?} {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_us_gets_nothing() {
    let world = World::start();
    let (port, own) = (world.address.port(), world.address.to_string());
    for host in [
        "evil.example",
        "evil.example:8777",
        "localhost.evil.example",
        "10.9.9.9:8777",
        "",
        "127.0.0.1, evil.example",
    ] {
        let reply = world
            .ask("GET", "/api/v1/picture", &[("host", host)], "")
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{host:?}");
    }
    let two = world
        .ask(
            "GET",
            "/api/v1/picture",
            &[("host", own.as_str()), ("host", "evil.example")],
            "",
        )
        .await;
    assert_eq!(two.status, StatusCode::BAD_REQUEST);
    for host in [
        "localhost",
        &format!("localhost:{port}"),
        &format!("[::1]:{port}"),
        "grid.example",
        "10.1.1.1:8777",
    ] {
        assert_eq!(
            world
                .ask("GET", "/api/v1/picture", &[("host", host)], "")
                .await
                .status,
            StatusCode::OK,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_foreign_page_may_neither_act_nor_watch() {
    let world = World::start();
    let own = format!("http://{}", world.address);
    let json = ("content-type", "application/json");
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://127.0.0.1",
    ] {
        let login = world
            .ask(
                "POST",
                "/api/v1/session",
                &[("origin", origin), json],
                "{\"token\":\"x\"}",
            )
            .await;
        assert_eq!(
            (login.status, login.code()),
            (StatusCode::FORBIDDEN, "foreign_origin".to_owned()),
            "{origin}"
        );
        let watch = world
            .ask("GET", "/api/v1/picture/stream", &[("origin", origin)], "")
            .await;
        assert_eq!(watch.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let cross = world
        .ask(
            "POST",
            "/api/v1/session",
            &[("sec-fetch-site", "cross-site"), json],
            "{}",
        )
        .await;
    assert_eq!(cross.status, StatusCode::FORBIDDEN);
    let ours = world
        .ask(
            "POST",
            "/api/v1/session",
            &[("origin", &own), json],
            "{\"token\":\"x\"}",
        )
        .await;
    assert_eq!(ours.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_no_reason_to_trust_its_clients() {
    let world = World::start();
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let reply = world
            .ask("GET", "/api/v1/picture", &[(header, "192.0.2.1")], "")
            .await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{header}");
    }
}

async fn log_in(world: &World, secret: &str) -> Reply {
    let body = format!("{{\"token\":\"{secret}\"}}");
    world
        .ask(
            "POST",
            "/api/v1/session",
            &[("content-type", "application/json")],
            &body,
        )
        .await
}

#[tokio::test]
async fn a_one_time_link_makes_one_admin_once() {
    let world = World::start_with("a", |config, _| config.loopback_viewer = false);
    let secret = world.access.first_link().unwrap();
    let first = log_in(&world, &secret).await;
    assert_eq!(
        (first.status, first.json()["role"].as_str()),
        (StatusCode::OK, Some("admin"))
    );
    let cookie = first.header("set-cookie").to_owned();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert_eq!(
        log_in(&world, &secret).await.status,
        StatusCode::UNAUTHORIZED
    );

    let cookie = cookie.split(';').next().unwrap();
    let me = world
        .ask(
            "GET",
            "/api/v1/me",
            &[("cookie", &format!("other=1; {cookie}"))],
            "",
        )
        .await;
    assert_eq!(
        (me.json()["role"].as_str(), me.json()["proof"].as_str()),
        (Some("admin"), Some("session"))
    );
    let out = world
        .ask("DELETE", "/api/v1/session", &[("cookie", cookie)], "")
        .await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(
        world
            .ask("GET", "/api/v1/me", &[("cookie", cookie)], "")
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_even_when_another_process_revokes_it() {
    let world = World::start_with("a", |config, _| config.loopback_viewer = false);
    let secret = world.token("ann", Role::Operator);
    let cookie = log_in(&world, &secret)
        .await
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let bearer = format!("Bearer {secret}");
    assert_eq!(
        world
            .ask("GET", "/api/v1/me", &[("cookie", &cookie)], "")
            .await
            .json()["user"],
        "ann"
    );
    crate::TokenFile::at(&world.dir).revoke("ann").unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let by_cookie = world
            .ask("GET", "/api/v1/me", &[("cookie", &cookie)], "")
            .await
            .status;
        let by_bearer = world
            .ask("GET", "/api/v1/me", &[("authorization", &bearer)], "")
            .await
            .status;
        if (by_cookie, by_bearer) == (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED) {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the token still works"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn guessing_is_throttled_and_does_not_lock_out_who_knows() {
    let world = World::start();
    let secret = world.token("ann", Role::Viewer);
    let mut statuses = Vec::new();
    for _ in 0..=crate::throttle::FAILURES_MAX {
        statuses.push(log_in(&world, "andon_wrong").await.status.as_u16());
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        crate::throttle::FAILURES_MAX as usize
    );
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(log_in(&world, &secret).await.status, StatusCode::OK);
}

#[tokio::test]
async fn tokens_are_made_listed_and_ended_and_all_of_it_is_recorded() {
    let world = World::start();
    let admin = format!("Bearer {}", world.token("root", Role::Admin));
    let headers = [
        ("authorization", admin.as_str()),
        ("content-type", "application/json"),
    ];
    let made = world
        .ask(
            "POST",
            "/api/v1/tokens",
            &headers,
            "{\"name\":\"bob\",\"role\":\"viewer\",\"expires_s\":60}",
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    assert!(
        secret.starts_with("andon_") && secret.len() == 58,
        "{secret}"
    );
    let bob = format!("Bearer {secret}");
    assert_eq!(
        world
            .ask("GET", "/api/v1/me", &[("authorization", &bob)], "")
            .await
            .json()["user"],
        "bob"
    );
    let list = world.ask("GET", "/api/v1/tokens", &headers, "").await;
    assert!(!list.text().contains(&secret) && list.text().contains("bob"));
    for (body, status) in [
        ("{\"name\":\"bob\",\"role\":\"viewer\"}", 409),
        ("{\"name\":\"<b>\",\"role\":\"viewer\"}", 400),
        ("{\"name\":\"x\",\"role\":\"king\"}", 400),
        ("{\"name\":\"x\",\"role\":\"viewer\",\"expires\":5}", 400),
        ("{\"name\":\"x\",\"role\":\"viewer\",\"expires_s\":0}", 400),
        ("rubbish", 400),
    ] {
        assert_eq!(
            world
                .ask("POST", "/api/v1/tokens", &headers, body)
                .await
                .status
                .as_u16(),
            status,
            "{body}"
        );
    }
    assert_eq!(
        world
            .ask("DELETE", "/api/v1/tokens/bob", &headers, "")
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        world
            .ask("GET", "/api/v1/me", &[("authorization", &bob)], "")
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );

    let log = world
        .ask("GET", "/api/v1/audit?limit=2", &headers, "")
        .await
        .json();
    let records = log["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(
        (
            records[0]["action"].as_str(),
            records[0]["subject"].as_str()
        ),
        (Some("token.revoke"), Some("bob"))
    );
    assert_eq!(records[0]["actor"], "root@127.0.0.1");
    assert_eq!(records[0]["prev"], records[1]["hash"]);
    let summary = audit::verify(&world.dir.join("audit.jsonl")).unwrap();
    assert_eq!(records[0]["hash"], summary.head);
    let kept = std::fs::read_to_string(world.dir.join("tokens.json")).unwrap();
    assert!(!kept.contains(&secret));
}

#[tokio::test]
async fn the_demo_obeys_operators_and_people_at_this_machine() {
    let control = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = control.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = control.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let line = String::from_utf8_lossy(&head[..read])
                .lines()
                .next()
                .unwrap()
                .to_owned();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/x-echo\r\ncontent-length: {}\r\n\r\n{line}",
                line.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let world = World::start_with("a", |config, _| config.demo_control = Some(address));
    let read = world.get("/api/v1/demo?x=1").await;
    assert_eq!(
        (read.text().as_str(), read.header("content-type")),
        ("GET /api/v1/demo?x=1 HTTP/1.1", "text/x-echo")
    );
    let act = world.ask("POST", "/api/v1/demo/cut", &[], "{}").await;
    assert_eq!(act.text(), "POST /api/v1/demo/cut HTTP/1.1");
    let foreign = world
        .ask(
            "POST",
            "/api/v1/demo/cut",
            &[("origin", "http://evil.example")],
            "{}",
        )
        .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let viewer = format!("Bearer {}", world.token("v", Role::Viewer));
    let proxied = [
        ("authorization", viewer.as_str()),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(
        world
            .ask("POST", "/api/v1/demo/cut", &proxied, "{}")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        audit::verify(&world.dir.join("audit.jsonl"))
            .unwrap()
            .records,
        1
    );
}
