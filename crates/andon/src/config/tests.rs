//! Configuration cases, one line each.

use super::layers::{Host, Inputs, Loaded, load};
use super::problem::nearest;
use super::settings::{Advertise, Seed};
use super::{sample, setting, value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Inputs of a host named `host-1` with a key and a file of this text (none if empty).
pub fn inputs(toml: &str) -> Inputs {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let config = (!toml.is_empty()).then(|| {
        let folder =
            std::env::temp_dir().join(format!("andon-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("andon.toml");
        std::fs::write(&path, toml).unwrap();
        path
    });
    Inputs {
        flags: BTreeMap::new(),
        invite: BTreeMap::new(),
        remembered: BTreeMap::new(),
        env: BTreeMap::from([("HOME".into(), "/nonexistent/home".into())]),
        config,
        host: Host {
            name: "host-1".into(),
            root: false,
            ipv6: true,
            config_paths: Vec::new(),
        },
    }
}

fn key() -> String {
    andon_grid::GridKey::generate([1; 32]).to_string()
}

/// What these sources come to: TOML, `NAME=value` of the environment, flags by dotted key.
fn told(
    toml: &str,
    env: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Loaded, String> {
    let mut asked = inputs(toml);
    asked.env.insert("ANDON_KEY".into(), key());
    for (name, text) in env {
        asked.env.insert((*name).into(), (*text).into());
    }
    for (dotted, text) in flags {
        let setting = setting::by_key(dotted).unwrap();
        let origin = super::problem::Origin::Flag(setting.flag.unwrap());
        asked
            .flags
            .entry(setting.key)
            .or_default()
            .extend(super::layers::split(setting, text, &origin));
    }
    let loaded = load(&asked).map_err(|problems| problems.to_string());
    match &asked.config {
        Some(path) => {
            let _ = std::fs::remove_dir_all(path.parent().unwrap());
            let folder = format!("{}/", path.parent().unwrap().display());
            loaded.map_err(|text| text.replace(&folder, ""))
        }
        None => loaded,
    }
}

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    toml: &str,
    env: &[(&str, &str)],
    what: fn(&Loaded) -> T,
    expected: T,
) {
    let loaded = told(toml, env, &[]).unwrap();
    assert_eq!(what(&loaded), expected, "{toml} {env:?}");
}

#[track_caller]
fn wrong(toml: &str, env: &[(&str, &str)], expected: &str) {
    let text = told(toml, env, &[])
        .map(|loaded| loaded.settings)
        .expect_err(toml);
    assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
}

#[test]
fn what_is_given_is_what_the_node_runs_with() {
    let id: fn(&Loaded) -> String = |loaded| loaded.settings.id.to_string();
    let listen: fn(&Loaded) -> String = |loaded| loaded.settings.listen.to_string();
    let seeds: fn(&Loaded) -> Vec<Seed> = |loaded| loaded.settings.seeds.clone();
    let host = |text: &str| Seed::HostPort(text.into());
    let keep: fn(&Loaded) -> String = |loaded| loaded.settings.store.keep.to_string();
    for (toml, expected) in [
        ("true", "true"),
        ("'true'", "true"),
        ("false", "false"),
        ("'auto'", "auto"),
    ] {
        let toml = format!("[store]\nkeep = {toml}");
        check(&toml, &[], keep, expected.into());
    }
    check("", &[], id, "host-1".into());
    check("", &[("ANDON_ID", "")], id, "host-1".into());
    check("id = 'a'", &[], id, "a".into());
    check("id = 'a'", &[("ANDON_ID", "b")], id, "b".into());
    check("", &[], listen, "[::]:8777".into());
    check("listen = ':9000'", &[], listen, "[::]:9000".into());
    check(
        "",
        &[("ANDON_LISTEN", "127.0.0.1:1")],
        listen,
        "127.0.0.1:1".into(),
    );
    check(
        "",
        &[("ANDON_JOIN", "a:1, b ,[::1]:2,")],
        seeds,
        vec![host("a:1"), host("b"), host("[::1]:2")],
    );
    check("join = 'a:1'", &[], seeds, vec![host("a:1")]);
    check(
        "seeds = 'https://x/y'",
        &[],
        seeds,
        vec![Seed::Url("https://x/y".into())],
    );
    check(
        "advertise = 'none'",
        &[],
        |l| l.settings.advertise.clone(),
        Advertise::None,
    );
    check(
        "[labels]\nrole = 'web'",
        &[],
        |l| l.settings.labels.get("role").cloned(),
        Some("web".into()),
    );
    check(
        "",
        &[("ANDON_LABELS", "role=web,tier=1")],
        |l| l.settings.labels.len(),
        2,
    );
    check("[via]\nx = '10.0.0.1:1'", &[], |l| l.settings.via.len(), 1);
    check(
        "[probe]\ninterval = '500ms'\nflows = 4",
        &[],
        |l| l.settings.probe.flows,
        4,
    );
    check(
        "[probe]\ninterval = '500ms'",
        &[],
        |l| l.settings.probe.round,
        Duration::from_millis(500),
    );
    check(
        "[http]\nloopback_viewer = false",
        &[],
        |l| l.settings.loopback_viewer,
        false,
    );
    check(
        "[gridbug]\nkey = 'k'",
        &[],
        |l| l.settings.gridbug.as_ref().map(|g| g.poll.as_secs()),
        Some(10),
    );
    check(
        "",
        &[("ANDON_GRIDBUG_KEY", "k")],
        |l| l.settings.gridbug.is_some(),
        true,
    );
    check(
        "data_dir = '/x'",
        &[],
        |l| l.settings.data_dir.clone(),
        PathBuf::from("/x"),
    );
    check(
        "",
        &[],
        |l| l.settings.data_dir.clone(),
        PathBuf::from("/nonexistent/home/.local/state/andon"),
    );
    check(
        "",
        &[("XDG_STATE_HOME", "/s")],
        |l| l.settings.data_dir.clone(),
        PathBuf::from("/s/andon"),
    );
    check("", &[("ANDON_SIDE", "x")], |l| l.warnings.len(), 1);
    check(
        "",
        &[
            ("ANDON_SERVICE_HOST", "10.0.0.1"),
            ("ANDON_PORT_8777_TCP", "x"),
        ],
        |l| l.warnings.len(),
        0,
    );
    let target =
        "[[target]]\nid='t'\naddress='https://x/'\nprobe='http'\nstatus=200\ninterval='10s'";
    check(
        target,
        &[],
        |l| {
            (
                l.settings.targets[0].interval_ms,
                l.settings.targets[0].timeout_ms,
            )
        },
        (10_000, 2_000),
    );
}

#[test]
fn what_is_said_of_nats_is_whole_or_told_with_its_place_and_never_shown() {
    let keep: fn(&Loaded) -> String = |loaded| loaded.settings.store.keep.to_string();
    let nats = "[spool]\nnats = 'nats://u:s%40crt@hub'";
    check(nats, &[], keep, "false".into());
    let keeper = format!("[store]\nkeep = true\n{nats}");
    check(&keeper, &[], keep, "true".into());
    let stream: fn(&Loaded) -> (String, usize) = |loaded| {
        let nats = loaded.settings.nats.as_ref().unwrap();
        (nats.stream.clone(), nats.servers.len())
    };
    check(nats, &[], stream, ("andon".into(), 1));
    let two = "[spool]\nnats = ['tls://a', 'tls://b']\nnats_stream = 'eu'";
    check(two, &[], stream, ("eu".into(), 2));
    let loaded = told(nats, &[], &[]).unwrap();
    assert!(!super::report::text(&loaded).contains("crt"));
    for (toml, expected) in [
        ("[spool]\nnats = 'hub:4222'", "andon.toml:2:8"),
        (
            "[spool]\nnats = 'hub:4222'",
            "expected: nats://host:4222 or tls://",
        ),
        (
            "[spool]\nnats = 'tls://a'\nnats_stream = 'a.b'",
            "andon.toml:3:15",
        ),
        (
            "[spool]\nnats = 'tls://a'\nnats_creds = 'none.creds'",
            "a credentials file of NATS",
        ),
        (
            "[spool]\nnats_stream = 'eu'",
            "no server is named\n  --> andon.toml:2:15",
        ),
        (
            "[store]\nclickhouse = 'http://ch'\n[spool]\nnats = 'tls://a'",
            "go to ClickHouse",
        ),
    ] {
        wrong(toml, &[], expected);
    }
    let text = told("[spool]\nnats = 'nats://u:s@crt:x'", &[], &[]);
    let text = text.map(|loaded| loaded.settings).unwrap_err();
    assert!(!text.contains("s@crt"), "{text}");
}

#[test]
fn a_flag_outranks_the_environment_which_outranks_the_file_and_each_value_names_its_origin() {
    let loaded = told(
        "id = 'f'\nsite = 'f'\nlisten = '127.0.0.1:1'",
        &[("ANDON_ID", "e"), ("ANDON_SITE", "e")],
        &[("id", "g")],
    );
    let loaded = loaded.unwrap();
    let text = super::report::text(&loaded);
    let line = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    assert!(
        line("id").contains(" g ") && line("id").contains("flag --id"),
        "{text}"
    );
    assert!(line("site").contains("environment ANDON_SITE"), "{text}");
    assert!(line("listen").contains("andon.toml:3:10"), "{text}");
    assert!(line("data_dir").ends_with("default"), "{text}");
    assert!(!text.contains(&key()), "the key is never shown");
    assert!(!super::report::json(&loaded).to_string().contains(&key()));
}

#[test]
fn mistakes_say_where_they_stand_and_what_was_expected() {
    wrong(
        "id = 'a'\nlables = 1",
        &[],
        "andon.toml:2:1\n  |\n2 | lables = 1\n  | ^^^^^^\n  help: did you mean `labels`?",
    );
    wrong("id = 'a b'", &[], "`id` cannot be \"a b\"");
    wrong(
        "[store]\nkeep = 7",
        &[],
        "`store.keep` is true, false, or a word in quotes, not a number",
    );
    wrong("id = 5", &[], "`id` is text in quotes, not a number");
    wrong("[probe]\nflows = '8'", &[], "andon.toml:2:9");
    wrong(
        "[probe]\nflows = 65",
        &[],
        "expected: a whole number from 1 to 64",
    );
    wrong("flows = 8", &[], "`flows` belongs into [probe], as `flows`");
    wrong("[probe]\ninterval = '1'", &[], "a time with its unit");
    wrong("[probe]\ninterval = '1ms'", &[], "a time from 200ms to 1m");
    wrong("id = ", &[], "this is not TOML");
    wrong("id = 'a'\nid = 'b'", &[], "andon.toml:2:1");
    wrong(
        "listen = '10.0.0.1'",
        &[],
        "an address with its port: 10.0.0.1:8777",
    );
    wrong("", &[("ANDON_LISTEN", "x")], "environment ANDON_LISTEN");
    wrong(
        "",
        &[("ANDON_LABELS", "role")],
        "`labels` cannot be \"role\"\n  --> environment ANDON_LABELS\n  help: expected: NAME=VALUE",
    );
    wrong("join = 'a:b:c'", &[], "HOST:PORT");
    wrong("advertise = ['auto', '10.0.0.1:1']", &[], "`auto` alone");
    wrong(
        "advertise = '0.0.0.0:1'",
        &[],
        "an address that others can reach",
    );
    wrong("[gridbug]\nseeds = ['a:1']", &[], "no key to talk to them");
    wrong(
        "key = 'andon-key'",
        &[],
        "the grid key has a file of its own",
    );
    wrong("[[target]]\nid='t'", &[], "this target has no `probe`");
    wrong(
        "[[target]]\nid='t'\nprobe='tcp'\naddress='db'",
        &[],
        "HOST:PORT, such as db.example.com:5432",
    );
    wrong(
        "[[target]]\nid='t'\nprobe='tcp'\naddress='db:1'\nbody='x'",
        &[],
        "a tcp probe knows no `body`",
    );
    wrong(
        "[[target]]\nid='t'\nprobe='htp'\naddress='db:1'",
        &[],
        "one of icmp, tcp",
    );
    wrong(
        "[[target]]\nid='t'\nprobe='tcp'\naddress='d:1'\n[[target]]\nid='t'\nprobe='tcp'\naddress='d:1'",
        &[],
        "two targets are called t",
    );
    wrong("[target]\nid='t'", &[], "[[target]], with two brackets");
    wrong("", &[("ANDON_KEY", "nonsense")], "is no grid key");
    wrong(
        "",
        &[("ANDON_KEY", ""), ("ANDON_JOIN", "a:1")],
        "andon keygen > grid.key",
    );
    wrong(
        "",
        &[("ANDON_KEY", ""), ("ANDON_KEY_FILE", "/nonexistent/k")],
        "cannot read the key file /nonexistent/k",
    );
    wrong("", &[("HOME", "")], "--data-dir DIR");
    wrong(
        "",
        &[("ANDON_CONFIG", "/nonexistent/andon.toml")],
        "cannot read the configuration /nonexistent/andon.toml",
    );
}

#[test]
fn all_mistakes_are_told_together() {
    let text = told(
        "id = 'a b'\nlables = 1\n[probe]\nflows = 0\n",
        &[("ANDON_SITE", "!")],
        &[],
    )
    .unwrap_err();
    assert_eq!(text.matches("error: ").count(), 4, "{text}");
}

#[test]
fn a_secret_in_a_wrong_line_is_not_shown() {
    let text = told("[gridbug]\nkey = 'hunter2\u{1}'", &[], &[]).unwrap_err();
    assert!(!text.contains("hunter2"), "{text}");
    let text = told("[gridbug]\nkey = \"hunter2", &[], &[]).unwrap_err();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn without_a_key_and_without_seeds_a_first_node_makes_one() {
    let loaded = told("", &[("ANDON_KEY", "")], &[]).unwrap();
    assert!(
        matches!(loaded.key, super::keys::KeyState::ToMake(path) if path.ends_with("andon/grid.key"))
    );
}

#[test]
fn a_host_name_that_is_no_id_becomes_one() {
    let mut asked = inputs("");
    asked.env.insert("ANDON_KEY".into(), key());
    for (host, id) in [
        ("", "node"),
        ("-x y", "x-y"),
        ("ä", "node"),
        ("a.b_c", "a.b_c"),
    ] {
        asked.host.name = host.into();
        assert_eq!(load(&asked).unwrap().settings.id.as_str(), id, "{host:?}");
    }
}

#[test]
fn the_sample_with_every_line_in_force_has_no_mistake() {
    let is_setting =
        |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    // A file that only NATS' tools make, and a pair of settings that asks for a third.
    let apart = "spool.nats_creds";
    let text: String = sample::text()
        .replace("#keep = \"auto\"", "#keep = true")
        .lines()
        .filter(|line| !line.starts_with("#nats_creds"))
        .map(|line| {
            if is_setting(line) {
                format!("{}\n", &line[1..])
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let loaded = told(&text, &[], &[]).unwrap();
    assert_eq!(loaded.settings.targets.len(), 1);
    let in_file = |setting: &&setting::Setting| setting.in_file && setting.key != apart;
    for setting in setting::SETTINGS.iter().filter(in_file) {
        assert!(
            loaded.effective.contains_key(setting.key),
            "{} is missing in the sample",
            setting.key
        );
    }
}

#[test]
fn durations_read_and_write() {
    for (text, ms) in [
        ("500ms", 500),
        ("1s", 1_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("30d", 2_592_000_000),
    ] {
        assert_eq!(value::duration(text), Ok(Duration::from_millis(ms)));
        assert_eq!(value::write_duration(Duration::from_millis(ms)), text);
    }
    for bad in [
        "",
        "1",
        "s",
        "1.5s",
        "-1s",
        "1 s",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        assert!(value::duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_nearest_name_is_near() {
    let check = |word: &str, expected: Option<&str>| {
        assert_eq!(nearest(word, ["labels", "listen", "site"]), expected)
    };
    check("lables", Some("labels"));
    check("lisen", Some("listen"));
    check("sight", None);
    check("completely-else", None);
}

/// `docs/configuration.md` as the table of settings has it.
fn reference_page() -> String {
    let mut page = String::from(
        "# Configuration\n\nEvery setting of a node: what it means, its flag, its variable, its \
         default. `andon config sample` prints the\nfile below, `andon config check` what is in \
         force and where each value comes from.\n\nThis page is written from the program's \
         own table of settings; change it there.\n\n## Settings that no file holds\n\n",
    );
    for setting in setting::SETTINGS.iter().filter(|setting| !setting.in_file) {
        let flag = setting.flag.map(|flag| format!("`--{flag}`, "));
        page += &format!(
            "- {}`{}` ({}): {}. {} Default: {}.\n",
            flag.unwrap_or_default(),
            setting.env,
            setting.value_name,
            setting.help,
            setting.more,
            setting.default
        );
    }
    page += &format!("\n## andon.toml\n\n```toml\n{}```\n", sample::text());
    page
}

#[test]
fn the_reference_page_is_what_the_settings_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = reference_page();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).is_ok_and(|written| written == page),
        "docs/configuration.md is not what the settings say; write it anew:\n  \
         WRITE_DOCS=1 cargo test -p andon --bin andon the_reference_page"
    );
}
