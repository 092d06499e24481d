//! The load: one task a connection, each asking, waiting and counting for itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use hyper::Uri;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::client::{Ask, Connection};
use super::orders::{Basket, Dice, Fate, Sent, Wish, fate, fates};
use super::shop::Shop;

/// Reads for every order in `mixed`.
pub const READS_PER_ORDER: usize = 5;
/// Accepted orders that are read back at the end.
pub const SAMPLE_MAX: usize = 1_000;
/// Significant digits of the histograms: figures are right to 1 %.
const DIGITS: u8 = 2;
/// What a connection in a closed loop waits after it was refused, or could not connect.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
/// The pacer's shortest sleep.
const PACE_MIN: Duration = Duration::from_micros(100);
/// Where there is time between requests, the pacer wakes so long before one is due and then watches the clock: a sleeper
/// wakes late, and that is not the server's time.
const WATCH: Duration = Duration::from_micros(200);
const WATCH_RATE_MAX: f64 = 500.0;

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Place orders
    Orders,
    /// Read items
    Reads,
    /// Five reads for every order
    Mixed,
}

/// What every connection knows.
pub struct Plan {
    pub mode: Mode,
    pub shop: Arc<Shop>,
    pub wish: Wish,
    /// Orders a request through the batch call; `None`: one by one.
    pub batch: Option<usize>,
    pub sample: usize,
    pub pace: Pace,
    pub live: Live,
}

/// What all connections count together: for the line a second, and the units for the books.
#[derive(Debug, Default)]
pub struct Live {
    pub requests: AtomicU64,
    pub accepted: AtomicU64,
    pub errors: AtomicU64,
    /// Units accepted of every SKU.
    pub units: Vec<AtomicI64>,
}

impl Live {
    pub fn new(skus: usize) -> Self {
        Self { units: (0..skus).map(|_| AtomicI64::new(0)).collect(), ..Self::default() }
    }

    pub fn take(&self, picks: &[u32]) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        for pick in picks {
            self.units[*pick as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// When requests begin. In a closed loop each follows the answer before it; in an open loop request n is due at n/rate,
/// whatever the server does, and its latency counts from then.
pub struct Pace {
    start: Instant,
    end: Instant,
    rate: Option<f64>,
    due: Semaphore,
    taken: AtomicU64,
}

impl Pace {
    pub fn new(start: Instant, duration: Duration, rate: Option<f64>) -> Self {
        Self { start, end: start + duration, rate, due: Semaphore::new(0), taken: AtomicU64::new(0) }
    }

    /// The time of the next request, when it has come; `None` at the end.
    async fn next(&self) -> Option<Instant> {
        match self.rate {
            None => Some(Instant::now()).filter(|now| *now < self.end),
            Some(rate) => {
                self.due.acquire().await.ok()?.forget();
                let ticket = self.taken.fetch_add(1, Ordering::Relaxed);
                Some(scheduled(self.start, rate, ticket))
            }
        }
    }

    /// Lets requests begin when they are due: in a thread of its own, because the runtime's timers count in whole
    /// milliseconds. Answers with the requests that were due and found no free connection until the end, as
    /// microseconds that they had waited by then.
    pub fn run(&self) -> Vec<u64> {
        let Some(rate) = self.rate else { return Vec::new() };
        let mut issued = 0;
        let total = ((self.end - self.start).as_secs_f64() * rate).ceil() as u64;
        loop {
            let now = Instant::now();
            let due = tickets(rate, now.saturating_duration_since(self.start)).min(total);
            self.due.add_permits(usize::try_from(due - issued).expect("tickets fit into memory"));
            issued = due;
            if now >= self.end {
                break;
            }
            let next = scheduled(self.start, rate, issued).min(self.end);
            let left = next.saturating_duration_since(Instant::now());
            if rate > WATCH_RATE_MAX {
                std::thread::sleep(left.max(PACE_MIN));
                continue;
            }
            std::thread::sleep(left.saturating_sub(WATCH));
            while Instant::now() < next {
                std::hint::spin_loop();
            }
        }
        self.due.close();
        let taken = self.taken.load(Ordering::Relaxed);
        (taken..issued).map(|ticket| micros(self.end - scheduled(self.start, rate, ticket))).collect()
    }
}

/// How many requests are due after a time; the first at once.
fn tickets(rate: f64, since: Duration) -> u64 {
    // Truncation is meant: a ticket is due when its whole time has passed.
    (since.as_secs_f64() * rate) as u64 + 1
}

fn scheduled(start: Instant, rate: f64, ticket: u64) -> Instant {
    start + Duration::from_secs_f64(ticket as f64 / rate)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Latencies in microseconds.
pub type Latencies = Histogram<u64>;

fn latencies() -> Latencies {
    Histogram::new(DIGITS).expect("two digits are a valid precision")
}

/// Histograms grow with their values; hdrhistogram's own `saturating_record` would cut a value off instead.
fn record(latencies: &mut Latencies, micros: u64) {
    latencies.record(micros).expect("a histogram that grows takes every value");
}

/// What one connection, or all of them, saw.
pub struct Tally {
    pub requests: u64,
    /// Of requests with orders that were decided or taken.
    pub orders: Latencies,
    /// Of reads.
    pub reads: Latencies,
    /// Of requests that were refused (503, 429).
    pub refused: Latencies,
    /// The same from when they were sent: what the server took to refuse, without the wait for a free connection.
    pub refusing: Latencies,
    pub accepted: u64,
    pub rejected: u64,
    /// Answers other than the good one, by status and code; orders of a batch count one by one.
    pub codes: BTreeMap<String, u64>,
    /// Orders whose fate is to be found out.
    pub doubts: Vec<(Sent, Fate)>,
    /// Some accepted orders, every one with the same chance.
    pub sample: Vec<Sent>,
    /// Requests that were due and never sent: all connections were waiting.
    pub unsent: u64,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            requests: 0,
            orders: latencies(),
            reads: latencies(),
            refused: latencies(),
            refusing: latencies(),
            accepted: 0,
            rejected: 0,
            codes: BTreeMap::new(),
            doubts: Vec::new(),
            sample: Vec::new(),
            unsent: 0,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (sum, part) in [
            (&mut self.orders, other.orders),
            (&mut self.reads, other.reads),
            (&mut self.refused, other.refused),
            (&mut self.refusing, other.refusing),
        ] {
            sum.add(part).expect("histograms that grow take every value");
        }
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        for (code, times) in other.codes {
            *self.codes.entry(code).or_default() += times;
        }
        self.doubts.extend(other.doubts);
        self.sample.extend(other.sample);
        self.unsent += other.unsent;
    }

    /// Requests that never found a free connection: they waited at least until the end.
    pub fn never_sent(&mut self, mode: Mode, waited: &[u64]) {
        self.unsent += waited.len() as u64;
        let latencies = if mode == Mode::Reads { &mut self.reads } else { &mut self.orders };
        for waited in waited {
            record(latencies, *waited);
        }
    }

    fn count(&mut self, status: impl std::fmt::Display, code: &str) {
        *self.codes.entry(format!("{status} {code}")).or_default() += 1;
    }
}

/// One connection's work, until the end.
pub async fn drive(connection: Connection, plan: Arc<Plan>) -> Tally {
    let mut worker = Worker {
        connection,
        basket: Basket::new(plan.wish),
        dice: Dice::new(),
        tally: Tally::new(),
        plan: plan.clone(),
    };
    while let Some(begin) = plan.pace.next().await {
        let read = match plan.mode {
            Mode::Orders => false,
            Mode::Reads => true,
            Mode::Mixed => worker.dice.below(READS_PER_ORDER + 1) > 0,
        };
        let refused = if read { worker.read(begin).await } else { worker.order(begin).await };
        worker.tally.requests += 1;
        plan.live.requests.fetch_add(1, Ordering::Relaxed);
        if refused && plan.pace.rate.is_none() {
            sleep(REFUSED_PAUSE).await;
        }
    }
    worker.tally
}

struct Worker {
    connection: Connection,
    basket: Basket,
    dice: Dice,
    tally: Tally,
    plan: Arc<Plan>,
}

impl Worker {
    /// Reads an item; answers whether that was refused.
    async fn read(&mut self, begin: Instant) -> bool {
        let path = self.plan.shop.paths[self.dice.below(self.plan.wish.skus)].clone();
        let sent = Instant::now();
        let answer = self.connection.send(Ask::public(path)).await;
        let took = micros(begin.elapsed());
        match answer {
            Ok(reply) if reply.status.is_success() => {
                record(&mut self.tally.reads, took);
                return false;
            }
            Ok(reply) => {
                record(&mut self.tally.refused, took);
                record(&mut self.tally.refusing, micros(sent.elapsed()));
                self.tally.count(reply.status.as_u16(), &reply.code());
            }
            Err(broken) => self.tally.count("-", broken.code()),
        }
        self.plan.live.errors.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Places one order, or a batch of them; answers whether that was refused.
    async fn order(&mut self, begin: Instant) -> bool {
        let plan = self.plan.clone();
        self.basket.fill(&mut self.dice, plan.batch.unwrap_or(1));
        let ask = match plan.batch {
            None => Ask::post(Uri::from_static("/v1/orders"), self.basket.single(&plan.shop.skus)),
            Some(_) => Ask::post(Uri::from_static("/v1/orders/batch"), self.basket.batch(&plan.shop.skus)),
        };
        let sent = Instant::now();
        let answer = self.connection.send(ask).await;
        let took = micros(begin.elapsed());
        let answered = micros(sent.elapsed());
        let ids = self.basket.ids();
        let (status, fates) = match answer {
            Ok(reply) => {
                let fates =
                    if plan.batch.is_none() { vec![fate(ids[0], &reply)] } else { fates(ids, &reply) };
                (reply.status.as_str().to_owned(), fates)
            }
            Err(broken) => ("-".to_owned(), vec![Fate::Unknown(broken.code().to_owned()); ids.len()]),
        };
        let refused =
            fates.iter().all(|fate| matches!(fate, Fate::Refused(_) | Fate::Failed(_) | Fate::Unknown(_)));
        let latencies = if refused { &mut self.tally.refused } else { &mut self.tally.orders };
        record(latencies, took);
        if refused {
            record(&mut self.tally.refusing, answered);
        }
        for (index, fate) in fates.into_iter().enumerate() {
            self.settle(index, &status, fate);
        }
        refused
    }

    fn settle(&mut self, index: usize, status: &str, fate: Fate) {
        let doubt = fate.clone();
        let live = &self.plan.live;
        match fate {
            Fate::Accepted => {
                live.take(self.basket.picks(index));
                self.tally.accepted += 1;
                self.keep(index);
                return;
            }
            Fate::Rejected(code) => {
                self.tally.rejected += 1;
                self.tally.count(status, &code);
                return;
            }
            Fate::Refused(code) | Fate::Failed(code) => self.tally.count(status, &code),
            Fate::Pending => {
                self.tally.doubts.push((self.basket.sent(index), doubt));
                self.tally.count(status, "pending");
                return;
            }
            Fate::Unknown(code) => {
                self.tally.doubts.push((self.basket.sent(index), doubt));
                self.tally.count(status, &code);
            }
        }
        live.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Reservoir sampling: every accepted order of this connection is read back with the same chance.
    fn keep(&mut self, index: usize) {
        if self.tally.sample.len() < self.plan.sample {
            self.tally.sample.push(self.basket.sent(index));
            return;
        }
        let seen = usize::try_from(self.tally.accepted).expect("orders are counted in memory");
        let place = self.dice.below(seen);
        if let Some(place) = self.tally.sample.get_mut(place) {
            *place = self.basket.sent(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Mode, Pace, Tally, scheduled, tickets};

    #[test]
    fn an_open_loop_schedules_by_the_clock_and_not_by_the_answers() {
        let start = Instant::now();
        assert_eq!(scheduled(start, 100.0, 0), start);
        assert_eq!(scheduled(start, 100.0, 250), start + Duration::from_millis(2_500));
        assert_eq!(tickets(100.0, Duration::ZERO), 1);
        assert_eq!(tickets(100.0, Duration::from_millis(99)), 10);
    }

    #[test]
    fn requests_that_no_connection_was_free_for_are_counted_with_the_time_they_waited() {
        let pace = Pace::new(Instant::now(), Duration::from_millis(50), Some(1_000.0));
        let waited = pace.run();
        assert_eq!(waited.len(), 50, "nobody took any of them");
        assert_eq!((waited[0], waited[49]), (50_000, 1_000));
    }

    #[test]
    fn a_latency_is_kept_whole_however_long_it_was() {
        let mut tally = Tally::new();
        tally.never_sent(Mode::Orders, &[15_000_000, 900]);
        assert!((14_900_000..=15_100_000).contains(&tally.orders.max()), "{}", tally.orders.max());
        assert_eq!((tally.orders.len(), tally.unsent), (2, 2));
    }

    #[tokio::test]
    async fn a_closed_loop_ends_with_its_time() {
        let now = Instant::now();
        assert!(Pace::new(now, Duration::from_secs(60), None).next().await.is_some());
        assert!(Pace::new(now, Duration::ZERO, None).next().await.is_none());
    }
}
