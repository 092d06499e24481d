//! The writing connection, and what it is for: deciding a batch in one transaction.
//!
//! One round trip for a batch that could be planned in memory ([`crate::planner`]), two for any other: lock the head and
//! load; write and commit. The items and stock that a batch loaded stay in memory for the next one. They are true
//! exactly as long as the log's head is where this writer left it, which each transaction finds out when it has locked
//! the head.
//!
//! A connection can die after a COMMIT was sent and before it was answered. Then nobody knows whether the batch is in
//! the log: [`StoreError::InDoubt`]. The caller sends the same commands again, and those that were committed are answered
//! from what is remembered of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::command::Fingerprint;
use holdfast_domain::{Command, Hold, Ledger, Order, Sku, SkuState, StockRow, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::connection::{
    Ask, Connection, ask, bytes, from_json, get, parsed, position, state_of, timestamp, within,
};
use super::pool::Pool;
use super::target::Target;
use super::touched::{append, move_head, push_remembered, push_step, push_touched, stamp};
use crate::ids::KnownIds;
use crate::plan::{self, Plan, Remembered};
use crate::planner::{self, Base, Foreseen, Found, Known, State};
use crate::recent::{RecentStock, Step, changed_stock};
use crate::{EXPIRE_PER_BATCH_MAX, Executed, Head, LogBatch, Result, StoreError};

/// For one transaction, the wait for the head included, which the server ends after 10 s.
const TRANSACTION_SECONDS_MAX: u64 = 15;

/// For looking up beside the writer, which a batch may wait for.
const LOOK_UP_WAIT_MAX: Duration = Duration::from_secs(2);
/// A batch whose turn it is looks fewer items up in its own transaction: a single buyer waits less for two round trips over
/// one connection than for one over each of two.
const LOOK_UP_MIN: usize = 16;

/// Each statement must see what the writer before this one committed: its own view, not one for the transaction.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// For what can be done again from the log: projections, cursors, heartbeats. Its commit does not wait for the disk, nor
/// for a standby, and takes nothing of the disk's time from the orders.
pub(super) const BEGIN_REPEATABLE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit TO off";

/// One view for all of it, the head included.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) const STATE: &str = "SELECT position, decided_at, hash, stamp FROM log_head WHERE id = 1";
const LOCK_HEAD: &str = "SELECT position, decided_at, hash, stamp FROM log_head WHERE id = 1 FOR UPDATE";
pub(super) const OUTCOMES: &str =
    "SELECT key, command, actor, fingerprint, outcome FROM outcomes WHERE key = ANY($1)";
pub(super) const ORDERS: &str = "SELECT body, fingerprint FROM orders WHERE id = ANY($1)";
pub(super) const HOLDS: &str = "SELECT body, fingerprint FROM holds WHERE id = ANY($1)";
const DUE: &str = "SELECT body, fingerprint FROM holds WHERE status = 'held' AND expires_at <= \
                   greatest($1, (SELECT decided_at FROM log_head WHERE id = 1)) ORDER BY expires_at LIMIT $2";
pub(super) const NEXT_DUE: &str =
    "SELECT expires_at FROM holds WHERE status = 'held' ORDER BY expires_at LIMIT 1";
const PENDING: &str = "SELECT id FROM pending WHERE id = ANY($1)";
const HIGHEST_IDS: &str = "SELECT (SELECT id FROM orders WHERE id < $1 ORDER BY id DESC LIMIT 1), \
                           (SELECT id FROM holds WHERE id < $1 ORDER BY id DESC LIMIT 1), \
                           (SELECT key FROM outcomes WHERE key < $1 ORDER BY key DESC LIMIT 1)";
const ITEMS: &str = "SELECT body FROM items WHERE sku = ANY($1)";
const STOCK: &str = "SELECT sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, \
                     reorder_point FROM stock WHERE sku = ANY($1) ORDER BY sku, location";
const LOCATIONS: &str = "SELECT body FROM locations";
pub(super) const RECENT: &str = "SELECT last_position, changed FROM stock_recent ORDER BY last_position";

/// Rounds are shorter than SQLite's: another writer takes over what is recent while the orders wait.
const ROUND_EVENTS: usize = 50_000;
/// For getting it into the table when the process ends.
const LAST_ROUND_MAX: Duration = Duration::from_secs(3);

/// Plans what is sent in one round trip.
pub(super) type Planner = planner::Planner<Vec<Ask<'static>>>;

/// Owner of the connection that decides.
pub(super) struct Writer {
    target: Arc<Target>,
    connection: Option<Connection>,
    is_closed: bool,
}

impl Writer {
    pub(super) fn new(target: Arc<Target>, connection: Connection) -> Self {
        Self { target, connection: Some(connection), is_closed: false }
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.connection = None;
    }

    /// The connection, taken out so that any error leaves none behind, or a new one.
    pub(super) async fn take(&mut self) -> Result<Connection> {
        if self.is_closed {
            return Err(StoreError::Closed);
        }
        match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => Ok(connection),
            None => {
                let connection = self.target.reconnect().await?;
                tracing::info!("connected to PostgreSQL again");
                Ok(connection)
            }
        }
    }

    pub(super) fn put_back(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// Writes a batch that was planned, if the plan still holds; else nothing has happened.
    async fn write_foreseen(&mut self, asks: &[Ask<'static>]) -> Result<bool> {
        let connection = self.take().await?;
        let holds = transaction(async {
            match connection.try_pipeline(BEGIN, asks, "COMMIT").await {
                Ok(_) => Ok(true),
                Err(error) if error.code().is_some_and(is_disproof) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        self.put_back(connection);
        Ok(holds)
    }

    /// Decides and records a batch, with everything looked up first that is not known.
    async fn decide(
        &mut self,
        known: Option<Known>,
        clock: Timestamp,
        commands: &[Command],
    ) -> Result<(Executed, Known)> {
        let connection = self.take().await?;
        let decided = transaction(decide(&connection, known, clock, commands)).await?;
        self.put_back(connection);
        Ok(decided)
    }
}

/// What a planned batch fails with when the plan does not hold: the proof, or an order that is there already.
fn is_disproof(state: &SqlState) -> bool {
    *state == SqlState::DIVISION_BY_ZERO || *state == SqlState::UNIQUE_VIOLATION
}

/// The two halves of a batch's way, in the order in which they are taken. Whoever has the first may plan, and lets go of
/// it where the plan needs no answer: the next batch is planned while this one is written.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) planner: Arc<Mutex<Planner>>,
    pub(super) writer: Arc<Mutex<Writer>>,
    /// For looking up beside the writer. Of the same database, but it may have found another server: what it reads counts
    /// only with the head that it was read at.
    pub(super) pool: Arc<Pool>,
}

impl Lane {
    /// Decides and records a batch. `planner` was locked in the order of the calls.
    pub(super) async fn execute(
        self,
        mut planner: OwnedMutexGuard<Planner>,
        clock: Timestamp,
        commands: Arc<Vec<Command>>,
    ) -> Result<Executed> {
        let mut writer;
        self.look_up(&mut planner, clock, &commands, LOOK_UP_MIN).await;
        match planner.take(clock, &commands)? {
            None => writer = self.writer.lock_owned().await,
            Some(Foreseen { from, to_write, executed, .. }) => {
                writer = Arc::clone(&self.writer).lock_owned().await;
                drop(planner);
                let holds = writer.write_foreseen(&to_write).await;
                if let Ok(true) = holds {
                    return Ok(executed);
                }
                // Somebody else may have the planner and wait for the writer.
                drop(writer);
                planner = self.planner.lock_owned().await;
                planner.forget(from);
                if !holds? {
                    planner.be_careful();
                }
                writer = self.writer.lock_owned().await;
            }
        }
        let known = planner.take_known();
        let (executed, known) = writer.decide(known, clock, &commands).await?;
        planner.put_back(known);
        Ok(executed)
    }

    /// Plans a batch that will follow all that were begun, if that can be.
    pub(super) async fn foresee(&self, clock: Timestamp, commands: &Arc<Vec<Command>>) {
        let mut planner = self.planner.lock().await;
        self.look_up(&mut planner, clock, commands, 1).await;
        planner.foresee(clock, commands);
    }

    /// Writes the rows of stock that are recent into their table, if nobody has written since. Nothing is lost without; whoever
    /// writes next reads what is recent.
    pub(super) async fn write_recent_stock(&self) {
        let written = within(LAST_ROUND_MAX, async {
            let mut planner = self.planner.lock().await;
            planner.drop_foreseen();
            let known = planner.take_known();
            drop(planner);
            let mut writer = self.writer.lock().await;
            match (known, writer.connection.take().filter(|connection| !connection.is_closed())) {
                (Some(known), Some(connection)) => write_recent_stock(&connection, known).await,
                _nothing_known_or_no_connection => Ok(()),
            }
        });
        if let Err(error) = written.await {
            tracing::debug!(%error, "recent stock stays in its pieces");
        }
    }

    /// Puts at hand what is missing for planning these, if nothing else is missing and it is `min` items or more. Whatever
    /// goes wrong here goes wrong once more, with a name, where the batch is decided.
    async fn look_up(&self, planner: &mut Planner, clock: Timestamp, commands: &[Command], min: usize) {
        let missing = planner.missing(clock, commands);
        if missing.len() < min {
            return;
        }
        let found = self.pool.run(|connection| async move { find(&connection, missing).await });
        match within(LOOK_UP_WAIT_MAX, found).await {
            Ok(found) => {
                planner.add(found);
            }
            Err(error) => tracing::debug!(%error, "items could not be looked up ahead"),
        }
    }
}

/// Gives up after its time; the connection must not be used again then.
pub(super) async fn transaction<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    within(Duration::from_secs(TRANSACTION_SECONDS_MAX), work).await
}

async fn decide(
    connection: &Connection,
    known: Option<Known>,
    clock: Timestamp,
    commands: &[Command],
) -> Result<(Executed, Known)> {
    let keys = plan::keys(commands);
    let claims: Vec<Uuid> = keys.claims.iter().copied().collect();
    let ids: Vec<Uuid> = commands.iter().map(|command| command.id).collect();
    let mut asks = vec![
        ask!(LOCK_HEAD),
        ask!(OUTCOMES, plan::outcome_keys(commands)),
        ask!(ORDERS, &claims),
        ask!(HOLDS, &claims),
        ask!(DUE, clock.0, EXPIRE_PER_BATCH_MAX as i64),
        ask!(NEXT_DUE),
        ask!(PENDING, ids),
        ask!(HIGHEST_IDS, KnownIds::ceiling(clock)),
    ];
    // What is not at hand is asked for right away; whether the rest is still true, the head will say.
    let missing: Vec<&Sku> = match &known {
        Some(known) => keys.skus.iter().filter(|sku| !known.has_sku(sku)).collect(),
        None => keys.skus.iter().collect(),
    };
    let is_new = known.as_ref().is_none_or(|known| !known.has_ledger());
    push_recent(&mut asks, known.is_none());
    push_skus(&mut asks, &missing, is_new);
    let answers = connection.pipeline(BEGIN, &asks, "").await?;
    let mut answers = answers.into_iter();
    let mut next = || answers.next().expect("each ask has its answer");

    let found = state_of(&next())?;
    let head = found.head.clone();
    let remembered = next().iter().map(remembered_of).collect::<Result<_>>()?;
    let (orders, holds, due) = (next(), next(), next());
    let next_due = next().first().map(|row| timestamp(row, 0)).transpose()?;
    let pending = next();
    let mut known_ids = known_ids(clock, &next())?;
    known_ids.add(plan::outcome_keys(commands));
    let now = clock.max(head.decided_at);
    let Base { ledger, recent, .. } = match known {
        Some(known) => known.at(&found, now),
        None => Base { recent: Some(recent_of(&head, &next())?), ..Base::default() },
    };
    let is_stale = recent.is_none() || (!is_new && ledger.is_none());
    let mut ledger = ledger.unwrap_or_else(|| Ledger::new(now));
    put_claims(&mut ledger, &claims, &orders, &holds, &due)?;
    if let Some(recent) = recent.as_ref().filter(|_| !is_stale) {
        put_skus(&mut ledger, &missing, recent, &mut answers)?;
    }
    let is_taken_over = recent.is_none();
    let mut recent = load_rest(connection, &mut ledger, &head, recent, is_stale, &keys.skus).await?;

    let plan = plan::plan(&mut ledger, head.position, commands, remembered);
    let settled: Vec<Uuid> = pending.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
    if plan.events.is_empty() && plan.remember.is_empty() && settled.is_empty() {
        connection.simple("ROLLBACK").await?;
        return Ok((
            Executed { outcomes: plan.outcomes, committed: None },
            Known::new(found, ledger, recent, next_due, known_ids),
        ));
    }
    let Plan { events, outcomes, remember } = plan;
    let batch = LogBatch::after(&head, now, &events);
    let step = match &batch {
        None => None,
        // What others left is not read again and again, whoever has the next turn.
        Some(batch) if is_taken_over => Some(recent.change_all(changed_stock(&ledger)?, batch.last)),
        Some(batch) => Some(recent.change(changed_stock(&ledger)?, batch.last, events.len())?),
    };
    let committed = batch.as_ref().map(|batch| batch.committed(events));
    let state = match &batch {
        Some(batch) => State::after(batch),
        None if remember.is_empty() => found,
        None => State { head, stamp: Uuid::new_v4() },
    };
    write(connection, &ledger, now, &remember, settled, state.stamp, batch.zip(step)).await?;
    Ok((Executed { outcomes, committed }, Known::new(state, ledger, recent, next_due, known_ids)))
}

/// Writes all that a plan changes, with a stamp of its own if there is a batch or anything to remember, and commits.
pub(super) async fn write(
    connection: &Connection,
    ledger: &Ledger,
    now: Timestamp,
    remember: &[Remembered],
    settled: Vec<Uuid>,
    new_stamp: Uuid,
    batch: Option<(LogBatch, Step)>,
) -> Result<()> {
    let mut asks = Vec::new();
    push_touched(&mut asks, ledger)?;
    push_remembered(&mut asks, now, remember)?;
    if !settled.is_empty() {
        asks.push(ask!("DELETE FROM pending WHERE id = ANY($1)", settled));
    }
    if let Some((batch, mut step)) = batch {
        push_step(&mut asks, &mut step, batch.last);
        asks.push(move_head(&batch, new_stamp));
        asks.push(append(batch));
    } else if !remember.is_empty() {
        asks.push(stamp(new_stamp));
    }
    connection.pipeline("", &asks, "COMMIT").await.map(drop)
}

async fn write_recent_stock(connection: &Connection, known: Known) -> Result<()> {
    let found = begin_at_head(connection).await?;
    let head = found.head.clone();
    let Some(mut recent) = known.at(&found, head.decided_at).recent.filter(RecentStock::has_pieces) else {
        return connection.simple("ROLLBACK").await;
    };
    let mut asks = vec![stamp(Uuid::new_v4())];
    push_step(&mut asks, &mut recent.change_all(Vec::new(), head.position), head.position);
    connection.pipeline("", &asks, "COMMIT").await.map(drop)
}

/// Locks the head outside of [`decide`], in a transaction that the caller ends.
pub(super) async fn begin_at_head(connection: &Connection) -> Result<State> {
    let answers = connection.pipeline(BEGIN, &[ask!(LOCK_HEAD)], "").await?;
    state_of(&answers[0])
}

fn put_claims(
    ledger: &mut Ledger,
    claims: &[Uuid],
    orders: &[Row],
    holds: &[Row],
    due: &[Row],
) -> Result<()> {
    for id in claims {
        ledger.put_order(*id, None);
        ledger.put_hold(*id, None);
    }
    for row in due {
        let hold = hold_of(row)?;
        // The ledger wants to know of both tables for each id; of an order under a held hold's id there is none.
        ledger.put_order(hold.id, None);
        ledger.put_hold(hold.id, Some(hold));
    }
    for row in orders {
        let order = order_of(row)?;
        ledger.put_order(order.id, Some(order));
    }
    for row in holds {
        let hold = hold_of(row)?;
        ledger.put_hold(hold.id, Some(hold));
    }
    Ok(())
}

/// From the answer to [`HIGHEST_IDS`] at `clock`.
fn known_ids(clock: Timestamp, highest: &[Row]) -> Result<KnownIds> {
    let highest: Vec<Option<Uuid>> = match highest.first() {
        Some(row) => (0..3).map(|column| get(row, column)).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    Ok(KnownIds::new(clock, highest.into_iter().flatten()))
}

fn push_recent(asks: &mut Vec<Ask<'_>>, is_wanted: bool) {
    if is_wanted {
        asks.push(ask!(RECENT));
    }
}

/// From the answer to [`RECENT`] at `head`.
pub(super) fn recent_of(head: &Head, pieces: &[Row]) -> Result<RecentStock> {
    let mut recent = RecentStock::new(head.position, ROUND_EVENTS);
    for piece in pieces {
        recent.add_piece(position(piece, 0)?, get(piece, 1)?)?;
    }
    Ok(recent)
}

fn push_skus<'a>(asks: &mut Vec<Ask<'a>>, skus: &[&'a Sku], with_locations: bool) {
    if !skus.is_empty() {
        let names: Vec<&str> = skus.iter().map(|sku| sku.as_str()).collect();
        asks.push(ask!(ITEMS, names.clone()));
        asks.push(ask!(STOCK, names));
    }
    if with_locations {
        asks.push(ask!(LOCATIONS));
    }
}

/// From the answers to what [`push_skus`] asked.
fn put_skus(
    ledger: &mut Ledger,
    skus: &[&Sku],
    recent: &RecentStock,
    answers: &mut impl Iterator<Item = Vec<Row>>,
) -> Result<()> {
    if !skus.is_empty() {
        for sku in skus {
            ledger.put_sku((*sku).clone(), None);
        }
        for mut state in skus_of(answers)? {
            recent.correct(&state.item.sku, &mut state.stock);
            ledger.put_sku(state.item.sku.clone(), Some(state));
        }
    }
    for row in answers.next().into_iter().flatten() {
        ledger.put_location(from_json("a location", &row, 0)?);
    }
    Ok(())
}

/// From the answers to [`ITEMS`] and [`STOCK`].
pub(super) fn skus_of(answers: &mut impl Iterator<Item = Vec<Row>>) -> Result<Vec<SkuState>> {
    let items = answers.next().expect("the items were asked for");
    let stock = answers.next().expect("the stock was asked for");
    let mut rows: HashMap<&str, Vec<StockRow>> = HashMap::new();
    for row in &stock {
        rows.entry(get(row, 0)?).or_default().push(stock_of(row)?);
    }
    let state = |row| {
        let item: holdfast_domain::Item = from_json("an item", row, 0)?;
        let stock = rows.remove(item.sku.as_str()).unwrap_or_default();
        Ok(SkuState { item: Arc::new(item), stock })
    };
    items.iter().map(state).collect()
}

/// Reads items and stock, and the stamp that they are true at.
async fn find(connection: &Connection, skus: Vec<Sku>) -> Result<Found> {
    let mut asks = vec![ask!(STATE)];
    push_skus(&mut asks, &skus.iter().collect::<Vec<_>>(), false);
    let mut answers = connection.pipeline(BEGIN_READING, &asks, "COMMIT").await?.into_iter();
    drop(asks);
    let stamp = state_of(&answers.next().expect("the head was asked for"))?.stamp;
    let mut found: HashMap<Sku, SkuState> =
        skus_of(&mut answers)?.into_iter().map(|state| (state.item.sku.clone(), state)).collect();
    let found = |sku| {
        let state = found.remove(&sku);
        (sku, state)
    };
    Ok(Found { stamp, skus: skus.into_iter().map(found).collect() })
}

/// What nobody could name before: the SKUs of orders and holds; everything, if what was kept proved stale; and what is
/// recent at `head`, if that is not known.
async fn load_rest(
    connection: &Connection,
    ledger: &mut Ledger,
    head: &Head,
    recent: Option<RecentStock>,
    is_stale: bool,
    named: &foldhash::HashSet<Sku>,
) -> Result<RecentStock> {
    let of_claims = ledger.skus_of_claims();
    let missing: foldhash::HashSet<&Sku> =
        named.iter().chain(&of_claims).filter(|sku| !ledger.has_sku(sku)).collect();
    let missing: Vec<&Sku> = missing.into_iter().collect();
    let mut asks = Vec::new();
    push_recent(&mut asks, recent.is_none());
    push_skus(&mut asks, &missing, is_stale);
    let mut answers = match asks.as_slice() {
        [] => Vec::new(),
        asks => connection.pipeline("", asks, "").await?,
    }
    .into_iter();
    let recent = match recent {
        Some(recent) => recent,
        None => recent_of(head, &answers.next().expect("it was asked for"))?,
    };
    put_skus(ledger, &missing, &recent, &mut answers)?;
    Ok(recent)
}

/// From the columns `body, fingerprint`.
pub(super) fn order_of(row: &Row) -> Result<Order> {
    let order: Order = from_json("an order", row, 0)?;
    Ok(Order { fingerprint: Fingerprint(bytes(row, 1)?), ..order })
}

/// From the columns `body, fingerprint`.
pub(super) fn hold_of(row: &Row) -> Result<Hold> {
    let hold: Hold = from_json("a hold", row, 0)?;
    Ok(Hold { fingerprint: Fingerprint(bytes(row, 1)?), ..hold })
}

/// From `sku` and the eight columns of a stock row.
pub(super) fn stock_of(row: &Row) -> Result<StockRow> {
    Ok(StockRow {
        location: parsed("a location code", row, 1)?,
        on_hand: get(row, 2)?,
        held: get(row, 3)?,
        allocated: get(row, 4)?,
        unavailable: get(row, 5)?,
        safety_stock: get(row, 6)?,
        incoming: get(row, 7)?,
        reorder_point: get(row, 8)?,
    })
}

/// From the columns of [`OUTCOMES`].
pub(super) fn remembered_of(row: &Row) -> Result<Remembered> {
    Ok(Remembered {
        key: get(row, 0)?,
        command: get(row, 1)?,
        actor: get(row, 2)?,
        fingerprint: Fingerprint(bytes(row, 3)?),
        outcome: from_json("an outcome", row, 4)?,
    })
}
