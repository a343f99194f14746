//! What a check finds on a server that is not ready, and that each statement it names mends it.

use super::{
    following::FILES,
    reading::{settings, source, table},
};
use crate::support::mysql::{Kind, Server};
use std::sync::Arc;
use whimbrel::{
    connectors,
    error::ErrorKind,
    model::{Finding, JobId, Severity, Table},
    source::Source,
};

async fn check(source: &dyn Source, tables: &[Arc<Table>]) -> Vec<Finding> {
    source.check(JobId(uuid::Uuid::new_v4()), tables).await.expect("checked")
}

fn about<'f>(findings: &'f [Finding], subject: &str) -> Option<&'f Finding> {
    findings.iter().find(|finding| finding.subject == subject)
}

#[tokio::test]
async fn a_good_server_has_nothing_against_it() {
    let named = ["--sync-binlog=1", "--binlog-row-metadata=FULL"];
    for (kind, flags) in [(Kind::Mariadb, &named[..]), (Kind::Mysql, &named), (Kind::Mysql56, &[])] {
        let server = Server::of(kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v ENUM('?', 'b') CHARACTER SET utf8mb4)");
        let source = source(&server);
        let table = table(&*source, "t").await;
        assert_eq!(check(&*source, &[table]).await, [], "{kind:?}");
    }
}

#[tokio::test]
async fn settings_are_found_and_mended_as_told() {
    let bad = [
        "--binlog-format=STATEMENT",
        "--binlog-row-image=MINIMAL",
        "--sync-binlog=0",
        "--innodb-flush-log-at-trx-commit=2",
    ];
    let keeps_short = ["--binlog-expire-logs-seconds=3600"];
    let packs = ["--binlog-transaction-compression=ON", "--binlog-row-value-options=PARTIAL_JSON"];
    let all = [
        ("binlog_format", Severity::Blocking),
        ("binlog_row_image", Severity::Warning),
        ("sync_binlog", Severity::Warning),
        ("innodb_flush_log_at_trx_commit", Severity::Warning),
        ("expire", Severity::Warning),
        ("binlog_row_metadata", Severity::Info),
        ("binlog_transaction_compression", Severity::Warning),
        ("binlog_row_value_options", Severity::Warning),
    ];
    for (kind, flags, count) in [
        (Kind::Mariadb, [&bad[..], &keeps_short].concat(), 6),
        (Kind::Mysql, [&bad[..], &keeps_short, &packs].concat(), 8),
        (Kind::Mysql56, [&bad[..], &["--expire-logs-days=1"]].concat(), 5),
    ] {
        let server = Server::of(kind, &flags);
        for (subject, severity) in &all[..count] {
            let source = source(&server);
            let findings = check(&*source, &[]).await;
            let subject = if *subject == "expire" { "binlog_expire_logs_seconds" } else { subject };
            let finding = about(&findings, subject).unwrap_or_else(|| panic!("{subject} is not in {findings:?}"));
            assert_eq!(finding.severity, *severity, "{finding:?}");
            let mend = finding.mend.as_deref().expect("told").split(';').next().expect("a statement");
            server.sql(mend);
            let left = check(&*source, &[]).await;
            assert_eq!(about(&left, subject), None, "{kind:?} after {mend}");
        }
        assert_eq!(about(&check(&*source(&server), &[]).await, "gtid_mode"), None);
    }
}

#[tokio::test]
async fn places_in_files_are_warned_of_where_there_could_be_numbers() {
    for kind in [Kind::Mysql, Kind::Mysql56] {
        let findings = check(&*source(&Server::of(kind, FILES)), &[]).await;
        let finding = about(&findings, "gtid_mode").expect("told");
        assert!(finding.severity == Severity::Warning && finding.mend.is_some(), "{finding:?}");
    }
}

#[tokio::test]
async fn a_server_without_a_log_is_refused() {
    let server = Server::mariadb(&["--skip-log-bin"]);
    let findings = check(&*source(&server), &[]).await;
    assert_eq!(about(&findings, "log_bin").map(|finding| finding.severity), Some(Severity::Blocking));
}

#[tokio::test]
async fn tables_are_found_and_mended_as_told() {
    let server = Server::mariadb(&["--sync-binlog=1", "--binlog-row-metadata=FULL"]);
    server.sql(
        "CREATE TABLE `odd ``name` (a INT, b TEXT); \
         CREATE TABLE isam (id INT PRIMARY KEY) ENGINE = MyISAM; \
         CREATE TABLE label (id INT PRIMARY KEY, v ENUM('x😀', 'b') CHARACTER SET utf8mb4); \
         INSERT INTO label VALUES (1, 'x😀'); \
         CREATE TABLE parent (id INT PRIMARY KEY); \
         CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL); \
         CREATE TRIGGER moved AFTER DELETE ON parent FOR EACH ROW SET @gone = OLD.id; \
         CREATE VIEW seen AS SELECT 1; CREATE SEQUENCE numbers",
    );
    let source = source(&server);
    let (tables, others) = source.tables().await.unwrap();
    assert!(about(&others, "shop.seen").is_some() && about(&others, "shop.numbers").is_some(), "{others:?}");
    let findings = check(&*source, &tables).await;
    let keyless = about(&findings, "shop.odd `name").expect("found");
    let isam = about(&findings, "shop.isam").expect("found");
    assert_eq!((keyless.severity, isam.severity), (Severity::Warning, Severity::Warning));
    assert_eq!(about(&findings, "shop.label").map(|finding| finding.severity), Some(Severity::Blocking));
    assert!(about(&findings, "shop.child").is_some_and(|finding| finding.text.contains("foreign key")));
    assert!(about(&findings, "shop.parent").is_some_and(|finding| finding.text.contains("moved")));
    server.sql(&format!("{}; {}", keyless.mend.as_ref().unwrap(), isam.mend.as_ref().unwrap()));
    let (tables, _) = source.tables().await.unwrap();
    let findings = check(&*source, &tables).await;
    assert!(about(&findings, "shop.odd `name").is_none() && about(&findings, "shop.isam").is_none(), "{findings:?}");
    server.sql("DROP TABLE isam");
    let gone = check(&*source, &tables).await;
    assert_eq!(about(&gone, "shop.isam").map(|finding| finding.severity), Some(Severity::Blocking));
}

#[tokio::test]
async fn missing_grants_are_named_with_the_statement() {
    for (kind, lacks) in [(Kind::Mariadb, 3), (Kind::Mysql, 3), (Kind::Mysql56, 3)] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE USER poor@'%' IDENTIFIED BY 'secret'; GRANT SELECT ON shop.* TO poor@'%'");
        let source = connectors::open(&settings(&server, "poor")).unwrap().source().unwrap();
        let findings = check(&*source, &[]).await;
        let grants: Vec<&Finding> = findings.iter().filter(|finding| finding.subject == "poor").collect();
        assert_eq!(grants.len(), lacks, "{kind:?}: {findings:?}");
        for grant in grants {
            assert_eq!(grant.severity, Severity::Blocking);
            server.sql(grant.mend.as_deref().expect("told"));
        }
        // MySQL 5.6 needs it for more than this.
        if kind != Kind::Mysql56 {
            let sees = about(&findings, "PROCESS").expect("told");
            server.sql(sees.mend.as_deref().expect("told"));
        }
        // Grants of the whole server hold for connections made after them.
        let source = connectors::open(&settings(&server, "poor")).unwrap().source().unwrap();
        let findings = check(&*source, &[]).await;
        assert!(about(&findings, "poor").is_none() && about(&findings, "PROCESS").is_none(), "{findings:?}");
        source.begin(JobId(uuid::Uuid::new_v4()), &[]).await.expect("all that a begin asks for is granted");
        let everything = connectors::open(&settings(&server, "writer")).unwrap().source().unwrap();
        let findings = check(&*everything, &[]).await;
        assert!(about(&findings, "writer").is_none() && about(&findings, "PROCESS").is_none(), "{findings:?}");
    }
}

#[tokio::test]
async fn a_replica_that_does_not_log_what_it_replicates_is_refused() {
    let server = Server::mariadb(&[]);
    let check_as = async |user| {
        let source = connectors::open(&settings(&server, user)).unwrap().source().unwrap();
        check(&*source, &[]).await
    };
    assert_eq!(about(&check_as("reader").await, "log_slave_updates"), None, "it is none");
    server.sql(
        "CREATE USER poor@'%' IDENTIFIED BY 'secret'; \
         GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR, PROCESS ON *.* TO poor@'%'; \
         CHANGE MASTER TO master_host = '127.0.0.1', master_port = 1, master_user = 'nobody'",
    );
    let findings = check_as("reader").await;
    let replica = about(&findings, "log_slave_updates").expect("a replica");
    assert!(replica.severity == Severity::Blocking && replica.mend.is_some(), "{replica:?}");
    // Who may not ask does not know that it is none.
    let findings = check_as("poor").await;
    let unknown = about(&findings, "poor").expect("not known");
    assert_eq!(unknown.severity, Severity::Blocking);
    assert_eq!(unknown.mend.as_deref(), Some("GRANT REPLICA MONITOR ON *.* TO 'poor'@'%'"));
    server.sql(unknown.mend.as_deref().expect("told"));
    assert!(about(&check_as("poor").await, "log_slave_updates").is_some());
    server.sql("RESET SLAVE ALL");
    let findings = check_as("poor").await;
    assert!(findings.iter().all(|finding| finding.severity != Severity::Blocking), "{findings:?}");
}

#[tokio::test]
async fn a_database_that_the_log_leaves_out_is_refused() {
    for (kind, flag, option) in [
        (Kind::Mariadb, "--binlog-ignore-db=shop", "binlog_ignore_db"),
        (Kind::Mariadb, "--binlog-do-db=other", "binlog_do_db"),
        (Kind::Mysql, "--binlog-ignore-db=shop", "binlog_ignore_db"),
        (Kind::Mysql, "--binlog-do-db=other", "binlog_do_db"),
        (Kind::Mysql56, "--binlog-ignore-db=shop", "binlog_ignore_db"),
    ] {
        let mut server = Server::of(kind, &[flag, "--sync-binlog=1"]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY)");
        let before = source(&server);
        let table = table(&*before, "t").await;
        let findings = check(&*before, &[Arc::clone(&table)]).await;
        let left_out = about(&findings, option).unwrap_or_else(|| panic!("{kind:?} {flag}: {findings:?}"));
        assert_eq!(left_out.severity, Severity::Blocking);
        assert!(left_out.mend.as_deref().is_some_and(|mend| mend.contains(option)), "{left_out:?}");
        // Of another one, statements may be missing.
        server.set_flags(&["--binlog-ignore-db=other"]);
        server.restart();
        let findings = check(&*source(&server), &[table]).await;
        assert_eq!(about(&findings, "binlog_ignore_db").map(|finding| finding.severity), Some(Severity::Warning));
    }
}

#[tokio::test]
async fn who_cannot_enter_is_told_what_to_look_at() {
    let server = Server::mariadb(&[]);
    let nobody = connectors::open(&settings(&server, "nobody")).unwrap().source().unwrap();
    let refused = nobody.tables().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused:?}");
    assert!(refused.hint_text().is_some_and(|hint| hint.contains("secrets.password")), "{refused:?}");
    let mut away = settings(&server, "reader");
    away.url = "mysql://reader@127.0.0.1:1/shop".into();
    let gone = connectors::open(&away).unwrap().source().unwrap().tables().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Transient, "{gone:?}");
    // The second host answers where the first does not.
    away.url = format!("mysql://reader@127.0.0.1:1,127.0.0.1:{}/shop", server.port);
    connectors::open(&away).unwrap().source().unwrap().tables().await.unwrap();
}
