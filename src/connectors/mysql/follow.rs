//! Opens the log at a position: proves it continuous on both sides first (invariant 8).

use super::{
    batches::Batches,
    connect::Session,
    failure::{self, Answer},
    feed::{TailFeed, only},
    history::{History, World},
    position::{Point, Reach},
    proof,
    server::Family,
    sight,
    tail::Tail,
    wire::{Logged, Wire},
};
use crate::{
    error::{Error, ErrorKind, Result},
    model::{Checkpoint, TableName},
    source::Backlog,
};
use std::fmt::Display;

pub(super) async fn open(
    world: World,
    from: &Checkpoint,
    edges: &[Checkpoint],
    names: &[TableName],
) -> Result<TailFeed> {
    let from = only(from).ok_or_else(|| Error::lost("there is no saved position to follow the log from"))?;
    let mut point = Point::read(from)?;
    let mut session = world.connections.open().await?;
    let logged = sight::logged(&mut session).await;
    let logged = logged.map_err(|failure| failure::error(failure, "asking where the log ends"))?;
    proof::prove(&logged, &point)?;
    let server = session.server.clone();
    let expands = expands(&mut session).await.map_err(|failure| failure::error(failure, "asking for a setting"))?;
    let batches = Batches::new(from, edges)?;
    let (wire, first) = match first(&world, session, &point.since).await {
        // The last transaction before us is purged, what follows is not: nothing is missing.
        Err(error) if error.kind() == ErrorKind::Lost && point.since != point.at && point.proof.is_some() => {
            let session = world.connections.open().await?;
            let opened = first(&world, session, &point.at).await.map_err(|_| error)?;
            point = Point { since: point.at.clone(), proof: None, ..point };
            opened
        }
        opened => opened?,
    };
    let history = History::open(world, &point.at, names, server.folds_names).await?;
    let tail = Tail::new(from, point, batches, history, expands);
    Ok(TailFeed::new(wire, tail, first))
}

/// Whether the log is silent about what foreign keys do. MySQL tells since 9.6, unless that is left to InnoDB.
pub(super) async fn expands(session: &mut Session) -> Answer<bool> {
    Ok(match session.server.at_least(Family::Mysql, (9, 6, 0)) {
        true => matches!(session.setting("innodb_native_foreign_keys").await?.as_deref(), Some("1" | "ON")),
        false => true,
    })
}

/// The stream, and its first event: a server that cannot give the log says so instead.
async fn first(world: &World, session: Session, from: &Reach) -> Result<(Wire, Logged)> {
    let mut wire = Wire::open(&world.config, session, from).await?;
    let first = wire.next().await?;
    Ok((wire, first))
}

/// Whether anything lies behind `from`; an error if the log does not reach back to it. How many rows is in no list.
pub(super) async fn backlog(session: &mut Session, from: &Checkpoint) -> Result<Backlog> {
    let asking = |failure| failure::error(failure, "asking where the log ends");
    let Some(from) = only(from) else { return Ok(Backlog::default()) };
    let point = Point::read(from)?;
    let logged = sight::logged(session).await.map_err(asking)?;
    proof::prove(&logged, &point)?;
    match &point.at {
        Reach::Maria(at) => {
            let files = session.rows("SHOW BINARY LOGS").await.map_err(asking)?;
            if let Some(Some(oldest)) = files.first().and_then(|row| row.first()) {
                let sql = format!("SELECT BINLOG_GTID_POS({}, 4)", super::text::literal(oldest));
                let purged = session.value(sql).await.map_err(asking)?.unwrap_or_default();
                if let Ok(purged) = purged.parse()
                    && !at.contains(&purged)
                {
                    return Err(begins_behind(&purged, &point.at));
                }
            }
        }
        Reach::Mysql(at) => {
            let purged = session.value("SELECT @@GLOBAL.gtid_purged").await.map_err(asking)?.unwrap_or_default();
            if let Ok(purged) = purged.parse()
                && !at.contains(&purged)
            {
                return Err(begins_behind(&purged, &point.at));
            }
        }
        Reach::File(at) => {
            let files = session.rows("SHOW BINARY LOGS").await.map_err(asking)?;
            let is_there = |row: &Vec<Option<String>>| row.first().is_some_and(|name| name.as_ref() == Some(&at.name));
            if !files.iter().any(is_there) {
                let oldest = files.into_iter().next().and_then(|row| row.into_iter().next().flatten());
                return Err(begins_behind(&oldest.unwrap_or_default(), &point.at));
            }
        }
    }
    let changes = point.at.contains(&logged)?.then_some(0);
    Ok(Backlog { changes, ..Backlog::default() })
}

fn begins_behind(oldest: &dyn Display, at: &Reach) -> Error {
    proof::forgotten(format!("the log that is left begins behind {oldest}, we stand at {at}"))
}
