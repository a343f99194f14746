//! `kill -9` of the daemon at placed moments and at random, of the source and of the target, while it copies and tails.

use super::{
    acts::{ACTS, TABLES, schema},
    rig::Rig,
    writer::Writer,
};
use crate::support::{mysql::Kind, wait::until, workload::Tally};

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

/// Which kinds of server are followed, and into which.
const PAIRS: &[(Kind, Kind)] = &[(Kind::Mariadb, Kind::Mariadb)];

fn seed() -> u64 {
    std::env::var("WHIMBREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn is_long() -> bool {
    std::env::var_os("WHIMBREL_LONG").is_some()
}

#[test]
fn a_copy_survives_kills_of_all_three_under_a_writer() {
    for &(source, target) in PAIRS {
        let mut rig = Rig::new((source, &[]), (target, &[]));
        rig.source.sql(&schema());
        let mut tally = Tally::default();
        let rounds = if is_long() { 4 } else { 1 };
        for round in 0..rounds {
            for (at, (point, visit)) in PLACES_OF_A_COPY.into_iter().enumerate() {
                let what = format!("{source:?} to {target:?}, round {round}: {point}:{visit}");
                rig.start_over();
                rig.start(None);
                rig.create(SEVERAL_LANES);
                rig.stop();
                let writer = Writer::start(&rig.source, seed() + round * 100 + at as u64);
                rig.start(Some((point, visit)));
                rig.run_job();
                rig.died(point);
                tally.add(format!("killed at {point}"), 1);
                rig.start(None);
                rig.run_job();
                if at % 4 == 1 {
                    rig.source.kill();
                    rig.source.start();
                    tally.add("source killed", 1);
                }
                if at % 4 == 3 {
                    rig.target.kill();
                    rig.target.start();
                    tally.add("target killed", 1);
                }
                tally.merge(&writer.finish());
                rig.settle();
                rig.assert_equal(TABLES, &what);
                rig.stop();
            }
        }
        print(&tally);
        for kind in ["source killed", "target killed"] {
            assert!(tally.get(kind) > 0, "{kind}: never; {:?}", tally.0);
        }
    }
}

#[test]
fn a_tail_survives_kills_of_all_three_under_a_writer() {
    for &(source, target) in PAIRS {
        let mut rig = Rig::new((source, &[]), (target, &[]));
        rig.source.sql(&schema());
        rig.start(None);
        rig.create(SEVERAL_LANES);
        rig.run_job();
        rig.settle();
        rig.assert_equal(TABLES, "the copy");
        rig.stop();
        let mut tally = Tally::default();
        for (at, (point, visit)) in PLACES_OF_A_TAIL.into_iter().enumerate() {
            rig.start(Some((point, visit)));
            let writer = Writer::start(&rig.source, seed() + 1_000 + at as u64);
            rig.died(point);
            tally.add(format!("killed at {point}"), 1);
            rig.start(None);
            tally.merge(&writer.finish());
            rig.settle();
            rig.assert_equal(TABLES, &format!("{source:?} to {target:?}: {point}:{visit}"));
            rig.stop();
        }
        let kills = if is_long() { 200 } else { 9 };
        rig.start(None);
        for kill in 0..kills {
            let writer = Writer::start(&rig.source, seed() + 2_000 + kill);
            let from = rig.seen().map_or(0, |target| target.changes);
            // At another moment each time, from the first milliseconds to well into the tail.
            until("changes are applied", || (rig.seen()?.changes >= from + kill * 37 % 11 * 40).then_some(()));
            let victim = ["daemon", "source", "target"][(kill % 3) as usize];
            match victim {
                "daemon" => {
                    rig.kill();
                    rig.start(None);
                }
                "source" => {
                    rig.source.kill();
                    rig.source.start();
                }
                _ => {
                    rig.target.kill();
                    rig.target.start();
                }
            }
            tally.add(format!("{victim} killed"), 1);
            tally.merge(&writer.finish());
            rig.settle();
            rig.assert_equal(TABLES, &format!("{source:?} to {target:?}: random kill {kill} of the {victim}"));
        }
        rig.stop();
        print(&tally);
        let never: Vec<&str> = ACTS.iter().map(|act| act.name).filter(|name| tally.get(name) == 0).collect();
        assert!(never.is_empty(), "never done: {never:?}; {:?}", tally.0);
        for victim in ["daemon", "source", "target"] {
            assert!(tally.get(&format!("{victim} killed")) >= 3, "{victim} was killed too seldom");
        }
        assert!(tally.get("cut") > 0, "no kill met the application: {:?}", tally.0);
    }
}

fn print(tally: &Tally) {
    let counts: Vec<String> = tally.0.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    println!("{}", counts.join("; "));
}
