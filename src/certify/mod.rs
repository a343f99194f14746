//! The battery that every source, target, pair and state must pass: tests run it, users can on tables of their own.
//!
//! A [`Fixture`] knows one kind of store: how to make scratch tables, change rows as an application would, and read rows
//! without the connector. The battery brings the judgement: each [`Check`] says what it proves and which rule that is.
//! What a store cannot do is declared by its fixture and shows in the [`Report`] as skipped, never as passed.

mod check;
mod fixture;
mod replica;
mod scene;
mod source;
mod tape;
mod target;

pub use self::{
    check::{Check, Failure, Line, Outcome, Report, Verdict},
    fixture::{Fixture, Scratch, Trait, Write},
    scene::{JOB, OTHER_JOB},
};

use check::judge;

/// Certifies a store as a source.
pub async fn source(fixture: &dyn Fixture) -> Report {
    let mut report = Report::new(format!("{} as a source", fixture.name()));
    for check in source::CHECKS {
        let lacking = check.needs.iter().find(|needed| fixture.lacks().contains(needed));
        report.add(check, judge(check, lacking.copied(), fixture.scratch(), |scratch| scratch.complaints()).await);
    }
    report
}

/// Certifies a store as a target.
pub async fn target(fixture: &dyn Fixture) -> Report {
    let mut report = Report::new(format!("{} as a target", fixture.name()));
    for check in target::CHECKS {
        let lacking = check.needs.iter().find(|needed| fixture.lacks().contains(needed));
        report.add(check, judge(check, lacking.copied(), fixture.scratch(), |scratch| scratch.complaints()).await);
    }
    report
}
