//! The server of a target: requests that it works on whether or not their client still waits.

use super::{
    encode::execute,
    heap::Step,
    ledger::{LaneId, Ledger, Lock},
    log::{Logged, What},
    world::{Inner, World},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        COARSE_HASH_VERSION, Change, Existing, JobId, Kind, LaneMark, Mutation, NO_ROW, Partition, Position, Rows,
    },
    target::{Applied, Part},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

/// The server gives a lock up after this, in both directions.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(50);
/// The longest that a request without a transaction can stay in the server.
pub(super) const LONGEST_REQUEST: Duration = Duration::from_secs(61);

/// One connection of a pipeline: which job, in which of its lives, to which life of the server.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub number: u64,
    pub job: JobId,
    pub epoch: u64,
    pub token: Uuid,
    pub incarnation: u64,
    pub existing: Existing,
    pub transactional: bool,
}

/// A part of a batch that no longer borrows from its client.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub feed: Partition,
    pub number: u64,
    pub lanes: Vec<u16>,
    pub of: u16,
    pub from: Position,
    pub to: Position,
    pub complete: bool,
    pub kind: Kind,
    pub rows: Arc<Rows>,
}

impl Request {
    pub(super) fn own(part: &Part<'_>) -> Request {
        let mut rows = Rows::default();
        for mutation in part.mutations {
            let shape = rows.shape(part.rows.table(mutation));
            let copy = |place, rows: &mut Rows| match place {
                NO_ROW => NO_ROW,
                place => rows.copy_row(part.rows.row(place)),
            };
            let (row, before) = (copy(mutation.row, &mut rows), copy(mutation.before, &mut rows));
            rows.push(shape, mutation.change, row, before);
        }
        Request {
            feed: part.feed.clone(),
            number: part.number,
            lanes: part.lanes.to_vec(),
            of: part.of,
            from: part.from.clone(),
            to: part.to.clone(),
            complete: part.complete,
            kind: part.kind,
            rows: Arc::new(rows),
        }
    }

    pub(super) fn lane_ids(&self, job: JobId) -> Vec<LaneId> {
        self.lanes.iter().map(|lane| (job, self.feed.clone(), *lane)).collect()
    }

    fn commits_by_itself(&self) -> bool {
        self.rows.mutations.iter().any(|mutation| matches!(mutation.change, Change::Truncate | Change::Reshape))
    }
}

/// Sends work to the server. It is done there even if the client goes away; the answer may get lost.
pub(super) async fn call<T: Send + 'static>(
    world: &Arc<World>,
    session: &Session,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (answer, waiting) = oneshot::channel();
    let (cut, lost) = {
        let mut inner = world.lock();
        let mishaps = inner.habits.mishaps;
        let cut = inner.chance.hits(mishaps.cut).then(|| inner.chance.upto(Duration::from_secs(2)));
        (cut, inner.chance.hits(mishaps.lost_answer))
    };
    let server = Arc::clone(world);
    tokio::spawn(async move {
        server.travel().await;
        server.stalled().await;
        let done = work.await;
        if answer.is_closed() && done.is_ok() {
            server.lock().counts.zombies += 1;
        }
        server.travel().await;
        // A client that has gone hears nothing.
        let _ = answer.send(done);
    });
    let broken = |world: &World| Error::transient(format!("the connection to `{}` broke", world.name));
    let server_died = {
        let incarnation = session.incarnation;
        world.until(cut.map(|after| Instant::now() + after), move |inner| {
            (inner.incarnation != incarnation || inner.is_down()).then_some(())
        })
    };
    tokio::select! {
        biased;
        done = waiting => match done {
            Ok(_) if lost => {
                world.lock().counts.lost_answers += 1;
                Err(broken(world))
            }
            Ok(done) => done,
            Err(_) => Err(broken(world)),
        },
        _ = server_died => {
            world.lock().counts.cuts += 1;
            Err(broken(world))
        }
    }
}

/// Waits for the locks of `lanes`; the transaction's number is the session's while it is held open.
pub(super) async fn lock_lanes(
    world: &World,
    transaction: u64,
    lanes: &[LaneId],
    until: Option<Duration>,
) -> Result<()> {
    let lock = || Lock { transaction, until: until.map(|until| Instant::now() + until) };
    let got =
        world.until(Some(Instant::now() + LOCK_WAIT), |inner| inner.ledger.lock(lanes, lock()).then_some(())).await;
    got.ok_or_else(|| Error::transient("another transaction has the watermark locked"))
}

pub(super) fn unlock(world: &World, transaction: u64) {
    world.lock().ledger.unlock(transaction);
    world.changed.notify_waiters();
}

/// Time that a statement takes, now and then very long.
pub(super) async fn labour(world: &World) {
    let hang = {
        let mut inner = world.lock();
        let per_mille = inner.habits.mishaps.hang;
        let hangs = inner.chance.hits(per_mille);
        inner.counts.hangs += u64::from(hangs);
        hangs.then(|| inner.chance.upto(LONGEST_REQUEST - Duration::from_secs(1)))
    };
    if let Some(hang) = hang {
        tokio::time::sleep(hang).await;
    }
    world.travel().await;
    world.stalled().await;
}

/// One part as one transaction: watermark rows, rows, commit.
pub(super) async fn transaction(world: Arc<World>, session: Session, request: Request) -> Result<Applied> {
    let number = world.lock().chance.number();
    let lanes = request.lane_ids(session.job);
    let locks = !faults::on(Saboteur::ZombieAllowed);
    if locks {
        lock_lanes(&world, number, &lanes, None).await?;
    }
    let done = locked_transaction(&world, &session, &request).await;
    if locks {
        unlock(&world, number);
    }
    done
}

async fn locked_transaction(world: &World, session: &Session, request: &Request) -> Result<Applied> {
    world.lock().check_claim(session, request)?;
    labour(world).await;
    {
        let mut inner = world.lock();
        let per_mille = inner.habits.mishaps.deadlock;
        if inner.chance.hits(per_mille) {
            inner.counts.deadlocks += 1;
            return Ok(Applied::Again);
        }
        if !(inner.habits.ddl_commits && request.commits_by_itself()) {
            return inner.run_and_commit(session, std::slice::from_ref(request), true);
        }
        inner.run_and_commit(session, std::slice::from_ref(request), false)?;
    }
    labour(world).await;
    world.lock().move_watermark_alone(session, request)
}

impl Inner {
    pub(super) fn check_claim(&mut self, session: &Session, request: &Request) -> Result<()> {
        self.check_claim_behind(session, request, 0)
    }

    /// What a transaction in an earlier life of the server, of an earlier epoch or of an applied batch runs into.
    /// `held`: the newest batch that is open in the same transaction.
    pub(super) fn check_claim_behind(&mut self, session: &Session, request: &Request, held: u64) -> Result<()> {
        self.check_life(session)?;
        let entry = self.ledger.jobs.get(&session.job);
        let entry = entry.ok_or_else(|| Error::config("the job is not known here").hint("start the job again"))?;
        let (ours, theirs) = (session.epoch, entry.epoch);
        if theirs < ours {
            return Err(Error::transient(format!("the target went back to epoch {theirs}, ours is {ours}")));
        }
        let is_ours = theirs == ours && entry.token == session.token;
        if !is_ours && !faults::on(Saboteur::EpochIgnored) {
            self.counts.refused_zombies += 1;
            return Err(Error::config(format!("another daemon runs this job: epoch {theirs}, ours is {ours}"))
                .hint("stop one of the two daemons"));
        }
        for lane in request.lane_ids(session.job) {
            let Some(mark) = self.ledger.marks.get(&lane) else {
                return Err(Error::config(format!("lane {} of {} was never opened", lane.2, lane.1)));
            };
            if mark.batch >= request.number && !faults::on(Saboteur::ZombieAllowed) {
                self.counts.refused_zombies += 1;
                return Err(Error::transient(format!("lane {} has batch {} already", lane.2, mark.batch)));
            }
            // What came before was taken back by a restore or a failover: nothing is applied on top of a gap.
            let newest = match request.feed.as_str() {
                Partition::COPY => mark.batch,
                _ => self.ledger.newest_of(session.job, &request.feed),
            };
            if newest.max(held) + 1 < request.number {
                let (feed, before) = (&request.feed, request.number - 1);
                let text = format!("the target stands at batch {newest} of {feed}, not at {before}");
                return Err(Error::transient(text));
            }
        }
        Ok(())
    }

    pub(super) fn check_life(&self, session: &Session) -> Result<()> {
        match self.incarnation == session.incarnation && !self.is_down() {
            true => Ok(()),
            false => Err(Error::transient("the server went down")),
        }
    }

    /// Runs requests as one transaction and commits it, or undoes it all and says why.
    pub(super) fn run_and_commit(&mut self, session: &Session, requests: &[Request], mark: bool) -> Result<Applied> {
        self.check_life(session)?;
        let before = self.ledger.clone();
        let mut steps = Vec::new();
        let done = self.run(session, requests, &mut steps, mark);
        match done {
            Ok(Applied::Done) => {
                for request in requests {
                    let changes: Vec<_> = request.rows.mutations.iter().map(|one| one.change).collect();
                    tracing::trace!(
                        feed = %request.feed, number = request.number, lanes = ?request.lanes, of = request.of,
                        from = ?request.from, to = ?request.to, kind = ?request.kind, ?changes, "committed"
                    );
                }
                self.counts.applies += 1;
                let logged = told(&steps, self);
                self.commit_with(steps, &logged, before);
                Ok(Applied::Done)
            }
            other => {
                self.tables.undo(&steps);
                // Locks are not part of what is rolled back.
                let locks = std::mem::take(&mut self.ledger.locks);
                self.ledger = Ledger { locks, ..before };
                other
            }
        }
    }

    /// All of `requests` in order; their claims were looked at when their locks were taken. The last one's verdict, or the
    /// first that is not `Done`.
    pub(super) fn run(
        &mut self,
        session: &Session,
        requests: &[Request],
        steps: &mut Vec<Step>,
        mark: bool,
    ) -> Result<Applied> {
        for request in requests {
            self.look_for_breaches(session, request);
            if mark {
                self.move_watermark(session, request);
            }
            let mutations: &[Mutation] = &request.rows.mutations;
            let done = execute(&mut self.tables, request.kind, &request.rows, mutations, steps)?;
            match &done {
                Applied::Done => continue,
                Applied::Missing(places) => self.counts.missing += places.len() as u64,
                Applied::Taken(clashes) => self.counts.taken += clashes.len() as u64,
                Applied::Held | Applied::Again => {}
            }
            return Ok(done);
        }
        Ok(Applied::Done)
    }

    pub(super) fn move_watermark(&mut self, session: &Session, request: &Request) {
        for lane in request.lane_ids(session.job) {
            let mark = LaneMark {
                feed: request.feed.clone(),
                lane: lane.2,
                lanes: request.of,
                hash_version: COARSE_HASH_VERSION,
                epoch: session.epoch,
                batch: request.number,
                from: request.from.clone(),
                to: request.to.clone(),
            };
            self.ledger.marks.insert(lane, mark);
        }
    }

    pub(super) fn move_watermark_alone(&mut self, session: &Session, request: &Request) -> Result<Applied> {
        self.check_claim(session, request)?;
        let before = self.ledger.clone();
        self.move_watermark(session, request);
        self.commit_with(Vec::new(), &[], before);
        Ok(Applied::Done)
    }
}

/// What this store's own log says of a transaction that came as mutations.
fn told(steps: &[Step], inner: &Inner) -> Vec<Logged> {
    if inner.reserved.is_empty() {
        return Vec::new();
    }
    let mut logged = Vec::new();
    for step in steps {
        let (table, what) = match step {
            Step::Row { table, before, after, .. } => {
                let what = match (before.clone(), after.clone()) {
                    (None, Some(after)) => What::Insert(after.values),
                    (Some(before), Some(after)) => What::Update { before: before.values, after: after.values },
                    (Some(before), None) => What::Delete(before.values),
                    (None, None) => continue,
                };
                (table, what)
            }
            Step::Table { table, after: Some(after), .. } if after.is_empty() => (table, What::Truncate),
            Step::Table { table, .. } => (table, What::Reshape),
        };
        if let Some(heap) = inner.tables.get(table) {
            logged.push(Logged { table: Arc::clone(&heap.shape), what });
        }
    }
    logged
}
