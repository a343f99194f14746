//! Tables that are there and values that only look as if they fitted.

use super::written::{Written, shapes, text, upsert};
use crate::support::mysql::{Kind, Server};
use std::sync::Arc;
use whimbrel::{
    error::ErrorKind,
    model::{Change, Column, NO_ROW, Rows, Table, TableName, Type, Value},
    target::Applied,
};

fn table(columns: Vec<Column>) -> Arc<Table> {
    Arc::new(Table { family: "sqlite".into(), ..Table::new(TableName::new("copy", "t"), columns, vec![0]) })
}

/// A sweep asks the source for the keys that the target shows: one that it spells otherwise would be one too many.
#[tokio::test]
async fn a_key_that_the_target_would_show_as_another_is_refused() {
    let server = Server::mariadb(&[]);
    let any = table(vec![Column::new("k", Type::Any), Column::new("v", Type::Int)]);
    let mut written = Written::open(&server, std::slice::from_ref(&any)).await;
    written.apply(upsert(&any, &[&[text("1"), Value::Int(1)]])).await;
    let error = written.try_apply(upsert(&any, &[&[Value::Int(1), Value::Int(2)]])).await.expect_err("it would be '1'");
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("another key"), "{error:?}");
    assert_eq!(server.sql("SELECT * FROM copy.t"), "1\t1\n");
    for declared in ["UUID", "INET6", "ENUM('a','b')"] {
        server.sql(&format!("DROP TABLE copy.t; CREATE TABLE copy.t (k {declared} PRIMARY KEY)"));
        let error = written.target.prepare(&table(vec![Column::new("k", Type::Text)]), 2).await.expect_err(declared);
        assert!(error.to_string().contains("another spelling") && error.hint_text().is_some(), "{error:?}");
    }
    server.sql("DROP TABLE copy.t; CREATE TABLE copy.t (k YEAR PRIMARY KEY)");
    written.target.prepare(&table(vec![Column::new("k", Type::Int)]), 2).await.expect_err("5 would be 2005");
}

/// Its number is 0, and the first label's is what holds its place until it has that.
#[tokio::test]
async fn an_enum_of_none_of_its_labels_is_no_other_row() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &["--sql-mode="]);
        server.sql("CREATE TABLE t (id INT, e ENUM('new','old'), v INT, PRIMARY KEY (id, e))");
        let shapes = shapes(&server, &["t"]).await;
        let t = &shapes[0];
        let mut written = Written::open(&server, &shapes).await;
        let none = || Value::Native("enum".into(), vec![0]);
        written.apply(upsert(t, &[&[Value::Int(7), text("new"), Value::Int(1)]])).await;
        let odd = [Value::Int(7), none(), Value::Int(2)];
        let error = written.try_apply(upsert(t, &[&odd])).await.expect_err("it would be the first one");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        let mut delete = Rows::default();
        let (shape, row) = (delete.shape(t), delete.add_row(&odd.map(Some)));
        delete.push(shape, Change::Delete, row, NO_ROW);
        written.apply(delete).await;
        assert_eq!(server.sql("SELECT * FROM copy.t"), "7\tnew\t1\n", "{kind:?}");
    }
}

#[tokio::test]
async fn nothing_does_not_become_the_present_moment() {
    let server = Server::of(Kind::Mysql56, &[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP NULL)");
    let shapes = shapes(&server, &["t"]).await;
    server.sql("CREATE DATABASE copy; CREATE TABLE copy.t (id INT PRIMARY KEY, ts TIMESTAMP)");
    let written = Written::open(&server, &[]).await;
    let error = written.target.prepare(&shapes[0], 1).await.expect_err("5.6 means NOT NULL");
    assert!(
        error.to_string().contains("`ts`") && error.hint_text().is_some_and(|hint| hint.contains("MODIFY")),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_divides_by_nothing_is_nothing_as_at_the_source() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &["--sql-mode="]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a DOUBLE, b DOUBLE, g DOUBLE AS (a / b) STORED)");
        let shapes = shapes(&server, &["t"]).await;
        let mut written = Written::open(&server, &shapes).await;
        let row = [Value::Int(1), Value::Float64(1.0), Value::Float64(0.0), Value::Null];
        written.apply(upsert(&shapes[0], &[&row])).await;
        assert_eq!(server.sql("SELECT * FROM copy.t"), "1\t1\t0\tNULL\n", "{kind:?}");
    }
}

/// Two rows whose keys begin alike wait for each other, as those of any unique index.
#[tokio::test]
async fn a_key_over_the_beginnings_of_values_has_a_holder() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (b VARCHAR(100) NOT NULL, v INT, PRIMARY KEY (b(3)))");
    let shapes = shapes(&server, &["t"]).await;
    let mut written = Written::open(&server, &shapes).await;
    written.apply(upsert(&shapes[0], &[&[text("abcX"), Value::Int(1)]])).await;
    let taken = written.try_apply(upsert(&shapes[0], &[&[text("abcY"), Value::Int(2)]])).await.expect("no refusal");
    assert!(matches!(taken, Applied::Taken(_)), "{taken:?}");
}

/// It is noted to be made when its parent is; nobody frees a name by himself.
#[tokio::test]
async fn a_foreign_key_whose_name_is_taken_by_then_stops_its_job() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let server = Server::of(kind, &[]);
        server.sql(
            "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE child (id INT PRIMARY KEY, p INT, \
             CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id))",
        );
        let shapes = shapes(&server, &["parent", "child"]).await;
        let written = Written::open(&server, &shapes).await;
        written.finish(&shapes[0]).await;
        server.sql(
            "USE copy; CREATE TABLE old (id INT PRIMARY KEY, p INT, \
             CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id))",
        );
        let error = written.target.finish(&shapes[1]).await.expect_err("the name is taken");
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("copy.old"), "{error:?}");
        let mend = "ALTER TABLE `copy`.`old` DROP FOREIGN KEY `of_parent`";
        assert!(error.hint_text().is_some_and(|hint| hint.contains(mend)), "{error:?}");
        server.sql(mend);
        written.finish(&shapes[1]).await;
        assert!(server.sql("SHOW CREATE TABLE copy.child").contains("`of_parent` FOREIGN KEY"), "{kind:?}");
    }
}

/// The source's column was made wider, the target's was not.
#[tokio::test]
async fn a_row_that_is_too_wide_is_told_with_what_widens_its_column() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(4), w VARCHAR(4), at DATETIME)");
        let before = shapes(&server, &["t"]).await;
        let mut written = Written::open(&server, &before).await;
        server.sql("ALTER TABLE t MODIFY v VARCHAR(40), MODIFY w VARCHAR(40), MODIFY at DATETIME(3)");
        let now = shapes(&server, &["t"]).await.remove(0);
        let moment = Value::DateTime(whimbrel::model::Date { year: 2026, month: 1, day: 2 }, 3_004_000_000);
        for (row, column, wide) in [
            ([Value::Int(1), text("far too long"), Value::Null, Value::Null], "v", "varchar(40)"),
            ([Value::Int(1), Value::Null, Value::Null, moment], "at", "datetime(3)"),
        ] {
            let error = written.try_apply(upsert(&now, &[&row])).await.expect_err("it does not fit");
            let hint = error.hint_text().unwrap_or_default().to_owned();
            assert!(error.kind() == ErrorKind::Refused && !hint.contains("`w`"), "{kind:?}: {error:?}");
            let mend = hint.strip_prefix("run at the target: ").unwrap_or_else(|| panic!("{error:?}"));
            assert!(mend.starts_with(&format!("ALTER TABLE `copy`.`t` MODIFY COLUMN `{column}` ")), "{mend}");
            server.sql(mend);
            let made = server.sql("SHOW CREATE TABLE copy.t").to_lowercase();
            assert!(made.contains(&format!("`{column}` {wide}")), "{kind:?}: {made}");
        }
    }
}
