//! The world against the contracts: its cuts, its edges, its zombies, its delays.

use super::*;
use crate::{
    model::{
        Action, Batch, Change, Checkpoint, Column, Existing, ForeignKey, JobId, Key, KeyRange, Kind, Partition,
        Position, Table, TableName, Type, Unique, Value, ValueRef,
    },
    source::{Columns, Feed, Next, Wanted},
    target::{Applied, Claim, Finished, Part},
};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const JOB: JobId = JobId(Uuid::from_u128(1));
const SHORT: Duration = Duration::from_millis(1);

fn name(table: &str) -> TableName {
    TableName::new("main", table)
}

fn people() -> Arc<Table> {
    let columns = vec![Column::new("id", Type::Int), Column::new("mail", Type::Text), Column::new("body", Type::Text)];
    let mut table = Table::new(name("people"), columns, vec![0]);
    table.columns[2].declared = "external".into();
    table.uniques = vec![Unique { name: "mail".into(), columns: vec![1], definition: None }];
    Arc::new(table)
}

fn person(id: i64, mail: &str, body: &str) -> Vec<Value> {
    vec![Value::Int(id), Value::Text(mail.into()), Value::Text(body.into())]
}

fn world(habits: Habits) -> Arc<World> {
    let world = World::new("w", habits);
    world.create(people());
    world
}

async fn drain(feed: &mut dyn Feed) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Next::Batch(batch) = feed.next(SHORT).await.expect("a quiet world") {
        batches.push(batch);
    }
    batches
}

fn changes(batches: &[Batch]) -> Vec<(Change, Vec<u8>)> {
    let one = |batch: &Batch| {
        let rows = batch.rows();
        let row = |m: &crate::model::Mutation| (m.change, rows.row(m.row).bytes().to_vec());
        rows.mutations.iter().map(row).collect::<Vec<_>>()
    };
    batches.iter().flat_map(one).collect()
}

fn claim(epoch: u64, token: u128, at: &Position) -> Claim {
    Claim {
        job: JOB,
        spec: String::new(),
        epoch,
        token: Uuid::from_u128(token),
        tables: vec![name("people")],
        feeds: vec![(Partition::new(Partition::ONLY), 2, at.clone())],
        existing: Existing::Merge,
        transactional: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_gives_the_same_changes_however_it_is_cut() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let world = world(Habits { images: Images::Mixed, trims: false, seed, ..Habits::default() });
        let source = MemorySource::new(Arc::clone(&world));
        let begun = source.begin(JOB, &[]).await.expect("begins");
        for id in 0..30 {
            let write = |t: &mut Transaction<'_>| {
                (0..=id % 4)
                    .try_for_each(|n| t.insert(&name("people"), person(id * 10 + n, &format!("{id}.{n}"), "b")))?;
                t.update(&name("people"), &[Value::Int(id / 2 * 10)], &[(0, Value::Int(1000 + id))]).map(drop)
            };
            let _ = world.transact(write);
        }
        let whole = drain(&mut *source.tail(JOB, &begun, &[], &[name("people")]).await.expect("opens")).await;
        let whole_changes = changes(&whole);
        // Any cut of any batch is an edge that another tail keeps, and a place to start again.
        world.set_habits(|habits| habits.batch_rows = 1 + chance.index(9));
        let mut edges = Vec::new();
        for batch in &whole {
            edges.push(Checkpoint::only(source.cut(batch, chance.index(batch.rows().mutations.len() + 1))));
        }
        let cut = drain(&mut *source.tail(JOB, &begun, &edges, &[name("people")]).await.expect("opens")).await;
        assert_eq!(changes(&cut), whole_changes, "seed {seed}");
        for pair in cut.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "seed {seed}");
        }
        for edge in edges.iter().filter_map(|edge| edge.0.values().next()) {
            let at_start = *edge == cut[0].from;
            assert!(at_start || cut.iter().any(|batch| batch.to == *edge), "seed {seed}: {edge:?} was crossed");
            let after: usize = cut.iter().skip_while(|b| b.from != *edge).map(|b| b.rows().mutations.len()).sum();
            let rest = drain(
                &mut *source.tail(JOB, &Checkpoint::only(edge.clone()), &[], &[name("people")]).await.expect("opens"),
            )
            .await;
            assert_eq!(changes(&rest), whole_changes[whole_changes.len() - after..], "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_wait_for_what_the_log_has_told() {
    let world = world(Habits { read_delay: Duration::from_secs(5), seed: 3, ..Habits::default() });
    let source = MemorySource::new(Arc::clone(&world));
    let begun = source.begin(JOB, &[]).await.expect("begins");
    world.transact(|t| t.insert(&name("people"), person(1, "a", "b"))).expect("commits");
    let mut tail = source.tail(JOB, &begun, &[], &[name("people")]).await.expect("opens");
    let Next::Batch(batch) = tail.next(SHORT).await.expect("a quiet world") else { panic!("the log shows it at once") };
    let wanted = Wanted { table: people(), keys: vec![Key::from_values([ValueRef::Int(1)])] };
    let early = source.fetch(std::slice::from_ref(&wanted), &begun, 1000).await.expect("fetches");
    assert!(early[0].row(0).is_none(), "not visible yet");
    let late = source.fetch(&[wanted], &Checkpoint::only(batch.to), 1000).await.expect("fetches");
    assert!(late[0].row(0).is_some());
}

#[tokio::test(start_paused = true)]
async fn pages_by_place_can_miss_a_row_that_moves() {
    let mut missed = 0;
    for seed in 0..50 {
        let world = world(Habits { paging: Paging::Place, page_rows: 3, seed, ..Habits::default() });
        for id in 0..12 {
            world.transact(|t| t.insert(&name("people"), person(id, &id.to_string(), "b"))).expect("commits");
        }
        let source = MemorySource::new(Arc::clone(&world));
        let ranges = source.split(&people(), &KeyRange::all(), 3).await.expect("splits");
        assert_eq!((&ranges[0].after, &ranges[ranges.len() - 1].upto), (&None, &None));
        let mut met = 0;
        for range in ranges {
            let mut feed = source.copy(&people(), &range, Columns::All, &Checkpoint::default()).await.expect("opens");
            while let Next::Batch(batch) = feed.next(SHORT).await.expect("a quiet world") {
                met += batch.rows().mutations.len();
                let touch = |t: &mut Transaction<'_>| {
                    (0..12)
                        .try_for_each(|id| t.update(&name("people"), &[Value::Int(id)], &[(2, Value::Null)]).map(drop))
                };
                world.transact(touch).expect("commits");
            }
        }
        missed += usize::from(met < 12);
    }
    assert!(missed > 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_went_away_still_commits_and_open_waits_for_it() {
    let source = world(Habits::default());
    let begun = MemorySource::new(Arc::clone(&source)).begin(JOB, &[]).await.expect("begins");
    let at = begun.0.values().next().expect("one partition").clone();
    source.transact(|t| t.insert(&name("people"), person(1, "a", "b"))).expect("commits");
    let mut tail = MemorySource::new(source).tail(JOB, &begun, &[], &[name("people")]).await.expect("opens");
    let batch = drain(&mut *tail).await.remove(0);

    let world = World::new("t", Habits { latency: Duration::from_secs(2), ..Habits::default() });
    let first = MemoryTarget::new(Arc::clone(&world));
    first.open(&claim(1, 1, &at)).await.expect("opens");
    first.prepare(&people()).await.expect("prepares");
    let gone = tokio::time::timeout(SHORT, first.apply(Part::whole(&batch, 1))).await;
    assert!(gone.is_err(), "the client gave up");
    let second = MemoryTarget::new(Arc::clone(&world));
    let deadline = Instant::now() + Duration::from_secs(60);
    while second.open(&claim(1, 1, &at)).await.expect("opens").marks[0].batch == 0 && Instant::now() < deadline {}
    assert_eq!(world.counts().zombies, 1);
    let again = second.apply(Part::whole(&batch, 1)).await.expect_err("a lane applies a batch once");
    assert!(again.is_transient(), "{again}");
    assert!(second.open(&claim(1, 2, &at)).await.is_err(), "another token with the same epoch");
    second.open(&claim(2, 2, &at)).await.expect("a newer epoch takes over");
    let late = first.apply(Part::whole(&batch, 2)).await.expect_err("an older epoch writes nothing");
    assert_eq!(late.kind(), crate::error::ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn clashes_and_missing_rows_are_told_and_undone() {
    let source = world(Habits { deferred_uniques: true, images: Images::External, ..Habits::default() });
    let begun = MemorySource::new(Arc::clone(&source)).begin(JOB, &[]).await.expect("begins");
    let at = begun.0.values().next().expect("one partition").clone();
    source
        .transact(|t| (1..=2).try_for_each(|id| t.insert(&name("people"), person(id, &id.to_string(), "b"))))
        .expect("ok");
    let swap = |t: &mut Transaction<'_>| {
        t.update(&name("people"), &[Value::Int(1)], &[(1, Value::Text("2".into()))])?;
        t.update(&name("people"), &[Value::Int(2)], &[(1, Value::Text("1".into()))]).map(drop)
    };
    source.set_habits(|habits| habits.batch_commits = 1);
    source.transact(swap).expect("commits");
    let mut tail = MemorySource::new(source).tail(JOB, &begun, &[], &[name("people")]).await.expect("opens");
    let batches = drain(&mut *tail).await;

    let world = World::new("t", Habits::default());
    let target = MemoryTarget::new(Arc::clone(&world));
    target.open(&claim(1, 1, &at)).await.expect("opens");
    target.prepare(&people()).await.expect("prepares");
    let missing = target.apply(Part::whole(&batches[1], 1)).await.expect("answers");
    assert_eq!(missing, Applied::Missing(vec![0, 1]));
    assert_eq!(target.apply(Part::whole(&batches[0], 1)).await.expect("answers"), Applied::Done);
    assert_eq!(target.finish(&people()).await.expect("answers"), Finished::Done);
    let taken = target.apply(Part::whole(&batches[1], 2)).await.expect("answers");
    assert!(matches!(&taken, Applied::Taken(clashes) if clashes[0].mutation == 0), "{taken:?}");
    assert_eq!(world.ledger().marks.values().next().expect("a mark").batch, 1, "rolled back with its rows");
    assert_eq!(world.breaches(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_open_transaction_shows_nothing_until_it_is_complete() {
    let source = world(Habits { batch_rows: 2, ..Habits::default() });
    let begun = MemorySource::new(Arc::clone(&source)).begin(JOB, &[]).await.expect("begins");
    let at = begun.0.values().next().expect("one partition").clone();
    let many =
        |t: &mut Transaction<'_>| (0..5).try_for_each(|id| t.insert(&name("people"), person(id, &id.to_string(), "b")));
    source.transact(many).expect("commits");
    let mut tail = MemorySource::new(source).tail(JOB, &begun, &[], &[name("people")]).await.expect("opens");
    let batches = drain(&mut *tail).await;
    assert_eq!(batches.iter().map(|batch| batch.complete).collect::<Vec<_>>(), [false, false, true]);

    let world = World::new("t", Habits::default());
    let target = MemoryTarget::new(Arc::clone(&world));
    target.open(&Claim { transactional: true, ..claim(1, 1, &at) }).await.expect("opens");
    target.prepare(&people()).await.expect("prepares");
    for (number, batch) in (1..).zip(&batches) {
        let done = target.apply(Part::whole(batch, number)).await.expect("answers");
        assert_eq!(done, if batch.complete { Applied::Done } else { Applied::Held });
        assert_eq!(world.rows(&name("people")).expect("there").1.len(), if batch.complete { 5 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn cascades_come_as_matching_and_failovers_lose_commits() {
    let world = world(Habits { cascades: Cascades::Matching, losable: 8, ..Habits::default() });
    let mut pets =
        Table::new(name("pets"), vec![Column::new("id", Type::Int), Column::new("owner", Type::Int)], vec![0]);
    pets.foreign_keys = vec![ForeignKey {
        columns: vec![1],
        parent: name("people"),
        parent_columns: Vec::new(),
        on_delete: Action::Cascade,
        on_update: Action::Cascade,
    }];
    world.create(Arc::new(pets));
    let source = MemorySource::new(Arc::clone(&world));
    let begun = source.begin(JOB, &[]).await.expect("begins");
    let fill = |t: &mut Transaction<'_>| {
        t.insert(&name("people"), person(1, "a", "b"))?;
        (0..3).try_for_each(|id| t.insert(&name("pets"), vec![Value::Int(id), Value::Int(1)]))
    };
    world.transact(fill).expect("commits");
    world.transact(|t| t.delete(&name("people"), &[Value::Int(1)]).map(drop)).expect("commits");
    let mut tail = source.tail(JOB, &begun, &[], &[name("people"), name("pets")]).await.expect("opens");
    let batches = drain(&mut *tail).await;
    assert_eq!(batches.last().and_then(|batch| batch.alone()).map(|m| m.change), Some(Change::Matching));
    assert!(batches.iter().all(|batch| batch.kind == Kind::Log));
    assert_eq!(world.rows(&name("pets")).expect("there").1.len(), 0);
    assert_eq!(world.fail_over(1), 1);
    assert_eq!(world.rows(&name("pets")).expect("there").1.len(), 3);
    assert!(tail.next(SHORT).await.expect_err("its server is gone").is_transient());
}
