//! `andon node`: settings, logs, signals, and then the wiring in [`crate::node`].

use super::flags::SettingFlags;
use super::invite::{self, Invite};
use super::{Failure, screen, stop};
use crate::config::keys::{self, KeyState};
use crate::config::{Inputs, load};
use std::process::ExitCode;

/// Threads that serve the API and judge the picture. The prober and the grid have their own.
const WORKERS: usize = 2;

#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    #[command(flatten)]
    flags: SettingFlags,
    /// The line that `andon invite` printed on a node of the grid: seeds, key and site
    #[arg(
        long,
        value_name = "LINE",
        env = "ANDON_INVITE",
        hide_env_values = true
    )]
    invite: Option<String>,
}

/// Runs a node until it is asked to stop.
pub fn run(args: NodeArgs) -> Result<ExitCode, Failure> {
    crate::logging::start().map_err(Failure::usage)?;
    if std::env::var_os("ANDON_DEMO_CONTROL").is_some() {
        stop::die_with_parent();
    }
    let mut inputs = args.flags.inputs();
    let invite = match &args.invite {
        Some(line) => Some(Invite::read(line)?),
        None => None,
    };
    let newly_invited = invite::apply(invite.as_ref(), &mut inputs)?;
    let mut loaded = load(&inputs)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // A start that is going to fail leaves no key behind, least of all in another node's folder.
    // Why it fails is told by `node::run`, which tries the same for good.
    let can_start = crate::node::can_start(&loaded.settings);
    if newly_invited
        && can_start
        && let Some(invite) = &invite
    {
        invite.remember(&loaded.settings.data_dir)?;
    }
    if let KeyState::ToMake(path) = &loaded.key
        && can_start
    {
        loaded.settings.keys = keys::make(path).map_err(|error| {
            let path = path.display();
            Failure::new(format!(
                "cannot write a new grid key to {path}: {error}\n  give this user access to the data directory, or make one with `andon keygen > grid.key` and name it with --key-file"
            ))
        })?;
        tracing::info!(file = %path.display(), "this is the first node of a new grid: made its key; copy it to the others, or run `andon invite`");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let settings = loaded.settings;
    let ended = runtime.block_on(crate::node::run(settings, reload(inputs), stop::asked()));
    runtime.shutdown_background();
    ended.map_err(|error| Failure::new(error.to_string()))?;
    screen::print("")
}

/// Reads the same sources again, for SIGHUP.
fn reload(inputs: Inputs) -> crate::node::Reload {
    std::sync::Arc::new(move || match load(&inputs) {
        Ok(loaded) if loaded.settings.keys.is_empty() => Err("the key file is gone".into()),
        Ok(loaded) => Ok(loaded.settings),
        Err(problems) => Err(problems.to_string()),
    })
}
