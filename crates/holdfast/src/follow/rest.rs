//! How followers that can wait leave the machine to the orders. While more comes than they have time for they rest
//! between two pieces of work, the less the later they are: a rush finds them late, but never later than they may be
//! for long.

use std::time::Duration;

use holdfast_domain::Timestamp;

use crate::clock;

/// Rests so many times as long as it worked, while nothing is late yet.
const FACTOR: u32 = 9;

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
        if late >= self.late_max {
            return Duration::ZERO;
        }
        let share_left = 1.0 - late.as_secs_f64() / self.late_max.as_secs_f64();
        (worked * FACTOR).mul_f64(share_left)
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
        assert_eq!(rests, [180, 90, 18, 0, 0]);
    }

    #[test]
    fn what_may_never_be_late_never_rests() {
        assert_eq!(
            Rest::new(Duration::ZERO).when_late(Duration::from_secs(1), Duration::ZERO),
            Duration::ZERO
        );
    }
}
