//! One pipeline: a job's run into one target, from `open` to the tail. Recovery is the start path.

use super::{
    applied::Applied, board::Board, budget::Budget, copy, ledger::Ledger, limit::Limit, parallel::Lanes, pump::Pump,
    retry::Backoff, route::Route, standing::Standing, status::Observed, tee::Join, vanished::Vanished, waits::What,
    witness::Witness,
};
use crate::{
    error::{Error, ErrorKind, Result},
    faults::{self, Saboteur},
    model::{
        ApplySettings, Checkpoint, CopySettings, Existing, JobId, Keyless, Partition, Position, Progress, Table,
        TableName,
    },
    source::Source,
    target::{Claim, Prepared, Target},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Everything one pipeline needs. Lives as long as the job runs; attempts come and go.
pub struct Line {
    pub job: JobId,
    pub spec: String,
    pub name: String,
    pub target: Arc<dyn Target>,
    /// The same store, for reading.
    pub reader: Arc<dyn Source>,
    pub source: Arc<dyn Source>,
    pub route: Arc<Route>,
    /// What the job carries, as named at the source, also where it is not there now.
    pub carried: Vec<TableName>,
    /// Those that are at the source, in the newest shape we were told of.
    pub tables: Mutex<BTreeMap<TableName, Arc<Table>>>,
    /// The newest shape that this run has given the target. A source may count its shapes anew when a daemon starts, so
    /// the number in progress is no proof of it.
    pub given: Mutex<BTreeMap<TableName, u64>>,
    pub begun: Checkpoint,
    pub existing: Existing,
    pub keyless: Keyless,
    pub copy: CopySettings,
    pub apply: ApplySettings,
    pub ledger: Arc<Ledger>,
    pub vanished: Mutex<Vanished>,
    pub join: Join,
    pub applied: Arc<Applied>,
    pub limit: Limit,
    pub budget: Budget,
    pub board: Arc<Board>,
    pub token: Uuid,
}

impl Line {
    /// Runs until `stop` (`Ok`) or until it needs a person.
    pub async fn run(&self, stop: &CancellationToken) -> Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let attempt = self.attempt(stop, &mut backoff).await;
            match attempt {
                Ok(true) if !stop.is_cancelled() => tracing::info!("a table without a key is copied again"),
                Ok(_) => return Ok(()),
                Err(error) if error.is_transient() => {
                    self.failed(&error);
                    if !backoff.wait(stop).await {
                        return Ok(());
                    }
                }
                Err(error) => {
                    // A daemon that was overtaken finds the log gone too: then the other one is the cause.
                    let cause = match error.kind() {
                        ErrorKind::Lost => self.open().await.err().filter(|cause| cause.kind() == ErrorKind::Config),
                        _ => None,
                    };
                    let error = cause.unwrap_or(error);
                    return Err(match error.is_of_source() {
                        true => error,
                        false => error.at(format!("into target `{}`", self.name)),
                    });
                }
            }
        }
    }

    /// Shows an error as that of the store whose it is.
    pub fn failed(&self, error: &Error) {
        match error.is_of_source() {
            true => self.board.told_error(&self.name, error),
            false => self.board.target_error(&self.name, error),
        }
    }

    /// True: a table is to be copied as at the start.
    async fn attempt(&self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<bool> {
        self.board.phase(&self.name, Observed::Preparing);
        let mut standing = self.open().await?;
        self.board.target_answered(&self.name);
        standing.reconcile(self)?;
        self.ledger.save().await?;
        self.applied.set(&self.name, self.ledger.read(|progress| progress.checkpoint.clone()));
        // Not before: a target that lost commits holds the source's log from here on.
        self.witness().prove().await?;
        let lanes = self.lanes();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            copied = copy::run(self, &lanes, &mut standing) => copied?,
        }
        backoff.succeeded();
        Pump::new(self, lanes, standing).run(stop, backoff).await
    }

    /// Lane protocol 1: every `open` has an epoch of its own, saved before it is claimed. Of its own, so that a request
    /// that was on its way over an earlier connection of ours is refused as a zombie's is.
    async fn next_epoch(&self) -> Result<()> {
        self.ledger.change(|progress| {
            progress.epoch += 1;
            if progress.checkpoint.0.is_empty() {
                progress.checkpoint = self.begun.clone();
            }
        });
        self.ledger.save().await
    }

    /// Takes the job over at the target: at the start and at every reconnection.
    pub async fn open(&self) -> Result<Standing> {
        self.next_epoch().await?;
        let (epoch, mut feeds) = self.ledger.read(|progress| {
            // Batch 0 is where the job, or the partition, began: a target that lost everything must not be taken to stand
            // where state does.
            let feed = |(partition, position): (&Partition, &Position)| {
                let start = progress.starts.get(partition).or_else(|| self.begun.get(partition));
                (partition.clone(), self.lane_count(), start.unwrap_or(position).clone())
            };
            (progress.epoch, progress.checkpoint.0.iter().map(feed).collect::<Vec<_>>())
        });
        feeds.push((Partition::new(Partition::COPY), self.copies(), Position::new(&[], 0)));
        let claim = Claim {
            job: self.job,
            spec: self.spec.clone(),
            epoch,
            token: self.token,
            tables: self.carried.iter().map(|name| self.route.target_name(name)).collect(),
            feeds,
            existing: self.existing,
            transactional: self.apply.transactional,
        };
        let waits = self.board.waits(&self.name, What::Target);
        let opened = self.target.open(&claim).await;
        drop(waits);
        match opened {
            Ok(opened) => Ok(Standing::new(opened)),
            Err(error) => {
                if error.kind() == ErrorKind::Config {
                    // Refused: what others did since is not in our state, so no number of starts may overtake them.
                    self.ledger.change(|progress| progress.epoch -= 1);
                    self.ledger.save().await?;
                }
                Err(error)
            }
        }
    }

    /// Creates or compares one table of the target.
    pub async fn prepare(&self, table: &Arc<Table>) -> Result<Prepared> {
        let known = |progress: &Progress| progress.tables.get(&table.name).map(|table| table.generation);
        let generation = self.ledger.read(|progress| known(progress).unwrap_or(progress.epoch));
        self.prepare_for(table, generation).await
    }

    /// As `prepare`, for another copy of the table than the one that progress knows.
    pub async fn prepare_for(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let target_table = self.route.target_table(table);
        let _waits = self.board.waits(&self.name, What::TargetBuilds);
        let prepared = self.target.prepare(&target_table, generation).await;
        let prepared = prepared.map_err(|error| error.at(format!("table {}", target_table.name)))?;
        // What is stale was not changed.
        if !prepared.stale {
            let mut given = self.given.lock();
            let version = given.entry(table.name.clone()).or_default();
            *version = table.version.max(*version);
        }
        Ok(prepared)
    }

    /// `None`: it is not at the source any more. If it comes back the log tells so, and it is copied again.
    pub fn table(&self, name: &TableName) -> Option<Arc<Table>> {
        self.tables.lock().get(name).cloned()
    }

    pub fn witness(&self) -> Witness {
        Witness { source: Arc::clone(&self.source), ledger: Arc::clone(&self.ledger) }
    }

    /// Connections of the feed `copy`.
    pub fn copies(&self) -> u16 {
        self.copy.side_by_side(self.target.lanes())
    }

    fn lane_count(&self) -> u16 {
        match self.apply.lanes {
            _ if self.apply.transactional => 1,
            0 => self.target.lanes(),
            lanes => lanes,
        }
    }

    fn lanes(&self) -> Lanes {
        let merged = self.existing == Existing::Merge;
        let merged = self.tables.lock().keys().filter(|_| merged).map(|name| self.route.target_name(name)).collect();
        let (target, route) = (Arc::clone(&self.target), Arc::clone(&self.route));
        let (lanes, fold) = (self.lane_count(), !self.apply.transactional);
        Lanes { target, witness: self.witness(), route, merged, lanes, fold, stand: Mutex::default() }
    }
}

/// Whether a copy may use plain inserts: nothing of the table can be there.
pub fn is_fresh(prepared: &Prepared, started: bool) -> bool {
    // B1: what had begun goes on as upserts.
    match started {
        true => faults::on(Saboteur::FreshAfterRestart),
        false => !prepared.has_rows,
    }
}
