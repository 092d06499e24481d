//! Keeps "nothing was oversold" a measured and dated fact: replays the log behind the head with arithmetic of its own
//! ([`crate::verify::books`]) and checks the hash chain as it goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::{Position, Timestamp};
use holdfast_store::{Committed, Reads};
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::rest::Rush;
use super::tail::{patiently, pause};
use crate::clock;
use crate::verify::chain::Chain;

/// Bytes of the log that are checked in one go.
const SLICE_BYTES_MAX: usize = 256 << 10;
/// What is old can wait: after a slice the audit pauses for so many times as long as that took; longer while orders rush
/// in.
const PAUSE_FACTOR: u32 = 4;
const RUSH_PAUSE_FACTOR: u32 = 24;
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// How often the end of the log is looked at, at most, and how often when nobody tells of anything new.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(250);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the audit knows, for the health board.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuditReport {
    /// Promises beyond what was available.
    pub oversold: u64,
    /// Up to here everything was checked.
    pub verified_position: Position,
    /// When that was the end of the log, as far as it was read; `null` before the first time.
    pub verified_at: Option<Timestamp>,
    /// The first thing found wrong, a sentence. The audit stops at damage; an oversell is counted and it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// The shared state of the audit.
#[derive(Default)]
pub struct Audit(Mutex<AuditReport>);

impl Audit {
    pub fn report(&self) -> AuditReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut AuditReport)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Replays from the beginning, in slices with pauses between them, and then what comes, until `shutdown` becomes true.
pub async fn run(
    audit: Arc<Audit>,
    reads: Arc<dyn Reads>,
    mut wake: broadcast::Receiver<Arc<Committed>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut chain = Chain::new();
    let mut rush = Rush::new(wake.resubscribe());
    loop {
        // The log is read anyway: what this end of the channel does not take up must not stay in memory for it.
        wake = wake.resubscribe();
        let position = chain.position();
        let started = std::time::Instant::now();
        let batches = patiently("the audit", &mut shutdown, || reads.log(position, SLICE_BYTES_MAX)).await;
        let Some(batches) = batches else { return };
        let at_the_end = batches.is_empty();
        for batch in &batches {
            if let Err(difference) = chain.check(batch, |_, _, _| Ok(())) {
                tracing::error!(%difference, "the audit found the log damaged; run `holdfast verify`");
                audit.change(|report| report.finding = Some(difference.to_string()));
                super::tail::stopped(&mut shutdown).await;
                return;
            }
            tokio::task::yield_now().await;
        }
        audit.change(|report| {
            if report.oversold < chain.books.oversold() {
                let what = chain.books.first_oversold().unwrap_or_default();
                tracing::error!(first = what, "the audit found that more was promised than there was");
                report.finding = Some(what.to_owned());
            }
            report.oversold = chain.books.oversold();
            report.verified_position = chain.position();
            if at_the_end {
                report.verified_at = Some(clock::now());
            }
        });
        let factor = if rush.goes_on() { RUSH_PAUSE_FACTOR } else { PAUSE_FACTOR };
        let wait = if at_the_end { LOOK_PAUSE_MIN } else { (started.elapsed() * factor).max(PAUSE_MIN) };
        if !pause(wait, &mut shutdown).await {
            return;
        }
        if at_the_end {
            let news = tokio::time::timeout(LOOK_PAUSE_MAX - LOOK_PAUSE_MIN, news(&mut wake));
            tokio::select! {
                () = super::tail::stopped(&mut shutdown) => return,
                _ = news => {}
            }
        }
    }
}

/// Waits for a commit in this process; what it is the log will tell.
async fn news(wake: &mut broadcast::Receiver<Arc<Committed>>) {
    match wake.recv().await {
        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
