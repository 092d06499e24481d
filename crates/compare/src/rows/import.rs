//! CSV import from the command line into an empty shop, the start of the program included.

use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::Table;

const ROWS: usize = 300_000;
const ROWS_QUICK: usize = 100_000;
const PER_SECOND_MIN: f64 = 50_000.0;

pub async fn run(table: &mut Table, mode: Mode) -> anyhow::Result<()> {
    let rows = if table.quick { ROWS_QUICK } else { ROWS };
    let servers = match mode {
        Mode::Embedded => None,
        Mode::Distributed => Some(table.servers().await?),
    };
    let mut rates = Runs::new(Unit::PerSecond);
    for run in 1..=table.runs {
        let mut stand = Stand::without_items(&table.bin, servers.as_ref()).await?;
        table.turn(&format!("import of {rows} rows, {}, run {run}", mode.name())).await;
        rates.push(rows as f64 / stand.import(rows).await?.as_secs_f64());
    }
    let entry = Entry::new(format!("CSV import of {rows} rows, {}", mode.name()), rates);
    table.results.add(match mode {
        Mode::Embedded => entry.target(Target::AtLeast(PER_SECOND_MIN)),
        Mode::Distributed => entry,
    });
    Ok(())
}
