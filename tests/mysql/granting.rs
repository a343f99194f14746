//! What an account of a target lacks, who may take a job over at a time, and settings that stand in the way.

use super::{
    reading::settings,
    written::{claim, shapes},
};
use crate::support::{
    mysql::{Kind, Server},
    wait::until,
};
use std::sync::Arc;
use whimbrel::{
    connectors::{self, StoreSettings},
    model::{Existing, Finding, Severity},
    target::Target,
};

fn copy(server: &Server, user: &str) -> Arc<dyn Target> {
    let store = settings(server, user);
    let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
    connectors::open(&store).expect("good settings").target().expect("a target")
}

fn of<'f>(findings: &'f [Finding], subject: &str) -> Vec<&'f Finding> {
    findings.iter().filter(|finding| finding.subject == subject).collect()
}

#[tokio::test]
async fn an_account_needs_what_the_check_says_and_no_more() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        grants(kind).await;
    }
}

async fn grants(kind: Kind) {
    let server = Server::of(kind, &[]);
    server.sql(
        "CREATE DATABASE `copy`; CREATE TABLE parent (id INT PRIMARY KEY); \
         CREATE TABLE child (id INT PRIMARY KEY, p INT, u INT UNIQUE, n INT, KEY (n), \
         CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id)); \
         CREATE USER poor@'%' IDENTIFIED BY 'secret'; GRANT SELECT, INSERT ON `copy`.* TO poor@'%'",
    );
    let shapes = shapes(&server, &["parent", "child"]).await;
    let findings = copy(&server, "poor").check(&shapes, Existing::Refuse).await.expect("checked");
    let told = of(&findings, "poor");
    let severities: Vec<Severity> = told.iter().map(|finding| finding.severity).collect();
    assert!(severities.contains(&Severity::Blocking) && severities.contains(&Severity::Warning), "{findings:?}");
    let references = told.iter().any(|finding| finding.text.contains("REFERENCES"));
    assert_eq!(references, kind != Kind::Mariadb, "{told:?}");
    for finding in told {
        server.sql(finding.mend.as_deref().expect("told"));
    }
    let target = copy(&server, "poor");
    let findings = target.check(&shapes, Existing::Refuse).await.expect("checked");
    assert!(of(&findings, "poor").is_empty(), "{findings:?}");
    // And it is enough: from taking over to forgetting.
    let claim = claim(1, &shapes);
    target.open(&claim).await.expect("opens");
    for table in &shapes {
        target.prepare(table, 1).await.expect("prepared");
    }
    for table in &shapes {
        target.finish(table).await.expect("finished");
    }
    assert!(server.sql("SHOW CREATE TABLE copy.child").contains("`of_parent` FOREIGN KEY"));
    target.forget(claim.job).await.expect("forgotten");
    assert_eq!(server.sql("SHOW TABLES FROM copy"), "child\nparent\n");
}

/// As `Home::lock` names it.
const LOCK: &str = "'whimbrel jobs in copy'";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_just_taken_over_keeps_our_tables_when_another_is_forgotten() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        keeps_our_tables(kind).await;
    }
}

async fn keeps_our_tables(kind: Kind) {
    let server = Server::of(kind, &[]);
    server.sql("CREATE DATABASE `copy`");
    let target = copy(&server, "writer");
    let old = claim(1, &[]);
    target.open(&old).await.expect("opens");
    // Another daemon is in the midst of it: it has looked, written, and not committed.
    let mut session = server.session();
    session.sql(&format!("SELECT GET_LOCK({LOCK}, 9)"));
    session.sql(
        "BEGIN; INSERT INTO copy.whimbrel_job VALUES ('another', '{}', '{\"claimed\":[],\"prepared\":{}}', 1, 't', 1)",
    );
    let forgets = tokio::spawn(async move { target.forget(old.job).await });
    waits(&server);
    session.sql(&format!("COMMIT; SELECT RELEASE_LOCK({LOCK})"));
    forgets.await.expect("no panic").expect("forgotten");
    assert_eq!(server.sql("SELECT uuid FROM copy.whimbrel_job"), "another\n");
    // And the other way round: nobody takes a job over while another one is being forgotten.
    session.sql(&format!("SELECT GET_LOCK({LOCK}, 9)"));
    let target = copy(&server, "writer");
    let claim = claim(1, &[]);
    let opens = tokio::spawn(async move { target.open(&claim).await });
    waits(&server);
    session.sql("DROP TABLE copy.whimbrel_job, copy.whimbrel_watermark");
    session.sql(&format!("SELECT RELEASE_LOCK({LOCK})"));
    assert_eq!(opens.await.expect("no panic").expect("opens").marks.len(), 1);
    assert_eq!(server.sql("SELECT COUNT(*) FROM copy.whimbrel_watermark"), "1\n");
}

/// Until somebody waits for our lock.
fn waits(server: &Server) {
    until("somebody waits for the lock", || {
        let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'";
        (server.sql(waiting) == "1\n").then_some(())
    });
}

#[tokio::test]
async fn a_server_that_takes_no_table_without_a_key_is_told_with_its_own_statement() {
    for (kind, flag) in [(Kind::Mysql, "sql_require_primary_key"), (Kind::Mariadb, "innodb_force_primary_key")] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE DATABASE `copy`; CREATE TABLE t (v INT)");
        let shapes = shapes(&server, &["t"]).await;
        server.sql(&format!("SET GLOBAL {flag} = ON"));
        let findings = copy(&server, "writer").check(&shapes, Existing::Refuse).await.expect("checked");
        let told = findings.iter().find(|finding| finding.text.contains("no table without one")).expect("told");
        assert_eq!(told.severity, Severity::Blocking);
        server.sql(told.mend.as_deref().expect("told"));
        let findings = copy(&server, "writer").check(&shapes, Existing::Refuse).await.expect("checked");
        assert!(findings.iter().all(|finding| finding.severity != Severity::Blocking), "{findings:?}");
    }
}

#[tokio::test]
async fn a_database_is_the_same_store_under_every_name() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE DATABASE `copy`");
        let target = copy(&server, "writer");
        assert_eq!(target.place(), None, "nobody was asked yet");
        target.check(&[], Existing::Refuse).await.expect("checked");
        let mut other = settings(&server, "reader");
        other.url = format!("mariadb://reader@localhost:{}/copy", server.port);
        let source = connectors::open(&other).expect("good settings").source().expect("a source");
        source.tables().await.expect("readable");
        assert!(target.place().is_some() && target.place() == source.place(), "{:?}", target.place());
        assert_ne!(target.place(), super::reading::source(&server).place());
    }
}
