//! A server as a target: a connection and a transaction for each lane, or one that stays open between batches.

use super::{
    apply::{self, Work},
    config::Config,
    connect::{Connections, Session},
    failure, finish, fit, known,
    lane::Lane,
    plan::Plans,
    prepare,
    watermark::Home,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{BLOCK_HASH_VERSION, Existing, Finding, JobId, Table},
    target::{Applied, Claim, Finished, JobRow, Opened, Part, Prepared, Target},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;

/// More bring nothing on a server of a few cores, and fewer leave it waiting for its disk.
const LANES: u16 = 4;

pub(super) struct MysqlTarget {
    config: Arc<Config>,
    connections: Connections,
    open: Mutex<Option<Arc<Open>>>,
}

/// What `open` has taken over.
struct Open {
    home: Home,
    claim: Claim,
    plans: Plans,
    /// Connections at rest, in no transaction.
    lanes: Mutex<Vec<Lane>>,
    /// The one whose transaction stays open (lane protocol 11).
    held: tokio::sync::Mutex<Option<Lane>>,
}

impl MysqlTarget {
    pub fn new(config: Arc<Config>) -> MysqlTarget {
        MysqlTarget { connections: Connections::new(Arc::clone(&config)), config, open: Mutex::default() }
    }

    fn home(&self) -> Result<Home> {
        let name = self.config.database.as_deref().ok_or_else(|| {
            Error::config("a target's URL must name a database: three small tables of ours are kept in it")
                .hint("write `mysql://user@host:3306/database`")
        })?;
        Ok(Home::new(name))
    }

    fn opened(&self) -> Result<Arc<Open>> {
        self.open.lock().clone().ok_or_else(|| Error::transient("the target is not open"))
    }

    async fn lane(&self, open: &Open) -> Result<Lane> {
        // Those that rested too long are dropped: the server has ended them, or is about to.
        let rested = {
            let mut lanes = open.lanes.lock();
            std::iter::from_fn(|| lanes.pop()).find(Lane::is_fresh)
        };
        match rested {
            Some(lane) => Ok(lane),
            None => Lane::open(&self.connections, open.claim.transactional).await,
        }
    }

    /// A connection for a change of a table. Such a change commits, and waits for whoever has touched the table: so what
    /// is open is undone, the change is made, and the answer is an error, after which the source is read again from where
    /// that transaction began. Then nothing is left to change in the midst of it.
    async fn alone(&self, open: &Open, table: &Table, generation: Option<u64>) -> Result<(Lane, bool)> {
        let mut lane = self.lane(open).await?;
        let mut held = open.held.lock().await;
        let undoes = held.is_some()
            && !prepare::is_settled(&mut lane.session, &open.home, &open.claim, table, generation).await?;
        if undoes && let Some(mut lane) = held.take() {
            lane.roll_back().await.map_err(|failure| failure::error(failure, "undoing an open transaction"))?;
        }
        Ok((lane, undoes))
    }
}

impl Open {
    async fn apply(&self, lane: &mut Lane, part: &Part<'_>, is_held: bool, ignores_epoch: bool) -> Result<Applied> {
        let work = Work { home: &self.home, claim: &self.claim, plans: &self.plans, part, is_held, ignores_epoch };
        apply::apply(lane, &work).await
    }

    fn rest(&self, lane: Lane) {
        self.lanes.lock().push(lane.rest());
    }
}

#[async_trait]
impl Target for MysqlTarget {
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
        let home = self.home()?;
        let mut session = self.connections.open().await?;
        fit::check(&mut session, &self.config, &home, tables, existing).await
    }

    async fn open(&self, claim: &Claim) -> Result<Opened> {
        let home = self.home()?;
        // Every connection from before goes, and what is open on it.
        *self.open.lock() = None;
        let mut lane = Lane::open(&self.connections, claim.transactional).await?;
        let opened = take_over(&mut lane.session, &home, claim).await?;
        let (lanes, claim) = (Mutex::new(vec![lane.rest()]), claim.clone());
        let open = Open { home, claim, plans: Plans::default(), lanes, held: tokio::sync::Mutex::default() };
        *self.open.lock() = Some(Arc::new(open));
        Ok(opened)
    }

    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let open = self.opened()?;
        let (mut lane, undoes) = self.alone(&open, table, Some(generation)).await?;
        let prepared = prepare::prepare(&mut lane.session, &open.home, &open.claim, table, generation).await;
        open.plans.forget(table);
        let prepared = prepared?;
        open.rest(lane);
        if undoes { Err(undone(table)) } else { Ok(prepared) }
    }

    async fn apply(&self, part: Part<'_>) -> Result<Applied> {
        // Both are asked: a defence that nobody asks for proves nothing.
        let (zombie, epoch) = (faults::on(Saboteur::ZombieAllowed), faults::on(Saboteur::EpochIgnored));
        let ignores_epoch = zombie || epoch;
        let open = self.opened()?;
        if !open.claim.transactional {
            let mut lane = self.lane(&open).await?;
            // After an error the connection goes with whatever is open on it.
            let applied = open.apply(&mut lane, &part, false, ignores_epoch).await?;
            open.rest(lane);
            return Ok(applied);
        }
        let mut held = open.held.lock().await;
        let (mut lane, is_held) = match held.take() {
            Some(lane) => (lane, true),
            None => (self.lane(&open).await?, false),
        };
        let applied = open.apply(&mut lane, &part, is_held, ignores_epoch).await?;
        match applied {
            Applied::Held => *held = Some(lane),
            Applied::Missing(_) | Applied::Taken(_) if is_held => *held = Some(lane),
            _ => open.rest(lane),
        }
        Ok(applied)
    }

    async fn finish(&self, table: &Arc<Table>) -> Result<Finished> {
        let open = self.opened()?;
        let (mut lane, undoes) = self.alone(&open, table, None).await?;
        let finished = finish::finish(&mut lane.session, &open.home, &open.claim, table).await;
        open.plans.forget(table);
        let finished = finished?;
        open.rest(lane);
        if undoes { Err(undone(table)) } else { Ok(finished) }
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        let home = self.home()?;
        *self.open.lock() = None;
        let mut session = self.connections.open().await?;
        home.keep_out(&mut session).await?;
        let forget = async {
            match home.is_there(&mut session).await? {
                true => home.forget(&mut session, job).await,
                false => Ok(()),
            }
        };
        forget.await.map_err(|failure| failure::error(failure, "forgetting a job"))?;
        home.admit(&mut session).await
    }

    async fn jobs(&self) -> Result<Vec<JobRow>> {
        let home = self.home()?;
        let mut session = self.connections.open().await?;
        match home.is_there(&mut session).await.map_err(|failure| failure::error(failure, "looking for jobs"))? {
            true => home.all(&mut session).await,
            false => Ok(Vec::new()),
        }
    }

    fn lanes(&self) -> u16 {
        LANES
    }

    fn hash_version(&self) -> u8 {
        BLOCK_HASH_VERSION
    }

    fn place(&self) -> Option<String> {
        self.connections.place()
    }
}

fn undone(table: &Table) -> Error {
    Error::transient(format!(
        "{}: the source changed it inside a transaction; it is changed now, and the transaction is read again",
        table.name
    ))
}

async fn take_over(session: &mut Session, home: &Home, claim: &Claim) -> Result<Opened> {
    known::written(&session.server)?;
    let said = |failure| failure::error(failure, "taking the job over");
    home.keep_out(session).await?;
    home.make(session).await.map_err(said)?;
    // Not less, or two new jobs would not see each other.
    session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION").await.map_err(said)?;
    let opened = home.claim(session, claim).await?;
    faults::point("mysql/claim");
    session.run("COMMIT").await.map_err(said)?;
    home.admit(session).await?;
    Ok(opened)
}
