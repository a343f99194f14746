//! SIGHUP, or a file that changed: certificates, tokens and stores are read again while the daemon runs.

use super::ServeArgs;
use crate::{
    config::Config,
    control::Access,
    error::{Error, Result},
    supervisor::Supervisor,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

/// Renewed certificates and mounted secrets change without a word; a look costs some small files.
const LOOKS_EVERY: Duration = Duration::from_secs(10);
/// A certificate that ends is named once a day.
const WARNS_EVERY: Duration = Duration::from_secs(86_400);
/// Parts of the config that are exchanged while the daemon runs.
const RELOADABLE: &[&str] = &["tls", "tokens", "stores"];
/// Certificates stay as they were; a token that is in no good line of a file is none.
const NOT_ALL: &str = "not all was reloaded";
/// In the audit trail.
const WHO: &str = "SIGHUP";

pub struct Reload {
    hangup: Signal,
    args: ServeArgs,
    config: Config,
    access: Arc<Access>,
    /// What the last look met, and whether it was said: once, not every ten seconds.
    failed: Option<(String, bool)>,
}

impl Reload {
    /// From here on SIGHUP does not end the process.
    pub fn new(args: &ServeArgs, config: &Config, access: &Arc<Access>) -> Result<Reload> {
        let no_signals = |error| Error::config("signals cannot be listened to").because(error);
        let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
        let (args, config, access) = (args.clone(), config.clone(), Arc::clone(access));
        access.warn(&config.tls, &config.tokens);
        Ok(Reload { hangup, args, config, access, failed: None })
    }

    /// Never ends.
    pub async fn run(mut self, supervisor: Arc<Supervisor>) {
        let (mut looks, mut warns) = (interval(LOOKS_EVERY), interval(WARNS_EVERY));
        // `new` did.
        warns.reset();
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => self.reload(&supervisor).await,
                _ = looks.tick() => self.look().await,
                _ = warns.tick() => self.access.warn(&self.config.tls, &self.config.tokens),
            }
        }
    }

    /// The config too: tokens come and go in it.
    async fn reload(&mut self, supervisor: &Supervisor) {
        let args = self.args.clone();
        let read = spawn_blocking(move || args.read()).await.expect("reading does not panic");
        let done = match read {
            // It goes on listening where it does, whatever the new file says: that must stay guarded.
            Ok(config) => config.guards(self.config.listen).map(|()| config),
            Err(error) => Err(error),
        };
        let config = match done {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(hint = error.hint_text(), "the config is not reloaded, it stays as it was: {error}");
                // Tokens are taken away in their files, too.
                return self.look().await;
            }
        };
        // Said before anything has changed: who sees the change finds it in the log.
        warn_of_restart(&self.config, &config);
        let (news, wrong) = self.exchange(&config).await;
        self.failed = None;
        match &wrong {
            Some(error) => tracing::error!(hint = error.hint_text(), changed = said(&news), "{NOT_ALL}: {error}"),
            None => tracing::info!(changed = said(&news), "reloaded"),
        }
        match supervisor.reload_stores(WHO).await {
            Ok((_, jobs)) if jobs.is_empty() => {}
            Ok((_, jobs)) => tracing::warn!(
                jobs = jobs.join(", "),
                hint = "pause and start them",
                "these jobs run with the stores as they were"
            ),
            Err(denied) => tracing::error!(
                hint = denied.error.hint_text(),
                "stores not reloaded, they stay as they were: {}",
                denied.error
            ),
        }
        // What needs a restart stays as it is until then, and is said again.
        (self.config.tls, self.config.tokens) = (config.tls, config.tokens);
        self.access.warn(&self.config.tls, &self.config.tokens);
    }

    async fn look(&mut self) {
        let (news, wrong) = self.exchange(&self.config).await;
        if !news.is_empty() {
            tracing::info!(changed = said(&news), "reloaded");
            self.access.warn(&self.config.tls, &self.config.tokens);
        }
        let Some(error) = wrong else {
            self.failed = None;
            return;
        };
        // A certificate and its key may be on their way: only what is still so at the next look is said.
        let text = error.to_string();
        let was_said = self.failed.take().filter(|(before, _)| *before == text).map(|(_, was_said)| was_said);
        if was_said == Some(false) {
            tracing::error!(hint = error.hint_text(), "{NOT_ALL}: {text}");
        }
        self.failed = Some((text, was_said.is_some()));
    }

    async fn exchange(&self, config: &Config) -> (Vec<String>, Option<Error>) {
        let (access, tls, tokens) = (Arc::clone(&self.access), config.tls.clone(), config.tokens.clone());
        spawn_blocking(move || access.reload(&tls, &tokens)).await.expect("reading does not panic")
    }
}

fn said(news: &[String]) -> String {
    if news.is_empty() { "nothing".to_owned() } else { news.join("; ") }
}

fn warn_of_restart(running: &Config, new: &Config) {
    let parts = |config: &Config| serde_json::to_value(config).expect("plain data with text keys");
    let (running, new) = (parts(running), parts(new));
    let all = new.as_object().expect("a table").iter();
    let differ = all.filter(|(key, part)| !RELOADABLE.contains(&key.as_str()) && running.get(*key) != Some(part));
    let keys: Vec<&str> = differ.map(|(key, _)| key.as_str()).collect();
    if !keys.is_empty() {
        tracing::warn!(keys = keys.join(", "), "these keys of the config changed; they take effect at a restart");
    }
}
