//! What a check is, how it is judged, and the report of a run.

use super::fixture::Trait;
use crate::error::{Error, Result};
use futures_util::{FutureExt, future::BoxFuture};
use std::{any::Any, fmt, panic::AssertUnwindSafe, time::Duration};

/// Far beyond what any check takes; one that waits for ever must not hold the others.
const LONGEST_CHECK: Duration = Duration::from_secs(3600);

/// One thing that must hold.
pub struct Check<S: ?Sized + 'static> {
    /// Short and stable: people search for it.
    pub name: &'static str,
    /// In one sentence.
    pub proves: &'static str,
    /// Where it is written: R1, an invariant, a point of the lane protocol, a hazard.
    pub rule: &'static str,
    /// What a store must be able to do for the check to make sense.
    pub needs: &'static [Trait],
    pub(super) run: for<'a> fn(&'a S) -> BoxFuture<'a, Verdict>,
}

impl<S: ?Sized> Check<S> {
    pub(super) fn is_wanted(&self, only: &[&str]) -> bool {
        only.is_empty() || only.contains(&self.name)
    }

    /// What it needs and one of the stores lacks.
    pub(super) fn lacking(&self, lacks: &[&[Trait]]) -> Option<Trait> {
        self.needs.iter().find(|needed| lacks.iter().any(|lacks| lacks.contains(needed))).copied()
    }
}

/// What a check found.
pub type Verdict = Result<(), Failure>;

/// What does not hold, in words that name the rows.
#[derive(Debug)]
pub struct Failure(pub String);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(format!("an error where none may be: {error:?}"))
    }
}

impl Failure {
    /// Says where it was found, in front of what was found.
    pub(super) fn at(self, place: impl fmt::Display) -> Failure {
        Failure(format!("{place}: {}", self.0))
    }
}

pub(super) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Failure(otherwise())) }
}

pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    must(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

/// The error that must be there.
pub(super) fn refused<T: fmt::Debug>(what: &str, answer: Result<T>) -> Result<Error, Failure> {
    match answer {
        Err(error) => Ok(error),
        Ok(answer) => Err(Failure(format!("{what} was answered with {answer:?}"))),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(String),
    /// The fixture says that the store lacks this.
    Skipped(Trait),
}

/// One check's line in a report.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    pub proves: &'static str,
    pub rule: &'static str,
    pub outcome: Outcome,
}

/// Everything a run has found.
#[derive(Clone, Debug)]
pub struct Report {
    pub subject: String,
    pub lines: Vec<Line>,
}

impl Report {
    pub(super) fn new(subject: String) -> Report {
        Report { subject, lines: Vec::new() }
    }

    pub(super) fn add<S: ?Sized>(&mut self, check: &Check<S>, outcome: Outcome) {
        let Check { name, proves, rule, .. } = *check;
        self.lines.push(Line { name, proves, rule, outcome });
    }

    pub fn passed(&self) -> usize {
        self.lines.iter().filter(|line| line.outcome == Outcome::Passed).count()
    }

    pub fn failed(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_)))
    }

    pub fn skipped(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.outcome, Outcome::Skipped(_))).count()
    }
}

/// One line a check, with the reason under those that failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed().count();
        writeln!(f, "{}: {} passed, {failed} failed, {} skipped", self.subject, self.passed(), self.skipped())?;
        for line in &self.lines {
            match &line.outcome {
                Outcome::Passed => writeln!(f, "  ok    {}", line.name)?,
                Outcome::Skipped(lacking) => writeln!(f, "  skip  {} (the store lacks {lacking:?})", line.name)?,
                Outcome::Failed(why) => {
                    writeln!(f, "  FAIL  {}: {} ({})\n        {why}", line.name, line.proves, line.rule)?;
                }
            }
        }
        Ok(())
    }
}

/// Runs one check on a subject of its own.
pub(super) async fn judge<S: ?Sized>(
    check: &Check<S>,
    lacking: Option<Trait>,
    subject: impl Future<Output = Result<Box<S>>>,
    complaints: impl FnOnce(&S) -> Vec<String>,
) -> Outcome {
    if let Some(lacking) = lacking {
        return Outcome::Skipped(lacking);
    }
    let subject = match subject.await {
        Ok(subject) => subject,
        Err(error) => return Outcome::Failed(format!("the fixture made no scratch store: {error:?}")),
    };
    // A connector that panics fails its check and not the report.
    let run = AssertUnwindSafe((check.run)(&subject)).catch_unwind();
    match tokio::time::timeout(LONGEST_CHECK, run).await {
        Ok(Err(panic)) => Outcome::Failed(format!("panicked: {}", said(&*panic))),
        Err(_) => Outcome::Failed(format!("it did not end within {LONGEST_CHECK:?}")),
        Ok(Ok(Err(Failure(why)))) => Outcome::Failed(why),
        Ok(Ok(Ok(()))) => match complaints(&subject).first() {
            None => Outcome::Passed,
            Some(complaint) => Outcome::Failed(format!("the store itself saw a rule broken: {complaint}")),
        },
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".into())
}
