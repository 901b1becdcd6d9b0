//! The node processes: real `andon node`, each in its namespace, as a user without rights.

use super::LabError;
use super::command::tool;
use super::netns::Netns;
use super::privilege::Privilege;
use crate::scenario::Scenario;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, chown};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nobody: the user that nodes run as where the lab runs as root.
const NOBODY: u32 = 65_534;
/// How long nodes may take to leave politely before they are killed.
const LEAVE_MAX: Duration = Duration::from_millis(1_000);
/// The one port of a node.
pub const PORT: u16 = 8_777;

/// The processes, by place in the scenario's list of nodes.
pub struct Nodes {
    folder: PathBuf,
    privilege: Privilege,
    program: PathBuf,
    running: Vec<Option<Child>>,
}

impl Nodes {
    /// None runs yet.
    pub(super) fn new(folder: &Path, program: &Path, privilege: Privilege, count: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            privilege,
            program: program.to_owned(),
            running: (0..count).map(|_| None).collect(),
        }
    }

    /// Makes a grid key and a folder for each node.
    pub(super) fn prepare(&mut self, scenario: &Scenario) -> Result<(), LabError> {
        self.make_runnable()?;
        let mut keygen = Command::new(&self.program);
        keygen.arg("keygen");
        let key = super::command::run(keygen, "")?;
        for node in &scenario.nodes {
            let folder = self.folder.join(&node.id);
            let what = || format!("make {}", folder.display());
            std::fs::create_dir(&folder).map_err(LabError::io(what()))?;
            let file = folder.join("grid.key");
            let made = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file);
            made.and_then(|mut made| std::io::Write::write_all(&mut made, key.as_bytes()))
                .map_err(LabError::io(what()))?;
            if self.privilege == Privilege::Root {
                for path in [&folder, &file] {
                    chown(
                        path,
                        Some(Uid::from_raw(NOBODY)),
                        Some(Gid::from_raw(NOBODY)),
                    )
                    .map_err(|error| LabError::io(what())(error.into()))?;
                }
            }
        }
        // An empty file: no andon.toml that happens to lie here or in /etc may have a say.
        std::fs::write(self.folder.join("andon.toml"), "")
            .map_err(LabError::io("write an empty configuration"))
    }

    /// Takes a copy of the program where nodes may not run the original, as in a home
    /// directory that is private.
    fn make_runnable(&mut self) -> Result<(), LabError> {
        let mut try_it = tool("setpriv");
        try_it.args(self.giving_up());
        try_it.arg(&self.program).arg("--version");
        if super::command::run(try_it, "").is_ok() {
            return Ok(());
        }
        let what = || format!("copy {}", self.program.display());
        let copy = self.folder.join("andon");
        std::fs::copy(&self.program, &copy).map_err(LabError::io(what()))?;
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&copy, open).map_err(LabError::io(what()))?;
        self.program = copy;
        Ok(())
    }

    /// What makes a process one without any capability, that lives no longer than this one.
    fn giving_up(&self) -> Vec<String> {
        let mut args: Vec<String> = ["bounding-set", "inh-caps", "ambient-caps"]
            .map(|set| format!("--{set}=-all"))
            .into();
        if self.privilege == Privilege::Root {
            args.extend([
                format!("--reuid={NOBODY}"),
                format!("--regid={NOBODY}"),
                "--clear-groups".into(),
            ]);
        }
        args.extend(["--no-new-privs", "--pdeathsig=KILL", "--"].map(str::to_owned));
        args
    }

    /// Starts a node, unless it runs. `seed`: the address of the node it joins.
    pub fn start(
        &mut self,
        scenario: &Scenario,
        node: usize,
        netns: &Netns,
        seed: Option<std::net::SocketAddr>,
    ) -> Result<(), LabError> {
        if self.running[node].is_some() {
            return Ok(());
        }
        let spec = &scenario.nodes[node];
        let folder = self.folder.join(&spec.id);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(scenario, node))
            .map_err(LabError::io("open a node's log"))?;
        let errors = log.try_clone().map_err(LabError::io("open a node's log"))?;
        let mut command = super::command::inside(&netns.path(), "setpriv");
        // Settings meant for a real node on this machine must not reach the lab's nodes.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("ANDON_") && name != "ANDON_LOG" {
                command.env_remove(name.as_ref());
            }
        }
        command
            .args(self.giving_up())
            .arg(&self.program)
            .args(["node", "--id", &spec.id, "--site", &spec.site])
            .arg("--key-file")
            .arg(folder.join("grid.key"))
            .arg("--data-dir")
            .arg(&folder)
            .arg("--config")
            .arg(self.folder.join("andon.toml"))
            .args(
                seed.iter()
                    .flat_map(|seed| ["--join".to_owned(), seed.to_string()]),
            )
            .args(&scenario.node_args)
            .current_dir(&folder)
            .env("HOME", &folder)
            // Ctrl-C on the terminal is for the lab, which ends its nodes itself.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let child = command
            .spawn()
            .map_err(LabError::io(format!("start node {}", spec.id)))?;
        self.running[node] = Some(child);
        Ok(())
    }

    /// Where a node's log is.
    pub fn log(&self, scenario: &Scenario, node: usize) -> PathBuf {
        self.folder.join(format!("{}.log", scenario.nodes[node].id))
    }

    /// Its process id, while it runs.
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.running[node].as_ref().map(Child::id)
    }

    /// User id and effective capabilities of a node, as the kernel has them.
    pub fn rights(&self, node: usize) -> Option<(u32, String)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(node)?)).ok()?;
        let field = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.to_owned())
        };
        Some((field("Uid:")?.parse().ok()?, field("CapEff:")?))
    }

    /// Sends a signal to a node.
    pub fn signal(&self, node: usize, signal: Signal) {
        if let Some(pid) = self.pid(node).and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.running[node].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The first node that ended by itself, with the end of its log.
    pub fn fallen(&mut self, scenario: &Scenario) -> Option<LabError> {
        for node in 0..self.running.len() {
            let ended = self.running[node]
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                self.running[node] = None;
                let log = std::fs::read(self.log(scenario, node)).unwrap_or_default();
                let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]);
                let line = tail.lines().rev().find(|line| !line.trim().is_empty());
                return Some(LabError::NodeEnded {
                    id: scenario.nodes[node].id.clone(),
                    said: andon_model::id::to_plain_text(line.unwrap_or("nothing"), 400),
                });
            }
        }
        None
    }

    /// Asks all to leave, and kills those that do not in time.
    pub(super) fn end(&mut self) {
        for node in 0..self.running.len() {
            self.signal(node, Signal::SIGCONT);
            self.signal(node, Signal::SIGTERM);
        }
        let deadline = Instant::now() + LEAVE_MAX;
        for child in self.running.iter_mut().flatten() {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        self.running.iter_mut().for_each(|child| *child = None);
    }
}
