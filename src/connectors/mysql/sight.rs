//! R2: what a read of ours sees of the log, proven before it; R1: what it has shown, noted after it.

use super::{
    commits,
    connect::{Connections, Session},
    failure::{self, Answer},
    position::{self, File, Point, Reach},
    server::{Family, Server},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Checkpoint, Partition},
};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a server may take until it shows what it has logged: a replica that lags, a commit that waits for replicas.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Of one source.
#[derive(Default)]
pub(super) struct Sight {
    /// Every read on this server sees it.
    proven: Mutex<Option<(String, Reach)>>,
    /// At or after everything that reads have shown.
    shown: Mutex<Option<Reach>>,
}

impl Sight {
    /// Returns when every read that starts from now on sees all transactions at or before `after`.
    pub async fn prove(&self, session: &mut Session, after: &Checkpoint) -> Result<()> {
        let Some(position) = after.get(&Partition::new(Partition::ONLY)) else { return Ok(()) };
        let goal = Point::read(position)?.at;
        // Inside of a transaction, that one must be seen too: the end of the log has it.
        if faults::on(Saboteur::ReadBeforeShown) || position.ordinal() == 0 && self.knows(session, &goal)? {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        // Its rows are in the log, so it is among what is.
        let goal = match position.ordinal() {
            0 => goal,
            _ if session.server.is_mariadb() => goal,
            _ => commits::counted(session).await?,
        };
        let logged = loop {
            let logged = shown(session).await?;
            if logged.contains(&goal)? {
                break logged;
            }
            if is_foreign(&logged, &goal) {
                return Err(position::another_log());
            }
            wait(deadline, || format!("the server has not got as far as {goal} yet, it is at {logged}")).await?;
        };
        let seen = match session.server.is_mariadb() {
            true => {
                let goal = if position.ordinal() == 0 { goal } else { logged.clone() };
                shows(session, &goal, logged, deadline).await?
            }
            false => logged,
        };
        *self.proven.lock() = Some((session.server.identity.clone(), seen));
        Ok(())
    }

    /// To be called behind each read, on a connection beside it: the log ended there or earlier when it was made. Another
    /// server's log says nothing of what this one has shown.
    pub async fn note(&self, connections: &Connections, server: &Server) -> Result<()> {
        let mut session = connections.lease_beside(server).await?;
        let logged = commits::counted(&mut session).await?;
        connections.give_back(session);
        let mut shown = self.shown.lock();
        // Reads go on side by side; an earlier answer may come later.
        match &*shown {
            Some(known) if known.contains(&logged).unwrap_or(false) => {}
            _ => *shown = Some(logged),
        }
        Ok(())
    }

    /// Where the log stood, or further, when the last read was made.
    pub fn shown(&self) -> Option<Reach> {
        self.shown.lock().clone()
    }

    fn knows(&self, session: &Session, goal: &Reach) -> Result<bool> {
        match &*self.proven.lock() {
            Some((server, reach)) if *server == session.server.identity => reach.contains(goal),
            _ => Ok(false),
        }
    }
}

/// Nothing of the goal is in the log: it is not one that only lags.
fn is_foreign(logged: &Reach, goal: &Reach) -> bool {
    match (logged, goal) {
        (Reach::Maria(own), Reach::Maria(goal)) => !goal.iter().any(|gtid| own.get(gtid.domain).is_some()),
        (Reach::Mysql(own), Reach::Mysql(goal)) => !goal.servers().any(|server| own.servers().any(|own| own == server)),
        _ => false,
    }
}

async fn wait(deadline: Instant, text: impl FnOnce() -> String) -> Result<()> {
    if Instant::now() >= deadline {
        return Err(Error::transient(text()).hint("a replica may lag: `SHOW REPLICA STATUS` tells"));
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// Where the log ends, with what may still be given back (`commits::counted` leaves that out): what the server has of us.
pub(super) async fn logged(session: &mut Session) -> Answer<Reach> {
    if session.server.is_mariadb() || !has_numbers(session).await? {
        return ends(session).await;
    }
    // In this order nothing that was shown is in neither of the two.
    let owned = commits::owned_set(session).await?;
    let mut reach = ends(session).await?;
    if let Reach::Mysql(set) = &mut reach {
        set.union(&owned);
    }
    Ok(reach)
}

/// The point up to which a read that starts now sees everything. MariaDB: what is logged; `Sight::prove` does the rest.
pub(super) async fn shown(session: &mut Session) -> Result<Reach> {
    let asking = |failure| failure::error(failure, "asking where the log ends");
    let reach = ends(session).await.map_err(asking)?;
    if asks_the_engine(session).await.map_err(asking)? {
        commits::settled(session).await?;
    }
    Ok(reach)
}

/// MySQL counts as executed what is shown already, since 5.7; before, and in files, what is written: then the engine is
/// asked what is in between.
pub(super) async fn asks_the_engine(session: &mut Session) -> Answer<bool> {
    Ok(!session.server.is_mariadb() && !shows_before_it_counts(session).await?)
}

/// MySQL's numbers since 5.7: a read may show a transaction whose number is still owned.
pub(super) async fn shows_before_it_counts(session: &mut Session) -> Answer<bool> {
    Ok(session.server.at_least(Family::Mysql, (5, 7, 5)) && has_numbers(session).await?)
}

pub(super) async fn ends(session: &mut Session) -> Answer<Reach> {
    if session.server.is_mariadb() {
        let domains = session.value("SELECT @@GLOBAL.gtid_binlog_pos").await?.unwrap_or_default();
        return Ok(Reach::Maria(domains.parse().map_err(|_| strange(&domains))?));
    }
    if has_numbers(session).await? {
        let set = session.value("SELECT @@GLOBAL.gtid_executed").await?.unwrap_or_default();
        return Ok(Reach::Mysql(set.parse().map_err(|_| strange(&set))?));
    }
    let (name, byte) = end_of_files(session).await?;
    let server = Uuid::parse_str(&session.server.identity).map_err(|_| strange(&session.server.identity))?;
    Ok(Reach::File(File { server, name, byte }))
}

/// Whether every transaction of a MySQL server has a number.
async fn has_numbers(session: &mut Session) -> Answer<bool> {
    Ok(session.value("SELECT @@GLOBAL.gtid_mode").await?.as_deref() == Some("ON"))
}

/// File, place, and the databases that are logged and those that are not.
pub(super) fn asks_for_the_end(server: &Server) -> &'static str {
    match server.at_least(Family::Mysql, (8, 2, 0)) {
        true => "SHOW BINARY LOG STATUS",
        false => "SHOW MASTER STATUS",
    }
}

/// The newest file of the log and where it ends.
pub(super) async fn end_of_files(session: &mut Session) -> Answer<(String, u64)> {
    let row = session.rows(asks_for_the_end(&session.server)).await?.into_iter().next();
    let mut values = row.into_iter().flatten().map(Option::unwrap_or_default);
    match (values.next(), values.next().and_then(|place| place.parse().ok())) {
        (Some(name), Some(place)) => Ok((name, place)),
        _ => Err(mysql_async::Error::Other("the server keeps no binary log".into())),
    }
}

/// MariaDB writes a transaction to the log before it commits it, and may wait for a replica in between. Where a snapshot
/// stands, all before is committed: what it shows, once that is all of `goal`. `logged` was in the log before.
async fn shows(session: &mut Session, goal: &Reach, logged: Reach, deadline: Instant) -> Result<Reach> {
    let asking = |failure| failure::error(failure, "asking what a snapshot shows");
    let end = end_of_files(session).await.map_err(asking)?;
    loop {
        let shown = open_snapshot(session).await.map_err(asking)?;
        session.run("COMMIT").await.map_err(asking)?;
        // Nothing waits, as nearly always: asking for GTIDs would make the server read its file up to there.
        if is_at_or_after(&shown, &end) {
            return Ok(logged);
        }
        let shown = reach_of(session, &shown).await?;
        if shown.contains(goal)? {
            return Ok(shown);
        }
        wait(deadline, || format!("{goal} is logged, but only shown up to {shown}")).await?;
    }
}

/// Files are numbered at their ends.
fn is_at_or_after(at: &(String, u64), other: &(String, u64)) -> bool {
    let number = |name: &str| name.rsplit('.').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    (number(&at.0), at.1) >= (number(&other.0), other.1)
}

/// MariaDB: everything before a place in the files.
async fn reach_of(session: &mut Session, (file, place): &(String, u64)) -> Result<Reach> {
    let asking = |failure| failure::error(failure, "asking what a snapshot shows");
    let sql = format!("SELECT BINLOG_GTID_POS({}, {place})", super::text::literal(file));
    let domains = session.value(sql).await.map_err(asking)?;
    let domains = domains
        .ok_or_else(|| Error::transient(format!("the server does not know where {file}:{place} is in its log")))?;
    Ok(Reach::Maria(domains.parse().map_err(|_| asking(strange(&domains)))?))
}

/// MariaDB: opens a transaction whose reads are all of one moment; file and offset where that is in the log.
async fn open_snapshot(session: &mut Session) -> Answer<(String, u64)> {
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let status = session.rows("SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let find = |name: &str| {
        let row = status.iter().find(|row| row[0].as_deref().is_some_and(|found| found.eq_ignore_ascii_case(name)))?;
        row[1].clone()
    };
    let place = find("binlog_snapshot_position").and_then(|place| place.parse().ok());
    match (find("binlog_snapshot_file").filter(|file| !file.is_empty()), place) {
        (Some(file), Some(place)) => Ok((file, place)),
        _ => Err(mysql_async::Error::Other("the server keeps no binary log".into())),
    }
}

/// Opens a transaction whose reads are all of one moment, and says exactly where in the log that is.
pub(super) async fn exact_snapshot(session: &mut Session) -> Result<Reach> {
    let opening = |failure| failure::error(failure, "opening a snapshot");
    if session.server.is_mariadb() {
        let place = open_snapshot(session).await.map_err(opening)?;
        return reach_of(session, &place).await;
    }
    // MySQL does not say where a snapshot stands. If nothing was written around its opening, it stands there.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = shown(session).await?;
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await.map_err(opening)?;
        let after = commits::counted(session).await?;
        if before == after {
            return Ok(after);
        }
        session.run("ROLLBACK").await.map_err(opening)?;
        wait(deadline, || "the server commits without a pause: no snapshot with a known position".to_owned()).await?;
    }
}

pub(super) fn strange(text: &str) -> mysql_async::Error {
    mysql_async::Error::Other(format!("the server names a position that cannot be read: `{text}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_each_other_by_number() {
        let at = |name: &str, place| (name.to_owned(), place);
        assert!(is_at_or_after(&at("binlog.1000000", 4), &at("binlog.999999", 900)));
        assert!(is_at_or_after(&at("binlog.000002", 7), &at("binlog.000002", 7)));
        assert!(!is_at_or_after(&at("binlog.000002", 6), &at("binlog.000002", 7)));
    }
}
