//! One row change, sixteen bytes and its rows in the slab.

/// What happened to a row or a table. The numbers are part of the row encoding's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Change {
    /// The row is this: every column of the shape, none unset.
    Upsert = 1,
    /// Set these fields if the row is there. A row that is not there is reported (`Applied::Missing`), never skipped.
    Patch = 2,
    /// Set these fields, and create the row if it is not there (wide-column stores). What is removed is named.
    Merge = 3,
    /// The row with this key (keyless table: one row with these values) is gone.
    Delete = 4,
    /// This key changed; `pipeline/resolve.rs` fetches its row from the source before it is written.
    Touched = 5,
    /// Delete, or patch with `row`, all rows that meet the criteria in `before`. Alone in its batch. Only from a source
    /// that copies along the key: a row that moves by place may be met by no page, and nothing here would name it.
    Matching = 6,
    /// All rows are gone. Alone in its batch.
    Truncate = 7,
    /// From here on the table has this shape; no row is told to have changed. Alone in its batch.
    Reshape = 8,
    /// The log cannot tell what the table holds from here on (re-created, renumbered, values changed unlogged): it is
    /// copied again in held ranges, and rows that the source lacks are swept. Alone in its batch.
    Recopy = 9,
}

impl Change {
    /// Changes of a table rather than of a row: alone in their batch, lane 0, at an edge.
    pub fn is_alone(self) -> bool {
        matches!(self, Change::Matching | Change::Truncate | Change::Reshape | Change::Recopy)
    }
}

/// Where a row starts in its slab.
pub type Place = u32;

/// "No row here."
pub const NO_ROW: Place = Place::MAX;

/// One change. Its rows are in the slab of the batch that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mutation {
    /// Index into the batch's shapes.
    pub shape: u16,
    pub change: Change,
    /// The row after: all fields (Upsert), some (Patch, Merge, Matching), the key's fields with the rest unset (Delete,
    /// Touched; a keyless table's Delete has all). `NO_ROW` for changes without one.
    pub row: Place,
    /// The row before, as far as it is needed, or the criteria of `Matching` (`Rows::criteria`); else `NO_ROW`.
    pub before: Place,
    /// How far into the batch's positions this change is, in the source's own counting; only `Source::cut` reads it.
    pub at: u64,
}

/// One condition of a `Matching` change: `column operator value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    pub column: u16,
    pub operator: Operator,
    pub value: super::Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operator {
    /// NULL equals nothing, as in SQL.
    Equal = 1,
    Less = 2,
    LessOrEqual = 3,
    Greater = 4,
    GreaterOrEqual = 5,
}

impl Operator {
    pub(super) fn from_u8(code: u8) -> Option<Operator> {
        [Self::Equal, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual]
            .into_iter()
            .find(|operator| *operator as u8 == code)
    }

    /// Whether `ordering` of (row's value, criterion's value) meets the condition.
    pub fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
