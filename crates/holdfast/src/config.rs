//! Settings: flag > environment (`HOLDFAST_…`) > `holdfast.toml` > default. The only file that reads the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;

use crate::role::Role;

/// Settings that every command which opens the database takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DataArgs {
    /// Folder of the embedded database [default: ./holdfast-data]
    #[arg(long, env = "HOLDFAST_DATA", global = true)]
    pub data: Option<PathBuf>,
    /// Where everything is kept: sqlite:PATH or postgres://USER:PASSWORD@HOST[,HOST…]/NAME
    /// [default: sqlite:DATA/holdfast.db]
    #[arg(long, env = "HOLDFAST_DATABASE", hide_env_values = true, global = true)]
    pub database: Option<String>,
    /// A streaming replica of the PostgreSQL database, for lists and history [default: the database]
    #[arg(long, env = "HOLDFAST_READ_DATABASE", hide_env_values = true, global = true)]
    pub read_database: Option<String>,
    /// Settings file [default: ./holdfast.toml, if it is there]
    #[arg(long, env = "HOLDFAST_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// What to log, such as info or holdfast=debug [default: info]
    #[arg(long, env = "HOLDFAST_LOG", global = true)]
    pub log: Option<String>,
    /// text or json [default: text]
    #[arg(long, env = "HOLDFAST_LOG_FORMAT", global = true)]
    pub log_format: Option<String>,
}

/// Long enough for the first rush of a sale, short enough for whoever waits for the events of it.
const LATE_SECONDS_MAX: u64 = 15;
/// What a crowd may bring at once: at 30,000 orders/s the last of them waits a quarter of a second.
pub const REQUESTS_MAX: usize = 8_192;
/// Open connections of a gateway at most; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Each connection has one request at a time.
const REQUESTS_MAX_BOUNDS: RangeInclusive<usize> = 1..=CONNECTIONS_MAX;

/// Settings of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address of the API and the pages [default: 127.0.0.1:8080]
    #[arg(long, env = "HOLDFAST_LISTEN")]
    pub listen: Option<String>,
    /// Address of /metrics and /health for a process of any role [default: none]
    #[arg(long, env = "HOLDFAST_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Comma-separated: gateway, orders, items, stock, relay, projector, monitor [default: all]
    #[arg(long, env = "HOLDFAST_ROLES")]
    pub roles: Option<String>,
    /// How commands travel: memory or amqp://USER:PASSWORD@HOST:PORT/VHOST [default: memory]
    #[arg(long, env = "HOLDFAST_BROKER", hide_env_values = true)]
    pub broker: Option<String>,
    /// The broker's management API [default: the broker's host, port 15672]
    #[arg(long, env = "HOLDFAST_BROKER_MANAGEMENT", hide_env_values = true)]
    pub broker_management: Option<String>,
    /// What other producers on the broker may command besides orders and holds, such as warehouse=staff,erp=admin
    #[arg(long, env = "HOLDFAST_AMQP_ROLES")]
    pub amqp_roles: Option<String>,
    /// The broker's user of the gateways, the only one that may act for accounts [default: this process's own]
    #[arg(long, env = "HOLDFAST_AMQP_GATEWAY")]
    pub amqp_gateway: Option<String>,
    /// Shared cache: memory [default: memory]
    #[arg(long, env = "HOLDFAST_CACHE")]
    pub cache: Option<String>,
    /// How late events on the broker and the history of stock may be while orders rush in, in seconds [default: 15]
    #[arg(long, env = "HOLDFAST_LATE_SECONDS_MAX")]
    pub late_seconds_max: Option<u64>,
    /// Requests that a gateway works on at once; more are refused, and surely not taken [default: 8192]
    #[arg(long, env = "HOLDFAST_REQUESTS_MAX")]
    pub requests_max: Option<usize>,
    /// Send the session cookie over TLS only [default: false]
    #[arg(long, env = "HOLDFAST_SECURE_COOKIES")]
    pub secure_cookies: Option<bool>,
    /// Proxies whose X-Forwarded-For is believed besides those on this machine: addresses and networks, comma-separated,
    /// such as 10.0.0.0/8 [default: none]
    #[arg(long, env = "HOLDFAST_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<String>,
    /// Where other processes reach this gateway, such as http://10.0.0.7:8080 [default: the address it listens on]
    #[arg(long, env = "HOLDFAST_ADVERTISE")]
    pub advertise: Option<String>,
    /// How this machine is called among others [default: its host name]
    #[arg(long, env = "HOLDFAST_NAME")]
    pub name: Option<String>,
    /// Load a demo shop and two known accounts first
    #[arg(long)]
    pub demo: bool,
}

/// `holdfast.toml`: the same names. Unknown keys are errors.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    database: Option<String>,
    read_database: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    listen: Option<String>,
    metrics_listen: Option<String>,
    roles: Option<String>,
    broker: Option<String>,
    broker_management: Option<String>,
    amqp_roles: Option<String>,
    amqp_gateway: Option<String>,
    cache: Option<String>,
    late_seconds_max: Option<u64>,
    requests_max: Option<usize>,
    secure_cookies: Option<bool>,
    trusted_proxies: Option<String>,
    advertise: Option<String>,
    name: Option<String>,
}

/// What the gateway is set to.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Worked on at once.
    pub requests_max: usize,
    pub secure_cookies: bool,
    /// Besides those on this machine.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres {
        url: String,
        /// A replica for lists and history.
        reads: Option<String>,
    },
}

/// How commands travel.
#[derive(Debug, Clone, PartialEq)]
pub enum BrokerUrl {
    Memory,
    Amqp {
        url: String,
        management: Option<String>,
        /// Users of the broker that may command more than orders and holds.
        roles: BTreeMap<String, holdfast_domain::Role>,
        /// The gateways' user, where it is another one than the URL's.
        gateway: Option<String>,
    },
}

/// Where the data is and how to log.
#[derive(Debug, Clone)]
pub struct DataSettings {
    pub data: PathBuf,
    pub database: DatabaseUrl,
    pub log: String,
    pub log_json: bool,
}

#[derive(Debug, Clone)]
pub struct ServeSettings {
    pub data: DataSettings,
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub roles: Vec<Role>,
    pub broker: BrokerUrl,
    /// How late followers that can wait may be while orders rush in.
    pub late_max: Duration,
    pub gateway: GatewaySettings,
    pub advertise: Option<String>,
    pub name: String,
    pub demo: bool,
}

fn file(args: &DataArgs) -> anyhow::Result<File> {
    let (path, named) = match &args.config {
        Some(path) => (path.as_path(), true),
        None => (Path::new("holdfast.toml"), false),
    };
    if !named && !path.exists() {
        return Ok(File::default());
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("config: {} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let place = error.span().map(|span| text[..span.start].lines().count().max(1));
        let line = place.map(|line| format!(" line {line}")).unwrap_or_default();
        anyhow::anyhow!("{}{line}: {}", path.display(), error.message())
    })
}

fn data_settings(args: &DataArgs, file: &File) -> anyhow::Result<DataSettings> {
    let data =
        args.data.clone().or_else(|| file.data.clone()).unwrap_or_else(|| PathBuf::from("holdfast-data"));
    let database = args.database.clone().or_else(|| file.database.clone());
    let reads = args.read_database.clone().or_else(|| file.read_database.clone());
    let database = database_url(database, reads, &data)?;
    let log = args.log.clone().or_else(|| file.log.clone()).unwrap_or_else(|| "info".to_owned());
    let format =
        args.log_format.clone().or_else(|| file.log_format.clone()).unwrap_or_else(|| "text".to_owned());
    let log_json = match format.as_str() {
        "text" => false,
        "json" => true,
        other => bail!("log_format: must be text or json, not {other:?}"),
    };
    Ok(DataSettings { data, database, log, log_json })
}

fn database_url(url: Option<String>, reads: Option<String>, data: &Path) -> anyhow::Result<DatabaseUrl> {
    let is_postgres = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
    if let Some(reads) = reads.as_deref().filter(|reads| !is_postgres(reads)) {
        let scheme = reads.split(':').next().unwrap_or_default();
        bail!("read_database: must be postgres://…, not {scheme}:…");
    }
    match url {
        None if reads.is_some() => bail!("read_database: needs a database of postgres://…"),
        None => Ok(DatabaseUrl::Sqlite(data.join("holdfast.db"))),
        Some(url) if is_postgres(&url) => Ok(DatabaseUrl::Postgres { url, reads }),
        Some(url) => match url.strip_prefix("sqlite:") {
            Some(_) if reads.is_some() => bail!("read_database: needs a database of postgres://…"),
            Some(path) if !path.is_empty() => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
            Some(_) | None => bail!("database: must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"),
        },
    }
}

fn broker_url(
    url: Option<String>,
    management: Option<String>,
    roles: Option<String>,
    gateway: Option<String>,
) -> anyhow::Result<BrokerUrl> {
    if management.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        bail!("broker_management: must be http://HOST:PORT");
    }
    match url.as_deref() {
        None | Some("memory") => Ok(BrokerUrl::Memory),
        Some(url) if url.starts_with("amqp://") || url.starts_with("amqps://") => Ok(BrokerUrl::Amqp {
            url: url.to_owned(),
            management,
            roles: amqp_roles(roles.as_deref().unwrap_or_default())?,
            gateway,
        }),
        Some(_) => bail!("broker: must be memory or amqp://USER:PASSWORD@HOST:PORT/VHOST"),
    }
}

/// Parses `warehouse=staff,erp=admin`.
fn amqp_roles(text: &str) -> anyhow::Result<BTreeMap<String, holdfast_domain::Role>> {
    let mut roles = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let parsed =
            pair.split_once('=').and_then(|(user, role)| Some((user.trim(), role.trim().parse().ok()?)));
        let Some((user, role)) = parsed else {
            bail!("amqp_roles: {pair:?} is not USER=ROLE with one of admin, staff, customer, service");
        };
        roles.insert(user.to_owned(), role);
    }
    Ok(roles)
}

impl DataArgs {
    pub fn settings(&self) -> anyhow::Result<DataSettings> {
        data_settings(self, &file(self)?)
    }
}

fn address(name: &str, text: &str) -> anyhow::Result<SocketAddr> {
    text.parse().with_context(|| format!("{name}: {text:?} is not an address such as 127.0.0.1:8080"))
}

/// Parses `10.0.0.0/8,fd00::1`.
fn networks(name: &str, text: &str) -> anyhow::Result<Vec<IpNet>> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let network = |word: &str| {
        let parsed = word.parse().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
        parsed.with_context(|| {
            format!("{name}: {word:?} is neither an address nor a network such as 10.0.0.0/8")
        })
    };
    words.map(network).collect()
}

fn requests_max(given: Option<usize>) -> anyhow::Result<usize> {
    let max = given.unwrap_or(REQUESTS_MAX);
    if !REQUESTS_MAX_BOUNDS.contains(&max) {
        let (least, most) = (REQUESTS_MAX_BOUNDS.start(), REQUESTS_MAX_BOUNDS.end());
        bail!("requests_max: must be from {least} to {most}, not {max}");
    }
    Ok(max)
}

impl ServeArgs {
    pub fn settings(&self, data: &DataArgs) -> anyhow::Result<ServeSettings> {
        let file = file(data)?;
        let pick = |flag: &Option<String>, file: &Option<String>| flag.clone().or_else(|| file.clone());
        let listen = pick(&self.listen, &file.listen).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let metrics_listen = pick(&self.metrics_listen, &file.metrics_listen);
        let data = data_settings(data, &file)?;
        let broker = broker_url(
            pick(&self.broker, &file.broker),
            pick(&self.broker_management, &file.broker_management),
            pick(&self.amqp_roles, &file.amqp_roles),
            pick(&self.amqp_gateway, &file.amqp_gateway),
        )?;
        match pick(&self.cache, &file.cache).as_deref() {
            None | Some("memory") => {}
            Some(_) => bail!("cache: only memory is available in this version"),
        }
        let roles = match pick(&self.roles, &file.roles) {
            None => Role::ALL.to_vec(),
            Some(text) => Role::parse_list(&text)?,
        };
        let alone = match (&broker, &data.database) {
            (BrokerUrl::Memory, _) => Some("broker memory"),
            (_, DatabaseUrl::Sqlite(_)) => Some("database sqlite:"),
            (BrokerUrl::Amqp { .. }, DatabaseUrl::Postgres { .. }) => None,
        };
        let needed = [Role::Gateway, Role::Orders, Role::Items, Role::Stock];
        if let (Some(what), Some(missing)) = (alone, needed.iter().find(|role| !roles.contains(role))) {
            bail!(
                "roles: {what} needs gateway, orders, items and stock in one process, {} is missing",
                missing.as_str()
            );
        }
        Ok(ServeSettings {
            data,
            broker,
            listen: address("listen", &listen)?,
            metrics_listen: metrics_listen.map(|text| address("metrics_listen", &text)).transpose()?,
            roles,
            late_max: Duration::from_secs(
                self.late_seconds_max.or(file.late_seconds_max).unwrap_or(LATE_SECONDS_MAX),
            ),
            gateway: GatewaySettings {
                requests_max: requests_max(self.requests_max.or(file.requests_max))?,
                secure_cookies: self.secure_cookies.or(file.secure_cookies).unwrap_or(false),
                trusted_proxies: networks(
                    "trusted_proxies",
                    &pick(&self.trusted_proxies, &file.trusted_proxies).unwrap_or_default(),
                )?,
            },
            advertise: pick(&self.advertise, &file.advertise),
            name: pick(&self.name, &file.name).unwrap_or_else(host_name),
            demo: self.demo,
        })
    }
}

/// The host's name as the kernel knows it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "host".to_owned() } else { name.to_owned() }
}

/// The password for a new account: from `HOLDFAST_PASSWORD`, where it is set.
pub fn password_from_environment() -> Option<String> {
    std::env::var("HOLDFAST_PASSWORD").ok().filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(toml: &str, args: ServeArgs) -> anyhow::Result<ServeSettings> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("holdfast.toml");
        std::fs::write(&path, toml)?;
        args.settings(&DataArgs { config: Some(path), ..DataArgs::default() })
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let flag = ServeArgs { listen: Some("127.0.0.1:1".to_owned()), ..ServeArgs::default() };
        assert_eq!(serve("listen = '127.0.0.1:2'", flag).expect("good").listen.port(), 1);
        assert_eq!(serve("listen = '127.0.0.1:2'", ServeArgs::default()).expect("good").listen.port(), 2);
        assert_eq!(serve("", ServeArgs::default()).expect("good").listen.port(), 8080);
    }

    #[test]
    fn so_many_requests_are_worked_on_as_is_said() {
        let max = |toml: &str| serve(toml, ServeArgs::default()).expect("good").gateway.requests_max;
        assert_eq!((max(""), max("requests_max = 1024")), (REQUESTS_MAX, 1024));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (toml, word) in [
            ("lissen = 'x'", "lissen"),
            ("listen = 'nowhere'", "listen"),
            ("roles = 'gateway'", "roles"),
            ("roles = 'gateway,cook'", "cook"),
            ("broker = 'carrier pigeon'", "broker"),
            ("cache = 'redis://x'", "cache"),
            ("database = 'mysql://x'", "database"),
            ("read_database = 'postgres://x'", "read_database"),
            ("broker_management = 'ftp://x'", "broker_management"),
            ("broker = 'amqp://x'\namqp_roles = 'me'", "amqp_roles"),
            ("broker = 'amqp://x'\nroles = 'orders'", "sqlite"),
            ("log_format = 'xml'", "log_format"),
            ("trusted_proxies = '10.0.0.0/8, everybody'", "everybody"),
            ("requests_max = 0", "requests_max"),
            ("requests_max = 10001", "requests_max"),
        ] {
            let error = serve(toml, ServeArgs::default()).expect_err(toml).to_string();
            assert!(error.contains(word), "{toml}: {error}");
        }
    }
}
