//! Connections: hosts tried in turn, encrypted as configured, set up alike, and proven to reach one and the same server.

use super::{
    config::{Config, Host, Tls},
    failure::{self, Answer, code},
    server::{self, Server},
};
use crate::{
    error::{Error, ErrorKind, Result},
    faults::{self, Saboteur},
};
use mysql_async::{ClientIdentity, Compression, Conn, OptsBuilder, Row, SslOpts, prelude::Queryable};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use std::{path::Path, sync::Arc, time::Duration};

/// Of a packet beside its largest row: the driver refuses what is longer, before it is in memory.
const PACKET_ROOM: usize = 1 << 20;

/// So that a dead host is noticed although nothing is sent for a while.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Prepared statements that a connection keeps: those of a few tables.
const STATEMENTS: usize = 64;

/// All connections of one source or target. They reach the same server, or none is made.
pub(super) struct Connections {
    pub config: Arc<Config>,
    /// The server that answered first. Another one in the same place (a failover, a balancer) is an error once; what
    /// was read from the first is dropped with its feeds, and the start proves the new one's log.
    met: Mutex<Option<Arc<Server>>>,
    /// Ready for the next who needs one.
    idle: Mutex<Vec<Session>>,
}

/// As many as copy side by side in an ordinary job.
const IDLE: usize = 8;

/// One that does not answer by then is as good as gone.
const PING: Duration = Duration::from_secs(5);

impl Connections {
    pub fn new(config: Arc<Config>) -> Connections {
        Connections { config, met: Mutex::default(), idle: Mutex::default() }
    }

    /// One that is idle and still answers, or a new one.
    pub async fn lease(&self) -> Result<Session> {
        loop {
            let Some(mut session) = self.idle.lock().pop() else { return self.open().await };
            // Those of a server that was left, and still lives, go.
            if self.server().is_none_or(|met| met.identity != session.server.identity) {
                continue;
            }
            if matches!(tokio::time::timeout(PING, session.conn.ping()).await, Ok(Ok(()))) {
                return Ok(session);
            }
        }
    }

    /// The same, on the server that another session of ours is on: what is asked there is about what that one reads.
    pub async fn lease_beside(&self, server: &Server) -> Result<Session> {
        let session = self.lease().await?;
        match session.server.identity == server.identity {
            true => Ok(session),
            false => Err(another(&session.server, server)),
        }
    }

    /// For the next: in no transaction, with nothing unread.
    pub fn give_back(&self, session: Session) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(session);
        }
    }

    /// Ends another connection of ours, whatever it does. Its number is its server's own.
    pub fn kill(self: &Arc<Self>, server: &Arc<Server>, connection: u32) {
        let (own, server) = (Arc::clone(self), Arc::clone(server));
        tokio::spawn(async move {
            // It may have ended by itself, or its server may be gone.
            if let Ok(mut session) = own.lease_beside(&server).await
                && session.run(format!("KILL CONNECTION {connection}")).await.is_ok()
            {
                own.give_back(session);
            }
        });
    }

    /// A connection of its own, ready for use.
    pub async fn open(&self) -> Result<Session> {
        let session = Session::open(&self.config).await?;
        let mut met = self.met.lock();
        match &*met {
            Some(first) if first.identity != session.server.identity && !faults::on(Saboteur::AnyServerTaken) => {
                let error = another(&session.server, first);
                *met = Some(Arc::clone(&session.server));
                Err(error)
            }
            _ => {
                *met = Some(Arc::clone(&session.server));
                Ok(session)
            }
        }
    }

    /// The same under every name of the server, once it was met.
    pub fn place(&self) -> Option<String> {
        let server = self.server()?;
        let database = self.config.database.as_deref().unwrap_or("*");
        Some(format!("{}:{}/{database}", server.family.name(), server.identity))
    }

    /// The server that was met last, if there was one.
    pub fn server(&self) -> Option<Arc<Server>> {
        self.met.lock().clone()
    }
}

fn another(now: &Server, before: &Server) -> Error {
    Error::transient(format!("another server than before: `{}` answers where `{}` did", now.identity, before.identity))
        .hint("several hosts in one URL must be one primary at a time; a balancer over replicas is not")
}

/// One connection, set up as `Server::session` says.
pub(super) struct Session {
    pub conn: Conn,
    pub server: Arc<Server>,
}

impl Session {
    /// To the first host that answers.
    pub async fn open(config: &Config) -> Result<Session> {
        let mut failures = Vec::new();
        for host in &config.hosts {
            match Session::at(config, host).await {
                Ok(session) => return Ok(session),
                Err(error) => failures.push(error.at(host)),
            }
        }
        // One that a person must look at says more than one that does not answer.
        let told = failures.iter().position(|error| error.kind() == ErrorKind::Config).unwrap_or(0);
        Err(failures.into_iter().nth(told).unwrap_or_else(|| Error::config("the URL names no host")))
    }

    async fn at(config: &Config, host: &Host) -> Result<Session> {
        let opened = tokio::time::timeout(config.connect_timeout, Conn::new(options(config, host))).await;
        let conn = match opened {
            Err(_) => return Err(Error::transient(format!("no answer in {:?}", config.connect_timeout))),
            Ok(conn) => conn.map_err(failure::connecting)?,
        };
        Session::set_up(conn).await.map_err(|failure| failure::error(failure, "setting up the session"))
    }

    async fn set_up(mut conn: Conn) -> Answer<Session> {
        let row: Option<Row> = conn.query_first(server::ASK).await?;
        let answer: Vec<String> = row.map(|row| texts(&row)).unwrap_or_default();
        let uuid = match server::has_uuid(&answer) {
            // A MariaDB that does not say so has none.
            true => match conn.query_first("SELECT @@server_uuid").await {
                Err(failure) if failure::number(&failure) == Some(1193) => None,
                asked => asked?,
            },
            false => None,
        };
        let server = Server::read(&answer, uuid)
            .ok_or_else(|| mysql_async::Error::Other("the server does not say which one it is".into()))?;
        // The server may be far away: one text.
        conn.query_drop(format!("{}; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", server.session()))
            .await?;
        Ok(Session { conn, server: Arc::new(server) })
    }

    /// Rows of a plain query, all in memory: catalogues and settings only.
    pub async fn rows(&mut self, sql: impl Into<String>) -> Answer<Vec<Vec<Option<String>>>> {
        let rows: Vec<Row> = self.conn.query(sql.into()).await?;
        Ok(rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect())
    }

    /// The first value of the first row; `None`: no row, or NULL.
    pub async fn value(&mut self, sql: impl Into<String>) -> Answer<Option<String>> {
        Ok(self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    pub async fn run(&mut self, sql: impl Into<String>) -> Answer<()> {
        self.conn.query_drop(sql.into()).await
    }

    /// A setting of the server; `None`: it does not know it.
    pub async fn setting(&mut self, name: &str) -> Answer<Option<String>> {
        match self.value(format!("SELECT @@GLOBAL.{name}")).await {
            Err(failure) if failure::number(&failure) == Some(1193) => Ok(None),
            found => found,
        }
    }

    /// Whether the failure says that there is no such table.
    pub fn is_no_table(failure: &mysql_async::Error) -> bool {
        matches!(failure::number(failure), Some(code::NO_SUCH_TABLE | code::NO_SUCH_DATABASE))
    }
}

/// Values of a catalogue's row as text; what is not UTF-8 is shown with replacement characters.
fn text(row: &Row, at: usize) -> Option<String> {
    use mysql_async::Value;
    match row.as_ref(at)? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Double(number) => Some(number.to_string()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

fn texts(row: &Row) -> Vec<String> {
    (0..row.len()).map(|at| text(row, at).unwrap_or_default()).collect()
}

fn options(config: &Config, host: &Host) -> OptsBuilder {
    let password = config.password.as_ref().map(|password| password.expose_secret().to_owned());
    OptsBuilder::default()
        .ip_or_hostname(host.name.clone())
        .tcp_port(host.port)
        .user(Some(config.user.clone()))
        .pass(password)
        // Rows are counted that a statement finds, not those that it changes.
        .client_found_rows(!faults::on(Saboteur::ChangedRowsCounted))
        .prefer_socket(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEPALIVE))
        .stmt_cache_size(STATEMENTS)
        .max_allowed_packet(Some(config.max_row_bytes + PACKET_ROOM))
        .wait_timeout(Some(28_800))
        .compression(config.compresses.then(Compression::fast))
        .ssl_opts(encryption(config))
}

fn encryption(config: &Config) -> Option<SslOpts> {
    let file = |path: &Path| path.to_owned().into();
    let options = match config.tls {
        Tls::Off => return None,
        Tls::Encrypt => {
            SslOpts::default().with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true)
        }
        // The driver's own way to leave the name out does not work with the TLS library that it uses.
        Tls::Verify => SslOpts::default().with_danger_tls_hostname_override(config.tls_name.clone()),
    };
    let options = match &config.ca {
        // Whoever names an authority means that one, not every public one besides.
        Some(ca) => options.with_root_certs(vec![file(ca)]).with_disable_built_in_roots(true),
        None => options,
    };
    let identity = config.identity.as_ref().map(|(cert, key)| ClientIdentity::new(file(cert), file(key)));
    Some(options.with_client_identity(identity))
}
