//! Which lane takes which mutation of a batch.

use crate::{
    faults::{self, Saboteur},
    model::{Batch, Key, Mutation, coarse_hash},
};

/// How one batch is spread. What a torn batch was spread by is kept in the watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    pub of: u16,
    /// Lanes that do not have the batch yet.
    pub lacking: Vec<u16>,
}

impl Spread {
    pub fn all(of: u16) -> Spread {
        Spread { of, lacking: (0..of).collect() }
    }
}

/// The batch's mutations by lane. The same key, as any store compares keys, always takes the same lane (invariant 4).
/// `version`: of the hash, as the target has it.
pub fn share(batch: &Batch, spread: &Spread, version: u8) -> Vec<Vec<Mutation>> {
    let (rows, of) = (batch.rows(), spread.of);
    if of == 1 {
        return vec![rows.mutations.clone()];
    }
    let again = spread.lacking.len() < usize::from(of);
    let mut shares = vec![Vec::with_capacity(rows.mutations.len() / usize::from(of) + 1); usize::from(of)];
    for mutation in &rows.mutations {
        let (table, row) = (rows.table(mutation), rows.row(mutation.row));
        let hash = match faults::on(Saboteur::LaneByExactKey) {
            true => Key::of(table, row).map(|key| xxhash_rust::xxh3::xxh3_64(key.bytes())),
            false => coarse_hash(version, table, row),
        };
        // `None` in a batch that was spread before, by another shape or another rule: one lane that lacks its share takes
        // such rows in their order, those of done lanes once more.
        let first = u64::from(spread.lacking.first().copied().unwrap_or(0));
        let hash = hash.unwrap_or(first);
        let hash = if again && faults::on(Saboteur::OtherHashAfterRestart) { hash.rotate_left(17) } else { hash };
        let lane = hash % u64::from(of);
        shares[usize::try_from(lane).expect("below a u16")].push(*mutation);
    }
    shares
}
