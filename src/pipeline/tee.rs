//! One read of the source's log for all targets of a job; each takes its batches from a tap.
//!
//! The feed opens at the earliest position of the targets that follow; their positions are edges that no batch crosses,
//! and each skips what it has. A target that takes nothing for a minute is left behind: the others go on, the source
//! keeps the log from what that target last confirmed, and its return opens the feed there again. Held ranges and
//! sweeps enter here, between two log batches.

use super::{
    applied::Applied,
    board::Board,
    budget::Budget,
    resolve::Resolve,
    retention::Retention,
    retry::Backoff,
    route::Route,
    slice,
    tap::{Item, Marks, Tap},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Batch, Checkpoint, JobId, TableName},
    pipeline::route::Routed,
    source::{Feed, Next, Source},
    telemetry::turns,
};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How long the others wait for a target that takes nothing.
const LEAVE_BEHIND: Duration = Duration::from_secs(60);
/// How long a feed may say nothing; keeps acknowledgements and held ranges moving.
const PATIENCE: Duration = Duration::from_secs(1);
/// Batches waiting in a tap: one, while one is in the pump's hand and the next is being read.
const WAITING: usize = 1;

/// What reads the log of a job.
pub struct Tee {
    pub job: JobId,
    pub source: Arc<dyn Source>,
    /// Its store.
    pub store: String,
    pub route: Arc<Route>,
    pub tables: Vec<TableName>,
    pub board: Arc<Board>,
    pub retention: Retention,
    pub budget: Budget,
    /// What each target, also one that does not follow now, has applied and saved.
    pub applied: Arc<Applied>,
}

/// How pumps talk to the tee.
#[derive(Clone)]
pub struct Join {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Join { name: String, at: Checkpoint, edges: Vec<Checkpoint>, tap: oneshot::Sender<Tap> },
    Ask { name: String, ask: slice::Ask },
}

struct Branch {
    items: mpsc::Sender<Item>,
    at: Checkpoint,
    /// The last batch ended at a commit.
    complete: bool,
    edges: Vec<Checkpoint>,
    sent: u64,
    marks: Marks,
    asked: Option<slice::Ask>,
    /// A held slice that a saboteur lets in behind the next batch.
    late: Option<Item>,
}

impl Join {
    /// Follows the log from `at`. The tap ends with an error when the target is left behind: join again.
    pub async fn join(&self, name: &str, at: Checkpoint, edges: Vec<Checkpoint>) -> Result<Tap> {
        let (tap, joined) = oneshot::channel();
        let gone = || Error::transient("the job's read of the log has stopped");
        let command = Command::Join { name: name.to_owned(), at, edges, tap };
        self.commands.send(command).await.map_err(|_| gone())?;
        joined.await.map_err(|_| gone())
    }

    /// Asks for the next slice of a held range; it comes as a batch among the others. One at a time.
    pub async fn ask(&self, name: &str, ask: slice::Ask) -> Result<()> {
        let command = Command::Ask { name: name.to_owned(), ask };
        self.commands.send(command).await.map_err(|_| Error::transient("the job's read of the log has stopped"))
    }
}

impl Tee {
    /// Starts reading when the first target joins, until `stop`.
    pub fn start(self, stop: CancellationToken) -> (Join, tokio::task::JoinHandle<()>) {
        let (send, commands) = mpsc::channel(16); // Invariant 6: one ask and one join per target.
        let join = Join { commands: send };
        let reading = Reading {
            tee: self,
            commands,
            join: join.clone(),
            branches: BTreeMap::new(),
            feed: None,
            acknowledged: Instant::now(),
            answered: Instant::now(),
        };
        (join, tokio::spawn(turns::inherit("the read of a log", reading.run(stop)).in_current_span()))
    }
}

struct Reading {
    tee: Tee,
    commands: mpsc::Receiver<Command>,
    /// For the taps.
    join: Join,
    branches: BTreeMap<String, Branch>,
    feed: Option<Box<dyn Feed>>,
    acknowledged: Instant,
    /// When the log was heard last.
    answered: Instant,
}

impl Reading {
    async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                turn = self.turn() => turn,
            };
            match turn {
                Ok(()) => backoff.succeeded(),
                Err(error) => {
                    // Recovery is the start path: the feed is dropped and opened again where the targets are.
                    self.feed = None;
                    self.tee.board.source_error(&error);
                    if !error.is_transient() {
                        self.fail(&error).await;
                        continue;
                    }
                    if !backoff.wait(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// One step: a command, a held slice, or the next batch. May be dropped at any await.
    async fn turn(&mut self) -> Result<()> {
        if self.branches.is_empty() {
            self.feed = None;
            match self.commands.recv().await {
                Some(command) => self.obey(command),
                None => std::future::pending().await,
            }
            return Ok(());
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        if self.feed.is_none() {
            self.open().await.map_err(|error| error.of_source(&self.tee.store))?;
        }
        if self.acknowledged.elapsed() >= PATIENCE {
            self.acknowledged = Instant::now();
            self.acknowledge().await.map_err(|error| error.of_source(&self.tee.store))?;
            let Tee { board, route, tables, .. } = &self.tee;
            board.gone(self.feed.as_ref().map(|feed| feed.gone()).unwrap_or_default());
            let made = self.feed.as_ref().map(|feed| feed.made()).unwrap_or_default();
            board.late(made.into_iter().filter(|(name, _)| route.selects(name) && !tables.contains(name)));
        }
        let asks = |branch: &Branch| branch.asked.as_ref().is_some_and(|ask| branch.complete || !ask.at_commit);
        let asking = self.branches.iter().find(|(_, branch)| asks(branch)).map(|(name, _)| name.clone());
        if let Some(name) = asking {
            self.held(&name).await?;
        }
        let feed = self.feed.as_mut().expect("just opened");
        // Held ranges of one target, slice after slice, must not starve the tail of the others.
        let listens = self.answered.elapsed() < PATIENCE;
        let next = tokio::select! {
            biased;
            Some(command) = self.commands.recv(), if listens => {
                self.obey(command);
                return Ok(());
            }
            next = feed.next(PATIENCE) => next.map_err(|error| error.of_source(&self.tee.store))?,
        };
        self.answered = Instant::now();
        // Patience that ran out while the source answered nothing is no answer.
        if !matches!(&next, Next::Idle(upto) if upto.is_empty()) {
            self.tee.board.source_answered();
        }
        match next {
            Next::Idle(upto) if upto.is_empty() => {}
            Next::Batch(batch) => self.hand_out(batch).await?,
            Next::Idle(upto) => self.idle(&upto),
            Next::End => return Err(Error::transient("the tail of the log ended")),
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join { name, at, edges, tap } => {
                let (items, received) = mpsc::channel(WAITING); // Invariant 6.
                let joined = Tap::new(&name, received, self.join.clone());
                let branch = Branch {
                    items,
                    at,
                    complete: true,
                    edges,
                    sent: 0,
                    marks: joined.marks(),
                    asked: None,
                    late: None,
                };
                if tap.send(joined).is_ok() {
                    self.branches.insert(name, branch);
                    // It may stand before the feed: open again at the earliest of all.
                    self.feed = None;
                }
            }
            Command::Ask { name, ask } => {
                if let Some(branch) = self.branches.get_mut(&name) {
                    branch.asked = Some(ask);
                }
            }
        }
    }

    /// Opens the log at the earliest of all branches.
    async fn open(&mut self) -> Result<()> {
        let mut from = Checkpoint::default();
        let mut edges = Vec::new();
        for branch in self.branches.values() {
            for (partition, position) in &branch.at.0 {
                match from.get(partition) {
                    Some(known) if self.tee.source.order(position, known)? != Ordering::Less => {}
                    _ => from.set(partition, position.clone()),
                }
            }
            edges.push(branch.at.clone());
            edges.extend(branch.edges.iter().cloned());
        }
        // What one of them has not opened yet begins again at its predecessor's end.
        from.0.retain(|partition, _| self.branches.values().all(|branch| branch.at.get(partition).is_some()));
        if faults::on(Saboteur::EdgeCrossed) {
            edges.clear();
        }
        let tail = self.tee.source.tail(self.tee.job, &from, &edges, &self.tee.tables).await?;
        let resolved = Resolve::new(tail, Arc::clone(&self.tee.source), true);
        self.feed = Some(Box::new(Routed::new(resolved, Arc::clone(&self.tee.route))));
        Ok(())
    }

    async fn hand_out(&mut self, batch: Batch) -> Result<()> {
        let budget = self.tee.budget.take(batch.bytes()).await;
        let names: Vec<String> = self.branches.keys().cloned().collect();
        for name in names {
            let branch = self.branches.get_mut(&name).expect("only this loop removes");
            if let Some(at) = branch.at.get(&batch.partition) {
                if self.tee.source.order(&batch.to, at)? != Ordering::Greater {
                    continue; // It has this one.
                }
                if self.tee.source.order(&batch.from, at)? == Ordering::Less && !faults::on(Saboteur::EdgeCrossed) {
                    return Err(Error::lost(format!("a batch of {} crosses the edge {at:?}", batch.partition))
                        .hint("this is a defect of the source's connector; please report it"));
                }
            }
            branch.at.set(&batch.partition, batch.to.clone());
            branch.complete = batch.complete;
            let item = Item { next: Ok(Next::Batch(batch.clone())), slice: None, budget: budget.clone() };
            let late = branch.late.take();
            self.send(&name, item).await;
            if let Some(late) = late.filter(|_| self.branches.contains_key(&name)) {
                self.send(&name, late).await;
            }
        }
        self.passed();
        Ok(())
    }

    /// Sends to one branch, or leaves it behind.
    async fn send(&mut self, name: &str, item: Item) {
        let branch = self.branches.get_mut(name).expect("the caller knows it is there");
        branch.sent += 1;
        let feed = &mut self.feed;
        let ahead = async {
            match feed {
                Some(feed) => feed.ahead().await,
                None => std::future::pending().await,
            }
        };
        let taken = tokio::select! {
            biased;
            place = timeout(LEAVE_BEHIND, branch.items.reserve()) => match place {
                Ok(Ok(place)) => {
                    place.send(item);
                    true
                }
                _ => false,
            },
            () = ahead => false,
        };
        if !taken {
            // Its pump is gone or stuck. What it did not take it will read again when it joins.
            self.branches.remove(name);
        }
    }

    fn idle(&mut self, upto: &Checkpoint) {
        for branch in self.branches.values_mut() {
            let ahead = |(partition, position): (&_, &_)| {
                let behind = branch.at.get(partition).map(|at| self.tee.source.order(position, at));
                matches!(behind, None | Some(Ok(Ordering::Greater)))
            };
            let upto: Checkpoint = Checkpoint(
                upto.0.iter().filter(|(p, at)| ahead((p, at))).map(|(p, at)| (p.clone(), at.clone())).collect(),
            );
            let item = Item { next: Ok(Next::Idle(upto.clone())), slice: None, budget: None };
            if branch.items.try_send(item).is_ok() {
                branch.sent += 1;
                upto.0.into_iter().for_each(|(partition, position)| branch.at.set(&partition, position));
            }
        }
        self.passed();
    }

    /// Notes which marks the feed has passed, and after how many items of each branch.
    fn passed(&mut self) {
        let Some(feed) = &mut self.feed else { return };
        for branch in self.branches.values() {
            for (mark, passed) in branch.marks.lock().iter_mut().filter(|(_, passed)| passed.is_none()) {
                if feed.passed(mark) {
                    *passed = Some(branch.sent);
                }
            }
        }
    }

    /// Reads a slice of a held range, after the last log batch handed out and before the next.
    async fn held(&mut self, name: &str) -> Result<()> {
        let branch = &self.branches[name];
        let ask = branch.asked.clone().expect("the caller saw it");
        // A sweep also reads the target.
        let is_of_source = ask.sweep.is_none();
        let read = slice::read(&*self.tee.source, &self.tee.route, ask, &branch.at).await;
        let (batch, slice) = read.map_err(|error| match is_of_source {
            true => error.of_source(&self.tee.store),
            false => error,
        })?;
        let branch = self.branches.get_mut(name).expect("still there");
        branch.asked = None;
        let item = Item { next: Ok(Next::Batch(batch)), slice: Some(slice), budget: None };
        if faults::on(Saboteur::HeldRangeNotHeld) {
            branch.late = Some(item);
        } else {
            self.send(name, item).await;
        }
        Ok(())
    }

    /// Invariant 1: only what every target has applied and saved, and that long enough ago.
    async fn acknowledge(&mut self) -> Result<()> {
        let least = self.tee.applied.least(&*self.tee.source)?;
        if let (Some(mut upto), Some(feed)) = (self.tee.retention.release(least.clone()), &mut self.feed) {
            // A target that lost commits stands before what it had applied when this began to wait.
            upto.0.retain(|partition, _| least.get(partition).is_some());
            for (partition, position) in &mut upto.0 {
                let now = least.get(partition).expect("just looked");
                if self.tee.source.order(position, now)? == Ordering::Greater {
                    position.clone_from(now);
                }
            }
            faults::point("before-acknowledge");
            feed.acknowledge(&upto).await?;
        }
        Ok(())
    }

    /// A target that stands where the log cannot be read from any more must not stop the others.
    async fn fail(&mut self, error: &Error) {
        let mut failed = BTreeMap::new();
        for (name, branch) in self.branches.iter().filter(|_| self.branches.len() > 1) {
            match self.tee.source.tail(self.tee.job, &branch.at, &[], &self.tee.tables).await {
                Err(alone) if !alone.is_transient() => {
                    drop(failed.insert(name.clone(), alone.of_source(&self.tee.store)))
                }
                _ => {}
            }
        }
        if failed.is_empty() {
            failed.extend(self.branches.keys().map(|name| (name.clone(), error.copy())));
        }
        for (name, error) in failed {
            let Some(branch) = self.branches.remove(&name) else { continue };
            let item = Item { next: Err(error), slice: None, budget: None };
            // A pump that does not take it within a minute will find its tap ended.
            let _ = timeout(LEAVE_BEHIND, branch.items.send(item)).await;
        }
    }
}
