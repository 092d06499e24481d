//! PostgreSQL's bare batch transaction, from one connection: lock the rows, look for duplicates, decide, write orders,
//! events and counters with one array statement each. Two round trips, the statements of each pipelined.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join;
use futures_util::future::{join4, try_join3};
use holdfast_compare::fixture::Dice;
use tokio_postgres::{Client, NoTls};

use super::batch::{BATCH, Batch, event_row, order_row, sku};

const SCHEMA: &str = "
DROP TABLE IF EXISTS bare_stock, bare_orders, bare_events;
CREATE TABLE bare_stock (sku text COLLATE \"C\" PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0))
    WITH (fillfactor = 50);
CREATE TABLE bare_orders (id uuid PRIMARY KEY, body text NOT NULL);
CREATE TABLE bare_events (position bigint PRIMARY KEY, body bytea NOT NULL);
";

/// A connection to the database, and the task that drives it.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Its end is told by the client's next statement.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// The tables, with stock for ever.
pub async fn prepare(client: &Client, skus: usize) -> anyhow::Result<()> {
    client.batch_execute(SCHEMA).await?;
    let names: Vec<String> = (0..skus).map(sku).collect();
    client.execute("INSERT INTO bare_stock SELECT unnest($1::text[]), 1000000000", &[&names]).await?;
    client.batch_execute("VACUUM ANALYZE bare_stock").await?;
    Ok(())
}

/// Orders decided in a second.
pub async fn run(url: &str, skus: usize, duration: Duration) -> anyhow::Result<f64> {
    let client = connect(url).await?;
    prepare(&client, skus).await?;
    let lock = client
        .prepare("SELECT sku, available FROM bare_stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE")
        .await?;
    let known = client.prepare("SELECT id FROM bare_orders WHERE id = ANY($1)").await?;
    let orders =
        client.prepare("INSERT INTO bare_orders SELECT * FROM unnest($1::uuid[], $2::text[])").await?;
    let events =
        client.prepare("INSERT INTO bare_events SELECT * FROM unnest($1::bigint[], $2::bytea[])").await?;
    let update = client
        .prepare(
            "UPDATE bare_stock AS stock SET available = taken.available \
             FROM unnest($1::text[], $2::bigint[]) AS taken (sku, available) WHERE stock.sku = taken.sku",
        )
        .await?;
    let mut dice = Dice::new(44);
    let (mut position, mut decided) = (0_i64, 0_usize);
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let batch = Batch::new(&mut dice, skus);
        let begin = client.batch_execute("BEGIN");
        let (_, (rows, doubles)) = try_join(
            begin,
            try_join(client.query(&lock, &[&batch.skus]), client.query(&known, &[&batch.ids])),
        )
        .await?;
        ensure!(doubles.is_empty(), "new ids are new");
        let mut stock: HashMap<&str, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for name in &batch.skus {
            let available = stock.get_mut(name.as_str()).expect("every SKU of the reference exists");
            ensure!(*available >= 1, "the reference sold out");
            *available -= 1;
        }
        let positions: Vec<i64> = (1..=BATCH as i64).map(|number| position + number).collect();
        position += BATCH as i64;
        let pairs = || batch.ids.iter().zip(&batch.skus);
        let bodies: Vec<String> = pairs().map(|(id, sku)| order_row(*id, sku)).collect();
        let told: Vec<Vec<u8>> = pairs().map(|(id, sku)| event_row(*id, sku).into_bytes()).collect();
        let (names, left): (Vec<&str>, Vec<i64>) = stock.into_iter().unzip();
        let (wrote, logged, updated, committed) = join4(
            client.execute(&orders, &[&batch.ids, &bodies]),
            client.execute(&events, &[&positions, &told]),
            client.execute(&update, &[&names, &left]),
            client.batch_execute("COMMIT"),
        )
        .await;
        try_join3(async { wrote }, async { logged }, async { updated }).await?;
        committed?;
        decided += BATCH;
    }
    Ok(decided as f64 / begun.elapsed().as_secs_f64())
}
