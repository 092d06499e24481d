//! The write side of PostgreSQL beside deciding: pending commands, outcomes that age, projections and cursors.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::{Command, Movement, Position, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::{Ask, Connection, ask, from_json, get, head_of, json, number, position, timestamp};
use super::pool::detached;
use super::write::{BEGIN_REPEATABLE, NEXT_DUE, Writer, begin_at_head, transaction, write};
use super::{CACHED_MAX_FOR_ORDERS, Postgres};
use crate::columns::{ends, movement_kind, numbered};
use crate::recent::Step;
use crate::{Executed, Head, LogBatch, OUTCOME_HOURS, Pending, Result, Store, StoreError, WarmUp, plan};

/// The cursor of the movements projection.
pub(super) const MOVEMENTS_CURSOR: &str = "movements";

pub(super) const HEAD: &str = "SELECT position, decided_at, hash FROM log_head WHERE id = 1";
pub(super) const CURSOR: &str = "SELECT position FROM cursors WHERE name = $1";
const SAVE_CURSOR: &str = "INSERT INTO cursors (name, position) VALUES ($1, $2) \
                           ON CONFLICT (name) DO UPDATE SET position = excluded.position";

/// An order, a hold or an outcome answers for the command `asked.id` already, or for its key.
const IS_DECIDED: &str = "(EXISTS (SELECT 1 FROM orders WHERE orders.id IN (asked.id, asked.key)) \
                          OR EXISTS (SELECT 1 FROM holds WHERE holds.id IN (asked.id, asked.key)) \
                          OR EXISTS (SELECT 1 FROM outcomes WHERE outcomes.key IN (asked.id, asked.key)))";

#[async_trait]
impl Store for Postgres {
    async fn execute(&self, clock: Timestamp, commands: Arc<Vec<Command>>) -> Result<Executed> {
        let lane = self.lane.clone();
        // Taken by the caller, not by what it starts: whoever calls first plans first.
        let planner = Arc::clone(&lane.planner).lock_owned().await;
        detached(lane.execute(planner, clock, commands)).await
    }

    fn plans_ahead(&self) -> bool {
        true
    }

    async fn foresee(&self, clock: Timestamp, commands: Arc<Vec<Command>>) {
        self.lane.foresee(clock, &commands).await;
    }

    async fn head(&self) -> Result<Head> {
        self.pool.run(|connection| async move { head_of(&connection.rows(ask!(HEAD)).await?) }).await
    }

    async fn next_expiry(&self) -> Result<Option<Timestamp>> {
        self.find(self.pool.clone(), NEXT_DUE, |row| timestamp(row, 0)).await
    }

    async fn add_pending(&self, pending: Vec<Pending>) -> Result<usize> {
        self.pool.run(move |connection| async move { add_pending(&connection, pending).await }).await
    }

    async fn remove_pending(&self, clock: Timestamp, id: Uuid) -> Result<()> {
        let writer = Arc::clone(&self.lane.writer);
        detached(async move { writer.lock().await.remove_pending(clock, id).await }).await
    }

    async fn pending_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Pending>> {
        self.pool
            .run(move |connection| async move {
                let sql = "SELECT command, since FROM pending WHERE since < $1 \
                               ORDER BY since, sequence LIMIT $2";
                let rows = connection.rows(ask!(sql, before.0, limit as i64)).await?;
                rows.iter().map(pending_of).collect()
            })
            .await
    }

    async fn prune_outcomes(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let before = now.plus_seconds(-OUTCOME_HOURS * 3_600);
        let sql = "DELETE FROM outcomes WHERE key IN (SELECT key FROM outcomes WHERE at < $1 ORDER BY at LIMIT $2 \
                   FOR UPDATE SKIP LOCKED)";
        self.pool
            .run(move |connection| async move {
                Ok(connection.count(ask!(sql, before.0, limit as i64)).await? as usize)
            })
            .await
    }

    async fn apply_movements(&self, movements: Vec<Movement>, cursor: Position) -> Result<()> {
        self.pool
            .run(move |connection| async move { apply_movements(&connection, movements, cursor).await })
            .await
    }

    async fn cursor(&self, name: &str) -> Result<Position> {
        let name = name.to_owned();
        self.pool.run(move |connection| async move { read_cursor(&connection, &name).await }).await
    }

    async fn save_cursor(&self, name: &str, position: Position) -> Result<()> {
        let name = name.to_owned();
        self.pool
            .run(move |connection| async move {
                let save = [ask!(SAVE_CURSOR, name, number(position))];
                connection.pipeline(BEGIN_REPEATABLE, &save, "COMMIT").await.map(drop)
            })
            .await
    }

    async fn backup(&self, _target: &Path) -> Result<()> {
        let line = "a PostgreSQL database is backed up with PostgreSQL's own tools: pg_dump for a copy of one moment, \
                    pg_basebackup with archived WAL for any moment";
        Err(StoreError::Other(line.to_owned()))
    }

    async fn make_room(&self) -> Result<()> {
        self.lane.planner.lock().await.cached_max = CACHED_MAX_FOR_ORDERS;
        Ok(())
    }

    async fn warm_up(&self) -> Result<WarmUp> {
        self.lane.warm_up(&mut *self.warmth.lock().await).await
    }

    async fn close(&self) {
        self.lane.write_recent_stock().await;
        self.lane.writer.lock().await.close();
        self.pool.close().await;
        self.reads.close().await;
    }
}

impl Writer {
    /// Settles a pending command without deciding it by the rules.
    async fn remove_pending(&mut self, clock: Timestamp, id: Uuid) -> Result<()> {
        let connection = self.take().await?;
        transaction(remove_pending(&connection, clock, id)).await?;
        self.put_back(connection);
        Ok(())
    }
}

async fn remove_pending(connection: &Connection, clock: Timestamp, id: Uuid) -> Result<()> {
    let head = begin_at_head(connection).await?.head;
    let sql = "SELECT command, since FROM pending WHERE id = $1";
    let Some(row) = connection.first(ask!(sql, id)).await? else {
        return connection.simple("ROLLBACK").await;
    };
    let pending = pending_of(&row)?;
    let sql = format!("SELECT {IS_DECIDED} FROM (SELECT $1::uuid AS id, NULL::uuid AS key) AS asked");
    if get(&connection.row(ask!(&sql, id)).await?, 0)? {
        connection.count(ask!("DELETE FROM pending WHERE id = $1", id)).await?;
        return connection.simple("COMMIT").await;
    }
    let now = clock.max(head.decided_at);
    let (ledger, plan) = plan::reject(&pending, head.position, now);
    let batch = LogBatch::after(&head, now, &plan.events);
    let batch = batch.map(|batch| (batch, Step::default()));
    write(connection, &ledger, now, &plan.remember, vec![id], Uuid::new_v4(), batch).await
}

/// A batch may be decided beside this, and neither see the other's rows. Then a row stays behind that is pending no
/// more: readers leave out what is decided, and the next time it is sent or settled, it goes.
async fn add_pending(connection: &Connection, mut pending: Vec<Pending>) -> Result<usize> {
    // In one order for all, so that two who record the same commands cannot wait for each other.
    pending.sort_by_key(|pending| pending.command.id);
    let orders: Vec<_> = pending.iter().map(Pending::order).collect();
    let customers: Vec<Option<&str>> = orders
        .iter()
        .map(|order| order.as_ref()?.customer.as_ref().map(|customer| customer.as_str()))
        .collect();
    let commands = pending.iter().map(|pending| json(&pending.command)).collect::<Result<Vec<String>>>()?;
    // Some may have been decided while the caller still waited; nothing would ever settle those.
    let sql = format!(
        "INSERT INTO pending (id, since, is_order, customer, command) \
         SELECT id, since, is_order, customer, command \
         FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[], $5::text[], $6::uuid[]) WITH ORDINALITY \
         AS asked (id, since, is_order, customer, command, key, place) WHERE NOT {IS_DECIDED} ORDER BY place \
         ON CONFLICT (id) DO NOTHING"
    );
    let ask = ask!(
        &sql,
        pending.iter().map(|pending| pending.command.id).collect::<Vec<_>>(),
        pending.iter().map(|pending| pending.since.0).collect::<Vec<_>>(),
        orders.iter().map(Option::is_some).collect::<Vec<_>>(),
        customers,
        commands,
        pending.iter().map(|pending| pending.command.key).collect::<Vec<_>>(),
    );
    Ok(connection.count(ask).await? as usize)
}

/// From the columns `command, since`.
pub(super) fn pending_of(row: &Row) -> Result<Pending> {
    Ok(Pending { command: from_json("a pending command", row, 0)?, since: timestamp(row, 1)? })
}

pub(super) async fn read_cursor(connection: &Connection, name: &str) -> Result<Position> {
    let row = connection.first(ask!(CURSOR, name)).await?;
    row.map_or(Ok(Position(0)), |row| position(&row, 0))
}

/// Whoever else applies movements waits at the cursor's row, and then finds it moved.
async fn apply_movements(connection: &Connection, movements: Vec<Movement>, cursor: Position) -> Result<()> {
    let first = "INSERT INTO cursors (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING";
    let lock = format!("{CURSOR} FOR UPDATE");
    let asks = [ask!(first, MOVEMENTS_CURSOR), ask!(&lock, MOVEMENTS_CURSOR)];
    let answers = connection.pipeline(BEGIN_REPEATABLE, &asks, "").await?;
    let saved = answers[1].first().map_or(Ok(Position(0)), |row| position(row, 0))?;
    if cursor <= saved {
        return connection.simple("ROLLBACK").await;
    }
    let movements = numbered(&movements, saved);
    let mut asks = Vec::new();
    if !movements.is_empty() {
        asks.push(add_movements(&movements));
        asks.push(move_ends(&movements));
    }
    asks.push(ask!(SAVE_CURSOR, MOVEMENTS_CURSOR, number(cursor)));
    connection.pipeline("", &asks, "COMMIT").await.map(drop)
}

fn add_movements<'a>(movements: &[(i64, &'a Movement)]) -> Ask<'a> {
    const SQL: &str = "INSERT INTO movements (sku, position, number, at, kind, location, delta, quantity, \
        on_hand_after, actor, reason, order_id) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], \
        $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], \
        $12::uuid[]) ON CONFLICT DO NOTHING";
    fn column<'a, T>(movements: &[(i64, &'a Movement)], of: impl Fn(&'a Movement) -> T) -> Vec<T> {
        movements.iter().map(|(_, movement)| of(movement)).collect()
    }
    ask!(
        SQL,
        column(movements, |movement| movement.sku.as_str()),
        column(movements, |movement| number(movement.position)),
        movements.iter().map(|(number, _)| *number).collect::<Vec<i64>>(),
        column(movements, |movement| movement.at.0),
        column(movements, |movement| movement_kind(movement.kind)),
        column(movements, |movement| movement.location.as_str()),
        column(movements, |movement| movement.delta),
        column(movements, |movement| movement.quantity),
        column(movements, |movement| movement.on_hand_after),
        column(movements, |movement| movement.actor.as_str()),
        column(movements, |movement| movement.reason.as_deref()),
        column(movements, |movement| movement.order_id),
    )
}

fn move_ends<'a>(movements: &[(i64, &'a Movement)]) -> Ask<'a> {
    const SQL: &str = "INSERT INTO movement_ends (sku, location, on_hand) \
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) \
        ON CONFLICT (sku, location) DO UPDATE SET on_hand = excluded.on_hand";
    let ends = ends(movements);
    ask!(
        SQL,
        ends.keys().map(|(sku, _)| sku.as_str()).collect::<Vec<&str>>(),
        ends.keys().map(|(_, location)| location.as_str()).collect::<Vec<&str>>(),
        ends.values().copied().collect::<Vec<i64>>(),
    )
}
