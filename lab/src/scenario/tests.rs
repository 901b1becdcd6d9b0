use super::*;
use std::path::Path;

const NETWORK: &str = r#"
[[node]]
id = "web-#"
site = "shop"
count = 2
[[node]]
id = "store"
site = "dc"
[[router]]
name = "edge"
[[router]]
name = "path#"
count = 3
[[router]]
name = "core"
[[wire]]
ends = ["web-*", "edge"]
[[wire]]
ends = ["edge", "path*", "core"]
[[wire]]
ends = ["core", "store"]
net = "192.0.2.0/30"
[[fault]]
name = "hole"
kind = "blackhole"
at = "path2"
towards = "core"
[[step]]
at = "2s"
on = "hole"
[[expect]]
after = "hole on"
verdict = "path_fault"
hops = "path2"
within = "5s"
"#;

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::parse(Path::new("try.toml"), text).map_err(|problems| problems.to_string())
}

/// Replaces a stretch of a good scenario, and expects to be told of it in these words.
fn check(good: &str, bad: &str, told: &[&str]) {
    assert!(NETWORK.contains(good), "{good}");
    let error = read(&NETWORK.replacen(good, bad, 1)).unwrap_err();
    for words in told {
        assert!(error.contains(words), "{words}\nis not in:\n{error}");
    }
}

#[test]
fn a_scenario_says_what_it_says() {
    let scenario = read(NETWORK).unwrap();
    assert_eq!(scenario.name, "try");
    let ids: Vec<&str> = scenario.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["web-1", "web-2", "store"]);
    assert_eq!(scenario.routers.len(), 5);
    assert_eq!(scenario.wires.len(), 2 + 6 + 1);
    assert_eq!(scenario.wires[8].subnet.unwrap().1, 30);
    assert_eq!(scenario.peers, (0, 2));
    let FaultKind::Drop(drop) = &scenario.faults[0].kind else {
        panic!("{:?}", scenario.faults[0]);
    };
    assert_eq!(drop.at, [2]);
    assert_eq!(drop.towards, Some(Place::Router(4)));
    assert_eq!(scenario.expects[0].after, Moment::On(0));
    assert_eq!(scenario.expects[0].text, "path_fault at path2");
}

#[test]
fn mistakes_are_told_with_their_place_and_a_way_out() {
    check(
        "kind = \"blackhole\"",
        "kind = \"blackhoe\"",
        &[
            "try.toml:25:8",
            "`blackhoe` is no kind of fault",
            "did you mean `blackhole`?",
            "^^^^",
        ],
    );
    check(
        "at = \"path2\"",
        "at = \"paht2\"",
        &["there is no router `paht2`", "did you mean `path2`?"],
    );
    check(
        "towards = \"core\"",
        "towards = \"store\"",
        &["no wire joins `path2` and `store`", "next to it"],
    );
    check(
        "after = \"hole on\"",
        "after = \"hole off\"",
        &["no step does `hole off`"],
    );
    check(
        "after = \"hole on\"",
        "after = \"hole\"",
        &["\"hole on\" or \"hole off\""],
    );
    check(
        "within = \"5s\"",
        "within = \"5\"",
        &["`5` is none", "\"5s\""],
    );
    check(
        "within = \"5s\"",
        "witin = \"5s\"",
        &["lacks `within`", "did you mean `within`?"],
    );
    check(
        "verdict = \"path_fault\"",
        "verdict = \"path_fail\"",
        &["did you mean `path_fault`?"],
    );
    check("site = \"shop\"", "", &["[[node]] lacks `site`"]);
    check(
        "count = 2",
        "count = 200",
        &["`count` is out of bounds", "from 1 to 64"],
    );
    check("id = \"store\"", "id = \"edge\"", &["`edge` is taken"]);
    check(
        "192.0.2.0/30",
        "192.0.2.1/30",
        &["no network for a wire", "10.0.2.0/30"],
    );
    check("on = \"hole\"", "", &["this step does nothing"]);
    check(
        "ends = [\"core\", \"store\"]\nnet = \"192.0.2.0/30\"",
        "ends = [\"core\", \"path1\"]",
        &["node `store` has 0 wires"],
    );
    check(
        "[[step]]",
        "[step]",
        &["`step` is a list of tables", "[[step]]"],
    );
    check(
        "[[expect]]",
        "[[expects]]",
        &[
            "unknown key `expects`",
            "did you mean `expect`?",
            "nothing is expected",
        ],
    );
    check(
        "at = \"2s\"",
        "at = 2s",
        &["this is not TOML", "try.toml:29"],
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = NETWORK
        .replace("blackhole", "blackhoe")
        .replace("\"5s\"", "\"5\"");
    let problems = Scenario::parse(Path::new("try.toml"), &text).unwrap_err();
    assert!(problems.found.len() >= 2, "{problems}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    // Every prefix, and every byte replaced by something that means something to TOML.
    for end in (0..NETWORK.len()).step_by(3) {
        let _ = read(&NETWORK[..end]);
        for odd in ["\"", "[", "=", "#", "*", "\u{1f980}", "\n"] {
            let _ = read(&format!("{}{odd}{}", &NETWORK[..end], &NETWORK[end + 1..]));
        }
    }
}

#[test]
fn numbered_names_meet_their_like_and_starred_ones_all() {
    let text = r#"
        [[node]]
        id = "n#"
        site = "a"
        count = 3
        [[router]]
        name = "leaf#"
        count = 3
        [[router]]
        name = "spine#"
        count = 2
        [[wire]]
        ends = ["n#", "leaf#"]
        [[wire]]
        ends = ["leaf*", "spine*"]
        [[never]]
        verdict = "fault"
    "#;
    let scenario = read(text).unwrap();
    let pairs: Vec<String> = scenario
        .wires
        .iter()
        .map(|wire| wire.ends.map(|end| scenario.name_of(end)).join("-"))
        .collect();
    assert_eq!(
        pairs,
        [
            "n1-leaf1",
            "n2-leaf2",
            "n3-leaf3",
            "leaf1-spine1",
            "leaf1-spine2",
            "leaf2-spine1",
            "leaf2-spine2",
            "leaf3-spine1",
            "leaf3-spine2"
        ]
    );
}

#[test]
fn every_scenario_of_the_project_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap();
    let all = entries(&folder).chain(entries(&folder.join("large")));
    let mut count = 0;
    for entry in all {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        if let Err(problems) = Scenario::load(&path) {
            panic!("{problems}");
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} scenarios were found");
}
