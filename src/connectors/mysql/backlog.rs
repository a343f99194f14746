//! How much of a server's log lies behind a position, since when, and until when the server keeps it.

use super::{
    binlog::{Decoder, Event},
    connect::{Connections, Session},
    failure::{self, Answer},
    feed::only,
    gtid::GtidSet,
    position::{Point, Reach},
    proof, schema, sight, survey,
    text::literal,
    wire::Wire,
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Position},
    source::Backlog,
};
use parking_lot::Mutex;
use std::{collections::VecDeque, fmt::Display, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Of as many targets as a job has, and some more.
const POSITIONS: usize = 32;

/// What is in the log comes at once, unless the server has much to pass over before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of positions that were asked about lately: the log is not read again where a target stands still.
#[derive(Default)]
pub(super) struct Ages(Mutex<VecDeque<(Position, Age)>>);

#[derive(Clone, Copy)]
enum Age {
    /// It may have moved on when it is asked about next.
    Unread,
    /// What comes next was written then, ms since 1970.
    Read(u64),
}

/// An error if the log does not reach back to `from`. How many rows are behind it is in no list.
pub(super) async fn backlog(connections: &Connections, ages: &Ages, from: &Checkpoint) -> Result<Backlog> {
    let asking = |failure| failure::error(failure, "asking where the log ends");
    let Some(from) = only(from) else { return Ok(Backlog::default()) };
    let point = Point::read(from)?;
    let mut session = connections.lease().await?;
    let logged = sight::logged(&mut session).await.map_err(asking)?;
    proof::prove(&logged, &point)?;
    let files = files(&mut session).await.map_err(asking)?;
    let (first, purged) = first(&mut session, &files, &point.at).await?;
    if let Some(purged) = purged {
        return Err(begins_behind(&purged, &point.at));
    }
    let kept = survey::log_kept(&mut session).await.map_err(asking)?;
    let kept_ms = kept.and_then(|kept| u64::try_from(kept.as_millis()).ok());
    connections.give_back(session);
    if point.at.contains(&logged)? {
        ages.note(from, Age::Unread);
        return Ok(Backlog { changes: Some(0), bytes: Some(0), oldest_ms: None, kept_ms });
    }
    // A file is kept or purged as a whole.
    let read = if let Reach::File(at) = &point.at { at.byte } else { 0 };
    let bytes = files[first..].iter().map(|(_, bytes)| bytes).sum::<u64>().saturating_sub(read);
    let oldest_ms = match ages.known(from, &point) {
        Some(known) => Some(known),
        None => {
            let age = next_written(connections, &point.at).await?;
            if let Some(written_ms) = age {
                ages.note(from, Age::Read(written_ms));
            }
            age
        }
    };
    Ok(Backlog { changes: None, bytes: Some(bytes), oldest_ms, kept_ms })
}

fn begins_behind(oldest: &dyn Display, at: &dyn Display) -> Error {
    proof::forgotten(format!("the log that is left begins behind {oldest}, we stand at {at}"))
}

/// Names and sizes, the oldest first.
async fn files(session: &mut Session) -> Answer<Vec<(String, u64)>> {
    let rows = session.rows("SHOW BINARY LOGS").await?;
    let file = |row: Vec<Option<String>>| {
        let mut values = row.into_iter();
        Some((values.next()??, values.next()??.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(file).collect())
}

/// The file in which `at` stands, by its place in the list; or what is purged of the log behind it.
async fn first(session: &mut Session, files: &[(String, u64)], at: &Reach) -> Result<(usize, Option<Reach>)> {
    let asking = |failure| failure::error(failure, "asking what the log's files hold");
    if let Reach::File(file) = at {
        return match files.iter().position(|(name, _)| *name == file.name) {
            Some(place) => Ok((place, None)),
            None => Err(begins_behind(&files.first().map_or("nothing", |(name, _)| name), at)),
        };
    }
    if let Reach::Mysql(set) = at {
        let purged = session.value("SELECT @@GLOBAL.gtid_purged").await.map_err(asking)?.unwrap_or_default();
        if let Ok(purged) = purged.parse::<GtidSet>()
            && !set.contains(&purged)
        {
            return Err(begins_behind(&purged, at));
        }
    }
    let (mut low, mut high) = (0, files.len());
    // Of a job that keeps up it is the newest.
    let mut probe = high.saturating_sub(1);
    while low < high {
        let Some(before) = before(session, &files[probe].0, at).await.map_err(asking)? else { break };
        match at.contains(&before)? {
            true => low = probe + 1,
            false if probe == 0 => return Ok((0, Some(before))),
            false => high = probe,
        }
        probe = (low + high) / 2;
    }
    Ok((low.saturating_sub(1), None))
}

/// All that is in files before this one, in the form of `like`; `None`: the server does not say.
async fn before(session: &mut Session, file: &str, like: &Reach) -> Answer<Option<Reach>> {
    Ok(match like {
        Reach::Maria(_) => {
            let domains = session.value(format!("SELECT BINLOG_GTID_POS({}, 4)", literal(file))).await?;
            domains.and_then(|domains| domains.parse().ok()).map(Reach::Maria)
        }
        Reach::Mysql(_) => {
            // It takes a plain text only.
            let name = file.replace('\\', "\\\\").replace('\'', "''");
            let events = session.rows(format!("SHOW BINLOG EVENTS IN '{name}' LIMIT 3")).await?;
            let set = events.into_iter().map(schema::strings::<6>).find(|[_, _, kind, ..]| kind == "Previous_gtids");
            set.and_then(|[.., set]| set.replace('\n', "").parse::<GtidSet>().ok()).map(Reach::Mysql)
        }
        Reach::File(_) => None,
    })
}

/// When the transaction behind `at` was written: the head of the stream from there. `None`: it did not come in time.
/// (A heartbeat says nothing of that: MySQL sends one before the first event behind those that it passes over.)
async fn next_written(connections: &Connections, at: &Reach) -> Result<Option<u64>> {
    if at.askable() != *at {
        return Ok(None);
    }
    let session = connections.open().await?;
    let mut wire = Wire::open(&connections.config, session, at).await?;
    let mut decoder = Decoder::default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Ok(logged) = timeout_at(deadline, wire.next()).await else { return Ok(None) };
        let logged = logged?;
        let (header, body) = logged.open(&mut decoder)?;
        match decoder.read(&header, body)? {
            Event::MariaGtid { .. } | Event::MysqlGtid { .. } | Event::Anonymous => {
                return Ok(Some(u64::from(header.time) * 1000));
            }
            _ => {}
        }
    }
}

impl Ages {
    /// `None`: the log must be read. Of a target that is on its way, the transaction before says about as much.
    fn known(&self, at: &Position, point: &Point) -> Option<u64> {
        let age = self.0.lock().iter().find(|(known, _)| known == at).map(|(_, age)| *age);
        match (age, &point.proof) {
            (Some(Age::Read(age)), _) => Some(age),
            (None, Some(proof)) if !self.0.lock().is_empty() => {
                self.note(at, Age::Unread);
                Some(u64::from(proof.time.seconds()) * 1000)
            }
            _ => None,
        }
    }

    fn note(&self, at: &Position, age: Age) {
        let mut known = self.0.lock();
        known.retain(|(other, _)| other != at);
        known.push_back((at.clone(), age));
        if known.len() > POSITIONS {
            known.pop_front();
        }
    }
}
