//! One part as one transaction: the watermark first, then the mutations in order.

use super::{
    clash,
    copy::show,
    failure::{Answer, Failure},
    file::Database,
    plan::{Plan, Plans},
    text::quote,
    watermark::{self, Move},
};
use crate::{
    error::{Error, Result},
    model::{Change, Field, Kind, Mutation, NO_ROW, Operator, Partition, Position, RowRef, Rows, Value, ValueRef},
    target::{Applied, Claim, Clash, Part},
};
use std::sync::Arc;

/// A part that can travel to the thread.
pub(super) struct OwnedPart {
    pub feed: Partition,
    pub number: u64,
    pub lanes: Vec<u16>,
    pub of: u16,
    pub from: Position,
    pub to: Position,
    pub complete: bool,
    pub kind: Kind,
    pub rows: Arc<Rows>,
    pub mutations: Vec<Mutation>,
    pub ignores_epoch: bool,
}

impl OwnedPart {
    pub fn of(part: &Part<'_>, ignores_epoch: bool) -> OwnedPart {
        OwnedPart {
            feed: part.feed.clone(),
            number: part.number,
            lanes: part.lanes.to_vec(),
            of: part.of,
            from: part.from.clone(),
            to: part.to.clone(),
            complete: part.complete,
            kind: part.kind,
            rows: Arc::clone(part.rows),
            mutations: part.mutations.to_vec(),
            ignores_epoch,
        }
    }
}

/// Moves the lanes' watermarks and applies the mutations in the open transaction. `Done` means: may be committed.
pub(super) fn apply(
    db: &mut Database,
    plans: &mut Plans,
    job: &str,
    claim: &Claim,
    part: &OwnedPart,
) -> Result<Applied> {
    for &lane in &part.lanes {
        let (epoch, token, lanes, ignores_epoch) = (claim.epoch, claim.token, part.of, part.ignores_epoch);
        let (feed, number, from, to) = (&part.feed, part.number, &part.from, &part.to);
        watermark::advance(db, &Move { job, epoch, token, feed, lane, lanes, number, from, to, ignores_epoch })?;
    }
    let mut work = Work { missing: Vec::new(), clashes: Vec::new(), fresh: part.kind == Kind::Copy { fresh: true } };
    for (index, mutation) in part.mutations.iter().enumerate() {
        let table = part.rows.table(mutation);
        if matches!(mutation.change, Change::Reshape | Change::Recopy) {
            // Told to `prepare` by the engine; here only the watermark moves.
            continue;
        }
        let plan = plans.get(db, job, table)?;
        work.mutation(db, plan, &part.rows, index, mutation).map_err(|error| error.at(&table.name))?;
    }
    Ok(match work {
        Work { missing, .. } if !missing.is_empty() => Applied::Missing(missing),
        Work { clashes, .. } if !clashes.is_empty() => Applied::Taken(clashes),
        _ => Applied::Done,
    })
}

/// What the part has met so far. It goes on after the first, so that one answer names all.
struct Work {
    missing: Vec<usize>,
    clashes: Vec<Clash>,
    fresh: bool,
}

impl Work {
    fn mutation(
        &mut self,
        db: &mut Database,
        plan: &mut Plan,
        rows: &Rows,
        index: usize,
        mutation: &Mutation,
    ) -> Result<()> {
        let given = || match mutation.row {
            NO_ROW => Err(Error::config(format!("a {:?} without a row reached the target", mutation.change))),
            place => Ok(rows.row(place)),
        };
        match mutation.change {
            Change::Upsert => {
                let row = given()?;
                let written = match self.fresh {
                    // Nothing of the table was there; if somebody else wrote this row meanwhile, it is made ours.
                    true => plan.insert(db, row).or_else(|failure| again(db, plan, row, failure)),
                    false => plan.upsert(db, row),
                };
                self.settle(db, plan, index, row, written)?;
            }
            Change::Patch => {
                let row = given()?;
                let written = plan.patch(db, row);
                if self.settle(db, plan, index, row, written)? == Some(0) {
                    self.missing.push(index);
                }
            }
            Change::Delete => {
                let row = given()?;
                let gone = plan.delete(db, row)?;
                if gone == 0 && plan.is_keyless() {
                    tracing::warn!(table = %plan.table.name, "a row without key that was to be deleted is not there");
                }
            }
            Change::Matching => matching(db, plan, rows, mutation)?,
            Change::Truncate => db.run(&format!("DELETE FROM {}", quote(plan.target.name())))?,
            Change::Touched | Change::Merge => {
                return Err(Error::config(format!(
                    "a {:?} row reached the target, which takes whole ones",
                    mutation.change
                )));
            }
            Change::Reshape | Change::Recopy => {}
        }
        Ok(())
    }

    /// Sorts out why a row was not written; `Some`: it was, so many rows.
    fn settle(
        &mut self,
        db: &Database,
        plan: &Plan,
        mutation: usize,
        row: RowRef<'_>,
        written: Answer<u64>,
    ) -> Result<Option<u64>> {
        let failure = match written {
            Ok(rows) => return Ok(Some(rows)),
            Err(failure) => failure,
        };
        if failure.is_taken() {
            let holders = clash::holders(db, plan, row)?;
            if !holders.is_empty() {
                self.clashes.extend(holders.into_iter().map(|holder| Clash { mutation, holder }));
                return Ok(None);
            }
        }
        match failure.is_refusal() {
            true => Err(refused(plan, row, &failure)),
            false => Err(failure.into()),
        }
    }
}

/// A plain insert met a row with its key.
fn again(db: &Database, plan: &mut Plan, row: RowRef<'_>, failure: Failure) -> Answer<u64> {
    match failure.code {
        rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY | rusqlite::ffi::SQLITE_CONSTRAINT_ROWID if !plan.is_keyless() => {
            plan.upsert(db, row)
        }
        _ => Err(failure),
    }
}

fn refused(plan: &Plan, row: RowRef<'_>, failure: &Failure) -> Error {
    let key = plan.table.key.iter().map(|&column| row.get(column).value().unwrap_or(ValueRef::Null));
    Error::refused(format!("the row with key {} is not taken: {}", show(key), failure.text)).hint(format!(
        "change the row at the source, or the constraint at the target: `.schema {}` shows it",
        plan.target.name()
    ))
}

/// Deletes, or patches, all rows that meet the criteria.
fn matching(db: &mut Database, plan: &Plan, rows: &Rows, mutation: &Mutation) -> Result<()> {
    let table = quote(plan.target.name());
    let name = |column: usize| plan.name(column).map_or_else(|| quote(&plan.table.columns[column].name), str::to_owned);
    let mut values: Vec<Value> = Vec::new();
    let mut set = Vec::new();
    if mutation.row != NO_ROW {
        for (column, field) in rows.row(mutation.row).fields().enumerate() {
            if let (Field::Value(value), Some(name)) = (field, plan.name(column)) {
                values.push(value.to_owned());
                set.push(format!("{name} = ?{}", values.len()));
            }
        }
    }
    let mut conditions = Vec::new();
    for (column, operator, value) in rows.criteria(mutation.before) {
        values.push(value.to_owned());
        let operator = match operator {
            Operator::Equal => "=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        };
        conditions.push(format!("{} {operator} ?{}", name(column), values.len()));
    }
    if conditions.is_empty() {
        return Err(Error::config("a change of matching rows came without criteria"));
    }
    let conditions = conditions.join(" AND ");
    let sql = match mutation.row {
        NO_ROW => format!("DELETE FROM {table} WHERE {conditions}"),
        _ if set.is_empty() => return Ok(()),
        _ => format!("UPDATE OR ABORT {table} SET {} WHERE {conditions}", set.join(", ")),
    };
    let mut slab = Rows::default();
    let all: Vec<Option<Value>> = values.into_iter().map(Some).collect();
    let place = slab.add_row(&all);
    let values = slab.row(place).fields().filter_map(Field::value);
    super::statement::Statement::new(&db.conn, &sql)?.run(values)?;
    Ok(())
}
