//! The sending end of a command queue: envelopes on their way, with publisher confirms, `mandatory`, and honest
//! answers when the broker does not take them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use holdfast_domain::{Command, CommandQueue};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{oneshot, watch};

use super::link::Line;
use super::room::{Gathered, Packed, Room};
use super::trouble::plain;
use super::{Alive, CLOSED, RETRY_WAIT, Shared, declare, envelope, told};
use crate::topology::{self, COMMANDS};
use crate::{NotTaken, Reply, Undecided};

/// Envelopes without a confirm at most. The client library queues without bound while the broker takes nothing.
const UNCONFIRMED_MAX: usize = 64;
/// How long everything may be refused on a channel before another one takes its place. RabbitMQ 3.10 asks the leader that
/// a quorum queue had when the channel first published to it: where that was a node that had just died, the channel
/// refuses everything for as long as it lives, whoever leads by then.
const REFUSED_MAX: Duration = Duration::from_millis(250);

/// Hands commands to one queue of the broker.
#[derive(Clone)]
pub struct AmqpPublisher {
    pub(super) room: Arc<Room>,
}

impl std::fmt::Debug for AmqpPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpPublisher").field("waiting", &self.waiting()).finish()
    }
}

impl AmqpPublisher {
    pub(crate) fn publish(&self, commands: &[Command]) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        if let Some(why) = self.trouble() {
            return Err(why);
        }
        let Some(first) = commands.first() else {
            let (waiter, outcomes) = oneshot::channel();
            drop(waiter.send(Ok(Vec::new())));
            return Ok(outcomes);
        };
        // Written here, by whoever calls: many callers use many cores, the envelope only puts brackets around.
        self.room.enter(envelope::write_commands(commands), first.body.kind(), commands.len())
    }

    /// Callers whose commands have not left yet.
    pub(crate) fn waiting(&self) -> usize {
        self.room.groups()
    }

    /// Why nothing is taken now.
    pub(crate) fn trouble(&self) -> Option<NotTaken> {
        self.room.trouble()
    }
}

/// Polls a future once: a message is queued for sending by then, its confirm is still to come.
pub(super) async fn begun<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// A channel with publisher confirms.
pub(super) async fn confirming(line: &Line) -> lapin::Result<Channel> {
    let channel = line.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Sends what gathers in the room until `closing`; then what is left, and waits for its confirms.
pub(super) async fn run(
    shared: Arc<Shared>,
    queue: CommandQueue,
    room: Arc<Room>,
    mut closing: watch::Receiver<bool>,
    _alive: Alive,
) {
    loop {
        let line = tokio::select! {
            line = shared.publishing.line() => line,
            () = told(&mut closing) => None,
        };
        let Some(line) = line else { break };
        let ended = session(&shared, &line, queue, &room, &mut closing).await;
        let why = match ended {
            Ok(()) => break,
            Err(why) => why,
        };
        room.shut(&NotTaken::Unavailable(format!("the connection to the broker is lost: {why}")));
        tracing::debug!(?queue, why, "commands cannot be sent");
        tokio::time::sleep(RETRY_WAIT).await;
    }
    room.shut(&NotTaken::Stopping);
}

/// Where envelopes leave.
struct Exit {
    channel: Channel,
    /// Since when nothing was taken that left here.
    refused_since: Option<Instant>,
}

impl Exit {
    async fn open(shared: &Shared, line: &Line) -> Result<Self, String> {
        let channel = shared.publishing.over(line, confirming(line)).await.ok_or("it was closed")?;
        Ok(Self { channel: channel.map_err(|error| plain(&error))?, refused_since: None })
    }

    async fn close(&self, shared: &Shared, line: &Line, why: &str) {
        drop(shared.publishing.over(line, self.channel.close(CLOSED, why.into())).await);
    }

    fn is_stale(&self) -> bool {
        self.refused_since.is_some_and(|since| since.elapsed() >= REFUSED_MAX)
    }

    fn note(&mut self, answered: &Answered) {
        self.refused_since = match answered.said {
            Ok(Confirmation::Nack(None)) => self.refused_since.or_else(|| Some(Instant::now())),
            _ => None,
        };
    }
}

/// What the broker said of one envelope.
struct Answered {
    id: u64,
    said: lapin::Result<Confirmation>,
}

/// Sends over one connection until it is lost (an error) or the process stops.
async fn session(
    shared: &Shared,
    line: &Line,
    queue: CommandQueue,
    room: &Arc<Room>,
    closing: &mut watch::Receiver<bool>,
) -> Result<(), String> {
    let mut exit = Exit::open(shared, line).await?;
    let mut link = shared.publishing.state.clone();
    let mut address = shared.reply_address.clone();
    let mut unconfirmed = FuturesUnordered::new();
    let mut in_doubt = BTreeSet::new();
    let mut lost = None;
    let mut is_last_call = false;
    while lost.is_none() {
        let state = link.borrow_and_update().clone();
        let reply_to = address.borrow_and_update().clone();
        let mut enough_at = None;
        if !state.is_on(line) {
            lost = state.trouble.map(|why| why.to_string()).or(Some("it was closed".to_owned()));
            break;
        }
        match (state.trouble, reply_to) {
            (Some(why), _) => room.shut(&NotTaken::Unavailable(why.to_string())),
            (None, None) => {
                room.shut(&NotTaken::Unavailable("the queue for replies is not there yet".to_owned()))
            }
            (None, Some(reply_to)) => {
                if !is_last_call {
                    room.open();
                }
                if exit.is_stale() && unconfirmed.is_empty() {
                    tracing::debug!(?queue, "the broker refuses everything; trying another channel");
                    exit.close(shared, line, "it refuses everything").await;
                    exit = Exit::open(shared, line).await?;
                }
                while !exit.is_stale() && unconfirmed.len() < UNCONFIRMED_MAX {
                    match room.gathered() {
                        Gathered::Enough => {}
                        Gathered::Nothing => break,
                        Gathered::EnoughAt(time) => {
                            enough_at = Some(time);
                            break;
                        }
                    }
                    let Some(packed) = room.pack() else { break };
                    let Packed { body, routing_key, parts, under_way } = packed;
                    let id = shared.waiters.add(parts, under_way);
                    in_doubt.insert(id);
                    let mut sent =
                        Box::pin(send(shared, exit.channel.clone(), id, body, routing_key, reply_to.clone()));
                    // Polled once here, so that envelopes leave in the order in which they were packed.
                    match begun(&mut sent).await {
                        Poll::Pending => unconfirmed.push(sent),
                        Poll::Ready(answered) => {
                            in_doubt.remove(&answered.id);
                            exit.note(&answered);
                            lost = settle(shared, queue, answered).await;
                        }
                    }
                }
            }
        }
        if is_last_call && unconfirmed.is_empty() && room.groups() == 0 {
            exit.close(shared, line, "the process stops").await;
            return Ok(());
        }
        tokio::select! {
            () = room.arrived() => {}
            () = reached(enough_at) => {}
            Some(answered) = unconfirmed.next() => {
                in_doubt.remove(&answered.id);
                exit.note(&answered);
                lost = settle(shared, queue, answered).await;
            }
            _ = link.changed() => {}
            _ = address.changed() => {}
            () = told(closing), if !is_last_call => {
                is_last_call = true;
                room.last_call();
            }
        }
    }
    // What is on its way may have arrived or not.
    let why = lost.unwrap_or_else(|| "it was closed".to_owned());
    for id in in_doubt {
        shared.waiters.refuse(id, &Undecided::InDoubt(why.clone()));
    }
    Err(why)
}

/// Returns at that time; without one, never.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

async fn send(
    shared: &Shared,
    channel: Channel,
    id: u64,
    body: Vec<u8>,
    routing_key: &'static str,
    reply_to: ShortString,
) -> Answered {
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_user_id(shared.settings.user_id())
        .with_reply_to(reply_to)
        .with_correlation_id(id.to_string().into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let publishing = channel.basic_publish(COMMANDS.into(), routing_key.into(), options, &body, properties);
    let said = async { publishing.await?.await }.await;
    Answered { id, said }
}

/// Tells the callers of an envelope when it was not taken, or when nobody knows; the latter ends the connection's use.
async fn settle(shared: &Shared, queue: CommandQueue, answered: Answered) -> Option<String> {
    let returned = match answered.said {
        Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => return None,
        Ok(Confirmation::Nack(None)) => {
            shared.waiters.refuse(answered.id, &NotTaken::Overloaded.into());
            return None;
        }
        Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => returned,
        Err(error) => {
            let why = plain(&error);
            shared.waiters.refuse(answered.id, &Undecided::InDoubt(why.clone()));
            return Some(why);
        }
    };
    // Returned, and then confirmed all the same. One confirm may stand for several envelopes: the message itself says
    // which of them came back.
    let correlation = returned.properties.correlation_id().as_ref();
    let id = correlation.and_then(|id| id.as_str().parse().ok()).unwrap_or(answered.id);
    let name = topology::queue_name(queue);
    shared.waiters.refuse(id, &NotTaken::Unavailable(format!("the broker has no queue {name}")).into());
    tracing::error!(queue = name, "the queue is missing on the broker; declaring it again");
    if let Some(line) = shared.publishing.line().await
        && let Some(Err(trouble)) =
            shared.publishing.over(&line, declare::all(&shared.settings, &line.connection)).await
    {
        tracing::error!(%trouble, "it could not be declared again");
    }
    None
}
