//! What the service takes at once, and how more than that is cut before it is sent. Pure.

use super::{
    change::Change,
    messages::row::OperationType,
    plainbuffer::{Cell, Value, encode},
};
use std::{collections::HashSet, fmt, ops::Range};
use xxhash_rust::xxh3::xxh3_64;

/// Rows of one BatchWriteRow or BulkImport.
pub const WRITE_ROWS: usize = 200;

/// Rows of one BatchGetRow.
pub const READ_ROWS: usize = 100;

/// Columns that a read may name. Who wants more names none.
pub const READ_COLUMNS: usize = 128;

/// "4 MB", in the smaller of the two readings, and counted as sent, which is more than what the service counts.
pub const BATCH_BYTES: usize = 4_000_000;

/// "4 MB" of one row, in the larger reading: the service has the last word.
pub const ROW_BYTES: usize = 4 << 20;

/// Columns of one row in one request.
pub const COLUMNS: usize = 1024;

/// A text or blob of an attribute.
pub const VALUE_BYTES: usize = 2 << 20;

/// A text or blob of a key.
pub const KEY_BYTES: usize = 1 << 10;

/// Why a row can never be written, with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// As it would be sent.
    pub key: Vec<u8>,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    LongKey {
        column: String,
        bytes: usize,
    },
    LongValue {
        column: String,
        bytes: usize,
    },
    /// The table takes whole rows only.
    ManyColumns {
        columns: usize,
    },
    LargeRow {
        bytes: usize,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::LongKey { column, bytes } => {
                write!(f, "`{column}` of the key has {bytes} bytes, and Tablestore takes {KEY_BYTES}")
            }
            Why::LongValue { column, bytes } => {
                write!(f, "`{column}` has {bytes} bytes, and Tablestore takes {VALUE_BYTES}")
            }
            Why::ManyColumns { columns } => write!(
                f,
                "it has {columns} columns, Tablestore takes {COLUMNS} at once, and the table allows no update"
            ),
            Why::LargeRow { bytes } => {
                write!(f, "it has {bytes} bytes, Tablestore takes {ROW_BYTES} at once, and the table allows no update")
            }
        }
    }
}

/// Cuts one row into writes that fit, in their order: a put and updates, or updates. `updates`: the table allows them.
///
/// Until the last is done the row is seen with a part of its columns; written again from the first, it comes right.
pub fn pieces<'a>(change: Change<'a>, updates: bool) -> Result<Vec<Change<'a>>, Misfit> {
    let misfit = |change: &Change<'_>, why| Misfit { key: encode::key(&change.key), why };
    for (cells, limit) in [(&change.key, KEY_BYTES), (&change.cells, VALUE_BYTES)] {
        if let Some(cell) = cells.iter().find(|cell| value_bytes(cell) > limit) {
            let (column, bytes) = (cell.name.to_owned(), value_bytes(cell));
            let why = match limit {
                KEY_BYTES => Why::LongKey { column, bytes },
                _ => Why::LongValue { column, bytes },
            };
            return Err(misfit(&change, why));
        }
    }
    let bytes = change.batch_len();
    if change.cells.len() <= COLUMNS && bytes <= BATCH_BYTES {
        return Ok(vec![change]);
    }
    if !updates {
        let columns = change.cells.len();
        return match (columns > COLUMNS, bytes > ROW_BYTES) {
            (true, _) => Err(misfit(&change, Why::ManyColumns { columns })),
            (_, true) => Err(misfit(&change, Why::LargeRow { bytes })),
            (false, false) => Ok(vec![change]),
        };
    }
    Ok(cut(change))
}

fn cut(change: Change<'_>) -> Vec<Change<'_>> {
    let Change { operation, existence, key, cells } = change;
    let bare = Change { operation, existence, key: key.clone(), cells: Vec::new() }.batch_len() + FRAMES;
    let mut pieces: Vec<Change<'_>> = Vec::new();
    let mut bytes = 0;
    for cell in cells {
        let fits = pieces.last().is_some_and(|piece| piece.cells.len() < COLUMNS && bytes + cell.len() <= BATCH_BYTES);
        if !fits {
            // The row is there by the time of the second: it is asked for once.
            let first = pieces.is_empty();
            let operation = if first { operation } else { OperationType::Update };
            let existence = if first { existence } else { super::messages::row::Existence::Ignore };
            pieces.push(Change { operation, existence, key: key.clone(), cells: Vec::new() });
            bytes = bare;
        }
        bytes += cell.len();
        if let Some(piece) = pieces.last_mut() {
            piece.cells.push(cell);
        }
    }
    pieces
}

/// Lengths in front of lengths, which grow with what they count.
const FRAMES: usize = 16;

fn value_bytes(cell: &Cell<'_>) -> usize {
    match cell.value {
        Some(Value::String(bytes) | Value::Blob(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// Cuts the writes of one table into batches: not too many, not too large, and no key twice in one.
pub fn batches(table: &str, changes: &[Change<'_>]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let head = table.len() + FRAMES;
    let (mut start, mut bytes) = (0, head);
    // A hash that meets by chance costs a batch more, nothing else.
    let mut keys = HashSet::with_capacity(WRITE_ROWS);
    for (at, change) in changes.iter().enumerate() {
        let (len, key) = (change.batch_len(), xxh3_64(&encode::key(&change.key)));
        let full = at - start == WRITE_ROWS || bytes + len > BATCH_BYTES || keys.contains(&key);
        if full && at > start {
            batches.push(start..at);
            (start, bytes) = (at, head);
            keys.clear();
        }
        bytes += len;
        keys.insert(key);
    }
    if start < changes.len() {
        batches.push(start..changes.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::tablestore::change;

    fn key(number: i64) -> Vec<Cell<'static>> {
        vec![Cell::put("pk", Value::Integer(number))]
    }

    #[test]
    fn two_hundred_rows_are_a_batch_and_a_key_is_in_it_once() {
        let rows: Vec<Change<'_>> = (0..450).map(|number| Change::delete(key(number))).collect();
        assert_eq!(batches("t", &rows), [0..200, 200..400, 400..450]);
        let same = [key(1), key(2), key(1), key(1), key(2)].map(Change::delete);
        assert_eq!(batches("t", &same), [0..2, 2..3, 3..5]);
        assert!(batches("t", &[]).is_empty());
    }

    #[test]
    fn a_batch_is_no_larger_than_it_may_be() {
        let value = vec![7; 700_000];
        let rows: Vec<Change<'_>> =
            (0..12).map(|number| Change::put(key(number), vec![Cell::put("a", Value::Blob(&value))])).collect();
        let batches = batches("t", &rows);
        assert_eq!(batches, [0..5, 5..10, 10..12]);
        for batch in batches {
            assert!(change::batch_write(&[("t", &rows[batch])]).len() <= BATCH_BYTES);
        }
    }

    #[test]
    fn a_row_of_many_columns_is_put_and_then_updated() {
        let names: Vec<String> = (0..2500).map(|number| format!("c{number}")).collect();
        let cells: Vec<Cell<'_>> = names.iter().map(|name| Cell::put(name, Value::Integer(1))).collect();
        let pieces = pieces(Change::put(key(1), cells.clone()), true).unwrap();
        let counts: Vec<usize> = pieces.iter().map(|piece| piece.cells.len()).collect();
        assert_eq!(counts, [1024, 1024, 452]);
        let operations: Vec<OperationType> = pieces.iter().map(|piece| piece.operation).collect();
        assert_eq!(operations, [OperationType::Put, OperationType::Update, OperationType::Update]);
        let all: Vec<Cell<'_>> = pieces.iter().flat_map(|piece| piece.cells.clone()).collect();
        assert_eq!(all, cells);
        // Each goes out alone, after the one before it.
        assert_eq!(batches("t", &pieces).len(), 3);
    }

    #[test]
    fn a_row_of_much_is_cut_where_the_table_allows_updates() {
        let value = vec![7; VALUE_BYTES];
        let cells: Vec<Cell<'_>> = ["a", "b", "c"].map(|name| Cell::put(name, Value::Blob(&value))).into();
        let row = Change::put(key(1), cells);
        let cut = pieces(row.clone(), true).unwrap();
        assert_eq!(cut.iter().map(|piece| piece.cells.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(cut.iter().all(|piece| piece.to_request("t").len() <= BATCH_BYTES));
        let misfit = pieces(row, false).unwrap_err();
        assert!(matches!(misfit.why, Why::LargeRow { .. }));
        assert_eq!(misfit.key, encode::key(&key(1)));
        // What fits into the larger reading of the limit alone goes out alone.
        let two: Vec<Cell<'_>> = ["a", "b"].map(|name| Cell::put(name, Value::Blob(&value[..2_050_000]))).into();
        assert_eq!(pieces(Change::put(key(1), two), false).unwrap().len(), 1);
    }

    #[test]
    fn a_value_that_never_fits_is_told_with_its_column() {
        let long = vec![7; VALUE_BYTES + 1];
        let row = Change::update(key(1), vec![Cell::put("a", Value::String(&long))]);
        let why = pieces(row, true).unwrap_err().why;
        assert_eq!(why, Why::LongValue { column: "a".into(), bytes: VALUE_BYTES + 1 });
        let row = Change::delete(vec![Cell::put("pk", Value::Blob(&long[..KEY_BYTES + 1]))]);
        assert!(pieces(row, true).unwrap_err().why.to_string().starts_with("`pk` of the key has 1025 bytes"));
    }
}
