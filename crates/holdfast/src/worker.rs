//! Orders, items, stock: one loop, three queues. While a batch is being committed the next one gathers; when it
//! returns, all that has gathered goes, up to a limit. No timers.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use holdfast_bus::{Consumer, Delivery, NotTaken, Undecided};
use holdfast_domain::{Command, CommandQueue, Outcome, Rejection};
use holdfast_store::{Committed, Database, Executed, Reads, Store, StoreError, WarmUp, plan};
use tokio::sync::{broadcast, watch};

use crate::answers::{Answers, Decided, announce, settle};
use crate::clock;
use crate::gateway::metrics::Metrics;
use crate::instance::Beat;
use crate::lifecycle::told;

/// Commands in one transaction at most. Items and stock take short turns so that orders need not wait for them.
pub fn batch_commands_max(queue: CommandQueue) -> usize {
    match queue {
        CommandQueue::Orders => 1_000,
        CommandQueue::Items | CommandQueue::Stock => 200,
    }
}

/// So many envelopes are answered by a worker that decides on its own thread: to hand them over would take longer.
const AT_ONCE_MAX: usize = 2;

/// How often a batch is tried again while the database is out of reach, before its callers are told.
const TRIES_MAX: u32 = 3;
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// The longest wait between tries of commands that the broker keeps until they are settled.
const PATIENT_WAIT_MAX: Duration = Duration::from_secs(2);
/// Deliveries that came back this often are decided one command at a time: one that kills its worker then takes no
/// neighbours along.
const SUSPECT_DELIVERIES: u32 = 2;
/// After this many, the command that its worker never survived is put aside.
const CULPRIT_DELIVERIES: u32 = 6;
/// How often an idle worker shows that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How often outcomes, sessions and idempotency keys that are out of date are looked for, and how many outcomes are deleted
/// at a time: small batches between two looks for due holds, until no more are left.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_OUTCOMES_MAX: usize = 2_000;
/// How often due holds are looked for on SKUs that nobody orders.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// How long putting items at hand rests at least, and how many times as long as it worked.
const WARM_REST_MIN: Duration = Duration::from_secs(1);
const WARM_REST_TIMES: u32 = 20;

pub struct Worker {
    pub queue: CommandQueue,
    pub consumer: Consumer,
    /// Whether nothing else runs on its thread, so that it may block it.
    pub has_own_thread: bool,
    pub store: Arc<dyn Store>,
    /// Knows what became of commands that come again.
    pub reads: Arc<dyn Reads>,
    /// Wakes the followers, and hands them what was committed.
    pub committed: broadcast::Sender<Arc<Committed>>,
    pub metrics: Arc<Metrics>,
    pub beat: Beat,
}

impl Worker {
    /// Works until every publisher is gone or `drain` says that no more will come; what waits is still decided.
    pub async fn run(self, mut drain: watch::Receiver<bool>) -> anyhow::Result<()> {
        let Self { queue, mut consumer, has_own_thread, store, reads, committed, metrics, beat } = self;
        let answers = (has_own_thread && store.decides_here()).then(|| Answers::start(committed.clone()));
        let answers = answers.transpose()?;
        let mut desk =
            Desk { queue, answers, store, reads, committed, metrics, beat, stopping: drain.clone() };
        let worked = desk.work(&mut consumer, &mut drain).await;
        if let Some(answers) = desk.answers.take() {
            answers.end().await?;
        }
        worked
    }
}

/// Whether it came back so often that it may be what its workers died of.
fn is_suspect(delivery: &Delivery) -> bool {
    delivery.delivery_count >= SUSPECT_DELIVERIES
}

/// What is said of commands that the database did not take. Its own words are for the log.
fn undecided(nothing_done: bool) -> Undecided {
    if nothing_done {
        NotTaken::Unavailable("the database takes no writes now".to_owned()).into()
    } else {
        Undecided::InDoubt("the database broke off while it was written".to_owned())
    }
}

/// A batch in the hands of the database.
type Deciding<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Decided>> + Send + 'a>>;

/// Envelopes that are decided together.
struct Batch {
    deliveries: Vec<Delivery>,
    commands: Arc<Vec<Command>>,
}

impl Batch {
    fn new(deliveries: Vec<Delivery>) -> Self {
        let commands = match deliveries.as_slice() {
            [only] => only.commands.clone(),
            several => {
                Arc::new(several.iter().flat_map(|delivery| delivery.commands.iter().cloned()).collect())
            }
        };
        Self { deliveries, commands }
    }

    fn has_suspects(&self) -> bool {
        self.deliveries.iter().any(is_suspect)
    }
}

/// All of a worker but the end that commands come out of.
struct Desk {
    queue: CommandQueue,
    /// Of a worker that decides on its own thread.
    answers: Option<Answers>,
    store: Arc<dyn Store>,
    reads: Arc<dyn Reads>,
    committed: broadcast::Sender<Arc<Committed>>,
    metrics: Arc<Metrics>,
    beat: Beat,
    stopping: watch::Receiver<bool>,
}

impl Desk {
    async fn work(&self, consumer: &mut Consumer, drain: &mut watch::Receiver<bool>) -> anyhow::Result<()> {
        let limit = batch_commands_max(self.queue);
        let mut may_strike = true;
        let mut beats = tokio::time::interval(BEAT_EVERY);
        let mut draining = false;
        let mut waiting = None;
        loop {
            if !draining && *drain.borrow() {
                draining = true;
                consumer.close();
            }
            let batch = match waiting.take() {
                Some(batch) => batch,
                None => tokio::select! {
                    batch = consumer.batch(limit) => match batch {
                        Some(batch) => batch,
                        None => return Ok(()),
                    },
                    _ = beats.tick() => {
                        self.beat.now();
                        continue;
                    }
                    () = told(drain), if !draining => continue,
                },
            };
            if batch.iter().any(is_suspect) {
                self.carefully(batch, &mut may_strike).await?;
            } else {
                waiting = self.work_off(Batch::new(batch), consumer, limit).await?;
            }
            // Whoever comes again later was alive beside this process, not killed by a command that it has.
            may_strike = false;
            self.beat.now();
        }
    }

    /// Decides batch after batch as long as commands wait, and none waits for the answers to the one before it. Returns a
    /// batch that is not for this, if there is one.
    async fn work_off(
        &self,
        mut batch: Batch,
        consumer: &mut Consumer,
        limit: usize,
    ) -> anyhow::Result<Option<Vec<Delivery>>> {
        let mut deciding = self.begin(&batch).await;
        loop {
            let mut foreseen = None;
            if self.store.plans_ahead() && !self.is_stopping() {
                tokio::select! {
                    biased;
                    decided = &mut deciding => deciding = Box::pin(std::future::ready(decided)),
                    // A full batch gains nothing by waiting: it is planned while the one before is written.
                    full = consumer.full(limit) => {
                        let next = Batch::new(full);
                        if !next.has_suspects() {
                            // Both go on together: what is decided may wait for the same lock, in front of the plan.
                            let planned = self.store.foresee(clock::now(), next.commands.clone());
                            let (decided, ()) = tokio::join!(&mut deciding, planned);
                            deciding = Box::pin(std::future::ready(decided));
                        }
                        foreseen = Some(next);
                    }
                }
            }
            let decided = deciding.await?;
            let next = match foreseen {
                None if !self.is_stopping() => consumer.ready(limit).map(Batch::new),
                foreseen => foreseen,
            };
            match next {
                Some(next) if !next.has_suspects() => {
                    let before = std::mem::replace(&mut batch, next).deliveries;
                    if self.answers.is_some() {
                        self.settle(before, decided)?;
                        deciding = self.begin(&batch).await;
                    } else {
                        deciding = self.begin(&batch).await;
                        self.settle(before, decided)?;
                    }
                }
                other => {
                    self.settle(batch.deliveries, decided)?;
                    return Ok(other.map(|batch| batch.deliveries));
                }
            }
            self.beat.now();
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Hands a batch to the database.
    async fn begin<'a>(&'a self, batch: &Batch) -> Deciding<'a> {
        let patient = batch.deliveries.first().is_some_and(Delivery::is_durable);
        let commands = batch.commands.clone();
        let mut deciding: Deciding<'_> = Box::pin(self.decide_patiently(commands, patient));
        // Polled once here, so that it is on its way; a result that is there at once is kept.
        match poll_fn(|context| Poll::Ready(deciding.as_mut().poll(context))).await {
            Poll::Ready(decided) => Box::pin(std::future::ready(decided)),
            Poll::Pending => deciding,
        }
    }

    fn settle(&self, batch: Vec<Delivery>, decided: Decided) -> anyhow::Result<()> {
        match &self.answers {
            Some(answers) if batch.len() > AT_ONCE_MAX || !answers.have_left() => {
                answers.send(batch, decided)
            }
            Some(_) | None => {
                settle(batch, decided, &self.committed);
                Ok(())
            }
        }
    }

    /// After what was settled before.
    fn announce(&self, committed: Vec<Committed>) -> anyhow::Result<()> {
        self.settle(Vec::new(), Decided { outcomes: Ok(Vec::new()), committed })
    }

    /// A batch with deliveries that came back several times: they are decided one command at a time, in their place.
    async fn carefully(&self, batch: Vec<Delivery>, may_strike: &mut bool) -> anyhow::Result<()> {
        let mut calm = Vec::with_capacity(batch.len());
        for delivery in batch {
            if !is_suspect(&delivery) {
                calm.push(delivery);
                continue;
            }
            self.all_at_once(std::mem::take(&mut calm)).await?;
            self.one_by_one(delivery, may_strike).await?;
        }
        self.all_at_once(calm).await
    }

    async fn all_at_once(&self, batch: Vec<Delivery>) -> anyhow::Result<()> {
        if !batch.is_empty() {
            let batch = Batch::new(batch);
            let decided = self.begin(&batch).await.await?;
            self.settle(batch.deliveries, decided)?;
        }
        Ok(())
    }

    /// Decides the commands of a delivery that came back several times, each alone. Where that has happened too often,
    /// and to a process that has just started, the first command without an outcome is what its predecessors died of:
    /// it is put aside. One only: another one shows itself at the next start.
    async fn one_by_one(&self, delivery: Delivery, may_strike: &mut bool) -> anyhow::Result<()> {
        tracing::warn!(
            queue = ?self.queue,
            deliveries = delivery.delivery_count,
            commands = delivery.commands.len(),
            "an envelope comes again; its commands are decided one by one"
        );
        let commands = delivery.commands.clone();
        let suspect = delivery.delivery_count >= CULPRIT_DELIVERIES && delivery.is_of_first_connection();
        let mut outcomes = Vec::with_capacity(commands.len());
        for (index, command) in commands.iter().enumerate() {
            if suspect && *may_strike && matches!(self.reads.outcome(command.id).await, Ok(None)) {
                *may_strike = false;
                let why = format!("its worker ended {} times while it had it", delivery.delivery_count);
                match delivery.dead_letter(index, &why).await {
                    Ok(()) => {
                        outcomes.push(self.give_up(command, why).await?);
                        continue;
                    }
                    Err(not_taken) => tracing::error!(%not_taken, id = %command.id, "it cannot be put aside"),
                }
            }
            let alone = Arc::new(vec![command.clone()]);
            let decided = self.decide_patiently(alone, delivery.is_durable()).await?;
            self.announce(decided.committed)?;
            match decided.outcomes {
                Ok(decided) => outcomes.extend(decided),
                Err(undecided) => {
                    delivery.settle(Err(undecided));
                    return Ok(());
                }
            }
        }
        *may_strike = false;
        delivery.settle(Ok(outcomes));
        Ok(())
    }

    /// The broker keeps what it delivered: while the database is out of reach, the batch waits here for it. Callers of
    /// this process are told at once instead.
    async fn decide_patiently(&self, commands: Arc<Vec<Command>>, patient: bool) -> anyhow::Result<Decided> {
        let mut committed = Vec::new();
        let mut stopping = self.stopping.clone();
        let mut wait = RETRY_WAIT;
        loop {
            let outcomes = self.decide(commands.clone(), &mut committed).await?;
            if outcomes.is_ok() || !patient {
                return Ok(Decided { outcomes, committed });
            }
            // What was committed of it is known by id when it comes again, but is announced now.
            self.announce(std::mem::take(&mut committed))?;
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(PATIENT_WAIT_MAX),
                () = told(&mut stopping) => return Ok(Decided { outcomes, committed }),
            }
            self.beat.now();
        }
    }

    /// The outcome of a command that will never be decided by the rules; if it is pending, it is settled with that.
    async fn give_up(&self, command: &Command, detail: String) -> Result<Outcome, StoreError> {
        match self.store.remove_pending(clock::now(), command.id).await {
            Err(error) if error.is_transient() || error.is_final() => return Err(error),
            Err(error) => tracing::error!(%error, id = %command.id, "it stays pending"),
            Ok(()) => {}
        }
        let position = self.store.head().await?.position;
        let result = Err(Rejection::NotProcessable { detail });
        Ok(Outcome { id: command.id, position, replayed: false, result })
    }

    /// Decides commands; where one of them makes the transaction fail for good, finds it by halving and decides its
    /// neighbours. `committed` receives what is to be announced.
    async fn decide(
        &self,
        commands: Arc<Vec<Command>>,
        committed: &mut Vec<Committed>,
    ) -> anyhow::Result<Result<Vec<Outcome>, Undecided>> {
        let mut outcomes = Vec::with_capacity(commands.len());
        let whole = 0..commands.len();
        let mut parts = Vec::from([whole]);
        let mut doubted = false;
        while let Some(part) = parts.pop() {
            let slice = if part.len() == commands.len() {
                commands.clone()
            } else {
                Arc::new(commands[part.clone()].to_vec())
            };
            let executed = match self.execute(slice, &mut doubted).await {
                Ok(executed) => {
                    outcomes.extend(executed.outcomes);
                    committed.extend(executed.committed);
                    continue;
                }
                Err(error) if part.len() == 1 && !error.is_transient() && !error.is_final() => {
                    let command = &commands[part.start];
                    tracing::error!(%error, id = %command.id, kind = command.body.kind(), "a command cannot be processed");
                    self.give_up(command, error.to_string()).await.map(|outcome| outcomes.push(outcome))
                }
                Err(error) => Err(error),
            };
            match executed {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    tracing::warn!(queue = ?self.queue, %error, "the database takes no writes");
                    // Parts before this one were committed; they are remembered by id when they come again.
                    let nothing_done = outcomes.is_empty() && !doubted && !error.is_in_doubt();
                    return Ok(Err(undecided(nothing_done)));
                }
                Err(error) if error.is_final() || part.len() == 1 => return Err(error.into()),
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

    /// `doubted` becomes true if a try that failed may have been committed.
    async fn execute(&self, commands: Arc<Vec<Command>>, doubted: &mut bool) -> Result<Executed, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let started = Instant::now();
            let here = self.answers.as_ref().and_then(|_| self.store.execute_here(clock::now(), &commands));
            let executed = match here {
                Some(executed) => executed,
                None => self.store.execute(clock::now(), commands.clone()).await,
            };
            match executed {
                Ok(executed) => {
                    self.metrics.batch(commands.len(), started.elapsed());
                    if let Some(committed) = &executed.committed {
                        self.metrics.decided(committed);
                    }
                    return Ok(executed);
                }
                Err(error) => {
                    *doubted |= error.is_in_doubt();
                    if !matches!(error, StoreError::Transient(_) | StoreError::InDoubt(_))
                        || tries == TRIES_MAX
                    {
                        return Err(error);
                    }
                    tracing::debug!(%error, tries, "trying a batch again");
                    tokio::time::sleep(RETRY_WAIT * tries).await;
                }
            }
        }
    }
}

/// Puts items at hand before they are ordered: half of the time as long as there are more, and again, where all was for
/// nothing because somebody else wrote, after a rest that is long beside what it took.
pub async fn warm_up(store: Arc<dyn Store>, mut drain: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut worked = Duration::ZERO;
    loop {
        let started = Instant::now();
        let said = store.warm_up().await;
        let took = started.elapsed();
        worked += took;
        let pause = match said {
            Ok(WarmUp::More) => took,
            Ok(WarmUp::Rest) => warm_rest(took),
            Ok(WarmUp::Anew) => warm_rest(std::mem::take(&mut worked)),
            Ok(WarmUp::Needless) => Duration::MAX,
            Err(error) => {
                tracing::debug!(%error, "items cannot be put at hand now");
                warm_rest(took)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = told(&mut drain) => return Ok(()),
        }
    }
}

fn warm_rest(worked: Duration) -> Duration {
    WARM_REST_MIN.max(worked * WARM_REST_TIMES)
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
    let mut more_to_prune = false;
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
                Ok(executed) => executed.committed.into_iter().for_each(|batch| announce(&committed, batch)),
                Err(error) => tracing::warn!(%error, "due holds could not be ended"),
            }
        }
        let is_time = pruned.elapsed() > PRUNE_EVERY;
        if is_time || more_to_prune {
            let outcomes = store.prune_outcomes(now, PRUNE_OUTCOMES_MAX).await;
            more_to_prune = outcomes.as_ref().is_ok_and(|gone| *gone == PRUNE_OUTCOMES_MAX);
            let mut pruning = outcomes.map(drop);
            if is_time {
                pruned = Instant::now();
                pruning = pruning.and(database.accounts.prune_accounts(now).await);
            }
            if let Err(error) = pruning {
                tracing::warn!(%error, "what is out of date could not be pruned");
            }
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
