//! `/metrics`: Prometheus' text format, or OpenMetrics 1.0 for who asks for it. Links are those
//! that this node observes, so that scraping every node gives each link once.

use crate::error::ApiError;
use crate::gate::Caller;
use crate::nats::{NatsFigures, Way, WayFigures};
use crate::process::Process;
use crate::shared::Shared;
use crate::sources::StatKind;
use crate::{access, access::Role};
use andon_model::{Incident, IncidentState, LinkState, LinkView, NodeState, PictureView, Severity};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderMap};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How the figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    /// Prometheus' own text format, which every scraper reads.
    #[default]
    Text,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>, which differs in how families
    /// are named and in that a page cut short is recognised.
    OpenMetrics,
}

impl Format {
    /// What the `Accept` headers want: OpenMetrics where it is named and plain text is not
    /// liked better. A wildcard gets plain text: it comes from people and from `curl`.
    fn wanted(headers: &HeaderMap) -> Self {
        let (mut text, mut open) = (0.0, 0.0_f32);
        let accepted = headers.get_all(header::ACCEPT).iter();
        let ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, "1.0.0");
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match media_type.as_str() {
                "application/openmetrics-text" if version == "1.0.0" => open = open.max(quality),
                "text/plain" => text = f32::max(text, quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The name of a family whose samples have the name `sample`, and its type.
    fn family<'a>(self, sample: &'a str, kind: &'a str) -> (&'a str, &'a str) {
        if self == Self::Text {
            return (sample, kind);
        }
        match kind {
            // A counter's samples end in `_total`, an info's in `_info`; their families do not.
            "counter" => match sample.strip_suffix("_total") {
                Some(family) => (family, kind),
                None => (sample, "unknown"),
            },
            "gauge" => sample
                .strip_suffix("_info")
                .map_or((sample, kind), |family| (family, "info")),
            _ => (sample, kind),
        }
    }
}

/// For `crate::fuzz`.
pub(crate) fn fuzz(headers: &HeaderMap) {
    let _ = Format::wanted(headers);
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text format, or OpenMetrics 1.0 where Accept asks for it", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let format = Format::wanted(&headers);
    let head = [
        (header::CONTENT_TYPE, format.media_type()),
        (header::VARY, "accept"),
    ];
    Ok((head, render(&shared, format)).into_response())
}

fn render(shared: &Shared, format: Format) -> String {
    let view = shared.view.borrow().clone();
    let mut page = Page {
        format,
        ..Page::default()
    };
    build(&mut page, shared, &view);
    grid(&mut page, &view);
    own_links(&mut page, &view);
    incidents(&mut page, &shared.incidents.borrow());
    http(&mut page, shared);
    node(&mut page, shared);
    history(&mut page, shared);
    events(&mut page, shared);
    process(&mut page);
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
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

/// What comes in and what is kept.
fn events(page: &mut Page, shared: &Shared) {
    let Some(events) = &shared.events else {
        return;
    };
    if let Some(heartbeats) = events.gate.heartbeats() {
        let figures = heartbeats.core().figures();
        page.family(
            "andon_heartbeats",
            "gauge",
            "Heartbeats that this node listens for, by state.",
        );
        for (state, count) in [("beating", figures.beating), ("missing", figures.missing)] {
            page.sample("andon_heartbeats", &[("state", state)], count as u64);
        }
        for (name, help, count) in [
            (
                "andon_heartbeat_beats_total",
                "Heartbeats that came in.",
                figures.beats,
            ),
            (
                "andon_heartbeat_refused_total",
                "Heartbeats not listened for, since there are too many others.",
                figures.refused,
            ),
            (
                "andon_heartbeat_forgotten_total",
                "Heartbeats forgotten after thirty days of silence.",
                figures.forgotten,
            ),
        ] {
            page.family(name, "counter", help);
            page.sample(name, &[], count);
        }
    }
    let figures = events.gate.registry().figures();
    type Figure = fn(&andon_ingest::InputFigures) -> u64;
    let plain: [(&str, &str, Figure); 4] = [
        (
            "andon_ingest_accepted_total",
            "Events that are kept, by input.",
            |figures| figures.accepted,
        ),
        (
            "andon_ingest_bytes_total",
            "Bytes read as they were sent, by input.",
            |figures| figures.bytes,
        ),
        (
            "andon_ingest_connections_total",
            "Connections, requests and files begun, by input.",
            |figures| figures.connections,
        ),
        (
            "andon_ingest_full_total",
            "Times that an input waited for room.",
            |figures| figures.full,
        ),
    ];
    for (name, help, figure) in plain {
        page.family(name, "counter", help);
        for (input, figures) in &figures {
            page.sample(name, &[("input", input)], figure(figures));
        }
    }
    type Reasons = fn(&andon_ingest::InputFigures) -> &BTreeMap<&'static str, u64>;
    let by: [(&str, &str, &str, Reasons); 2] = [
        (
            "andon_ingest_rejected_total",
            "Records left out, by input and reason.",
            "reason",
            |figures| &figures.rejected,
        ),
        (
            "andon_ingest_mended_total",
            "Records changed before they were kept, by input and change.",
            "change",
            |figures| &figures.mended,
        ),
    ];
    for (name, help, label, reasons) in by {
        page.family(name, "counter", help);
        for (input, figures) in &figures {
            for (reason, count) in reasons(figures) {
                page.sample(name, &[("input", input), (label, reason)], count);
            }
        }
    }
    if let Some(spool) = &events.spool {
        queued(page, &spool.report());
        let name = "andon_spool_keeper";
        page.family(
            name,
            "gauge",
            "1 for the keepers that events of this node go to.",
        );
        let lanes = [(Lane::Main, "main"), (Lane::Copy, "copy")];
        for (lane, word) in lanes {
            if let Some(keeper) = spool.keeper(lane) {
                page.sample(name, &[("lane", word), ("keeper", &keeper)], 1);
            }
        }
        let name = "andon_spool_stores_lost_total";
        page.family(
            name,
            "counter",
            "How often a keeper that events of this node go to had lost its store.",
        );
        for (lane, word) in lanes {
            page.sample(name, &[("lane", word)], spool.stores_lost(lane));
        }
    }
    if let Some(nats) = &events.nats {
        over_nats(page, nats);
    }
    if let Some(store) = &events.store {
        stored(page, &store.stats());
    }
}

fn over_nats(page: &mut Page, figures: &NatsFigures) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let is = |flag: &AtomicBool| u64::from(flag.load(Ordering::Relaxed));
    type Figure = fn(&WayFigures) -> &AtomicU64;
    let counters: [(&str, &str, Figure); 5] = [
        (
            "andon_nats_failures_total",
            "Times that a connection to NATS broke down or was refused.",
            |way| &way.failures,
        ),
        (
            "andon_nats_messages_total",
            "Messages that JetStream acknowledged, or that were taken from it.",
            |way| &way.messages,
        ),
        (
            "andon_nats_bytes_total",
            "Bytes of these messages, sealed.",
            |way| &way.bytes,
        ),
        (
            "andon_nats_events_total",
            "Events in these messages.",
            |way| &way.events,
        ),
        (
            "andon_nats_repeated_total",
            "Messages that JetStream had already.",
            |way| &way.repeated,
        ),
    ];
    let used = Way::ALL.map(|way| (way, figures.of(way)));
    let used = used.iter().filter(|(_, of)| is(&of.is_used) == 1);
    let name = "andon_nats_connected";
    page.family(
        name,
        "gauge",
        "1 while a connection to NATS is up: main and copy send events, take brings them to this keeper.",
    );
    for (way, of) in used.clone() {
        page.sample(name, &[("way", way.word())], is(&of.is_connected));
    }
    for (name, help, figure) in counters {
        page.family(name, "counter", help);
        for (way, of) in used.clone() {
            page.sample(name, &[("way", way.word())], read(figure(of)));
        }
    }
    if is(&figures.of(Way::Take).is_used) == 0 {
        return;
    }
    let name = "andon_nats_waiting";
    page.family(
        name,
        "gauge",
        "Messages that wait on JetStream for this keeper.",
    );
    page.sample(name, &[], read(&figures.waiting));
    let name = "andon_nats_missing_total";
    page.family(
        name,
        "counter",
        "Messages for this keeper that were lost between JetStream's word and here.",
    );
    page.sample(name, &[], read(&figures.missing));
    let name = "andon_nats_refused_total";
    page.family(
        name,
        "counter",
        "Messages that this keeper did not take, by reason.",
    );
    for (reason, count) in figures.refused() {
        page.sample(name, &[("reason", reason)], count);
    }
}

use andon_spool::Lane;

fn queued(page: &mut Page, streams: &[andon_spool::StreamReport]) {
    type Figure = fn(&andon_spool::StreamReport) -> u64;
    let plain: [(&str, &str, &str, Figure); 6] = [
        (
            "andon_spool_events",
            "gauge",
            "Events that wait for a keeper, by stream.",
            |stream| stream.events,
        ),
        (
            "andon_spool_bytes",
            "gauge",
            "Bytes of them on disk.",
            |stream| stream.bytes,
        ),
        (
            "andon_spool_bytes_max",
            "gauge",
            "Bytes that a stream may take.",
            |stream| stream.bytes_max,
        ),
        (
            "andon_spool_queued_total",
            "counter",
            "Events queued for a keeper.",
            |stream| stream.pushed,
        ),
        (
            "andon_spool_arrived_total",
            "counter",
            "Events that a keeper has.",
            |stream| stream.arrived,
        ),
        (
            "andon_spool_waited_total",
            "counter",
            "Events whose senders were asked to wait.",
            |stream| stream.refused,
        ),
    ];
    for (name, kind, help, figure) in plain {
        page.family(name, kind, help);
        for stream in streams {
            page.sample(name, &[("stream", &stream.stream)], figure(stream));
        }
    }
    let name = "andon_spool_copies";
    page.family(
        name,
        "gauge",
        "Events that wait for the keeper of the copies.",
    );
    for stream in streams {
        page.sample(name, &[("stream", &stream.stream)], stream.copies);
    }
    let name = "andon_spool_kept_once_total";
    page.family(
        name,
        "counter",
        "Events that one of two keepers has and the other will never get.",
    );
    for stream in streams {
        page.sample(name, &[("stream", &stream.stream)], stream.kept_once);
    }
    let name = "andon_spool_dropped_total";
    page.family(
        name,
        "counter",
        "Events that are lost, by stream and reason.",
    );
    for stream in streams {
        for (reason, count) in &stream.dropped {
            page.sample(
                name,
                &[("stream", &stream.stream), ("reason", reason)],
                count,
            );
        }
    }
}

fn stored(page: &mut Page, stats: &andon_store::StoreStats) {
    let counters = [
        (
            "andon_store_rows_total",
            "Events stored.",
            stats.rows_stored,
        ),
        (
            "andon_store_repeated_total",
            "Events that came again and were not stored twice.",
            stats.rows_repeated,
        ),
        (
            "andon_store_refused_total",
            "Events refused, as the disk was full or failed.",
            stats.rows_refused,
        ),
        (
            "andon_store_expired_total",
            "Events that went by age or size.",
            stats.rows_expired,
        ),
        (
            "andon_store_queries_total",
            "Questions that the store answered.",
            stats.queries,
        ),
        (
            "andon_store_warm_hits_total",
            "Columns of blocks that a question found in memory.",
            stats.warm_hits,
        ),
        (
            "andon_store_warm_misses_total",
            "Columns of blocks that a question had to read.",
            stats.warm_misses,
        ),
    ];
    for (name, help, value) in counters {
        page.single(name, "counter", help, Some(value));
    }
    let gauges = [
        (
            "andon_store_rows",
            "Events held.",
            stats.rows_sealed + stats.rows_unsealed,
        ),
        (
            "andon_store_bytes",
            "Bytes of segments on disk.",
            stats.bytes_sealed,
        ),
        (
            "andon_store_memory_bytes",
            "Memory of events that are not sealed yet, about.",
            stats.bytes_unsealed,
        ),
        (
            "andon_store_warm_bytes",
            "Memory of columns kept between questions, about.",
            stats.bytes_warm,
        ),
        ("andon_store_segments", "Segments.", stats.segments),
        (
            "andon_store_segments_damaged",
            "Segments that are damaged and left out of answers.",
            stats.segments_damaged,
        ),
    ];
    for (name, help, value) in gauges {
        page.single(name, "gauge", help, Some(value));
    }
}

fn incidents(page: &mut Page, incidents: &[Incident]) {
    let severities = [Severity::Minor, Severity::Major, Severity::Critical];
    let mut open: BTreeMap<String, u64> = severities.map(|severity| (word(&severity), 0)).into();
    incidents
        .iter()
        .filter(|incident| incident.state == IncidentState::Open)
        .for_each(|incident| *open.entry(word(&incident.severity)).or_default() += 1);
    page.table(
        "andon_incidents_open",
        "Incidents that are open, by severity.",
        "severity",
        &open,
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
    page.single(
        "andon_tls_certificate_expiry_timestamp_seconds",
        "gauge",
        "When this node's own certificate ends, since 1970.",
        shared.certificate_ends,
    );
    page.family(
        "andon_http_connections_open",
        "gauge",
        "TCP connections held by the API.",
    );
    page.sample("andon_http_connections_open", &[], shared.slots.open());
    page.family("andon_http_streams_open", "gauge", "Event streams open.");
    page.sample("andon_http_streams_open", &[], shared.hub.open());
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

fn history(page: &mut Page, shared: &Shared) {
    let Some(reader) = &shared.history else {
        return;
    };
    let stats = reader.stats();
    let gauges = [
        (
            "andon_history_bytes",
            "Bytes of history on disk.",
            stats.bytes,
        ),
        (
            "andon_history_segments",
            "Segments of history on disk.",
            stats.segments,
        ),
        (
            "andon_history_paused",
            "1 while the history cannot be written: the disk is full or broken.",
            stats.paused.into(),
        ),
    ];
    let counters = [
        (
            "andon_history_records_total",
            "Records of history written.",
            stats.records_total,
        ),
        (
            "andon_history_written_bytes_total",
            "Bytes of history written, before compression.",
            stats.written_bytes_total,
        ),
        (
            "andon_history_write_errors_total",
            "Writes of history that failed, and attempts on a full disk.",
            stats.write_errors_total,
        ),
        (
            "andon_history_set_aside_total",
            "Segments of history that could not be read and were set aside.",
            stats.set_aside_total,
        ),
        (
            "andon_history_retired_total",
            "Segments of history deleted for their age or for room.",
            stats.retired_total,
        ),
        (
            "andon_history_left_out_total",
            "Records of history left out for their size.",
            stats.too_large_total,
        ),
    ];
    for (name, help, value) in gauges {
        page.single(name, "gauge", help, Some(value));
    }
    for (name, help, value) in counters {
        page.single(name, "counter", help, Some(value));
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
    format: Format,
    text: String,
    /// A family twice would make the whole page unreadable.
    seen: BTreeMap<String, ()>,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.seen.insert(name.to_owned(), ());
        let (family, kind) = self.format.family(name, kind);
        let mut help = help.replace('\\', "\\\\").replace('\n', " ");
        if self.format == Format::OpenMetrics {
            help = help.replace('"', "\\\"");
        }
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[track_caller]
    fn check(accept: &'static str, expected: Format) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(Format::wanted(&headers), expected, "{accept}");
    }

    #[test]
    fn who_names_openmetrics_gets_it_and_all_others_get_text() {
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Text);
        check("*/*", Format::Text);
        check("", Format::Text);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text);
        check("text/plain;version=0.0.4", Format::Text);
        check("application/openmetrics-text", Format::OpenMetrics);
        check(
            "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics,
        );
        // As Prometheus 2 and 3 ask.
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        );
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1",
            Format::OpenMetrics,
        );
        check(
            "text/plain;q=0.9,application/openmetrics-text;q=0.5",
            Format::Text,
        );
        check("application/openmetrics-text;q=0", Format::Text);
        check("application/openmetrics-text;q=rubbish", Format::Text);
        check("application/openmetrics-text;version=0.0.1", Format::Text);
        check("application/openmetrics-text;;=;q;=,", Format::OpenMetrics);
    }
}
