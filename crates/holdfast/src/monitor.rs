//! The monitor: who is there and how they are. It reads what the instances tell, asks the broker's management API,
//! polls the gateways, times the stores, and writes what it finds into a note that every gateway shows
//! (`GET /v1/health`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_domain::{Position, Timestamp};
use holdfast_store::notes::Note;
use holdfast_store::{Database, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock;
use crate::follow::audit::Audit;
use crate::instance::{self, Told};
use crate::lifecycle::told;
use crate::queues::{Look, Queue, Queues};

/// A role that was not heard of for this long is down.
const SILENT_AFTER: Duration = Duration::from_secs(6);
/// An instance that was not heard of for this long leaves the list.
const GONE_AFTER: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often gateways are polled, and how long they may take.
const POLL_EVERY: Duration = Duration::from_secs(5);
const POLL_MAX: Duration = Duration::from_secs(2);
/// Looks in a row after which a queue without a consumer is an incident: longer than the broker's figures are old.
const UNSERVED_LOOKS: u32 = 4;
/// Incidents that are kept, newest first.
const INCIDENTS_MAX: usize = 200;
/// What the incidents of a broker that answers, but is not well, begin with.
const BROKER_TROUBLE: &str = "broker: ";
/// The name of the note with what was found.
const NOTE: &str = "health";
/// A document older than this says nothing about now: the monitor itself is down.
const STALE_AFTER: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Up,
    Degraded,
    Down,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct InstanceHealth {
    id: String,
    status: Status,
    since: Timestamp,
    last_seen: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RoleHealth {
    role: String,
    instances: Vec<InstanceHealth>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoreHealth {
    name: String,
    status: Status,
    latency_ms: Option<f64>,
}

impl StoreHealth {
    fn new(name: &str, status: Status, latency: Option<Duration>) -> Self {
        let latency_ms = latency.map(|latency| latency.as_secs_f64() * 1_000.0);
        Self { name: name.to_owned(), status, latency_ms }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Incident {
    what: String,
    from: Timestamp,
    to: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Lag {
    relay_events: u64,
    read_model_events: u64,
}

/// The health board's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Health {
    status: Status,
    roles: Vec<RoleHealth>,
    queues: Vec<Queue>,
    stores: Vec<StoreHealth>,
    lag: Lag,
    dead_letters: u64,
    audit: Value,
    incidents: Vec<Incident>,
    /// When the monitor looked.
    at: Timestamp,
}

pub struct Monitor {
    database: Database,
    audit: Arc<Audit>,
    queues: Queues,
    /// Whether a relay is to follow the log.
    relays: bool,
    client: reqwest::Client,
}

/// What the monitor remembers from look to look.
#[derive(Default)]
struct Memory {
    /// (role, instance) → whether it was up, and since when that holds.
    known: HashMap<(String, String), (Status, Timestamp)>,
    /// Gateways that did not answer when polled.
    unreachable: HashMap<String, bool>,
    polled: Option<Instant>,
    /// Queue → looks in a row at which nobody worked on it.
    unserved: HashMap<String, u32>,
    incidents: Vec<Incident>,
    /// When the database answered again after it had not.
    database_back: Timestamp,
    database_away: bool,
}

impl Monitor {
    pub fn new(database: Database, audit: Arc<Audit>, queues: Queues, relays: bool) -> Arc<Self> {
        Arc::new(Self { database, audit, queues, relays, client: reqwest::Client::new() })
    }

    /// Looks every two seconds until the process stops, first when `begin` says that there is something to see: a board
    /// without this process's own roles would look like a shop where nothing runs.
    pub async fn run(self: Arc<Self>, begin: impl Future<Output = ()>, mut stopping: watch::Receiver<bool>) {
        tokio::select! {
            () = begin => {}
            () = told(&mut stopping) => return,
        }
        let mut memory = Memory::default();
        if let Ok(Some(health)) = read(&self.database).await {
            memory.incidents = health.incidents;
        }
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = told(&mut stopping) => return,
            }
            let began = clock::now();
            if let Err(error) = self.look(&mut memory).await {
                memory.database(false, began);
                tracing::warn!(%error, "the monitor cannot read or tell what it finds");
            }
        }
    }

    async fn look(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let started = Instant::now();
        let head = self.database.store.head().await?;
        let latency = started.elapsed();
        memory.database(true, clock::now());
        let instances = instance::all(&self.database).await?;
        self.poll_gateways(&instances, memory).await;
        let now = clock::now();
        let roles = self.judge(&instances, memory, now).await?;
        let look = self.queues.look().await;
        let broker_up = look.is_ok();
        memory.incident("broker", broker_up, now);
        let (queues, broker, troubles) = match look {
            Ok(Look { queues, broker }) => {
                let latency = broker.as_ref().map(|broker| broker.latency);
                let troubles = broker.map_or_else(Vec::new, |broker| broker.troubles);
                let status = if troubles.is_empty() { Status::Up } else { Status::Degraded };
                (queues, latency.map(|latency| StoreHealth::new("broker", status, Some(latency))), troubles)
            }
            Err(why) => {
                tracing::warn!(why, "the broker's management API does not answer");
                (Vec::new(), Some(StoreHealth::new("broker", Status::Down, None)), Vec::new())
            }
        };
        memory.broker_troubles(&troubles, now);
        for queue in &queues {
            // The broker counts consumers every few seconds: one that just came is not seen at once.
            let unserved = memory.unserved.entry(queue.name.clone()).or_default();
            *unserved = if queue.is_served() { 0 } else { *unserved + 1 };
            let long = *unserved >= UNSERVED_LOOKS;
            memory.incident(&format!("queue {} has no consumer", queue.name), !long, now);
        }
        let stores = [StoreHealth::new(self.database.name, Status::Up, Some(latency))].into_iter();
        let served = queues.iter().all(Queue::is_served);
        let all_up =
            roles.iter().flat_map(|role| &role.instances).all(|instance| instance.status == Status::Up);
        let audit = self.audit.report();
        let books_are_right = audit.finding.is_none() && audit.oversold == 0;
        // After a start it is over only when all of the log was checked again.
        if !books_are_right || audit.verified_at.is_some() {
            memory.incident("the audit found the books wrong", books_are_right, now);
        }
        let well = served && all_up && broker_up && troubles.is_empty() && books_are_right;
        let status = if well { Status::Up } else { Status::Degraded };
        let health = Health {
            status,
            dead_letters: queues.iter().filter(|queue| queue.is_dead()).map(Queue::messages).sum(),
            roles,
            queues: queues.into_iter().filter(|queue| !queue.is_dead()).collect(),
            stores: stores.chain(broker).collect(),
            lag: self.lag(&instances, head.position).await?,
            audit: serde_json::to_value(audit).expect("a report is plain data"),
            incidents: memory.incidents.clone(),
            at: now,
        };
        let body = serde_json::to_string(&health).expect("the document is plain data");
        self.database.notes.put_notes(vec![Note { name: NOTE.to_owned(), body, at: now }]).await
    }

    async fn lag(&self, instances: &[Told], head: Position) -> Result<Lag, StoreError> {
        let behind = |position: Position| head.0.saturating_sub(position.0);
        let relay = if self.relays { behind(self.database.store.cursor("relay").await?) } else { 0 };
        let models = instances.iter().filter_map(|told| told.read_model);
        Ok(Lag { relay_events: relay, read_model_events: models.map(behind).max().unwrap_or(0) })
    }

    /// Up or down, and since when; forgets who has been gone for long.
    async fn judge(
        &self,
        instances: &[Told],
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<Vec<RoleHealth>, StoreError> {
        let mut roles: BTreeMap<&str, Vec<InstanceHealth>> = BTreeMap::new();
        let mut seen = Vec::new();
        for told in instances {
            let last = told.roles.values().max().copied().unwrap_or(told.since);
            if older(last, GONE_AFTER, now) {
                self.database.notes.delete_note(&format!("{}{}", instance::NOTES, told.id)).await?;
                continue;
            }
            for (role, last_seen) in &told.roles {
                // While the database was away nobody could tell of himself.
                let silent = older((*last_seen).max(memory.database_back), SILENT_AFTER, now);
                let refuses = role == "gateway" && memory.unreachable.get(&told.id).copied().unwrap_or(false);
                let status = if silent || refuses { Status::Down } else { Status::Up };
                let key = (role.clone(), told.id.clone());
                let known = memory.known.get(&key).copied();
                let since = match known {
                    Some((before, since)) if before == status => since,
                    Some(_) => now,
                    None => told.since,
                };
                if known.is_some_and(|(before, _)| before != status) {
                    match status {
                        Status::Up => tracing::info!(role, instance = told.id, "a role is back"),
                        Status::Down | Status::Degraded => {
                            tracing::error!(role, instance = told.id, "a role is down");
                        }
                    }
                }
                memory.known.insert(key.clone(), (status, since));
                memory.incident(&format!("{role} {} is down", told.id), status == Status::Up, now);
                seen.push(key);
                let health = InstanceHealth { id: told.id.clone(), status, since, last_seen: *last_seen };
                roles.entry(role).or_default().push(health);
            }
        }
        // Whoever left the list has stopped cleanly, or is gone for good: its incident ends.
        let left: Vec<_> = memory.known.keys().filter(|key| !seen.contains(key)).cloned().collect();
        for key in left {
            memory.incident(&format!("{} {} is down", key.0, key.1), true, now);
            memory.known.remove(&key);
        }
        let role = |(role, instances): (&str, _)| RoleHealth { role: role.to_owned(), instances };
        Ok(roles.into_iter().map(role).collect())
    }

    async fn poll_gateways(&self, instances: &[Told], memory: &mut Memory) {
        if memory.polled.is_some_and(|polled| polled.elapsed() < POLL_EVERY) {
            return;
        }
        memory.polled = Some(Instant::now());
        memory.unreachable.clear();
        let polls = instances.iter().filter_map(|told| {
            let address = told.address.as_ref()?;
            let request = self.client.get(format!("{address}/health/live")).timeout(POLL_MAX).send();
            Some(async move {
                let alive = request.await.is_ok_and(|answer| answer.status().is_success());
                (told.id.clone(), !alive)
            })
        });
        memory.unreachable.extend(futures_util::future::join_all(polls).await);
    }
}

fn older(time: Timestamp, than: Duration, now: Timestamp) -> bool {
    now.0.saturating_sub(time.0) > i64::try_from(than.as_micros()).unwrap_or(i64::MAX)
}

impl Memory {
    /// Begins or ends an incident.
    fn incident(&mut self, what: &str, well: bool, now: Timestamp) {
        let open = self.incidents.iter_mut().find(|incident| incident.what == what && incident.to.is_none());
        match (open, well) {
            (Some(open), true) => open.to = Some(now),
            (None, false) => {
                self.incidents.insert(0, Incident { what: what.to_owned(), from: now, to: None });
                self.incidents.truncate(INCIDENTS_MAX);
            }
            (Some(_), false) | (None, true) => {}
        }
    }

    /// The incident of a database that is away can be told of only when it is back.
    fn database(&mut self, well: bool, now: Timestamp) {
        if well && self.database_away {
            self.database_back = now;
        }
        self.database_away = !well;
        // One that can be read and takes no notes is well and away by turns: that is one incident.
        let is_just_over = |incident: &&mut Incident| {
            incident.what == "database" && incident.to.is_some_and(|to| !older(to, SILENT_AFTER, now))
        };
        match self.incidents.iter_mut().find(is_just_over) {
            Some(goes_on) if !well => goes_on.to = None,
            Some(_) | None => self.incident("database", well, now),
        }
    }

    /// Begins an incident for each, and ends those of the broker that are over.
    fn broker_troubles(&mut self, troubles: &[String], now: Timestamp) {
        let what = |trouble: &String| format!("{BROKER_TROUBLE}{trouble}");
        let open: Vec<String> = self
            .incidents
            .iter()
            .filter(|incident| incident.to.is_none() && incident.what.starts_with(BROKER_TROUBLE))
            .map(|incident| incident.what.clone())
            .collect();
        for over in open.iter().filter(|open| !troubles.iter().any(|trouble| what(trouble) == **open)) {
            self.incident(over, true, now);
        }
        for trouble in troubles {
            self.incident(&what(trouble), false, now);
        }
    }
}

async fn read(database: &Database) -> Result<Option<Health>, StoreError> {
    let Some(note) = database.notes.note(NOTE).await? else { return Ok(None) };
    match serde_json::from_str(&note.body) {
        Ok(health) => Ok(Some(health)),
        // An older monitor's form is worth nothing a moment later.
        Err(_) => Ok(None),
    }
}

/// What gateways show of the monitor's findings.
pub struct Board {
    database: Database,
    last: Mutex<Option<(Instant, Value)>>,
}

/// How long a gateway shows the document that it read.
const SHOWN_FOR: Duration = Duration::from_millis(500);

impl Board {
    pub fn new(database: Database) -> Arc<Self> {
        Arc::new(Self { database, last: Mutex::default() })
    }

    /// The health board's data (`GET /v1/health`).
    pub async fn document(&self) -> Value {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, document)) = last.filter(|(at, _)| at.elapsed() < SHOWN_FOR) {
            debug_assert!(at.elapsed() < STALE_AFTER);
            return document;
        }
        let document = match read(&self.database).await {
            Ok(Some(health)) => as_of(health, clock::now()),
            Ok(None) => nothing_known(true),
            Err(error) => {
                tracing::debug!(%error, "the monitor's findings cannot be read");
                nothing_known(false)
            }
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), document.clone()));
        document
    }
}

/// A document that nobody renewed says that the monitor is down.
fn as_of(mut health: Health, now: Timestamp) -> Value {
    if older(health.at, STALE_AFTER, now) {
        health.status = Status::Degraded;
        let monitors = health.roles.iter_mut().filter(|role| role.role == "monitor");
        for instance in monitors.flat_map(|role| &mut role.instances) {
            instance.status = Status::Down;
            instance.since = health.at;
        }
        health
            .incidents
            .insert(0, Incident { what: "the monitor is down".to_owned(), from: health.at, to: None });
    }
    serde_json::to_value(&health).expect("the document is plain data")
}

fn nothing_known(database_up: bool) -> Value {
    let status = if database_up { "degraded" } else { "down" };
    let stores = if database_up {
        json!([])
    } else {
        json!([{"name": "database", "status": "down", "latency_ms": null}])
    };
    json!({
        "status": status,
        "roles": [],
        "queues": [],
        "stores": stores,
        "lag": {"relay_events": 0, "read_model_events": 0},
        "dead_letters": 0,
        "audit": {"oversold": 0, "verified_position": "0", "verified_at": null},
        "incidents": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_was_away_is_an_incident_when_it_is_back() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut memory = Memory::default();
        memory.database(true, at(1));
        assert_eq!((memory.incidents.len(), memory.database_back), (0, Timestamp::default()));
        for (well, seconds) in [(false, 2), (false, 4), (true, 9), (true, 11)] {
            memory.database(well, at(seconds));
        }
        let incident = |from, to| Incident { what: "database".to_owned(), from: at(from), to: Some(at(to)) };
        assert_eq!((&memory.incidents, memory.database_back), (&vec![incident(2, 9)], at(9)));
        for (well, seconds) in [(false, 13), (true, 15), (false, 15), (true, 17), (false, 30), (true, 31)] {
            memory.database(well, at(seconds));
        }
        assert_eq!(memory.incidents, [incident(30, 31), incident(2, 17)]);
    }
}
