//! `andon demo`: five real node processes in three sites on this machine, wires between them
//! that can be cut, a script that does so, and a voice that tells what the nodes say of it.
//!
//! Reading order: [`cast`] (who), [`faults`] (what can be pulled), [`weather`] (what that does
//! to packets), [`relay`] (the wires), [`children`] (the processes), [`views`] (what they say),
//! [`story`] (the script), [`narration`], [`control`] (the buttons), [`director`] (the loop).

mod cast;
mod children;
mod control;
mod director;
mod faults;
mod folder;
mod narration;
mod relay;
mod stage;
mod story;
mod views;
mod weather;

use crate::cli::{Failure, screen, stop};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Play no script: pull the plugs yourself, with the buttons on the page
    #[arg(long)]
    no_script: bool,
    /// First port of the nodes' pages; others are taken where it is in use
    #[arg(long, value_name = "PORT", default_value_t = 8777)]
    port: u16,
    /// Open no browser
    #[arg(long)]
    no_browser: bool,
}

/// Runs the demo until it is asked to stop.
pub fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    // A relay has a socket for each flow that comes through it.
    crate::node::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    // The children's death signal is bound to this thread, which outlives them.
    let ended = runtime.block_on(async {
        let folder = folder::Folder::make().map_err(|error| {
            Failure::new(format!("cannot make a temporary folder: {error}\n  set TMPDIR to a folder that this user can write to"))
        })?;
        let mut stop = std::pin::pin!(stop::asked_or_hung_up());
        tokio::select! {
            () = &mut stop => Ok(()),
            ended = director::direct(&args, &folder) => ended,
        }
    });
    runtime.shutdown_background();
    ended?;
    screen::remark("\nthe demo ended; nothing is left behind");
    Ok(ExitCode::SUCCESS)
}
