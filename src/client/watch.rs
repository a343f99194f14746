//! A watched job: what is new of it, put together to the whole job.

use super::{Answer, Job, TargetStatus};
use crate::control::v1::WatchJobResponse;
use futures_util::{Stream, StreamExt};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tonic::Streaming;

/// A stream of the job as it is: at once, after each change, and at least every ten seconds. Ends when the job is gone;
/// an error is its last item.
///
/// ```no_run
/// use futures_util::StreamExt;
/// # async fn run(mut client: whimbrel::client::Client) -> Result<(), whimbrel::client::Failure> {
/// let mut watch = client.watch_job("orders").await?;
/// while let Some(job) = watch.next().await {
///     println!("{:?}", job?.status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JobWatch {
    /// `None`: it has ended.
    messages: Option<Streaming<WatchJobResponse>>,
    job: Option<Job>,
}

impl JobWatch {
    pub(super) fn new(messages: Streaming<WatchJobResponse>) -> JobWatch {
        JobWatch { messages: Some(messages), job: None }
    }
}

impl Stream for JobWatch {
    type Item = Answer<Job>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer<Job>>> {
        let Some(messages) = &mut self.messages else { return Poll::Ready(None) };
        let message = match messages.poll_next_unpin(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(message) => message,
        };
        match message {
            Some(Ok(WatchJobResponse { job: Some(mut job), whole })) => {
                if let Some(before) = self.job.take().filter(|_| !whole) {
                    complete(&mut job, before);
                }
                self.job = Some(job.clone());
                Poll::Ready(Some(Ok(job)))
            }
            // No daemon sends a message without a job.
            Some(Ok(WatchJobResponse { job: None, .. })) | None => {
                self.messages = None;
                Poll::Ready(None)
            }
            Some(Err(status)) => {
                self.messages = None;
                Poll::Ready(Some(Err(status.into())))
            }
        }
    }
}

/// Adds the tables that have not changed.
fn complete(job: &mut Job, before: Job) {
    let known = before.status.unwrap_or_default().targets;
    for target in job.status.iter_mut().flat_map(|status| &mut status.targets) {
        if let Some(known) = known.iter().find(|known| known.store == target.store) {
            target.tables.extend(unchanged(target, known));
            target.tables.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}

fn unchanged(target: &TargetStatus, known: &TargetStatus) -> Vec<super::TableStatus> {
    let changed: std::collections::HashSet<&str> = target.tables.iter().map(|table| table.name.as_str()).collect();
    known.tables.iter().filter(|table| !changed.contains(table.name.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::v1::{JobStatus, TableStatus};

    fn job(targets: &[(&str, &[(&str, u64)])]) -> Job {
        let table =
            |(name, rows): &(&str, u64)| TableStatus { name: (*name).into(), rows: *rows, ..Default::default() };
        let target = |(store, tables): &(&str, &[(&str, u64)])| TargetStatus {
            store: (*store).into(),
            tables: tables.iter().map(table).collect(),
            ..Default::default()
        };
        let status = JobStatus { targets: targets.iter().map(target).collect(), ..Default::default() };
        Job { status: Some(status), ..Default::default() }
    }

    #[test]
    fn what_has_not_changed_is_kept_and_what_is_gone_goes() {
        let mut now = job(&[("b", &[("m.c", 9), ("m.z", 1)])]);
        complete(&mut now, job(&[("a", &[("m.a", 1)]), ("b", &[("m.b", 2), ("m.c", 3)])]));
        assert_eq!(now, job(&[("b", &[("m.b", 2), ("m.c", 9), ("m.z", 1)])]));
    }
}
