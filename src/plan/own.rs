//! Leaves out of a plan what its own job, which has begun, holds in its targets already. Pure.

use super::{Found, Plan, Side};
use crate::{
    model::{Finding, JobId, Severity, TableName},
    pipeline::is_of_one,
};
use std::collections::BTreeSet;

impl Plan {
    /// `job`: the one that has begun under this name. Tables that it writes, and the rows in them, are in nobody's way;
    /// those that it carries may have gone from the source since.
    pub fn leave_out_own(&mut self, name: &str, job: JobId, carried: &[TableName]) {
        let source = self.source.clone();
        let place = |found: &Found| (found.store.clone(), found.finding.subject.clone());
        let is_claim = |found: &Found| found.finding.is_claim_of(job);
        let is_of_target = |found: &&Found| found.side == Side::Target;
        let own: BTreeSet<_> =
            self.findings.iter().filter(is_of_target).filter(|found| is_claim(found)).map(place).collect();
        self.findings.retain(|found| {
            let is_own = own.contains(&place(found)) && found.side == Side::Target;
            !(is_own && (is_claim(found) || found.finding.is_of_rows()) || is_of_one(&found.finding, carried))
        });
        let text = "the job has begun already, and this plan is about its file: what it holds itself is left out; \
                    `whimbrel apply -f FILE --dry-run` shows what would change";
        let finding = Finding::new(Severity::Info, name, text);
        // In front of what weighs as much.
        let at = self.findings.partition_point(|found| found.finding.severity > Severity::Info);
        self.findings.insert(at, Found { side: Side::Source, store: source, finding });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_what_names_the_job_itself_goes() {
        let [own, other] = [1, 2].map(|id| JobId(Uuid::from_u128(id)));
        let found = |severity, subject: &str, text: String| Found {
            side: Side::Target,
            store: "copy".into(),
            finding: Finding::new(severity, subject, text),
        };
        let claim = |subject, job| found(Severity::Blocking, subject, format!("job `x` ({job}) writes it already"));
        let rows = |severity, subject| found(severity, subject, "the table has rows already: they stay".to_owned());
        let mut plan = Plan { source: "shop".into(), ..Plan::default() };
        plan.findings = vec![
            claim("main.a", own),
            rows(Severity::Blocking, "main.a"),
            claim("main.b", other),
            rows(Severity::Blocking, "main.b"),
            rows(Severity::Blocking, "main.c"),
            found(Severity::Warning, "main.a", "its column `x` is gone".into()),
            found(Severity::Info, "main.a", "its triggers do not fire".into()),
        ];
        plan.leave_out_own("x", own, &[]);
        let left: Vec<&str> = plan.findings.iter().map(|found| found.finding.subject.as_str()).collect();
        assert_eq!(left, ["main.b", "main.b", "main.c", "main.a", "x", "main.a"]);
    }
}
