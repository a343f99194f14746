//! Where a job begins: at a snapshot, and before every XA transaction that could still be ended behind it.

use super::{
    connect::{Connections, Session},
    failure,
    history::{History, World},
    position::Point,
    recent, sight,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Table, TableName},
};
use std::sync::Arc;
use tokio::time::timeout;

/// R1, rounding down: what the snapshot does not show is behind the point, also where the log has it already (a commit
/// that waits for its replica, hazards A2).
///
/// Rows of an XA transaction are in the log where it was prepared, and count from where it is committed. None may be
/// prepared at the moment the log is asked for its end; reading starts there, so those that follow are met.
pub(super) async fn begin(connections: &Connections, session: &mut Session) -> Result<Point> {
    let before = sight::shown(session).await?;
    if !faults::on(Saboteur::PreparedIgnored) {
        nothing_prepared(session).await?;
    }
    faults::point("mysql/begin");
    let at = match session.server.is_mariadb() {
        true if faults::on(Saboteur::BeginAtLogEnd) => {
            let logged = sight::logged(session).await;
            logged.map_err(|failure| failure::error(failure, "asking where the log ends"))?
        }
        true => {
            let at = sight::exact_snapshot(session).await?;
            session.run("COMMIT").await.map_err(|failure| failure::error(failure, "closing a snapshot"))?;
            at
        }
        false => sight::shown(session).await?,
    };
    let since = match at.contains(&before)? {
        false => at.clone(),
        true => before,
    };
    recent::point(connections, session, since, at).await
}

/// The point with the shapes that the tables have there: what the copy lets pile up in the log need not be looked through
/// for changes of them. A begin does without rather than wait: where one is altered at this moment, or where a transaction
/// has its number and is not written.
pub(super) async fn with_shapes(world: World, point: Point, tables: &[Arc<Table>], folds_names: bool) -> Point {
    let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
    match timeout(recent::PATIENCE, History::open(world, &point, &names, folds_names)).await {
        Ok(Ok(history)) => Point { shapes: history.fingerprint(), ..point },
        _ => point,
    }
}

async fn nothing_prepared(session: &mut Session) -> Result<()> {
    let asking = |failure| failure::error(failure, "asking for prepared transactions");
    // In the log, and not yet in the list.
    let preparing = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                     WHERE INFO LIKE 'XA %PREPARE%' OR INFO LIKE 'xa %prepare%'";
    let preparing = session.value(preparing).await.map_err(asking)?;
    let prepared = session.rows("XA RECOVER").await.map_err(asking)?;
    if prepared.is_empty() && preparing.as_deref() == Some("0") {
        return Ok(());
    }
    let name = |row: &Vec<Option<String>>| row.last().cloned().flatten().unwrap_or_default();
    let names: Vec<String> = prepared.iter().map(|row| format!("'{}'", name(row))).take(5).collect();
    Err(Error::transient(format!("{} XA transactions are prepared: {}", prepared.len(), names.join(", "))).hint(
        "the job begins when they have ended; of those that nobody will end: XA RECOVER, then XA COMMIT or XA ROLLBACK",
    ))
}
