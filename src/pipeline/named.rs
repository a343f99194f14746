//! What a job's file names and the source does not have. Pure.

use super::Route;
use crate::{
    config::nearest_name,
    model::{Finding, Severity, SourceSpec, Table, TableName, in_file},
};
use std::sync::Arc;

const NO_SUCH: &str = "the job names it, and the source has no such table, or the account does not see it";

/// Names without a table block: nobody would miss what is not there. Globs without one are told. `all`, `not_carried`: as
/// the source lists them.
pub fn look(spec: &SourceSpec, route: &Route, all: &[Arc<Table>], not_carried: &[Finding]) -> Vec<Finding> {
    let uncarried: Vec<(TableName, &Finding)> = not_carried
        .iter()
        .filter_map(|finding| Some((finding.subject.parse::<TableName>().ok()?, finding)))
        .filter(|(name, _)| name.name != "*")
        .collect();
    let mut names: Vec<&TableName> = all.iter().map(|table| &table.name).collect();
    // A glob for a view finds something, even if that is not carried.
    names.extend(uncarried.iter().map(|(name, _)| name));
    let mut findings: Vec<Finding> = route.idle(&names).into_iter().map(|glob| idle(spec, glob, &names)).collect();
    let is_carried = |name: &TableName| all.iter().any(|table| table.name == *name);
    let named = |name: &TableName| spec.tables.iter().any(|glob| is_name(glob) && *glob == name.to_string());
    let views = uncarried.iter().filter(|(name, _)| named(name) && route.selects(name) && !is_carried(name));
    findings.extend(views.filter(|(_, finding)| finding.severity != Severity::Blocking).map(|(name, finding)| {
        let text = format!("the job names it, and it is not carried: {}", finding.text);
        Finding::new(Severity::Blocking, name.to_string(), text).mend(in_file("take it out of the job's `tables`"))
    }));
    findings
}

fn idle(spec: &SourceSpec, glob: String, names: &[&TableName]) -> Finding {
    let list = format!("see the tables' names: `whimbrel store tables {}`", spec.store);
    let is_wanted = is_name(&glob) && spec.tables.contains(&glob);
    let mend = match (meant(glob.trim_start_matches('!'), names), is_wanted) {
        (Some(name), true) => in_file(format!("did you mean `{name}`? Change the job's `tables`")),
        (Some(name), false) => format!("did you mean `{name}`?"),
        (None, true) => in_file(format!("{list}; change the job's `tables`")),
        (None, false) => list,
    };
    match is_wanted {
        true => Finding::new(Severity::Blocking, glob, NO_SUCH),
        false => {
            let text = format!("`{glob}` concerns no table of the source");
            Finding::new(Severity::Warning, glob, text)
        }
    }
    .mend(mend)
}

/// Whether it is told of a name in this list that the source does not have.
pub fn is_of_one(finding: &Finding, names: &[TableName]) -> bool {
    finding.text == NO_SUCH && names.iter().any(|name| name.to_string() == finding.subject)
}

fn is_name(glob: &str) -> bool {
    !glob.starts_with('!') && !glob.contains(['*', '?'])
}

/// The table that a name without wildcards probably means: one in that schema, or of that name in another.
fn meant(given: &str, names: &[&TableName]) -> Option<String> {
    let (schema, table) = given.split_once('.').filter(|_| is_name(given))?;
    let here = names.iter().filter(|name| name.schema == schema).map(|name| name.name.as_str());
    let there = names.iter().filter(|name| name.name == table).map(|name| name.schema.as_str());
    let beside = nearest_name(table, here).map(|table| format!("{schema}.{table}"));
    beside.or_else(|| nearest_name(schema, there).map(|schema| format!("{schema}.{table}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobSpec;

    fn found(globs: &[&str]) -> Vec<(Severity, String)> {
        let mut spec = JobSpec::new("shop", "a", &["b"]).source;
        spec.tables = globs.iter().map(|&glob| glob.into()).collect();
        let table = |name: &str| Arc::new(Table::new(TableName::new("shop", name), Vec::new(), Vec::new()));
        let view = Finding::new(Severity::Info, "shop.seen", "it is no table that holds rows");
        let partial = Finding::new(Severity::Warning, "shop.*", "some are not seen");
        let route = Route::new(&spec).expect("good globs");
        let found = look(&spec, &route, &[table("orders"), table("people")], &[view, partial]);
        found
            .into_iter()
            .map(|one| (one.severity, format!("{}: {}", one.subject, one.mend.unwrap_or_default())))
            .collect()
    }

    #[test]
    fn names_that_find_nothing_block_and_globs_are_told() {
        let blocks = |globs: &[&str], part: &str| match &found(globs)[..] {
            [(Severity::Blocking, text)] => text.contains(part) && text.contains("whimbrel apply -f FILE"),
            _ => false,
        };
        assert!(blocks(&["shop.order", "shop.people"], "did you mean `shop.orders`?"), "{:?}", found(&["shop.order"]));
        assert!(blocks(&["shop.nothing_like_it", "shop.people"], "whimbrel store tables a"));
        assert!(blocks(&["shop.seen", "shop.people"], "take it out"), "{:?}", found(&["shop.seen"]));
        let warns = |globs: &[&str]| matches!(found(globs)[..], [(Severity::Warning, _)]);
        assert!(warns(&["shop.*", "crm.*"]) && warns(&["shop.*", "!shop.order"]));
        assert!(found(&["shop.orders", "shop.*", "!shop.people"]).is_empty() && found(&[]).is_empty());
    }

    #[test]
    fn one_that_went_later_is_known() {
        let names = [TableName::new("shop", "order")];
        let gone = Finding::new(Severity::Blocking, "shop.order", NO_SUCH);
        assert!(is_of_one(&gone, &names) && !is_of_one(&gone, &[]));
        assert!(!is_of_one(&Finding::new(Severity::Blocking, "shop.order", "other"), &names));
    }
}
