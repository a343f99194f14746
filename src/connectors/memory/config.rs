//! How a store of this world behaves: what its log says, how it pages, how slow it is, what goes wrong.

use crate::{
    connectors::StoreSettings,
    error::{Error, Result},
};
use std::time::Duration;

/// The habits of one store. Real stores differ in exactly these.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    pub seed: u64,
    pub images: Images,
    pub cascades: Cascades,
    pub paging: Paging,
    /// Unique rules are looked at when a transaction of an application ends rather than at each of its statements.
    pub deferred_uniques: bool,
    /// Whether all text (`Some(true)`) or none compares without case and padding, whatever a shape says.
    pub coarse: Option<bool>,
    /// Parts of the log, each ordered by itself.
    pub partitions: u16,
    /// A transaction is in the log up to this long after its commit.
    pub log_delay: Duration,
    /// A transaction is visible to reads up to this long after its commit.
    pub read_delay: Duration,
    /// The most mutations in a batch of the tail.
    pub batch_rows: usize,
    /// The most transactions in a batch of the tail.
    pub batch_commits: usize,
    /// The most rows in one page of a copy.
    pub page_rows: usize,
    /// The server closes a tail whose client has not answered for so long.
    pub keepalive: Duration,
    /// What was acknowledged by all jobs is thrown away at once; else only when somebody trims the log.
    pub trims: bool,
    /// Each way of a request takes up to this long.
    pub latency: Duration,
    /// Rows and watermark commit together.
    pub transactional: bool,
    /// Truncate and Reshape commit by themselves, before the watermark moves.
    pub ddl_commits: bool,
    /// Unique indexes stand as soon as a table is there.
    pub early_indexes: bool,
    pub lanes: u16,
    pub mishaps: Mishaps,
    /// Commits a failover could lose.
    pub losable: usize,
    /// Every commit is remembered for a judge.
    pub history: bool,
}

/// What the log tells of an updated row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    Full,
    /// All but unchanged columns declared `external` (PostgreSQL's unchanged TOAST).
    External,
    /// Only changed columns.
    Changed,
    /// Keys.
    Keys,
    /// Each transaction another of these.
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascades {
    /// Each row that a foreign key changed is in the log.
    Logged,
    /// The log holds the parent's change; the rest follows as `Matching`.
    Matching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    Key,
    /// By where rows lie (PostgreSQL's CTID); an update may move a row into another range.
    Place,
}

/// How often things go wrong, per thousand requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// The source's connection breaks.
    pub read: u32,
    /// A deadlock or a lock timeout.
    pub deadlock: u32,
    /// The target's connection breaks before or while it works; it works on.
    pub cut: u32,
    /// The target has committed, the answer is lost.
    pub lost_answer: u32,
    /// A request stays in the server for up to a minute.
    pub hang: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            seed: 0,
            images: Images::Full,
            cascades: Cascades::Logged,
            paging: Paging::Key,
            deferred_uniques: false,
            coarse: None,
            partitions: 1,
            log_delay: Duration::ZERO,
            read_delay: Duration::ZERO,
            batch_rows: 1_000,
            batch_commits: 1_000,
            page_rows: 1_000,
            keepalive: Duration::from_secs(60),
            trims: true,
            latency: Duration::ZERO,
            transactional: true,
            ddl_commits: false,
            early_indexes: false,
            lanes: 1,
            mishaps: Mishaps::default(),
            losable: 0,
            history: false,
        }
    }
}

impl Habits {
    /// Reads the options of a store in the config; the first store that names a world gives it its habits.
    pub(super) fn from_options(settings: &StoreSettings) -> Result<Habits> {
        let mut habits = Habits::default();
        for (key, value) in &settings.options {
            let number = || {
                value.parse::<u64>().map_err(|error| {
                    Error::config(format!("option `{key}`")).because(error).hint(format!("write `{key} = 8`"))
                })
            };
            match key.as_str() {
                "seed" => habits.seed = number()?,
                "lanes" => habits.lanes = number()?.clamp(1, 64) as u16,
                "partitions" => habits.partitions = number()?.clamp(1, 64) as u16,
                "batch_rows" => habits.batch_rows = number()?.max(1) as usize,
                "page_rows" => habits.page_rows = number()?.max(1) as usize,
                "latency_ms" => habits.latency = Duration::from_millis(number()?),
                "images" => {
                    habits.images = match value.as_str() {
                        "full" => Images::Full,
                        "external" => Images::External,
                        "changed" => Images::Changed,
                        "keys" => Images::Keys,
                        "mixed" => Images::Mixed,
                        _ => {
                            return Err(Error::config(format!("option `images`: `{value}` is unknown"))
                                .hint("write one of: full, external, changed, keys, mixed"));
                        }
                    };
                }
                _ => {
                    return Err(Error::config(format!("option `{key}` is unknown")).hint(
                        "a memory store knows: seed, lanes, partitions, batch_rows, page_rows, latency_ms, images",
                    ));
                }
            }
        }
        Ok(habits)
    }
}
