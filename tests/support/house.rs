//! A daemon in this process: real supervisor, real control API on a free port, memory stores that a test can write.

use super::wait::eventually;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whimbrel::{
    client::Client,
    config::StoreConfig,
    connectors::memory::{Habits, World},
    control::{
        self, Access,
        v1::{Job, ObservedState},
    },
    model::{Column, JobSpec, Table, TableName, Type, Value},
    state::{MemoryState, State},
    supervisor::{Stores, Supervisor},
};

pub struct House {
    pub client: Client,
    pub address: SocketAddr,
    pub state: Arc<dyn State>,
    pub supervisor: Arc<Supervisor>,
    names: String,
    served: JoinHandle<whimbrel::error::Result<()>>,
    stop: CancellationToken,
}

/// The stores that every house has; `a` holds the tables.
const STORES: [&str; 3] = ["a", "b", "c"];

impl House {
    /// With a hundred people in store `a`, and `b` and `c` empty.
    pub async fn new() -> House {
        let names = Uuid::new_v4().to_string();
        let house = House::open(Arc::new(MemoryState::default()), names).await;
        house.world("a").create(people());
        house.add_people(0..100);
        house
    }

    async fn open(state: Arc<dyn State>, names: String) -> House {
        let config = |store: &str| {
            let url = format!("memory:{names}-{store}");
            (store.to_owned(), StoreConfig { url, ..StoreConfig::default() })
        };
        let stores = Stores::new(STORES.map(config).into()).expect("good stores");
        let supervisor = Supervisor::open(Arc::clone(&state), stores, Duration::ZERO, Default::default())
            .await
            .expect("readable state");
        let supervisor = Arc::new(supervisor);
        let (listener, address) = control::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let stop = CancellationToken::new();
        let served = tokio::spawn(control::serve(listener, Arc::clone(&supervisor), Access::open(), stop.clone()));
        let client = Client::connect(&address.to_string()).await.expect("it listens");
        House { client, address, state, supervisor, names, served, stop }
    }

    /// Ends the daemon as a signal would.
    pub async fn close(self) -> (Arc<dyn State>, String) {
        self.stop.cancel();
        self.supervisor.stop().await;
        self.served.await.expect("no panic").expect("ends well");
        (self.state, self.names)
    }

    /// The same stores and state, another daemon.
    pub async fn reopen(self) -> House {
        let (state, names) = self.close().await;
        House::open(state, names).await
    }

    /// The same stores, another daemon with another state folder.
    pub async fn reopen_with(self, state: Arc<dyn State>) -> House {
        let (_, names) = self.close().await;
        House::open(state, names).await
    }

    pub fn world(&self, store: &str) -> Arc<World> {
        World::named(&format!("{}-{store}", self.names), Habits::default)
    }

    pub fn add_people(&self, ids: std::ops::Range<i64>) {
        let insert = |id| vec![Value::Int(id), Value::Text(format!("person {id}"))];
        let written = self.world("a").transact(|t| ids.clone().try_for_each(|id| t.insert(&table(), insert(id))));
        written.expect("new keys");
    }

    pub fn people_in(&self, store: &str) -> usize {
        self.world(store).rows(&table()).map_or(0, |(_, rows)| rows.len())
    }

    /// Waits until the job is seen in a state.
    pub async fn job_is(&self, name: &str, state: ObservedState) -> Job {
        eventually(&format!("job {name} is {}", state.as_str_name()), async || {
            let job = self.client.clone().job(name).await.expect("there");
            (observed(&job) == state).then_some(job)
        })
        .await
    }

    pub async fn has_people(&self, store: &str, count: usize) {
        eventually(&format!("{count} people in {store}"), async || (self.people_in(store) == count).then_some(()))
            .await;
    }
}

pub fn observed(job: &Job) -> ObservedState {
    job.status.as_ref().expect("every job has one").observed_state()
}

pub fn table() -> TableName {
    TableName::new("main", "people")
}

pub fn people() -> Arc<Table> {
    let columns = vec![Column::new("id", Type::Int), Column::new("name", Type::Text)];
    Arc::new(Table::new(table(), columns, vec![0]))
}

/// From `a` into the targets.
pub fn spec(name: &str, targets: &[&str]) -> JobSpec {
    JobSpec::new(name, "a", targets)
}
