//! `kill -9` of the daemon at placed moments and at random, of the source and of the target, while it copies and tails.

use super::{
    acts::{ACTS, TABLES, schema},
    rig::Rig,
    writer::Writer,
};
use crate::{
    mysql::following::FILES,
    support::{mysql::Kind, wait::until, workload::Tally},
};

/// Every place of a copy where a kill has to be survived, and at which visit it comes.
const PLACES_OF_A_COPY: [(&str, u64); 12] = [
    ("mysql/begin", 1),
    ("mysql/claim", 1),
    ("mysql/prepare", 3),
    ("mysql/copy-page", 2),
    ("mysql/copy-page", 9),
    ("mysql/apply-before-commit", 3),
    ("mysql/apply-after-commit", 5),
    ("range-done", 4),
    ("mysql/finish", 1),
    ("mysql/finish", 6),
    ("mysql/finish-between", 1),
    ("state/after-flush", 7),
];

const PLACES_OF_A_TAIL: [(&str, u64); 10] = [
    ("mysql/apply-before-commit", 5),
    ("mysql/apply-after-commit", 6),
    ("mysql/apply-after-commit", 60),
    ("between-lanes", 2),
    ("between-lanes", 9),
    ("before-apply", 3),
    ("after-apply", 4),
    ("before-save", 2),
    ("mysql/tail-event", 400),
    ("before-acknowledge", 2),
];

const SEVERAL_LANES: &str = "apply:\n  lanes: 4\ncopy:\n  parallelism: 3\n";

type Pair = ((Kind, &'static [&'static str]), Kind);

/// Which servers are followed, and into which: where these differ, a green run on one proves nothing of another. They share
/// the places of a short run; in a long one each has all.
const PAIRS: [Pair; 5] = [
    ((Kind::Mariadb, &[]), Kind::Mariadb),
    ((Kind::Mysql, &[]), Kind::Mysql),
    ((Kind::Mariadb, &[]), Kind::Mysql),
    ((Kind::Mysql, FILES), Kind::Mariadb),
    ((Kind::Mysql56, FILES), Kind::Mysql),
];

#[test]
fn mariadb_into_mariadb_survives_kills_of_all_three() {
    survives(0);
}

#[test]
fn mysql_into_mysql_survives_kills_of_all_three() {
    survives(1);
}

#[test]
fn mariadb_into_mysql_survives_kills_of_all_three() {
    survives(2);
}

#[test]
fn mysql_without_numbers_into_mariadb_survives_kills_of_all_three() {
    survives(3);
}

#[test]
fn old_mysql_without_numbers_into_mysql_survives_kills_of_all_three() {
    survives(4);
}

fn seed() -> u64 {
    std::env::var("WHIMBREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn is_long() -> bool {
    std::env::var_os("WHIMBREL_LONG").is_some()
}

fn survives(pair: usize) {
    let ((source, flags), target) = PAIRS[pair];
    let rig = Rig::new((source, flags), (target, &[]));
    rig.source.sql(&schema());
    let (seed, what) = (seed() + 10_000 * pair as u64, format!("{source:?} to {target:?}"));
    let mut kills = Kills { rig, pair, tally: Tally::default(), seed, what };
    for _ in 0..if is_long() { 4 } else { 1 } {
        kills.in_a_copy();
    }
    kills.in_a_tail();
    kills.at_random(if is_long() { 200 } else { 3 });
    kills.rig.stop();
    let tally = &kills.tally;
    let counts: Vec<String> = tally.0.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    println!("{}: {}", kills.what, counts.join("; "));
    let never: Vec<&str> = ACTS.iter().map(|act| act.name).filter(|name| tally.get(name) == 0).collect();
    assert!(never.is_empty(), "never done: {never:?}; {:?}", tally.0);
    for victim in ["daemon", "source", "target"] {
        assert!(tally.get(&format!("{victim} killed")) >= 1, "{victim} was not killed: {:?}", tally.0);
    }
    assert!(tally.get("cut") > 0, "no kill met the application: {:?}", tally.0);
}

/// One pair of servers, and what has happened to it.
struct Kills {
    rig: Rig,
    pair: usize,
    tally: Tally,
    seed: u64,
    what: String,
}

impl Kills {
    /// The places that are this pair's.
    fn own(&self, places: &[(&'static str, u64)], first: usize) -> Vec<(&'static str, u64)> {
        let own = |at: &usize| is_long() || (at + first) % PAIRS.len() == self.pair;
        (0..places.len()).filter(own).map(|at| places[at]).collect()
    }

    fn writer(&mut self) -> Writer {
        self.seed += 1;
        Writer::start(&self.rig.source, self.seed)
    }

    /// The application ends, and every row is where it should be.
    fn settle(&mut self, writer: Writer, what: &str) {
        self.tally.merge(&writer.finish());
        self.rig.settle();
        self.rig.assert_equal(TABLES, &format!("{}, {what}", self.what));
    }

    fn kill(&mut self, victim: &str) {
        match victim {
            "daemon" => {
                self.rig.kill();
                self.rig.start(None);
            }
            "source" => {
                self.rig.source.kill();
                self.rig.source.start();
            }
            _ => {
                self.rig.target.kill();
                self.rig.target.start();
            }
        }
        self.tally.add(format!("{victim} killed"), 1);
    }

    /// Each place in a copy of its own.
    fn in_a_copy(&mut self) {
        for (at, (point, visit)) in self.own(&PLACES_OF_A_COPY, 0).into_iter().enumerate() {
            if self.rig.daemon.is_some() {
                self.rig.kill();
            }
            self.rig.start_over();
            self.rig.start(Some((point, visit)));
            self.rig.create(SEVERAL_LANES);
            let writer = self.writer();
            self.rig.run_job();
            self.rig.died(point);
            self.tally.add(format!("killed at {point}"), 1);
            self.rig.start(None);
            self.rig.run_job();
            if let Some(victim) = ["source", "target"].get(at % 3) {
                until("the job runs", || self.rig.seen().map(drop));
                self.kill(victim);
            }
            self.settle(writer, &format!("copy, {point}:{visit}"));
        }
    }

    /// Each place in the tail of the job that the last copy has left.
    fn in_a_tail(&mut self) {
        for (point, visit) in self.own(&PLACES_OF_A_TAIL, 3) {
            self.rig.kill();
            self.rig.start(Some((point, visit)));
            let writer = self.writer();
            self.rig.died(point);
            self.tally.add(format!("killed at {point}"), 1);
            self.rig.start(None);
            self.settle(writer, &format!("tail, {point}:{visit}"));
        }
    }

    /// At another moment each time, from the first milliseconds to well into the tail.
    fn at_random(&mut self, kills: u64) {
        for kill in 0..kills {
            let writer = self.writer();
            let from = self.rig.seen().map_or(0, |target| target.changes);
            let victim = ["daemon", "source", "target"][(kill % 3) as usize];
            until("changes are applied", || (self.rig.seen()?.changes >= from + kill * 37 % 11 * 40).then_some(()));
            self.kill(victim);
            self.settle(writer, &format!("random kill {kill}, of the {victim}"));
        }
    }
}
