//! What processes tell each other outside the log: who is alive, what the monitor found, which commands are dead
//! letters, how far imports are. A note is a name, a JSON text and a time; the newest one under a name counts.

use async_trait::async_trait;
use holdfast_domain::Timestamp;

use crate::Result;

#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Such as `instance/…`; the part before the slash says what it is about.
    pub name: String,
    /// JSON.
    pub body: String,
    pub at: Timestamp,
}

/// Where the range of names that begin with `prefix` ends: they are compared by their code points or bytes, which comes
/// to the same order, and nothing is above U+10FFFF.
pub(crate) fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

#[async_trait]
pub trait Notes: Send + Sync {
    /// Writes notes, each in place of an earlier one of its name, in one transaction.
    async fn put_notes(&self, notes: Vec<Note>) -> Result<()>;
    /// Writes a note if what is under its name is still `was` (`None`: nothing), and says whether it was.
    async fn replace_note(&self, note: Note, was: Option<&str>) -> Result<bool>;
    /// Says whether it was there.
    async fn delete_note(&self, name: &str) -> Result<bool>;
    async fn note(&self, name: &str) -> Result<Option<Note>>;
    /// Deletes those whose names begin with `prefix` and that were written before `before`.
    async fn prune_notes(&self, prefix: &str, before: Timestamp) -> Result<()>;
    /// Those whose names begin with `prefix`, by name, after `after`.
    async fn notes(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Note>>;
}
