//! How rows of one source shape are written into a table: the pieces of its statements, made once.

use super::{
    columns,
    compare::find,
    connect::Session,
    definition::{self, Definition},
    encode::{Misfit, Slot, is_invalid_label},
    narrow::{Narrow, narrower},
    schema::{self, Shape},
    server::{Family, Server},
    text,
    types::Native,
    watermark::Home,
};
use crate::{
    error::{Error, Result},
    model::{Field, JobId, RowRef, Table, Type, ValueRef},
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Shapes that one table may have at a time in flight; more than that are read again.
const PLANS: usize = 1_000;

/// A value that the server has only in a mode that is not strict: an `enum` that holds none of its labels.
const LOOSE_MODE: &str = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION";

/// No table that is carried has this name.
const NEW_ROW: &str = "whimbrel_new";

/// Of one source shape and the target table as it is now.
pub(super) struct Plan {
    pub table: Arc<Table>,
    pub target: Shape,
    /// Quoted, with its database.
    pub name: String,
    /// Per column of the source's shape; `None`: not written (computed, or not there).
    slots: Vec<Option<Slot>>,
    /// The key's columns, in key order.
    key: Vec<Slot>,
    /// `INSERT INTO t (a, b) VALUES `
    insert: String,
    /// ` ON DUPLICATE KEY UPDATE …`; empty for a table without a key.
    otherwise: String,
    /// Both with a `?` for each column; fresh, and not. `None`: not all of its columns can be told so.
    prepared: Option<[Arc<str>; 2]>,
    /// Columns of the target that hold less than the source's.
    pub narrow: Vec<Narrow>,
    /// Columns that the server would write by itself when others change, quoted.
    touched: Vec<String>,
}

/// Plans by table.
#[derive(Default)]
pub(super) struct Plans {
    plans: Mutex<Vec<Arc<Plan>>>,
}

impl Plans {
    pub async fn get(&self, session: &mut Session, home: &Home, job: JobId, table: &Arc<Table>) -> Result<Arc<Plan>> {
        let found = {
            let plans = self.plans.lock();
            let same = plans.iter().find(|plan| Arc::ptr_eq(&plan.table, table));
            same.or_else(|| plans.iter().find(|plan| plan.table == *table)).cloned()
        };
        if let Some(plan) = found {
            return Ok(plan);
        }
        let target = schema::read(session, &table.name).await?;
        let target = target.ok_or_else(|| {
            Error::config(format!("the target has no table `{}` any more", table.name))
                .hint("restore it, or delete the job and create it again with `existing: replace`")
        })?;
        // One that the source had before it was prepared, or one that is lost.
        if table.columns.iter().any(|column| find(&target.table, &column.name).is_none())
            && let Some(noted) = home.noted(session, job, &table.name).await?
        {
            noted.prove_columns(table, &target.table)?;
        }
        let plan = Arc::new(Plan::new(Arc::clone(table), target, &session.server)?);
        let mut plans = self.plans.lock();
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.push(Arc::clone(&plan));
        Ok(plan)
    }

    /// A table has changed.
    pub fn forget(&self, table: &Table) {
        self.plans.lock().retain(|plan| plan.table.name != table.name);
    }
}

impl Plan {
    pub fn new(table: Arc<Table>, target: Shape, server: &Server) -> Result<Plan> {
        let there = |name: &str| target.table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let slot = |place: usize| {
            let column = &target.table.columns[place];
            Slot::new(&column.name, &column.declared, target.natives[place].clone())
        };
        let is_any = |column: usize| table.columns[column].kind == Type::Any && table.key.contains(&column);
        let slots: Vec<Option<Slot>> = table
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let place = there(&column.name)?;
                let slot = || slot(place).text_only(is_any(index));
                // What the source computes and the target does not is written as any other value.
                (!target.table.columns[place].generated).then(slot)
            })
            .collect();
        let key = table.key.iter().map(|&column| {
            let name = &table.columns[column].name;
            let own = |place| slot(place).text_only(is_any(column));
            there(name).map(own).ok_or_else(|| {
                Error::config(format!("{}: the target lacks the key's column `{name}`", table.name))
                    .hint("add it at the target, or delete the job and create it again with `existing: replace`")
            })
        });
        let key: Vec<Slot> = key.collect::<Result<_>>()?;
        let name = text::table(&table.name);
        let written: Vec<&str> = slots.iter().flatten().map(|slot| slot.name.as_str()).collect();
        let lines = target.table.definition.as_deref().and_then(Definition::read);
        let touched = target.table.columns.iter().filter(|column| {
            lines.as_ref().and_then(|lines| lines.column(&column.name)).is_some_and(definition::is_touched_by_itself)
        });
        let touched: Vec<String> = touched.map(|column| text::quote(&column.name)).collect();
        let insert = format!("INSERT INTO {name} ({}) VALUES ", written.join(","));
        let (otherwise, prepared) = (String::new(), None);
        let table_of = Arc::clone(&table);
        let narrow = narrower(&table, &target, server);
        let mut plan = Plan { name, slots, key, insert, otherwise, prepared, narrow, touched, target, table: table_of };
        if !table.is_keyless() {
            plan.otherwise = plan.otherwise(server.at_least(Family::Mysql, (8, 0, 19)));
        }
        plan.prepared = plan.prepare();
        Ok(plan)
    }

    fn prepare(&self) -> Option<[Arc<str>; 2]> {
        let slots: Vec<&Slot> = self.slots.iter().flatten().collect();
        let values = vec!["?"; slots.len()].join(",");
        let (insert, otherwise) = (&self.insert, &self.otherwise);
        // The driver takes what follows a colon for a name, also where it is part of one.
        let is_plain = !insert.contains([':', '?']) && !otherwise.contains([':', '?']);
        (is_plain && !slots.is_empty() && slots.iter().all(|slot| slot.is_bindable()))
            .then(|| [format!("{insert}({values})").into(), format!("{insert}({values}){otherwise}").into()])
    }

    pub fn is_keyless(&self) -> bool {
        self.key.is_empty()
    }

    /// The column of the target that takes the source's.
    pub fn slot(&self, column: usize) -> Option<&Slot> {
        self.slots[column].as_ref()
    }

    /// The source's column of this name in the target.
    pub fn source_column(&self, name: &str) -> Option<usize> {
        self.table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// What stands before and behind the rows of an insert; `fresh`: one that is there is an error.
    pub fn insert(&self, fresh: bool) -> (&str, &str) {
        (&self.insert, if fresh { "" } else { &self.otherwise })
    }

    /// An insert of one row by parameters, if the table's rows can be told so.
    pub fn prepared(&self, fresh: bool) -> Option<&Arc<str>> {
        self.prepared.as_ref().map(|[plain, guarded]| if fresh { plain } else { guarded })
    }

    /// The row as parameters of `prepared`. `None`: one of its values has a literal only.
    pub fn bind(&self, row: RowRef<'_>) -> Result<Option<Vec<mysql_async::Value>>, Misfit> {
        let mut values = Vec::with_capacity(self.slots.len());
        for (column, field) in row.fields().enumerate() {
            let Some(slot) = self.slots.get(column).and_then(Option::as_ref) else { continue };
            let bound = slot.bind(field.value().unwrap_or(ValueRef::Null));
            match bound.map_err(|misfit| self.of_column(column, &misfit))? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    }

    pub fn key_columns(&self) -> usize {
        self.key.len()
    }

    /// `(1,'a')`.
    pub fn values(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        out.push(b'(');
        let mut first = true;
        for (column, field) in row.fields().enumerate() {
            let Some(slot) = self.slots.get(column).and_then(Option::as_ref) else { continue };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            self.literal(column, slot, field.value().unwrap_or(ValueRef::Null), out)?;
        }
        out.push(b')');
        Ok(())
    }

    /// `UPDATE t SET … WHERE key`: what the row gives.
    pub fn patch(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        out.extend_from_slice(b"UPDATE ");
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b" SET ");
        self.assignments(row, out)?;
        out.extend_from_slice(b" WHERE ");
        self.by_key(row, out)
    }

    /// Whether a patch may change a value that the source computes, and does not say which: not every log has them.
    pub fn is_incomplete(&self, row: RowRef<'_>) -> bool {
        let unsaid = |(column, slot): (usize, &Option<Slot>)| {
            slot.is_some() && self.table.columns[column].generated && row.get(column).value().is_none()
        };
        self.slots.iter().enumerate().any(unsaid)
    }

    /// `a=1,b='x'`: never empty.
    pub fn assignments(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let mut set: Vec<&str> = Vec::new();
        for (column, field) in row.fields().enumerate() {
            let (Some(slot), Field::Value(value)) = (self.slots.get(column).and_then(Option::as_ref), field) else {
                continue;
            };
            if self.table.key.contains(&column) && !self.may_respell(column) {
                continue;
            }
            separate(out, set.is_empty());
            out.extend_from_slice(slot.name.as_bytes());
            out.push(b'=');
            self.literal(column, slot, value, out)?;
            set.push(&slot.name);
        }
        for name in self.touched.iter().filter(|name| !set.contains(&name.as_str())) {
            separate(out, set.is_empty());
            out.extend_from_slice(format!("{name}={name}").as_bytes());
        }
        if set.is_empty() && self.touched.is_empty() {
            // Nothing of it is kept here, but whether the row is there still counts.
            let name = self.key.first().map_or("", |slot| &slot.name);
            out.extend_from_slice(format!("{name}={name}").as_bytes());
        }
        Ok(())
    }

    /// Removes the row with the key of `row`, or of a keyless table one row that is `row`, byte by byte.
    pub fn delete(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        out.extend_from_slice(format!("DELETE FROM {} WHERE ", self.name).as_bytes());
        if !self.is_keyless() {
            return self.by_key(row, out);
        }
        let mut first = true;
        for (column, field) in row.fields().enumerate() {
            let Some(slot) = self.slots.get(column).and_then(Option::as_ref) else { continue };
            if !std::mem::take(&mut first) {
                out.extend_from_slice(b" AND ");
            }
            slot.is_exactly(field.value().unwrap_or(ValueRef::Null), out)?;
        }
        out.extend_from_slice(b" LIMIT 1");
        Ok(())
    }

    /// Removes the rows with these keys. `false`: one by one only, and what was written is to be taken back. Several
    /// literals are compared like one where they are of one kind; text in a character set of its own is not.
    pub fn delete_all(&self, rows: &[RowRef<'_>], out: &mut Vec<u8>) -> bool {
        if self.is_keyless() || !self.key.iter().all(Slot::is_listable) {
            return false;
        }
        out.extend_from_slice(format!("DELETE FROM {} WHERE ", self.name).as_bytes());
        let one = self.key.len() == 1;
        if one {
            out.extend_from_slice(format!("{} IN (", self.key[0].name).as_bytes());
        }
        for (at, row) in rows.iter().enumerate() {
            let value = |column: usize| row.get(column).value().unwrap_or(ValueRef::Null);
            let is_plain = |value| !matches!(value, ValueRef::Native(..) | ValueRef::Null);
            if !self.table.key.iter().all(|&column| is_plain(value(column))) {
                return false;
            }
            out.extend_from_slice(match (at, one) {
                (0, true) => b"",
                (_, true) => b",",
                (0, false) => b"(",
                (_, false) => b" OR (",
            });
            let written = match one {
                true => self.key[0].literal(value(self.table.key[0]), out),
                false => self.by_key(*row, out),
            };
            if written.is_err() {
                return false; // Told again, with the row's name.
            }
            if !one {
                out.push(b')');
            }
        }
        if one {
            out.push(b')');
        }
        true
    }

    /// `a=1 AND b='x'`, as the target's key compares.
    pub fn by_key(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        for (at, (&column, slot)) in self.table.key.iter().zip(&self.key).enumerate() {
            if at > 0 {
                out.extend_from_slice(b" AND ");
            }
            out.extend_from_slice(slot.name.as_bytes());
            out.push(b'=');
            match row.get(column).value().unwrap_or(ValueRef::Null) {
                value if is_invalid_label(value) => out.push(b'0'),
                value => self.literal(column, slot, value, out)?,
            }
        }
        Ok(())
    }

    /// The same as text.
    pub fn plain_key(&self, row: RowRef<'_>) -> Result<String, Misfit> {
        let part = |(&column, slot): (&usize, &Slot)| {
            let value = row.get(column).value().unwrap_or(ValueRef::Null);
            Ok(format!("{}={}", slot.name, slot.plain(value)?))
        };
        let parts: Vec<String> = self.table.key.iter().zip(&self.key).map(part).collect::<Result<_, Misfit>>()?;
        Ok(parts.join(" AND "))
    }

    /// Statements that set what only a mode that is not strict takes, for a row that is there.
    pub fn mend(&self, row: RowRef<'_>, strict: &str) -> Result<Vec<Vec<u8>>, Misfit> {
        let invalid = row.fields().enumerate().filter(|(_, field)| field.value().is_some_and(is_invalid_label));
        let names = invalid.filter_map(|(column, _)| Some(self.slots.get(column)?.as_ref()?.name.as_str()));
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_keyless() {
            return Err("holds none of its labels, in a table without a key".to_owned());
        }
        // It would be another row until then: the one with the first label.
        let of = |(column, field): (usize, Field<'_>)| {
            field.value().is_some_and(is_invalid_label) && columns::is_told_apart(&self.table, column)
        };
        if row.fields().enumerate().any(of) {
            return Err("holds none of its labels, and is part of a key".to_owned());
        }
        let mut set: Vec<String> = names.iter().map(|name| format!("{name}=0")).collect();
        let touched = self.touched.iter().filter(|name| !names.contains(&name.as_str()));
        set.extend(touched.map(|name| format!("{name}={name}")));
        let mut update = format!("UPDATE {} SET {} WHERE ", self.name, set.join(",")).into_bytes();
        self.by_key(row, &mut update)?;
        let mode = |mode: &str| format!("SET SESSION sql_mode='{mode}'").into_bytes();
        Ok(vec![mode(LOOSE_MODE), update, mode(strict)])
    }

    /// Whether an equal key may have other bytes here: then it is written as well.
    fn may_respell(&self, column: usize) -> bool {
        let name = &self.table.columns[column].name;
        let there = self.target.table.columns.iter().find(|there| there.name.eq_ignore_ascii_case(name));
        there.is_some_and(|there| there.equality.is_coarse())
    }

    fn literal(&self, column: usize, slot: &Slot, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        slot.literal(value, out).map_err(|misfit| self.of_column(column, &misfit))
    }

    fn of_column(&self, column: usize, misfit: &Misfit) -> Misfit {
        format!("its column `{}` {misfit}", self.table.columns[column].name)
    }

    /// Makes the row with its key this row. The server takes any unique index for the key (hazards A3, E4): where the row
    /// it finds is another one, the query for two rows where one may be makes it fail. `names_rows`: MySQL gives the new
    /// row a name, and is about to drop the other way to ask for its values.
    fn otherwise(&self, names_rows: bool) -> String {
        let new = |slot: &Slot| match names_rows {
            true => format!("{NEW_ROW}.{}", slot.name),
            false => format!("VALUES({})", slot.name),
        };
        let old = |name: &str| match names_rows {
            true => format!("{}.{name}", text::quote(&self.table.name.name)),
            false => name.to_owned(),
        };
        let is_it = self.key.iter().map(|slot| format!("{} <=> {}", old(&slot.name), new(slot))).collect::<Vec<_>>();
        let is_it = match crate::faults::on(crate::faults::Saboteur::UpsertOverwritesHolder) {
            true => "TRUE".to_owned(),
            false => is_it.join(" AND "),
        };
        let first = &self.key[0].name;
        let stays = |column: usize, slot: &Slot| match self.may_respell(column) {
            true => new(slot),
            false => old(&slot.name),
        };
        let guarded = stays(self.table.key[0], &self.key[0]);
        // A number and one of these are no two values of one kind to the server.
        let two = match self.key[0].native {
            Native::Uuid | Native::Inet6 | Native::Inet4 => "(SELECT NULL UNION ALL SELECT NULL)",
            _ => "(SELECT 1 UNION SELECT 2)",
        };
        let mut set = vec![format!("{first}=IF({is_it},{guarded},{two})")];
        for (column, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let is_key = self.table.key.contains(&column);
            if column != self.table.key[0] && (!is_key || self.may_respell(column)) {
                set.push(format!("{}={}", slot.name, new(slot)));
            }
        }
        let written: Vec<&str> = self.slots.iter().flatten().map(|slot| slot.name.as_str()).collect();
        let touched = self.touched.iter().filter(|name| !written.contains(&name.as_str()));
        set.extend(touched.map(|name| format!("{name}={}", old(name))));
        let named = if names_rows { format!(" AS {NEW_ROW}") } else { String::new() };
        format!("{named} ON DUPLICATE KEY UPDATE {}", set.join(","))
    }
}

fn separate(out: &mut Vec<u8>, first: bool) {
    if !first {
        out.push(b',');
    }
}
