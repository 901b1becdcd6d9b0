//! Another description of what is to be taken in, after SIGHUP: what has not changed goes on,
//! the rest ends and begins.

use andon_ingest::{InputsConfig, RunningInputs};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Until it is cancelled; all inputs have ended when it returns.
pub async fn follow(
    mut inputs: RunningInputs,
    mut wanted: watch::Receiver<InputsConfig>,
    cancel: CancellationToken,
) {
    let mut applied = Some(wanted.borrow_and_update().clone());
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            changed = wanted.changed() => if changed.is_err() {
                cancel.cancelled().await;
                break;
            },
        }
        let config = wanted.borrow_and_update().clone();
        if applied.as_ref() == Some(&config) {
            continue;
        }
        match inputs.apply(&config).await {
            Ok(done) => {
                for error in &done.failed {
                    tracing::error!(%error, "this input does not run; mend it in [ingest] and send SIGHUP again");
                }
                let (kept, started, stopped) = (done.kept, done.started, done.stopped);
                tracing::info!(kept, started, stopped, "[ingest] is applied");
                // What failed is tried again by the next SIGHUP.
                applied = done.failed.is_empty().then_some(config);
            }
            Err(error) => {
                tracing::error!(%error, "[ingest] cannot work like this; the old one stays in force");
            }
        }
    }
    inputs.ended().await;
}
