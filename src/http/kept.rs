//! A large answer, made at most once a second however many ask, and in memory once for all who read it.

use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::spawn_blocking, time::Instant};

/// Above it nobody sees a difference: a page asks every two seconds, a scraper more seldom.
const FRESH: Duration = Duration::from_secs(1);

/// As last made, and when.
#[derive(Default)]
pub struct Kept(Arc<Mutex<Option<(Instant, Bytes)>>>);

impl Kept {
    /// Whoever comes while it is made waits for it without holding a thread.
    pub async fn get(&self, make: impl FnOnce() -> String + Send + 'static) -> Bytes {
        let mut kept = Arc::clone(&self.0).lock_owned().await;
        if let Some((_, text)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return text.clone();
        }
        // With a thousand jobs it takes a while: not beside the jobs' own tasks. The lock goes along, so that an asker who
        // goes away does not have it made twice.
        let made = spawn_blocking(move || {
            let text = Bytes::from(make());
            *kept = Some((Instant::now(), text.clone()));
            text
        });
        made.await.expect("making it does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_share_one_answer() {
        let kept = Kept::default();
        let answers = join_all((0..100).map(|n| kept.get(move || format!("made for {n}")))).await;
        assert!(answers.iter().all(|answer| answer.as_ptr() == answers[0].as_ptr()), "{answers:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_made_anew() {
        let kept = Kept::default();
        assert_eq!(kept.get(|| "old".to_owned()).await, "old");
        advance(FRESH).await;
        assert_eq!(kept.get(|| "new".to_owned()).await, "new");
    }
}
