//! Where a job begins: the shards of each table, a while ago.

use super::{
    catalog::{At, Catalog, missing},
    clock,
    config::Config,
    failure::Fate,
    messages::{
        stream::{DescribeStreamResponse, StreamShard},
        table::{StreamSpecification, UpdateTableRequest},
    },
    position::{Point, partition},
    shape::Shape,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Checkpoint, Table},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// R1, rounding down: records come to a stream when they do, and the service's search for a time is a rough one.
const BACK_US: i64 = 600_000_000;

/// A stream that was switched on is there soon.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);

/// Pages without a record that are read to find out whether a shard was over.
const EMPTY_PAGES: usize = 1_000;

pub(super) async fn begin(catalog: &Catalog, config: &Config, tables: &[Arc<Table>]) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint::default();
    for table in tables {
        let shape = streaming(catalog, config, table).await.map_err(|error| error.at(&table.name))?;
        let stream = shape.stream_id().unwrap_or_default().to_owned();
        let described = catalog.client.describe_stream(&stream).await.at("looking at the stream")?;
        let places = places(catalog, &described).await.map_err(|error| error.at(&table.name))?;
        for (shard, point) in places {
            checkpoint.set(&partition(&table.name.name, &shard), point.position());
        }
    }
    Ok(checkpoint)
}

/// The table with its stream on, if the settings let us see to that.
async fn streaming(catalog: &Catalog, config: &Config, table: &Arc<Table>) -> Result<Arc<Shape>> {
    let until = Instant::now() + STARTS_WITHIN;
    let mut asked = false;
    loop {
        let shape = catalog.look(&table.name.name).await?.ok_or_else(|| missing(&table.name))?;
        if shape.stream_id().is_some() {
            return Ok(shape);
        }
        let Some(hours) = config.stream_hours else { return Err(off()) };
        if !asked {
            let request = UpdateTableRequest {
                table_name: table.name.name.clone(),
                stream_spec: Some(StreamSpecification {
                    enable_stream: true,
                    expiration_h: Some(hours),
                    columns_to_get: Vec::new(),
                }),
                ..UpdateTableRequest::default()
            };
            catalog.client.update_table(&request).await.at("switching the stream on")?;
            asked = true;
        }
        if Instant::now() > until {
            return Err(Error::transient("the stream was switched on and does not start"));
        }
        sleep(PAUSE).await;
    }
}

pub(super) fn off() -> Error {
    Error::config("its stream is off: nothing tells what changes").hint(OFF)
}

pub(super) const OFF: &str = "switch the table's stream on (in the console: Real-time Consumption), or let jobs do so: \
                              set the store's option `stream_hours = \"168\"`";

/// Shards that are to be read, without those whose predecessors are.
async fn places(catalog: &Catalog, described: &DescribeStreamResponse) -> Result<Vec<(String, Point)>> {
    let now = clock::now_us(&catalog.client);
    let parents = |shard: &StreamShard| -> Vec<String> {
        [&shard.parent_id, &shard.parent_sibling_id]
            .into_iter()
            .flatten()
            .filter(|id| !id.is_empty())
            .cloned()
            .collect()
    };
    let closed: BTreeSet<String> = described.shards.iter().flat_map(parents).collect();
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut places = Vec::new();
    for shard in in_order(&described.shards) {
        if parents(shard).iter().any(|parent| kept.contains(parent)) {
            // It is read from its start, behind them; and so are those behind it.
            kept.insert(shard.shard_id.clone());
            continue;
        }
        let iterator = near(catalog, &described.stream_id, &shard.shard_id, now - BACK_US).await?;
        if closed.contains(&shard.shard_id) && was_over(catalog, &iterator).await? {
            continue;
        }
        kept.insert(shard.shard_id.clone());
        places.push((shard.shard_id.clone(), Point::start(&described.stream_id, iterator, now)));
    }
    match places.is_empty() {
        true => Err(Error::transient("its stream has no shards yet")),
        false => Ok(places),
    }
}

/// Parents before their children.
fn in_order(shards: &[StreamShard]) -> Vec<&StreamShard> {
    let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.shard_id.as_str()).collect();
    let (mut left, mut done): (Vec<&StreamShard>, BTreeSet<&str>) = (shards.iter().collect(), BTreeSet::new());
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let is_ready = |shard: &&StreamShard| {
            let mut parents = [&shard.parent_id, &shard.parent_sibling_id].into_iter().flatten();
            parents.all(|parent| !listed.contains(parent.as_str()) || done.contains(parent.as_str()))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ready);
        if ready.is_empty() {
            ordered.extend(rest);
            break;
        }
        done.extend(ready.iter().map(|shard| shard.shard_id.as_str()));
        ordered.extend(ready);
        left = rest;
    }
    ordered
}

async fn near(catalog: &Catalog, stream: &str, shard: &str, time_us: i64) -> Result<String> {
    let back = if faults::on(Saboteur::BeginAtLogEnd) { time_us + BACK_US } else { time_us };
    let oldest = async || catalog.client.shard_iterator(stream, shard, None).await.at("looking for a shard's start");
    match catalog.client.shard_iterator(stream, shard, Some(back)).await {
        Ok(iterator) => Ok(iterator),
        // Before the shard's own time, or before what is kept: its start is as good.
        Err(failure) if failure.code().is_some() && failure.fate() == Fate::Refused => oldest().await,
        Err(failure) => Err(failure.at("looking for a place in a shard")),
    }
}

/// Whether a closed shard had no record from there on.
async fn was_over(catalog: &Catalog, iterator: &str) -> Result<bool> {
    let mut iterator = iterator.to_owned();
    for _ in 0..EMPTY_PAGES {
        let answer = catalog.client.stream_records(&iterator, Some(1)).await.at("reading a closed shard")?;
        match (answer.records.is_empty(), answer.next_shard_iterator) {
            (false, _) => return Ok(false),
            (true, None) => return Ok(true),
            (true, Some(next)) if next == iterator => return Ok(false),
            (true, Some(next)) => iterator = next,
        }
    }
    Ok(false)
}
