//! A source with schema-free tables as one whose tables have columns: for targets that want columns.
//!
//! A whole row gives every column a value. What the log tells of some fields only (`Merge`) becomes `Touched`, and the row
//! is fetched: its newest versions are what the columns hold, and the rest is JSON that nobody can write a part of.

mod row;
mod shape;

pub use shape::check;

use crate::{
    error::Result,
    model::{
        Batch, Body, Change, Checkpoint, Finding, JobId, KeyRange, Mark, NO_ROW, Position, Rows, Severity, SourceSpec,
        Table, TableName,
    },
    source::{Backlog, Columns, Feed, Fetched, Next, Source, Survey, Wanted},
    target::Target,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use shape::Flat;
use std::{cmp::Ordering, collections::BTreeSet, sync::Arc, time::Duration};

/// Rows of a table that a check looks at.
const SAMPLE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(1);

/// `source` as its targets want it.
pub fn over(source: Arc<dyn Source>, spec: &SourceSpec, targets: &[Arc<dyn Target>]) -> Arc<dyn Source> {
    match !source.is_schema_free() || targets.iter().all(|target| target.is_wide()) {
        true => source,
        false => {
            Arc::new(FlatSource { source, shapes: Arc::new(Shapes { spec: spec.clone(), known: Mutex::default() }) })
        }
    }
}

struct FlatSource {
    source: Arc<dyn Source>,
    shapes: Arc<Shapes>,
}

/// Both shapes of each table, by pointer, for as long as somebody else has either.
struct Shapes {
    spec: SourceSpec,
    known: Mutex<Vec<Flat>>,
}

impl Shapes {
    fn flat(&self, table: &Arc<Table>) -> Result<Option<Flat>> {
        if table.beyond.is_none() {
            return Ok(None);
        }
        let mut known = self.known.lock();
        if let Some(flat) = known.iter().find(|flat| Arc::ptr_eq(&flat.source, table)) {
            return Ok(Some(flat.clone()));
        }
        let flat = Flat::of(table, &self.spec)?;
        // Never one that a batch on its way still has.
        known.retain(|flat| Arc::strong_count(&flat.source) > 1 || Arc::strong_count(&flat.table) > 1);
        known.extend(flat.clone());
        Ok(flat)
    }

    fn table(&self, table: &Arc<Table>) -> Result<Arc<Table>> {
        Ok(self.flat(table)?.map_or_else(|| Arc::clone(table), |flat| flat.table))
    }

    /// The source's shape behind one that `table` gave.
    fn source(&self, table: &Arc<Table>) -> Arc<Table> {
        let known = self.known.lock();
        let known = known.iter().find(|flat| Arc::ptr_eq(&flat.table, table) || flat.table == *table);
        known.map_or_else(|| Arc::clone(table), |flat| Arc::clone(&flat.source))
    }

    fn sources(&self, tables: &[Arc<Table>]) -> Vec<Arc<Table>> {
        tables.iter().map(|table| self.source(table)).collect()
    }

    fn batch(&self, batch: &mut Batch) -> Result<()> {
        let Body::Rows(rows) = &batch.body else { return Ok(()) };
        if rows.shapes.iter().any(|shape| shape.beyond.is_some()) {
            batch.body = Body::Rows(Arc::new(self.rows(rows)?));
        }
        Ok(())
    }

    fn rows(&self, rows: &Rows) -> Result<Rows> {
        let flats: Vec<Option<Flat>> = rows.shapes.iter().map(|shape| self.flat(shape)).collect::<Result<_>>()?;
        let shapes = flats.iter().zip(&rows.shapes);
        let shapes = shapes.map(|(flat, shape)| Arc::clone(flat.as_ref().map_or(shape, |flat| &flat.table))).collect();
        let mut all = Rows { slab: Vec::with_capacity(rows.slab.len()), shapes, mutations: Vec::new() };
        for one in &rows.mutations {
            let mut mutation = *one;
            for (place, whole) in [(&mut mutation.row, one.change == Change::Upsert), (&mut mutation.before, false)] {
                if *place == NO_ROW {
                    continue;
                }
                let row = rows.row(*place);
                *place = match &flats[usize::from(one.shape)] {
                    None => all.copy_row(row),
                    Some(flat) if whole => row::write(flat, row, &mut all.slab)?,
                    Some(flat) => row::write_key(flat, row, &mut all.slab),
                };
            }
            if one.change == Change::Merge && flats[usize::from(one.shape)].is_some() {
                mutation.change = Change::Touched;
            }
            all.mutations.push(mutation);
        }
        Ok(all)
    }
}

impl FlatSource {
    /// Whether the rows at the beginning of a table fit its columns.
    async fn sample(&self, table: &Arc<Table>) -> Result<Vec<Finding>> {
        let Some(flat) = self.shapes.flat(&self.shapes.source(table))? else { return Ok(Vec::new()) };
        let mut feed = self.source.copy(&flat.source, &KeyRange::all(), Columns::All, &Checkpoint::default()).await?;
        let (mut seen, mut told, mut findings) = (0, BTreeSet::new(), Vec::new());
        while seen < SAMPLE {
            let Next::Batch(batch) = feed.next(PATIENCE).await? else { break };
            for one in batch.rows().mutations.iter().take(SAMPLE - seen) {
                seen += 1;
                let Err(error) = row::write(&flat, batch.rows().row(one.row), &mut Vec::new()) else { continue };
                let hint = error.hint_text().map(str::to_owned).unwrap_or_default();
                if told.insert(hint.clone()) {
                    findings
                        .push(Finding::new(Severity::Blocking, table.name.to_string(), error.to_string()).mend(hint));
                }
            }
        }
        Ok(findings)
    }
}

#[async_trait]
impl Source for FlatSource {
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        let mut findings = self.source.check(job, &self.shapes.sources(tables)).await?;
        for table in tables {
            findings.extend(self.sample(table).await?);
        }
        Ok(findings)
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        let (tables, findings) = self.source.tables().await?;
        Ok((tables.iter().map(|table| self.shapes.table(table)).collect::<Result<_>>()?, findings))
    }

    async fn begin(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        self.source.begin(job, &self.shapes.sources(tables)).await
    }

    async fn release(&self, job: JobId) -> Result<()> {
        self.source.release(job).await
    }

    async fn mark(&self) -> Result<Mark> {
        self.source.mark().await
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        self.source.split(&self.shapes.source(table), range, pieces).await
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        let feed = self.source.copy(&self.shapes.source(table), range, columns, after).await?;
        Ok(Box::new(FlatFeed { feed, shapes: Arc::clone(&self.shapes) }))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        let source = |one: &Wanted| Wanted { table: self.shapes.source(&one.table), keys: one.keys.clone() };
        let wanted: Vec<Wanted> = wanted.iter().map(source).collect();
        let mut all = self.source.fetch(&wanted, after, max_bytes).await?;
        for fetched in &mut all {
            let Some(flat) = fetched.table.as_ref().map(|table| self.shapes.flat(table)).transpose()?.flatten() else {
                continue;
            };
            let mut slab = Vec::new();
            let rows = (0..fetched.rows.len())
                .map(|index| fetched.row(index).map(|row| row::write(&flat, row, &mut slab)).transpose());
            let rows = rows.collect::<Result<_>>()?;
            *fetched = Fetched { table: Some(flat.table), slab, rows };
        }
        Ok(all)
    }

    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        let feed = self.source.tail(job, from, edges, tables).await?;
        Ok(Box::new(FlatFeed { feed, shapes: Arc::clone(&self.shapes) }))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        self.source.cut(batch, taken)
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        self.source.order(a, b)
    }

    fn seen(&self) -> Checkpoint {
        self.source.seen()
    }

    async fn backlog(&self, job: JobId, from: &Checkpoint) -> Result<Backlog> {
        self.source.backlog(job, from).await
    }

    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        self.source.survey(&self.shapes.sources(tables), within).await
    }

    fn place(&self) -> Option<String> {
        self.source.place()
    }

    fn is_key_only(&self) -> bool {
        self.source.is_key_only()
    }
}

struct FlatFeed {
    feed: Box<dyn Feed>,
    shapes: Arc<Shapes>,
}

#[async_trait]
impl Feed for FlatFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let mut next = self.feed.next(patience).await?;
        if let Next::Batch(batch) = &mut next {
            self.shapes.batch(batch)?;
        }
        Ok(next)
    }

    async fn ahead(&mut self) {
        self.feed.ahead().await
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        self.feed.acknowledge(upto).await
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.feed.passed(mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.feed.gone()
    }

    fn made(&self) -> Vec<(TableName, bool)> {
        self.feed.made()
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.feed.stands_at()
    }
}
