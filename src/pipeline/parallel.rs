//! Applies one batch over several lanes, and settles what does not fit: missing rows and unique clashes.
//!
//! Each lane is one transaction that moves its own watermark row. Lanes that meet a unique violation roll back, wait for
//! the others, and run again together: folded, then in source order, then with the clashing rows fetched in one snapshot
//! and written in that same transaction.

use super::{
    resolve::{at, replace},
    route::Route,
    spread::{Spread, share},
    witness::Witness,
    work::Work,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, COARSE_HASH_VERSION, Change, Checkpoint, Key, Kind, Mutation, NO_ROW, Rows, Table, TableName,
        coarse_hash,
    },
    source::{Fetched, Wanted},
    target::{Applied, Clash, Target},
};
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Batches smaller than this are not worth a second transaction.
const ROWS_PER_LANE: usize = 64;
/// A deadlock is repeated at once, but not for ever.
const REPEATS: usize = 10;

/// Applies batches to one target.
pub struct Lanes {
    pub target: Arc<dyn Target>,
    /// The source, and what it has shown.
    pub witness: Witness,
    pub route: Arc<Route>,
    /// Tables of the target under `existing: merge`: rows that the source does not have are others'.
    pub merged: BTreeSet<TableName>,
    pub lanes: u16,
    pub fold: bool,
    /// Tables as the target has them now; the pump tells before each batch of the log.
    pub stand: parking_lot::Mutex<BTreeMap<TableName, Stand>>,
}

/// How a table stands in the target.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    pub consistent: bool,
    /// The shape, and the copy of the table, that it was last prepared for.
    pub version: u64,
    pub generation: u64,
    /// It may be prepared for a newer shape now: no transaction of the target is open.
    pub may_change: bool,
}

impl Lanes {
    /// How many lanes this batch is worth.
    pub fn spread(&self, batch: &Batch) -> Spread {
        let rows = batch.rows();
        let groupable = |mutation: &Mutation| {
            let table = rows.table(mutation);
            mutation.row != NO_ROW
                && !table.is_keyless()
                && coarse_hash(COARSE_HASH_VERSION, table, rows.row(mutation.row)).is_some()
        };
        // Keyless rows and keys that cannot be grouped: everything on lane 0, in source order.
        let few = rows.mutations.len() < ROWS_PER_LANE && !faults::on(Saboteur::TruncateNotAlone);
        let one = self.lanes == 1 || few || !rows.mutations.iter().all(groupable);
        Spread::all(if one { 1 } else { self.lanes })
    }

    /// Applies the batch to the lanes that lack it. `Ok` means all of them have it; after an error some may.
    /// `Held` where it stays in an open transaction.
    pub async fn apply(&self, batch: &Batch, number: u64, spread: &Spread) -> Result<Applied> {
        let after = at(&batch.partition, &batch.to);
        if batch.rows().mutations.len() > 1 && batch.rows().mutations.iter().any(|one| one.change.is_alone()) {
            return Err(Error::config("a change of a whole table came in one batch with others")
                .hint("this is a defect of the source's connector; please report it"));
        }
        let mut shares = share(batch, spread, self.target.hash_version());
        let parts = spread.lacking.iter().map(|&lane| {
            let share = std::mem::take(&mut shares[usize::from(lane)]);
            self.lane(batch, &after, number, spread.of, lane, share)
        });
        // Invariant 4: the barrier; nothing of the next batch starts before every lane has answered.
        let answers = join_all(parts).await;
        let mut clashing = Vec::new();
        let mut held = false;
        for (answer, &lane) in answers.into_iter().zip(&spread.lacking) {
            match answer? {
                Applied::Taken(_) => clashing.push(lane),
                Applied::Held => held = true,
                _ => {}
            }
        }
        if !clashing.is_empty() {
            let all = share(batch, spread, self.target.hash_version());
            let mine: BTreeSet<Mutation> =
                clashing.iter().flat_map(|&lane| all[usize::from(lane)].iter().copied()).collect();
            let list = batch.rows().mutations.iter().copied().filter(|one| mine.contains(one)).collect();
            held |= self.untangle(batch, &after, list, number, spread.of, &clashing).await? == Applied::Held;
        }
        Ok(if held { Applied::Held } else { Applied::Done })
    }

    /// Applies rows of a copy on one connection: `lane` of `of` in the feed `copy`.
    pub async fn apply_copy(&self, batch: &Batch, after: &Checkpoint, number: u64, of: u16, lane: u16) -> Result<()> {
        self.witness.note().await?;
        let list = batch.rows().mutations.clone();
        match self.lane(batch, after, number, of, lane, list.clone()).await? {
            Applied::Taken(_) => self.untangle(batch, after, list, number, of, &[lane]).await.map(drop),
            _ => Ok(()),
        }
    }

    /// One lane's transaction, repeated with fetched rows where patches found none.
    async fn lane(
        &self,
        batch: &Batch,
        after: &Checkpoint,
        number: u64,
        of: u16,
        lane: u16,
        share: Vec<Mutation>,
    ) -> Result<Applied> {
        if of > 1 && batch.kind == Kind::Log {
            faults::point("between-lanes");
        }
        let mut work = Work::new(batch, share);
        if self.fold && batch.kind == Kind::Log && batch.alone().is_none() {
            work.fold();
        }
        self.fill_open(&mut work, after).await?;
        self.settle_missing(&mut work, after, number, of, &[lane]).await
    }

    /// A row that is there may be older than all that the copy has read (it moved between two of its pages), so a patch of
    /// it is not enough where its table is not consistent: the row is fetched.
    async fn fill_open(&self, work: &mut Work<'_>, after: &Checkpoint) -> Result<()> {
        if work.batch.kind != Kind::Log || faults::on(Saboteur::SkipMissingPatches) {
            return Ok(());
        }
        let patches: Vec<usize> = {
            let stand = self.stand.lock();
            let patches = work.list.iter().enumerate().filter(|(_, one)| one.change == Change::Patch);
            let open = |one| stand.get(&work.rows().table(one).name).is_some_and(|stand| !stand.consistent);
            patches.filter(|(_, one)| open(one)).map(|(index, _)| index).collect()
        };
        if !patches.is_empty() {
            self.fill(work, after, &patches).await?;
        }
        Ok(())
    }

    /// What lanes that clash have to write, `list`, in one transaction.
    async fn untangle(
        &self,
        batch: &Batch,
        after: &Checkpoint,
        list: Vec<Mutation>,
        number: u64,
        of: u16,
        lanes: &[u16],
    ) -> Result<Applied> {
        if self.fold && lanes.len() > 1 {
            let mut work = Work::new(batch, list.clone());
            work.fold();
            self.fill_open(&mut work, after).await?;
            match self.settle_missing(&mut work, after, number, of, lanes).await? {
                Applied::Taken(_) => {}
                done => return Ok(done),
            }
        }
        let mut work = Work::new(batch, list);
        self.fill_open(&mut work, after).await?;
        // Grows with every round; a round that adds nothing ends it.
        let mut fetched: BTreeSet<(TableName, Key)> = BTreeSet::new();
        loop {
            let clashes = match self.settle_missing(&mut work, after, number, of, lanes).await? {
                Applied::Taken(clashes) => clashes,
                done => return Ok(done),
            };
            let known = fetched.len();
            add_clashing(&work, &clashes, &mut fetched);
            if clashes.iter().any(|clash| work.rows().table(&work.list[clash.mutation]).is_keyless()) {
                return Err(refused_clash(&work, &clashes));
            }
            if fetched.len() == known {
                return Err(refused_clash(&work, &clashes));
            }
            work = self.with_fetched(batch, after, work, &fetched).await?;
        }
    }

    /// The work with these rows as the source has them now: all of them deleted first, then what there is of them.
    /// Nothing is evicted now and mended later: it is one transaction.
    async fn with_fetched<'b>(
        &self,
        batch: &'b Batch,
        after: &Checkpoint,
        work: Work<'b>,
        keys: &BTreeSet<(TableName, Key)>,
    ) -> Result<Work<'b>> {
        let rows = work.rows();
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut shapes: Vec<Arc<Table>> = Vec::new();
        for (name, key) in keys {
            let shape = rows.shapes.iter().rfind(|shape| shape.name == *name).expect("the key came from these shapes");
            if shapes.last().is_none_or(|last| last.name != *name) {
                shapes.push(Arc::clone(shape));
                wanted.push(Wanted { table: self.route.source_table(shape), keys: Vec::new() });
            }
            wanted.last_mut().expect("just pushed").keys.push(key.clone());
        }
        let answers = self.fetch(&wanted, after).await?;
        let original = Work::new(batch, batch.rows().mutations.clone());
        let is_fetched = |rows: &Rows, mutation: &Mutation| {
            let table = rows.table(mutation);
            mutation.row != NO_ROW
                && Key::of(table, rows.row(mutation.row)).is_some_and(|key| keys.contains(&(table.name.clone(), key)))
        };
        let changed = |name: &TableName, key: &Key| {
            let mut list = original.list.iter();
            list.any(|one| {
                let table = original.rows().table(one);
                table.name == *name && Key::of(table, original.rows().row(one.row)).as_ref() == Some(key)
            })
        };
        let mut next = work.owned();
        next.list.retain(|mutation| !is_fetched(&next.rows, mutation));
        let rest = std::mem::take(&mut next.list);
        let mut upserts = Vec::new();
        for ((wanted, shape), answer) in wanted.iter().zip(&shapes).zip(&answers) {
            let table = answer.table.as_ref().map_or_else(|| Arc::clone(shape), |table| self.route.target_table(table));
            self.widen(&table).await?;
            let index = next.rows.shape(&table);
            for (place, key) in wanted.keys.iter().enumerate() {
                let gone = answer.rows[place].is_none();
                if gone && self.merged.contains(&shape.name) && !changed(&shape.name, key) {
                    return Err(foreign_holder(shape, key));
                }
                let row = key.write_row(&table, &mut next.rows.slab);
                let delete = Mutation { shape: index, change: Change::Delete, row, before: NO_ROW, at: 0 };
                next.list.push(delete);
                next.rows.mutations.clear();
                replace(&mut next.rows, index, key, answer, place, 0);
                upserts.extend(next.rows.mutations.drain(..).filter(|one| one.change == Change::Upsert));
            }
        }
        if faults::on(Saboteur::TakenEvictedNow) {
            upserts.clear();
        }
        next.list.extend(rest);
        next.list.extend(upserts);
        Ok(next.into_work())
    }

    /// Rows that go into a batch whose position was made before they were read.
    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint) -> Result<Vec<Fetched>> {
        let answers = self.witness.source.fetch(wanted, after, usize::MAX).await?;
        self.witness.note().await?;
        Ok(answers)
    }

    /// Before a row of a newer shape, fetched ahead of the log, is written: or the new columns would be left out of it.
    /// Where they are left out, inside a transaction that the target holds open, the log brings them (A11).
    async fn widen(&self, table: &Arc<Table>) -> Result<()> {
        let stand = self.stand.lock().get(&table.name).copied();
        let older = |stand: &Stand| stand.consistent && stand.may_change && stand.version < table.version;
        if let Some(stand) = stand.filter(older) {
            if self.target.prepare(table, stand.generation).await?.stale {
                return Ok(()); // The log tells of the column, and the table is copied again then.
            }
            // What clashes in its indexes is settled when the log comes to this shape.
            self.target.finish(table).await?;
        }
        Ok(())
    }

    /// Applies; fetches the rows that patches found missing and applies again.
    async fn settle_missing(
        &self,
        work: &mut Work<'_>,
        after: &Checkpoint,
        number: u64,
        of: u16,
        lanes: &[u16],
    ) -> Result<Applied> {
        let mut repeats = 0;
        loop {
            let missing = match self.target.apply(work.part(number, of, lanes)).await? {
                Applied::Missing(missing) => missing,
                Applied::Again if repeats < REPEATS => {
                    repeats += 1;
                    continue;
                }
                Applied::Again => return Err(Error::transient("the same transaction met a deadlock ten times")),
                other => return Ok(other),
            };
            if faults::on(Saboteur::SkipMissingPatches) {
                let mut index = 0;
                work.list.retain(|_| {
                    index += 1;
                    !missing.contains(&(index - 1))
                });
                continue;
            }
            self.fill(work, after, &missing).await?;
        }
    }

    /// Replaces each missing patch, and all later changes of its key, by the row as the source has it now.
    async fn fill(&self, work: &mut Work<'_>, after: &Checkpoint, missing: &[usize]) -> Result<()> {
        let mut next = work.owned();
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut keys: Vec<(usize, usize)> = Vec::new();
        for &index in missing {
            let mutation = next.list[index];
            let shape = Arc::clone(next.rows.table(&mutation));
            let key = Key::of(&shape, next.rows.row(mutation.row))
                .ok_or_else(|| Error::refused(format!("{}: a patch without its key", shape.name)))?;
            let source = self.route.source_table(&shape);
            let table = wanted.iter().position(|wanted| wanted.table.name == source.name).unwrap_or_else(|| {
                wanted.push(Wanted { table: source, keys: Vec::new() });
                wanted.len() - 1
            });
            keys.push((table, wanted[table].keys.len()));
            wanted[table].keys.push(key);
        }
        // R2: at or after the batch; whatever is later will be replayed.
        let answers = self.fetch(&wanted, after).await?;
        let list = std::mem::take(&mut next.list);
        let mut filled: BTreeSet<(TableName, Key)> = BTreeSet::new();
        for (index, mutation) in list.into_iter().enumerate() {
            let shape = Arc::clone(next.rows.table(&mutation));
            let key = Key::of(&shape, next.rows.row(mutation.row));
            if key.is_some_and(|key| filled.contains(&(shape.name.clone(), key))) {
                continue;
            }
            let Some(place) = missing.iter().position(|&one| one == index) else {
                next.list.push(mutation);
                continue;
            };
            let (table, row) = keys[place];
            let key = wanted[table].keys[row].clone();
            let answer = &answers[table];
            let target =
                answer.table.as_ref().map_or_else(|| Arc::clone(&shape), |table| self.route.target_table(table));
            self.widen(&target).await?;
            let number = next.rows.shape(&target);
            next.rows.mutations.clear();
            replace(&mut next.rows, number, &key, answer, row, mutation.at);
            next.list.append(&mut next.rows.mutations);
            filled.insert((shape.name.clone(), key));
        }
        work.own = Some(Arc::new(next.rows));
        work.list = next.list;
        Ok(())
    }
}

/// Adds the keys of rows that clash and of the rows that hold what they want.
fn add_clashing(work: &Work<'_>, clashes: &[Clash], fetched: &mut BTreeSet<(TableName, Key)>) {
    for clash in clashes {
        let mutation = &work.list[clash.mutation];
        let table = work.rows().table(mutation);
        if let Some(key) = Key::of(table, work.rows().row(mutation.row)) {
            fetched.insert((table.name.clone(), key));
        }
        fetched.insert((table.name.clone(), clash.holder.clone()));
    }
}

fn refused_clash(work: &Work<'_>, clashes: &[Clash]) -> Error {
    let table = clashes.first().map(|clash| work.rows().table(&work.list[clash.mutation]).name.to_string());
    Error::refused(format!("{}: rows clash through a unique index of the target", table.unwrap_or_default()))
        .hint("the target has a unique index that the source does not have, or compares more coarsely: drop it there")
}

fn foreign_holder(table: &Table, key: &Key) -> Error {
    let values: Vec<_> = key.values().collect();
    Error::refused(format!("{}: a row that the source does not have holds a unique value, key {values:?}", table.name))
        .hint("under `existing: merge` rows of others are not deleted: remove or change that row in the target")
}
