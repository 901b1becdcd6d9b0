//! `andon keygen`, and the three steps of changing a grid key without downtime.
//!
//! All nodes accept all keys of their file and seal with the first. So a new key is first
//! added everywhere (everybody opens it), then made first everywhere, then the old one is
//! dropped everywhere; between the steps any mixture of nodes understands each other.

use super::flags::PlaceFlags;
use super::{Failure, screen};
use crate::config::keys::{FILE_NAME, KEYS_MAX, key_lines, new_key_text};
use crate::config::layers::{load_without_keys, read_text};
use andon_grid::GridKey;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Largest key file.
const FILE_BYTES_MAX: usize = 65_536;

#[derive(Debug, clap::Args)]
pub struct KeyPlace {
    /// The key file; default: that of the node with this configuration
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceFlags,
}

#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Tell the steps of a rotation, and which comes next
    Rotate(KeyPlace),
    /// List the keys of the file by their public names
    List(KeyPlace),
    /// Step 1: add a key at the end; it opens, the first still seals
    Add {
        /// Take the key from this file (`-`: standard input) instead of making one
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        #[command(flatten)]
        place: KeyPlace,
    },
    /// Step 2: make a key the first, the one that seals
    Promote {
        /// Name of the key, from `andon key list`
        name: String,
        #[command(flatten)]
        place: KeyPlace,
    },
    /// Step 3: drop a key, so that it opens nothing any more
    Drop {
        /// Name of the key, from `andon key list`
        name: String,
        #[command(flatten)]
        place: KeyPlace,
    },
}

/// `andon keygen`.
pub fn keygen() -> Result<ExitCode, Failure> {
    let text = new_key()?;
    if std::io::stdout().is_terminal() {
        screen::remark("# keep it private; better: andon keygen > grid.key && chmod 600 grid.key");
    }
    screen::print(&text)
}

fn new_key() -> Result<Zeroizing<String>, Failure> {
    new_key_text()
        .map_err(|error| Failure::new(format!("the system gives no randomness for a key: {error}")))
}

pub fn run(command: KeyCommand) -> Result<ExitCode, Failure> {
    match command {
        KeyCommand::Rotate(place) => {
            let file = KeyFile::open(&place)?;
            screen::print(&guide(&file))
        }
        KeyCommand::List(place) => {
            let file = KeyFile::open(&place)?;
            screen::print(&list(&file))
        }
        KeyCommand::Add { from, place } => add(&place, from.as_deref()),
        KeyCommand::Promote { name, place } => {
            let mut file = KeyFile::open(&place)?;
            let index = file.find(&name)?;
            let key = file.keys.remove(index);
            file.keys.insert(0, key);
            file.write()?;
            screen::print(&format!(
                "{name} seals in {}\n{RELOAD}",
                file.path.display()
            ))
        }
        KeyCommand::Drop { name, place } => {
            let mut file = KeyFile::open(&place)?;
            let index = file.find(&name)?;
            if file.keys.len() == 1 {
                return Err(Failure::new(format!(
                    "{name} is the only key of {}; a node without a key is in no grid\n  add another first: andon key add",
                    file.path.display()
                )));
            }
            if index == 0 {
                return Err(Failure::new(format!(
                    "{name} still seals in {}: other nodes may know no other\n  promote the new one on every node first: andon key promote NAME",
                    file.path.display()
                )));
            }
            file.keys.remove(index);
            file.write()?;
            screen::print(&format!(
                "{name} opens nothing any more in {}\n{RELOAD}",
                file.path.display()
            ))
        }
    }
}

const RELOAD: &str =
    "make the running node read it: kill -HUP its process, or systemctl reload andon\n";

fn add(place: &KeyPlace, from: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut file = KeyFile::open(place)?;
    let text = match from {
        None => new_key()?,
        Some(path) if path == Path::new("-") => {
            let mut text = Zeroizing::new(String::new());
            let mut input = std::io::Read::take(std::io::stdin(), FILE_BYTES_MAX as u64);
            std::io::Read::read_to_string(&mut input, &mut text).map_err(|error| {
                Failure::new(format!("cannot read a key from standard input: {error}"))
            })?;
            text
        }
        Some(path) => Zeroizing::new(read_text(path, FILE_BYTES_MAX).map_err(|reason| {
            Failure::new(format!(
                "cannot read the key in {}: {reason}",
                path.display()
            ))
        })?),
    };
    let Some((_, line)) = key_lines(&text).next() else {
        return Err(Failure::new(
            "there is no key to add in what was given\n  `andon keygen` prints one",
        ));
    };
    let key: GridKey = line
        .parse()
        .map_err(|error| Failure::new(format!("what was given is no grid key: {error}")))?;
    if file.keys.contains(&key) {
        return screen::print(&format!(
            "{} is in {} already\n",
            name_of(&key),
            file.path.display()
        ));
    }
    if file.keys.len() >= KEYS_MAX {
        return Err(Failure::new(format!(
            "{} holds {KEYS_MAX} keys already\n  drop the oldest first: andon key drop NAME",
            file.path.display()
        )));
    }
    let name = name_of(&key);
    file.keys.push(key);
    file.write()?;
    screen::remark(&format!(
        "added {name} to {}; it opens, the first still seals\n{RELOAD}",
        file.path.display()
    ));
    if from.is_some() {
        return screen::print("");
    }
    screen::remark("give this key to every other node (andon key add --from FILE):");
    screen::print(&text)
}

/// A key's public name: what travels in clear beside what it seals.
fn name_of(key: &GridKey) -> String {
    key.id()
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn list(file: &KeyFile) -> String {
    let mut text = String::new();
    for (index, key) in file.keys.iter().enumerate() {
        let use_ = if index == 0 {
            "seals and opens"
        } else {
            "opens"
        };
        let _ = writeln!(text, "{}  {use_}", name_of(key));
    }
    text
}

fn guide(file: &KeyFile) -> String {
    let next = match file.keys.len() {
        1 => "next: step 1 on this node, `andon key add`",
        _ => "next: step 1 on the nodes that lack the second key, then step 2, then step 3",
    };
    format!(
        "{path} holds:\n{list}\n\
         Changing the grid key without downtime. Finish each step on every node before the next;\n\
         after each, make the node read its file again (kill -HUP, or systemctl reload andon).\n\n  \
         1. add      on one node:   andon key add             makes a key and prints it\n              \
         on the others: andon key add --from FILE\n  \
         2. promote  everywhere:    andon key promote NAME    the new key seals\n  \
         3. drop     everywhere:    andon key drop NAME       the old key opens nothing\n\n\
         `andon key list` shows the names. A node that was off during the rotation needs its file\n\
         replaced before it can join again.\n\n{next}\n",
        path = file.path.display(),
        list = list(file),
    )
}

/// A key file being edited. Written whole beside its place and renamed, with the same owner's
/// permissions, so that a crash leaves the old one.
struct KeyFile {
    path: PathBuf,
    keys: Vec<GridKey>,
    comments: Vec<String>,
}

impl KeyFile {
    fn open(place: &KeyPlace) -> Result<Self, Failure> {
        let path = match &place.key_file {
            Some(path) => path.clone(),
            None => default_path(&place.place)?,
        };
        let text = Zeroizing::new(read_text(&path, FILE_BYTES_MAX).map_err(|reason| {
            let path = path.display();
            Failure::new(format!(
                "cannot read the key file {path}: {reason}\n  name it with --key-file FILE"
            ))
        })?);
        let mut keys = Vec::new();
        for (number, (_, line)) in key_lines(&text).enumerate() {
            let key = line.parse().map_err(|error| {
                Failure::new(format!(
                    "{}: entry {} is no grid key: {error}",
                    path.display(),
                    number + 1
                ))
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(Failure::new(format!(
                "{} holds no key\n  fill it with: andon keygen > {0}",
                path.display()
            )));
        }
        let is_comment = |line: &&str| line.trim_start().starts_with('#');
        let comments = text.lines().filter(is_comment).map(str::to_owned).collect();
        Ok(Self {
            path,
            keys,
            comments,
        })
    }

    fn find(&self, name: &str) -> Result<usize, Failure> {
        let found = self
            .keys
            .iter()
            .position(|key| name_of(key) == name.to_ascii_lowercase());
        found.ok_or_else(|| {
            Failure::new(format!(
                "{} holds no key named {name:?}; it holds:\n{}",
                self.path.display(),
                list(self)
            ))
        })
    }

    fn write(&self) -> Result<(), Failure> {
        let mut text = Zeroizing::new(String::new());
        for comment in &self.comments {
            let _ = writeln!(text, "{comment}");
        }
        for key in &self.keys {
            let _ = writeln!(text, "{key}");
        }
        // A link (as in mounted secrets) is followed, so that what it points to is replaced.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let written = write_beside(&path, &beside, text.as_bytes());
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            Failure::new(format!(
                "cannot write {}: {error}\n  it is unchanged",
                self.path.display()
            ))
        })
    }
}

fn write_beside(path: &Path, beside: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let before = std::fs::metadata(path)?;
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(beside)?;
    file.set_permissions(before.permissions())?;
    if nix::unistd::geteuid().as_raw() != before.uid() {
        std::os::unix::fs::chown(beside, Some(before.uid()), Some(before.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

fn default_path(place: &PlaceFlags) -> Result<PathBuf, Failure> {
    let (settings, layer) = load_without_keys(&place.inputs())?;
    let given = layer.get("key_file").and_then(|given| given.last());
    Ok(match given {
        Some(given) => crate::config::resolve::base(given).join(&given.text),
        None => settings.data_dir.join(FILE_NAME),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, keys: usize) -> PathBuf {
        let path = std::env::temp_dir().join(format!("andon-key-{name}-{}", std::process::id()));
        let mut text = String::from("# the shop's grid\n");
        for _ in 0..keys {
            text.push_str(&new_key_text().unwrap());
        }
        std::fs::write(&path, text).unwrap();
        path
    }

    fn place(path: &Path) -> KeyPlace {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            place: KeyPlace,
        }
        <Only as clap::Parser>::parse_from(["key", "--key-file", path.to_str().unwrap()]).place
    }

    #[test]
    fn a_rotation_in_three_steps_ends_with_the_new_key_alone_and_keeps_comments() {
        let path = file("steps", 1);
        let old = name_of(&KeyFile::open(&place(&path)).unwrap().keys[0]);
        run(KeyCommand::Add {
            from: None,
            place: place(&path),
        })
        .unwrap();
        let new = name_of(&KeyFile::open(&place(&path)).unwrap().keys[1]);
        assert!(
            run(KeyCommand::Drop {
                name: old.clone(),
                place: place(&path)
            })
            .is_err(),
            "the first key still seals"
        );
        run(KeyCommand::Promote {
            name: new.clone(),
            place: place(&path),
        })
        .unwrap();
        run(KeyCommand::Drop {
            name: old,
            place: place(&path),
        })
        .unwrap();
        let left = KeyFile::open(&place(&path)).unwrap();
        assert_eq!(left.keys.len(), 1);
        assert_eq!(name_of(&left.keys[0]), new);
        assert_eq!(left.comments, ["# the shop's grid"]);
        assert!(
            run(KeyCommand::Drop {
                name: new,
                place: place(&path)
            })
            .is_err(),
            "the only key"
        );
        assert!(
            run(KeyCommand::Promote {
                name: "00000000".into(),
                place: place(&path)
            })
            .is_err()
        );
        std::fs::remove_file(path).unwrap();
    }
}
