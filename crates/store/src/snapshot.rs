//! The whole state of the catalogue at one position, made of rows on a thread of its own while more of them are read:
//! with a million items, reading their JSON takes as long as getting it from the database.

use std::sync::Arc;
use std::thread;

use holdfast_domain::{Item, Location, Position, Sku, SkuState, StockRow};
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

use crate::{Result, StoreError};

/// Rows that go to the maker together.
const PIECE_ROWS: usize = 2_000;
/// Pieces that wait for the maker; with more the reader waits.
const PIECES_MAX: usize = 64;

/// The whole current state of the catalogue at one position, for loading the read model.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub position: Position,
    pub locations: Vec<Location>,
    pub skus: Vec<SkuState>,
}

impl Snapshot {
    /// Replaces a stock row.
    pub(crate) fn correct_stock(&mut self, sku: &Sku, row: &StockRow) -> Result<()> {
        let place = self.skus.binary_search_by(|state| state.item.sku.cmp(sku));
        let stock = place.map(|place| &mut self.skus[place].stock);
        let known =
            stock.ok().and_then(|stock| stock.iter_mut().find(|known| known.location == row.location));
        *known.ok_or_else(|| {
            StoreError::Damaged(format!("the stock of {sku} at {} is not there", row.location))
        })? = row.clone();
        Ok(())
    }
}

/// Rows on their way to the maker: items come first, by SKU, then stock, by SKU and location.
#[derive(Default)]
pub(crate) struct Piece {
    /// JSON, one item behind the other, and where each ends.
    items: String,
    ends: Vec<usize>,
    stock: Vec<(SmolStr, StockRow)>,
}

impl Piece {
    pub(crate) fn item(&mut self, json: &str) {
        self.items.push_str(json);
        self.ends.push(self.items.len());
    }

    pub(crate) fn stock(&mut self, sku: &str, row: StockRow) {
        self.stock.push((sku.into(), row));
    }

    /// Itself, if it is worth sending; it is empty then.
    pub(crate) fn full(&mut self) -> Option<Self> {
        (self.ends.len() + self.stock.len() >= PIECE_ROWS).then(|| std::mem::take(self))
    }
}

/// Where the pieces go. A refusal means that the maker has ended, with an error that says why.
pub(crate) type Pieces = mpsc::Sender<Piece>;

/// A snapshot in the making.
pub(crate) struct Making(oneshot::Receiver<Result<Snapshot>>);

impl Making {
    /// It is done when all [`Pieces`] are dropped.
    pub(crate) fn begin(position: Position, locations: Vec<Location>) -> Result<(Pieces, Self)> {
        let (pieces, mut taken) = mpsc::channel(PIECES_MAX);
        let (made, making) = oneshot::channel();
        let make = move || {
            let mut maker = Maker { skus: Vec::new(), at: 0 };
            while let Some(piece) = taken.blocking_recv() {
                if let Err(error) = maker.add(piece) {
                    drop(taken);
                    // Whoever waits for it may have given up.
                    drop(made.send(Err(error)));
                    return;
                }
            }
            drop(made.send(Ok(Snapshot { position, locations, skus: maker.skus })));
        };
        let spawned = thread::Builder::new().name("snapshot".to_owned()).spawn(make);
        spawned.map_err(|error| StoreError::Other(format!("a thread cannot be started: {error}")))?;
        Ok((pieces, Self(making)))
    }

    /// `read` says how reading went; what the maker met counts before it.
    pub(crate) async fn done(self, read: Result<()>) -> Result<Snapshot> {
        settled(self.0.await.ok(), read)
    }

    /// The same, on a thread that may wait.
    pub(crate) fn blocking_done(self, read: Result<()>) -> Result<Snapshot> {
        settled(self.0.blocking_recv().ok(), read)
    }
}

fn settled(made: Option<Result<Snapshot>>, read: Result<()>) -> Result<Snapshot> {
    let snapshot = made.unwrap_or_else(|| Err(stopped()))?;
    read.map(|()| snapshot)
}

/// What a reader says whose piece is not taken; the maker's own error counts before it.
pub(crate) fn stopped() -> StoreError {
    StoreError::Other("the snapshot was not made to its end".to_owned())
}

struct Maker {
    skus: Vec<SkuState>,
    /// The item whose stock came last.
    at: usize,
}

impl Maker {
    fn add(&mut self, piece: Piece) -> Result<()> {
        let mut start = 0;
        for end in piece.ends {
            let item: Item = serde_json::from_str(&piece.items[start..end])
                .map_err(|error| StoreError::Damaged(format!("an item cannot be read: {error}")))?;
            self.skus.push(SkuState { item: Arc::new(item), stock: Vec::new() });
            start = end;
        }
        for (sku, row) in piece.stock {
            while self.skus.get(self.at).is_some_and(|state| state.item.sku.as_str() < sku.as_str()) {
                self.at += 1;
            }
            match self.skus.get_mut(self.at) {
                Some(state) if state.item.sku.as_str() == sku => state.stock.push(row),
                Some(_) | None => {
                    return Err(StoreError::Damaged(format!("{sku} has stock and is no item")));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: usize = 5_000;

    fn sku(number: usize) -> String {
        format!("sku-{number:05}")
    }

    fn item(number: usize) -> String {
        let sku = sku(number);
        format!(
            r#"{{"sku":"{sku}","brand":"b","model":"m","price":{{"amount":100,"currency":"INR"}},"status":"active","version":1}}"#
        )
    }

    fn row(location: &str, on_hand: usize) -> StockRow {
        StockRow { on_hand: on_hand as i64, ..StockRow::empty(location.parse().expect("a location")) }
    }

    fn making() -> (Pieces, Making) {
        Making::begin(Position(7), Vec::new()).expect("a thread")
    }

    fn damage(fill: impl FnOnce(&mut Piece)) -> String {
        let (pieces, making) = making();
        let mut piece = Piece::default();
        fill(&mut piece);
        pieces.blocking_send(piece).expect("the maker takes it");
        drop(pieces);
        match making.blocking_done(Ok(())) {
            Err(StoreError::Damaged(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_stock_comes_to_its_items_in_however_many_pieces() {
        let (pieces, making) = making();
        let mut sent = 0;
        let mut piece = Piece::default();
        let mut send = |piece: &mut Piece| {
            if let Some(full) = piece.full() {
                sent += 1;
                pieces.blocking_send(full).expect("the maker takes it");
            }
        };
        for number in 0..ITEMS {
            piece.item(&item(number));
            send(&mut piece);
        }
        // Every third item has no stock, the others have it at two places.
        for number in (0..ITEMS).filter(|number| number % 3 > 0) {
            piece.stock(&sku(number), row("main", number));
            send(&mut piece);
            piece.stock(&sku(number), row("south", 1));
            send(&mut piece);
        }
        assert_eq!(sent, (ITEMS + ITEMS / 3 * 4) / PIECE_ROWS);
        pieces.blocking_send(piece).expect("the maker takes it");
        drop(pieces);
        let mut snapshot = making.blocking_done(Ok(())).expect("a snapshot");
        assert_eq!(snapshot.position, Position(7));
        assert_eq!(snapshot.skus.len(), ITEMS);
        for (number, state) in snapshot.skus.iter().enumerate() {
            assert_eq!(state.item.sku.as_str(), sku(number));
            let expected =
                if number % 3 > 0 { vec![row("main", number), row("south", 1)] } else { Vec::new() };
            assert_eq!(state.stock, expected, "{number}");
        }
        let of_four = sku(4).parse().expect("a SKU");
        snapshot.correct_stock(&of_four, &row("south", 9)).expect("it is there");
        assert_eq!(snapshot.skus[4].stock, [row("main", 4), row("south", 9)]);
        let error = snapshot.correct_stock(&of_four, &row("north", 9)).expect_err("there is no such row");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let message = damage(|piece| piece.item("{}"));
        assert!(message.starts_with("an item cannot be read: missing field `sku`"), "{message}");
        // Before, between and after the items that there are.
        for nobody in ["a", "sku-00000x", "z"] {
            let message = damage(|piece| {
                piece.item(&item(0));
                piece.item(&item(1));
                piece.stock(nobody, row("main", 1));
            });
            assert_eq!(message, format!("{nobody} has stock and is no item"));
        }
    }

    #[test]
    fn the_makers_error_counts_before_that_of_a_reader_who_could_not_go_on() {
        let (pieces, making) = making();
        let mut piece = Piece::default();
        piece.item("no JSON");
        pieces.blocking_send(piece).expect("the maker takes it");
        while pieces.blocking_send(Piece::default()).is_ok() {}
        let error = making.blocking_done(Err(stopped())).expect_err("it is damaged");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }

    #[test]
    fn what_was_not_read_to_its_end_is_no_snapshot() {
        let (pieces, making) = making();
        drop(pieces);
        let error = making.blocking_done(Err(StoreError::Closed)).expect_err("reading failed");
        assert!(matches!(error, StoreError::Closed), "{error}");
    }
}
