//! Where the database is: the hosts of a URL, and how a connection to the right one of them is made.
//!
//! The hosts are tried one after the other, each within its own time, so that one that is gone without a word does not
//! keep the next from being found. The writer asks for a host that takes writes: after a fail-over it finds the new
//! primary by itself.

use std::time::Duration;

use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};

use super::connection::{Connection, describe, within};
use crate::{Result, StoreError};

/// For one host: name lookup, connection, login and settings.
const CONNECT_SECONDS_MAX: u64 = 5;
/// Bytes that the other end does not acknowledge for so long mean that it is gone.
const SILENT_SECONDS_MAX: u64 = 10;

/// What every session is told. Plans are made while the tables are still empty, and are kept: each statement has its
/// index, and must not begin with a plan that reads whole tables. A client that is lost in the middle of a
/// transaction must not keep the log's head: others wait for it. An answered order is on the disk, whatever the
/// server's default is.
const SETTINGS: &str = "SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '5s'; SET tcp_user_timeout = '10s'; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Which of the hosts will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Primary,
    /// What the URL's `target_session_attrs` says; any, if it says nothing.
    AsUrlSays,
}

/// A database on one of several hosts.
#[derive(Debug)]
pub(super) struct Target {
    /// Each with its address, as shown to people.
    hosts: Vec<(String, Config)>,
    /// Without a password.
    name: String,
}

/// Why a host was of no use.
enum Useless {
    /// A wrong password, a missing database, a missing right: no waiting will heal it.
    Refused(String),
    Away(String),
}

impl Target {
    pub(super) fn parse(url: &str, wanted: Wanted) -> Result<Self> {
        let wrong = |error: tokio_postgres::Error| {
            StoreError::Other(format!("the PostgreSQL URL cannot be read: {}", describe(&error)))
        };
        let given: Config = url.parse().map_err(wrong)?;
        let hosts = given.get_hosts().len().max(given.get_hostaddrs().len());
        let ports = given.get_ports();
        if hosts == 0 || (ports.len() > 1 && ports.len() != hosts) {
            let line = "the PostgreSQL URL must name a host, and a port for all hosts, for each or for none";
            return Err(StoreError::Other(line.to_owned()));
        }
        let name = format!(
            "PostgreSQL database {:?} as user {:?}",
            given.get_dbname().or(given.get_user()).unwrap_or_default(),
            given.get_user().unwrap_or_default()
        );
        let hosts = (0..hosts).map(|index| one_host(&given, index, wanted)).collect();
        Ok(Self { hosts, name })
    }

    /// The first host that will do. Errors are [`StoreError::Other`] if waiting cannot help.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let mut refused = false;
        let mut troubles = Vec::with_capacity(self.hosts.len());
        for (host, config) in &self.hosts {
            let trouble = match connect_one(config).await {
                Ok(connection) => return Ok(connection),
                Err(Useless::Refused(trouble)) => {
                    refused = true;
                    trouble
                }
                Err(Useless::Away(trouble)) => trouble,
            };
            troubles.push(format!("{host}: {trouble}"));
        }
        let line = format!("{}: {}", self.name, troubles.join("; "));
        Err(if refused { StoreError::Other(line) } else { StoreError::Transient(line) })
    }

    /// As [`Target::connect`] for a database that was open before: nothing of a refusal is a command's fault, and what
    /// changed may change again.
    pub(super) async fn reconnect(&self) -> Result<Connection> {
        self.connect().await.map_err(|error| match error {
            StoreError::Other(line) => StoreError::Transient(line),
            known => known,
        })
    }

    /// Puts the database's name before an error's text.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Other(text) => StoreError::Other(format!("{}: {text}", self.name)),
            StoreError::Transient(text) => StoreError::Transient(format!("{}: {text}", self.name)),
            StoreError::InDoubt(text) => StoreError::InDoubt(format!("{}: {text}", self.name)),
            known => known,
        }
    }
}

fn one_host(given: &Config, index: usize, wanted: Wanted) -> (String, Config) {
    let mut config = without_hosts(given);
    let port = given.get_ports().get(index).or(given.get_ports().first()).copied().unwrap_or(5432);
    config.port(port);
    let mut shown = String::new();
    if let Some(address) = given.get_hostaddrs().get(index) {
        config.hostaddr(*address);
        shown = address.to_string();
    }
    match given.get_hosts().get(index) {
        Some(Host::Tcp(host)) => {
            config.host(host.clone());
            shown.clone_from(host);
        }
        Some(Host::Unix(folder)) => {
            config.host_path(folder);
            shown = folder.display().to_string();
        }
        None => {}
    }
    if given.get_application_name().is_none() {
        config.application_name("holdfast");
    }
    config.tcp_user_timeout(Duration::from_secs(SILENT_SECONDS_MAX));
    config.target_session_attrs(match wanted {
        Wanted::Primary => TargetSessionAttrs::ReadWrite,
        Wanted::AsUrlSays => given.get_target_session_attrs(),
    });
    (format!("{shown}:{port}"), config)
}

fn without_hosts(given: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(name) = given.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = given.get_options() {
        config.options(options);
    }
    if let Some(name) = given.get_application_name() {
        config.application_name(name);
    }
    config.ssl_mode(given.get_ssl_mode()).channel_binding(given.get_channel_binding());
    config.keepalives(given.get_keepalives()).keepalives_idle(given.get_keepalives_idle());
    config
}

async fn connect_one(config: &Config) -> std::result::Result<Connection, Useless> {
    let connected = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), config.connect(NoTls));
    let (client, wire) = match connected.await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(useless(&error)),
        Err(_) => return Err(Useless::Away(format!("no answer within {CONNECT_SECONDS_MAX} s"))),
    };
    tokio::spawn(async move {
        if let Err(error) = wire.await {
            tracing::warn!(error = describe(&error), "a connection to PostgreSQL ended");
        }
    });
    let connection = Connection::new(client);
    let settings = within(Duration::from_secs(CONNECT_SECONDS_MAX), connection.simple(SETTINGS));
    settings.await.map_err(|error| Useless::Away(error.to_string()))?;
    Ok(connection)
}

fn useless(error: &tokio_postgres::Error) -> Useless {
    let source = std::error::Error::source(error);
    match error.code().map(|state| state.code()) {
        Some(code) if code.starts_with("28") || code == "3D000" || code == "42501" => {
            Useless::Refused(describe(error))
        }
        Some(_) => Useless::Away(describe(error)),
        None => match source {
            None => Useless::Away(error.to_string()),
            Some(source) => match source.downcast_ref::<std::io::Error>() {
                Some(away) => Useless::Away(away.to_string()),
                // No password given though one is asked for, TLS asked for: it is the setting.
                None => Useless::Refused(source.to_string()),
            },
        },
    }
}
