//! Writing a world: the client's side of the lane protocol.

use super::{
    heap::Heap,
    ledger::JobEntry,
    server::{self, LOCK_WAIT, LONGEST_REQUEST, Request, Session, call},
    world::{Inner, World},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{COARSE_HASH_VERSION, Equality, Existing, Finding, JobId, LaneMark, Severity, Table},
    target::{Applied, Claim, Finished, JobRow, Noted, Opened, Part, Prepared, Scratch, Target},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A server notices after this long at the latest that a client with an open transaction has gone.
const NOTICED: Duration = Duration::from_secs(30);

pub struct MemoryTarget {
    world: Arc<World>,
    session: Mutex<Option<Session>>,
    /// The parts of the transaction that is open in the server (transactional mode).
    held: Mutex<Vec<Request>>,
}

impl MemoryTarget {
    pub fn new(world: Arc<World>) -> Self {
        MemoryTarget { world, session: Mutex::new(None), held: Mutex::new(Vec::new()) }
    }

    fn session(&self) -> Result<Session> {
        let session = self.session.lock().clone();
        session.ok_or_else(|| Error::transient("not connected").hint("open connects"))
    }

    async fn reach(&self) -> Result<()> {
        self.world.travel().await;
        match self.world.lock().is_down() {
            true => Err(self.world.down()),
            false => Ok(()),
        }
    }

    /// The connections of an earlier `open` are dropped; the server notices that later.
    fn hang_up(&self) {
        let parts = std::mem::take(&mut *self.held.lock());
        if let Some(session) = self.session.lock().take()
            && !parts.is_empty()
        {
            let mut inner = self.world.lock();
            let until = Instant::now() + inner.chance.upto(NOTICED);
            let locks = inner.ledger.locks.values_mut();
            locks.filter(|lock| lock.transaction == session.number).for_each(|lock| lock.until = Some(until));
            drop(inner);
            self.world.changed.notify_waiters();
        }
    }

    /// Lane protocol 11: what is not complete stays open.
    async fn apply_held(&self, session: Session, request: Request) -> Result<Applied> {
        let parts: Vec<Request> = self.held.lock().iter().cloned().chain([request.clone()]).collect();
        let complete = request.complete;
        let world = Arc::clone(&self.world);
        let (life, work) = (session.clone(), parts.clone());
        let done = call(&self.world, &session, async move {
            let lanes = work.last().expect("one part at least").lane_ids(life.job);
            server::lock_lanes(&world, life.number, &lanes, Some(2 * LOCK_WAIT)).await?;
            server::labour(&world).await;
            // A server that gave the lock up has ended the transaction.
            let held = |index: usize| index.checked_sub(1).map_or(0, |before| work[before].number);
            let mut parts = work.iter().enumerate();
            let claimed = parts.try_for_each(|(index, part)| world.lock().check_claim_behind(&life, part, held(index)));
            let done = claimed.and_then(|()| match complete {
                true => world.lock().run_and_commit(&life, &work, true),
                false => world.lock().try_out(&life, &work),
            });
            // Without earlier parts nothing stays open; with them, a part that does not fit is undone alone.
            let stays = match &done {
                Ok(Applied::Held) => true,
                Ok(Applied::Missing(_) | Applied::Taken(_)) => work.len() > 1,
                _ => false,
            };
            if !stays {
                server::unlock(&world, life.number);
            }
            done
        })
        .await?;
        match done {
            Applied::Held => *self.held.lock() = parts,
            Applied::Done => self.held.lock().clear(),
            _ => {}
        }
        Ok(done)
    }

    /// Lane protocol 10: data, then the watermark, each request by itself.
    async fn apply_loose(&self, session: Session, request: Request) -> Result<Applied> {
        const ROWS_PER_REQUEST: usize = 4;
        self.world.lock().check_claim(&session, &request)?;
        let mut missing = Vec::new();
        for (number, chunk) in request.rows.mutations.chunks(ROWS_PER_REQUEST).enumerate() {
            let (world, life) = (Arc::clone(&self.world), session.clone());
            let mut rows = (*request.rows).clone();
            rows.mutations = chunk.to_vec();
            let part = Request { rows: Arc::new(rows), ..request.clone() };
            let done = call(&self.world, &session, async move {
                server::labour(&world).await;
                world.lock().run_loose(&life, &part)
            })
            .await?;
            match done {
                Applied::Missing(places) => {
                    missing.extend(places.iter().map(|place| place + number * ROWS_PER_REQUEST))
                }
                Applied::Done => {}
                other => return Ok(other),
            }
        }
        if !missing.is_empty() {
            return Ok(Applied::Missing(missing));
        }
        self.world.travel().await;
        let world = Arc::clone(&self.world);
        let life = session.clone();
        call(&self.world, &session, async move {
            server::labour(&world).await;
            world.lock().move_watermark_alone(&life, &request)
        })
        .await
    }
}

impl Drop for MemoryTarget {
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[async_trait]
impl Target for MemoryTarget {
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
        self.reach().await?;
        let inner = self.world.lock();
        let mut findings = Vec::new();
        for table in tables {
            let name = table.name.to_string();
            if let Some((job, _)) = inner.ledger.jobs.iter().find(|(_, entry)| entry.tables.contains(&table.name)) {
                findings.push(Finding::claimed(&name, &format!("job {job}")));
            }
            if inner.tables.get(&table.name).is_some_and(|heap| !heap.is_empty()) {
                findings.push(Finding::has_rows(&name, table, existing));
            }
            let coarser = |column: &usize| {
                table.columns[*column].equality == Equality::Exact && inner.habits.coarse == Some(true)
            };
            if table.key.iter().any(coarser) {
                let text = "takes keys for equal that the source tells apart";
                findings.push(Finding::new(Severity::Blocking, table.name.to_string(), text));
            }
            if !inner.habits.transactional && (table.is_keyless() || !table.uniques.is_empty()) {
                let text = "has no transactions: only tables with a key and no other unique index are carried";
                findings.push(Finding::new(Severity::Blocking, table.name.to_string(), text));
            }
        }
        Ok(findings)
    }

    async fn open(&self, claim: &Claim) -> Result<Opened> {
        self.hang_up();
        self.reach().await?;
        if !self.world.lock().habits.transactional {
            // Lane protocol 10: whatever an earlier connection has sent is over after this.
            tokio::time::sleep(LONGEST_REQUEST).await;
        }
        // Lane protocol 1: the lock waits for a zombie's open transaction.
        let waits = !faults::on(Saboteur::OpenSkipsLock);
        let opened = self.world.until(Some(Instant::now() + LOCK_WAIT), |inner| {
            (!waits || !inner.ledger.is_locked(claim.job)).then(|| inner.open(claim))
        });
        let (session, opened) =
            opened.await.ok_or_else(|| Error::transient("another transaction of this job is still at work"))??;
        self.world.travel().await;
        *self.session.lock() = Some(session);
        Ok(opened)
    }

    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let session = self.session()?;
        self.reach().await?;
        let mut inner = self.world.lock();
        inner.check_life(&session)?;
        inner.prepare(&session, table, generation)
    }

    async fn apply(&self, part: Part<'_>) -> Result<Applied> {
        let session = self.session()?;
        let request = Request::own(&part);
        let transactional = self.world.lock().habits.transactional;
        if !transactional {
            return self.apply_loose(session, request).await;
        }
        if session.transactional && (!request.complete || !self.held.lock().is_empty()) {
            return self.apply_held(session, request).await;
        }
        let work = server::transaction(Arc::clone(&self.world), session.clone(), request);
        call(&self.world, &session, work).await
    }

    async fn finish(&self, table: &Arc<Table>) -> Result<Finished> {
        let session = self.session()?;
        self.reach().await?;
        let mut inner = self.world.lock();
        inner.check_life(&session)?;
        inner.finish(&session, table)
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        self.reach().await?;
        let mut inner = self.world.lock();
        let before = inner.ledger.clone();
        inner.ledger.jobs.remove(&job);
        inner.ledger.marks.retain(|(owner, ..), _| *owner != job);
        inner.commit_with(Vec::new(), &[], before);
        Ok(())
    }

    async fn jobs(&self) -> Result<Vec<JobRow>> {
        self.reach().await?;
        let inner = self.world.lock();
        let row = |(job, entry): (&JobId, &JobEntry)| JobRow {
            job: *job,
            spec: entry.spec.clone(),
            epoch: entry.epoch,
            opened: inner.ledger.opened(*job),
        };
        Ok(inner.ledger.jobs.iter().map(row).collect())
    }

    async fn scratch(&self) -> Result<Option<Scratch>> {
        let habits = self.world.habits();
        // One that waits for a zombie's longest request before it opens would take longer than a plan may.
        let world = habits.transactional.then(|| World::new("scratch", habits));
        let about = "a world of the same habits in the daemon's memory".to_owned();
        Ok(world.map(|world| Scratch { target: Box::new(MemoryTarget::new(world)), about }))
    }

    fn place(&self) -> Option<String> {
        Some(self.world.place())
    }

    fn lanes(&self) -> u16 {
        self.world.lock().habits.lanes
    }

    fn is_transactional(&self) -> bool {
        self.world.lock().habits.transactional
    }
}

impl Inner {
    fn open(&mut self, claim: &Claim) -> Result<(Session, Opened)> {
        if self.is_down() {
            return Err(Error::transient("the server went down"));
        }
        let before = self.ledger.clone();
        let refuse = |text: String| {
            Err(Error::config(text).hint("stop one of the two daemons; then start the job again on the other"))
        };
        if let Some(entry) = self.ledger.jobs.get(&claim.job).filter(|_| !faults::on(Saboteur::EpochIgnored)) {
            if entry.epoch > claim.epoch {
                return refuse(format!("another daemon runs this job: epoch {} > {}", entry.epoch, claim.epoch));
            }
            if entry.epoch == claim.epoch && entry.token != claim.token {
                return refuse(format!("another daemon runs this job with the same epoch {}", claim.epoch));
            }
        }
        let others = self.ledger.jobs.iter().filter(|(job, _)| **job != claim.job);
        for (job, entry) in others {
            if let Some(table) = entry.tables.iter().find(|table| claim.tables.contains(table)) {
                return Err(Error::config(format!("{table} belongs to job {job}"))
                    .hint("delete that job, or leave the table out"));
            }
        }
        let entry = self.ledger.jobs.entry(claim.job).or_default();
        entry.spec.clone_from(&claim.spec);
        (entry.epoch, entry.token) = (claim.epoch, claim.token);
        entry.tables.clone_from(&claim.tables);
        self.ledger
            .marks
            .iter_mut()
            .filter(|((job, ..), _)| *job == claim.job)
            .for_each(|(_, m)| m.epoch = claim.epoch);
        for (feed, lanes, at) in &claim.feeds {
            for lane in 0..*lanes {
                self.ledger.marks.entry((claim.job, feed.clone(), lane)).or_insert_with(|| LaneMark {
                    feed: feed.clone(),
                    lane,
                    lanes: *lanes,
                    hash_version: COARSE_HASH_VERSION,
                    epoch: claim.epoch,
                    batch: 0,
                    from: at.clone(),
                    to: at.clone(),
                });
            }
        }
        let opened = self.ledger.opened(claim.job);
        self.commit_with(Vec::new(), &[], before);
        let session = Session {
            number: self.chance.number(),
            job: claim.job,
            epoch: claim.epoch,
            token: claim.token,
            incarnation: self.incarnation,
            existing: claim.existing,
            transactional: claim.transactional,
        };
        Ok((session, opened))
    }

    /// Everything that came in this open transaction, done and undone: what it says of it, and nothing to see.
    fn try_out(&mut self, session: &Session, parts: &[Request]) -> Result<Applied> {
        self.check_life(session)?;
        let before = self.ledger.clone();
        let mut steps = Vec::new();
        let done = self.run(session, parts, &mut steps, true);
        self.tables.undo(&steps);
        self.ledger = before;
        match done? {
            Applied::Done => {
                self.counts.held += 1;
                Ok(Applied::Held)
            }
            other => Ok(other),
        }
    }

    /// Some rows, durable at once, without the watermark.
    fn run_loose(&mut self, session: &Session, part: &Request) -> Result<Applied> {
        self.check_life(session)?;
        let mut steps = Vec::new();
        let done = super::encode::execute(&mut self.tables, part.kind, &part.rows, &part.rows.mutations, &mut steps);
        self.commit(steps, &[]);
        done
    }

    fn prepare(&mut self, session: &Session, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let known = self.ledger.jobs.get(&session.job).is_some_and(|entry| entry.prepared.contains_key(&table.name));
        let has_rows = self.tables.get(&table.name).is_some_and(|heap| !heap.is_empty());
        if !session.existing.admits(table) && !known && has_rows {
            return Ok(Prepared { has_rows, stale: false });
        }
        let before = self.ledger.clone();
        let mut steps = Vec::new();
        match self.tables.get(&table.name) {
            None => {
                let heap = Heap::new(Arc::clone(table), self.habits.coarse, self.habits.early_indexes);
                self.tables.replace(&table.name, Some(heap), &mut steps);
            }
            Some(heap) => {
                if let Some(wider) = heap.widened(table) {
                    self.tables.replace(&table.name, Some(wider), &mut steps);
                }
            }
        }
        if let Some(entry) = self.ledger.jobs.get_mut(&session.job) {
            entry.prepared.insert(table.name.clone(), Noted { generation, finished: false });
        }
        self.commit_with(steps, &[], before);
        Ok(Prepared { has_rows, stale: false })
    }

    fn finish(&mut self, session: &Session, table: &Arc<Table>) -> Result<Finished> {
        let before = self.ledger.clone();
        let heap = self.tables.get(&table.name).ok_or_else(|| Error::refused("there is no such table"))?;
        let mut whole = heap.clone();
        let mut shape = (*whole.shape).clone();
        shape.uniques.clone_from(&table.uniques);
        shape.foreign_keys.clone_from(&table.foreign_keys);
        whole.shape = Arc::new(shape);
        if let Err(doubled) = whole.build_indexes() {
            let keys = doubled.iter().filter_map(|key| heap.get(key)).map(|row| heap.model_key(row));
            return Ok(Finished::Taken(keys.collect()));
        }
        let mut steps = Vec::new();
        self.tables.replace(&table.name, Some(whole), &mut steps);
        if let Some(entry) = self.ledger.jobs.get_mut(&session.job) {
            entry.prepared.entry(table.name.clone()).or_default().finished = true;
        }
        self.commit_with(steps, &[], before);
        Ok(Finished::Done)
    }
}
