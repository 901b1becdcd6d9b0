//! A real NATS server with JetStream on loopback: killed, and started again on the same port.

use super::{Folder, free_address, hold, wait_for};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Who may log in.
const LOGIN: &str = "andon:s@crt";

/// Where the server's program is, if it is installed.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut programs = folders.map(|folder| folder.join("nats-server"));
    programs.find(|program| program.is_file())
}

pub struct Nats {
    pub address: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Nats {
    /// Starts one with more words for its configuration; `None`, said loudly, where there is
    /// none to start.
    pub fn start(folder: &Folder, more: &str) -> Option<Self> {
        if program().is_none() {
            super::skip("NATS", "nats-server is not installed");
            return None;
        }
        let address = free_address();
        let (user, password) = LOGIN.split_once(':').unwrap();
        let store = folder.path().join("jetstream");
        let config = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{}\", max_file_store: 1GB }}\n\
             authorization {{ user: {user}, password: \"{password}\" }}\n{more}\n",
            store.display()
        );
        let mut nats = Self {
            address,
            config: folder.write("nats.conf", &config),
            log: folder.path().join("nats.log"),
            child: None,
        };
        nats.resume();
        Some(nats)
    }

    /// What nodes are told of it.
    pub fn url(&self) -> String {
        let login = LOGIN.replace('@', "%40");
        format!("nats://{login}@{}", self.address)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it with what is on its disk.
    pub fn resume(&mut self) {
        self.kill();
        let child = Command::new(program().unwrap())
            .arg("-c")
            .arg(&self.config)
            .arg("-l")
            .arg(&self.log)
            .stdin(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        wait_for("NATS", || self.tell("").map(drop));
    }

    /// Publishes as a client does; the server's last word.
    pub fn publish(&self, subject: &str, payload: &str) -> Result<(), String> {
        let words = format!("PUB {subject} {}\r\n{payload}\r\n", payload.len());
        let said = self.tell(&words)?;
        hold(said.starts_with("PONG"), || said.clone())
    }

    fn tell(&self, words: &str) -> Result<String, String> {
        let told = || {
            let stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let (user, pass) = LOGIN.split_once(':').unwrap();
            let connect = serde_json::json!({"verbose": false, "user": user, "pass": pass});
            let words = format!("CONNECT {connect}\r\n{words}PING\r\n");
            reader.get_mut().write_all(words.as_bytes())?;
            line.clear();
            reader.read_line(&mut line)?;
            Ok::<_, std::io::Error>(line)
        };
        told().map_err(|error| error.to_string())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
