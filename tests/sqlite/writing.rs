//! The target: the lane protocol, refusals, clashes, tables made and finished.

use super::support::*;
use std::{path::Path, sync::Arc};
use uuid::Uuid;
use whimbrel::{
    error::ErrorKind,
    faults::{self, Saboteur},
    model::{
        Batch, Change, Column, Criterion, Existing, Key, Kind, NO_ROW, Operator, Partition, Position, Rows, Severity,
        Table, Type, Unique, Value, ValueRef,
    },
    target::{Applied, Claim, Clash, Finished, Noted, Part},
};

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.into()))
}

fn number(value: i64) -> Option<Value> {
    Some(Value::Int(value))
}

fn key(value: i64) -> Key {
    Key::from_values([ValueRef::Int(value)])
}

/// Several changes of one table in a batch.
fn changes(table: &Arc<Table>, all: &[(Change, Vec<Option<Value>>)]) -> Batch {
    let mut rows = Rows::default();
    let shape = rows.shape(table);
    for (change, row) in all {
        let place = rows.add_row(row);
        rows.push(shape, *change, place, NO_ROW);
    }
    batch(rows)
}

/// A target made from a source's tables.
async fn made(world: &World, sql: &str) -> (Applier, Vec<Arc<Table>>, std::path::PathBuf) {
    let source = source(&world.database("a.db", sql));
    let tables = all_tables(&source).await;
    let path = world.path("b.db");
    let applier = Applier::open(target(&path), &claim(job(1), 1, &tables), &tables).await;
    (applier, tables, path)
}

const TABLE: &str =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT, n INT NOT NULL DEFAULT 0 CHECK (n < 100), g AS (n + 1));
    CREATE UNIQUE INDEX te ON t(e);";

fn row(id: i64, e: &str, n: i64) -> Vec<Option<Value>> {
    vec![number(id), text(e), number(n), number(n + 1)]
}

#[tokio::test]
async fn every_kind_of_change_is_written() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, TABLE).await;
    let t = &tables[0];
    let patch = vec![number(1), None, number(7), None];
    let all = [
        (Change::Upsert, row(1, "a", 1)),
        (Change::Upsert, row(2, "b", 2)),
        (Change::Upsert, row(1, "c", 3)),
        (Change::Patch, patch),
        (Change::Delete, vec![number(2), None, None, None]),
        (Change::Delete, vec![number(99), None, None, None]),
    ];
    assert_eq!(applier.apply(&changes(t, &all)).await.expect("applied"), Applied::Done);
    assert_eq!(shell(&path, "SELECT * FROM t;").trim(), "1|c|7|8");
    // A patch that changes nothing has found its row; one without a row is reported, and nothing of the part stays.
    let same = (Change::Patch, vec![number(1), None, number(7), None]);
    assert_eq!(applier.apply(&changes(t, std::slice::from_ref(&same))).await.expect("applied"), Applied::Done);
    let missing = [(Change::Upsert, row(5, "x", 1)), (Change::Patch, vec![number(6), None, number(1), None]), same];
    assert_eq!(applier.apply(&changes(t, &missing)).await.expect("answered"), Applied::Missing(vec![1]));
    assert_eq!(shell(&path, "SELECT count(*) FROM t;").trim(), "1");
    // By values, and all.
    let criteria = |operator, value| [Criterion { column: 2, operator, value: Value::Int(value) }];
    applier
        .apply(&changes(t, &[(Change::Upsert, row(8, "h", 8)), (Change::Upsert, row(9, "i", 9))]))
        .await
        .expect("applied");
    let matching = |operator, value, set: Option<Vec<Option<Value>>>| {
        let mut rows = Rows::default();
        let shape = rows.shape(t);
        let before = rows.add_criteria(&criteria(operator, value));
        let place = set.map_or(NO_ROW, |set| rows.add_row(&set));
        rows.push(shape, Change::Matching, place, before);
        batch(rows)
    };
    let set = vec![None, text("set"), None, None];
    assert_eq!(applier.apply(&matching(Operator::Equal, 9, Some(set))).await.expect("applied"), Applied::Done);
    assert_eq!(applier.apply(&matching(Operator::LessOrEqual, 8, None)).await.expect("applied"), Applied::Done);
    assert_eq!(shell(&path, "SELECT id, e FROM t;").trim(), "9|set");
    let mut rows = Rows::default();
    let shape = rows.shape(t);
    rows.push(shape, Change::Truncate, NO_ROW, NO_ROW);
    assert_eq!(applier.apply(&batch(rows)).await.expect("applied"), Applied::Done);
    assert_eq!(shell(&path, "SELECT count(*) FROM t;").trim(), "0");
    for told in [Change::Reshape, Change::Recopy] {
        let mut rows = Rows::default();
        let shape = rows.shape(t);
        rows.push(shape, told, NO_ROW, NO_ROW);
        assert_eq!(applier.apply(&batch(rows)).await.expect("the watermark moves"), Applied::Done);
    }
}

#[tokio::test]
async fn clashes_name_the_holders_and_leave_nothing_behind() {
    let world = World::new();
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT COLLATE NOCASE, x, g AS (x * 2));
        CREATE UNIQUE INDEX te ON t(e); CREATE UNIQUE INDEX tg ON t(g); CREATE UNIQUE INDEX tp ON t(lower(x), e) WHERE id > 0;";
    let (mut applier, tables, path) = made(&world, sql).await;
    let t = &tables[0];
    let row = |id, e: &str, x| vec![number(id), text(e), number(x), number(x * 2)];
    let first = [(Change::Upsert, row(1, "a", 1)), (Change::Upsert, row(2, "b", 2)), (Change::Upsert, row(3, "c", 3))];
    applier.apply(&changes(t, &first)).await.expect("applied");
    applier.finish(&tables).await;
    let before = rows(&path, "t");
    let clash = |mutation, holder| Clash { mutation, holder: key(holder) };
    let cases = [
        (vec![(Change::Upsert, row(9, "B", 9))], vec![clash(0, 2)]),
        (vec![(Change::Upsert, row(1, "b", 3))], vec![clash(0, 2), clash(0, 3)]),
        (vec![(Change::Patch, vec![number(1), text("C"), None, None])], vec![clash(0, 3)]),
        (vec![(Change::Patch, vec![number(1), None, number(2), None])], vec![clash(0, 2)]),
        // Swapped values: both stand in each other's way.
        (vec![(Change::Upsert, row(1, "b", 1)), (Change::Upsert, row(2, "a", 2))], vec![clash(0, 2), clash(1, 1)]),
    ];
    for (all, expected) in cases {
        let answer = applier.apply(&changes(t, &all)).await.expect("answered");
        let Applied::Taken(mut found) = answer else { panic!("{answer:?} to {all:?}") };
        found.sort_by_key(|clash| (clash.mutation, int(&clash.holder)));
        assert_eq!(found, expected, "{all:?}");
        assert_eq!(rows(&path, "t"), before, "nothing is evicted, nothing is written");
    }
    let in_order =
        [(Change::Delete, row(2, "b", 2)), (Change::Upsert, row(1, "b", 2)), (Change::Upsert, row(2, "a", 1))];
    assert_eq!(applier.apply(&changes(t, &in_order)).await.expect("applied"), Applied::Done);
}

#[tokio::test]
async fn a_row_that_is_not_taken_is_named_with_its_constraint() {
    let world = World::new();
    let sql = &format!("{TABLE} CREATE TABLE s(k INT PRIMARY KEY, r REAL) STRICT;");
    let (mut applier, tables, _) = made(&world, sql).await;
    let (s, t) = (&tables[0], &tables[1]);
    let cases = [
        (changes(t, &[(Change::Upsert, vec![number(7), text("a"), Some(Value::Null), None])]), "(7)", "NOT NULL"),
        (changes(t, &[(Change::Upsert, row(8, "a", 100))]), "(8)", "CHECK"),
        (changes(t, &[(Change::Upsert, vec![text("x"), text("a"), number(1), None])]), "('x')", "mismatch"),
        (changes(s, &[(Change::Upsert, vec![number(1), text("x")])]), "(1)", "cannot store TEXT"),
        (changes(s, &[(Change::Upsert, vec![number(1), Some(Value::Float64(f64::NAN))])]), "(1)", "not a number"),
        (changes(s, &[(Change::Upsert, vec![Some(Value::Unsigned(u64::MAX)), number(1)])]), "", "signed"),
    ];
    for (batch, key, constraint) in cases {
        let error = applier.apply(&batch).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(error.to_string().contains(key) && error.to_string().contains(constraint), "{error:?}");
        assert!(error.hint_text().is_some());
    }
    assert_eq!(applier.apply(&changes(t, &[(Change::Upsert, row(8, "a", 1))])).await.expect("applied"), Applied::Done);
}

#[tokio::test]
async fn the_watermark_moves_with_the_rows_and_an_older_daemon_is_refused() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, TABLE).await;
    let t = &tables[0];
    let upsert = |id| changes(t, &[(Change::Upsert, row(id, &id.to_string(), 1))]);
    assert_eq!(applier.opened.marks.len(), 2);
    assert_eq!((applier.opened.marks[1].batch, applier.opened.marks[1].to.clone()), (0, Position::new(b"start", 0)));
    applier.apply(&upsert(1)).await.expect("applied");
    // A lost answer: the row says what was committed, and the same batch is not applied twice.
    let again = applier.target.apply(Part::whole(&upsert(2), 1)).await.expect_err("applied already");
    assert_eq!(again.kind(), ErrorKind::Transient);
    let opened = applier.target.open(&claim(job(1), 2, &tables)).await.expect("opened");
    let mark = opened.marks.iter().find(|mark| mark.feed.as_str() == Partition::ONLY).expect("there");
    assert_eq!((mark.batch, mark.epoch, mark.to.clone()), (1, 2, Position::new(b"to", 0)));
    assert_eq!(opened.tables, [(name("t"), Noted { generation: 1, finished: false })]);
    // The zombie of epoch 2.
    let newer = target(&path);
    newer.open(&claim(job(1), 3, &tables)).await.expect("opened");
    let error = applier.apply(&upsert(3)).await.expect_err("another epoch");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().is_some() && error.to_string().contains("epoch 3"), "{error:?}");
    let error = applier.target.open(&claim(job(1), 2, &tables)).await.expect_err("older");
    assert_eq!(error.kind(), ErrorKind::Config);
    let cloned = Claim { token: Uuid::from_u128(8), ..claim(job(1), 3, &tables) };
    assert_eq!(applier.target.open(&cloned).await.expect_err("equal epoch, another daemon").kind(), ErrorKind::Config);
    assert_eq!(shell(&path, "SELECT group_concat(id) FROM t;").trim(), "1");
    for (saboteur, epoch) in [(Saboteur::ZombieAllowed, 10), (Saboteur::EpochIgnored, 100)] {
        let zombie = target(&path);
        let opened = zombie.open(&claim(job(1), epoch, &tables)).await.expect("opened");
        target(&path).open(&claim(job(1), epoch + 50, &tables)).await.expect("opened");
        let number = newest(&opened) + 1;
        faults::sabotage(Some(saboteur));
        let written = zombie.apply(Part::whole(&upsert(20 + i64::try_from(epoch).expect("small")), number)).await;
        faults::sabotage(None);
        assert_eq!(written.expect("without the defence it gets through"), Applied::Done);
    }
}

#[tokio::test]
async fn two_jobs_do_not_write_one_table_and_are_told_apart() {
    let world = World::new();
    let (applier, tables, path) = made(&world, &format!("{TABLE} CREATE TABLE u(id INTEGER PRIMARY KEY);")).await;
    let second = target(&path);
    let upper = Claim { tables: vec![name("T")], ..claim(job(2), 1, &[]) };
    let error = second.open(&upper).await.expect_err("another job's table");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(&job(1).to_string()) && error.hint_text().is_some(), "{error:?}");
    applier.target.forget(job(1)).await.expect("forgotten");
    let opened = second.open(&claim(job(2), 1, &tables)).await.expect("free now");
    assert!(opened.tables.is_empty() && opened.marks.iter().all(|mark| mark.batch == 0));
    let jobs = second.jobs().await.expect("listed");
    assert_eq!((jobs.len(), jobs[0].job, jobs[0].spec.as_str(), jobs[0].epoch), (1, job(2), "name: test", 1));
    assert_eq!(jobs[0].opened, opened);
    second.forget(job(2)).await.expect("forgotten");
    second.forget(job(2)).await.expect("nothing is there");
    assert_eq!(shell(&path, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'whimbrel_*';").trim(), "0");
    assert_eq!(tables.len(), super::support::tables(&path).len(), "data stays");
}

#[tokio::test]
async fn several_lanes_move_only_their_own_rows() {
    let world = World::new();
    let (applier, tables, _) = made(&world, TABLE).await;
    let mut wide = claim(job(1), 2, &tables);
    wide.feeds[0].1 = 3;
    let target = Arc::clone(&applier.target);
    let opened = target.open(&wide).await.expect("opened");
    assert_eq!(opened.marks.iter().filter(|mark| mark.feed.as_str() == Partition::ONLY).count(), 3);
    let batches: Vec<Batch> =
        (0..3).map(|lane| changes(&tables[0], &[(Change::Upsert, row(lane, &lane.to_string(), 1))])).collect();
    let part = |batch, lanes| Part { lanes, of: 3, ..Part::whole(batch, 1) };
    let answers = futures_util::join!(target.apply(part(&batches[0], &[0])), target.apply(part(&batches[2], &[2])));
    assert_eq!((answers.0.expect("applied"), answers.1.expect("applied")), (Applied::Done, Applied::Done));
    let wide = Claim { epoch: 3, ..wide };
    let opened = target.open(&wide).await.expect("opened");
    let numbers: Vec<u64> =
        opened.marks.iter().filter(|mark| mark.feed.as_str() == Partition::ONLY).map(|mark| mark.batch).collect();
    assert_eq!(numbers, [1, 0, 1]);
    assert!(target.apply(part(&batches[1], &[0, 1])).await.is_err(), "one lane has it: nothing of the part is applied");
    assert_eq!(target.apply(part(&batches[1], &[1])).await.expect("applied"), Applied::Done);
}

#[tokio::test]
async fn a_held_transaction_keeps_what_came_before_a_clash() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, TABLE).await;
    applier.finish(&tables).await;
    let whole = Claim { transactional: true, ..claim(job(1), 2, &tables) };
    applier.target.open(&whole).await.expect("opened");
    let open = |batch: Batch| Batch { complete: false, ..batch };
    let upsert = |id, e: &str| changes(&tables[0], &[(Change::Upsert, row(id, e, 1))]);
    assert_eq!(applier.apply(&open(upsert(1, "a"))).await.expect("held"), Applied::Held);
    let clash = applier.apply(&open(upsert(2, "a"))).await.expect("answered");
    assert_eq!(clash, Applied::Taken(vec![Clash { mutation: 0, holder: key(1) }]));
    assert_eq!(shell(&path, "SELECT count(*) FROM t;").trim(), "0", "nothing is committed");
    assert_eq!(applier.apply(&open(upsert(2, "b"))).await.expect("held"), Applied::Held);
    assert_eq!(applier.apply(&upsert(3, "c")).await.expect("done"), Applied::Done);
    assert_eq!(shell(&path, "SELECT group_concat(e) FROM t;").trim(), "a,b,c");
    assert_eq!(applier.apply(&open(upsert(4, "d"))).await.expect("held"), Applied::Held);
    let opened = applier.target.open(&Claim { epoch: 3, ..whole }).await.expect("opened");
    assert_eq!(newest(&opened), 3, "what was only held is gone");
}

#[tokio::test]
async fn finish_makes_what_was_left_out_and_finds_doubles() {
    let world = World::new();
    let sql = "CREATE TABLE p(id INTEGER PRIMARY KEY);
        CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT COLLATE NOCASE UNIQUE, a, b, p REFERENCES p, UNIQUE (a, b));
        CREATE UNIQUE INDEX tl ON t(lower(a) COLLATE NOCASE) WHERE b > 0; CREATE INDEX tb ON t(b DESC);";
    let (mut applier, tables, path) = made(&world, sql).await;
    let t = &tables[1];
    assert!(!shell(&path, "SELECT sql FROM sqlite_schema WHERE name = 't';").contains("UNIQUE"));
    let row = |id, e: &str, a: &str, b| vec![number(id), text(e), text(a), number(b), number(77)];
    let all: Vec<_> =
        [row(1, "x", "k", 1), row(2, "X", "l", 1), row(3, "y", "L", 2), row(4, "z", "m", -1), row(5, "w", "M", -2)]
            .into_iter()
            .map(|row| (Change::Upsert, row))
            .collect();
    applier.apply(&changes(t, &all)).await.expect("applied");
    let answer = applier.target.finish(t).await.expect("answered");
    assert_eq!(answer, Finished::Taken(vec![key(1), key(2), key(3)]));
    let mended = [(Change::Upsert, row(2, "v", "n", 1))];
    assert_eq!(applier.apply(&changes(t, &mended)).await.expect("applied"), Applied::Done);
    for _ in 0..2 {
        applier.finish(&tables).await;
    }
    let indexes = shell(&path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1;");
    assert_eq!(indexes.lines().collect::<Vec<_>>(), ["t_a_b_unique", "t_e_unique", "tb", "tl"]);
    let opened = applier.target.open(&claim(job(1), 2, &tables)).await.expect("opened");
    assert!(opened.tables.iter().all(|(_, noted)| noted.finished));
    // What the source drops goes here too: it would refuse what the source allows.
    let mut without = Table::clone(t);
    without.uniques.retain(|unique| unique.name != "tl");
    without.version += 1;
    applier.target.prepare(&Arc::new(without), 1).await.expect("prepared");
    assert!(!shell(&path, ".indexes t").contains("tl"));
    let opened = applier.target.open(&claim(job(1), 3, &tables)).await.expect("opened");
    assert!(
        opened.tables.contains(&(name("t"), Noted { generation: 1, finished: false })),
        "what is prepared again is not finished"
    );
    // And what it makes, or makes otherwise, is made here as soon as it is told.
    let mut otherwise = Table::clone(t);
    let plain = otherwise.definition.take().expect("of SQLite").replace("tb ON t(b DESC)", "tb ON t(b, e)");
    otherwise.definition = Some(plain);
    applier.target.prepare(&Arc::new(otherwise), 1).await.expect("prepared");
    assert!(shell(&path, "SELECT sql FROM sqlite_schema WHERE name = 'tb';").contains("(b, e)"));
    applier.target.prepare(t, 1).await.expect("prepared");
    assert!(shell(&path, ".indexes t").contains("tl"));
}

#[tokio::test]
async fn prepare_compares_and_completes_what_is_there() {
    let world = World::new();
    let source =
        source(&world.database("a.db", "CREATE TABLE t(id TEXT PRIMARY KEY, a INT NOT NULL DEFAULT 5, g AS (a + 1));"));
    let tables = all_tables(&source).await;
    let cases = [
        ("CREATE TABLE t(id TEXT PRIMARY KEY, a INT);", None),
        ("CREATE TABLE t(id TEXT PRIMARY KEY);", None),
        ("CREATE TABLE t(id TEXT PRIMARY KEY, a INT, more DEFAULT 1);", None),
        ("CREATE TABLE t(id TEXT PRIMARY KEY COLLATE NOCASE, a INT);", Some("equal")),
        ("CREATE TABLE t(id TEXT, a INT PRIMARY KEY);", Some("key")),
        ("CREATE TABLE t(id TEXT PRIMARY KEY, a TEXT);", Some("declared")),
        ("CREATE TABLE t(id TEXT PRIMARY KEY, a INT, more INT NOT NULL);", Some("DROP COLUMN")),
    ];
    for (index, (sql, problem)) in cases.into_iter().enumerate() {
        let path = world.database(
            &format!("b{index}.db"),
            &format!("{sql} INSERT INTO t(id) SELECT 'old' WHERE {};", problem.is_none()),
        );
        let target = target(&path);
        let findings = target.check(&tables, Existing::Merge).await.expect("checked");
        target.open(&claim(job(1), 1, &tables)).await.expect("opened");
        let blocking: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
        let prepared = target.prepare(&tables[0], 1).await;
        match problem {
            None => {
                assert!(prepared.expect("prepared").has_rows && blocking.is_empty(), "{sql}");
                assert_eq!(shell(&path, "SELECT id, typeof(a), g IS a + 1 FROM t;").lines().count(), 1, "{sql}");
            }
            Some(problem) => {
                let error = prepared.expect_err(sql);
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(format!("{error:?}").contains(problem), "{error:?}");
                assert!(!blocking.is_empty(), "{sql}");
            }
        }
    }
    let full = world.database(
        "full.db",
        "CREATE TABLE t(id TEXT PRIMARY KEY, a INT, g AS (a + 1)); INSERT INTO t(id) VALUES ('x');",
    );
    let findings = target(&full).check(&tables, Existing::Refuse).await.expect("checked");
    assert!(
        findings.iter().any(|one| one.severity == Severity::Blocking && one.text.contains("rows already")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_renamed_table_takes_its_foreign_keys_along() {
    let world = World::new();
    let sql = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id), me REFERENCES c);";
    let source = source(&world.database("a.db", sql));
    let renamed: Vec<Arc<Table>> = all_tables(&source)
        .await
        .iter()
        .map(|table| {
            let mut table = Table::clone(table);
            table.name.name = format!("new {}", table.name.name);
            table.foreign_keys.iter_mut().for_each(|key| key.parent.name = format!("new {}", key.parent.name));
            Arc::new(table)
        })
        .collect();
    let path = world.path("b.db");
    Applier::open(target(&path), &claim(job(1), 1, &renamed), &renamed).await;
    let parents = shell(&path, "SELECT \"table\" FROM pragma_foreign_key_list('new c') ORDER BY 1;");
    assert_eq!(parents.lines().collect::<Vec<_>>(), ["new c", "new p"]);
}

#[tokio::test]
async fn other_kinds_of_store_get_tables_by_their_types() {
    let world = World::new();
    let mut columns: Vec<Column> = [Type::Int, Type::Decimal, Type::Uuid, Type::Any, Type::Float32]
        .into_iter()
        .enumerate()
        .map(|(at, kind)| Column::new(format!("c{at}"), kind))
        .collect();
    columns[0].nullable = false;
    let mut keyed = Table::new(name("keyed"), columns.clone(), vec![0]);
    keyed.uniques.push(Unique { name: "u".into(), columns: vec![1], definition: None });
    let keyed = Arc::new(keyed);
    let keyless = Arc::new(Table::new(name("keyless"), columns, Vec::new()));
    let tables = [keyed.clone(), keyless.clone()];
    let path = world.path("b.db");
    let mut applier = Applier::open(target(&path), &claim(job(1), 1, &tables), &tables).await;
    let row = vec![
        number(1),
        Some(Value::Decimal("1.50".into())),
        Some(Value::Uuid([7; 16])),
        Some(Value::Bytes(vec![0])),
        Some(Value::Float32(0.5)),
    ];
    applier.apply(&changes(&keyed, &[(Change::Upsert, row.clone())])).await.expect("applied");
    let twice = vec![(Change::Upsert, row.clone()), (Change::Upsert, row.clone())];
    applier.apply(&changes(&keyless, &twice)).await.expect("applied");
    applier.apply(&changes(&keyless, &[(Change::Delete, row)])).await.expect("applied");
    applier.finish(&tables).await;
    let expected = "1|1.50|07070707-0707-0707-0707-070707070707|00|0.5";
    for table in ["keyed", "keyless"] {
        assert_eq!(shell(&path, &format!("SELECT c0, c1, c2, hex(c3), c4 FROM {table};")).trim(), expected);
    }
}

#[tokio::test]
async fn the_users_triggers_and_foreign_keys_leave_our_writes_alone() {
    let world = World::new();
    let sql = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE);";
    let (mut applier, tables, path) = made(&world, sql).await;
    shell(&path, "CREATE TRIGGER own AFTER INSERT ON p BEGIN INSERT INTO c VALUES (new.id + 100, new.id); END;");
    let told = target(&path).check(&tables, Existing::Merge).await.expect("checked");
    assert!(
        told.iter().any(|one| one.subject == "main.p" && one.text.contains("triggers (own) do not fire")),
        "{told:?}"
    );
    let (_, told) = source(&path).tables().await.expect("tables");
    assert!(told.iter().any(|one| one.subject == "main.p" && one.text.contains("`own` is not carried")), "{told:?}");
    let (c, p) = (&tables[0], &tables[1]);
    applier.apply(&changes(p, &[(Change::Upsert, vec![number(1)])])).await.expect("applied");
    applier
        .apply(&changes(
            c,
            &[(Change::Upsert, vec![number(5), number(1)]), (Change::Upsert, vec![number(6), number(9)])],
        ))
        .await
        .expect("applied");
    applier.apply(&changes(p, &[(Change::Delete, vec![number(1)])])).await.expect("applied");
    assert_eq!(shell(&path, "SELECT group_concat(id) FROM c;").trim(), "5,6");
    applier.finish(&tables).await;
}

#[tokio::test]
async fn a_vacuum_of_the_target_stops_a_job_with_tables_without_key() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, "CREATE TABLE h(a); CREATE TABLE t(id INTEGER PRIMARY KEY);").await;
    let (h, t) = (&tables[0], &tables[1]);
    let all: Vec<_> = (5..8).map(|id| (Change::Upsert, vec![number(id), number(id)])).collect();
    applier.apply(&changes(h, &all)).await.expect("applied");
    shell(&path, "VACUUM;");
    assert_eq!(shell(&path, "SELECT min(rowid) FROM h;").trim(), "1");
    let error = applier.apply(&changes(h, &all)).await.expect_err("other numbers");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("primary key")), "{error:?}");
    assert_eq!(applier.target.open(&claim(job(1), 2, &tables)).await.expect_err("still").kind(), ErrorKind::Lost);
    assert_eq!(shell(&path, "SELECT count(*) FROM h;").trim(), "3");
    // Without such a table nothing is to be feared.
    let other = world.path("c.db");
    let mut applier = Applier::open(target(&other), &claim(job(1), 1, &tables[1..]), &tables[1..]).await;
    shell(&other, "VACUUM;");
    assert_eq!(applier.apply(&changes(t, &[(Change::Upsert, vec![number(1)])])).await.expect("applied"), Applied::Done);
}

#[tokio::test]
async fn a_locked_target_is_transient_and_nothing_is_lost() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, TABLE).await;
    let upsert = changes(&tables[0], &[(Change::Upsert, row(1, "a", 1))]);
    let own = rusqlite::Connection::open(&path).expect("opened");
    own.execute_batch("BEGIN IMMEDIATE;").expect("locked");
    let error = applier.apply(&upsert).await.expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.hint_text().is_some());
    own.execute_batch("ROLLBACK;").expect("unlocked");
    assert_eq!(applier.apply(&upsert).await.expect("applied"), Applied::Done);
    // Replaced by another file: opened again, and the watermark says where that one stands.
    let copy = world.path("copy.db");
    shell(&path, &format!("VACUUM INTO '{}';", copy.display()));
    std::fs::rename(&copy, &path).expect("replaced");
    assert_eq!(applier.apply(&upsert).await.expect_err("another file").kind(), ErrorKind::Transient);
    assert_eq!(newest(&applier.target.open(&claim(job(1), 2, &tables)).await.expect("opened")), 1);
}

#[tokio::test]
async fn a_fresh_copy_that_meets_a_row_makes_it_its_own() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v);").await;
    shell(&path, "INSERT INTO t VALUES ('a', 1);");
    let fresh = Batch {
        kind: Kind::Copy { fresh: true },
        ..changes(&tables[0], &[(Change::Upsert, vec![text("A"), number(2)])])
    };
    assert_eq!(applier.apply(&fresh).await.expect("applied"), Applied::Done);
    assert_eq!(shell(&path, "SELECT * FROM t;").trim(), "A|2", "the spelling of the key too");
}

#[tokio::test]
async fn a_column_taken_away_by_hand_is_missed_until_its_rows_are_copied_again() {
    let world = World::new();
    let (mut applier, tables, path) = made(&world, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, w INT);").await;
    let t = &tables[0];
    let upsert = |id| changes(t, &[(Change::Upsert, vec![number(id), text("v"), number(7)])]);
    applier.apply(&upsert(1)).await.expect("applied");
    shell(&path, "ALTER TABLE t DROP COLUMN w;");
    let error = applier.apply(&upsert(2)).await.expect_err("its values would be lost");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("column `w`"), "{error:?}");
    let error = applier.target.prepare(t, 1).await.expect_err("old rows have no value");
    assert!(error.to_string().contains("column `w`") && error.hint_text().is_some(), "{error:?}");
    assert_eq!(shell(&path, "SELECT id FROM t;").trim(), "1");
    applier.target.prepare(t, 2).await.expect("a copy brings its values");
    applier.apply(&upsert(1)).await.expect("applied");
    assert_eq!(shell(&path, "SELECT w FROM t;").trim(), "7");
}

#[test]
fn our_tables_on_users_disks_are_the_golden_ones() {
    let golden = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name);
        std::fs::read_to_string(path).expect("a golden file")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let world = World::new();
    let ours = "SELECT sql || ';' FROM sqlite_schema WHERE name GLOB 'whimbrel_*' AND type = 'table' ORDER BY rowid;";
    runtime.block_on(async {
        let path = world.database("a.db", "CREATE TABLE t(id INTEGER PRIMARY KEY);");
        let source = source(&path);
        source.begin(job(1), &all_tables(&source).await).await.expect("begun");
        assert_eq!(shell(&path, ours), golden("sqlite-source-v1.sql"));
        let path = world.path("b.db");
        target(&path).open(&claim(job(1), 1, &[])).await.expect("opened");
        assert_eq!(shell(&path, ours), golden("sqlite-target-v1.sql"));
        // Tables of a newer daemon are refused.
        shell(&path, "UPDATE whimbrel_job SET version = 2;");
        let error = target(&path).open(&claim(job(1), 2, &[])).await.expect_err("newer");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint_text().is_some());
    });
}
