//! Conversations with a small GridBug, made here from the protocol: it polls its bugs one
//! after the other, merges what it is told, and answers 200 to everything. And with peers
//! that mean no good.

#![allow(clippy::unwrap_used)]

use andon_gridbug::document::Document;
use andon_gridbug::{
    Config, GridBugAnswer, GridBugRequest, GridSummary, Handle, SummaryLink, spawn,
};
use andon_model::{Neighbour, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

const KEY: &str = "grid-key";

/// Reads one HTTP/1 message (head and body by its declared length), at most 1 MiB.
async fn read_message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length:"))
                .map_or(0, |l| l.trim().parse().unwrap());
            while bytes.len() < end + 4 + length {
                let read = stream
                    .read(&mut chunk)
                    .await
                    .ok()
                    .filter(|read| *read > 0)?;
                bytes.extend_from_slice(&chunk[..read]);
            }
            return Some((
                String::from_utf8_lossy(&bytes[..end]).into_owned(),
                bytes[end + 4..].to_vec(),
            ));
        }
        let read = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}

async fn send(stream: &mut TcpStream, status: u16, body: &[u8]) {
    let head = format!(
        "HTTP/1.0 {status} X\r\nContent-type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
}

async fn call(host: &str, head: &str, body: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(host).await.ok()?;
    let length = body.len();
    stream
        .write_all(
            format!(
                "{head} HTTP/1.1\r\nHost: {host}\r\nkey: {KEY}\r\nContent-Length: {length}\r\n\r\n"
            )
            .as_bytes(),
        )
        .await
        .ok()?;
    stream.write_all(body).await.ok()?;
    read_message(&mut stream).await
}

/// Serves our node's answers on a port, as the API does.
async fn serve_andon(handle: Handle, listener: TcpListener) {
    while let Ok((mut stream, remote)) = listener.accept().await {
        let handle = handle.clone();
        tokio::spawn(async move {
            let Some((head, body)) = read_message(&mut stream).await else {
                return;
            };
            let mut words = head.split_whitespace();
            let request = GridBugRequest {
                method: words.next().unwrap().to_owned(),
                path: words.next().unwrap().to_owned(),
                key: head
                    .lines()
                    .find_map(|l| l.strip_prefix("key: "))
                    .map(str::to_owned),
                body: body.into(),
                remote,
            };
            let answer = handle.respond(&request);
            send(&mut stream, answer.status, &answer.body).await;
        });
    }
}

/// GridBug's side: known bugs by id, a sequential poller without post timeout, answers.
struct SmallGridBug {
    id: String,
    host: String,
    bugs: Mutex<BTreeMap<String, (String, Option<bool>)>>,
}

impl SmallGridBug {
    async fn start(id: &str, seeds: &[(&str, &str)]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let bugs = seeds
            .iter()
            .map(|(id, host)| ((*id).to_owned(), ((*host).to_owned(), None)))
            .collect();
        let bug = Arc::new(Self {
            id: id.to_owned(),
            host,
            bugs: Mutex::new(bugs),
        });
        let server = bug.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let bug = server.clone();
                tokio::spawn(async move {
                    let Some((head, body)) = read_message(&mut stream).await else {
                        return;
                    };
                    let answer = if head.starts_with("GET /bugs") {
                        bug.document().to_string()
                    } else {
                        if head.starts_with("POST /post") && head.contains(&format!("key: {KEY}")) {
                            bug.merge(&serde_json::from_slice(&body).unwrap());
                        }
                        json!({"status": "OK"}).to_string()
                    };
                    send(&mut stream, 200, answer.as_bytes()).await;
                });
            }
        });
        let poller = bug.clone();
        tokio::spawn(async move {
            loop {
                let known: Vec<_> = poller
                    .bugs
                    .lock()
                    .unwrap()
                    .iter()
                    .map(|(id, (host, _))| (id.clone(), host.clone()))
                    .collect();
                for (id, host) in known {
                    let alive = call(&host, "GET /ping", b"").await.is_some();
                    poller
                        .bugs
                        .lock()
                        .unwrap()
                        .insert(id, (host.clone(), Some(alive)));
                    if alive {
                        call(
                            &host,
                            "POST /post",
                            poller.document().to_string().as_bytes(),
                        )
                        .await;
                        if let Some((_, body)) = call(&host, "GET /bugs", b"").await {
                            poller.merge(&serde_json::from_slice(&body).unwrap());
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        bug
    }

    fn document(&self) -> Value {
        let mut list = vec![json!({"host": self.host, "id": self.id, "alive": true})];
        for (id, (host, alive)) in self.bugs.lock().unwrap().iter() {
            match alive {
                Some(alive) => list.push(json!({"host": host, "id": id, "alive": alive})),
                None => list.push(json!({"host": host, "id": id})),
            }
        }
        json!({"version": 1, "gridbugs": list, "node_id": self.id, "node_role": "node", "node_build": "0.1.0", "node_host": self.host})
    }

    fn merge(&self, payload: &Value) {
        let mut bugs = self.bugs.lock().unwrap();
        let mut add = |id: &Value, host: &Value| {
            let (id, host) = (
                id.as_str().unwrap().to_owned(),
                host.as_str().unwrap().to_owned(),
            );
            if id != self.id {
                bugs.entry(id).or_insert((host, None));
            }
        };
        add(&payload["node_id"], &payload["node_host"]);
        for bug in payload["gridbugs"].as_array().unwrap() {
            add(&bug["id"], &bug["host"]);
        }
    }

    fn sees(&self, id: &str) -> Option<bool> {
        self.bugs
            .lock()
            .unwrap()
            .get(id)
            .and_then(|(_, alive)| *alive)
    }
}

struct Andon {
    handle: Handle,
    host: String,
    published: Arc<Mutex<Vec<Neighbour>>>,
    cancel: CancellationToken,
}

impl Andon {
    async fn start(seeds: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let config = Config {
            key: KEY.into(),
            id: "andon-1".into(),
            host: Some(host.clone()),
            build: "0.1.0".into(),
            seeds: seeds.iter().map(ToString::to_string).collect(),
            poll: Duration::from_secs(1),
        };
        let published = Arc::new(Mutex::new(Vec::new()));
        let sink = published.clone();
        let cancel = CancellationToken::new();
        let publish = move |neighbours| *sink.lock().unwrap() = neighbours;
        let (handle, _) = spawn(
            config,
            || Timestamp(1_700_000_000_000_000),
            publish,
            cancel.clone(),
        );
        tokio::spawn(serve_andon(handle.clone(), listener));
        Self {
            handle,
            host,
            published,
            cancel,
        }
    }

    fn neighbour(&self, id: &str) -> Option<Neighbour> {
        self.published
            .lock()
            .unwrap()
            .iter()
            .find(|bug| bug.id == id)
            .cloned()
    }

    fn ask(&self, method: &str, path: &str, key: Option<&str>, body: &[u8]) -> GridBugAnswer {
        let remote: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let request = GridBugRequest {
            method: method.into(),
            path: path.into(),
            key: key.map(str::to_owned),
            body: body.to_vec().into(),
            remote,
        };
        self.handle.respond(&request)
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None, b"");
        assert_eq!(
            (answer.status, answer.content_type),
            (200, "application/json"),
            "{path}"
        );
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Drop for Andon {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "not within 20 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

#[tokio::test]
async fn an_existing_grid_and_ours_learn_each_other() {
    let far = SmallGridBug::start("far", &[]).await;
    let near = SmallGridBug::start("near", &[("far", &far.host)]).await;
    let andon = Andon::start(&[&near.host]).await;
    until("we know both, the far one by hearsay", || {
        ["near", "far"].iter().all(|id| {
            andon
                .neighbour(id)
                .is_some_and(|bug| bug.alive == Some(true))
        })
    })
    .await;
    until("both reach us, and nobody holds us or a bug twice", || {
        [&near, &far]
            .iter()
            .all(|bug| bug.sees("andon-1") == Some(true) && bug.bugs.lock().unwrap().len() == 2)
    })
    .await;
    until("we hear what they report of each other", || {
        andon
            .neighbour("near")
            .is_some_and(|bug| bug.sees.get("far") == Some(&Some(true)))
    })
    .await;
    let near_now = andon.neighbour("near").unwrap();
    assert_eq!(
        (near_now.host, near_now.build.as_str()),
        (near.host.clone(), "0.1.0")
    );
    assert!(near_now.rtt_us.is_some());
}

#[tokio::test]
async fn a_bug_that_answers_pings_and_never_posts_costs_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wedge = listener.local_addr().unwrap().to_string();
    let posts = Arc::new(Mutex::new(0));
    let counted = posts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let posts = counted.clone();
            tokio::spawn(async move {
                let Some((head, _)) = read_message(&mut stream).await else {
                    return;
                };
                if head.starts_with("GET /ping") {
                    send(&mut stream, 200, b"{\"status\": \"OK\"}").await;
                } else {
                    *posts.lock().unwrap() += 1;
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
            });
        }
    });
    let good = SmallGridBug::start("good", &[]).await;
    let andon = Andon::start(&[&wedge, &good.host]).await;
    until("the wedge was posted to", || *posts.lock().unwrap() > 0).await;
    let polls = andon.handle.counters().polls;
    let took = until("five more polls", || {
        andon.handle.counters().polls >= polls + 5
    })
    .await;
    assert!(took < Duration::from_secs(9), "{took:?}");
    until("the good one is alive", || {
        andon
            .neighbour("good")
            .is_some_and(|bug| bug.alive == Some(true))
    })
    .await;
    until("the wedge's own poll ends", || {
        andon.handle.counters().posts_failed > 0
    })
    .await;
    let wedged = andon
        .handle
        .neighbours()
        .into_iter()
        .find(|bug| bug.host == wedge)
        .unwrap();
    assert_eq!(wedged.alive, Some(true), "it does answer pings");
}

#[tokio::test]
async fn peers_that_send_rubbish_or_never_end_are_found_silent_in_time() {
    let mut hosts = Vec::new();
    let silent: &[u8] = b"";
    let answers: Vec<&'static [u8]> = vec![
        b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[[[[[[[[",
        b"HTTP/1.1 500 X\r\nContent-Length: 16\r\n\r\n{\"status\": \"OK\"}",
        b"\x16\x03\x01rubbish\r\n\r\n",
        silent,
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        hosts.push(listener.local_addr().unwrap().to_string());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.write_all(answer).await;
                    // Headers and bodies that never end.
                    for _ in 0..10_000 {
                        if !answer.is_empty() && stream.write_all(&[b'x'; 4096]).await.is_err() {
                            return;
                        }
                    }
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                });
            }
        });
    }
    // Taken and not listened on: refused, whatever other tests do meanwhile.
    let refused = TcpSocket::new_v4().unwrap();
    refused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    hosts.push(refused.local_addr().unwrap().to_string());
    let seeds: Vec<_> = hosts.iter().map(String::as_str).collect();
    let andon = Andon::start(&seeds).await;
    let took = until("all are found silent", || {
        let neighbours = andon.handle.neighbours();
        neighbours.len() == hosts.len() && neighbours.iter().all(|bug| bug.alive == Some(false))
    })
    .await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_wrong_key_is_told_and_changes_nothing() {
    let andon = Andon::start(&[]).await;
    let body = json!({"version": 1, "gridbugs": [], "node_id": "evil", "node_host": "10.9.9.9:1"})
        .to_string();
    for key in [
        None,
        Some(""),
        Some("grid-kex"),
        Some("grid-key "),
        Some("grid"),
    ] {
        let answer = andon.ask("POST", "/post", key, body.as_bytes());
        assert_eq!(answer.status, 401, "{key:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("GRIDKEY"));
    }
    assert!(andon.handle.neighbours().is_empty());
    assert_eq!(
        andon
            .ask("POST", "/post", Some(KEY), body.as_bytes())
            .status,
        200
    );
    assert_eq!(andon.handle.neighbours()[0].id, "evil");
    assert_eq!(andon.handle.counters().refused, 5);
}

#[tokio::test]
async fn hostile_posts_are_refused_with_a_status_and_in_words() {
    let andon = Andon::start(&[]).await;
    let check = |body: &[u8], status: u16| {
        let answer = andon.ask("POST", "/post", Some(KEY), body);
        assert_eq!(
            answer.status,
            status,
            "{:?}",
            String::from_utf8_lossy(&answer.body)
        );
        let words: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(
            words["error"]
                .as_str()
                .is_some_and(|error| error.len() > 10)
                || status == 200
        );
    };
    check(&vec![b'x'; 64 << 20], 413);
    check(b"", 400);
    check(b"{", 400);
    check(b"NaN", 400);
    check("[".repeat(200_000).as_bytes(), 400);
    check(b"{\"node_id\": \"a\", \"gridbugs\": [NaN]}", 400);
    check(b"{\"node_id\": 7, \"gridbugs\": []}", 400);
    check(b"{\"node_id\": \"x\", \"gridbugs\": [1, null, {}, {\"host\": \"<script>:1\", \"id\": \"<script>\"}]}", 200);
    assert!(andon.handle.neighbours().is_empty());
    let many: Vec<_> = (0..5_000)
        .map(|n| json!({"host": format!("h{n}:1"), "id": "i"}))
        .collect();
    check(
        json!({"node_id": "p", "node_host": "p:1", "gridbugs": many})
            .to_string()
            .as_bytes(),
        200,
    );
    assert_eq!(andon.handle.neighbours().len(), 1_000);
    for (method, path, status) in [
        ("GET", "/clear", 404),
        ("GET", "/stop", 404),
        ("GET", "/", 404),
        ("DELETE", "/bugs", 405),
        ("POST", "/bugs", 405),
    ] {
        assert_eq!(
            andon.ask(method, path, Some(KEY), b"").status,
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn ids_with_markup_are_data_in_every_answer() {
    let andon = Andon::start(&[]).await;
    let id = "<script>alert(1)</script>\u{202e}\u{7}\"";
    let body = json!({"node_id": id, "node_host": "h:1", "gridbugs": [{"host": "g:1", "id": id}]})
        .to_string();
    assert_eq!(
        andon
            .ask("POST", "/post", Some(KEY), body.as_bytes())
            .status,
        200
    );
    for path in [
        "/bugs",
        "/gridbugs.json",
        "/graph",
        "/raw",
        "/stats",
        "/time",
        "/ping",
    ] {
        let json = andon.json(path);
        assert!(!json.to_string().contains(['\u{202e}', '\u{7}']), "{path}");
    }
    let text = andon.ask("GET", "/text", None, b"");
    assert!(
        text.content_type.starts_with("text/plain"),
        "{}",
        text.content_type
    );
    assert!(
        !String::from_utf8(text.body.to_vec())
            .unwrap()
            .contains('\u{202e}')
    );
}

#[tokio::test]
async fn the_answers_have_gridbugs_own_form() {
    let andon = Andon::start(&[]).await;
    let body = json!({"node_id": "LAN", "node_host": "lan:1", "node_build": "0.1.0",
        "gridbugs": [{"host": "lan:1", "id": "LAN", "alive": true}, {"host": "origin:1", "id": "origin", "alive": false}]});
    andon.ask("POST", "/post", Some(KEY), body.to_string().as_bytes());
    andon.handle.set_grid(GridSummary {
        nodes: vec!["andon-1".into(), "andon-2".into()],
        links: vec![SummaryLink {
            from: "andon-1".into(),
            to: "andon-2".into(),
            alive: Some(true),
            at: Timestamp(5_000_000),
        }],
    });
    assert_eq!(andon.json("/ping"), json!({"status": "OK"}));
    let bugs = andon.json("/bugs");
    assert_eq!(bugs["version"], 1);
    assert_eq!(
        (&bugs["node_id"], &bugs["node_role"]),
        (&json!("andon-1"), &json!("node"))
    );
    assert_eq!(bugs["node_host"], json!(andon.host));
    assert_eq!(
        bugs["gridbugs"][0],
        json!({"host": andon.host, "id": "andon-1", "alive": true})
    );
    assert_eq!(
        bugs["gridbugs"][1],
        json!({"host": "lan:1", "id": "LAN"}),
        "alive is absent until polled"
    );
    assert!(Document::read(bugs.to_string().as_bytes()).is_ok());
    let graph = andon.json("/graph");
    let nodes: Vec<_> = graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["data"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(nodes, ["LAN", "andon-1", "andon-2", "origin"]);
    let edges = graph["edges"].as_array().unwrap();
    let ours = json!({"data": {"id": "andon-1.andon-2", "source": "andon-1", "target": "andon-2", "alive": true, "color": "green", "ts": 5.0}});
    assert!(edges.contains(&ours), "{graph}");
    let theirs = edges
        .iter()
        .find(|edge| edge["data"]["id"] == "LAN.origin")
        .unwrap();
    assert_eq!(
        (&theirs["data"]["alive"], &theirs["data"]["color"]),
        (&json!(false), &json!("red"))
    );
    let raw = andon.json("/raw");
    assert_eq!(raw["nodes"][0], json!("LAN"));
    assert!(raw["edges"].as_array().unwrap().contains(&ours["data"]));
    assert!(andon.json("/stats")["poll"].is_u64());
    assert_eq!(andon.json("/time")["ts"], json!(1_700_000_000.0));
}
