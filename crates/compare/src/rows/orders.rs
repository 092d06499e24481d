//! Single orders over 256 connections: spread over all SKUs, and all on one.

use crate::load::Load;
use crate::reference::conditional;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::{SKUS, Table};

pub const CONNECTIONS: usize = 256;
/// Of the rate on spread SKUs, and times the naive way on the hot row.
pub const HOT_SHARE: f64 = 0.9;
const HOT_TIMES: f64 = 8.0;

pub async fn run(table: &mut Table, mode: Mode, stand: &Stand) -> anyhow::Result<()> {
    let (target, duration, bin) = (stand.target(), table.duration, table.bin.clone());
    let name = mode.name();
    let per_second = || Runs::new(Unit::PerSecond);
    let (mut bare, mut spread, mut hot) = (per_second(), per_second(), per_second());
    let (mut naive, mut naive_hot) = (per_second(), per_second());
    let (mut p50, mut p99) = (Runs::new(Unit::Millis), Runs::new(Unit::Millis));
    let mut published = Runs::new(Unit::Seconds);
    let database = match mode {
        Mode::Embedded => None,
        Mode::Distributed => Some(table.servers().await?.database().await?),
    };
    for run in 1..=table.runs {
        table.turn_after(&[stand], &format!("bare POST, {CONNECTIONS} connections, run {run}")).await?;
        bare.push(table.bare.posts(&bin, CONNECTIONS, duration).await?);
        table.turn(&format!("single orders, {name}, run {run}")).await;
        let measured = Load::orders(CONNECTIONS).run(&bin, &target, duration).await?;
        spread.push(measured.orders_per_second()?);
        p50.push(measured.millis("orders", "p50")?);
        p99.push(measured.millis("orders", "p99")?);
        published.push(stand.until_published().await?.as_secs_f64());
        table.turn(&format!("single orders on one hot SKU, {name}, run {run}")).await;
        hot.push(Load::orders(CONNECTIONS).hot().run(&bin, &target, duration).await?.orders_per_second()?);
        if let Some(database) = &database {
            table.turn_after(&[stand], &format!("one conditional UPDATE an order, run {run}")).await?;
            naive.push(conditional::run(database, SKUS, SKUS, duration).await?);
            table.turn(&format!("one conditional UPDATE an order on one hot SKU, run {run}")).await;
            naive_hot.push(conditional::run(database, SKUS, 1, duration).await?);
        }
    }
    let share = match mode {
        Mode::Embedded => 0.45,
        Mode::Distributed => 0.22,
    };
    let work = format!("single orders, {CONNECTIONS} connections, {name}");
    let entry = Entry::new(&work, spread.clone()).against("bare axum POST", &bare);
    table.results.add(entry.target(Target::ShareAtLeast(share)));
    let latency = Entry::new(format!("{work}: p50"), p50);
    table.results.add(latency);
    let latency = Entry::new(format!("{work}: p99"), p99);
    table.results.add(match mode {
        Mode::Embedded => latency,
        Mode::Distributed => latency.target(Target::AtMost(40.0)),
    });
    if database.is_some() {
        table.results.add(Entry::new(format!("{work}: until the last event is published"), published));
    }
    let work = format!("single orders on one hot SKU, {name}");
    let entry = Entry::new(&work, hot.clone()).against("spread over all", &spread);
    table.results.add(entry.target(Target::ShareAtLeast(HOT_SHARE)));
    if database.is_some() {
        let entry = Entry::new(&work, hot).against("one conditional UPDATE an order on that row", &naive_hot);
        table.results.add(entry.target(Target::ShareAtLeast(HOT_TIMES)));
        let work = format!("single orders, {CONNECTIONS} connections, {name}");
        table.results.add(Entry::new(work, spread).against("one conditional UPDATE an order", &naive));
    }
    Ok(())
}
