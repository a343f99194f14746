//! What a server holds and never logs: what it replicates, and databases that its options leave out.

use super::{
    config::Config,
    connect::Session,
    failure::{self, Answer, code},
    grants,
    server::Server,
    sight,
};
use crate::model::{Action, Finding, Severity, Table};
use std::{collections::BTreeSet, sync::Arc};

const UPDATES: &str = "in the server's configuration: log_slave_updates = ON; then restart it";

/// Whose log is not whole, is not followed: rows would be missed, and nothing would say so.
pub(super) async fn look(
    session: &mut Session,
    config: &Config,
    tables: &[Arc<Table>],
    findings: &mut Vec<Finding>,
) -> Answer<()> {
    replicated(session, config, findings).await?;
    filtered(session, tables, findings).await
}

async fn replicated(session: &mut Session, config: &Config, findings: &mut Vec<Finding>) -> Answer<()> {
    let is_on = |value: String| matches!(value.as_str(), "1" | "ON");
    let updates = match session.setting("log_replica_updates").await? {
        None => session.setting("log_slave_updates").await?,
        updates => updates,
    };
    if updates.is_none_or(is_on) {
        return Ok(());
    }
    let mut add = |text: &str| {
        findings.push(Finding::new(Severity::Blocking, "log_slave_updates", text).mend(UPDATES));
    };
    if session.setting("wsrep_on").await?.is_some_and(is_on) {
        add("this is a node of a cluster that does not log what is written at the others");
        return Ok(());
    }
    match session.rows(replicas(&session.server)).await {
        Err(failure) if failure::number(&failure) == Some(code::NO_PRIVILEGE) => {
            let account = grants::account(session).await?;
            let text = format!(
                "the account {account} may not ask whether this server is a replica: what one replicates would be missed, \
                 as log_slave_updates is OFF"
            );
            let finding = Finding::new(Severity::Blocking, config.user.clone(), text);
            findings.push(finding.mend(format!("GRANT {} ON *.* TO {account}", who_may_ask(&session.server))));
        }
        replicas => {
            if !replicas?.is_empty() {
                add("this is a replica that does not log what it replicates");
            }
        }
    }
    Ok(())
}

fn replicas(server: &Server) -> &'static str {
    match server.is_mariadb() {
        true => "SHOW ALL SLAVES STATUS",
        false if server.version >= (8, 0, 22) => "SHOW REPLICA STATUS",
        false => "SHOW SLAVE STATUS",
    }
}

fn who_may_ask(server: &Server) -> &'static str {
    match server.is_mariadb() {
        true if server.version >= (10, 5, 9) => "REPLICA MONITOR",
        true if server.version >= (10, 5, 2) => "REPLICATION SLAVE ADMIN",
        _ => "REPLICATION CLIENT",
    }
}

/// Rows go by the database of their table, statements like TRUNCATE by the one that the session uses.
async fn filtered(session: &mut Session, tables: &[Arc<Table>], findings: &mut Vec<Finding>) -> Answer<()> {
    let row = match session.rows(sight::asks_for_the_end(&session.server)).await {
        // Told as a grant that is missing.
        Err(failure) if failure::number(&failure) == Some(code::NO_PRIVILEGE) => return Ok(()),
        rows => rows?.into_iter().next().unwrap_or_default(),
    };
    let mut values = row.into_iter().skip(2).map(Option::unwrap_or_default);
    let filter = Filter { only: values.next().unwrap_or_default(), not: values.next().unwrap_or_default() };
    let Some((option, list)) = filter.option() else { return Ok(()) };
    let unlogged: Vec<&str> = schemas(tables).into_iter().filter(|schema| !filter.logs(schema)).collect();
    let finding = match unlogged.is_empty() {
        false => Finding::new(
            Severity::Blocking,
            option,
            format!("the log leaves out what is written in {} ({option} = {list})", unlogged.join(", ")),
        ),
        true => Finding::new(
            Severity::Warning,
            option,
            format!(
                "a TRUNCATE, ALTER or DROP is not logged where the session that says it uses a database that is left out \
                 ({option} = {list})"
            ),
        ),
    };
    findings.push(finding.mend(format!("take {option} out of the server's configuration, and restart it")));
    Ok(())
}

/// Of tables, and of parents whose rows take theirs along.
fn schemas(tables: &[Arc<Table>]) -> BTreeSet<&str> {
    let acts = |action: Action| matches!(action, Action::Cascade | Action::SetNull | Action::SetDefault);
    tables
        .iter()
        .flat_map(|table| {
            let parents = table.foreign_keys.iter().filter(|key| acts(key.on_delete) || acts(key.on_update));
            parents.map(|key| key.parent.schema.as_str()).chain([table.name.schema.as_str()])
        })
        .collect()
}

/// Lists as the server shows them, apart by commas.
struct Filter {
    only: String,
    not: String,
}

impl Filter {
    /// The second counts only without the first.
    fn option(&self) -> Option<(&'static str, &str)> {
        match (self.only.as_str(), self.not.as_str()) {
            ("", "") => None,
            ("", not) => Some(("binlog_ignore_db", not)),
            (only, _) => Some(("binlog_do_db", only)),
        }
    }

    fn logs(&self, schema: &str) -> bool {
        let names = |list: &str| format!(",{list},").contains(&format!(",{schema},"));
        if self.only.is_empty() { !names(&self.not) } else { names(&self.only) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_logged_if_it_is_listed_or_not_left_out() {
        let logs = |only: &str, not: &str| Filter { only: only.into(), not: not.into() }.logs("shop");
        assert!(logs("", "") && logs("", "shops,a") && logs("a,shop", "") && logs("shop", "shop"));
        assert!(!logs("", "a,shop") && !logs("shops", "") && !logs("a", "a"));
    }

    #[test]
    fn a_parent_s_database_counts_if_its_rows_take_others_along() {
        let mut child = Table::new(crate::model::TableName::new("shop", "child"), Vec::new(), Vec::new());
        let key = |schema: &str, on_delete| crate::model::ForeignKey {
            columns: Vec::new(),
            parent: crate::model::TableName::new(schema, "parent"),
            parent_columns: Vec::new(),
            on_delete,
            on_update: Action::Restrict,
        };
        child.foreign_keys = vec![key("far", Action::Cascade), key("still", Action::Restrict)];
        assert_eq!(schemas(&[Arc::new(child)]), BTreeSet::from(["far", "shop"]));
    }
}
