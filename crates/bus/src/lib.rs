//! Movement: how commands reach a worker and outcomes come back.
//!
//! A port is the end of a bounded channel. [`Publisher::publish`] returns when the bus owns the envelope;
//! [`Consumer::batch`] yields what waits; each [`Delivery`] is settled once. `local` joins the two ends in this
//! process, without serialising.

pub mod local;
pub mod topology;

use std::sync::Arc;

use holdfast_domain::{Command, Outcome};
use tokio::sync::oneshot;

pub use local::{Consumer, Publisher, local};

/// Commands in one envelope at most.
pub const ENVELOPE_COMMANDS_MAX: usize = 1_000;
/// Envelopes that wait in one queue at most; beyond that, callers are told to come back.
pub const QUEUE_ENVELOPES_MAX: usize = 8_192;

/// Why an envelope was not decided. In every case nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("the queue is full")]
    Overloaded,
    #[error("the database takes no writes now: {0}")]
    Unavailable(String),
    #[error("this process is stopping")]
    Stopping,
}

/// The outcomes of an envelope's commands, in their order.
pub type Reply = Result<Vec<Outcome>, NotTaken>;

/// An envelope in a worker's hands.
#[derive(Debug)]
pub struct Delivery {
    pub commands: Arc<Vec<Command>>,
    reply: oneshot::Sender<Reply>,
}

impl Delivery {
    /// Tells whoever waits. Nobody may be waiting any more: the outcome can be read by id.
    pub fn settle(self, reply: Reply) {
        drop(self.reply.send(reply));
    }
}
