//! Rows of stock that reach their table later than they change; shared by both databases. A batch of orders on many SKUs
//! would write a row, and nearly a page, for each of them; instead it writes what changed in one piece (`stock_recent`), and
//! the rows follow: neighbours together, and once for many changes. Whoever reads the table takes what is recent before it.
//!
//! The rows follow in rounds, in the order of their keys, some with every batch. At the end of a round everything that
//! was recent when it began is in the table, and the pieces from before it can go.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use holdfast_domain::{Ledger, LocationCode, Position, Sku, StockRow};

use crate::{Place, Result, StoreError};

/// So many rows are written with the batch that changed them: a shop without a rush has nothing recent.
const PROMPT_ROWS: usize = 64;
/// Rows that follow with a batch at least.
const ROWS_MIN: usize = 16;
/// Pieces that are deleted with a batch, which makes one at most.
const DELETED_MAX: usize = 4;

/// What the stock table does not say yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecentStock {
    rows: BTreeMap<Place, StockRow>,
    /// Where the log ended when this round began, and the last row that it wrote.
    began: Position,
    written: Option<Place>,
    /// Pieces up to here are of no use any more.
    complete: Position,
    /// The pieces that are there, by the batches that wrote them.
    pieces: VecDeque<Position>,
    /// Of more rows than are written at once, as many follow with a batch that a round is over after so many events or
    /// changes, so that never many more are recent.
    round_events: usize,
}

/// What a batch writes of stock that was there before: the piece, the rows, and then no more of the pieces that are gone.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) piece: Option<String>,
    pub(crate) rows: Vec<(Place, StockRow)>,
    pub(crate) gone: Vec<Position>,
}

/// How to take a step back whose batch was not written.
#[derive(Debug)]
pub(crate) struct Undo {
    /// What was recent of the rows that it changed.
    before: Vec<(Place, Option<StockRow>)>,
    step: Step,
    has_piece: bool,
    began: Position,
    written: Option<Place>,
    complete: Position,
}

/// A row as it stands within a piece: SKU, location, and the counters as in the table.
type Columns<S, L> = (S, L, i64, i64, i64, i64, i64, i64, i64);

impl RecentStock {
    /// Nothing is recent at `head`, the log's, but what [`RecentStock::add_piece`] adds.
    pub(crate) fn new(head: Position, round_events: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            began: head,
            written: None,
            complete: Position(0),
            pieces: VecDeque::new(),
            round_events,
        }
    }

    /// Adds a piece that is there, the oldest first.
    pub(crate) fn add_piece(&mut self, position: Position, changed: &str) -> Result<()> {
        let columns: Vec<Columns<Sku, LocationCode>> = serde_json::from_str(changed)
            .map_err(|error| StoreError::Damaged(format!("recent stock cannot be read: {error}")))?;
        for (sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point) in
            columns
        {
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
            self.rows.insert((sku, location), row);
        }
        self.pieces.push_back(position);
        Ok(())
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Place, &StockRow)> {
        self.rows.iter()
    }

    pub(crate) fn has_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Makes rows that came from the table true.
    pub(crate) fn correct(&self, sku: &Sku, rows: &mut [StockRow]) {
        if self.rows.is_empty() {
            return;
        }
        for row in rows {
            if let Some(recent) = self.rows.get(&(sku.clone(), row.location.clone())) {
                *row = recent.clone();
            }
        }
    }

    /// What a batch of `events` writes that changed these rows and makes `last` the log's end.
    pub(crate) fn change(
        &mut self,
        changed: Vec<(Place, StockRow)>,
        last: Position,
        events: usize,
    ) -> Result<Step> {
        self.change_and_tell(changed, last, events, |_, _| ())
    }

    /// Tells what was recent of each row before.
    fn change_and_tell(
        &mut self,
        changed: Vec<(Place, StockRow)>,
        last: Position,
        events: usize,
        mut tell: impl FnMut(&Place, Option<StockRow>),
    ) -> Result<Step> {
        let is_rush = self.rows.len() + changed.len() > PROMPT_ROWS;
        let piece = if is_rush && !changed.is_empty() { Some(piece_of(&changed)?) } else { None };
        let weight = events.max(changed.len());
        for (place, row) in changed {
            match self.rows.entry(place) {
                Entry::Occupied(mut recent) => {
                    let before = recent.insert(row);
                    tell(recent.key(), Some(before));
                }
                Entry::Vacant(place) => {
                    tell(place.key(), None);
                    place.insert(row);
                }
            }
        }
        if !is_rush {
            return Ok(self.change_all(Vec::new(), last));
        }
        if piece.is_some() {
            self.pieces.push_back(last);
        }
        let share = (self.rows.len() * weight).div_ceil(self.round_events).max(ROWS_MIN);
        Ok(Step { piece, ..self.write_share(last, share) })
    }

    /// As [`RecentStock::change`], and everything that is recent gets into the table.
    pub(crate) fn change_all(&mut self, changed: Vec<(Place, StockRow)>, last: Position) -> Step {
        self.rows.extend(changed);
        let rows = std::mem::take(&mut self.rows).into_iter().collect();
        let gone = std::mem::take(&mut self.pieces).into();
        *self = Self { complete: last, ..Self::new(last, self.round_events) };
        Step { piece: None, rows, gone }
    }

    /// As [`RecentStock::change`], with the way back.
    pub(crate) fn change_undoably(
        &mut self,
        changed: Vec<(Place, StockRow)>,
        last: Position,
        events: usize,
    ) -> Result<Undo> {
        let Self { began, complete, .. } = *self;
        let written = self.written.clone();
        let mut before = Vec::with_capacity(changed.len());
        let tell = |place: &Place, row| before.push((place.clone(), row));
        let step = self.change_and_tell(changed, last, events, tell)?;
        Ok(Undo { before, has_piece: step.piece.is_some(), step, began, written, complete })
    }

    /// Takes the last step back.
    pub(crate) fn undo(&mut self, undo: Undo) {
        let Undo { before, step, has_piece, began, written, complete } = undo;
        self.rows.extend(step.rows);
        for (place, row) in before {
            match row {
                Some(row) => drop(self.rows.insert(place, row)),
                None => drop(self.rows.remove(&place)),
            }
        }
        if has_piece {
            self.pieces.pop_back();
        }
        for piece in step.gone.into_iter().rev() {
            self.pieces.push_front(piece);
        }
        (self.began, self.written, self.complete) = (began, written, complete);
    }

    fn write_share(&mut self, last: Position, share: usize) -> Step {
        let from = self.written.take().map_or(Bound::Unbounded, Bound::Excluded);
        let rows: Vec<_> = self.rows.extract_if((from, Bound::Unbounded), |_, _| true).take(share).collect();
        if rows.len() < share {
            self.complete = std::mem::replace(&mut self.began, last);
        } else {
            self.written = rows.last().map(|(place, _)| place.clone());
        }
        let useless =
            self.pieces.iter().take(DELETED_MAX).take_while(|piece| **piece <= self.complete).count();
        Step { piece: None, rows, gone: self.pieces.drain(..useless).collect() }
    }
}

impl Undo {
    /// The rows that the step wrote into the table, as they were then.
    pub(crate) fn written(&self) -> &[(Place, StockRow)] {
        &self.step.rows
    }

    pub(crate) fn step(&mut self) -> &mut Step {
        &mut self.step
    }
}

/// The rows of stock that the ledger's events changed and that were there before.
pub(crate) fn changed_stock(ledger: &Ledger) -> Result<Vec<(Place, StockRow)>> {
    let touched = ledger.touched();
    rows_of(ledger, touched.stock.iter().filter(|place| !touched.new_stock.contains(*place)))
}

/// Rows of stock as they stand in the ledger.
pub(crate) fn rows_of<'a>(
    ledger: &Ledger,
    places: impl IntoIterator<Item = &'a Place>,
) -> Result<Vec<(Place, StockRow)>> {
    let row = |place: &Place| {
        let (sku, location) = place;
        let row = ledger.sku(sku).and_then(|state| state.stock.iter().find(|row| row.location == *location));
        row.map(|row| (place.clone(), row.clone()))
            .ok_or_else(|| StoreError::Damaged(format!("{sku} at {location} was changed and is not there")))
    };
    places.into_iter().map(row).collect()
}

fn piece_of(changed: &[(Place, StockRow)]) -> Result<String> {
    let columns = changed.iter().map(|((sku, _), row)| columns(sku, row));
    let json = serde_json::to_string(&columns.collect::<Vec<_>>());
    json.map_err(|error| StoreError::Other(format!("recent stock cannot be written as JSON: {error}")))
}

/// The columns of a row, as they stand in a piece and in the table.
pub(crate) fn columns<'a>(sku: &'a Sku, row: &'a StockRow) -> Columns<&'a str, &'a str> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(number: usize) -> Place {
        (format!("SKU-{number:03}").parse().expect("a SKU"), "NORTH".parse().expect("a location"))
    }

    fn row(on_hand: i64) -> StockRow {
        StockRow {
            location: "NORTH".parse().expect("a location"),
            on_hand,
            held: 1,
            allocated: 2,
            unavailable: 3,
            safety_stock: 4,
            incoming: 5,
            reorder_point: 6,
        }
    }

    /// A table and its pieces, as a database keeps them.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Tables {
        stock: BTreeMap<Place, StockRow>,
        pieces: BTreeMap<Position, String>,
    }

    impl Tables {
        fn write(&mut self, step: &Step, last: Position) {
            if let Some(piece) = &step.piece {
                assert_eq!(self.pieces.insert(last, piece.clone()), None);
            }
            self.stock.extend(step.rows.iter().cloned());
            for piece in &step.gone {
                assert!(self.pieces.remove(piece).is_some(), "each piece goes once");
            }
        }

        /// What somebody finds who reads the pieces and the table.
        fn now(&self, head: Position) -> BTreeMap<Place, StockRow> {
            let mut recent = RecentStock::new(head, 400);
            for (position, piece) in &self.pieces {
                recent.add_piece(*position, piece).expect("it is read");
            }
            let mut now = self.stock.clone();
            for ((sku, _), row) in &mut now {
                recent.correct(sku, std::slice::from_mut(row));
            }
            now
        }
    }

    proptest! {
        /// Some batches are not written, sometimes two in a row.
        #[test]
        fn table_and_pieces_say_what_changed_and_a_step_back_leaves_nothing(
            batches in prop::collection::vec((prop::collection::vec((0usize..300, 0i64..1_000), 0..90), 0..4usize), 1..60)
        ) {
            let mut truth: BTreeMap<Place, StockRow> = (0..300).map(|number| (place(number), row(0))).collect();
            let mut tables = Tables { stock: truth.clone(), ..Tables::default() };
            let mut recent = RecentStock::new(Position(0), 400);
            let mut undone = None;
            let mut head = Position(0);
            for (batch, (changes, fate)) in batches.into_iter().enumerate() {
                let events = changes.len() + 1;
                let changed: BTreeMap<Place, StockRow> =
                    changes.into_iter().map(|(number, on_hand)| (place(number), row(on_hand))).collect();
                let last = head.plus(events);
                let before = recent.clone();
                let mut undo =
                    recent.change_undoably(changed.clone().into_iter().collect(), last, events).expect("it is planned");
                if fate == 0 {
                    // The batch is not written, and neither is one that was planned after it.
                    if batch % 2 == 0 {
                        let next = last.plus(70);
                        let changed = (0..70).map(|number| (place(number), row(7))).collect();
                        let after = recent.change_undoably(changed, next, 70).expect("it is planned");
                        recent.undo(after);
                    }
                    recent.undo(undo);
                    prop_assert_eq!(&recent, &before);
                    undone = Some(batch);
                    continue;
                }
                tables.write(undo.step(), last);
                head = last;
                truth.extend(changed);
                prop_assert_eq!(tables.now(last), truth.clone(), "after batch {}, last undone {:?}", batch, undone);
                let pieces: Vec<Position> = tables.pieces.keys().copied().collect();
                prop_assert_eq!(recent.pieces.iter().copied().collect::<Vec<_>>(), pieces);
                if fate == 1 {
                    let step = recent.change_all(Vec::new(), last);
                    tables.write(&step, last);
                    prop_assert_eq!(&tables, &Tables { stock: truth.clone(), ..Tables::default() });
                }
            }
        }
    }
}
