//! The writing connection, and what it is for: deciding a batch in one transaction.
//!
//! The items and stock that a batch loaded stay in memory for the next one, and so does the stock that is not in its
//! table yet ([`Mind`]). They are true exactly as long as the tables are as this writer left them, which each transaction
//! checks first. What is not in memory has not changed since the ledger there was new: an image of items and stock that
//! has seen the log up to then is as true as the tables, and nearer.
//!
//! A large batch of orders is planned by whoever brings it, while the one before it is written, and is then written here
//! without a question but for the proof.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use foldhash::HashSet;
use holdfast_domain::command::Fingerprint;
use holdfast_domain::{Command, Hold, Ledger, Order, Recorded, Sku, SkuState, StockRow, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::mind::{Batch, Mind, look_at};
use super::settle::is_decided;
use super::stock;
use super::{all, bytes, first, from_json, id, number, read_head, text, timestamp};
use crate::columns::order_json;
use crate::ids::KnownIds;
use crate::plan::{self, Plan, Remembered};
use crate::planner::{Base, Known, State, Unsure};
use crate::recent::{RecentStock, changed_stock, rows_of};
use crate::{Committed, EXPIRE_PER_BATCH_MAX, Executed, Image, LogBatch, Result, StoreError};

/// From so many events on a second thread is worth what it takes to start one.
const BESIDE_EVENTS_MIN: usize = 256;
/// Owner of the only writing connection.
pub(super) struct Writer {
    pub(super) connection: Connection,
    stamps: Stamps,
}

/// Tells the states of the tables apart for this process alone: by what it wrote itself, and by whether another one has
/// committed anything.
struct Stamps {
    data_version: Option<i64>,
    stamp: Uuid,
}

/// Whether a transaction has something to keep.
pub(super) enum End {
    Commit,
    /// Nothing was written; there is nothing to put on the disk.
    Nothing,
}

impl Stamps {
    fn state(&mut self, connection: &Connection) -> Result<State> {
        let data_version: i64 =
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.data_version.replace(data_version) != Some(data_version) {
            self.stamp = Uuid::new_v4();
        }
        Ok(State { head: read_head(connection)?, stamp: self.stamp })
    }
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, stamps: Stamps { data_version: None, stamp: Uuid::new_v4() } }
    }

    /// One transaction around `body`: the writer's lock is taken first, and any error undoes everything.
    pub(super) fn transaction<R>(&mut self, body: impl FnOnce(&Connection) -> Result<(End, R)>) -> Result<R> {
        transaction(&self.connection, body)
    }

    /// Decides and records a batch.
    pub(super) fn execute(
        &mut self,
        mind: &mut Mind,
        clock: Timestamp,
        commands: &[Command],
    ) -> Result<Executed> {
        mind.planner.drop_foreseen();
        // Taken out, so that any error leaves nothing behind.
        let known = mind.planner.take_known();
        let Self { connection, stamps } = self;
        let (executed, known) = transaction(connection, |connection| {
            let found = stamps.state(connection)?;
            let head = &found.head;
            let now = clock.max(head.decided_at);
            let is_first = known.is_none();
            let Base { ledger, recent, ids } = known.map(|known| known.at(&found, now)).unwrap_or_default();
            // Whether this process is the only one that writes, as far as it knows.
            let is_alone = is_first || recent.is_some();
            let mut recent = match recent {
                Some(recent) => recent,
                None => stock::read_recent(connection, head.position)?,
            };
            let mut ids = match ids.filter(|ids| !ids.is_old(now)) {
                Some(ids) => ids,
                None => known_ids(connection, now)?,
            };
            let mut ledger = match ledger {
                Some(ledger) => ledger,
                None => {
                    mind.began = head.position;
                    new_ledger(connection, now)?
                }
            };
            load(
                &Shelves { connection, recent: &recent, image: mind.true_image() },
                &ids,
                &mut ledger,
                commands,
            )?;
            let mut outcome_keys = plan::outcome_keys(commands);
            outcome_keys.retain(|key| !is_new(connection, &ids, *key));
            let remembered = load_outcomes(connection, &outcome_keys)?;
            let next_due = next_due(connection)?;
            let plan = plan::plan(&mut ledger, head.position, commands, remembered);
            ids.add(plan::outcome_keys(commands));
            let settles = settle_pending(connection, commands)?;
            if plan.events.is_empty() && plan.remember.is_empty() && !settles {
                let executed = Executed { outcomes: plan.outcomes, committed: None };
                return Ok((End::Nothing, (executed, Known::new(found, ledger, recent, next_due, ids))));
            }
            let Plan { events, outcomes, remember: to_remember } = plan;
            let last = head.position.plus(events.len());
            let batch = beside(
                events.len(),
                || {
                    // Trouble shows itself when they are asked for.
                    ledger.new_orders().for_each(|order| drop(order.to_json()));
                    LogBatch::after(head, now, &events)
                },
                || {
                    for ((sku, _), row) in rows_of(&ledger, &ledger.touched().new_stock)? {
                        stock::insert(connection, &sku, &row)?;
                    }
                    let changed = changed_stock(&ledger)?;
                    let step = if is_alone {
                        recent.change(changed, last, events.len())?
                    } else {
                        recent.change_all(changed, last)
                    };
                    stock::write(connection, &step, last)?;
                    write_touched(connection, &ledger)?;
                    remember(connection, now, &to_remember)
                },
            )?;
            let state = match &batch {
                Some(batch) => State::after(batch),
                None => State { head: head.clone(), stamp: Uuid::new_v4() },
            };
            let committed = append(connection, batch, events)?;
            let known = Known::new(state, ledger, recent, next_due, ids);
            Ok((End::Commit, (Executed { outcomes, committed }, known)))
        })?;
        self.stamps.stamp = known.stamp();
        mind.planner.put_back(known);
        Ok(executed)
    }

    /// Writes a batch that was planned, if the plan still holds; else nothing has happened.
    pub(super) fn write_planned(&mut self, batch: &Batch) -> Result<bool> {
        let Self { connection, stamps } = self;
        let holds = transaction(connection, |connection| {
            let Batch { from, unsure, orders, step, remember: to_remember, log, .. } = batch;
            if stamps.state(connection)? != *from || knows_any(connection, unsure)? {
                return Ok((End::Nothing, false));
            }
            debug_assert!(orders.iter().all(|order| !is_decided(connection, order.id).unwrap_or_default()));
            stock::write(connection, step, log.last)?;
            insert_orders(connection, orders.iter().map(|order| Ok(order.as_ref())))?;
            remember(connection, log.decided_at, to_remember)?;
            append_batch(connection, log)?;
            Ok((End::Commit, true))
        })?;
        if holds {
            self.stamps.stamp = batch.stamp;
        }
        Ok(holds)
    }

    /// Writes the rows of stock that are recent into their table, if nobody has written since.
    pub(super) fn write_recent_stock(&mut self, mind: &mut Mind) -> Result<()> {
        mind.planner.drop_foreseen();
        let Some(known) = mind.planner.take_known() else { return Ok(()) };
        let Self { connection, stamps } = self;
        transaction(connection, |connection| {
            let found = stamps.state(connection)?;
            let position = found.head.position;
            let recent = known.at(&found, found.head.decided_at).recent;
            let Some(mut recent) = recent.filter(|recent| recent.rows().next().is_some()) else {
                return Ok((End::Nothing, ()));
            };
            stock::write(connection, &recent.change_all(Vec::new(), position), position)?;
            Ok((End::Commit, ()))
        })?;
        self.wrote_otherwise();
        Ok(())
    }

    /// The log, an outcome or a row of stock was written outside of a batch.
    pub(super) fn wrote_otherwise(&mut self) {
        self.stamps.stamp = Uuid::new_v4();
    }
}

/// What is to be logged of a batch, while its rows are written: of a large one on another thread.
fn beside(
    events: usize,
    log: impl FnOnce() -> Option<LogBatch> + Send,
    write: impl FnOnce() -> Result<()>,
) -> Result<Option<LogBatch>> {
    if events < BESIDE_EVENTS_MIN {
        write()?;
        return Ok(log());
    }
    thread::scope(|scope| {
        let logged = scope.spawn(log);
        write()?;
        Ok(logged.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn transaction<R>(connection: &Connection, body: impl FnOnce(&Connection) -> Result<(End, R)>) -> Result<R> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = body(connection).and_then(|(end, result)| {
        let sql = match end {
            End::Commit => "COMMIT",
            End::Nothing => "ROLLBACK",
        };
        connection.prepare_cached(sql)?.execute([])?;
        Ok(result)
    });
    // SQLite ends the transaction itself after some errors, such as a full disk, but not after all.
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

/// What ids are known, from the tables.
fn known_ids(connection: &Connection, now: Timestamp) -> Result<KnownIds> {
    let highest = [
        "SELECT id FROM orders WHERE id < ?1 ORDER BY id DESC LIMIT 1",
        "SELECT id FROM holds WHERE id < ?1 ORDER BY id DESC LIMIT 1",
        "SELECT key FROM outcomes WHERE key < ?1 ORDER BY key DESC LIMIT 1",
    ]
    .into_iter()
    .map(|sql| first(connection, sql, [KnownIds::ceiling(now).as_bytes()], |row| id(row, 0)))
    .collect::<Result<Vec<_>>>()?;
    Ok(KnownIds::new(now, highest.into_iter().flatten()))
}

/// When the first hold is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let sql = "SELECT expires_at FROM holds WHERE status = 'held' ORDER BY expires_at LIMIT 1";
    first(connection, sql, [], |row| timestamp(row, 0))
}

fn is_new(connection: &Connection, ids: &KnownIds, id: Uuid) -> bool {
    let is_new = ids.is_new(id);
    debug_assert!(!is_new || !is_decided(connection, id).unwrap_or_default(), "the id {id} is new");
    is_new
}

/// Only the locations are in it.
fn new_ledger(connection: &Connection, now: Timestamp) -> Result<Ledger> {
    let mut ledger = Ledger::new(now);
    for location in
        all(connection, "SELECT body FROM locations", [], |row| from_json("a location", text(row, 0)?))?
    {
        ledger.put_location(location);
    }
    Ok(ledger)
}

/// Loads what the commands name, the holds that are due, and the SKUs of all of these.
fn load(shelves: &Shelves<'_>, ids: &KnownIds, ledger: &mut Ledger, commands: &[Command]) -> Result<()> {
    let keys = plan::keys(commands);
    load_due(shelves.connection, ledger)?;
    load_claims(shelves.connection, ids, ledger, &keys.claims)?;
    shelves.load_skus(ledger, &keys.skus)?;
    let of_claims = ledger.skus_of_claims();
    shelves.load_skus(ledger, &of_claims)
}

fn load_due(connection: &Connection, ledger: &mut Ledger) -> Result<()> {
    let sql = "SELECT body, fingerprint FROM holds WHERE status = 'held' AND expires_at <= ?1 \
               ORDER BY expires_at LIMIT ?2";
    let due = all(connection, sql, params![ledger.now.0, EXPIRE_PER_BATCH_MAX as i64], hold_of)?;
    for hold in due {
        // The ledger wants to know of both tables for each id; of an order under a held hold's id there is none.
        ledger.put_order(hold.id, None);
        ledger.put_hold(hold.id, Some(hold));
    }
    Ok(())
}

/// Nearly every id of a batch is new; of one that may not be, one statement first asks both tables whether they know it.
fn load_claims(
    connection: &Connection,
    ids: &KnownIds,
    ledger: &mut Ledger,
    claims: &HashSet<Uuid>,
) -> Result<()> {
    let mut known = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM orders WHERE id = ?1), EXISTS (SELECT 1 FROM holds WHERE id = ?1)",
    )?;
    for claim in claims {
        if ledger.has_claim(*claim) {
            continue;
        }
        let (is_order, is_hold) = if is_new(connection, ids, *claim) {
            (false, false)
        } else {
            known.query_row([claim.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
        };
        ledger.put_order(*claim, if is_order { find_order(connection, *claim)? } else { None });
        ledger.put_hold(*claim, if is_hold { find_hold(connection, *claim)? } else { None });
    }
    Ok(())
}

pub(super) fn find_order(connection: &Connection, id: Uuid) -> Result<Option<Order>> {
    first(connection, "SELECT body, fingerprint FROM orders WHERE id = ?1", [id.as_bytes()], order_of)
}

pub(super) fn find_hold(connection: &Connection, id: Uuid) -> Result<Option<Hold>> {
    first(connection, "SELECT body, fingerprint FROM holds WHERE id = ?1", [id.as_bytes()], hold_of)
}

/// From the columns `body, fingerprint`.
pub(super) fn order_of(row: &Row<'_>) -> Result<Order> {
    let order: Order = from_json("an order", text(row, 0)?)?;
    Ok(Order { fingerprint: Fingerprint(bytes(row, 1)?), ..order })
}

/// From the columns `body, fingerprint`.
pub(super) fn hold_of(row: &Row<'_>) -> Result<Hold> {
    let hold: Hold = from_json("a hold", text(row, 0)?)?;
    Ok(Hold { fingerprint: Fingerprint(bytes(row, 1)?), ..hold })
}

/// Where items and stock are looked up.
struct Shelves<'a> {
    connection: &'a Connection,
    recent: &'a RecentStock,
    /// Only if it is true of all that is not in the ledger.
    image: Option<&'a dyn Image>,
}

impl Shelves<'_> {
    fn load_skus(&self, ledger: &mut Ledger, skus: &HashSet<Sku>) -> Result<()> {
        let missing: Vec<&Sku> = skus.iter().filter(|sku| !ledger.has_sku(sku)).collect();
        let of_image = match self.image {
            Some(image) => look_at(image, &missing),
            None => vec![None; missing.len()],
        };
        for (sku, state) in missing.iter().zip(of_image) {
            ledger.put_sku((*sku).clone(), self.find(sku, state)?);
        }
        Ok(())
    }

    fn find(&self, sku: &Sku, of_image: Option<SkuState>) -> Result<Option<SkuState>> {
        let Some(state) = of_image else { return self.read(sku) };
        debug_assert_eq!(Some(&state), self.read(sku)?.as_ref(), "the image is what the tables say");
        Ok(Some(state))
    }

    fn read(&self, sku: &Sku) -> Result<Option<SkuState>> {
        let item = first(self.connection, "SELECT body FROM items WHERE sku = ?1", [sku.as_str()], |row| {
            from_json("an item", text(row, 0)?)
        })?;
        let Some(item) = item else { return Ok(None) };
        let sql = "SELECT location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point \
                   FROM stock WHERE sku = ?1 ORDER BY location";
        let mut stock = all(self.connection, sql, [sku.as_str()], |row| stock_of(row, 0))?;
        self.recent.correct(sku, &mut stock);
        Ok(Some(SkuState { item: Arc::new(item), stock }))
    }
}

/// From the eight columns of a stock row, the first of which (`location`) is column `from`.
pub(super) fn stock_of(row: &Row<'_>, from: usize) -> Result<StockRow> {
    let location = text(row, from)?.parse().map_err(|error| super::damaged("a location code", error))?;
    Ok(StockRow {
        location,
        on_hand: row.get(from + 1)?,
        held: row.get(from + 2)?,
        allocated: row.get(from + 3)?,
        unavailable: row.get(from + 4)?,
        safety_stock: row.get(from + 5)?,
        incoming: row.get(from + 6)?,
        reorder_point: row.get(from + 7)?,
    })
}

pub(super) fn load_outcomes(connection: &Connection, keys: &[Uuid]) -> Result<Vec<Remembered>> {
    let mut statement = connection
        .prepare_cached("SELECT key, command, actor, fingerprint, outcome FROM outcomes WHERE key = ?1")?;
    let mut known = Vec::new();
    for key in keys {
        let mut rows = statement.query([key.as_bytes()])?;
        if let Some(row) = rows.next()? {
            known.push(Remembered {
                key: id(row, 0)?,
                command: id(row, 1)?,
                actor: text(row, 2)?.to_owned(),
                fingerprint: Fingerprint(bytes(row, 3)?),
                outcome: from_json("an outcome", text(row, 4)?)?,
            });
        }
    }
    Ok(known)
}

/// Nearly always none is.
fn is_any_pending(connection: &Connection) -> Result<bool> {
    let mut any = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM pending)")?;
    Ok(any.query_row([], |row| row.get(0))?)
}

/// Whether anything is known of a command that was taken for new, or is pending.
fn knows_any(connection: &Connection, unsure: &Unsure) -> Result<bool> {
    // Those that may be orders or holds may have an outcome, too.
    for id in &unsure.others {
        if is_decided(connection, *id)? {
            return Ok(true);
        }
    }
    if is_any_pending(connection)? {
        let mut pending = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM pending WHERE id = ?1)")?;
        for id in &unsure.pending {
            if pending.query_row([id.as_bytes()], |row| row.get(0))? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Forgets that these commands were pending; says whether any was.
fn settle_pending(connection: &Connection, commands: &[Command]) -> Result<bool> {
    let mut settled = 0;
    if is_any_pending(connection)? {
        let mut statement = connection.prepare_cached("DELETE FROM pending WHERE id = ?1")?;
        for command in commands {
            settled += statement.execute([command.id.as_bytes()])?;
        }
    }
    Ok(settled > 0)
}

/// Writes every row that the ledger's events touched, but those of stock, as it stands after the last of them.
pub(super) fn write_touched(connection: &Connection, ledger: &Ledger) -> Result<()> {
    let touched = ledger.touched();
    let mut json = Json::default();
    write_catalogue(connection, ledger, &mut json)?;

    insert_orders(connection, touched.new_orders.iter().map(|id| written(ledger.order(*id), id)))?;
    let mut update =
        connection.prepare_cached("UPDATE orders SET status = ?2, body = ?3 WHERE position = ?1")?;
    for order in touched.changed_orders.iter().map(|id| written(ledger.order(*id), id)) {
        let order = order?;
        update.execute(params![number(order.position), order.status.as_str(), order_json(order)?])?;
    }

    let mut insert = connection.prepare_cached(
        "INSERT INTO holds (position, id, status, customer, expires_at, body, fingerprint) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for hold in touched.new_holds.iter().map(|id| written(ledger.hold(*id), id)) {
        let hold = hold?;
        insert.execute(params![
            number(hold.position),
            hold.id.as_bytes(),
            hold.status.as_str(),
            hold.customer.as_ref().map(|customer| customer.as_str()),
            hold.expires_at.0,
            json.of(hold)?,
            hold.fingerprint.0,
        ])?;
    }
    let mut update = connection
        .prepare_cached("UPDATE holds SET status = ?2, expires_at = ?3, body = ?4 WHERE position = ?1")?;
    for hold in touched.changed_holds.iter().map(|id| written(ledger.hold(*id), id)) {
        let hold = hold?;
        let position = number(hold.position);
        update.execute(params![position, hold.status.as_str(), hold.expires_at.0, json.of(hold)?])?;
    }
    Ok(())
}

fn insert_orders<'a>(connection: &Connection, orders: impl Iterator<Item = Result<&'a Order>>) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO orders (position, id, status, customer, body, fingerprint) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for order in orders {
        let order = order?;
        insert.execute(params![
            number(order.position),
            order.id.as_bytes(),
            order.status.as_str(),
            order.customer.as_ref().map(|customer| customer.as_str()),
            order_json(order)?,
            order.fingerprint.0,
        ])?;
    }
    Ok(())
}

fn write_catalogue(connection: &Connection, ledger: &Ledger, json: &mut Json) -> Result<()> {
    let touched = ledger.touched();
    let mut put = connection.prepare_cached(
        "INSERT INTO locations (code, body) VALUES (?1, ?2) ON CONFLICT (code) DO UPDATE SET body = excluded.body",
    )?;
    for code in &touched.locations {
        let location = written(ledger.location(code), code)?;
        put.execute(params![code.as_str(), json.of(location)?])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO items (sku, body, version, archived) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (sku) DO UPDATE \
         SET body = excluded.body, version = excluded.version, archived = excluded.archived",
    )?;
    for sku in &touched.items {
        let item = &written(ledger.sku(sku), sku)?.item;
        let archived = match item.status {
            holdfast_domain::ItemStatus::Active => false,
            holdfast_domain::ItemStatus::Archived => true,
        };
        put.execute(params![sku.as_str(), json.of(item.as_ref())?, item.version as i64, archived])?;
    }
    Ok(())
}

/// What was touched is in the ledger.
fn written<T>(row: Option<T>, key: &impl std::fmt::Display) -> Result<T> {
    row.ok_or_else(|| StoreError::Damaged(format!("{key} was changed and is not there")))
}

pub(super) fn remember(connection: &Connection, at: Timestamp, outcomes: &[Remembered]) -> Result<()> {
    // A key may equal its own command's id; then the second row says the same as the first.
    let mut insert = connection.prepare_cached(
        "INSERT INTO outcomes (key, command, actor, fingerprint, outcome, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (key) DO NOTHING",
    )?;
    let mut json = Json::default();
    for row in outcomes {
        insert.execute(params![
            row.key.as_bytes(),
            row.command.as_bytes(),
            row.actor,
            row.fingerprint.0,
            json.of(&row.outcome)?,
            at.0,
        ])?;
    }
    Ok(())
}

/// Appends a batch to the log and moves the head. Without events there is nothing to append.
pub(super) fn append(
    connection: &Connection,
    batch: Option<LogBatch>,
    events: Vec<Recorded>,
) -> Result<Option<Committed>> {
    let Some(batch) = batch else { return Ok(None) };
    append_batch(connection, &batch)?;
    Ok(Some(batch.committed(events)))
}

fn append_batch(connection: &Connection, batch: &LogBatch) -> Result<()> {
    let last = number(batch.last);
    connection
        .prepare_cached(
            "INSERT INTO log (last_position, first_position, decided_at, payload, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![last, number(batch.first), batch.decided_at.0, batch.payload, batch.hash])?;
    connection
        .prepare_cached("UPDATE log_head SET position = ?1, decided_at = ?2, hash = ?3 WHERE id = 1")?
        .execute(params![last, batch.decided_at.0, batch.hash])?;
    Ok(())
}

/// One buffer for the JSON of many rows.
#[derive(Default)]
pub(super) struct Json(Vec<u8>);

impl Json {
    pub(super) fn of(&mut self, value: &impl serde::Serialize) -> Result<&str> {
        self.0.clear();
        serde_json::to_writer(&mut self.0, value)
            .map_err(|error| StoreError::Other(format!("a row cannot be written as JSON: {error}")))?;
        std::str::from_utf8(&self.0).map_err(|error| StoreError::Other(format!("JSON is UTF-8: {error}")))
    }
}
