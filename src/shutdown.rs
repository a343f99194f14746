//! Ending in time: a signal becomes a token that every task looks at; a second one ends at once.

use crate::error::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell expects of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Cancelled by the first SIGTERM or SIGINT.
pub fn on_signals() -> Result<CancellationToken> {
    let no_signals = |error| Error::config("signals cannot be listened to").because(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "stopping; a second signal ends at once");
        stopped.cancel();
        either(&mut terminate, &mut interrupt).await;
        // Safe at any moment: everything that was acknowledged is durable.
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
