//! The read side of PostgreSQL.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use holdfast_domain::{Hold, HoldStatus, Location, Movement, Order, OrderStatus, Outcome, Position, Sku};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Postgres;
use super::connection::{
    Connection, ask, bytes, from_json, get, head_of, number, parsed, position, timestamp,
};
use super::pool::Pool;
use super::settle::{HEAD, MOVEMENTS_CURSOR, pending_of, read_cursor};
use super::write::{HOLDS, ORDERS, OUTCOMES, RECENT, hold_of, order_of, recent_of, remembered_of, stock_of};
use crate::columns::STRETCH_BITS;
use crate::snapshot::{Making, Piece, Pieces, stopped};
use crate::{
    ClaimFilter, ClaimPage, Head, LIST_SCAN_MAX, LogBatch, Pending, Place, Reads, Result, Snapshot, plan,
};

/// Batches that are looked at for one piece of the log.
const LOG_BATCHES_MAX: i64 = 1_000;

/// Millions of items take their time.
const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(300);

/// One state of the database throughout.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A pending row may outlive its decision for a while; see `settle::add_pending`.
const FIND_PENDING: &str = "SELECT command, since FROM pending WHERE id = $1 \
    AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = $1) \
    AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.id = $1) \
    AND NOT EXISTS (SELECT 1 FROM outcomes WHERE outcomes.key = $1)";

impl Postgres {
    /// The first row of a statement without values.
    pub(super) async fn find<T: Send + 'static>(
        &self,
        pool: Arc<Pool>,
        sql: &'static str,
        read: impl FnOnce(&Row) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        pool.run(move |connection| async move {
            connection.first(ask!(sql)).await?.as_ref().map(read).transpose()
        })
        .await
    }
}

#[async_trait]
impl Reads for Postgres {
    async fn log(&self, after: Position, bytes_max: usize) -> Result<Vec<LogBatch>> {
        // The size before a batch decides, so that there is at least one.
        let sql = "SELECT first_position, last_position, decided_at, payload, hash FROM (\
                   SELECT *, sum(octet_length(payload)) OVER (ORDER BY last_position) - octet_length(payload) AS before \
                   FROM (SELECT * FROM log WHERE last_position > $1 ORDER BY last_position LIMIT $2) AS next\
                   ) AS sized WHERE before < greatest($3::bigint, 1) ORDER BY last_position";
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        self.reads
            .run(move |connection| async move {
                let ask = ask!(sql, number(after), LOG_BATCHES_MAX, bytes_max);
                connection.rows(ask).await?.iter().map(batch_of).collect()
            })
            .await
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        self.reads
            .run_within(SNAPSHOT_WAIT_MAX, |connection| async move { read_snapshot(&connection).await })
            .await
    }

    async fn order(&self, id: Uuid) -> Result<Option<Order>> {
        self.pool
            .run(move |connection| {
                async move {
                    // Looked for in this order, it is found in one of them, also while it is decided.
                    let asks = [ask!(FIND_PENDING, id), ask!(ORDERS, vec![id])];
                    let answers = connection.pipeline("", &asks, "").await?;
                    if let Some(row) = answers[1].first() {
                        return order_of(row).map(Some);
                    }
                    Ok(answers[0].first().map(pending_of).transpose()?.and_then(|pending| pending.order()))
                }
            })
            .await
    }

    async fn orders(&self, filter: ClaimFilter<OrderStatus>) -> Result<ClaimPage<Order>> {
        match filter.status {
            Some(OrderStatus::Pending) => {
                self.pool.run(move |connection| async move { list_pending(&connection, filter).await }).await
            }
            Some(
                OrderStatus::Accepted
                | OrderStatus::Rejected
                | OrderStatus::Fulfilled
                | OrderStatus::Cancelled
                | OrderStatus::Returned,
            )
            | None => {
                let list = move |connection: Arc<Connection>| async move {
                    list(&connection, "orders", filter, OrderStatus::as_str, order_of).await
                };
                self.reads.run(list).await
            }
        }
    }

    async fn hold(&self, id: Uuid) -> Result<Option<Hold>> {
        self.pool
            .run(move |connection| async move {
                connection.first(ask!(HOLDS, vec![id])).await?.as_ref().map(hold_of).transpose()
            })
            .await
    }

    async fn holds(&self, filter: ClaimFilter<HoldStatus>) -> Result<ClaimPage<Hold>> {
        let list = move |connection: Arc<Connection>| async move {
            list(&connection, "holds", filter, HoldStatus::as_str, hold_of).await
        };
        self.reads.run(list).await
    }

    async fn outcome(&self, id: Uuid) -> Result<Option<(String, Outcome)>> {
        self.pool
            .run(move |connection| async move {
                let asks = [ask!(OUTCOMES, vec![id]), ask!(HOLDS, vec![id]), ask!(ORDERS, vec![id])];
                let answers = connection.pipeline("", &asks, "").await?;
                if let Some(row) = answers[0].first() {
                    let row = remembered_of(row)?;
                    return Ok(Some((row.actor, row.outcome)));
                }
                let hold = answers[1].first().map(hold_of).transpose()?;
                let order = answers[2].first().map(order_of).transpose()?;
                Ok(plan::outcome_of_claim(id, hold, order))
            })
            .await
    }

    async fn decided(&self, ids: Vec<Uuid>) -> Result<Vec<Uuid>> {
        let sql = "SELECT key FROM outcomes WHERE key = ANY($1)";
        self.pool
            .run(move |connection| async move {
                let rows = connection.rows(ask!(sql, ids)).await?;
                rows.iter().map(|row| get(row, 0)).collect()
            })
            .await
    }

    async fn pending(&self, id: Uuid) -> Result<Option<Pending>> {
        self.pool
            .run(move |connection| async move {
                connection.first(ask!(FIND_PENDING, id)).await?.as_ref().map(pending_of).transpose()
            })
            .await
    }

    async fn movements(
        &self,
        sku: &Sku,
        before: Option<(Position, u32)>,
        limit: usize,
    ) -> Result<Vec<(u32, Movement)>> {
        let sku = sku.clone();
        let (before, within) = before.map_or((i64::MAX, 0), |(at, within)| (number(at), i64::from(within)));
        // Stretch by stretch of the log, as the index has them: the newest one first, then more at a time.
        let sql = "SELECT of_stretch.* FROM generate_series($5::bigint, $6::bigint) AS stretch CROSS JOIN LATERAL \
                   (SELECT position, number, at, kind, location, delta, quantity, on_hand_after, actor, reason, \
                   order_id FROM movements WHERE position >> 14 = stretch AND sku = $1 \
                   AND (position, number) < ($2, $3) ORDER BY position DESC, number DESC LIMIT $4) AS of_stretch \
                   ORDER BY position DESC, number DESC LIMIT $4";
        self.reads
            .run(move |connection| async move {
                let newest = number(read_cursor(&connection, MOVEMENTS_CURSOR).await?);
                let (mut last, mut count) = (newest.min(before) >> STRETCH_BITS, 1);
                let mut found = Vec::new();
                while last >= 0 && found.len() < limit {
                    let first = (last - count + 1).max(0);
                    let left = (limit - found.len()) as i64;
                    let ask = ask!(sql, sku.as_str(), before, within, left, first, last);
                    for row in connection.rows(ask).await? {
                        found.push(movement_of(&row, &sku)?);
                    }
                    (last, count) = (first - 1, count * 4);
                }
                Ok(found)
            })
            .await
    }

    async fn last_on_hand(&self, places: Vec<Place>) -> Result<Vec<(Place, i64)>> {
        let sql = "SELECT asked.number, on_hand FROM unnest($1::text[], $2::text[]) WITH ORDINALITY \
                   AS asked (sku, location, number) JOIN movement_ends USING (sku, location)";
        self.pool
            .run(move |connection| async move {
                let skus: Vec<&str> = places.iter().map(|(sku, _)| sku.as_str()).collect();
                let locations: Vec<&str> = places.iter().map(|(_, location)| location.as_str()).collect();
                let rows = connection.rows(ask!(sql, skus, locations)).await?;
                let place = |row: &Row| Ok((places[get::<i64>(row, 0)? as usize - 1].clone(), get(row, 1)?));
                rows.iter().map(place).collect()
            })
            .await
    }

    async fn movements_cursor(&self) -> Result<Position> {
        self.pool.run(|connection| async move { read_cursor(&connection, MOVEMENTS_CURSOR).await }).await
    }

    async fn orders_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Order>> {
        let page = move |connection: Arc<Connection>| async move {
            page(&connection, "orders", after, limit, order_of).await
        };
        self.reads.run(page).await
    }

    async fn holds_after(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Hold>> {
        let page = move |connection: Arc<Connection>| async move {
            page(&connection, "holds", after, limit, hold_of).await
        };
        self.reads.run(page).await
    }

    async fn head_of_reads(&self) -> Result<Head> {
        self.reads.run(|connection| async move { head_of(&connection.rows(ask!(HEAD)).await?) }).await
    }
}

fn batch_of(row: &Row) -> Result<LogBatch> {
    Ok(LogBatch {
        first: position(row, 0)?,
        last: position(row, 1)?,
        decided_at: timestamp(row, 2)?,
        payload: get(row, 3)?,
        hash: bytes(row, 4)?,
    })
}

/// All items, then all stock, each in the order of its table: to have them sorted by the server takes longer than to sort
/// them here.
async fn read_pieces(connection: &Connection, pieces: Pieces) -> Result<()> {
    let mut piece = Piece::default();
    let mut items = pin!(connection.stream(ask!("SELECT body FROM items")).await?);
    while let Some(row) = items.try_next().await? {
        piece.item(get(&row, 0)?);
        if let Some(piece) = piece.full() {
            pieces.send(piece).await.map_err(|_| stopped())?;
        }
    }
    let stock = "SELECT sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point \
                 FROM stock";
    let mut stock = pin!(connection.stream(ask!(stock)).await?);
    while let Some(row) = stock.try_next().await? {
        piece.stock(get(&row, 0)?, stock_of(&row)?);
        if let Some(piece) = piece.full() {
            pieces.send(piece).await.map_err(|_| stopped())?;
        }
    }
    pieces.send(piece).await.map_err(|_| stopped())
}

async fn read_snapshot(connection: &Connection) -> Result<Snapshot> {
    let answers = connection
        .pipeline(
            BEGIN_READING,
            &[ask!(HEAD), ask!("SELECT body FROM locations ORDER BY code"), ask!(RECENT)],
            "",
        )
        .await?;
    let head = head_of(&answers[0])?;
    let locations =
        answers[1].iter().map(|row| from_json("a location", row, 0)).collect::<Result<Vec<Location>>>()?;
    let (pieces, making) = Making::begin(head.position, locations)?;
    // The transaction does not wait until all is made: the server would end one that rests.
    let read = match read_pieces(connection, pieces).await {
        Ok(()) => connection.simple("COMMIT").await,
        failed => failed,
    };
    let mut snapshot = making.done(read).await?;
    for ((sku, _), row) in recent_of(&head, &answers[2])?.rows() {
        snapshot.correct_stock(sku, row)?;
    }
    Ok(snapshot)
}

/// A page of `orders` or `holds`, newest first.
async fn list<T, S: Copy>(
    connection: &Connection,
    table: &'static str,
    filter: ClaimFilter<S>,
    word: fn(S) -> &'static str,
    read: fn(&Row) -> Result<T>,
) -> Result<ClaimPage<T>> {
    let whose = if filter.customer.is_some() { "customer = $2" } else { "$2::text IS NULL" };
    let rows = format!("{table} WHERE position < $1 AND {whose} ORDER BY position DESC");
    let wanted = filter.limit as i64 + 1;
    let Some(status) = filter.status.map(word) else {
        let sql = format!("SELECT body, fingerprint, position FROM {rows} LIMIT $3");
        let found = connection.rows(ask!(&sql, before(&filter), &filter.customer, wanted)).await?;
        return page_of(found, filter.limit, None, read);
    };
    let fits = format!(
        "SELECT body, fingerprint, position FROM (SELECT * FROM {rows} LIMIT $3) AS scanned \
         WHERE status = $4 ORDER BY position DESC LIMIT $5"
    );
    // The last row that was looked at, if there is another one behind it.
    let end = format!("SELECT position FROM {rows} OFFSET $3 LIMIT 2");
    let scan = LIST_SCAN_MAX as i64;
    let asks = [
        ask!(&fits, before(&filter), &filter.customer, scan, status, wanted),
        ask!(&end, before(&filter), &filter.customer, scan - 1),
    ];
    let mut answers = connection.pipeline(BEGIN_READING, &asks, "COMMIT").await?;
    let end = answers.pop().expect("the second answer");
    let found = answers.pop().expect("the first answer");
    let end = if end.len() == 2 { Some(position(&end[0], 0)?) } else { None };
    page_of(found, filter.limit, end, read)
}

/// From the columns `body, fingerprint, position` of one row more than fit, if there are more. `end`: where the search
/// stopped, if it did before the end.
fn page_of<T>(
    mut found: Vec<Row>,
    limit: usize,
    end: Option<Position>,
    read: fn(&Row) -> Result<T>,
) -> Result<ClaimPage<T>> {
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = match found.last() {
        Some(last) if is_more => Some(position(last, 2)?),
        _others => end,
    };
    Ok(ClaimPage { items: found.iter().map(read).collect::<Result<_>>()?, next })
}

fn before<S>(filter: &ClaimFilter<S>) -> i64 {
    filter.before.map_or(i64::MAX, number)
}

/// Orders without a decision. They have no position yet; pages count in the order they were recorded in.
async fn list_pending(connection: &Connection, filter: ClaimFilter<OrderStatus>) -> Result<ClaimPage<Order>> {
    let sql = "SELECT command, since, sequence FROM pending WHERE sequence < $1 AND is_order \
               AND ($2::text IS NULL OR customer = $2) \
               AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = pending.id) ORDER BY sequence DESC LIMIT $3";
    let ask = ask!(sql, before(&filter), &filter.customer, filter.limit as i64 + 1);
    let found = connection.rows(ask).await?;
    let page = page_of(found, filter.limit, None, pending_of)?;
    Ok(ClaimPage { items: page.items.iter().filter_map(Pending::order).collect(), next: page.next })
}

/// Rows of `orders` or `holds`, by id.
async fn page<T>(
    connection: &Connection,
    table: &'static str,
    after: Option<Uuid>,
    limit: usize,
    read: fn(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    let limit = limit as i64;
    let found = match after {
        None => {
            let sql = format!("SELECT body, fingerprint FROM {table} ORDER BY id LIMIT $1");
            connection.rows(ask!(&sql, limit)).await?
        }
        Some(after) => {
            let sql = format!("SELECT body, fingerprint FROM {table} WHERE id > $1 ORDER BY id LIMIT $2");
            connection.rows(ask!(&sql, after, limit)).await?
        }
    };
    found.iter().map(read).collect()
}

fn movement_of(row: &Row, sku: &Sku) -> Result<(u32, Movement)> {
    let within: i64 = get(row, 1)?;
    let movement = Movement {
        position: position(row, 0)?,
        at: timestamp(row, 2)?,
        kind: crate::columns::movement_kind_of(get(row, 3)?)?,
        sku: sku.clone(),
        location: parsed("a location code", row, 4)?,
        delta: get(row, 5)?,
        quantity: get(row, 6)?,
        on_hand_after: get(row, 7)?,
        actor: get::<&str>(row, 8)?.into(),
        reason: get(row, 9)?,
        order_id: get(row, 10)?,
    };
    let within = u32::try_from(within).map_err(|error| super::connection::damaged("a number", error))?;
    Ok((within, movement))
}
