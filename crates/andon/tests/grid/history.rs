//! A node tells what it showed, also after it was killed itself.

use crate::support::fleet::{Fleet, Node, refs};
use crate::support::sight::{all_show, all_well, link_is, node_is};
use crate::support::{hold, http, wait_for};
use andon_model::{LinkState, NodeState, PictureView, Timestamp};
use std::time::{Duration, SystemTime};

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(i64::try_from(since.unwrap().as_micros()).unwrap())
}

fn at(node: &Node, moment: Timestamp) -> Result<PictureView, String> {
    let path = format!("/api/v1/history/picture?at={moment}");
    let answer = http::get(node.address, &path)?;
    serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {}", answer.body))
}

#[test]
fn what_was_shown_is_told_after_the_teller_was_killed() {
    let fleet = Fleet::new("history");
    let mut nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    // History is read from disk alone: what it tells of a moment, it tells after a kill.
    let well = wait_for("a good moment on disk", || {
        let moment = now();
        let told = at(&nodes[0], moment)?;
        node_is(&told, "c", NodeState::Up)?;
        link_is(&told, "a", "c", LinkState::Up)?;
        Ok(moment)
    });
    let lost = nodes.remove(2).kill();
    wait_for("a killed node in both pictures", || {
        all_show(&refs(&nodes), |view| node_is(view, "c", NodeState::Down))
    });
    let ill = wait_for("a bad moment on disk", || {
        let moment = now();
        let told = at(&nodes[0], moment)?;
        node_is(&told, "c", NodeState::Down)?;
        link_is(&told, "b", "c", LinkState::Down)?;
        // A verdict is spoken when it has stood for a moment.
        hold(!told.verdicts.is_empty(), || "no verdict".to_owned())?;
        Ok(moment)
    });

    let teller = nodes.remove(0).kill().start();
    wait_for("the past of a killed node", || {
        let before = at(&teller, well)?;
        node_is(&before, "c", NodeState::Up)?;
        link_is(&before, "a", "c", LinkState::Up)?;
        let after = at(&teller, ill)?;
        node_is(&after, "c", NodeState::Down)?;
        link_is(&after, "b", "c", LinkState::Down)
    });
    let told = |moment: Timestamp| {
        let output = teller.status(&["--at", &moment.to_string()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = told(well);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with(" As it was on ") && text.contains("All is well"),
        "{text}"
    );
    let (code, text) = told(ill);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("✗ node down c"), "{text}");
    let (code, _) = told(well - Duration::from_secs(3600));
    assert_eq!(code, Some(2));
    drop(lost);
}
