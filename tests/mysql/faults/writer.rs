//! A seeded application beside the job: it changes a server in all the ways that have lost rows somewhere, and counts
//! what was committed.

use super::acts::{self, ACTS, Act};
use crate::support::{
    mysql::{PASSWORD, Server},
    wait::eventually,
    workload::Tally,
};
use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::time::MissedTickBehavior;
use whimbrel::connectors::memory::Chance;

const ACTS_PER_S: u32 = 250;
const TRIES: u32 = 4;

/// A run of the application, on a thread of its own. Ends when it is asked to.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Writer {
    pub fn start(server: &Server, seed: u64) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (port, stopped) = (server.port, Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(write(port, seed, &stopped))
        });
        Writer { stop, thread }
    }

    /// How often each kind of act was committed.
    pub fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the application's writes never fail because of us")
    }
}

async fn write(port: u16, seed: u64, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut chance = Chance::new(seed);
    // A copy takes seconds in a build for tests; what is written meanwhile must be applied afterwards.
    let mut pace = tokio::time::interval(Duration::from_secs(1) / ACTS_PER_S);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Each once, so that a short run has met all of them; then as often as they weigh. What came to nothing is tried again.
    let mut deck: Vec<(&Act, u32)> = ACTS.iter().map(|act| (act, TRIES)).collect();
    while !stop.load(Ordering::Relaxed) {
        // The server may be on its way down or up.
        let mut desk = Desk { conn: connect(port).await, chance: chance.fork() };
        while !stop.load(Ordering::Relaxed) {
            let (act, tries) = match deck.len() {
                0 => (weighed(&mut chance), 0),
                left => deck.swap_remove(chance.index(left)),
            };
            pace.tick().await;
            let done = acts::run(&mut desk, act).await;
            if tries > 0 && !matches!(done, Ok(true)) {
                deck.push((act, tries - 1));
            }
            match done {
                Ok(true) => tally.add(act.name, 1),
                Ok(false) => tally.add("found nothing to do", 1),
                // What is doubled or pointed to: the application gives it up.
                Err(mysql_async::Error::Server(failure)) if !matches!(failure.code, 1053 | 1927) => {
                    tally.add(format!("refused: {}", failure.code), 1);
                    if desk.run("ROLLBACK").await.is_err() {
                        break;
                    }
                }
                Err(_) => {
                    tally.add("cut", 1);
                    break;
                }
            }
        }
    }
    tally
}

fn weighed(chance: &mut Chance) -> &'static Act {
    let mut at = chance.below(ACTS.iter().map(|act| act.weight).sum());
    let found = ACTS.iter().find(|act| {
        let found = at < act.weight;
        at = at.saturating_sub(act.weight);
        found
    });
    found.expect("weights add up")
}

/// The application's own, with all that it may do.
async fn connect(port: u16) -> Conn {
    let options = || {
        let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).prefer_socket(false);
        options.user(Some("writer")).pass(Some(PASSWORD)).db_name(Some("shop"))
    };
    eventually("the application connects", async || Conn::new(options()).await.ok()).await
}

/// Where an act is done.
pub struct Desk {
    conn: Conn,
    pub chance: Chance,
}

impl Desk {
    /// How many rows it changed.
    pub async fn run(&mut self, sql: impl AsRef<str>) -> Result<u64, mysql_async::Error> {
        self.conn.query_drop(sql.as_ref()).await?;
        Ok(self.conn.affected_rows())
    }

    /// In one transaction; how many rows the last one changed that changed any.
    pub async fn transact(&mut self, statements: &[String]) -> Result<bool, mysql_async::Error> {
        self.run("BEGIN").await?;
        let mut changed = true;
        for statement in statements {
            changed &= self.run(statement).await? > 0 || statement.starts_with("SET ");
        }
        self.run("COMMIT").await?;
        Ok(changed)
    }

    pub async fn value(&mut self, sql: impl AsRef<str>) -> Result<Option<String>, mysql_async::Error> {
        self.conn.query_first(sql.as_ref()).await
    }
}
