//! The calls about jobs.

use super::{Answer, Client, HistoryEntry, Job, JobSpec, JobWatch, Limits, PlanJobResponse};
use super::{DeleteJob, PauseJob, SetLimits, StartJob, UpdateJob};
use crate::control::{
    convert,
    v1::{CreateJobRequest, GetJobRequest, ListHistoryRequest, ListJobsRequest, PlanJobRequest, WatchJobRequest},
};

/// The longest page that the daemon gives.
const PAGE: i32 = 1000;

impl Client {
    /// Saves a job; it touches no store before it is started. With the same `request_id` and spec it may be repeated.
    pub async fn create_job(&mut self, spec: &JobSpec, request_id: &str) -> Answer<Job> {
        let (spec, request_id) = (Some(convert::spec(spec)), request_id.to_owned());
        let request = CreateJobRequest { spec, request_id, validate_only: false };
        Ok(self.jobs.create_job(request).await?.into_inner())
    }

    /// Says whether `create_job` would take it. Saves nothing.
    pub async fn validate_job(&mut self, spec: &JobSpec) -> Answer<Job> {
        let request = CreateJobRequest { spec: Some(convert::spec(spec)), validate_only: true, ..Default::default() };
        Ok(self.jobs.create_job(request).await?.into_inner())
    }

    /// What a job of this spec would meet and do. Writes nothing.
    pub async fn plan_job(&mut self, spec: &JobSpec) -> Answer<PlanJobResponse> {
        Ok(self.jobs.plan_job(PlanJobRequest { spec: Some(convert::spec(spec)) }).await?.into_inner())
    }

    pub async fn job(&mut self, name: &str) -> Answer<Job> {
        Ok(self.jobs.get_job(GetJobRequest { name: name.to_owned() }).await?.into_inner())
    }

    /// All of them, page after page, in order of their names.
    pub async fn all_jobs(&mut self) -> Answer<Vec<Job>> {
        self.jobs_where("").await
    }

    /// Those that meet a filter: `state = STREAMING AND labels.env = "prod" AND name : "orders-*"`.
    pub async fn jobs_where(&mut self, filter: &str) -> Answer<Vec<Job>> {
        let (mut jobs, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListJobsRequest { page_size: PAGE, page_token, filter: filter.to_owned() };
            let page = self.jobs.list_jobs(request).await?.into_inner();
            jobs.extend(page.jobs);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(jobs);
            }
        }
    }

    /// Runs it, resumes it, or tries a failed one again.
    pub fn start_job(&mut self, name: &str) -> StartJob {
        StartJob::new(self.jobs.clone(), name)
    }

    /// Stops it at a saved position: `client.pause_job("orders").max_pause(hour).await?`.
    pub fn pause_job(&mut self, name: &str) -> PauseJob {
        PauseJob::new(self.jobs.clone(), name)
    }

    /// How fast its tables may be copied, from now on; 0 is no limit. Both limits are set: read the job first where one of
    /// them is to stay, and give the etag that it had.
    pub fn set_limits(&mut self, name: &str, limits: Limits) -> SetLimits {
        SetLimits::new(self.jobs.clone(), name, limits)
    }

    /// Stops it and removes what it made in its stores; rows stay. Returns when that is asked for, durably;
    /// [`Client::wait_deleted`] waits for the end.
    pub fn delete_job(&mut self, name: &str) -> DeleteJob {
        DeleteJob::new(self.jobs.clone(), name)
    }

    /// Changes the fields of a job that `fields` names (`copy.limits`, `labels.env`, … as in the job file), to what
    /// they are in `spec`. No fields: the whole spec.
    pub fn update_job(&mut self, spec: &JobSpec, fields: &[&str]) -> UpdateJob {
        UpdateJob::new(self.jobs.clone(), spec, fields)
    }

    /// The job now and after each change, always whole. Ends when it is gone.
    pub async fn watch_job(&mut self, name: &str) -> Answer<JobWatch> {
        let messages = self.jobs.watch_job(WatchJobRequest { name: name.to_owned() }).await?.into_inner();
        Ok(JobWatch::new(messages))
    }

    /// The newest entries of the audit trail, at most `limit`, of the jobs of a name (deleted ones too) or of all.
    pub async fn history(&mut self, job: Option<&str>, limit: usize) -> Answer<Vec<HistoryEntry>> {
        let (mut entries, mut page_token) = (Vec::new(), String::new());
        loop {
            let page_size = i32::try_from(limit - entries.len()).unwrap_or(PAGE).min(PAGE);
            let request = ListHistoryRequest { job: job.unwrap_or_default().to_owned(), page_size, page_token };
            let page = self.jobs.list_history(request).await?.into_inner();
            entries.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() || entries.len() >= limit {
                return Ok(entries);
            }
        }
    }
}
