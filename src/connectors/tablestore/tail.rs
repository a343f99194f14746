//! The changes of all tables of a job: each shard in order, parents before their children, tables side by side.

use super::{
    catalog::{At, Catalog},
    clock,
    messages::stream::StreamShard,
    plainbuffer::Sequence,
    position::{self, Point, partition, parts},
    shape::Shape,
    shard::{Ask, Shard, lost},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Batch, Checkpoint, Mark, Partition, Position, TableName},
    source::{Feed, Next},
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout_at};

const SIDE_BY_SIDE: usize = 16;

/// Between two looks for shards that succeed others, and at whether the stream is still the same.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

pub(super) struct TailFeed {
    catalog: Arc<Catalog>,
    shapes: BTreeMap<String, Arc<Shape>>,
    shards: BTreeMap<Partition, Shard>,
    /// As the service has them now, per table.
    known: BTreeMap<String, Vec<StreamShard>>,
    edges: BTreeMap<Partition, Vec<(Point, Position)>>,
    /// Shards whose end was handed out.
    closed: BTreeSet<Partition>,
    turn: usize,
    looks_at: Instant,
    gone: BTreeSet<String>,
}

impl TailFeed {
    pub async fn open(
        catalog: &Arc<Catalog>,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<TailFeed> {
        if from.is_empty() {
            return Err(Error::lost("nothing says where the log is to be read from").hint("create a new job"));
        }
        let mut by_partition: BTreeMap<Partition, Vec<(Point, Position)>> = BTreeMap::new();
        for (name, position) in edges.iter().flat_map(|edge| &edge.0) {
            by_partition.entry(name.clone()).or_default().push((Point::read(position)?, position.clone()));
        }
        for edges in by_partition.values_mut() {
            edges.sort_by_key(|(at, _)| (at.ended, at.sequence, at.asked_us));
        }
        let mut feed = TailFeed {
            catalog: Arc::clone(catalog),
            shapes: BTreeMap::new(),
            shards: BTreeMap::new(),
            known: BTreeMap::new(),
            edges: by_partition,
            closed: BTreeSet::new(),
            turn: 0,
            looks_at: Instant::now(),
            gone: BTreeSet::new(),
        };
        let wanted: BTreeSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        for (name, position) in &from.0 {
            let (table, id) = parts(name).ok_or_else(|| Error::lost(format!("`{name}` is no shard of a stream")))?;
            if wanted.contains(table) {
                let shard = Shard::new(name.clone(), table, id, position)?;
                if shard.at.ended {
                    feed.closed.insert(name.clone());
                }
                feed.shards.insert(name.clone(), shard);
            }
        }
        feed.look().await?;
        // Invariant 8: each place can be read from now, or it is lost.
        feed.read().await?;
        Ok(feed)
    }

    /// Whether the streams are those that we read, and which shards they have; those that come next are opened.
    async fn look(&mut self) -> Result<()> {
        let tables: BTreeSet<String> = self.shards.values().map(|shard| shard.table.clone()).collect();
        for table in tables {
            let Some(shape) = self.catalog.look(&table).await? else {
                self.shards.retain(|_, shard| shard.table != table);
                self.gone.insert(table);
                continue;
            };
            let ours = self.shards.values().find(|shard| shard.table == table).map(|shard| shard.at.stream.clone());
            let ours = ours.unwrap_or_default();
            match shape.stream_id() {
                Some(id) if id == ours => {}
                Some(id) => return Err(position::switched(&ours, id).at(&shape.table.name)),
                None => {
                    return Err(Error::lost(format!("{}: its stream is switched off", shape.table.name)).hint(
                        "what was written meanwhile is lost: switch it on, delete the job, and create it again with \
                         `existing: replace`",
                    ));
                }
            }
            let described = self.catalog.client.describe_stream(&ours).await;
            let described = described.at(&format!("looking at the stream of {}", shape.table.name))?;
            self.gone.remove(&table);
            self.known.insert(table.clone(), described.shards);
            self.shapes.insert(table, shape);
        }
        self.succeed();
        self.looks_at = Instant::now() + LOOKS_EVERY;
        Ok(())
    }

    /// Invariant 4: a shard opens behind the ends of those it came from; of two that are open the older is read first.
    fn succeed(&mut self) {
        let early = faults::on(Saboteur::ChildBeforeParent);
        let mut new = Vec::new();
        for (table, shards) in &self.known {
            let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.shard_id.as_str()).collect();
            for shard in shards {
                let name = partition(table, &shard.shard_id);
                let parents: Vec<Partition> = [&shard.parent_id, &shard.parent_sibling_id]
                    .into_iter()
                    .flatten()
                    .filter(|id| !id.is_empty())
                    .map(|id| partition(table, id))
                    .collect();
                // One that is not listed any more was over long ago.
                let over = |parent: &Partition| {
                    self.closed.contains(parent)
                        || early
                        || (!self.shards.contains_key(parent)
                            && parts(parent).is_some_and(|(_, id)| !listed.contains(id)))
                };
                let known = parents.iter().find_map(|parent| self.shards.get(parent));
                if let Some(parent) = known.filter(|_| !self.shards.contains_key(&name) && parents.iter().all(over)) {
                    new.push((name, table.clone(), shard.shard_id.clone(), parent.at.stream.clone()));
                }
            }
        }
        for (name, table, id, stream) in new {
            let start = Point::start(&stream, String::new(), 0).position();
            if let Ok(shard) = Shard::new(name.clone(), &table, &id, &start) {
                self.shards.insert(name, shard);
            }
        }
        // A parent whose children are open tells nothing more; the checkpoint of others keeps it.
        let parents: BTreeSet<Partition> = self
            .known
            .iter()
            .flat_map(|(table, shards)| shards.iter().map(move |shard| (table, shard)))
            .filter(|(table, shard)| self.shards.contains_key(&partition(table, &shard.shard_id)))
            .flat_map(|(table, shard)| {
                [&shard.parent_id, &shard.parent_sibling_id].into_iter().flatten().map(|id| partition(table, id))
            })
            .collect();
        let succeeded: Vec<Partition> = self.closed.iter().filter(|name| parents.contains(*name)).cloned().collect();
        for name in succeeded {
            if !self.has_unopened_children(&name) {
                self.shards.remove(&name);
            }
        }
    }

    fn children<'a>(&'a self, parent: &'a Partition) -> impl Iterator<Item = Partition> + 'a {
        let (table, id) = parts(parent).unwrap_or_default();
        let shards = self.known.get(table).into_iter().flatten();
        shards
            .filter(move |shard| [&shard.parent_id, &shard.parent_sibling_id].into_iter().flatten().any(|of| of == id))
            .map(move |shard| partition(table, &shard.shard_id))
    }

    fn has_unopened_children(&self, parent: &Partition) -> bool {
        self.children(parent).any(|child| !self.shards.contains_key(&child) && !self.closed.contains(&child))
    }

    /// Whether a shard that it came from is still to be read: whoever rewinds a shard stands at both.
    fn waits(&self, name: &Partition) -> bool {
        if faults::on(Saboteur::ChildBeforeParent) {
            return false;
        }
        let Some((table, id)) = parts(name) else { return false };
        let shards = self.known.get(table).into_iter().flatten();
        let own = shards.clone().find(|shard| shard.shard_id == id);
        let parents = own.into_iter().flat_map(|own| [&own.parent_id, &own.parent_sibling_id]).flatten();
        parents
            .map(|id| partition(table, id))
            .any(|parent| self.shards.get(&parent).is_some_and(|parent| !parent.at.ended) || self.waits(&parent))
    }

    /// Reads a page of each shard that is due.
    async fn read(&mut self) -> Result<bool> {
        let due = self.shards.values().filter(|shard| shard.is_due() && !self.waits(&shard.partition));
        let due: Vec<Ask> = due.map(Shard::next).collect();
        if due.is_empty() {
            return Ok(false);
        }
        let catalog = Arc::clone(&self.catalog);
        let asks = due.into_iter().map(|ask| ask.read(&catalog.client));
        let answers: Vec<_> = stream::iter(asks).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for (name, asked_us, answer) in answers {
            let Some(shard) = self.shards.get_mut(&name) else { continue };
            let answer = answer.map_err(|failure| lost(failure, shard))?;
            shard.take(asked_us, answer)?;
        }
        Ok(true)
    }

    /// A batch of the next shard that has one.
    fn batch(&mut self) -> Result<Option<Batch>> {
        let names: Vec<Partition> = self.shards.keys().cloned().collect();
        for _ in 0..names.len() {
            self.turn = (self.turn + 1) % names.len();
            let Some(shard) = self.shards.get_mut(&names[self.turn]) else { continue };
            let Some(shape) = self.shapes.get(&shard.table) else { continue };
            let edges = self.edges.get(&names[self.turn]);
            let is_ahead = |(edge, _): &&(Point, Position)| edge.compare(&shard.at).is_ok_and(|order| order.is_gt());
            let edge = edges.and_then(|edges| edges.iter().find(is_ahead));
            let edge = edge.filter(|_| !faults::on(Saboteur::EdgeCrossed)).cloned();
            if let Some(batch) = shard.batch(shape, edge.as_ref())? {
                if shard.at.ended {
                    // Batches are applied in the order in which they are taken: what comes behind it may be read.
                    self.closed.insert(names[self.turn].clone());
                    self.looks_at = Instant::now();
                }
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn idle(&self) -> Next {
        let at = self.shards.iter().map(|(name, shard)| (name.clone(), shard.position.clone()));
        Next::Idle(Checkpoint(at.collect()))
    }
}

#[async_trait]
impl Feed for TailFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let until = Instant::now() + patience;
        loop {
            if let Some(batch) = self.batch()? {
                return Ok(Next::Batch(batch));
            }
            if self.looks_at <= Instant::now() {
                match timeout_at(until, self.look()).await {
                    Ok(looked) => looked?,
                    Err(_) => return Ok(self.idle()),
                }
            }
            match timeout_at(until, self.read()).await {
                Ok(read) => {
                    if read? {
                        continue;
                    }
                }
                Err(_) => return Ok(self.idle()),
            }
            let due = self.shards.values().filter_map(Shard::due).min();
            let due = due.unwrap_or(self.looks_at).min(self.looks_at).min(until);
            sleep_until(due).await;
            if Instant::now() >= until {
                return Ok(self.idle());
            }
        }
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        // The service keeps a stream for its hours, whoever has read it.
        upto.0.values().try_for_each(|position| Point::read(position).map(drop))
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        let Some(goal) = clock::read(mark) else { return false };
        let is_past = |shard: &Shard| {
            let Sequence { timestamp_us, .. } = shard.at.sequence;
            timestamp_us > goal || shard.caught_up_us.is_some_and(|at| at >= goal)
        };
        self.shards.iter().all(|(name, shard)| match shard.at.ended {
            // What came behind it has passed the mark, or is still to be found.
            true => !self.has_unopened_children(name) && self.children(name).next().is_some(),
            false => is_past(shard),
        })
    }

    fn gone(&self) -> Vec<TableName> {
        self.gone.iter().map(|table| TableName::new(super::shape::SCHEMA, table)).collect()
    }
}
