//! How the lanes of a part move: the statements that come first in its transaction, and why they moved nothing.

use super::{
    connect::Session,
    failure::Answer,
    schema::strings,
    text::hex,
    watermark::{Home, said, taken_over},
};
use crate::{
    error::Error,
    model::{BLOCK_HASH_VERSION, JobId, Partition, Position},
};
use std::cmp::Ordering;
use uuid::Uuid;

/// Of a session: how far the lanes were.
const STANDS: &str = "@whimbrel_stands";

/// What is moved by one part.
pub(super) struct Move<'a> {
    pub job: JobId,
    pub epoch: u64,
    pub token: Uuid,
    pub feed: &'a Partition,
    pub lanes: &'a [u16],
    pub of: u16,
    pub number: u64,
    pub from: &'a Position,
    pub to: &'a Position,
    /// A defence is taken away: tests only.
    pub ignores_epoch: bool,
}

/// Statements that come before all others of a part.
pub(super) struct Advance {
    pub stands: String,
    pub moved: String,
    pub proof: String,
}

impl Home {
    /// The statements that move the lanes of a part, to run first in its transaction. Each lane is a row that `moved` must
    /// find, and `stands` must be at least `number - 1` (lane protocol 2): the last one fails where that is not so.
    pub fn advance(&self, to: &Move<'_>) -> Advance {
        let Home { job, watermark, .. } = self;
        let Move { job: uuid, epoch, token, number, .. } = to;
        let lanes = to.lanes.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let feed = hex(to.feed.as_str().as_bytes());
        let of_feed = format!("job = '{uuid}' AND feed = x'{feed}'");
        // Of a copy each lane has its own numbers; of the log any lane may have the batch before.
        let stands = match to.feed.as_str() == Partition::COPY {
            true => format!("SELECT MIN(batch) INTO {STANDS} FROM {watermark} WHERE {of_feed} AND lane IN ({lanes})"),
            false => format!("SELECT MAX(batch) INTO {STANDS} FROM {watermark} WHERE {of_feed}"),
        };
        let ours = match to.ignores_epoch {
            true => String::new(),
            false => format!(
                " AND epoch = {epoch} AND EXISTS (SELECT 1 FROM {job} WHERE uuid = '{uuid}' AND epoch = {epoch} \
                 AND token = '{token}')"
            ),
        };
        let moved = format!(
            "UPDATE {watermark} SET lanes = {}, hash_version = {BLOCK_HASH_VERSION}, batch = {number}, \
             from_pos = x'{}', to_pos = x'{}' WHERE {of_feed} AND lane IN ({lanes}) AND batch < {number}{ours}",
            to.of,
            hex(to.from.bytes()),
            hex(to.to.bytes()),
        );
        let on_no_gap = match to.ignores_epoch {
            true => String::new(),
            false => format!(" AND {STANDS} + 1 >= {number}"),
        };
        let found = to.lanes.len();
        // (`DO` is always a success.)
        let proof = format!("SELECT IF(ROW_COUNT() = {found}{on_no_gap}, 0, (SELECT 1 UNION SELECT 2))");
        Advance { stands, moved, proof }
    }

    /// Why lanes were not moved, asked after the transaction was undone. What is behind us was restored from a backup,
    /// under our hands: `open` and the start path find out what is lost. What is before us is another daemon's.
    pub async fn not_moved(&self, session: &mut Session, to: &Move<'_>) -> Error {
        self.find_out(session, to).await.unwrap_or_else(said)
    }

    async fn find_out(&self, session: &mut Session, to: &Move<'_>) -> Answer<Error> {
        let stands: Option<u64> =
            session.value(format!("SELECT {STANDS}")).await?.and_then(|stands| stands.parse().ok());
        let job = format!("SELECT epoch, token FROM {} WHERE uuid = '{}'", self.job, to.job);
        let Some(row) = session.rows(job).await?.into_iter().next() else {
            return Ok(Error::transient("the target does not know this job any more"));
        };
        let [epoch, token] = strings(row);
        let epoch = epoch.parse().unwrap_or(0);
        let (lanes, ours) = (to.lanes, to.epoch);
        Ok(match epoch.cmp(&ours) {
            Ordering::Greater => taken_over(epoch, ours),
            Ordering::Equal if token != to.token.to_string() => taken_over(epoch, ours),
            Ordering::Less => Error::transient(format!(
                "the target went back to epoch {epoch}, ours is {ours}: it was restored from a backup"
            )),
            Ordering::Equal => match stands {
                None => Error::transient(format!("lanes {lanes:?} of feed `{}` have no watermark", to.feed)),
                Some(stands) if stands + 1 < to.number => Error::transient(format!(
                    "the target stands at batch {stands} of feed `{}`, not at {}",
                    to.feed,
                    to.number.saturating_sub(1)
                )),
                Some(_) => Error::transient(format!(
                    "of lanes {lanes:?} one has batch {} already, not to be applied twice",
                    to.number
                )),
            },
        })
    }
}
