//! What a decided batch writes: one statement a table, each with an array for every column, however many rows.

use holdfast_domain::{ItemStatus, Ledger, Order, Position, StockRow, Timestamp};
use uuid::Uuid;

use super::connection::{Ask, ask, json, number};
use crate::columns::order_json;
use crate::plan::Remembered;
use crate::planner::{Decided, Form, State, Unsure};
use crate::recent::{Step, rows_of};
use crate::{LogBatch, Place, Result, StoreError};

const PUT_LOCATIONS: &str = "INSERT INTO locations (code, body) SELECT * FROM unnest($1::text[], $2::text[]) \
    ON CONFLICT (code) DO UPDATE SET body = excluded.body";
const PUT_ITEMS: &str = "INSERT INTO items (sku, body, version, archived) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[]) \
    ON CONFLICT (sku) DO UPDATE SET body = excluded.body, version = excluded.version, archived = excluded.archived";
const ADD_STOCK: &str = "INSERT INTO stock (sku, location, on_hand, held, allocated, unavailable, safety_stock, \
    incoming, reorder_point) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])";
const CHANGE_STOCK: &str = "UPDATE stock SET on_hand = new.on_hand, held = new.held, allocated = new.allocated, \
    unavailable = new.unavailable, safety_stock = new.safety_stock, incoming = new.incoming, \
    reorder_point = new.reorder_point FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) AS new (sku, location, on_hand, held, allocated, \
    unavailable, safety_stock, incoming, reorder_point) \
    WHERE stock.sku = new.sku AND stock.location = new.location";
const ADD_RECENT: &str = "INSERT INTO stock_recent (last_position, changed) VALUES ($1, $2)";
const DELETE_RECENT: &str = "DELETE FROM stock_recent WHERE last_position = ANY($1)";
const ADD_ORDERS: &str = "INSERT INTO orders (position, id, status, customer, body, fingerprint) \
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[])";
const CHANGE_ORDERS: &str = "UPDATE orders SET status = new.status, body = new.body \
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (position, status, body) \
    WHERE orders.position = new.position";
const ADD_HOLDS: &str = "INSERT INTO holds (position, id, status, customer, expires_at, body, fingerprint) \
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])";
const CHANGE_HOLDS: &str = "UPDATE holds SET status = new.status, expires_at = new.expires_at, body = new.body \
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) AS new (position, status, expires_at, body) \
    WHERE holds.position = new.position";
// A key may equal its own command's id; then the second row says the same as the first.
const REMEMBER: &str = "INSERT INTO outcomes (key, command, actor, fingerprint, outcome, at) \
    SELECT *, $6::bigint FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[]) \
    ON CONFLICT (key) DO NOTHING";
const APPEND: &str = "INSERT INTO log (last_position, first_position, decided_at, payload, hash) \
    VALUES ($1, $2, $3, $4, $5)";
const MOVE_HEAD: &str = "UPDATE log_head SET position = $1, decided_at = $2, hash = $3, stamp = $4 \
    WHERE id = 1";
const MOVE_HEAD_FROM: &str = "UPDATE log_head SET position = $1, decided_at = $2, hash = $3, stamp = $4 \
    WHERE id = 1 AND hash = $5 AND stamp = $6";
const STAMP: &str = "UPDATE log_head SET stamp = $1 WHERE id = 1";
// Counted and not asked for existence: a plan for a first row may read a whole table. Divides by zero when it fails, which
// ends the transaction whatever follows.
const NOTHING_KNOWN: &str = "SELECT 1 / CASE WHEN (SELECT stamp FROM log_head WHERE id = 1) = $1 \
    AND (SELECT count(*) FROM pending WHERE id = ANY($2)) + (SELECT count(*) FROM orders WHERE id = ANY($3)) \
    + (SELECT count(*) FROM holds WHERE id = ANY($4)) + (SELECT count(*) FROM outcomes WHERE key = ANY($4)) = 0 \
    THEN 1 ELSE 0 END";

impl Form for Vec<Ask<'static>> {
    fn of(decided: Decided<'_>) -> Result<Self> {
        let Decided { from, stamp, ledger, unsure, step, remember, batch } = decided;
        let mut asks = vec![move_head_from(from, &batch, stamp), nothing_known(stamp, unsure)];
        push_touched(&mut asks, ledger)?;
        push_step(&mut asks, step, batch.last);
        push_remembered(&mut asks, batch.decided_at, &remember)?;
        asks.push(append(batch));
        Ok(asks)
    }
}

/// Every row that the ledger's events touched, but those of stock that was there before ([`push_step`]), as it stands after
/// the last of them. The values are copies: the ledger may go on to the next batch while they are written.
pub(super) fn push_touched(asks: &mut Vec<Ask<'static>>, ledger: &Ledger) -> Result<()> {
    let touched = ledger.touched();
    push_catalogue(asks, ledger)?;
    if !touched.new_orders.is_empty() {
        let orders = each(&touched.new_orders, |id| ledger.order(*id))?;
        asks.push(ask!(
            ADD_ORDERS,
            column(&orders, |order| number(order.position)),
            column(&orders, |order| order.id),
            column(&orders, |order| order.status.as_str()),
            column(&orders, |order| order.customer.as_ref().map(|customer| customer.as_str().to_owned())),
            order_bodies(&orders)?,
            column(&orders, |order| order.fingerprint.0.to_vec()),
        ));
    }
    if !touched.changed_orders.is_empty() {
        let orders = each(&touched.changed_orders, |id| ledger.order(*id))?;
        asks.push(ask!(
            CHANGE_ORDERS,
            column(&orders, |order| number(order.position)),
            column(&orders, |order| order.status.as_str()),
            order_bodies(&orders)?,
        ));
    }
    if !touched.new_holds.is_empty() {
        let holds = each(&touched.new_holds, |id| ledger.hold(*id))?;
        asks.push(ask!(
            ADD_HOLDS,
            column(&holds, |hold| number(hold.position)),
            column(&holds, |hold| hold.id),
            column(&holds, |hold| hold.status.as_str()),
            column(&holds, |hold| hold.customer.as_ref().map(|customer| customer.as_str().to_owned())),
            column(&holds, |hold| hold.expires_at.0),
            bodies(&holds)?,
            column(&holds, |hold| hold.fingerprint.0.to_vec()),
        ));
    }
    if !touched.changed_holds.is_empty() {
        let holds = each(&touched.changed_holds, |id| ledger.hold(*id))?;
        asks.push(ask!(
            CHANGE_HOLDS,
            column(&holds, |hold| number(hold.position)),
            column(&holds, |hold| hold.status.as_str()),
            column(&holds, |hold| hold.expires_at.0),
            bodies(&holds)?,
        ));
    }
    Ok(())
}

fn push_catalogue(asks: &mut Vec<Ask<'static>>, ledger: &Ledger) -> Result<()> {
    let touched = ledger.touched();
    if !touched.locations.is_empty() {
        let locations = each(&touched.locations, |code| ledger.location(code))?;
        asks.push(ask!(
            PUT_LOCATIONS,
            column(&locations, |location| location.code.as_str().to_owned()),
            bodies(&locations)?
        ));
    }
    if !touched.items.is_empty() {
        let items = each(&touched.items, |sku| ledger.sku(sku).map(|state| state.item.as_ref()))?;
        asks.push(ask!(
            PUT_ITEMS,
            column(&items, |item| item.sku.as_str().to_owned()),
            bodies(&items)?,
            column(&items, |item| item.version as i64),
            column(&items, |item| match item.status {
                ItemStatus::Active => false,
                ItemStatus::Archived => true,
            }),
        ));
    }
    let new = rows_of(ledger, &touched.new_stock)?;
    push_rows(asks, ADD_STOCK, &new);
    Ok(())
}

/// What a batch that makes `last` the log's end writes of stock that was there before. The piece is taken out of the step.
pub(super) fn push_step(asks: &mut Vec<Ask<'static>>, step: &mut Step, last: Position) {
    if let Some(piece) = step.piece.take() {
        asks.push(ask!(ADD_RECENT, number(last), piece));
    }
    push_rows(asks, CHANGE_STOCK, &step.rows);
    if !step.gone.is_empty() {
        asks.push(ask!(DELETE_RECENT, step.gone.iter().copied().map(number).collect::<Vec<i64>>()));
    }
}

fn push_rows(asks: &mut Vec<Ask<'static>>, sql: &'static str, rows: &[(Place, StockRow)]) {
    if rows.is_empty() {
        return;
    }
    let rows: Vec<&(Place, StockRow)> = rows.iter().collect();
    let counter = |of: fn(&StockRow) -> i64| column(&rows, |(_, row)| of(row));
    asks.push(ask!(
        sql,
        column(&rows, |((sku, _), _)| sku.as_str().to_owned()),
        column(&rows, |((_, location), _)| location.as_str().to_owned()),
        counter(|row| row.on_hand),
        counter(|row| row.held),
        counter(|row| row.allocated),
        counter(|row| row.unavailable),
        counter(|row| row.safety_stock),
        counter(|row| row.incoming),
        counter(|row| row.reorder_point),
    ));
}

pub(super) fn push_remembered(
    asks: &mut Vec<Ask<'static>>,
    at: Timestamp,
    rows: &[Remembered],
) -> Result<()> {
    if !rows.is_empty() {
        let rows: Vec<&Remembered> = rows.iter().collect();
        asks.push(ask!(
            REMEMBER,
            column(&rows, |row| row.key),
            column(&rows, |row| row.command),
            column(&rows, |row| row.actor.clone()),
            column(&rows, |row| row.fingerprint.0.to_vec()),
            rows.iter().map(|row| json(&row.outcome)).collect::<Result<Vec<String>>>()?,
            at.0,
        ));
    }
    Ok(())
}

/// Moves the head to the end of a batch, and leaves a stamp.
pub(super) fn move_head(batch: &LogBatch, stamp: Uuid) -> Ask<'static> {
    ask!(MOVE_HEAD, number(batch.last), batch.decided_at.0, batch.hash.to_vec(), stamp)
}

/// Moves the head to the end of a batch and leaves a stamp, if the tables are as the batch's plan knows them.
fn move_head_from(from: &State, batch: &LogBatch, stamp: Uuid) -> Ask<'static> {
    ask!(
        MOVE_HEAD_FROM,
        number(batch.last),
        batch.decided_at.0,
        batch.hash.to_vec(),
        stamp,
        from.head.hash.to_vec(),
        from.stamp,
    )
}

/// Leaves a stamp where the log does not change.
pub(super) fn stamp(stamp: Uuid) -> Ask<'static> {
    ask!(STAMP, stamp)
}

/// Fails unless the stamp is that of a batch, which only that batch's own move leaves, and nothing is known of any of its
/// commands. Orders are not asked for: a second one under an id cannot be inserted.
fn nothing_known(stamp: Uuid, unsure: Unsure) -> Ask<'static> {
    let Unsure { pending, orders, others } = unsure;
    ask!(NOTHING_KNOWN, stamp, pending, orders, others)
}

/// Appends a batch to the log.
pub(super) fn append(batch: LogBatch) -> Ask<'static> {
    let LogBatch { first, last, decided_at, payload, hash } = batch;
    ask!(APPEND, number(last), number(first), decided_at.0, payload, hash.to_vec())
}

fn column<R: Copy, T>(rows: &[R], value: impl Fn(R) -> T) -> Vec<T> {
    rows.iter().copied().map(value).collect()
}

fn bodies(rows: &[impl serde::Serialize]) -> Result<Vec<String>> {
    rows.iter().map(json).collect()
}

fn order_bodies(orders: &[&Order]) -> Result<Vec<String>> {
    orders.iter().map(|order| order_json(order).map(str::to_owned)).collect()
}

/// What was touched is in the ledger.
fn each<'k, K: std::fmt::Debug + 'k, R>(
    keys: impl IntoIterator<Item = &'k K>,
    find: impl Fn(&'k K) -> Option<R>,
) -> Result<Vec<R>> {
    let found =
        |key| find(key).ok_or_else(|| StoreError::Damaged(format!("{key:?} was changed and is not there")));
    keys.into_iter().map(found).collect()
}
