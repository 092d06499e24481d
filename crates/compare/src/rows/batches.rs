//! Orders in batches of 500 over HTTP: spread over all SKUs, and all on one.

use super::orders::HOT_SHARE;
use crate::load::Load;
use crate::reference::batch::BATCH;
use crate::reference::{batch_postgres, batch_sqlite};
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::{SKUS, Table};

/// Each with one batch at a time: enough that one is on its way while another is decided.
const CONNECTIONS: usize = 8;
/// Of the bare batch transaction.
const SHARE: f64 = 0.5;

pub async fn run(table: &mut Table, mode: Mode, stand: &Stand) -> anyhow::Result<()> {
    let (target, duration, bin) = (stand.target(), table.duration, table.bin.clone());
    let name = mode.name();
    let per_second = || Runs::new(Unit::PerSecond);
    let (mut bare, mut spread, mut hot) = (per_second(), per_second(), per_second());
    let mut p99 = Runs::new(Unit::Millis);
    let (reference, database) = match mode {
        Mode::Embedded => ("SQLite's bare batch transaction", None),
        Mode::Distributed => {
            ("PostgreSQL's bare batch transaction", Some(table.servers().await?.database().await?))
        }
    };
    let load = Load::orders(CONNECTIONS).batch(BATCH);
    for run in 1..=table.runs {
        table.turn_after(&[stand], &format!("{reference}, run {run}")).await?;
        bare.push(match &database {
            None => batch_sqlite::run(stand.folder(), SKUS, duration).await?,
            Some(database) => batch_postgres::run(database, SKUS, duration).await?,
        });
        table.turn_after(&[stand], &format!("batches of {BATCH}, {name}, run {run}")).await?;
        let measured = load.run(&bin, &target, duration).await?;
        spread.push(measured.orders_per_second()?);
        p99.push(measured.millis("orders", "p99")?);
        table.turn_after(&[stand], &format!("batches of {BATCH} on one hot SKU, {name}, run {run}")).await?;
        hot.push(load.clone().hot().run(&bin, &target, duration).await?.orders_per_second()?);
    }
    let work = format!("orders in batches of {BATCH}, {name}");
    let entry = Entry::new(&work, spread.clone()).against(reference, &bare);
    table.results.add(entry.target(Target::ShareAtLeast(SHARE)));
    table.results.add(Entry::new(format!("{work}: p99 of a batch"), p99));
    let work = format!("orders in batches of {BATCH} on one hot SKU, {name}");
    let entry = Entry::new(work, hot).against("spread over all", &spread);
    table.results.add(entry.target(Target::ShareAtLeast(HOT_SHARE)));
    Ok(())
}
