//! A shop in a database of its own, for tests: commands in, the real log out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_domain::{Actor, Command, CommandBody, Timestamp};
use holdfast_store::{Committed, Database, Executed};
use serde_json::{Value, json};
use uuid::Uuid;

pub struct Shop {
    pub database: Database,
    pub path: PathBuf,
    clock: AtomicI64,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// An empty one with the locations NORTH and SOUTH.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("shop.db");
        let database = Database::open_sqlite(&path).await.expect("a new database opens");
        let shop = Self { database, path, clock: AtomicI64::new(1_800_000_000_000_000), _folder: folder };
        shop.run([location("NORTH", 1), location("SOUTH", 2)]).await;
        shop
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }

    pub fn pass_seconds(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Executes commands in one batch, a millisecond later; all of them must be of a known form.
    pub async fn execute(&self, commands: impl IntoIterator<Item = Value>) -> Executed {
        self.clock.fetch_add(1_000, Ordering::Relaxed);
        let commands = commands.into_iter().map(command).collect();
        self.database.store.execute(self.now(), Arc::new(commands)).await.expect("the batch is written")
    }

    /// Like `execute`, and every command must be accepted by the rules.
    pub async fn run(&self, commands: impl IntoIterator<Item = Value>) -> Committed {
        let executed = self.execute(commands).await;
        for outcome in &executed.outcomes {
            outcome.result.as_ref().expect("the command is accepted");
        }
        executed.committed.expect("something happened")
    }
}

pub fn command(mut value: Value) -> Command {
    let fields = value.as_object_mut().expect("a command is an object");
    let id = fields.remove("id").map_or_else(Uuid::now_v7, |id| serde_json::from_value(id).expect("an id"));
    let body: CommandBody = serde_json::from_value(value).expect("a command of a known form");
    Command::new(id, Actor::system(), body)
}

pub fn location(code: &str, priority: i32) -> Value {
    json!({"kind": "location.put", "code": code, "name": code, "priority": priority})
}

/// An item with stock at NORTH.
pub fn item(sku: &str, brand: &str, model: &str, price: i64, stock: i64) -> Value {
    json!({"kind": "item.add", "sku": sku, "brand": brand, "model": model,
        "price": {"amount": price, "currency": "INR"}, "stock": [{"location": "NORTH", "quantity": stock}]})
}

pub fn order(id: Uuid, sku: &str, quantity: i64) -> Value {
    json!({"kind": "order.place", "id": id, "lines": [{"sku": sku, "quantity": quantity}]})
}
