//! `andon invite`: all that the next machine needs, in one line; and reading such a line.
//!
//! The line is `andon-invite-1.` and URL-safe base64 of a small JSON document. It holds the
//! grid key. Its expiry is kept by `andon node`, which refuses a line that is too old; the key
//! in it stays valid, as the help says.
//!
//! A node that joined by an invite remembers it in its data directory, so that it starts
//! again without it, and after it expired.

use super::reachable::{self, SEEDS_MAX};
use super::token::now;
use super::{Failure, screen};
use crate::config::document::{Given, Layer};
use crate::config::keys::FILE_NAME;
use crate::config::layers::{load_without_keys, read_text};
use crate::config::problem::Origin;
use crate::config::value::{self, write_duration};
use crate::config::{Inputs, load};
use andon_grid::GridKey;
use andon_model::{SiteId, Timestamp};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use zeroize::Zeroizing;

/// How every invite begins; the number is the version of what follows.
const PREFIX: &str = "andon-invite-1.";
/// Longest line that is read.
const LINE_BYTES_MAX: usize = 8_192;
/// Where the data directory remembers the invite.
const REMEMBERED: &str = "invite";

/// What an invite says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    key: String,
    seeds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    site: Option<SiteId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    expires: Option<Timestamp>,
}

/// Shows nothing of the key.
impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invite")
            .field("seeds", &self.seeds)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

impl Invite {
    /// Reads a line. Expiry is looked at by [`apply`], which knows whether it was used before.
    pub fn read(line: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!(
                "the invite cannot be read: {why}\n  paste the whole line that `andon invite` printed; it begins with {PREFIX}"
            ))
        };
        let line = line.trim();
        if line.len() > LINE_BYTES_MAX {
            return Err(wrong("it is far too long"));
        }
        let body = line
            .strip_prefix(PREFIX)
            .ok_or_else(|| wrong("it begins with something else"))?;
        let json = BASE64_URL_SAFE_NO_PAD.decode(body).map(Zeroizing::new);
        let json = json.map_err(|_| wrong("a part is missing or was changed"))?;
        let invite: Invite =
            serde_json::from_slice(&json).map_err(|_| wrong("a part is missing or was changed"))?;
        invite
            .key
            .parse::<GridKey>()
            .map_err(|error| wrong(&error.to_string()))?;
        for seed in &invite.seeds {
            value::host_port(seed).map_err(|_| wrong("one of its addresses is none"))?;
        }
        Ok(invite)
    }

    /// The line.
    fn write(&self) -> Result<Zeroizing<String>, Failure> {
        let json = serde_json::to_vec(self).map(Zeroizing::new);
        let json =
            json.map_err(|error| Failure::new(format!("cannot write the invite: {error}")))?;
        Ok(Zeroizing::new(format!(
            "{PREFIX}{}",
            BASE64_URL_SAFE_NO_PAD.encode(&*json)
        )))
    }

    /// What it says about settings; the key only where asked for.
    fn layer(&self, with_key: bool) -> Layer {
        let given = |text: &str| Given {
            name: None,
            text: text.into(),
            origin: Origin::Invite,
        };
        let mut layer = Layer::new();
        layer.insert("join", self.seeds.iter().map(|seed| given(seed)).collect());
        if let Some(site) = &self.site {
            layer.insert("site", vec![given(site.as_str())]);
        }
        if with_key {
            layer.insert("key", vec![given(&self.key)]);
        }
        layer
    }

    /// Keeps what the next start needs: the key in a key file, the rest beside it.
    pub fn remember(&self, data_dir: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!(
                "cannot remember the invite in {}: {error}\n  give this user write access, or choose another place with --data-dir",
                data_dir.display()
            ))
        };
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(failed)?;
        let key_file = data_dir.join(FILE_NAME);
        if !key_file.exists() {
            write_private(&key_file, format!("{}\n", self.key).as_bytes()).map_err(failed)?;
        }
        write_private(&data_dir.join(REMEMBERED), self.write()?.as_bytes()).map_err(failed)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

/// Puts an invite, given or remembered, among the inputs. Returns whether it is used for the
/// first time and is to be remembered once the settings have proved good.
pub fn apply(invite: Option<&Invite>, inputs: &mut Inputs) -> Result<bool, Failure> {
    let data_dir = load_without_keys(inputs)?.0.data_dir;
    let remembered = read_text(&data_dir.join(REMEMBERED), LINE_BYTES_MAX).ok();
    let remembered = remembered.and_then(|line| Invite::read(&line).ok());
    let Some(invite) = invite else {
        if let Some(remembered) = remembered {
            inputs.remembered = remembered.layer(false);
        }
        return Ok(false);
    };
    let used_before = remembered.is_some_and(|old| {
        old.key == invite.key && old.seeds == invite.seeds && old.expires == invite.expires
    });
    if used_before {
        // The key file may have been rotated since.
        inputs.invite = invite.layer(!data_dir.join(FILE_NAME).exists());
        return Ok(false);
    }
    if let Some(expires) = invite.expires.filter(|expires| *expires <= now()) {
        return Err(Failure::usage(format!(
            "the invite expired at {expires}\n  run `andon invite` again on a node of the grid (or check this machine's clock)"
        )));
    }
    inputs.invite = invite.layer(true);
    Ok(true)
}

#[derive(Debug, clap::Args)]
pub struct InviteArgs {
    /// Site of the machine that is invited
    #[arg(long = "for-site", visible_alias = "site", value_name = "SITE")]
    invited_site: Option<SiteId>,
    /// After this time `andon node` refuses the line: 1h, 7d; without, never
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    expires: Option<Duration>,
    /// Where the new machine reaches the grid; default: what the running node and this machine know
    #[arg(long, value_name = "ADDR:PORT")]
    address: Vec<String>,
    /// Key file of the grid; default: that of the node with this configuration
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    #[command(flatten)]
    place: super::flags::PlaceFlags,
}

pub fn run(args: &InviteArgs) -> Result<ExitCode, Failure> {
    let mut inputs = args.place.inputs();
    if let Some(file) = &args.key_file {
        let given = Given {
            name: None,
            text: file.clone(),
            origin: Origin::Flag("key-file"),
        };
        inputs.flags.insert("key_file", vec![given]);
    }
    let loaded = load(&inputs)?;
    let Some(key) = loaded.settings.keys.first() else {
        return Err(Failure::new(
            "this node has no grid key yet, so there is no grid to invite to\n  start it first (andon node), or name the grid's key with --key-file",
        ));
    };
    let mut seeds = args.address.clone();
    for seed in &seeds {
        value::host_port(seed).map_err(|expected| {
            Failure::usage(format!(
                "--address cannot be {seed:?}\n  expected: {expected}"
            ))
        })?;
    }
    if seeds.is_empty() {
        seeds = reachable::addresses(&loaded.settings)?;
    }
    seeds.truncate(SEEDS_MAX);
    let loopback_only = seeds.iter().all(|seed| reachable::is_loopback(seed));
    if loopback_only {
        screen::remark(
            "note: only loopback addresses are known, so this line works on this machine alone; give another with --address",
        );
    }
    let expires = args.expires.map(|span| now() + span);
    let invite = Invite {
        key: key.to_string(),
        seeds,
        site: args.invited_site.clone(),
        expires,
    };
    match args.expires {
        Some(span) => screen::remark(&format!(
            "this line holds the grid key; `andon node` refuses it after {}, the key in it stays valid:",
            write_duration(span)
        )),
        None => {
            screen::remark("this line holds the grid key; send it as you would send a password:")
        }
    }
    screen::print(&format!("ANDON_INVITE={} andon node\n", *invite.write()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::inputs;

    fn invite(expires: Option<Timestamp>) -> Invite {
        let key = GridKey::generate([7; 32]).to_string();
        Invite {
            key,
            seeds: vec!["10.0.0.1:8777".into()],
            site: SiteId::new("nyc").ok(),
            expires,
        }
    }

    #[test]
    fn an_invite_reads_back_and_a_damaged_one_is_refused() {
        let line = invite(None).write().unwrap();
        let read = Invite::read(&format!("  {}\n", *line)).unwrap();
        assert_eq!(read.seeds, ["10.0.0.1:8777"]);
        for bad in [
            "",
            "andon-invite-2.abc",
            PREFIX,
            &line[..line.len() - 9],
            &format!("{}x", *line),
        ] {
            assert!(Invite::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_expired_invite_is_refused_unless_this_node_joined_by_it_in_time() {
        let dir = std::env::temp_dir().join(format!("andon-invite-{}", std::process::id()));
        let mut asked = inputs("");
        let given = Given {
            name: None,
            text: dir.display().to_string(),
            origin: Origin::Flag("data-dir"),
        };
        asked.flags.insert("data_dir", vec![given]);
        let old = invite(Some(Timestamp(1_000)));
        assert!(
            apply(Some(&old), &mut asked)
                .unwrap_err()
                .text
                .contains("expired")
        );
        old.remember(&dir).unwrap();
        assert!(!apply(Some(&old), &mut asked).unwrap(), "it is known");
        let mut later = inputs("");
        later.flags = asked.flags.clone();
        assert!(!apply(None, &mut later).unwrap());
        let loaded = load(&later).unwrap();
        assert_eq!(
            (
                loaded.settings.site.as_str(),
                loaded.settings.keys.len(),
                loaded.settings.seeds.len()
            ),
            ("nyc", 1, 1)
        );
        std::fs::remove_dir_all(dir).unwrap();
    }
}
