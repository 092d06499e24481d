//! What everyone else does: one transaction an order, with a conditional update. 16 clients, each waiting for each answer.

use std::time::{Duration, Instant};

use anyhow::ensure;
use holdfast_compare::fixture::Dice;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::batch::{order_row, sku};
use super::batch_postgres::{connect, prepare};

const CLIENTS: usize = 16;

/// Orders accepted in a second, over `hot` of `skus` SKUs.
pub async fn run(url: &str, skus: usize, hot: usize, duration: Duration) -> anyhow::Result<f64> {
    let client = connect(url).await?;
    prepare(&client, skus).await?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let url = url.to_owned();
        let dice = Dice::new(45 + number as u64);
        clients.spawn(async move { orders(&url, dice, hot, begun + duration).await });
    }
    let mut accepted = 0;
    while let Some(ended) = clients.join_next().await {
        accepted += ended??;
    }
    Ok(accepted as f64 / begun.elapsed().as_secs_f64())
}

async fn orders(url: &str, mut dice: Dice, skus: usize, end: Instant) -> anyhow::Result<usize> {
    let client = connect(url).await?;
    let update = client
        .prepare("UPDATE bare_stock SET available = available - 1 WHERE sku = $1 AND available >= 1")
        .await?;
    let insert = client.prepare("INSERT INTO bare_orders VALUES ($1, $2)").await?;
    let mut accepted = 0;
    while Instant::now() < end {
        let (id, sku) = (Uuid::now_v7(), sku(dice.below(skus)));
        client.batch_execute("BEGIN").await?;
        ensure!(client.execute(&update, &[&sku]).await? == 1, "the reference sold out");
        client.execute(&insert, &[&id, &order_row(id, &sku)]).await?;
        client.batch_execute("COMMIT").await?;
        accepted += 1;
    }
    Ok(accepted)
}
