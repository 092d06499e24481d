//! The end of the log, batch by batch, without gaps: from what this process commits where possible, else read from
//! the database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::Position;
use holdfast_store::{Committed, LogBatch, Reads, StoreError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::rest::{RUSH_LOOK, Rush};

/// How long a follower may be behind when nobody wakes it.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the log that are read at once.
const READ_BYTES_MAX: usize = 512 << 10;
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
    /// From the first question on: one that nobody asks would keep what it is told for ever.
    rush: Option<Rush>,
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
            rush: None,
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

    /// Whether orders come in numbers.
    pub fn is_rush(&mut self) -> bool {
        if self.rush.is_none() {
            self.rush = self.wake.as_ref().map(|wake| Rush::new(wake.resubscribe()));
        }
        self.rush.as_mut().is_some_and(Rush::goes_on)
    }

    /// Leaves the machine to the orders for so long, or until they no longer rush in. What comes during a long rest is
    /// read from the log later and not kept in memory until then. False when it is time to stop.
    pub async fn rest(&mut self, length: Duration) -> bool {
        let end = Instant::now() + length;
        while self.is_rush() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if !pause(left.min(RUSH_LOOK), &mut self.shutdown).await {
                return false;
            }
            if length > RUSH_LOOK {
                self.forget_woken();
            }
        }
        true
    }

    /// Takes out what lies in the wake-up channel and forgets it.
    fn forget_woken(&mut self) {
        if let Some(wake) = self.wake.as_mut().filter(|wake| !wake.is_empty()) {
            *wake = wake.resubscribe();
            self.behind = true;
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

#[cfg(test)]
mod tests {
    use super::super::testing::Shop;
    use super::*;

    /// What a wake-up says of a log that has come so far.
    fn hint(last: u64) -> Arc<Committed> {
        let decided_at = holdfast_domain::Timestamp(0);
        Arc::new(Committed {
            first: Position(last + 1),
            last: Position(last),
            decided_at,
            events: Arc::default(),
        })
    }

    async fn tail(shop: &Shop, told: &broadcast::Sender<Arc<Committed>>) -> (Tail, watch::Sender<bool>) {
        let (stop, stopped) = watch::channel(false);
        let tail = Tail::new("a test", Position(0), shop.database.reads.clone(), told.subscribe(), stopped);
        (tail, stop)
    }

    #[tokio::test]
    async fn a_rest_lasts_while_orders_rush_in_and_ends_with_the_rush() {
        let shop = Shop::open().await;
        let told = broadcast::channel(16).0;
        let (mut tail, _stop) = tail(&shop, &told).await;
        let (begun, mut over) = (Instant::now(), None);
        let rush = async {
            for last in 1..=100 {
                drop(told.send(hint(last * 1_000)));
                sleep(Duration::from_millis(5)).await;
            }
            over = Some(Instant::now());
        };
        let rest = async {
            // At first nobody knows that there is a rush.
            while !tail.is_rush() {
                sleep(Duration::from_millis(5)).await;
            }
            assert!(tail.rest(Duration::from_secs(60)).await);
            Instant::now()
        };
        let ((), ended) = tokio::join!(rush, rest);
        let over = over.expect("the rush is over");
        assert!(ended >= over, "it rested for {:?} of {:?}", ended - begun, over - begun);
        assert!(ended - over < Duration::from_secs(30), "it went on when the rush was over");
        let next = tail.next().await.expect("what it missed is in the log");
        assert_eq!(next.first, Position(1));
    }

    #[tokio::test]
    async fn what_was_yielded_is_kept_by_nobody() {
        let shop = Shop::open().await;
        let told = broadcast::channel(16).0;
        let (mut tail, _stop) = tail(&shop, &told).await;
        let added = shop.run([super::super::testing::item("A", "Titan", "Edge", 1000, 5)]).await;
        while tail.next().await.expect("the log").last < added.last {}
        let (first, last) = (added.last.plus(1), added.last.plus(added.events.len()));
        let committed = Arc::new(Committed { first, last, ..added });
        let seen = Arc::downgrade(&committed);
        drop(told.send(committed));
        let yielded = tail.next().await.expect("what was told");
        assert!(std::ptr::eq(seen.as_ptr(), Arc::as_ptr(&yielded)));
        drop(yielded);
        assert!(seen.upgrade().is_none(), "the batch is still in memory");
    }

    #[tokio::test]
    async fn without_a_rush_there_is_no_rest() {
        let shop = Shop::open().await;
        let told = broadcast::channel(16).0;
        let (mut tail, _stop) = tail(&shop, &told).await;
        sleep(RUSH_LOOK).await;
        drop(told.send(hint(1)));
        let begun = Instant::now();
        assert!(tail.rest(Duration::from_secs(60)).await);
        assert!(begun.elapsed() < Duration::from_secs(30), "one event is no rush");
    }
}
