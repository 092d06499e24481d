//! Telling what a batch came to: first whoever waits for an answer, then those who follow the log. A worker that decides
//! on its own thread has this done by another one and goes on with the next batch meanwhile. That is no task of the
//! runtime, where it would wait behind the requests of all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use holdfast_bus::{Delivery, Undecided};
use holdfast_domain::Outcome;
use holdfast_store::Committed;
use tokio::sync::{broadcast, mpsc, oneshot};

/// What came of a batch, and what is to be announced of it.
pub struct Decided {
    pub outcomes: Result<Vec<Outcome>, Undecided>,
    pub committed: Vec<Committed>,
}

/// Settles the deliveries of a batch, and announces it.
pub fn settle(batch: Vec<Delivery>, decided: Decided, followers: &broadcast::Sender<Arc<Committed>>) {
    match decided.outcomes {
        Ok(outcomes) => {
            let mut outcomes = outcomes.into_iter();
            for delivery in batch {
                let own = outcomes.by_ref().take(delivery.commands.len()).collect();
                delivery.settle(Ok(own));
            }
        }
        Err(undecided) => {
            for delivery in batch {
                delivery.settle(Err(undecided.clone()));
            }
        }
    }
    for committed in decided.committed {
        announce(followers, committed);
    }
}

pub fn announce(followers: &broadcast::Sender<Arc<Committed>>, committed: Committed) {
    // Without followers there is nobody to wake.
    drop(followers.send(Arc::new(committed)));
}

/// The thread that settles batches, one after the other.
pub struct Answers {
    outbox: mpsc::UnboundedSender<(Vec<Delivery>, Decided)>,
    waiting: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

impl Answers {
    pub fn start(followers: broadcast::Sender<Arc<Committed>>) -> anyhow::Result<Self> {
        let (outbox, mut batches) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (end, ended) = oneshot::channel();
        let left = waiting.clone();
        let body = move || {
            while let Some((batch, decided)) = batches.blocking_recv() {
                settle(batch, decided, &followers);
                left.fetch_sub(1, Ordering::Release);
            }
            let _nobody_waits_any_more = end.send(());
        };
        thread::Builder::new()
            .name("answers".to_owned())
            .spawn(body)
            .context("a thread cannot be started")?;
        Ok(Self { outbox, waiting, ended })
    }

    /// Whether all that was given to it has been told.
    pub fn have_left(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// # Errors
    /// When the thread is gone: nobody is told any more.
    pub fn send(&self, batch: Vec<Delivery>, decided: Decided) -> anyhow::Result<()> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.outbox.send((batch, decided));
        sent.map_err(|_unsent| anyhow!("the thread that sends the answers is gone"))
    }

    /// Returns when all have left.
    pub async fn end(self) -> anyhow::Result<()> {
        let Self { outbox, waiting: _, ended } = self;
        drop(outbox);
        ended.await.context("the thread that sends the answers panicked")
    }
}
