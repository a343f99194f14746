//! `whimbrel.v1.JobService`.

use super::{
    convert::{self, Page, who},
    filter::Filter,
    v1::{
        CreateJobRequest, DeleteJobRequest, GetJobRequest, Job, ListHistoryRequest, ListHistoryResponse,
        ListJobsRequest, ListJobsResponse, PauseJobRequest, PlanJobRequest, PlanJobResponse, SetLimitsRequest,
        StartJobRequest, UpdateJobRequest, WatchJobRequest, WatchJobResponse, job_service_server::JobService,
    },
};
use crate::supervisor::{self, JobView, Keep, Supervisor};
use futures_util::{Stream, stream};
use prost::Message;
use std::{pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::Instrument;

/// A page of jobs with thousands of tables ends earlier than it was asked for.
const PAGE_BYTES: usize = 4 << 20;

pub struct Jobs {
    pub supervisor: Arc<Supervisor>,
    pub stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

impl Jobs {
    /// For whatever changes a job: done to its end and noted, also where the caller goes away meanwhile. Cut off between
    /// the state and what runs, the two would be apart until a restart.
    async fn whole<W>(&self, work: impl FnOnce(Arc<Supervisor>) -> W) -> Answer<Job>
    where
        W: Future<Output = supervisor::Answer<JobView>> + Send + 'static,
    {
        let done = tokio::spawn(work(Arc::clone(&self.supervisor)).in_current_span());
        convert::answer(done.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic())))
    }
}

#[tonic::async_trait]
impl JobService for Jobs {
    async fn create_job(&self, request: Request<CreateJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let CreateJobRequest { spec, request_id, validate_only } = request;
        let spec = convert::spec_from(spec)?;
        self.whole(async move |supervisor| supervisor.create(spec, &request_id, validate_only, &who).await).await
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Answer<Job> {
        convert::answer(self.supervisor.get(&request.into_inner().name))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        let request = request.into_inner();
        let filter = Filter::parse(&request.filter)?;
        let page = Page::of("jobs", &request.filter, &request.page_token, request.page_size)?;
        let (jobs, more) = self.supervisor.list(page.after(), page.limit, |job, observed| filter.admits(job, observed));
        let (mut answer, mut more, mut bytes) = (ListJobsResponse::default(), more, 0);
        for view in jobs {
            let job = convert::job(&view);
            bytes += job.encoded_len();
            if bytes > PAGE_BYTES && !answer.jobs.is_empty() {
                more = true;
                break;
            }
            answer.jobs.push(job);
        }
        let last = answer.jobs.last().filter(|_| more);
        answer.next_page_token = last.map(|last| page.next(&last.name)).unwrap_or_default();
        Ok(Response::new(answer))
    }

    async fn update_job(&self, request: Request<UpdateJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let (name, etag, update) = convert::update_from(request.job, request.update_mask)?;
        self.whole(async move |supervisor| supervisor.update(&name, update, &etag, request.validate_only, &who).await)
            .await
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let DeleteJobRequest { name, etag, keep_source_objects, keep_target_objects } = request;
        let keep = Keep { source: keep_source_objects, targets: keep_target_objects };
        self.whole(async move |supervisor| supervisor.delete(&name, keep, &etag, &who).await).await
    }

    async fn start_job(&self, request: Request<StartJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        self.whole(async move |supervisor| supervisor.start(&request.name, &request.etag, &who).await).await
    }

    async fn pause_job(&self, request: Request<PauseJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let max_pause = request.max_pause.map(|max| convert::duration_from("max_pause", max)).transpose()?;
        self.whole(async move |supervisor| supervisor.pause(&request.name, max_pause, &request.etag, &who).await).await
    }

    async fn set_limits(&self, request: Request<SetLimitsRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let limits = convert::limits_from(request.limits);
        self.whole(async move |supervisor| supervisor.set_limits(&request.name, limits, &request.etag, &who).await)
            .await
    }

    type WatchJobStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Answer<Self::WatchJobStream> {
        let watch = self.supervisor.watch(&request.into_inner().name).map_err(convert::status)?;
        let watching = Some((watch, convert::Changes::default(), self.stop.clone()));
        let messages = stream::unfold(watching, |watching| async move {
            let (mut watch, mut changes, stop) = watching?;
            tokio::select! {
                view = watch.next() => view.map(|view| (Ok(changes.since_last(&view)), Some((watch, changes, stop)))),
                () = stop.cancelled() => Some((Err(convert::stopping()), None)),
            }
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn plan_job(&self, request: Request<PlanJobRequest>) -> Answer<PlanJobResponse> {
        let spec = convert::spec_from(request.into_inner().spec)?;
        let plan = self.supervisor.plan(&spec).await.map_err(convert::status)?;
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn list_history(&self, request: Request<ListHistoryRequest>) -> Answer<ListHistoryResponse> {
        let request = request.into_inner();
        let page = Page::of("history", &request.job, &request.page_token, request.page_size)?;
        let name = Some(request.job.as_str()).filter(|name| !name.is_empty());
        let (entries, next) =
            self.supervisor.history(name, page.trail_after()?, page.limit).await.map_err(convert::status)?;
        let entries = entries.iter().map(convert::history_entry).collect();
        Ok(Response::new(ListHistoryResponse { entries, next_page_token: page.next_in_trail(next) }))
    }
}
