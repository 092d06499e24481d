//! Settles envelopes: replies first, then acknowledgements, as many at once as have gathered.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::link::Line;
use super::trouble::plain;
use super::{Alive, CLOSED, Shared};
use crate::Undecided;

/// How long an envelope that was not taken waits before the broker may give it out again.
const AGAIN_WAIT: Duration = Duration::from_millis(250);
/// How long replies may take to leave before their envelopes are acknowledged without.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long an envelope whose reply has left may wait for others to be acknowledged with. For the broker an acknowledgement is
/// as much work as a message; of a worker that dies meanwhile, the envelope comes again, and its outcomes are found by id.
const ACK_WAIT_MAX: Duration = Duration::from_millis(20);
/// Settlements that are worked off together at most.
const TOGETHER_MAX: usize = 1_024;

/// Where a reply goes.
#[derive(Debug)]
pub(super) struct ReplyTo {
    pub address: ShortString,
    pub correlation: Option<ShortString>,
}

#[derive(Debug)]
pub(super) struct Settlement {
    pub tag: u64,
    pub verdict: Verdict,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Done { reply: Option<(ReplyTo, Vec<u8>)> },
    Again { why: Undecided },
}

/// Settles what the worker has done with the envelopes of one channel, until the last of them is settled.
pub(super) async fn run(
    shared: Arc<Shared>,
    line: Line,
    channel: Channel,
    mut settlements: mpsc::UnboundedReceiver<Settlement>,
    _alive: Alive,
) {
    let consuming = shared.consuming.clone();
    // Of what the broker gives out ahead enough is left for the worker.
    let acks_max = usize::from(shared.settings.prefetch / 4).max(1);
    let mut replies = Replies { shared, channel: None };
    let mut acks = Acks { next: 1, done: BTreeSet::new() };
    let mut together = Vec::new();
    let mut done = Vec::new();
    let mut due = None;
    loop {
        let received = tokio::select! {
            received = settlements.recv_many(&mut together, TOGETHER_MAX) => Some(received),
            () = reached(due) => None,
        };
        let is_over = received == Some(0);
        let mut to_send = Vec::new();
        let mut again = Vec::new();
        for Settlement { tag, verdict } in together.drain(..) {
            match verdict {
                Verdict::Done { reply } => {
                    to_send.extend(reply);
                    done.push(tag);
                }
                Verdict::Again { why } => {
                    tracing::warn!(%why, "an envelope goes back to its queue");
                    again.push(tag);
                }
            }
        }
        replies.send(to_send).await;
        let now = Instant::now();
        let by = *due.get_or_insert(now + ACK_WAIT_MAX);
        if is_over || done.len() >= acks_max || !again.is_empty() || by <= now {
            match consuming.over(&line, settle(&channel, &mut acks, &done, &again)).await {
                Some(Ok(())) => {}
                // The broker gives all of it out again, and the outcomes are found by id.
                Some(Err(error)) => {
                    tracing::debug!(error = plain(&error), "envelopes could not be acknowledged")
                }
                None => return,
            }
            done.clear();
            due = None;
        }
        if is_over {
            break;
        }
    }
    drop(consuming.over(&line, channel.close(CLOSED, "settled".into())).await);
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

async fn settle(channel: &Channel, acks: &mut Acks, done: &[u64], again: &[u64]) -> lapin::Result<()> {
    let (up_to, singles) = acks.add(done);
    if let Some(tag) = up_to {
        channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
    }
    for tag in singles {
        channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
    }
    if !again.is_empty() {
        sleep(AGAIN_WAIT).await;
        for tag in again {
            channel.basic_nack(*tag, BasicNackOptions { requeue: true, multiple: false }).await?;
        }
        // They are no longer outstanding, so that acknowledging up to a later one does not mean them.
        acks.forget(again);
    }
    Ok(())
}

/// Which tags are settled, so that one acknowledgement can stand for many.
struct Acks {
    /// The lowest tag that is not settled.
    next: u64,
    /// Settled tags above it.
    done: BTreeSet<u64>,
}

impl Acks {
    /// The tag up to which all are done now, and those done beyond a gap. The former is one of `tags`: the broker closes
    /// a channel that acknowledges up to a tag which was acknowledged alone before.
    fn add(&mut self, tags: &[u64]) -> (Option<u64>, Vec<u64>) {
        self.forget(tags);
        let up_to = tags.iter().copied().filter(|tag| *tag < self.next).max();
        let singles = tags.iter().copied().filter(|tag| *tag >= self.next).collect();
        (up_to, singles)
    }

    fn forget(&mut self, tags: &[u64]) {
        self.done.extend(tags);
        while self.done.remove(&self.next) {
            self.next += 1;
        }
    }
}

/// Sends replies over the publishing connection. They are not confirmed: whoever waits can ask again by id.
struct Replies {
    shared: Arc<Shared>,
    channel: Option<(u64, Channel)>,
}

impl Replies {
    async fn send(&mut self, replies: Vec<(ReplyTo, Vec<u8>)>) {
        let count = replies.len();
        if count == 0 {
            return;
        }
        // While the broker takes no messages, emptying its queues is what helps it.
        let blocked = self.shared.publishing.state.borrow().line.is_some()
            && self.shared.publishing.state.borrow().trouble.is_some();
        if blocked {
            tracing::warn!(count, "replies are dropped while the broker takes no messages");
            return;
        }
        match timeout(REPLY_WAIT_MAX, self.try_send(replies)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.channel = None;
                tracing::warn!(count, error = plain(&error), "replies could not be sent");
            }
            Err(_elapsed) => {
                self.channel = None;
                tracing::warn!(count, "replies did not leave in time");
            }
        }
    }

    async fn try_send(&mut self, replies: Vec<(ReplyTo, Vec<u8>)>) -> lapin::Result<()> {
        let Some(line) = self.shared.publishing.line().await else { return Ok(()) };
        let usable = self
            .channel
            .take()
            .filter(|(number, channel)| *number == line.number && channel.status().connected());
        let channel = match usable {
            Some((_, channel)) => channel,
            None => line.connection.create_channel().await?,
        };
        let sent = replies.iter().map(|(to, body)| {
            let mut properties = BasicProperties::default().with_content_type("application/json".into());
            if let Some(correlation) = &to.correlation {
                properties = properties.with_correlation_id(correlation.clone());
            }
            let options = BasicPublishOptions::default();
            channel.basic_publish(ShortString::default(), to.address.clone(), options, body, properties)
        });
        for sent in join_all(sent).await {
            sent?;
        }
        self.channel = Some((line.number, channel));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acknowledgement_stands_for_all_before_it_and_never_for_one_that_is_open() {
        let mut acks = Acks { next: 1, done: BTreeSet::new() };
        assert_eq!(acks.add(&[1, 2, 3]), (Some(3), vec![]));
        assert_eq!(acks.add(&[5, 6]), (None, vec![5, 6]));
        assert_eq!(acks.add(&[4]), (Some(4), vec![]), "5 and 6 are no longer the broker's to know");
        acks.forget(&[7]);
        assert_eq!(acks.add(&[8]), (Some(8), vec![]));
        assert_eq!(acks.add(&[11]), (None, vec![11]));
        assert_eq!(acks.add(&[9, 10, 12]), (Some(12), vec![]));
    }
}
