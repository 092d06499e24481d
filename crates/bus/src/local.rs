//! The bus without a broker: the two ends of a channel in one process.

use std::sync::Arc;

use holdfast_domain::Command;
use tokio::sync::{mpsc, oneshot};

use crate::{Consumer, Delivery, NotTaken, Publisher, QUEUE_ENVELOPES_MAX, Reply};

/// Makes a queue: where envelopes go in, and where one worker takes them out.
pub fn local() -> (Publisher, Consumer) {
    let (sender, receiver) = mpsc::channel(QUEUE_ENVELOPES_MAX);
    (Publisher::Local(LocalPublisher { sender }), Consumer::new(receiver))
}

#[derive(Debug, Clone)]
pub struct LocalPublisher {
    sender: mpsc::Sender<Delivery>,
}

impl LocalPublisher {
    pub(crate) fn publish(&self, commands: Arc<Vec<Command>>) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        let (reply, outcomes) = oneshot::channel();
        self.sender.try_send(Delivery::local(commands, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotTaken::Overloaded,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Stopping,
        })?;
        Ok(outcomes)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    pub(crate) fn has_consumer(&self) -> bool {
        !self.sender.is_closed()
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
    async fn a_full_batch_is_waited_for_and_what_gathered_until_then_is_kept() {
        let (publisher, mut consumer) = local();
        for size in [3, 4] {
            publisher.publish(sweeps(size)).expect("there is room");
        }
        let patience = std::time::Duration::from_millis(20);
        tokio::time::timeout(patience, consumer.full(8)).await.expect_err("seven are not eight");
        publisher.publish(sweeps(2)).expect("there is room");
        let sizes =
            |batch: Vec<Delivery>| batch.iter().map(|delivery| delivery.commands.len()).collect::<Vec<_>>();
        assert_eq!(sizes(consumer.full(8).await), [3, 4]);
        assert_eq!(sizes(consumer.ready(8).expect("the rest waits")), [2]);
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
