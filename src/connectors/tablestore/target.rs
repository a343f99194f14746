//! Tablestore as a target: rows, then the watermark (lane protocol 10).

use super::{
    apply::Writer,
    catalog::Catalog,
    client::Client,
    config::Config,
    fit, prepare,
    shape::Shape,
    watermark::{self, Owner},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Existing, Finding, JobId, LaneMark, Partition, Rows, THEIRS, Table, TableName},
    target::{Applied, Claim, Finished, JobRow, Noted, Opened, Part, Prepared, Target},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};
use tokio::time::sleep;

/// Batches go side by side to the service, each waiting for its answer.
const LANES: u16 = 16;

pub(super) struct TablestoreTarget {
    config: Arc<Config>,
    catalog: Arc<Catalog>,
    open: Mutex<Option<Arc<Open>>>,
}

/// What `open` has taken over.
struct Open {
    claim: Claim,
    owner: Owner,
    shapes: Mutex<BTreeMap<TableName, Arc<Shape>>>,
    notes: Mutex<BTreeMap<TableName, Noted>>,
    /// As they are in the store, unless somebody puts another in its place.
    marks: Mutex<BTreeMap<(Partition, u16), u64>>,
}

impl TablestoreTarget {
    pub fn new(config: Arc<Config>) -> Result<TablestoreTarget> {
        let catalog = Arc::new(Catalog::new(Client::new(&config)?));
        Ok(TablestoreTarget { config, catalog, open: Mutex::default() })
    }

    fn opened(&self) -> Result<Arc<Open>> {
        self.open.lock().clone().ok_or_else(|| Error::transient("the target is not open"))
    }

    fn client(&self) -> &Client {
        &self.catalog.client
    }

    async fn refuse_others(&self, claim: &Claim) -> Result<Option<Owner>> {
        let mut own = None;
        for owner in watermark::owners(self.client()).await? {
            if owner.job == claim.job {
                own = Some(owner);
            } else if let Some(table) = claim.tables.iter().find(|table| owner.claimed.contains(table)) {
                return Err(Error::config(format!("job {} writes `{table}` already", owner.job))
                    .hint(format!("{THEIRS}, or leave the table out of this one")));
            }
        }
        Ok(own)
    }

    async fn claim(&self, claim: &Claim, again: bool) -> Result<Opened> {
        watermark::make(self.client()).await?;
        let known = self.refuse_others(claim).await?;
        let owner = Owner {
            job: claim.job,
            spec: claim.spec.clone(),
            claimed: claim.tables.clone(),
            epoch: claim.epoch,
            token: claim.token,
        };
        let checked = !faults::on(Saboteur::EpochIgnored);
        if let Some(known) = &known
            && checked
            && (known.epoch > claim.epoch || (known.epoch == claim.epoch && known.token != claim.token))
        {
            return Err(taken_over(known.epoch, claim.epoch));
        }
        if !watermark::take(self.client(), &owner).await? && checked {
            return Err(taken_over(claim.epoch, claim.epoch));
        }
        watermark::hold(self.client(), &owner).await?;
        // Lane protocol 10: whatever an earlier connection has sent is over after this.
        if again || known.is_some_and(|known| known.token != claim.token) {
            sleep(self.config.zombie_wait).await;
        }
        let mut opened = watermark::opened(self.client(), claim.job).await?;
        let mut new = Vec::new();
        for (feed, lanes, position) in &claim.feeds {
            for lane in 0..*lanes {
                if !opened.marks.iter().any(|mark| mark.feed == *feed && mark.lane == lane) {
                    new.push(LaneMark {
                        feed: feed.clone(),
                        lane,
                        lanes: *lanes,
                        hash_version: self.hash_version(),
                        epoch: claim.epoch,
                        batch: 0,
                        from: position.clone(),
                        to: position.clone(),
                    });
                }
            }
        }
        watermark::move_to(self.client(), claim.job, &new, self.config.zombie_wait).await?;
        opened.marks.extend(new);
        let marks = opened.marks.iter().map(|mark| ((mark.feed.clone(), mark.lane), mark.batch)).collect();
        *self.open.lock() = Some(Arc::new(Open {
            claim: claim.clone(),
            owner,
            shapes: Mutex::default(),
            notes: Mutex::new(opened.tables.iter().cloned().collect()),
            marks: Mutex::new(marks),
        }));
        Ok(opened)
    }

    /// Those of a batch. One that is told of before this run has prepared it was prepared by an earlier one.
    async fn shapes(&self, open: &Open, rows: &Rows) -> Result<BTreeMap<TableName, Arc<Shape>>> {
        for table in &rows.shapes {
            let name = &table.name;
            if !open.shapes.lock().contains_key(name) && open.notes.lock().contains_key(name) {
                let shape = self.catalog.look(&name.name).await?;
                let shape = shape.ok_or_else(|| Error::transient(format!("{name}: the target's table is gone")))?;
                open.shapes.lock().insert(name.clone(), shape);
            }
        }
        Ok(open.shapes.lock().clone())
    }

    /// Lane protocol 10: looked at before each batch, not enforced by the store.
    async fn prove(&self, open: &Open, part: &Part<'_>) -> Result<()> {
        if faults::on(Saboteur::EpochIgnored) || faults::on(Saboteur::ZombieAllowed) {
            return Ok(());
        }
        let ours = &open.owner;
        match watermark::current(self.client(), ours.job).await? {
            Some(now) if now.epoch > ours.epoch || (now.epoch == ours.epoch && now.token != ours.token) => {
                return Err(taken_over(now.epoch, ours.epoch));
            }
            Some(now) if now.epoch == ours.epoch => {}
            _ => {
                return Err(Error::transient(
                    "the target has forgotten who writes it: it was put back to an earlier state",
                ));
            }
        }
        let stored = watermark::lanes(self.client(), ours.job, part.feed, part.lanes).await?;
        let marks = open.marks.lock();
        for (lane, stored) in part.lanes.iter().zip(stored) {
            let known = marks.get(&(part.feed.clone(), *lane)).copied();
            if stored != known || known.is_none_or(|known| known >= part.number) {
                let stands = stored.map_or("nowhere".to_owned(), |batch| format!("at batch {batch}"));
                return Err(Error::transient(format!("the target stands {stands}, not at {}", part.number - 1)));
            }
        }
        let newest = match part.feed.as_str() {
            Partition::COPY => part.lanes.iter().filter_map(|lane| marks.get(&(part.feed.clone(), *lane))).min(),
            _ => marks.iter().filter(|((feed, _), _)| feed == part.feed).map(|(_, batch)| batch).max(),
        };
        match newest {
            Some(newest) if newest + 1 >= part.number => Ok(()),
            newest => Err(Error::transient(format!(
                "the target stands at batch {}, not at {}",
                newest.copied().unwrap_or(0),
                part.number - 1
            ))),
        }
    }
}

fn taken_over(theirs: u64, ours: u64) -> Error {
    Error::config(format!("another daemon has taken this job over (epoch {theirs}, ours is {ours})"))
        .hint("stop this daemon if the other one is right; else stop the other one and start the job here again")
}

#[async_trait]
impl Target for TablestoreTarget {
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
        fit::check(&self.catalog, &self.config, tables, existing).await
    }

    async fn open(&self, claim: &Claim) -> Result<Opened> {
        let again = self.open.lock().take().is_some();
        self.claim(claim, again).await
    }

    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let open = self.opened()?;
        let noted = open.notes.lock().get(&table.name).copied();
        if let Some(noted) = noted.filter(|noted| noted.generation >= generation) {
            // Prepared for a later copy, or gone with its rows.
            let there = self.catalog.look(&table.name.name).await?;
            if noted.generation > generation || there.is_none() {
                return Ok(Prepared { has_rows: there.is_some(), stale: true });
            }
        }
        let (shape, prepared) = prepare::prepare(&self.catalog, &self.config, table).await?;
        let theirs = noted.is_none() && prepared.has_rows && !open.claim.existing.admits(table);
        if !theirs {
            let finished = noted.is_some_and(|noted| noted.finished && noted.generation == generation);
            let noted = Noted { generation, finished };
            watermark::note(self.client(), open.claim.job, &table.name, noted).await?;
            open.notes.lock().insert(table.name.clone(), noted);
            open.shapes.lock().insert(table.name.clone(), shape);
        }
        Ok(prepared)
    }

    async fn apply(&self, part: Part<'_>) -> Result<Applied> {
        let open = self.opened()?;
        self.prove(&open, &part).await?;
        let shapes = self.shapes(&open, part.rows).await?;
        let writer = Writer {
            catalog: Arc::clone(&self.catalog),
            shapes: &shapes,
            keeps_times: self.config.keeps_times,
            settles: self.config.zombie_wait,
        };
        faults::point("tablestore/apply-before-rows");
        let applied = writer.apply(part.rows, part.mutations).await?;
        if applied != Applied::Done {
            return Ok(applied);
        }
        faults::point("tablestore/apply-before-watermark");
        let mark = |lane: &u16| LaneMark {
            feed: part.feed.clone(),
            lane: *lane,
            lanes: part.of,
            hash_version: self.hash_version(),
            epoch: open.claim.epoch,
            batch: part.number,
            from: part.from.clone(),
            to: part.to.clone(),
        };
        let marks: Vec<LaneMark> = part.lanes.iter().map(mark).collect();
        watermark::move_to(self.client(), open.claim.job, &marks, self.config.zombie_wait).await?;
        let mut known = open.marks.lock();
        for mark in marks {
            match known.entry((mark.feed, mark.lane)) {
                Entry::Occupied(mut entry) => *entry.get_mut() = mark.batch,
                Entry::Vacant(entry) => drop(entry.insert(mark.batch)),
            }
        }
        Ok(Applied::Done)
    }

    async fn finish(&self, table: &Arc<Table>) -> Result<Finished> {
        let open = self.opened()?;
        let generation = open.notes.lock().get(&table.name).map_or(0, |noted| noted.generation);
        let noted = Noted { generation, finished: true };
        watermark::note(self.client(), open.claim.job, &table.name, noted).await?;
        open.notes.lock().insert(table.name.clone(), noted);
        Ok(Finished::Done)
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        *self.open.lock() = None;
        watermark::forget(self.client(), job).await
    }

    async fn jobs(&self) -> Result<Vec<JobRow>> {
        watermark::jobs(self.client()).await
    }

    fn place(&self) -> Option<String> {
        Some(format!("tablestore {}@{}", self.config.instance, self.config.endpoint))
    }

    fn lanes(&self) -> u16 {
        LANES
    }

    fn is_transactional(&self) -> bool {
        false
    }

    fn is_wide(&self) -> bool {
        true
    }
}
