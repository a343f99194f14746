//! One part as one transaction: the watermark first, then the rows, in two round trips where all of it fits.
//!
//! Rows go in few statements. Where the server takes one of them not, the transaction is undone and its changes run one
//! by one in the source's order, so that the answer names each row that does not fit.

use super::{
    clash,
    failure::{self, code, number},
    lane::{Lane, Ran},
    plan::Plans,
    statement::{PlansOf, Script, What, Writing},
    watermark::{Home, Move},
};
use crate::{
    error::{Error, ErrorKind, Result},
    model::Change,
    target::{Applied, Claim, Clash, Part},
};

/// Statements in front of the rows: the transaction, how far the lanes are, and their move.
const HEAD: usize = 3;

/// What a transaction of a part needs to know.
pub(super) struct Work<'a> {
    pub home: &'a Home,
    pub claim: &'a Claim,
    pub plans: &'a Plans,
    pub part: &'a Part<'a>,
    /// The connection's transaction holds earlier parts.
    pub is_held: bool,
    /// Defences are taken away: tests only.
    pub ignores_epoch: bool,
}

/// Moves the lanes and writes the rows. `Done`: in the open transaction, to be committed; anything else is undone.
pub(super) async fn apply(lane: &mut Lane, work: &Work<'_>) -> Result<Applied> {
    let plans = plans(lane, work).await?;
    let part = work.part;
    let writing = Writing { rows: part.rows, mutations: part.mutations, plans: &plans, kind: part.kind };
    let mut script = work.head();
    writing.grouped(&mut script)?;
    match run(lane, work, &writing, &script, false).await? {
        Some(applied) => Ok(applied),
        None => {
            let mut script = work.head();
            writing.one_by_one(&mut script)?;
            let applied = run(lane, work, &writing, &script, true).await?;
            applied.ok_or_else(|| Error::transient("rows that did not fit together fit one by one, and now do not"))
        }
    }
}

/// Of the shapes whose rows are written.
async fn plans(lane: &mut Lane, work: &Work<'_>) -> Result<PlansOf> {
    let mut plans: PlansOf = work.part.rows.shapes.iter().map(|_| None).collect();
    for mutation in work.part.mutations {
        let shape = usize::from(mutation.shape);
        if plans[shape].is_none() && !matches!(mutation.change, Change::Reshape | Change::Recopy) {
            plans[shape] = Some(work.plans.get(&mut lane.session, &work.part.rows.shapes[shape]).await?);
        }
    }
    Ok(plans)
}

impl Work<'_> {
    fn moved(&self) -> Move<'_> {
        let (part, claim) = (self.part, self.claim);
        Move {
            job: claim.job,
            epoch: claim.epoch,
            token: claim.token,
            feed: part.feed,
            lanes: part.lanes,
            of: part.of,
            number: part.number,
            from: part.from,
            to: part.to,
            ignores_epoch: self.ignores_epoch,
        }
    }

    fn head(&self) -> Script {
        let mut script = Script::default();
        let begin = match (self.is_held, self.claim.transactional) {
            (true, _) => "SAVEPOINT part",
            (false, true) => "BEGIN;SAVEPOINT part",
            (false, false) => "BEGIN",
        };
        begin.split(';').for_each(|statement| script.push(statement, What::Frame));
        let advance = self.home.advance(&self.moved());
        script.push(advance.stands, What::Frame);
        script.push(advance.moved, What::Frame);
        script
    }
}

/// `None`: something does not fit, which only the changes one by one can tell.
async fn run(
    lane: &mut Lane,
    work: &Work<'_>,
    writing: &Writing<'_>,
    script: &Script,
    careful: bool,
) -> Result<Option<Applied>> {
    if let Some((length, what)) = script.largest()
        && length > lane.packet
    {
        // Of several rows each may fit.
        if !careful {
            return Ok(None);
        }
        return Err(too_large(writing, what, lane.packet));
    }
    let head = if work.claim.transactional && !work.is_held { HEAD + 1 } else { HEAD };
    let (mut missing, mut clashes) = (Vec::new(), Vec::new());
    let mut next = 0;
    while next < script.len() {
        let (text, count) = script.text(next, lane.text_limit());
        let Ran { found, rows, failure } = lane.run(text).await;
        if next == 0 && found.len() >= head {
            let stands = rows.first().and_then(|row| row.get::<Option<u64>, _>(0)).flatten();
            prove_moved(lane, work, found[head - 1], stands).await?;
        }
        for (piece, found) in (next..).zip(&found) {
            match script.what(piece) {
                What::Patch(index) if *found == 0 => missing.push(*index),
                What::Delete(index) if *found == 0 && writing.plan(*index).is_keyless() => {
                    let table = &writing.plan(*index).table.name;
                    tracing::warn!(%table, "a row without key that was to be deleted is not there");
                }
                _ => {}
            }
        }
        let Some(failure) = failure else {
            next += count;
            continue;
        };
        let piece = next + found.len();
        match after(failure, script.what(piece), writing) {
            After::Again => return again(lane, work).await.map(Some),
            After::Error(error) => return Err(error),
            After::Unfit(..) if !careful => {
                undo(lane, work).await?;
                return Ok(None);
            }
            After::Unfit(index, is_taken, why) => {
                let row = writing.row(&writing.mutations[index])?;
                let holders = match is_taken {
                    true => clash::holders(&mut lane.session, writing.plan(index), row).await?,
                    false => Some(Vec::new()),
                };
                // Lanes of one batch whose rows want each other's values meet here.
                let Some(holders) = holders else { return again(lane, work).await.map(Some) };
                if holders.is_empty() {
                    undo(lane, work).await?;
                    return Err(writing.refused(index, &why));
                }
                clashes.extend(holders.into_iter().map(|holder| Clash { mutation: index, holder }));
                next = piece + 1;
            }
        }
    }
    if missing.is_empty() && clashes.is_empty() {
        return Ok(Some(Applied::Done));
    }
    undo(lane, work).await?;
    missing.dedup();
    Ok(Some(match missing.is_empty() {
        false => Applied::Missing(missing),
        true => Applied::Taken(clashes),
    }))
}

/// Each lane is one row that was found, and stands right before this batch (lane protocol 2).
async fn prove_moved(lane: &mut Lane, work: &Work<'_>, moved: u64, stands: Option<u64>) -> Result<()> {
    let part = work.part;
    let on_a_gap = stands.is_none_or(|stands| stands + 1 < part.number) && !work.ignores_epoch;
    if moved == part.lanes.len() as u64 && !on_a_gap {
        return Ok(());
    }
    undo(lane, work).await?;
    Err(work.home.not_moved(&mut lane.session, &work.moved(), stands).await)
}

/// A deadlock, or a lock that was not given up in time.
async fn again(lane: &mut Lane, work: &Work<'_>) -> Result<Applied> {
    if work.is_held {
        // What it has undone, or not, is more than this part.
        return Err(Error::transient("a deadlock or a lock undid an open transaction"));
    }
    undo(lane, work).await?;
    Ok(Applied::Again)
}

/// To before this part.
async fn undo(lane: &mut Lane, work: &Work<'_>) -> Result<()> {
    let undone = match work.is_held {
        true => lane.roll_back_to("part").await,
        false => lane.roll_back().await,
    };
    undone.map_err(|failure| failure::error(failure, "undoing a part"))
}

/// What a failed statement calls for.
enum After {
    Again,
    /// The row of this mutation; whether another row holds its values; why not, without any value.
    Unfit(usize, bool, String),
    Error(Error),
}

fn after(failure: mysql_async::Error, what: &What, writing: &Writing<'_>) -> After {
    let Some(number) = number(&failure) else { return After::Error(failure::error(failure, "applying")) };
    if failure::is_lock(&failure) {
        return After::Again;
    }
    let index = match what {
        What::Upserts(indexes) => indexes.first().copied(),
        What::Patch(index) | What::Delete(index) | What::Whole(index) => Some(*index),
        What::Frame => None,
    };
    let Some(index) = index else { return After::Error(failure::error(failure, "moving the watermark")) };
    let is_taken = matches!(number, code::DUPLICATE | code::DUPLICATE_NAMED | code::TWO_ROWS);
    let refused = is_taken || failure::kind(number) == ErrorKind::Refused;
    match refused {
        true => After::Unfit(index, is_taken, failure::without_values(&failure)),
        false => {
            let table = &writing.plan(index).table.name;
            After::Error(failure::error(failure, "applying").at(table))
        }
    }
}

fn too_large(writing: &Writing<'_>, what: &What, packet: usize) -> Error {
    let index = match what {
        What::Upserts(indexes) => indexes.first().copied().unwrap_or(0),
        What::Patch(index) | What::Delete(index) | What::Whole(index) => *index,
        What::Frame => 0,
    };
    writing
        .refused(index, &format!("it is larger than the server's `max_allowed_packet`, {packet} bytes"))
        .hint("SET GLOBAL max_allowed_packet = 1073741824   # at the target, and in its configuration")
}
