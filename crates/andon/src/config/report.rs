//! `andon config check`: what a node would run with, and who said so.

use super::history::write_bytes;
use super::keys::KeyState;
use super::layers::Loaded;
use super::setting::{SETTINGS, Setting};
use super::settings::{Advertise, Copies, NodeSettings};
use super::value::write_duration;
use serde_json::json;
use std::fmt::Write;

/// One line of the report.
struct Row {
    setting: &'static Setting,
    values: Vec<String>,
    origin: String,
}

fn rows(loaded: &Loaded) -> Vec<Row> {
    let mut rows = Vec::new();
    for setting in SETTINGS {
        let given = loaded
            .effective
            .get(setting.key)
            .filter(|given| !given.is_empty());
        if given.is_none()
            && (setting.key == "key"
                || setting.key.starts_with("gridbug")
                || setting.key.starts_with("store.clickhouse")
                || setting.key.starts_with("spool.nats") && loaded.settings.nats.is_none())
        {
            continue;
        }
        let values = match given {
            Some(_) if setting.secret => vec!["(not shown)".to_owned()],
            Some(given) => {
                let text = |given: &super::document::Given| match &given.name {
                    Some(name) => format!("{name}={}", given.text),
                    None => given.text.clone(),
                };
                given.iter().map(text).collect()
            }
            None => default_values(setting.key, loaded),
        };
        let origin = match given {
            Some(given) => origins(given),
            None => "default".to_owned(),
        };
        rows.push(Row {
            setting,
            values,
            origin,
        });
    }
    rows
}

fn origins(given: &[super::document::Given]) -> String {
    let first = given
        .first()
        .map(|given| given.origin.to_string())
        .unwrap_or_default();
    match given.len() {
        0 | 1 => first,
        more => format!("{first} and {} more", more - 1),
    }
}

/// What a setting comes to when nobody said anything.
fn default_values(key: &str, loaded: &Loaded) -> Vec<String> {
    let settings: &NodeSettings = &loaded.settings;
    let one = match key {
        "id" => settings.id.to_string(),
        "site" => settings.site.to_string(),
        "listen" => settings.listen.to_string(),
        "advertise" => match &settings.advertise {
            Advertise::Auto => "auto".into(),
            Advertise::None => "none".into(),
            Advertise::At(addresses) => return addresses.iter().map(ToString::to_string).collect(),
        },
        "key_file" => match &loaded.key {
            KeyState::Found(place) => place.clone(),
            KeyState::ToMake(path) => format!("{} (made at the first start)", path.display()),
        },
        "data_dir" => settings.data_dir.display().to_string(),
        "probe.interval" => write_duration(settings.probe.round),
        "probe.flows" => settings.probe.flows.to_string(),
        "probe.budget_pps" => settings.probe.budget_pps.to_string(),
        "history.enabled" => settings.history.enabled.to_string(),
        "history.keep" => write_duration(settings.history.keep),
        "history.bytes_max" => write_bytes(settings.history.bytes_max),
        "store.keep" => settings.store.keep.to_string(),
        "store.path" => settings
            .store
            .path(&settings.data_dir)
            .display()
            .to_string(),
        "store.age_max" => write_duration(settings.store.retention_default.age_max),
        "store.copies" => match settings.store.copies {
            Copies::One => "1",
            Copies::Two => "2",
        }
        .to_owned(),
        "store.bytes_max" => write_bytes(settings.store.bytes_max),
        "store.warm_bytes_max" => write_bytes(settings.store.warm_bytes_max),
        "spool.bytes_max" => write_bytes(settings.spool.usual.bytes_max),
        "spool.policy" => "block".to_owned(),
        "spool.nats_stream" => super::nats::STREAM_DEFAULT.to_owned(),
        "spool.nats_bytes_max" => write_bytes(super::nats::BYTES_MAX_DEFAULT),
        "spool.nats_replicas" => "1".to_owned(),
        "ingest.loopback" => settings.ingest.loopback_may_send.to_string(),
        "ingest.otlp" => "off".to_owned(),
        "http.loopback_viewer" => settings.loopback_viewer.to_string(),
        _ => return Vec::new(),
    };
    vec![one]
}

/// For people: setting, value, origin in columns.
pub fn text(loaded: &Loaded) -> String {
    let mut text = String::new();
    let rows = rows(loaded);
    let shown = |row: &Row| {
        if row.values.is_empty() {
            "-".to_owned()
        } else {
            row.values.join(", ")
        }
    };
    let key_width = rows
        .iter()
        .map(|row| row.setting.key.len())
        .max()
        .unwrap_or(0);
    let value_width = rows
        .iter()
        .map(|row| shown(row).chars().count())
        .filter(|width| *width <= 44)
        .max()
        .unwrap_or(0);
    for row in &rows {
        let value = shown(row);
        let _ = writeln!(
            text,
            "{:key_width$}  {value:value_width$}  {}",
            row.setting.key, row.origin
        );
    }
    for (target, table) in loaded.settings.targets.iter().zip(&loaded.targets) {
        let who = who_asks(target);
        let _ = writeln!(
            text,
            "target {}  {}  asked by {who}  {}",
            target.id,
            target.address,
            table.spot()
        );
    }
    for route in &loaded.settings.notify.routes {
        let _ = writeln!(
            text,
            "route {}  {}  from {} on  {}",
            route.name,
            route.medium.name(),
            andon_notify::text::severity(route.filter.severity),
            route.origin
        );
    }
    let _ = match &loaded.file {
        Some(path) => writeln!(text, "\nfile: {}", path.display()),
        None => writeln!(
            text,
            "\nfile: none (looked for ./andon.toml and /etc/andon/andon.toml)"
        ),
    };
    text
}

fn who_asks(target: &andon_model::TargetSpec) -> String {
    let nodes = target.from_nodes.iter().map(ToString::to_string);
    let sites = target.from_sites.iter().map(|site| format!("site {site}"));
    let all: Vec<String> = nodes.chain(sites).collect();
    if all.is_empty() {
        "this node".into()
    } else {
        all.join(", ")
    }
}

/// For programs.
pub fn json(loaded: &Loaded) -> serde_json::Value {
    let mut settings = serde_json::Map::new();
    for row in rows(loaded) {
        let env = row.setting.env;
        let entry = json!({"values": row.values, "origin": row.origin, "env": env, "flag": row.setting.flag});
        settings.insert(row.setting.key.into(), entry);
    }
    let target = |(target, table): (&andon_model::TargetSpec, &super::target::Table)| {
        json!({
            "id": target.id,
            "address": target.address,
            "probe": target.probe,
            "from_nodes": target.from_nodes,
            "from_sites": target.from_sites,
            "interval_ms": target.interval_ms,
            "timeout_ms": target.timeout_ms,
            "origin": table.spot().to_string(),
        })
    };
    let targets: Vec<_> = loaded
        .settings
        .targets
        .iter()
        .zip(&loaded.targets)
        .map(target)
        .collect();
    let route = |route: &andon_notify::Route| {
        json!({
            "name": route.name,
            "kind": route.medium.name(),
            "severity": route.filter.severity,
            "origin": route.origin,
        })
    };
    let routes: Vec<_> = loaded.settings.notify.routes.iter().map(route).collect();
    json!({
        "file": loaded.file,
        "settings": settings,
        "targets": targets,
        "routes": routes,
        "keys": loaded.settings.keys.len(),
        "warnings": loaded.warnings,
    })
}
