//! The receiving end of a command queue: takes envelopes from the broker, puts aside what cannot be read, and gives
//! the rest to the worker.

use std::sync::Arc;

use futures_util::StreamExt;
use holdfast_domain::{Command, CommandQueue};
use lapin::message::Delivery as Message;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use tokio::sync::mpsc;

use super::envelope::{self, Envelope, SlotReply, Speaker};
use super::link::Line;
use super::morgue::{self, Corpse};
use super::settle::{self, ReplyTo, Settlement, Verdict};
use super::trouble::plain;
use super::{Alive, RETRY_WAIT, Settings, Shared, declare};
use crate::topology::queue_name;
use crate::{Delivery, NotTaken, Reply};

const TAG: &str = "holdfast";

/// What an envelope leaves behind while the worker has it: how to settle it.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    settlements: mpsc::UnboundedSender<Settlement>,
    tag: u64,
    slots: Vec<SlotReply>,
    is_single: bool,
    reply_to: Option<ReplyTo>,
    origin: Arc<Origin>,
    line_number: u64,
}

/// Where a message came from.
#[derive(Debug)]
struct Origin {
    routing_key: String,
    user: Option<String>,
}

impl Held {
    pub(crate) fn is_of_first_connection(&self) -> bool {
        self.line_number == 1
    }

    pub(crate) fn settle(self, decided: Reply) {
        let verdict = match decided {
            Ok(outcomes) => {
                let reply = self
                    .reply_to
                    .map(|reply_to| (reply_to, envelope::write_reply(&self.slots, self.is_single, outcomes)));
                Verdict::Done { reply }
            }
            Err(why) => Verdict::Again { why },
        };
        // When the connection is lost, the broker gives the envelope out again, and the outcomes are found by id.
        drop(self.settlements.send(Settlement { tag: self.tag, verdict }));
    }

    pub(crate) async fn dead_letter(
        &self,
        command: &Command,
        index: usize,
        why: &str,
    ) -> Result<(), NotTaken> {
        tracing::error!(index, id = %command.id, why, "a command is put aside");
        let corpse = Corpse {
            body: &envelope::write_command(command),
            error: why,
            routing_key: &self.origin.routing_key,
            // It says itself for whom it is, which only the gateways' user may.
            user: Some(self.shared.settings.gateway_user()),
            command_id: Some(command.id),
        };
        let buried = self.shared.morgue.bury(&self.shared.publishing, corpse).await;
        buried.map_err(NotTaken::Unavailable)
    }
}

/// Takes envelopes until the worker's end is closed, over as many connections as it takes.
pub(super) async fn run(
    shared: Arc<Shared>,
    queue: CommandQueue,
    out: mpsc::Sender<Delivery>,
    _alive: Alive,
) {
    loop {
        let line = tokio::select! {
            line = shared.consuming.line() => line,
            () = out.closed() => return,
        };
        let Some(line) = line else { return };
        let ended = shared.consuming.over(&line, session(&shared, &line, queue, &out)).await;
        match ended {
            Some(Ok(())) => return,
            // The keeper of the connection has said so.
            None => {}
            Some(Err(why)) => {
                tracing::warn!(?queue, why, "commands cannot be received");
                // The queue may be missing.
                let declared =
                    shared.consuming.over(&line, declare::all(&shared.settings, &line.connection)).await;
                if let Some(Err(trouble)) = declared {
                    tracing::warn!(%trouble, "the queue could not be declared again");
                }
            }
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

/// Receives over one connection until its channel is lost (an error) or the worker's end is closed.
async fn session(
    shared: &Arc<Shared>,
    line: &Line,
    queue: CommandQueue,
    out: &mpsc::Sender<Delivery>,
) -> Result<(), String> {
    let begun = async {
        let channel = line.connection.create_channel().await?;
        channel.basic_qos(shared.settings.prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let name = ShortString::from(queue_name(queue));
        let messages = channel.basic_consume(name, TAG.into(), options, FieldTable::default()).await?;
        Ok((channel, messages))
    };
    let (channel, mut messages) = begun.await.map_err(|error: lapin::Error| plain(&error))?;
    let (settlements, settled) = mpsc::unbounded_channel();
    tokio::spawn(settle::run(shared.clone(), line.clone(), channel.clone(), settled, shared.users.alive()));
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = out.closed() => break,
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(plain(&error)),
            None => {
                return Err("the broker ended the consumer: its queue is gone".to_owned());
            }
        };
        tokio::select! {
            taken = take(shared, line, message, &settlements, out) => if !taken { break },
            () = out.closed() => break,
        }
    }
    cancel(&channel).await;
    Ok(())
}

/// Nothing more comes; what the worker has in hands is still settled, then the channel closes and the broker gives the
/// rest to somebody else.
async fn cancel(channel: &Channel) {
    if let Err(error) = channel.basic_cancel(TAG.into(), BasicCancelOptions::default()).await {
        tracing::debug!(error = plain(&error), "the consumer could not be cancelled");
    }
}

/// Reads one message and gives it to the worker; `false` when the worker's end is closed.
async fn take(
    shared: &Arc<Shared>,
    line: &Line,
    message: Message,
    settlements: &mpsc::UnboundedSender<Settlement>,
    out: &mpsc::Sender<Delivery>,
) -> bool {
    let properties = &message.properties;
    let user = speaker_user(&shared.settings, properties);
    let speaker = shared.settings.speaker(user.as_deref());
    let origin = Arc::new(Origin { routing_key: message.routing_key.to_string(), user });
    let message_id = properties.message_id().as_ref().map(ShortString::as_str);
    let envelope = envelope::read(&message.data, message_id, &speaker);
    for (index, bad) in envelope.bad() {
        put_aside(shared, &origin, index, bad).await;
    }
    let delivery_count = delivery_count(properties);
    let reply_to = properties
        .reply_to()
        .clone()
        .map(|address| ReplyTo { address, correlation: properties.correlation_id().clone() });
    let Envelope { commands, slots, is_single } = envelope;
    let held = Held {
        shared: shared.clone(),
        settlements: settlements.clone(),
        tag: message.delivery_tag,
        slots: slots.iter().map(SlotReply::from).collect(),
        is_single,
        reply_to,
        origin,
        line_number: line.number,
    };
    if commands.is_empty() {
        held.settle(Ok(Vec::new()));
        return true;
    }
    out.send(Delivery::held(commands, delivery_count, held)).await.is_ok()
}

/// Returns when the broker has the dead letter: before that, its envelope must not be acknowledged.
async fn put_aside(shared: &Shared, origin: &Origin, index: usize, bad: &envelope::BadCommand) {
    let error = bad.why.to_string();
    tracing::warn!(
        routing_key = origin.routing_key,
        user = origin.user,
        index,
        error,
        "a command cannot be read"
    );
    loop {
        let corpse = Corpse {
            body: &bad.body,
            error: &error,
            routing_key: &origin.routing_key,
            user: origin.user.as_deref(),
            command_id: bad.fallback_id,
        };
        let Err(why) = shared.morgue.bury(&shared.publishing, corpse).await else { return };
        tracing::error!(why, "a dead letter could not be put aside; its envelope waits");
        tokio::time::sleep(RETRY_WAIT).await;
        if let Some(line) = shared.publishing.line().await
            && let Some(Err(trouble)) =
                shared.publishing.over(&line, declare::all(&shared.settings, &line.connection)).await
        {
            tracing::error!(%trouble, "the queue of dead letters could not be declared");
        }
    }
}

/// Who sent it, as the broker vouches: the user of the connection, or, of a dead letter that is tried again, the one
/// that sent it first. Only a gateway tries again.
fn speaker_user(settings: &Settings, properties: &BasicProperties) -> Option<String> {
    let user = properties.user_id().as_ref().map(ToString::to_string);
    if user.as_deref() == Some(settings.gateway_user())
        && morgue::header(properties, morgue::ROUTING_KEY).is_some()
    {
        return morgue::header(properties, morgue::USER);
    }
    user
}

fn delivery_count(properties: &BasicProperties) -> u32 {
    let headers = properties.headers().as_ref();
    let count = headers.and_then(|headers| headers.inner().get("x-delivery-count"));
    let count = match count {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        Some(AMQPValue::LongUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortUInt(count)) => i64::from(*count),
        Some(_) | None => 0,
    };
    u32::try_from(count).unwrap_or(0)
}

impl Settings {
    pub(super) fn speaker(&self, user: Option<&str>) -> Speaker {
        let name = user.unwrap_or("anonymous");
        let granted = user.and_then(|user| self.amqp_roles.get(user)).copied();
        let role = granted.unwrap_or(holdfast_domain::Role::Service);
        Speaker {
            actor: holdfast_domain::Actor::new(format!("amqp:{name}"), role),
            is_gateway: user == Some(self.gateway_user()),
        }
    }
}
