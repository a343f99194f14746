//! What an examination found, each finding with what mends it.

use super::show::{Paint, Show, painted};
use crate::client::{Finding, Severity};
use std::{collections::BTreeSet, fmt::Write};

/// Of findings that say the same of many things, so many things are named.
const NAMED: usize = 3;

/// The gravest first, in the order in which the daemon sends them, each with where it was found. For eyes, what is only
/// said and said of many things is one line.
pub fn text(found: &[(String, &Finding)], show: Show) -> String {
    let mut text = String::new();
    let mut said = BTreeSet::new();
    let mut sorted: Vec<&(String, &Finding)> = found.iter().collect();
    sorted.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    for (place, finding) in sorted {
        let is_same = |(other, one): &&(String, &Finding)| {
            other == place && one.severity == finding.severity && one.text == finding.text
        };
        let same: Vec<&Finding> = found.iter().filter(is_same).map(|(_, one)| *one).collect();
        match same.len() {
            2.. if finding.severity() == Severity::Info && !show.is_wide() => {
                if said.insert((place, &finding.text)) {
                    one(&mut text, place, &many(&same));
                }
            }
            _ => one(&mut text, place, finding),
        }
    }
    text
}

/// Those that say the same, as one.
fn many(same: &[&Finding]) -> Finding {
    let mut subjects: Vec<&str> = Vec::new();
    same.iter().for_each(|one| {
        if !subjects.contains(&one.subject.as_str()) {
            subjects.push(&one.subject);
        }
    });
    let more = match subjects.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let subject = format!("{}{more}", subjects[..subjects.len().min(NAMED)].join(", "));
    let text = format!("{} × {}; -o wide lists them, with what runs", same.len(), same[0].text);
    Finding { subject, text, mend: String::new(), ..same[0].clone() }
}

fn one(text: &mut String, place: &str, finding: &Finding) {
    let (word, paint) = match finding.severity() {
        Severity::Blocking => ("blocking", Paint::Bad),
        Severity::Warning => ("warning ", Paint::Careful),
        Severity::Info | Severity::Unspecified => ("info    ", Paint::Dim),
    };
    let named = |part: &str| if part.is_empty() { String::new() } else { format!("{part}: ") };
    let (place, subject) = (named(place), named(&finding.subject));
    let _ = writeln!(text, "  {}  {place}{subject}{}", painted(word, paint), finding.text);
    // The exact statement, as it can be copied.
    let label = if finding.severity() == Severity::Info { "runs" } else { "mend" };
    for (number, line) in finding.mend.lines().enumerate() {
        let label = if number == 0 { label } else { "" };
        let _ = writeln!(text, "  {label:>8}  {line}");
    }
}

pub fn blocking<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> usize {
    findings.into_iter().filter(|finding| finding.severity() == Severity::Blocking).count()
}
