//! What a person should know of an instance before and while a job runs.

use super::{
    catalog::{At, Catalog},
    client::Client,
    clock,
    position::{Point, parts},
    shape::Shape,
};
use crate::{
    error::Result,
    model::{Checkpoint, Finding, Severity, Table},
    source::{Backlog, Size, Survey},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// The service refuses calls from 15 minutes away.
const SKEW_S: i64 = 60;

pub(super) fn skew(client: &Client) -> Option<Finding> {
    let ahead = client.clock_ahead_s()?;
    (ahead.abs() > SKEW_S).then(|| {
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        let text = format!("this machine's clock is {} s {way} the service's", ahead.abs());
        Finding::new(Severity::Warning, "clock", text).mend("set the clock by NTP: at 15 minutes every call is refused")
    })
}

/// What happens to rows without a word in the stream.
pub(super) fn unlogged(shape: &Shape) -> Option<Finding> {
    let name = shape.table.name.to_string();
    let seconds = shape.expires_after_s()?;
    let text =
        format!("its rows go after {seconds} s, which the stream does not tell: a target of another kind keeps them");
    Some(
        Finding::new(Severity::Warning, name, text)
            .mend("set the same time to live on the target's table, or delete there"),
    )
}

pub(super) async fn survey(catalog: &Catalog, tables: &[Arc<Table>], _within: Duration) -> Result<Survey> {
    let mut kept: Option<u64> = None;
    for table in tables {
        let shape = catalog.known(&table.name).await?;
        let hours = shape.stream.as_ref().and_then(|stream| stream.expiration_h).filter(|hours| *hours > 0);
        let hours = hours.map(|hours| u64::from(hours.unsigned_abs()));
        kept = match (kept, hours) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(Survey {
        sizes: vec![Size::default(); tables.len()],
        log_kept: kept.map(|hours| Duration::from_secs(hours * 3_600)),
        log: "the service keeps each table's stream for its hours, whoever has read it".into(),
        ..Survey::default()
    })
}

/// How old the oldest place is, and how long the service keeps what is behind it.
pub(super) async fn backlog(catalog: &Catalog, from: &Checkpoint) -> Result<Backlog> {
    let mut oldest: Option<i64> = None;
    let mut tables = BTreeSet::new();
    for (name, position) in &from.0 {
        let point = Point::read(position)?;
        if let Some((table, _)) = parts(name) {
            tables.insert(table.to_owned());
        }
        if !point.ended {
            let at = point.sequence.timestamp_us.max(point.asked_us);
            oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
        }
    }
    let mut kept_ms = None;
    for table in &tables {
        let Some(shape) = catalog.look(table).await? else { continue };
        let hours = shape.stream.as_ref().and_then(|stream| stream.expiration_h).filter(|hours| *hours > 0);
        let ms = hours.map(|hours| u64::from(hours.unsigned_abs()) * 3_600_000);
        kept_ms = match (kept_ms, ms) {
            (Some(a), Some(b)) => Some(u64::min(a, b)),
            (a, b) => a.or(b),
        };
    }
    // An answer tells the service's time.
    catalog.client.list_streams(None).await.at("asking for the service's time")?;
    let now = clock::now_us(&catalog.client);
    let oldest_ms = oldest.filter(|at| *at > 0 && *at < now).and_then(|at| u64::try_from(at / 1_000).ok());
    Ok(Backlog { changes: None, bytes: None, oldest_ms, kept_ms })
}
