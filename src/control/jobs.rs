//! `whimbrel.v1.JobService`.

use super::{
    convert::{self, who},
    v1::{
        CreateJobRequest, DeleteJobRequest, GetJobRequest, Job, ListJobsRequest, ListJobsResponse, PauseJobRequest,
        SetLimitsRequest, StartJobRequest, WatchJobRequest, WatchJobResponse, job_service_server::JobService,
    },
};
use crate::supervisor::Supervisor;
use futures_util::{Stream, stream};
use std::{pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub struct Jobs {
    pub supervisor: Arc<Supervisor>,
    pub stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl JobService for Jobs {
    async fn create_job(&self, request: Request<CreateJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let spec = convert::spec_from(request.spec)?;
        let made = self.supervisor.create(spec, &request.request_id, request.validate_only, &who).await;
        convert::answer(made)
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Answer<Job> {
        convert::answer(self.supervisor.get(&request.into_inner().name))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        let request = request.into_inner();
        let (jobs, more) = self.supervisor.list(&request.page_token, convert::page_size(request.page_size)?);
        let next_page_token = convert::next_page(&jobs, more);
        Ok(Response::new(ListJobsResponse { jobs: jobs.iter().map(convert::job).collect(), next_page_token }))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        convert::answer(self.supervisor.delete(&request.name, &request.etag, &who).await)
    }

    async fn start_job(&self, request: Request<StartJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        convert::answer(self.supervisor.start(&request.name, &request.etag, &who).await)
    }

    async fn pause_job(&self, request: Request<PauseJobRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        convert::answer(self.supervisor.pause(&request.name, &request.etag, &who).await)
    }

    async fn set_limits(&self, request: Request<SetLimitsRequest>) -> Answer<Job> {
        let (who, request) = (who(&request), request.into_inner());
        let limits = convert::limits_from(request.limits);
        convert::answer(self.supervisor.set_limits(&request.name, limits, &request.etag, &who).await)
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
}
