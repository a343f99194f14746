//! Which values children pointed to until their parents went: a parent that takes one of them takes others' children too.
//!
//! `Matching` names children by what they pointed to. Rows of a copy, and fetched ones, may be ahead of the log: where
//! parent 5 becomes 9, and 7 becomes 5 later, a child of the second that was read afterwards points to 5 already, and the
//! first change takes it for one of the first parent's. Nothing later tells it apart. So a parent's new key that was
//! another's in the log that this process has read makes its children be copied again.
//!
//! Over a restart that is forgotten, and rows that were fetched before it may still be ahead: the first change was taken
//! by the process that ended, the second comes to the one that begins. So until the log has passed all that there was when
//! it began, any new key of a parent may be another's.

use crate::model::{Action, NO_ROW, Rows, Table, TableName, ValueRef};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Of one table; a few megabytes at most.
const REMEMBERED: usize = 1 << 16;

#[derive(Default)]
pub struct Vanished {
    tables: BTreeMap<TableName, Known>,
    /// Rows of these may be ahead of a part of the log that this process has not read.
    unread: BTreeSet<TableName>,
    /// The same of rows that an earlier process fetched, until the log has passed what it can have seen.
    inherited: BTreeSet<TableName>,
}

/// Whether its rows may take the new key of a parent.
pub fn follows_parents(table: &Table) -> bool {
    table.foreign_keys.iter().any(|key| matches!(key.on_update, Action::Cascade | Action::SetDefault))
}

#[derive(Default)]
struct Known {
    values: HashSet<String>,
    oldest: VecDeque<String>,
    /// Something was forgotten since the table's rows were read.
    forgot: bool,
}

impl Vanished {
    /// Of a process that starts: tables whose rows are ahead of the log, and others that it took over.
    pub fn new(
        unread: impl IntoIterator<Item = TableName>,
        inherited: impl IntoIterator<Item = TableName>,
    ) -> Vanished {
        Vanished {
            tables: BTreeMap::new(),
            unread: unread.into_iter().collect(),
            inherited: inherited.into_iter().collect(),
        }
    }

    /// Whether it matters when the log has passed what there was at the start.
    pub fn inherits(&self) -> bool {
        !self.inherited.is_empty()
    }

    /// It has.
    pub fn caught_up(&mut self) {
        self.inherited.clear();
    }

    /// Takes a `Matching` change in, and says whether children may have been taken for others before it.
    pub fn confuses(&mut self, table: &TableName, rows: &Rows) -> bool {
        let Some(one) = rows.mutations.first() else { return false };
        let criteria = rows.criteria(one.before);
        let known = self.tables.entry(table.clone()).or_default();
        let taken = one.row != NO_ROW && {
            let row = rows.row(one.row);
            let now: Option<Vec<String>> =
                criteria.iter().map(|(column, ..)| Some(format!("{column}={:?}", row.get(*column).value()?))).collect();
            let is_unknown = known.forgot || self.unread.contains(table) || self.inherited.contains(table);
            // Nobody's children are taken for nobody's.
            let points = criteria.iter().all(|(column, ..)| row.get(*column).value() != Some(ValueRef::Null));
            points && (is_unknown || now.is_none_or(|now| known.values.contains(&now.join(","))))
        };
        let old: Vec<String> = criteria.iter().map(|(column, _, value)| format!("{column}={value:?}")).collect();
        known.note(old.join(","));
        taken
    }

    /// Its rows are read anew from here on, or are as the log has them.
    pub fn settled(&mut self, table: &TableName) {
        self.unread.remove(table);
        self.inherited.remove(table);
        if let Some(known) = self.tables.get_mut(table) {
            known.forgot = false;
        }
    }
}

impl Known {
    fn note(&mut self, value: String) {
        if self.values.insert(value.clone()) {
            self.oldest.push_back(value);
        }
        if self.oldest.len() > REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.values.remove(&oldest);
            self.forgot = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Column, Criterion, Operator, Table, Type, Value};
    use std::sync::Arc;

    fn name() -> TableName {
        TableName::new("main", "leaves")
    }

    /// Children of `old` become children of `new`, or go.
    fn matching(old: i64, new: Option<Value>) -> Rows {
        let columns = vec![Column::new("id", Type::Int), Column::new("tree", Type::Int)];
        let table = Arc::new(Table::new(name(), columns, vec![0]));
        let mut rows = Rows::default();
        let before = rows.add_criteria(&[Criterion { column: 1, operator: Operator::Equal, value: Value::Int(old) }]);
        let row = new.map_or(NO_ROW, |new| rows.add_row(&[None, Some(new)]));
        let shape = rows.shape(&table);
        rows.push(shape, Change::Matching, row, before);
        rows
    }

    #[test]
    fn a_key_that_was_anothers_confuses_and_others_do_not() {
        let mut vanished = Vanished::default();
        let mut of = |old, new: Option<i64>| vanished.confuses(&name(), &matching(old, new.map(Value::Int)));
        assert!(!of(5, Some(9)) && !of(7, Some(8)) && !of(1, None));
        assert!(of(9, Some(5)), "5 was another's");
        assert!(of(3, Some(1)), "1 went with its children");
        assert!(!of(4, Some(40)));
        assert!(!vanished.confuses(&name(), &matching(6, Some(Value::Null))), "nobody's children");
    }

    #[test]
    fn what_was_not_read_or_is_forgotten_may_be_any() {
        let mut vanished = Vanished::new([name()], []);
        assert!(!vanished.confuses(&name(), &matching(1, Some(Value::Null))), "nobody's children");
        assert!(vanished.confuses(&name(), &matching(1, Some(Value::Int(2)))));
        vanished.settled(&name());
        assert!(!vanished.confuses(&name(), &matching(3, Some(Value::Int(4)))));
        for old in 0..=REMEMBERED as i64 {
            vanished.confuses(&name(), &matching(old, None));
        }
        assert!(vanished.confuses(&name(), &matching(-1, Some(Value::Int(-2)))));
        vanished.settled(&name());
        assert!(!vanished.confuses(&name(), &matching(-3, Some(Value::Int(-4)))));
    }

    #[test]
    fn what_an_earlier_process_took_may_be_any_until_the_log_has_passed_it() {
        let mut vanished = Vanished::new([], [name()]);
        assert!(vanished.inherits());
        assert!(vanished.confuses(&name(), &matching(7, Some(Value::Int(5)))));
        vanished.caught_up();
        assert!(!vanished.inherits());
        assert!(!vanished.confuses(&name(), &matching(3, Some(Value::Int(4)))));
        assert!(
            vanished.confuses(&name(), &matching(8, Some(Value::Int(3)))),
            "3 was another's in what was read since"
        );
    }
}
