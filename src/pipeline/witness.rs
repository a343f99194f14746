//! What reads have shown is durable before rows that they brought are written: a source that forgets it is found out.

use super::ledger::Ledger;
use crate::{
    error::Result,
    faults::{self, Saboteur},
    model::Checkpoint,
    source::Source,
};
use std::{cmp::Ordering, sync::Arc};

/// Invariant 8 for rows that are in the target ahead of its checkpoint: a copy reads what the log tells only later. If
/// the source is put back to a point between the two, its log says nothing of them, and goes on from the checkpoint as
/// if all were well.
#[derive(Clone)]
pub struct Witness {
    pub source: Arc<dyn Source>,
    pub ledger: Arc<Ledger>,
}

impl Witness {
    /// Before rows that a read of the source gave are written without a position that vouches for them.
    pub async fn note(&self) -> Result<()> {
        let newer = self.ahead(self.source.seen(), &self.ledger.seen())?;
        if newer.is_empty() || faults::on(Saboteur::SeenNotNoted) {
            return Ok(());
        }
        self.ledger.change(|progress| newer.0.into_iter().for_each(|(of, seen)| progress.seen.set(&of, seen)));
        self.ledger.save().await
    }

    /// At the start: the source still has what rows of ours may have come from. What the target's checkpoint has passed
    /// is proven by the tail.
    pub async fn prove(&self) -> Result<()> {
        let (seen, at) = self.ledger.read(|progress| (progress.seen.clone(), progress.checkpoint.clone()));
        let seen = self.ahead(seen, &at)?;
        if !seen.is_empty() {
            self.source.fetch(&[], &seen, 0).await?;
        }
        self.ledger.change(|progress| progress.seen = seen);
        Ok(())
    }

    /// What of `seen` lies after `known`.
    fn ahead(&self, seen: Checkpoint, known: &Checkpoint) -> Result<Checkpoint> {
        let mut ahead = Checkpoint::default();
        for (partition, seen) in seen.0 {
            let passed = known.get(&partition).map(|known| self.source.order(&seen, known)).transpose()?;
            if passed.is_none_or(Ordering::is_gt) {
                ahead.set(&partition, seen);
            }
        }
        Ok(ahead)
    }
}
