//! The mutations of a part, written: in batches without a key twice, each again until all of its rows are done.

use super::{
    catalog::Catalog,
    change::Change,
    client::Client,
    failure::{Failure, Fate, code},
    limit,
    messages::row::Existence,
    shape::Shape,
    values::Draft,
    whole,
};
use crate::{
    error::{Error, Result},
    model::{self, Mutation, Rows, TableName},
    target::Applied,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// A row that the service puts off is tried again for so long; then the job is asked to wait.
const PUT_OFF_FOR: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A target's tables, and what may be written into each.
pub(super) struct Writer<'a> {
    pub catalog: Arc<Catalog>,
    pub shapes: &'a BTreeMap<TableName, Arc<Shape>>,
    /// Cells keep the times of the source where the table keeps versions or lets them expire.
    pub keeps_times: bool,
    /// As long as a request may still be under way that nobody waits for any more.
    pub settles: Duration,
}

impl Writer<'_> {
    pub async fn apply(&self, rows: &Rows, mutations: &[Mutation]) -> Result<Applied> {
        let mut missing = Vec::new();
        let mut start = 0;
        while start < mutations.len() {
            let first = &mutations[start];
            if first.change.is_alone() {
                self.alone(rows, first).await?;
                start += 1;
                continue;
            }
            let name = &rows.table(first).name;
            let same = |one: &&Mutation| !one.change.is_alone() && rows.table(one).name == *name;
            let run = mutations[start..].iter().take_while(same).count();
            self.table(rows, start, &mutations[start..start + run], &mut missing).await?;
            start += run;
        }
        Ok(if missing.is_empty() { Applied::Done } else { Applied::Missing(missing) })
    }

    fn shape(&self, name: &TableName) -> Result<&Arc<Shape>> {
        self.shapes.get(name).ok_or_else(|| Error::transient(format!("{name}: the table was not prepared")))
    }

    async fn alone(&self, rows: &Rows, mutation: &Mutation) -> Result<()> {
        let table = rows.table(mutation);
        match mutation.change {
            model::Change::Truncate => whole::truncate(self, self.shape(&table.name)?).await,
            model::Change::Matching => whole::matching(self, self.shape(&table.name)?, rows, mutation).await,
            _ => Ok(()),
        }
    }

    /// Changes of one table, in order.
    async fn table(
        &self,
        rows: &Rows,
        first_place: usize,
        mutations: &[Mutation],
        missing: &mut Vec<usize>,
    ) -> Result<()> {
        let name = &rows.table(&mutations[0]).name;
        let shape = self.shape(name)?;
        let times = self.keeps_times(shape);
        let mut drafts = Vec::with_capacity(mutations.len());
        for one in mutations {
            let is_whole = one.change == model::Change::Upsert;
            let draft = Draft::of(rows.table(one), rows, one, times, is_whole).map_err(|error| error.at(name))?;
            drafts.push(draft);
        }
        let (mut changes, mut places) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        for (index, (one, draft)) in mutations.iter().zip(&drafts).enumerate() {
            let change = match one.change {
                model::Change::Upsert => draft.put(),
                model::Change::Delete => draft.delete(),
                // Whole rows only, or versions of other times: the row is fetched.
                model::Change::Patch | model::Change::Merge
                    if !shape.takes_updates() || (draft.names_versions() && !times) =>
                {
                    missing.push(first_place + index);
                    continue;
                }
                model::Change::Patch => draft.update(Existence::Expected),
                model::Change::Merge => draft.update(Existence::Ignore),
                other => return Err(Error::config(format!("a {other:?} of {name} reached the target"))),
            };
            let pieces = limit::pieces(change, shape.takes_updates()).map_err(|misfit| {
                Error::refused(format!("{name}: row ({}): {}", draft.shown_key(), misfit.why))
                    .hint("leave the table out, or make the row smaller at the source")
            })?;
            places.extend(pieces.iter().map(|_| first_place + index));
            changes.extend(pieces);
        }
        for batch in limit::batches(&name.name, &changes) {
            let failed = write(&self.catalog.client, &name.name, &changes[batch.clone()], self.settles).await?;
            for (at, failure) in failed {
                let place = places[batch.start + at];
                match failure.code() {
                    Some(code::CONDITION) => missing.push(place),
                    _ => {
                        let draft = &drafts[place - first_place];
                        return Err(failure.at(format!("{name}: row ({})", draft.shown_key())));
                    }
                }
            }
        }
        // Those that were not sent are before those that were not taken.
        missing.sort_unstable();
        missing.dedup();
        Ok(())
    }

    pub fn keeps_times(&self, shape: &Shape) -> bool {
        self.keeps_times || shape.max_versions() > 1 || shape.expires_after_s().is_some()
    }
}

/// Writes one batch until each of its rows is done or refused; those that are refused come back. What may have been done is
/// written again, all of it may happen twice; but not before it is over: it must not come after what follows.
async fn write(
    client: &Client,
    table: &str,
    changes: &[Change<'_>],
    settles: Duration,
) -> Result<Vec<(usize, Failure)>> {
    let until = Instant::now() + PUT_OFF_FOR;
    let mut pause = FIRST_PAUSE;
    let mut left: Vec<usize> = (0..changes.len()).collect();
    let mut refused = Vec::new();
    loop {
        let now: Vec<Change<'_>> = left.iter().map(|&at| changes[at].clone()).collect();
        let answers = match client.batch_write_row(&[(table, &now)]).await {
            Ok(mut answers) => answers.pop().unwrap_or_default(),
            Err(failure) if failure.fate() != Fate::Refused && Instant::now() < until => {
                sleep(if failure.is_ambiguous() { settles.max(pause) } else { pause }).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Err(failure) => return Err(failure.at(format!("writing {table}"))),
        };
        let (mut again, mut ambiguous) = (Vec::new(), false);
        for (at, answer) in left.into_iter().zip(answers) {
            match answer {
                Ok(()) => {}
                Err(failure) if failure.fate() != Fate::Refused => {
                    if Instant::now() > until {
                        return Err(failure.at(format!("writing {table}")));
                    }
                    ambiguous |= failure.is_ambiguous();
                    again.push(at);
                }
                Err(failure) => refused.push((at, failure)),
            }
        }
        if again.is_empty() {
            return Ok(refused);
        }
        left = again;
        sleep(if ambiguous { settles.max(pause) } else { pause }).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Writes rows that must all be taken.
pub(super) async fn write_all(client: &Client, table: &str, changes: &[Change<'_>], settles: Duration) -> Result<()> {
    for batch in limit::batches(table, changes) {
        if let Some((_, failure)) = write(client, table, &changes[batch], settles).await?.into_iter().next() {
            return Err(failure.at(format!("writing {table}")));
        }
    }
    Ok(())
}
