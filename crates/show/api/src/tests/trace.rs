//! Traces that people ask for: from the node, and from another in their name.

use super::World;
use super::nodes::know;
use crate::Role;
use crate::peer::{PeerClient, Question};
use crate::sources::ApiCommand;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

fn document(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to, "address": "10.0.0.9", "started_at": "2026-11-20T03:20:00Z",
        "flows": [{"port": 40000, "state": "alive", "sent": 3, "answered": 3, "reached": true,
            "hops": [{"ttl": 1, "addresses": ["10.0.0.1"], "kind": "answered", "rtt_us": 120,
                "sent": 3, "answered": 3, "mpls": [], "newer": 1}]}]})
}

/// Answers every question for a trace.
fn tracing(world: &mut World) -> tokio::task::JoinHandle<()> {
    let (_, empty) = tokio::sync::mpsc::channel(1);
    let mut commands = std::mem::replace(&mut world.commands, empty);
    let me = world.view.borrow().me.clone();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            match command {
                ApiCommand::Trace { to, reply, .. } if to == "nowhere" => {
                    let _ = reply.send(Err("no host is called nowhere".to_owned()));
                }
                ApiCommand::Trace { to, flows, reply } => {
                    assert!(flows == 16 || flows == 64);
                    if to == "slow" {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    let _ = reply.send(Ok(document(&me, &to)));
                }
                ApiCommand::Addresses { reply, .. } => drop(reply),
                other => panic!("another question: {other:?}"),
            }
        }
    })
}

async fn trace(world: &World, token: &str, body: &str) -> super::Reply {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    world.ask("POST", "/api/v1/trace", &headers, body).await
}

fn audited(world: &World) -> Vec<String> {
    let log = std::fs::read_to_string(world.dir.join("audit.jsonl")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            ["actor", "action", "subject"]
                .map(|field| line[field].as_str().unwrap().to_owned())
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn an_operator_traces_and_a_viewer_does_not() {
    let mut world = World::start();
    tracing(&mut world);
    let token = world.token("ann", Role::Operator);
    let body = r#"{"to": "b"}"#;
    let traced = trace(&world, &token, body).await;
    assert_eq!(traced.json(), document("a", "b"), "{traced:?}");
    assert_eq!(
        trace(&world, &token, r#"{"to": "b", "from": "a"}"#)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        audited(&world),
        ["ann@127.0.0.1 trace.run b"],
        "a repeat is recorded once"
    );
    let headers = [("content-type", "application/json")];
    let viewer = world.ask("POST", "/api/v1/trace", &headers, body).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
    for (body, status, words) in [
        (r#"{"to": ""}"#, StatusCode::BAD_REQUEST, "no destination"),
        (
            r#"{"to": "a b"}"#,
            StatusCode::BAD_REQUEST,
            "no destination",
        ),
        (
            r#"{"to": "a\u0007"}"#,
            StatusCode::BAD_REQUEST,
            "no destination",
        ),
        (
            r#"{"to": "b", "flows": 0}"#,
            StatusCode::BAD_REQUEST,
            "1 to 64 flows, not 0",
        ),
        (
            r#"{"to": "b", "flows": 65}"#,
            StatusCode::BAD_REQUEST,
            "1 to 64 flows, not 65",
        ),
        (
            r#"{"to": "b", "form": "a"}"#,
            StatusCode::BAD_REQUEST,
            "unknown field",
        ),
        (
            r#"{"to": "b", "from": "zz"}"#,
            StatusCode::NOT_FOUND,
            "no node of this id",
        ),
        (
            r#"{"to": "nowhere"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
            "no host is called nowhere",
        ),
    ] {
        let reply = trace(&world, &token, body).await;
        assert_eq!(reply.status, status, "{body} {reply:?}");
        assert!(reply.text().contains(words), "{body} {}", reply.text());
    }
}

#[tokio::test]
async fn a_person_has_a_few_traces_at_once() {
    let mut world = World::start();
    tracing(&mut world);
    let token = world.token("ann", Role::Operator);
    let slow = r#"{"to": "slow", "flows": 64}"#;
    let (one, two, three) = tokio::join!(
        trace(&world, &token, slow),
        trace(&world, &token, slow),
        trace(&world, &token, slow)
    );
    let mut status = [one.status, two.status, three.status].map(|status| status.as_u16());
    status.sort_unstable();
    assert_eq!(status, [200, 200, 429]);
    let page = world.get("/metrics").await.text();
    assert!(page.contains("\nandon_trace_requests_total 3\n"), "{page}");
    assert!(page.contains("\nandon_trace_requests_refused_total 1\n"));
}

#[tokio::test]
async fn another_node_traces_in_the_name_of_whoever_asked_and_passes_nothing_on() {
    let mut asked = World::start();
    let mut far = World::start_with("b", |config, _| config.loopback_viewer = false);
    know(&asked, "b", &far);
    know(&far, "a", &asked);
    tracing(&mut asked);
    tracing(&mut far);
    let token = asked.token("ann", Role::Operator);
    let traced = trace(&asked, &token, r#"{"to": "c", "from": "b"}"#).await;
    assert_eq!(
        traced.json(),
        document("b", "c"),
        "fields of a newer node pass too"
    );
    assert_eq!(audited(&asked), ["ann@127.0.0.1 trace.run c"]);
    assert_eq!(
        audited(&far),
        ["ann@127.0.0.1 through a@127.0.0.1 trace.run c"]
    );

    let refused = trace(&asked, &token, r#"{"to": "nowhere", "from": "b"}"#).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text().contains("b says: no host is called nowhere"),
        "{refused:?}"
    );

    // A node may ask in a person's name alone, and only for a trace from the node that it asks.
    let peers = PeerClient::new(&asked.identity).unwrap();
    let ask = async |body: &'static str, asked_by| {
        let question = Question {
            method: Method::POST,
            path: "/api/v1/trace",
            body: body.into(),
            asked_by,
            limit: Duration::from_secs(5),
            bytes_max: crate::peer::ANSWER_BYTES_MAX,
        };
        let pin = far.identity.fingerprint();
        peers.ask(far.address, pin, &question).await.unwrap().0
    };
    assert_eq!(ask(r#"{"to": "c"}"#, None).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        ask(r#"{"to": "c", "from": "c"}"#, Some("ann")).await,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(ask(r#"{"to": "c"}"#, Some("ann")).await, StatusCode::OK);
}
