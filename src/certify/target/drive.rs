//! Drives a target as a pipeline would: opens, prepares, numbers batches.

use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::Scratch,
        replica::key_from,
        scene::JOB,
    },
    error::{Error, Result},
    model::{
        Change, Criterion, Existing, JobId, Kind, LaneMark, NO_ROW, Partition, Place, Position, Rows, Table, Value,
    },
    target::{Applied, Claim, Opened, Part, Target},
};
use std::sync::Arc;
use uuid::Uuid;

/// A deadlock is repeated at once, but not for ever.
const REPEATS: usize = 20;

/// One connection to a target, as one pipeline of a job.
pub struct Drive<'s> {
    scratch: &'s dyn Scratch,
    pub target: Arc<dyn Target>,
    pub claim: Claim,
    pub opened: Opened,
    /// The newest batch of lane 0 of the log.
    pub number: u64,
}

/// A place in an imagined log.
pub fn place(number: u64) -> Position {
    Position::new(format!("certify {number}").as_bytes(), 0)
}

pub fn log() -> Partition {
    Partition::new(Partition::ONLY)
}

/// A claim of `job`, two lanes of the log and two of copies.
pub fn claim(job: JobId, epoch: u64, tables: &[&Arc<Table>]) -> Claim {
    Claim {
        job,
        spec: "{\"name\": \"certify «é» 'q'\"}".into(),
        epoch,
        token: Uuid::from_u128(7),
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        feeds: vec![(log(), 2, place(0)), (Partition::new(Partition::COPY), 2, Position::new(&[], 0))],
        existing: Existing::Merge,
        transactional: false,
    }
}

impl<'s> Drive<'s> {
    /// Opens for `JOB` and prepares the tables.
    pub async fn start(scratch: &'s dyn Scratch, tables: &[&Arc<Table>]) -> Result<Drive<'s>, Failure> {
        Self::start_as(scratch, claim(JOB, 1, tables), tables).await
    }

    pub async fn start_as(
        scratch: &'s dyn Scratch,
        claim: Claim,
        tables: &[&Arc<Table>],
    ) -> Result<Drive<'s>, Failure> {
        let target = scratch.target()?;
        let opened = target.open(&claim).await?;
        for table in tables {
            target.prepare(table, 1).await?;
        }
        Ok(Drive { scratch, target, claim, opened, number: 0 })
    }

    /// Opens again with the next epoch, by a new instance, as after a restart.
    pub async fn reopen(&mut self) -> Verdict {
        self.target = self.scratch.target()?;
        self.claim.epoch += 1;
        self.opened = self.target.open(&self.claim).await?;
        let mark = self.opened.marks.iter().find(|mark| mark.feed == log() && mark.lane == 0);
        self.number = mark.ok_or_else(|| Failure("open forgot lane 0 of the log".into()))?.batch;
        Ok(())
    }

    /// The next batch, whole, as lane 0 of 1.
    pub async fn apply(&mut self, changes: &Changes) -> Result<Applied> {
        let applied = self.apply_as(self.number + 1, &[0], 1, changes).await?;
        if matches!(applied, Applied::Done | Applied::Held) {
            self.number += 1;
        }
        Ok(applied)
    }

    pub async fn apply_as(&self, number: u64, lanes: &[u16], of: u16, changes: &Changes) -> Result<Applied> {
        let (feed, from, to) = (log(), place(number - 1), place(number));
        let part = Part { feed: &feed, number, lanes, of, ..changes.part(&feed, &from, &to) };
        self.apply_part(part).await
    }

    /// Repeats what a deadlock undid, as the engine does.
    pub async fn apply_part(&self, part: Part<'_>) -> Result<Applied> {
        for _ in 0..REPEATS {
            match self.target.apply(part).await? {
                Applied::Again => {}
                applied => return Ok(applied),
            }
        }
        Err(Error::transient("the same transaction met a deadlock again and again, and nothing else is at work"))
    }

    /// Applies what must fit.
    pub async fn done(&mut self, changes: &Changes) -> Verdict {
        let applied = self.apply(changes).await?;
        same("a batch that fits", &applied, &Applied::Done)
    }

    /// What a stranger reads in the watermark, without opening.
    pub async fn mark(&self, feed: &Partition, lane: u16) -> Result<LaneMark, Failure> {
        let jobs = self.scratch.target()?.jobs().await?;
        let row = jobs.into_iter().find(|row| row.job == self.claim.job);
        let row = row.ok_or_else(|| Failure("`jobs` does not name a job that is open".into()))?;
        let mark = row.opened.marks.into_iter().find(|mark| mark.feed == *feed && mark.lane == lane);
        mark.ok_or_else(|| Failure(format!("there is no watermark of lane {lane} of {feed}")))
    }

    /// Lane 0 of the log has `number`, and nothing later.
    pub async fn stands_at(&self, what: &str, number: u64) -> Verdict {
        let mark = self.mark(&log(), 0).await?;
        same(&format!("{what}: batch in the watermark"), &mark.batch, &number)
    }

    /// A table has exactly these rows.
    pub async fn holds(&self, what: &str, table: &Table, expected: &[Vec<Value>]) -> Verdict {
        let found = self.scratch.rows(&table.name).await?;
        must(found.is_some(), || format!("{what}: there is no table {}", table.name))?;
        crate::certify::replica::equal_rows(&format!("{what}: {}", table.name), &found.unwrap_or_default(), expected)
    }
}

/// Mutations by hand.
#[derive(Clone, Debug)]
pub struct Changes {
    pub rows: Arc<Rows>,
    pub kind: Kind,
    pub complete: bool,
}

impl Changes {
    pub fn new() -> Changes {
        Changes { rows: Arc::default(), kind: Kind::Log, complete: true }
    }

    pub fn upsert(self, table: &Arc<Table>, row: Vec<Value>) -> Changes {
        self.with(table, Change::Upsert, &row.into_iter().map(Some).collect::<Vec<_>>())
    }

    pub fn patch(self, table: &Arc<Table>, row: &[Option<Value>]) -> Changes {
        self.with(table, Change::Patch, row)
    }

    pub fn delete(mut self, table: &Arc<Table>, key: &[Value]) -> Changes {
        let row = key_from(key).write_row(table, &mut Arc::make_mut(&mut self.rows).slab);
        self.push(table, Change::Delete, row, NO_ROW)
    }

    /// One row of a table without a key.
    pub fn delete_one(self, table: &Arc<Table>, row: Vec<Value>) -> Changes {
        self.with(table, Change::Delete, &row.into_iter().map(Some).collect::<Vec<_>>())
    }

    pub fn alone(self, table: &Arc<Table>, change: Change) -> Changes {
        self.push(table, change, NO_ROW, NO_ROW)
    }

    pub fn matching(mut self, table: &Arc<Table>, criteria: &[Criterion], patch: Option<&[Option<Value>]>) -> Changes {
        let before = Arc::make_mut(&mut self.rows).add_criteria(criteria);
        let row = patch.map_or(NO_ROW, |patch| Arc::make_mut(&mut self.rows).add_row(patch));
        self.push(table, Change::Matching, row, before)
    }

    fn with(mut self, table: &Arc<Table>, change: Change, row: &[Option<Value>]) -> Changes {
        let row = Arc::make_mut(&mut self.rows).add_row(row);
        self.push(table, change, row, NO_ROW)
    }

    fn push(mut self, table: &Arc<Table>, change: Change, row: Place, before: Place) -> Changes {
        let shape = Arc::make_mut(&mut self.rows).shape(table);
        Arc::make_mut(&mut self.rows).push(shape, change, row, before);
        self
    }

    pub fn part<'a>(&'a self, feed: &'a Partition, from: &'a Position, to: &'a Position) -> Part<'a> {
        Part {
            feed,
            number: 1,
            lanes: &[0],
            of: 1,
            from,
            to,
            complete: self.complete,
            kind: self.kind,
            rows: &self.rows,
            mutations: &self.rows.mutations,
        }
    }
}
