//! This process among others: which roles it runs and whether their loops live, told every two seconds in a note
//! that the monitor reads; and whether it has what it needs to take work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use holdfast_domain::{Position, Timestamp};
use holdfast_store::notes::Note;
use holdfast_store::{Database, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock;
use crate::connect::{RETRY_WAIT, START_WAIT_MAX};
use crate::lifecycle::told;
use crate::role::Role;

/// How often an instance tells that it lives.
pub const TELL_EVERY: Duration = Duration::from_secs(2);
/// The note of an instance is `instance/ID`.
pub const NOTES: &str = "instance/";

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

/// What an instance tells about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub id: String,
    /// Its machine and its number there: a place whose process is gone is free for the next one.
    pub host: String,
    pub pid: u32,
    pub since: Timestamp,
    /// Where a gateway can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Role → when its loop last showed that it lives.
    pub roles: BTreeMap<String, Timestamp>,
    /// What a gateway's reads show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_model: Option<Position>,
}

impl Told {
    /// Whether its process surely runs no more, as far as somebody on `host` can tell.
    fn is_gone(&self, host: &str) -> bool {
        // In a container every process is number 1: a predecessor with this process's own number has ended.
        let is_alive =
            self.pid != std::process::id() && std::path::Path::new(&format!("/proc/{}", self.pid)).exists();
        self.host == host && !is_alive
    }
}

/// Something that this process needs to take work, and lacks.
type Missing = Box<dyn Fn() -> Vec<String> + Send + Sync>;

#[derive(Default)]
struct State {
    beats: Vec<(Role, Beat)>,
    address: Option<String>,
    read_model: Option<Box<dyn Fn() -> Position + Send>>,
    needs: Vec<Missing>,
    trouble: Option<String>,
    latency: Option<Duration>,
}

pub struct Instance {
    id: String,
    host: String,
    since: Timestamp,
    database: Database,
    state: Mutex<State>,
    /// Whether others can read which roles run here.
    has_told: watch::Sender<bool>,
}

impl Instance {
    /// Takes a place among the others: `HOST-ROLES-1`, or the next number that no living process has. Started again
    /// after a crash, a process takes the place that it had, and what was down is up again.
    ///
    /// # Errors
    /// When the database still takes no notes after a while; it may be full, or be failing over.
    pub async fn join(host: &str, roles: &[Role], database: Database) -> anyhow::Result<Arc<Self>> {
        let until = Instant::now() + START_WAIT_MAX;
        loop {
            match Self::try_join(host, roles, database.clone()).await {
                Err(error) if error.is_transient() && Instant::now() < until => {
                    tracing::warn!("database: {error}; trying again");
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                joined => return joined.context("database"),
            }
        }
    }

    async fn try_join(host: &str, roles: &[Role], database: Database) -> Result<Arc<Self>, StoreError> {
        let what = match roles {
            _ if roles.len() == Role::ALL.len() => "all".to_owned(),
            some => some.iter().map(|role| role.as_str()).collect::<Vec<_>>().join("+"),
        };
        let notes = database.notes.notes(NOTES, None, INSTANCES_MAX).await?;
        let since = clock::now();
        for number in 1_u32.. {
            let id = format!("{host}-{what}-{number}");
            let instance = Self {
                id,
                host: host.to_owned(),
                since,
                database: database.clone(),
                state: Mutex::default(),
                has_told: watch::Sender::new(false),
            };
            let note = instance.note();
            let taken = notes.iter().find(|taken| taken.name == note.name);
            let is_free = taken.is_none_or(|note| told_in(note).is_some_and(|told| told.is_gone(host)));
            // Two may start at the same time and see the same place free: one of them gets it.
            if is_free && database.notes.replace_note(note, taken.map(|note| note.body.as_str())).await? {
                return Ok(Arc::new(instance));
            }
        }
        unreachable!("there are more numbers than instances")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A role's heartbeat; it counts as up from now on.
    pub fn beat(&self, role: Role) -> Beat {
        let beat = Beat(Arc::new(AtomicI64::new(clock::now().0)));
        self.lock().beats.push((role, beat.clone()));
        beat
    }

    /// Where this process's gateway is reached, and what its reads show.
    pub fn is_gateway(&self, address: String, read_model: impl Fn() -> Position + Send + 'static) {
        let mut state = self.lock();
        state.address = Some(address);
        state.read_model = Some(Box::new(read_model));
    }

    /// Adds to what `/health/ready` asks: the names of the parts that are missing now.
    pub fn needs(&self, missing: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.lock().needs.push(Box::new(missing));
    }

    /// What this process needs to take work, and lacks.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.lock();
        let mut failing: Vec<String> = state.needs.iter().flat_map(|missing| missing()).collect();
        if state.trouble.is_some() {
            failing.insert(0, "database".to_owned());
        }
        if failing.is_empty() { Ok(()) } else { Err(failing) }
    }

    /// Where the log ends, and what this process's reads show.
    pub async fn positions(&self) -> (Position, Position) {
        let model = self.lock().read_model.as_ref().map(|position| position()).unwrap_or_default();
        let head = self.database.store.head().await.map_or(model, |head| head.position);
        (head, model)
    }

    /// How long the database last took for a write.
    pub fn database_latency(&self) -> Option<Duration> {
        self.lock().latency
    }

    fn told(&self) -> Told {
        let state = self.lock();
        Told {
            id: self.id.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            since: self.since,
            address: state.address.clone(),
            roles: state.beats.iter().map(|(role, beat)| (role.as_str().to_owned(), beat.last())).collect(),
            read_model: state.read_model.as_ref().map(|position| position()),
        }
    }

    fn note_name(&self) -> String {
        format!("{NOTES}{}", self.id)
    }

    fn note(&self) -> Note {
        let body = serde_json::to_string(&self.told()).expect("what is told is plain data");
        Note { name: self.note_name(), body, at: clock::now() }
    }

    async fn tell(&self) -> Result<(), StoreError> {
        self.database.notes.put_notes(vec![self.note()]).await
    }

    /// Returns once others can read which roles run here.
    pub async fn has_told(&self) {
        told(&mut self.has_told.subscribe()).await;
    }

    /// Tells until the process stops; then its name leaves the list.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = told(&mut stopping) => break,
            }
            let started = Instant::now();
            // A database that does not answer at all is as bad as one that refuses.
            let answered = tokio::time::timeout(TELL_EVERY * 2, self.tell()).await;
            let trouble = match answered {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_elapsed) => Some("the database does not answer".to_owned()),
            };
            if trouble.is_none() {
                self.has_told.send_replace(true);
            }
            let mut state = self.lock();
            if trouble != state.trouble {
                match &trouble {
                    Some(trouble) => tracing::error!(trouble, "the database is missing"),
                    None => tracing::info!("the database is back"),
                }
            }
            state.latency = trouble.is_none().then(|| started.elapsed());
            state.trouble = trouble;
        }
        if let Err(error) = self.database.notes.delete_note(&self.note_name()).await {
            tracing::debug!(%error, "this instance's name stays in the list for a while");
        }
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

/// All instances that told something and have not left.
pub async fn all(database: &Database) -> Result<Vec<Told>, StoreError> {
    let notes = database.notes.notes(NOTES, None, INSTANCES_MAX).await?;
    Ok(notes.iter().filter_map(told_in).collect())
}

fn told_in(note: &Note) -> Option<Told> {
    match serde_json::from_str(&note.body) {
        Ok(told) => Some(told),
        Err(error) => {
            tracing::warn!(name = note.name, %error, "an instance tells something unreadable");
            None
        }
    }
}

/// Instances that are looked at.
const INSTANCES_MAX: usize = 1_000;
