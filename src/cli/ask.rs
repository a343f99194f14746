//! Which daemon to ask and how to print its answer; one conversation with it.

use super::{ended::Ended, show::Show};
use crate::{client::Client, config::nearest_name};
use clap::Args;
use std::path::PathBuf;

/// What all commands that ask the daemon are told.
#[derive(Args)]
pub struct Ask {
    #[command(flatten)]
    pub show: Show,
    /// Where the daemon listens.
    #[arg(
        long,
        env = "WHIMBREL_SERVER",
        default_value = "127.0.0.1:7411",
        value_name = "HOST:PORT",
        help_heading = "Daemon"
    )]
    server: String,
    /// Holds the token that says who asks.
    #[arg(long, env = "WHIMBREL_TOKEN_FILE", value_name = "FILE", help_heading = "Daemon")]
    token_file: Option<PathBuf>,
    /// Speaks TLS with a daemon whose certificate these have signed (PEM).
    #[arg(long, env = "WHIMBREL_CA_FILE", value_name = "FILE", help_heading = "Daemon")]
    ca_file: Option<PathBuf>,
    /// Your own certificate, where the daemon asks for one (PEM).
    #[arg(long, env = "WHIMBREL_CERT_FILE", value_name = "FILE", requires = "key_file", help_heading = "Daemon")]
    cert_file: Option<PathBuf>,
    /// The key of your own certificate (PEM).
    #[arg(long, env = "WHIMBREL_KEY_FILE", value_name = "FILE", requires = "cert_file", help_heading = "Daemon")]
    key_file: Option<PathBuf>,
}

impl Ask {
    /// Connects, and talks.
    pub fn run(&self, talk: impl AsyncFnOnce(&mut Client) -> Result<(), Ended>) -> Result<(), Ended> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Ended::failed)?;
        runtime.block_on(async {
            let mut client = self.connect().await?;
            match talk(&mut client).await {
                Err(ended) => Err(with_nearest(ended, &mut client).await),
                done => done,
            }
        })
    }

    async fn connect(&self) -> Result<Client, Ended> {
        let mut builder = Client::builder(&self.server);
        if let Some(file) = &self.token_file {
            builder = builder.token_file(file);
        }
        if let Some(file) = &self.ca_file {
            builder = builder.ca_certificate(file);
        }
        if let Some((certificate, key)) = self.cert_file.as_ref().zip(self.key_file.as_ref()) {
            builder = builder.client_certificate(certificate, key);
        }
        Ok(builder.connect().await?)
    }
}

/// A name that the daemon does not know: the one that was probably meant.
async fn with_nearest(ended: Ended, client: &mut Client) -> Ended {
    let names: Vec<String> = match ended.reason() {
        "JOB_NOT_FOUND" => client.all_jobs().await.unwrap_or_default().into_iter().map(|job| job.name).collect(),
        "STORE_NOT_FOUND" => client.all_stores().await.unwrap_or_default().into_iter().map(|one| one.name).collect(),
        _ => return ended,
    };
    let all = match ended.reason() {
        "JOB_NOT_FOUND" => "`whimbrel status` lists all jobs",
        _ => "`whimbrel store list` lists all",
    };
    let near = ended.text().split('`').nth(1).and_then(|given| nearest_name(given, names.iter().map(String::as_str)));
    match near.map(str::to_owned) {
        Some(near) => ended.hint(format!("did you mean `{near}`? {all}")),
        None => ended.hint(all),
    }
}
