//! A lost state folder: the jobs come back from what their targets remember, paused, and go on without losing a row.

use crate::support::house::{House, spec, table};
use std::{collections::BTreeMap, sync::Arc};
use whimbrel::{
    connectors::memory::MemoryTarget,
    control::v1::ObservedState,
    model::{Severity, Value},
    state::{MemoryState, State, import, rebuild},
    target::{JobRow, Target},
};

async fn remembered(house: &House, stores: &[&str]) -> BTreeMap<String, Vec<JobRow>> {
    let mut rows = BTreeMap::new();
    for store in stores {
        let jobs = MemoryTarget::new(house.world(store)).jobs().await.expect("readable");
        rows.insert((*store).to_owned(), jobs);
    }
    rows
}

async fn rebuilt(house: House) -> House {
    let rebuilt = rebuild(&remembered(&house, &["a", "b", "c"]).await, 1);
    assert!(rebuilt.findings.is_empty(), "{:?}", rebuilt.findings);
    let state: Arc<dyn State> = Arc::new(MemoryState::default());
    import(&*state, &rebuilt.document).await.expect("empty");
    house.reopen_with(state).await
}

#[tokio::test]
async fn a_streaming_job_goes_on() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b", "c"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    house.add_people(100..150);
    house.has_people("b", 150).await;
    house.has_people("c", 150).await;
    let house = rebuilt(house).await;
    house.job_is("people", ObservedState::Paused).await;
    house.world("a").transact(|t| t.delete(&table(), &[Value::Int(3)]).map(drop)).expect("there");
    house.add_people(150..200);
    assert_eq!(house.people_in("b"), 150, "paused: a person looks first");
    house.client.clone().start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    for target in ["b", "c"] {
        house.has_people(target, 199).await;
        assert_eq!(house.world(target).rows(&table()), house.world("a").rows(&table()));
    }
    assert_eq!(house.world("b").breaches(), Vec::<String>::new());
}

#[tokio::test]
async fn a_half_copied_table_is_copied_again() {
    let house = House::new().await;
    house.add_people(100..5000);
    let mut client = house.client.clone();
    let mut slow = spec("people", &["b"]);
    slow.copy.limits.rows_per_s = 1;
    client.create_job(&slow, "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Copying).await;
    let house = rebuilt(house).await;
    // Gone from the source while nobody watched, perhaps already copied.
    let delete = |id| house.world("a").transact(|t| t.delete(&table(), &[Value::Int(id)]).map(drop));
    (0..50).try_for_each(|id| delete(id).map(drop)).expect("there");
    let mut client = house.client.clone();
    client.set_limits("people", Default::default()).await.expect("set");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    assert_eq!(house.world("b").rows(&table()), house.world("a").rows(&table()));
}

#[tokio::test]
async fn a_job_is_not_rebuilt_without_one_of_its_targets() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b", "c"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    let rebuilt = rebuild(&remembered(&house, &["a", "b"]).await, 1);
    assert!(rebuilt.document.jobs.is_empty());
    let finding = &rebuilt.findings[0];
    assert_eq!(finding.severity, Severity::Blocking);
    assert!(finding.text.contains("target `c`") && finding.mend.is_some(), "{finding:?}");
}
