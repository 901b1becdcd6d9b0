//! What the nodes say: a thread per node, in its namespace, asks for its picture and incidents
//! again and again, as anyone on that host could.

pub mod http;

use crate::world::LabError;
use crate::world::netns::Netns;
use crate::world::nodes::PORT;
use andon_model::{Incident, PictureView};
use http::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks at a node's picture: what a measured time may be wrong by.
pub const EVERY: Duration = Duration::from_millis(100);
/// Incidents are asked for once in so many looks.
const INCIDENTS_EVERY: u32 = 3;
/// For one answer. A frozen node gives none.
const TIMEOUT: Duration = Duration::from_secs(2);
/// News that wait for the director: a few seconds of all nodes.
pub const WAITING_MAX: usize = 4_096;

/// What one look found.
#[derive(Debug)]
pub struct Heard {
    /// Which node, by place in the scenario.
    pub node: usize,
    /// When the answer had come.
    pub at: Instant,
    /// What it said.
    pub what: Said,
}

/// What a node said.
#[derive(Debug)]
pub enum Said {
    /// Its picture changed.
    Picture(Box<PictureView>),
    /// All its incidents.
    Incidents(Vec<Incident>),
    /// It knows no incidents at all: an older version.
    NoIncidents,
    /// It does not answer.
    Nothing(String),
}

/// A thread that watches one node until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch.
    pub fn start(node: usize, netns: &Netns, sink: SyncSender<Heard>) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, netns) = (Arc::clone(&stop), netns.clone());
        let watch = move || {
            if let Err(error) = netns.enter() {
                tell(&sink, node, Said::Nothing(error.to_string()));
                return;
            }
            let mut eye = Eye::default();
            while !asked.load(Ordering::Relaxed) {
                let began = Instant::now();
                for said in eye.look() {
                    tell(&sink, node, said);
                }
                std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("watch {node}"))
            .spawn(watch)
            .map_err(LabError::io("start a watcher"))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A director that does not listen any more ends soon; nobody waits for it.
fn tell(sink: &SyncSender<Heard>, node: usize, what: Said) {
    let _ = sink.try_send(Heard {
        node,
        at: Instant::now(),
        what,
    });
}

#[derive(Default)]
struct Eye {
    connection: Option<Connection>,
    picture: Option<String>,
    incidents: Option<String>,
    looks: u32,
    /// Said once, until something else is said.
    silent: bool,
}

impl Eye {
    fn look(&mut self) -> Vec<Said> {
        match self.ask() {
            Ok(news) => {
                self.silent = false;
                news
            }
            Err(error) => {
                let first = !std::mem::replace(&mut self.silent, true);
                *self = Self {
                    silent: true,
                    looks: self.looks,
                    ..Self::default()
                };
                first
                    .then(|| Said::Nothing(error.to_string()))
                    .into_iter()
                    .collect()
            }
        }
    }

    fn ask(&mut self) -> std::io::Result<Vec<Said>> {
        let mut news = Vec::new();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(PORT, TIMEOUT)?),
        };
        let answer = connection.get("/api/v1/picture", self.picture.as_deref())?;
        if answer.status == 200 {
            let view = serde_json::from_slice(&answer.body)?;
            news.push(Said::Picture(Box::new(view)));
            self.picture = answer.etag;
        }
        self.looks += 1;
        if self.looks.is_multiple_of(INCIDENTS_EVERY) {
            let answer = connection.get("/api/v1/incidents", self.incidents.as_deref())?;
            match answer.status {
                200 => {
                    news.push(Said::Incidents(serde_json::from_slice(&answer.body)?));
                    self.incidents = answer.etag;
                }
                404 => news.push(Said::NoIncidents),
                _ => {}
            }
        }
        Ok(news)
    }
}
