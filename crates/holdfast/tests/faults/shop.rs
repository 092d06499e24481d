//! The system under test: one process per role instance, as a cluster runs them, each with wires of its own to the
//! broker and the database where those can be broken.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use holdfast_testbed::{
    FaultProxy, Haproxy, Port, Postgres, PostgresPair, Process, Rabbit, RabbitCluster, Ready, eventually,
    free_port, http_get,
};
use serde_json::Value;

use crate::table::patience;

const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");
const INSTANCES: [(&str, &str); 8] = [
    ("orders-1", "orders"),
    ("orders-2", "orders"),
    ("items", "items"),
    ("stock", "stock"),
    ("relay", "relay"),
    ("monitor", "monitor"),
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway"),
];
pub const VHOST: &str = "holdfast";
const BROKER_USER: &str = "holdfast";
const BROKER_PASSWORD: &str = "holdfast-faults";
const DATABASE: &str = "holdfast";
pub const LOCATION: &str = "MAIN";

const START_MAX: Duration = Duration::from_secs(60);
/// A role that died, or came back, is shown as such within this.
pub const SHOWN_MAX: Duration = Duration::from_secs(10);

/// The broker and the database of a shop.
pub enum Servers {
    Alone { rabbit: Box<Rabbit>, postgres: Box<Postgres> },
    Replicated { rabbits: RabbitCluster, postgres: Box<PostgresPair>, _balancers: Vec<Haproxy> },
}

/// How the processes reach their servers.
struct Addresses {
    broker: String,
    management: String,
    database: String,
}

/// The wires of one process.
pub struct Wires {
    pub broker: FaultProxy,
    pub database: FaultProxy,
}

/// One process of one role.
pub struct Role {
    pub process: Process,
    pub role: &'static str,
    pub wires: Option<Wires>,
    /// `/metrics` and `/health`.
    metrics: Port,
    /// Only gateways have one.
    public: Option<Port>,
}

pub struct Shop {
    balancer: Haproxy,
    roles: BTreeMap<&'static str, Role>,
    servers: Servers,
    addresses: Addresses,
    keys: BTreeMap<&'static str, String>,
    http: reqwest::Client,
}

impl Shop {
    /// Over one broker and one database.
    pub async fn alone() -> Self {
        let (rabbit, postgres) =
            tokio::try_join!(Rabbit::start(), Postgres::start()).expect("the servers start");
        prepare(&rabbit).await;
        postgres.add_database(DATABASE).await.expect("a database");
        let addresses = Addresses {
            broker: rabbit.amqp_url_for(BROKER_USER, BROKER_PASSWORD, VHOST),
            management: rabbit.management_url(),
            database: postgres.url(DATABASE),
        };
        let (broker, database) = (rabbit.port(), postgres.port());
        let shop = Self::start(
            Servers::Alone { rabbit: Box::new(rabbit), postgres: Box::new(postgres) },
            addresses,
            Some((broker, database)),
        )
        .await;
        // Else the broker would lose its queues with a kill that comes soon.
        shop.rabbit().settle().await.expect("the queues are on disk");
        shop
    }

    /// Over three RabbitMQ nodes behind a balancer, and a PostgreSQL primary with a synchronous standby.
    pub async fn replicated() -> Self {
        let (rabbits, postgres) =
            tokio::try_join!(RabbitCluster::start(3), PostgresPair::start()).expect("the servers start");
        prepare(rabbits.node(0)).await;
        postgres.primary().add_database(DATABASE).await.expect("a database");
        let managements: Vec<u16> = rabbits.nodes().iter().map(Rabbit::management_port).collect();
        let brokers = Haproxy::start(&tcp_config(&rabbits.ports())).await.expect("HAProxy starts");
        let management = Haproxy::start(&tcp_config(&managements)).await.expect("HAProxy starts");
        let node = rabbits.node(0);
        let broker = node
            .amqp_url_for(BROKER_USER, BROKER_PASSWORD, VHOST)
            .replace(&format!(":{}/", node.port()), &format!(":{}/", brokers.port()));
        let addresses = Addresses { broker, management: management.url(), database: postgres.url(DATABASE) };
        let servers = Servers::Replicated {
            rabbits,
            postgres: Box::new(postgres),
            _balancers: vec![brokers, management],
        };
        let shop = Self::start(servers, addresses, None).await;
        for settled in join_all(shop.rabbits().nodes().iter().map(Rabbit::settle)).await {
            settled.expect("the queues are on disk");
        }
        shop
    }

    async fn start(servers: Servers, addresses: Addresses, wired: Option<(u16, u16)>) -> Self {
        assert_success(&tool(&addresses, &["migrate"]));
        let mut keys = BTreeMap::new();
        for role in ["admin", "staff", "service"] {
            let output = tool(&addresses, &["api-keys", "add", role, "--role", role]);
            assert_success(&output);
            keys.insert(role, String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let starting = INSTANCES.map(|(name, role)| start_role(name, role, &addresses, wired));
        let roles: BTreeMap<_, _> = join_all(starting).await.into_iter().collect();
        let gateways: Vec<u16> =
            roles.values().filter_map(|role| Some(role.public.as_ref()?.number())).collect();
        let balancer = Haproxy::over_http(&gateways, "/health/ready").await.expect("HAProxy starts");
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let shop = Self { balancer, roles, servers, addresses, keys, http };
        let main = serde_json::json!({"code": LOCATION, "name": "Main", "priority": 1});
        let answer = shop.post("staff", "/v1/locations").json(&main).send().await.expect("it answers");
        assert_eq!(answer.status(), 201);
        shop
    }

    pub fn rabbit(&self) -> &Rabbit {
        match &self.servers {
            Servers::Alone { rabbit, .. } => rabbit,
            Servers::Replicated { .. } => panic!("this shop has several brokers"),
        }
    }

    pub fn postgres(&self) -> &Postgres {
        match &self.servers {
            Servers::Alone { postgres, .. } => postgres,
            Servers::Replicated { .. } => panic!("this shop has two databases"),
        }
    }

    pub fn rabbits(&self) -> &RabbitCluster {
        match &self.servers {
            Servers::Alone { .. } => panic!("this shop has one broker"),
            Servers::Replicated { rabbits, .. } => rabbits,
        }
    }

    pub fn postgres_pair(&self) -> &PostgresPair {
        match &self.servers {
            Servers::Alone { .. } => panic!("this shop has one database"),
            Servers::Replicated { postgres, .. } => postgres,
        }
    }

    pub fn role(&self, name: &str) -> &Role {
        self.roles.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// A call through the balancer, as any client makes it; `who` is a role.
    pub fn get(&self, who: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::GET, who, path)
    }

    pub fn post(&self, who: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, who, path)
    }

    /// A call to one gateway.
    pub fn post_to(&self, gateway: &str, who: &str, path: &str) -> reqwest::RequestBuilder {
        let port = self.role(gateway).public.as_ref().expect("it is a gateway");
        self.http.post(format!("http://127.0.0.1:{port}{path}")).bearer_auth(&self.keys[who])
    }

    pub fn request(&self, method: reqwest::Method, who: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.balancer.url());
        self.http.request(method, url).bearer_auth(&self.keys[who]).timeout(Duration::from_secs(30))
    }

    /// What a gateway shows of the whole; `None` while none can. Asked directly: one that cannot take orders, and is
    /// left out by the balancer, shows it still.
    pub async fn health(&self) -> Option<Value> {
        for role in self.roles.values() {
            let Some(port) = &role.public else { continue };
            let request =
                self.http.get(format!("http://127.0.0.1:{port}/v1/health")).bearer_auth(&self.keys["staff"]);
            let answer = request.timeout(Duration::from_secs(2)).send().await;
            if let Ok(answer) = answer
                && answer.status().is_success()
            {
                return answer.json().await.ok();
            }
        }
        None
    }

    /// Waits until the health document shows an instance so, and says how long that took.
    pub async fn shows(&self, name: &str, status: &str) -> Duration {
        let role = self.role(name).role;
        let id = instance_id(name, role);
        let what = format!("{name} to be shown {status}");
        let seen = |health: Value| {
            let roles = health["roles"].as_array().cloned().unwrap_or_default();
            let instances =
                roles.iter().filter(|one| one["role"] == role).flat_map(|one| one["instances"].as_array());
            instances.flatten().any(|instance| instance["id"] == *id && instance["status"] == status)
        };
        self.health_shows(&what, seen).await
    }

    /// Every process runs, is shown up, and all is well.
    pub async fn everybody_is_up(&self) {
        for (name, role) in &self.roles {
            assert!(role.process.is_running(), "{name} has ended");
        }
        for (name, role) in &self.roles {
            assert!(role.process.is_running(), "{name} has ended");
            self.shows(name, "up").await;
        }
    }

    /// Under load it is never quite there; a backlog of a dozen seconds is hundreds of events.
    pub async fn the_relay_catches_up(&self) {
        let caught_up = |health: Value| health["lag"]["relay_events"].as_u64().is_some_and(|lag| lag < 50);
        self.health_shows("the relay to catch up", caught_up).await;
    }

    /// Waits until the health document is so, and says how long that took.
    pub async fn health_shows(&self, what: &str, seen: impl Fn(Value) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let health = self.health().await;
            if health.clone().is_some_and(&seen) {
                return began.elapsed();
            }
            let waited = began.elapsed();
            assert!(waited < patience(SHOWN_MAX), "gave up after {waited:?} waiting for {what}: {health:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until a process says by itself that it can (or cannot) take work; names what is missing.
    pub async fn is_ready(&self, name: &str, failing: Option<&str>) {
        let role = self.role(name);
        let port = role.public.as_ref().unwrap_or(&role.metrics).number();
        eventually(&format!("{name} to say that it lacks {failing:?}"), patience(SHOWN_MAX), || async move {
            let Ok(answer) = http_get(port, "/health/ready").await else { return false };
            match failing {
                None => answer.is_success(),
                Some(part) => answer.status == 503 && answer.body.contains(part),
            }
        })
        .await
        .expect("it says so");
    }

    /// The orders worker that decides now, and the one that stands by. There must be load.
    pub async fn active_and_standby(&self) -> (&'static str, &'static str) {
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        let both = ["orders-1", "orders-2"];
        let before = [self.decided(both[0]).await, self.decided(both[1]).await];
        let works = |before: Option<u64>, now: Option<u64>| before.zip(now).is_some_and(|(a, b)| b > a);
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = [self.decided(both[0]).await, self.decided(both[1]).await];
            match [works(before[0], now[0]), works(before[1], now[1])] {
                [true, false] => return (both[0], both[1]),
                [false, true] => return (both[1], both[0]),
                [true, true] => panic!("both workers of one queue are active"),
                [false, false] => assert!(Instant::now() < deadline, "no orders worker decides anything"),
            }
        }
    }

    /// Orders that a process has decided since its start; `None`: it does not say, as it is paused or dead.
    async fn decided(&self, name: &str) -> Option<u64> {
        let asked = http_get(self.role(name).metrics.number(), "/metrics");
        let metrics = tokio::time::timeout(Duration::from_secs(1), asked).await.ok()?.ok()?;
        let counters = metrics.body.lines().filter(|line| line.starts_with("holdfast_orders_decided_total"));
        Some(counters.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// `holdfast verify`; panics with what it says when it finds a difference.
    pub async fn verify(&self) {
        let mut command = command(&self.addresses, &["verify"]);
        let output = tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
            .await
            .expect("no panic");
        assert_success(&output);
    }

    /// The last words of every process.
    pub fn logs(&self) -> String {
        let tail = |(name, role): (&&str, &Role)| {
            let text = role.process.log_tail();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"))
        };
        self.roles.iter().map(tail).collect()
    }

    /// Takes back every fault, so that the next scenario has a fair start.
    pub async fn mend(&self) {
        let servers: Vec<&Process> = match &self.servers {
            Servers::Alone { rabbit, postgres } => vec![rabbit, postgres],
            // A primary that came back would be a second one.
            Servers::Replicated { rabbits, .. } => rabbits.nodes().iter().map(|node| &**node).collect(),
        };
        for server in servers {
            if !server.is_running() {
                server.restart().await.expect("the server starts again");
            }
        }
        for role in self.roles.values() {
            role.process.resume();
            if let Some(wires) = &role.wires {
                wires.broker.heal().await;
                wires.database.heal().await;
            }
            if !role.process.is_running() {
                role.process.restart().await.expect("the role starts again");
            }
        }
    }
}

/// The broker's user of the processes: nothing needs the administrator's rights.
async fn prepare(rabbit: &Rabbit) {
    rabbit.add_vhost(VHOST).await.expect("a vhost");
    rabbit.add_user(BROKER_USER, BROKER_PASSWORD, &["monitoring"]).await.expect("a user");
    rabbit.set_permissions(VHOST, BROKER_USER, ".*", ".*", ".*").await.expect("permissions");
}

/// Balances TCP over these loopback ports; one that refuses is left out within a second.
fn tcp_config(ports: &[u16]) -> String {
    let server = |(index, port): (usize, &u16)| {
        format!(
            "    server node{index} 127.0.0.1:{port} check inter 500ms fall 2 rise 2 on-marked-down shutdown-sessions\n"
        )
    };
    let servers: String = ports.iter().enumerate().map(server).collect();
    format!(
        "defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    option redispatch 1
    retries 3
frontend in
    bind 127.0.0.1:{{port}}
    default_backend nodes
backend nodes
    balance roundrobin
{servers}"
    )
}

/// As an instance calls itself: each has a host of its own here, so that it is always the first one there.
fn instance_id(name: &str, role: &str) -> String {
    format!("{name}-{role}-1")
}

async fn start_role(
    name: &'static str,
    role: &'static str,
    addresses: &Addresses,
    wired: Option<(u16, u16)>,
) -> (&'static str, Role) {
    let wires = match wired {
        None => None,
        Some((broker, database)) => Some(Wires {
            broker: FaultProxy::in_front_of(broker).await.expect("a wire"),
            database: FaultProxy::in_front_of(database).await.expect("a wire"),
        }),
    };
    let (broker, database) = match &wires {
        None => (addresses.broker.clone(), addresses.database.clone()),
        Some(wires) => {
            (wires.broker.redirect(&addresses.broker), wires.database.redirect(&addresses.database))
        }
    };
    let metrics = free_port().expect("a port");
    let public = (role == "gateway").then(|| free_port().expect("a port"));
    let health = public.as_ref().unwrap_or(&metrics).number();
    let mut builder = Process::build(name, PathBuf::from(BINARY))
        .env("HOLDFAST_NAME", name)
        .env("HOLDFAST_DATABASE", database)
        .env("HOLDFAST_BROKER", broker)
        .env("HOLDFAST_BROKER_MANAGEMENT", &addresses.management)
        .args(["serve", "--roles", role, "--metrics-listen", &format!("127.0.0.1:{metrics}")])
        .ready(Ready::Http { port: health, path: "/health/ready".to_owned() })
        .start_within(START_MAX);
    if let Some(public) = &public {
        builder = builder.args(["--listen", &format!("127.0.0.1:{public}")]);
    }
    let process = builder.start().await.expect("the role starts");
    (name, Role { process, role, wires, metrics, public })
}

/// `holdfast ARGUMENTS` on the shop's database.
fn command(addresses: &Addresses, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_clear()
        .env("HOLDFAST_DATABASE", &addresses.database)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null());
    command
}

fn tool(addresses: &Addresses, arguments: &[&str]) -> Output {
    command(addresses, arguments).output().expect("the binary runs")
}

#[track_caller]
fn assert_success(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}
