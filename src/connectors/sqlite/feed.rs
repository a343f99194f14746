//! The tail as the engine sees it: a thread that looks often while there is work, seldom while there is none.

use super::{
    failure::is_locked,
    position::{self, Point},
    tail::{Found, Tail},
    thread,
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Mark, Partition, Position, TableName},
    source::{Feed, Next},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Between two looks: short while changes come, longer the longer none came.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(30);
/// The pause is this part of the time since the last change.
const PAUSE_OF_QUIET: u32 = 50;
/// Between two pieces of pruning, so that other writers get the lock.
const PRUNE_PAUSE: Duration = Duration::from_millis(2);
/// Requests that wait for the thread: one `next`, and acknowledgements.
const QUEUE: usize = 16;

enum Request {
    Next { until: Instant, answer: oneshot::Sender<Result<Next>> },
    Acknowledge(u64),
}

pub(super) struct TailFeed {
    requests: SyncSender<Request>,
    pending: Option<oneshot::Receiver<Result<Next>>>,
    /// What `next` has returned last.
    returned: Point,
    gone: Arc<Mutex<Vec<TableName>>>,
}

impl TailFeed {
    /// `open` runs on the thread that will own the connection.
    pub async fn open(busy: Duration, open: impl FnOnce() -> Result<Tail> + Send + 'static) -> Result<TailFeed> {
        let (requests, queue) = sync_channel(QUEUE);
        let (opened, answer) = oneshot::channel();
        let run = move || match open() {
            Ok(tail) => {
                if opened.send(Ok((tail.point(), Arc::clone(&tail.gone)))).is_ok() {
                    Follower { tail, busy, acknowledged: None, busy_since: None, active: Instant::now(), shown: None }
                        .run(&queue);
                }
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name("sqlite-tail".to_owned())
            .spawn(move || span.in_scope(run))
            .map_err(|error| Error::transient("cannot start a thread").because(error))?;
        let (returned, gone) = answer.await.map_err(|_| thread::gone())??;
        Ok(TailFeed { requests, pending: None, returned, gone })
    }
}

#[async_trait]
impl Feed for TailFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        if self.pending.is_none() {
            let (answer, pending) = oneshot::channel();
            let request = Request::Next { until: Instant::now() + patience, answer };
            self.requests.try_send(request).map_err(|_| thread::gone())?;
            self.pending = Some(pending);
        }
        // The thread answers in time by itself; a caller that lost patience finds its answer at the next call.
        let pending = self.pending.as_mut().expect("just asked");
        let next = pending.await.map_err(|_| thread::gone());
        self.pending = None;
        let next = next??;
        let returned = match &next {
            Next::Batch(batch) => Some(&batch.to),
            Next::Idle(checkpoint) => checkpoint.get(&Partition::new(Partition::ONLY)),
            Next::End => None,
        };
        if let Some(returned) = returned {
            self.returned = Point::read(returned)?;
        }
        Ok(next)
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        let Some(position) = upto.get(&Partition::new(Partition::ONLY)) else { return Ok(()) };
        let point = Point::read(position)?;
        if point.token != self.returned.token {
            return Err(position::other_log());
        }
        // A full queue already holds acknowledgements; the next one will be as good.
        let _ = self.requests.try_send(Request::Acknowledge(point.seq.min(self.returned.seq)));
        Ok(())
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        position::has_passed(self.returned.token, self.returned.seq, mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.gone.lock().clone()
    }
}

/// The thread: looks for a waiting `next`, prunes what was acknowledged, ends when the feed is dropped.
struct Follower {
    tail: Tail,
    busy: Duration,
    /// To be pruned up to here.
    acknowledged: Option<u64>,
    /// Since when every look met another process's lock.
    busy_since: Option<Instant>,
    active: Instant,
    /// Where the last answer stood: news of an idle log that moved are not kept back.
    shown: Option<Position>,
}

impl Follower {
    fn run(mut self, requests: &Receiver<Request>) {
        let mut waiting: Option<(Instant, oneshot::Sender<Result<Next>>)> = None;
        loop {
            if let Some((until, answer)) = waiting.take() {
                match self.look(until) {
                    Some(found) => drop(answer.send(found)),
                    None => waiting = Some((until, answer)),
                }
            }
            let more = self.prune();
            let pause = match (&waiting, more) {
                (_, true) => PRUNE_PAUSE,
                (Some((until, _)), false) => self.pause().min(until.saturating_duration_since(Instant::now())),
                (None, false) => LONGEST_PAUSE,
            };
            // Nobody waits and nothing is left to prune: sleep until asked.
            let idle = waiting.is_none() && !more && self.acknowledged.is_none();
            let request = match idle {
                true => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => requests.recv_timeout(pause),
            };
            match request {
                Ok(Request::Next { until, answer }) => waiting = Some((until, answer)),
                Ok(Request::Acknowledge(seq)) => self.acknowledged = self.acknowledged.max(Some(seq)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One look; `None`: nothing yet, and there is time left.
    fn look(&mut self, until: Instant) -> Option<Result<Next>> {
        let late = Instant::now() >= until;
        match self.tail.look() {
            Ok(Found::Next(next)) => {
                self.busy_since = None;
                let at = self.tail.position();
                let moved = self.shown.as_ref() != Some(at);
                self.shown = Some(at.clone());
                let is_batch = matches!(next, Next::Batch(_));
                if is_batch {
                    self.active = Instant::now();
                }
                (is_batch || moved || late).then_some(Ok(next))
            }
            Ok(Found::Nothing) => {
                self.busy_since = None;
                late.then(|| Ok(Next::Idle(self.tail.checkpoint())))
            }
            Err(error) if is_locked(&error) => {
                let since = *self.busy_since.get_or_insert_with(Instant::now);
                match since.elapsed() >= self.busy {
                    true => Some(Err(error)),
                    // Nothing was learnt, and nothing is claimed.
                    false => late.then(|| Ok(Next::Idle(Checkpoint::default()))),
                }
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Says whether more is to be pruned right away. A locked file is tried again later: nothing depends on it.
    fn prune(&mut self) -> bool {
        let Some(acknowledged) = self.acknowledged else { return false };
        match self.tail.prune(acknowledged) {
            Ok(true) => true,
            Ok(false) => {
                self.acknowledged = None;
                false
            }
            Err(error) => {
                tracing::debug!(%error, "the change log could not be pruned yet");
                false
            }
        }
    }

    fn pause(&self) -> Duration {
        (self.active.elapsed() / PAUSE_OF_QUIET).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}
