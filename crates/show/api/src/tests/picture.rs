//! The picture in all its forms, and everything else that is read.

use super::{World, view_of};
use andon_model::{LinkReason, LinkState, PictureDigest, PictureView, Timestamp};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn the_picture_is_the_document_that_was_published() {
    let world = World::start();
    let reply = world.get("/api/v1/picture").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    let read: PictureView = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(read, **world.view.borrow());
    assert!(reply.json()["links"][0]["loss"]["return"].is_null());
    let head = world.ask("HEAD", "/api/v1/picture", &[], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), reply.body.len().to_string());
}

#[tokio::test]
async fn an_unchanged_picture_is_not_sent_again_and_a_changed_one_is() {
    let world = World::start();
    let etag = world.get("/api/v1/picture").await.header("etag").to_owned();
    for tags in [etag.clone(), "*".to_owned(), format!("\"other\", W/{etag}")] {
        let reply = world
            .ask("GET", "/api/v1/picture", &[("if-none-match", &tags)], "")
            .await;
        assert_eq!(
            (reply.status, reply.body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{tags}"
        );
        assert_eq!(reply.header("etag"), etag);
    }
    world
        .view
        .send_modify(|view| Arc::make_mut(view).digest = PictureDigest(43));
    // A document is handed out for some times as long as it took to make; then it is made anew.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    loop {
        let reply = world
            .ask("GET", "/api/v1/picture", &[("if-none-match", &etag)], "")
            .await;
        if reply.status == StatusCode::OK {
            assert_eq!(reply.json()["digest"], format!("{:032x}", 43));
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the change never showed"
        );
    }
}

#[tokio::test]
async fn a_compressed_picture_is_the_same_with_its_own_tag() {
    let world = World::start();
    let plain = world.get("/api/v1/picture").await;
    let gzip = world
        .ask(
            "GET",
            "/api/v1/picture",
            &[("accept-encoding", "br, gzip;q=0.5")],
            "",
        )
        .await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_eq!(gzip.header("vary"), "accept-encoding");
    assert_ne!(gzip.header("etag"), plain.header("etag"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain.body);
    assert!(gzip.body.len() * 4 < plain.body.len());
    for refused in ["identity", "gzip;q=0", "br"] {
        let reply = world
            .ask(
                "GET",
                "/api/v1/picture",
                &[("accept-encoding", refused)],
                "",
            )
            .await;
        assert_eq!(reply.header("content-encoding"), "", "{refused}");
    }
}

#[tokio::test]
async fn columns_tell_the_same_as_the_whole_picture() {
    let world = World::start();
    world.view.send_modify(|view| {
        let link = &mut Arc::make_mut(view).links[3];
        (link.reason, link.round_trip) = (Some(LinkReason::Mtu), Some(LinkState::Down));
        (link.via, link.detail) = (true, Some("404 not found".into()));
    });
    let reply = world.get("/api/v1/picture?form=columns").await;
    let columns = reply.json();
    let view = view_of("a", &["a", "b", "c", "d", "e"]);
    for (index, link) in view.links.iter().enumerate() {
        let end = |column: &str| {
            let node = columns["links"][column][index].as_u64().unwrap() as usize;
            columns["nodes"][node]["id"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            (end("from"), end("to")),
            (link.from.to_string(), link.to.to_string())
        );
        let state = columns["links"]["state"][index].as_u64().unwrap() as usize;
        assert_eq!(columns["links"]["states"][state], "up");
        assert_eq!(columns["links"]["loss_forward"][index], 0);
        assert!(columns["links"]["loss_return"][index].is_null());
        assert_eq!(columns["links"]["rtt_p99"][index], 900);
        assert_eq!(columns["links"]["rtt_baseline"][index], 240);
        let named = |names: &str, column: &str| {
            let code = columns["links"][column][index].as_u64()?;
            columns["links"][names][code as usize]
                .as_str()
                .map(str::to_owned)
        };
        assert_eq!(named("transports", "transport").as_deref(), Some("udp"));
        assert_eq!(named("hearings", "heard").as_deref(), Some("arriving"));
        let odd = index == 3;
        assert_eq!(named("reasons", "reason").as_deref(), odd.then_some("mtu"));
        assert_eq!(
            named("states", "round_trip").as_deref(),
            odd.then_some("down")
        );
        assert_eq!(columns["links"]["via"][index], u8::from(odd));
        let detail = columns["links"]["detail"][index.to_string()].as_str();
        assert_eq!(detail, odd.then_some("404 not found"));
        assert_eq!(columns["links"]["since"][index], 1000);
    }
    assert_eq!(
        world.get("/api/v1/picture?form=cubes").await.status,
        StatusCode::BAD_REQUEST
    );
}

struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn of(world: &World, path: &str) -> Self {
        let stream = TcpStream::connect(world.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        std::mem::forget(sender);
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event that tells of the picture.
    async fn next(&mut self) -> (String, serde_json::Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (name, data) = event.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                if !matches!(name.as_str(), "heartbeat" | "incidents") {
                    return (name, data);
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(5), self.body.frame())
                .await
                .expect("an event in time");
            let data = frame.expect("an open stream").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_picture_and_goes_on_with_what_changed() {
    let world = World::start();
    let mut events = Events::of(&world, "/api/v1/picture/stream").await;
    let mut columns = Events::of(&world, "/api/v1/picture/stream?form=columns").await;
    let (name, picture) = events.next().await;
    assert_eq!(
        (name.as_str(), picture["nodes"].as_array().unwrap().len()),
        ("picture", 5)
    );
    assert!(columns.next().await.1["links"]["from"].is_array());

    // Only the time differs: nothing to say.
    world
        .view
        .send_modify(|view| Arc::make_mut(view).generated_at = Timestamp(5));
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.view.send_modify(|view| {
        let view = Arc::make_mut(view);
        view.digest = PictureDigest(7);
        view.links[3].state = LinkState::Down;
        view.nodes.pop();
        view.links.retain(|link| link.from != "e" && link.to != "e");
    });
    for stream in [&mut events, &mut columns] {
        let (name, delta) = stream.next().await;
        assert_eq!(
            (name.as_str(), &delta["digest"]),
            ("delta", &serde_json::json!(format!("{:032x}", 7)))
        );
        assert_eq!(delta["gone"]["nodes"], serde_json::json!(["e"]));
        assert_eq!(delta["gone"]["links"].as_array().unwrap().len(), 8);
        assert!(delta["nodes"].as_array().unwrap().is_empty());
        assert!(
            delta["links"]
                .as_array()
                .unwrap()
                .iter()
                .all(|link| link["from"] != "e")
        );
    }
}

#[tokio::test]
async fn many_changes_at_once_travel_as_few() {
    let world = World::start();
    let mut events = Events::of(&world, "/api/v1/picture/stream").await;
    events.next().await;
    for number in 0..100 {
        world
            .view
            .send_modify(|view| Arc::make_mut(view).digest = PictureDigest(1000 + number));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut deltas = 0;
    loop {
        deltas += 1;
        if events.next().await.1["digest"] == format!("{:032x}", 1099) {
            break;
        }
    }
    assert!(deltas <= 5, "{deltas} deltas in about 200 ms");
}

#[tokio::test]
async fn curl_gets_a_terminal_picture_and_a_browser_the_console() {
    let world = World::start();
    let curl = world
        .ask(
            "GET",
            "/",
            &[("user-agent", "curl/8.5.0"), ("accept", "*/*")],
            "",
        )
        .await;
    assert_eq!(curl.header("content-type"), "text/plain; charset=utf-8");
    assert!(curl.text().contains('a'));
    let firefox = [
        ("user-agent", "Mozilla/5.0"),
        ("accept", "text/html,application/xhtml+xml"),
    ];
    for path in [
        "/",
        "/board",
        "/login",
        "/node/a",
        "/link/a/b",
        "/site/here",
    ] {
        let page = world.ask("GET", path, &firefox, "").await;
        assert_eq!(
            page.header("content-type"),
            "text/html; charset=utf-8",
            "{path}"
        );
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        let again = world
            .ask(
                "GET",
                path,
                &[firefox[1], ("if-none-match", page.header("etag"))],
                "",
            )
            .await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn a_node_and_me_are_described() {
    let world = World::start();
    let me = world.get("/api/v1/me").await.json();
    for (field, value) in [
        ("id", "a"),
        ("site", "here"),
        ("version", "1.2.3"),
        ("role", "viewer"),
        ("user", "loopback"),
    ] {
        assert_eq!(me[field], value);
    }
    let node = world.get("/api/v1/nodes/b").await.json();
    assert_eq!(node["node"]["id"], "b");
    assert_eq!(
        (
            node["links_from"].as_array().unwrap().len(),
            node["links_to"].as_array().unwrap().len()
        ),
        (4, 4)
    );
    let missing = world.get("/api/v1/nodes/zz").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(
        missing.json()["error"]["help"]
            .as_str()
            .unwrap()
            .contains("a, b, c")
    );
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_what_is_right() {
    let world = World::start();
    let lost = world.get("/api/v1/pictures").await;
    assert_eq!(
        (lost.status, lost.code()),
        (StatusCode::NOT_FOUND, "not_found".to_owned())
    );
    assert!(
        lost.json()["error"]["help"]
            .as_str()
            .unwrap()
            .contains("/api/v1/picture,")
    );
    let method = world.ask("DELETE", "/api/v1/picture", &[], "").await;
    assert_eq!(
        (method.status, method.code()),
        (StatusCode::METHOD_NOT_ALLOWED, "method".to_owned())
    );
    assert_eq!(method.header("allow"), "GET,HEAD");
    for path in ["/../../etc/passwd", "/%2e%2e/x", "/x.js", "/ping"] {
        assert_eq!(
            world.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn readiness_waits_for_a_peer() {
    let world = World::start();
    assert_eq!(world.get("/healthz").await.text(), "ok\n");
    assert_eq!(world.get("/readyz").await.status, StatusCode::OK);
    world.view.send_replace(Arc::new(view_of("a", &["a"])));
    let waiting = world.get("/readyz").await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(waiting.text().contains("no peer"));
}

#[tokio::test]
async fn the_metrics_satisfy_promtool_and_tell_the_links() {
    let world = World::start();
    let metrics = world.get("/metrics").await.text();
    for line in [
        "andon_build_info{version=\"1.2.3\",node=\"a\",site=\"here\"} 1",
        "andon_nodes{state=\"up\"} 5",
        "andon_links{state=\"up\"} 20",
        "andon_link_state{from=\"a\",to=\"b\",state=\"up\"} 1",
        "andon_link_state{from=\"a\",to=\"b\",state=\"down\"} 0",
        "andon_link_rtt_seconds{from=\"a\",to=\"b\",quantile=\"0.5\"} 0.00025",
        "andon_link_loss_ratio{from=\"a\",to=\"b\",direction=\"forward\"} 0",
        "andon_gossip_packets_total{direction=\"out\"} 9",
        "andon_probe_sent_total 3",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    assert!(
        !metrics.contains("direction=\"return\"}"),
        "what was not measured is not shown"
    );
    assert!(
        !metrics.contains("from=\"b\""),
        "others' links are theirs to tell"
    );
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("NOT CHECKED: promtool is not installed");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let verdict = promtool.wait_with_output().unwrap();
    assert!(
        verdict.status.success(),
        "{}{}",
        String::from_utf8_lossy(&verdict.stdout),
        String::from_utf8_lossy(&verdict.stderr)
    );
}

#[tokio::test]
async fn who_asks_for_openmetrics_gets_openmetrics() {
    let world = World::start();
    let accept = [("accept", "application/openmetrics-text;version=1.0.0")];
    let reply = world.ask("GET", "/metrics", &accept, "").await;
    assert_eq!(
        reply.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let metrics = reply.text();
    for line in [
        "# TYPE andon_build info",
        "andon_build_info{version=\"1.2.3\",node=\"a\",site=\"here\"} 1",
        "# TYPE andon_gossip_packets counter",
        "andon_gossip_packets_total{direction=\"out\"} 9",
        "# TYPE process_cpu_seconds counter",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    assert!(metrics.ends_with("\n# EOF\n"));
    // Each family once, its samples right behind it and named as its type wants.
    let mut families = std::collections::BTreeSet::new();
    let (mut family, mut kind) = ("", "");
    for line in metrics.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(families.insert(family), "{line}");
            assert!(!family.ends_with("_total") && !family.ends_with("_info"));
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            kind = typed
                .strip_prefix(family)
                .and_then(|rest| rest.strip_prefix(' '))
                .unwrap();
        } else {
            let end = line.find(['{', ' ']).unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                "gauge" | "summary" => "",
                _ => panic!("{kind}: {line}"),
            };
            assert_eq!(line[..end], format!("{family}{suffix}"));
        }
    }
    assert!(families.len() > 40);
    let text = world.get("/metrics").await;
    assert_eq!(
        text.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!text.text().contains("# EOF"));
}

#[tokio::test]
async fn every_route_is_described() {
    let world = World::start();
    let document = world.get("/api/v1/openapi.json").await.json();
    let described = document["paths"].as_object().unwrap();
    let of_the_console = ["/board", "/login"];
    for path in crate::routes::PATHS
        .iter()
        .filter(|path| !of_the_console.contains(path))
    {
        assert!(described.contains_key(*path), "{path} is not described");
    }
    for path in crate::gate::GRIDBUG_PATHS {
        assert!(described.contains_key(path), "{path} is not described");
    }
    let mut operations: Vec<&str> = described
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    operations.sort_unstable();
    let all = operations.len();
    operations.dedup();
    assert_eq!(operations.len(), all, "an operation's id is its own");
    // And the other way round: what is described is there.
    for path in described.keys().filter(|path| {
        !path.contains("demo") && !crate::gate::GRIDBUG_PATHS.contains(&path.as_str())
    }) {
        let reply = world
            .ask("OPTIONS", &path.replace(['{', '}'], ""), &[], "")
            .await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert!(document["components"]["schemas"]["PictureView"].is_object());
    // The small types are told too, not only that something stands there.
    let link = &document["components"]["schemas"]["LinkView"]["properties"];
    assert_eq!(link["state"]["$ref"], "#/components/schemas/LinkState");
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    assert_eq!(document["security"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_quiet_stream_still_beats() {
    let world = World::start();
    let mut events = Events::of(&world, "/api/v1/picture/stream").await;
    let beating = async {
        while !events.text.contains("event: heartbeat\n") {
            let frame = events.body.frame().await.unwrap().unwrap();
            let data = frame.into_data().unwrap();
            events.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(8), beating)
        .await
        .expect("a heartbeat in time");
    let (_, beat) = events.text.split_once("event: heartbeat\ndata: ").unwrap();
    let beat: serde_json::Value = serde_json::from_str(beat.lines().next().unwrap()).unwrap();
    assert!(Timestamp::parse(beat["generated_at"].as_str().unwrap()).unwrap() > Timestamp(0));
}
