//! Rows, one by one, in batches, and by ranges.

use super::{Client, given};
use crate::connectors::tablestore::{
    change::{self, Change},
    failure::{Answer, Failure},
    matrix::Matrix,
    messages::row::{
        BatchGetRowRequest, BatchResponse, BlockType, BulkExportRequest, BulkExportResponse, BulkImportResponse,
        GetRangeRequest, GetRangeResponse, GetRowRequest, GetRowResponse, RowInBatchResponse, TableInBatchResponse,
        WriteRowResponse,
    },
    operation::{
        BATCH_GET_ROW, BATCH_WRITE_ROW, BULK_EXPORT, BULK_IMPORT, DELETE_ROW, GET_RANGE, GET_ROW, Operation, PUT_ROW,
        UPDATE_ROW,
    },
    plainbuffer::{Corrupt, Rows},
};
use bytes::Bytes;

/// A row, or none, as a PlainBuffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Empty: there is no such row.
    pub row: Bytes,
    /// There is more of the row: it is to be asked for with this.
    pub next_token: Option<Bytes>,
}

/// A part of a range. It may hold no row and still not be the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub block: Bytes,
    pub block_type: BlockType,
    /// Where the next starts; `None`: the range was read to its end.
    pub next_start: Option<Bytes>,
    /// There is more of the last row: it is to be asked for with this.
    pub next_token: Option<Bytes>,
}

impl Page {
    pub fn rows(&self) -> Result<Rows<'_>, Corrupt> {
        match self.block_type {
            BlockType::PlainBuffer => Rows::read(&self.block),
            BlockType::SimpleRowMatrix => Err(Corrupt::new("a matrix came where rows were asked for")),
        }
    }

    pub fn matrix(&self) -> Result<Matrix<'_>, Corrupt> {
        match self.block_type {
            BlockType::SimpleRowMatrix => Matrix::read(&self.block),
            BlockType::PlainBuffer => Err(Corrupt::new("rows came where a matrix was asked for")),
        }
    }
}

impl Client {
    pub async fn get_row(&self, request: &GetRowRequest) -> Answer<Found> {
        let answer: GetRowResponse = self.ask(GET_ROW, request).await?;
        Ok(Found { row: given(GET_ROW, answer.row, "row")?, next_token: some(answer.next_token) })
    }

    pub async fn put_row(&self, table: &str, change: &Change<'_>) -> Answer<()> {
        self.write_row(PUT_ROW, table, change).await
    }

    pub async fn update_row(&self, table: &str, change: &Change<'_>) -> Answer<()> {
        self.write_row(UPDATE_ROW, table, change).await
    }

    pub async fn delete_row(&self, table: &str, change: &Change<'_>) -> Answer<()> {
        self.write_row(DELETE_ROW, table, change).await
    }

    async fn write_row(&self, operation: Operation, table: &str, change: &Change<'_>) -> Answer<()> {
        let answer: WriteRowResponse = self.send(operation, change.to_request(table)).await?;
        given(operation, answer.consumed, "consumed").map(|_| ())
    }

    /// At most [`limit::READ_ROWS`](super::super::limit::READ_ROWS). What became of each key, in the request's order.
    pub async fn batch_get_row(&self, request: &BatchGetRowRequest) -> Answer<Vec<Vec<Answer<Found>>>> {
        let answer: BatchResponse = self.ask(BATCH_GET_ROW, request).await?;
        let asked: Vec<(&str, usize)> =
            request.tables.iter().map(|table| (table.table_name.as_str(), table.primary_key.len())).collect();
        let tables = matched(BATCH_GET_ROW, &asked, answer.tables)?;
        Ok(tables.into_iter().map(|rows| rows.into_iter().map(found).collect()).collect())
    }

    /// One of [`limit::batches`](super::super::limit::batches). What became of each row, in the order they were given.
    /// Those before one that failed are done, and those after it too.
    pub async fn batch_write_row(&self, tables: &[(&str, &[Change<'_>])]) -> Answer<Vec<Vec<Answer<()>>>> {
        let answer: BatchResponse = self.send(BATCH_WRITE_ROW, change::batch_write(tables)).await?;
        let asked: Vec<(&str, usize)> = tables.iter().map(|(name, rows)| (*name, rows.len())).collect();
        let tables = matched(BATCH_WRITE_ROW, &asked, answer.tables)?;
        Ok(tables.into_iter().map(|rows| done(BATCH_WRITE_ROW, rows)).collect())
    }

    /// The same for one table, quicker, and without a look at what is there: `existence` is not sent.
    pub async fn bulk_import(&self, table: &str, changes: &[Change<'_>]) -> Answer<Vec<Answer<()>>> {
        let answer: BulkImportResponse = self.send(BULK_IMPORT, change::bulk_import(table, changes)).await?;
        let rows = matched(BULK_IMPORT, &[(table, changes.len())], vec![answer])?;
        Ok(rows.into_iter().flat_map(|rows| done(BULK_IMPORT, rows)).collect())
    }

    pub async fn get_range(&self, request: &GetRangeRequest) -> Answer<Page> {
        let answer: GetRangeResponse = self.ask(GET_RANGE, request).await?;
        if answer.compress_type.is_some_and(|kind| kind != 0) {
            return Err(Failure::spoiled(GET_RANGE, "its rows are packed in an unknown way"));
        }
        page(GET_RANGE, answer.rows, answer.block_type, BlockType::PlainBuffer, answer.next_start, answer.next_token)
    }

    /// Forward, the newest versions only. Without a hint of the block's type it is a matrix.
    pub async fn bulk_export(&self, request: &BulkExportRequest) -> Answer<Page> {
        let answer: BulkExportResponse = self.ask(BULK_EXPORT, request).await?;
        page(BULK_EXPORT, answer.rows, answer.block_type, BlockType::SimpleRowMatrix, answer.next_start, None)
    }
}

fn page(
    operation: Operation,
    block: Option<Bytes>,
    block_type: Option<i32>,
    default: BlockType,
    next_start: Option<Bytes>,
    next_token: Option<Bytes>,
) -> Answer<Page> {
    let block = given(operation, block, "rows")?;
    let block_type = match block_type {
        Some(number) => BlockType::try_from(number)
            .map_err(|_| Failure::spoiled(operation, format!("its block has the unknown type {number}")))?,
        // Not said where it is the default, and by some never.
        None if block.starts_with(b"SRM0") => BlockType::SimpleRowMatrix,
        None if block.is_empty() => default,
        None => BlockType::PlainBuffer,
    };
    Ok(Page { block, block_type, next_start: some(next_start), next_token: some(next_token) })
}

fn found(row: RowInBatchResponse) -> Answer<Found> {
    match row.is_ok {
        Some(true) => Ok(Found { row: given(BATCH_GET_ROW, row.row, "row")?, next_token: some(row.next_token) }),
        _ => Err(complaint(BATCH_GET_ROW, row)),
    }
}

fn done(operation: Operation, rows: Vec<RowInBatchResponse>) -> Vec<Answer<()>> {
    let done = |row: RowInBatchResponse| match row.is_ok {
        Some(true) => Ok(()),
        _ => Err(complaint(operation, row)),
    };
    rows.into_iter().map(done).collect()
}

fn complaint(operation: Operation, row: RowInBatchResponse) -> Failure {
    match row.error {
        Some(error) => Failure::told(operation, *error),
        None => Failure::spoiled(operation, "a row is not said to be done, nor why not"),
    }
}

/// The answer's rows in the request's order: tables by name, rows by place. Neither more nor fewer.
fn matched(
    operation: Operation,
    asked: &[(&str, usize)],
    mut answered: Vec<TableInBatchResponse>,
) -> Answer<Vec<Vec<RowInBatchResponse>>> {
    let mut tables = Vec::with_capacity(asked.len());
    for (name, rows) in asked {
        let at = answered.iter().position(|table| table.table_name == *name);
        let table = given(operation, at.map(|at| answered.swap_remove(at)), name)?;
        if table.rows.len() != *rows {
            let told = table.rows.len();
            return Err(Failure::spoiled(operation, format!("it tells of {told} rows of `{name}`, not of {rows}")));
        }
        tables.push(table.rows);
    }
    match answered.is_empty() {
        true => Ok(tables),
        false => Err(Failure::spoiled(operation, "it tells of a table that was not asked for")),
    }
}

/// Some writers send an empty one for none.
fn some(bytes: Option<Bytes>) -> Option<Bytes> {
    bytes.filter(|bytes| !bytes.is_empty())
}
