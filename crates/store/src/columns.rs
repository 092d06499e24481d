//! Words that both databases store in columns of their own.

use holdfast_domain::MovementKind;

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
