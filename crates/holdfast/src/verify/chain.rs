//! The log as a chain: dense positions, time that does not go back, hashes that hold each other.

use holdfast_domain::{Position, Timestamp};
use holdfast_store::{Head, LogBatch, chain_hash};

use super::Difference;
use super::books::Books;
use super::facts::{Entry, Payload};

/// What the log is chained to before its first batch.
pub const NO_HASH: [u8; 32] = [0; 32];

/// A replay: where it stands and the books up to there.
pub struct Chain {
    head: Head,
    pub batches: u64,
    pub books: Books,
}

impl Chain {
    pub fn new() -> Self {
        let head = Head { position: Position(0), decided_at: Timestamp(i64::MIN), hash: NO_HASH };
        Self { head, batches: 0, books: Books::default() }
    }

    pub fn position(&self) -> Position {
        self.head.position
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Checks the next batch and enters it into the books; `each` sees every event after the books took it.
    pub fn check(
        &mut self,
        batch: &LogBatch,
        mut each: impl FnMut(&Entry<'_>, Position, &mut Books) -> Result<(), Difference>,
    ) -> Result<(), Difference> {
        let LogBatch { first, last, decided_at, payload, hash } = batch;
        let expected = self.head.position.plus(1);
        if *first != expected {
            return Err(Difference(format!(
                "The log has a hole or an overlap: position {expected} should come next, but the next batch holds {first} to {last}."
            )));
        }
        if *decided_at < self.head.decided_at {
            return Err(Difference(format!(
                "Time goes back in the log: the batch {first} to {last} was decided at {decided_at}, the one before it at {}.",
                self.head.decided_at
            )));
        }
        let own = chain_hash(&self.head.hash, *first, *last, *decided_at, payload);
        if own != *hash {
            return Err(Difference(format!(
                "The hash chain breaks at the batch {first} to {last}: it is recorded with {}, but its content gives {}.",
                hex(hash),
                hex(&own)
            )));
        }
        let unreadable = |why: String| {
            Difference(format!("The batch {first} to {last} of the log cannot be read: {why}."))
        };
        let payload: Payload<'_> =
            serde_json::from_slice(payload).map_err(|error| unreadable(error.to_string()))?;
        if payload.v != 1 {
            return Err(unreadable(format!("it has the unknown version {}", payload.v)));
        }
        let count = payload.events.len() as u64;
        if count == 0 || first.0 + count - 1 != last.0 {
            return Err(unreadable(format!("it holds {count} events")));
        }
        for (index, entry) in payload.events.iter().enumerate() {
            let position = Position(first.0 + index as u64);
            self.books.enter(&entry.event, position)?;
            each(entry, position, &mut self.books)?;
        }
        self.books.close_batch(*last)?;
        self.head = Head { position: *last, decided_at: *decided_at, hash: *hash };
        self.batches += 1;
        Ok(())
    }
}

/// 64 small hexadecimal digits.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
