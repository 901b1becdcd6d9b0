//! Inputs in front of a sink in memory, and real clients as processes.
#![allow(dead_code)]

use andon_ingest::inputs::{ListenInput, Speaks, Transport};
use andon_ingest::sink::Accepting;
use andon_ingest::{Batch, Gate, Inputs, InputsConfig, RunningInputs, Sink, SinkError};
use andon_model::event::Event;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Keeps what it is given, and is full on demand.
#[derive(Default)]
pub struct Kept {
    pub batches: Mutex<Vec<Batch>>,
    pub is_full: AtomicBool,
}

impl Sink for Kept {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        Box::pin(async move {
            if self.is_full.load(Ordering::SeqCst) {
                let retry_after = Duration::from_millis(50);
                return Err(SinkError::Full { retry_after });
            }
            self.batches.lock().unwrap().push(batch.clone());
            Ok(())
        })
    }
}

pub struct World {
    pub kept: Arc<Kept>,
    pub gate: Arc<Gate>,
    pub addresses: Vec<SocketAddr>,
    pub folder: PathBuf,
    cancel: CancellationToken,
    running: Option<RunningInputs>,
}

pub fn listen(speaks: Speaks, transport: Transport) -> ListenInput {
    ListenInput {
        speaks,
        transport: Some(transport),
        address: ([127, 0, 0, 1], 0).into(),
        dataset: None,
        token: None,
        format: Default::default(),
    }
}

/// Only listeners, nothing of the machine.
pub fn listening(inputs: Vec<ListenInput>) -> InputsConfig {
    let mut config = InputsConfig {
        listen: inputs,
        ..InputsConfig::default()
    };
    config.system.enabled = false;
    config
}

impl World {
    pub async fn start(name: &str, config: impl FnOnce(&Path) -> InputsConfig) -> Self {
        Self::start_with(name, config, |inputs| inputs).await
    }

    pub async fn start_with(
        name: &str,
        config: impl FnOnce(&Path) -> InputsConfig,
        with: impl FnOnce(Inputs) -> Inputs,
    ) -> Self {
        let folder =
            std::env::temp_dir().join(format!("andon-ingest-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let kept = Arc::new(Kept::default());
        let gate = Arc::new(Gate::new(kept.clone(), None, None));
        let cancel = CancellationToken::new();
        let inputs = with(Inputs::new(
            config(&folder),
            gate.clone(),
            &folder,
            "test-host",
        ));
        let running = inputs.start(cancel.clone()).await.unwrap();
        Self {
            kept,
            gate,
            addresses: running.addresses(),
            folder,
            cancel,
            running: Some(running),
        }
    }

    pub fn port(&self, place: usize) -> String {
        self.addresses[place].port().to_string()
    }

    pub fn events(&self) -> Vec<Event> {
        let batches = self.kept.batches.lock().unwrap();
        batches
            .iter()
            .flat_map(|batch| batch.events.clone())
            .collect()
    }

    /// Waits until an event is there of which this is true.
    pub async fn wait(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let started = Instant::now();
        loop {
            if let Some(event) = self.events().into_iter().find(&is_it) {
                return event;
            }
            if started.elapsed() > Duration::from_secs(30) {
                let events = self.events();
                let shown: Vec<_> = events.iter().take(20).collect();
                panic!(
                    "never came: {what}; there are {}: {shown:#?}; {:?}",
                    events.len(),
                    self.gate.registry().figures()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for an event that has these attributes.
    pub async fn expect(&self, attributes: &[(&str, &str)]) -> Event {
        self.wait(&format!("{attributes:?}"), |event| {
            attributes
                .iter()
                .all(|(key, value)| text(event, key) == *value)
        })
        .await
    }

    pub async fn end(mut self) {
        self.cancel.cancel();
        if let Some(running) = self.running.take() {
            running.ended().await;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn text(event: &Event, key: &str) -> String {
    event.get(key).map(ToString::to_string).unwrap_or_default()
}

/// The folder that `install_clients.sh` fills.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/clients")
}

/// Whether a program is there; if not, says loudly what is skipped.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("!! SKIPPED {program}: it is not installed (tests/install_clients.sh)");
    }
    found
}

/// Whether a Python module is there; if not, says so.
pub fn has_module(module: &str) -> bool {
    let found = python(&format!("import {module}"), &[]).is_some_and(|out| out.status.success());
    if !found {
        eprintln!("!! SKIPPED Python's {module}: it is not installed (tests/install_clients.sh)");
    }
    found
}

/// Runs a Python script with the clients on its path.
pub fn python(script: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .env("PYTHONPATH", clients())
        .stdin(Stdio::null())
        .output();
    output.ok()
}

/// The same on a thread that may block; it must succeed.
pub async fn run_python(script: &'static str, arguments: &[&str]) {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let running = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        python(script, &arguments).unwrap()
    });
    check(&running.await.unwrap());
}

pub async fn run(program: &str, arguments: &[&str]) -> Output {
    let program = program.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let running = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let output = running.await.unwrap();
    check(&output);
    output
}

fn check(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// A process that is ended with the test.
pub struct Running(pub std::process::Child);

impl Running {
    pub fn start(program: &str, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env("PYTHONPATH", clients())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(3) {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago, below those that the system gives to connections.
pub fn free_port() -> u16 {
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
