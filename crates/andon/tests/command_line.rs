//! The built program, as a person runs it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)] // a case that cannot be tested here says so
#![allow(clippy::print_stdout)] // how long things took

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("andon-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn andon(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ANDON_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::null());
    command
}

fn run(folder: &Folder, args: &[&str]) -> Output {
    andon(&folder.0, args).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, out: &[&str], err: &[&str]) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    for part in out {
        assert!(stdout.contains(part), "{part:?} is not in:\n{stdout}");
    }
    for part in err {
        assert!(stderr.contains(part), "{part:?} is not in:\n{stderr}");
    }
}

#[test]
fn a_key_is_printed_and_read_and_never_shown_again() {
    let folder = Folder::new("keygen");
    let key = run(&folder, &["keygen"]);
    check(&key, 0, &["andon1-"], &[]);
    let key = String::from_utf8(key.stdout).unwrap();
    let file = folder.write("grid.key", &key);
    let checked = run(
        &folder,
        &[
            "config",
            "check",
            "--key-file",
            &file,
            "--id",
            "a",
            "--data-dir",
            "x",
        ],
    );
    check(&checked, 0, &["flag --key-file", "flag --id"], &[]);
    assert!(!String::from_utf8_lossy(&checked.stdout).contains(key.trim()));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    check(
        &run(&folder, &["config", "check", "--key-file", &file]),
        0,
        &[],
        &["can be read by others", "chmod 600"],
    );
    let damaged = folder.write("bad.key", &format!("# ours\n{}x\n", key.trim()));
    let told = run(&folder, &["config", "check", "--key-file", &damaged]);
    check(&told, 2, &[], &["bad.key:2:1", "no grid key"]);
    assert!(
        !String::from_utf8_lossy(&told.stderr).contains(key.trim()),
        "an error shows no key"
    );
}

#[test]
fn the_configuration_is_checked_with_file_line_and_column() {
    let folder = Folder::new("config");
    folder.write(
        "andon.toml",
        "id = \"web-1\"\nlisten = \"127.0.0.1:9\"\nsiet = \"fra\"\n",
    );
    check(
        &run(&folder, &["config", "check"]),
        2,
        &[],
        &["andon.toml:3:1", "did you mean `site`?", "^^^^"],
    );
    folder.write("andon.toml", "id = \"web-1\nsite = 3\n");
    check(
        &run(&folder, &["config", "check"]),
        2,
        &[],
        &["andon.toml:1:", "this is not TOML"],
    );
    check(
        &run(&folder, &["node"]),
        2,
        &[],
        &["andon.toml:1:", "this is not TOML"],
    );
    let sample = run(&folder, &["config", "sample"]);
    check(&sample, 0, &["#[[target]]", "ANDON_PROBE_INTERVAL"], &[]);
    folder.write("andon.toml", &String::from_utf8(sample.stdout).unwrap());
    check(
        &run(&folder, &["config", "check", "--json"]),
        0,
        &["\"origin\": \"default\""],
        &[],
    );
    let env = andon(&folder.0, &["config", "check"])
        .env("ANDON_SITE", "nyc")
        .output()
        .unwrap();
    check(&env, 0, &["nyc", "environment ANDON_SITE"], &[]);
}

#[test]
fn a_status_that_cannot_be_told_ends_with_two() {
    let folder = Folder::new("status");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let node = format!("http://127.0.0.1:{port}");
    check(
        &run(&folder, &["status", "--node", &node]),
        2,
        &[],
        &["cannot reach", "nobody listens there", "--node URL"],
    );
    check(
        &run(&folder, &["status", "--node", "ftp://x"]),
        2,
        &[],
        &["ftp://x"],
    );
}

#[test]
fn a_port_in_use_is_told_with_the_port_and_a_way_out() {
    let folder = Folder::new("port");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let _udp = UdpSocket::bind(address).unwrap();
    let told = run(
        &folder,
        &[
            "node",
            "--listen",
            &address.to_string(),
            "--data-dir",
            "data",
        ],
    );
    check(&told, 1, &[], &[&address.to_string()]);
    let key = folder.0.join("data").join("grid.key");
    assert!(!key.exists(), "a start that failed leaves no key");
}

#[test]
fn a_second_node_in_a_data_directory_is_refused_and_leaves_no_key_there() {
    let folder = Folder::new("in-use");
    let key = String::from_utf8(run(&folder, &["keygen"]).stdout).unwrap();
    let key_file = folder.write("other.key", &key);
    let listen = free_address();
    let args = ["node", "--listen", &listen, "--data-dir", "data"];
    let _first = Node::start(andon(&folder.0, &args).env("ANDON_KEY_FILE", key_file));
    wait_for("the first node", || {
        std::net::TcpStream::connect(&listen).is_ok()
    });
    let second = run(
        &folder,
        &["node", "--listen", "127.0.0.1:0", "--data-dir", "data"],
    );
    check(&second, 1, &[], &["already runs with the data directory"]);
    assert!(!folder.0.join("data").join("grid.key").exists());
}

#[test]
fn a_lone_node_on_all_addresses_invites_a_second() {
    let folder = Folder::new("lone");
    let port = free_address().rsplit(':').next().unwrap().to_owned();
    let all = if UdpSocket::bind("[::]:0").is_ok() {
        "[::]"
    } else {
        "0.0.0.0"
    };
    let listen = format!("{all}:{port}");
    let with = |args: &[&str]| {
        let mut command = andon(&folder.0, args);
        command
            .env("ANDON_LISTEN", &listen)
            .env("ANDON_DATA_DIR", "data");
        command
    };
    let silent = with(&["keygen"]).output().unwrap();
    std::fs::create_dir(folder.0.join("data")).unwrap();
    folder.write("data/grid.key", &String::from_utf8(silent.stdout).unwrap());
    let told = with(&["invite"]).output().unwrap();
    check(
        &told,
        1,
        &[],
        &["does not answer at 127.0.0.1", "--address"],
    );

    let first = Node::start(&mut with(&["node", "--id", "first", "--site", "fra"]));
    let url = format!("http://127.0.0.1:{port}");
    let status = || run(&folder, &["status", "--node", &url]);
    wait_for("the first node", || {
        status().stdout.windows(5).any(|part| part == b"first")
    });
    let invite = with(&["invite", "--site", "nyc"]).output().unwrap();
    check(
        &invite,
        0,
        &["ANDON_INVITE=andon-invite-1."],
        &["holds the grid key"],
    );
    let line = String::from_utf8(invite.stdout).unwrap();
    let line = line.trim().strip_prefix("ANDON_INVITE=").unwrap();
    let line = line.split(' ').next().unwrap().to_owned();

    let second_folder = Folder::new("lone-second");
    let args = [
        "node",
        "--id",
        "second",
        "--listen",
        &format!("{all}:0"),
        "--data-dir",
        "data",
    ];
    let _second = Node::start(andon(&second_folder.0, &args).env("ANDON_INVITE", &line));
    wait_for("two nodes that are well", || {
        status().status.code() == Some(0)
    });
    let (code, log) = first.leave();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains(&format!("http://127.0.0.1:{port}/login#")),
        "{log}"
    );
}

#[test]
fn a_data_directory_without_permission_is_told_by_name() {
    let folder = Folder::new("permission");
    let closed = folder.0.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o500)).unwrap();
    if std::fs::write(closed.join("x"), "x").is_ok() {
        // Permission bits do not stop root: a file in the way of the directory does.
        eprintln!("NOT TESTED as root: permission bits; tested with a file in the way");
        let file = folder.write("file", "");
        let told = run(
            &folder,
            &["node", "--listen", "127.0.0.1:0", "--data-dir", &file],
        );
        check(&told, 1, &[], &["file", "--data-dir"]);
        return;
    }
    let dir = closed.join("data").to_str().unwrap().to_owned();
    check(
        &run(
            &folder,
            &["node", "--listen", "127.0.0.1:0", "--data-dir", &dir],
        ),
        1,
        &[],
        &["closed/data"],
    );
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let folder = Folder::new("token");
    let dir = folder.0.to_str().unwrap();
    let create = [
        "token",
        "create",
        "--role",
        "viewer",
        "--expires",
        "30d",
        "--name",
        "board",
        "--data-dir",
        dir,
    ];
    let made = run(&folder, &create);
    check(&made, 0, &["andon_"], &["shown this once"]);
    check(&run(&folder, &create), 1, &[], &["board exists"]);
    let secret = String::from_utf8(made.stdout).unwrap();
    let listed = run(&folder, &["token", "list", "--data-dir", dir]);
    check(&listed, 0, &["board", "viewer", "ends "], &[]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(secret.trim()));
    check(
        &run(&folder, &["token", "revoke", "board", "--data-dir", dir]),
        0,
        &["board is revoked"],
        &[],
    );
    check(
        &run(&folder, &["token", "revoke", "board", "--data-dir", dir]),
        1,
        &[],
        &["no token named"],
    );
    check(
        &run(
            &folder,
            &["token", "create", "--role", "king", "--data-dir", dir],
        ),
        2,
        &[],
        &["viewer, operator and admin"],
    );
    // What was done is recorded, and what was refused is not.
    let verified = run(&folder, &["audit", "verify", "--data-dir", dir]);
    check(&verified, 0, &["is whole: 2 records"], &[]);
    let log = std::fs::read_to_string(folder.0.join("audit.jsonl")).unwrap();
    for part in ["\"actor\":\"cli:", "token.create", "token.revoke"] {
        assert!(log.contains(part), "{part} is not in:\n{log}");
    }
}

/// A node in the background, ended with the test.
struct Node(Child);

impl Node {
    fn start(command: &mut Command) -> Self {
        Self(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    /// SIGTERM; the exit code and the log.
    fn leave(mut self) -> (Option<i32>, String) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "SIGTERM does not end it"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut log = String::new();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        (self.0.wait().unwrap().code(), log)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while !look() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_address() -> String {
    support::free_address().to_string()
}

/// What `/metrics` answers.
fn metrics(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every figure that the shipped dashboard draws is one that nodes tell.
#[track_caller]
fn check_dashboard(metrics: &str) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../packaging/grafana/andon.json"
    );
    let dashboard: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let targets = targets.flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut figures = 0;
    for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for figure in words.filter(|word| word.starts_with("andon_")) {
            assert!(
                metrics.contains(&format!("# TYPE {figure} ")),
                "{figure} in:\n{metrics}"
            );
            figures += 1;
        }
    }
    assert!(figures > 15, "only {figures} figures were found");
}

#[test]
fn a_first_node_makes_its_key_invites_a_second_and_both_leave_on_sigterm() {
    let folder = Folder::new("node");
    let (listen, second_listen) = (free_address(), free_address());
    let args = [
        "node",
        "--id",
        "first",
        "--listen",
        &listen,
        "--advertise",
        &listen,
        "--data-dir",
        "data",
    ];
    let first = Node::start(&mut andon(&folder.0, &args));
    let url = format!("http://{listen}");
    let status = || run(&folder, &["status", "--node", &url]);
    wait_for("the first node", || {
        status().stdout.windows(5).any(|part| part == b"first")
    });
    check(&status(), 2, &["first"], &[]);

    let https = format!("https://{listen}");
    check(
        &run(&folder, &["status", "--node", &https]),
        2,
        &[],
        &["shows the certificate", "--fingerprint"],
    );
    check(
        &run(&folder, &["status", "--node", &https, "--insecure"]),
        2,
        &["first"],
        &[],
    );

    let second_folder = Folder::new("second");
    folder.write(
        "andon.toml",
        &format!("data_dir = \"data\"\nlisten = \"{listen}\"\n"),
    );
    let invite = run(&folder, &["invite", "--site", "nyc", "--expires", "1h"]);
    check(
        &invite,
        0,
        &["ANDON_INVITE=andon-invite-1.", " andon node"],
        &["holds the grid key"],
    );
    let line = String::from_utf8(invite.stdout).unwrap();
    let line = line
        .trim()
        .strip_prefix("ANDON_INVITE=")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    check(
        &run(
            &second_folder,
            &["node", "--invite", &line[..line.len() - 5]],
        ),
        2,
        &[],
        &["invite cannot be read"],
    );
    let args = [
        "node",
        "--id",
        "second",
        "--listen",
        &second_listen,
        "--advertise",
        &second_listen,
        "--data-dir",
        "data",
    ];
    let second = Node::start(andon(&second_folder.0, &args).env("ANDON_INVITE", &line));
    wait_for("two nodes that are well", || {
        status().status.code() == Some(0)
    });
    check(
        &run(&folder, &["status", "--node", &url, "--json"]),
        0,
        &["\"digest\"", "\"second\"", "\"nyc\""],
        &[],
    );

    check_dashboard(&metrics(&listen));

    let (code, log) = second.leave();
    assert_eq!(code, Some(0), "{log}");
    wait_for("the second to be shown as left", || {
        let document = run(&folder, &["status", "--node", &url, "--json"]);
        String::from_utf8_lossy(&document.stdout)
            .replace(' ', "")
            .contains("\"state\":\"left\"")
    });
    let (code, log) = first.leave();
    assert_eq!(code, Some(0), "{log}");
    // The one-time link is for the person who starts the node, and stands between the log's lines.
    let records: Vec<&str> = log.lines().filter(|line| line.starts_with('{')).collect();
    assert!(
        records.iter().any(|line| line.contains("node started")),
        "{log}"
    );
    for line in records {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "off a terminal the log is JSON: {line}"
        );
    }
}

#[test]
fn bash_completes_questions_by_asking_and_all_else_by_itself() {
    let folder = Folder::new("bash");
    let script = run(&folder, &["completions", "bash"]);
    let script = folder.write("andon.bash", &String::from_utf8_lossy(&script.stdout));
    // A node's answers stand in for the node; `$1` is what is typed after `andon`.
    let shell = r#"
source "$0"
andon() { case $3 in *zo) echo "zone	text" ;; *) printf '"region-1-a"\n"region-1-b"\n' ;; esac }
COMP_WORDS=(andon "$@"); COMP_CWORD=$#; COMP_LINE="andon $*"; COMP_POINT=${#COMP_LINE}
_andon_with_questions andon "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let check = |typed: &[&str], expected: &str| {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", shell]).arg(&script).args(typed);
        let out = bash.output().unwrap();
        let told = String::from_utf8_lossy(&out.stdout);
        assert_eq!(told.trim_end(), expected, "{typed:?} {out:?}");
    };
    check(&["query", "requests | where zo"], "requests | where zone");
    let values = "a | where b = \"region-1-a\"\na | where b = \"region-1-b\"";
    check(&["query", "a | where b = reg"], values);
    check(&["query", "a | where b = \"region-1-"], values);
    check(&["query", "--expl"], "--explain");
    check(&["keyg"], "keygen");
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let folder = Folder::new("texts");
    check(
        &run(&folder, &["completions", "bash"]),
        0,
        &["complete -F", "andon"],
        &[],
    );
    check(
        &run(&folder, &["man"]),
        0,
        &[".TH", "ANDON NODE", "probe\\-interval"],
        &[],
    );
    check(&run(&folder, &["--help"]), 0, &["andon demo"], &[]);
}
