//! The local cluster: servers first, then one process per role instance, then the balancer; supervised until Ctrl-C.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use holdfast_testbed::{Haproxy, Port, Postgres, Process, ProcessBuilder, Rabbit, Ready, free_port};

/// Who runs, in the order of starting: what others wait for comes first.
const INSTANCES: [(&str, usize); 6] =
    [("orders", 2), ("items", 1), ("stock", 1), ("relay", 1), ("monitor", 1), ("gateway", 2)];

const VHOST: &str = "holdfast";
const DATABASE: &str = "holdfast";
/// The broker's user of all Holdfast processes; only its messages may act on behalf of an account.
const BROKER_USER: &str = "holdfast";
const BROKER_PASSWORD: &str = "holdfast-local-cluster";
/// For programs in other languages: may place orders and holds, and listen to events.
const PRODUCER: &str = "producer";
const PRODUCER_PASSWORD: &str = "producer-local-cluster";

const ADMIN: &str = "admin";
const ADMIN_PASSWORD: &str = "admin-local-cluster";

const TOOL_WAIT_MAX: Duration = Duration::from_secs(60);
const ROLE_START_WAIT_MAX: Duration = Duration::from_secs(60);
const SUPERVISION_PERIOD: Duration = Duration::from_millis(500);

pub struct Plan {
    pub bin: PathBuf,
    /// 0 takes a free one.
    pub port: u16,
    pub logs: PathBuf,
    /// `None` leaves dead roles dead.
    pub restart_after: Option<Duration>,
}

pub async fn run(plan: &Plan) -> Result<()> {
    let cluster = tokio::select! {
        cluster = Cluster::start(plan) => cluster?,
        // What has been started ends with the future that held it.
        asked = crate::asked_to_end() => return asked,
    };
    cluster.introduce();
    tokio::select! {
        never = supervise(&cluster.roles, plan.restart_after) => return never,
        asked = crate::asked_to_end() => asked?,
    }
    eprintln!("stopping");
    cluster.stop().await
}

/// Everything that runs, in the order in which it ends: the balancer before the roles, the servers last.
struct Cluster {
    haproxy: Haproxy,
    roles: Vec<Role>,
    holdfast: Holdfast,
}

impl Cluster {
    async fn start(plan: &Plan) -> Result<Self> {
        let bin = fs::canonicalize(&plan.bin).with_context(|| {
            format!("--bin (HOLDFAST_BIN) {}: build it with `cargo build`", plan.bin.display())
        })?;
        fs::create_dir_all(&plan.logs).with_context(|| format!("--logs {}", plan.logs.display()))?;
        let logs = fs::canonicalize(&plan.logs)?;
        let port = if plan.port == 0 { free_port() } else { Port::exactly(plan.port) };
        let port = port.context("--port")?;

        eprintln!("starting RabbitMQ and PostgreSQL");
        let (rabbit, postgres) = tokio::try_join!(Rabbit::start(), Postgres::start())?;
        prepare_broker(&rabbit).await?;
        postgres.add_database(DATABASE).await?;
        let holdfast = Holdfast { bin, logs, rabbit, postgres };
        holdfast.tool("migrate", &["migrate"]).await?;
        holdfast.tool("accounts", &["accounts", "add", ADMIN, "--role", "admin"]).await?;

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

    fn introduce(&self) {
        let Holdfast { rabbit, postgres, logs, .. } = &self.holdfast;
        println!("\nHoldfast runs at {}", self.haproxy.url());
        println!("  sign in as {ADMIN} with the password {ADMIN_PASSWORD}");
        println!("  broker     {} (management {})", broker_url(rabbit), rabbit.management_url());
        println!("  producers  {}", rabbit.amqp_url_for(PRODUCER, PRODUCER_PASSWORD, VHOST));
        println!("  database   {}", postgres.url(DATABASE));
        println!("  logs       {}", logs.display());
        for role in &self.roles {
            println!("  {:<10} pid {}", role.process.name(), role.process.pid().unwrap_or_default());
        }
        println!("All data is thrown away at the end. Ctrl-C stops everything.");
    }

    async fn stop(self) -> Result<()> {
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
        ensure!(untidy.is_empty(), "not everything stopped well: {}", untidy.join("; "));
        Ok(())
    }
}

/// Says which role has ended, and starts it again after a while, as any supervisor would.
async fn supervise(roles: &[Role], restart_after: Option<Duration>) -> Result<()> {
    let mut down_since: Vec<Option<Instant>> = vec![None; roles.len()];
    loop {
        tokio::time::sleep(SUPERVISION_PERIOD).await;
        for (Role { process, .. }, down_since) in roles.iter().zip(&mut down_since) {
            let name = process.name();
            match (*down_since, process.is_running()) {
                (None, true) => {}
                (None, false) => {
                    *down_since = Some(Instant::now());
                    match restart_after {
                        Some(wait) => eprintln!("{name} has ended; starting it again in {wait:?}"),
                        None => eprintln!("{name} has ended"),
                    }
                }
                (Some(_), true) => *down_since = None,
                (Some(since), false) if restart_after.is_some_and(|wait| since.elapsed() >= wait) => {
                    *down_since = None;
                    match process.restart().await {
                        Ok(()) => eprintln!("{name} runs again, pid {}", process.pid().unwrap_or_default()),
                        Err(trouble) => eprintln!("{trouble}"),
                    }
                }
                (Some(_), false) => {}
            }
        }
    }
}

fn broker_url(rabbit: &Rabbit) -> String {
    rabbit.amqp_url_for(BROKER_USER, BROKER_PASSWORD, VHOST)
}

async fn prepare_broker(rabbit: &Rabbit) -> Result<()> {
    rabbit.add_vhost(VHOST).await?;
    // The monitor reads the management API; nothing needs the administrator's rights.
    rabbit.add_user(BROKER_USER, BROKER_PASSWORD, &["monitoring"]).await?;
    rabbit.set_permissions(VHOST, BROKER_USER, ".*", ".*", ".*").await?;
    rabbit.add_user(PRODUCER, PRODUCER_PASSWORD, &[]).await?;
    let own = r"amq\.gen-.*";
    rabbit
        .set_permissions(
            VHOST,
            PRODUCER,
            &format!("^{own}$"),
            &format!(r"^(holdfast\.commands|{own})$"),
            &format!(r"^(holdfast\.events|{own})$"),
        )
        .await?;
    rabbit.set_topic_permissions(VHOST, PRODUCER, "holdfast.commands", r"^(order|hold)\.", "^$").await?;
    rabbit.set_topic_permissions(VHOST, PRODUCER, "holdfast.events", "^$", ".*").await?;
    Ok(())
}

/// One process of one role.
struct Role {
    process: Process,
    /// Only gateways have one.
    public: Option<Port>,
    _metrics: Port,
}

/// How this cluster's processes of the binary are started.
struct Holdfast {
    bin: PathBuf,
    logs: PathBuf,
    rabbit: Rabbit,
    postgres: Postgres,
}

impl Holdfast {
    /// The settings that hold for every process; in the environment, where `ps` does not show the passwords.
    fn build(&self, name: &str) -> Result<ProcessBuilder> {
        let log = self.logs.join(format!("{name}.log"));
        fs::write(&log, "").with_context(|| format!("emptying {}", log.display()))?;
        Ok(Process::build(name, &self.bin)
            .env("HOLDFAST_DATABASE", self.postgres.url(DATABASE))
            .env("HOLDFAST_BROKER", broker_url(&self.rabbit))
            .env("HOLDFAST_BROKER_MANAGEMENT", self.rabbit.management_url())
            .env("HOLDFAST_PASSWORD", ADMIN_PASSWORD)
            .log_file(log))
    }

    /// Runs a command that does its work and ends.
    async fn tool(&self, name: &str, args: &[&str]) -> Result<()> {
        let process = self.build(name)?.args(args).start().await?;
        let exit = process.wait_exit(TOOL_WAIT_MAX).await?;
        ensure!(exit.success(), "holdfast {}: {exit}\n{}", args.join(" "), process.log_tail());
        Ok(())
    }

    async fn role(&self, role: &str, name: &str) -> Result<Role> {
        let metrics = free_port()?;
        let public = if role == "gateway" { Some(free_port()?) } else { None };
        let health = public.as_ref().unwrap_or(&metrics).number();
        let mut builder = self
            .build(name)?
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
