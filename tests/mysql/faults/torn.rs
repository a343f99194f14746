//! A batch that reached some lanes only, of a table that has another shape when the batch is read again.

use super::rig::Rig;
use crate::support::mysql::Kind;

#[test]
fn a_torn_batch_whose_rows_can_be_read_no_more_is_mended() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    let thousand: Vec<String> = (0..1_000).map(|id| format!("({id}, 0)")).collect();
    rig.source.sql(&format!("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES {}", thousand.join(",")));
    rig.start(None);
    rig.create("apply:\n  lanes: 4\n");
    rig.run_job();
    rig.settle();
    rig.stop();
    rig.source.sql("UPDATE t SET v = 1");
    // One lane waits for a row while the others commit.
    let mut holder = rig.target.session();
    holder.sql("BEGIN; SELECT * FROM t WHERE id = 500 FOR UPDATE");
    rig.start(Some(("mysql/apply-after-commit", 3)));
    rig.died("mysql/apply-after-commit");
    let applied = rig.target.sql("SELECT COUNT(*) FROM t WHERE v = 1").trim().parse::<u64>().expect("a number");
    assert!(applied > 100 && applied < 1_000, "{applied} of 1,000 rows are there: the batch is torn");
    drop(holder);
    // From here on nobody can tell what the columns of those rows were.
    rig.source.sql("ALTER TABLE t ADD COLUMN w INT DEFAULT 7; DELETE FROM t WHERE id > 990");
    rig.start(None);
    rig.settle();
    rig.assert_equal(&["t"], "a torn batch");
    rig.stop();
}

/// MySQL does not note when a table got its last column, so a daemon that starts numbers its shapes lower than the one before.
#[test]
fn a_column_of_a_table_without_a_key_comes_although_it_was_copied_from_behind_it() {
    let mut rig = Rig::new((Kind::Mysql, &["--binlog-row-image=MINIMAL"]), (Kind::Mysql, &[]));
    rig.source.sql("CREATE TABLE t (a INT, b INT DEFAULT 1); INSERT INTO t VALUES (0, 0)");
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    for (column, row) in [("c", "1, 1, 1"), ("d", "2, 2, 2, 2"), ("e", "3, 3, 3, 3, 3")] {
        rig.source.sql(&format!("ALTER TABLE t ADD COLUMN {column} INT; INSERT INTO t VALUES ({row})"));
        rig.settle();
    }
    rig.stop();
    // Its value of `b` is in no log: the table is copied again, as it is now.
    rig.source.sql(
        "INSERT INTO t (a) VALUES (10); ALTER TABLE t ADD COLUMN late INT; INSERT INTO t (a, late) VALUES (11, 11)",
    );
    rig.start(None);
    rig.settle();
    rig.assert_equal(&["t"], "a column that came late");
    rig.stop();
}
