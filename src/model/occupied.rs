//! What is in the way of a job in a target: one text for every kind of store, so that a plan can tell its own.

use super::{Existing, Finding, JobId, Severity, Table, in_file};

/// What to do about a table that is another job's.
pub const THEIRS: &str = "delete that job first (where `whimbrel status` has none of that name: `whimbrel store leftovers \
                          NAME` says what a deleted one left in this store, and how to remove it)";
const CLAIM: &str = " writes it already";
const ROWS: &str = "the table has rows already";

impl Finding {
    /// Another job writes this table. `job`: with its id, as the target knows it.
    pub fn claimed(subject: impl Into<String>, job: &str) -> Finding {
        let subject = subject.into();
        let mend = in_file(format!("{THEIRS}, or leave the table out: `tables: [\"!{subject}\"]`"));
        Finding::new(Severity::Blocking, subject, format!("{job}{CLAIM}")).mend(mend)
    }

    /// Whether it is a claim of this job.
    pub fn is_claim_of(&self, job: JobId) -> bool {
        self.text.ends_with(CLAIM) && self.text.contains(&job.to_string())
    }

    /// Rows of others are in the table.
    pub fn has_rows(subject: impl Into<String>, table: &Table, existing: Existing) -> Finding {
        let (severity, more) = match existing {
            _ if !existing.admits(table) => (Severity::Blocking, ""),
            Existing::Merge => (Severity::Warning, ": they stay beside the source's"),
            _ => (Severity::Warning, ": those that the source lacks will go"),
        };
        let finding = Finding::new(severity, subject, format!("{ROWS}{more}"));
        match existing {
            Existing::Refuse => finding.mend(in_file(
                "existing: replace   # in the job's target; `merge` keeps rows that the source does not have",
            )),
            Existing::Merge if severity == Severity::Blocking => {
                finding.mend(in_file("existing: replace   # in the job's target"))
            }
            _ => finding,
        }
    }

    pub fn is_of_rows(&self) -> bool {
        self.text.starts_with(ROWS)
    }
}
