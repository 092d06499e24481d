//! Movement: how commands reach a worker and outcomes come back.
//!
//! A port is the end of a bounded channel. [`Publisher::publish`] hands commands to the bus; [`Consumer::batch`] yields
//! what waits; each [`Delivery`] is settled once. `local` joins the two ends in this process, without serialising;
//! `amqp` puts RabbitMQ between them. Whoever holds an end does not see which it is.

pub mod amqp;
mod consumer;
mod delivery;
pub mod local;
pub mod topology;

use std::sync::Arc;

use holdfast_domain::{Command, Outcome};
use tokio::sync::oneshot;

pub use consumer::Consumer;
pub use delivery::Delivery;
pub use local::local;

/// Commands in one envelope at most.
pub const ENVELOPE_COMMANDS_MAX: usize = 1_000;
/// Envelopes that wait in one queue at most; beyond that, callers are told to come back.
pub const QUEUE_ENVELOPES_MAX: usize = 8_192;

/// Why commands were not taken: surely nothing of them was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("the queue is full")]
    Overloaded,
    #[error("{0}")]
    Unavailable(String),
    #[error("this process is stopping")]
    Stopping,
}

/// Why there are no outcomes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// Nobody here can know whether the commands were taken; the same ids again are safe.
    #[error("it may have been taken or not: {0}")]
    InDoubt(String),
}

/// The outcomes of an envelope's commands, in their order.
pub type Reply = Result<Vec<Outcome>, Undecided>;

/// Where commands go in.
#[derive(Debug, Clone)]
pub enum Publisher {
    Local(local::LocalPublisher),
    Amqp(amqp::AmqpPublisher),
}

impl Publisher {
    /// Hands at most [`ENVELOPE_COMMANDS_MAX`] commands over; the receiver gets their outcomes. Full means full: nobody
    /// waits in front of a full queue, the caller is told at once.
    pub fn publish(
        &self,
        commands: impl Into<Arc<Vec<Command>>>,
    ) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        match self {
            Publisher::Local(local) => local.publish(commands.into()),
            Publisher::Amqp(amqp) => amqp.publish(&commands.into()),
        }
    }

    /// Envelopes that wait in this process.
    pub fn waiting(&self) -> usize {
        match self {
            Publisher::Local(local) => local.waiting(),
            Publisher::Amqp(amqp) => amqp.waiting(),
        }
    }

    /// Whether a worker is there to take them. Of a worker behind a broker only the broker knows; this then says
    /// whether the broker takes messages.
    pub fn has_consumer(&self) -> bool {
        match self {
            Publisher::Local(local) => local.has_consumer(),
            Publisher::Amqp(amqp) => amqp.trouble().is_none(),
        }
    }
}
