//! Checks what the layers say and builds the settings of a node. Goes on past each mistake,
//! so that all of them are told at once.

use super::document::{Given, Layer};
use super::layers::Host;
use super::problem::{Origin, Problem};
use super::setting::by_key;
use super::settings::{GridBugSettings, Keep, NodeSettings, ProbeSettings};
use super::target::{self, TARGETS_MAX};
use super::value;
use andon_model::{NodeId, SiteId, TargetSpec};
use andon_notify::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most labels of a node; they travel in every picture.
const LABELS_MAX: usize = 16;
/// Longest value of a label in bytes.
const LABEL_BYTES_MAX: usize = 128;
/// Most entries of any list; a file that repeats itself would otherwise fill memory.
const LIST_MAX: usize = 1_024;

/// The settings that these layers mean; `None` if `problems` got entries that prevent it.
pub fn settings(
    layer: &Layer,
    targets: &[target::Table],
    ingest: andon_ingest::InputsConfig,
    host: &Host,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<NodeSettings> {
    let mut reader = Reader { layer, problems };
    let any = if host.ipv6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };

    let id = reader.one("id", |given| {
        NodeId::new(&given.text).map_err(|e| e.to_string())
    });
    let id = id.or_default(|| id_of(&host.name));
    let site = reader.one("site", |given| {
        SiteId::new(&given.text).map_err(|e| e.to_string())
    });
    let site = site.or_default(|| SiteId::new("default").expect("a valid name"));
    let listen = reader.one("listen", |given| value::listen(&given.text, any));
    let listen = listen.or_default(|| SocketAddr::new(any, 8777));
    let advertise = reader.advertise();
    let mut seeds = reader.list("join", |given| value::host_port(&given.text));
    seeds.extend(reader.list("seeds", |given| value::seeds(&given.text, base(given))));
    let data_dir = reader.one("data_dir", |given| value::path(&given.text, base(given)));
    let data_dir = reader.default_data_dir(data_dir, host, env);
    let labels = reader.map("labels", |name, given| {
        andon_model::id::check_name(name).map_err(|e| e.to_string())?;
        Ok((name.to_owned(), value::plain(&given.text, LABEL_BYTES_MAX)?))
    });
    let via = reader.map("via", |name, given| {
        let id = NodeId::new(name).map_err(|e| e.to_string())?;
        Ok((id, value::address(&given.text)?))
    });
    let round = reader.one("probe.interval", |given| {
        value::duration_in(
            &given.text,
            Duration::from_millis(200),
            Duration::from_secs(60),
        )
    });
    let flows = reader.one("probe.flows", |given| value::number_in(&given.text, 1, 64));
    let budget = reader.one("probe.budget_pps", |given| {
        value::number_in(&given.text, 16, 100_000)
    });
    let probe = ProbeSettings {
        round: round
            .or_default(|| Duration::from_secs(1))
            .unwrap_or_default(),
        flows: flows
            .or_default(|| 8)
            .and_then(|flows| u16::try_from(flows).ok())
            .unwrap_or(8),
        budget_pps: budget.or_default(|| 2_000).unwrap_or_default(),
    };
    let allowed_hosts = reader.list("http.allowed_hosts", |given| host_name(&given.text));
    let loopback_viewer = reader.one("http.loopback_viewer", |given| value::switch(&given.text));
    let history = super::history::read(&mut reader);
    let store = super::store::read(&mut reader);
    let spool = super::store::spool(&mut reader);
    let nats = super::nats::read(&mut reader, store.as_ref());
    let loopback_may_send = reader.one("ingest.loopback", |given| value::switch(&given.text));
    let otlp = reader.one("ingest.otlp", |given| super::ingest::otlp(&given.text));
    let gridbug = reader.gridbug();
    reader.bound("labels", LABELS_MAX);
    for key in [
        "join",
        "seeds",
        "via",
        "http.allowed_hosts",
        "gridbug.seeds",
        "advertise",
        "store.clickhouse",
        "store.retention",
        "spool.streams",
        "spool.nats",
    ] {
        reader.bound(key, LIST_MAX);
    }
    let targets = check_targets(targets, reader.problems);
    if !problems.is_empty() {
        return None;
    }
    let mut store = store?;
    if nats.is_some() && store.keep == Keep::Auto {
        // What goes over NATS is kept where it goes to.
        store.keep = Keep::No;
    }
    Some(NodeSettings {
        id: id?,
        site: site?,
        labels,
        listen: listen?,
        advertise,
        seeds,
        keys: Vec::new(),
        data_dir: data_dir?,
        via,
        probe,
        targets,
        history: history?,
        store,
        spool: spool?,
        nats,
        ingest: super::ingest::IngestSettings {
            loopback_may_send: loopback_may_send.or_default(|| true)?,
            inputs: super::ingest::with_otlp(ingest, otlp.or_default(|| None)?),
        },
        notify: Plan::default(),
        gridbug,
        allowed_hosts,
        loopback_viewer: loopback_viewer.or_default(|| true)?,
        demo_control: env
            .get("ANDON_DEMO_CONTROL")
            .and_then(|text| text.parse().ok()),
    })
}

/// The folder from which a relative path is meant: that of the file it stands in.
pub fn base(given: &Given) -> &Path {
    match &given.origin {
        Origin::File(spot) => spot.source.path.parent().unwrap_or(Path::new("")),
        _ => Path::new(""),
    }
}

/// A host's name as a node's id: what names cannot hold becomes a dash.
fn id_of(host: &str) -> NodeId {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    let text: String = host
        .chars()
        .map(fit)
        .take(andon_model::id::NAME_BYTES_MAX)
        .collect();
    let text = text.trim_start_matches(['.', '_', '-']);
    NodeId::new(text).unwrap_or_else(|_| NodeId::new("node").expect("a valid name"))
}

fn host_name(text: &str) -> Result<String, String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if text.is_empty() || text.len() > 253 || !text.chars().all(fit) {
        return Err("a host name without scheme or path, such as andon.example.com".into());
    }
    Ok(text.to_ascii_lowercase())
}

fn check_targets(tables: &[target::Table], problems: &mut Vec<Problem>) -> Vec<TargetSpec> {
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let origin = || Origin::File(table.spot().clone());
        if index == TARGETS_MAX {
            let what = format!("there are {} targets", tables.len());
            problems.push(Problem::new(
                what,
                origin(),
                format!("a node has at most {TARGETS_MAX}"),
            ));
            break;
        }
        let Some(target) = table.check(problems) else {
            continue;
        };
        if seen.insert(target.id.clone()) {
            targets.push(target);
        } else {
            let what = format!("two targets are called {}", target.id);
            problems.push(Problem::new(what, origin(), "give each its own id"));
        }
    }
    targets
}

/// What asking for one value came to.
pub(super) enum Answer<T> {
    Given(T),
    Absent,
    Wrong,
}

impl<T> Answer<T> {
    pub(super) fn or_default(self, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Answer::Given(value) => Some(value),
            Answer::Absent => Some(default()),
            Answer::Wrong => None,
        }
    }
}

pub(super) struct Reader<'a> {
    layer: &'a Layer,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn given(&self, key: &str) -> &[Given] {
        self.layer.get(key).map_or(&[], Vec::as_slice)
    }

    fn wrong(&mut self, key: &str, given: &Given, expected: String) {
        let secret = by_key(key).is_some_and(|setting| setting.secret);
        let shown = andon_model::id::to_plain_text(&given.text, 80);
        let what = match (&given.name, secret) {
            (_, true) => format!("`{key}` cannot be what is given"),
            (Some(name), _) => {
                let name = andon_model::id::to_plain_text(name, 80);
                format!("`{key}` cannot hold {name:?} = {shown:?}")
            }
            (None, _) => format!("`{key}` cannot be {shown:?}"),
        };
        let help = format!("expected: {expected}");
        self.problems.push(Problem {
            secret,
            ..Problem::new(what, given.origin.clone(), help)
        });
    }

    pub(super) fn one<T>(
        &mut self,
        key: &str,
        check: impl Fn(&Given) -> Result<T, String>,
    ) -> Answer<T> {
        let Some(given) = self.given(key).last().cloned() else {
            return Answer::Absent;
        };
        match check(&given) {
            Ok(value) => Answer::Given(value),
            Err(expected) => {
                self.wrong(key, &given, expected);
                Answer::Wrong
            }
        }
    }

    pub(super) fn list<T>(
        &mut self,
        key: &str,
        check: impl Fn(&Given) -> Result<T, String>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for given in self.given(key).to_vec() {
            match check(&given) {
                Ok(value) => all.push(value),
                Err(expected) => self.wrong(key, &given, expected),
            }
        }
        all
    }

    pub(super) fn map<K: Ord, V>(
        &mut self,
        key: &str,
        check: impl Fn(&str, &Given) -> Result<(K, V), String>,
    ) -> BTreeMap<K, V> {
        let entries = self.list(key, |given| match &given.name {
            Some(name) => check(name, given),
            None => Err("NAME=VALUE".into()),
        });
        entries.into_iter().collect()
    }

    fn bound(&mut self, key: &str, most: usize) {
        if let Some(given) = self.given(key).get(most).cloned() {
            let what = format!("`{key}` has {} entries", self.given(key).len());
            self.problems
                .push(Problem::new(what, given.origin, format!("at most {most}")));
        }
    }

    /// A setting that is well-formed, but says nothing beside others.
    pub(super) fn contradiction(&mut self, key: &str, what: &str, help: &str) {
        if let Some(given) = self.given(key).first().cloned() {
            let secret = by_key(key).is_some_and(|setting| setting.secret);
            let what = format!("`{key}`: {what}");
            self.problems.push(Problem {
                secret,
                ..Problem::new(what, given.origin, help)
            });
        }
    }

    fn advertise(&mut self) -> super::settings::Advertise {
        let given = self.given("advertise").to_vec();
        let texts: Vec<&str> = given.iter().map(|given| given.text.as_str()).collect();
        match value::advertise(&texts) {
            Ok(advertise) => advertise,
            Err((index, expected)) => {
                self.wrong("advertise", &given[index], expected);
                super::settings::Advertise::Auto
            }
        }
    }

    fn gridbug(&mut self) -> Option<GridBugSettings> {
        let key = self.one("gridbug.key", |given| match given.text.len() {
            1..=256 => value::plain(&given.text, 256),
            _ => Err("the GRIDKEY of their grid".into()),
        });
        let seeds = self.list("gridbug.seeds", |given| {
            value::host_port(&given.text).map(|_| given.text.clone())
        });
        let poll = self.one("gridbug.poll", |given| {
            value::duration_in(
                &given.text,
                Duration::from_secs(1),
                Duration::from_secs(300),
            )
        });
        let poll = poll.or_default(|| Duration::from_secs(10));
        match key {
            Answer::Given(key) => Some(GridBugSettings {
                key,
                seeds,
                poll: poll?,
            }),
            Answer::Wrong => None,
            Answer::Absent => {
                let first = self.given("gridbug.seeds").first().cloned();
                if let Some(given) = first {
                    let help = "set key in [gridbug], or ANDON_GRIDBUG_KEY in the environment";
                    let what = "GridBug neighbours are named, but no key to talk to them";
                    self.problems.push(Problem::new(what, given.origin, help));
                }
                None
            }
        }
    }

    fn default_data_dir(
        &mut self,
        given: Answer<PathBuf>,
        host: &Host,
        env: &BTreeMap<String, String>,
    ) -> Option<PathBuf> {
        let absolute = |name: &str| {
            env.get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let found = match given {
            Answer::Given(path) => return Some(path),
            Answer::Wrong => return None,
            Answer::Absent if host.root => Some(PathBuf::from("/var/lib/andon")),
            Answer::Absent => absolute("XDG_STATE_HOME")
                .map(|state| state.join("andon"))
                .or_else(|| absolute("HOME").map(|home| home.join(".local/state/andon"))),
        };
        if found.is_none() {
            let what =
                "there is no place for the node's data: neither XDG_STATE_HOME nor HOME is set";
            self.problems.push(Problem::new(
                what,
                Origin::Default,
                "give one with --data-dir DIR or ANDON_DATA_DIR",
            ));
        }
        found
    }
}
