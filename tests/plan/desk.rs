//! A supervisor with two files and a store in memory, as a daemon would have them.

use crate::sqlite::support::World;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use uuid::Uuid;
use whimbrel::{
    config::StoreConfig,
    connectors::memory::{self, Habits},
    model::{JobSpec, Severity},
    plan::Plan,
    state::MemoryState,
    supervisor::{Stores, Supervisor},
};

pub struct Desk {
    pub supervisor: Supervisor,
    files: World,
    memory: String,
}

impl Desk {
    /// `shop` holds what the first statements make, `copy` what the second do; with none it is not there yet. `again` is
    /// another name of `shop`, `lost` a file in a directory that is not there.
    pub async fn new(shop: &str, copy: &str) -> Desk {
        let files = World::new();
        let path = files.database("shop.db", shop);
        if !copy.is_empty() {
            files.database("copy.db", copy);
        }
        std::os::unix::fs::symlink(&path, files.path("again.db")).expect("a link");
        let memory = Uuid::new_v4().to_string();
        let file = |name: &str| (name.to_owned(), format!("sqlite:{}", files.path(&format!("{name}.db")).display()));
        let mut urls: BTreeMap<String, String> = ["shop", "copy", "again"].map(file).into();
        urls.insert("lost".into(), format!("sqlite:{}", files.path("none/lost.db").display()));
        urls.insert("memory".into(), format!("memory:{memory}"));
        let configs = urls.into_iter().map(|(name, url)| (name, StoreConfig { url, ..StoreConfig::default() }));
        let stores = Stores::new(configs.collect()).expect("good stores");
        let state = Arc::new(MemoryState::default());
        let supervisor = Supervisor::open(state, stores, Duration::ZERO, Default::default()).await;
        Desk { supervisor: supervisor.expect("readable state"), files, memory }
    }

    /// Everything of `shop` into `copy`.
    pub fn spec(&self) -> JobSpec {
        JobSpec::new("orders", "shop", &["copy"])
    }

    pub async fn plan(&self, spec: &JobSpec) -> Plan {
        self.supervisor.plan(spec).await.expect("planned")
    }

    pub fn memory(&self) -> Arc<memory::World> {
        memory::World::named(&self.memory, Habits::default)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    /// Every file in the folder, with its bytes.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let folder = self.files.path("");
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
        files.map(|path| (path.clone(), std::fs::read(path).unwrap_or_default())).collect()
    }
}

pub fn warnings(plan: &Plan) -> Vec<&str> {
    of(plan, Severity::Warning)
}

pub fn infos(plan: &Plan) -> Vec<&str> {
    of(plan, Severity::Info)
}

pub fn of(plan: &Plan, severity: Severity) -> Vec<&str> {
    let found = plan.findings.iter().filter(|found| found.finding.severity == severity);
    found.map(|found| found.finding.text.as_str()).collect()
}
