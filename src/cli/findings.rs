//! What an examination found, each finding with what mends it.

use super::show::{Paint, painted};
use crate::client::{Finding, Severity};
use std::fmt::Write;

/// Gravest first, as the daemon sends them.
pub fn text<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> String {
    let mut text = String::new();
    for finding in findings {
        let (word, paint) = match finding.severity() {
            Severity::Blocking => ("blocking", Paint::Bad),
            Severity::Warning => ("warning ", Paint::Careful),
            Severity::Info | Severity::Unspecified => ("info    ", Paint::Dim),
        };
        let subject = match finding.subject.as_str() {
            "" => String::new(),
            subject => format!("{subject}: "),
        };
        let _ = writeln!(text, "  {}  {subject}{}", painted(word, paint), finding.text);
        // The exact statement, as it can be copied.
        let label = if finding.severity() == Severity::Info { "runs" } else { "mend" };
        for (number, line) in finding.mend.lines().enumerate() {
            let label = if number == 0 { label } else { "" };
            let _ = writeln!(text, "  {label:>8}  {line}");
        }
    }
    text
}

pub fn blocking<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> usize {
    findings.into_iter().filter(|finding| finding.severity() == Severity::Blocking).count()
}
