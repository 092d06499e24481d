//! What the settings' addresses choose: the database, and how commands travel.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use holdfast_bus::amqp::{Announcer, Bus, Settings};
use holdfast_bus::{Consumer, local};
use holdfast_domain::{CommandQueue, Position};
use holdfast_store::{Committed, Database, Reads, StoreError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, watch};

use crate::config::{BrokerUrl, DataSettings, DatabaseUrl, ServeSettings};
use crate::follow::tail;
use crate::gateway::dispatcher::Publishers;
use crate::lifecycle::told;
use crate::queues::{Management, Queues};
use crate::role::Role;

/// Committed batches that a slow follower may lag behind before it has to read the log instead.
const COMMITTED_BUFFER: usize = 1_024;
/// Bytes of the log that are read at once after a wake-up.
const TOLD_BYTES_MAX: usize = 1 << 20;
/// How long a start waits for a database or broker that is not there yet, or takes nothing.
pub const START_WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two attempts.
pub const RETRY_WAIT: Duration = Duration::from_secs(1);

/// The working ends of the command queues, each for one worker.
pub enum Ends {
    Local(Vec<(CommandQueue, Consumer)>),
    Amqp(Arc<Bus>),
}

impl Ends {
    /// The end of a queue; a role runs once in a process, so each is taken once.
    pub fn take(&mut self, queue: CommandQueue) -> Consumer {
        match self {
            Ends::Local(ends) => {
                let place = ends.iter().position(|(end, _)| *end == queue);
                ends.swap_remove(place.expect("each queue has one worker")).1
            }
            Ends::Amqp(bus) => bus.consumer(queue),
        }
    }
}

/// Everything that the roles are joined by.
pub struct Connected {
    pub database: Database,
    pub publishers: Publishers,
    pub ends: Ends,
    /// What workers commit, and wake-ups from other processes: wakes the followers.
    /// What the workers of this process commit.
    pub decided: broadcast::Sender<Arc<Committed>>,
    /// What its followers hear: that, and what others commit.
    pub committed: broadcast::Sender<Arc<Committed>>,
    pub queues: Queues,
    /// `None`: commands travel in this process.
    pub bus: Option<Arc<Bus>>,
}

/// Opens the database and brings it to this version.
pub async fn open_database(settings: &DataSettings) -> anyhow::Result<Database> {
    let (url, reads) = match &settings.database {
        DatabaseUrl::Sqlite(path) => return Database::open_sqlite(path).await.context("database"),
        DatabaseUrl::Postgres { url, reads } => (url, reads.as_deref()),
    };
    match Database::open_postgres(url, reads).await {
        // One of two is in the way: it is the other one, if this one opens alone.
        Err(error) if reads.is_some() && Database::open_postgres(url, None).await.is_ok() => {
            Err(error).context("read_database")
        }
        opened => opened.context("database"),
    }
}

/// Opens the database unless it is of an earlier version: only `serve` and `migrate` change that.
pub async fn open_as_it_is(settings: &DataSettings) -> anyhow::Result<Database> {
    match &settings.database {
        DatabaseUrl::Sqlite(path) => Database::check_sqlite(path),
        DatabaseUrl::Postgres { url, .. } => Database::check_postgres(url).await,
    }
    .context("database")?;
    open_database(settings).await
}

/// Opens a database that may still be starting.
async fn await_database(settings: &DataSettings) -> anyhow::Result<Database> {
    let until = tokio::time::Instant::now() + START_WAIT_MAX;
    loop {
        match open_database(settings).await {
            Err(error)
                if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient)
                    && matches!(settings.database, DatabaseUrl::Postgres { .. })
                    && tokio::time::Instant::now() < until =>
            {
                tracing::warn!("{error:#}; trying again");
                tokio::time::sleep(RETRY_WAIT).await;
            }
            opened => return opened,
        }
    }
}

async fn await_broker(settings: Settings) -> anyhow::Result<Bus> {
    let until = tokio::time::Instant::now() + START_WAIT_MAX;
    loop {
        match Bus::connect(settings.clone()).await {
            Err(trouble) if trouble.may_heal() && tokio::time::Instant::now() < until => {
                tracing::warn!("{trouble}; trying again");
                tokio::time::sleep(RETRY_WAIT).await;
            }
            connected => return Ok(connected?),
        }
    }
}

/// A runtime of its own for the broker's tasks in a process that takes requests: they do not queue with thousands of those for
/// their turn. It lasts as long as the process.
fn bus_runtime() -> anyhow::Result<&'static Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("bus").enable_all().build();
    Ok(Box::leak(Box::new(runtime.context("a thread cannot be started")?)))
}

pub async fn connect(settings: &ServeSettings) -> anyhow::Result<Connected> {
    let database = await_database(&settings.data).await?;
    let decided = broadcast::channel(COMMITTED_BUFFER).0;
    match &settings.broker {
        BrokerUrl::Memory => {
            let ((orders, orders_end), (items, items_end), (stock, stock_end)) = (local(), local(), local());
            let publishers = Publishers { orders, items, stock };
            Ok(Connected {
                database,
                queues: Queues::Local(publishers.clone()),
                publishers,
                ends: Ends::Local(vec![
                    (CommandQueue::Orders, orders_end),
                    (CommandQueue::Items, items_end),
                    (CommandQueue::Stock, stock_end),
                ]),
                committed: decided.clone(),
                decided,
                bus: None,
            })
        }
        BrokerUrl::Amqp { url, management, roles, gateway } => {
            let bus_settings = Settings::new(url, &settings.name)?
                .with_amqp_roles(roles.clone())
                .with_gateway_user(gateway.clone());
            let is_gateway = settings.roles.contains(&Role::Gateway);
            let apart = if is_gateway { Some(bus_runtime()?) } else { None };
            let bus = match apart {
                Some(apart) => apart.spawn(await_broker(bus_settings)).await?,
                None => await_broker(bus_settings).await,
            };
            let bus = Arc::new(bus?);
            let _apart = apart.map(Runtime::enter);
            Ok(Connected {
                database,
                queues: Queues::Management(Management::new(url, management.as_deref())?),
                publishers: Publishers {
                    orders: bus.publisher(CommandQueue::Orders),
                    items: bus.publisher(CommandQueue::Items),
                    stock: bus.publisher(CommandQueue::Stock),
                },
                ends: Ends::Amqp(bus.clone()),
                committed: broadcast::channel(COMMITTED_BUFFER).0,
                decided,
                bus: Some(bus),
            })
        }
    }
}

/// What the followers of a process want to hear of commits elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Only that there is something: they read the log in their own time.
    Hints,
    /// What was committed: it is read here, once for all of them.
    Commits,
}

impl Hears {
    /// `None`: nobody follows the log there.
    pub fn of(roles: &[Role]) -> Option<Self> {
        if roles.contains(&Role::Gateway) {
            return Some(Hears::Commits);
        }
        roles.iter().any(|role| matches!(role, Role::Relay | Role::Monitor)).then_some(Hears::Hints)
    }
}

/// Tells the other processes what the workers of this one commit, and its followers what anybody does. Whoever misses
/// something of it reads the log for itself.
pub async fn join_wakeups(
    announcer: Announcer,
    heard: Option<(Hears, watch::Receiver<Position>)>,
    decided: broadcast::Receiver<Arc<Committed>>,
    committed: broadcast::Sender<Arc<Committed>>,
    reads: Arc<dyn Reads>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut own = decided;
    // As long as `_silence` is here, nothing was heard and that may still change.
    let (_silence, silent) = watch::channel(Position(0));
    let (hears, mut heard) = heard.unwrap_or((Hears::Hints, silent));
    // Up to here followers were told; `None` until the first wake-up.
    let mut told_up_to = None;
    loop {
        tokio::select! {
            batch = own.recv() => match batch {
                Ok(batch) => {
                    announcer.announce(batch.last);
                    if told_up_to.is_some_and(|position: Position| batch.first == position.plus(1)) {
                        told_up_to = Some(batch.last);
                    }
                    // Without followers there is nobody to tell.
                    drop(committed.send(batch));
                }
                // More than could be counted: the next one tells it too.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            changed = heard.changed() => {
                if changed.is_err() {
                    return;
                }
                let last = *heard.borrow_and_update();
                if hears == Hears::Hints {
                    wake(&committed, last);
                    continue;
                }
                match tell(&*reads, &committed, told_up_to, last).await {
                    Ok(position) => told_up_to = Some(position),
                    Err(error) => {
                        tracing::debug!(%error, "the log could not be read after a wake-up");
                        wake(&committed, last);
                    }
                }
            }
            () = told(&mut stopping) => return,
        }
    }
}

/// Reads the log after what was `told`, at least to `last`, and hands it to the followers; says how far it came. At
/// first the end of the log is where it begins: what is there already they read for themselves.
async fn tell(
    reads: &dyn Reads,
    committed: &broadcast::Sender<Arc<Committed>>,
    told: Option<Position>,
    last: Position,
) -> Result<Position, StoreError> {
    let Some(after) = told else {
        let head = reads.head_of_reads().await?.position;
        wake(committed, head);
        return Ok(head);
    };
    let mut position = after;
    // Once in any case: after a lost connection nobody knows what was missed.
    loop {
        let batches = reads.log(position, TOLD_BYTES_MAX).await?;
        for batch in &batches {
            position = batch.last;
            drop(committed.send(Arc::new(tail::committed(batch)?)));
        }
        if batches.is_empty() || position >= last {
            break;
        }
    }
    if position < last {
        // A replica that is not there yet: they look for themselves.
        wake(committed, last);
    }
    Ok(position)
}

/// Only that there is something to read.
fn wake(committed: &broadcast::Sender<Arc<Committed>>, last: Position) {
    let hint =
        Committed { first: last.plus(1), last, decided_at: crate::clock::now(), events: Arc::default() };
    drop(committed.send(Arc::new(hint)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::testing::{Shop, item};

    /// What the followers heard: first and last position, and how many events came along.
    fn heard(receiver: &mut broadcast::Receiver<Arc<Committed>>) -> Vec<(u64, u64, usize)> {
        let next = || receiver.try_recv().ok();
        std::iter::from_fn(next).map(|told| (told.first.0, told.last.0, told.events.len())).collect()
    }

    #[tokio::test]
    async fn followers_are_told_what_is_new_once_and_never_the_log_that_was_there_before() {
        let shop = Shop::open().await;
        let reads = &*shop.database.reads;
        let (committed, mut receiver) = broadcast::channel(64);
        shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
        let before = reads.head_of_reads().await.expect("a head").position;

        // The first wake-up comes with the connection, and knows of no position.
        let told = tell(reads, &committed, None, Position(0)).await.expect("readable");
        assert_eq!(told, before);
        assert_eq!(heard(&mut receiver), [(before.0 + 1, before.0, 0)], "only that there is something");

        shop.run([item("B", "Titan", "Raga", 1000, 5)]).await;
        let end = reads.head_of_reads().await.expect("a head").position;
        let new = usize::try_from(end.0 - before.0).expect("few");
        assert!(new > 0);
        assert_eq!(tell(reads, &committed, Some(told), end).await.expect("readable"), end);
        assert_eq!(heard(&mut receiver), [(before.0 + 1, end.0, new)]);

        // An echo, and a wake-up after a lost connection, when nothing was missed.
        assert_eq!(tell(reads, &committed, Some(end), end).await.expect("readable"), end);
        assert_eq!(tell(reads, &committed, Some(end), Position(0)).await.expect("readable"), end);
        assert_eq!(heard(&mut receiver), []);

        // The replica that is read from is behind.
        let ahead = end.plus(3);
        assert_eq!(tell(reads, &committed, Some(end), ahead).await.expect("readable"), end);
        assert_eq!(heard(&mut receiver), [(ahead.0 + 1, ahead.0, 0)]);
    }
}
