//! `andon trace` between real nodes: one hop on loopback, from either end.

use crate::support::fleet::{Fleet, refs};
use crate::support::sight::all_well;
use crate::support::wait_for;
use serde_json::Value;

#[test]
fn any_node_is_traced_from_by_whoever_may_write_its_files() {
    let fleet = Fleet::new("traces");
    let nodes = fleet.start(&["near", "far"]);
    wait_for("two nodes", || all_well(&refs(&nodes)));
    let near = &nodes[0];
    let url = format!("http://{}", near.address);
    let dir = near.plan.data_dir.to_str().unwrap();
    let trace =
        |args: &[&str]| near.run(&[&["trace", "--node", &url, "--flows", "4"], args].concat());

    let denied = trace(&["far", "--data-dir", "/nonexistent"]);
    assert_eq!(denied.status.code(), Some(2));
    let told = String::from_utf8(denied.stderr).unwrap();
    assert!(told.contains("needs the role operator"), "{told}");

    let drawn = trace(&["far", "--data-dir", dir]);
    let text = String::from_utf8(drawn.stdout).unwrap();
    assert_eq!(drawn.status.code(), Some(0), "{text}");
    assert!(
        text.contains("near → far") && text.contains("All 4 flows get through"),
        "{text}"
    );

    // From the other end, asked of this one: the far node traces and both record who asked.
    let json = trace(&["near", "--from", "far", "--json", "--data-dir", dir]);
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&document["from"], &document["to"]),
        (&"far".into(), &"near".into())
    );
    let flows = document["flows"].as_array().unwrap();
    assert!(
        flows.len() == 4 && flows.iter().all(|flow| flow["reached"] == true),
        "{document}"
    );
    let log = std::fs::read_to_string(nodes[1].plan.data_dir.join("audit.jsonl")).unwrap();
    assert!(
        log.contains("through near@") && log.contains("trace.run"),
        "{log}"
    );

    let unknown = trace(&["far", "--from", "nobody", "--data-dir", dir]);
    let told = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        told.contains("no node of this id") && told.contains("far"),
        "{told}"
    );

    // The tokens that it made for itself are gone.
    let left = near.run(&["token", "list", "--json", "--data-dir", dir]);
    assert_eq!(String::from_utf8(left.stdout).unwrap().trim(), "[]");
}
