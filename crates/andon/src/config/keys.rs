//! Where the grid key comes from, and files of keys. Keys are never printed, also not in errors.

use super::document::Layer;
use super::layers::read_text;
use super::problem::{Origin, Problem, Source, Spot};
use super::resolve::base;
use super::settings::NodeSettings;
use super::value;
use andon_grid::GridKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest key file.
const FILE_BYTES_MAX: usize = 65_536;
/// Most keys at once. Opening tries them in turn, so each costs every datagram that fits none.
pub const KEYS_MAX: usize = 8;
/// Name of the key file inside the data directory.
pub const FILE_NAME: &str = "grid.key";

/// Whether there is a grid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// From here.
    Found(String),
    /// This is the first node of a grid: a key is to be made in this file.
    ToMake(PathBuf),
}

/// Keys and what was odd about them.
pub struct Found {
    /// The first seals, all open.
    pub keys: Vec<GridKey>,
    /// Where they come from.
    pub state: KeyState,
    /// Odd, but no obstacle.
    pub warnings: Vec<String>,
}

/// Finds the grid key: given itself, in a file, or in the data directory.
pub fn find(layer: &Layer, settings: &NodeSettings, problems: &mut Vec<Problem>) -> Option<Found> {
    let key_rank = layer
        .get("key")
        .and_then(|given| given.first())
        .map(|given| rank(&given.origin));
    let file = layer.get("key_file").and_then(|given| given.last());
    // A file named by a flag outranks a key in the environment; side by side the key itself wins.
    let use_key = key_rank.is_some_and(|key| file.is_none_or(|file| key <= rank(&file.origin)));
    if let Some(given) = layer.get("key").filter(|_| use_key) {
        let text: Vec<&str> = given.iter().map(|given| given.text.as_str()).collect();
        let origin = given
            .first()
            .map_or(Origin::Default, |given| given.origin.clone());
        let keys = parse_given(&text, &origin, problems)?;
        return Some(Found {
            keys,
            state: KeyState::Found(origin.to_string()),
            warnings: Vec::new(),
        });
    }
    if let Some(given) = file {
        let path = value::path(&given.text, base(given)).unwrap_or_default();
        return match read_file(&path, problems) {
            Ok(found) => found,
            Err(reason) => {
                let what = format!("cannot read the key file {}: {reason}", path.display());
                let help = "make one with `andon keygen > grid.key`, or copy that of a node that is in the grid";
                problems.push(Problem::new(what, given.origin.clone(), help));
                None
            }
        };
    }
    let own = settings.data_dir.join(FILE_NAME);
    if own.exists() {
        return match read_file(&own, problems) {
            Ok(found) => found,
            Err(reason) => {
                let what = format!("cannot read the key file {}: {reason}", own.display());
                let help = "give this user access to it, or name another with --key-file";
                problems.push(Problem::new(what, Origin::Default, help));
                None
            }
        };
    }
    if settings.seeds.is_empty() {
        return Some(Found {
            keys: Vec::new(),
            state: KeyState::ToMake(own),
            warnings: Vec::new(),
        });
    }
    let what = "there is no grid key, so the grid that this node is to join will not know it";
    let help = "copy the key file of a node that is in the grid and name it with --key-file FILE (or ANDON_KEY_FILE; \
                the key itself in ANDON_KEY); for a new grid: andon keygen > grid.key";
    problems.push(Problem::new(what, Origin::Default, help));
    None
}

fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Flag(_) => 0,
        Origin::Invite => 1,
        Origin::Env(_) => 2,
        Origin::File(_) => 3,
        Origin::Default => 4,
    }
}

fn parse_given(
    texts: &[&str],
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Option<Vec<GridKey>> {
    let mut keys = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<GridKey>() {
            Ok(key) => keys.push(key),
            Err(error) => {
                let what = format!(
                    "key {} of {} is no grid key: {error}",
                    index + 1,
                    texts.len()
                );
                problems.push(Problem::new(
                    what,
                    origin.clone(),
                    "`andon keygen` prints one",
                ));
            }
        }
    }
    if keys.len() > KEYS_MAX {
        let what = format!("{} grid keys are given", keys.len());
        problems.push(Problem::new(
            what,
            origin.clone(),
            format!("at most {KEYS_MAX}; drop the oldest"),
        ));
    }
    (keys.len() == texts.len() && !keys.is_empty() && keys.len() <= KEYS_MAX).then_some(keys)
}

/// Reads a key file. `Err` when it cannot be read; `Ok(None)` when `problems` says what is wrong in it.
fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Result<Option<Found>, String> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    let source = Arc::new(Source {
        path: path.to_owned(),
        text,
    });
    let keys = parse_file(&source, problems);
    let warnings = too_open(path).into_iter().collect();
    let state = KeyState::Found(path.display().to_string());
    Ok(keys.map(|keys| Found {
        keys,
        state,
        warnings,
    }))
}

/// The keys in a file's text, in its order.
pub fn parse_file(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Option<Vec<GridKey>> {
    let mut keys = Vec::new();
    let mut all_good = true;
    let at = |start: usize, end: usize| {
        Origin::File(Spot {
            source: Arc::clone(source),
            start,
            end,
        })
    };
    for (start, text) in key_lines(&source.text) {
        match text.parse::<GridKey>() {
            Ok(key) if keys.len() < KEYS_MAX => keys.push(key),
            Ok(_) => {
                all_good = false;
                let what = format!("the key file holds more than {KEYS_MAX} keys");
                let problem = Problem::new(what, at(start, start), "drop the oldest");
                problems.push(Problem {
                    secret: true,
                    ..problem
                });
                break;
            }
            Err(error) => {
                all_good = false;
                let what = format!("this line is no grid key: {error}");
                let help = "one key a line, as `andon keygen` prints it; `#` begins a comment";
                let problem = Problem::new(what, at(start, start + text.len()), help);
                problems.push(Problem {
                    secret: true,
                    ..problem
                });
            }
        }
    }
    if keys.is_empty() && all_good {
        all_good = false;
        let what = "the key file holds no key";
        problems.push(Problem {
            secret: true,
            ..Problem::new(what, at(0, 0), "fill it with `andon keygen`")
        });
    }
    all_good.then_some(keys)
}

/// Lines of a key file that hold something, with the byte where it begins.
pub fn key_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split('\n').filter_map(move |line| {
        let line_start = start;
        start += line.len() + 1;
        let bare = line.split('#').next().unwrap_or("");
        let indent = bare.len() - bare.trim_start().len();
        let bare = bare.trim();
        (!bare.is_empty()).then_some((line_start + indent, bare))
    })
}

/// A warning if others than the owner may read the file.
fn too_open(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let open = mode & 0o077 != 0;
    open.then(|| {
        let path = path.display();
        format!(
            "the key file {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}"
        )
    })
}

/// A new key as the text of a key file.
pub fn new_key_text() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut())?;
    Ok(Zeroizing::new(format!("{}\n", GridKey::generate(*random))))
}

/// Makes the key of a new grid. Never overwrites: another process may have been faster.
pub fn make(path: &Path) -> std::io::Result<Vec<GridKey>> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let text = new_key_text().map_err(std::io::Error::other)?;
    let opened = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    let mut file = opened?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    text.trim()
        .parse()
        .map(|key| vec![key])
        .map_err(|_| std::io::Error::other("a new key does not read back"))
}
