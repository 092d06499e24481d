//! How followers that can wait leave the machine to the orders. While more comes than they have time for they rest
//! between two pieces of work, the less the later they are: a rush finds them late, but never later than they may be
//! for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::{Position, Timestamp};
use holdfast_store::Committed;
use tokio::sync::broadcast;

use crate::clock;

/// How long to count what comes, and how many events within that are a rush.
pub(super) const RUSH_LOOK: Duration = Duration::from_millis(50);
const RUSH_EVENTS: u64 = 50;
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

/// Whether orders come in numbers, by what is told of them.
pub(super) struct Rush {
    news: broadcast::Receiver<Arc<Committed>>,
    looked_at: Instant,
    /// How far the log had come by then, as far as it was told.
    seen: Option<Position>,
    newest: Option<Position>,
    goes_on: bool,
}

impl Rush {
    pub(super) fn new(news: broadcast::Receiver<Arc<Committed>>) -> Self {
        Self { news, looked_at: Instant::now(), seen: None, newest: None, goes_on: false }
    }

    /// Takes in what was told, and looks again once it is time to; until then it is what the last look said.
    pub(super) fn goes_on(&mut self) -> bool {
        loop {
            match self.news.try_recv() {
                Ok(committed) => self.newest = self.newest.max(Some(committed.last)),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => break,
            }
        }
        let elapsed = self.looked_at.elapsed();
        if elapsed >= RUSH_LOOK {
            self.goes_on = match (self.seen, self.newest) {
                (Some(Position(seen)), Some(Position(newest))) => {
                    (newest - seen) as f64 / RUSH_EVENTS as f64 >= elapsed.div_duration_f64(RUSH_LOOK)
                }
                (None, newest) => newest.is_some(),
                (Some(_), None) => false,
            };
            (self.looked_at, self.seen) = (Instant::now(), self.newest);
        }
        self.goes_on
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
