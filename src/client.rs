//! The typed client of the control API: thin, over the generated code.

use crate::{
    control::{
        ANSWER_BYTES, convert,
        v1::{
            CheckStoreRequest, CheckStoreResponse, CreateJobRequest, DeleteJobRequest, GetJobRequest, Job,
            ListJobsRequest, ListStoresRequest, ListTablesRequest, PauseJobRequest, Role, SetLimitsRequest,
            StartJobRequest, Store, Table, WatchJobRequest, WatchJobResponse, job_service_client::JobServiceClient,
            store_service_client::StoreServiceClient,
        },
    },
    model::{JobSpec, Limits},
};
use std::{fmt, time::Duration};
pub use tonic::Code;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a daemon. Cheap to clone; calls may run side by side.
#[derive(Clone)]
pub struct Client {
    jobs: JobServiceClient<Channel>,
    stores: StoreServiceClient<Channel>,
}

/// A call that was not answered, or not with what was asked for.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    /// For programs: `JOB_NOT_FOUND`, …
    pub reason: String,
    pub text: String,
    /// What to type next.
    pub hint: Option<String>,
}

pub type Answer<T> = Result<T, Failure>;

impl Client {
    /// `address`: `127.0.0.1:7411`.
    pub async fn connect(address: &str) -> Answer<Client> {
        let unreachable = |error: tonic::transport::Error| Failure {
            code: Code::Unavailable,
            reason: "DAEMON_UNREACHABLE".into(),
            text: format!("no daemon answers at {address}: {}", causes(&error)),
            hint: Some("start it with `whimbrel serve --config FILE`, or give its --address".into()),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
        let channel = endpoint.connect_timeout(CONNECTS_WITHIN).connect().await.map_err(unreachable)?;
        Ok(Client {
            jobs: JobServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES),
            stores: StoreServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES),
        })
    }

    /// With the same `request_id` and spec it may be repeated.
    pub async fn create_job(&mut self, spec: &JobSpec, request_id: &str) -> Answer<Job> {
        let (spec, request_id) = (Some(convert::spec(spec)), request_id.to_owned());
        let request = CreateJobRequest { spec, request_id, validate_only: false };
        Ok(self.jobs.create_job(request).await?.into_inner())
    }

    pub async fn job(&mut self, name: &str) -> Answer<Job> {
        Ok(self.jobs.get_job(GetJobRequest { name: name.to_owned() }).await?.into_inner())
    }

    /// All of them, page after page.
    pub async fn all_jobs(&mut self) -> Answer<Vec<Job>> {
        let (mut jobs, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = self.jobs.list_jobs(ListJobsRequest { page_size: 0, page_token }).await?.into_inner();
            jobs.extend(page.jobs);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(jobs);
            }
        }
    }

    pub async fn start_job(&mut self, name: &str) -> Answer<Job> {
        let request = StartJobRequest { name: name.to_owned(), etag: String::new() };
        Ok(self.jobs.start_job(request).await?.into_inner())
    }

    pub async fn pause_job(&mut self, name: &str) -> Answer<Job> {
        let request = PauseJobRequest { name: name.to_owned(), etag: String::new() };
        Ok(self.jobs.pause_job(request).await?.into_inner())
    }

    pub async fn delete_job(&mut self, name: &str) -> Answer<Job> {
        let request = DeleteJobRequest { name: name.to_owned(), etag: String::new() };
        Ok(self.jobs.delete_job(request).await?.into_inner())
    }

    pub async fn set_limits(&mut self, name: &str, limits: Limits) -> Answer<Job> {
        let limits = Some(convert::limits(limits));
        let request = SetLimitsRequest { name: name.to_owned(), limits, etag: String::new() };
        Ok(self.jobs.set_limits(request).await?.into_inner())
    }

    pub async fn watch_job(&mut self, name: &str) -> Answer<Streaming<WatchJobResponse>> {
        Ok(self.jobs.watch_job(WatchJobRequest { name: name.to_owned() }).await?.into_inner())
    }

    pub async fn all_stores(&mut self) -> Answer<Vec<Store>> {
        Ok(self.stores.list_stores(ListStoresRequest {}).await?.into_inner().stores)
    }

    pub async fn check_store(&mut self, name: &str, role: Role, tables: &[String]) -> Answer<CheckStoreResponse> {
        let request = CheckStoreRequest { name: name.to_owned(), role: role.into(), tables: tables.to_vec() };
        Ok(self.stores.check_store(request).await?.into_inner())
    }

    /// All of them, page after page.
    pub async fn all_tables(&mut self, store: &str) -> Answer<Vec<Table>> {
        let (mut tables, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListTablesRequest { name: store.to_owned(), page_size: 0, page_token };
            let page = self.stores.list_tables(request).await?.into_inner();
            tables.extend(page.tables);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(tables);
            }
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let hint = details.help().and_then(|help| help.links.first()).map(|link| link.description.clone());
        Failure { code: status.code(), reason, text: status.message().to_owned(), hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
