//! What every source must do: shapes, copies, rows by key, and a log that loses nothing.

mod begin;
mod copy;
mod fetch;
mod lost;
mod marks;
mod shapes;
mod stage;
mod tail;

pub use stage::shown;

use super::{check::Check, fixture::Scratch};
use crate::certify::fixture::Trait::{
    AddColumns, Backups, Evictions, ForeignKeys, Keyless, Leftovers, Truncate, Uniques,
};

/// Each on a scratch store of its own.
pub const CHECKS: &[Check<dyn Scratch>] = &[
    Check {
        name: "shapes",
        proves: "tables, columns and keys are as the application declared them, and their version is steady",
        rule: "Source::tables",
        needs: &[],
        run: |scratch| Box::pin(shapes::tables(scratch)),
    },
    Check {
        name: "shapes-uniques",
        proves: "unique indexes are told, the key's own is not",
        rule: "Source::tables, A3",
        needs: &[Uniques],
        run: |scratch| Box::pin(shapes::uniques(scratch)),
    },
    Check {
        name: "shapes-foreign-keys",
        proves: "foreign keys are told with their actions",
        rule: "Source::tables, A4",
        needs: &[ForeignKeys],
        run: |scratch| Box::pin(shapes::foreign_keys(scratch)),
    },
    Check {
        name: "check",
        proves: "check lets a good job pass and finds a table that is not there",
        rule: "Source::check",
        needs: &[],
        run: |scratch| Box::pin(shapes::check(scratch)),
    },
    Check {
        name: "odd-names",
        proves: "any name of a table or a column is a name and nothing else",
        rule: "Source::tables",
        needs: &[],
        run: |scratch| Box::pin(shapes::odd_names(scratch)),
    },
    Check {
        name: "kinds",
        proves: "every kind of value is the same through copy, log and fetch, and as the application reads it",
        rule: "A15, E1",
        needs: &[],
        run: |scratch| Box::pin(shapes::kinds(scratch)),
    },
    Check {
        name: "added-column",
        proves: "the application can add a column, and rows before and after it arrive",
        rule: "A11, E14",
        needs: &[AddColumns],
        run: |scratch| Box::pin(shapes::added_column(scratch)),
    },
    Check {
        name: "unknown-table",
        proves: "a table that is gone is gone with all its rows",
        rule: "Fetched::table, invariant 7",
        needs: &[],
        run: |scratch| Box::pin(shapes::unknown_tables(scratch)),
    },
    Check {
        name: "begin-rounds-down",
        proves: "what is committed around begin is seen by the copy or told by the tail",
        rule: "R1, A2",
        needs: &[],
        run: |scratch| Box::pin(begin::rounds_down(scratch)),
    },
    Check {
        name: "begin-again",
        proves: "begin may be repeated when its answer was lost",
        rule: "Source::begin, D1",
        needs: &[],
        run: |scratch| Box::pin(begin::repeatable(scratch)),
    },
    Check {
        name: "two-jobs",
        proves: "a job that acknowledges and goes takes nothing from another",
        rule: "Source::release",
        needs: &[],
        run: |scratch| Box::pin(begin::two_jobs(scratch)),
    },
    Check {
        name: "released",
        proves: "release may be repeated, the application goes on, and a released job does not tail over a gap",
        rule: "Source::release, invariant 8",
        needs: &[],
        run: |scratch| Box::pin(begin::released(scratch)),
    },
    Check {
        name: "leaves-nothing",
        proves: "check writes nothing, and release removes exactly what begin made",
        rule: "Source::check, Source::release",
        needs: &[Leftovers],
        run: |scratch| Box::pin(begin::leaves_nothing(scratch)),
    },
    Check {
        name: "copy-covers",
        proves: "the ranges of any split cover the table exactly once",
        rule: "Source::split, A10",
        needs: &[],
        run: |scratch| Box::pin(copy::covers(scratch)),
    },
    Check {
        name: "copy-open-ends",
        proves: "keys beyond the smallest and the largest that were there are in the first and the last range",
        rule: "KeyRange, A10",
        needs: &[],
        run: |scratch| Box::pin(copy::outside(scratch)),
    },
    Check {
        name: "copy-empty",
        proves: "an empty table is copied as one",
        rule: "Source::copy",
        needs: &[],
        run: |scratch| Box::pin(copy::empty(scratch)),
    },
    Check {
        name: "copy-resumes",
        proves: "a copy goes on after the key that its position names, and after any row's",
        rule: "lane protocol 5, B1",
        needs: &[],
        run: |scratch| Box::pin(copy::resumes(scratch)),
    },
    Check {
        name: "copy-keys",
        proves: "a copy of keys gives all keys and nothing else",
        rule: "Columns::Key",
        needs: &[],
        run: |scratch| Box::pin(copy::keys(scratch)),
    },
    Check {
        name: "copy-sees",
        proves: "a copy sees every transaction at or before its `after`",
        rule: "R2, A12",
        needs: &[],
        run: |scratch| Box::pin(copy::sees(scratch)),
    },
    Check {
        name: "copy-keyless",
        proves: "a table without a key is copied in one read at a known position",
        rule: "A6",
        needs: &[Keyless],
        run: |scratch| Box::pin(copy::keyless(scratch)),
    },
    Check {
        name: "fetch",
        proves: "fetch answers every key in order, for several tables, with None for rows that are gone",
        rule: "Source::fetch",
        needs: &[],
        run: |scratch| Box::pin(fetch::rows(scratch)),
    },
    Check {
        name: "fetch-spelled",
        proves: "a row is found under every spelling that the store takes for its key",
        rule: "Source::fetch, A5",
        needs: &[],
        run: |scratch| Box::pin(fetch::spelled(scratch)),
    },
    Check {
        name: "fetch-bounded",
        proves: "fetch stops before its bound, but never before one row",
        rule: "Source::fetch, invariant 6",
        needs: &[],
        run: |scratch| Box::pin(fetch::bounded(scratch)),
    },
    Check {
        name: "fetch-sees",
        proves: "a fetch sees what the tail has told of",
        rule: "R2, E16",
        needs: &[],
        run: |scratch| Box::pin(fetch::sees(scratch)),
    },
    Check {
        name: "tail-in-order",
        proves: "the tail tells every change once and none that was not made, and is complete where it says so",
        rule: "invariants 3 and 4",
        needs: &[],
        run: |scratch| Box::pin(tail::in_order(scratch)),
    },
    Check {
        name: "tail-reopened",
        proves: "a tail opened at any position or cut of a batch tells exactly the rest",
        rule: "invariant 3, Source::cut",
        needs: &[],
        run: |scratch| Box::pin(tail::reopened(scratch)),
    },
    Check {
        name: "tail-edges",
        proves: "no batch crosses an edge, and each edge is the end of one",
        rule: "lane protocol 9",
        needs: &[],
        run: |scratch| Box::pin(tail::edges(scratch)),
    },
    Check {
        name: "tail-dropped",
        proves: "a `next` that nobody waits for loses nothing",
        rule: "Feed::next",
        needs: &[],
        run: |scratch| Box::pin(tail::dropped(scratch)),
    },
    Check {
        name: "tail-large",
        proves: "a transaction larger than a batch arrives whole, and can be gone on with from inside",
        rule: "B4, invariant 3",
        needs: &[],
        run: |scratch| Box::pin(tail::large(scratch)),
    },
    Check {
        name: "tail-unchanged",
        proves: "values that an update does not touch are not lost",
        rule: "A1",
        needs: &[],
        run: |scratch| Box::pin(tail::unchanged(scratch)),
    },
    Check {
        name: "tail-truncated",
        proves: "rows that were truncated are gone",
        rule: "Change::Truncate",
        needs: &[Truncate],
        run: |scratch| Box::pin(tail::truncated(scratch)),
    },
    Check {
        name: "tail-evicted",
        proves: "rows that an insert evicts are told",
        rule: "A9, E12",
        needs: &[Evictions, Uniques],
        run: |scratch| Box::pin(tail::evicted(scratch)),
    },
    Check {
        name: "tail-cascaded",
        proves: "what foreign keys did to children arrives",
        rule: "A4, E5",
        needs: &[ForeignKeys],
        run: |scratch| Box::pin(tail::cascaded(scratch)),
    },
    Check {
        name: "mark-passed",
        proves: "a mark is passed when all before it was returned, not before, and comes to it on an idle source",
        rule: "R1, Feed::passed",
        needs: &[],
        run: |scratch| Box::pin(marks::passed(scratch)),
    },
    Check {
        name: "mark-of-others",
        proves: "marks are passed although only tables that nobody follows have changed",
        rule: "Feed::passed",
        needs: &[],
        run: |scratch| Box::pin(marks::others(scratch)),
    },
    Check {
        name: "patience",
        proves: "an idle feed answers, and what it names is a place to start again",
        rule: "Feed::next",
        needs: &[],
        run: |scratch| Box::pin(marks::patience(scratch)),
    },
    Check {
        name: "order",
        proves: "any two positions of a partition are ordered, and as they came",
        rule: "Source::order",
        needs: &[],
        run: |scratch| Box::pin(marks::order(scratch)),
    },
    Check {
        name: "backlog",
        proves: "the backlog is nothing where nothing is behind",
        rule: "Source::backlog, invariant 9",
        needs: &[],
        run: |scratch| Box::pin(marks::backlog(scratch)),
    },
    Check {
        name: "acknowledged",
        proves: "what follows an acknowledged position is there; what precedes it is there or Lost, never in part",
        rule: "Feed::acknowledge, invariant 8",
        needs: &[],
        run: |scratch| Box::pin(lost::acknowledged(scratch)),
    },
    Check {
        name: "foreign",
        proves: "a position of another store is Lost, for every read",
        rule: "R2, invariant 8, A12",
        needs: &[],
        run: |scratch| Box::pin(lost::foreign(scratch)),
    },
    Check {
        name: "restored",
        proves: "a store that was put back from a backup is Lost, whatever it has done since",
        rule: "invariant 8, A13",
        needs: &[Backups],
        run: |scratch| Box::pin(lost::restored(scratch)),
    },
];
