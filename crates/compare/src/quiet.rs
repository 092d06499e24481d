//! Waits until the machine is idle, so that a measurement does not pay for what the one before it left to do.

use std::time::{Duration, Instant};

/// As much of all processors as may be busy.
const BUSY_MAX: f64 = 0.08;
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Busy and all time of the processors since the machine started, in ticks.
fn ticks() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let numbers: Vec<f64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    let all: f64 = numbers.iter().sum();
    // Idle, and waiting for the disk.
    Some((all - numbers.get(3)? - numbers.get(4)?, all))
}

/// Has the system write out what it holds back; else it does so within the next half minute, beside measured syncs.
async fn write_out() {
    if let Err(why) = tokio::process::Command::new("sync").status().await {
        eprintln!("  sync: {why}; what the system holds back is written out while others are measured");
    }
}

/// Returns when the machine is idle, or after `wait_max`; says what part of it is still busy then.
pub async fn wait(wait_max: Duration) -> Option<f64> {
    let end = Instant::now() + wait_max;
    write_out().await;
    let mut before = ticks()?;
    loop {
        tokio::time::sleep(LOOK_PERIOD).await;
        let now = ticks()?;
        let busy = (now.0 - before.0) / (now.1 - before.1).max(1.0);
        if busy <= BUSY_MAX {
            return None;
        }
        if Instant::now() >= end {
            return Some(busy);
        }
        before = now;
    }
}
