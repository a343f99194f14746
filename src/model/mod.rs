//! The nouns: values, rows, tables, mutations, batches, positions, progress, jobs. No I/O, no async.

mod batch;
mod cell;
mod encoding;
mod finding;
mod job;
mod key;
mod mutation;
mod occupied;
mod position;
mod progress;
mod row;
mod spelling;
mod table;
mod value;

pub use batch::{Batch, Body, Kind, Rows};
pub use cell::{Cell, Cells, Stamp};
pub use finding::{Finding, Leftover, Severity, in_file, without};
pub use job::{
    ApplySettings, CopySettings, Existing, JobId, JobSpec, Keyless, Limits, Refusal, SourceSpec, TargetSpec,
    default_rest,
};
pub use key::{BLOCK_HASH_VERSION, COARSE_HASH_VERSION, Key, KeyRange, coarse_hash};
pub use mutation::{Change, Criterion, Mutation, NO_ROW, Operator, Place};
pub use occupied::THEIRS;
pub use position::{Checkpoint, Mark, Partition, Position};
pub use progress::{LaneMark, Progress, RangeProgress, TableProgress, TableState};
pub use row::{ENCODING_VERSION, Field, Fields, RowBuilder, RowRef};
pub use spelling::spell;
pub use table::{Action, Column, Equality, ForeignKey, Table, TableName, Type, Unique};
pub use value::{Date, Decimal, Interval, List, Value, ValueRef};
