//! The read side of SQLite: the last commit, beside the writer.

use async_trait::async_trait;
use holdfast_domain::{Hold, HoldStatus, Movement, Order, OrderStatus, Outcome, Position, Sku};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::settle::{MOVEMENTS_CURSOR, pending_of, read_cursor};
use super::stock::read_recent;
use super::write::{find_hold, find_order, hold_of, load_outcomes, order_of, stock_of};
use super::{
    Sqlite, all, bytes, damaged, first, from_json, id, number, position, read_head, text, timestamp,
};
use crate::columns::STRETCH_BITS;
use crate::snapshot::{Making, Piece, Pieces, stopped};
use crate::{
    ClaimFilter, ClaimPage, Head, LIST_SCAN_MAX, LogBatch, Pending, Place, Reads, Result, Snapshot, plan,
};

#[async_trait]
impl Reads for Sqlite {
    async fn log(&self, after: Position, bytes_max: usize) -> Result<Vec<LogBatch>> {
        self.read(move |connection| read_log(connection, after, bytes_max)).await
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        self.read(read_snapshot).await
    }

    async fn order(&self, id: Uuid) -> Result<Option<Order>> {
        self.read(move |connection| match find_order(connection, id)? {
            Some(order) => Ok(Some(order)),
            None => Ok(find_pending(connection, id)?.as_ref().and_then(Pending::order)),
        })
        .await
    }

    async fn orders(&self, filter: ClaimFilter<OrderStatus>) -> Result<ClaimPage<Order>> {
        self.read(move |connection| match filter.status {
            Some(OrderStatus::Pending) => list_pending(connection, &filter),
            Some(
                OrderStatus::Accepted
                | OrderStatus::Rejected
                | OrderStatus::Fulfilled
                | OrderStatus::Cancelled
                | OrderStatus::Returned,
            )
            | None => list(connection, "orders", &filter, OrderStatus::as_str, order_of),
        })
        .await
    }

    async fn hold(&self, id: Uuid) -> Result<Option<Hold>> {
        self.read(move |connection| find_hold(connection, id)).await
    }

    async fn holds(&self, filter: ClaimFilter<HoldStatus>) -> Result<ClaimPage<Hold>> {
        self.read(move |connection| list(connection, "holds", &filter, HoldStatus::as_str, hold_of)).await
    }

    async fn outcome(&self, id: Uuid) -> Result<Option<(String, Outcome)>> {
        self.read(move |connection| find_outcome(connection, id)).await
    }

    async fn decided(&self, ids: Vec<Uuid>) -> Result<Vec<Uuid>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM outcomes WHERE key = ?1")?;
            let mut found = Vec::new();
            for command in ids {
                if statement.exists([command.as_bytes()])? {
                    found.push(command);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn pending(&self, id: Uuid) -> Result<Option<Pending>> {
        self.read(move |connection| find_pending(connection, id)).await
    }

    async fn movements(
        &self,
        sku: &Sku,
        before: Option<(Position, u32)>,
        limit: usize,
    ) -> Result<Vec<(u32, Movement)>> {
        let sku = sku.clone();
        self.read(move |connection| {
            let newest = number(read_cursor(connection, MOVEMENTS_CURSOR)?);
            let (before, within) = before.map_or((i64::MAX, 0), |(at, within)| (number(at), within));
            // Stretch by stretch of the log, backwards, as the index has them.
            let sql = "SELECT position, number, at, kind, location, delta, quantity, on_hand_after, actor, reason, \
                       order_id FROM movements WHERE position >> 14 = ?1 AND sku = ?2 \
                       AND (position, number) < (?3, ?4) ORDER BY position DESC, number DESC LIMIT ?5";
            let mut found = Vec::new();
            for stretch in (0..=(newest.min(before) >> STRETCH_BITS)).rev() {
                let left = (limit - found.len()) as i64;
                let parameters = params![stretch, sku.as_str(), before, within, left];
                found.extend(all(connection, sql, parameters, |row| movement_of(row, &sku))?);
                if found.len() == limit {
                    break;
                }
            }
            Ok(found)
        })
        .await
    }

    async fn last_on_hand(&self, places: Vec<Place>) -> Result<Vec<(Place, i64)>> {
        self.read(move |connection| {
            let sql = "SELECT on_hand FROM movement_ends WHERE sku = ?1 AND location = ?2";
            let mut found = Vec::with_capacity(places.len());
            for place in places {
                let (sku, location) = &place;
                let on_hand =
                    first(connection, sql, [sku.as_str(), location.as_str()], |row| Ok(row.get(0)?))?;
                found.extend(on_hand.map(|on_hand| (place, on_hand)));
            }
            Ok(found)
        })
        .await
    }

    async fn movements_cursor(&self) -> Result<Position> {
        self.read(|connection| read_cursor(connection, MOVEMENTS_CURSOR)).await
    }

    async fn orders_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Order>> {
        self.read(move |connection| {
            let sql = "SELECT body, fingerprint FROM orders WHERE id > ?1 ORDER BY id LIMIT ?2";
            all(connection, sql, params![start_after(&after), limit as i64], order_of)
        })
        .await
    }

    async fn holds_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Hold>> {
        self.read(move |connection| {
            let sql = "SELECT body, fingerprint FROM holds WHERE id > ?1 ORDER BY id LIMIT ?2";
            all(connection, sql, params![start_after(&after), limit as i64], hold_of)
        })
        .await
    }

    async fn head_of_reads(&self) -> Result<Head> {
        self.read(read_head).await
    }
}

/// An empty blob sorts before every id, the nil id included.
fn start_after(after: &Option<Uuid>) -> &[u8] {
    after.as_ref().map_or(&[], |id| id.as_bytes())
}

fn read_log(connection: &Connection, after: Position, bytes_max: usize) -> Result<Vec<LogBatch>> {
    let mut statement = connection.prepare_cached(
        "SELECT first_position, last_position, decided_at, payload, hash FROM log WHERE last_position > ?1 \
         ORDER BY last_position",
    )?;
    let mut rows = statement.query([number(after)])?;
    let mut batches = Vec::new();
    let mut size = 0;
    while let Some(row) = rows.next()? {
        let payload: Vec<u8> = row.get(3)?;
        size += payload.len();
        batches.push(LogBatch {
            first: position(row, 0)?,
            last: position(row, 1)?,
            decided_at: timestamp(row, 2)?,
            payload,
            hash: bytes(row, 4)?,
        });
        if size >= bytes_max {
            break;
        }
    }
    Ok(batches)
}

/// All items, then all stock.
fn read_pieces(connection: &Connection, pieces: Pieces) -> Result<()> {
    let mut piece = Piece::default();
    let send = |piece| pieces.blocking_send(piece).map_err(|_| stopped());
    let mut items = connection.prepare_cached("SELECT body FROM items ORDER BY sku")?;
    let mut rows = items.query([])?;
    while let Some(row) = rows.next()? {
        piece.item(text(row, 0)?);
        piece.full().map(send).transpose()?;
    }
    let mut stock = connection.prepare_cached(
        "SELECT sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point \
         FROM stock ORDER BY sku, location",
    )?;
    let mut rows = stock.query([])?;
    while let Some(row) = rows.next()? {
        piece.stock(text(row, 0)?, stock_of(row, 1)?);
        piece.full().map(send).transpose()?;
    }
    send(piece)
}

fn read_snapshot(connection: &Connection) -> Result<Snapshot> {
    let head = read_head(connection)?;
    let location = |row: &Row<'_>| from_json("a location", text(row, 0)?);
    let locations = all(connection, "SELECT body FROM locations ORDER BY code", [], location)?;
    let (pieces, making) = Making::begin(head.position, locations)?;
    let read = read_pieces(connection, pieces);
    let mut snapshot = making.blocking_done(read)?;
    for ((sku, _), row) in read_recent(connection, head.position)?.rows() {
        snapshot.correct_stock(sku, row)?;
    }
    Ok(snapshot)
}

/// A page of `orders` or `holds`, newest first.
fn list<T, S: Copy>(
    connection: &Connection,
    table: &str,
    filter: &ClaimFilter<S>,
    word: impl Fn(S) -> &'static str,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<ClaimPage<T>> {
    let status = filter.status.map(word);
    let whose = if filter.customer.is_some() { "AND customer = ?2" } else { "AND ?2 IS NULL" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT body, fingerprint, position, status FROM {table} WHERE position < ?1 {whose} \
         ORDER BY position DESC"
    ))?;
    let mut rows = statement.query(params![before(filter), filter.customer])?;
    let mut page = ClaimPage { items: Vec::new(), next: None };
    let mut last = Position(0);
    for scanned in 0.. {
        let Some(row) = rows.next()? else { break };
        if scanned == LIST_SCAN_MAX {
            page.next = Some(last);
            break;
        }
        let fits = match status {
            None => true,
            Some(status) => text(row, 3)? == status,
        };
        if fits && page.items.len() == filter.limit {
            page.next = Some(last);
            break;
        }
        if fits {
            page.items.push(read(row)?);
        }
        last = position(row, 2)?;
    }
    Ok(page)
}

fn before<S>(filter: &ClaimFilter<S>) -> i64 {
    filter.before.map_or(i64::MAX, number)
}

/// Orders without a decision. They have no position yet; pages count in the order they were recorded in.
fn list_pending(connection: &Connection, filter: &ClaimFilter<OrderStatus>) -> Result<ClaimPage<Order>> {
    let sql = "SELECT command, since, sequence FROM pending WHERE sequence < ?1 AND is_order = 1 \
               AND (?2 IS NULL OR customer = ?2) ORDER BY sequence DESC LIMIT ?3";
    let parameters = params![before(filter), filter.customer, filter.limit as i64 + 1];
    let mut found = all(connection, sql, parameters, |row| Ok((position(row, 2)?, pending_of(row)?)))?;
    let is_more = found.len() > filter.limit;
    found.truncate(filter.limit);
    let next = if is_more { found.last().map(|(sequence, _)| *sequence) } else { None };
    Ok(ClaimPage { items: found.iter().filter_map(|(_, pending)| pending.order()).collect(), next })
}

fn find_pending(connection: &Connection, id: Uuid) -> Result<Option<Pending>> {
    first(connection, "SELECT command, since FROM pending WHERE id = ?1", [id.as_bytes()], pending_of)
}

/// From the outcomes; for an order or a hold that was placed, from its own row.
fn find_outcome(connection: &Connection, id: Uuid) -> Result<Option<(String, Outcome)>> {
    if let Some(row) = load_outcomes(connection, &[id])?.pop() {
        return Ok(Some((row.actor, row.outcome)));
    }
    Ok(plan::outcome_of_claim(id, find_hold(connection, id)?, find_order(connection, id)?))
}

fn movement_of(row: &Row<'_>, sku: &Sku) -> Result<(u32, Movement)> {
    let order_id = match row.get_ref(10)? {
        rusqlite::types::ValueRef::Null => None,
        _set => Some(id(row, 10)?),
    };
    let movement = Movement {
        position: position(row, 0)?,
        at: timestamp(row, 2)?,
        kind: crate::columns::movement_kind_of(text(row, 3)?)?,
        sku: sku.clone(),
        location: text(row, 4)?.parse().map_err(|error| damaged("a location code", error))?,
        delta: row.get(5)?,
        quantity: row.get(6)?,
        on_hand_after: row.get(7)?,
        actor: text(row, 8)?.into(),
        reason: row.get(9)?,
        order_id,
    };
    Ok((row.get(1)?, movement))
}
