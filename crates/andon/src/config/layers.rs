//! Puts the sources over each other: flags, then the invite, then the environment, then the
//! file. A value given higher up replaces the whole value below, lists and tables too.

use super::document::{self, Document, FILE_BYTES_MAX, Given, Layer};
use super::keys::{self, KeyState};
use super::problem::{Origin, Problem, Problems, Source, nearest};
use super::resolve;
use super::setting::{SETTINGS, Setting, Shape};
use super::settings::NodeSettings;
use super::{notify, target};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of this host; read once at the rim, made up in tests.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The user is root.
    pub root: bool,
    /// IPv6 sockets can be had.
    pub ipv6: bool,
    /// Where files without a configured place are looked for, in order.
    pub config_paths: Vec<PathBuf>,
}

/// All that is asked.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Values of flags.
    pub flags: Layer,
    /// Values from an invite.
    pub invite: Layer,
    /// Values from the invite by which this node once joined; the last word before defaults.
    pub remembered: Layer,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// This host.
    pub host: Host,
}

/// What is to be run, and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// What the node runs with. `keys` is empty when a key is still to be made.
    pub settings: NodeSettings,
    /// Whether there is a key.
    pub key: KeyState,
    /// Who said what.
    pub effective: Layer,
    /// Where each target stands.
    pub targets: Vec<target::Table>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Odd, but no obstacle.
    pub warnings: Vec<String>,
}

/// Reads all sources, checks them, and reads the grid key.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let merged = merge(inputs, &mut problems);
    let settings = merged.settings(inputs, &mut problems);
    let plan = notify::plan(&merged.notify, &merged.layer, &inputs.env, &mut problems);
    let key = settings
        .as_ref()
        .and_then(|settings| keys::find(&merged.layer, settings, &mut problems));
    match (settings, key) {
        (Some(mut settings), Some(mut key)) if problems.is_empty() => {
            settings.keys = std::mem::take(&mut key.keys);
            notify::apply(plan, &mut settings);
            let mut warnings = std::mem::take(&mut key.warnings);
            warnings.extend(misspelt(&inputs.env));
            let Merged {
                layer,
                targets,
                file,
                notify: _,
                ingest: _,
            } = merged;
            Ok(Loaded {
                settings,
                key: key.state,
                effective: layer,
                targets,
                file,
                warnings,
            })
        }
        _ => Err(Problems(problems)),
    }
}

/// Settings without their keys, for commands that need a place or an address and no secret.
pub fn load_without_keys(inputs: &Inputs) -> Result<(NodeSettings, Layer), Problems> {
    let mut problems = Vec::new();
    let merged = merge(inputs, &mut problems);
    let settings = merged.settings(inputs, &mut problems);
    settings
        .map(|settings| (settings, merged.layer))
        .ok_or(Problems(problems))
}

/// Settings and the plan of notifications, without the grid's keys.
pub fn load_notify(inputs: &Inputs) -> Result<NodeSettings, Problems> {
    let mut problems = Vec::new();
    let merged = merge(inputs, &mut problems);
    let settings = merged.settings(inputs, &mut problems);
    let plan = notify::plan(&merged.notify, &merged.layer, &inputs.env, &mut problems);
    match settings {
        Some(mut settings) if problems.is_empty() => {
            notify::apply(plan, &mut settings);
            Ok(settings)
        }
        _ => Err(Problems(problems)),
    }
}

struct Merged {
    layer: Layer,
    targets: Vec<target::Table>,
    notify: notify::Tables,
    ingest: andon_ingest::InputsConfig,
    file: Option<PathBuf>,
}

impl Merged {
    fn settings(&self, inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<NodeSettings> {
        resolve::settings(
            &self.layer,
            &self.targets,
            self.ingest.clone(),
            &inputs.host,
            &inputs.env,
            problems,
        )
    }
}

fn merge(inputs: &Inputs, problems: &mut Vec<Problem>) -> Merged {
    let file = find_file(inputs);
    let document = match &file {
        Some(path) => read_file(path, problems),
        None => Document::default(),
    };
    let mut layer = inputs.remembered.clone();
    layer.extend(document.layer);
    layer.extend(env_layer(&inputs.env));
    layer.extend(inputs.invite.clone());
    layer.extend(inputs.flags.clone());
    Merged {
        layer,
        targets: document.targets,
        notify: document.notify,
        ingest: document.ingest,
        file,
    }
}

fn find_file(inputs: &Inputs) -> Option<PathBuf> {
    let from_env = inputs
        .env
        .get("ANDON_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let named = inputs.config.clone().or(from_env);
    named.or_else(|| {
        inputs
            .host
            .config_paths
            .iter()
            .find(|path| path.exists())
            .cloned()
    })
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Document {
    match read_text(path, FILE_BYTES_MAX) {
        Ok(text) => document::read(
            &Arc::new(Source {
                path: path.to_owned(),
                text,
            }),
            problems,
        ),
        Err(reason) => {
            let what = format!("cannot read the configuration {}: {reason}", path.display());
            let help = "check the path given with --config and its permissions; `andon config sample` prints a file to start from";
            problems.push(Problem::new(what, Origin::Default, help));
            Document::default()
        }
    }
}

/// Reads a text file of bounded size. The error is the reason in words.
pub fn read_text(path: &Path, bytes_max: usize) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() > bytes_max {
        return Err(format!("it is larger than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("it is not UTF-8 text (line {line})")
    })
}

/// What the environment says. An empty variable says nothing, as is the custom in containers.
pub fn env_layer(env: &BTreeMap<String, String>) -> Layer {
    let mut layer = Layer::new();
    for setting in SETTINGS {
        if let Some(text) = env.get(setting.env).filter(|text| !text.trim().is_empty()) {
            layer.insert(
                setting.key,
                split(setting, text, &Origin::Env(setting.env.into())),
            );
        }
    }
    layer
}

/// Splits one text into the values of a setting.
pub fn split(setting: &Setting, text: &str, origin: &Origin) -> Vec<Given> {
    let one = |text: &str| match setting.shape {
        Shape::Map => {
            let (name, value) = text
                .split_once('=')
                .map_or((None, text), |(name, value)| (Some(name), value));
            Given {
                name: name.map(|name| name.trim().into()),
                text: value.trim().into(),
                origin: origin.clone(),
            }
        }
        _ => Given {
            name: None,
            text: text.trim().into(),
            origin: origin.clone(),
        },
    };
    if setting.shape == Shape::One {
        return vec![one(text)];
    }
    text.split([',', '\n'])
        .filter(|part| !part.trim().is_empty())
        .map(one)
        .collect()
}

/// Variables that look like settings and are none. Only near misses: orchestrators put
/// names of their own (`ANDON_SERVICE_HOST`) into the environment.
fn misspelt(env: &BTreeMap<String, String>) -> Vec<String> {
    const OTHERS: &[&str] = &[
        "ANDON_CONFIG",
        "ANDON_LOG",
        "ANDON_TOKEN",
        "ANDON_NODE",
        "ANDON_INVITE",
    ];
    let known = || {
        SETTINGS
            .iter()
            .map(|setting| setting.env)
            .chain(OTHERS.iter().copied())
    };
    let mut warnings = Vec::new();
    for name in env
        .keys()
        .filter(|name| name.starts_with("ANDON_") && !name.starts_with("ANDON_DEMO"))
    {
        if known().any(|valid| valid == name) {
            continue;
        }
        let tail = &name["ANDON_".len()..];
        let tails = known().map(|valid| &valid["ANDON_".len()..]);
        if let Some(near) = nearest(tail, tails) {
            warnings.push(format!(
                "environment {name} means nothing to Andon; did you mean ANDON_{near}?"
            ));
        }
    }
    warnings
}
