//! Overload: an open loop at twice the peak. What is decided must stay near the peak, what is refused must be refused at
//! once, and memory must stay where it is.

use std::time::Duration;

use super::orders::CONNECTIONS;
use crate::load::{Load, Measured};
use crate::machine;
use crate::results::{Entry, Runs, Target, Unit};
use crate::stand::{Mode, Stand};
use crate::table::Table;

/// What the gateway works on at once, `None`: as it comes (8,192); and how many come: a sixth more than that, but fewer than
/// the connections it takes (10,000).
const CROWDS: [(Option<usize>, usize); 2] = [(None, 9_500), (Some(1_024), 1_190)];
const GOODPUT_MIN: f64 = 0.9;
const REFUSAL_MS_MAX: f64 = 50.0;
/// Memory in the last quarter, over that in the second.
const GROWTH_PERCENT_MAX: f64 = 10.0;
/// The crowd first has to come in, and memory takes a while to grow.
const LENGTH_MIN: Duration = Duration::from_secs(10);
const LOOK_PERIOD: Duration = Duration::from_millis(100);

pub async fn run(table: &mut Table, mode: Mode, stand: &mut Stand) -> anyhow::Result<()> {
    for (places, crowd) in CROWDS {
        if places.is_some() {
            stand.restart_gateway_with(places).await?;
        }
        let name = match places {
            None => mode.name().to_owned(),
            Some(places) => format!("{}, --requests-max {places}", mode.name()),
        };
        measure(table, &name, crowd, stand).await?;
    }
    stand.restart_gateway_with(None).await
}

async fn measure(table: &mut Table, name: &str, crowd: usize, stand: &Stand) -> anyhow::Result<()> {
    let (mut peak, mut goodput) = (Runs::new(Unit::PerSecond), Runs::new(Unit::PerSecond));
    let (mut refusal, mut growth) = (Runs::new(Unit::Millis), Runs::new(Unit::Percent));
    let mut notes = Vec::new();
    let duration = (table.duration * 2).max(LENGTH_MIN);
    let runs = if table.quick { 1 } else { table.runs };
    for run in 1..=runs {
        table.turn_after(&[stand], &format!("peak of single orders, {name}, run {run}")).await?;
        let load = Load::orders(CONNECTIONS);
        peak.push(load.run(&table.bin, &stand.target(), table.duration).await?.orders_per_second()?);
        let rate = (2.0 * peak.median()) as u64;
        table.turn_after(&[stand], &format!("overload with {rate}/s, {name}, run {run}")).await?;
        let (measured, grown) = overload(table, stand, crowd, rate, duration).await?;
        goodput.push(measured.orders_per_second()?);
        growth.push(grown);
        let (refused, codes, unsent) = (measured.refused(), measured.codes(), measured.unsent()?);
        notes.push(format!("{refused} refused ({codes}), {unsent:.0} due and never sent"));
        if measured.refused() > 0 {
            refusal.push(measured.millis("refusing", "p99")?);
        }
    }
    let work = format!("overload at twice the peak, {name}");
    let entry = Entry::new(format!("{work}: goodput"), goodput).against("peak", &peak).note(notes.join("; "));
    table.results.add(entry.target(Target::ShareAtLeast(GOODPUT_MIN)));
    let entry = Entry::new(format!("{work}: p99 of refusals"), refusal.clone());
    table.results.add(if refusal.values.is_empty() {
        entry.note("nothing was refused: the connections were the bound")
    } else {
        entry.target(Target::AtMost(REFUSAL_MS_MAX))
    });
    let entry = Entry::new(format!("{work}: growth of memory"), growth);
    table.results.add(entry.target(Target::AtMost(GROWTH_PERCENT_MAX)));
    Ok(())
}

/// One overload, and by how many per cent the gateway's memory grew from its second quarter to its last.
async fn overload(
    table: &Table,
    stand: &Stand,
    crowd: usize,
    rate: u64,
    duration: Duration,
) -> anyhow::Result<(Measured, f64)> {
    let (target, load) = (stand.target(), Load::orders(crowd).rate(rate));
    let pid = stand.gateway_pid()?;
    let watch = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(bytes) = machine::resident(pid) {
            seen.push(bytes);
            if seen.len() as u128 * LOOK_PERIOD.as_millis() >= duration.as_millis() {
                break;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        seen
    });
    let measured = load.run(&table.bin, &target, duration).await?;
    let seen = watch.await?;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let quarter = seen.len() / 4;
    let (early, late) = (most(&seen[quarter..2 * quarter]), most(&seen[3 * quarter..]));
    Ok((measured, (late / early.max(1.0) - 1.0) * 100.0))
}
