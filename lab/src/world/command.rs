//! Tools of the system (`ip`, `nft`), fed by standard input, with what they complain of.

use super::LabError;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Tools that every lab needs, and the package that brings each.
const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];
/// Most of a complaint that is told.
const SAID_BYTES_MAX: usize = 400;

/// Whether all tools are there.
pub fn check_tools() -> Result<(), LabError> {
    for (tool, package) in TOOLS {
        if !installed(tool) {
            return Err(LabError::Missing {
                tool: (*tool).to_owned(),
                package,
            });
        }
    }
    Ok(())
}

/// Whether a tool lies in the path, or where the system's tools lie.
pub fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path);
    let dirs = dirs.chain(["/usr/sbin", "/sbin"].map(Into::into));
    dirs.into_iter().any(|dir| dir.join(tool).is_file())
}

/// A command that also finds the system's tools.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(find(name));
    command.env("LC_ALL", "C");
    command
}

fn find(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path);
    let mut dirs = dirs.chain(["/usr/sbin", "/sbin"].map(Into::into));
    dirs.find(|dir| dir.join(name).is_file())
        .map_or_else(|| name.into(), |dir| dir.join(name))
}

/// Runs a command, gives it `input`, and returns what it printed.
pub fn run(mut command: Command, input: &str) -> Result<String, LabError> {
    let line = {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(LabError::io(format!("run `{line}`")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that stops reading tells why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(LabError::io(format!("wait for `{line}`")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(LabError::Command {
        command: line,
        said: andon_model::id::to_plain_text(&said, SAID_BYTES_MAX),
    })
}

/// Runs many lines of `ip`, in a namespace or in this one.
pub fn ip_batch(netns: Option<&str>, lines: &[String]) -> Result<(), LabError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut command = tool("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    command.args(["-batch", "-"]);
    run(command, &(lines.join("\n") + "\n")).map(drop)
}

/// A command inside a namespace.
pub fn inside(netns: &Path, name: &str) -> Command {
    let mut command = tool("nsenter");
    command
        .arg(format!("--net={}", netns.display()))
        .arg("--")
        .arg(find(name));
    command
}
