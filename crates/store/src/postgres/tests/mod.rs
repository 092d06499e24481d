//! The contract, and what only PostgreSQL can be asked: other writers, lost connections, fail-over, logins.

mod faults;
mod foreseen;
mod logins;
mod recent;
mod writers;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_testbed as testbed;

use super::Postgres;
use super::connection::{ask, get};
use crate::contract::Lab;
use crate::contract::planning::{Planning, PlanningLab};
use crate::contract::settling::check_upgrade;
use crate::{Database, Store};

/// A database of its own on the server that these tests share. Without PostgreSQL they fail, and say how to install it.
struct Server {
    server: &'static testbed::Postgres,
    url: String,
}

impl Server {
    async fn new() -> Self {
        let server = testbed::Postgres::shared().await.expect("PostgreSQL starts");
        Self { server, url: server.fresh_database().await.expect("a new database") }
    }

    /// The database's own name.
    fn name(&self) -> &str {
        self.url.rsplit('/').next().expect("a URL ends with the database's name")
    }
}

#[async_trait]
impl Lab for Server {
    async fn open(&self) -> Database {
        Database::open_postgres(&self.url, None).await.expect("it opens")
    }

    async fn sql(&self, statement: &str) -> Result<(), String> {
        self.server.sql(&self.url, statement).await.map(drop).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl PlanningLab for Server {
    type Inside = Postgres;

    async fn inside(&self) -> (Arc<Postgres>, Database) {
        inside(&self.url).await
    }

    async fn pieces(&self) -> i64 {
        let pieces =
            self.server.sql(&self.url, "SELECT count(*) FROM stock_recent").await.expect("it is read");
        pieces.trim().parse().expect("a number")
    }
}

#[async_trait]
impl Planning for Postgres {
    async fn has_foreseen(&self) -> bool {
        self.lane.planner.lock().await.has_foreseen()
    }

    async fn cache_at_most(&self, items: usize) {
        self.lane.planner.lock().await.cached_max = items;
    }

    /// What it has not at hand by then it looks up.
    async fn look_around(&self, _database: &Database) {
        self.warm_up().await.expect("items are read");
    }
}

/// A database with its inside in reach.
async fn inside(url: &str) -> (Arc<Postgres>, Database) {
    let postgres = Arc::new(Postgres::connect(url, None).await.expect("it opens"));
    let database = Database {
        store: postgres.clone(),
        reads: postgres.clone(),
        accounts: postgres.clone(),
        notes: postgres.clone(),
        name: "postgres",
    };
    (postgres, database)
}

crate::contract_tests!(Server::new().await);

#[tokio::test]
async fn an_answered_order_is_on_the_disk_whatever_the_database_is_set_to() {
    let server = Server::new().await;
    for (set, found) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        let setting = format!("ALTER DATABASE {} SET synchronous_commit = {set}", server.name());
        server.sql(&setting).await.expect("it is set");
        let (postgres, _database) = inside(&server.url).await;
        let writing = postgres.lane.writer.lock().await.take().await.expect("it is connected");
        let shown = writing.row(ask!("SHOW synchronous_commit")).await.expect("it is shown");
        assert_eq!(get::<&str>(&shown, 0).expect("a word"), found, "where the database says {set}");
    }
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_to_this_one() {
    let back = [
        "DROP VIEW stock_now",
        "DROP TABLE stock_recent",
        "ALTER TABLE log_head DROP COLUMN stamp",
        "DROP INDEX movements_of_sku",
        "ALTER TABLE movements ADD PRIMARY KEY (sku, position, number)",
        "DELETE FROM schema_version WHERE version > 1",
    ];
    check_upgrade(&Server::new().await, &back).await;
}
