//! `[[target]]` tables: what is probed that is no node, and who probes it.

use super::document::{decimal, kind};
use super::problem::{Origin, Problem, Source, Spot, nearest};
use super::value;
use andon_model::{NodeId, ProbeKind, SiteId, TargetId, TargetSpec};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most targets of one node; doubled, one file could fill every node's memory.
pub const TARGETS_MAX: usize = 1_000;

/// How a key of the table is written, for which probes it is valid, an example, and its meaning.
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// Probes that know it; empty means all.
    pub probes: &'static [&'static str],
    /// A value for the sample, as TOML.
    pub sample: &'static str,
    /// Meaning, default, range.
    pub help: &'static str,
}

/// Names of the probes.
pub const PROBES: &[&str] = &["icmp", "tcp", "http", "tls", "dns", "stamp"];

/// All keys of a `[[target]]`.
pub const KEYS: &[Key] = &[
    Key {
        name: "id",
        probes: &[],
        sample: r#""shop""#,
        help: "Its name in the picture. Required.",
    },
    Key {
        name: "address",
        probes: &[],
        sample: r#""https://shop.example.com/health""#,
        help: "URL (http), HOST:PORT (tcp, tls, stamp), HOST (icmp), NAME (dns). Required.",
    },
    Key {
        name: "probe",
        probes: &[],
        sample: r#""http""#,
        help: "icmp, tcp, http, tls, dns or stamp. Required.",
    },
    Key {
        name: "status",
        probes: &["http"],
        sample: r#""200-299""#,
        help: "Status that counts as good. Default 200-399.",
    },
    Key {
        name: "body",
        probes: &["http"],
        sample: r#""ok""#,
        help: "Text that the body must hold.",
    },
    Key {
        name: "expiry_days",
        probes: &["tls", "http"],
        sample: "14",
        help: "tls only: degraded when the certificate is valid for fewer days. Default 14.",
    },
    Key {
        name: "server",
        probes: &["dns"],
        sample: r#""10.0.0.53:53""#,
        help: "dns only: the server to ask. Default: the system's.",
    },
    Key {
        name: "record",
        probes: &["dns"],
        sample: r#""A""#,
        help: "dns only: record type. Default A.",
    },
    Key {
        name: "expect",
        probes: &["dns"],
        sample: r#""203.0.113.7""#,
        help: "dns only: text that an answer must hold.",
    },
    Key {
        name: "from_nodes",
        probes: &[],
        sample: r#"["web-1"]"#,
        help: "Nodes that ask. With from_sites empty too, this node alone asks.",
    },
    Key {
        name: "from_sites",
        probes: &[],
        sample: r#"["fra", "nyc"]"#,
        help: "Sites all of whose nodes ask.",
    },
    Key {
        name: "interval",
        probes: &[],
        sample: r#""5s""#,
        help: "Time between questions, 500ms to 1h. Default 5s.",
    },
    Key {
        name: "timeout",
        probes: &[],
        sample: r#""2s""#,
        help: "Without an answer for so long a question counts as lost, 50ms to 1m. Default 2s.",
    },
];

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    texts: Vec<(String, Spot)>,
    spot: Spot,
}

/// One `[[target]]` as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    held: BTreeMap<&'static str, Held>,
    spot: Spot,
}

impl Table {
    /// Takes the table apart; what is not understood goes to `problems`.
    pub fn read(
        table: &DeTable<'_>,
        span: Range<usize>,
        source: &Arc<Source>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let spot = |span: Range<usize>| Spot {
            source: Arc::clone(source),
            start: span.start,
            end: span.end,
        };
        let mut held = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let Some(known) = KEYS.iter().find(|known| known.name == name) else {
                let names = KEYS.iter().map(|known| known.name);
                let help = match nearest(name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("valid here: {}", names.collect::<Vec<_>>().join(", ")),
                };
                let what = format!(
                    "unknown key `{}` in [[target]]",
                    andon_model::id::to_plain_text(name, 64)
                );
                problems.push(Problem::new(what, Origin::File(spot(key.span())), help));
                continue;
            };
            let at = spot(value.span());
            match texts(known, value) {
                Some(texts) => {
                    let texts = texts
                        .into_iter()
                        .map(|(text, span)| (text, spot(span)))
                        .collect();
                    held.insert(known.name, Held { texts, spot: at });
                }
                None => {
                    let what = format!("`{name}` is not written as {}", kind(value.get_ref()));
                    let help = format!("for example: {name} = {}", known.sample);
                    problems.push(Problem::new(what, Origin::File(at), help));
                }
            }
        }
        Self {
            held,
            spot: spot(span),
        }
    }

    /// Where the table stands.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Checks the table and makes a target of it; `None` if `problems` got an entry for it.
    pub fn check(&self, problems: &mut Vec<Problem>) -> Option<TargetSpec> {
        let before = problems.len();
        let mut checker = Checker {
            table: self,
            problems,
        };
        let id = checker.required("id", |text| TargetId::new(text).map_err(|e| e.to_string()));
        let probe_name = checker.required("probe", |text| {
            PROBES
                .iter()
                .find(|probe| **probe == text)
                .copied()
                .ok_or_else(|| format!("one of {}", PROBES.join(", ")))
        });
        let address = checker.required("address", |text| address(text, probe_name.unwrap_or("")));
        let status = checker.optional("status", status);
        let body = checker.optional("body", |text| value::plain(text, 1_024));
        let expiry_days = checker.optional("expiry_days", |text| value::number_in(text, 1, 3_650));
        let server = checker.optional("server", |text| {
            value::address(text).map(|at| at.to_string())
        });
        let record = checker.optional("record", record);
        let expect = checker.optional("expect", |text| value::plain(text, 255));
        let interval = checker.optional("interval", |text| {
            value::duration_in(text, Duration::from_millis(500), Duration::from_secs(3_600))
        });
        let timeout = checker.optional("timeout", |text| {
            value::duration_in(text, Duration::from_millis(50), Duration::from_secs(60))
        });
        let from_nodes = checker.list("from_nodes", |text| {
            NodeId::new(text).map_err(|e| e.to_string())
        });
        let from_sites = checker.list("from_sites", |text| {
            SiteId::new(text).map_err(|e| e.to_string())
        });
        if let Some(probe) = probe_name {
            checker.only_for(probe);
        }
        let probe = match probe_name? {
            "icmp" => ProbeKind::Icmp,
            "tcp" => ProbeKind::Tcp,
            "http" => ProbeKind::Http { status, body },
            "tls" => ProbeKind::Tls {
                expiry_days: expiry_days.and_then(|days| u16::try_from(days).ok()),
            },
            "dns" => ProbeKind::Dns {
                server,
                record,
                expect,
            },
            _ => ProbeKind::Stamp,
        };
        let (id, address) = (id?, address?);
        (problems.len() == before).then(|| TargetSpec {
            id,
            address,
            probe,
            from_nodes,
            from_sites,
            interval_ms: milliseconds(interval.unwrap_or(Duration::from_secs(5))),
            timeout_ms: milliseconds(timeout.unwrap_or(Duration::from_secs(2))),
        })
    }
}

struct Checker<'a> {
    table: &'a Table,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn required<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.table.held.contains_key(key) {
            let help = KEYS
                .iter()
                .find(|known| known.name == key)
                .map_or("", |known| known.sample);
            let what = format!("this target has no `{key}`");
            let origin = Origin::File(self.table.spot.clone());
            self.problems.push(Problem::new(
                what,
                origin,
                format!("for example: {key} = {help}"),
            ));
            return None;
        }
        self.optional(key, check)
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.list(key, check).into_iter().next()
    }

    fn list<T>(&mut self, key: &'static str, check: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(held) = self.table.held.get(key) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (text, spot) in &held.texts {
            match check(text) {
                Ok(value) => all.push(value),
                Err(expected) => {
                    let what = format!(
                        "`{key}` of a target cannot be {:?}",
                        andon_model::id::to_plain_text(text, 80)
                    );
                    self.problems
                        .push(Problem::new(what, Origin::File(spot.clone()), expected));
                }
            }
        }
        all
    }

    fn only_for(&mut self, probe: &str) {
        for (name, held) in &self.table.held {
            let Some(known) = KEYS.iter().find(|known| known.name == *name) else {
                continue;
            };
            let fits = match *name {
                "expiry_days" => probe == "tls",
                _ => known.probes.is_empty() || known.probes.contains(&probe),
            };
            if !fits {
                let what = format!("a {probe} probe knows no `{name}`");
                let help = known.help.to_owned();
                self.problems
                    .push(Problem::new(what, Origin::File(held.spot.clone()), help));
            }
        }
    }
}

fn texts(key: &Key, value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    let scalar = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some((text.to_string(), value.span())),
        // A status and a number of days read naturally without quotes.
        DeValue::Integer(number) if matches!(key.name, "status" | "expiry_days") => {
            Some((decimal(number)?, value.span()))
        }
        _ => None,
    };
    match value.get_ref() {
        DeValue::Array(items) if key.sample.starts_with('[') => items.iter().map(scalar).collect(),
        _ => scalar(value).map(|text| vec![text]),
    }
}

fn address(text: &str, probe: &str) -> Result<String, String> {
    if text.len() > 2_048
        || !andon_model::id::is_plain_text(text, 2_048)
        || text.is_empty()
        || text.contains(' ')
    {
        return Err("an address of at most 2048 bytes without spaces".into());
    }
    match probe {
        "http" => match text.parse::<hyper::Uri>() {
            Ok(uri)
                if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() =>
            {
                Ok(text.into())
            }
            _ => Err("a URL such as https://shop.example.com/health".into()),
        },
        "tcp" => match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => {
                value::host_port(text).map(|_| text.into())
            }
            _ => Err("HOST:PORT, such as db.example.com:5432".into()),
        },
        "tls" | "stamp" | "icmp" => value::host_port(text).map(|_| text.into()),
        _ => Ok(text.into()),
    }
}

fn status(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "a status such as 200, or a range such as 200-399";
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let valid = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    match (valid(low), valid(high)) {
        (Some(low), Some(high)) if low <= high => Ok(text.into()),
        _ => Err(EXPECTED.into()),
    }
}

fn record(text: &str) -> Result<String, String> {
    const RECORDS: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];
    let upper = text.to_ascii_uppercase();
    if RECORDS.contains(&upper.as_str()) {
        Ok(upper)
    } else {
        Err(format!("one of {}", RECORDS.join(", ")))
    }
}

fn milliseconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
