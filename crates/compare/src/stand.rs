//! A running Holdfast with a catalogue in it: one process on embedded defaults, or every role its own process over
//! RabbitMQ and PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use holdfast_testbed::{Port, Postgres, Process, ProcessBuilder, Rabbit, Ready, free_port};
use serde_json::json;
use tempfile::TempDir;

use crate::catalogue;
use crate::load::Target;
use crate::machine;

/// A gateway reads a million items first.
const START_WAIT_MAX: Duration = Duration::from_secs(120);
const TOOL_WAIT_MAX: Duration = Duration::from_secs(600);
const PUBLISH_STALL_MAX: Duration = Duration::from_secs(60);
const PUBLISH_LOOK: Duration = Duration::from_millis(100);
/// The roles besides the gateway, each in a process of its own.
const ROLES: [&str; 5] = ["orders", "items", "stock", "relay", "monitor"];

/// What every PostgreSQL with work to do is told about its machine, and nothing else: durability is as it comes. As in
/// `deploy/compose.yaml`.
const POSTGRES_SETTINGS: [(&str, &str); 2] = [("shared_buffers", "1GB"), ("max_wal_size", "8GB")];

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    Embedded,
    Distributed,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Embedded => "embedded",
            Mode::Distributed => "distributed",
        }
    }
}

/// The servers behind the distributed mode.
pub struct Servers {
    rabbit: Rabbit,
    pub postgres: Postgres,
}

impl Servers {
    pub async fn start() -> anyhow::Result<Arc<Self>> {
        eprintln!("  starting RabbitMQ and PostgreSQL");
        let postgres = POSTGRES_SETTINGS
            .iter()
            .fold(Postgres::builder(), |postgres, (name, value)| postgres.setting(name, value));
        let (rabbit, postgres) = tokio::try_join!(Rabbit::start(), postgres.start())?;
        Ok(Arc::new(Self { rabbit, postgres }))
    }

    /// Their versions, PostgreSQL's first.
    pub async fn versions(&self) -> anyhow::Result<[String; 2]> {
        let mut postgres = self.postgres.sql("postgres", "SHOW server_version").await?;
        for (name, value) in POSTGRES_SETTINGS {
            postgres += &format!(", {name} = {value}");
        }
        let log = self.rabbit.log_text();
        let line = log.lines().find_map(|line| Some(line.split_once("Starting RabbitMQ ")?.1));
        Ok([postgres, line.unwrap_or("of an unknown version").trim().to_owned()])
    }

    /// A database for one reference.
    pub async fn database(&self) -> anyhow::Result<String> {
        Ok(self.postgres.fresh_database().await?)
    }
}

/// Holdfast, ready for load.
pub struct Stand {
    bin: PathBuf,
    database: String,
    items: usize,
    key: String,
    port: Port,
    /// `--requests-max` of the gateway; `None`: as it comes.
    requests_max: Option<usize>,
    /// Of the embedded database, the catalogue file, and the working folder of tools.
    folder: TempDir,
    /// After the gateway in `drop`'s order: what others wait for ends last.
    gateway: Option<Process>,
    roles: Vec<Process>,
    _metrics: Vec<Port>,
    /// Where the broker is; `None` in one process.
    broker: Option<[String; 2]>,
    servers: Option<Arc<Servers>>,
}

impl Stand {
    /// Starts it with so many items, each with stock for ever. `servers` says that it is to be distributed.
    pub async fn start(bin: &Path, items: usize, servers: Option<&Arc<Servers>>) -> anyhow::Result<Self> {
        let mut stand = Self::without_items(bin, servers).await?;
        stand.import(items).await?;
        stand.restart_gateway().await?;
        Ok(stand)
    }

    /// Starts it and stops its gateway again: with a location and an API key, and nothing to sell.
    pub async fn without_items(bin: &Path, servers: Option<&Arc<Servers>>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("holdfast-compare-").tempdir()?;
        let (database, broker) = match servers {
            None => (format!("sqlite:{}", folder.path().join("holdfast.db").display()), None),
            Some(servers) => {
                let vhost = servers.rabbit.fresh_vhost().await?;
                (servers.database().await?, Some([vhost.url, servers.rabbit.management_url()]))
            }
        };
        let mut stand = Self {
            bin: bin.to_owned(),
            database,
            items: 0,
            key: String::new(),
            port: free_port()?,
            requests_max: None,
            folder,
            gateway: None,
            roles: Vec::new(),
            _metrics: Vec::new(),
            broker,
            servers: servers.cloned(),
        };
        stand.tool(&["migrate"]).await?;
        stand.key = stand.tool(&["api-keys", "add", "compare", "--role", "admin"]).await?;
        if stand.broker.is_some() {
            for role in ROLES {
                stand.start_role(role).await?;
            }
        }
        stand.start_gateway().await?;
        stand.add_location().await?;
        stand.stop_gateway().await?;
        Ok(stand)
    }

    /// Adds items from a file, beside whatever runs; says how long that took.
    pub async fn import(&mut self, items: usize) -> anyhow::Result<Duration> {
        let file = self.folder.path().join("items.csv");
        catalogue::write(&file, items)?;
        let begun = Instant::now();
        self.tool(&["import", &file.to_string_lossy()]).await?;
        let took = begun.elapsed();
        std::fs::remove_file(&file)?;
        self.items = items;
        Ok(took)
    }

    pub fn target(&self) -> Target {
        Target { url: self.url(), key: self.key.clone(), skus: self.items, has_books: true }
    }

    /// A folder for what a measurement needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Resident memory of the gateway's process (in one process: of everything), in bytes.
    pub fn memory(&self) -> anyhow::Result<f64> {
        let pid = self.gateway.as_ref().and_then(Process::pid).context("the gateway does not run")?;
        machine::resident(pid).context("the gateway's memory cannot be read")
    }

    /// How long it takes from now until the relay has published every event that is in the log; nothing without a broker.
    pub async fn until_published(&self) -> anyhow::Result<Duration> {
        const BEHIND: &str = "SELECT head.position - relay.position FROM log_head head, cursors relay WHERE relay.name = 'relay'";
        let Some(servers) = &self.servers else { return Ok(Duration::ZERO) };
        let begun = Instant::now();
        // Millions of events take it a while, but it has to come nearer.
        let (mut nearest, mut nearer_at) = (u64::MAX, begun);
        loop {
            // Nothing is told before the relay has saved its cursor for the first time.
            let behind = servers.postgres.sql(&self.database, BEHIND).await?.parse().unwrap_or(u64::MAX);
            if behind == 0 {
                return Ok(begun.elapsed());
            }
            if behind < nearest {
                (nearest, nearer_at) = (behind, Instant::now());
            }
            ensure!(
                nearer_at.elapsed() < PUBLISH_STALL_MAX,
                "the relay stays {behind} events behind the end of the log"
            );
            tokio::time::sleep(PUBLISH_LOOK).await;
        }
    }

    /// The process to watch.
    pub fn gateway_pid(&self) -> anyhow::Result<u32> {
        self.gateway.as_ref().and_then(Process::pid).context("the gateway does not run")
    }

    /// Stops the gateway, if it runs, and starts it anew; says how long it took until it was ready.
    pub async fn restart_gateway(&mut self) -> anyhow::Result<Duration> {
        self.stop_gateway().await?;
        let begun = Instant::now();
        self.start_gateway().await?;
        Ok(begun.elapsed())
    }

    /// Starts the gateway anew, to work on so many requests at once.
    pub async fn restart_gateway_with(&mut self, requests_max: Option<usize>) -> anyhow::Result<()> {
        self.requests_max = requests_max;
        self.restart_gateway().await?;
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn build(&self, name: &str) -> ProcessBuilder {
        let mut builder = Process::build(name, &self.bin)
            .env("HOLDFAST_DATABASE", &self.database)
            .env("HOLDFAST_LOG", "warn")
            .start_within(START_WAIT_MAX)
            .arg("serve");
        if let Some([broker, management]) = &self.broker {
            builder = builder.env("HOLDFAST_BROKER", broker).env("HOLDFAST_BROKER_MANAGEMENT", management);
        }
        builder
    }

    async fn start_role(&mut self, role: &str) -> anyhow::Result<()> {
        let metrics = free_port()?;
        let process = self
            .build(role)
            .args(["--roles", role, "--metrics-listen", &format!("127.0.0.1:{metrics}")])
            .ready(Ready::Http { port: metrics.number(), path: "/health/ready".to_owned() })
            .start()
            .await?;
        self.roles.push(process);
        self._metrics.push(metrics);
        Ok(())
    }

    async fn start_gateway(&mut self) -> anyhow::Result<()> {
        let mut builder = self
            .build("gateway")
            .env("HOLDFAST_DATA", self.folder.path())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .ready(Ready::Http { port: self.port.number(), path: "/health/ready".to_owned() });
        if self.broker.is_some() {
            builder = builder.args(["--roles", "gateway"]);
        }
        if let Some(max) = self.requests_max {
            builder = builder.args(["--requests-max", &max.to_string()]);
        }
        self.gateway = Some(builder.start().await?);
        Ok(())
    }

    async fn stop_gateway(&mut self) -> anyhow::Result<()> {
        if let Some(gateway) = self.gateway.take() {
            let exit = gateway.stop().await?;
            ensure!(exit.success(), "the gateway ended with {exit}: {}", gateway.log_tail());
        }
        Ok(())
    }

    async fn add_location(&self) -> anyhow::Result<()> {
        let location = json!({"code": catalogue::LOCATION, "name": "Main", "priority": 1});
        let answer = reqwest::Client::new()
            .post(format!("{}/v1/locations", self.url()))
            .bearer_auth(&self.key)
            .json(&location)
            .send()
            .await?;
        ensure!(answer.status() == 201, "adding a location: {}", answer.text().await?);
        Ok(())
    }

    /// Runs a command of the binary on the database; gives what it prints.
    async fn tool(&self, args: &[&str]) -> anyhow::Result<String> {
        let running = tokio::process::Command::new(&self.bin)
            .args(args)
            .env("HOLDFAST_DATABASE", &self.database)
            .env("HOLDFAST_DATA", self.folder.path())
            .env("HOLDFAST_LOG", "warn")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(TOOL_WAIT_MAX, running)
            .await
            .with_context(|| format!("holdfast {} does not end", args[0]))??;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "holdfast {}: {}", args[0], errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
