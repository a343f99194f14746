//! What a change of a parent's row does to its children, where the server does not log that (hazards A4).
//!
//! Children are named by the values that their foreign key had: a `Matching` each. Where the values are not known (the
//! children of children), are part of the child's key, or are compared more coarsely than by bytes, or where a column of
//! the child's is computed from them, the child is copied again instead.

use super::{definition::Definition, schema::Shape, text::quote};
use crate::model::{
    Action, Change, Column, Criterion, Field, ForeignKey, Operator, RowRef, Rows, Table, TableName, Value, ValueRef,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// By parent, the followed tables that point to it, and how.
#[derive(Default)]
pub(super) struct Cascades {
    children: BTreeMap<TableName, Vec<(Arc<Shape>, ForeignKey)>>,
}

/// What a parent's row did to a child.
pub(super) struct Effect {
    pub table: Arc<Table>,
    pub change: Change,
    pub rows: Rows,
}

impl Effect {
    pub fn criteria(&self) -> Option<RowRef<'_>> {
        let mutation = self.rows.mutations.first()?;
        (self.change == Change::Matching).then(|| self.rows.row(mutation.before))
    }

    pub fn patch(&self) -> Option<RowRef<'_>> {
        let mutation = self.rows.mutations.first()?;
        (mutation.row != crate::model::NO_ROW).then(|| self.rows.row(mutation.row))
    }
}

fn acts(action: Action) -> bool {
    matches!(action, Action::Cascade | Action::SetNull | Action::SetDefault)
}

impl Cascades {
    pub fn of<'a>(shapes: impl Iterator<Item = &'a Arc<Shape>>) -> Cascades {
        let mut children: BTreeMap<TableName, Vec<_>> = BTreeMap::new();
        for shape in shapes {
            for key in shape.table.foreign_keys.iter().filter(|key| acts(key.on_delete) || acts(key.on_update)) {
                children.entry(key.parent.clone()).or_default().push((Arc::clone(shape), key.clone()));
            }
        }
        Cascades { children }
    }

    pub fn parents(&self) -> impl Iterator<Item = &TableName> {
        self.children.keys()
    }

    pub fn is_parent(&self, name: &TableName) -> bool {
        self.children.contains_key(name)
    }

    /// All tables whose rows may change with a row of this one.
    pub fn below(&self, parent: &TableName) -> impl Iterator<Item = Arc<Table>> {
        let (mut found, mut next) = (BTreeMap::new(), vec![parent.clone()]);
        while let Some(parent) = next.pop() {
            for (child, _) in self.children.get(&parent).into_iter().flatten() {
                if found.insert(child.table.name.clone(), Arc::clone(&child.table)).is_none() {
                    next.push(child.table.name.clone());
                }
            }
        }
        found.into_values()
    }

    /// Children's changes, the farthest first, of tables in `followed`. `after`: `None` where the parent's row is gone.
    pub fn of_row(
        &self,
        parent: &Table,
        before: RowRef<'_>,
        after: Option<RowRef<'_>>,
        followed: &BTreeSet<TableName>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (child, key) in self.children.get(&parent.name).into_iter().flatten() {
            let action = if after.is_none() { key.on_delete } else { key.on_update };
            if !acts(action) {
                continue;
            }
            let places: Option<Vec<usize>> = key.parent_columns.iter().map(|name| column(parent, name)).collect();
            let told = |row: RowRef<'_>, place: usize| row.get(place) != Field::Unset;
            // Of a minimal image: what is not told did not change.
            if let (Some(after), Some(places)) = (after, &places)
                && !places.iter().any(|&place| told(after, place))
            {
                continue;
            }
            let old = places.as_ref().and_then(|places| values(places, |_| before));
            let now = |after| {
                let side = |place| if told(after, place) { after } else { before };
                values(places.as_ref()?, side)
            };
            let new = after.and_then(now);
            match (&old, &new) {
                (Some(old), Some(new)) if old == new => continue,
                // NULL is pointed to by nobody.
                (Some(old), _) if old.contains(&Value::Null) => continue,
                _ => {}
            }
            self.farther(&child.table.name, action, followed, &mut effects);
            if followed.contains(&child.table.name) {
                effects.push(effect(child, key, action, old, after.map(|_| new)));
            }
        }
        effects
    }

    /// Children of a child: which of its rows changed is not known here.
    fn farther(&self, name: &TableName, action: Action, followed: &BTreeSet<TableName>, effects: &mut Vec<Effect>) {
        for (child, key) in self.children.get(name).into_iter().flatten() {
            let acts_on = if action == Action::Cascade {
                acts(key.on_delete) || acts(key.on_update)
            } else {
                acts(key.on_update)
            };
            if !acts_on || effects.iter().any(|effect| effect.table.name == child.table.name) {
                continue;
            }
            if followed.contains(&child.table.name) {
                effects.push(recopy(child));
            }
            if child.table.name != *name {
                self.farther(&child.table.name, Action::Cascade, followed, effects);
            }
        }
    }
}

/// `new`: `None` where the parent is gone; within, `None` where it is not told what became of it.
fn effect(
    child: &Arc<Shape>,
    key: &ForeignKey,
    action: Action,
    old: Option<Vec<Value>>,
    new: Option<Option<Vec<Value>>>,
) -> Effect {
    let table = &child.table;
    let is_coarse = key.columns.iter().any(|&column| table.columns[column].equality.is_coarse());
    let moves_key = key.columns.iter().any(|column| table.key.contains(column));
    let deletes = action == Action::Cascade && new.is_none();
    let points_to_itself = key.parent == table.name;
    let Some(old) = old.filter(|_| !is_coarse && !points_to_itself && (deletes || !moves_key)) else {
        return recopy(child);
    };
    if !deletes && computes(table, &key.columns) {
        return recopy(child);
    }
    let sets: Option<Vec<Value>> = match action {
        Action::Cascade if deletes => None,
        Action::Cascade => match new.flatten() {
            None => return recopy(child),
            new => new,
        },
        Action::SetNull => Some(vec![Value::Null; old.len()]),
        _ => return recopy(child),
    };
    let mut rows = Rows::default();
    let criteria: Vec<Criterion> = key
        .columns
        .iter()
        .zip(&old)
        .filter_map(|(&column, value)| {
            Some(Criterion { column: u16::try_from(column).ok()?, operator: Operator::Equal, value: value.clone() })
        })
        .collect();
    let before = rows.add_criteria(&criteria);
    let row = match (deletes, sets) {
        (false, Some(sets)) => {
            let of = |column: usize| {
                let place = key.columns.iter().position(|&own| own == column)?;
                sets.get(place).cloned()
            };
            rows.add_row(&(0..table.columns.len()).map(of).collect::<Vec<_>>())
        }
        _ => crate::model::NO_ROW,
    };
    let shape = rows.shape(table);
    rows.push(shape, Change::Matching, row, before);
    Effect { table: Arc::clone(table), change: Change::Matching, rows }
}

/// Whether a column is computed from one of these: a target may hold what it computed as an ordinary value. As far as the
/// table's statement says: by the names in it.
fn computes(table: &Table, from: &[usize]) -> bool {
    let definition = table.definition.as_deref().and_then(Definition::read);
    let may = |computed: &Column| {
        let line = definition.as_ref().and_then(|definition| definition.column(&computed.name));
        let Some(rest) = line.and_then(|line| line.get(quote(&computed.name).len()..)) else { return true };
        let rest = rest.to_lowercase();
        from.iter().any(|&column| rest.contains(&table.columns[column].name.replace('`', "``").to_lowercase()))
    };
    table.columns.iter().any(|column| column.generated && may(column))
}

fn recopy(child: &Arc<Shape>) -> Effect {
    Effect { table: Arc::clone(&child.table), change: Change::Recopy, rows: Rows::default() }
}

fn column(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
}

/// Each from the row that `side` names; `None`: they are not all told.
fn values<'r>(places: &[usize], side: impl Fn(usize) -> RowRef<'r>) -> Option<Vec<Value>> {
    places
        .iter()
        .map(|&place| match side(place).get(place) {
            Field::Value(value) => Some(ValueRef::to_owned(value)),
            Field::Unset | Field::Removed => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Type;

    /// A child whose foreign key is `p`, with a column that is computed so.
    fn child(definition: Option<&str>) -> Arc<Shape> {
        let computed = Column { generated: true, ..Column::new("g", Type::Int) };
        let columns = vec![Column::new("id", Type::Int), Column::new("p", Type::Int), computed];
        let mut table = Table::new(TableName::new("shop", "child"), columns, vec![0]);
        table.definition = definition.map(|expression| format!("CREATE TABLE `child` (\n  `g` int {expression}\n)"));
        Arc::new(Shape {
            table: Arc::new(table),
            natives: Vec::new(),
            terms: Vec::new(),
            index: None,
            altered: 0,
            engine: "InnoDB".into(),
            hashes: 0,
        })
    }

    #[test]
    fn a_child_that_computes_from_its_foreign_key_is_copied_again_unless_its_row_goes() {
        let key = ForeignKey {
            columns: vec![1],
            parent: TableName::new("shop", "parent"),
            parent_columns: vec!["id".into()],
            on_delete: Action::SetNull,
            on_update: Action::Cascade,
        };
        let (old, new) = (|| Some(vec![Value::Int(1)]), || Some(vec![Value::Int(2)]));
        for (definition, change) in [
            (Some("GENERATED ALWAYS AS (`P` + 1) VIRTUAL"), Change::Recopy),
            (Some("GENERATED ALWAYS AS (`id` + 1) STORED"), Change::Matching),
            (None, Change::Recopy),
        ] {
            let child = child(definition);
            assert_eq!(effect(&child, &key, Action::SetNull, old(), None).change, change, "{definition:?}");
            assert_eq!(effect(&child, &key, Action::Cascade, old(), Some(new())).change, change, "{definition:?}");
            assert_eq!(effect(&child, &key, Action::Cascade, old(), None).change, Change::Matching);
        }
    }
}
