//! The last transaction before a begin: looked at, so that the first start meets it again (invariant 8).
//!
//! A position that was followed to proves itself by it. A begin has followed nothing, and is all that there is until the
//! first transaction behind it is applied: for as long as a copy takes.

use super::{
    binlog::Decoder,
    connect::{Connections, Session},
    failure::{self, Answer},
    gtid::{GtidSet, MariaGtid},
    position::{File, Gtid, Point, Proof, Reach},
    sight::strange,
    stream::{Open, Transactions},
    wire::Wire,
};
use crate::{
    error::Result,
    faults::{self, Saboteur},
};
use std::time::Duration;
use tokio::time::timeout;

/// It comes at once, unless the server has much to pass over before it; a begin does without it rather than wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where files are counted it is found from the start of its file only.
const FAR: u64 = 16 << 20;

/// The point at `at`, to be read from `since`: from the transaction before that, if the log still has it.
pub(super) async fn point(connections: &Connections, session: &mut Session, since: Reach, at: Reach) -> Result<Point> {
    let plain = Point { since, ..Point::plain(at) };
    let start = start(session, &plain.since).await;
    let start = start.map_err(|failure| failure::error(failure, "asking for the last transaction"))?;
    let Some(start) = start.filter(|_| !faults::on(Saboteur::BeginUnproven)) else { return Ok(plain) };
    let mut last = None;
    match timeout(PATIENCE, look(connections, &start, &plain.at, &mut last)).await {
        Ok(Err(error)) if error.is_transient() => return Err(error),
        // Without it, as where the log begins behind it.
        _ => {}
    }
    let Some((time, open)) = last.and_then(|open: Open| Some((open.proof?, open))) else { return Ok(plain) };
    let since = match &start {
        Reach::File(_) if plain.since.contains(&open.from)? => open.from,
        Reach::File(_) => plain.since,
        _ => start,
    };
    Ok(Point { since, proof: Some(Proof { of: open.gtid, time }), ..plain })
}

/// Before the last transaction before the point. `None`: nobody can say where that is.
async fn start(session: &mut Session, before: &Reach) -> Answer<Option<Reach>> {
    Ok(match before {
        Reach::Maria(domains) => {
            let own = session.value("SELECT @@GLOBAL.gtid_domain_id").await?.and_then(|own| own.parse().ok());
            let newest = session.value("SELECT @@GLOBAL.gtid_binlog_state").await?.unwrap_or_default();
            let newest: Result<Vec<MariaGtid>, ()> =
                newest.split(',').filter(|gtid| !gtid.is_empty()).map(str::parse).collect();
            let newest = newest.map_err(|()| strange("gtid_binlog_state"))?;
            let last = own.and_then(|own| domains.get(own)).or_else(|| domains.iter().next());
            last.map(|last| {
                let mut start = domains.clone();
                match last.number.saturating_sub(1) {
                    0 => start.remove(last.domain),
                    number => start.set(before_it(last, number, &newest)),
                }
                Reach::Maria(start)
            })
        }
        Reach::Mysql(set) => session.server.identity.parse().ok().and_then(|own| set.newest(own)).map(|last| {
            let (mut start, mut one) = (set.clone(), GtidSet::default());
            one.add(&last);
            start.subtract(&one);
            Reach::Mysql(start)
        }),
        Reach::File(file) if file.byte <= FAR => Some(Reach::File(file.start())),
        Reach::File(File { .. }) => None,
    })
}

/// Another server may have written it: one that was the primary until then.
fn before_it(last: MariaGtid, number: u64, newest: &[MariaGtid]) -> MariaGtid {
    let one = MariaGtid { number, ..last };
    let is_it = |other: &&MariaGtid| other.domain == one.domain && other.number == one.number;
    newest.iter().find(is_it).copied().unwrap_or(one)
}

/// Reads up to `at`, and no further than to the first transaction that is not before it.
async fn look(connections: &Connections, start: &Reach, at: &Reach, last: &mut Option<Open>) -> Result<()> {
    let session = connections.open().await?;
    let mut wire = Wire::open(&connections.config, session, start).await?;
    let (mut decoder, mut transactions) = (Decoder::default(), Transactions::new(start));
    loop {
        let logged = wire.next().await?;
        let (header, body) = logged.open(&mut decoder)?;
        let event = decoder.read(&header, body)?;
        let step = transactions.step(&header, &event)?;
        if step.torn {
            *last = None;
        }
        if let Some(open) = step.began {
            if !open.is_behind(at)? {
                return Ok(());
            }
            *last = Some(open);
        }
        if let (Some(time), Some(last)) = (step.timed, &mut *last) {
            last.proof = Some(time);
        }
        let is_there = match last.as_ref().filter(|last| last.proof.is_some()) {
            Some(last) => with(&transactions.at, &last.gtid).contains(at)?,
            None => transactions.open.is_none() && transactions.at.contains(at)?,
        };
        if is_there {
            return Ok(());
        }
    }
}

/// What is before the end of the transaction, of which only the beginning is read.
fn with(before: &Reach, gtid: &Gtid) -> Reach {
    let mut with = before.clone();
    match (&mut with, gtid) {
        (Reach::Maria(domains), Gtid::Maria(gtid)) if !domains.has(*gtid) => domains.set(*gtid),
        (Reach::Mysql(set), Gtid::Mysql(gtid)) => set.add(gtid),
        _ => {}
    }
    with
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_may_be_another_server_s() {
        let gtid = |text: &str| text.parse::<MariaGtid>().expect("one");
        let before = |newest: &[&str]| {
            let newest: Vec<MariaGtid> = newest.iter().map(|text| gtid(text)).collect();
            before_it(gtid("0-2-100"), 99, &newest).to_string()
        };
        assert_eq!(before(&["0-1-99", "0-2-100"]), "0-1-99");
        assert_eq!(before(&["0-1-90", "1-1-99", "0-2-100"]), "0-2-99");
    }
}
