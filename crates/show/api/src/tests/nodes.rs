//! Nodes among themselves: certificates, pins, and links described by those who observe them.

use super::World;
use crate::base32::hex;
use crate::identity::{IdentityError, TlsIdentity};
use crate::peer::{PeerClient, PeerError};
use crate::sources::ApiCommand;
use andon_model::Reach;
use hyper::StatusCode;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) fn know(world: &World, id: &str, peer: &World) {
    let fingerprint = hex(&peer.identity.fingerprint());
    let address = peer.address.to_string();
    world.view.send_modify(|view| {
        let node = Arc::make_mut(view)
            .nodes
            .iter_mut()
            .find(|node| node.id == id)
            .unwrap();
        node.fingerprint = Some(fingerprint);
        node.addresses = vec![address];
    });
}

#[tokio::test]
async fn a_pinned_peer_is_talked_to_and_any_other_is_not() {
    let (server, client) = (
        World::start_with("a", |config, _| config.loopback_viewer = false),
        World::start_with("b", |_, _| {}),
    );
    let peers = PeerClient::new(&client.identity).unwrap();
    let wrong = peers.get(server.address, [7; 32], "/api/v1/me").await;
    assert!(
        matches!(wrong, Err(PeerError::Fingerprint { .. })),
        "{wrong:?}"
    );
    let pin = server.identity.fingerprint();
    // A certificate that the picture does not know opens nothing.
    let stranger = peers.get(server.address, pin, "/api/v1/me").await.unwrap();
    assert_eq!(stranger.0, StatusCode::UNAUTHORIZED);
    know(&server, "b", &client);
    let (status, body) = peers.get(server.address, pin, "/api/v1/me").await.unwrap();
    let me: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (
            status,
            me["proof"].as_str(),
            me["user"].as_str(),
            me["role"].as_str()
        ),
        (StatusCode::OK, Some("node"), Some("b"), Some("viewer"))
    );
    assert_eq!(
        peers
            .get(server.address, pin, "/api/v1/tokens")
            .await
            .unwrap()
            .0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_link_is_described_by_the_node_that_observes_it() {
    let (asked, mut observer) = (
        World::start(),
        World::start_with("b", |config, _| config.loopback_viewer = false),
    );
    know(&asked, "b", &observer);
    know(&observer, "a", &asked);
    let answering = async {
        for _ in 0..2 {
            let Some(ApiCommand::LinkDetail { to, reply }) = observer.commands.recv().await else {
                panic!("another question")
            };
            let _ = reply.send((to == "c").then(|| serde_json::json!({"flows": [1, 2], "to": to})));
        }
    };
    let asking = async {
        let known = asked.get("/api/v1/links/b/c").await;
        assert_eq!(
            (known.status, known.json()["to"].as_str()),
            (StatusCode::OK, Some("c")),
            "{known:?}"
        );
        assert_eq!(
            asked.get("/api/v1/links/b/d").await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            asked.get("/api/v1/links/b/zz").await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            asked.get("/api/v1/links/zz/b").await.status,
            StatusCode::NOT_FOUND
        );
    };
    tokio::join!(answering, asking);
}

#[tokio::test]
async fn somebody_else_at_the_observers_address_is_named_as_such() {
    let (asked, impostor) = (World::start(), World::start_with("b", |_, _| {}));
    know(&asked, "b", &impostor);
    asked.view.send_modify(|view| {
        let node = Arc::make_mut(view)
            .nodes
            .iter_mut()
            .find(|node| node.id == "b")
            .unwrap();
        node.fingerprint = Some("00".repeat(32));
    });
    let reply = asked.get("/api/v1/links/b/c").await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(
        reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("another certificate"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_costs_seconds() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::start();
    let peers = PeerClient::new(&world.identity).unwrap();
    let started = Instant::now();
    let answer = peers.get(silent.local_addr().unwrap(), [0; 32], "/").await;
    assert!(
        matches!(
            answer,
            Err(PeerError::Timeout {
                phase: "agreeing on TLS",
                ..
            })
        ),
        "{answer:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_certificate_is_kept_private_and_comes_back_and_is_not_replaced_silently() {
    let dir = super::world::fresh_dir();
    let names = ["a".to_owned(), "127.0.0.1".to_owned()];
    let made = TlsIdentity::load_or_create(&dir, &names).unwrap();
    assert_eq!(
        TlsIdentity::load_or_create(&dir, &[])
            .unwrap()
            .fingerprint(),
        made.fingerprint()
    );
    for file in ["tls-cert.pem", "tls-key.pem"] {
        let mode = std::fs::metadata(dir.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    std::fs::write(dir.join("tls-cert.pem"), "rubbish").unwrap();
    let broken = TlsIdentity::load_or_create(&dir, &names);
    assert!(matches!(
        broken,
        Err(IdentityError::Malformed {
            what: "certificate",
            ..
        })
    ));
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_node_is_asked_where_the_grid_reaches_it_or_it_is_said_why_not() {
    let mut asked = World::start();
    let mut observer = World::start_with("b", |config, _| config.loopback_viewer = false);
    know(&asked, "b", &observer);
    know(&observer, "a", &asked);
    // It publishes no address: the grid reaches it through a *via* address alone.
    asked.view.send_modify(|view| {
        let view = Arc::make_mut(view);
        let node = view.nodes.iter_mut().find(|node| node.id == "b").unwrap();
        node.addresses.clear();
        node.reach = Some(Reach::Outbound);
    });
    let via = observer.address;
    let (used, mut uses) = tokio::sync::watch::channel(vec![via]);
    let grid = async {
        while let Some(command) = asked.commands.recv().await {
            let ApiCommand::Addresses { of, reply } = command else {
                panic!("another question: {command:?}")
            };
            assert_eq!(of, "b");
            let _ = reply.send(uses.borrow_and_update().clone());
        }
    };
    let answering = async {
        while let Some(ApiCommand::LinkDetail { to, reply }) = observer.commands.recv().await {
            let _ = reply.send(Some(serde_json::json!({ "to": to })));
        }
    };
    let address = asked.address;
    let asking = async {
        let ask = async || {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            super::ask(
                stream,
                &address.to_string(),
                "GET",
                "/api/v1/links/b/c",
                &[],
                "",
            )
            .await
        };
        let found = ask().await;
        assert_eq!(found.json()["to"], "c", "{found:?}");
        used.send_replace(Vec::new());
        let refused = ask().await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
        let words = "b cannot be asked from here: it opens its connections itself";
        assert!(refused.text().contains(words), "{refused:?}");
    };
    tokio::select! {
        () = asking => {}
        () = grid => panic!("the grid ended"),
        () = answering => panic!("the observer ended"),
    }
}
