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
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets this much time pass on a paused clock.
pub async fn pass(virtual_time: Duration) {
    tokio::time::sleep(virtual_time).await;
}
