//! What both databases store in columns of their own.

use std::collections::HashMap;

use holdfast_domain::{LocationCode, Movement, MovementKind, Order, Position, Sku};

use crate::{Result, StoreError};

const MOVEMENT_KINDS: [MovementKind; 12] = [
    MovementKind::Receipt,
    MovementKind::Adjustment,
    MovementKind::Count,
    MovementKind::TransferOut,
    MovementKind::TransferIn,
    MovementKind::Unavailable,
    MovementKind::Incoming,
    MovementKind::Levels,
    MovementKind::Allocation,
    MovementKind::Cancellation,
    MovementKind::Fulfilment,
    MovementKind::Return,
];

/// Movements are indexed by stretches of the log of so many bits: a stretch is `position >> STRETCH_BITS`, in the
/// migrations and in the queries of both databases.
pub(crate) const STRETCH_BITS: u32 = 14;

/// The body of an order's row. It stays with the order, for its answer.
pub(crate) fn order_json(order: &Order) -> Result<&str> {
    order.to_json().map_err(|error| StoreError::Other(format!("a row cannot be written as JSON: {error}")))
}

pub(crate) fn movement_kind(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Receipt => "receipt",
        MovementKind::Adjustment => "adjustment",
        MovementKind::Count => "count",
        MovementKind::TransferOut => "transfer_out",
        MovementKind::TransferIn => "transfer_in",
        MovementKind::Unavailable => "unavailable",
        MovementKind::Incoming => "incoming",
        MovementKind::Levels => "levels",
        MovementKind::Allocation => "allocation",
        MovementKind::Cancellation => "cancellation",
        MovementKind::Fulfilment => "fulfilment",
        MovementKind::Return => "return",
    }
}

pub(crate) fn movement_kind_of(word: &str) -> Result<MovementKind> {
    MOVEMENT_KINDS
        .into_iter()
        .find(|kind| movement_kind(*kind) == word)
        .ok_or_else(|| StoreError::Damaged(format!("{word:?} is no kind of movement")))
}

/// The movements after `saved`, each with its number within its position. All movements of a position come together.
pub(crate) fn numbered(movements: &[Movement], saved: Position) -> Vec<(i64, &Movement)> {
    let mut number = 0;
    let mut last = Position(0);
    let mut after = Vec::with_capacity(movements.len());
    for movement in movements {
        number = if movement.position == last { number + 1 } else { 0 };
        last = movement.position;
        if movement.position > saved {
            after.push((number, movement));
        }
    }
    after
}

/// On hand after the last movement that changed it, of each place where one did. What is not recorded is 0.
pub(crate) fn ends<'a>(numbered: &[(i64, &'a Movement)]) -> HashMap<(&'a Sku, &'a LocationCode), i64> {
    let end =
        |(_, movement): &(i64, &'a Movement)| ((&movement.sku, &movement.location), movement.on_hand_after);
    numbered.iter().filter(|(_, movement)| movement.delta != 0).map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_are_those_of_the_api_and_are_read_back() {
        for kind in MOVEMENT_KINDS {
            let word = movement_kind(kind);
            assert_eq!(serde_json::to_value(kind).expect("a word"), word);
            assert_eq!(movement_kind_of(word).expect("its own word"), kind);
        }
        assert!(movement_kind_of("theft").is_err());
    }
}
