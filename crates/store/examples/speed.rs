//! How many orders a database decides in a second, by size of the batch:
//! `cargo run --release -p holdfast-store --example speed [FOLDER | postgres://… [hot | spread [BATCHES]]]`. SQLite in a new
//! file of the folder, or an empty PostgreSQL database; `hot`: all orders for one SKU; with BATCHES, so many of 1,000
//! orders and nothing else, for a profiler. A program, and no test: figures depend on the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::{Actor, Command, CommandBody, Role, Timestamp};
use holdfast_store::Database;
use serde_json::{Value, json};
use uuid::Uuid;

const SKUS: usize = 10_000;
const MEASURED: Duration = Duration::from_secs(4);

fn command(body: Value) -> Command {
    let body: CommandBody = serde_json::from_value(body).expect("a well-formed command");
    Command::new(Uuid::now_v7(), Actor::new("speed", Role::Admin), body)
}

fn order(number: usize, skus: usize) -> Command {
    // Steps of a prime visit all SKUs in an order of no use to a cache.
    let sku = format!("SKU-{}", number.wrapping_mul(7_919) % skus);
    command(json!({"kind": "order.place", "customer": "c1", "lines": [{"sku": sku, "quantity": 1}]}))
}

async fn furnish(database: &Database) {
    let location = json!({"kind": "location.put", "code": "EAST", "name": "East", "priority": 1});
    let mut commands = vec![command(location)];
    for number in 0..SKUS {
        commands.push(command(json!({
            "kind": "item.add", "sku": format!("SKU-{number}"), "brand": "Speed", "model": number.to_string(),
            "price": {"amount": 100, "currency": "INR"}, "stock": [{"location": "EAST", "quantity": 1_000_000}],
        })));
    }
    database.store.execute(Timestamp(1), Arc::new(commands)).await.expect("the shop is furnished");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = std::env::args().nth(1);
    let skus = if std::env::args().nth(2).is_some_and(|word| word == "hot") { 1 } else { SKUS };
    match place {
        Some(url) if url.starts_with("postgres") => {
            let database = Database::open_postgres(&url, None).await.expect("the database opens");
            measure(&database, skus).await;
        }
        folder => {
            let folder = folder.map_or_else(std::env::temp_dir, Into::into);
            let file = folder.join(format!("holdfast-speed-{}.db", std::process::id()));
            let database = Database::open_sqlite(&file).await.expect("the database opens");
            measure(&database, skus).await;
            std::fs::remove_file(&file).expect("the file is removed");
        }
    }
}

async fn measure(database: &Database, skus: usize) {
    furnish(database).await;
    let mut number = 0;
    let fixed: Option<usize> = std::env::args().nth(3).and_then(|word| word.parse().ok());
    for size in if fixed.is_some() { vec![1_000] } else { vec![1, 10, 100, 1_000] } {
        let mut times = Vec::new();
        while fixed.map_or_else(|| times.iter().sum::<Duration>() < MEASURED, |batches| times.len() < batches)
        {
            let commands: Vec<Command> = (number..number + size).map(|number| order(number, skus)).collect();
            number += size;
            let begun = Instant::now();
            let clock = Timestamp(i64::try_from(number).expect("few orders"));
            let executed =
                database.store.execute(clock, Arc::new(commands)).await.expect("the batch is executed");
            times.push(begun.elapsed());
            assert!(executed.outcomes.iter().all(|outcome| outcome.result.is_ok()), "there is stock for all");
        }
        let total: Duration = times.iter().sum();
        times.sort_unstable();
        let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
        println!(
            "batches of {size:5}: {:9.0} orders/s, p50 {:?}, p99 {:?}",
            (times.len() * size) as f64 / total.as_secs_f64(),
            quantile(0.5),
            quantile(0.99),
        );
    }
    database.store.close().await;
}
