//! What the settings' addresses choose: the database, and how commands travel.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use holdfast_bus::amqp::{Bus, Settings, Wakeups};
use holdfast_bus::{Consumer, local};
use holdfast_domain::CommandQueue;
use holdfast_store::{Committed, Database, StoreError};
use tokio::sync::{broadcast, watch};

use crate::config::{BrokerUrl, DataSettings, DatabaseUrl, ServeSettings};
use crate::gateway::dispatcher::Publishers;
use crate::lifecycle::told;
use crate::queues::{Management, Queues};

/// Committed batches that a slow follower may lag behind before it has to read the log instead.
const COMMITTED_BUFFER: usize = 1_024;
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

pub async fn connect(settings: &ServeSettings) -> anyhow::Result<Connected> {
    let database = await_database(&settings.data).await?;
    let committed = broadcast::channel(COMMITTED_BUFFER).0;
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
                committed,
                bus: None,
            })
        }
        BrokerUrl::Amqp { url, management, roles, gateway } => {
            let bus_settings = Settings::new(url, &settings.name)?
                .with_amqp_roles(roles.clone())
                .with_gateway_user(gateway.clone());
            let bus = Arc::new(await_broker(bus_settings).await?);
            Ok(Connected {
                database,
                queues: Queues::Management(Management::new(url, management.as_deref())?),
                publishers: Publishers {
                    orders: bus.publisher(CommandQueue::Orders),
                    items: bus.publisher(CommandQueue::Items),
                    stock: bus.publisher(CommandQueue::Stock),
                },
                ends: Ends::Amqp(bus.clone()),
                committed,
                bus: Some(bus),
            })
        }
    }
}

/// Tells the other processes what this one commits, and wakes its followers when another one has committed.
pub async fn join_wakeups(
    wakeups: Wakeups,
    committed: broadcast::Sender<Arc<Committed>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut own = committed.subscribe();
    let mut heard = wakeups.heard();
    loop {
        tokio::select! {
            batch = own.recv() => match batch {
                Ok(batch) if !batch.events.is_empty() => wakeups.announce(batch.last),
                // A wake-up that came from there, or more than could be counted: the next one tells it too.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            changed = heard.changed() => {
                if changed.is_err() {
                    return;
                }
                let last = *heard.borrow_and_update();
                let hint = Committed {
                    first: last.plus(1),
                    last,
                    decided_at: crate::clock::now(),
                    events: Arc::default(),
                };
                // Without followers there is nobody to wake.
                drop(committed.send(Arc::new(hint)));
            }
            () = told(&mut stopping) => return,
        }
    }
}
