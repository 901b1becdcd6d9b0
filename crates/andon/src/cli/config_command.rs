//! `andon config check` and `andon config sample`.

use super::flags::SettingFlags;
use super::{Failure, screen};
use crate::config::{load, report, sample};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print what a node would run with, and where each value comes from
    Check(Box<CheckArgs>),
    /// Print a documented configuration file
    Sample,
}

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    flags: SettingFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: ConfigCommand) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Sample => screen::print(&sample::text()),
        ConfigCommand::Check(args) => {
            let loaded = load(&args.flags.inputs())?;
            if args.json {
                let text = serde_json::to_string_pretty(&report::json(&loaded))
                    .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
                return screen::print(&format!("{text}\n"));
            }
            for warning in &loaded.warnings {
                screen::remark(&format!("warning: {warning}"));
            }
            screen::print(&report::text(&loaded))
        }
    }
}
