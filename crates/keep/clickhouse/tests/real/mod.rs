//! Real ClickHouse servers for a test: ordinary processes on loopback with a small
//! configuration of their own, gone when the test is.

#![allow(dead_code)] // each test file uses its part

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where the server's program may be.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/clickhouse-server",
    "/usr/bin/clickhouse-server",
    "/usr/local/bin/clickhouse-server",
];

/// Servers that form the cluster `andon`.
pub struct Servers {
    directory: PathBuf,
    ports: Vec<[u16; 3]>,
    running: Vec<Option<Child>>,
}

impl Servers {
    /// Starts so many, or says why it cannot; a test that gets none has not passed.
    pub fn start(count: usize, name: &str) -> Option<Self> {
        let Some(program) = PROGRAMS
            .iter()
            .find(|path| std::path::Path::new(path).exists())
        else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "{name} needs clickhouse-server (apt-get install clickhouse-server)"
            );
            eprintln!(
                "!! SKIPPED {name}: clickhouse-server is not installed (apt-get install clickhouse-server)"
            );
            return None;
        };
        let directory =
            std::env::temp_dir().join(format!("andon-clickhouse-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&directory).ok();
        let ports: Vec<[u16; 3]> = (0..count)
            .map(|_| std::array::from_fn(|_| free_port()))
            .collect();
        let mut servers = Self {
            directory,
            running: (0..count).map(|_| None).collect(),
            ports,
        };
        for index in 0..count {
            servers.configure(index);
            servers.run(program, index);
        }
        Some(servers)
    }

    pub fn url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[index][0])
    }

    pub fn urls(&self) -> Vec<String> {
        (0..self.ports.len()).map(|index| self.url(index)).collect()
    }

    pub fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.running[index].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn restart(&mut self, index: usize) {
        let program = PROGRAMS
            .iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap();
        self.run(program, index);
    }

    fn home(&self, index: usize) -> PathBuf {
        self.directory.join(index.to_string())
    }

    fn configure(&self, index: usize) {
        let home = self.home(index);
        std::fs::create_dir_all(&home).unwrap();
        let shards: String = self
            .ports
            .iter()
            .map(|[_, tcp, _]| {
                format!(
                    "<shard><replica><host>127.0.0.1</host><port>{tcp}</port></replica></shard>"
                )
            })
            .collect();
        let [http, tcp, between] = self.ports[index];
        let home = home.display();
        let config = format!(
            "<yandex><logger><level>warning</level><console>1</console></logger>\
             <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>\
             <interserver_http_port>{between}</interserver_http_port>\
             <listen_host>127.0.0.1</listen_host><path>{home}/data/</path><tmp_path>{home}/tmp/</tmp_path>\
             <users_config>{home}/users.xml</users_config><default_profile>default</default_profile>\
             <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>\
             <remote_servers><andon>{shards}</andon></remote_servers></yandex>"
        );
        let users = "<yandex><profiles><default></default></profiles><users><default><password></password>\
             <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>\
             <quotas><default></default></quotas></yandex>";
        std::fs::write(self.home(index).join("config.xml"), config).unwrap();
        std::fs::write(self.home(index).join("users.xml"), users).unwrap();
    }

    fn run(&mut self, program: &str, index: usize) {
        let config = self.home(index).join("config.xml");
        let log = std::fs::File::create(self.home(index).join("log")).unwrap();
        let child = Command::new(program)
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running[index] = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        let port = self.ports[index][0];
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "the server on {port} does not come up"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for index in 0..self.running.len() {
            self.kill(index);
        }
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// A port that was free a moment ago, below those that the system gives to connections.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 61;
        let port = u16::try_from(12_000 + number % 18_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
        {
            return port;
        }
    }
}
