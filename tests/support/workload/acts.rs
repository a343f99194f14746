//! What the simulated application does, one kind of transaction each.

use super::{Workload, audit, leaves, orders, people, stock, trees, words};
use whimbrel::{
    connectors::memory::Transaction,
    error::Result,
    model::{Column, TableName, Type, Value},
};

/// A kind of transaction. `work` says whether it found something to do.
pub struct Act {
    pub name: &'static str,
    pub weight: usize,
    pub work: fn(&mut Workload, &mut Transaction<'_>) -> Result<bool>,
}

const fn act(name: &'static str, weight: usize, work: fn(&mut Workload, &mut Transaction<'_>) -> Result<bool>) -> Act {
    Act { name, weight, work }
}

/// Everything that `hazards.md` wants to see. A run in which one of them never happened proves nothing of it.
pub const ACTS: &[Act] = &[
    act("insert", 10, Workload::insert_any),
    act("update", 12, Workload::update_any),
    act("update of a short column", 12, Workload::update_short),
    act("delete", 6, Workload::delete_any),
    act("key move", 5, Workload::move_key),
    act("key move back", 3, Workload::move_key_back),
    act("key used again", 4, Workload::use_key_again),
    act("delete and insert with equal content", 3, Workload::delete_insert_equal),
    act("unique value moved", 4, Workload::move_unique),
    act("unique values swapped", 4, Workload::swap_unique),
    act("unique values rotated, deferred", 2, Workload::rotate_unique),
    act("truncate", 1, Workload::truncate),
    act("large transaction", 2, Workload::large),
    act("transaction over several tables", 4, Workload::several_tables),
    act("keyless insert", 3, Workload::keyless_insert),
    act("keyless doubles", 2, Workload::keyless_doubles),
    act("keyless delete", 2, Workload::keyless_delete),
    act("keyless update", 2, Workload::keyless_update),
    act("case change of a key", 3, Workload::change_case),
    act("case change and delete", 2, Workload::change_case_and_delete),
    act("cascading delete", 2, Workload::cascade_delete),
    act("cascading key change", 2, Workload::cascade_key),
    act("set null by foreign key", 2, Workload::set_null),
    act("column added", 1, Workload::add_column),
    act("table changed unlogged", 1, Workload::refill),
    act("keys changed unlogged", 1, Workload::renumber),
];

impl Workload {
    fn insert_any(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(table) = self.any_keyed() else { return Ok(false) };
        self.insert(t, &table).map(|()| true)
    }

    fn update_any(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        self.update_where(t, |_| true)
    }

    /// Leaves the external column as it is.
    fn update_short(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        self.update_where(t, |column| column.declared != "external")
    }

    fn update_where(&mut self, t: &mut Transaction<'_>, may: impl Fn(&Column) -> bool) -> Result<bool> {
        let Some(table) = self.any_keyed() else { return Ok(false) };
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        let shape = t.shape(&table).expect("a table of the world");
        let number = self.number();
        let foreign = |column: usize| shape.foreign_keys.iter().any(|key| key.columns.contains(&column));
        let columns: Vec<usize> = (0..shape.columns.len())
            .filter(|column| !shape.key.contains(column) && !foreign(*column) && may(&shape.columns[*column]))
            .collect();
        let mut set = Vec::new();
        for column in columns {
            if self.chance.hits(600) {
                set.push((column, self.value(&shape, column, number)));
            }
        }
        t.update(&table, &self.key_of(t, &table, &row), &set)
    }

    fn delete_any(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(table) = self.any_keyed() else { return Ok(false) };
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        let key = self.key_of(t, &table, &row);
        t.delete(&table, &key)?;
        self.gone.push((table, key));
        Ok(true)
    }

    fn move_key(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let table = self.chance.pick(&[orders(), people(), stock()]).clone();
        if !self.has(&table) {
            return Ok(false);
        }
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        let key = self.key_of(t, &table, &row);
        let shape = t.shape(&table).expect("a table of the world");
        // Into other ranges too: small keys lie before all that were there at the start.
        let number = if self.chance.hits(500) { -self.number() } else { self.number() };
        let last = *shape.key.last().expect("keyed");
        let mut set = vec![(last, Value::Int(number))];
        if self.chance.hits(500) {
            let column =
                shape.columns.iter().position(|c| c.name == "amount" || c.name == "nick").expect("one of both");
            set.push((column, self.value(&shape, column, number)));
        }
        t.update(&table, &key, &set)?;
        self.gone.push((table, key));
        Ok(true)
    }

    fn move_key_back(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some((table, old)) = self.gone.pop() else { return Ok(false) };
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        let shape = t.shape(&table).expect("a table of the world");
        let key = self.key_of(t, &table, &row);
        let set: Vec<(usize, Value)> = shape.key.iter().copied().zip(old).collect();
        t.update(&table, &key, &set)
    }

    fn use_key_again(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some((table, key)) = self.gone.pop() else { return Ok(false) };
        let row = self.new_row(t, &table, Some(&key));
        t.insert(&table, row).map(|()| true)
    }

    fn delete_insert_equal(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(table) = self.any_keyed() else { return Ok(false) };
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        t.delete(&table, &self.key_of(t, &table, &row))?;
        t.insert(&table, row).map(|()| true)
    }

    fn two_people(&mut self, t: &Transaction<'_>) -> Option<(Vec<Value>, Vec<Value>)> {
        let (one, other) = (self.any_row(t, &people())?, self.any_row(t, &people())?);
        (one[0] != other[0]).then_some((one, other))
    }

    fn move_unique(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some((one, other)) = self.two_people(t) else { return Ok(false) };
        let free = Value::Text(format!("free{}", self.number()));
        t.update(&people(), &one[..1], &[(1, free)])?;
        t.update(&people(), &other[..1], &[(1, one[1].clone())])
    }

    fn swap_unique(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some((one, other)) = self.two_people(t) else { return Ok(false) };
        let between = Value::Text(format!("swap{}", self.number()));
        t.update(&people(), &one[..1], &[(1, between)])?;
        t.update(&people(), &other[..1], &[(1, one[1].clone())])?;
        t.update(&people(), &one[..1], &[(1, other[1].clone())])
    }

    /// Without a value in between, where the store looks at its rules when the transaction ends.
    fn rotate_unique(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some((one, other)) = self.two_people(t) else { return Ok(false) };
        t.update(&people(), &one[..1], &[(1, other[1].clone()), (2, other[2].clone())])?;
        t.update(&people(), &other[..1], &[(1, one[1].clone()), (2, one[2].clone())])
    }

    fn truncate(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let table = self.chance.pick(&[orders(), stock(), words(), audit(), people()]).clone();
        if !self.has(&table) || t.rows(&table).is_empty() {
            return Ok(false);
        }
        t.truncate(&table)?;
        for _ in 0..self.chance.below(4) {
            self.insert(t, &table)?;
        }
        Ok(true)
    }

    fn large(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(table) = self.any_keyed() else { return Ok(false) };
        for _ in 0..self.big {
            match self.any_row(t, &table) {
                Some(row) if self.chance.hits(300) => {
                    let key = self.key_of(t, &table, &row);
                    let shape = t.shape(&table).expect("a table of the world");
                    let column = shape.columns.len() - 1;
                    let foreign = shape.foreign_keys.iter().any(|key| key.columns.contains(&column));
                    if !shape.key.contains(&column) && !foreign {
                        let number = self.number();
                        let value = self.value(&shape, column, number);
                        t.update(&table, &key, &[(column, value)])?;
                    }
                }
                Some(row) if self.chance.hits(150) => {
                    let key = self.key_of(t, &table, &row);
                    t.delete(&table, &key)?;
                }
                _ => self.insert(t, &table)?,
            }
        }
        Ok(true)
    }

    fn several_tables(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let mut tables: Vec<TableName> = Vec::new();
        for _ in 0..3 {
            let Some(table) = self.any_keyed() else { return Ok(false) };
            self.insert(t, &table)?;
            self.update_short(t)?;
            tables.push(table);
        }
        tables.dedup();
        Ok(tables.len() > 1)
    }

    fn keyless_insert(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        self.has(&audit()).then(|| self.insert(t, &audit())).transpose().map(|done| done.is_some())
    }

    fn keyless_doubles(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &audit()) else { return Ok(false) };
        t.insert(&audit(), row.clone())?;
        t.insert(&audit(), row).map(|()| true)
    }

    fn keyless_delete(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &audit()) else { return Ok(false) };
        t.delete_one(&audit(), &row)
    }

    fn keyless_update(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &audit()) else { return Ok(false) };
        let after = self.new_row(t, &audit(), None);
        t.update_one(&audit(), &row, after)
    }

    fn change_case(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &words()) else { return Ok(false) };
        let Value::Text(word) = &row[0] else { return Ok(false) };
        let other = match word.chars().any(char::is_uppercase) {
            true => word.to_lowercase(),
            false => word.to_uppercase(),
        };
        let mut set = vec![(0, Value::Text(other))];
        if self.chance.hits(500) {
            set.push((1, Value::Int(self.number())));
        }
        t.update(&words(), &row[..1], &set)
    }

    fn change_case_and_delete(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &words()) else { return Ok(false) };
        let Value::Text(word) = &row[0] else { return Ok(false) };
        t.update(&words(), &row[..1], &[(0, Value::Text(word.to_uppercase()))])?;
        t.delete(&words(), &row[..1])
    }

    fn cascade_delete(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &trees()) else { return Ok(false) };
        t.delete(&trees(), &row[..1])
    }

    fn cascade_key(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let table = self.chance.pick(&[trees(), leaves()]).clone();
        let Some(row) = self.any_row(t, &table) else { return Ok(false) };
        let number = self.number();
        t.update(&table, &row[..1], &[(0, Value::Int(-number))])
    }

    fn set_null(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let Some(row) = self.any_row(t, &leaves()) else { return Ok(false) };
        t.delete(&leaves(), &row[..1])
    }

    /// Half of them with values that are in no log.
    fn add_column(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        let table = self.chance.pick(&[orders(), stock(), audit()]).clone();
        let Some(shape) = self.has(&table).then(|| t.shape(&table)).flatten() else { return Ok(false) };
        if shape.columns.len() > 6 {
            return Ok(false);
        }
        let column = Column::new(format!("more{}", shape.columns.len()), Type::Int);
        let fill = if self.chance.hits(500) { Value::Null } else { Value::Int(self.number()) };
        t.add_column(&table, column, &fill).map(|()| true)
    }

    fn refill(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        self.change_unlogged(t, false)
    }

    /// As `VACUUM` does with rows that have no key of their own.
    fn renumber(&mut self, t: &mut Transaction<'_>) -> Result<bool> {
        self.change_unlogged(t, true)
    }

    fn change_unlogged(&mut self, t: &mut Transaction<'_>, keys: bool) -> Result<bool> {
        let table = self.chance.pick(&[orders(), stock(), words(), audit()]).clone();
        if !self.has(&table) || t.rows(&table).is_empty() || (keys && table != orders()) {
            return Ok(false);
        }
        let number = self.number();
        let column = t.shape(&table).expect("a table of the world").columns.len() - 1;
        t.refill(&table, |row| {
            row[column] = match &row[column] {
                Value::Int(old) => Value::Int(old + 1),
                _ => Value::Text(format!("refilled {number}")),
            };
            if let (true, Value::Int(key)) = (keys, &mut row[0]) {
                *key += 100_000;
            }
        })?;
        Ok(true)
    }
}
