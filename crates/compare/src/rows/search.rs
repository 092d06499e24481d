//! Search with facets over 100,000 items, as visitors type: at a steady rate for the latency, and as fast as it goes.

use crate::catalogue::searches;
use crate::load::Load;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::Mode;
use crate::table::Table;

const ITEMS: usize = 100_000;
const SEARCHES: usize = 2_000;
/// Open loop, so that waiting counts.
const PER_SECOND: u64 = 50;
const CONNECTIONS: usize = 8;
const P99_MS_MAX: f64 = 10.0;

pub async fn run(table: &mut Table) -> anyhow::Result<()> {
    let stand = table.stand(Mode::Embedded, ITEMS).await?;
    let file = stand.folder().join("searches.txt");
    std::fs::write(&file, searches(SEARCHES).join("\n"))?;
    let (mut p50, mut p99) = (Runs::new(Unit::Millis), Runs::new(Unit::Millis));
    let mut most = Runs::new(Unit::PerSecond);
    for run in 1..=table.runs {
        table.turn(&format!("searches, {PER_SECOND}/s, run {run}")).await;
        let load = Load::reads(CONNECTIONS).rate(PER_SECOND).paths(&file);
        let measured = load.run(&table.bin, &stand.target(), table.duration).await?;
        p50.push(measured.millis("reads", "p50")?);
        p99.push(measured.millis("reads", "p99")?);
        table.turn(&format!("searches, as many as go, run {run}")).await;
        let load = Load::reads(CONNECTIONS).paths(&file);
        most.push(load.run(&table.bin, &stand.target(), table.duration).await?.requests_per_second()?);
    }
    let work = format!("search with facets over {ITEMS} items");
    table.results.add(Entry::new(format!("{work}, {PER_SECOND}/s: p50"), p50));
    let latency = Entry::new(format!("{work}, {PER_SECOND}/s: p99"), p99);
    table.results.add(latency.target(Target::AtMost(P99_MS_MAX)));
    table.results.add(Entry::new(format!("{work}, {CONNECTIONS} connections"), most));
    Ok(())
}
