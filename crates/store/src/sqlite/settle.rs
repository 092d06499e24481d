//! The write side of SQLite beside deciding: pending commands, outcomes that age, projections and cursors, backups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::{Command, Movement, Position, Timestamp};
use rusqlite::{Connection, OpenFlags, Row, params};
use uuid::Uuid;

use super::write::{End, Json, Writer, append, next_due, remember, write_touched};
use super::{
    Sqlite, all, checkpoint, closed, first, from_json, number, position, read_head, text, timestamp,
};
use crate::columns::{ends, numbered};
use crate::planner::Foreseen;
use crate::{Executed, Head, Image, LogBatch, OUTCOME_HOURS, Pending, Result, Store, StoreError, plan};

/// The cursor of the movements projection.
pub(super) const MOVEMENTS_CURSOR: &str = "movements";

#[async_trait]
impl Store for Sqlite {
    async fn execute(&self, clock: Timestamp, commands: Arc<Vec<Command>>) -> Result<Executed> {
        let mut mind = Arc::clone(&self.mind).lock_owned().await;
        if let Some(Foreseen { from, to_write, executed, .. }) = mind.take_plan(clock, &commands)? {
            // On its way before anybody else may plan: batches are written in the order in which they were planned.
            let written = self.begin_write(move |writer| writer.write_planned(&to_write)).await?;
            drop(mind);
            let holds = written.await.map_err(|_| closed())?;
            if let Ok(true) = holds {
                return Ok(executed);
            }
            mind = Arc::clone(&self.mind).lock_owned().await;
            mind.planner.forget(from);
            if !holds? {
                mind.planner.be_careful();
            }
        }
        self.write(move |writer| writer.execute(&mut mind, clock, &commands)).await
    }

    fn decides_here(&self) -> bool {
        true
    }

    fn execute_here(&self, clock: Timestamp, commands: &[Command]) -> Option<Result<Executed>> {
        let mut mind = self.mind.try_lock().ok().filter(|mind| !mind.plans(commands))?;
        self.write_here(|writer| writer.execute(&mut mind, clock, commands))
    }

    fn plans_ahead(&self) -> bool {
        true
    }

    async fn foresee(&self, clock: Timestamp, commands: Arc<Vec<Command>>) {
        // Not waited for: whoever has it may be a batch of this very caller, who is not asked for it meanwhile.
        if let Ok(mut mind) = self.mind.try_lock() {
            mind.foresee(clock, &commands);
        }
    }

    async fn head(&self) -> Result<Head> {
        self.read(read_head).await
    }

    async fn next_expiry(&self) -> Result<Option<Timestamp>> {
        self.read(next_due).await
    }

    async fn add_pending(&self, pending: Vec<Pending>) -> Result<usize> {
        self.write(move |writer| {
            writer.transaction(|connection| Ok((End::Commit, add_pending(connection, &pending)?)))
        })
        .await
    }

    async fn remove_pending(&self, clock: Timestamp, id: Uuid) -> Result<()> {
        let mut mind = Arc::clone(&self.mind).lock_owned().await;
        self.write(move |writer| {
            mind.forget();
            writer.remove_pending(clock, id)
        })
        .await
    }

    async fn pending_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Pending>> {
        self.read(move |connection| {
            let sql = "SELECT command, since FROM pending WHERE since < ?1 ORDER BY since, sequence LIMIT ?2";
            all(connection, sql, params![before.0, limit as i64], pending_of)
        })
        .await
    }

    async fn prune_outcomes(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let before = now.plus_seconds(-OUTCOME_HOURS * 3_600);
        self.write(move |writer| {
            writer.transaction(|connection| {
                let sql = "DELETE FROM outcomes WHERE key IN \
                           (SELECT key FROM outcomes WHERE at < ?1 ORDER BY at LIMIT ?2)";
                let gone = connection.prepare_cached(sql)?.execute(params![before.0, limit as i64])?;
                Ok((if gone == 0 { End::Nothing } else { End::Commit }, gone))
            })
        })
        .await
    }

    async fn apply_movements(&self, movements: Vec<Movement>, cursor: Position) -> Result<()> {
        self.write(move |writer| {
            writer.transaction(|connection| {
                let saved = read_cursor(connection, MOVEMENTS_CURSOR)?;
                if cursor <= saved {
                    return Ok((End::Nothing, ()));
                }
                add_movements(connection, &movements, saved)?;
                move_cursor(connection, MOVEMENTS_CURSOR, cursor)?;
                Ok((End::Commit, ()))
            })
        })
        .await
    }

    async fn cursor(&self, name: &str) -> Result<Position> {
        let name = name.to_owned();
        self.read(move |connection| read_cursor(connection, &name)).await
    }

    async fn save_cursor(&self, name: &str, position: Position) -> Result<()> {
        let name = name.to_owned();
        self.write(move |writer| {
            writer.transaction(|connection| {
                move_cursor(connection, &name, position)?;
                Ok((End::Commit, ()))
            })
        })
        .await
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        let (from, to) = (self.path.clone(), target.to_owned());
        tokio::task::spawn_blocking(move || backup(&from, &to))
            .await
            .map_err(|error| StoreError::Other(format!("the backup broke off: {error}")))?
    }

    async fn look_up_in(&self, image: Arc<dyn Image>) -> Result<()> {
        self.mind.lock().await.look_up_in(image);
        Ok(())
    }

    async fn make_room(&self) -> Result<()> {
        self.write(|writer| checkpoint::make_room(&mut writer.connection)).await
    }

    async fn close(&self) {
        self.stop().await;
    }
}

impl Writer {
    /// Settles a pending command without deciding it by the rules: an order becomes `rejected` through the log,
    /// every other command gets the outcome `not_processable`.
    fn remove_pending(&mut self, clock: Timestamp, id: Uuid) -> Result<()> {
        self.transaction(|connection| {
            let sql = "SELECT command, since FROM pending WHERE id = ?1";
            let Some(pending) = first(connection, sql, [id.as_bytes()], pending_of)? else {
                return Ok((End::Nothing, ()));
            };
            if !is_decided(connection, id)? {
                let head = read_head(connection)?;
                let now = clock.max(head.decided_at);
                let (ledger, plan) = plan::reject(&pending, head.position, now);
                write_touched(connection, &ledger)?;
                remember(connection, now, &plan.remember)?;
                append(connection, LogBatch::after(&head, now, &plan.events), plan.events)?;
            }
            connection.prepare_cached("DELETE FROM pending WHERE id = ?1")?.execute([id.as_bytes()])?;
            Ok((End::Commit, ()))
        })?;
        self.wrote_otherwise();
        Ok(())
    }
}

/// Whether an order, a hold or an outcome answers for this command already.
pub(super) fn is_decided(connection: &Connection, id: Uuid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM orders WHERE id = ?1) OR EXISTS (SELECT 1 FROM holds WHERE id = ?1) \
               OR EXISTS (SELECT 1 FROM outcomes WHERE key = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0))?)
}

fn add_pending(connection: &Connection, pending: &[Pending]) -> Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO pending (id, since, is_order, customer, command) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO NOTHING",
    )?;
    let mut json = Json::default();
    let mut new = 0;
    for pending in pending {
        let Pending { command, since } = pending;
        // It may have been decided while the caller still waited; then nothing would ever settle it.
        if is_decided(connection, command.id)? {
            continue;
        }
        if let Some(key) = command.key
            && is_decided(connection, key)?
        {
            continue;
        }
        let order = pending.order();
        let customer = order.as_ref().and_then(|order| order.customer.as_ref());
        new += insert.execute(params![
            command.id.as_bytes(),
            since.0,
            order.is_some(),
            customer.map(|customer| customer.as_str()),
            json.of(command)?,
        ])?;
    }
    Ok(new)
}

/// From the columns `command, since`.
pub(super) fn pending_of(row: &Row<'_>) -> Result<Pending> {
    Ok(Pending { command: from_json("a pending command", text(row, 0)?)?, since: timestamp(row, 1)? })
}

/// Appends the movements after `saved`, each numbered within its position.
fn add_movements(connection: &Connection, movements: &[Movement], saved: Position) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO movements (sku, position, number, at, kind, location, delta, quantity, on_hand_after, actor, \
         reason, order_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
    )?;
    let movements = numbered(movements, saved);
    for (number_within, movement) in &movements {
        insert.execute(params![
            movement.sku.as_str(),
            number(movement.position),
            number_within,
            movement.at.0,
            crate::columns::movement_kind(movement.kind),
            movement.location.as_str(),
            movement.delta,
            movement.quantity,
            movement.on_hand_after,
            movement.actor.as_str(),
            movement.reason,
            movement.order_id.as_ref().map(Uuid::as_bytes),
        ])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO movement_ends (sku, location, on_hand) VALUES (?1, ?2, ?3) \
         ON CONFLICT (sku, location) DO UPDATE SET on_hand = excluded.on_hand",
    )?;
    for ((sku, location), on_hand) in ends(&movements) {
        put.execute(params![sku.as_str(), location.as_str(), on_hand])?;
    }
    Ok(())
}

pub(super) fn read_cursor(connection: &Connection, name: &str) -> Result<Position> {
    let saved =
        first(connection, "SELECT position FROM cursors WHERE name = ?1", [name], |row| position(row, 0))?;
    Ok(saved.unwrap_or_default())
}

fn move_cursor(connection: &Connection, name: &str, position: Position) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cursors (name, position) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        )?
        .execute(params![name, number(position)])?;
    Ok(())
}

/// Copies the database as of one commit into `target`, which appears only when it is whole.
fn backup(from: &Path, target: &Path) -> Result<()> {
    let trouble = |what: &str, error: std::io::Error| {
        StoreError::Other(format!("the backup {} cannot be {what}: {error}", target.display()))
    };
    if target.try_exists().map_err(|error| trouble("made", error))? {
        return Err(StoreError::Other(format!(
            "{} exists already; a backup overwrites nothing",
            target.display()
        )));
    }
    let partial = partial_name(target);
    match std::fs::remove_file(&partial) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(trouble("made", error)),
    }
    let copied = copy(from, &partial).and_then(|()| {
        let file = std::fs::File::open(&partial).map_err(|error| trouble("read", error))?;
        file.sync_all().map_err(|error| trouble("made durable", error))?;
        std::fs::rename(&partial, target).map_err(|error| trouble("named", error))?;
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = std::fs::File::open(folder).map_err(|error| trouble("made durable", error))?;
        folder.sync_all().map_err(|error| trouble("made durable", error))
    });
    if copied.is_err() {
        // Best effort: the error that led here matters more.
        drop(std::fs::remove_file(&partial));
    }
    copied
}

fn partial_name(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let to = to.to_str().ok_or_else(|| StoreError::Other(format!("{} is not UTF-8", to.display())))?;
    let connection = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(std::time::Duration::from_millis(super::BUSY_MS_MAX))?;
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}
