//! Rows of stock in their table, and the pieces of what is recent.

use holdfast_domain::{Position, Sku, StockRow};
use rusqlite::{Connection, params};

use super::{all, number, position, text};
use crate::recent::{RecentStock, Step, columns};
use crate::{Result, StoreError};

/// Rounds are long: what it costs to take over what is recent is paid at a start only.
const ROUND_EVENTS: usize = 100_000;

/// What is recent at `head`, the log's.
pub(super) fn read_recent(connection: &Connection, head: Position) -> Result<RecentStock> {
    let mut recent = RecentStock::new(head, ROUND_EVENTS);
    let sql = "SELECT last_position, changed FROM stock_recent ORDER BY last_position";
    all(connection, sql, [], |row| recent.add_piece(position(row, 0)?, text(row, 1)?))?;
    Ok(recent)
}

/// Writes what a batch that made `last` the log's end changed of stock that was there before.
pub(super) fn write(connection: &Connection, step: &Step, last: Position) -> Result<()> {
    if let Some(piece) = &step.piece {
        connection
            .prepare_cached("INSERT INTO stock_recent (last_position, changed) VALUES (?1, ?2)")?
            .execute(params![number(last), piece])?;
    }
    for ((sku, _), row) in &step.rows {
        update(connection, sku, row)?;
    }
    if !step.gone.is_empty() {
        let mut delete = connection.prepare_cached("DELETE FROM stock_recent WHERE last_position = ?1")?;
        for piece in &step.gone {
            delete.execute([number(*piece)])?;
        }
    }
    Ok(())
}

fn update(connection: &Connection, sku: &Sku, row: &StockRow) -> Result<()> {
    const SQL: &str = "UPDATE stock SET on_hand = ?3, held = ?4, allocated = ?5, unavailable = ?6, \
                       safety_stock = ?7, incoming = ?8, reorder_point = ?9 WHERE sku = ?1 AND location = ?2";
    match execute(connection, SQL, sku, row)? {
        1 => Ok(()),
        _none => Err(StoreError::Damaged(format!("the stock of {sku} at {} is not there", row.location))),
    }
}

/// A row that was not there before is written at once.
pub(super) fn insert(connection: &Connection, sku: &Sku, row: &StockRow) -> Result<()> {
    const SQL: &str = "INSERT INTO stock (sku, location, on_hand, held, allocated, unavailable, safety_stock, \
                       incoming, reorder_point) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    execute(connection, SQL, sku, row).map(drop)
}

fn execute(connection: &Connection, sql: &str, sku: &Sku, row: &StockRow) -> Result<usize> {
    Ok(connection.prepare_cached(sql)?.execute(columns(sku, row))?)
}
