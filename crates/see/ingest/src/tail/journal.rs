//! The systemd journal, as `journalctl -o export --follow` writes it. The cursor is saved with
//! the same care as files' offsets: after a kill the very same batch is delivered again.

use super::checkpoint::write_durably;
use crate::decode::journal::Journal;
use crate::limits::BATCH_EVENTS_MAX;
use crate::listen::{Outlet, wall_clock};
use crate::reject::Decoded;
use crate::sink::{BatchId, Patience};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tracing::warn;

/// Which entries are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalInput {
    /// Where events go; `logs` where nothing is said.
    #[serde(default = "super::logs")]
    pub dataset: String,
    /// Units to read; all where none is named.
    #[serde(default)]
    pub units: Vec<String>,
    /// A folder of journals in place of the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The program that reads them.
    #[serde(default = "journalctl")]
    pub program: PathBuf,
}

fn journalctl() -> PathBuf {
    "journalctl".into()
}

impl Default for JournalInput {
    fn default() -> Self {
        Self {
            dataset: super::logs(),
            units: Vec::new(),
            directory: None,
            program: journalctl(),
        }
    }
}

/// How far the journal was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The batch that is delivered next.
    serial: u64,
    /// All entries up to this one are kept.
    cursor: Option<String>,
    /// The last entry of the batch that is being delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
}

/// Reads the journal until it is cancelled, starting the program again whenever it ends.
///
/// Errors when the state is there but cannot be read.
pub async fn follow(input: JournalInput, state_path: PathBuf, outlet: Outlet) -> io::Result<()> {
    let mut state = read_state(&state_path)?;
    loop {
        let followed = follow_once(&input, &state_path, &mut state, &outlet).await;
        if outlet.cancel.is_cancelled() {
            return Ok(());
        }
        if let Err(error) = followed {
            warn!(%error, "the journal cannot be read; tried again in 10 s");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
            () = outlet.cancel.cancelled() => return Ok(()),
        }
    }
}

fn read_state(path: &Path) -> io::Result<State> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        // The clock makes serials that only grow, even if the state was lost.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State {
            serial: wall_clock().0.unsigned_abs(),
            ..State::default()
        }),
        Err(error) => Err(error),
    }
}

fn start(input: &JournalInput, cursor: Option<&str>) -> io::Result<Child> {
    let mut command = Command::new(&input.program);
    command.args(["--output=export", "--follow", "--no-pager"]);
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.arg("--lines=1000"),
    };
    for unit in &input.units {
        command.arg(format!("--unit={unit}"));
    }
    if let Some(directory) = &input.directory {
        command.arg("--directory").arg(directory);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn follow_once(
    input: &JournalInput,
    state_path: &Path,
    state: &mut State,
    outlet: &Outlet,
) -> io::Result<()> {
    let mut child = start(input, state.cursor.as_deref())?;
    outlet.counters.connect();
    let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut journal = Journal::default();
    let mut gathered = Decoded::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let bytes = tokio::select! {
            bytes = stdout.read(&mut buffer) => bytes?,
            () = outlet.cancel.cancelled() => return Ok(()),
        };
        if bytes == 0 {
            let status = child.wait().await?;
            return Err(io::Error::other(format!("journalctl ended with {status}")));
        }
        outlet.counters.read(bytes);
        let mut piece = &buffer[..bytes];
        while !piece.is_empty() {
            // Line by line after a kill, so that the batch ends where it ended before.
            let end = match &state.pending {
                None => piece.len(),
                Some(_) => memchr::memchr(b'\n', piece).map_or(piece.len(), |end| end + 1),
            };
            journal.push(&piece[..end], wall_clock(), &mut gathered);
            piece = &piece[end..];
            let is_again = state.pending.is_some() && state.pending.as_deref() == journal.cursor();
            if is_again && !gathered.events.is_empty() {
                let again = std::mem::take(&mut gathered);
                deliver(again, journal.cursor(), state_path, state, outlet).await?;
            }
        }
        // What was pending may be gone from the journal: then this is a batch like any other.
        let is_waiting = state.pending.is_some() && gathered.events.len() < BATCH_EVENTS_MAX;
        if !is_waiting && !gathered.events.is_empty() {
            let fresh = std::mem::take(&mut gathered);
            deliver(fresh, journal.cursor(), state_path, state, outlet).await?;
        }
    }
}

/// Delivers a batch that ends with the entry at `cursor`. The state says so before.
async fn deliver(
    decoded: Decoded,
    cursor: Option<&str>,
    state_path: &Path,
    state: &mut State,
    outlet: &Outlet,
) -> io::Result<()> {
    state.pending = cursor.map(str::to_owned);
    write_durably(
        state_path,
        &serde_json::to_vec(state).map_err(io::Error::other)?,
    )?;
    let id = BatchId {
        source: "journal".into(),
        until: state.serial,
    };
    let delivered = outlet.deliver(decoded, Some(id), Patience::Forever).await;
    delivered.map_err(io::Error::other)?;
    state.cursor = state.pending.take();
    state.serial += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Gate;
    use crate::sink::memory::MemorySink;
    use std::sync::Arc;
    use tokio_util::sync::CancellationToken;

    /// A program that plays journalctl: it writes the entries after the cursor it is given.
    const PLAYER: &str = r#"#!/bin/sh
after=0
for word in "$@"; do case "$word" in --after-cursor=*) after=${word#--after-cursor=};; esac; done
i=$after
while [ "$i" -lt 5 ]; do i=$((i+1)); printf '__CURSOR=%s
MESSAGE=entry %s

' "$i" "$i"; done
exec sleep 60
"#;

    #[tokio::test]
    async fn entries_are_kept_once_over_a_restart() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("andon-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("journalctl");
        std::fs::write(&program, PLAYER).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let sink = Arc::new(MemorySink::default());
        let gate = Arc::new(Gate::new(sink.clone(), None, None));
        let state = folder.join("journal.json");
        // The state of a process that was killed while it delivered entries 2 to 4.
        let killed = State {
            serial: 7,
            cursor: Some("1".into()),
            pending: Some("4".into()),
        };
        std::fs::write(&state, serde_json::to_vec(&killed).unwrap()).unwrap();
        let cancel = CancellationToken::new();
        let outlet = Outlet {
            counters: gate.counters("journal"),
            gate,
            dataset: "logs".into(),
            cancel: cancel.clone(),
        };
        let input = JournalInput {
            program,
            ..JournalInput::default()
        };
        let following = tokio::spawn(follow(input, state, outlet));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while sink.events().len() < 4 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
        following.await.unwrap().unwrap();
        let batches = sink.batches.lock().unwrap();
        let told: Vec<_> = batches
            .iter()
            .map(|batch| (batch.events.len(), batch.id.as_ref().map(|id| id.until)))
            .collect();
        assert_eq!(told, [(3, Some(7)), (1, Some(8))]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
