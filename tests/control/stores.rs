//! Stores: what they are for, reloading them, certifying them, what is left over in them, and plans between them.

use crate::support::{
    daemon::Home,
    house::{House, people, spec},
    wait::eventually,
};
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};
use whimbrel::{
    client::{
        CertifyStoreResponse, CheckOutcome, Client, Code, Goal, JobSpec, ObservedState, PlanJobResponse, Role, Severity,
    },
    config::{Secret, StoreConfig},
    connectors::memory::{Habits, World},
    control::v1::Side,
    error::Error,
    model::{Column, Keyless, Table, TableName, Type},
    pipeline::status::Observed,
    state::MemoryState,
    supervisor::{Stores, Supervisor},
};

#[tokio::test]
async fn a_store_names_the_jobs_that_use_it() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("one", &["b"]), "").await.expect("created");
    client.create_job(&spec("two", &["b", "c"]), "").await.expect("created");
    let store = client.store("b").await.expect("there");
    assert_eq!(
        (store.kind.as_str(), store.target_of, store.source_of.len()),
        ("memory", vec!["one".into(), "two".into()], 0)
    );
    assert_eq!(client.store("a").await.expect("there").source_of, ["one", "two"]);
    let failure = client.store("x").await.expect_err("none");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "STORE_NOT_FOUND"));
}

fn stores(names: &[(&str, &str)]) -> BTreeMap<String, StoreConfig> {
    let config = |url: &str| StoreConfig { url: url.to_owned(), ..StoreConfig::default() };
    names.iter().map(|(name, url)| ((*name).to_owned(), config(url))).collect()
}

#[tokio::test]
async fn a_reload_says_what_changed_and_takes_all_or_nothing() {
    let file = Arc::new(Mutex::new(Ok(stores(&[("a", "memory:rl-a"), ("b", "memory:rl-b"), ("c", "memory:rl-c")]))));
    let read = {
        let file = Arc::clone(&file);
        move || file.lock().clone().map_err(|text: String| Error::config(text).hint("mend the file"))
    };
    let now = file.lock().clone().expect("good");
    let stores_now = Stores::new(now).expect("good stores").read_by(read);
    let state = Arc::new(MemoryState::default());
    let opened = Supervisor::open(state, stores_now, Duration::ZERO, Default::default()).await;
    let supervisor = opened.expect("empty state");
    supervisor.create(spec("people", &["b"]), "", false, "test").await.expect("created");
    supervisor.start("people", "", "test").await.expect("started");

    *file.lock() = Ok(stores(&[("a", "memory:rl-a"), ("b", "memory:rl-other"), ("d", "memory:rl-d")]));
    let (reloaded, jobs) = supervisor.reload_stores("test").await.expect("a good file");
    assert_eq!((reloaded.added, reloaded.changed), (vec!["d".to_owned()], vec!["b".to_owned()]));
    assert_eq!((reloaded.removed, reloaded.unchanged), (vec!["c".to_owned()], vec!["a".to_owned()]));
    assert_eq!(jobs, ["people"], "it runs with the former settings");
    supervisor.create(spec("more", &["d"]), "", true, "test").await.expect("d is there now");
    supervisor.create(spec("less", &["c"]), "", true, "test").await.expect_err("c is not");

    let without_b = stores(&[("a", "memory:rl-a"), ("d", "memory:rl-d")]);
    for bad in [Ok(stores(&[("a", "nothing:x")])), Ok(without_b), Err("line 3: what is this".to_owned())] {
        *file.lock() = bad;
        let denied = supervisor.reload_stores("test").await.expect_err("a bad file");
        assert_eq!(denied.reason.name(), "CONFIG_UNUSABLE");
        assert!(denied.error.hint_text().is_some(), "{denied:?}");
        assert_eq!(supervisor.stores().list().len(), 3, "nothing has changed");
    }
    supervisor.stop().await;
}

#[tokio::test]
async fn a_daemon_without_a_file_cannot_reload() {
    let house = House::new().await;
    let failure = house.client.clone().reload_stores().await.expect_err("no file");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::FailedPrecondition, "CONFIG_UNUSABLE"));
}

async fn results(client: &mut Client, store: &str, role: Role, checks: &[&str]) -> Vec<CertifyStoreResponse> {
    let results = client.certify_store(store, role, checks).await.expect("it starts");
    results.map(|result| result.expect("a result")).collect().await
}

#[tokio::test]
async fn a_battery_runs_check_after_check_and_one_at_a_time() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let found = results(&mut client, "b", Role::Target, &["epochs", "applied-once"]).await;
    let found: Vec<_> = found.iter().map(|one| (one.check.as_str(), one.outcome(), one.number, one.count)).collect();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| one.1 == CheckOutcome::Passed && one.3 == 2), "{found:?}");

    let failure = client.certify_store("b", Role::Target, &["nonsense"]).await.err().expect("no such check");
    assert_eq!(failure.code, Code::InvalidArgument);
    assert!(failure.hint.is_some_and(|hint| hint.contains("epochs")));
    let running = client.certify_store("b", Role::Target, &[]).await.expect("it starts");
    let failure = client.certify_store("a", Role::Source, &[]).await.err().expect("one is running");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Unavailable, "CERTIFY_RUNNING"));
    drop(running);
    crate::support::wait::eventually("the dropped one has ended", async || {
        client.clone().certify_store("a", Role::Source, &["begin-rounds-down"]).await.ok().map(drop)
    })
    .await;
    assert_eq!(house.people_in("a"), 100, "the store itself was not touched");
}

fn sqlite3(file: &std::path::Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg(file).arg(sql).output().expect("sqlite3 runs");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_sqlite_store_is_certified_beside_its_file_and_nothing_stays() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("shop.db");
    sqlite3(&file, "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let before = std::fs::read(&file).expect("there");
    let (source, _) = (format!("sqlite:{}", file.display()), ());
    let home = Home::new(&[("shop", &source)]);
    let daemon = home.serve();
    let mut client = Client::connect(&daemon.address).await.expect("it listens");
    for (role, check) in [(Role::Source, "begin-rounds-down"), (Role::Target, "applied-once")] {
        let found = results(&mut client, "shop", role, &[check]).await;
        assert_eq!(found[0].outcome(), CheckOutcome::Passed, "{found:?}");
    }
    assert_eq!(std::fs::read(&file).expect("there"), before, "the store's file is as it was");
    crate::support::wait::until("the scratch folders are gone", || {
        let names = std::fs::read_dir(folder.path()).expect("there").map(|entry| entry.expect("there").file_name());
        (names.collect::<Vec<_>>() == ["shop.db"]).then_some(())
    });
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn what_is_left_over_in_files_is_removed_by_what_is_said() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (shop, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    sqlite3(&shop, "CREATE TABLE \"it's\"(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO \"it's\" VALUES (1, 'x')");
    let urls = [&shop, &copy].map(|file| format!("sqlite:{}", file.display()));
    let home = Home::new(&[("shop", &urls[0]), ("copy", &urls[1])]);
    let daemon = home.serve();
    let mut client = Client::connect(&daemon.address).await.expect("it listens");
    let within = crate::support::wait::DEADLINE;
    client.create_job(&JobSpec::new("orders", "shop", &["copy"]), "").await.expect("created");
    client.start_job("orders").await.expect("started");
    client.wait_job("orders", Goal::State(ObservedState::Streaming), within).await.expect("streams");
    assert!(client.leftovers("shop").await.expect("readable").is_empty(), "they are the job's");
    assert!(client.leftovers("copy").await.expect("readable").is_empty(), "they are the job's");

    // Another daemon, which does not know the job, sees all of it.
    drop(daemon);
    let other = Home::new(&[("shop", &urls[0]), ("copy", &urls[1])]);
    let daemon = other.serve();
    let mut client = Client::connect(&daemon.address).await.expect("it listens");
    for (store, file, part) in [("shop", &shop, "change log"), ("copy", &copy, "whimbrel_job")] {
        let left = client.leftovers(store).await.expect("readable");
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].object.contains(part) && !left[0].job_uid.is_empty(), "{left:?}");
        sqlite3(file, &left[0].remove);
        assert!(client.leftovers(store).await.expect("readable").is_empty());
        assert_eq!(sqlite3(file, "SELECT name FROM sqlite_schema WHERE name LIKE '%whimbrel%'"), "", "{store}");
        sqlite3(file, "INSERT INTO \"it's\" VALUES (2, 'writes still work')");
    }
}

fn blocking(plan: &PlanJobResponse) -> Vec<(Side, &str, &str)> {
    let found = plan.findings.iter().filter_map(|found| Some((found, found.finding.as_ref()?)));
    let blocking = found.filter(|(_, finding)| finding.severity() == Severity::Blocking);
    blocking.map(|(found, finding)| (found.side(), found.store.as_str(), finding.subject.as_str())).collect()
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_plan_of_files_shows_rows_that_are_in_the_way() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (shop, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    for file in [&shop, &copy] {
        sqlite3(file, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x')");
    }
    let before = [&shop, &copy].map(|file| std::fs::read(file).expect("there"));
    let urls = [&shop, &copy].map(|file| format!("sqlite:{}", file.display()));
    let home = Home::new(&[("shop", &urls[0]), ("copy", &urls[1])]);
    let daemon = home.serve();
    let mut client = Client::connect(&daemon.address).await.expect("it listens");
    let plan = client.plan_job(&JobSpec::new("orders", "shop", &["copy"])).await.expect("planned");
    assert_eq!((plan.ok, blocking(&plan)), (false, vec![(Side::Target, "copy", "main.t")]));
    let mends = plan.findings.iter().filter_map(|found| found.finding.as_ref()).filter(|one| !one.mend.is_empty());
    assert!(mends.count() > 1, "{plan:?}");
    assert_eq!([&shop, &copy].map(|file| std::fs::read(file).expect("there")), before, "nothing was written");
}

#[tokio::test]
async fn a_plan_tells_what_each_side_has_to_say_and_writes_nothing() {
    let house = House::new().await;
    let mut client = house.client.clone();
    // It reads samples.
    let counts =
        || ["a", "b"].map(|store| whimbrel::connectors::memory::Counts { pages: 0, ..house.world(store).counts() });
    let before = counts();
    let plan = client.plan_job(&spec("people", &["b"])).await.expect("planned");
    assert!(plan.ok, "{plan:?}");
    assert_eq!(plan.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["main.people"]);
    assert_eq!((plan.tables[0].key.len(), plan.targets.len()), (1, 1));
    assert_eq!(counts(), before);
    assert!(client.all_jobs().await.expect("listed").is_empty());

    let loose = TableName::new("main", "loose");
    house.world("a").create(Arc::new(Table::new(loose, vec![Column::new("v", Type::Int)], Vec::new())));
    let plan = client.plan_job(&spec("people", &["b"])).await.expect("planned");
    assert_eq!((plan.ok, blocking(&plan)), (false, vec![(Side::Source, "a", "main.loose")]));
    let mut nothing = spec("people", &["c"]);
    (nothing.source.tables, nothing.source.keyless) = (vec!["none.*".into()], Keyless::Exact);
    assert!(!client.plan_job(&nothing).await.expect("planned").ok);

    client.create_job(&spec("people", &["c"]), "").await.expect("created");
    assert!(client.plan_job(&spec("people", &["x"])).await.is_err(), "no such store");
    house.world("a").go_down(Duration::from_secs(86_400));
    let failure = client.plan_job(&spec("people", &["c"])).await.expect_err("the source is down");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_for_a_while_stops_no_job_for_good() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").expect("ours");
    let state = Arc::new(MemoryState::default());
    let names = uuid::Uuid::new_v4();
    let open = async || {
        let mut configs = stores(&[("a", &format!("memory:{names}-a")), ("b", &format!("memory:{names}-b"))]);
        let secret = Secret::File(file.clone());
        configs.get_mut("b").expect("there").secrets.insert("password".into(), secret);
        let stores = Stores::new(configs).expect("good stores");
        Supervisor::open(Arc::clone(&state) as _, stores, Duration::ZERO, Default::default()).await.expect("readable")
    };
    let is = async |supervisor: &Supervisor, wanted: Observed| {
        eventually(&format!("the job is {wanted:?}"), async || {
            (supervisor.get("people").expect("there").status.observed == wanted).then_some(())
        })
        .await;
    };
    World::named(&format!("{names}-a"), Habits::default).create(people());
    let supervisor = open().await;
    supervisor.create(spec("people", &["b"]), "", false, "test").await.expect("created");
    supervisor.start("people", "", "test").await.expect("started");
    is(&supervisor, Observed::Streaming).await;
    supervisor.stop().await;

    std::fs::remove_file(&file).expect("ours");
    let supervisor = open().await;
    is(&supervisor, Observed::Stalled).await;
    let error = supervisor.get("people").expect("there").status.error.expect("said");
    assert!(
        error.text.contains("store `b`")
            && error.hint.as_deref().unwrap_or_default().contains("let the daemon's user read"),
        "{error:?}"
    );
    std::fs::write(&file, "hunter2\n").expect("ours");
    is(&supervisor, Observed::Streaming).await;
    supervisor.stop().await;
}
