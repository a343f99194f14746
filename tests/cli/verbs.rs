//! Every verb against the real binary, with its exit codes and what it says to type next.

use super::scene::{JOB, Shop, ends, json, shows, stdout};
use crate::support::{daemon::whimbrel, wait::until};

#[test]
fn a_plan_shows_what_is_found_on_each_side_and_writes_nothing() {
    let shop = Shop::new(10);
    let daemon = shop.home.serve();
    let file = shop.write("job.yaml", JOB);
    let tables = || {
        let db = rusqlite::Connection::open(shop.file("shop.db")).expect("there");
        db.query_row("SELECT group_concat(name) FROM sqlite_schema", [], |row| row.get::<_, String>(0))
            .expect("readable")
    };
    let before = tables();
    let parts = ["source shop: ", "main.people", "time into copy", "source's log", "Nothing was written"];
    ends(&daemon.ask(&["plan", "-f", &file]), 0, &parts);
    let ours = "main.people: 3 × a trigger of ours will be made; -o wide lists them";
    let narrow = daemon.ask(&["plan", "-f", &file]);
    ends(&narrow, 0, &[ours]);
    assert!(!stdout(&narrow).contains("CREATE TRIGGER"), "{}", stdout(&narrow));
    let wide = stdout(&daemon.ask(&["plan", "-f", &file, "-o", "wide"]));
    assert_eq!(wide.matches("CREATE TRIGGER").count(), 3, "{wide}");
    let whole = json(&daemon.ask(&["plan", "-f", &file, "-o", "json"]));
    assert_eq!(whole.to_string().matches("CREATE TRIGGER").count(), 3, "{whole}");
    ends(&daemon.ask(&["plan", "-f", &file]), 0, &[&format!("next: whimbrel apply -f {file} --start")]);
    assert_eq!(tables(), before);
    assert!(!shop.file("copy.db").exists());
    ends(&daemon.ask(&["status", "shop"]), 3, &["no job"]);
    let none = shop.write("none.yaml", &JOB.replace("store: shop\n", "store: shop\n  tables: [nothing.*]\n"));
    let told = stdout(&daemon.ask(&["plan", "-f", &none]));
    let places = ["blocking  ", "warning   ", "info      "].map(|word| told.find(word));
    assert!(places.is_sorted() && places[0].is_some(), "the gravest first: {told}");
    ends(&daemon.ask(&["plan", "-f", &none]), 3, &["blocking", "cannot start like this", "hint:", "whimbrel plan -f"]);
    assert_eq!(json(&daemon.ask(&["plan", "-f", &file, "-o", "json"]))["ok"], true);
}

#[test]
fn a_plan_s_sample_raises_no_alarm_in_the_log() {
    let shop = Shop::new(3);
    let sql = "CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people (id));
               INSERT INTO orders VALUES (1, 1), (2, 3);";
    rusqlite::Connection::open(shop.file("shop.db")).expect("there").execute_batch(sql).expect("new");
    let daemon = shop.home.serve();
    let orders = JOB.replace("store: shop\n", "store: shop\n  tables: [main.orders]\n");
    ends(&daemon.ask(&["plan", "-f", &shop.write("job.yaml", &orders)]), 0, &["main.orders", "Nothing was written"]);
    let (_, log) = daemon.terminate(libc::SIGTERM);
    assert!(!log.contains("foreign key") && !log.contains("a parent that is not there"), "{log}");
}

#[test]
fn a_job_is_followed_from_its_file_to_its_end() {
    let shop = Shop::new(25);
    let daemon = shop.streaming();
    let facts = ["shop  streaming", "target copy", "changes behind", "main.people", "25", "100 %", "next: "];
    shows(&daemon, &["status", "shop"], &facts);
    shows(&daemon, &["status"], &["shop", "streaming", "copy", "next: "]);
    ends(&daemon.ask(&["wait", "shop", "--for", "lag=10s", "--timeout", "60s"]), 0, &["streaming, lag "]);
    ends(&daemon.ask(&["job", "start", "shop"]), 0, &["is started; it is streaming"]);
    let limits = daemon.ask(&["job", "set-limits", "shop", "--rows-per-s", "900"]);
    ends(&limits, 0, &["at most 900 rows a second, no limit of bytes"]);
    let limits = daemon.ask(&["job", "set-limits", "shop", "--bytes-per-s", "1000000"]);
    ends(&limits, 0, &["at most 900 rows a second, at most 1000000 bytes a second"]);
    ends(&daemon.ask(&["job", "set-limits", "shop"]), 2, &["--rows-per-s"]);
    for wrong in ["-5", "80MB", "1.5", ""] {
        let limits = daemon.ask(&["job", "set-limits", "shop", "--bytes-per-s", wrong]);
        ends(&limits, 2, &["--bytes-per-s", "a whole number", "0 is unlimited"]);
    }
    let limits = daemon.ask(&["job", "set-limits", "shop", "--rows-per-s", "0"]);
    ends(&limits, 0, &["no limit of rows, at most 1000000 bytes"]);
    ends(
        &daemon.ask(&["job", "pause", "shop", "--max-pause", "2h"]),
        0,
        &["for at most 2 h", "next: ", "--for paused"],
    );
    ends(&daemon.ask(&["wait", "shop", "--for", "paused", "--timeout", "60s"]), 0, &["is paused"]);
    ends(&daemon.ask(&["status", "shop"]), 0, &["runs again by itself at", "next: whimbrel job start shop"]);
    ends(&daemon.ask(&["job", "delete", "shop"]), 3, &["nobody to ask", "--yes"]);
    ends(&daemon.ask(&["job", "delete", "shop", "--yes"]), 0, &["being deleted", "--for deleted"]);
    ends(&daemon.ask(&["wait", "shop", "--for", "deleted", "--timeout", "60s"]), 0, &["is deleted"]);
    ends(&daemon.ask(&["job", "history", "shop"]), 0, &["create", "start", "pause", "delete"]);
    ends(&daemon.ask(&["job", "history", "shop", "--limit", "1"]), 0, &["deleted"]);
    ends(&daemon.ask(&["job", "history", "nobody"]), 0, &["nothing is known"]);
    ends(&daemon.ask(&["job", "list"]), 0, &["JOB"]);
    let left = rusqlite::Connection::open(shop.file("shop.db")).expect("there");
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'whimbrel%'";
    assert_eq!(left.query_row(ours, [], |row| row.get::<_, i64>(0)).expect("readable"), 0);
}

#[test]
fn waits_end_in_time_and_say_why() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let late = daemon.ask(&["wait", "shop", "--for", "paused", "--timeout", "100ms"]);
    ends(&late, 5, &["not paused", "it is streaming", "hint:"]);
    ends(&daemon.ask(&["wait", "shop", "--for", "running"]), 2, &["streaming", "lag=1s"]);
    ends(&daemon.ask(&["wait", "shop", "--for", "streaming", "--timeout", "soon"]), 2, &["1h30m"]);
    ends(&daemon.ask(&["wait", "shop"]), 2, &["--for"]);
    ends(&daemon.ask(&["wait", "nobody", "--for", "streaming"]), 3, &["no job `nobody`"]);
    let empty =
        JOB.replace("name: shop", "name: empty").replace("store: shop\n", "store: shop\n  tables: [nothing.*]\n");
    let started = daemon.ask(&["apply", "-f", &shop.write("empty.yaml", &empty), "--start"]);
    ends(&started, 3, &["job `empty` created", "does not start: ", "selects no table", "hint:", "job start empty"]);
    ends(&daemon.ask(&["wait", "empty", "--for", "streaming"]), 3, &["is failed", "selects no table", "hint:"]);
    ends(&daemon.ask(&["wait", "empty", "--for", "failed"]), 0, &["is failed"]);
    ends(&daemon.ask(&["status"]), 0, &["empty is failed", "hint:", "next: whimbrel status empty"]);
}

#[test]
fn a_wait_for_what_will_not_come_ends_at_once() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let wait = |name: &str, goal: &str| daemon.ask(&["wait", name, "--for", goal, "--timeout", "1h"]);
    ends(&daemon.ask(&["job", "pause", "shop"]), 0, &[]);
    ends(&wait("shop", "paused"), 0, &["is paused"]);
    for goal in ["streaming", "lag=1s"] {
        ends(&wait("shop", goal), 3, &["shall stand still", "hint:", "whimbrel job start shop"]);
    }
    // It runs again by itself: worth waiting for.
    ends(&daemon.ask(&["job", "pause", "shop", "--max-pause", "1s"]), 0, &[]);
    ends(&wait("shop", "streaming"), 0, &["is streaming"]);
    ends(&wait("shpo", "deleted"), 3, &["no job `shpo`", "did you mean `shop`"]);
    ends(&daemon.ask(&["job", "delete", "shop", "--yes"]), 0, &[]);
    ends(&wait("shop", "deleted"), 0, &["is deleted"]);
    // Gone before anybody waited: the trail knows.
    ends(&wait("shop", "deleted"), 0, &["is deleted"]);
    ends(&wait("nobody", "deleted"), 3, &["no job `nobody`", "`whimbrel status` lists all jobs"]);
}

#[test]
fn stores_are_listed_checked_and_read_again() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    ends(&daemon.ask(&["store", "list"]), 0, &["STORE", "sqlite", "copy", "next: whimbrel store check"]);
    ends(&daemon.ask(&["store", "check", "shop"]), 0, &["a view is not carried", "is ready", "nothing was written"]);
    ends(&daemon.ask(&["store", "check", "copy", "--role", "target"]), 0, &["is ready as a target"]);
    // What it is to the jobs there are.
    ends(&daemon.ask(&["store", "check", "copy"]), 0, &["is ready as a target"]);
    let db = rusqlite::Connection::open(shop.file("shop.db")).expect("there");
    db.execute_batch("CREATE TABLE odd (k TEXT PRIMARY KEY); INSERT INTO odd VALUES (NULL)").expect("SQLite allows it");
    let odd = daemon.ask(&["store", "check", "shop", "--table", "main.odd"]);
    let again = "then again: whimbrel store check shop --table 'main.odd'";
    ends(&odd, 3, &["blocking  main.odd: ", "mend  ", "1 finding in the way", again]);
    ends(&daemon.ask(&["store", "tables", "shop", "-o", "wide"]), 0, &["main.people", "id INTEGER", "TYPES"]);
    ends(&daemon.ask(&["store", "leftovers", "shop"]), 0, &["nothing is left over"]);
    ends(&daemon.ask(&["store", "check", "shpo"]), 3, &["no store `shpo`", "did you mean `shop`?"]);
    let certified = daemon.ask(&["store", "certify", "shop", "--check", "shapes"]);
    ends(&certified, 0, &["1/1 passed  shapes", "1 check passed"]);
    ends(&daemon.ask(&["store", "certify", "shop", "--check", "no-such-check"]), 3, &["no-such-check", "hint:"]);
    let config = std::fs::read_to_string(&shop.home.config).expect("ours");
    std::fs::write(&shop.home.config, format!("{config}[stores.more]\nurl = \"memory:more\"\n")).expect("ours");
    ends(&daemon.ask(&["store", "reload"]), 0, &["added more"]);
    let far = format!("{config}[stores.far]\nurl = \"sqlite:/nowhere/far.db\"\n");
    std::fs::write(&shop.home.config, far).expect("ours");
    ends(&daemon.ask(&["store", "reload"]), 0, &["added far"]);
    let target = daemon.ask(&["store", "check", "far", "--role", "target"]);
    ends(&target, 3, &["mkdir", "then again: whimbrel store check far --role target"]);
    let empty = format!("{config}[stores.far]\nurl = {:?}\n", format!("sqlite:{}", shop.file("none.db").display()));
    rusqlite::Connection::open(shop.file("none.db"))
        .expect("new")
        .execute_batch("CREATE TABLE t(a); DROP TABLE t")
        .expect("new");
    std::fs::write(&shop.home.config, empty).expect("ours");
    ends(&daemon.ask(&["store", "reload"]), 0, &["changed far"]);
    let unused = daemon.ask(&["store", "check", "far"]);
    ends(
        &unused,
        3,
        &["no table is selected", "then again: whimbrel store check far;", "store check far --role target"],
    );
    std::fs::write(&shop.home.config, "[stores.more]\nurl = \"nosuch:more\"\n").expect("ours");
    ends(&daemon.ask(&["store", "reload"]), 3, &["nosuch", "hint:"]);
}

#[test]
fn a_table_that_is_dropped_is_shown_as_gone_until_it_is_back() {
    let shop = Shop::new(5);
    let daemon = shop.streaming();
    let db = rusqlite::Connection::open(shop.file("shop.db")).expect("there");
    db.execute_batch("DROP TABLE people").expect("it was there");
    shows(&daemon, &["status", "shop"], &["gone", "not at the source any more"]);
    let job = json(&daemon.ask(&["status", "shop", "-o", "json"]));
    assert_eq!(job["status"]["targets"][0]["tables"][0]["gone"], true, "{job}");
    let people =
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (7, 'x'), (8, 'y')";
    db.execute_batch(people).expect("new");
    let table = || json(&daemon.ask(&["status", "shop", "-o", "json"]))["status"]["targets"][0]["tables"][0].clone();
    until("it is followed again, and its rows are counted", || {
        let table = table();
        let follows = table["observed_state"] == "OBSERVED_STATE_STREAMING" && table["gone"] != true;
        (follows && table["rows"] == 2).then_some(())
    });
}

#[test]
fn what_a_job_kept_at_its_source_is_left_over_with_what_removes_it() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let deleted = daemon.ask(&["job", "delete", "shop", "--yes", "--keep-source-objects"]);
    ends(&deleted, 0, &["being deleted"]);
    ends(&daemon.ask(&["wait", "shop", "--for", "deleted", "--timeout", "60s"]), 0, &[]);
    ends(&daemon.ask(&["store", "leftovers", "shop"]), 0, &["remove: ", "next: "]);
}

#[test]
fn mistyped_names_are_answered_with_the_nearest() {
    let shop = Shop::new(3);
    let daemon = shop.home.serve();
    ends(&daemon.ask(&["apply", "-f", &shop.write("job.yaml", JOB)]), 0, &["created"]);
    for verb in [&["status", "shpo"][..], &["job", "start", "shpo"], &["job", "delete", "shpo", "--yes"]] {
        ends(&daemon.ask(verb), 3, &["no job `shpo`", "did you mean `shop`?"]);
    }
    ends(&daemon.ask(&["job", "show", "something-else"]), 3, &["hint: `whimbrel status` lists all jobs"]);
    ends(&daemon.ask(&["job", "list", "--filter", "colour = red"]), 3, &["hint:"]);
    let found = daemon.ask(&["job", "list", "--filter", "state = CREATED AND name : \"sh*\"", "--quiet"]);
    assert_eq!(stdout(&found), "shop  created  shop  copy  -  -\n");
}

#[test]
fn a_daemon_that_cannot_be_reached_is_told_apart() {
    let run = |arguments: &[&str]| whimbrel().args(arguments).output().expect("it runs");
    for verb in [&["status"][..], &["job", "list"], &["store", "list"], &["wait", "x", "--for", "streaming"]] {
        let nobody = run(&[verb, &["--server", "127.0.0.1:1"]].concat());
        ends(&nobody, 4, &["no daemon answers at 127.0.0.1:1", "whimbrel serve --config", "--server"]);
    }
    ends(&run(&["status", "--server", "not an address"]), 3, &["not an address", "hint:"]);
    ends(&run(&["status", "--server", "not an address:1"]), 3, &["not an address:1", "hint:"]);
    ends(&run(&["status", "--server", "localhost"]), 3, &["`localhost` has no port", "127.0.0.1:7411"]);
    let plain = ["status", "--server", "db.example.com:7411", "--token-file", "/dev/null"];
    ends(&run(&plain), 3, &["plain text", "--ca-file"]);
    ends(&run(&["status", "--ca-file", "/nowhere.pem"]), 3, &["/nowhere.pem", "hint:"]);
    ends(&run(&["status", "--cert-file", "/nowhere.pem"]), 2, &["--key-file"]);
    ends(&run(&["status", "--address", "127.0.0.1:1"]), 2, &["--address"]);
    let mut by_environment = whimbrel();
    by_environment.arg("status").env("WHIMBREL_SERVER", "127.0.0.1:2");
    ends(&by_environment.output().expect("it runs"), 4, &["127.0.0.1:2"]);
}
