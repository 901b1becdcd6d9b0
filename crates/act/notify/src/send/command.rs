//! A program on this machine: the message in its environment, the document on its standard
//! input, no shell between. It and all that it started end with its time.

use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::text;
use andon_model::id::to_plain_text;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Longest time that a command may have.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Bytes of output that are kept; the rest is read and dropped, so that a chatty program does
/// not stand still.
const OUTPUT_BYTES_KEPT: usize = 4_096;
/// Characters of output that people are shown.
const SAID_CHARS_MAX: usize = 200;

/// The process group of a command; killed when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Nobody may be left in it.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

/// Runs it. Exit code 0 means told; any other is tried again.
pub async fn send(
    argv: &[String],
    timeout: Duration,
    environment: &BTreeMap<String, String>,
    route: &str,
    message: &Message,
    document: &Value,
    zone: &Zone,
) -> Answer {
    let Some((program, arguments)) = argv.split_first() else {
        let why = "no program is named".into();
        return Answer::Refused { why };
    };
    let again = |why: String| Answer::Again { why, after: None };
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .envs(variables(route, message, zone))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return again(format!("cannot start {program}: {error}")),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let _group = Group(group.map(Pid::from_raw));
    let input = document.to_string().into_bytes();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input is free to do so.
            let _ = stdin.write_all(&input).await;
        }
    };
    let run = async {
        let ((), out, err, status) =
            tokio::join!(write, output(stdout), output(stderr), child.wait());
        (status, if err.is_empty() { out } else { err })
    };
    match tokio::time::timeout(timeout.min(TIMEOUT_MAX), run).await {
        Err(_) => again(format!(
            "{program} did not end within {} and was killed",
            text::span(timeout)
        )),
        Ok((Err(error), _)) => again(format!("{program}: {error}")),
        Ok((Ok(status), said)) => {
            let code = match status.code() {
                Some(code) => format!("exit code {code}"),
                None => "ended by a signal".into(),
            };
            let said = if said.is_empty() {
                code
            } else {
                format!("{code}: {said}")
            };
            match status.success() {
                true => Answer::Taken { said },
                false => again(said),
            }
        }
    }
}

/// What a script can use without reading JSON.
fn variables(route: &str, message: &Message, zone: &Zone) -> Vec<(&'static str, String)> {
    vec![
        ("ANDON_PHASE", message.phase.to_string()),
        ("ANDON_ROUTE", route.to_owned()),
        ("ANDON_INCIDENT", message.key.clone()),
        (
            "ANDON_SEVERITY",
            text::severity(message.severity).to_owned(),
        ),
        ("ANDON_TITLE", text::headline(message)),
        ("ANDON_TEXT", text::body(message, zone)),
        ("ANDON_LINK", message.link.clone().unwrap_or_default()),
        (
            "ANDON_STATUS_PAGE",
            text::status_page(message).unwrap_or_default(),
        ),
        ("ANDON_BY", message.by.clone()),
    ]
}

async fn output<R: AsyncRead + Unpin>(stream: Option<R>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut kept = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_BYTES_KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    let text = String::from_utf8_lossy(&kept);
    let text: Vec<&str> = text.split_whitespace().collect();
    let text: String = text.join(" ").chars().take(SAID_CHARS_MAX).collect();
    to_plain_text(&text, SAID_CHARS_MAX * 4)
}
