//! The end of the log, batch by batch, without gaps: from what this process commits where possible, else read from
//! the database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::Position;
use holdfast_store::{Committed, LogBatch, Reads, StoreError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a follower may be behind when nobody wakes it.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the log that are read at once.
const READ_BYTES_MAX: usize = 2 << 20;
/// Batches that are taken in ahead of their use.
const READY_MAX: usize = 1_000;
/// The longest pause between attempts when the database cannot be read.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Whether a stop was asked for, or whoever could ask is gone.
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process is going down.
    drop(shutdown.wait_for(|stop| *stop).await);
}

/// Sleeps unless the stop comes first; says whether to go on.
pub async fn pause(duration: Duration, shutdown: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = stopped(shutdown) => false,
        () = sleep(duration) => true,
    }
}

/// Reads until it works or the stop comes (`None`), with growing pauses. `what` names the reader in the log.
pub async fn patiently<T, F>(
    what: &str,
    shutdown: &mut watch::Receiver<bool>,
    mut read: impl FnMut() -> F,
) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = Duration::from_millis(100);
    loop {
        match read().await {
            Ok(value) => return Some(value),
            Err(error) => tracing::warn!(%error, "{what} cannot read or write the database; trying again"),
        }
        if !pause(wait, shutdown).await {
            return None;
        }
        wait = (wait * 2).min(RETRY_PAUSE_MAX);
    }
}

/// Follows the log from a position.
pub struct Tail {
    what: &'static str,
    reads: Arc<dyn Reads>,
    /// `None` once the other end is gone: then only the poll finds what is new.
    wake: Option<broadcast::Receiver<Arc<Committed>>>,
    shutdown: watch::Receiver<bool>,
    position: Position,
    read: VecDeque<Arc<Committed>>,
    /// Surely more in the log than was read.
    behind: bool,
    poll_at: Instant,
}

impl Tail {
    /// Yields what comes after `position`. `what` names the follower in messages.
    pub fn new(
        what: &'static str,
        position: Position,
        reads: Arc<dyn Reads>,
        wake: broadcast::Receiver<Arc<Committed>>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let read = VecDeque::new();
        Self {
            what,
            reads,
            wake: Some(wake),
            shutdown,
            position,
            read,
            behind: true,
            poll_at: Instant::now(),
        }
    }

    /// The next batch; `None` when it is time to stop.
    pub async fn next(&mut self) -> Option<Arc<Committed>> {
        loop {
            if *self.shutdown.borrow() {
                return None;
            }
            if let Some(committed) = self.read.pop_front() {
                self.position = committed.last;
                return Some(committed);
            }
            if self.behind {
                self.read_log().await?;
                continue;
            }
            match self.wait().await? {
                Some(committed) if committed.last <= self.position => {}
                Some(committed) if follows(&committed, self.position) => {
                    // As long as nothing is missing between what comes, there is nothing to look for.
                    self.poll_at = Instant::now() + POLL_INTERVAL;
                    self.read.push_back(committed);
                }
                // A gap, a bare wake-up, or a second without news.
                Some(_) | None => self.behind = true,
            }
        }
    }

    /// The next batch if it was read already and has at most `events_max` events; never waits.
    pub fn ready(&mut self, events_max: usize) -> Option<Arc<Committed>> {
        self.take_woken();
        if self.read.front()?.events.len() > events_max {
            return None;
        }
        let committed = self.read.pop_front()?;
        self.position = committed.last;
        Some(committed)
    }

    /// Takes in what lies in the wake-up channel, as long as it follows without a gap.
    fn take_woken(&mut self) {
        while !self.behind && self.read.len() < READY_MAX {
            let Some(woken) = self.wake.as_mut().map(broadcast::Receiver::try_recv) else { return };
            let end = self.read.back().map_or(self.position, |committed| committed.last);
            match woken {
                Ok(committed) if committed.last <= end => {}
                Ok(committed) if follows(&committed, end) => self.read.push_back(committed),
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::TryRecvError::Empty) => return,
                Err(broadcast::error::TryRecvError::Closed) => self.wake = None,
            }
        }
    }

    /// A wake-up, or `None` inside when it is time to look; `None` outside at the stop.
    async fn wait(&mut self) -> Option<Option<Arc<Committed>>> {
        let woken = async {
            match &mut self.wake {
                Some(wake) => wake.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut self.shutdown) => None,
            woken = woken => Some(match woken {
                Ok(committed) => Some(committed),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => {
                    self.wake = None;
                    None
                }
            }),
            () = sleep_until(self.poll_at) => Some(None),
        }
    }

    async fn read_log(&mut self) -> Option<()> {
        let (reads, position) = (self.reads.clone(), self.position);
        let (batches, bytes) = patiently(self.what, &mut self.shutdown, || async {
            let batches = reads.log(position, READ_BYTES_MAX).await?;
            let bytes: usize = batches.iter().map(|batch| batch.payload.len()).sum();
            Ok((batches.iter().map(committed).collect::<Result<Vec<_>, _>>()?, bytes))
        })
        .await?;
        self.poll_at = Instant::now() + POLL_INTERVAL;
        // A short answer came from the end of the log: what was committed since then is told, or leaves a gap. Reading
        // on until nothing comes would go on for as long as orders come.
        self.behind = bytes >= READ_BYTES_MAX / 2 || (self.wake.is_none() && !batches.is_empty());
        let mut expected = self.position;
        for batch in batches {
            if !follows(&batch, expected) {
                tracing::error!(
                    "{}: the log has a hole: after position {expected} comes the batch {}..{}; run `holdfast verify`",
                    self.what,
                    batch.first,
                    batch.last
                );
                // Going on would show wrong figures as right ones: wait for somebody to mend it.
                self.behind = false;
                return pause(RETRY_PAUSE_MAX, &mut self.shutdown).await.then_some(());
            }
            expected = batch.last;
            self.read.push_back(Arc::new(batch));
        }
        Some(())
    }
}

fn follows(committed: &Committed, position: Position) -> bool {
    committed.first == position.plus(1)
        && committed.last == position.plus(committed.events.len())
        && !committed.events.is_empty()
}

/// A batch of the log in the form in which workers hand it over.
pub fn committed(batch: &LogBatch) -> Result<Committed, StoreError> {
    let events = Arc::new(batch.events()?);
    Ok(Committed { first: batch.first, last: batch.last, decided_at: batch.decided_at, events })
}
