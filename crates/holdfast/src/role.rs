//! The system on one screen: which roles there are, and what each runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use holdfast_bus::{Consumer, local};
use holdfast_domain::CommandQueue;
use holdfast_store::{Committed, Database};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

use crate::config::ServeSettings;
use crate::follow::audit::{self, Audit};
use crate::follow::read_model::ReadModel;
use crate::follow::stats::{self, Stats};
use crate::follow::{follower, movements};
use crate::gateway::dispatcher::{Dispatcher, Publishers};
use crate::gateway::metrics::Metrics;
use crate::gateway::{self, AppState, Gateway, auth, imports, limits, server};
use crate::lifecycle::{Tasks, told};
use crate::monitor::{self, Monitor};
use crate::worker::{self, Worker};
use crate::{clock, demo, lock};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Orders,
    Items,
    Stock,
    Relay,
    Projector,
    Monitor,
}

impl Role {
    pub const ALL: [Role; 7] =
        [Role::Gateway, Role::Orders, Role::Items, Role::Stock, Role::Relay, Role::Projector, Role::Monitor];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Orders => "orders",
            Role::Items => "items",
            Role::Stock => "stock",
            Role::Relay => "relay",
            Role::Projector => "projector",
            Role::Monitor => "monitor",
        }
    }

    /// Parses `gateway,orders,…`.
    pub fn parse_list(text: &str) -> anyhow::Result<Vec<Role>> {
        let mut roles = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let known = Role::ALL.into_iter().find(|role| role.as_str() == word);
            let Some(role) = known else {
                let all = Role::ALL.map(Role::as_str).join(", ");
                bail!("roles: {word:?} is not a role; there are {all}");
            };
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        if roles.is_empty() {
            bail!("roles: none is named");
        }
        Ok(roles)
    }
}

/// Committed batches that a slow follower may lag behind before it has to read the log instead.
const COMMITTED_BUFFER: usize = 1_024;
/// Pending commands older than this are sent again: whatever had them is gone.
const PENDING_AGE: Duration = Duration::from_secs(15);

/// Runs `holdfast serve` until it is told to stop.
pub async fn serve(settings: ServeSettings) -> anyhow::Result<()> {
    let folder = &settings.data.data;
    std::fs::create_dir_all(folder).with_context(|| format!("data: {} cannot be made", folder.display()))?;
    let _lock = lock::take(folder)?;
    let database = Database::open_sqlite(&settings.data.database).await?;
    if settings.demo {
        demo::load(&database).await?;
    }
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("listen: {} cannot be used", settings.listen))?;
    let metrics_listener = match settings.metrics_listen {
        None => None,
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("metrics_listen: {address} cannot be used"))?,
        ),
    };

    let (committed, _) = broadcast::channel::<Arc<Committed>>(COMMITTED_BUFFER);
    let mut tasks = Tasks::new()?;
    let ((orders, orders_end), (items, items_end), (stock, stock_end)) = (local(), local(), local());
    let publishers = Publishers { orders, items, stock };
    let mut ends: Vec<(CommandQueue, Consumer)> = vec![
        (CommandQueue::Orders, orders_end),
        (CommandQueue::Items, items_end),
        (CommandQueue::Stock, stock_end),
    ];
    let model = ReadModel::new();
    let audited = Arc::new(Audit::default());
    let statistics = Arc::new(Stats::default());
    let metrics = Arc::new(Metrics::new());
    let watching = Monitor::new(database.clone(), model.clone(), audited.clone(), publishers.clone());

    let mut worker = |queue: CommandQueue, role: Role| -> Worker {
        let place = ends.iter().position(|(end, _)| *end == queue).expect("each queue has one worker");
        Worker {
            queue,
            consumer: ends.swap_remove(place).1,
            store: database.store.clone(),
            committed: committed.clone(),
            metrics: metrics.clone(),
            beat: watching.beat(role),
        }
    };
    for role in &settings.roles {
        match role {
            Role::Gateway => {
                let reads = database.reads.clone();
                tasks.follow(
                    "follower",
                    follower::run(model.clone(), reads.clone(), committed.subscribe(), tasks.stopping()),
                );
                tasks.follow(
                    "stats",
                    stats::run(statistics.clone(), reads, committed.subscribe(), tasks.stopping()),
                );
                let state: AppState = Arc::new(Gateway {
                    settings: settings.gateway.clone(),
                    dispatcher: Dispatcher::new(publishers.clone(), database.clone()),
                    model: model.clone(),
                    database: database.clone(),
                    auth: auth::Auth::new(database.accounts.clone()),
                    limits: limits::Limits::new(),
                    stats: statistics.clone(),
                    monitor: watching.clone(),
                    metrics: metrics.clone(),
                    imports: imports::Imports::new(),
                    stopping: tasks.accepting(),
                });
                tasks.follow(
                    "heartbeat",
                    monitor::keep_beating(watching.beat(Role::Gateway), tasks.stopping()),
                );
                tasks.accept(
                    "pending",
                    resend_pending(state.dispatcher.clone(), database.clone(), tasks.accepting()),
                );
                if let Some(listener) = metrics_listener.as_ref() {
                    tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
                }
                let router = gateway::router(state);
                tasks.accept("gateway", server::serve(listener_of(&listener)?, router, tasks.accepting()));
            }
            Role::Orders => {
                tasks.work("orders", worker(CommandQueue::Orders, Role::Orders).run(tasks.draining()));
                tasks.work("sweep", worker::sweep(database.clone(), committed.clone(), tasks.draining()));
            }
            Role::Items => {
                tasks.work("items", worker(CommandQueue::Items, Role::Items).run(tasks.draining()))
            }
            Role::Stock => {
                tasks.work("stock", worker(CommandQueue::Stock, Role::Stock).run(tasks.draining()));
            }
            Role::Relay => {
                let (store, reads) = (database.store.clone(), database.reads.clone());
                tasks.follow(
                    "movements",
                    movements::run(store, reads, committed.subscribe(), tasks.stopping()),
                );
                tasks
                    .follow("heartbeat", monitor::keep_beating(watching.beat(Role::Relay), tasks.stopping()));
            }
            // The shared read model in Redis: nothing to do without it.
            Role::Projector => {}
            Role::Monitor => {
                tasks.follow("monitor", watching.clone().run(tasks.stopping()));
                tasks.follow(
                    "audit",
                    audit::run(
                        audited.clone(),
                        database.reads.clone(),
                        committed.subscribe(),
                        tasks.stopping(),
                    ),
                );
                tasks.follow(
                    "heartbeat",
                    monitor::keep_beating(watching.beat(Role::Monitor), tasks.stopping()),
                );
            }
        }
    }
    if let Some(listener) = metrics_listener {
        let router = gateway::observability_router(metrics.clone(), watching.clone());
        tasks.accept("metrics", server::serve(listener, router, tasks.accepting()));
    }

    model.wait_for(database.store.head().await?.position, Duration::from_secs(60)).await;
    let address = listener.local_addr()?;
    lock::note(folder, &format!("process {} on http://{address}", std::process::id()))?;
    println!("listening on http://{address}");
    if settings.demo {
        for (username, password, role) in demo::accounts() {
            println!("sign in as {username} with the password {password} ({})", role.as_str());
        }
    }
    tasks.run_until_stopped().await?;
    database.store.close().await;
    Ok(())
}

/// A second handle to the listening socket, so that its address can still be told.
fn listener_of(listener: &TcpListener) -> anyhow::Result<TcpListener> {
    use std::os::fd::AsFd;
    let socket = listener.as_fd().try_clone_to_owned()?;
    let std_listener = std::net::TcpListener::from(socket);
    std_listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(std_listener)?)
}

/// Sends again what was answered 202 and is not decided: the queue that had it ended with its process.
async fn resend_pending(
    dispatcher: Dispatcher,
    database: Database,
    mut accepting: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut age = Duration::ZERO;
    loop {
        let before = clock::now().plus_seconds(-(age.as_secs() as i64));
        match database.store.pending_before(before, 1_000).await {
            Ok(pending) => {
                for one in pending {
                    let command = one.command;
                    if let Err(not_taken) =
                        dispatcher.publishers().of(command.body.queue()).publish(vec![command])
                    {
                        tracing::warn!(%not_taken, "pending commands wait for room in the queue");
                        break;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "pending commands could not be looked up"),
        }
        age = PENDING_AGE;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = told(&mut accepting) => return Ok(()),
        }
    }
}
