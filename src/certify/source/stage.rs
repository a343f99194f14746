//! A source with tables of the battery, and the rows that they must have by now.

use crate::{
    certify::{
        check::{Failure, Verdict, must},
        fixture::{Scratch, Write},
        replica::{Replica, equal_rows},
        scene::{self, JOB},
        tape::{self, PATIENCE, SOON, Told},
    },
    model::{Batch, Checkpoint, Key, KeyRange, Partition, Table, TableName},
    source::{Columns, Feed, Next, Source, Wanted},
};
use std::sync::Arc;

pub struct Stage<'s> {
    pub scratch: &'s dyn Scratch,
    pub source: Arc<dyn Source>,
    /// As the source gives them.
    pub tables: Vec<Arc<Table>>,
    /// Where `JOB` began; empty before.
    pub begun: Checkpoint,
    /// What the application wrote.
    pub replica: Replica,
}

impl<'s> Stage<'s> {
    pub async fn new(scratch: &'s dyn Scratch, tables: &[Table]) -> Result<Stage<'s>, Failure> {
        for table in tables {
            scratch.create(table).await?;
        }
        let source = scratch.source()?;
        let mut found = Vec::new();
        for table in tables {
            let shape = shown(&*source, |shape| shape.name == table.name).await;
            found.push(shape.map_err(|failure| failure.at(&table.name))?);
        }
        let replica = Replica::new(&found);
        Ok(Stage { scratch, source, tables: found, begun: Checkpoint::default(), replica })
    }

    /// The tables of `scene::story`, empty, and the job begun: a replay from here is exact.
    pub async fn begun(scratch: &'s dyn Scratch) -> Result<Stage<'s>, Failure> {
        let schema = scratch.schema();
        let tables = [scene::plain(&schema), scene::double(&schema), scene::unique(&schema)];
        let mut stage = Stage::new(scratch, &tables).await?;
        stage.begin().await?;
        Ok(stage)
    }

    pub async fn begin(&mut self) -> Verdict {
        self.begun = self.source.begin(JOB, &self.tables).await?;
        must(!self.begun.0.is_empty(), || "begin says nothing of where the log begins".into())
    }

    pub async fn write(&mut self, transaction: &[Write]) -> Verdict {
        self.scratch.write(transaction).await?;
        self.replica.write(transaction);
        Ok(())
    }

    pub fn names(&self) -> Vec<TableName> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    pub fn story(&self) -> Vec<Vec<Write>> {
        scene::story(&self.tables[0].name, &self.tables[1].name, &self.tables[2].name)
    }

    pub async fn tail(&self, from: &Checkpoint, edges: &[Checkpoint]) -> Result<Box<dyn Feed>, Failure> {
        Ok(self.source.tail(JOB, from, edges, &self.names()).await?)
    }

    /// Everything from `from` until now, by a tail of its own.
    pub async fn read(&self, from: &Checkpoint, edges: &[Checkpoint]) -> Result<Vec<Told>, Failure> {
        let mark = self.source.mark().await?;
        let mut feed = self.tail(from, edges).await?;
        tape::read(&*self.source, &mut *feed, &mut from.clone(), &mark).await
    }

    /// A place in the log behind everything that is written: R2, a read after it sees all of that.
    pub async fn now(&self) -> Result<Checkpoint, Failure> {
        let mark = self.source.mark().await?;
        let mut stands = self.begun.clone();
        let mut feed = self.tail(&stands, &[]).await?;
        tape::read(&*self.source, &mut *feed, &mut stands, &mark).await?;
        Ok(stands)
    }

    /// The same, for another instance of the source.
    pub fn over(stage: &Stage<'s>) -> Stage<'s> {
        Stage {
            source: Arc::clone(&stage.source),
            tables: stage.tables.clone(),
            begun: stage.begun.clone(),
            replica: stage.replica.clone(),
            ..*stage
        }
    }

    /// Writes the story transaction by transaction, each read by one tail before the next; so it comes in many batches.
    pub async fn live(&mut self) -> Result<(Box<dyn Feed>, Vec<Told>), Failure> {
        self.live_noting(&mut Vec::new()).await
    }

    /// The same, and what there is after each transaction.
    pub async fn live_noting(&mut self, states: &mut Vec<Replica>) -> Result<(Box<dyn Feed>, Vec<Told>), Failure> {
        let mut feed = self.tail(&self.begun.clone(), &[]).await?;
        let mut told = Vec::new();
        let mut stands = self.begun.clone();
        for transaction in self.story() {
            self.write(&transaction).await?;
            states.push(self.replica.clone());
            let mark = self.source.mark().await?;
            told.extend(tape::read(&*self.source, &mut *feed, &mut stands, &mark).await?);
        }
        Ok((feed, told))
    }

    /// One range, to its end.
    pub async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Vec<Batch>, Failure> {
        let mut feed = self.source.copy(table, range, columns, after).await?;
        let mut batches = Vec::new();
        while let Some(batch) = next_copied(&mut *feed).await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Writes what the touched keys are now over `replica`.
    pub async fn resolve(&self, replica: &mut Replica, after: &Checkpoint) -> Verdict {
        for table in &self.tables {
            let keys: Vec<Key> =
                replica.touched.iter().filter(|(name, _)| *name == table.name).map(|(_, key)| key.clone()).collect();
            let wanted = Wanted { table: Arc::clone(table), keys };
            let answers = self.source.fetch(std::slice::from_ref(&wanted), after, usize::MAX).await?;
            let answer = answers.first().ok_or_else(|| Failure("fetch answered nothing".into()))?;
            must(answer.rows.len() == wanted.keys.len(), || "fetch without a bound left keys out".into())?;
            let shape = Arc::clone(answer.table.as_ref().unwrap_or(table));
            for (index, key) in wanted.keys.iter().enumerate() {
                replica.put(&table.name, key, answer.row(index).map(|row| (&*shape, row)));
            }
        }
        replica.touched.clear();
        Ok(())
    }

    /// Replays the log from `begun` over what was copied: what a job does. It must give the rows that are there.
    pub async fn converges(&self, what: &str, copied: Replica, begun: &Checkpoint) -> Verdict {
        let told = self.read(begun, &[]).await?;
        self.replayed(what, copied, &told, begun).await
    }

    /// The same with what a tail has told.
    pub async fn replayed(&self, what: &str, mut copied: Replica, told: &[Told], begun: &Checkpoint) -> Verdict {
        for Told { batch, .. } in told {
            for mutation in &batch.rows().mutations {
                copied.apply(batch.rows(), mutation, false).map_err(|failure| failure.at(what))?;
            }
        }
        self.finished(what, copied, told.last().map_or(begun, |told| &told.after)).await
    }

    /// With its touched rows fetched, a replica is what the store holds.
    pub async fn finished(&self, what: &str, mut replica: Replica, after: &Checkpoint) -> Verdict {
        self.resolve(&mut replica, after).await?;
        for table in &self.tables {
            let there = self.scratch.rows(&table.name).await?.unwrap_or_default();
            equal_rows(&format!("{what}: {}, copied and replayed", table.name), &replica.rows(&table.name), &there)?;
        }
        Ok(())
    }

    /// All rows of all tables, copied; `beside` is done after each batch.
    pub async fn copied(
        &mut self,
        after: &Checkpoint,
        mut beside: impl FnMut() -> Option<Vec<Write>>,
    ) -> Result<Replica, Failure> {
        let mut copied = Replica::new(&self.tables);
        for table in self.tables.clone() {
            for range in self.source.split(&table, &KeyRange::all(), 4).await? {
                let mut feed = self.source.copy(&table, &range, Columns::All, after).await?;
                while let Some(batch) = next_copied(&mut *feed).await? {
                    for mutation in &batch.rows().mutations {
                        copied.apply(batch.rows(), mutation, true)?;
                    }
                    if let Some(transaction) = beside() {
                        self.write(&transaction).await?;
                    }
                }
            }
        }
        Ok(copied)
    }
}

/// The shape that is wanted, once the source shows it.
pub async fn shown(source: &dyn Source, wanted: impl Fn(&Table) -> bool) -> Result<Arc<Table>, Failure> {
    let looking = async {
        loop {
            let (tables, _) = source.tables().await?;
            if let Some(table) = tables.into_iter().find(|table| wanted(table)) {
                return Ok(table);
            }
            // Catalogues may lag behind the statement that changed them.
            tokio::time::sleep(PATIENCE).await;
        }
    };
    tokio::time::timeout(SOON, looking).await.map_err(|_| Failure("`tables` does not show the table".into()))?
}

/// The next batch of a copy, in good form; `None` at its end, which stays the end.
pub async fn next_copied(feed: &mut dyn Feed) -> Result<Option<Batch>, Failure> {
    let reading = async {
        loop {
            match feed.next(PATIENCE).await? {
                Next::Batch(batch) => {
                    tape::lint(&batch)?;
                    must(batch.partition.as_str() == Partition::COPY, || {
                        format!("a batch of a copy is of partition {}", batch.partition)
                    })?;
                    return Ok(Some(batch));
                }
                Next::Idle(_) => {}
                Next::End => {
                    let again = feed.next(PATIENCE).await?;
                    must(matches!(again, Next::End), || format!("after the end of a copy came {again:?}"))?;
                    return Ok(None);
                }
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.map_err(|_| Failure(format!("a copy gave nothing within {SOON:?}")))?
}
