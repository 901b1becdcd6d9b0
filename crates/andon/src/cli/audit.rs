//! `andon audit verify`: whether the log of changes is whole and unchanged.

use super::flags::PlaceFlags;
use super::{Failure, screen};
use andon_api::audit::{self, AuditError, AuditSummary};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Check the chain of hashes; exit code 0 whole, 1 broken
    Verify {
        #[command(flatten)]
        place: PlaceFlags,
    },
}

/// Which records there are, and in how many files.
fn held(summary: &AuditSummary) -> String {
    let files = match summary.files {
        1 => String::new(),
        files => format!(" in {files} files"),
    };
    match summary.first {
        1 => format!("{} records{files}", summary.records),
        first => format!(
            "records {first} to {}{files} (older ones were let go, which is recorded)",
            summary.records
        ),
    }
}

pub fn run(command: AuditCommand) -> Result<ExitCode, Failure> {
    let AuditCommand::Verify { place } = command;
    let path = place.data_dir()?.join(audit::AUDIT_FILE);
    let shown = path.display();
    if !path.exists() {
        return Err(Failure::new(format!(
            "there is no audit log {shown}: nothing was changed through this node yet, or it is not the node's data directory\n  name that with --data-dir DIR"
        )));
    }
    let summary = audit::verify(&path).map_err(|error| match error {
        AuditError::Broken { .. } => Failure::new(format!(
            "the audit log does not hold: {error}\n  {shown} was changed or damaged from there on; records before it are whole"
        )),
        AuditError::File { .. } => Failure::new(format!("cannot read the audit log: {error}\n  run it as the user that the node runs as")),
    })?;
    let last = summary
        .last
        .map_or("never".to_owned(), |last| last.to_string());
    screen::print(&format!(
        "{shown} is whole: {}, the last of {last}\nhead {}  (note it elsewhere: a log that was cut off ends with another)\n",
        held(&summary),
        summary.head
    ))
}
