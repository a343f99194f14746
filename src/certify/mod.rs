//! The battery that every source, target, pair and state must pass: tests run it, users can on tables of their own.
//!
//! A [`Fixture`] knows one kind of store: how to make scratch tables, change rows as an application would, and read rows
//! without the connector. The battery brings the judgement: each [`Check`] says what it proves and which rule that is.
//! What a store cannot do is declared by its fixture and shows in the [`Report`] as skipped, never as passed.

mod check;
mod pair;
mod replica;
mod scene;
mod source;
mod state;
mod tape;
mod target;

pub use self::{
    check::{Check, Failure, Line, Outcome, Report, Verdict},
    scene::{JOB, OTHER_JOB},
};
pub use crate::fixture::{Fixture, Scratch, Trait, Write};

use crate::{fixture, state::State};
use check::judge;
use pair::Pair;

/// The names of the checks of a source, in order.
pub fn source_checks() -> Vec<&'static str> {
    source::CHECKS.iter().map(|check| check.name).collect()
}

/// The names of the checks of a target, in order.
pub fn target_checks() -> Vec<&'static str> {
    target::CHECKS.iter().map(|check| check.name).collect()
}

/// Certifies a store as a source. `only`: the checks of these names; empty means all.
pub async fn source(fixture: &dyn Fixture, only: &[&str]) -> Report {
    let mut report = Report::new(format!("{} as a source", fixture.name()));
    for check in source::CHECKS.iter().filter(|check| check.is_wanted(only)) {
        let lacking = check.lacking(&[fixture.lacks()]);
        report.add(check, judge(check, lacking, fixture.scratch(), |scratch| scratch.complaints()).await);
    }
    report
}

/// Certifies a store as a target.
pub async fn target(fixture: &dyn Fixture, only: &[&str]) -> Report {
    let mut report = Report::new(format!("{} as a target", fixture.name()));
    for check in target::CHECKS.iter().filter(|check| check.is_wanted(only)) {
        let lacking = check.lacking(&[fixture.lacks()]);
        report.add(check, judge(check, lacking, fixture.scratch(), |scratch| scratch.complaints()).await);
    }
    report
}

/// Certifies what a job makes of two stores: copy, tail, kills.
pub async fn pair(from: &dyn Fixture, to: &dyn Fixture, only: &[&str]) -> Report {
    let mut report = Report::new(format!("{} to {}", from.name(), to.name()));
    for check in pair::CHECKS.iter().filter(|check| check.is_wanted(only)) {
        let lacking = check.lacking(&[from.lacks(), to.lacks()]);
        let subject = async { Ok(Box::new(Pair { from: from.scratch().await?, to: to.scratch().await? })) };
        report.add(check, judge(check, lacking, subject, Pair::complaints).await);
    }
    report
}

/// Certifies a keeper of state; `empty` makes one that holds nothing.
pub async fn state<S: State + 'static>(name: &str, mut empty: impl FnMut() -> S) -> Report {
    let mut report = Report::new(format!("{name} as state"));
    for check in state::CHECKS {
        let keeper: Box<dyn State> = Box::new(empty());
        report.add(check, judge(check, None, async { Ok(keeper) }, |_| Vec::new()).await);
    }
    report
}
