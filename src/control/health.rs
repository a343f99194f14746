//! gRPC health: serving for as long as the daemon can do its work, as `/readyz` has it.

use super::v1::{job_service_server, store_service_server};
use crate::supervisor::Supervisor;
use std::{convert::Infallible, time::Duration};
use tonic_health::{ServingStatus, server::HealthReporter};

const LOOKS_EVERY: Duration = Duration::from_secs(2);
/// The empty name is the whole server.
const SERVICES: [&str; 3] = ["", job_service_server::SERVICE_NAME, store_service_server::SERVICE_NAME];

/// For ever; the first look is at once.
pub async fn tell(reporter: HealthReporter, supervisor: &Supervisor) -> Infallible {
    let mut clock = tokio::time::interval(LOOKS_EVERY);
    loop {
        clock.tick().await;
        let status = match supervisor.trouble() {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        for service in SERVICES {
            reporter.set_service_status(service, status).await;
        }
    }
}
