//! Tables that the application drops and makes anew while the job is down.

use super::{pairs::Job, support::*};
use crate::support::wait::eventually;

const TABLES: &str = "CREATE TABLE kept(id INTEGER PRIMARY KEY, v); CREATE TABLE gone(id INTEGER PRIMARY KEY, v);
    INSERT INTO kept VALUES (1, 'a'); INSERT INTO gone VALUES (1, 'old'), (2, 'old');";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_dropped_over_a_restart_is_copied_anew_when_it_comes_back() {
    let world = World::new();
    let (a, b) = (world.database("a.db", TABLES), world.path("b.db"));
    let job = Job::new(1, &a, &[&b]);
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    running.stop().await;
    shell(&a, "DROP TABLE gone; INSERT INTO kept VALUES (2, 'meanwhile');");
    let mut running = job.start().await;
    eventually("the other table is followed", async || (rows(&a, "kept") == rows(&b, "kept")).then_some(())).await;
    shell(&a, "CREATE TABLE gone(id INTEGER PRIMARY KEY, v); INSERT INTO gone VALUES (2, 'new'), (3, 'new');");
    running.until_same(&a, &b).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_anew_over_a_restart_is_copied_anew() {
    let world = World::new();
    let (a, b) = (world.database("a.db", TABLES), world.path("b.db"));
    let job = Job::new(1, &a, &[&b]);
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    running.stop().await;
    let anew = "DROP TABLE gone; CREATE TABLE gone(id INTEGER PRIMARY KEY, v); INSERT INTO gone VALUES (3, 'new');";
    shell(&a, anew);
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    running.stop().await;
}
