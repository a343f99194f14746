//! Large transactions in bounded memory; many tables without work that grows with their square.

use super::rig::Rig;
use crate::support::{mysql::Kind, wait::until};
use std::time::Instant;
use whimbrel::control::v1::ObservedState;

/// What the documentation promises, less what a daemon at rest has: rows in flight, and the rest of the daemon's work. (The
/// code of a build for tests is several times as large, so that a sum would say little.)
const PEAK: u64 = (128 - 20) << 20;

/// Rows of about 120 bytes.
const WIDE: &str = "CREATE TABLE wide (id INT PRIMARY KEY, v INT, text VARCHAR(200)) ENGINE=InnoDB";

fn is_long() -> bool {
    std::env::var_os("WHIMBREL_LONG").is_some()
}

/// A number table of so many powers of ten.
fn numbers(digits: u32) -> String {
    let ten = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 \
               UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    let from: Vec<String> = (0..digits).map(|digit| format!("{ten} AS t{digit}")).collect();
    let sum: Vec<String> = (0..digits).map(|digit| format!("t{digit}.n * {}", 10u32.pow(digit))).collect();
    format!("(SELECT {} AS n FROM {}) AS numbers", sum.join(" + "), from.join(", "))
}

#[test]
fn a_transaction_of_very_many_rows_goes_through_bounded_memory() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        goes_through_bounded_memory(kind);
    }
}

/// Waits until the target holds what the source does. Each batch on the way has its own time.
fn comes(rig: &Rig, content: &str) {
    let wanted = rig.source.sql(content);
    let mut applied = Some(0);
    while let Some(before) = applied {
        applied = until("more of the transaction is there", || {
            let now = rig.seen()?.changes;
            let is_there = || rig.target.try_sql(content).is_some_and(|found| found == wanted);
            (now > before).then_some(Some(now)).or_else(|| is_there().then_some(None))
        });
    }
}

fn goes_through_bounded_memory(kind: Kind) {
    let (digits, rows) = if is_long() { (6, 1_000_000) } else { (5, 50_000) };
    let mut rig = Rig::new((kind, &[]), (kind, &[]));
    rig.source.sql(WIDE);
    rig.start(None);
    rig.create("apply:\n  lanes: 4\n");
    rig.run_job();
    rig.settle();
    let rest = rig.peak();
    let fill = format!(
        "INSERT INTO wide SELECT n, 0, CONCAT(REPEAT('row ', 25), n) FROM {} WHERE n < {rows}",
        numbers(digits)
    );
    let content = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS(',', id, v, text))) FROM wide";
    for step in [&fill, "UPDATE wide SET v = v + 1, id = -id - 1", "DELETE FROM wide WHERE id % 2 = 0"] {
        rig.source.sql(&format!("BEGIN; {step}; COMMIT"));
        comes(&rig, content);
    }
    let peak = rig.peak() - rest;
    println!("{kind:?}: {rows} rows in one transaction: {} MiB above the {} MiB at rest", peak >> 20, rest >> 20);
    assert!(peak <= PEAK, "the daemon had {} MiB more in memory than at rest", peak >> 20);
    rig.settle();
    rig.stop();
}

/// Bytes to and from the target's server, and seconds, for a job of so many tables.
fn many_tables(kind: Kind, count: usize) -> u64 {
    let mut rig = Rig::new((kind, &[]), (kind, &[]));
    let made: Vec<String> = (0..count)
        .map(|table| {
            format!(
                "CREATE TABLE a_table_of_many_{table} (id INT PRIMARY KEY, name VARCHAR(40), UNIQUE (name)) ENGINE=InnoDB; \
                 INSERT INTO a_table_of_many_{table} VALUES (1, 'a'), (2, 'b')"
            )
        })
        .collect();
    rig.source.sql(&made.join(";\n"));
    rig.start(None);
    rig.create("");
    let traffic = |rig: &Rig| {
        let counts = rig.target.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Bytes_received', 'Bytes_sent')");
        let bytes =
            |line: &str| line.rsplit('\t').next().and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number");
        counts.lines().map(bytes).sum::<u64>()
    };
    let planned = Instant::now();
    let file = rig.path("job.yaml").display().to_string();
    let plan = rig.ask(&["plan", "-f", &file]);
    let planned = planned.elapsed();
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    let (before, started) = (traffic(&rig), Instant::now());
    rig.run_job();
    // Each step of each has its own time: all are made before the first is copied, and copied before the first stands.
    let (mut stand, mut steps) = (0, 0);
    while stand < count {
        (stand, steps) = until(&format!("more than {steps} steps; {stand} of {count} tables stand"), || {
            let tables = rig.seen()?.tables;
            let stand =
                tables.iter().filter(|table| table.observed_state == i32::from(ObservedState::Streaming)).count();
            let made = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'";
            let copied: u64 = tables.iter().map(|table| table.rows).sum();
            let now = stand + rig.target.sql(made).trim().parse::<usize>().ok()? + copied as usize;
            (now > steps || stand >= count).then_some((stand, now))
        });
    }
    let (bytes, took) = (traffic(&rig) - before, started.elapsed());
    println!(
        "{kind:?}, {count} tables: planned in {planned:?}, streaming after {took:?}, {bytes} bytes to and from the target"
    );
    rig.settle();
    for table in [0, count / 2, count - 1] {
        rig.assert_equal(&[&format!("a_table_of_many_{table}")], "many tables");
    }
    rig.stop();
    bytes
}

#[test]
fn work_grows_with_the_number_of_tables_and_not_with_its_square() {
    let (few, many) = if is_long() { (200, 2_000) } else { (10, 40) };
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let (of_few, of_many) = (many_tables(kind, few) / few as u64, many_tables(kind, many) / many as u64);
        println!("{kind:?}: a table costs {of_few} bytes where there are {few}, {of_many} where there are {many}");
        assert!(of_many < of_few * 3 / 2, "a table costs {of_few} bytes among {few}, and {of_many} among {many}");
    }
}
