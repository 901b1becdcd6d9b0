//! The five node processes: started, frozen, killed, started again, and gone with the demo.

use super::cast::CAST;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long nodes may take to leave politely before they are killed.
const LEAVE_MAX: Duration = Duration::from_millis(1_500);

/// How one node is to be started.
#[derive(Debug, Clone)]
pub struct Script {
    /// The node's real address.
    pub listen: SocketAddr,
    /// By whom it joins, through a relay.
    pub join: Option<SocketAddr>,
    /// Relays to the others, by index in the cast.
    pub via: Vec<(usize, SocketAddr)>,
}

/// The processes, by index in the cast.
pub struct Children {
    folder: PathBuf,
    control: SocketAddr,
    scripts: Vec<Script>,
    running: Vec<Option<Child>>,
}

impl Children {
    /// None runs yet. `folder` holds the key file `grid.key` and gets data directories and logs.
    pub fn new(folder: &Path, control: SocketAddr, scripts: Vec<Script>) -> Self {
        let running = scripts.iter().map(|_| None).collect();
        Self {
            folder: folder.to_owned(),
            control,
            scripts,
            running,
        }
    }

    /// Starts a node, unless it runs.
    pub fn start(&mut self, index: usize) -> io::Result<()> {
        if self.running[index].is_some() {
            return Ok(());
        }
        let (role, script) = (CAST[index], &self.scripts[index]);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path(index))?;
        let mut command = Command::new(std::env::current_exe()?);
        // Settings meant for a real node on this machine must not reach the demo's nodes.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ANDON_") && name != "ANDON_LOG" {
                command.env_remove(name);
            }
        }
        command
            .arg("node")
            .args([
                "--id",
                role.id,
                "--site",
                role.site,
                "--label",
                &format!("role={}", role.role),
            ])
            .args([
                "--listen",
                &script.listen.to_string(),
                "--advertise",
                &script.listen.to_string(),
            ])
            .args(
                script
                    .via
                    .iter()
                    .flat_map(|(to, at)| ["--via".into(), format!("{}={at}", CAST[*to].id)]),
            )
            .args(
                script
                    .join
                    .iter()
                    .flat_map(|at| ["--join".into(), at.to_string()]),
            )
            .arg("--key-file")
            .arg(self.folder.join("grid.key"))
            .arg("--data-dir")
            .arg(self.folder.join(role.id))
            // An empty file: no andon.toml that happens to lie here or in /etc may have a say.
            .arg("--config")
            .arg(self.folder.join("andon.toml"))
            .env("ANDON_DEMO_CONTROL", self.control.to_string())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.running[index] = Some(command.spawn()?);
        Ok(())
    }

    /// Where a node's log is.
    pub fn log_path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{}.log", CAST[index].id))
    }

    /// SIGSTOP.
    pub fn freeze(&self, index: usize) {
        self.signal(index, Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self, index: usize) {
        self.signal(index, Signal::SIGCONT);
    }

    /// SIGKILL.
    pub fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.running[index].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&self, index: usize, signal: Signal) {
        let pid = self.running[index]
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Nodes that ended by themselves since the last look, with the last line of their log.
    pub fn fallen(&mut self) -> Vec<(usize, String)> {
        let mut fallen = Vec::new();
        for index in 0..self.running.len() {
            let ended = self.running[index]
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                self.running[index] = None;
                fallen.push((index, self.last_words(index)));
            }
        }
        fallen
    }

    fn last_words(&self, index: usize) -> String {
        let log = std::fs::read(self.log_path(index)).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned();
        let line = tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("nothing in its log");
        andon_model::id::to_plain_text(line, 400)
    }
}

/// Asks all to leave, and kills those that do not in time. Also after a panic.
impl Drop for Children {
    fn drop(&mut self) {
        for index in 0..self.running.len() {
            self.thaw(index);
            self.signal(index, Signal::SIGTERM);
        }
        let deadline = Instant::now() + LEAVE_MAX;
        for child in self.running.iter_mut().flatten() {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
