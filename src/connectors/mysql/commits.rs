//! What MySQL is just committing: logged or numbered, and not shown yet or not yet counted.
//!
//! MySQL shows a transaction before its number counts as executed; until then a session owns the number. But it owns it
//! also before, from where `gtid_next` was set (a replica's workers, whoever injects), and may give it back: rolled back,
//! it names nothing, or something else later. So what reads have shown is what counts, once those that are in commit have
//! come out of it.

use super::{
    connect::Session,
    failure::{self, Answer, number},
    gtid::{GtidSet, MysqlGtid, Origin},
    position::{Gtid, Reach},
    schema::strings,
    sight::{self, PATIENCE, PAUSE},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// One that is in commit for longer waits for replicas, and is in the log: it counts.
const COMMITS: Duration = Duration::from_secs(1);

/// Where the log ends: at or after everything that a read has shown, and nothing that is given back.
pub(super) async fn counted(session: &mut Session) -> Result<Reach> {
    let asking = |failure| failure::error(failure, "asking where the log ends");
    if faults::on(Saboteur::GivenBackCounted) {
        return sight::logged(session).await.map_err(asking);
    }
    if !sight::shows_before_it_counts(session).await.map_err(asking)? {
        return sight::ends(session).await.map_err(asking);
    }
    let deadline = Instant::now() + COMMITS;
    let mut waiting = owned(session).await.map_err(asking)?;
    let mut reach = sight::ends(session).await.map_err(asking)?;
    let mut looks = 0;
    loop {
        waiting.retain(|gtid, _| !Gtid::Mysql(gtid.clone()).is_in(&reach));
        if waiting.is_empty() {
            return Ok(reach);
        }
        looks += 1;
        // Most are through by the next look, which is all that it takes.
        let idle = if looks > 1 { idle(session).await.map_err(asking)? } else { BTreeSet::new() };
        // In this order: what was committed meanwhile is in the second, what was given back in neither.
        let owned = owned(session).await.map_err(asking)?;
        reach = sight::ends(session).await.map_err(asking)?;
        waiting.retain(|gtid, owners| owned.contains_key(gtid) && !owners.iter().all(|owner| idle.contains(owner)));
        if Instant::now() >= deadline {
            if let Reach::Mysql(set) = &mut reach {
                waiting.keys().for_each(|gtid| set.add(gtid));
            }
            return Ok(reach);
        }
        waiting = owned.into_iter().filter(|(gtid, _)| waiting.contains_key(gtid)).collect();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Numbers that are owned, and the sessions that own them.
type Owned = BTreeMap<MysqlGtid, Vec<u64>>;

async fn owned(session: &mut Session) -> Answer<Owned> {
    let text = session.value("SELECT @@GLOBAL.gtid_owned").await?.unwrap_or_default();
    owners_in(&text).ok_or_else(|| sight::strange(&text))
}

/// The same as a set.
pub(super) async fn owned_set(session: &mut Session) -> Answer<GtidSet> {
    let mut set = GtidSet::default();
    owned(session).await?.keys().for_each(|gtid| set.add(gtid));
    Ok(set)
}

/// `uuid:5#31:6#32:tag:1#33,uuid:9#4`.
fn owners_in(text: &str) -> Option<Owned> {
    let mut owned = Owned::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut pieces = part.split(':');
        let server = Uuid::parse_str(pieces.next()?.trim()).ok()?;
        let mut tag = String::new();
        for piece in pieces {
            match piece.split_once('#') {
                None => tag = piece.trim().to_ascii_lowercase(),
                Some((number, owners)) => {
                    let gtid = MysqlGtid { origin: Origin { server, tag: tag.clone() }, number: number.parse().ok()? };
                    let owners: Option<Vec<u64>> = owners.split('#').map(|owner| owner.trim().parse().ok()).collect();
                    owned.insert(gtid, owners?);
                }
            }
        }
    }
    Some(owned)
}

/// Sessions that commit nothing: asleep, or in a transaction that the engine has not prepared. None, where the account may
/// not ask.
async fn idle(session: &mut Session) -> Answer<BTreeSet<u64>> {
    let transactions = match in_engine(session).await {
        Err(failure) if number(&failure) == Some(1227) => return Ok(BTreeSet::new()),
        transactions => transactions?,
    };
    let busy: BTreeSet<u64> =
        transactions.iter().filter(|one| one.state != State::Active).filter_map(|one| one.session).collect();
    let active = transactions.iter().filter(|one| one.state == State::Active).filter_map(|one| one.session);
    let mut idle: BTreeSet<u64> = active.filter(|session| !busy.contains(session)).collect();
    idle.extend(sessions(session).await?.into_iter().filter(|(_, does)| does.sleeps).map(|(id, _)| id));
    Ok(idle)
}

/// Returns when every transaction that was in the log before is shown: between the two the engine holds it as prepared. So
/// it does those of XA, for as long as nobody ends them.
pub(super) async fn settled(session: &mut Session) -> Result<()> {
    let asking = |failure| failure::error(failure, "asking which transactions are being committed");
    let deadline = Instant::now() + PATIENCE;
    let prepared = |transactions: Vec<InEngine>| -> Vec<InEngine> {
        transactions.into_iter().filter(|one| one.state == State::Prepared).collect()
    };
    let first = prepared(in_engine(session).await.map_err(asking)?);
    if first.is_empty() {
        return Ok(());
    }
    let does = sessions(session).await.map_err(asking)?;
    let enders = does.iter().filter(|(_, does)| does.ends_a_branch).map(|(id, _)| *id).collect();
    let mut left = Left { waiting: first.iter().map(|one| one.id.clone()).collect(), enders };
    left.look(&first, &does);
    while !left.waiting.is_empty() {
        if Instant::now() >= deadline {
            let text = format!("{} transactions are logged, but not shown yet", left.waiting.len());
            return Err(Error::transient(text).hint("see what they wait for: SHOW PROCESSLIST"));
        }
        tokio::time::sleep(PAUSE).await;
        let now = prepared(in_engine(session).await.map_err(asking)?);
        let does = sessions(session).await.map_err(asking)?;
        left.look(&now, &does);
    }
    Ok(())
}

/// Transactions that may be in commit.
#[derive(Debug)]
struct Left {
    waiting: BTreeSet<String>,
    /// Sessions that were ending a branch of XA when it began: of a branch without a session, the one that ends it is
    /// among them.
    enders: BTreeSet<u64>,
}

impl Left {
    /// `prepared` was asked for before `sessions`. A session that sleeps commits nothing: it has prepared a branch.
    fn look(&mut self, prepared: &[InEngine], sessions: &BTreeMap<u64, Does>) {
        self.enders.retain(|id| sessions.get(id).is_some_and(|does| does.ends_a_branch));
        let commits = |one: &InEngine| match one.session {
            Some(id) => sessions.get(&id).is_some_and(|does| !does.sleeps),
            None => !self.enders.is_empty(),
        };
        self.waiting.retain(|id| prepared.iter().any(|one| one.id == *id && commits(one)));
    }
}

/// A transaction in the engine's own list.
#[derive(Debug, PartialEq)]
struct InEngine {
    id: String,
    state: State,
    /// `None`: a branch of XA that no session holds.
    session: Option<u64>,
}

#[derive(Debug, PartialEq)]
enum State {
    Active,
    Prepared,
    Other,
}

async fn in_engine(session: &mut Session) -> Answer<Vec<InEngine>> {
    let status = session.rows("SHOW ENGINE INNODB STATUS").await?;
    let text = status.into_iter().next().and_then(|row| row.into_iter().nth(2)).flatten().unwrap_or_default();
    transactions_in(&text)
        .ok_or_else(|| mysql_async::Error::Other("the engine does not tell all of its transactions".into()))
}

/// `None`: the list was cut short.
fn transactions_in(status: &str) -> Option<Vec<InEngine>> {
    if status.contains("... truncated...") {
        return None;
    }
    let (_, list) = status.split_once("LIST OF TRANSACTIONS FOR EACH SESSION")?;
    let mut found: Vec<InEngine> = Vec::new();
    for line in list.lines().take_while(|line| *line != "FILE I/O") {
        if let Some(told) = line.strip_prefix("---TRANSACTION ") {
            let (id, state) = told.split_once([',', ' ']).unwrap_or((told, ""));
            let state = match state {
                state if state.contains("(PREPARED)") => State::Prepared,
                state if state.trim_start().starts_with("ACTIVE") => State::Active,
                _ => State::Other,
            };
            found.push(InEngine { id: id.to_owned(), state, session: None });
        } else if let Some(rest) = line.strip_prefix("MySQL thread id ")
            && let Some(last) = found.last_mut().filter(|last| last.session.is_none())
        {
            last.session = rest.split(',').next().and_then(|id| id.parse().ok());
        }
    }
    Some(found)
}

/// What a session is at.
#[derive(Clone, Copy, Debug, Default)]
struct Does {
    sleeps: bool,
    ends_a_branch: bool,
}

async fn sessions(session: &mut Session) -> Answer<BTreeMap<u64, Does>> {
    let rows = session.rows("SELECT ID, COMMAND, LEFT(INFO, 1000) FROM information_schema.PROCESSLIST").await?;
    let one = |row| {
        let [id, command, statement] = strings(row);
        Some((id.parse().ok()?, Does { sleeps: command == "Sleep", ends_a_branch: ends_a_branch(&statement) }))
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// Comments may be anywhere: a statement that only talks of it is waited for, too.
fn ends_a_branch(statement: &str) -> bool {
    let statement = statement.to_ascii_uppercase();
    let mut words = statement.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| word == "XA") && words.any(|word| matches!(word, "COMMIT" | "ROLLBACK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn owned_numbers_have_owners() {
        let owned = owners_in(&format!("{UUID}:5#31:6#32:tagx:1#33#34,\n{UUID}:9#4")).expect("a list");
        let told: Vec<_> = owned.iter().map(|(gtid, owners)| (gtid.to_string(), owners.clone())).collect();
        let at = |place: &str| format!("{UUID}:{place}");
        let expected = [(at("5"), vec![31]), (at("6"), vec![32]), (at("9"), vec![4]), (at("tagx:1"), vec![33, 34])];
        assert_eq!(told, expected);
        assert_eq!(owners_in(""), Some(Owned::new()));
        assert_eq!(owners_in(&format!("{UUID}:x#1")), None);
    }

    const STATUS: &str = "LATEST DETECTED DEADLOCK\n---TRANSACTION 9, ACTIVE (PREPARED) 1 sec\n\
        LIST OF TRANSACTIONS FOR EACH SESSION:\n---TRANSACTION 421, not started\n0 lock struct(s)\n\
        ---TRANSACTION 1810, ACTIVE (PREPARED) 12 sec\n2 row lock(s)\n\
        MySQL thread id 7, OS thread handle 1, query id 5 localhost root\n\
        MySQL thread id 99, as somebody's statement says\n\
        ---TRANSACTION 1811, ACTIVE 3 sec\nMySQL thread id 8, OS thread handle 1, query id 5 localhost root\n\
        ---TRANSACTION 1812, ACTIVE (PREPARED) 99 sec recovered trx\n1 row lock(s)\n--------\nFILE I/O\n\
        MySQL thread id 6, OS thread handle 1";

    #[test]
    fn the_engine_lists_transactions_with_their_sessions() {
        let told = transactions_in(STATUS).expect("a list");
        let told: Vec<_> = told.iter().map(|one| (one.id.as_str(), &one.state, one.session)).collect();
        let expected = [
            ("421", &State::Other, None),
            ("1810", &State::Prepared, Some(7)),
            ("1811", &State::Active, Some(8)),
            ("1812", &State::Prepared, None),
        ];
        assert_eq!(told, expected);
        assert_eq!(transactions_in("... truncated...\nLIST OF TRANSACTIONS FOR EACH SESSION:"), None);
        assert_eq!(transactions_in(""), None);
    }

    #[test]
    fn a_branch_that_waits_is_not_waited_for_and_a_commit_is() {
        let prepared = |id: &str, session| InEngine { id: id.into(), state: State::Prepared, session };
        let all = [prepared("commits", Some(1)), prepared("branch", Some(2)), prepared("nobody's", None)];
        let mut does: BTreeMap<u64, Does> = (1..=3).map(|id| (id, Does::default())).collect();
        does.insert(2, Does { sleeps: true, ..Does::default() });
        let waiting: BTreeSet<String> = all.iter().map(|one| one.id.clone()).collect();
        let mut left = Left { waiting: waiting.clone(), enders: BTreeSet::new() };
        left.look(&all, &does);
        assert_eq!(left.waiting, BTreeSet::from(["commits".to_owned()]), "however many branches there are");
        left.look(&all[1..], &does);
        assert!(left.waiting.is_empty());
        // Somebody may be ending the branch that no session holds.
        does.insert(3, Does { ends_a_branch: true, ..Does::default() });
        let mut left = Left { waiting, enders: BTreeSet::from([3]) };
        left.look(&all[1..], &does);
        assert_eq!(left.waiting, BTreeSet::from(["nobody's".to_owned()]));
        does.insert(3, Does::default());
        left.look(&all[1..], &does);
        assert!(left.waiting.is_empty(), "it has ended another one");
    }

    #[test]
    fn ends_of_branches_are_told_by_their_words() {
        for ends in ["XA COMMIT 'a'", "/* app */ xa\n\tcommit X'00'", "Xa Rollback 'b'", "XA/**/COMMIT 'c'"] {
            assert!(ends_a_branch(ends), "{ends}");
        }
        for other in ["COMMIT", "XA PREPARE 'a'", "", "INSERT INTO xa_log VALUES (1)", "COMMIT /* XA */"] {
            assert!(!ends_a_branch(other), "{other}");
        }
    }
}
