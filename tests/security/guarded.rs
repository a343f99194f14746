//! A real daemon behind TLS and tokens, and clients of every kind for it.

use super::authority::{Authority, GOOD, Pair};
use crate::support::{
    daemon::{Daemon, Home},
    wait::until,
};
use std::{error::Error, fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tonic::{
    Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use whimbrel::control::v1::{ListJobsRequest, job_service_client::JobServiceClient};

pub struct Guarded {
    pub home: Home,
    pub authority: Authority,
}

/// What a client brings along.
#[derive(Clone, Default)]
pub struct Kit {
    pub tls: Option<ClientTlsConfig>,
    pub token: Option<String>,
}

pub const READER: &str = "reader-0123456789abcdef";
pub const OPERATOR: &str = "operator-0123456789abcdef";
pub const ADMIN: &str = "admin-0123456789abcdef";

impl Guarded {
    /// Two memory stores, and no word yet about access.
    pub fn new() -> Guarded {
        let home = Home::new(&[("a", "memory:a"), ("b", "memory:b")]);
        Guarded { home, authority: Authority::new("an authority") }
    }

    /// A file of the daemon's, for its eyes only.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        path
    }

    pub fn add_to_config(&self, text: &str) {
        let before = fs::read_to_string(&self.home.config).expect("ours");
        fs::write(&self.home.config, before + text).expect("ours");
    }

    pub fn certify(&self, pair: &Pair) {
        self.file("tls.crt", &pair.certificate);
        self.file("tls.key", &pair.key);
    }

    pub fn with_tls(self) -> Guarded {
        self.certify(&self.authority.issue("the daemon", GOOD));
        let at = |name| self.home.path().join(name);
        self.add_to_config(&format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", at("tls.crt"), at("tls.key")));
        self
    }

    /// To be called right after `with_tls`.
    pub fn with_client_ca(self) -> Guarded {
        let authority = self.file("clients.crt", &self.authority.pem());
        self.add_to_config(&format!("client_ca = {authority:?}\n"));
        self
    }

    pub fn with_tokens(self) -> Guarded {
        for (name, role, token) in [("eye", "read", READER), ("hand", "operate", OPERATOR), ("head", "admin", ADMIN)] {
            let file = self.file(&format!("{name}.token"), &format!("{token}\n"));
            self.add_to_config(&format!("[tokens.{name}]\nrole = {role:?}\nfile = {file:?}\n"));
        }
        self
    }

    pub fn trusting(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem())).domain_name("localhost")
    }

    /// Trusts the daemon and shows this.
    pub fn showing(&self, pair: &Pair) -> ClientTlsConfig {
        self.trusting().identity(Identity::from_pem(&pair.certificate, &pair.key))
    }
}

impl Kit {
    pub fn tls(tls: ClientTlsConfig) -> Kit {
        Kit { tls: Some(tls), token: None }
    }

    pub fn token(token: &str) -> Kit {
        Kit { tls: None, token: Some(token.to_owned()) }
    }

    pub async fn channel(&self, address: &str) -> Result<Channel, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).expect("an address");
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).map_err(|error| causes(&error))?;
        }
        endpoint.connect().await.map_err(|error| causes(&error))
    }

    pub async fn client(&self, address: &str) -> Result<JobServiceClient<Channel>, String> {
        Ok(JobServiceClient::new(self.channel(address).await?))
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        }
        request
    }

    /// Connects anew and asks for the jobs; an error with all its causes.
    pub async fn list(&self, address: &str) -> Result<usize, String> {
        let listed = self.client(address).await?.list_jobs(self.request(ListJobsRequest::default())).await;
        listed.map(|jobs| jobs.into_inner().jobs.len()).map_err(|status| causes(&status))
    }

    /// As `list`, of a daemon that is reached.
    pub async fn listed(&self, address: &str) -> Result<usize, Status> {
        let mut client = self.client(address).await.expect("it is reached");
        client.list_jobs(self.request(ListJobsRequest::default())).await.map(|jobs| jobs.into_inner().jobs.len())
    }
}

pub fn causes(error: &dyn Error) -> String {
    let source = error.source().map(|cause| format!(": {}", causes(cause))).unwrap_or_default();
    format!("{error}{source}")
}

pub fn hangup(daemon: &Daemon) {
    // SAFETY: a signal to a child that we have not waited for.
    unsafe { libc::kill(i32::try_from(daemon.id()).expect("a process id"), libc::SIGHUP) };
}

/// Ends it, and returns its log.
pub fn log_of(daemon: Daemon) -> String {
    let (status, log) = daemon.terminate(libc::SIGTERM);
    assert!(status.success(), "{log}");
    log
}

/// Waits for a file of `/proc` to tell something.
pub fn sockets(daemon: &Daemon) -> usize {
    until("its files are listed", || fs::read_dir(format!("/proc/{}/fd", daemon.id())).ok())
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter(|file| file.to_string_lossy().starts_with("socket:"))
        .count()
}
