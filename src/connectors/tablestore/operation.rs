//! The service's operations: their paths, and what one does that is sent twice.

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Behind the endpoint's `/`.
    pub path: &'static str,
    pub effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing: may be sent again whatever became of it.
    Read,
    /// Changes a table, a tunnel or a client's state.
    Control,
    /// Changes rows: a complaint is about a row.
    Rows,
}

impl Operation {
    /// Of one stream, whose id is from a position.
    pub fn is_stream(self) -> bool {
        [DESCRIBE_STREAM, GET_SHARD_ITERATOR, GET_STREAM_RECORD].contains(&self)
    }

    pub fn is_tunnel(self) -> bool {
        self.path.starts_with("tunnel/")
    }
}

const fn read(path: &'static str) -> Operation {
    Operation { path, effect: Effect::Read }
}

const fn control(path: &'static str) -> Operation {
    Operation { path, effect: Effect::Control }
}

const fn rows(path: &'static str) -> Operation {
    Operation { path, effect: Effect::Rows }
}

pub const LIST_TABLE: Operation = read("ListTable");
pub const CREATE_TABLE: Operation = control("CreateTable");
pub const DESCRIBE_TABLE: Operation = read("DescribeTable");
pub const UPDATE_TABLE: Operation = control("UpdateTable");
pub const DELETE_TABLE: Operation = control("DeleteTable");
pub const SPLIT_POINTS: Operation = read("ComputeSplitPointsBySize");

pub const GET_ROW: Operation = read("GetRow");
pub const PUT_ROW: Operation = rows("PutRow");
pub const UPDATE_ROW: Operation = rows("UpdateRow");
pub const DELETE_ROW: Operation = rows("DeleteRow");
pub const BATCH_GET_ROW: Operation = read("BatchGetRow");
pub const BATCH_WRITE_ROW: Operation = rows("BatchWriteRow");
pub const GET_RANGE: Operation = read("GetRange");
pub const BULK_IMPORT: Operation = rows("BulkImport");
pub const BULK_EXPORT: Operation = read("BulkExport");

pub const LIST_STREAM: Operation = read("ListStream");
pub const DESCRIBE_STREAM: Operation = read("DescribeStream");
pub const GET_SHARD_ITERATOR: Operation = read("GetShardIterator");
pub const GET_STREAM_RECORD: Operation = read("GetStreamRecord");

pub const CREATE_TUNNEL: Operation = control("tunnel/create");
pub const LIST_TUNNEL: Operation = read("tunnel/list");
pub const DESCRIBE_TUNNEL: Operation = read("tunnel/describe");
pub const DELETE_TUNNEL: Operation = control("tunnel/delete");
pub const CONNECT: Operation = control("tunnel/connect");
pub const HEARTBEAT: Operation = control("tunnel/heartbeat");
pub const SHUTDOWN: Operation = control("tunnel/shutdown");
pub const GET_CHECKPOINT: Operation = read("tunnel/getcheckpoint");
pub const READ_RECORDS: Operation = read("tunnel/readrecords");
pub const CHECKPOINT: Operation = control("tunnel/checkpoint");
