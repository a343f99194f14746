//! A source's log read and decoded, and its batches dropped. `read URL`: begins, says so, waits for a line, reads up to the mark.

use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, Instant},
};
use whimbrel::{
    connectors::{self, StoreSettings},
    model::JobId,
    source::Next,
};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a URL");
    let settings = StoreSettings { name: "source".to_owned(), url, options: BTreeMap::new(), secrets: BTreeMap::new() };
    let source = connectors::open(&settings).and_then(|store| store.source()).expect("a source");
    let job = JobId(uuid::Uuid::now_v7());
    let (tables, _) = source.tables().await.expect("tables");
    let from = source.begin(job, &tables).await.expect("a beginning");
    println!("begun");
    std::io::stdout().flush().expect("a pipe");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    let mark = source.mark().await.expect("a mark");
    let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
    let start = Instant::now();
    let mut feed = source.tail(job, &from, &[], &names).await.expect("the log");
    let (mut changes, mut batches) = (0, 0);
    while !feed.passed(&mark) {
        if let Next::Batch(batch) = feed.next(Duration::from_secs(1)).await.expect("a batch") {
            changes += batch.rows().mutations.len();
            batches += 1;
        }
    }
    println!("{changes} {batches} {:.3}", start.elapsed().as_secs_f64());
}
