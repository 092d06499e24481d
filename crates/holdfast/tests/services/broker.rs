//! A program of somebody else's on the broker: it knows AMQP and the contract, and nothing of our code.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Program {
    channel: Channel,
    user: String,
    _connection: Connection,
}

impl Program {
    /// With the user of the URL.
    pub async fn connect(url: &str) -> Self {
        let connection =
            Connection::connect(url, ConnectionProperties::default()).await.expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let user = url.trim_start_matches("amqp://").split(':').next().expect("a user").to_owned();
        Self { channel, user, _connection: connection }
    }

    /// Publishes a command; returns when the broker has it in a queue.
    pub async fn send(&self, routing_key: &str, body: &str) {
        self.publish(routing_key, body, BasicProperties::default()).await;
    }

    /// Publishes a command and waits for its outcome.
    pub async fn ask(&self, routing_key: &str, body: &str) -> Value {
        let address = ShortString::from("amq.rabbitmq.reply-to");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut replies = self
            .channel
            .basic_consume(address.clone(), ShortString::default(), options, FieldTable::default())
            .await
            .expect("direct reply-to needs no permission");
        let properties =
            BasicProperties::default().with_reply_to(address).with_correlation_id("question".into());
        self.publish(routing_key, body, properties).await;
        let reply = next(&mut replies).await;
        assert_eq!(reply.properties.correlation_id().as_ref().map(ShortString::as_str), Some("question"));
        serde_json::from_slice(&reply.data).expect("an outcome is JSON")
    }

    async fn publish(&self, routing_key: &str, body: &str, properties: BasicProperties) {
        let properties = properties
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_user_id(self.user.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publishing = self.channel.basic_publish(
            "holdfast.commands".into(),
            routing_key.into(),
            options,
            body.as_bytes(),
            properties,
        );
        let confirmed = async { publishing.await?.await }.await.expect("the broker answers");
        assert_eq!(confirmed, Confirmation::Ack(None), "it is in a queue");
    }

    /// A queue of its own, bound to all events from now on.
    pub async fn listen(&self) -> Consumer {
        let queue = ShortString::from(format!("{}.{}", self.user, uuid::Uuid::new_v4()));
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel
            .queue_declare(queue.clone(), options, FieldTable::default())
            .await
            .expect("its own queue");
        let bound = self.channel.queue_bind(
            queue.clone(),
            "holdfast.events".into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("it may listen");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consuming =
            self.channel.basic_consume(queue, ShortString::default(), options, FieldTable::default());
        consuming.await.expect("a consumer")
    }

    /// All events that the stream keeps, from the first.
    pub async fn replay(&self) -> Consumer {
        self.channel.basic_qos(100, BasicQosOptions::default()).await.expect("a prefetch");
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let consuming = self.channel.basic_consume(
            "holdfast.events.log".into(),
            ShortString::default(),
            BasicConsumeOptions::default(),
            arguments,
        );
        consuming.await.expect("it may replay")
    }
}

/// The next message; acknowledged.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    let message = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a message comes");
    let message = message.expect("the consumer stays").expect("the connection stays");
    // Without effect where nothing is to be acknowledged.
    if consumer.queue().as_str() == "holdfast.events.log" {
        message.ack(BasicAckOptions::default()).await.expect("an acknowledgement");
    }
    message
}
