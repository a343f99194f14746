//! One life of the daemon: a pipeline run behind decorators, so that it can die at any step and stay dead.

use super::{judge, scene::Scene};
use crate::support::faulty::{Faults, Faulty};
use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Once},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whimbrel::{
    connectors::memory::{MemorySource, MemoryTarget},
    error::Result,
    faults::Stopped,
    model::Limits,
    pipeline::{
        self, JobRun, TargetRun,
        status::{JobStatus, Observed},
    },
    source::Source,
    state::{JobRecord, MemoryState, State},
    target::Target,
};

pub struct Process {
    pub faults: Arc<Faults>,
    pub state: Arc<MemoryState>,
    pub token: Uuid,
    status: watch::Receiver<JobStatus>,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    _limits: watch::Sender<Limits>,
}

thread_local! {
    static STOPPED: Cell<bool> = const { Cell::new(false) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Panics of a simulation's tasks are noted on its thread; a planned stop is no panic.
pub fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().is::<Stopped>() {
                STOPPED.set(true);
                return;
            }
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
    STOPPED.set(false);
    PANICS.with_borrow_mut(Vec::clear);
}

/// Whether a planned stop was reached since the last call.
pub fn take_stopped() -> bool {
    STOPPED.replace(false)
}

pub fn take_panics() -> Vec<String> {
    PANICS.take()
}

impl Process {
    /// Starts the job as it is in `state`; `None` where that has lost it.
    pub async fn start(scene: &Scene, state: &Arc<MemoryState>, token: u128) -> Option<Process> {
        let faults = Arc::new(Faults::default());
        let token = Uuid::from_u128(token);
        let record = record(state, scene).await?;
        faults.slow("state.save_progress", scene.plan.slow_saves);
        let source: Arc<dyn Source> = Arc::new(MemorySource::new(Arc::clone(&scene.source)));
        let targets = scene.targets.iter().map(|target| TargetRun {
            name: target.name.clone(),
            target: Faulty::<dyn Target>::new(
                &target.name,
                &faults,
                Arc::new(MemoryTarget::new(Arc::clone(&target.world))) as Arc<dyn Target>,
            ),
            reader: Faulty::<dyn Source>::new(
                &format!("{}.reader", target.name),
                &faults,
                Arc::new(MemorySource::new(Arc::clone(&target.world))) as Arc<dyn Source>,
            ),
        });
        let (status_sender, status) = watch::channel(JobStatus::default());
        let (limits_sender, limits) = watch::channel(Limits::default());
        let run = JobRun {
            record,
            source: Faulty::<dyn Source>::new("source", &faults, source),
            targets: targets.collect(),
            state: Faulty::<dyn State>::new("state", &faults, Arc::clone(state) as Arc<dyn State>),
            token,
            limits,
            status: Arc::new(status_sender),
            retain_after_apply: scene.plan.retain,
            budget: pipeline::Budget::default(),
            others: Arc::new(Vec::new),
        };
        faults.watch_acknowledge(judge::watch(scene, state));
        let stop = CancellationToken::new();
        let task = tokio::spawn(pipeline::run(run, stop.clone()));
        Some(Process { faults, state: Arc::clone(state), token, status, stop, task, _limits: limits_sender })
    }

    pub fn status(&self) -> JobStatus {
        self.status.borrow().clone()
    }

    /// SIGKILL: nothing it started goes on, what it sent to servers does.
    pub async fn kill(self) {
        self.faults.kill();
        self.task.abort();
        let _ = self.task.await;
    }

    /// SIGTERM: it saves what is applied.
    pub async fn stop(mut self, patience: std::time::Duration) -> std::result::Result<(), String> {
        self.stop.cancel();
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(_) => Ok(()),
            // It died while it was about to stop.
            Err(_) if self.is_dead() || STOPPED.get() => {
                self.kill().await;
                Ok(())
            }
            Err(_) => {
                self.kill().await;
                Err(format!("it did not stop within {patience:?}"))
            }
        }
    }

    pub fn is_dead(&self) -> bool {
        self.faults.is_dead()
    }

    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// The position of one of its targets is gone on one side.
    pub fn is_lost(&self) -> bool {
        self.status().targets.values().any(|target| target.observed == Observed::Lost)
    }

    /// How it ended by itself.
    pub async fn result(self) -> Result<()> {
        self.task.await.unwrap_or_else(|panic| Err(whimbrel::error::Error::config(format!("{panic}"))))
    }
}

async fn record(state: &MemoryState, scene: &Scene) -> Option<JobRecord> {
    state.jobs().await.expect("memory").into_iter().find(|record| record.id == scene.plan.job())
}
