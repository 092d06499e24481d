//! The books: what the server accepted must be exactly what is gone from its shelves. Pure arithmetic over what the
//! client counted and what the server says of its own stock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The stock of one SKU as `POST /v1/stock/query` tells it. Signed on purpose: a server that says −1 is to be caught,
/// not misread.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shelf {
    pub sku: String,
    pub on_hand: i64,
    pub allocated: i64,
    pub available: i64,
    pub shortage: i64,
    pub locations: Vec<Place>,
}

/// The same for one location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    pub location: String,
    pub on_hand: i64,
    pub allocated: i64,
}

/// The first thing wrong with one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The server lists something else than what was asked for.
    Missing { sku: String },
    /// More is promised than is there.
    Oversold { sku: String, place: String, allocated: i64, on_hand: i64 },
    /// The counters of the server do not say what was accepted.
    Unequal { sku: String, accepted: i64, allocated: i64, gone: i64 },
    /// Orders only promise: nothing may leave or arrive.
    Moved { sku: String, before: i64, after: i64 },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Missing { sku } => write!(f, "{sku}: the server has no stock record of it"),
            Difference::Oversold { sku, place, allocated, on_hand } => {
                write!(f, "{sku} is OVERSOLD at {place}: {allocated} units are promised, {on_hand} are there")
            }
            Difference::Unequal { sku, accepted, allocated, gone } => write!(
                f,
                "{sku}: {accepted} units were accepted, the server has allocated {allocated}, and {gone} are gone from \
                 what is available"
            ),
            Difference::Moved { sku, before, after } => {
                write!(f, "{sku}: on hand went from {before} to {after}, though orders only promise")
            }
        }
    }
}

/// What the whole of the books says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    pub skus: usize,
    pub units_accepted: i64,
    pub units_allocated: i64,
    pub units_gone: i64,
    pub oversold_skus: usize,
}

/// Compares, SKU by SKU; `before`, `after` and `accepted` (units) stand in the order of the SKUs.
pub fn check(before: &[Shelf], after: &[Shelf], accepted: &[i64]) -> (Books, Vec<Difference>) {
    let mut books = Books { skus: before.len(), ..Books::default() };
    let mut differences = Vec::new();
    for (index, (was, units)) in before.iter().zip(accepted).enumerate() {
        books.units_accepted += units;
        let Some(now) = after.get(index).filter(|now| now.sku == was.sku) else {
            differences.push(Difference::Missing { sku: was.sku.clone() });
            continue;
        };
        let allocated = now.allocated - was.allocated;
        let gone = was.available - now.available;
        books.units_allocated += allocated;
        books.units_gone += gone;
        if let Some(oversold) = oversold(now) {
            books.oversold_skus += 1;
            differences.push(oversold);
        } else if allocated != *units || gone != *units {
            let (accepted, sku) = (*units, was.sku.clone());
            differences.push(Difference::Unequal { sku, accepted, allocated, gone });
        } else if was.on_hand != now.on_hand {
            differences.push(Difference::Moved {
                sku: was.sku.clone(),
                before: was.on_hand,
                after: now.on_hand,
            });
        }
    }
    (books, differences)
}

fn oversold(now: &Shelf) -> Option<Difference> {
    let at = |place: &str, allocated, on_hand| {
        Some(Difference::Oversold { sku: now.sku.clone(), place: place.to_owned(), allocated, on_hand })
    };
    if let Some(place) = now.locations.iter().find(|place| place.allocated > place.on_hand) {
        return at(&place.location, place.allocated, place.on_hand);
    }
    // `available` never falls below 0: a shortage says what it hides.
    if now.allocated > now.on_hand || now.available < 0 || now.shortage > 0 {
        return at("all locations", now.allocated, now.on_hand);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Books, Difference, Place, Shelf, check};

    fn shelf(sku: &str, on_hand: i64, allocated: i64) -> Shelf {
        let place = Place { location: "main".to_owned(), on_hand, allocated };
        let (available, shortage) = ((on_hand - allocated).max(0), (allocated - on_hand).max(0));
        Shelf { sku: sku.to_owned(), on_hand, allocated, available, shortage, locations: vec![place] }
    }

    #[test]
    fn accepted_units_that_are_gone_and_allocated_are_right() {
        let before = [shelf("a", 10, 0), shelf("b", 5, 1)];
        let (books, differences) = check(&before, &[shelf("a", 10, 10), shelf("b", 5, 1)], &[10, 0]);
        assert_eq!(differences, []);
        let expected =
            Books { skus: 2, units_accepted: 10, units_allocated: 10, units_gone: 10, oversold_skus: 0 };
        assert_eq!(books, expected);
    }

    #[test]
    fn an_accepted_order_that_took_nothing_is_a_difference() {
        let (_, differences) = check(&[shelf("a", 10, 0)], &[shelf("a", 10, 3)], &[4]);
        assert_eq!(
            differences,
            [Difference::Unequal { sku: "a".into(), accepted: 4, allocated: 3, gone: 3 }]
        );
    }

    #[test]
    fn a_unit_taken_for_an_order_that_was_refused_is_a_difference() {
        let (_, differences) = check(&[shelf("a", 10, 0)], &[shelf("a", 10, 1)], &[0]);
        assert_eq!(differences.len(), 1);
        let text = differences[0].to_string();
        assert!(text.contains("0 units were accepted, the server has allocated 1"), "{text}");
    }

    #[test]
    fn two_wrongs_on_two_skus_do_not_cancel_out() {
        let before = [shelf("a", 10, 0), shelf("b", 10, 0)];
        let (books, differences) = check(&before, &[shelf("a", 10, 2), shelf("b", 10, 0)], &[1, 1]);
        assert_eq!((books.units_accepted, books.units_allocated), (2, 2));
        assert_eq!(differences.len(), 2);
    }

    #[test]
    fn more_promised_than_there_is_oversold_though_the_sums_agree() {
        let mut after = shelf("a", 10, 12);
        after.available = -2;
        let (books, differences) = check(&[shelf("a", 10, 0)], &[after], &[12]);
        assert_eq!(books.oversold_skus, 1);
        assert!(matches!(&differences[..], [Difference::Oversold { allocated: 12, on_hand: 10, .. }]));
    }

    #[test]
    fn one_oversold_location_is_not_hidden_by_another_that_has_plenty() {
        let mut after = shelf("a", 10, 4);
        after.locations = vec![
            Place { location: "north".into(), on_hand: 3, allocated: 4 },
            Place { location: "south".into(), on_hand: 7, allocated: 0 },
        ];
        let (_, differences) = check(&[shelf("a", 10, 0)], &[after], &[4]);
        assert!(matches!(&differences[..], [Difference::Oversold { place, .. }] if place == "north"));
    }

    #[test]
    fn a_sku_that_the_server_forgot_is_a_difference() {
        let (_, differences) = check(&[shelf("a", 10, 0)], &[], &[0]);
        assert_eq!(differences, [Difference::Missing { sku: "a".into() }]);
    }

    #[test]
    fn goods_that_left_without_a_reason_are_a_difference() {
        let mut after = shelf("a", 9, 0);
        after.available = 10;
        let (_, differences) = check(&[shelf("a", 10, 0)], &[after], &[0]);
        assert_eq!(differences, [Difference::Moved { sku: "a".into(), before: 10, after: 9 }]);
    }
}
