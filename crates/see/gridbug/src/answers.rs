//! What we answer to GridBug's calls, in GridBug's own JSON. Calls of its that change or
//! stop a node without a key (`/clear`, `/stop`) are not answered.

use crate::core::{GridBug, Moment};
use crate::document::{DOCUMENT_BYTES_MAX, Document, DocumentError};
use andon_model::{LinkState, NodeKind, PictureView, Timestamp};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

/// A call, as the HTTP server received it.
#[derive(Debug, Clone)]
pub struct GridBugRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// Path; a query is passed over.
    pub path: String,
    /// The `key` header.
    pub key: Option<String>,
    /// The body; the server need not read more than [`DOCUMENT_BYTES_MAX`] and one byte.
    pub body: Bytes,
    /// Who calls.
    pub remote: SocketAddr,
}

/// An answer, for the HTTP server to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridBugAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// Our own grid as GridBug's users see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GridSummary {
    /// Ids of nodes.
    pub nodes: Vec<String>,
    /// Links between them.
    pub links: Vec<SummaryLink>,
}

/// One link of our own grid.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryLink {
    /// Id of the observer.
    pub from: String,
    /// Id of the observed.
    pub to: String,
    /// Whether it carries anything; `None` where that is not known.
    pub alive: Option<bool>,
    /// When it was last judged.
    pub at: Timestamp,
}

impl From<&PictureView> for GridSummary {
    /// The nodes of our own grid and the links between them. Bugs and targets are left out:
    /// the bugs are shown from what we know of them here.
    fn from(picture: &PictureView) -> Self {
        let ours = |node: &&andon_model::NodeView| node.kind == NodeKind::Andon;
        let nodes: BTreeSet<&str> = picture
            .nodes
            .iter()
            .filter(ours)
            .map(|node| node.id.as_str())
            .collect();
        let links = picture.links.iter().filter(|link| {
            let probed = !matches!(link.state, LinkState::NotProbed | LinkState::Left);
            probed && nodes.contains(link.from.as_str()) && nodes.contains(link.to.as_str())
        });
        let links = links.map(|link| SummaryLink {
            from: link.from.to_string(),
            to: link.to.to_string(),
            alive: match link.state {
                LinkState::Up | LinkState::Partial | LinkState::Degraded => Some(true),
                LinkState::Down => Some(false),
                LinkState::Unknown | LinkState::NotProbed | LinkState::Left => None,
            },
            at: picture.generated_at,
        });
        Self {
            links: links.collect(),
            nodes: nodes.into_iter().map(str::to_owned).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Edge {
    id: String,
    source: String,
    target: String,
    alive: Option<bool>,
    color: &'static str,
    ts: f64,
}

/// Whether a path is one of GridBug's calls; for the server that shares its port with us.
pub fn is_gridbug_path(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    matches!(
        path,
        "/ping"
            | "/bugs"
            | "/gridbugs.json"
            | "/post"
            | "/graph"
            | "/raw"
            | "/stats"
            | "/time"
            | "/text"
    )
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl GridBug {
    /// Answers a call. The neighbours may change by a view posted with the right key; the
    /// second value says whether they did.
    pub fn respond(&mut self, at: Moment, request: &GridBugRequest) -> (GridBugAnswer, bool) {
        let path = request.path.split('?').next().unwrap_or_default();
        let (answer, changed) = match (request.method.as_str(), path) {
            ("POST", "/post") => self.take_post(at, request),
            ("GET" | "HEAD", path) => (self.get(at, path), false),
            _ => (refusal(405, "GET, or POST to /post"), false),
        };
        let refused = answer.status >= 400;
        self.counters.refused += u64::from(refused);
        self.counters.gets += u64::from(!refused && request.method != "POST");
        self.counters.posts += u64::from(!refused && request.method == "POST");
        (answer, changed)
    }

    fn get(&self, at: Moment, path: &str) -> GridBugAnswer {
        match path {
            "/ping" => ok(&json!({"status": "OK"})),
            "/bugs" | "/gridbugs.json" => GridBugAnswer {
                status: 200,
                content_type: JSON,
                body: self.document().write().into(),
            },
            "/graph" => {
                let (nodes, edges) = self.graph(at);
                let wrap = |data: Value| json!({ "data": data });
                let nodes: Vec<_> = nodes
                    .into_iter()
                    .map(|id| wrap(json!({ "id": id })))
                    .collect();
                let edges: Vec<_> = edges
                    .into_iter()
                    .map(|edge| json!({ "data": edge }))
                    .collect();
                ok(&json!({"nodes": nodes, "edges": edges}))
            }
            "/raw" => {
                let (nodes, edges) = self.graph(at);
                ok(&json!({"nodes": nodes, "edges": edges}))
            }
            "/stats" => ok(&self.stats(at)),
            "/time" => {
                let utc = at.utc.to_string();
                ok(&json!({"local_time": utc, "ts": seconds(at.utc), "utc": utc}))
            }
            "/text" => GridBugAnswer {
                status: 200,
                content_type: TEXT,
                body: self.text(at).into_bytes().into(),
            },
            _ => refusal(404, "no such call"),
        }
    }

    fn take_post(&mut self, at: Moment, request: &GridBugRequest) -> (GridBugAnswer, bool) {
        if request.body.len() > DOCUMENT_BYTES_MAX {
            return (
                refusal(
                    413,
                    "the payload is too large: at most 262144 bytes are taken",
                ),
                false,
            );
        }
        let key = request.key.as_deref().unwrap_or_default();
        let right_key = !self.config.key.is_empty()
            && bool::from(key.as_bytes().ct_eq(self.config.key.as_bytes()));
        if !right_key {
            tracing::warn!(remote = %request.remote.ip(), "gridbug post with a wrong key");
            return (
                refusal(
                    401,
                    "the header \"key\" does not hold this grid's GRIDKEY; nothing was taken",
                ),
                false,
            );
        }
        match Document::read(&request.body) {
            Ok(reading) => {
                let changed = self.posted(at, reading);
                (ok(&json!({"status": "OK"})), changed)
            }
            Err(error @ DocumentError::TooLarge) => (refusal(413, &error.to_string()), false),
            Err(error) => (refusal(400, &error.to_string()), false),
        }
    }

    /// Nodes and edges: what we observe of bugs, what bugs report of others, our own grid.
    fn graph(&self, at: Moment) -> (BTreeSet<String>, Vec<Edge>) {
        let me = &self.config.id;
        let mut nodes = BTreeSet::from([me.clone()]);
        let mut edges = Vec::new();
        for bug in self.view() {
            nodes.insert(bug.id.clone());
            edges.push(edge(me, &bug.id, bug.alive, at.utc));
            for (seen, alive) in bug.sees {
                nodes.insert(seen.clone());
                // What a bug that is not reached reports is old.
                let alive = if bug.alive == Some(false) {
                    None
                } else {
                    alive
                };
                edges.push(edge(&bug.id, &seen, alive, at.utc));
            }
        }
        nodes.extend(self.grid.nodes.iter().cloned());
        edges.extend(
            self.grid
                .links
                .iter()
                .map(|link| edge(&link.from, &link.to, link.alive, link.at)),
        );
        (nodes, edges)
    }

    fn stats(&self, at: Moment) -> Value {
        let counters = self.counters;
        json!({
            "GridBug": self.config.build, "node_id": self.config.id,
            "gets": counters.gets, "posts": counters.posts, "errors": counters.refused,
            "timeout": counters.pings_failed, "poll": counters.polls, "uri": {},
            "ts": whole_seconds(at.utc), "start": whole_seconds(self.started.utc), "clear": whole_seconds(self.started.utc),
        })
    }

    fn text(&self, at: Moment) -> String {
        let mut text = format!(
            "Andon {} as GridBug node {}\n\n",
            self.config.build, self.config.id
        );
        for bug in self.view() {
            let alive = match bug.alive {
                Some(true) => "alive",
                Some(false) => "silent",
                None => "not polled yet",
            };
            text.push_str(&format!("{:<32} {:<32} {alive}\n", bug.id, bug.host));
        }
        text.push_str(&format!("\n{}\n", at.utc));
        text
    }
}

fn edge(source: &str, target: &str, alive: Option<bool>, at: Timestamp) -> Edge {
    let color = match alive {
        Some(true) => "green",
        Some(false) => "red",
        None => "gray",
    };
    Edge {
        id: format!("{source}.{target}"),
        source: source.to_owned(),
        target: target.to_owned(),
        alive,
        color,
        ts: seconds(at),
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e6
}

fn whole_seconds(at: Timestamp) -> i64 {
    at.0 / 1_000_000
}

fn ok(value: &Value) -> GridBugAnswer {
    GridBugAnswer {
        status: 200,
        content_type: JSON,
        body: value.to_string().into_bytes().into(),
    }
}

fn refusal(status: u16, why: &str) -> GridBugAnswer {
    let body = json!({"status": "Error", "error": why})
        .to_string()
        .into_bytes();
    GridBugAnswer {
        status,
        content_type: JSON,
        body: body.into(),
    }
}
