//! What is found in a file, and what is said about a file that is none.

use super::support::*;
use whimbrel::{
    error::ErrorKind,
    model::{Action, Equality, Severity, Type},
};

#[tokio::test]
async fn shapes_tell_all_that_is_declared() {
    let world = World::new();
    let path = world.database(
        "a.db",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT COLLATE NOCASE UNIQUE);
         CREATE TABLE c(a TEXT, b INT NOT NULL, p INT REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL, g AS (b + 1),
             x, PRIMARY KEY (b, a), FOREIGN KEY (a, b) REFERENCES c2(m, n));
         CREATE UNIQUE INDEX cx ON c(x) WHERE x > 5; CREATE INDEX cp ON c(p);
         CREATE TABLE s(k TEXT PRIMARY KEY, i INT, a ANY) STRICT;
         CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE f USING fts5(t);
         CREATE TABLE hidden(rowid, _rowid_, oid);",
    );
    let (tables, findings) = source(&path).tables().await.expect("tables");
    let names: Vec<&str> = tables.iter().map(|table| table.name.name.as_str()).collect();
    assert_eq!(names, ["c", "p", "s"]);
    let told: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    for name in ["main.v", "main.f", "main.f_data", "main.hidden"] {
        assert!(told.contains(&name), "{told:?}");
    }
    let [c, p, s] = &tables[..] else { panic!("three tables") };
    assert_eq!((&c.key[..], p.key[0], c.columns[3].generated), (&[1, 0][..], 0, true));
    assert_eq!(p.columns[1].equality, Equality::Coarse);
    assert_eq!(p.uniques[0].columns, [1]);
    assert_eq!(
        (c.uniques[0].columns.len(), c.uniques[0].definition.as_deref().map(|sql| sql.contains("WHERE"))),
        (0, Some(true))
    );
    let parents: Vec<&str> = c.foreign_keys.iter().map(|key| key.parent.name.as_str()).collect();
    assert_eq!(parents, ["p", "c2"]);
    assert_eq!((c.foreign_keys[0].on_delete, c.foreign_keys[0].on_update), (Action::Cascade, Action::SetNull));
    assert_eq!(c.foreign_keys[1].parent_columns, ["m", "n"]);
    assert_eq!(s.columns.iter().map(|column| column.kind).collect::<Vec<_>>(), [Type::Text, Type::Int, Type::Any]);
    assert!(c.definition.as_deref().is_some_and(|sql| sql.contains("CREATE INDEX cp")));
}

#[tokio::test]
async fn check_prints_what_begin_will_run() {
    let world = World::new();
    let path = world.database("a.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT UNIQUE); CREATE TABLE n(a);");
    let source = source(&path);
    let tables = all_tables(&source).await;
    let findings = source.check(job(1), &tables).await.expect("checked");
    assert!(findings.iter().all(|finding| finding.severity != Severity::Blocking), "{findings:?}");
    let statements: Vec<String> =
        findings.into_iter().filter(|one| one.severity == Severity::Info).filter_map(|one| one.mend).collect();
    source.begin(job(1), &tables).await.expect("begun");
    let made = shell(&path, "SELECT sql || ';' FROM sqlite_schema WHERE name GLOB 'whimbrel_*' AND sql IS NOT NULL;");
    for statement in &statements {
        assert!(made.contains(&format!("{statement};")), "{statement}");
    }
    assert_eq!(
        made.matches("CREATE TRIGGER").count(),
        statements.iter().filter(|sql| sql.starts_with("CREATE TRIGGER")).count()
    );
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_said_clearly() {
    let world = World::new();
    let error = source(&world.path("none.db")).tables().await.expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("none.db") && error.hint_text().is_some(), "{error:?}");
    let text = world.path("text.db");
    std::fs::write(
        &text,
        "this is not a database, but it is long enough to be looked at as one, page by page by page by page",
    )
    .expect("written");
    let error = source(&text).tables().await.expect_err("no database");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().is_some(), "{error:?}");
    let error = target(&world.path("no/such/folder/b.db")).open(&claim(job(1), 1, &[])).await.expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_key_of_the_applications_own_collation_or_with_nulls_blocks() {
    let world = World::new();
    // The shell has no collation of its own either: the declaration is put there behind its back.
    let path = world.database(
        "a.db",
        "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY); CREATE TABLE n(k TEXT PRIMARY KEY); INSERT INTO n VALUES (NULL);
\n.dbconfig defensive off\n
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'german') WHERE name = 't';",
    );
    let source = source(&path);
    let tables = all_tables(&source).await;
    let findings = source.check(job(1), &tables).await.expect("checked");
    let blocking: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
    assert_eq!(blocking.len(), 2, "{findings:?}");
    assert!(blocking.iter().all(|finding| finding.mend.is_some()));
}
