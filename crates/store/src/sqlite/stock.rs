//! Rows of stock that reach their table later than they change. A batch of orders on many SKUs would write nearly a
//! page for each of them; instead it writes what changed in one piece (`stock_recent`), and the rows follow: neighbours
//! together, and once for many changes. Whoever reads the table takes what is recent before it ([`RecentStock::read`]).
//!
//! The rows follow in rounds, in the order of their keys, some with every batch. At the end of a round everything that
//! was recent when it began is in the table, and the pieces from before it can go.

use std::collections::BTreeMap;
use std::ops::Bound;

use holdfast_domain::{LocationCode, Position, Sku, StockRow};
use rusqlite::{Connection, params};

use super::write::Json;
use super::{all, from_json, number, text};
use crate::{Place, Result, StoreError};

/// So many rows are written with the batch that changed them: a shop without a rush has nothing recent.
const PROMPT_ROWS: usize = 64;
/// Of more rows, as many follow with a batch that a round is over after so many events.
const ROUND_EVENTS: usize = 100_000;
/// Rows that follow with a batch at least.
const ROWS_MIN: usize = 16;
/// Pieces that are deleted with a batch; each batch makes one.
const DELETED_MAX: i64 = 4;

/// What the stock table does not say yet.
pub(super) struct RecentStock {
    rows: BTreeMap<Place, StockRow>,
    /// The log's position that this is true at.
    at: Position,
    /// Where the log ended when this round began, and the last row that it wrote.
    began: Position,
    written: Option<Place>,
    /// Pieces up to here are of no use any more.
    complete: Position,
    has_pieces: bool,
}

/// A row as it stands within a piece, and as the statements take it: SKU, location, and the counters as in the table.
type Columns<S, L> = (S, L, i64, i64, i64, i64, i64, i64, i64);

impl RecentStock {
    /// What is recent at `head`, the log's.
    pub(super) fn read(connection: &Connection, head: Position) -> Result<Self> {
        let mut rows = BTreeMap::new();
        let pieces = all(connection, "SELECT changed FROM stock_recent ORDER BY last_position", [], |row| {
            from_json::<Vec<Columns<Sku, LocationCode>>>("recent stock", text(row, 0)?)
        })?;
        let has_pieces = !pieces.is_empty();
        for columns in pieces.into_iter().flatten() {
            let (sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point) =
                columns;
            let row = StockRow {
                location: location.clone(),
                on_hand,
                held,
                allocated,
                unavailable,
                safety_stock,
                incoming,
                reorder_point,
            };
            rows.insert((sku, location), row);
        }
        Ok(Self { rows, at: head, began: head, written: None, complete: Position(0), has_pieces })
    }

    /// The log's position that this is true at.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// The log went on without a change of stock.
    pub(super) fn moved_on(&mut self, head: Position) {
        self.at = head;
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Place, &StockRow)> {
        self.rows.iter()
    }

    /// Makes rows that came from the table true.
    pub(super) fn correct(&self, sku: &Sku, rows: &mut [StockRow]) {
        if self.rows.is_empty() {
            return;
        }
        for row in rows {
            if let Some(recent) = self.rows.get(&(sku.clone(), row.location.clone())) {
                *row = recent.clone();
            }
        }
    }

    /// Writes what a batch of `events` changed, which makes `last` the log's end, in a piece, and some of the rows.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        changed: Vec<(Place, StockRow)>,
        last: Position,
        events: usize,
    ) -> Result<()> {
        let is_rush = self.rows.len() + changed.len() > PROMPT_ROWS;
        if is_rush && !changed.is_empty() {
            let piece: Vec<_> = changed.iter().map(|((sku, _), row)| columns(sku, row)).collect();
            connection
                .prepare_cached("INSERT INTO stock_recent (last_position, changed) VALUES (?1, ?2)")?
                .execute(params![number(last), Json::default().of(&piece)?])?;
            self.has_pieces = true;
        }
        self.rows.extend(changed);
        if !is_rush {
            return self.write_all(connection, last);
        }
        let share = (self.rows.len() * events).div_ceil(ROUND_EVENTS).max(ROWS_MIN);
        self.write_share(connection, last, share)
    }

    /// Writes all rows; then nothing is recent.
    pub(super) fn write_all(&mut self, connection: &Connection, last: Position) -> Result<()> {
        for ((sku, _), row) in std::mem::take(&mut self.rows) {
            update(connection, &sku, &row)?;
        }
        if self.has_pieces {
            connection.prepare_cached("DELETE FROM stock_recent")?.execute([])?;
        }
        *self = Self {
            rows: BTreeMap::new(),
            at: last,
            began: last,
            written: None,
            complete: last,
            has_pieces: false,
        };
        Ok(())
    }

    fn write_share(&mut self, connection: &Connection, last: Position, share: usize) -> Result<()> {
        let from = self.written.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut some = 0;
        for (place, row) in self.rows.extract_if((from, Bound::Unbounded), |_, _| true).take(share) {
            update(connection, &place.0, &row)?;
            self.written = Some(place);
            some += 1;
        }
        self.at = last;
        if some < share {
            self.written = None;
            self.complete = std::mem::replace(&mut self.began, last);
        }
        let sql = "DELETE FROM stock_recent WHERE last_position IN (SELECT last_position FROM stock_recent \
                   WHERE last_position <= ?1 ORDER BY last_position LIMIT ?2)";
        connection.prepare_cached(sql)?.execute(params![number(self.complete), DELETED_MAX])?;
        Ok(())
    }
}

fn columns<'a>(sku: &'a Sku, row: &'a StockRow) -> Columns<&'a str, &'a str> {
    (
        sku.as_str(),
        row.location.as_str(),
        row.on_hand,
        row.held,
        row.allocated,
        row.unavailable,
        row.safety_stock,
        row.incoming,
        row.reorder_point,
    )
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
