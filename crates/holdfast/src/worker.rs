//! Orders, items, stock: one loop, three queues. While a batch is being committed the next one gathers; when it
//! returns, all that has gathered goes, up to a limit. No timers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_bus::{Consumer, Delivery, NotTaken};
use holdfast_domain::{Command, CommandQueue, Outcome, Rejection};
use holdfast_store::{Committed, Database, Store, StoreError, plan};
use tokio::sync::{broadcast, watch};

use crate::clock;
use crate::gateway::metrics::Metrics;
use crate::lifecycle::told;
use crate::monitor::Beat;

/// Commands in one transaction at most. Items and stock take short turns so that orders need not wait for them.
pub fn batch_commands_max(queue: CommandQueue) -> usize {
    match queue {
        CommandQueue::Orders => 1_000,
        CommandQueue::Items | CommandQueue::Stock => 200,
    }
}

/// How often a batch is tried again while the database is out of reach, before its callers are told.
const TRIES_MAX: u32 = 3;
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// How often an idle worker shows that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How often outcomes, sessions and idempotency keys that are out of date are deleted, and how many at a time.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_OUTCOMES_MAX: usize = 10_000;
/// How often due holds are looked for on SKUs that nobody orders.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

pub struct Worker {
    pub queue: CommandQueue,
    pub consumer: Consumer,
    pub store: Arc<dyn Store>,
    /// Wakes the followers, and hands them what was committed.
    pub committed: broadcast::Sender<Arc<Committed>>,
    pub metrics: Arc<Metrics>,
    pub beat: Beat,
}

impl Worker {
    /// Works until every publisher is gone or `drain` says that no more will come; what waits is still decided.
    pub async fn run(mut self, mut drain: watch::Receiver<bool>) -> anyhow::Result<()> {
        let limit = batch_commands_max(self.queue);
        let mut beats = tokio::time::interval(BEAT_EVERY);
        let mut draining = false;
        loop {
            let batch = tokio::select! {
                batch = self.consumer.batch(limit) => batch,
                _ = beats.tick() => {
                    self.beat.now();
                    continue;
                }
                () = told(&mut drain), if !draining => {
                    draining = true;
                    self.consumer.close();
                    continue;
                }
            };
            let Some(batch) = batch else { return Ok(()) };
            self.work_off(batch).await?;
            self.beat.now();
        }
    }

    async fn work_off(&self, batch: Vec<Delivery>) -> anyhow::Result<()> {
        let commands: Vec<Command> = match batch.as_slice() {
            [only] => only.commands.as_ref().clone(),
            several => several.iter().flat_map(|delivery| delivery.commands.iter().cloned()).collect(),
        };
        match self.decide(commands).await? {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for delivery in batch {
                    let own = outcomes.by_ref().take(delivery.commands.len()).collect();
                    delivery.settle(Ok(own));
                }
            }
            Err(not_taken) => {
                for delivery in batch {
                    delivery.settle(Err(not_taken.clone()));
                }
            }
        }
        Ok(())
    }

    /// Decides commands; where one of them makes the transaction fail for good, finds it by halving and decides its
    /// neighbours.
    async fn decide(&self, commands: Vec<Command>) -> anyhow::Result<Result<Vec<Outcome>, NotTaken>> {
        let commands = Arc::new(commands);
        let mut outcomes = Vec::with_capacity(commands.len());
        let whole = 0..commands.len();
        let mut parts = Vec::from([whole]);
        while let Some(part) = parts.pop() {
            let slice = if part.len() == commands.len() {
                commands.clone()
            } else {
                Arc::new(commands[part.clone()].to_vec())
            };
            match self.execute(slice).await {
                Ok(decided) => outcomes.extend(decided),
                // Nothing of this part was committed; parts before it are remembered by id when they come again.
                Err(error) if error.is_transient() => {
                    tracing::warn!(queue = ?self.queue, %error, "the database takes no writes");
                    return Ok(Err(NotTaken::Unavailable(error.to_string())));
                }
                Err(error @ (StoreError::Damaged(_) | StoreError::Newer { .. } | StoreError::Closed)) => {
                    return Err(error.into());
                }
                Err(error) if part.len() == 1 => {
                    let command = &commands[part.start];
                    tracing::error!(%error, id = %command.id, kind = command.body.kind(), "a command cannot be processed");
                    let head = self.store.head().await?;
                    outcomes.push(Outcome {
                        id: command.id,
                        position: head.position,
                        replayed: false,
                        result: Err(Rejection::NotProcessable { detail: error.to_string() }),
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, commands = part.len(), "a batch fails; trying its halves");
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
            }
        }
        Ok(Ok(outcomes))
    }

    async fn execute(&self, commands: Arc<Vec<Command>>) -> Result<Vec<Outcome>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let started = Instant::now();
            match self.store.execute(clock::now(), commands.clone()).await {
                Ok(executed) => {
                    self.metrics.batch(commands.len(), started.elapsed());
                    self.metrics.decided(&executed.outcomes);
                    announce(&self.committed, executed.committed);
                    return Ok(executed.outcomes);
                }
                Err(error @ StoreError::Transient(_)) if tries < TRIES_MAX => {
                    tracing::debug!(%error, tries, "trying a batch again");
                    tokio::time::sleep(RETRY_WAIT * tries).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn announce(sender: &broadcast::Sender<Arc<Committed>>, committed: Option<Committed>) {
    if let Some(committed) = committed {
        // Without followers there is nobody to wake.
        drop(sender.send(Arc::new(committed)));
    }
}

/// Ends holds that are due on SKUs which nobody touches: within half a second of their time.
pub async fn sweep(
    database: Database,
    committed: broadcast::Sender<Arc<Committed>>,
    mut drain: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let store = &database.store;
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    let mut pruned = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = told(&mut drain) => return Ok(()),
        }
        let now = clock::now();
        let due = match store.next_expiry().await {
            Ok(next) => next.is_some_and(|next| next <= now),
            Err(error) => {
                tracing::warn!(%error, "due holds could not be looked up");
                continue;
            }
        };
        if due {
            match store.execute(now, Arc::new(vec![plan::sweep()])).await {
                Ok(executed) => announce(&committed, executed.committed),
                Err(error) => tracing::warn!(%error, "due holds could not be ended"),
            }
        }
        if pruned.elapsed() > PRUNE_EVERY {
            pruned = Instant::now();
            let outcomes = store.prune_outcomes(now, PRUNE_OUTCOMES_MAX).await.map(drop);
            if let Err(error) = outcomes.and(database.accounts.prune_accounts(now).await) {
                tracing::warn!(%error, "what is out of date could not be pruned");
            }
        }
    }
}
