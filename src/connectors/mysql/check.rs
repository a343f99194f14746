//! What a server lacks before its tables can be followed, each with the statement that mends it. Writes nothing.

use super::{
    config::Config,
    connect::Session,
    failure::{self, Answer},
    grants, known,
    schema::{self, Shape},
    server::Family,
    sight, survey,
    text::{self, quote},
    types::Native,
    unlogged,
};
use crate::{
    error::Result,
    model::{Action, Column, Finding, JobId, Severity, Table, TableName},
};
use std::{sync::Arc, time::Duration};

/// Below, a weekend without the daemon ends in a new copy.
const LOG_KEPT: Duration = Duration::from_secs(3 * 86_400);

pub(super) async fn check(
    session: &mut Session,
    config: &Config,
    _: JobId,
    tables: &[Arc<Table>],
) -> Result<Vec<Finding>> {
    let asking = |failure| failure::error(failure, "checking the server");
    let mut findings = Vec::from_iter(known::untried(&session.server));
    settings(session, &mut findings).await.map_err(asking)?;
    unlogged::look(session, config, tables, &mut findings).await.map_err(asking)?;
    granted(session, config, &mut findings).await.map_err(asking)?;
    let is_silent = is_silent(session).await.map_err(asking)?;
    let there = schema::read_many(session, tables).await?;
    for table in tables {
        match there.get(&table.name) {
            Some(shape) => of_table(session, shape, is_silent, &mut findings).await.map_err(asking)?,
            None => findings.push(
                Finding::new(Severity::Blocking, table.name.to_string(), "there is no such table at the source")
                    .mend("take it out of the job's tables, or create it"),
            ),
        }
    }
    Ok(findings)
}

/// Of the whole server.
async fn settings(session: &mut Session, findings: &mut Vec<Finding>) -> Answer<()> {
    let on = |value: &str| matches!(value, "1" | "ON");
    let mut add = |severity, name: &str, text: String, mend: &str| {
        findings.push(Finding::new(severity, name, text).mend(mend));
    };
    if !session.setting("log_bin").await?.is_some_and(|value| on(&value)) {
        let mend = "in the server's configuration, below [mysqld]: log_bin = binlog; then restart it";
        add(Severity::Blocking, "log_bin", "the server keeps no binary log".into(), mend);
        return Ok(());
    }
    let format = session.setting("binlog_format").await?.unwrap_or_else(|| "ROW".into());
    if format != "ROW" {
        let text = format!("the log is kept as {format}: it holds statements, not the rows that they change");
        let mend = "SET GLOBAL binlog_format = 'ROW'; and in the server's configuration: binlog_format = ROW; sessions \
                    that are open keep the old one until they end";
        add(Severity::Blocking, "binlog_format", text, mend);
    }
    let image = session.setting("binlog_row_image").await?.unwrap_or_else(|| "FULL".into());
    if !matches!(image.as_str(), "FULL" | "FULL_NODUP") {
        let text = format!("rows are logged as {image}: those that the target lacks are read from the source again");
        add(Severity::Warning, "binlog_row_image", text, "SET GLOBAL binlog_row_image = 'FULL'");
    }
    // Before MySQL 8 there is no such setting.
    if let Some(metadata) = session.setting("binlog_row_metadata").await?.filter(|metadata| metadata != "FULL") {
        let text = format!(
            "the log does not name columns (binlog_row_metadata = {metadata}): after a change of a \
                                table while no daemon runs, its rows may have to be copied again"
        );
        add(Severity::Info, "binlog_row_metadata", text, "SET GLOBAL binlog_row_metadata = 'FULL'");
    }
    if session.setting("gtid_mode").await?.is_some_and(|mode| mode != "ON") {
        let text =
            "GTIDs are off: the job stands at a place in files of this one server; where a replica takes over, all \
                    tables are copied again"
                .to_owned();
        let mend = match session.server.at_least(Family::Mysql, (5, 7, 6)) {
            true => {
                "SET GLOBAL enforce_gtid_consistency = ON; then gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON in \
                 turn; and create the job after that"
            }
            false => {
                "in the server's configuration: gtid_mode = ON, enforce_gtid_consistency = ON, log_slave_updates = ON; \
                 then restart it, and create the job after that"
            }
        };
        add(Severity::Warning, "gtid_mode", text, mend);
    }
    if session.setting("binlog_transaction_compression").await?.is_some_and(|value| on(&value)) {
        let text = "transactions are logged compressed: each is held in memory as a whole, unpacked".to_owned();
        let mend = "SET GLOBAL binlog_transaction_compression = OFF; it holds for sessions that begin after it";
        add(Severity::Warning, "binlog_transaction_compression", text, mend);
    }
    if session.setting("binlog_row_value_options").await?.is_some_and(|options| !options.is_empty()) {
        let text = "of documents the log holds differences: their rows are read from the source again".to_owned();
        add(Severity::Warning, "binlog_row_value_options", text, "SET GLOBAL binlog_row_value_options = ''");
    }
    if session.setting("server_id").await?.is_none_or(|id| id == "0") {
        let text = "the server has no number of its own (server_id = 0) and refuses replicas".to_owned();
        add(
            Severity::Blocking,
            "server_id",
            text,
            "SET GLOBAL server_id = 1; and the same in the server's configuration",
        );
    }
    for (name, durable) in [("sync_binlog", "1"), ("innodb_flush_log_at_trx_commit", "1")] {
        let value = session.setting(name).await?.unwrap_or_else(|| durable.into());
        if value != durable {
            let text = format!(
                "{name} is {value}: a power cut at the source can take back what targets already have; \
                                the job is then lost"
            );
            add(Severity::Warning, name, text, &format!("SET GLOBAL {name} = {durable}"));
        }
    }
    if let Some(kept) = survey::log_kept(session).await?.filter(|kept| *kept < LOG_KEPT) {
        let text = format!(
            "the log is purged after {} hours, also where a job still needs it: a longer stop of the daemon ends in a \
             new copy",
            kept.as_secs() / 3_600
        );
        let mend = match session.setting("binlog_expire_logs_seconds").await? {
            Some(_) => "SET GLOBAL binlog_expire_logs_seconds = 604800",
            None => "SET GLOBAL expire_logs_days = 7",
        };
        add(Severity::Warning, "binlog_expire_logs_seconds", text, mend);
    }
    Ok(())
}

/// What the account may do: reading the log needs more than reading tables.
async fn granted(session: &mut Session, config: &Config, findings: &mut Vec<Finding>) -> Answer<()> {
    let rows = session.rows("SHOW GRANTS").await?;
    let granted: Vec<String> = rows
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .map(|line| line.to_ascii_uppercase())
        .collect();
    let everywhere = |names: &[&str]| {
        granted.iter().filter(|line| line.contains(" ON *.* ")).any(|line| {
            let list = line.strip_prefix("GRANT ").and_then(|line| line.split(" ON *.* ").next()).unwrap_or_default();
            list.split(',').map(str::trim).any(|granted| granted == "ALL PRIVILEGES" || names.contains(&granted))
        })
    };
    let account = grants::account(session).await?;
    let monitor = match session.server.is_mariadb() && session.server.version >= (10, 5, 2) {
        true => "BINLOG MONITOR",
        false => "REPLICATION CLIENT",
    };
    let mut needs: Vec<(&str, &[&str], &str)> = vec![
        ("REPLICATION SLAVE", &["REPLICATION SLAVE", "REPLICATION REPLICA"], "read the binary log"),
        (monitor, &["BINLOG MONITOR", "REPLICATION CLIENT", "SUPER"], "ask where the binary log ends"),
    ];
    if session.server.at_least(Family::Mysql, (8, 0, 0)) {
        needs.push(("XA_RECOVER_ADMIN", &["XA_RECOVER_ADMIN"], "ask which XA transactions are prepared"));
    }
    if sight::asks_the_engine(session).await? {
        needs.push(("PROCESS", &["PROCESS"], "ask which transactions are being committed"));
    }
    for (grant, names, purpose) in &needs {
        if !everywhere(names) {
            let text = format!("the account {account} may not {purpose}");
            let finding = Finding::new(Severity::Blocking, config.user.clone(), text);
            findings.push(finding.mend(format!("GRANT {grant} ON *.* TO {account}")));
        }
    }
    if !needs.iter().any(|(grant, ..)| *grant == "PROCESS") && !everywhere(&["PROCESS"]) {
        let text = format!(
            "the account {account} does not see what others run: a job that begins while an XA transaction is just \
             being prepared may be lost when that one ends"
        );
        let finding = Finding::new(Severity::Warning, "PROCESS", text);
        findings.push(finding.mend(format!("GRANT PROCESS ON *.* TO {account}")));
    }
    Ok(())
}

/// Whether what is logged from now on is silent about what foreign keys do. MySQL tells since 9.6, unless that is left to
/// InnoDB.
async fn is_silent(session: &mut Session) -> Answer<bool> {
    Ok(match session.server.at_least(Family::Mysql, (9, 6, 0)) {
        true => matches!(session.setting("innodb_native_foreign_keys").await?.as_deref(), Some("1" | "ON")),
        false => true,
    })
}

async fn of_table(session: &mut Session, shape: &Shape, is_silent: bool, findings: &mut Vec<Finding>) -> Answer<()> {
    let name = &shape.table.name;
    // Whoever may do anything else to a table sees it.
    match session.rows(format!("SELECT * FROM {} LIMIT 0", text::table(name))).await {
        Err(failure) if failure::is_denied(&failure) => {
            findings.push(schema::unreadable(session, name).await?);
            return Ok(());
        }
        read => drop(read?),
    }
    let mut add = |severity, text: String, mend: Option<String>| {
        let finding = Finding::new(severity, name.to_string(), text);
        findings.push(match mend {
            Some(mend) => finding.mend(mend),
            None => finding,
        });
    };
    let table = text::table(name);
    if shape.table.is_keyless() {
        let text = "it has no primary key, and no unique index over columns that are never NULL: its rows can only be \
                    told apart by all their values, and it is copied in one long read";
        let mend = format!("ALTER TABLE {table} ADD COLUMN `id` BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY");
        add(Severity::Warning, text.into(), Some(mend));
    } else if !super::paging::is_pageable(shape) {
        let text = "its key cannot be cut into ranges (a label, or part of a text, is in it): it is copied in one long \
                    read";
        add(Severity::Info, text.into(), None);
    }
    if !shape.engine.eq_ignore_ascii_case("InnoDB") {
        let text = format!(
            "its engine is {}, which has no snapshots: what a read sees of a statement is by chance",
            shape.engine
        );
        let severity = if shape.table.is_keyless() { Severity::Blocking } else { Severity::Warning };
        add(severity, text, Some(format!("ALTER TABLE {table} ENGINE = InnoDB")));
    }
    let acts = |action: Action| matches!(action, Action::Cascade | Action::SetNull | Action::SetDefault);
    for foreign in shape.table.foreign_keys.iter().filter(|foreign| acts(foreign.on_delete) || acts(foreign.on_update))
    {
        let text = format!(
            "a foreign key to {} changes rows by itself; the server does not log those changes, they are worked out \
             from the parent's",
            foreign.parent
        );
        if is_silent {
            add(Severity::Info, text, None);
        }
    }
    for (column, native) in shape.table.columns.iter().zip(&shape.natives) {
        if let Native::Enum(labels) | Native::Set(labels) = native
            && unnamed(session, &table, column, labels).await?
        {
            let text = format!(
                "labels of column `{}` hold characters beyond the basic plane, which the server's catalogue shows as `?`",
                column.name
            );
            add(
                Severity::Blocking,
                text,
                Some(format!("ALTER TABLE {table} MODIFY {} … with other labels", quote(&column.name))),
            );
        }
    }
    let others = beside(session, name).await?;
    for text in others {
        findings.push(Finding::new(Severity::Info, name.to_string(), text));
    }
    Ok(())
}

/// Whether a row holds a label that is not the one that the catalogue shows.
async fn unnamed(session: &mut Session, table: &str, column: &Column, labels: &[String]) -> Answer<bool> {
    let wide = ["utf8mb4", "utf16", "utf16le", "utf32"];
    let is_wide = wide.iter().any(|set| column.declared.contains(&format!("CHARACTER SET {set} ")));
    if !is_wide || !labels.iter().any(|label| label.contains('?')) {
        return Ok(false);
    }
    // A character beyond the plane is the only one that takes four bytes in this form.
    let name = quote(&column.name);
    let four = format!("HEX(CONVERT({name} USING utf8mb4)) REGEXP '^([0-9A-F]{{2}})*F[0-4][89AB]'");
    Ok(session.value(format!("SELECT 1 FROM {table} WHERE {four} LIMIT 1")).await?.is_some())
}

/// Triggers, which are not carried: what they write is.
async fn beside(session: &mut Session, name: &TableName) -> Answer<Vec<String>> {
    let sql = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} AND EVENT_OBJECT_TABLE = {}",
        text::literal(&name.schema),
        text::literal(&name.name)
    );
    let triggers = session.rows(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten());
    let one =
        |trigger| format!("its trigger `{trigger}` is not carried: what it writes is; create it at the target by hand");
    Ok(triggers.map(one).collect())
}
