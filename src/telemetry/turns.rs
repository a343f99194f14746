//! Whether every task's loop still turns: what the watchdog and `/healthz` go by.
//!
//! A task that waits for a store is well: its clock ticks beside the waiting, and what the store does is shown as a
//! status. Late is only a task whose thread is held by a computation or a blocking call that does not end, or that an
//! overloaded runtime does not run at all: nothing but a new process helps then.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a task shows that it turns. A thousand idle jobs cost some hundred wake-ups a second.
pub const TICK: Duration = Duration::from_secs(10);
/// Far above what a busy machine makes of a tick.
pub const PATIENCE: Duration = Duration::from_secs(30);

tokio::task_local! {
    static OVER: Turns;
}

/// The tasks of one daemon.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    turning: Mutex<BTreeMap<u64, (String, Instant)>>,
    next: AtomicU64,
}

/// A task that has not turned for longer than `PATIENCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub task: String,
    pub since: Duration,
}

impl Turns {
    /// Runs `work` to its end, looked after under `task`'s name. Tasks that it starts by `inherit` are looked after too.
    pub async fn over<T>(&self, task: String, work: impl Future<Output = T>) -> T {
        let turn = Turn::new(self.clone(), task);
        OVER.scope(self.clone(), async {
            let mut work = pin!(work);
            let mut clock = interval(TICK);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    // Before the work: that may use up what a task is given at a time, and the clock would never tick.
                    _ = clock.tick() => turn.now(),
                    done = &mut work => return done,
                }
            }
        })
        .await
    }

    /// Those that a person, or a new process, must see to. The latest first.
    pub fn late(&self) -> Vec<Late> {
        let turning = self.0.turning.lock();
        let since = turning.values().map(|(task, at)| Late { task: task.clone(), since: at.elapsed() });
        let mut late: Vec<Late> = since.filter(|late| late.since > PATIENCE).collect();
        late.sort_by_key(|late| std::cmp::Reverse(late.since));
        late
    }

    pub fn count(&self) -> usize {
        self.0.turning.lock().len()
    }
}

/// `work`, looked after as the task that calls this is; just `work` where nobody looks.
pub fn inherit<T>(task: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let over = OVER.try_with(Clone::clone);
    async move {
        match over {
            Ok(turns) => turns.over(task.to_owned(), work).await,
            Err(_) => work.await,
        }
    }
}

struct Turn {
    turns: Turns,
    id: u64,
}

impl Turn {
    fn new(turns: Turns, task: String) -> Turn {
        let id = turns.0.next.fetch_add(1, Ordering::Relaxed);
        turns.0.turning.lock().insert(id, (task, Instant::now()));
        Turn { turns, id }
    }

    fn now(&self) {
        if let Some((_, at)) = self.turns.0.turning.lock().get_mut(&self.id) {
            *at = Instant::now();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.turning.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_is_well_and_one_that_is_gone_is_forgotten() {
        let turns = Turns::default();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.over("waits".into(), std::future::pending::<()>()).await }
        });
        tokio::time::sleep(PATIENCE * 10).await;
        assert_eq!((turns.count(), turns.late()), (1, vec![]));
        waiting.abort();
        assert!(waiting.await.is_err_and(|ended| ended.is_cancelled()));
        assert_eq!(turns.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_turn_is_named() {
        let turns = Turns::default();
        // As if its thread were held: nobody polls it.
        let mut held = Box::pin(turns.over("job orders".into(), std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut held).is_pending());
        tokio::time::sleep(PATIENCE + TICK).await;
        let late = turns.late();
        assert_eq!(late.len(), 1);
        assert_eq!(late[0].task, "job orders");
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_of_a_task_are_looked_after_too() {
        let turns = Turns::default();
        let count = turns
            .over("outer".into(), async {
                let inner = inherit("inner", std::future::pending::<()>());
                let mut inner = Box::pin(inner);
                assert!(futures_util::poll!(&mut inner).is_pending());
                turns.count()
            })
            .await;
        assert_eq!(count, 2);
        inherit("nobody looks", async {}).await;
    }
}
