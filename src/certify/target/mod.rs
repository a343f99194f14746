//! What every target must do: each kind of change, all or nothing, and the lane protocol.

mod changes;
mod clashes;
mod drive;
mod dropped;
mod lanes;
mod owners;
mod shapes;
mod whole;

pub use dropped::steps;

use super::{check::Check, fixture::Scratch};
use crate::fixture::Trait::{
    ForeignKeys, Keyless, LateUniques, Matching, NotNull, OpenChanges, OpenTransactions, Transactions, Uniques,
};

/// Each on a scratch store of its own.
pub const CHECKS: &[Check<dyn Scratch>] = &[
    Check {
        name: "prepare-creates",
        proves: "prepare makes a missing table, compares one that is there, and may be repeated",
        rule: "Target::prepare",
        needs: &[],
        run: |scratch| Box::pin(shapes::prepare_creates(scratch)),
    },
    Check {
        name: "not-admitted",
        proves: "a table with rows of others that the job does not take is left as it is, and never noted as the job's",
        rule: "Target::prepare, B2",
        needs: &[],
        run: |scratch| Box::pin(shapes::not_admitted(scratch)),
    },
    Check {
        name: "prepare-widens",
        proves: "prepare adds the columns that a table lacks and keeps its rows",
        rule: "Target::prepare, A11",
        needs: &[],
        run: |scratch| Box::pin(shapes::prepare_widens(scratch)),
    },
    Check {
        name: "older-shape",
        proves: "a row of an older shape sets its own columns and no others",
        rule: "A11",
        needs: &[],
        run: |scratch| Box::pin(shapes::older_shape(scratch)),
    },
    Check {
        name: "newer-shape",
        proves: "columns that the table lacks are left out until prepare adds them",
        rule: "A11",
        needs: &[],
        run: |scratch| Box::pin(shapes::newer_shape(scratch)),
    },
    Check {
        name: "reshape",
        proves: "Reshape changes no row and moves the watermark",
        rule: "Change::Reshape, lane protocol 6",
        needs: &[],
        run: |scratch| Box::pin(shapes::reshape(scratch)),
    },
    Check {
        name: "odd-names",
        proves: "any name of a table or a column is a name and nothing else",
        rule: "Target::prepare",
        needs: &[],
        run: |scratch| Box::pin(shapes::odd_names(scratch)),
    },
    Check {
        name: "kinds",
        proves: "every kind of value the store claims to carry comes back as it was written",
        rule: "A15, E1",
        needs: &[],
        run: |scratch| Box::pin(shapes::kinds(scratch)),
    },
    Check {
        name: "large-values",
        proves: "a value of megabytes is carried",
        rule: "invariant 6, H8",
        needs: &[],
        run: |scratch| Box::pin(shapes::large_values(scratch)),
    },
    Check {
        name: "not-null",
        proves: "a row that breaks a constraint is Refused, and nothing of its transaction stays",
        rule: "invariant 7",
        needs: &[NotNull, Transactions],
        run: |scratch| Box::pin(shapes::not_null(scratch)),
    },
    Check {
        name: "upsert-patch-delete",
        proves: "each change of a row does what it says, in the order of the batch",
        rule: "Change, invariant 4",
        needs: &[],
        run: |scratch| Box::pin(changes::rows(scratch)),
    },
    Check {
        name: "unset-is-not-null",
        proves: "a field that is unset is never written, one that is NULL is",
        rule: "Field::Unset, A1",
        needs: &[],
        run: |scratch| Box::pin(changes::unset(scratch)),
    },
    Check {
        name: "missing",
        proves: "patches whose row is not there are all reported, and nothing of the batch stays",
        rule: "A1, invariant 7",
        needs: &[Transactions],
        run: |scratch| Box::pin(changes::missing(scratch)),
    },
    Check {
        name: "composite-keys",
        proves: "a key of several columns, not the first ones, finds its row",
        rule: "Table::key",
        needs: &[],
        run: |scratch| Box::pin(changes::composite(scratch)),
    },
    Check {
        name: "truncate",
        proves: "Truncate empties its table, that one only, and moves the watermark",
        rule: "lane protocol 6",
        needs: &[],
        run: |scratch| Box::pin(changes::truncate(scratch)),
    },
    Check {
        name: "matching",
        proves: "Matching deletes and patches what meets all criteria; NULL meets none",
        rule: "A4, Operator",
        needs: &[Matching],
        run: |scratch| Box::pin(changes::matching(scratch)),
    },
    Check {
        name: "keyless",
        proves: "rows without a key are written and deleted one by one, NULLs compared as equal",
        rule: "A6",
        needs: &[Keyless, Transactions],
        run: |scratch| Box::pin(changes::keyless(scratch)),
    },
    Check {
        name: "copies",
        proves: "rows of a copy are written fresh and again, and its watermark names range and key",
        rule: "B1, lane protocol 5",
        needs: &[],
        run: |scratch| Box::pin(changes::copies(scratch)),
    },
    Check {
        name: "taken",
        proves: "a row that wants another's unique value is told with its holder, and nothing of the batch stays",
        rule: "A3, E4",
        needs: &[Uniques, Transactions],
        run: |scratch| Box::pin(clashes::taken(scratch)),
    },
    Check {
        name: "untangled",
        proves: "clashing rows that are deleted first are written in the same transaction",
        rule: "A3",
        needs: &[Uniques, Transactions],
        run: |scratch| Box::pin(clashes::untangled(scratch)),
    },
    Check {
        name: "finish-finds-doubles",
        proves: "finish names the rows of doubled unique values, succeeds once they are mended, and may be repeated",
        rule: "A3, Target::finish",
        needs: &[Uniques, LateUniques],
        run: |scratch| Box::pin(clashes::doubles(scratch)),
    },
    Check {
        name: "children-first",
        proves: "children may come before their parents, and finish takes a whole pair of tables",
        rule: "Target::finish",
        needs: &[ForeignKeys],
        run: |scratch| Box::pin(clashes::children(scratch)),
    },
    Check {
        name: "applied-once",
        proves: "a batch that a lane has is refused when it comes again",
        rule: "invariant 5, lane protocol 2",
        needs: &[],
        run: |scratch| Box::pin(lanes::once(scratch)),
    },
    Check {
        name: "lanes-apart",
        proves: "each lane moves its own row; several in one part move together or not at all",
        rule: "lane protocol 2",
        needs: &[Transactions],
        run: |scratch| Box::pin(lanes::apart(scratch)),
    },
    Check {
        name: "lanes-beside",
        proves: "two lanes work side by side",
        rule: "lane protocol 2, 3",
        needs: &[],
        run: |scratch| Box::pin(lanes::beside(scratch)),
    },
    Check {
        name: "lane-rows",
        proves: "open creates the lane rows that are missing at batch 0, and gives back all that was written",
        rule: "lane protocol 1, 5",
        needs: &[],
        run: |scratch| Box::pin(lanes::rows(scratch)),
    },
    Check {
        name: "empty-batch",
        proves: "a batch without mutations moves the watermark",
        rule: "lane protocol 3",
        needs: &[],
        run: |scratch| Box::pin(lanes::empty(scratch)),
    },
    Check {
        name: "nothing-on-a-gap",
        proves: "a batch whose forerunner the target does not have is Transient, and nothing of it stays",
        rule: "Target::apply, lane protocol 8",
        needs: &[],
        run: |scratch| Box::pin(lanes::gap(scratch)),
    },
    Check {
        name: "epochs",
        proves: "an older epoch, or an equal one with another token, neither opens nor writes",
        rule: "lane protocol 1, A8",
        needs: &[],
        run: |scratch| Box::pin(owners::epochs(scratch)),
    },
    Check {
        name: "zombie-writes-nothing",
        proves: "whoever opened before writes nothing after another has opened",
        rule: "lane protocol 1, A8",
        needs: &[Transactions],
        run: |scratch| Box::pin(owners::zombie(scratch)),
    },
    Check {
        name: "one-job-a-table",
        proves: "a table of one job is refused to another until the first is forgotten",
        rule: "C4, Target::forget, Target::jobs",
        needs: &[],
        run: |scratch| Box::pin(owners::tables(scratch)),
    },
    Check {
        name: "dropped-apply",
        proves: "an apply that nobody waits for is wholly there or not at all, and the watermark says which",
        rule: "lane protocol 4, A8",
        needs: &[Transactions],
        run: |scratch| Box::pin(dropped::apply(scratch)),
    },
    Check {
        name: "held-then-done",
        proves: "batches that are not complete are seen with the one that completes them, and not before",
        rule: "lane protocol 11",
        needs: &[Transactions, OpenTransactions],
        run: |scratch| Box::pin(whole::held(scratch)),
    },
    Check {
        name: "held-and-gone",
        proves: "an open transaction whose owner restarts leaves neither rows nor a watermark",
        rule: "lane protocol 11",
        needs: &[Transactions, OpenTransactions],
        run: |scratch| Box::pin(whole::gone(scratch)),
    },
    Check {
        name: "held-and-missing",
        proves: "a batch that does not fit is undone alone; the open transaction keeps the earlier ones",
        rule: "lane protocol 11, Applied",
        needs: &[Transactions, OpenTransactions],
        run: |scratch| Box::pin(whole::missing(scratch)),
    },
    Check {
        name: "held-and-widened",
        proves: "a table may change in the middle of an open transaction",
        rule: "lane protocol 11, Target::prepare",
        needs: &[Transactions, OpenTransactions, OpenChanges],
        run: |scratch| Box::pin(whole::widened(scratch)),
    },
];
