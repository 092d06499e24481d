//! The same in SQLite: WAL, `synchronous = FULL`, one prepared statement a row.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use holdfast_compare::fixture::Dice;
use rusqlite::{Connection, OptionalExtension, params};

use super::batch::{BATCH, Batch, event_row, order_row, sku};

const SCHEMA: &str = "
CREATE TABLE stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL CHECK (available >= 0)) WITHOUT ROWID, STRICT;
CREATE TABLE orders (id BLOB PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE events (position INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
";

/// Orders decided in a second, in a new database of this folder.
pub async fn run(folder: &Path, skus: usize, duration: Duration) -> anyhow::Result<f64> {
    let file = folder.join("bare.db");
    for name in ["bare.db", "bare.db-wal", "bare.db-shm"] {
        // Of the run before; there is none at first.
        drop(std::fs::remove_file(folder.join(name)));
    }
    tokio::task::spawn_blocking(move || measure(&file, skus, duration)).await?
}

fn measure(file: &Path, skus: usize, duration: Duration) -> anyhow::Result<f64> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "cache_size", -(128 << 10))?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    for number in 0..skus {
        transaction.prepare_cached("INSERT INTO stock VALUES (?1, 1000000000)")?.execute([sku(number)])?;
    }
    transaction.commit()?;

    let mut dice = Dice::new(44);
    let (mut position, mut decided) = (0_i64, 0_usize);
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let batch = Batch::new(&mut dice, skus);
        let transaction = connection.transaction()?;
        decide(&transaction, &batch, position)?;
        transaction.commit()?;
        position += BATCH as i64;
        decided += BATCH;
    }
    Ok(decided as f64 / begun.elapsed().as_secs_f64())
}

fn decide(connection: &Connection, batch: &Batch, position: i64) -> anyhow::Result<()> {
    let mut known = connection.prepare_cached("SELECT 1 FROM orders WHERE id = ?1")?;
    let mut read = connection.prepare_cached("SELECT available FROM stock WHERE sku = ?1")?;
    let mut order = connection.prepare_cached("INSERT INTO orders VALUES (?1, ?2)")?;
    let mut event = connection.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
    let mut update = connection.prepare_cached("UPDATE stock SET available = ?2 WHERE sku = ?1")?;
    let mut stock: HashMap<&str, i64> = HashMap::new();
    for (number, (id, sku)) in batch.ids.iter().zip(&batch.skus).enumerate() {
        let double: Option<i64> = known.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        ensure!(double.is_none(), "new ids are new");
        let available = match stock.get(sku.as_str()) {
            Some(available) => *available,
            None => read.query_row([sku], |row| row.get(0))?,
        };
        ensure!(available >= 1, "the reference sold out");
        stock.insert(sku, available - 1);
        order.execute(params![id.as_bytes(), order_row(*id, sku)])?;
        event.execute(params![position + 1 + number as i64, event_row(*id, sku)])?;
    }
    for (sku, available) in stock {
        update.execute(params![sku, available])?;
    }
    Ok(())
}
