//! `whimbrel status --watch`: drawn over itself on a terminal, with bars; a line or document for each change elsewhere.

use super::{
    ended::Ended,
    show::{Show, count, out, percent, rate, span, state},
    status::{self, observed, targets_of},
    time,
};
use crate::client::{Client, Job, ObservedState, Plain, TableStatus};
use futures_util::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{collections::HashMap, io::IsTerminal, time::Duration};

/// Lists have no watch of their own.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
const BAR: u64 = 1000;

/// One job, until it is gone or Ctrl-C. A daemon that goes away meanwhile is waited for.
pub async fn one(client: &mut Client, name: &str, show: Show) -> Result<(), Ended> {
    let mut screen = Screen::new(show);
    until_ctrl_c(async {
        let mut watch = Some(client.watch_job(name).await?);
        loop {
            let news = match &mut watch {
                Some(watch) => watch.next().await,
                None => match client.watch_job(name).await {
                    Ok(again) => {
                        watch = Some(again);
                        continue;
                    }
                    Err(failure) => Some(Err(failure)),
                },
            };
            match news {
                Some(Ok(job)) => screen.job(&job),
                Some(Err(failure)) if failure.is_unreachable() => {
                    screen.say(AWAY);
                    watch = None;
                    tokio::time::sleep(LOOKS_EVERY).await;
                }
                Some(Err(failure)) => return Err(failure.into()),
                None => {
                    screen.say(&format!("job `{name}` is gone"));
                    return Ok(());
                }
            }
        }
    })
    .await
}

const AWAY: &str = "the daemon does not answer; trying again";

/// All jobs, until Ctrl-C.
pub async fn all(client: &mut Client, show: Show) -> Result<(), Ended> {
    let mut screen = Screen::new(show);
    until_ctrl_c(async {
        loop {
            match client.all_jobs().await {
                Ok(jobs) => screen.jobs(&jobs),
                Err(failure) if failure.is_unreachable() => screen.say(AWAY),
                Err(failure) => return Err(failure.into()),
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    })
    .await
}

async fn until_ctrl_c(watch: impl Future<Output = Result<(), Ended>>) -> Result<(), Ended> {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        done = watch => done,
    }
}

/// Where it is shown.
struct Screen {
    show: Show,
    /// `None`: no terminal.
    lines: Option<Lines>,
    last: HashMap<String, String>,
}

impl Screen {
    fn new(show: Show) -> Screen {
        let is_terminal = std::io::stdout().is_terminal() && !show.is_data();
        Screen { show, lines: is_terminal.then(Lines::new), last: HashMap::new() }
    }

    fn job(&mut self, job: &Job) {
        match &mut self.lines {
            Some(lines) => lines.draw(&picture(job, self.show)),
            None if self.show.is_data() => self.show.next_data(&Plain::new(job)),
            None => self.line(&in_a_line(job)),
        }
    }

    fn jobs(&mut self, jobs: &[Job]) {
        let text = status::overview(jobs, self.show);
        match &mut self.lines {
            Some(lines) => lines.draw(&text.lines().map(|line| Line::Text(line.to_owned())).collect::<Vec<_>>()),
            None if self.show.is_data() => {
                self.show.next_data(&jobs.iter().map(Plain::new).collect::<Vec<_>>());
            }
            None => jobs.iter().for_each(|job| self.line(&in_a_line(job))),
        }
    }

    /// What has not changed is not said again: by the line's first word, a job's name.
    fn line(&mut self, line: &str) {
        let whose = line.split(' ').next().unwrap_or_default().to_owned();
        if self.last.insert(whose, line.to_owned()).as_deref() != Some(line) {
            out(&format!("{line}\n"));
        }
    }

    fn say(&mut self, text: &str) {
        match &mut self.lines {
            Some(lines) => lines.draw(&[Line::Text(text.to_owned())]),
            None if self.show.is_data() => {}
            None => self.line(text),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Text(String),
    /// A table that is copied.
    Bar {
        name: String,
        share: f64,
        words: String,
    },
}

/// The whole status, with a bar for each table that is copied.
fn picture(job: &Job, show: Show) -> Vec<Line> {
    let mut lines = Vec::new();
    let copied = |name: &str| {
        let tables = targets_of(job).iter().flat_map(|target| &target.tables);
        tables.filter(|table| table.observed_state() == ObservedState::Copying).any(|table| table.name == name)
    };
    let mut targets = targets_of(job).iter();
    let mut bars: Vec<&TableStatus> = Vec::new();
    for line in status::whole(job, show).lines() {
        if line.starts_with("target ") {
            bars = targets.next().map(|target| target.tables.iter().collect()).unwrap_or_default();
        }
        let name = line.split_whitespace().next().unwrap_or_default();
        match bars.iter().find(|table| line.starts_with("  ") && table.name == name && copied(name)) {
            Some(table) if table.observed_state() == ObservedState::Copying => lines.push(bar(table)),
            _ => lines.push(Line::Text(line.to_owned())),
        }
    }
    lines.push(Line::Text(format!("next: {}", status::next(job))));
    lines
}

fn bar(table: &TableStatus) -> Line {
    let eta = time::span(table.eta).map_or_else(String::new, |eta| format!(", {} to go", span(eta)));
    let words = format!("{} rows, {}{eta}", count(table.rows), rate(table.rows_per_s));
    Line::Bar { name: table.name.clone(), share: table.share, words }
}

/// For logs: `orders copying: copy copying 43 %, 12,300/s`.
fn in_a_line(job: &Job) -> String {
    let targets = targets_of(job).iter().map(|target| {
        let copying = target.tables.iter().filter(|table| table.observed_state() == ObservedState::Copying);
        let (mut per_s, mut share, mut number) = (0.0, 0.0, 0_u32);
        copying.for_each(|table| {
            per_s += table.rows_per_s;
            share += table.share;
            number += 1;
        });
        let copy = match number {
            0 => String::new(),
            number => format!(", {number} tables at {}, {}", percent(share / f64::from(number)), rate(per_s)),
        };
        let lag = time::span(target.lag).map_or_else(String::new, |lag| format!(", lag {}", span(lag)));
        let behind = target.behind_changes.map_or_else(String::new, |changes| format!(", {changes} changes behind"));
        format!("{} {}{copy}{lag}{behind}", target.store, state(target.observed_state()))
    });
    let targets = targets.collect::<Vec<_>>().join("; ");
    let error = status::error_of(job).filter(|_| status::is_in_trouble(observed(job)));
    let error = error.map_or_else(String::new, |(_, error)| format!(": {}", error.text));
    format!("{} {}{}{targets}{error}", job.name, state(observed(job)), if targets.is_empty() { "" } else { ": " })
}

/// Lines of a terminal that are drawn over; cut to its width by indicatif.
struct Lines {
    all: MultiProgress,
    lines: Vec<(ProgressBar, Line)>,
}

impl Lines {
    fn new() -> Lines {
        Lines { all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()), lines: Vec::new() }
    }

    fn draw(&mut self, picture: &[Line]) {
        for (surplus, _) in self.lines.drain(picture.len().min(self.lines.len())..) {
            surplus.finish_and_clear();
            self.all.remove(&surplus);
        }
        for (at, line) in picture.iter().enumerate() {
            match self.lines.get_mut(at) {
                // Each line that is touched is drawn.
                Some((_, drawn)) if drawn == line => {}
                Some((bar, drawn)) => {
                    line.put_on(bar);
                    drawn.clone_from(line);
                }
                None => {
                    let bar = self.all.add(ProgressBar::new(BAR));
                    line.put_on(&bar);
                    self.lines.push((bar, line.clone()));
                }
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // What was shown last stays on the screen.
        self.lines.iter().for_each(|(bar, _)| bar.abandon());
    }
}

impl Line {
    fn put_on(&self, bar: &ProgressBar) {
        let style = |template: &str| ProgressStyle::with_template(template).expect("ours").progress_chars("=> ");
        match self {
            Line::Text(text) => {
                bar.set_style(style("{wide_msg}"));
                bar.set_message(text.clone());
            }
            Line::Bar { name, share, words } => {
                bar.set_style(style("  {prefix} [{bar:24.cyan}] {percent:>3} % {wide_msg}"));
                bar.set_position((share * BAR as f64) as u64);
                bar.set_prefix(name.clone());
                bar.set_message(words.clone());
            }
        }
        bar.tick();
    }
}
