//! One shard of a table's stream: the page that was read, and where that leads.

use super::{
    client::Client,
    clock,
    failure::{Answer, code},
    messages::stream::{ActionType, Record, StreamRecordResponse},
    plainbuffer::{Rows as Wire, Sequence},
    position::Point,
    row,
    shape::Shape,
};
use crate::{
    error::{Error, Result},
    model::{Batch, Body, Change, Kind, NO_ROW, Partition, Position, Rows},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A place of an idle shard is a later one after this.
const GROWS_OLD_US: i64 = 10_000_000;

/// Bits of a mutation's place that number records of one time; the rest counts back from the batch's last record.
const ROW_BITS: u32 = 24;

pub(super) struct Shard {
    pub partition: Partition,
    pub table: String,
    pub id: String,
    /// The end of what was returned.
    pub at: Point,
    /// As it was returned, to the byte.
    pub position: Position,
    page: Option<Page>,
    pause: Duration,
    due: Instant,
    /// The service's time when a page was asked for that had nothing more: all that was committed by then was read.
    pub caught_up_us: Option<i64>,
}

/// A page that is to be read. Changes nothing: whoever drops the answer may ask again.
pub(super) struct Ask {
    partition: Partition,
    stream: String,
    id: String,
    iterator: String,
}

/// A page, and the iterator that gave it.
type Read = (String, StreamRecordResponse);

impl Ask {
    /// The service's time before the answer, too.
    pub async fn read(self, client: &Client) -> (Partition, i64, Answer<Read>) {
        let asked_us = clock::now_us(client);
        let read = async {
            let iterator = match self.iterator.as_str() {
                "" => client.shard_iterator(&self.stream, &self.id, None).await?,
                iterator => iterator.to_owned(),
            };
            let answer = client.stream_records(&iterator, None).await?;
            Ok((iterator, answer))
        };
        (self.partition, asked_us, read.await)
    }
}

struct Page {
    records: Vec<(Sequence, Record)>,
    /// How many of them were returned.
    taken: usize,
    /// `None`: the shard is over behind it.
    next: Option<String>,
    asked_us: i64,
}

impl Shard {
    pub fn new(partition: Partition, table: &str, id: &str, position: &Position) -> Result<Shard> {
        Ok(Shard {
            partition,
            table: table.to_owned(),
            id: id.to_owned(),
            at: Point::read(position)?,
            position: position.clone(),
            page: None,
            pause: FIRST_PAUSE,
            due: Instant::now(),
            caught_up_us: None,
        })
    }

    pub fn is_due(&self) -> bool {
        self.page.is_none() && !self.at.ended && self.due <= Instant::now()
    }

    /// When it is to be read next; `None`: not before something is taken.
    pub fn due(&self) -> Option<Instant> {
        (self.page.is_none() && !self.at.ended).then_some(self.due)
    }

    /// What the next page is asked for with.
    pub fn next(&self) -> Ask {
        Ask {
            partition: self.partition.clone(),
            stream: self.at.stream.clone(),
            id: self.id.clone(),
            iterator: self.at.iterator.clone(),
        }
    }

    /// Takes a page in: what was returned already is passed over.
    pub fn take(&mut self, asked_us: i64, (iterator, answer): Read) -> Result<()> {
        self.at.iterator = iterator;
        let mut records = Vec::with_capacity(answer.records.len());
        for record in answer.records {
            let wire = Wire::one(&record.record).map_err(|problem| row::corrupt(&problem))?;
            let sequence = wire.sequence.ok_or_else(|| Error::transient("a record of a stream has no place in it"))?;
            if sequence > self.at.sequence {
                records.push((sequence, record));
            }
        }
        let more = answer.may_more_record.unwrap_or(false);
        let is_over = answer.next_shard_iterator.is_none();
        let idle = records.is_empty() && !more && !is_over;
        if idle {
            self.caught_up_us = Some(asked_us);
            self.due = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else {
            self.pause = FIRST_PAUSE;
        }
        let page = Page { records, taken: 0, next: answer.next_shard_iterator, asked_us };
        match page.records.is_empty() && !is_over {
            true => self.pass(page),
            false => self.page = Some(page),
        }
        Ok(())
    }

    /// A page with nothing for us; its iterator is a better one.
    fn pass(&mut self, page: Page) {
        let Some(next) = page.next else { return };
        // A place that is only later is told now and then, not with each look.
        let grew_old = page.asked_us - self.at.asked_us >= GROWS_OLD_US;
        if grew_old || self.at.iterator.is_empty() {
            self.at.asked_us = self.at.asked_us.max(page.asked_us);
        }
        self.at.iterator = next;
        if grew_old {
            self.position = self.at.position();
        }
    }

    /// What was read, as a batch; not past an edge.
    pub fn batch(&mut self, shape: &Shape, edge: Option<&(Point, Position)>) -> Result<Option<Batch>> {
        let Some(mut page) = self.page.take() else {
            return Ok(None);
        };
        let upto = match edge {
            Some((edge, _)) if !edge.ended => page.records.partition_point(|(at, _)| *at <= edge.sequence),
            _ => page.records.len(),
        };
        let stops = upto < page.records.len();
        let records = &page.records[page.taken..upto];
        let last = records.last().map_or(self.at.sequence, |(at, _)| *at);
        let mut rows = Rows::default();
        let number = rows.shape(&shape.table);
        for (sequence, record) in records {
            let (change, place) = mutation(shape, record, &mut rows.slab)?;
            rows.push(number, change, place, NO_ROW);
            if let Some(one) = rows.mutations.last_mut() {
                one.at = place_of(*sequence, last);
            }
        }
        page.taken = upto;
        self.at.sequence = last;
        let committed_ms = u64::try_from(last.timestamp_us / 1_000).unwrap_or(0);
        let is_empty = rows.is_empty();
        match (stops, page.next.take()) {
            (true, next) => {
                page.next = next;
                self.page = Some(page);
            }
            (false, Some(next)) => {
                self.at.iterator = next;
                self.at.asked_us = self.at.asked_us.max(page.asked_us);
            }
            (false, None) => {
                self.at.ended = true;
                self.at.iterator = String::new();
            }
        }
        let to = match edge {
            // To the byte: the target stands there.
            Some((edge, position)) if edge.sequence == self.at.sequence && edge.ended == self.at.ended => {
                self.at.asked_us = edge.asked_us;
                position.clone()
            }
            _ => self.at.position(),
        };
        let from = std::mem::replace(&mut self.position, to.clone());
        Ok(Some(Batch {
            partition: self.partition.clone(),
            from,
            to,
            complete: true,
            kind: Kind::Log,
            body: Body::Rows(Arc::new(rows)),
            committed_ms: if is_empty { 0 } else { committed_ms },
        }))
    }
}

fn mutation(shape: &Shape, record: &Record, slab: &mut Vec<u8>) -> Result<(Change, u32)> {
    let wire = Wire::one(&record.record).map_err(|problem| row::corrupt(&problem))?;
    let table = &shape.table;
    Ok(match ActionType::try_from(record.action_type) {
        Ok(ActionType::Put) => (Change::Upsert, row::write(table, &wire, slab)?),
        Ok(ActionType::Update) => match row::write_merge(table, &wire, slab)? {
            Some(place) => (Change::Merge, place),
            None => (Change::Touched, row::write_key(table, &wire, slab)?),
        },
        Ok(ActionType::Delete) => (Change::Delete, row::write_key(table, &wire, slab)?),
        Err(_) => {
            return Err(Error::transient(format!(
                "{}: a record of the unknown kind {}",
                table.name, record.action_type
            )));
        }
    })
}

/// How far before the batch's last record, and which of its time. 0: nothing is known of it.
fn place_of(sequence: Sequence, last: Sequence) -> u64 {
    let back = u64::try_from(last.timestamp_us.saturating_sub(sequence.timestamp_us)).unwrap_or(u64::MAX);
    let row = u64::try_from(sequence.row_index).unwrap_or(u64::MAX);
    match back < 1 << (63 - ROW_BITS) && row < 1 << ROW_BITS && sequence.epoch == last.epoch {
        true => 1 << 63 | back << ROW_BITS | row,
        false => 0,
    }
}

/// Behind the first `taken` changes of a batch; where it begins if that has no name, which reads them again.
pub(super) fn cut(batch: &Batch, taken: usize) -> Position {
    let mutations = &batch.rows().mutations;
    let (Ok(from), Ok(to)) = (Point::read(&batch.from), Point::read(&batch.to)) else { return batch.from.clone() };
    match taken.checked_sub(1).and_then(|last| mutations.get(last)) {
        None => batch.from.clone(),
        Some(_) if taken == mutations.len() => batch.to.clone(),
        Some(one) if one.at == 0 => batch.from.clone(),
        Some(one) => {
            let back = (one.at & !(1 << 63)) >> ROW_BITS;
            let row = one.at & ((1 << ROW_BITS) - 1);
            let sequence = Sequence {
                epoch: to.sequence.epoch,
                timestamp_us: to.sequence.timestamp_us - back as i64,
                row_index: row as i32,
            };
            Point { sequence, ..from }.position()
        }
    }
}

/// What a shard that cannot be read means.
pub(super) fn lost(failure: super::failure::Failure, shard: &Shard) -> Error {
    let what = format!("reading the changes of {}", shard.table);
    match failure.code() {
        Some(code::TRIMMED) => Error::lost(format!("{what}: {failure}"))
            .hint("they are not kept any more: delete the job and create it again with `existing: replace`"),
        // The next look at the table tells whether it is gone, or its stream.
        Some(code::NO_SUCH) => Error::transient(format!("{what}: {failure}")),
        _ => failure.at(what),
    }
}
