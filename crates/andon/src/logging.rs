//! Logs: for people when a person looks on, one JSON object a line otherwise.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged when `ANDON_LOG` says nothing.
const FILTER: &str = "info,rustls=warn,hyper=warn";

/// Starts logging to standard error. `ANDON_LOG` filters (`debug`, `andon_grid=trace,info`);
/// the error is what is wrong with it.
pub fn start() -> Result<(), String> {
    let wanted = std::env::var("ANDON_LOG")
        .ok()
        .filter(|text| !text.trim().is_empty());
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(FILTER)).map_err(|error| {
        format!(
            "ANDON_LOG cannot be {:?}: {error}\n  try info, debug, or andon_grid=debug,info",
            wanted.unwrap_or_default()
        )
    })?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Its complaint about a log that cannot be written goes to the same place, and panics there.
        .log_internal_errors(false);
    let started = if terminal {
        builder
            .with_ansi(std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init()
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}
