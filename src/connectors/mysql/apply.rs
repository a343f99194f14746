//! One part as one transaction: the watermark first, then the rows, in one round trip where all of it fits.
//!
//! The server itself goes no further where the watermark did not move (lane protocol 2): so the commit stands at the end of
//! the same text. It is asked for apart where an answer decides: whether patches found their rows.
//!
//! Rows go in few statements. Where the server takes one of them not, the transaction is undone and its changes run one
//! by one in the source's order, so that the answer names each row that does not fit.

use super::{
    advance::Move,
    clash,
    failure::{self, code, number},
    lane::{Lane, Ran},
    plan::Plans,
    script::{Script, What},
    statement::{PlansOf, Writing},
    watermark::Home,
};
use crate::{
    error::{Error, ErrorKind, Result},
    faults,
    model::{Change, Key},
    target::{Applied, Claim, Clash, Part},
};

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

/// Moves the lanes and writes the rows. `Done`: committed; `Held`: in the open transaction; anything else is undone.
pub(super) async fn apply(lane: &mut Lane, work: &Work<'_>) -> Result<Applied> {
    let plans = plans(lane, work).await?;
    let part = work.part;
    let (rows, mutations, kind) = (part.rows, part.mutations, part.kind);
    let mut writing = Writing { rows, mutations, plans: &plans, kind, bulk_bytes: lane.bulk_bytes };
    let mut ran = together(lane, work, &writing).await?;
    if matches!(ran, Run::Unbound) {
        writing.bulk_bytes = 0;
        ran = together(lane, work, &writing).await?;
    }
    if matches!(ran, Run::Unfit) {
        let mut script = work.head();
        writing.one_by_one(&mut script)?;
        ran = run(lane, work, &writing, &script, true).await?;
    }
    match ran {
        Run::Ended(Applied::Done) if work.stays_open() => Ok(Applied::Held),
        Run::Ended(Applied::Done) => {
            faults::point("mysql/apply-before-commit");
            lane.execute("COMMIT").await.map_err(|failure| failure::error(failure, "committing"))?;
            faults::point("mysql/apply-after-commit");
            Ok(Applied::Done)
        }
        Run::Committed => Ok(Applied::Done),
        Run::Ended(other) => Ok(other),
        Run::Unfit | Run::Unbound => {
            Err(Error::transient("rows that did not fit together fit one by one, and now do not"))
        }
    }
}

/// Rows in few statements.
async fn together(lane: &mut Lane, work: &Work<'_>, writing: &Writing<'_>) -> Result<Run> {
    let mut script = work.head();
    writing.grouped(&mut script)?;
    if !work.stays_open() && !script.has_patches() {
        script.push("COMMIT", What::Commit);
    }
    run(lane, work, writing, &script, false).await
}

/// What became of a part's statements.
enum Run {
    Ended(Applied),
    Committed,
    /// Undone: something does not fit, which only the changes one by one can tell.
    Unfit,
    /// Undone: a value has a literal only, so all must be text.
    Unbound,
}

/// Of the shapes whose rows are written.
async fn plans(lane: &mut Lane, work: &Work<'_>) -> Result<PlansOf> {
    let mut plans: PlansOf = work.part.rows.shapes.iter().map(|_| None).collect();
    for mutation in work.part.mutations {
        let shape = usize::from(mutation.shape);
        if plans[shape].is_none() && !matches!(mutation.change, Change::Reshape | Change::Recopy) {
            let table = &work.part.rows.shapes[shape];
            plans[shape] = Some(work.plans.get(&mut lane.session, work.home, work.claim.job, table).await?);
        }
    }
    Ok(plans)
}

impl Work<'_> {
    /// The source's transaction goes on in the next part.
    fn stays_open(&self) -> bool {
        self.claim.transactional && !self.part.complete
    }

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
        script.push(advance.proof, What::Moved);
        script
    }
}

async fn run(lane: &mut Lane, work: &Work<'_>, writing: &Writing<'_>, script: &Script, careful: bool) -> Result<Run> {
    if let Some((length, what)) = script.largest()
        && length > lane.packet
    {
        // Of several rows each may fit.
        if !careful {
            return Ok(Run::Unfit);
        }
        return Err(too_large(writing, what, lane.packet));
    }
    let (mut missing, mut clashes) = (Vec::new(), Vec::new());
    let (mut next, mut committed) = (0, false);
    while next < script.len() {
        let (ran, count) = match (script.bulk(next), script.what(next)) {
            (Some(sql), What::Upserts(indexes)) => {
                let Some(rows) = writing.bound(indexes)? else {
                    undo(lane, work).await?;
                    return Ok(Run::Unbound);
                };
                (lane.run_bulk(sql, rows).await, 1)
            }
            _ => {
                let (text, count) = script.piece(next, lane.text_limit());
                let commits = *script.what(next + count - 1) == What::Commit;
                if commits {
                    faults::point("mysql/apply-before-commit");
                }
                let ran = lane.run(text).await;
                committed = commits && ran.failure.is_none();
                if committed {
                    faults::point("mysql/apply-after-commit");
                }
                (ran, count)
            }
        };
        let Ran { found, failure } = ran;
        for (piece, found) in (next..).zip(&found) {
            match script.what(piece) {
                What::Patch(index) if *found == 0 => missing.push(*index),
                What::Deletes(indexes) if *found == 0 && writing.plan(indexes[0]).is_keyless() => {
                    let table = &writing.plan(indexes[0]).table.name;
                    tracing::warn!(%table, "a row without key that was to be deleted is not there");
                }
                _ => {}
            }
        }
        let Some(failure) = failure else {
            if found.len() != count {
                return Err(Error::transient(format!("the server ran {} of {count} statements", found.len())));
            }
            next += count;
            continue;
        };
        let piece = next + found.len();
        match after(failure, script.what(piece), writing) {
            After::Again => return again(lane, work).await.map(Run::Ended),
            After::NotMoved => {
                undo(lane, work).await?;
                return Err(work.home.not_moved(&mut lane.session, &work.moved()).await);
            }
            After::Error(error) => return Err(error),
            After::Unfit(..) if !careful => {
                undo(lane, work).await?;
                return Ok(Run::Unfit);
            }
            After::Unfit(index, is_taken, why) => {
                let row = writing.row(&writing.mutations[index])?;
                let holders = match is_taken {
                    true => clash::holders(&mut lane.session, writing.plan(index), row).await?,
                    false => Some(Vec::new()),
                };
                // Lanes of one batch whose rows want each other's values meet here.
                let Some(mut holders) = holders else { return again(lane, work).await.map(Run::Ended) };
                if is_taken && holders.is_empty() && clash::has_hidden(&writing.plan(index).target.table) {
                    // Whoever it is may be in this batch: then the source's own order finds the value free.
                    holders.extend(Key::of(writing.rows.table(&writing.mutations[index]), row));
                }
                if holders.is_empty() {
                    undo(lane, work).await?;
                    return Err(writing.refused(index, &why));
                }
                clashes.extend(holders.into_iter().map(|holder| Clash { mutation: index, holder }));
                next = piece + 1;
            }
        }
    }
    if committed {
        return Ok(Run::Committed);
    }
    if missing.is_empty() && clashes.is_empty() {
        return Ok(Run::Ended(Applied::Done));
    }
    undo(lane, work).await?;
    missing.dedup();
    Ok(Run::Ended(match missing.is_empty() {
        false => Applied::Missing(missing),
        true => Applied::Taken(clashes),
    }))
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
    /// The watermark did not.
    NotMoved,
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
        What::Upserts(indexes) | What::Deletes(indexes) => indexes.first().copied(),
        What::Patch(index) | What::Whole(index) => Some(*index),
        What::Moved if number == code::TWO_ROWS => return After::NotMoved,
        What::Frame | What::Moved => None,
        What::Commit => return After::Error(failure::error(failure, "committing")),
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
        What::Upserts(indexes) | What::Deletes(indexes) => indexes.first().copied().unwrap_or(0),
        What::Patch(index) | What::Whole(index) => *index,
        What::Frame | What::Moved | What::Commit => 0,
    };
    writing
        .refused(index, &format!("it is larger than the server's `max_allowed_packet`, {packet} bytes"))
        .hint("SET GLOBAL max_allowed_packet = 1073741824   # at the target, and in its configuration")
}
