//! The server under test: the real binary, a data folder of its own, a free port.

use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast_testbed::{Process, ProcessBuilder, Ready};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::binary::{BINARY, holdfast, said};
use crate::client::{Client, new_id};

const SERVE: [&str; 5] = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
/// Its first words when it takes work.
const READY: &str = "listening on http://";

/// The locations that every test server has, first choice first.
pub const MAIN: &str = "MAIN";
pub const SECOND: &str = "SECOND";

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

pub struct Server {
    pub process: Process,
    keys: Keys,
}

#[derive(Default)]
struct Keys {
    admin: String,
    staff: String,
    service: String,
    customer: String,
    other_customer: String,
}

/// A name that no other test uses.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Server {
    /// The server that tests share; a watchdog ends it with the test process.
    pub async fn shared() -> &'static Server {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A server of one's own, with two locations and keys for every role.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_process(Process::build("holdfast", BINARY).args(SERVE).args(arguments)).await
    }

    /// One whose files can be kept from growing: it is told so by an error, as a full disk would, and not by a signal.
    pub async fn start_on_a_small_disk() -> Self {
        let ignoring = "trap '' XFSZ; exec \"$0\" \"$@\"";
        Self::start_process(Process::build("holdfast", "/bin/sh").args(["-c", ignoring, BINARY]).args(SERVE))
            .await
    }

    async fn start_process(builder: ProcessBuilder) -> Self {
        let process = builder
            .ready(Ready::Line(READY.to_owned()))
            .start_within(Duration::from_secs(60))
            .stop_within(Duration::from_secs(10))
            .start()
            .await
            .expect("the server starts");
        let mut server = Self { process, keys: Keys::default() };
        server.keys.admin = server.new_key("test-admin", "admin");
        server.keys.staff = server.new_key("test-staff", "staff");
        server.keys.service = server.new_key("test-service", "service");
        server.keys.customer = server.new_key("test-customer", "customer");
        server.keys.other_customer = server.new_key("test-other-customer", "customer");
        for (code, priority) in [(MAIN, 1), (SECOND, 2)] {
            let location = json!({ "code": code, "name": code, "priority": priority });
            server.staff().post("/v1/locations").json(&location).send().await.expect(201);
        }
        server
    }

    /// Makes an API key from the command line, beside the running server.
    fn new_key(&self, name: &str, role: &str) -> String {
        let output = self.command_line(&["api-keys", "add", name, "--role", role]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("a key is text").trim().to_owned()
    }

    pub fn address(&self) -> String {
        let log = self.process.log_text();
        let after = log.split(READY).nth(1).expect("it has said where it listens");
        after.split_whitespace().next().expect("an address").to_owned()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn data(&self) -> PathBuf {
        self.process.folder().join("data")
    }

    /// Runs `holdfast ARGUMENTS` on this server's data folder.
    pub fn command_line(&self, arguments: &[&str]) -> Output {
        holdfast(arguments, &[("HOLDFAST_DATA", &self.data().display().to_string())])
    }

    /// `holdfast verify`; panics with what it says when it finds a difference.
    pub fn verify(&self) -> String {
        let output = self.command_line(&["verify"]);
        assert!(output.status.success(), "verify found a difference: {}", said(&output));
        String::from_utf8(output.stdout).expect("verify prints text")
    }

    pub fn nobody(&self) -> Client {
        Client::new(self.url(), None)
    }

    /// Somebody with a session token or API key.
    pub fn with(&self, token: &str) -> Client {
        Client::new(self.url(), Some(token))
    }

    pub fn admin(&self) -> Client {
        self.with(&self.keys.admin)
    }

    pub fn staff(&self) -> Client {
        self.with(&self.keys.staff)
    }

    pub fn service_key(&self) -> &str {
        &self.keys.service
    }

    pub fn service(&self) -> Client {
        self.with(self.service_key())
    }

    pub fn customer(&self) -> Client {
        self.with(&self.keys.customer)
    }

    pub fn other_customer(&self) -> Client {
        self.with(&self.keys.other_customer)
    }

    /// An account made from the command line; its username.
    pub fn account(&self, role: &str) -> String {
        let name = unique(role);
        let data = self.data().display().to_string();
        let settings = [("HOLDFAST_DATA", data.as_str()), ("HOLDFAST_PASSWORD", PASSWORD)];
        let output = holdfast(&["accounts", "add", &name, "--role", role], &settings);
        assert!(output.status.success(), "{}", said(&output));
        name
    }

    /// A new item with stock at `MAIN`; its SKU.
    pub async fn item(&self, quantity: i64) -> String {
        self.item_with(json!({ "stock": [{ "location": MAIN, "quantity": quantity }] })).await
    }

    /// A new item with these fields beside the needed ones; its SKU.
    pub async fn item_with(&self, fields: Value) -> String {
        let mut item = json!({
            "sku": unique("SKU"),
            "brand": "Acme",
            "model": "Model",
            "price": { "amount": 129_900, "currency": "INR" },
        });
        let known = item.as_object_mut().expect("an object");
        known.extend(fields.as_object().expect("an object").clone());
        let added = self.staff().post("/v1/items").json(&item).send().await.expect(201);
        added["sku"].as_str().expect("a SKU").to_owned()
    }

    /// `GET /v1/stock/{sku}` as it is after everything that was answered before.
    pub async fn stock(&self, sku: &str) -> Value {
        let position = self.position().await;
        self.staff().get(&format!("/v1/stock/{sku}")).at_least(&position).send().await.expect(200)
    }

    /// Where the log ends: refusals say it too.
    pub async fn position(&self) -> String {
        let path = format!("/v1/orders/{}/cancel", new_id());
        let refused = self.service().post(&path).send().await;
        refused.problem(404, "not_found");
        refused.position()
    }
}

/// One line of an order or hold.
pub fn line(sku: &str, quantity: i64) -> Value {
    json!({ "sku": sku, "quantity": quantity })
}

/// The body of an order or hold of one line.
pub fn lines(sku: &str, quantity: i64) -> Value {
    json!({ "lines": [line(sku, quantity)] })
}
