//! A whole Holdfast cluster on this machine: RabbitMQ, PostgreSQL, one process per role instance, and HAProxy in front
//! of the gateways. Every process has a user of the broker of its own kind, made by the script that operators use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::error::{Doing, Result, Trouble};
use crate::haproxy::Haproxy;
use crate::port::{Port, free_port};
use crate::postgres::Postgres;
use crate::process::{Process, ProcessBuilder, Ready};
use crate::rabbit::{self, Rabbit};

/// Who runs, in the order of starting: what others wait for comes first.
const INSTANCES: [(&str, usize); 6] =
    [("orders", 2), ("items", 1), ("stock", 1), ("relay", 1), ("monitor", 1), ("gateway", 2)];

const VHOST: &str = "holdfast";
const DATABASE: &str = "holdfast";
/// Of all users of the broker.
const BROKER_PASSWORD: &str = "local-cluster";

const TOOL_WAIT_MAX: Duration = Duration::from_secs(60);
const ROLE_START_WAIT_MAX: Duration = Duration::from_secs(60);

/// The users of the broker, as `deploy/rabbitmq/users.sh` makes them; each is called like its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerUser {
    /// Only its messages may act on behalf of an account.
    Gateway,
    Worker,
    Monitor,
    /// For programs in other languages: may place orders and holds.
    Producer,
    /// For programs in other languages: may listen to events.
    Listener,
}

impl BrokerUser {
    const ALL: [Self; 5] = [Self::Gateway, Self::Worker, Self::Monitor, Self::Producer, Self::Listener];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Monitor => "monitor",
            Self::Producer => "producer",
            Self::Listener => "listener",
        }
    }

    fn of_role(role: &str) -> Self {
        match role {
            "gateway" => Self::Gateway,
            "monitor" => Self::Monitor,
            _ => Self::Worker,
        }
    }
}

/// What to start.
pub struct Plan {
    /// The holdfast binary.
    pub bin: PathBuf,
    /// Of the balancer; 0 takes a free one.
    pub port: u16,
    /// Where each process writes its log; earlier logs there are replaced.
    pub logs: PathBuf,
}

/// Everything that runs, in the order in which it ends: the balancer before the roles, the servers last.
pub struct Cluster {
    haproxy: Haproxy,
    roles: Vec<Role>,
    holdfast: Holdfast,
}

/// One process of one role.
struct Role {
    process: Process,
    /// Only gateways have one.
    public: Option<Port>,
    _metrics: Port,
}

impl Cluster {
    pub const ADMIN: &str = "admin";
    pub const ADMIN_PASSWORD: &str = "admin-local-cluster";

    /// Starts everything, half a minute; what has been started ends with this future.
    ///
    /// # Errors
    /// When a server is missing or a process does not become ready; with the tail of its log.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let bin = fs::canonicalize(&plan.bin)
            .doing(|| format!("--bin (HOLDFAST_BIN) {}: build it with `cargo build`", plan.bin.display()))?;
        fs::create_dir_all(&plan.logs).doing(|| format!("--logs {}", plan.logs.display()))?;
        let logs = fs::canonicalize(&plan.logs).doing(|| format!("--logs {}", plan.logs.display()))?;
        let port = if plan.port == 0 { free_port()? } else { Port::exactly(plan.port)? };

        eprintln!("starting RabbitMQ and PostgreSQL");
        let (rabbit, postgres) = tokio::try_join!(Rabbit::start(), Postgres::start())?;
        for user in BrokerUser::ALL {
            add_user(&rabbit, user).await?;
        }
        postgres.add_database(DATABASE).await?;
        let holdfast = Holdfast { bin, logs, rabbit, postgres };
        holdfast.tool("migrate", &["migrate"]).await?;
        holdfast.tool("accounts", &["accounts", "add", Self::ADMIN, "--role", "admin"]).await?;

        let mut roles = Vec::new();
        for (role, count) in INSTANCES {
            for number in 1..=count {
                let name = if count == 1 { role.to_owned() } else { format!("{role}-{number}") };
                eprintln!("starting {name}");
                roles.push(holdfast.role(role, &name).await?);
            }
        }
        let gateways: Vec<u16> =
            roles.iter().filter_map(|role| Some(role.public.as_ref()?.number())).collect();
        let haproxy = Haproxy::start_on(port, &Haproxy::http_config(&gateways, "/health/ready")).await?;
        Ok(Self { haproxy, roles, holdfast })
    }

    /// Where the balancer answers.
    pub fn url(&self) -> String {
        self.haproxy.url()
    }

    /// The gateways themselves, `http://127.0.0.1:PORT`.
    pub fn gateways(&self) -> Vec<String> {
        let port = |role: &Role| Some(format!("http://127.0.0.1:{}", role.public.as_ref()?));
        self.roles.iter().filter_map(port).collect()
    }

    /// The processes of the roles: `orders-1`, `orders-2`, `items`, `stock`, `relay`, `monitor`, `gateway-1`, `gateway-2`.
    pub fn processes(&self) -> impl DoubleEndedIterator<Item = &Process> {
        self.roles.iter().map(|role| &role.process)
    }

    /// The process of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn process(&self, name: &str) -> &Process {
        self.processes()
            .find(|process| process.name() == name)
            .unwrap_or_else(|| panic!("the cluster has no process {name}"))
    }

    pub fn rabbit(&self) -> &Rabbit {
        &self.holdfast.rabbit
    }

    pub fn postgres(&self) -> &Postgres {
        &self.holdfast.postgres
    }

    pub fn vhost(&self) -> &'static str {
        VHOST
    }

    pub fn database_url(&self) -> String {
        self.holdfast.postgres.url(DATABASE)
    }

    pub fn broker_url(&self, user: BrokerUser) -> String {
        self.holdfast.broker_url(user)
    }

    pub fn logs(&self) -> &Path {
        &self.holdfast.logs
    }

    /// Stops everything, and says what did not stop well.
    ///
    /// # Errors
    /// When a process of a role had to be killed, or ended with an error.
    pub async fn stop(self) -> Result<()> {
        let Self { haproxy, roles, holdfast: _servers } = self;
        // The balancer first, so that nobody is sent to a gateway that is going.
        drop(haproxy);
        let mut untidy = Vec::new();
        for role in roles.iter().rev().filter(|role| role.process.is_running()) {
            match role.process.stop().await {
                Ok(exit) if exit.success() => {}
                Ok(exit) => untidy.push(format!("{} ended with {exit}", role.process.name())),
                Err(trouble) => untidy.push(trouble.to_string()),
            }
        }
        if untidy.is_empty() {
            return Ok(());
        }
        Err(Trouble::Other(format!("not everything stopped well: {}", untidy.join("; "))))
    }
}

/// Makes a user with the least that its work needs, as an operator would.
async fn add_user(rabbit: &Rabbit, user: BrokerUser) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/rabbitmq/users.sh");
    let output = tokio::process::Command::new("bash")
        .args([script, user.name(), user.name()])
        .env("RABBITMQ_MANAGEMENT", rabbit.management_url())
        .env("RABBITMQ_ADMIN", rabbit::ADMIN)
        .env("RABBITMQ_ADMIN_PASSWORD", rabbit::ADMIN_PASSWORD)
        .env("HOLDFAST_VHOST", VHOST)
        .env("HOLDFAST_BROKER_PASSWORD", BROKER_PASSWORD)
        .stdin(Stdio::null())
        .output()
        .await
        .doing(|| "running deploy/rabbitmq/users.sh".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::Command {
        command: format!("deploy/rabbitmq/users.sh {} {}", user.name(), user.name()),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// How this cluster's processes of the binary are started.
struct Holdfast {
    bin: PathBuf,
    logs: PathBuf,
    rabbit: Rabbit,
    postgres: Postgres,
}

impl Holdfast {
    fn broker_url(&self, user: BrokerUser) -> String {
        self.rabbit.amqp_url_for(user.name(), BROKER_PASSWORD, VHOST)
    }

    /// The settings that hold for every process; in the environment, where `ps` does not show the passwords.
    fn build(&self, name: &str) -> Result<ProcessBuilder> {
        let log = self.logs.join(format!("{name}.log"));
        fs::write(&log, "").doing(|| format!("emptying {}", log.display()))?;
        Ok(Process::build(name, &self.bin)
            .env("HOLDFAST_DATABASE", self.postgres.url(DATABASE))
            .env("HOLDFAST_PASSWORD", Cluster::ADMIN_PASSWORD)
            .log_file(log))
    }

    /// Runs a command that does its work and ends.
    async fn tool(&self, name: &str, args: &[&str]) -> Result<()> {
        let process = self.build(name)?.args(args).start().await?;
        let exit = process.wait_exit(TOOL_WAIT_MAX).await?;
        if exit.success() {
            return Ok(());
        }
        Err(Trouble::Command {
            command: format!("holdfast {}", args.join(" ")),
            status: exit.to_string(),
            output: process.log_tail(),
        })
    }

    async fn role(&self, role: &str, name: &str) -> Result<Role> {
        let metrics = free_port()?;
        let public = if role == "gateway" { Some(free_port()?) } else { None };
        let health = public.as_ref().unwrap_or(&metrics).number();
        let mut builder = self
            .build(name)?
            .env("HOLDFAST_BROKER", self.broker_url(BrokerUser::of_role(role)))
            .env("HOLDFAST_BROKER_MANAGEMENT", self.rabbit.management_url())
            .env("HOLDFAST_AMQP_GATEWAY", BrokerUser::Gateway.name())
            // The default `./holdfast-data` is then in the private folder of this process.
            .args(["serve", "--roles", role, "--metrics-listen", &format!("127.0.0.1:{metrics}")])
            .ready(Ready::Http { port: health, path: "/health/ready".to_owned() })
            .start_within(ROLE_START_WAIT_MAX);
        if let Some(public) = &public {
            builder = builder.args(["--listen", &format!("127.0.0.1:{public}")]);
        }
        let process = builder.start().await?;
        Ok(Role { process, public, _metrics: metrics })
    }
}
