//! The testbed against the real servers. One binary, so that all tests share one RabbitMQ.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its body does")]

mod disk;
mod haproxy;
mod nothing_left;
mod postgres;
mod process;
mod prometheus;
mod proxy;
mod rabbit;
mod redis;

use std::time::Duration;

/// Generous: the machine may be compiling at the same time.
const SOON: Duration = Duration::from_secs(30);
