//! Growth: a shop with a hundred times the items and ten million events behind it, beside a small new one.

use std::time::Duration;

use super::orders::CONNECTIONS;
use crate::load::Load;
use crate::quiet;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::{SKUS, Table};

const BIG_SKUS: usize = 1_000_000;
const BIG_EVENTS: usize = 10_000_000;
/// How much smaller a quick run is.
const QUICK_DIVISOR: usize = 10;
const BATCH: usize = 1_000;
const BATCH_CONNECTIONS: usize = 8;
/// One stretch of filling the log; its books are checked after each.
const FILL: Duration = Duration::from_secs(120);
/// A database that stands still would be filled for ever.
const FILLS_MAX: usize = 20;

/// How long those who follow the log may take afterwards; they may still be at it then, beside both shops' load.
const FOLLOW: Duration = Duration::from_secs(300);
const FOLLOW_QUICK: Duration = Duration::from_secs(15);

const SHARE: f64 = 0.8;
const ITEM_BYTES_MAX: f64 = 1_024.0;
const START_SECONDS_MAX: f64 = 10.0;

pub async fn run(table: &mut Table, mode: Mode) -> anyhow::Result<()> {
    let divisor = if table.quick { QUICK_DIVISOR } else { 1 };
    let (skus, events) = (BIG_SKUS / divisor, BIG_EVENTS / divisor);
    let name = mode.name();
    let mut small = table.stand(mode, SKUS).await?;
    let mut big = table.stand(mode, skus).await?;

    table.turn(&format!("filling the log with {events} events, {name}")).await;
    // Every item is an event at least.
    fill(table, &big, events.saturating_sub(skus)).await?;
    eprintln!("  waiting until relay and auditor have followed");
    big.until_published().await?;
    quiet::wait(if table.quick { FOLLOW_QUICK } else { FOLLOW }).await;
    let (mut start, mut item) = (Runs::new(Unit::Seconds), Runs::new(Unit::Bytes));
    for run in 1..=table.runs {
        table.turn(&format!("start with {skus} items, {name}, run {run}")).await;
        small.restart_gateway().await?;
        start.push(big.restart_gateway().await?.as_secs_f64());
        item.push((big.memory()? - small.memory()?) / (skus - SKUS) as f64);
    }

    let per_second = || Runs::new(Unit::PerSecond);
    let single = Load::orders(CONNECTIONS);
    let batches = Load::orders(BATCH_CONNECTIONS).batch(BATCH / 2);
    let loads = [
        (format!("single orders, {CONNECTIONS} connections"), single),
        ("batches of 500".to_owned(), batches),
    ];
    let mut rates = Vec::new();
    for (work, load) in loads {
        let (mut before, mut after) = (per_second(), per_second());
        for run in 1..=table.runs {
            table.turn_after(&[&small, &big], &format!("{work}, {SKUS} items, {name}, run {run}")).await?;
            let measured = load.run(&table.bin, &small.target(), table.duration).await?;
            before.push(measured.orders_per_second()?);
            table.turn_after(&[&small, &big], &format!("{work}, {skus} items, {name}, run {run}")).await?;
            let measured = load.run(&table.bin, &big.target(), table.duration).await?;
            after.push(measured.orders_per_second()?);
        }
        rates.push((work, before, after));
    }

    let size = format!("{skus} SKUs and {events} events, {name}");
    for (work, before, after) in rates {
        let entry =
            Entry::new(format!("{work}, {size}"), after).against(format!("{SKUS} SKUs, new log"), &before);
        table.results.add(entry.target(Target::ShareAtLeast(SHARE)));
    }
    let entry = Entry::new(format!("memory of the gateway an item, {size}"), item);
    table.results.add(entry.target(Target::AtMost(ITEM_BYTES_MAX)));
    let entry = Entry::new(format!("start-up until ready, {size}"), start);
    table.results.add(entry.target(Target::AtMost(START_SECONDS_MAX)));
    Ok(())
}

/// Places orders in large batches until the log has so many events more.
async fn fill(table: &Table, stand: &Stand, events: usize) -> anyhow::Result<()> {
    let load = Load::orders(BATCH_CONNECTIONS).batch(BATCH);
    let mut missing = events as f64;
    // The first stretch finds out how fast it goes.
    let mut stretch = Duration::from_secs(5).min(FILL);
    for _ in 0..FILLS_MAX {
        let placed = load.run(&table.bin, &stand.target(), stretch).await?.orders_accepted()?;
        missing -= placed;
        if missing <= 0.0 {
            return Ok(());
        }
        eprintln!("  {missing:.0} events to go");
        let needed = stretch.as_secs_f64() * missing / placed.max(1.0);
        stretch = Duration::from_secs_f64((needed * 1.05).max(1.0)).min(FILL);
    }
    anyhow::bail!("the log does not fill: {missing:.0} events are missing after {FILLS_MAX} stretches")
}
