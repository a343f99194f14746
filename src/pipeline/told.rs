//! What was said in the log of a store that fails on.

use crate::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// A store that fails on is named in the log once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What of a failing store was said in the log: what is the same is not said again with every try.
#[derive(Default)]
pub struct Told(Option<(String, Instant)>);

impl Told {
    pub fn is_news(&mut self, error: &Error) -> bool {
        let text = error.to_string();
        let is_old = self.0.as_ref().is_some_and(|(told, at)| *told == text && at.elapsed() < SAY_AGAIN);
        if !is_old {
            self.0 = Some((text, Instant::now()));
        }
        !is_old
    }

    pub fn healed(&mut self) -> bool {
        self.0.take().is_some()
    }
}
