//! A connection that writes: runs several statements in one round trip and says how many rows each found.

use super::{
    connect::{Connections, Session},
    failure::{self, Answer},
    server::SQL_MODE,
    statement::BYTES,
    text::quote,
};
use crate::{
    error::Result,
    faults::{self, Saboteur},
};
use mysql_async::{Value, prelude::Queryable};
use std::time::{Duration, Instant};

/// Kept below what the server takes, for what the protocol adds.
const MARGIN: usize = 1_024;

/// Texts are cut at this, whatever the server takes: they are in memory here and there.
const TEXT: usize = 8 << 20;

/// The server ends a connection of ours that is silent for so long, with what it has open: nobody waits longer for a
/// zombie's locks.
const SILENCE_SECS: u64 = 120;

/// The same where a transaction stays open between batches.
const SILENCE_OPEN_SECS: u64 = 900;

/// The server waits so long for a row that another transaction holds.
const ROW_LOCK_SECS: u64 = 10;

/// A connection that rested longer may be gone: a new one is made instead.
const REST: Duration = Duration::from_secs(SILENCE_SECS / 2);

/// Rows in bulk save the server a quarter of its work, and cost a round trip for each thousand: worth it up to here.
const NEAR: Duration = Duration::from_millis(1);

pub(super) struct Lane {
    pub session: Session,
    /// Bytes of one packet.
    pub packet: usize,
    /// Of rows for one packet of the bulk protocol; 0: the server does not know it, or is not near enough for it.
    pub bulk_bytes: usize,
    rested: Instant,
}

impl Lane {
    pub async fn open(connections: &Connections, transactional: bool) -> Result<Lane> {
        let session = connections.open().await?;
        let database = connections.config.database.as_deref();
        Lane::set_up(session, database, transactional)
            .await
            .map_err(|failure| failure::error(failure, "setting up a lane"))
    }

    async fn set_up(mut session: Session, database: Option<&str>, transactional: bool) -> Answer<Lane> {
        let asked = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('max_allowed_packet', 'binlog_format', 'log_bin')";
        let known = session.rows(asked).await?;
        let setting =
            |name: &str| known.iter().find(|row| row[0].as_deref() == Some(name)).and_then(|row| row[1].clone());
        let packet = setting("max_allowed_packet").and_then(|bytes| bytes.parse().ok());
        // InnoDB writes under READ COMMITTED only what is logged by rows; it locks less that way.
        let logs = setting("log_bin").as_deref() == Some("ON");
        let by_statement = logs && setting("binlog_format").as_deref() == Some("STATEMENT");
        let isolation = if by_statement { "REPEATABLE READ" } else { "READ COMMITTED" };
        let silence = if transactional { SILENCE_OPEN_SECS } else { SILENCE_SECS };
        let mut settings = vec![
            // The source has kept these rules; children may come before their parents.
            format!("foreign_key_checks = {}", u8::from(faults::on(Saboteur::ForeignKeysAct))),
            "unique_checks = 1".to_owned(),
            "autocommit = 1".to_owned(),
            // A table that somebody alters is a lock like others.
            "lock_wait_timeout = 60".to_owned(),
            // A row's lock is tried again, and told.
            // (MySQL takes no number that may be a fraction.)
            format!(
                "innodb_lock_wait_timeout = CAST(LEAST(@@GLOBAL.innodb_lock_wait_timeout, {ROW_LOCK_SECS}) AS SIGNED)"
            ),
            format!("wait_timeout = {silence}"),
            format!("net_read_timeout = {SILENCE_SECS}"),
        ];
        if session.server.is_mariadb() && session.server.version >= (10, 3, 0) {
            settings.push(format!("idle_transaction_timeout = {silence}"));
        }
        // MySQL wants a database for a table that is only named within a statement.
        let used = database.map(|database| format!("USE {}; ", quote(database))).unwrap_or_default();
        let settings = settings.join(", ");
        session.run(format!("{used}SET SESSION TRANSACTION ISOLATION LEVEL {isolation}; SET {settings}")).await?;
        let packet = packet.unwrap_or(1 << 20);
        // A value may need four times its bytes there, and both ends bound a packet.
        let bulk_bytes = BYTES.min(packet.min(session.conn.opts().max_allowed_packet().unwrap_or(packet)) / 4);
        let takes_bulk = session.server.is_mariadb() && round_trip(&mut session).await? <= NEAR;
        let bulk_bytes = if takes_bulk { bulk_bytes } else { 0 };
        Ok(Lane { session, packet, bulk_bytes, rested: Instant::now() })
    }

    /// Bytes of one text of ours.
    pub fn text_limit(&self) -> usize {
        TEXT.min(self.packet.saturating_sub(MARGIN))
    }

    /// It goes back to the others.
    pub fn rest(mut self) -> Lane {
        self.rested = Instant::now();
        self
    }

    pub fn is_fresh(&self) -> bool {
        self.rested.elapsed() < REST
    }

    /// Runs the statements of one text, one after the other, until one fails.
    pub async fn run(&mut self, text: &[u8]) -> Ran {
        let mut ran = Ran { found: Vec::new(), failure: None };
        if let Err(failure) = run(&mut self.session, text, &mut ran).await {
            ran.failure = Some(failure);
        }
        ran
    }

    /// One statement for each of its rows, which are few enough for one packet: the driver tells the server the kinds of
    /// values in the first packet only, where a column may have been NULL throughout.
    pub async fn run_bulk(&mut self, sql: &str, rows: Vec<Vec<Value>>) -> Ran {
        let ran = self.session.conn.exec_batch(sql, rows).await;
        Ran { found: ran.is_ok().then_some(0).into_iter().collect(), failure: ran.err() }
    }

    /// One statement.
    pub async fn execute(&mut self, sql: impl Into<String>) -> Answer<()> {
        self.session.run(sql).await
    }

    /// Undoes what is open. The mode is set again, since a failure may have come between two settings of it.
    pub async fn roll_back(&mut self) -> Answer<()> {
        self.undo("ROLLBACK").await
    }

    /// The same up to a savepoint.
    pub async fn roll_back_to(&mut self, savepoint: &str) -> Answer<()> {
        self.undo(&format!("ROLLBACK TO SAVEPOINT {savepoint}")).await
    }

    async fn undo(&mut self, how: &str) -> Answer<()> {
        let ran = self.run(format!("{how}; SET SESSION sql_mode = '{SQL_MODE}'").as_bytes()).await;
        ran.failure.map_or(Ok(()), Err)
    }
}

/// The shortest of a few: another process may hold ours up.
async fn round_trip(session: &mut Session) -> Answer<Duration> {
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        session.conn.ping().await?;
        shortest = shortest.min(asked.elapsed());
        if shortest <= NEAR || shortest > 20 * NEAR {
            break;
        }
    }
    Ok(shortest)
}

/// What became of the statements of a text.
pub(super) struct Ran {
    /// Rows found by each that succeeded.
    pub found: Vec<u64>,
    /// Why the next one failed; those behind it were not tried.
    pub failure: Option<mysql_async::Error>,
}

async fn run(session: &mut Session, text: &[u8], ran: &mut Ran) -> Answer<()> {
    let mut result = session.conn.query_iter(text).await?;
    // `next` also goes on to the next answer where the rows of one end.
    while let Some(columns) = result.columns() {
        let found = result.affected_rows();
        while result.next().await?.is_some() {}
        ran.found.push(if columns.is_empty() { found } else { 0 });
    }
    // A failure behind the first answer waits until it is asked for.
    result.drop_result().await
}
