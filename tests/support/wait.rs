//! Waiting for a condition with a name, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Far beyond what any of the conditions takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
///
/// # Panics
/// After the deadline, with the condition's name.
pub fn until<T>(condition: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "never came: {condition}");
        thread::sleep(pause(started.elapsed()));
    }
}

/// As `until`, for answers that have to be waited for.
///
/// # Panics
/// After the deadline, with the condition's name.
pub async fn eventually<T, F: Future<Output = Option<T>>>(condition: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "never came: {condition}");
        tokio::time::sleep(pause(started.elapsed())).await;
    }
}

/// Soon at first, then seldomer: asking is work as well, often that of a process, and takes it from whoever is waited for.
fn pause(waited: Duration) -> Duration {
    (waited / 10).clamp(Duration::from_millis(5), Duration::from_millis(100))
}

/// Lets this much time pass on a paused clock.
pub async fn pass(virtual_time: Duration) {
    tokio::time::sleep(virtual_time).await;
}
