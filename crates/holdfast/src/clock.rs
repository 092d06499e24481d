//! The one place that asks what time it is. The rules never do: they see the time of the decision.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_domain::Timestamp;

/// Now, in microseconds.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How long ago that was; no time at all if it is still to come, by another machine's clock.
pub fn since(time: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now().0 - time.0).unwrap_or(0))
}
