//! The bus without a broker: the two ends of a channel in one process.

use std::sync::Arc;

use holdfast_domain::Command;
use tokio::sync::{mpsc, oneshot};

use crate::{Delivery, NotTaken, QUEUE_ENVELOPES_MAX, Reply};

/// Makes a queue: where envelopes go in, and where one worker takes them out.
pub fn local() -> (Publisher, Consumer) {
    let (sender, receiver) = mpsc::channel(QUEUE_ENVELOPES_MAX);
    (Publisher { sender }, Consumer { receiver, gathered: Vec::new() })
}

#[derive(Debug, Clone)]
pub struct Publisher {
    sender: mpsc::Sender<Delivery>,
}

impl Publisher {
    /// Hands an envelope over; the receiver gets its outcomes. Full means full: nobody waits in front of a full
    /// queue, the caller is told at once.
    pub fn publish(&self, commands: Vec<Command>) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        let (reply, outcomes) = oneshot::channel();
        let delivery = Delivery { commands: Arc::new(commands), reply };
        self.sender.try_send(delivery).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotTaken::Overloaded,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Stopping,
        })?;
        Ok(outcomes)
    }

    /// Envelopes that wait.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Whether a worker is there to take them.
    pub fn has_consumer(&self) -> bool {
        !self.sender.is_closed()
    }
}

#[derive(Debug)]
pub struct Consumer {
    receiver: mpsc::Receiver<Delivery>,
    gathered: Vec<Delivery>,
}

impl Consumer {
    /// Waits for an envelope and yields it with all that wait behind it, up to about `commands_max` commands (at
    /// least one envelope). `None`: every publisher is gone and the queue is empty.
    pub async fn batch(&mut self, commands_max: usize) -> Option<Vec<Delivery>> {
        if self.gathered.is_empty() {
            let mut received = Vec::with_capacity(64);
            if self.receiver.recv_many(&mut received, commands_max).await == 0 {
                return None;
            }
            self.gathered = received;
        }
        let mut commands = 0;
        let fits = self.gathered.iter().take_while(|delivery| {
            let first = commands == 0;
            commands += delivery.commands.len();
            first || commands <= commands_max
        });
        let count = fits.count();
        let rest = self.gathered.split_off(count);
        Some(std::mem::replace(&mut self.gathered, rest))
    }

    /// Takes no new envelopes; what waits is still yielded.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::{Actor, CommandBody};
    use uuid::Uuid;

    fn sweeps(count: usize) -> Vec<Command> {
        (0..count).map(|_| Command::new(Uuid::nil(), Actor::system(), CommandBody::Sweep)).collect()
    }

    #[tokio::test]
    async fn what_waits_is_yielded_together_up_to_the_limit_and_in_order() {
        let (publisher, mut consumer) = local();
        for size in [3, 4, 5, 20] {
            publisher.publish(sweeps(size)).expect("there is room");
        }
        let mut sizes = Vec::new();
        drop(publisher);
        while let Some(batch) = consumer.batch(8).await {
            sizes.push(batch.iter().map(|delivery| delivery.commands.len()).collect::<Vec<_>>());
        }
        assert_eq!(sizes, [vec![3, 4], vec![5], vec![20]]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (publisher, _consumer) = local();
        for _ in 0..QUEUE_ENVELOPES_MAX {
            publisher.publish(sweeps(1)).expect("there is room");
        }
        assert_eq!(publisher.publish(sweeps(1)).expect_err("it is full"), NotTaken::Overloaded);
    }
}
