//! GET of an item over 64 connections, beside a bare GET and a cache across a socket.

use holdfast_testbed::Redis;

use crate::load::Load;
use crate::reference::redis;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::Table;

const CONNECTIONS: usize = 64;
const SHARE: f64 = 0.8;

pub async fn run(table: &mut Table, mode: Mode, stand: &Stand) -> anyhow::Result<()> {
    let (duration, bin) = (table.duration, table.bin.clone());
    let per_second = || Runs::new(Unit::PerSecond);
    let (mut bare, mut items, mut cache) = (per_second(), per_second(), per_second());
    let mut p99 = Runs::new(Unit::Millis);
    let server = Redis::start().await?;
    let requests = 50_000 * duration.as_secs().max(1);
    for run in 1..=table.runs {
        table.turn(&format!("bare GET, {CONNECTIONS} connections, run {run}")).await;
        bare.push(table.bare.gets(&bin, CONNECTIONS, duration).await?);
        table.turn(&format!("GET item, {}, run {run}", mode.name())).await;
        let measured = Load::reads(CONNECTIONS).run(&bin, &stand.target(), duration).await?;
        items.push(measured.requests_per_second()?);
        p99.push(measured.millis("reads", "p99")?);
        table.turn(&format!("redis-benchmark GET, run {run}")).await;
        cache.push(redis::gets(&server, requests).await?);
    }
    let work = format!("GET item, {CONNECTIONS} connections, {}", mode.name());
    let entry = Entry::new(&work, items.clone()).against("bare axum GET", &bare);
    table.results.add(entry.target(Target::ShareAtLeast(SHARE)));
    table.results.add(Entry::new(&work, items).against("redis-benchmark GET", &cache));
    table.results.add(Entry::new(format!("{work}: p99"), p99));
    Ok(())
}
