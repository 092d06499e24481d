//! How followers that can wait leave the machine to the orders. While more comes than they have time for they rest
//! between two pieces of work, the less the later they are: a rush finds them late, but never later than they may be
//! for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::{Position, Timestamp};
use holdfast_store::Committed;
use tokio::sync::broadcast;

use crate::clock;

/// How often to look at what came while resting.
pub(super) const RUSH_LOOK: Duration = Duration::from_millis(50);
/// From so many events a second on, orders rush in.
const RUSH_RATE: f64 = 1_000.0;
/// Fewer are no rush, however quickly they came; and a rush is over so many events' time after it ended: what comes in
/// large batches comes seldom.
const RUSH_EVENTS: f64 = 50.0;
const RUSH_EVENTS_MAX: f64 = 500.0;
/// Rests so many times as long as it worked, while nothing is late yet: what is published in a rush costs the orders more
/// than it is worth, for most of it comes late then whatever is done.
const FACTOR: u32 = 49;

/// When to rest, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    late_max: Duration,
}

impl Rest {
    /// What is later than `late_max` is worked off without a rest; zero: no rest at all.
    pub fn new(late_max: Duration) -> Self {
        Self { late_max }
    }

    /// How long to rest after a piece of work that took so long, the last of which was decided at `decided_at`.
    pub fn after(self, worked: Duration, decided_at: Timestamp) -> Duration {
        self.when_late(worked, clock::since(decided_at))
    }

    fn when_late(self, worked: Duration, late: Duration) -> Duration {
        let left = self.late_max.saturating_sub(late);
        if left.is_zero() {
            return Duration::ZERO;
        }
        (worked * FACTOR).mul_f64(left.div_duration_f64(self.late_max)).min(left)
    }
}

/// Whether orders come in numbers, by what is told of them: a bucket that what comes fills and time empties.
pub(super) struct Rush {
    news: broadcast::Receiver<Arc<Committed>>,
    looked_at: Instant,
    /// How far the log had come by then, as far as it was told.
    seen: Option<Position>,
    /// Events that came and whose time, at the rate of a rush, has not passed yet.
    level: f64,
}

impl Rush {
    pub(super) fn new(news: broadcast::Receiver<Arc<Committed>>) -> Self {
        Self { news, looked_at: Instant::now(), seen: None, level: 0.0 }
    }

    /// Takes in what was told, and says how it stands.
    pub(super) fn goes_on(&mut self) -> bool {
        self.goes_on_at(Instant::now())
    }

    fn goes_on_at(&mut self, now: Instant) -> bool {
        let mut new = 0;
        loop {
            match self.news.try_recv() {
                Ok(committed) => {
                    let seen = self.seen.unwrap_or(Position(committed.first.0.saturating_sub(1)));
                    new += committed.last.0.saturating_sub(seen.0);
                    self.seen = Some(seen.max(committed.last));
                }
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => break,
            }
        }
        let gone = now.saturating_duration_since(self.looked_at).as_secs_f64() * RUSH_RATE;
        self.looked_at = now;
        self.level = (self.level + new as f64 - gone).clamp(0.0, RUSH_EVENTS_MAX);
        self.level >= RUSH_EVENTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_it_is_the_shorter_the_rest() {
        let rest = Rest::new(Duration::from_secs(10));
        let worked = Duration::from_millis(20);
        let rests =
            [0, 5, 9, 10, 60].map(|late| rest.when_late(worked, Duration::from_secs(late)).as_millis());
        assert_eq!(rests, [980, 490, 98, 0, 0]);
    }

    /// Tells of a batch of so many events that ends at `last`.
    fn tell(told: &broadcast::Sender<Arc<Committed>>, last: u64, events: u64) {
        let first = Position(last + 1 - events);
        let batch =
            Committed { first, last: Position(last), decided_at: Timestamp(0), events: Arc::default() };
        drop(told.send(Arc::new(batch)));
    }

    #[test]
    fn a_rush_goes_on_between_large_batches_and_not_for_long_after_them() {
        let told = broadcast::Sender::new(16);
        let mut rush = Rush::new(told.subscribe());
        let begun = rush.looked_at;
        let after = |millis| begun + Duration::from_millis(millis);
        assert!(!rush.goes_on_at(after(0)), "nothing came");
        for number in 1..=5 {
            tell(&told, number * 1_000, 1_000);
            assert!(rush.goes_on_at(after(number * 100)), "after batch {number}");
            assert!(rush.goes_on_at(after(number * 100 + 99)), "a tenth of a second after batch {number}");
        }
        assert!(!rush.goes_on_at(after(1_000)), "it is over");
        // Seldom asked.
        tell(&told, 100_000, 1_000);
        assert!(rush.goes_on_at(after(6_000)), "95,000 in five seconds");
        tell(&told, 100_900, 900);
        assert!(!rush.goes_on_at(after(8_000)), "900 in two seconds");
    }

    #[test]
    fn a_few_events_now_and_then_are_no_rush() {
        let told = broadcast::Sender::new(16);
        let mut rush = Rush::new(told.subscribe());
        let begun = rush.looked_at;
        for last in 1..=50 {
            tell(&told, last, 1);
            let at = begun + Duration::from_millis(20 * last);
            assert!(!rush.goes_on_at(at), "after {last}");
        }
    }

    #[test]
    fn no_rest_makes_it_later_than_it_may_be() {
        let rest = Rest::new(Duration::from_secs(10));
        let rests = [0, 4].map(|late| rest.when_late(Duration::from_secs(1), Duration::from_secs(late)));
        assert_eq!(rests, [10, 6].map(Duration::from_secs));
    }

    #[test]
    fn what_may_never_be_late_never_rests() {
        assert_eq!(
            Rest::new(Duration::ZERO).when_late(Duration::from_secs(1), Duration::ZERO),
            Duration::ZERO
        );
    }
}
