//! Tells systemd (or what speaks like it) how the daemon is (`Type=notify`): ready, stopping, and that its tasks turn.

use crate::telemetry::{
    flushes::Flushes,
    turns::{TICK, Turns},
};
use sd_notify::NotifyState;
use std::{convert::Infallible, time::Duration};

/// Does nothing where nobody asked to be told.
pub fn ready(address: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {address}"))]);
}

pub fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("stopping: jobs save where they are")]);
}

/// Feeds the watchdog, for ever, while every task turns and the state can be saved. A store that stalls is a status, and no
/// reason to be killed; only what a new process heals is.
pub async fn feed_watchdog(turns: Turns, state: Option<Flushes>) -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let mut clock = tokio::time::interval((patience / 3).max(Duration::from_millis(10)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // This task's own turning is what feeding shows; looking after it as well would add nothing.
    let mut told = tokio::time::Instant::now();
    loop {
        clock.tick().await;
        let late = turns.late();
        let failure = state.as_ref().and_then(Flushes::failure);
        if failure.is_none() && late.is_empty() {
            say(&[NotifyState::Watchdog]);
        } else if told.elapsed() >= TICK {
            told = tokio::time::Instant::now();
            if let Some(why) = failure {
                tracing::error!(why, "nothing can be saved any more: the watchdog is not fed");
            }
            if let Some(first) = late.first() {
                tracing::error!(task = first.task, since_s = first.since.as_secs(), "a task does not turn");
            }
        }
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
