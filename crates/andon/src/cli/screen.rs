//! Printing. Colours only where a terminal shows them and nobody asked for none; a reader
//! that goes away (`andon status | head -1`) is no error.

use super::Failure;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Whether to colour standard output.
pub fn coloured() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted
        && io::stdout().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    print_bytes(text.as_bytes())
}

/// Prints to standard output, as it is.
pub fn print_bytes(bytes: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

/// Says to standard error why the command failed.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "error: {}", text.trim_end());
}

/// Columns of the terminal that is printed to.
pub fn columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size()?;
    Some(usize::from(width.0)).filter(|columns| *columns > 0)
}

/// Shows how far something is, over what was shown before; nothing takes it away.
pub fn progress(text: &str) {
    let mut err = io::stderr();
    let _ = write!(err, "\r\x1b[K{text}");
    let _ = err.flush();
}

/// Says something to standard error.
pub fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
