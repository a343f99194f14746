//! Mutations of one partition in source order, from one position to another. A batch owns one byte slab.

use super::{
    Change, Criterion, Field, Mutation, NO_ROW, Partition, Place, Position, RowBuilder, RowRef, Table, Value, ValueRef,
    mutation::Operator,
};
use std::sync::{Arc, LazyLock};

/// Everything in `(from, to]` of one partition; from = to for what is injected between two batches.
#[derive(Clone, Debug)]
pub struct Batch {
    pub partition: Partition,
    pub from: Position,
    pub to: Position,
    /// Ends at a commit of the source. Table lists and mappings change only there.
    pub complete: bool,
    pub kind: Kind,
    pub body: Body,
    /// When the newest change of the batch was committed, or seen where the log does not say: ms since 1970, 0 unknown.
    pub committed_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Log,
    /// Rows of a table copy. `fresh`: nothing of the table can be in the target yet, so plain inserts will do.
    Copy {
        fresh: bool,
    },
}

#[derive(Clone, Debug)]
pub enum Body {
    /// Shared, since one read serves several targets.
    Rows(Arc<Rows>),
    /// Bytes that only the same kind of store understands, for bulk copies that nobody needs to look into.
    Raw { table: Arc<Table>, format: &'static str, bytes: bytes::Bytes, rows: u64 },
}

impl Batch {
    pub fn rows(&self) -> &Arc<Rows> {
        static NONE: LazyLock<Arc<Rows>> = LazyLock::new(Arc::default);
        match &self.body {
            Body::Rows(rows) => rows,
            Body::Raw { .. } => &NONE,
        }
    }

    /// Changes in it, for status and limits.
    pub fn changes(&self) -> u64 {
        match &self.body {
            Body::Rows(rows) => rows.mutations.len() as u64,
            Body::Raw { rows, .. } => *rows,
        }
    }

    /// Bytes held in memory by its rows.
    pub fn bytes(&self) -> usize {
        match &self.body {
            Body::Rows(rows) => rows.slab.len() + rows.mutations.len() * size_of::<Mutation>(),
            Body::Raw { bytes, .. } => bytes.len(),
        }
    }

    /// The change that must be alone in its batch, if this is such a batch.
    pub fn alone(&self) -> Option<&Mutation> {
        self.rows().mutations.first().filter(|mutation| mutation.change.is_alone())
    }
}

/// A slab, the shapes of its rows, and the mutations in order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub slab: Vec<u8>,
    pub shapes: Vec<Arc<Table>>,
    pub mutations: Vec<Mutation>,
}

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.mutations.is_empty()
    }

    /// The index of `table` among the shapes, added if it is not there.
    ///
    /// # Panics
    /// With more than 65,535 shapes in one batch; feeds cut batches far earlier.
    pub fn shape(&mut self, table: &Arc<Table>) -> u16 {
        // The last ones first: changes of one table tend to follow each other.
        let found = self.shapes.iter().rposition(|shape| Arc::ptr_eq(shape, table));
        let index = found.unwrap_or_else(|| {
            self.shapes.push(Arc::clone(table));
            self.shapes.len() - 1
        });
        u16::try_from(index).expect("feeds cut batches before 65,535 shapes")
    }

    pub fn build(&mut self) -> RowBuilder<'_> {
        RowBuilder::new(&mut self.slab)
    }

    pub fn push(&mut self, shape: u16, change: Change, row: Place, before: Place) {
        self.mutations.push(Mutation { shape, change, row, before, at: 0 });
    }

    pub fn table(&self, mutation: &Mutation) -> &Arc<Table> {
        &self.shapes[usize::from(mutation.shape)]
    }

    pub fn row(&self, place: Place) -> RowRef<'_> {
        debug_assert_ne!(place, NO_ROW, "the caller looked whether there is a row");
        RowRef::new(&self.slab, place)
    }

    /// A row of owned values (`None` = unset): tests and trials.
    pub fn add_row(&mut self, values: &[Option<Value>]) -> Place {
        let mut row = self.build();
        for value in values {
            match value {
                Some(value) => row.owned(value),
                None => row.unset(),
            };
        }
        row.finish()
    }

    /// Copies a row of another slab to the end of this one.
    pub fn copy_row(&mut self, row: RowRef<'_>) -> Place {
        let place = u32::try_from(self.slab.len()).expect("a slab stays below 4 GiB");
        self.slab.extend_from_slice(row.bytes());
        place
    }

    /// Writes the conditions of a `Matching` change: for each (column, operator, value) three fields.
    pub fn add_criteria(&mut self, criteria: &[Criterion]) -> Place {
        let mut row = self.build();
        for Criterion { column, operator, value } in criteria {
            row.value(ValueRef::Unsigned(u64::from(*column))).value(ValueRef::Unsigned(*operator as u64)).owned(value);
        }
        row.finish()
    }

    /// The conditions that `add_criteria` wrote at `place`.
    pub fn criteria(&self, place: Place) -> Vec<(usize, Operator, ValueRef<'_>)> {
        let mut fields = self.row(place).fields();
        let mut criteria = Vec::new();
        while let (Some(Field::Value(ValueRef::Unsigned(column))), Some(Field::Value(ValueRef::Unsigned(operator)))) =
            (fields.next(), fields.next())
        {
            let operator = u8::try_from(operator).ok().and_then(Operator::from_u8).expect("written by add_criteria");
            let value = fields.next().and_then(Field::value).expect("written by add_criteria");
            criteria.push((usize::try_from(column).expect("a column index"), operator, value));
        }
        criteria
    }
}
