//! The whole state of the catalogue at one position, made of rows on a thread of its own while more of them are read:
//! with a million items, parsing their JSON takes longer than getting it from the database.

use std::sync::Arc;
use std::thread;

use holdfast_domain::{Item, Location, Position, Sku, SkuState, StockRow};
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

use crate::{Result, StoreError};

/// Rows that go to the maker together, at most.
const PIECE_ROWS: usize = 2_000;
/// … and bytes of JSON, beyond which no other row comes along.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces that wait for the maker; with more the reader waits.
const PIECES_MAX: usize = 64;

/// The whole current state of the catalogue at one position, for loading the read model.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub position: Position,
    pub locations: Vec<Location>,
    /// By SKU, the stock of each by location.
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

/// Rows on their way to the maker: items come first, then stock, both in any order; the nearer that is to the order of
/// their SKUs, the quicker.
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
        let is_full = self.ends.len() + self.stock.len() >= PIECE_ROWS || self.items.len() >= PIECE_BYTES;
        is_full.then(|| std::mem::take(self))
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
            let mut maker = Maker::default();
            while let Some(piece) = taken.blocking_recv() {
                if let Err(error) = maker.add(piece) {
                    drop(taken);
                    // Whoever waits for it may have given up.
                    drop(made.send(Err(error)));
                    return;
                }
            }
            drop(made.send(Ok(Snapshot { position, locations, skus: maker.done() })));
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

#[derive(Default)]
struct Maker {
    /// Each with its SKU at hand: what is looked at for the order is not all over the memory.
    skus: Vec<(Sku, SkuState)>,
    /// All items are there, in the order of their SKUs.
    sorted: bool,
    /// The item whose stock came last.
    at: usize,
}

impl Maker {
    fn add(&mut self, piece: Piece) -> Result<()> {
        debug_assert!(!self.sorted || piece.ends.is_empty(), "items come before stock");
        let mut start = 0;
        for end in piece.ends {
            let item: Item = serde_json::from_str(&piece.items[start..end])
                .map_err(|error| StoreError::Damaged(format!("an item cannot be read: {error}")))?;
            let state = SkuState { item: Arc::new(item), stock: Vec::new() };
            self.skus.push((state.item.sku.clone(), state));
            start = end;
        }
        for (sku, row) in piece.stock {
            self.stock_of(&sku)?.push(row);
        }
        Ok(())
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.skus.sort_by(|(a, _), (b, _)| a.cmp(b));
            self.sorted = true;
        }
    }

    /// Mostly that of the same item as the row before, or of the next one.
    fn stock_of(&mut self, sku: &str) -> Result<&mut Vec<StockRow>> {
        self.sort();
        let is = |at: &usize| self.skus.get(*at).is_some_and(|(known, _)| known.as_str() == sku);
        let near = (self.at..self.at + 2).find(is);
        let place = near.or_else(|| self.skus.binary_search_by(|(known, _)| known.as_str().cmp(sku)).ok());
        self.at = place.ok_or_else(|| StoreError::Damaged(format!("{sku} has stock and is no item")))?;
        Ok(&mut self.skus[self.at].1.stock)
    }

    fn done(mut self) -> Vec<SkuState> {
        self.sort();
        let in_order = |(_, mut state): (Sku, SkuState)| {
            state.stock.sort_by(|a, b| a.location.cmp(&b.location));
            state
        };
        self.skus.into_iter().map(in_order).collect()
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

    /// All numbers below [`ITEMS`], in no order.
    fn scattered() -> impl Iterator<Item = usize> {
        (0..ITEMS).map(|number| number * 1_237 % ITEMS)
    }

    fn snapshot_of(
        items: impl Iterator<Item = usize>,
        stock: impl Iterator<Item = (usize, StockRow)>,
    ) -> Snapshot {
        let (pieces, making) = making();
        let mut piece = Piece::default();
        let send = |piece| pieces.blocking_send(piece).expect("the maker takes it");
        for number in items {
            piece.item(&item(number));
            piece.full().map(send);
        }
        for (number, row) in stock {
            piece.stock(&sku(number), row);
            piece.full().map(send);
        }
        send(piece);
        drop(pieces);
        making.blocking_done(Ok(())).expect("a snapshot")
    }

    #[test]
    fn all_stock_comes_to_its_items_whatever_the_order() {
        // Every third item has no stock, the others have it at two places.
        let with_stock = |number: &usize| !number.is_multiple_of(3);
        let rows = |number: usize| [(number, row("main", number)), (number, row("south", 1))];
        let at_main = || scattered().filter(with_stock).map(|number| (number, row("main", number)));
        let at_south = || scattered().filter(with_stock).map(|number| (number, row("south", 1)));
        let mut snapshots = [
            snapshot_of(0..ITEMS, (0..ITEMS).filter(with_stock).flat_map(rows)),
            snapshot_of((0..ITEMS).rev(), (0..ITEMS).filter(with_stock).flat_map(rows).rev()),
            snapshot_of(scattered(), at_south().chain(at_main())),
        ];
        for snapshot in &snapshots {
            assert_eq!(snapshot.position, Position(7));
            assert_eq!(snapshot.skus.len(), ITEMS);
            for (number, state) in snapshot.skus.iter().enumerate() {
                assert_eq!(state.item.sku.as_str(), sku(number));
                let expected =
                    if with_stock(&number) { vec![row("main", number), row("south", 1)] } else { Vec::new() };
                assert_eq!(state.stock, expected, "{number}");
            }
        }
        let snapshot = &mut snapshots[2];
        let of_four = sku(4).parse().expect("a SKU");
        snapshot.correct_stock(&of_four, &row("south", 9)).expect("it is there");
        assert_eq!(snapshot.skus[4].stock, [row("main", 4), row("south", 9)]);
        let error = snapshot.correct_stock(&of_four, &row("north", 9)).expect_err("there is no such row");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }

    #[test]
    fn a_piece_is_bounded_in_rows_and_in_bytes() {
        let mut piece = Piece::default();
        let mut rows = 0;
        while piece.full().is_none() {
            piece.item("{}");
            rows += 1;
        }
        assert_eq!(rows, PIECE_ROWS);
        let large = " ".repeat(PIECE_BYTES / 3);
        piece.item(&large);
        piece.item(&large);
        assert!(piece.full().is_none(), "it has room");
        piece.item(&large);
        piece.item("{}");
        assert_eq!(piece.full().map(|full| full.ends.len()), Some(4));
        assert!(piece.full().is_none(), "it begins anew");
    }

    #[test]
    fn items_without_any_stock_are_in_their_order_too() {
        let snapshot = snapshot_of((0..ITEMS).rev(), std::iter::empty());
        assert!(snapshot.skus.is_sorted_by_key(|state| &state.item.sku), "they are not");
        assert_eq!(snapshot.skus.len(), ITEMS);
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
