//! The statements of one part: of many rows few, in the order that keys ask for. Pure.

use super::{
    encode::Misfit,
    plan::Plan,
    script::{Script, What},
    server::SQL_MODE,
};
use crate::{
    error::{Error, Result},
    model::{
        COARSE_HASH_VERSION, Change, Field, Key, Kind, Mutation, NO_ROW, Operator, RowRef, Rows, ValueRef, coarse_hash,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Rows of one insert. More bring nothing, and keep more rows locked when one of them waits.
const ROWS: usize = 1_000;

/// Bytes of one insert, as far as rows are smaller.
pub(super) const BYTES: usize = 1 << 20;

/// Rows that are not worth a round trip of their own, as the bulk protocol has it.
const FEW: usize = 32;

/// Keys of one delete. The server compares them one by one where a key has several columns.
const KEYS: usize = 1_000;
const COMPOSITE_KEYS: usize = 50;

/// Where a part's rows go: by the shape's number.
pub(super) type PlansOf = Vec<Option<Arc<Plan>>>;

/// The mutations of a part, as statements.
pub(super) struct Writing<'a> {
    pub rows: &'a Rows,
    pub mutations: &'a [Mutation],
    pub plans: &'a PlansOf,
    pub kind: Kind,
    /// Of rows, as they are in a slab, that one packet of the bulk protocol takes; 0: it is not used.
    pub bulk_bytes: usize,
}

impl Writing<'_> {
    /// Few statements: of each table the deletes, then the rows, then the patches. Keys that come twice keep their order;
    /// others do not know of each other, or the server will say so.
    pub fn grouped(&self, script: &mut Script) -> Result<()> {
        let tables = self.tables();
        let mut groups: Vec<Group> = self.plans.iter().map(|_| Group::default()).collect();
        for (index, mutation) in self.mutations.iter().enumerate() {
            let shape = usize::from(mutation.shape);
            let Some(plan) = &self.plans[shape] else { continue };
            let change = mutation.change;
            if !matches!(change, Change::Upsert | Change::Patch | Change::Delete) {
                self.one(index, false, script)?;
                continue;
            }
            let hash = match plan.is_keyless() {
                true => None,
                false => coarse_hash(COARSE_HASH_VERSION, &plan.table, self.row(mutation)?),
            };
            let group = &mut groups[tables[shape]];
            let in_order = match plan.is_keyless() {
                // Rows without a key are told apart by nothing: none is deleted before it is written.
                true => change == Change::Delete && !group.upserts.is_empty(),
                false => match hash {
                    Some(hash) => group.opaque || group.seen.contains(&hash),
                    None => !group.is_empty(),
                },
            };
            if in_order {
                self.flush(std::mem::take(group), script)?;
            }
            match hash {
                Some(hash) => drop(group.seen.insert(hash)),
                None => group.opaque = !plan.is_keyless(),
            }
            match change {
                Change::Upsert => group.upserts.push(index),
                Change::Patch => group.patches.push(index),
                _ => group.deletes.push(index),
            }
        }
        groups.into_iter().try_for_each(|group| self.flush(group, script))
    }

    /// For each shape the first one of the same table.
    fn tables(&self) -> Vec<usize> {
        let mut first = HashMap::new();
        let plans = self.plans.iter().enumerate();
        plans
            .map(|(shape, plan)| plan.as_ref().map_or(shape, |plan| *first.entry(&plan.name).or_insert(shape)))
            .collect()
    }

    /// One statement for each change, in the order of the source.
    pub fn one_by_one(&self, script: &mut Script) -> Result<()> {
        (0..self.mutations.len()).try_for_each(|index| self.one(index, false, script))
    }

    fn flush(&self, group: Group, script: &mut Script) -> Result<()> {
        let by_shape = |a: &usize, b: &usize| self.mutations[*a].shape == self.mutations[*b].shape;
        group.deletes.chunk_by(by_shape).try_for_each(|rows| self.deletes(rows, script))?;
        let fresh = self.kind == Kind::Copy { fresh: true };
        let mut upserts = group.upserts;
        // Where no value is wanted that another row of them gives up, pages are met one after the other.
        let is_free = |index: &usize| self.plan(*index).table.uniques.is_empty();
        if !fresh && upserts.len() >= FEW && upserts.iter().all(is_free) {
            upserts.sort_by_cached_key(|&index| (self.mutations[index].shape, self.first_of_key(index)));
        }
        upserts.chunk_by(by_shape).try_for_each(|rows| self.upserts(rows, fresh, script))?;
        group.patches.into_iter().try_for_each(|index| self.one(index, true, script))
    }

    /// Rows of one shape, found by their keys.
    fn deletes(&self, indexes: &[usize], script: &mut Script) -> Result<()> {
        let Some(&first) = indexes.first() else { return Ok(()) };
        let plan = self.plan(first);
        let limit = match plan.key_columns() {
            0 => 1,
            1 => KEYS,
            _ => COMPOSITE_KEYS,
        };
        for some in indexes.chunks(limit) {
            let start = script.length();
            let mut rows = Vec::with_capacity(some.len());
            some.iter().try_for_each(|&index| self.row(&self.mutations[index]).map(|row| rows.push(row)))?;
            if some.len() > 1 && plan.delete_all(&rows, script.text()) {
                script.end(What::Deletes(some.to_vec()));
                continue;
            }
            script.text().truncate(start);
            some.iter().try_for_each(|&index| self.one(index, true, script))?;
        }
        Ok(())
    }

    /// As many of these rows, of one shape, as go by the bulk protocol in one packet: none, where they are large.
    fn bulk(&self, indexes: &[usize], fresh: bool, script: &mut Script) -> Result<usize> {
        let Some(sql) = self.plan(indexes[0]).prepared(fresh) else { return Ok(0) };
        let (mut count, mut bytes) = (0, 0);
        for &index in indexes {
            bytes += self.row(&self.mutations[index])?.bytes().len();
            if bytes > self.bulk_bytes {
                break;
            }
            count += 1;
        }
        if count < FEW {
            return Ok(0);
        }
        script.push_bulk(Arc::clone(sql), What::Upserts(indexes[..count].to_vec()));
        Ok(count)
    }

    /// Parameters of these rows. `None`: one of them has a literal only.
    pub fn bound(&self, indexes: &[usize]) -> Result<Option<Vec<Vec<mysql_async::Value>>>> {
        let bind = |&index: &usize| self.fits(index, self.plan(index).bind(self.row(&self.mutations[index])?));
        indexes.iter().map(bind).collect()
    }

    /// Rows of one shape.
    fn upserts(&self, indexes: &[usize], fresh: bool, script: &mut Script) -> Result<()> {
        let mut rest = indexes;
        while let Some(&first) = rest.first() {
            let plan = self.plan(first);
            if rest.len() >= FEW && self.bulk_bytes > 0 {
                let count = self.bulk(&rest[..rest.len().min(ROWS)], fresh, script)?;
                if count > 0 {
                    rest = &rest[count..];
                    continue;
                }
            }
            let (head, tail) = plan.insert(fresh);
            let start = script.length();
            script.text().extend_from_slice(head.as_bytes());
            let mut count = 0;
            for &index in rest.iter().take(ROWS) {
                if count > 0 {
                    script.text().push(b',');
                }
                self.fits(index, plan.values(self.row(&self.mutations[index])?, script.text()))?;
                count += 1;
                if script.length() - start > BYTES {
                    break;
                }
            }
            script.text().extend_from_slice(tail.as_bytes());
            let (done, left) = rest.split_at(count);
            script.end(What::Upserts(done.to_vec()));
            rest = left;
            done.iter().try_for_each(|&index| self.mend(index, script))?;
        }
        Ok(())
    }

    /// `is_row`: known to be a change of a row.
    fn one(&self, index: usize, is_row: bool, script: &mut Script) -> Result<()> {
        let mutation = &self.mutations[index];
        if self.plans[usize::from(mutation.shape)].is_none() {
            return Ok(()); // Told to `prepare` by the engine; here only the watermark moves.
        }
        let plan = self.plan(index);
        match mutation.change {
            Change::Upsert => self.upserts(&[index], false, script),
            Change::Patch if plan.is_keyless() => {
                Err(Error::config("a patch of a row without a key reached the target"))
            }
            Change::Patch if plan.is_incomplete(self.row(mutation)?) => {
                // Finds no row: the whole one is fetched.
                script.push("DO 0", What::Patch(index));
                Ok(())
            }
            Change::Patch => {
                self.fits(index, plan.patch(self.row(mutation)?, script.text()))?;
                script.end(What::Patch(index));
                self.mend(index, script)
            }
            Change::Delete => {
                self.fits(index, plan.delete(self.row(mutation)?, script.text()))?;
                script.end(What::Deletes(vec![index]));
                Ok(())
            }
            Change::Truncate if !is_row => {
                script.push(format!("DELETE FROM {}", plan.name), What::Whole(index));
                Ok(())
            }
            Change::Matching if !is_row => self.matching(index, script),
            Change::Touched => Err(Error::config("a touched key reached the target without its row")),
            _ => Ok(()),
        }
    }

    fn mend(&self, index: usize, script: &mut Script) -> Result<()> {
        let row = self.row(&self.mutations[index])?;
        for statement in self.fits(index, self.plan(index).mend(row, SQL_MODE))? {
            let what = if statement.starts_with(b"SET") { What::Frame } else { What::Whole(index) };
            script.push(statement, what);
        }
        Ok(())
    }

    /// Deletes, or patches, all rows that meet the criteria.
    fn matching(&self, index: usize, script: &mut Script) -> Result<()> {
        let (mutation, plan) = (&self.mutations[index], self.plan(index));
        let mut text = match mutation.row {
            NO_ROW => format!("DELETE FROM {}", plan.name).into_bytes(),
            place => {
                let mut text = format!("UPDATE {} SET ", plan.name).into_bytes();
                self.fits(index, plan.assignments(self.rows.row(place), &mut text))?;
                text
            }
        };
        let mut word = " WHERE ";
        for (column, operator, value) in self.rows.criteria(mutation.before) {
            let slot = plan.slot(column).ok_or_else(|| {
                let name = &plan.table.columns[column].name;
                Error::config(format!("{}: rows are to be found by `{name}`, which is not there", plan.table.name))
            })?;
            let operator = match operator {
                Operator::Equal => "=",
                Operator::Less => "<",
                Operator::LessOrEqual => "<=",
                Operator::Greater => ">",
                Operator::GreaterOrEqual => ">=",
            };
            text.extend_from_slice(format!("{word}{}{operator}", slot.name).as_bytes());
            self.fits(index, slot.literal(value, &mut text))?;
            word = " AND ";
        }
        if word == " WHERE " {
            return Err(Error::config("a change of matching rows came without criteria"));
        }
        script.push(text, What::Whole(index));
        Ok(())
    }

    pub fn plan(&self, index: usize) -> &Plan {
        self.plans[usize::from(self.mutations[index].shape)].as_deref().expect("rows have a plan")
    }

    /// The first part of the row's key where it is a whole number, else 0.
    fn first_of_key(&self, index: usize) -> i128 {
        let mutation = &self.mutations[index];
        let Some(&column) = self.rows.table(mutation).key.first() else { return 0 };
        match self.rows.row(mutation.row).get(column).value() {
            Some(ValueRef::Int(number)) => i128::from(number),
            Some(ValueRef::Unsigned(number)) => i128::from(number),
            _ => 0,
        }
    }

    pub fn row(&self, mutation: &Mutation) -> Result<RowRef<'_>> {
        match mutation.row {
            NO_ROW => Err(Error::config(format!("a {:?} without a row reached the target", mutation.change))),
            place => Ok(self.rows.row(place)),
        }
    }

    fn fits<T>(&self, index: usize, written: Result<T, Misfit>) -> Result<T> {
        written.map_err(|misfit| self.refused(index, &misfit))
    }

    /// Names the row by its key, and no value of it.
    pub fn refused(&self, index: usize, why: &str) -> Error {
        let mutation = &self.mutations[index];
        let table = self.rows.table(mutation);
        let key = match mutation.row {
            NO_ROW => "no row".to_owned(),
            _ if table.is_keyless() => "a row without key".to_owned(),
            place => {
                format!("the row with key {}", show(table.key.iter().map(|&column| self.rows.row(place).get(column))))
            }
        };
        let narrow = self.plans[usize::from(mutation.shape)].iter().flat_map(|plan| &plan.narrow);
        let wider: Vec<&str> = narrow.filter(|one| one.may_be(why)).map(|one| one.mend.as_str()).collect();
        let hint = match wider.is_empty() {
            true => format!(
                "change the row at the source, or the column at the target: `SHOW CREATE TABLE {}` shows it",
                super::text::table(&table.name)
            ),
            false => format!("run at the target: {}", wider.join("; ")),
        };
        Error::refused(format!("{}: {key} is not taken: {why}", table.name)).hint(hint)
    }
}

/// Changes of one table whose order does not matter.
#[derive(Default)]
struct Group {
    /// Coarse hashes of the keys in it.
    seen: HashSet<u64>,
    /// It has a key that may be any other.
    opaque: bool,
    deletes: Vec<usize>,
    upserts: Vec<usize>,
    patches: Vec<usize>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.upserts.is_empty() && self.patches.is_empty()
    }
}

fn show<'a>(fields: impl Iterator<Item = Field<'a>>) -> String {
    let values = fields.map(|field| field.value().unwrap_or(ValueRef::Null));
    let key = Key::from_values(values);
    let shown = key.values().map(|value| match value {
        ValueRef::Int(v) => v.to_string(),
        ValueRef::Unsigned(v) => v.to_string(),
        ValueRef::Text(v) => format!("'{v}'"),
        other => format!("{other:?}"),
    });
    format!("({})", shown.collect::<Vec<_>>().join(", "))
}
