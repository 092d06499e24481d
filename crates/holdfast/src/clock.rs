//! The one place that asks what time it is. The rules never do: they see the time of the decision.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_domain::Timestamp;

/// Now, in microseconds.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
