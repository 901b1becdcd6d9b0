//! Ctrl-C and its like, without handlers: a thread waits for them, and everyone else asks it.

use crate::world::LabError;
use nix::sys::signal::{SigSet, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// From here on SIGINT, SIGTERM and SIGHUP set the flag that is returned. To be called while
/// the process has one thread: threads inherit that these signals wait.
pub fn catch() -> Result<Arc<AtomicBool>, LabError> {
    let asked = Arc::new(AtomicBool::new(false));
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let refused = |error: nix::Error| LabError::io("wait for signals")(error.into());
    signals.thread_block().map_err(refused)?;
    let flag = Arc::clone(&asked);
    let wait = move || {
        while signals.wait().is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .map_err(LabError::io("wait for signals"))?;
    Ok(asked)
}
