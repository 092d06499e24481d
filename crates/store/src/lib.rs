//! Durability: one append-only log, and what is derived from it in the same transaction.
//!
//! [`Store::execute`] is the only way to write to the log: one batch of commands, one transaction. It locks the log's
//! head, loads what the batch touches, lets [`plan`] decide, writes, moves the head and commits. SQLite and
//! PostgreSQL implement the same traits and must pass the same contract suite (`contract`).
//!
//! Errors: [`StoreError`] is trouble (a disk, a network, a defect); what the rules refuse is in the outcomes.

pub mod accounts;
mod columns;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod ids;
pub mod notes;
pub mod plan;
mod planner;
pub mod postgres;
mod recent;
mod snapshot;
pub mod sqlite;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::{
    Command, CommandBody, Hold, HoldStatus, LocationCode, Movement, Order, OrderStatus, Outcome, Position,
    Recorded, Sku, SkuState, Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use accounts::Accounts;
pub use notes::Notes;
pub use snapshot::Snapshot;

/// Holds that one batch expires at most; the rest follow in the next one.
pub const EXPIRE_PER_BATCH_MAX: usize = 5_000;
/// Orders or holds that one page of a list looks at, at most.
pub const LIST_SCAN_MAX: usize = 5_000;
/// How long outcomes are remembered.
pub const OUTCOME_HOURS: i64 = 24;

/// Where units of a SKU are.
pub type Place = (Sku, LocationCode);

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// May heal by itself: busy, out of reach, fail-over. Nothing was written.
    #[error("the database is not reachable now: {0}")]
    Transient(String),
    /// The connection broke, or no answer came in time: what was to be written may be written or not. May heal by itself;
    /// the same ids again are safe.
    #[error("the database did not answer: {0}")]
    InDoubt(String),
    /// The disk or quota is full: reads go on, writes fail until there is room.
    #[error("the database is full: {0}")]
    Full(String),
    /// A newer Holdfast wrote this database.
    #[error(
        "the database has schema version {found}, this Holdfast knows up to {known}; use a newer Holdfast"
    )]
    Newer { found: i64, known: i64 },
    /// An earlier Holdfast wrote this database, and whoever asks is not to change that.
    #[error(
        "the database has schema version {found}, this Holdfast needs {needed}; stop earlier servers and run \
         `holdfast migrate`"
    )]
    Older { found: i64, needed: i64 },
    /// What was read contradicts itself.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// It was closed, or its writer is gone: this process can do no more with it.
    #[error("the database is closed")]
    Closed,
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Transient(_) | StoreError::InDoubt(_) | StoreError::Full(_))
    }

    /// Whether this process can do no more with the database.
    pub fn is_final(&self) -> bool {
        matches!(self, StoreError::Damaged(_) | StoreError::Newer { .. } | StoreError::Closed)
    }

    /// Whether a write that met this may have happened.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, StoreError::InDoubt(_))
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// One batch of the log, as written. `hash` = SHA-256 over the hash before it and this batch ([`chain_hash`]).
#[derive(Debug, Clone, PartialEq)]
pub struct LogBatch {
    pub first: Position,
    pub last: Position,
    pub decided_at: Timestamp,
    /// `{"v":1,"events":[…]}`, exactly the bytes that were hashed.
    pub payload: Vec<u8>,
    pub hash: [u8; 32],
}

impl LogBatch {
    /// The batch that follows `head`; `None` without events.
    pub(crate) fn after(head: &Head, decided_at: Timestamp, events: &[Recorded]) -> Option<Self> {
        if events.is_empty() {
            return None;
        }
        let first = head.position.plus(1);
        let last = head.position.plus(events.len());
        let payload = encode_events(events);
        let hash = chain_hash(&head.hash, first, last, decided_at, &payload);
        Some(Self { first, last, decided_at, payload, hash })
    }

    /// What followers are told once this batch, which holds `events`, is committed.
    pub(crate) fn committed(&self, events: Vec<Recorded>) -> Committed {
        let Self { first, last, decided_at, .. } = *self;
        Committed { first, last, decided_at, events: Arc::new(events) }
    }

    /// The events in their order; the first stands at `first`.
    pub fn events(&self) -> Result<Vec<Recorded>> {
        decode_events(&self.payload)
    }
}

#[derive(Serialize)]
struct PayloadOut<'a> {
    v: u32,
    events: &'a [Recorded],
}

#[derive(Deserialize)]
struct PayloadIn {
    v: u32,
    events: Vec<Recorded>,
}

/// The size of most events is below.
const EVENT_BYTES: usize = 448;

/// The recorded form of a batch's events.
pub fn encode_events(events: &[Recorded]) -> Vec<u8> {
    let mut payload = Vec::with_capacity((events.len() + 1) * EVENT_BYTES);
    serde_json::to_writer(&mut payload, &PayloadOut { v: 1, events })
        .expect("events are plain data and always serialise");
    payload
}

pub fn decode_events(payload: &[u8]) -> Result<Vec<Recorded>> {
    let payload: PayloadIn = serde_json::from_slice(payload)
        .map_err(|error| StoreError::Damaged(format!("a batch of the log cannot be read: {error}")))?;
    match payload.v {
        1 => Ok(payload.events),
        v => Err(StoreError::Damaged(format!("a batch of the log has the unknown version {v}"))),
    }
}

/// SHA-256(previous hash ‖ first ‖ last ‖ decided_at ‖ payload), numbers as 8 bytes big-endian.
pub fn chain_hash(
    previous: &[u8; 32],
    first: Position,
    last: Position,
    decided_at: Timestamp,
    payload: &[u8],
) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(first.0.to_be_bytes());
    hasher.update(last.0.to_be_bytes());
    hasher.update(decided_at.0.to_be_bytes());
    hasher.update(payload);
    hasher.finalize().into()
}

/// Where the log ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub position: Position,
    pub decided_at: Timestamp,
    pub hash: [u8; 32],
}

/// What was committed, handed to followers in this process so that they need not read it again.
#[derive(Debug, Clone)]
pub struct Committed {
    pub first: Position,
    pub last: Position,
    pub decided_at: Timestamp,
    pub events: Arc<Vec<Recorded>>,
}

/// The outcomes of a batch in the order of its commands, and what it added to the log (`None`: nothing).
#[derive(Debug, Clone)]
pub struct Executed {
    pub outcomes: Vec<Outcome>,
    pub committed: Option<Committed>,
}

/// A command that was answered 202 and is not decided yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub command: Command,
    pub since: Timestamp,
}

impl Pending {
    /// What it looks like to its customer, if it is an order.
    pub(crate) fn order(&self) -> Option<Order> {
        match &self.command.body {
            CommandBody::PlaceOrder(place) => {
                Some(Order::pending(self.command.id, &self.command.actor, place, self.since))
            }
            _other_commands => None,
        }
    }
}

/// Which orders or holds to list, newest first; `before` is where the last page ended.
#[derive(Debug, Clone)]
pub struct ClaimFilter<S> {
    pub status: Option<S>,
    pub customer: Option<String>,
    pub before: Option<Position>,
    pub limit: usize,
}

/// The first page of everything; give it a `limit`.
impl<S> Default for ClaimFilter<S> {
    fn default() -> Self {
        Self { status: None, customer: None, before: None, limit: 0 }
    }
}

/// A page, newest first. `next` is the `before` of the page after it, `None` at the end. A page may be short and
/// still have a next one: the search for a rare status stops after a bounded number of rows.
#[derive(Debug, Clone)]
pub struct ClaimPage<T> {
    pub items: Vec<T>,
    pub next: Option<Position>,
}

/// The write side.
#[async_trait]
pub trait Store: Send + Sync {
    /// Decides and records a batch in one transaction. `clock` is the worker's; the decision time is never before
    /// the head's. Expires due holds first ([`EXPIRE_PER_BATCH_MAX`]). Settles pending commands among the batch.
    async fn execute(&self, clock: Timestamp, commands: Arc<Vec<Command>>) -> Result<Executed>;

    /// Whether [`Store::execute_here`] may be worth asking.
    fn decides_here(&self) -> bool {
        false
    }

    /// The same on the thread that calls, which is blocked meanwhile: it spares a batch two ways from thread to thread.
    /// `None` where that cannot be, or while somebody else writes; then nothing has happened.
    fn execute_here(&self, _clock: Timestamp, _commands: &[Command]) -> Option<Result<Executed>> {
        None
    }

    /// Whether it makes use of [`Store::foresee`].
    fn plans_ahead(&self) -> bool {
        false
    }

    /// Says which batch will be executed next, once all that were begun are: what can be planned of it by then is, while
    /// they are written. A hint, without which everything works; it is for those commands, in that very `Arc`.
    async fn foresee(&self, _clock: Timestamp, _commands: Arc<Vec<Command>>) {}

    async fn head(&self) -> Result<Head>;

    /// When the next hold is due, if any holds.
    async fn next_expiry(&self) -> Result<Option<Timestamp>>;

    /// Records commands as pending before they are answered 202, and says how many of them are new. Those whose
    /// id is pending, or whose id or key is decided, stay what they are.
    async fn add_pending(&self, pending: Vec<Pending>) -> Result<usize>;
    /// Settles a pending command that will never be decided: an order becomes `rejected` with `not_processable`.
    async fn remove_pending(&self, clock: Timestamp, id: Uuid) -> Result<()>;
    /// Pending commands recorded before `before`, oldest first.
    async fn pending_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Pending>>;

    /// Forgets outcomes older than [`OUTCOME_HOURS`] before `now`, at most `limit`; says how many went.
    async fn prune_outcomes(&self, now: Timestamp, limit: usize) -> Result<usize>;

    /// Appends movements up to `cursor` and moves the projection's cursor, in one transaction. Ignores those
    /// that are there already.
    async fn apply_movements(&self, movements: Vec<Movement>, cursor: Position) -> Result<()>;

    /// A follower's saved position (0 at first), by name.
    async fn cursor(&self, name: &str) -> Result<Position>;
    async fn save_cursor(&self, name: &str, position: Position) -> Result<()>;

    /// Copies the whole database into a new file, live. PostgreSQL says that its own tools do this.
    async fn backup(&self, target: &Path) -> Result<()>;

    /// Lets the writer take from `image` what it has not at hand, as far as it is sure that nothing has changed since.
    /// A database that is quick to look things up in all at once has no use for it.
    async fn look_up_in(&self, _image: Arc<dyn Image>) -> Result<()> {
        Ok(())
    }

    /// Sees to it, before the first orders come, that there is room for them: for commits on the disk, where whether there is
    /// any will else show when they need it, or for items in memory.
    async fn make_room(&self) -> Result<()> {
        Ok(())
    }

    /// Puts some items at hand before anybody orders them, and says how to go on. A hint, without which everything works.
    async fn warm_up(&self) -> Result<WarmUp> {
        Ok(WarmUp::Needless)
    }

    /// Waits for what is under way and closes; later calls fail.
    async fn close(&self);
}

/// What [`Store::warm_up`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// There is more to put at hand.
    More,
    /// All is at hand, nothing can be yet, or what was read did not count: look again later.
    Rest,
    /// Memory has begun anew: all of it was for nothing.
    Anew,
    /// This database has everything at hand in another way.
    Needless,
}

/// Items and stock as this process knows them from following the log.
pub trait Image: Send + Sync {
    /// Every event up to here is in it.
    fn position(&self) -> Position;
    /// The SKU after these events, and perhaps after some that were committed later. `None` says nothing.
    fn sku(&self, sku: &Sku) -> Option<SkuState>;
}

/// The read side of the database.
#[async_trait]
pub trait Reads: Send + Sync {
    /// Batches of the log after `after`, oldest first, about `bytes_max` at most but at least one if there is one.
    async fn log(&self, after: Position, bytes_max: usize) -> Result<Vec<LogBatch>>;
    async fn snapshot(&self) -> Result<Snapshot>;
    /// A pending order is shown as such.
    async fn order(&self, id: Uuid) -> Result<Option<Order>>;
    async fn orders(&self, filter: ClaimFilter<OrderStatus>) -> Result<ClaimPage<Order>>;
    async fn hold(&self, id: Uuid) -> Result<Option<Hold>>;
    async fn holds(&self, filter: ClaimFilter<HoldStatus>) -> Result<ClaimPage<Hold>>;
    /// The outcome of a command and the name of the actor that sent it.
    async fn outcome(&self, id: Uuid) -> Result<Option<(String, Outcome)>>;
    /// Those of these commands whose outcomes are remembered as such (not in the row of an order or a hold).
    async fn decided(&self, ids: Vec<Uuid>) -> Result<Vec<Uuid>>;
    async fn pending(&self, id: Uuid) -> Result<Option<Pending>>;
    /// Newest first; `before` = (position, number within it) of the last one seen.
    async fn movements(
        &self,
        sku: &Sku,
        before: Option<(Position, u32)>,
        limit: usize,
    ) -> Result<Vec<(u32, Movement)>>;
    /// On hand as the movements last recorded it, for each of these places that has any.
    async fn last_on_hand(&self, places: Vec<Place>) -> Result<Vec<(Place, i64)>>;
    async fn movements_cursor(&self) -> Result<Position>;
    /// Current rows as they stand in the tables, for `verify`: calls back in pages ordered by id.
    async fn orders_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Order>>;
    async fn holds_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Hold>>;
    async fn head_of_reads(&self) -> Result<Head>;
}

/// One opened database: the same one, seen as writer, reader and keeper of accounts.
#[derive(Clone)]
pub struct Database {
    pub store: Arc<dyn Store>,
    pub reads: Arc<dyn Reads>,
    pub accounts: Arc<dyn Accounts>,
    pub notes: Arc<dyn Notes>,
    /// Which database this is, for people: `sqlite` or `postgres`.
    pub name: &'static str,
}

impl Database {
    /// Opens (and where it is new, creates) an SQLite database and brings it to this version.
    pub async fn open_sqlite(path: &Path) -> Result<Self> {
        let database = Arc::new(sqlite::Sqlite::open(path).await?);
        Ok(Self {
            store: database.clone(),
            reads: database.clone(),
            accounts: database.clone(),
            notes: database,
            name: "sqlite",
        })
    }

    /// Whether the database at `path` can be opened without bringing it to this version first; a new one can.
    ///
    /// # Errors
    /// [`StoreError::Older`] if not.
    pub fn check_sqlite(path: &Path) -> Result<()> {
        sqlite::check_version(path)
    }

    /// As [`Database::check_sqlite`].
    ///
    /// # Errors
    /// [`StoreError::Older`], or what [`Database::open_postgres`] answers.
    pub async fn check_postgres(url: &str) -> Result<()> {
        postgres::check_version(url).await
    }

    /// Opens a PostgreSQL database (which must exist, and may be empty) and brings it to this version. `url` may name
    /// several hosts: the one that takes writes is used, and found again after a fail-over. Lists, history and the log
    /// are read from `read_url`, by default from the same database.
    ///
    /// # Errors
    /// [`StoreError::Transient`] if no host answers or takes writes now, [`StoreError::Other`] if something must be
    /// changed first. Both name the database, and never the password.
    pub async fn open_postgres(url: &str, read_url: Option<&str>) -> Result<Self> {
        let database = Arc::new(postgres::Postgres::connect(url, read_url).await?);
        Ok(Self {
            store: database.clone(),
            reads: database.clone(),
            accounts: database.clone(),
            notes: database,
            name: "postgres",
        })
    }
}
