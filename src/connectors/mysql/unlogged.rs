//! What a server holds and never logs: what it replicates.

use super::{
    config::Config,
    connect::Session,
    failure::{self, Answer, code},
    grants,
    server::Server,
};
use crate::model::{Finding, Severity};

const UPDATES: &str = "in the server's configuration: log_slave_updates = ON; then restart it";

/// Whose log is not whole, is not followed: rows would be missed, and nothing would say so.
pub(super) async fn look(session: &mut Session, config: &Config, findings: &mut Vec<Finding>) -> Answer<()> {
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
