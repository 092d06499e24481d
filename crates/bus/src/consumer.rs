//! Where envelopes come out: the same for both buses.

use tokio::sync::mpsc;

use crate::Delivery;

#[derive(Debug)]
pub struct Consumer {
    receiver: mpsc::Receiver<Delivery>,
    gathered: Vec<Delivery>,
}

impl Consumer {
    pub(crate) fn new(receiver: mpsc::Receiver<Delivery>) -> Self {
        Self { receiver, gathered: Vec::new() }
    }

    /// Waits for an envelope and yields it with all that wait behind it, up to about `commands_max` commands (at
    /// least one envelope). `None`: every publisher is gone, or the consumer is closed, and nothing waits any more.
    pub async fn batch(&mut self, commands_max: usize) -> Option<Vec<Delivery>> {
        if self.gathered.is_empty() {
            let mut received = Vec::with_capacity(64);
            if self.receiver.recv_many(&mut received, commands_max).await == 0 {
                return None;
            }
            self.gathered = received;
        }
        self.ready(commands_max)
    }

    /// What waits now, as [`Consumer::batch`] yields it; `None`: nothing does.
    pub fn ready(&mut self, commands_max: usize) -> Option<Vec<Delivery>> {
        self.gather(commands_max);
        if self.gathered.is_empty() {
            return None;
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

    /// Waits until as much waits as a batch may be (nothing is gained by waiting for more), for ever if no more comes.
    /// What has gathered stays when this is dropped.
    pub async fn full(&mut self, commands_max: usize) -> Vec<Delivery> {
        self.gather(commands_max);
        let mut waiting: usize = self.gathered.iter().map(|delivery| delivery.commands.len()).sum();
        loop {
            if waiting >= commands_max
                && let Some(batch) = self.ready(commands_max)
            {
                return batch;
            }
            match self.receiver.recv().await {
                Some(delivery) => {
                    waiting += delivery.commands.len();
                    self.gathered.push(delivery);
                }
                None => std::future::pending().await,
            }
        }
    }

    fn gather(&mut self, envelopes_max: usize) {
        while self.gathered.len() < envelopes_max
            && let Ok(delivery) = self.receiver.try_recv()
        {
            self.gathered.push(delivery);
        }
    }

    /// Takes no new envelopes; what waits is still yielded.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}
