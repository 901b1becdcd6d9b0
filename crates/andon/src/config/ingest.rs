//! `[ingest]`: what a node takes in by itself: files, the journal, listeners, targets that
//! expose metrics, and this machine. The tables are those of `andon-ingest`'s own description.

use super::problem::{Origin, Problem, Source, Spot};
use andon_ingest::inputs::{ListenInput, Speaks};
use andon_ingest::{Inputs, InputsConfig};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeTable;

/// Tables within `[ingest]`.
pub const TABLES: [&str; 5] = ["listen", "files", "journal", "scrape", "system"];

/// One of each table, for the sample.
pub const SAMPLE: &str = r#"
# Files that grow, through rotation and truncation. Lines are understood whatever their format
# (JSON, logfmt, access logs, syslog, Andon's own); stack traces stay together.
#[[ingest.files]]
#paths = ["/var/log/nginx/*.log"]
#dataset = "logs"
#attributes = { "service.name" = "nginx" }

# Listeners. speaks: syslog, statsd, graphite, fluent, http, otlp_grpc or lines; transport:
# udp, tcp or tls (with the node's certificate).
#[[ingest.listen]]
#speaks = "syslog"
#transport = "udp"
#address = "127.0.0.1:1514"

# The systemd journal.
#[ingest.journal]
#dataset = "logs"

# Targets that expose metrics for Prometheus.
#[[ingest.scrape]]
#url = "http://127.0.0.1:9100/metrics"
#every_s = 15

# This machine: CPU, memory, disks, network, processes, cgroups, OOM kills.
#[ingest.system]
#enabled = true
#every_s = 10
"#;

/// What is taken in.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Whoever is on this machine may send without a token.
    pub loopback_may_send: bool,
    /// Files, listeners, targets, this machine.
    pub inputs: InputsConfig,
}

/// Reads the tables; what is wrong in them goes to `problems`, with its place.
pub fn read(
    entries: &DeTable<'_>,
    span: Range<usize>,
    source: &Arc<Source>,
    problems: &mut Vec<Problem>,
) -> InputsConfig {
    let mut tables = DeTable::new();
    for (key, value) in entries {
        if TABLES.contains(&key.get_ref().as_ref()) {
            tables.insert(key.clone(), value.clone());
        }
    }
    let origin = |span: Range<usize>| {
        Origin::File(Spot {
            source: Arc::clone(source),
            start: span.start,
            end: span.end,
        })
    };
    let help = "`andon config sample` shows one of each table, docs/events.md says more";
    let whole = Spanned::new(span.clone(), tables);
    match InputsConfig::deserialize(toml::de::Deserializer::from(whole)) {
        Ok(inputs) => {
            if let Err(error) = Inputs::check(&inputs) {
                problems.push(Problem::new(error.to_string(), origin(span), help));
            }
            inputs
        }
        Err(error) => {
            let what = format!("in [ingest]: {}", error.message().replace('\n', ", "));
            let span = error.span().unwrap_or(span);
            problems.push(Problem::new(what, origin(span), help));
            InputsConfig::default()
        }
    }
}

/// An address, or `off`.
pub fn otlp(text: &str) -> Result<Option<IpAddr>, String> {
    match text {
        "off" => Ok(None),
        text => match text.parse() {
            Ok(ip) => Ok(Some(ip)),
            Err(_) => Err("an address of this machine such as 127.0.0.1, or off".to_owned()),
        },
    }
}

/// Adds OpenTelemetry's own ports.
pub fn with_otlp(mut inputs: InputsConfig, otlp: Option<IpAddr>) -> InputsConfig {
    let Some(ip) = otlp else { return inputs };
    for (speaks, port) in [(Speaks::OtlpGrpc, 4317), (Speaks::Http, 4318)] {
        let address = SocketAddr::new(ip, port).to_string();
        let listen = serde_json::json!({"speaks": speaks, "address": address});
        // Written as the configuration writes it, so that everything else is as usual.
        inputs
            .listen
            .extend(serde_json::from_value::<ListenInput>(listen).ok());
    }
    inputs
}
