//! Opens the log at a position: proves it continuous on both sides first (invariant 8).

use super::{
    batches::Batches,
    connect::Session,
    failure,
    feed::{TailFeed, only},
    history::{History, World},
    position::{Point, Reach},
    proof, sight,
    tail::Tail,
    wire::{Logged, Wire},
};
use crate::{
    error::{Error, ErrorKind, Result},
    faults::{self, Saboteur},
    model::{Checkpoint, TableName},
};

pub(super) async fn open(
    world: World,
    from: &Checkpoint,
    edges: &[Checkpoint],
    names: &[TableName],
) -> Result<TailFeed> {
    let from = only(from).ok_or_else(|| Error::lost("there is no saved position to follow the log from"))?;
    let mut point = Point::read(from)?;
    point.since = point.since.askable();
    let mut session = world.connections.open().await?;
    let logged = sight::logged(&mut session).await;
    let logged = logged.map_err(|failure| failure::error(failure, "asking where the log ends"))?;
    proof::prove(&logged, &point)?;
    let server = session.server.clone();
    let expands = !faults::on(Saboteur::CascadesUnexpanded);
    let batches = Batches::new(from, edges)?;
    let (wire, first) = match first(&world, session, &point.since).await {
        // The last transaction before us is purged, what follows is not: nothing is missing.
        Err(error) if error.kind() == ErrorKind::Lost && point.since != point.at && point.proof.is_some() => {
            let session = world.connections.open().await?;
            let since = point.at.askable();
            let opened = first(&world, session, &since).await.map_err(|_| error)?;
            point = Point { since, proof: None, ..point };
            opened
        }
        opened => opened?,
    };
    let history = History::open(world, &point, names, server.folds_names).await?;
    let tail = Tail::new(from, point, batches, history, expands);
    Ok(TailFeed::new(wire, tail, first))
}

/// The stream, and its first event: a server that cannot give the log says so instead.
async fn first(world: &World, session: Session, from: &Reach) -> Result<(Wire, Logged)> {
    let mut wire = Wire::open(&world.config, session, from).await?;
    let first = wire.next().await?;
    Ok((wire, first))
}
