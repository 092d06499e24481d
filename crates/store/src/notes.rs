//! What processes tell each other outside the log: who is alive, what the monitor found, which commands are dead
//! letters. A note is a name, a JSON text and a time; the newest one under a name counts.

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

#[async_trait]
pub trait Notes: Send + Sync {
    /// Writes notes, each in place of an earlier one of its name, in one transaction.
    async fn put_notes(&self, notes: Vec<Note>) -> Result<()>;
    /// Says whether it was there.
    async fn delete_note(&self, name: &str) -> Result<bool>;
    async fn note(&self, name: &str) -> Result<Option<Note>>;
    /// Those whose names begin with `prefix`, by name, after `after`.
    async fn notes(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Note>>;
}
