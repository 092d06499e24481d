//! The system on one screen: which roles there are, and what each runs.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use holdfast_bus::amqp::Bus;
use holdfast_bus::topology;
use holdfast_domain::CommandQueue;
use holdfast_store::{Database, Pending};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::{DatabaseUrl, ServeSettings};
use crate::connect::{self, Connected, Hears};
use crate::follow::audit::{self, Audit};
use crate::follow::read_model::ReadModel;
use crate::follow::rest::Rest;
use crate::follow::stats::{self, Stats};
use crate::follow::{follower, movements, relay};
use crate::gateway::dispatcher::{Dispatcher, Publishers};
use crate::gateway::item_texts::ItemTexts;
use crate::gateway::metrics::Metrics;
use crate::gateway::{self, AppState, Gateway, auth, imports, limits, server};
use crate::instance::{Instance, keep_beating};
use crate::lifecycle::{Stopped, Tasks, told};
use crate::monitor::{Board, Monitor};
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

/// Pending commands older than this are sent again: whatever had them is gone. Each further time of the same one comes
/// after twice as long.
const PENDING_AGE: Duration = Duration::from_secs(15);
const RESEND_WAIT_MAX: Duration = Duration::from_secs(600);
/// Pending commands that are looked at, oldest first.
const RESEND_MAX: usize = 1_000;
/// How long a gateway may take to load its read model before it gives up; its door stays shut until then.
const LOAD_MAX: Duration = Duration::from_secs(300);

/// Runs `holdfast serve` until it is told to stop.
pub async fn serve(settings: ServeSettings) -> anyhow::Result<()> {
    let folder = &settings.data.data;
    // A database of its own process's is guarded by the folder; PostgreSQL guards itself.
    let guard = match settings.data.database {
        DatabaseUrl::Sqlite(_) => Some(lock::take(folder)?),
        DatabaseUrl::Postgres { .. } => None,
    };
    let Connected { database, publishers, mut ends, decided, committed, queues, bus } =
        connect::connect(&settings).await?;
    if settings.demo {
        demo::load(&database).await?;
    }
    let metrics_listener = match settings.metrics_listen {
        None => None,
        Some(address) => Some(bind("metrics_listen", address).await?),
    };
    let mut tasks = Tasks::new()?;
    let metrics = Arc::new(Metrics::new());
    let board = Board::new(database.clone());
    let instance = Instance::join(&settings.name, &settings.roles, database.clone()).await?;
    instance.needs(missing_of(publishers.clone(), bus.clone()));
    if let Some(bus) = &bus {
        let (own, reads) = (decided.subscribe(), database.reads.clone());
        let heard = Hears::of(&settings.roles).map(|hears| (hears, bus.heard()));
        let announcer = bus.announcer();
        let wakeups =
            connect::join_wakeups(announcer, heard, own, committed.clone(), reads, tasks.stopping());
        tasks.follow_apart("wake-ups", wakeups)?;
    }
    if settings.roles.contains(&Role::Orders)
        && let Err(error) = database.store.make_room().await
    {
        tracing::warn!(%error, "no room was made for orders ahead of them");
    }
    let mut worker = |queue: CommandQueue, role: Role| Worker {
        queue,
        consumer: ends.take(queue),
        has_own_thread: queue == CommandQueue::Orders,
        store: database.store.clone(),
        reads: database.reads.clone(),
        committed: decided.clone(),
        metrics: metrics.clone(),
        beat: instance.beat(role),
    };
    for role in &settings.roles {
        let beat = |role| keep_beating(instance.beat(role), tasks.stopping());
        match role {
            Role::Gateway => {
                tasks.follow("gateway's heartbeat", beat(Role::Gateway));
                let (model, statistics) = (ReadModel::new(), Arc::new(Stats::default()));
                database.store.look_up_in(model.clone()).await?;
                let reads = || database.reads.clone();
                tasks.follow_apart(
                    "follower",
                    follower::run(model.clone(), reads(), committed.subscribe(), tasks.stopping()),
                )?;
                tasks.follow(
                    "stats",
                    stats::run(statistics.clone(), reads(), committed.subscribe(), tasks.stopping()),
                );
                let state: AppState = Arc::new(Gateway {
                    settings: settings.gateway.clone(),
                    dispatcher: Dispatcher::new(publishers.clone(), database.clone()),
                    model: model.clone(),
                    item_texts: ItemTexts::default(),
                    database: database.clone(),
                    auth: auth::Auth::new(database.accounts.clone()),
                    limits: limits::Limits::new(),
                    stats: statistics,
                    instance: instance.clone(),
                    board: board.clone(),
                    dead_letters: bus.as_ref().map(|bus| bus.dead_letters()),
                    metrics: metrics.clone(),
                    imports: imports::Imports::new(),
                    stopping: tasks.accepting(),
                });
                let listener = bind("listen", settings.listen).await?;
                let address = format!("http://{}", listener.local_addr()?);
                let shown = model.clone();
                let advertised = settings.advertise.clone().unwrap_or_else(|| address.clone());
                instance.is_gateway(advertised, move || shown.position());
                let resend = resend_pending(state.dispatcher.clone(), database.clone(), tasks.accepting());
                tasks.accept("pending", resend);
                // Nobody is let in before there is something to show.
                let head = database.store.head().await?.position;
                match tasks.unless_stopped(model.wait_for(head, LOAD_MAX)).await {
                    Some(true) => {}
                    Some(false) => {
                        bail!("the read model does not show position {head} after {} s", LOAD_MAX.as_secs())
                    }
                    None => return Ok(()),
                }
                tasks.accept("gateway", server::serve(listener, gateway::front(state), tasks.accepting()));
                if guard.is_some() {
                    lock::note(folder, &format!("process {} on {address}", std::process::id()))?;
                }
                println!("listening on {address}");
            }
            Role::Orders => {
                let orders = worker(CommandQueue::Orders, Role::Orders);
                tasks.work_apart("orders", orders.run(tasks.draining()))?;
                tasks.work("warm-up", worker::warm_up(database.store.clone(), tasks.draining()));
                tasks.work("sweep", worker::sweep(database.clone(), decided.clone(), tasks.draining()));
            }
            Role::Items => {
                tasks.work("items", worker(CommandQueue::Items, Role::Items).run(tasks.draining()));
            }
            Role::Stock => {
                tasks.work("stock", worker(CommandQueue::Stock, Role::Stock).run(tasks.draining()));
            }
            Role::Relay => {
                tasks.follow("relay's heartbeat", beat(Role::Relay));
                let (store, reads) = (database.store.clone(), database.reads.clone());
                let wake = committed.subscribe();
                let rest = Rest::new(settings.late_max);
                tasks.follow(
                    "movements",
                    movements::run(store.clone(), reads.clone(), wake, rest, tasks.stopping()),
                );
                if let Some(bus) = &bus {
                    let wake = committed.subscribe();
                    let relay = relay::run(bus.events(), store, reads, wake, rest, tasks.stopping());
                    tasks.follow("relay", relay);
                }
            }
            // The shared read model in Redis: nothing to do without it.
            Role::Projector => {}
            Role::Monitor => {
                tasks.follow("monitor's heartbeat", beat(Role::Monitor));
                let audited = Arc::new(Audit::default());
                let monitor = Monitor::new(database.clone(), audited.clone(), queues.clone(), bus.is_some());
                let told = instance.clone();
                let begin = async move { told.has_told().await };
                tasks.follow("monitor", monitor.run(begin, tasks.stopping()));
                let (reads, wake) = (database.reads.clone(), committed.subscribe());
                tasks.follow("audit", audit::run(audited, reads, wake, tasks.stopping()));
            }
        }
    }
    tasks.follow("instance", instance.clone().run(tasks.stopping()));
    if let Some(listener) = metrics_listener {
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        let front = gateway::observability(metrics.clone(), board, instance);
        tasks.accept("metrics", server::serve(listener, front, tasks.accepting()));
    }
    if settings.demo {
        for (username, password, role) in demo::accounts() {
            println!("sign in as {username} with the password {password} ({})", role.as_str());
        }
    }
    drop(publishers);
    let Stopped { ended, deadline } = tasks.run_until_stopped().await;
    let closing = async {
        if let Some(bus) = bus {
            bus.close().await;
        }
        database.store.close().await;
    };
    // A server that hangs is not waited for: what was answered is on its disk, and what was not comes again.
    if tokio::time::timeout_at(deadline, closing).await.is_err() {
        tracing::warn!("the broker or the database did not let go in time");
    }
    ended
}

/// What a process needs to take work, besides the database: a broker that takes messages, or workers of its own.
fn missing_of(publishers: Publishers, bus: Option<Arc<Bus>>) -> impl Fn() -> Vec<String> + Send + Sync {
    move || match &bus {
        Some(bus) => bus.trouble().map(|_| "broker".to_owned()).into_iter().collect(),
        None => CommandQueue::ALL
            .into_iter()
            .filter(|queue| !publishers.of(*queue).has_consumer())
            .map(|queue| topology::queue_name(queue).to_owned())
            .collect(),
    }
}

async fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{setting}: {address} cannot be used"))
}

/// Sends again what was answered 202 and is not decided: the queue that had it ended with its process.
async fn resend_pending(
    dispatcher: Dispatcher,
    database: Database,
    mut accepting: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut age = Duration::ZERO;
    // When each is due again: what was sent lies in the queue until somebody takes it, and so would all its copies.
    let mut due: HashMap<Uuid, (Instant, Duration)> = HashMap::new();
    loop {
        let before = clock::now().plus_seconds(-(age.as_secs() as i64));
        match database.store.pending_before(before, RESEND_MAX).await {
            Ok(pending) => {
                let still: HashSet<Uuid> = pending.iter().map(|one| one.command.id).collect();
                due.retain(|id, _| still.contains(id));
                for Pending { command, since: _ } in pending {
                    let id = command.id;
                    let wait = match due.get(&id) {
                        Some((again, _)) if Instant::now() < *again => continue,
                        Some((_, wait)) => (*wait * 2).min(RESEND_WAIT_MAX),
                        None => PENDING_AGE,
                    };
                    if let Err(not_taken) =
                        dispatcher.publishers().of(command.body.queue()).publish(vec![command])
                    {
                        tracing::warn!(%not_taken, "pending commands wait for room in the queue");
                        break;
                    }
                    due.insert(id, (Instant::now() + wait, wait));
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
