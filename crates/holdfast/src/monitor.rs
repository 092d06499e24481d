//! Who is there and how they are: heartbeats of the roles, queues, stores, lags, incidents. In one process it
//! watches the process's own tasks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_bus::topology;
use holdfast_domain::{CommandQueue, Position, Timestamp};
use holdfast_store::Database;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock;
use crate::follow::audit::Audit;
use crate::follow::read_model::ReadModel;
use crate::gateway::dispatcher::Publishers;
use crate::lifecycle::told;
use crate::role::Role;

/// A role that was not heard of for this long is down.
const SILENT_AFTER: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Incidents that are kept.
const INCIDENTS_MAX: usize = 200;

/// What a role's loop beats to show that it lives.
#[derive(Debug, Clone)]
pub struct Beat(Arc<AtomicI64>);

impl Beat {
    pub fn now(&self) {
        self.0.store(clock::now().0, Ordering::Relaxed);
    }

    fn last(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Watched {
    role: Role,
    beat: Beat,
    up: bool,
    since: Timestamp,
}

struct Incident {
    what: String,
    from: Timestamp,
    to: Option<Timestamp>,
}

#[derive(Default)]
struct State {
    roles: Vec<Watched>,
    incidents: VecDeque<Incident>,
    store_latency: Option<Duration>,
    store_trouble: Option<String>,
}

pub struct Monitor {
    instance: String,
    database: Database,
    model: Arc<ReadModel>,
    audit: Arc<Audit>,
    publishers: Publishers,
    state: Mutex<State>,
}

impl Monitor {
    pub fn new(
        database: Database,
        model: Arc<ReadModel>,
        audit: Arc<Audit>,
        publishers: Publishers,
    ) -> Arc<Self> {
        let instance = format!("process-{}", std::process::id());
        Arc::new(Self { instance, database, model, audit, publishers, state: Mutex::default() })
    }

    /// A role's heartbeat; it counts as up from now on.
    pub fn beat(&self, role: Role) -> Beat {
        let beat = Beat(Arc::new(AtomicI64::new(clock::now().0)));
        self.lock().roles.push(Watched { role, beat: beat.clone(), up: true, since: clock::now() });
        beat
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Looks every two seconds until the process stops.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look().await,
                () = told(&mut stopping) => return,
            }
        }
    }

    async fn look(&self) {
        let started = Instant::now();
        let head = self.database.store.head().await;
        let now = clock::now();
        let mut state = self.lock();
        let state = &mut *state;
        match head {
            Ok(_) => {
                state.store_latency = Some(started.elapsed());
                state.store_trouble = None;
                end_incident(&mut state.incidents, "database", now);
            }
            Err(error) => {
                state.store_trouble = Some(error.to_string());
                begin_incident(&mut state.incidents, "database", now);
            }
        }
        for watched in &mut state.roles {
            let up = now.0 - watched.beat.last().0 < SILENT_AFTER.as_micros() as i64;
            if up != watched.up {
                watched.up = up;
                watched.since = now;
                let what = format!("role {}", watched.role.as_str());
                if up {
                    tracing::info!(role = watched.role.as_str(), "a role is back");
                    end_incident(&mut state.incidents, &what, now);
                } else {
                    tracing::error!(role = watched.role.as_str(), "a role is down");
                    begin_incident(&mut state.incidents, &what, now);
                }
            }
        }
    }

    /// Where the log ends, and what this process's reads show.
    pub async fn positions(&self) -> (Position, Position) {
        let model = self.model.position();
        let head = self.database.store.head().await.map_or(model, |head| head.position);
        (head, model)
    }

    /// What this process needs to take work, and lacks.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.lock();
        let mut failing = Vec::new();
        if state.store_trouble.is_some() {
            failing.push("database".to_owned());
        }
        for queue in CommandQueue::ALL {
            if !self.publishers.of(queue).has_consumer() {
                failing.push(topology::queue_name(queue).to_owned());
            }
        }
        if failing.is_empty() { Ok(()) } else { Err(failing) }
    }

    /// The health board's data (`GET /v1/health`).
    pub async fn document(&self) -> Value {
        let head = self.database.store.head().await.ok();
        let read_lag = head.as_ref().map(|head| head.position.0.saturating_sub(self.model.position().0));
        let state = self.lock();
        let queues: Vec<Value> = CommandQueue::ALL
            .into_iter()
            .map(|queue| {
                let publisher = self.publishers.of(queue);
                json!({
                    "name": topology::queue_name(queue),
                    "consumers": u8::from(publisher.has_consumer()),
                    "ready": publisher.waiting(),
                    "unacked": 0,
                    "publish_rate": null,
                    "deliver_rate": null,
                })
            })
            .collect();
        let roles: Vec<Value> = state
            .roles
            .iter()
            .map(|watched| {
                json!({
                    "role": watched.role.as_str(),
                    "instances": [{
                        "id": self.instance,
                        "status": if watched.up { "up" } else { "down" },
                        "since": watched.since,
                        "last_seen": watched.beat.last(),
                    }],
                })
            })
            .collect();
        let all_up = state.roles.iter().all(|watched| watched.up);
        let store_up = state.store_trouble.is_none();
        let status = match (store_up, all_up) {
            (true, true) => "up",
            (true, false) => "degraded",
            (false, _) => "down",
        };
        let audit = self.audit.report();
        json!({
            "status": status,
            "roles": roles,
            "queues": queues,
            "stores": [{
                "name": "sqlite",
                "status": if store_up { "up" } else { "down" },
                "latency_ms": state.store_latency.map(|latency| latency.as_secs_f64() * 1_000.0),
            }],
            "lag": { "relay_events": 0, "read_model_events": read_lag },
            "dead_letters": 0,
            "audit": audit,
            "incidents": state.incidents.iter().map(|incident| json!({
                "what": incident.what, "from": incident.from, "to": incident.to,
            })).collect::<Vec<_>>(),
        })
    }
}

fn begin_incident(incidents: &mut VecDeque<Incident>, what: &str, now: Timestamp) {
    if incidents.iter().any(|incident| incident.what == what && incident.to.is_none()) {
        return;
    }
    incidents.push_front(Incident { what: what.to_owned(), from: now, to: None });
    incidents.truncate(INCIDENTS_MAX);
}

fn end_incident(incidents: &mut VecDeque<Incident>, what: &str, now: Timestamp) {
    for incident in incidents.iter_mut().filter(|incident| incident.what == what && incident.to.is_none()) {
        incident.to = Some(now);
    }
}

/// Beats for a role that has no loop of its own to beat in.
pub async fn keep_beating(beat: Beat, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = ticks.tick() => beat.now(),
            () = told(&mut stopping) => return,
        }
    }
}
