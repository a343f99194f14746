//! A row to be written, straight into the messages that take one.

use super::{
    messages::row::{Existence, OperationType},
    plainbuffer::{Cell, encode::Draft},
};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// What a row becomes. Under [`Existence::Ignore`], and with the times of its cells told, it may be written twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<'a> {
    pub operation: OperationType,
    pub existence: Existence,
    /// All columns of the key, in the table's order.
    pub key: Vec<Cell<'a>>,
    pub cells: Vec<Cell<'a>>,
}

impl<'a> Change<'a> {
    /// The row is these cells and nothing else.
    pub fn put(key: Vec<Cell<'a>>, cells: Vec<Cell<'a>>) -> Change<'a> {
        Change { operation: OperationType::Put, existence: Existence::Ignore, key, cells }
    }

    /// The cells do what they say; the row is made where it is not.
    pub fn update(key: Vec<Cell<'a>>, cells: Vec<Cell<'a>>) -> Change<'a> {
        Change { operation: OperationType::Update, existence: Existence::Ignore, key, cells }
    }

    pub fn delete(key: Vec<Cell<'a>>) -> Change<'a> {
        Change { operation: OperationType::Delete, existence: Existence::Ignore, key, cells: Vec::new() }
    }

    pub fn draft(&self) -> Draft<'_, 'a> {
        Draft { key: &self.key, cells: &self.cells, deleted: self.operation == OperationType::Delete }
    }

    /// `PutRowRequest`, `UpdateRowRequest` or `DeleteRowRequest`, which have the same fields.
    pub fn to_request(&self, table: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text_len(table) + self.row_len() + CONDITION);
        text(1, table, &mut out);
        self.write_row(&mut out);
        self.write_condition(&mut out);
        out
    }

    /// Bytes of a field with it, in `BatchWriteRowRequest`.
    pub fn batch_len(&self) -> usize {
        let row = self.batch_body();
        1 + encoded_len_varint(row as u64) + row
    }

    fn batch_body(&self) -> usize {
        OPERATION + self.row_len() + CONDITION
    }

    /// Field 2 of a message.
    fn row_len(&self) -> usize {
        let row = self.draft().len();
        1 + encoded_len_varint(row as u64) + row
    }

    fn write_row(&self, out: &mut Vec<u8>) {
        let draft = self.draft();
        head(2, draft.len(), out);
        draft.write(out);
    }

    /// Field 3 of a message.
    fn write_condition(&self, out: &mut Vec<u8>) {
        head(3, CONDITION - 2, out);
        number(1, self.existence as u64, out);
    }
}

/// Field 1, a number below 128.
const OPERATION: usize = 2;

/// Field 3 with a message of one number below 128.
const CONDITION: usize = 4;

/// `BatchWriteRowRequest`. No table twice, none without a row, no key twice in one: the whole would be refused.
pub(super) fn batch_write(tables: &[(&str, &[Change<'_>])]) -> Vec<u8> {
    let len =
        |(table, rows): &(&str, &[Change<'_>])| text_len(table) + rows.iter().map(Change::batch_len).sum::<usize>();
    let total: usize = tables.iter().map(|table| len(table) + key_len(1) + 10).sum();
    let mut out = Vec::with_capacity(total);
    for table in tables {
        head(1, len(table), &mut out);
        text(1, table.0, &mut out);
        for row in table.1 {
            head(2, row.batch_body(), &mut out);
            number(1, row.operation as u64, &mut out);
            row.write_row(&mut out);
            row.write_condition(&mut out);
        }
    }
    out
}

/// `BulkImportRequest`: one table, and nothing is asked of what is there.
pub(super) fn bulk_import(table: &str, rows: &[Change<'_>]) -> Vec<u8> {
    let total = rows.iter().map(Change::batch_len).sum::<usize>() + text_len(table);
    let mut out = Vec::with_capacity(total);
    text(1, table, &mut out);
    for row in rows {
        head(2, OPERATION + row.row_len(), &mut out);
        number(1, row.operation as u64, &mut out);
        row.write_row(&mut out);
    }
    out
}

fn head(tag: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn number(tag: u32, number: u64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(number, out);
}

fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    head(tag, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn text_len(text: &str) -> usize {
    1 + encoded_len_varint(text.len() as u64) + text.len()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            messages::row::{BatchWriteRowRequest, BulkImportRequest, WriteRowRequest},
            plainbuffer::{Rows, Value},
        },
        *,
    };
    use prost::Message;

    fn rows(text: &str) -> Vec<Change<'_>> {
        let key = |number| vec![Cell::put("pk", Value::Integer(number))];
        vec![
            Change::put(key(1), vec![Cell::put("a", Value::text(text))]),
            Change { existence: Existence::Expected, ..Change::update(key(2), vec![Cell::delete_all("b")]) },
            Change::delete(key(3)),
        ]
    }

    #[test]
    fn what_is_written_by_hand_is_what_the_messages_write() {
        for length in [0, 90, 200, 20_000] {
            let long = "x".repeat(length);
            let rows = rows(&long);
            let wire = batch_write(&[("t", &rows), ("another", &rows[..1])]);
            let message = BatchWriteRowRequest::decode(&wire[..]).unwrap();
            assert_eq!(message.encode_to_vec(), wire);
            assert_eq!(message.tables[0].rows.len(), 3);
            for (row, found) in rows.iter().zip(&message.tables[0].rows) {
                assert_eq!(found.r#type, row.operation as i32);
                assert_eq!(found.condition.row_existence, row.existence as i32);
                let found = Rows::one(&found.row_change).unwrap();
                assert_eq!((&found.key, &found.cells), (&row.key, &row.cells));
            }
            let lens: usize = rows.iter().map(Change::batch_len).sum();
            assert_eq!(batch_write(&[("t", &rows)]).len(), message.tables[0].encoded_len() + head_len(&message));
            assert_eq!(lens + text_len("t"), message.tables[0].encoded_len());

            let wire = bulk_import("t", &rows);
            let message = BulkImportRequest::decode(&wire[..]).unwrap();
            assert_eq!((message.encode_to_vec(), message.rows.len()), (wire, 3));

            let wire = rows[1].to_request("t");
            let message = WriteRowRequest::decode(&wire[..]).unwrap();
            assert_eq!(message.encode_to_vec(), wire);
            assert_eq!(message.condition.row_existence, Existence::Expected as i32);
        }
    }

    fn head_len(message: &BatchWriteRowRequest) -> usize {
        1 + encoded_len_varint(message.tables[0].encoded_len() as u64)
    }
}
