//! `whimbrel serve`: the daemon, from its settings to its end.

use super::{ServeArgs, ended::Ended, reload::Reload};
use crate::{
    config::{Config, HttpConfig},
    control::{self, Access},
    error::Result,
    http::{self, Window},
    pipeline::Budget,
    service, shutdown,
    state::{SledState, State},
    supervisor::{Stores, Supervisor},
    telemetry,
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// For blocking work of stores (a lock they wait for) that nobody can interrupt.
const THREADS_END_WITHIN: Duration = Duration::from_secs(5);

pub fn run(args: &ServeArgs) -> Result<(), Ended> {
    let config = args.load()?;
    telemetry::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Ended::failed)?;
    let again = args.clone();
    let stores = Stores::new(config.stores.clone())?.read_by(move || Ok(again.read()?.stores));
    let served = runtime.block_on(serve(args, config, stores));
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    Ok(served?)
}

async fn serve(args: &ServeArgs, config: Config, stores: Stores) -> Result<()> {
    let stop = shutdown::on_signals()?;
    // Whatever may be refused comes before the first job runs.
    let access = Arc::new(Access::new(&config.tls, &config.tokens)?);
    let reload = Reload::new(args, &config, &access)?;
    let (listener, address) = control::bind(config.listen).await?;
    let folder = config.state.dir.clone();
    let window = Window::new(folder.clone());
    let closed = CancellationToken::new();
    let watched = watched(&config.http, &window, &closed).await;
    let state = tokio::task::spawn_blocking(move || SledState::open(&folder));
    let state: Arc<dyn State> = Arc::new(state.await.expect("opening does not panic")?);
    let retain_after_apply = Duration::from_secs(config.source.retain_after_apply_s.into());
    let budget = Budget::new(config.memory.rows_in_flight_mib);
    let supervisor = Arc::new(Supervisor::open(state, stores, retain_after_apply, budget).await?);
    window.open(Arc::clone(&supervisor), address);
    // Said when it is so: whoever reads this finds it ready.
    tracing::info!(%address, state = %config.state.dir.display(), "listening");
    service::ready(&address.to_string());
    let served = tokio::select! {
        served = until_stopped(listener, &supervisor, access, &stop) => served,
        never = service::feed_watchdog(supervisor.turns().clone(), supervisor.vitals().flushes) => match never {},
        () = reload.run(Arc::clone(&supervisor)) => Ok(()),
    };
    supervisor.stop().await;
    closed.cancel();
    if let Some(watched) = watched {
        // A panic in it was in the log; nothing is lost with it.
        let _ = watched.await;
    }
    tracing::info!("stopped");
    served
}

/// Opens the port for those who look on. Replication goes on without it, so one that cannot be opened is only told of.
async fn watched(config: &HttpConfig, window: &Window, closed: &CancellationToken) -> Option<JoinHandle<()>> {
    let wanted = config.listen.0?;
    match http::bind(wanted).await {
        Ok((listener, address)) => {
            tracing::info!(http = %address, "metrics, health and the status page are at http://{address}/");
            Some(tokio::spawn(http::serve(listener, window.clone(), closed.clone())))
        }
        Err(error) => {
            tracing::error!(hint = error.hint_text(), "{error}");
            None
        }
    }
}

async fn until_stopped(
    listener: tokio::net::TcpListener,
    supervisor: &Arc<Supervisor>,
    access: Arc<Access>,
    stop: &CancellationToken,
) -> Result<()> {
    let stopping = async {
        stop.cancelled().await;
        service::stopping();
        // Beside the open calls, not after them.
        supervisor.stop().await;
    };
    let (served, ()) = tokio::join!(
        async {
            let served = control::serve(listener, Arc::clone(supervisor), access, stop.clone()).await;
            stop.cancel();
            served
        },
        stopping
    );
    served
}
