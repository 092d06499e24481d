//! An envelope in a worker's hands.

use std::sync::Arc;

use holdfast_domain::Command;
use tokio::sync::oneshot;

use crate::amqp::Held;
use crate::{NotTaken, Reply};

/// An envelope in a worker's hands, to be settled once.
#[derive(Debug)]
pub struct Delivery {
    pub commands: Arc<Vec<Command>>,
    /// How often it was handed out before and came back unsettled: its worker ended, or lost its connection.
    pub delivery_count: u32,
    end: End,
}

#[derive(Debug)]
enum End {
    Local(oneshot::Sender<Reply>),
    Amqp(Held),
}

impl Delivery {
    pub(crate) fn local(commands: Arc<Vec<Command>>, reply: oneshot::Sender<Reply>) -> Self {
        Self { commands, delivery_count: 0, end: End::Local(reply) }
    }

    pub(crate) fn held(commands: Vec<Command>, delivery_count: u32, held: Held) -> Self {
        Self { commands: Arc::new(commands), delivery_count, end: End::Amqp(held) }
    }

    /// Whether it stays on the broker until it is settled. Then there is no need to give it back while the database is
    /// out of reach, and each time it is given back counts as one more failed delivery.
    pub fn is_durable(&self) -> bool {
        match self.end {
            End::Local(_) => false,
            End::Amqp(_) => true,
        }
    }

    /// Whether this process has lost none of its connections yet: a delivery that comes back to such a process comes
    /// from one that ended.
    pub fn is_of_first_connection(&self) -> bool {
        match &self.end {
            End::Local(_) => true,
            End::Amqp(held) => held.is_of_first_connection(),
        }
    }

    /// Tells whoever waits: the outcomes of `commands`, in their order, or why there are none. Nobody may be waiting any
    /// more: the outcome can be read by id.
    pub fn settle(self, decided: Reply) {
        match self.end {
            End::Local(reply) => drop(reply.send(decided)),
            End::Amqp(held) => held.settle(decided),
        }
    }

    /// Puts the command at `index` aside, where a person can look at it; returns when it is safe there. Its outcome in
    /// [`Delivery::settle`] is still told to whoever waits.
    ///
    /// # Errors
    /// When the broker does not take it, or there is none: nothing was put aside.
    pub async fn dead_letter(&self, index: usize, why: &str) -> Result<(), NotTaken> {
        match &self.end {
            End::Local(_) => {
                Err(NotTaken::Unavailable("without a broker there are no dead letters".to_owned()))
            }
            End::Amqp(held) => held.dead_letter(&self.commands[index], index, why).await,
        }
    }
}
