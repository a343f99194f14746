//! Verbs with more to say than a name: `client.pause_job("orders").max_pause(hour).etag(&etag).await?`.

use super::{Answer, Failure, Job, JobSpec, Limits, connect::Line};
use crate::control::{
    convert,
    v1::{
        DeleteJobRequest, PauseJobRequest, SetLimitsRequest, StartJobRequest, UpdateJobRequest,
        job_service_client::JobServiceClient,
    },
};
use std::{future::IntoFuture, pin::Pin, time::Duration};

type Jobs = JobServiceClient<Line>;
type Pending = Pin<Box<dyn Future<Output = Answer<Job>> + Send>>;

fn pending(answer: impl Future<Output = Result<tonic::Response<Job>, tonic::Status>> + Send + 'static) -> Pending {
    Box::pin(async move { answer.await.map(tonic::Response::into_inner).map_err(Failure::from) })
}

/// Runs a job when awaited.
#[must_use = "nothing is asked before it is awaited"]
pub struct StartJob(Jobs, StartJobRequest);

impl StartJob {
    pub(super) fn new(jobs: Jobs, name: &str) -> StartJob {
        StartJob(jobs, StartJobRequest { name: name.to_owned(), ..Default::default() })
    }

    /// Refused (`Aborted`) if the job was changed since it had this etag.
    pub fn etag(mut self, etag: &str) -> StartJob {
        self.1.etag = etag.to_owned();
        self
    }
}

impl IntoFuture for StartJob {
    type Output = Answer<Job>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        let StartJob(mut jobs, request) = self;
        pending(async move { jobs.start_job(request).await })
    }
}

/// Pauses a job when awaited.
#[must_use = "nothing is asked before it is awaited"]
pub struct PauseJob(Jobs, PauseJobRequest);

impl PauseJob {
    pub(super) fn new(jobs: Jobs, name: &str) -> PauseJob {
        PauseJob(jobs, PauseJobRequest { name: name.to_owned(), ..Default::default() })
    }

    /// After this it runs again by itself, so that a forgotten pause does not outlive the source's log.
    pub fn max_pause(mut self, max: Duration) -> PauseJob {
        self.1.max_pause = Some(convert::span(max));
        self
    }

    /// Refused (`Aborted`) if the job was changed since it had this etag.
    pub fn etag(mut self, etag: &str) -> PauseJob {
        self.1.etag = etag.to_owned();
        self
    }
}

impl IntoFuture for PauseJob {
    type Output = Answer<Job>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        let PauseJob(mut jobs, request) = self;
        pending(async move { jobs.pause_job(request).await })
    }
}

/// Bounds the speed of a job's copies when awaited.
#[must_use = "nothing is asked before it is awaited"]
pub struct SetLimits(Jobs, SetLimitsRequest);

impl SetLimits {
    pub(super) fn new(jobs: Jobs, name: &str, limits: Limits) -> SetLimits {
        let limits = Some(convert::limits(limits));
        SetLimits(jobs, SetLimitsRequest { name: name.to_owned(), limits, ..Default::default() })
    }

    /// Refused (`Aborted`) if the job was changed since it had this etag.
    pub fn etag(mut self, etag: &str) -> SetLimits {
        self.1.etag = etag.to_owned();
        self
    }
}

impl IntoFuture for SetLimits {
    type Output = Answer<Job>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        let SetLimits(mut jobs, request) = self;
        pending(async move { jobs.set_limits(request).await })
    }
}

/// Deletes a job when awaited.
#[must_use = "nothing is asked before it is awaited"]
pub struct DeleteJob(Jobs, DeleteJobRequest);

impl DeleteJob {
    pub(super) fn new(jobs: Jobs, name: &str) -> DeleteJob {
        DeleteJob(jobs, DeleteJobRequest { name: name.to_owned(), ..Default::default() })
    }

    /// Leaves what it made at its source, and does not ask the source at all.
    pub fn keep_source_objects(mut self) -> DeleteJob {
        self.1.keep_source_objects = true;
        self
    }

    /// Leaves its own tables in its targets, and asks none of them.
    pub fn keep_target_objects(mut self) -> DeleteJob {
        self.1.keep_target_objects = true;
        self
    }

    /// Refused (`Aborted`) if the job was changed since it had this etag.
    pub fn etag(mut self, etag: &str) -> DeleteJob {
        self.1.etag = etag.to_owned();
        self
    }
}

impl IntoFuture for DeleteJob {
    type Output = Answer<Job>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        let DeleteJob(mut jobs, request) = self;
        pending(async move { jobs.delete_job(request).await })
    }
}

/// Changes a job when awaited.
#[must_use = "nothing is asked before it is awaited"]
pub struct UpdateJob(Jobs, UpdateJobRequest);

impl UpdateJob {
    pub(super) fn new(jobs: Jobs, spec: &JobSpec, fields: &[&str]) -> UpdateJob {
        let job = Job { name: spec.name.clone(), spec: Some(convert::spec(spec)), ..Default::default() };
        let paths = match fields {
            [] => vec!["spec".to_owned()],
            fields => fields.iter().map(|field| format!("spec.{field}")).collect(),
        };
        let update_mask = Some(prost_types::FieldMask { paths });
        UpdateJob(jobs, UpdateJobRequest { job: Some(job), update_mask, validate_only: false })
    }

    /// Only says what would become of it.
    pub fn validate_only(mut self) -> UpdateJob {
        self.1.validate_only = true;
        self
    }

    /// Refused (`Aborted`) if the job was changed since it had this etag.
    pub fn etag(mut self, etag: &str) -> UpdateJob {
        self.1.job.get_or_insert_default().etag = etag.to_owned();
        self
    }
}

impl IntoFuture for UpdateJob {
    type Output = Answer<Job>;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        let UpdateJob(mut jobs, request) = self;
        pending(async move { jobs.update_job(request).await })
    }
}
