//! Merges changes of byte-equal keys, so that a batch writes each row once.

use crate::{
    faults::{self, Saboteur},
    model::{COARSE_HASH_VERSION, Change, Field, Key, Mutation, NO_ROW, RowBuilder, Rows, coarse_hash},
};
use std::collections::{HashMap, HashSet};

/// The mutations of `list` with each key's changes merged where that changes nothing else. Merged patches are written
/// to the end of the slab.
///
/// Only byte-equal keys fold, and never past a key that a store may take for equal (`coarse_hash`): 'A' and 'a' under a
/// `_ci` key keep their order. A patch never folds onto a delete: it must be reported as missing.
pub fn fold(rows: &mut Rows, list: &[Mutation]) -> Vec<Mutation> {
    let mut folded: Vec<Option<Mutation>> = Vec::with_capacity(list.len());
    // Shapes of one table are one: a change of an older shape must not pass one of a newer shape.
    let same = |shape: usize| rows.shapes.iter().position(|other| other.name == rows.shapes[shape].name);
    let tables: Vec<Option<usize>> = (0..rows.shapes.len()).map(same).collect();
    // The last change in each coarse group: its place in `folded` and its key.
    let mut last: HashMap<(Option<usize>, u64), (usize, Key)> = HashMap::with_capacity(list.len());
    for mutation in list {
        let table = rows.table(mutation);
        let (group, key) =
            (coarse_hash(COARSE_HASH_VERSION, table, rows.row(mutation.row)), Key::of(table, rows.row(mutation.row)));
        let (Some(group), Some(key), false) = (group, key, table.is_keyless()) else {
            // What cannot be grouped keeps everything before it where it is.
            last.clear();
            folded.push(Some(*mutation));
            continue;
        };
        let mut next = *mutation;
        let group = (tables[usize::from(mutation.shape)], group);
        if let Some((index, known)) = last.get(&group)
            && *known == key
            && let Some(earlier) = folded[*index].filter(|earlier| earlier.shape == mutation.shape)
            && let Some(merged) = merge(rows, earlier, next)
        {
            folded[*index] = None;
            next = merged;
        }
        last.insert(group, (folded.len(), key));
        folded.push(Some(next));
    }
    folded.into_iter().flatten().collect()
}

/// Whether two changes may be of one key: a pass over hashes, cheaper than a fold that finds nothing.
pub fn may_repeat(rows: &Rows, list: &[Mutation]) -> bool {
    let mut seen = HashSet::with_capacity(list.len());
    list.iter().any(|mutation| {
        let table = rows.table(mutation);
        mutation.row == NO_ROW
            || coarse_hash(COARSE_HASH_VERSION, table, rows.row(mutation.row)).is_none_or(|hash| !seen.insert(hash))
    })
}

/// One change that does what `earlier` and then `later` do; `None` where there is none.
fn merge(rows: &mut Rows, earlier: Mutation, later: Mutation) -> Option<Mutation> {
    use Change::{Delete, Patch, Upsert};
    match (earlier.change, later.change) {
        (Upsert | Patch | Delete, Upsert) | (Upsert | Delete, Delete) => Some(later),
        // The patch would have been reported if its row were not there; the delete is content without one.
        (Patch, Delete) => Some(later),
        (Upsert | Patch, Patch) => Some(overlay(rows, earlier, later)),
        (Delete, Patch) if faults::on(Saboteur::FoldPastDelete) => Some(Mutation { change: Upsert, ..later }),
        _ => None,
    }
}

/// `earlier`'s row with the fields that `later` sets.
fn overlay(rows: &mut Rows, earlier: Mutation, later: Mutation) -> Mutation {
    let mut row = Vec::new();
    let mut builder = RowBuilder::new(&mut row);
    for (old, new) in rows.row(earlier.row).fields().zip(rows.row(later.row).fields()) {
        builder.field(if new == Field::Unset { old } else { new });
    }
    builder.finish();
    let place = u32::try_from(rows.slab.len()).expect("a slab stays below 4 GiB");
    rows.slab.extend_from_slice(&row);
    Mutation { row: place, change: earlier.change, ..later }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, Equality, Table, TableName, Type, Value};
    use std::sync::Arc;

    fn int(n: i64) -> Option<Value> {
        Some(Value::Int(n))
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.into()))
    }

    /// Folds changes of `(k, a, b)` and shows what is left.
    fn folded(equality: Equality, changes: &[(Change, [Option<Value>; 3])]) -> Vec<(Change, Vec<Option<Value>>)> {
        let mut key = Column::new("k", Type::Any);
        key.equality = equality;
        let columns = vec![key, Column::new("a", Type::Any), Column::new("b", Type::Any)];
        let table = Arc::new(Table::new(TableName::new("main", "t"), columns, vec![0]));
        let mut rows = Rows::default();
        let shape = rows.shape(&table);
        for (change, values) in changes {
            let place = rows.add_row(values);
            rows.push(shape, *change, place, NO_ROW);
        }
        let list = rows.mutations.clone();
        let folded = fold(&mut rows, &list);
        folded.iter().map(|mutation| (mutation.change, rows.row(mutation.row).to_values())).collect()
    }

    #[test]
    fn an_upsert_takes_the_patches_after_it() {
        let changes = [
            (Change::Upsert, [int(1), int(10), int(20)]),
            (Change::Patch, [int(1), None, int(21)]),
            (Change::Upsert, [int(2), int(0), int(0)]),
            (Change::Patch, [int(1), int(11), None]),
        ];
        let left = folded(Equality::Exact, &changes);
        assert_eq!(left[1], (Change::Upsert, vec![int(1), int(11), int(21)]));
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn a_patch_stays_behind_a_delete() {
        let changes = [(Change::Delete, [int(1), None, None]), (Change::Patch, [int(1), int(1), None])];
        assert_eq!(folded(Equality::Exact, &changes).len(), 2);
    }

    #[test]
    fn keys_that_may_be_equal_keep_their_order() {
        let changes = [
            (Change::Upsert, [text("a"), int(1), int(1)]),
            (Change::Delete, [text("A"), None, None]),
            (Change::Upsert, [text("a"), int(2), int(2)]),
        ];
        assert_eq!(folded(Equality::Coarse, &changes).len(), 3);
        assert_eq!(folded(Equality::Exact, &changes).len(), 2);
    }
}
