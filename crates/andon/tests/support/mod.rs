//! What tests of real nodes share: folders, ports, waiting, and the modules beside.
#![allow(dead_code)] // each test file uses its part

pub mod events;
pub mod fleet;
pub mod http;
pub mod nats;
pub mod pouring;
pub mod relay;
pub mod server;
pub mod sight;
pub mod stream;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for anything a grid of a few nodes does: ten times what it takes on idle
/// cores, since the tests share two of them with each other and with builds.
pub const LIMIT: Duration = Duration::from_secs(30);

/// After so long people want to know what was missing.
const SLOW: Duration = Duration::from_secs(2);

/// A folder of its own for each test, gone with it unless the test failed.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("andon-grid-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a private file, whole.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the nodes' logs are kept in {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A port that is free for UDP and TCP on both families. Taken below the range that the system
/// hands out by itself, so that a node that is restarted finds its port again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 61;
        let port = u16::try_from(12_000 + number % 18_000).unwrap();
        let is_free = ["127.0.0.1", "[::1]"].iter().all(|host| {
            let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
            let no_family = TcpListener::bind(SocketAddr::new(address.ip(), 0)).is_err();
            no_family || (TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok())
        });
        if is_free {
            return port;
        }
    }
}

pub fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Looks until it is `Ok`, and says what was seen last where it never is. Returns what was
/// found; prints how long it took.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    wait_every(Duration::from_millis(40), what, look)
}

/// As [`wait_for`], for what may not be asked so often.
#[track_caller]
pub fn wait_every<T>(pause: Duration, what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    wait_within(LIMIT, pause, what, look)
}

/// As [`wait_every`], for what may take longer than most: a link that lost packets is held
/// against them for a minute.
#[track_caller]
pub fn wait_within<T>(
    limit: Duration,
    pause: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    let mut last = String::new();
    loop {
        match look() {
            Ok(found) => {
                println!("{:6.2} s  {what}", start.elapsed().as_secs_f64());
                if start.elapsed() > SLOW && !last.is_empty() {
                    println!("          until then: {last:.300}");
                }
                return found;
            }
            Err(seen) if start.elapsed() > limit => {
                panic!("waited in vain for {what}; last: {seen}")
            }
            Err(seen) => {
                last = seen;
                std::thread::sleep(pause)
            }
        }
    }
}

/// `Ok` where it holds, else the words of what does not.
pub fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Says loudly that something cannot be tested here.
pub fn skip(what: &str, why: &str) {
    println!("NOT TESTED: {what}: {why}");
    // Past the harness's capture, so that it is seen on a green run too.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("NOT TESTED: {what}: {why}\n").as_bytes(),
    );
}

/// A JSON string as text.
#[track_caller]
pub fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}
