//! A PostgreSQL that is too old, takes no writes, or is full.

use std::io::Write;
use std::time::{Duration, Instant};

use holdfast_testbed::{BrokerUser, Postgres, Process, Ready, TinyDisk, eventually, free_port};
use serde_json::{Value, json};

use crate::binary::{holdfast, said};
use crate::client::{Client, Reply, new_id};
use crate::settings::{refusal, says};
use crate::stand::{MAIN, lines, process, shared};

const BACK_MAX: Duration = Duration::from_secs(20);
const SHOWN_MAX: Duration = Duration::from_secs(15);

#[tokio::test]
async fn one_that_is_too_old_is_refused() {
    let stand = shared().await;
    let postgres = stand.cluster.postgres();
    let url = postgres.fresh_database().await.expect("a database");
    let name = url.rsplit('/').next().expect("a name");
    // In this database, the real server says that it is an old one.
    let disguise = format!(
        "CREATE SCHEMA old; \
         CREATE FUNCTION old.current_setting(name text) RETURNS text LANGUAGE sql AS $$ \
         SELECT CASE name WHEN 'server_version_num' THEN '130022' ELSE pg_catalog.current_setting(name) END $$; \
         ALTER DATABASE {name} SET search_path = old, pg_catalog, public"
    );
    postgres.sql(&url, &disguise).await.expect("it is disguised");
    let broker = stand.broker_url(BrokerUser::Worker);
    let log = refusal(&[("HOLDFAST_DATABASE", &url), ("HOLDFAST_BROKER", &broker)]).await;
    says(&log, &["database", "PostgreSQL 13", "too old", "14"]);
    let output = holdfast(&["verify"], &[("HOLDFAST_DATABASE", &url)]);
    assert!(!output.status.success() && said(&output).contains("too old"), "{}", said(&output));
}

#[tokio::test]
async fn one_that_takes_no_writes_is_waited_for() {
    let stand = shared().await;
    let postgres = stand.cluster.postgres();
    let url = postgres.fresh_database().await.expect("a database");
    let name = url.rsplit('/').next().expect("a name");
    let set = |on: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}");
    postgres.sql("postgres", &set("on")).await.expect("set");
    let shop = process("read-only")
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("HOLDFAST_DATABASE", &url)
        .ready(Ready::Line("trying again".to_owned()))
        .start()
        .await
        .expect("it waits");
    says(&shop.log_text(), &["database", "does not allow writes", "127.0.0.1"]);
    postgres.sql("postgres", &set("off")).await.expect("set");
    shop.wait_for_line("listening on http://", BACK_MAX).await.expect("it goes on by itself");
    assert!(shop.stop().await.expect("it stops").success());
}

/// Keeps a database from growing.
enum Fullness {
    /// The real thing.
    Disk(TinyDisk),
    /// Without root nothing can be mounted: the database itself says what a full disk makes it say.
    Pretended,
}

const REFUSE: &str = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
    'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
    CREATE TRIGGER no_room BEFORE INSERT ON log FOR EACH STATEMENT EXECUTE FUNCTION no_room(); \
    CREATE TRIGGER no_room BEFORE INSERT ON pending FOR EACH STATEMENT EXECUTE FUNCTION no_room()";
const ACCEPT: &str = "DROP FUNCTION no_room CASCADE";

impl Fullness {
    /// And the database; its server has to end before the disk.
    async fn begin(postgres: &Postgres) -> (Self, String) {
        let disk = TinyDisk::mount(48);
        let fullness = match disk {
            Ok(disk) => {
                let at = disk.path();
                let made = format!("CREATE TABLESPACE tiny LOCATION '{}'", at.display());
                postgres.sql("postgres", &made).await.expect("a tablespace");
                postgres.sql("postgres", "CREATE DATABASE shop TABLESPACE tiny").await.expect("a database");
                // The first connection writes files that every other one needs.
                postgres.sql("shop", "SELECT 1").await.expect("it opens");
                Self::Disk(disk)
            }
            Err(trouble) => {
                // Past the capture of test output: nobody is to believe that a disk was filled.
                let note = "NOT ROOT: the full database is a trigger that refuses, not a full disk";
                writeln!(std::io::stderr(), "{note} ({trouble})").expect("standard error takes it");
                postgres.add_database("shop").await.expect("a database");
                Self::Pretended
            }
        };
        (fullness, postgres.url("shop"))
    }

    async fn fill(&self, postgres: &Postgres) {
        match self {
            Self::Disk(disk) => disk.fill().expect("it is filled"),
            Self::Pretended => drop(postgres.sql("shop", REFUSE).await.expect("it refuses")),
        }
    }

    async fn make_room(&self, postgres: &Postgres) {
        match self {
            Self::Disk(disk) => disk.free().expect("there is room"),
            Self::Pretended => drop(postgres.sql("shop", ACCEPT).await.expect("it accepts")),
        }
    }
}

/// A process with all roles, and keys for it.
struct Shop {
    process: Process,
    staff: Client,
    service: Client,
}

async fn open(url: &str, broker: &str, management: &str) -> Shop {
    let port = free_port().expect("a port");
    let settings = [("HOLDFAST_DATABASE", url)];
    let key = |role: &str| {
        let output = holdfast(&["api-keys", "add", role, "--role", role], &settings);
        assert!(output.status.success(), "{}", said(&output));
        let key = String::from_utf8(output.stdout).expect("a key is text");
        Client::new(format!("http://127.0.0.1:{port}"), Some(key.trim()))
    };
    let (staff, service) = (key("staff"), key("service"));
    let process = process("shop")
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .env("HOLDFAST_DATABASE", url)
        .env("HOLDFAST_BROKER", broker)
        .env("HOLDFAST_BROKER_MANAGEMENT", management)
        .ready(Ready::Http { port: port.number(), path: "/health/ready".to_owned() })
        .start()
        .await
        .expect("it starts");
    Shop { process, staff, service }
}

/// 10,000 orders of this size do not fit.
const ORDERS_MAX: usize = 10_000;

/// What became of the orders, as callers were told.
#[derive(Default)]
struct Told {
    accepted: usize,
    refused: Vec<String>,
    /// Pending or in doubt.
    open: Vec<String>,
}

impl Told {
    async fn place(&mut self, shop: &Shop) -> Reply {
        let id = new_id();
        let mut order = lines("WATCH", 1);
        order["id"] = json!(id);
        let reply = shop.service.post("/v1/orders").json(&order).send().await;
        match reply.status {
            201 => self.accepted += 1,
            202 | 504 => self.open.push(id),
            503 => {
                assert!(reply.header("retry-after").is_some(), "{reply:?}");
                self.refused.push(id);
            }
            _ => panic!("a full database is no reason for {reply:?}"),
        }
        reply
    }
}

/// Full while it runs: in one process and over the broker.
async fn full(broker: &str, management: &str) {
    let postgres = Postgres::start().await.expect("PostgreSQL starts");
    let (fullness, url) = Fullness::begin(&postgres).await;
    let migrated = holdfast(&["migrate"], &[("HOLDFAST_DATABASE", &url)]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    let shop = open(&url, broker, management).await;
    let location = json!({ "code": MAIN, "name": MAIN, "priority": 1 });
    shop.staff.post("/v1/locations").json(&location).send().await.expect(201);
    let item = json!({
        "sku": "WATCH", "brand": "Acme", "model": "Watch", "price": { "amount": 1, "currency": "INR" },
        "stock": [{ "location": MAIN, "quantity": 1_000_000 }],
    });
    shop.staff.post("/v1/items").json(&item).send().await.expect(201);

    fullness.fill(&postgres).await;
    // Pages that are half empty take a few more.
    let mut told = Told::default();
    while told.refused.is_empty() && told.open.is_empty() {
        assert!(told.accepted < ORDERS_MAX, "it never gets full");
        told.place(&shop).await;
    }
    // What is there can be read, and the log says what is wrong.
    shop.process.wait_for_line("the database is full", SHOWN_MAX).await.expect("it says so");
    told.place(&shop).await;
    let log = shop.process.log_text();
    assert!(shop.process.is_running() && !log.contains("panicked"), "{log}");
    let seen = shop.service.get("/v1/items/WATCH").send().await.expect(200);
    assert_eq!(seen["in_stock"], true);

    fullness.make_room(&postgres).await;
    let began = Instant::now();
    let before = told.accepted;
    while told.accepted == before {
        let reply = told.place(&shop).await;
        assert!(reply.status == 201 || began.elapsed() < BACK_MAX, "there is room, but {reply:?}");
    }
    let Told { mut accepted, refused, open } = told;
    // 503 meant no; 202 and 504 meant that it may be, and now everybody knows.
    for id in &open {
        let path = format!("/v1/orders/{id}");
        let settled = || async {
            let reply = shop.service.get(&path).send().await;
            reply.status == 404 || (reply.status == 200 && reply.json()["status"] != "pending")
        };
        eventually("what was open is settled", BACK_MAX, settled).await.expect("it is");
        accepted += usize::from(shop.service.get(&path).send().await.status == 200);
    }
    for id in &refused {
        let reply = shop.service.get(&format!("/v1/orders/{id}")).send().await;
        assert_eq!(reply.status, 404, "503 meant that it was surely not taken: {reply:?}");
    }
    let stock: Value = shop.staff.get("/v1/stock/WATCH").send().await.expect(200);
    assert_eq!(stock["allocated"], accepted);
    assert!(shop.process.stop().await.expect("it stops").success(), "{}", shop.process.log_tail());
    let output = holdfast(&["verify"], &[("HOLDFAST_DATABASE", &url)]);
    assert!(output.status.success(), "{}", said(&output));
    drop(postgres);
    drop(fullness);
}

#[tokio::test]
async fn one_that_is_full_is_said_to_be_and_takes_orders_again_when_there_is_room() {
    full("memory", "http://127.0.0.1:1").await;
}

#[tokio::test]
async fn one_that_is_full_keeps_what_the_broker_has_for_later() {
    let stand = shared().await;
    let rabbit = stand.cluster.rabbit();
    let vhost = rabbit.fresh_vhost().await.expect("a vhost");
    full(&vhost.url, &rabbit.management_url()).await;
}

#[tokio::test]
async fn one_that_is_full_at_the_start_is_waited_for() {
    let postgres = Postgres::start().await.expect("PostgreSQL starts");
    let (fullness, url) = Fullness::begin(&postgres).await;
    if let Fullness::Pretended = fullness {
        let migrated = holdfast(&["migrate"], &[("HOLDFAST_DATABASE", &url)]);
        assert!(migrated.status.success(), "{}", said(&migrated));
        let pretended = REFUSE.replace("ON log", "ON notes");
        postgres.sql("shop", &pretended).await.expect("it refuses");
    } else {
        fullness.fill(&postgres).await;
    }
    let shop = process("full")
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("HOLDFAST_DATABASE", &url)
        .ready(Ready::Line("trying again".to_owned()))
        .start()
        .await
        .expect("it waits");
    says(&shop.log_text(), &["database", "full"]);
    fullness.make_room(&postgres).await;
    shop.wait_for_line("listening on http://", BACK_MAX).await.expect("it goes on by itself");
    assert!(shop.stop().await.expect("it stops").success());
    drop(postgres);
    drop(fullness);
}
