//! Declares the topology. Everybody who connects does: what is there already stays as it is.

use holdfast_domain::CommandQueue;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, Error, ExchangeKind};

use super::trouble::{Trouble, is_refused};
use super::{CLOSED, Settings};
use crate::topology::{self, COMMANDS, COMMITTED, DEAD, EVENTS, EVENTS_LOG};

struct Queue {
    name: &'static str,
    exchange: Option<&'static str>,
    bindings: &'static [&'static str],
    arguments: FieldTable,
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn table<const N: usize>(arguments: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

fn queues() -> Vec<Queue> {
    let command = |queue: CommandQueue| Queue {
        name: topology::queue_name(queue),
        exchange: Some(COMMANDS),
        bindings: topology::bindings(queue),
        arguments: table([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-max-length", AMQPValue::LongLongInt(topology::QUEUE_MESSAGES_MAX)),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", AMQPValue::LongLongInt(topology::DELIVERIES_MAX)),
        ]),
    };
    let mut queues: Vec<Queue> = CommandQueue::ALL.into_iter().map(command).collect();
    queues.push(Queue {
        name: DEAD,
        exchange: None,
        bindings: &[],
        arguments: table([
            ("x-queue-type", text("quorum")),
            ("x-max-length", AMQPValue::LongLongInt(topology::DEAD_MESSAGES_MAX)),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", AMQPValue::LongLongInt(topology::DELIVERIES_MAX)),
        ]),
    });
    queues.push(Queue {
        name: EVENTS_LOG,
        exchange: Some(EVENTS),
        bindings: &["#"],
        arguments: table([
            ("x-queue-type", text("stream")),
            ("x-max-length-bytes", AMQPValue::LongLongInt(topology::EVENTS_LOG_BYTES_MAX)),
        ]),
    });
    queues
}

/// Declares every exchange, queue and binding. A user that may not create them is content when they exist.
pub(super) async fn all(settings: &Settings, connection: &Connection) -> Result<(), Trouble> {
    let mut declaring = Declaring { settings, connection, channel: open(settings, connection).await? };
    let exchanges =
        [(COMMANDS, ExchangeKind::Topic), (EVENTS, ExchangeKind::Topic), (COMMITTED, ExchangeKind::Fanout)];
    for (name, kind) in exchanges {
        declaring.exchange(name, kind).await?;
    }
    for queue in queues() {
        declaring.queue(queue).await?;
    }
    // It is of no further use; if closing fails, so did the connection, and its keeper notices.
    drop(declaring.channel.close(CLOSED, "declared".into()).await);
    Ok(())
}

async fn open(settings: &Settings, connection: &Connection) -> Result<Channel, Trouble> {
    connection.create_channel().await.map_err(|error| Trouble::declaring(settings, "a channel", &error))
}

struct Declaring<'a> {
    settings: &'a Settings,
    connection: &'a Connection,
    channel: Channel,
}

impl Declaring<'_> {
    async fn exchange(&mut self, name: &'static str, kind: ExchangeKind) -> Result<(), Trouble> {
        let declare = |channel: Channel, passive: bool| {
            let options =
                ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
            let kind = kind.clone();
            async move { channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await }
        };
        if let Err(error) = declare(self.channel.clone(), false).await {
            self.after_refusal(&format!("the exchange {name}"), error).await?;
            let passive = declare(self.channel.clone(), true).await;
            passive.map_err(|error| self.trouble(&format!("the exchange {name}"), &error))?;
        }
        Ok(())
    }

    async fn queue(&mut self, queue: Queue) -> Result<(), Trouble> {
        let what = format!("the queue {}", queue.name);
        let name = ShortString::from(queue.name);
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        if let Err(error) = self.channel.queue_declare(name.clone(), options, queue.arguments).await {
            self.after_refusal(&what, error).await?;
            let options = QueueDeclareOptions { passive: true, ..options };
            let passive = self.channel.queue_declare(name, options, FieldTable::default()).await;
            // Whoever may create it also binds it.
            return passive.map(drop).map_err(|error| self.trouble(&what, &error));
        }
        for key in queue.bindings {
            let exchange = queue.exchange.expect("a queue with bindings has an exchange");
            let bound = self
                .channel
                .queue_bind(
                    name.clone(),
                    exchange.into(),
                    ShortString::from(*key),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await;
            bound.map_err(|error| {
                self.trouble(&format!("the binding of {} to {exchange}", queue.name), &error)
            })?;
        }
        Ok(())
    }

    /// A refusal closes the channel: opens another one for a second look.
    async fn after_refusal(&mut self, what: &str, error: Error) -> Result<(), Trouble> {
        if !is_refused(&error) {
            return Err(self.trouble(what, &error));
        }
        self.channel = open(self.settings, self.connection).await?;
        Ok(())
    }

    fn trouble(&self, what: &str, error: &Error) -> Trouble {
        Trouble::declaring(self.settings, what, error)
    }
}
