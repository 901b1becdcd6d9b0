//! What was, over HTTP.

use super::{World, view_of};
use andon_history::{HistoryOptions, Keeper};
use andon_model::{Instant, LinkState, PictureView, Timestamp};
use std::sync::Arc;
use std::time::Duration;

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// An API with the history of a link `a→b` that falls after fifteen seconds, and when it began.
fn world() -> (World, Timestamp) {
    let dir = super::world::fresh_dir();
    let mut options = HistoryOptions::new(&dir);
    options.free_min = 0;
    let (mut keeper, reader) = Keeper::new(options);
    let start = Timestamp::parse("2026-11-20T03:20:00Z").unwrap();
    let mut show = |after: u64, view: PictureView| {
        let at = start + second(after);
        let view = PictureView {
            generated_at: at,
            ..view
        };
        keeper.step(
            Instant(1_000_000) + second(after),
            at,
            &Arc::new(view),
            None,
        );
    };
    let well = view_of("a", &["a", "b", "c"]);
    let mut ill = well.clone();
    ill.links[0].state = LinkState::Down;
    show(0, well.clone());
    show(15, ill.clone());
    show(17, ill.clone());
    show(61, ill);
    let world = World::start_with("a", |_, sources| sources.history = Some(reader));
    (world, start)
}

#[tokio::test]
async fn the_past_is_answered_as_it_was_shown() {
    let (world, start) = world();
    let picture = async |after: u64| {
        let path = format!("/api/v1/history/picture?at={}", start + second(after));
        world.get(&path).await
    };
    let before = picture(14).await;
    assert_eq!(before.status, 200, "{before:?}");
    let before: PictureView = serde_json::from_slice(&before.body).unwrap();
    assert_eq!(before.links[0].state, LinkState::Up);
    assert_eq!(before.generated_at, start + second(14));
    let after: PictureView = serde_json::from_slice(&picture(16).await.body).unwrap();
    assert_eq!(after.links[0].state, LinkState::Down);
    let columns = format!(
        "/api/v1/history/picture?form=columns&at={}",
        start + second(16)
    );
    assert_eq!(world.get(&columns).await.json()["links"]["state"][0], 3);

    let changes = world
        .get("/api/v1/history/changes?since=2026-11-20T03:00:00Z&until=2026-11-20T04:00:00Z")
        .await
        .json();
    assert_eq!(changes.as_array().unwrap().len(), 1, "{changes}");
    assert_eq!(changes[0]["kind"], "link_state");
    assert_eq!(changes[0]["from"], "a");
    assert_eq!(changes[0]["state"], "down");

    let link = world
        .get("/api/v1/history/link?from=a&to=b&since=2026-11-20T04:20:00%2B01:00&until=2026-11-20T05:20:00+01:00")
        .await
        .json();
    assert_eq!(link["step_s"], 60);
    assert_eq!(link["points"][0]["state"], "down");
    assert_eq!(link["points"][0]["rtt_us_p50"], 256);

    let span = world.get("/api/v1/history/span").await.json();
    assert_eq!(span["from"], "2026-11-20T03:20:00.000Z");
    assert_eq!(span["recording"], true);
    assert!(span["bytes"].as_u64().unwrap() > 100);
    assert!(span["bytes_max"].as_u64().unwrap() > 100);
    let metrics = world.get("/metrics").await.text();
    assert!(
        metrics.contains("\nandon_history_records_total 3\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_was_not_recorded_or_cannot_be_asked_is_told() {
    let (world, start) = world();
    for (path, status, code) in [
        (
            "picture?at=2026-11-20T03:19:00Z".to_owned(),
            404,
            "no_history",
        ),
        (
            format!("picture?at={}", start + second(600)),
            404,
            "no_history",
        ),
        ("picture".to_owned(), 400, "bad_request"),
        ("picture?at=yesterday".to_owned(), 400, "bad_request"),
        (
            "picture?at=2026-11-20T03:20:00Z&form=x".to_owned(),
            400,
            "bad_request",
        ),
        ("link?from=a".to_owned(), 400, "bad_request"),
        ("changes?limit=many".to_owned(), 400, "bad_request"),
    ] {
        let reply = world.get(&format!("/api/v1/history/{path}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{path}"
        );
    }
    let wide =
        "/api/v1/history/link?from=a&to=b&since=-009998-01-01T00:00:00Z&until=9999-12-30T00:00:00Z";
    assert_eq!(
        world.get(wide).await.json()["points"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let token = ("authorization", "Bearer nonsense");
    let reply = world.ask("GET", "/api/v1/history/span", &[token], "").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_node_without_history_says_so() {
    let world = World::start();
    let reply = world.get("/api/v1/history/span").await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.json()["error"]["help"]
            .as_str()
            .unwrap()
            .contains("[history]")
    );
}
