//! `/metrics`: Prometheus' text format. Links are those that this node observes, so that
//! scraping every node gives each link once.

use crate::error::ApiError;
use crate::gate::Caller;
use crate::process::Process;
use crate::shared::Shared;
use crate::sources::StatKind;
use crate::{access, access::Role};
use andon_model::{LinkState, LinkView, NodeState, PictureView};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], render(&shared)).into_response())
}

fn render(shared: &Shared) -> String {
    let view = shared.view.borrow().clone();
    let mut page = Page::default();
    build(&mut page, shared, &view);
    grid(&mut page, &view);
    own_links(&mut page, &view);
    http(&mut page, shared);
    node(&mut page, shared);
    process(&mut page);
    page.text
}

fn build(page: &mut Page, shared: &Shared, view: &PictureView) {
    page.family(
        "andon_build_info",
        "gauge",
        "Version of the program; always 1.",
    );
    let config = &shared.config;
    let labels = [
        ("version", config.version.as_str()),
        ("node", &config.id),
        ("site", &config.site),
    ];
    page.sample("andon_build_info", &labels, 1);
    page.family(
        "andon_picture_digest_info",
        "gauge",
        "Digest of the picture, equal on nodes that agree; always 1.",
    );
    page.sample(
        "andon_picture_digest_info",
        &[("digest", &view.digest.to_string())],
        1,
    );
    page.family(
        "andon_picture_timestamp_seconds",
        "gauge",
        "When the picture was last derived, since 1970.",
    );
    page.sample(
        "andon_picture_timestamp_seconds",
        &[],
        view.generated_at.0 as f64 / 1e6,
    );
}

fn grid(page: &mut Page, view: &PictureView) {
    let mut nodes: BTreeMap<String, u64> = [
        NodeState::Up,
        NodeState::Suspect,
        NodeState::Down,
        NodeState::Left,
    ]
    .map(|state| (word(&state), 0))
    .into();
    view.nodes
        .iter()
        .for_each(|node| *nodes.entry(word(&node.state)).or_default() += 1);
    page.table(
        "andon_nodes",
        "Nodes, neighbours and targets in the picture, by state.",
        "state",
        &nodes,
    );
    let mut links: BTreeMap<String, u64> = LINK_STATES.map(|state| (word(&state), 0)).into();
    view.links
        .iter()
        .for_each(|link| *links.entry(word(&link.state)).or_default() += 1);
    page.table(
        "andon_links",
        "Directed links in the picture, by state.",
        "state",
        &links,
    );
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    view.verdicts
        .iter()
        .for_each(|verdict| *verdicts.entry(word(&verdict.kind)).or_default() += 1);
    page.table(
        "andon_verdicts",
        "Verdicts that stand, by kind.",
        "kind",
        &verdicts,
    );
}

const LINK_STATES: [LinkState; 7] = [
    LinkState::Up,
    LinkState::Partial,
    LinkState::Degraded,
    LinkState::Down,
    LinkState::Unknown,
    LinkState::NotProbed,
    LinkState::Left,
];

fn own_links(page: &mut Page, view: &PictureView) {
    let own: Vec<&LinkView> = view
        .links
        .iter()
        .filter(|link| link.from == view.me)
        .collect();
    page.family(
        "andon_link_state",
        "gauge",
        "1 for the state that a link of this node is in, else 0.",
    );
    for link in &own {
        for state in LINK_STATES {
            let labels = [
                ("from", link.from.as_str()),
                ("to", &link.to),
                ("state", &word(&state)),
            ];
            page.sample("andon_link_state", &labels, u8::from(link.state == state));
        }
    }
    page.family(
        "andon_link_rtt_seconds",
        "summary",
        "Round-trip time of a link over 30 s.",
    );
    for link in &own {
        for (quantile, rtt_us) in [("0.5", link.rtt_us.p50), ("0.99", link.rtt_us.p99)] {
            let labels = [
                ("from", link.from.as_str()),
                ("to", &link.to),
                ("quantile", quantile),
            ];
            rtt_us.inspect(|rtt_us| {
                page.sample("andon_link_rtt_seconds", &labels, f64::from(*rtt_us) / 1e6)
            });
        }
    }
    page.family(
        "andon_link_loss_ratio",
        "gauge",
        "Share of packets lost on a link over 30 s, each way.",
    );
    for link in &own {
        for (direction, loss) in [
            ("forward", link.loss.forward),
            ("return", link.loss.return_),
        ] {
            let labels = [
                ("from", link.from.as_str()),
                ("to", &link.to),
                ("direction", direction),
            ];
            loss.inspect(|loss| page.sample("andon_link_loss_ratio", &labels, loss));
        }
    }
    page.family(
        "andon_link_flows",
        "gauge",
        "Flows of a link, by whether they answer.",
    );
    for link in &own {
        let silent = link.flows.total.saturating_sub(link.flows.ok);
        for (answer, flows) in [("yes", link.flows.ok), ("no", silent)] {
            let labels = [
                ("from", link.from.as_str()),
                ("to", &link.to),
                ("answering", answer),
            ];
            page.sample("andon_link_flows", &labels, flows);
        }
    }
}

fn http(page: &mut Page, shared: &Shared) {
    for (name, help, value) in shared.counters.all() {
        page.family(name, "counter", help);
        page.sample(name, &[], value);
    }
    page.family(
        "andon_http_connections",
        "gauge",
        "TCP connections held by the API.",
    );
    page.sample("andon_http_connections", &[], shared.slots.open());
    page.family("andon_http_streams", "gauge", "Event streams open.");
    page.sample("andon_http_streams", &[], shared.hub.open());
    page.family(
        "andon_uptime_seconds",
        "gauge",
        "Time since the API started.",
    );
    page.sample(
        "andon_uptime_seconds",
        &[],
        shared.started.elapsed().as_secs_f64(),
    );
}

/// Figures of the other parts of the node; a name that would break the page is left out.
fn node(page: &mut Page, shared: &Shared) {
    let mut last = "";
    for (name, stat) in shared.stats.borrow().iter() {
        let (family, labels) = name.split_at(name.find('{').unwrap_or(name.len()));
        let named = family
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
        if !named
            || family.is_empty()
            || labels.contains('\n')
            || page.seen.contains_key(family) && family != last
        {
            continue;
        }
        if family != last {
            let kind = match stat.kind {
                StatKind::Counter => "counter",
                StatKind::Gauge => "gauge",
            };
            page.family(family, kind, stat.help);
            last = family;
        }
        let _ = writeln!(page.text, "{name} {}", stat.value);
    }
}

fn process(page: &mut Page) {
    let process = Process::now();
    page.single(
        "process_cpu_seconds_total",
        "counter",
        "Processor time used.",
        process.cpu_seconds,
    );
    page.single(
        "process_resident_memory_bytes",
        "gauge",
        "Memory held.",
        process.resident_bytes,
    );
    page.single(
        "process_open_fds",
        "gauge",
        "File descriptors open.",
        process.open_fds,
    );
    page.single(
        "process_max_fds",
        "gauge",
        "File descriptors allowed.",
        process.max_fds,
    );
    page.single("process_threads", "gauge", "Threads.", process.threads);
    page.single(
        "process_time_seconds",
        "gauge",
        "The node's clock, since 1970.",
        Some(access::now().0 as f64 / 1e6),
    );
}

#[derive(Default)]
struct Page {
    text: String,
    /// A family twice would make the whole page unreadable.
    seen: BTreeMap<String, ()>,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.seen.insert(name.to_owned(), ());
        let help = help.replace('\\', "\\\\").replace('\n', " ");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(name, kind, help);
            self.sample(name, &[], value);
        }
    }

    fn table(&mut self, name: &str, help: &str, label: &str, rows: &BTreeMap<String, u64>) {
        self.family(name, "gauge", help);
        for (key, count) in rows {
            self.sample(name, &[(label, key)], count);
        }
    }
}

/// An enum's name in JSON, which is its name here too.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
