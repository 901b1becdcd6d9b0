//! Incidents: read by everybody, changed by operators, told to all who watch.

use super::World;
use crate::Role;
use crate::sources::ApiCommand;
use andon_model::{
    BlastRadius, Incident, IncidentState, RemarkKind, Severity, TimelineEntry, TimelineKind,
    Timestamp,
};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) fn incident(id: &str, state: IncidentState) -> Incident {
    Incident {
        id: id.to_owned(),
        aliases: vec![format!("{id}-before")],
        state,
        severity: Severity::Major,
        title: "half of the flows die".to_owned(),
        cause: format!("path_fault:{id}"),
        opened_at: Timestamp(1_700_000_000_000_000),
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: Vec::new(),
        blast_radius: BlastRadius::default(),
        timeline: Vec::new(),
        status_page: String::new(),
    }
}

fn world_with(incidents: Vec<Incident>) -> World {
    let world = World::start();
    world.incidents.send_replace(Arc::new(incidents));
    world
}

fn ids(reply: &super::Reply) -> Vec<String> {
    let list: Vec<Incident> = serde_json::from_slice(&reply.body).unwrap();
    list.into_iter().map(|incident| incident.id).collect()
}

#[tokio::test]
async fn incidents_are_listed_by_state_and_found_by_every_id_they_had() {
    let world = world_with(vec![
        incident("i-2", IncidentState::Open),
        incident("i-1", IncidentState::Resolved),
    ]);
    let all = world.get("/api/v1/incidents").await;
    assert_eq!(ids(&all), ["i-2", "i-1"]);
    assert_eq!(
        ids(&world.get("/api/v1/incidents?state=open").await),
        ["i-2"]
    );
    assert!(ids(&world.get("/api/v1/incidents?state=mitigated").await).is_empty());
    let unknown = world.get("/api/v1/incidents?state=closed").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);

    let tag = [("if-none-match", all.header("etag"))];
    let again = world.ask("GET", "/api/v1/incidents", &tag, "").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    for id in ["i-1", "i-1-before"] {
        let one = world.get(&format!("/api/v1/incidents/{id}")).await;
        assert_eq!(one.json()["id"], "i-1", "{id}");
    }
    let none = world.get("/api/v1/incidents/i-9").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(
        none.json()["error"]["help"]
            .as_str()
            .unwrap()
            .contains("i-2")
    );
}

/// Posts to an incident as an operator, while the node takes the remarks and shows them.
async fn post(world: &mut World, path: &str, body: &str) -> (super::Reply, Vec<RemarkKind>) {
    let token = world.token("ann", Role::Operator);
    let authorization = format!("Bearer {token}");
    let mut taken = Vec::new();
    let address = world.address;
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let asking = async {
        let stream = TcpStream::connect(address).await.unwrap();
        super::ask(stream, &address.to_string(), "POST", path, &headers, body).await
    };
    tokio::pin!(asking);
    let reply = loop {
        tokio::select! {
            reply = &mut asking => break reply,
            Some(command) = world.commands.recv() => {
                let ApiCommand::Remark { incident, who, what, reply } = command else {
                    panic!("another question")
                };
                assert_eq!(who, "ann");
                if incident == "i-full" {
                    let _ = reply.send(Err("it has too many remarks".to_owned()));
                    continue;
                }
                let _ = reply.send(Ok(()));
                world.incidents.send_modify(|incidents| {
                    for one in Arc::make_mut(incidents).iter_mut().filter(|one| one.id == incident) {
                        match &what {
                            RemarkKind::Acknowledged => one.acknowledged_by = Some(who.clone()),
                            RemarkKind::Owned(owner) => one.owner = Some(owner.clone()),
                            RemarkKind::Resolved => one.state = IncidentState::Resolved,
                            _ => one.timeline.push(TimelineEntry {
                                at: Timestamp(0),
                                kind: TimelineKind::Note,
                                text: format!("{what:?}"),
                                by: None,
                            }),
                        }
                    }
                });
                taken.push(what);
            }
        }
    };
    assert!(world.access.tokens().revoke("ann").unwrap());
    (reply, taken)
}

#[tokio::test]
async fn operators_change_incidents_and_are_answered_with_the_change() {
    let mut world = world_with(vec![incident("i-1", IncidentState::Open)]);
    let (reply, taken) = post(&mut world, "/api/v1/incidents/i-1-before/ack", "").await;
    assert_eq!(reply.json()["acknowledged_by"], "ann", "{reply:?}");
    assert_eq!(taken, [RemarkKind::Acknowledged]);

    let body = r#"{"owner": "network team", "text": "they know\nthe router"}"#;
    let (reply, taken) = post(&mut world, "/api/v1/incidents/i-1/own", body).await;
    assert_eq!(reply.json()["owner"], "network team");
    assert_eq!(
        taken,
        [
            RemarkKind::Note("they know the router".to_owned()),
            RemarkKind::Owned("network team".to_owned())
        ]
    );
    let (reply, _) = post(&mut world, "/api/v1/incidents/i-1/own", "{}").await;
    assert_eq!(reply.json()["owner"], "ann");
    let (reply, _) = post(&mut world, "/api/v1/incidents/i-1/resolve", "").await;
    assert_eq!(reply.json()["state"], "resolved");

    let log = std::fs::read_to_string(world.dir.join("audit.jsonl")).unwrap();
    let actions: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| {
            format!(
                "{} {}",
                line["action"].as_str().unwrap(),
                line["subject"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        actions,
        [
            "incident.ack i-1",
            "incident.own i-1",
            "incident.own i-1",
            "incident.resolve i-1"
        ]
    );
    assert!(log.contains("note: they know the router; owner network team"));
}

#[tokio::test]
async fn what_cannot_be_said_of_an_incident_is_refused_with_the_reason() {
    let mut world = world_with(vec![
        incident("i-1", IncidentState::Open),
        incident("i-full", IncidentState::Open),
    ]);
    let long = format!(r#"{{"text": "{}"}}"#, "x".repeat(801));
    for (path, body, status, words) in [
        ("i-1/note", "", StatusCode::BAD_REQUEST, "the note is empty"),
        (
            "i-1/note",
            r#"{"text": " \n "}"#,
            StatusCode::BAD_REQUEST,
            "the note is empty",
        ),
        (
            "i-1/note",
            &long,
            StatusCode::BAD_REQUEST,
            "801 bytes, at most 800",
        ),
        (
            "i-1/note",
            r#"{"text": "a\u202eb"}"#,
            StatusCode::BAD_REQUEST,
            "do not belong on a screen",
        ),
        (
            "i-1/note",
            r#"{"txt": "a"}"#,
            StatusCode::BAD_REQUEST,
            "unknown field",
        ),
        (
            "i-1/own",
            r#"{"owner": "a\u001bb"}"#,
            StatusCode::BAD_REQUEST,
            "do not belong",
        ),
        ("i-1/close", "", StatusCode::NOT_FOUND, "cannot be done"),
        (
            "i-9/ack",
            "",
            StatusCode::NOT_FOUND,
            "no incident has this id",
        ),
        (
            "i-full/ack",
            "",
            StatusCode::SERVICE_UNAVAILABLE,
            "too many remarks",
        ),
    ] {
        let (reply, taken) = post(&mut world, &format!("/api/v1/incidents/{path}"), body).await;
        assert_eq!(reply.status, status, "{path} {body} {reply:?}");
        assert!(
            reply.text().contains(words),
            "{path} {body}: {}",
            reply.text()
        );
        assert!(taken.is_empty(), "{path} {body}");
    }
    let viewer = world
        .ask("POST", "/api/v1/incidents/i-1/ack", &[], "")
        .await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn streams_are_told_of_incidents_at_once_and_when_they_change() {
    let world = world_with(vec![incident("i-1", IncidentState::Open)]);
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("/api/v1/picture/stream")
        .header("host", world.address.to_string())
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let mut text = String::new();
    let mut read_until = async |wanted: &str| {
        let reading = async {
            while !text.contains(wanted) {
                let frame = body.frame().await.unwrap().unwrap();
                text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(5), reading)
            .await
            .unwrap();
    };
    read_until("event: incidents\ndata: [{\"id\":\"i-1\"").await;
    world
        .incidents
        .send_replace(Arc::new(vec![incident("i-2", IncidentState::Open)]));
    read_until("event: incidents\ndata: [{\"id\":\"i-2\"").await;
}

#[tokio::test]
async fn metrics_count_open_incidents_and_tell_when_the_certificate_ends() {
    let world = world_with(vec![
        incident("i-1", IncidentState::Open),
        incident("i-2", IncidentState::Resolved),
    ]);
    let page = world.get("/metrics").await.text();
    for line in [
        "andon_incidents_open{severity=\"critical\"} 0",
        "andon_incidents_open{severity=\"major\"} 1",
        "andon_incidents_open{severity=\"minor\"} 0",
        "andon_trace_requests_total 0",
        // What rcgen puts into a certificate that is not to end: the year 4096.
        "andon_tls_certificate_expiry_timestamp_seconds 67090118400",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}
