//! How large the tables are, and how long the server keeps its log, by what it knows without looking at rows.

use super::{
    connect::Session,
    failure::{self, Answer},
    schema::strings,
    server::Family,
};
use crate::{
    error::Result,
    model::{Table, TableName},
    source::{Size, Survey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(super) async fn survey(session: &mut Session, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
    let mut survey = Survey { sizes: vec![Size::default(); tables.len()], ..Survey::default() };
    let asking = |failure| failure::error(failure, "asking for sizes");
    match tokio::time::timeout(within, sizes(session, tables)).await {
        Ok(sizes) => survey.sizes = sizes.map_err(asking)?,
        // The answer may still come; the connection is of no more use.
        Err(_) => return Ok(survey),
    }
    survey.log_kept = log_kept(session).await.map_err(asking)?;
    survey.log = match survey.log_kept {
        Some(kept) => format!(
            "the server purges its binary log after {} hours, also where a job needs it",
            kept.as_secs() / 3_600
        ),
        None => "the server keeps its binary log until somebody purges it".to_owned(),
    };
    Ok(survey)
}

/// By the server's own statistics: of InnoDB a guess, half or double at times.
async fn sizes(session: &mut Session, tables: &[Arc<Table>]) -> Answer<Vec<Size>> {
    let mut known = BTreeMap::new();
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.name.schema.as_str()).collect();
    for schema in schemas {
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {}",
            super::text::literal(schema)
        );
        for row in session.rows(sql).await? {
            let [schema, name, rows, bytes] = strings(row);
            known.insert(TableName::new(schema, name), Size { rows: rows.parse().ok(), bytes: bytes.parse().ok() });
        }
    }
    Ok(tables.iter().map(|table| known.get(&table.name).copied().unwrap_or_default()).collect())
}

/// How long files of the log are kept; `None`: for ever.
pub(super) async fn log_kept(session: &mut Session) -> Answer<Option<Duration>> {
    let seconds = match session.setting("binlog_expire_logs_seconds").await? {
        Some(seconds) if seconds != "0" => seconds.parse::<f64>().unwrap_or(0.0),
        _ => {
            let days = session.setting("expire_logs_days").await?.unwrap_or_default();
            days.parse::<f64>().unwrap_or(0.0) * 86_400.0
        }
    };
    let automatic = session.server.family == Family::Mariadb
        || session.setting("binlog_expire_logs_auto_purge").await?.is_none_or(|on| on == "1");
    Ok((seconds > 0.0 && automatic).then(|| Duration::from_secs_f64(seconds)))
}
