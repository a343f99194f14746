//! `whimbrel wait JOB --for GOAL`: ends when the job is there, has failed, or time is up.

use super::{
    ask::Ask,
    ended::Ended,
    show::{Show, span, state},
    status, time,
};
use crate::client::{Client, Goal, Job, ObservedState, Plain};
use clap::Args;
use futures_util::StreamExt;
use std::time::Duration;

#[derive(Args)]
pub struct WaitArgs {
    #[arg(value_name = "JOB")]
    name: String,
    /// A state (preparing, copying, catching-up and streaming are also met by a later one), `deleted`, or `lag=1s`: it
    /// is streaming and no target is further behind.
    #[arg(long = "for", value_parser = goal, value_name = "STATE|deleted|lag=TIME")]
    goal: Until,
    /// Ends with exit code 5 after this; as 30s, 1h30m or 2d.
    #[arg(long, value_parser = time::parse, default_value = "1h", value_name = "TIME")]
    timeout: Duration,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    Goal(Goal),
    Deleted,
}

const STATES: [ObservedState; 9] = [
    ObservedState::Created,
    ObservedState::Preparing,
    ObservedState::Copying,
    ObservedState::CatchingUp,
    ObservedState::Streaming,
    ObservedState::Paused,
    ObservedState::Stalled,
    ObservedState::Failed,
    ObservedState::Lost,
];

fn goal(text: &str) -> Result<Until, String> {
    if text.eq_ignore_ascii_case("deleted") {
        return Ok(Until::Deleted);
    }
    if let Some(lag) = text.strip_prefix("lag=") {
        return Ok(Until::Goal(Goal::Lag(time::parse(lag)?)));
    }
    // As a list says it, and as the API does.
    let word = text.to_ascii_lowercase().replace('_', "-");
    let word = word.strip_prefix("observed-state-").unwrap_or(&word);
    let found = STATES.iter().find(|known| state(**known) == word);
    found.map(|found| Until::Goal(Goal::State(*found))).ok_or_else(|| {
        let all: Vec<String> = STATES.iter().map(|known| state(*known)).collect();
        format!("one of {}, deleted, or lag=1s", all.join(", "))
    })
}

pub fn run(args: &WaitArgs) -> Result<(), Ended> {
    let (name, show) = (args.name.as_str(), args.ask.show);
    args.ask.run(async |client| {
        let mut watched = client.clone();
        tokio::select! {
            // Looked at first: what is there already is not worth a line.
            biased;
            done = met(client, args) => done,
            () = tell(&mut watched, name, show) => unreachable!("it goes on until the wait ends"),
        }
    })
}

async fn met(client: &mut Client, args: &WaitArgs) -> Result<(), Ended> {
    let (name, show) = (args.name.as_str(), args.ask.show);
    match args.goal {
        Until::Deleted => {
            client.wait_deleted(name, args.timeout).await?;
            if !show.is_data() && !show.is_quiet() {
                super::show::out(&format!("job `{name}` is deleted\n"));
            }
        }
        Until::Goal(goal) => {
            let job = client.wait_job(name, goal, args.timeout).await?;
            let lag = match goal {
                Goal::Lag(_) => status::targets_of(&job).iter().filter_map(|target| time::span(target.lag)).max(),
                Goal::State(_) => None,
            };
            let lag = lag.map_or_else(String::new, |lag| format!(", lag {}", span(lag)));
            show.done(&format!("job `{name}` is {}{lag}", state(status::observed(&job))), &Plain::new(&job));
        }
    }
    Ok(())
}

/// A line on standard error for each state that it passes through. Never ends.
async fn tell(client: &mut Client, name: &str, show: Show) {
    let mut last = None;
    while !show.is_quiet() {
        let Ok(mut watch) = client.watch_job(name).await else { break };
        while let Some(Ok(job)) = watch.next().await {
            let observed = status::observed(&job);
            if last.replace(observed) != Some(observed) {
                eprintln!("{}", news(&job));
            }
        }
        // The daemon may be away; the wait itself looks for it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    std::future::pending().await
}

fn news(job: &Job) -> String {
    let observed = status::observed(job);
    let error = status::error_of(job).filter(|_| status::is_in_trouble(observed));
    let error = error.map_or_else(String::new, |(place, error)| format!("{place}: {}", error.text));
    format!("job `{}` is {}{error}", job.name, state(observed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_words() {
        for spelled in ["catching-up", "catching_up", "CATCHING_UP", "OBSERVED_STATE_CATCHING_UP"] {
            assert_eq!(goal(spelled), Ok(Until::Goal(Goal::State(ObservedState::CatchingUp))), "{spelled}");
        }
        assert_eq!(goal("lag=1s"), Ok(Until::Goal(Goal::Lag(Duration::from_secs(1)))));
        assert_eq!(goal("deleted"), Ok(Until::Deleted));
        for wrong in ["", "running", "lag", "lag=", "deleting"] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }
}
