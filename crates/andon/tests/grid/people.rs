//! Tokens, roles and the audit log; and what becomes of them when the disk is full.

use crate::support::fleet::{Fleet, Node, refs};
use crate::support::sight::{all_well, node_is};
use crate::support::{hold, http, skip, text, wait_every, wait_for};
use andon_model::NodeState;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

#[test]
fn people_have_roles_and_what_they_change_is_recorded() {
    let fleet = Fleet::new("people");
    let node = fleet.node("alone").start();
    let at = node.address;
    wait_for("the node", || {
        node_is(&node.picture()?, "alone", NodeState::Up)
    });

    let me = |headers: &[(&str, &str)]| {
        let answer = http::request(at, "GET", "/api/v1/me", headers, "").unwrap();
        let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        (
            answer.status,
            document["role"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let viewer = |status| {
        (
            status,
            if status == 200 {
                "viewer".to_owned()
            } else {
                String::new()
            },
        )
    };
    assert_eq!(me(&[]), viewer(200), "on the machine itself one may look");
    assert_eq!(
        me(&[("x-forwarded-for", "203.0.113.9")]),
        viewer(401),
        "but not through a proxy"
    );
    assert_eq!(
        me(&[("host", "evil.example")]).0,
        403,
        "nor as another host"
    );
    assert_eq!(
        me(&[("authorization", "Bearer andon_rubbish")]),
        viewer(401)
    );
    let https = format!("https://{at}");
    let over_tls = node.run(&["status", "--node", &https, "--insecure", "--json"]);
    assert!(
        String::from_utf8_lossy(&over_tls.stdout).contains("\"alone\""),
        "{over_tls:?}"
    );

    let (admin, looker) = (token(&node, "admin"), token(&node, "viewer"));
    // Ten wrong tokens in a minute, and nobody of this address is listened to.
    wait_every(Duration::from_millis(300), "tokens to be known", || {
        let seen = me(&[("authorization", &bearer(&admin))]);
        hold(seen == (200, "admin".to_owned()), || format!("{seen:?}"))
    });
    assert_eq!(me(&[("authorization", &bearer(&looker))]), viewer(200));
    let no_role = http::request(at, "POST", "/api/v1/tokens", &[], "{}").unwrap();
    assert_eq!(
        no_role.status, 403,
        "looking on this machine is not changing: {}",
        no_role.body
    );
    assert_eq!(make_token(&node, &looker, "board").status, 403);
    let made = make_token(&node, &admin, "board");
    assert_eq!(made.status, 201, "{}", made.body);
    let board = text(&serde_json::from_str::<Value>(&made.body).unwrap()["token"]);
    assert_eq!(me(&[("authorization", &bearer(&board))]), viewer(200));
    let foreign = [
        ("authorization", bearer(&admin)),
        ("origin", "https://evil.example".into()),
    ];
    let foreign = foreign
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let crossed = http::request(at, "DELETE", "/api/v1/tokens/board", &foreign, "").unwrap();
    assert_eq!(crossed.status, 403, "{}", crossed.body);

    let dir = node.plan.data_dir.to_str().unwrap();
    assert!(
        node.run(&["token", "revoke", "board", "--data-dir", dir])
            .status
            .success()
    );
    wait_for("a revoked token to be refused", || {
        let seen = me(&[("authorization", &bearer(&board))]);
        hold(seen == viewer(401), || format!("{seen:?}"))
    });
    let gone = [("authorization", bearer(&admin))];
    let gone = gone.each_ref().map(|(name, value)| (*name, value.as_str()));
    let gone = http::request(at, "DELETE", "/api/v1/tokens/viewer", &gone, "").unwrap();
    assert_eq!(gone.status, 204, "{}", gone.body);
    assert_eq!(
        me(&[("authorization", &bearer(&looker))]),
        viewer(401),
        "at once"
    );

    let told = verify_audit(&node, 0);
    assert!(told.contains("5 records"), "{told}");
    let log = node.plan.data_dir.join("audit.jsonl");
    let whole = std::fs::read_to_string(&log).unwrap();
    assert!(
        whole.contains("token.create") && whole.contains("\"board\"") && !whole.contains(&board)
    );
    std::fs::write(&log, whole.replacen("board", "bored", 1)).unwrap();
    let told = verify_audit(&node, 1);
    assert!(told.contains("line 3"), "{told}");

    // A damaged record is no reason for a blind spot: the node starts, sets it aside and says so.
    let node = node.leave().start();
    wait_for("the node to start beside a forged log", || node.picture());
    node.logged(&["ERROR", "audit"]).unwrap();
    verify_audit(&node, 0);
    let kept = std::fs::read_dir(&node.plan.data_dir)
        .unwrap()
        .map_while(Result::ok);
    let aside = kept.filter(|file| {
        file.file_name()
            .to_string_lossy()
            .starts_with("audit.jsonl.broken")
    });
    assert_eq!(aside.count(), 1, "the forged log is kept");
}

#[test]
fn a_full_disk_does_not_stop_a_node() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("a full disk", "there is no prlimit to forbid writing with");
    }
    let fleet = Fleet::new("full");
    let first = fleet.node("full").unsinkable().start();
    let other = fleet.node("other").join(first.address).start();
    let mut nodes = vec![first, other];
    wait_for("two nodes that agree", || all_well(&refs(&nodes)));
    let admin = token(&nodes[0], "admin");
    wait_every(Duration::from_millis(300), "the token to be known", || {
        let made = make_token(&nodes[0], &admin, "before");
        hold(made.status == 201, || format!("{made:?}"))
    });

    // No file may grow, its log's neither.
    limit_files(&nodes[0], "0");
    let other = nodes.remove(1).kill();
    wait_for("a death seen by a node with a full disk", || {
        node_is(&nodes[0].picture()?, "other", NodeState::Down)
    });
    let made = make_token(&nodes[0], &admin, "unrecorded");
    assert_eq!(
        made.status, 507,
        "what cannot be recorded is not done: {}",
        made.body
    );
    nodes.push(other.start());
    nodes.push(fleet.node("late").join(nodes[1].address).start());
    wait_for("all well with a full disk", || all_well(&refs(&nodes)));

    limit_files(&nodes[0], "unlimited");
    wait_for("room again", || {
        let made = make_token(&nodes[0], &admin, "recorded");
        hold(made.status == 201, || format!("{made:?}"))
    });
    let names = nodes[0].run(&[
        "token",
        "list",
        "--data-dir",
        nodes[0].plan.data_dir.to_str().unwrap(),
    ]);
    let names = String::from_utf8(names.stdout).unwrap();
    assert!(
        names.contains("recorded") && !names.contains("unrecorded"),
        "{names}"
    );
    verify_audit(&nodes[0], 0);
    nodes.swap_remove(0).leave();
}

fn limit_files(node: &Node, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit")
        .args(["--pid", &node.pid().to_string(), &limit])
        .status();
    assert!(set.unwrap().success());
}

/// A new token of that role, made beside the running node.
/// A token of this role, as the command line makes it.
pub fn token(node: &Node, role: &str) -> String {
    let dir = node.plan.data_dir.to_str().unwrap();
    let made = node.run(&[
        "token",
        "create",
        "--role",
        role,
        "--name",
        role,
        "--data-dir",
        dir,
    ]);
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks the node for another token, as the bearer of one.
fn make_token(node: &Node, token: &str, name: &str) -> http::Answer {
    let body = json!({"name": name, "role": "viewer"}).to_string();
    let headers = [("authorization", bearer(token))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    http::request(node.address, "POST", "/api/v1/tokens", &headers, &body).unwrap()
}

#[track_caller]
fn verify_audit(node: &Node, code: i32) -> String {
    let dir = node.plan.data_dir.to_str().unwrap();
    let verified = node.run(&["audit", "verify", "--data-dir", dir]);
    let told = [verified.stdout, verified.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(verified.status.code(), Some(code), "{told}");
    told
}
