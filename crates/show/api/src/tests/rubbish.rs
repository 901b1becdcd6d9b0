//! Bytes that nobody meant: every parser of the crate takes them and goes on, and what it
//! takes for good is good.

use super::{World, view_of};
use crate::delta::Delta;
use crate::host::{self, Literals};
use andon_model::{LinkState, LinkView, NodeState, NodeView, PictureDigest, PictureView};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_host_that_is_not_ours_is_taken_for_ours(authority in "[a-z0-9.:@/\\[\\]%#?\\\\ -]{0,24}|\\PC{0,12}") {
        if host::is_ours(&authority, Literals::Loopback, &[], |_| false) {
            let host = host::without_port(&authority).expect("it was taken");
            let name = host.strip_suffix('.').unwrap_or(host);
            let address = host.parse::<std::net::IpAddr>();
            let loopback = address.is_ok_and(|address| address.to_canonical().is_loopback());
            prop_assert!(name.eq_ignore_ascii_case("localhost") || loopback, "{}", authority);
        }
        let origin = format!("http://{authority}x");
        prop_assert!(!host::same_origin(&origin, "localhost:8777", false));
    }

    #[test]
    fn any_header_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.insert("accept-encoding", value.clone());
            headers.insert("if-none-match", value.clone());
            crate::document::accepts_gzip(&headers);
            let tag = HeaderValue::from_static("\"0123456789abcdef0123456789abcdef\"");
            prop_assert!(!crate::document::none_match(&headers, &tag) || bytes.contains(&b'*'));
        }
    }

    #[test]
    fn a_delta_applied_to_the_old_picture_gives_the_new_one(
        old in prop::collection::btree_map(0_u8..6, any::<bool>(), 0..6),
        new in prop::collection::btree_map(0_u8..6, any::<bool>(), 0..6),
        links in prop::collection::vec(any::<bool>(), 72),
    ) {
        let picture = |nodes: &std::collections::BTreeMap<u8, bool>, links: &[bool], digest| {
            let ids: Vec<String> = nodes.keys().map(|id| format!("n{id}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let mut view = view_of("n0", &ids);
            for (node, down) in view.nodes.iter_mut().zip(nodes.values()) {
                node.state = if *down { NodeState::Down } else { NodeState::Up };
            }
            for (link, down) in view.links.iter_mut().zip(links) {
                link.state = if *down { LinkState::Down } else { LinkState::Up };
            }
            view.digest = PictureDigest(digest);
            view
        };
        let (old, new) = (picture(&old, &links[..36], 1), picture(&new, &links[36..], 2));
        let delta = serde_json::to_value(Delta::between(&old, &new).expect("the digests differ")).unwrap();
        prop_assert_eq!(apply(old, &delta), new);
    }
}

/// What a page does with a delta.
fn apply(mut view: PictureView, delta: &serde_json::Value) -> PictureView {
    let read = |field: &str| delta[field].clone();
    let nodes: Vec<NodeView> = serde_json::from_value(read("nodes")).unwrap();
    let links: Vec<LinkView> = serde_json::from_value(read("links")).unwrap();
    let gone_nodes: Vec<String> = serde_json::from_value(delta["gone"]["nodes"].clone()).unwrap();
    let gone_links: Vec<(String, String)> =
        serde_json::from_value(delta["gone"]["links"].clone()).unwrap();
    view.nodes
        .retain(|old| !gone_nodes.contains(&old.id) && nodes.iter().all(|new| new.id != old.id));
    view.links.retain(|old| {
        let key = (old.from.to_string(), old.to.to_string());
        !gone_links.contains(&key)
            && links
                .iter()
                .all(|new| (&new.from, &new.to) != (&old.from, &old.to))
    });
    view.nodes.extend(nodes);
    view.links.extend(links);
    view.nodes.sort_by(|one, other| one.id.cmp(&other.id));
    view.links
        .sort_by(|one, other| (&one.from, &one.to).cmp(&(&other.from, &other.to)));
    view.digest = serde_json::from_value(read("digest")).unwrap();
    view
}

#[tokio::test]
async fn random_bytes_at_the_port_leave_the_node_well() {
    let world = World::start();
    // A small generator with a fixed seed: the same bytes every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..400 {
        let mut bytes: Vec<u8> = (0..random() % 300)
            .map(|_| random().to_be_bytes()[0])
            .collect();
        // Let some get past the first byte.
        let head: &[u8] = match number % 4 {
            0 => b"",
            1 => b"\x16\x03\x01",
            2 => b"GET /api/v1/picture HTTP/1.1\r\nhost: localhost\r\n",
            _ => b"POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        };
        bytes.splice(0..0, head.iter().copied());
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "number {number} keeps its connection");
        assert!(!answer.starts_with(b"HTTP/1.1 5"), "number {number}");
    }
    assert_eq!(world.get("/api/v1/picture").await.status, StatusCode::OK);
}
