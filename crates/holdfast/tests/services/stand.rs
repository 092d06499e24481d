//! The cluster that the tests share, and who asks it.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdfast_testbed::{BrokerUser, Cluster, Plan, eventually};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::binary::{BINARY, holdfast, said};
use crate::client::{Client, new_id};

/// The locations that the cluster has, first choice first.
pub const MAIN: &str = "MAIN";
pub const SECOND: &str = "SECOND";

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

/// Where requests go: each gateway sees what was written through the other.
pub const HERE: usize = 0;
pub const THERE: usize = 1;

pub struct Stand {
    pub cluster: Cluster,
    admin: String,
    staff: String,
    service: String,
}

async fn stand() -> &'static RwLock<Stand> {
    static STAND: OnceCell<RwLock<Stand>> = OnceCell::const_new();
    STAND.get_or_init(|| async { RwLock::new(Stand::start().await) }).await
}

/// The cluster for a test that leaves everything running.
pub async fn shared() -> RwLockReadGuard<'static, Stand> {
    let guard = stand().await.read().await;
    if guard.is_whole() {
        return guard;
    }
    drop(guard);
    alone().await.downgrade()
}

/// The cluster for a test that kills something; whole, also when the test before failed in the middle.
pub async fn alone() -> RwLockWriteGuard<'static, Stand> {
    let guard = stand().await.write().await;
    guard.mend().await;
    guard
}

/// A name that no other test uses.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Stand {
    async fn start() -> Self {
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("services-logs");
        let plan = Plan { bin: BINARY.into(), port: 0, logs };
        let cluster = Cluster::start(&plan).await.expect("the cluster starts");
        let mut stand = Self { cluster, admin: String::new(), staff: String::new(), service: String::new() };
        stand.admin = stand.new_key("test-admin", "admin");
        stand.staff = stand.new_key("test-staff", "staff");
        stand.service = stand.new_key("test-service", "service");
        for (code, priority) in [(MAIN, 1), (SECOND, 2)] {
            let location = json!({ "code": code, "name": code, "priority": priority });
            stand.staff(HERE).post("/v1/locations").json(&location).send().await.expect(201);
        }
        stand
    }

    fn is_whole(&self) -> bool {
        self.cluster.processes().all(|process| process.is_running())
    }

    /// Starts again what was killed.
    pub async fn mend(&self) {
        for process in self.cluster.processes().filter(|process| !process.is_running()) {
            process.restart().await.expect("it starts again");
        }
    }

    fn new_key(&self, name: &str, role: &str) -> String {
        let output = self.command_line(&["api-keys", "add", name, "--role", role]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("a key is text").trim().to_owned()
    }

    /// Runs `holdfast ARGUMENTS` on the cluster's database.
    pub fn command_line(&self, arguments: &[&str]) -> Output {
        holdfast(
            arguments,
            &[("HOLDFAST_DATABASE", &self.cluster.database_url()), ("HOLDFAST_PASSWORD", PASSWORD)],
        )
    }

    /// `holdfast verify`; panics with what it says when it finds a difference.
    pub fn verify(&self) -> String {
        let output = self.command_line(&["verify"]);
        assert!(output.status.success(), "verify found a difference: {}", said(&output));
        String::from_utf8(output.stdout).expect("verify prints text")
    }

    /// An account made from the command line; its username.
    pub fn account(&self, role: &str) -> String {
        let name = unique(role);
        let output = self.command_line(&["accounts", "add", &name, "--role", role]);
        assert!(output.status.success(), "{}", said(&output));
        name
    }

    /// Somebody at one of the gateways, with a session token or an API key or nothing.
    pub fn with(&self, gateway: usize, token: Option<&str>) -> Client {
        Client::new(self.cluster.gateways()[gateway].clone(), token)
    }

    pub fn admin(&self, gateway: usize) -> Client {
        self.with(gateway, Some(&self.admin))
    }

    pub fn staff(&self, gateway: usize) -> Client {
        self.with(gateway, Some(&self.staff))
    }

    pub fn service(&self, gateway: usize) -> Client {
        self.with(gateway, Some(&self.service))
    }

    /// A new item with stock at [`MAIN`]; its SKU.
    pub async fn item(&self, quantity: i64) -> String {
        let item = json!({
            "sku": unique("SKU"), "brand": "Acme", "model": "Model",
            "price": { "amount": 129_900, "currency": "INR" },
            "stock": [{ "location": MAIN, "quantity": quantity }],
        });
        let added = self.staff(HERE).post("/v1/items").json(&item).send().await.expect(201);
        added["sku"].as_str().expect("a SKU").to_owned()
    }

    /// `GET /v1/stock/{sku}` as it is after everything that was answered before.
    pub async fn stock(&self, sku: &str) -> Value {
        let position = self.position().await;
        let path = format!("/v1/stock/{sku}");
        self.staff(THERE).get(&path).at_least(&position).send().await.expect(200)
    }

    /// Where the log ends: refusals say it too.
    pub async fn position(&self) -> String {
        let path = format!("/v1/orders/{}/cancel", new_id());
        let refused = self.service(HERE).post(&path).send().await;
        refused.problem(404, "not_found");
        refused.position()
    }

    /// The health board as a gateway shows it.
    pub async fn board(&self, gateway: usize) -> Value {
        self.staff(gateway).get("/v1/health").send().await.expect(200)
    }

    /// Waits until the board shows something, and says how long that took.
    pub async fn shows(&self, what: &str, wait_max: Duration, holds: impl Fn(&Value) -> bool) -> Duration {
        let started = Instant::now();
        let last = std::cell::RefCell::new(Value::Null);
        let seen = eventually(what, wait_max, || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let board = self.board(HERE).await;
            let seen = holds(&board);
            *last.borrow_mut() = board;
            seen
        });
        if let Err(trouble) = seen.await {
            panic!("{trouble}; the board says {:#}", last.into_inner());
        }
        started.elapsed()
    }

    pub fn broker_url(&self, user: BrokerUser) -> String {
        self.cluster.broker_url(user)
    }
}

/// The body of an order or hold of one line.
pub fn lines(sku: &str, quantity: i64) -> Value {
    json!({ "lines": [{ "sku": sku, "quantity": quantity }] })
}

/// Starts the binary as another process beside the cluster; for `serve` that is expected to go on.
pub fn process(name: &str) -> holdfast_testbed::ProcessBuilder {
    holdfast_testbed::Process::build(name, BINARY)
}
