//! The figures of the stats page: orders, units and the hottest SKUs from the log, latencies from the gateway. In
//! memory, per second for the last hour and per minute for a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use holdfast_domain::{Event, Sku, Timestamp};
use holdfast_store::{Committed, Reads};
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::tail::{Tail, patiently};
use crate::clock;

const SECONDS_KEPT: usize = 3_600;
const MINUTES_KEPT: usize = 1_440;
/// SKUs that a minute remembers once it is over: those with the most units.
const HOT_SKUS_PER_MINUTE: usize = 100;
/// SKUs that a report names.
const HOT_SKUS_REPORTED: usize = 10;
/// Points that a series has at most.
const POINTS_MAX: i64 = 96;
/// Latencies from a microsecond to a minute, two digits exact.
const LATENCY_MICROS_MAX: u64 = 60_000_000;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsReport {
    pub window_seconds: i64,
    /// Accepted orders per second, over the window.
    pub orders_per_second: f64,
    /// Accepted.
    pub orders: u64,
    pub rejected: u64,
    /// In accepted orders.
    pub units: u64,
    pub latency: Latency,
    pub hottest: Vec<HotSku>,
    /// Oldest first.
    pub series: Vec<StatsPoint>,
}

/// Of requests that write, in milliseconds; 0 when there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HotSku {
    pub sku: Sku,
    pub units: u64,
    pub orders: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsPoint {
    /// Where its span begins.
    pub at: Timestamp,
    pub orders_per_second: f64,
    pub units_per_second: f64,
    pub rejected_per_second: f64,
    /// Of the minutes that the span touches.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    orders: u64,
    rejected: u64,
    units: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.orders += other.orders;
        self.rejected += other.rejected;
        self.units += other.units;
    }
}

/// One value per second or minute, the last so many of them; a slot is reused when its time comes round again.
struct Ring<T> {
    slots: Vec<Option<(i64, T)>>,
}

impl<T: Default> Ring<T> {
    fn new(kept: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(kept).collect() }
    }

    fn slot(&self, number: i64) -> usize {
        usize::try_from(number.rem_euclid(self.slots.len() as i64)).expect("a remainder is not negative")
    }

    /// `None` when the slot is taken by something later: a straggler.
    fn at_mut(&mut self, number: i64) -> Option<&mut T> {
        let index = self.slot(number);
        let slot = &mut self.slots[index];
        if slot.as_ref().is_some_and(|(kept, _)| *kept > number) {
            return None;
        }
        if slot.as_ref().is_none_or(|(kept, _)| *kept < number) {
            *slot = Some((number, T::default()));
        }
        slot.as_mut().map(|(_, value)| value)
    }

    fn at(&self, number: i64) -> Option<&T> {
        self.slots[self.slot(number)].as_ref().filter(|(kept, _)| *kept == number).map(|(_, value)| value)
    }
}

#[derive(Default)]
struct Minute {
    counts: Counts,
    hot: HashMap<Sku, (u64, u64)>,
}

struct Orders {
    seconds: Ring<Counts>,
    minutes: Ring<Minute>,
    minute: i64,
}

struct Spans(Histogram<u32>);

impl Default for Spans {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 2).expect("the bounds make a histogram"))
    }
}

/// The figures of one process.
pub struct Stats {
    orders: Mutex<Orders>,
    latencies: Mutex<Ring<Spans>>,
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Stats {
    fn default() -> Self {
        let (seconds, minutes) = (Ring::new(SECONDS_KEPT), Ring::new(MINUTES_KEPT));
        Self {
            orders: Mutex::new(Orders { seconds, minutes, minute: i64::MIN }),
            latencies: Mutex::new(Ring::new(MINUTES_KEPT)),
        }
    }
}

impl Stats {
    /// Counts a batch, at the time of its decision.
    pub fn apply(&self, committed: &Committed) {
        let second = committed.decided_at.0.div_euclid(1_000_000);
        let minute = second.div_euclid(60);
        let mut counts = Counts::default();
        let mut orders = locked(&self.orders);
        orders.turn(minute);
        // Older than everything that is kept: nothing to count it in.
        let Some(current) = orders.minutes.at_mut(minute) else { return };
        for recorded in committed.events.iter() {
            match &recorded.event {
                Event::OrderAccepted { lines, .. } => {
                    counts.orders += 1;
                    for line in lines {
                        let units = u64::try_from(line.quantity).unwrap_or_default();
                        counts.units += units;
                        match current.hot.get_mut(&line.sku) {
                            Some(hot) => *hot = (hot.0 + units, hot.1 + 1),
                            None => drop(current.hot.insert(line.sku.clone(), (units, 1))),
                        }
                    }
                }
                Event::OrderRejected { .. } => counts.rejected += 1,
                Event::ItemAdded { .. }
                | Event::ItemUpdated { .. }
                | Event::ItemArchived { .. }
                | Event::LocationPut { .. }
                | Event::StockReceived { .. }
                | Event::StockAdjusted { .. }
                | Event::StockCounted { .. }
                | Event::StockTransferred { .. }
                | Event::StockUnavailable { .. }
                | Event::StockIncoming { .. }
                | Event::StockLevels { .. }
                | Event::OrderCancelled { .. }
                | Event::OrderFulfilled { .. }
                | Event::OrderReturned { .. }
                | Event::HoldPlaced { .. }
                | Event::HoldExtended { .. }
                | Event::HoldConfirmed { .. }
                | Event::HoldReleased { .. }
                | Event::HoldExpired { .. } => {}
            }
        }
        current.counts.add(counts);
        if let Some(second) = orders.seconds.at_mut(second) {
            second.add(counts);
        }
    }

    /// Notes how long a request took.
    pub fn record_latency(&self, latency: Duration) {
        self.record_latency_at(latency, clock::now());
    }

    fn record_latency_at(&self, latency: Duration, now: Timestamp) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        if let Some(spans) = locked(&self.latencies).at_mut(now.0.div_euclid(60_000_000)) {
            spans.0.saturating_record(micros);
        }
    }

    /// The figures of the last `window` (at most a day), up to and with the second of `now`.
    pub fn report(&self, window: Duration, now: Timestamp) -> StatsReport {
        let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX).clamp(1, MINUTES_KEPT as i64 * 60);
        let by_seconds = window <= SECONDS_KEPT as i64;
        let unit = if by_seconds { 1 } else { 60 };
        let end = now.0.div_euclid(1_000_000 * unit) + 1;
        let start = end - (window + unit - 1) / unit;
        let step = (end - start + POINTS_MAX - 1) / POINTS_MAX;
        let orders = locked(&self.orders);
        let latencies = locked(&self.latencies);
        let counts_at = |number: i64| match by_seconds {
            true => orders.seconds.at(number).copied().unwrap_or_default(),
            false => orders.minutes.at(number).map(|minute| minute.counts).unwrap_or_default(),
        };
        let mut all = Counts::default();
        let mut series = Vec::new();
        let mut from = start;
        while from < end {
            let to = (from + step).min(end);
            let mut counts = Counts::default();
            (from..to).for_each(|number| counts.add(counts_at(number)));
            all.add(counts);
            let seconds = (to - from) * unit;
            let spans = merged(&latencies, (from * unit).div_euclid(60), (to * unit - 1).div_euclid(60));
            let quantile = |q: f64| (!spans.is_empty()).then(|| millis(spans.value_at_quantile(q)));
            series.push(StatsPoint {
                at: Timestamp(from * unit * 1_000_000),
                orders_per_second: per_second(counts.orders, seconds),
                units_per_second: per_second(counts.units, seconds),
                rejected_per_second: per_second(counts.rejected, seconds),
                p50_ms: quantile(0.5),
                p99_ms: quantile(0.99),
            });
            from = to;
        }
        let (first_minute, last_minute) = ((start * unit).div_euclid(60), (end * unit - 1).div_euclid(60));
        let spans = merged(&latencies, first_minute, last_minute);
        StatsReport {
            window_seconds: window,
            orders_per_second: per_second(all.orders, window),
            orders: all.orders,
            rejected: all.rejected,
            units: all.units,
            latency: latency(&spans),
            hottest: orders.hottest(first_minute, last_minute),
            series,
        }
    }
}

impl Orders {
    /// When a minute is over, it keeps its hottest SKUs only.
    fn turn(&mut self, minute: i64) {
        if minute <= self.minute {
            return;
        }
        if let Some(over) = self.minutes.at_mut(self.minute)
            && over.hot.len() > HOT_SKUS_PER_MINUTE
        {
            let mut hot: Vec<_> = std::mem::take(&mut over.hot).into_iter().collect();
            hot.select_nth_unstable_by(HOT_SKUS_PER_MINUTE, |a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            hot.truncate(HOT_SKUS_PER_MINUTE);
            over.hot = hot.into_iter().collect();
        }
        self.minute = minute;
    }

    fn hottest(&self, first: i64, last: i64) -> Vec<HotSku> {
        let mut sums: HashMap<&Sku, (u64, u64)> = HashMap::new();
        for minute in (first..=last).filter_map(|number| self.minutes.at(number)) {
            for (sku, (units, orders)) in &minute.hot {
                let sum = sums.entry(sku).or_default();
                *sum = (sum.0 + units, sum.1 + orders);
            }
        }
        let mut hottest: Vec<HotSku> = sums
            .into_iter()
            .map(|(sku, (units, orders))| HotSku { sku: sku.clone(), units, orders })
            .collect();
        hottest.sort_by(|a, b| (b.units, b.orders).cmp(&(a.units, a.orders)).then_with(|| a.sku.cmp(&b.sku)));
        hottest.truncate(HOT_SKUS_REPORTED);
        hottest
    }
}

fn merged(latencies: &Ring<Spans>, first: i64, last: i64) -> Histogram<u32> {
    let mut all = Spans::default().0;
    for spans in (first..=last).filter_map(|minute| latencies.at(minute)) {
        all.add(&spans.0).expect("all histograms have the same bounds");
    }
    all
}

fn latency(spans: &Histogram<u32>) -> Latency {
    if spans.is_empty() {
        return Latency::default();
    }
    let at = |quantile| millis(spans.value_at_quantile(quantile));
    Latency { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: millis(spans.max()) }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn per_second(count: u64, seconds: i64) -> f64 {
    count as f64 / seconds as f64
}

/// Counts what is decided from now on until `shutdown` becomes true.
pub async fn run(
    stats: Arc<Stats>,
    reads: Arc<dyn Reads>,
    wake: broadcast::Receiver<Arc<Committed>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let what = "the statistics";
    let Some(head) = patiently(what, &mut shutdown, || reads.head_of_reads()).await else { return };
    let mut tail = Tail::new(what, head.position, reads, wake, shutdown);
    while let Some(committed) = tail.next().await {
        stats.apply(&committed);
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
