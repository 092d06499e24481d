//! An order of one at light load: what a single buyer waits. Beside it what nobody can do without: an answer over HTTP, and
//! the disk, once for the database and, over a broker, once for its queue. It is a sum of medians, and over the broker a rough
//! one: 12 KB is what SQLite writes for an order.

use crate::load::Load;
use crate::reference::sync;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::Table;

const PER_SECOND: u64 = 100;
const CONNECTIONS: usize = 16;

pub async fn run(table: &mut Table, mode: Mode, stand: &Stand) -> anyhow::Result<()> {
    let (mut p50, mut p99) = (Runs::new(Unit::Millis), Runs::new(Unit::Millis));
    let (syncs, floor_name) = match mode {
        Mode::Embedded => (1.0, "bare axum POST and a synced write of 12 KB"),
        Mode::Distributed => (2.0, "bare axum POST and two synced writes of 12 KB"),
    };
    let mut floor = Runs::new(Unit::Millis);
    let load = Load::orders(CONNECTIONS).rate(PER_SECOND);
    for run in 1..=table.runs {
        table.turn(&format!("bare POST and synced writes, {PER_SECOND}/s, run {run}")).await;
        let bare = table.bare.post_p50(&table.bin, CONNECTIONS, PER_SECOND, table.duration).await?;
        floor.push(bare + syncs * sync::p50(stand.folder(), PER_SECOND, table.duration).await?);
        table.turn(&format!("one order at a time, {PER_SECOND}/s, {}, run {run}", mode.name())).await;
        let measured = load.run(&table.bin, &stand.target(), table.duration).await?;
        p50.push(measured.millis("orders", "p50")?);
        p99.push(measured.millis("orders", "p99")?);
    }
    let (p50_max, p99_max) = match mode {
        Mode::Embedded => (1.0, 8.0),
        Mode::Distributed => (4.0, 20.0),
    };
    let work = format!("order of 1 at {PER_SECOND}/s, {}", mode.name());
    let entry = Entry::new(format!("{work}: p50"), p50).against(floor_name, &floor);
    table.results.add(entry.target(Target::AtMost(p50_max)));
    table.results.add(Entry::new(format!("{work}: p99"), p99).target(Target::AtMost(p99_max)));
    Ok(())
}
