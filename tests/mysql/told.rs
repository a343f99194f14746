//! Plans between servers: every finding has the statement that mends it, word for word.

use super::faults::rig::{JOB, Rig};
use crate::support::mysql::{Kind, Server};
use serde_json::Value;

/// What a plan of the rig's job finds at this subject: severities, and what mends them.
fn found(rig: &Rig, subject: &str) -> Vec<(String, String)> {
    let file = rig.path("job.yaml").display().to_string();
    let output = rig.ask(&["plan", "-f", &file, "-o", "json"]);
    let plan: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no plan: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = plan["findings"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = findings.iter().map(|one| &one["finding"]).filter(|one| one["subject"] == subject);
    of.map(|one| (text(&one["severity"]), text(&one["mend"]))).collect()
}

#[test]
fn a_table_that_the_account_may_not_read_is_told_with_its_grant_and_not_left_out() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        may_not_read(kind);
    }
}

fn may_not_read(kind: Kind) {
    let mut rig = Rig::new((kind, &[]), (Kind::Mariadb, &[]));
    let host = if kind == Kind::Mysql56 {
        "GRANT USAGE ON *.* TO poor@'%' IDENTIFIED BY 'secret'"
    } else {
        "CREATE USER poor@'%' IDENTIFIED BY 'secret'"
    };
    let xa = if kind == Kind::Mysql { "GRANT XA_RECOVER_ADMIN ON *.* TO poor@'%';" } else { "" };
    let monitor = if kind == Kind::Mariadb { "BINLOG MONITOR, REPLICA MONITOR" } else { "REPLICATION CLIENT" };
    rig.source.sql(&format!(
        "CREATE TABLE some (id INT PRIMARY KEY, a INT); CREATE TABLE seen (id INT PRIMARY KEY); \
         INSERT INTO some VALUES (1, 1); INSERT INTO seen VALUES (1); {host}; \
         GRANT REPLICATION SLAVE, {monitor}, PROCESS ON *.* TO poor@'%'; {xa} GRANT SELECT ON shop.sentinel TO poor@'%'; \
         GRANT SELECT (id) ON shop.some TO poor@'%'; GRANT INSERT ON shop.seen TO poor@'%'"
    ));
    let (source, target) = (rig.source.url("poor"), rig.target.url("writer"));
    rig.write_config(&source, &target);
    rig.start(None);
    rig.create("");
    // What a plan blocks, a start refuses: no table is left out without a word.
    crate::support::wait::until("the job is asked to start", || {
        String::from_utf8_lossy(&rig.ask(&["job", "start", JOB]).stderr).contains("does not start").then_some(())
    });
    let complaint = rig.complains("may not read it");
    assert!(complaint.contains("GRANT SELECT ON `shop`."), "{complaint}");
    // Where nothing of a table is granted, nobody knows of it.
    let all = ("SEVERITY_WARNING".to_owned(), "GRANT SELECT ON `shop`.* TO 'poor'@'%'".to_owned());
    assert_eq!(found(&rig, "shop.*"), std::slice::from_ref(&all), "{kind:?}");
    for table in ["some", "seen"] {
        let grant = format!("GRANT SELECT ON `shop`.`{table}` TO 'poor'@'%'");
        let blocking = ("SEVERITY_BLOCKING".to_owned(), grant.clone());
        assert!(found(&rig, &format!("shop.{table}")).contains(&blocking), "{kind:?}: {:?}", found(&rig, "shop.some"));
        rig.source.sql(&grant);
    }
    assert!(
        ["some", "seen"]
            .iter()
            .all(|table| found(&rig, &format!("shop.{table}")).iter().all(|one| one.0 != "SEVERITY_BLOCKING"))
    );
    rig.run_job();
    rig.settle();
    rig.assert_equal(&["some", "seen"], "readable now");
    rig.source.sql(&all.1);
    assert_eq!(found(&rig, "shop.*"), [], "{kind:?}");
    rig.stop();
}

/// Into tables that somebody made before: what they lack is named, and each statement does what it says.
#[test]
fn what_tables_that_were_there_lack_is_told_with_the_statement() {
    for (from, to) in [(Kind::Mariadb, Kind::Mysql), (Kind::Mysql, Kind::Mariadb), (Kind::Mysql, Kind::Mysql)] {
        lack(from, to);
    }
}

fn lack(from: Kind, to: Kind) {
    let mut rig = Rig::new((from, &[]), (to, &[]));
    rig.source.sql(
        "CREATE TABLE parent (id INT PRIMARY KEY); \
         CREATE TABLE child (id INT PRIMARY KEY, p INT, name VARCHAR(40), total DECIMAL(12,3), at DATETIME(6), \
         big BIGINT, ok INT, CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE); \
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1, 'a name that is far too long', 1.125, \
         '2026-01-02 03:04:05.000006', 5000000000, NULL)",
    );
    rig.target.sql(
        "CREATE TABLE parent (id INT PRIMARY KEY); INSERT INTO parent VALUES (9); \
         CREATE TABLE child (id INT PRIMARY KEY, p INT, name VARCHAR(10), total DECIMAL(12,2), at DATETIME, \
         big INT, ok INT NOT NULL); INSERT INTO child VALUES (9, 9, 'x', 1, '2026-01-01', 1, 1)",
    );
    rig.start(None);
    rig.create("");
    let file = rig.path("job.yaml");
    let text =
        std::fs::read_to_string(&file).expect("ours").replace("store: copy\n", "store: copy\n    existing: replace\n");
    std::fs::write(&file, text).expect("ours");
    let told: Vec<(String, String)> =
        found(&rig, "shop.child").into_iter().filter(|(_, mend)| mend.starts_with("ALTER TABLE")).collect();
    assert!(told.iter().all(|(severity, _)| severity == "SEVERITY_WARNING"), "{told:?}");
    let has = |part: &str| told.iter().any(|(_, mend)| mend.contains(part));
    for column in ["name", "total", "at", "big", "ok"] {
        assert!(has(&format!("MODIFY COLUMN `{column}` ")), "{column}: {told:?}");
    }
    assert!(has("ADD CONSTRAINT `of_parent` FOREIGN KEY (`p`)") && told.len() == 6, "{told:?}");
    for (_, mend) in told {
        rig.target.sql(&mend);
    }
    let left = found(&rig, "shop.child");
    assert!(left.iter().all(|(_, mend)| !mend.starts_with("ALTER TABLE")), "{left:?}");
    rig.ask(&["job", "delete", JOB, "--yes"]);
    crate::support::wait::until("the job is made anew", || {
        rig.ask(&["apply", "-f", &file.display().to_string()]).status.success().then_some(())
    });
    rig.run_job();
    rig.settle();
    rig.assert_equal(&["parent", "child"], "written whole");
    rig.stop();
}

#[test]
fn a_target_is_checked_as_one_and_a_misspelt_table_is_named() {
    let server = Server::of(Kind::Mariadb, &["--skip-log-bin"]);
    let mut rig = Rig::between(Server::mariadb(&[]), server);
    rig.source.sql("CREATE TABLE orders (id INT PRIMARY KEY)");
    rig.start(None);
    rig.create("");
    let check = rig.ask(&["store", "check", "copy"]);
    let said = format!("{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert!(check.status.success() && said.contains("is ready as a target") && !said.contains("log_bin"), "{said}");
    let check = rig.ask(&["store", "check", "copy", "--role", "source"]);
    assert!(!check.status.success(), "it keeps no log");
    let file = rig.path("misspelt.yaml");
    let tables = "[shop.order, shop.sentinel, shpo.orders]";
    let text = format!("name: misspelt\nsource:\n  store: shop\n  tables: {tables}\ntargets:\n  - store: copy\n");
    std::fs::write(&file, &text).expect("ours");
    let plan = rig.ask(&["plan", "-f", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&plan.stdout);
    assert_eq!(said.matches("did you mean `shop.orders`?").count(), 2, "{said}");
    // A start says the same, and what to type; then the table may go without stopping the job.
    rig.ask(&["job", "delete", JOB, "--yes"]);
    let tables = |list: &str| text.replace("misspelt", JOB).replace(tables, list);
    let apply = |list: &str| {
        std::fs::write(&file, tables(list)).expect("ours");
        crate::support::wait::until("the job is applied", || {
            rig.ask(&["apply", "-f", &file.display().to_string()]).status.success().then_some(())
        });
    };
    apply("[shop.order, shop.sentinel]");
    rig.ask(&["job", "start", JOB]);
    let complaint = rig.complains("shop.order");
    assert!(complaint.contains("`shop.orders`?") && complaint.contains("whimbrel apply -f FILE"), "{complaint}");
    apply("[shop.orders, shop.sentinel]");
    rig.run_job();
    rig.settle();
    rig.source.sql("DROP TABLE orders");
    rig.settle();
    rig.stop();
    rig.start(None);
    rig.settle();
    let plan = rig.ask(&["plan", "-f", &file.display().to_string()]);
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stdout));
    rig.stop();
}

/// Of a table that was renamed; the names of its keys are taken.
#[test]
fn a_foreign_key_whose_name_is_taken_is_told_with_the_statement() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        is_taken(kind);
    }
}

fn is_taken(kind: Kind) {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (kind, &[]));
    let tables = "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE child (id INT PRIMARY KEY, p INT, \
                  CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id))";
    let old = "CREATE TABLE other (id INT PRIMARY KEY); CREATE TABLE old (id INT PRIMARY KEY, p INT, \
               CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES other (id))";
    rig.source.sql(tables);
    rig.target.sql(old);
    rig.start(None);
    rig.create("");
    let mend = "ALTER TABLE `shop`.`old` DROP FOREIGN KEY `of_parent`".to_owned();
    assert!(found(&rig, "shop.child").contains(&("SEVERITY_BLOCKING".into(), mend.clone())), "{kind:?}");
    rig.target.sql(&mend);
    rig.run_job();
    rig.settle();
    assert!(rig.target.sql("SHOW CREATE TABLE child").contains("CONSTRAINT `of_parent` FOREIGN KEY"), "{kind:?}");
    rig.stop();
}
