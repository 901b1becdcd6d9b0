//! Real node processes: planned, started, signalled, asked, and ended with the test.

use super::{Folder, free_address, http, wait_for};
use andon_model::PictureView;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The built program with nothing of the caller's environment in its configuration.
pub fn andon(folder: &Path) -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_andon")), folder)
}

fn without_settings(mut command: Command, folder: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ANDON_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::null());
    command
}

/// A grid key, as `andon keygen` makes it.
pub fn keygen(folder: &Folder) -> String {
    let made = andon(folder.path()).arg("keygen").output().unwrap();
    assert!(made.status.success());
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// One grid: a folder and a key.
pub struct Fleet {
    pub folder: Folder,
    pub key: String,
}

impl Fleet {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let key = keygen(&folder);
        Self { folder, key }
    }

    /// A node of this grid on a free loopback port, with flags as in the guide.
    pub fn node(&self, id: &str) -> Plan {
        let key_file = self
            .folder
            .write(&format!("{id}.key"), &format!("{}\n", self.key));
        let mut plan = self.bare(id);
        let (listen, data_dir) = (plan.address.to_string(), plan.data_dir.clone());
        plan = plan.args(&["--id", id, "--listen", &listen]);
        plan.key_file.clone_from(&key_file);
        plan.args(&[
            "--key-file",
            key_file.to_str().unwrap(),
            "--data-dir",
            data_dir.to_str().unwrap(),
        ])
    }

    /// A node without any configuration, but a port and folders that wait for it.
    pub fn bare(&self, id: &str) -> Plan {
        let folder = self.folder.path().join(format!("{id}.d"));
        std::fs::create_dir_all(&folder).unwrap();
        Plan {
            id: id.to_owned(),
            address: free_address(),
            data_dir: folder.join("data"),
            key_file: PathBuf::new(),
            log: folder.join("log"),
            folder,
            args: Vec::new(),
            env: Vec::new(),
            is_unsinkable: false,
        }
    }

    /// Nodes of one grid that all join the first.
    pub fn start(&self, ids: &[&str]) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for id in ids {
            let plan = self.node(id);
            nodes.push(match nodes.first() {
                Some(first) => plan.join(first.address).start(),
                None => plan.start(),
            });
        }
        nodes
    }
}

/// How a node is started, so that it can be started again.
#[derive(Clone)]
pub struct Plan {
    pub id: String,
    /// Where it is asked.
    pub address: SocketAddr,
    pub data_dir: PathBuf,
    pub key_file: PathBuf,
    pub log: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    is_unsinkable: bool,
}

impl Plan {
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn site(self, site: &str) -> Self {
        self.args(&["--site", site])
    }

    pub fn join(self, seed: SocketAddr) -> Self {
        self.args(&["--join", &seed.to_string()])
    }

    fn set(&mut self, flag: &str, value: &str) {
        let place = self.args.iter().position(|arg| arg == flag).unwrap();
        self.args[place + 1] = value.to_owned();
    }

    /// With another id than its folders.
    pub fn named(mut self, id: &str) -> Self {
        self.set("--id", id);
        self
    }

    /// Listens elsewhere.
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.set("--listen", &listen.to_string());
        let ip = if listen.ip().is_unspecified() {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        } else {
            listen.ip()
        };
        self.address = SocketAddr::new(ip, listen.port());
        self
    }

    /// An `andon.toml` in its working directory.
    pub fn config(self, text: &str) -> Self {
        std::fs::write(self.config_file(), text).unwrap();
        self
    }

    /// Where that is.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("andon.toml")
    }

    /// Without its seeds.
    pub fn forget_seeds(mut self) -> Self {
        while let Some(place) = self.args.iter().position(|arg| arg == "--join") {
            self.args.drain(place..place + 2);
        }
        self
    }

    /// A write beyond a file size limit fails instead of ending the process, as on a full disk.
    pub fn unsinkable(mut self) -> Self {
        self.is_unsinkable = true;
        self
    }

    /// Starts it; what it logs is appended to its log.
    pub fn start(self) -> Node {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut command = if self.is_unsinkable {
            let mut shell = Command::new("sh");
            shell.args([
                "-c",
                "trap '' XFSZ; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_andon"),
            ]);
            without_settings(shell, &self.folder)
        } else {
            andon(&self.folder)
        };
        command
            .arg("node")
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(log);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().unwrap();
        Node {
            id: self.id.clone(),
            address: self.address,
            child,
            plan: self,
        }
    }
}

/// A node that runs; killed when dropped.
pub struct Node {
    pub id: String,
    pub address: SocketAddr,
    pub plan: Plan,
    child: Child,
}

impl Node {
    /// What it shows. An error as long as it does not answer.
    pub fn picture(&self) -> Result<PictureView, String> {
        let answer = http::get(self.address, "/api/v1/picture")?;
        match answer.status {
            200 => serde_json::from_str(&answer.body).map_err(|e| format!("{}: {e}", self.id)),
            status => Err(format!("{} answers {status}: {}", self.id, answer.body)),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// All that it has logged in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.plan.log).unwrap_or_default()
    }

    /// `Ok` if its log holds all of these in one line.
    pub fn logged(&self, parts: &[&str]) -> Result<String, String> {
        let log = self.log();
        let mut lines = log.lines();
        let found = lines.find(|line| parts.iter().all(|part| line.contains(part)));
        found
            .map(str::to_owned)
            .ok_or_else(|| format!("{} has not logged {parts:?}:\n{log}", self.id))
    }

    /// kill -9; how to start it again.
    pub fn kill(mut self) -> Plan {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.plan.clone()
    }

    /// SIGTERM, and waits for its end; how to start it again.
    #[track_caller]
    pub fn leave(mut self) -> Plan {
        self.signal(Signal::SIGTERM);
        let id = self.id.clone();
        let status = wait_for(&format!("{id} to end"), || self.ended());
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.plan.clone()
    }

    pub fn ended(&mut self) -> Result<ExitStatus, String> {
        self.child
            .try_wait()
            .unwrap()
            .ok_or_else(|| format!("{} still runs", self.id))
    }

    /// A command of the program about this node.
    pub fn run(&self, args: &[&str]) -> Output {
        andon(&self.plan.folder).args(args).output().unwrap()
    }

    /// `andon status` of this node.
    pub fn status(&self, args: &[&str]) -> Output {
        let url = format!("http://{}", self.address);
        self.run(&[&["status", "--node", &url], args].concat())
    }

    /// `Ok` if `andon status` ends with this code.
    pub fn status_is(&self, code: i32) -> Result<(), String> {
        let status = self.status(&[]);
        super::hold(status.status.code() == Some(code), || {
            format!(
                "status of {}: {:?}\n{}",
                self.id,
                status.status,
                String::from_utf8_lossy(&status.stdout)
            )
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As most looks want them.
pub fn refs(nodes: &[Node]) -> Vec<&Node> {
    nodes.iter().collect()
}
