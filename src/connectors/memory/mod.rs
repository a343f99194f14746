//! Stores that live in this process, for trials, tests and simulation. They emit and accept every kind of change.
//!
//! `memory:NAME` is one store for the whole process. A test makes a [`World`] of its own, with [`Habits`] as nasty as
//! it likes, changes it as an application would ([`World::transact`]) and asks afterwards what rules were broken.

mod breaches;
mod cell;
mod chance;
mod config;
mod copy;
mod decode;
mod encode;
mod feed;
mod fixture;
mod heap;
mod ledger;
mod log;
mod position;
mod server;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod world;
mod write;

pub use self::{
    cell::{Cell, RowKey},
    chance::Chance,
    config::{Cascades, Habits, Images, Mishaps, Paging},
    fixture::Worlds,
    heap::{Heap, Step, Stored, Tables},
    ledger::{JobEntry, Ledger},
    position::Point,
    source::MemorySource,
    target::MemoryTarget,
    world::{Counts, World},
    write::Transaction,
};

use super::{Connector, Store, StoreSettings};
use crate::{
    error::{Error, Result},
    model::{JobId, Leftover},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use std::sync::Arc;

pub static CONNECTOR: Connector = Connector {
    scheme: "memory",
    about: "a store inside the daemon, for trials: memory:NAME",
    // Asked of nobody: for trying how a secret is given to the daemon.
    secrets: &["password"],
    open,
    fixture: Some(Worlds::of),
};

fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    let name = settings.url.trim_start_matches("memory:");
    if name.is_empty() {
        return Err(Error::config(format!("`{}` names no store", settings.url)).hint("write memory:NAME"));
    }
    let habits = Habits::from_options(settings)?;
    Ok(Arc::new(MemoryStore { world: World::named(name, || habits) }))
}

/// A world as a store.
pub struct MemoryStore {
    pub world: Arc<World>,
}

#[async_trait]
impl Store for MemoryStore {
    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(MemorySource::new(Arc::clone(&self.world))))
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(MemoryTarget::new(Arc::clone(&self.world))))
    }

    async fn leftovers(&self, known: &[JobId]) -> Result<Vec<Leftover>> {
        let reserved = self.world.reservations();
        let jobs = self.world.ledger().jobs.into_keys();
        let of = |object: &str, job: JobId| Leftover {
            object: object.to_owned(),
            job: Some(job.to_string()),
            text: "of a job that this daemon does not have".into(),
            remove: "restart the daemon: the store lives in its memory".into(),
        };
        let reserved = reserved.into_iter().map(|job| of("reservation of the log", job));
        let all = reserved.chain(jobs.map(|job| of("rows of whimbrel_job and whimbrel_watermark", job)));
        let is_known = |left: &Leftover| known.iter().any(|job| Some(job.to_string()) == left.job);
        Ok(all.filter(|left| !is_known(left)).collect())
    }
}
