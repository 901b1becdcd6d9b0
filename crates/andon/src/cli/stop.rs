//! What ends a running command: Ctrl-C, SIGTERM, and for a child of the demo its parent's end.

use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};

/// Completes when the process is asked to end.
///
/// A child of the demo has a pipe as standard input that nobody writes to: its end means that
/// the parent is gone. For a child that is frozen at that moment the kernel sends SIGKILL.
pub async fn asked() {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::quit()),
    ) else {
        // Without handlers the signals keep their default action, which ends the process too.
        return std::future::pending().await;
    };
    let demo_child = std::env::var_os("ANDON_DEMO_CONTROL").is_some();
    tokio::select! {
        _ = terminate.recv() => {}
        // Ctrl-C reaches the whole foreground group; the demo's children wait for their parent.
        _ = interrupt.recv(), if !demo_child => {}
        _ = quit.recv(), if !demo_child => {}
        () = parent_gone(), if demo_child => {}
    }
}

async fn parent_gone() {
    let (gone, told) = tokio::sync::oneshot::channel();
    // A thread of its own: a blocked read cannot be cancelled, and it ends with the process.
    let reader = std::thread::Builder::new()
        .name("parent".into())
        .stack_size(64 << 10)
        .spawn(move || {
            let mut sink = [0; 64];
            while std::io::stdin()
                .read(&mut sink)
                .is_ok_and(|bytes| bytes > 0)
            {}
            let _ = gone.send(());
        });
    if reader.is_err() || told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Asks the kernel to end this process with its parent, even while it is frozen.
pub fn die_with_parent() {
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL) {
        tracing::debug!(%error, "the kernel gives no death signal; the pipe tells of the parent's end");
    }
}

/// The same for a command that has no use for SIGHUP: a terminal that closes ends it.
pub async fn asked_or_hung_up() {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => tokio::select! {
            () = asked() => {}
            _ = hangup.recv() => {}
        },
        Err(_) => asked().await,
    }
}
