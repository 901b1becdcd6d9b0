//! Events over the API of one node: sent, asked, watched, and by whom.

use super::World;
use crate::access::Role;
use crate::events::{EventSources, GAPS_PATH, PARCELS_PATH};
use crate::far::PART_PATH;
use andon_ingest::sink::{Accepting, Sink};
use andon_ingest::{Batch, Gate, HttpIntake};
use andon_store::{Options, Store};
use hyper::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

struct Direct(Arc<Store>);

impl Sink for Direct {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        Box::pin(async move {
            self.0.append(&batch.dataset, &batch.events).unwrap();
            Ok(())
        })
    }
}

fn world(loopback_may_send: bool) -> World {
    World::start_with("a", |config, sources| {
        config.id = "a".to_owned();
        let dir = super::world::fresh_dir();
        let store = Arc::new(Store::open(&dir.join("events"), Options::default()).unwrap());
        let gate = Arc::new(Gate::new(Arc::new(Direct(store.clone())), Some("a"), None));
        sources.events = Some(EventSources {
            intake: HttpIntake::new(gate.clone(), CancellationToken::new()),
            gate,
            store: Some(store),
            spool: None,
            news: Arc::default(),
            copied: None,
            tails: None,
            clickhouse: None,
            nats: None,
            loopback_may_send,
        });
        // The other nodes of the picture hold no events: they carry no such label.
    })
}

const LINES: &str = "{\"zone\":\"a\",\"ms\":1}\n{\"zone\":\"b\",\"ms\":2}\n";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn who_sends_and_who_asks_is_let_in_by_role_and_nodes_alone_ask_parts() {
    let world = world(false);
    let path = "/api/v1/events?dataset=web";
    // A viewer by being here may look, and not send.
    let refused = world.ask("POST", path, &[], LINES).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("--role ingest"));
    for (role, may_send, may_ask) in [
        (Role::Ingest, true, false),
        (Role::Viewer, false, true),
        (Role::Operator, true, true),
    ] {
        let token = format!("Bearer {}", world.token(&role.to_string(), role));
        let with = [("authorization", token.as_str())];
        let sent = world.ask("POST", path, &with, LINES).await;
        assert_eq!(sent.status == StatusCode::OK, may_send, "{role}");
        let otlp = world.ask("POST", "/v1/logs", &with, "").await;
        assert_eq!(otlp.status == StatusCode::OK, may_send, "{role}");
        let with = [with[0], JSON[0]];
        let asked = world
            .ask("POST", "/api/v1/query", &with, "{\"dataset\":\"web\"}")
            .await;
        assert_eq!(asked.status == StatusCode::OK, may_ask, "{role}");
        let picture = world.ask("GET", "/api/v1/picture", &with, "").await;
        assert_eq!(picture.status == StatusCode::OK, may_ask, "{role}");
    }
    let token = format!("Bearer {}", world.token("adm", Role::Admin));
    for path in [PART_PATH, PARCELS_PATH, GAPS_PATH, "/api/v1/datasets/part"] {
        let with = [("authorization", token.as_str())];
        let refused = world.ask("POST", path, &with, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    // A page of another origin sends nothing, whoever looks at it.
    let world = self::world(true);
    let with = [("origin", "http://evil.example")];
    let refused = world.ask("POST", path, &with, LINES).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let taken = world.ask("POST", path, &[], LINES).await;
    assert_eq!(taken.json()["accepted"], 2);
}

#[tokio::test]
async fn questions_are_answered_in_both_forms_and_wrong_ones_name_the_place() {
    let world = world(true);
    let sent = world
        .ask("POST", "/api/v1/events?dataset=web", &[], LINES)
        .await;
    assert_eq!(sent.json()["accepted"], 2, "{sent:?}");
    let ask = async |body: &str| world.ask("POST", "/api/v1/query", &JSON, body).await;
    for body in [
        r#"{"dataset":"web","group_by":["zone"],"calc":[{"op":"max","key":"ms"}],"order_by":["zone"]}"#,
        r#"{"text":"web | by zone | max(ms) | order zone"}"#,
    ] {
        let answer = ask(body).await.json();
        assert_eq!(
            answer["rows"],
            serde_json::json!([["a", 1.0], ["b", 2.0]]),
            "{answer}"
        );
        assert_eq!(answer["partial"], false);
    }
    for (body, expected) in [
        ("{", "no JSON"),
        ("{}", "dataset"),
        (r#"{"text":"web | whre x"}"#, "\"span\":[6,10]"),
        (
            r#"{"dataset":"web","calc":[{"op":"p9","key":"ms"}]}"#,
            "calc[0].op",
        ),
        (r#"{"text":7}"#, "text"),
    ] {
        let refused = ask(body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(refused.text().contains(expected), "{}", refused.text());
    }
    let plain = world
        .ask("POST", "/api/v1/query", &[], "{\"dataset\":\"web\"}")
        .await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // As a stream: the last event is the answer.
    let with = [JSON[0], ("accept", "text/event-stream")];
    let stream = world
        .ask("POST", "/api/v1/query", &with, r#"{"text":"web | count"}"#)
        .await;
    assert!(stream.text().starts_with("event: answer\ndata: {"));
    assert!(
        stream.text().contains("\"rows\":[[2]]"),
        "{}",
        stream.text()
    );
    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("andon_ingest_accepted_total{input=\"events\"} 2\n"));
    assert!(metrics.contains("andon_store_rows_total 2\n"));
    assert_eq!(
        world.get("/api/v1/spool").await.json(),
        serde_json::json!([])
    );
    let values = world.get("/api/v1/datasets/web/values?key=zone").await;
    assert_eq!(values.json(), serde_json::json!(["a", "b"]));
    for wrong in [
        "/api/v1/datasets/..%2Fx/keys",
        "/api/v1/datasets/web/values",
    ] {
        assert_eq!(world.get(wrong).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_tail_shows_what_is_kept_from_now_on_and_fits_its_conditions() {
    let world = world(true);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "GET /api/v1/tail?dataset=web&q=zone%20%3D%20b HTTP/1.1\r\nhost: {}\r\n\r\n",
        world.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = async |wanted: &str| {
        let reading = async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the stream goes on");
                if line.starts_with(wanted) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .unwrap()
    };
    next("HTTP/1.1 200").await;
    let sent = world
        .ask("POST", "/api/v1/events?dataset=web", &[], LINES)
        .await;
    assert_eq!(sent.status, StatusCode::OK);
    next("event: event").await;
    let told = next("data: {").await;
    assert!(told.contains("\"zone\":\"b\""), "{told}");
    let wrong = world.get("/api/v1/tail?dataset=web&q=zone%20%3D").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("span"), "{}", wrong.text());
}
