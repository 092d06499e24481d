//! What the tests have in common: a broker with a vhost of the test's own, a worker that decides, a producer that knows
//! nothing of our code.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use holdfast_bus::amqp::{Bus, Settings};
use holdfast_bus::{Consumer, NotTaken, Publisher, Reply};
use holdfast_domain::wire::parse_command;
use holdfast_domain::{Actor, Answer, Command, CommandQueue, Outcome, Position, Rejection, Role};
use holdfast_testbed::{Rabbit, Vhost, eventually};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Longer than a broker takes to restart on a machine that also compiles.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub async fn shared() -> (&'static Rabbit, Vhost) {
    let rabbit = Rabbit::shared().await.expect("RabbitMQ runs");
    let vhost = rabbit.fresh_vhost().await.expect("a vhost");
    (rabbit, vhost)
}

pub fn settings(url: &str) -> Settings {
    Settings::new(url, "test").expect("a good URL")
}

pub async fn connect(url: &str) -> Bus {
    Bus::connect(settings(url)).await.expect("the broker is there")
}

pub fn buyer() -> Actor {
    Actor::new("0190163d-8694-739b-aea5-966c26f8ad91", Role::Customer)
}

pub fn order_body(sku: &str) -> Value {
    json!({"id": Uuid::now_v7(), "kind": "order.place", "lines": [{"sku": sku, "quantity": 1}]})
}

/// An order as a gateway sends it.
pub fn order(sku: &str) -> Command {
    let wire = parse_command(order_body(sku), None).expect("a good order");
    Command::new(wire.id, buyer(), wire.body)
}

pub fn orders(count: usize) -> Vec<Command> {
    (0..count).map(|number| order(&format!("SKU-{number}"))).collect()
}

/// What the worker of these tests decides: no by default, so that any content fits.
pub fn decision(command: &Command, position: u64) -> Outcome {
    Outcome {
        id: command.id,
        position: Position(position),
        replayed: false,
        result: Err(Rejection::NotFound),
    }
}

/// Decides everything that comes, and remembers it in its order.
pub struct TestWorker {
    pub seen: Arc<Mutex<Vec<Command>>>,
    task: JoinHandle<()>,
}

impl TestWorker {
    pub fn start(mut consumer: Consumer) -> Self {
        let seen: Arc<Mutex<Vec<Command>>> = Arc::default();
        let kept = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(batch) = consumer.batch(1_000).await {
                for delivery in batch {
                    let outcomes = {
                        let mut seen = kept.lock().expect("no panic");
                        let mut decide = |command: &Command| {
                            seen.push(command.clone());
                            decision(command, seen.len() as u64)
                        };
                        delivery.commands.iter().map(&mut decide).collect()
                    };
                    delivery.settle(Ok(outcomes));
                }
            }
        });
        Self { seen, task }
    }

    pub fn commands(&self) -> Vec<Command> {
        self.seen.lock().expect("no panic").clone()
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.commands().iter().map(|command| command.id).collect()
    }

    pub async fn has_seen(&self, id: Uuid) {
        eventually("the worker gets the command", PATIENCE, || async { self.ids().contains(&id) })
            .await
            .expect("it comes");
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the publisher takes something; it refuses while it is connecting.
pub async fn taken(publisher: &Publisher, commands: Vec<Command>) -> Reply {
    let receiver = std::cell::RefCell::new(None);
    eventually("the bus takes commands", PATIENCE, || async {
        if receiver.borrow().is_none()
            && let Ok(taken) = publisher.publish(commands.clone())
        {
            *receiver.borrow_mut() = Some(taken);
        }
        receiver.borrow().is_some()
    })
    .await
    .expect("it takes them");
    let receiver = receiver.into_inner().expect("it was taken");
    tokio::time::timeout(PATIENCE, receiver).await.expect("a reply comes").expect("nobody drops it")
}

pub async fn ready(publisher: &Publisher) {
    eventually("the bus is ready", PATIENCE, || async { publisher.has_consumer() }).await.expect("it is");
}

/// Until it is refused, and why; without waiting for what is taken before.
pub async fn refused(publisher: &Publisher, wait_max: Duration) -> NotTaken {
    let why = std::cell::RefCell::new(None);
    eventually("the bus refuses commands", wait_max, || async {
        if let Err(not_taken) = publisher.publish(orders(1)) {
            *why.borrow_mut() = Some(not_taken);
        }
        why.borrow().is_some()
    })
    .await
    .expect("it refuses them");
    why.into_inner().expect("it was refused")
}

/// A program of somebody else's.
pub struct Producer {
    pub channel: Channel,
    user: String,
    _connection: Connection,
}

impl Producer {
    pub async fn connect(url: &str, user: &str) -> Self {
        let connection =
            Connection::connect(url, ConnectionProperties::default()).await.expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { channel, user: user.to_owned(), _connection: connection }
    }

    pub async fn admin(vhost: &Vhost) -> Self {
        Self::connect(&vhost.url, "admin").await
    }

    pub async fn send(&self, routing_key: &str, body: impl AsRef<[u8]>) -> lapin::Result<Confirmation> {
        self.send_with(routing_key, body, |properties| properties).await
    }

    pub async fn send_with(
        &self,
        routing_key: &str,
        body: impl AsRef<[u8]>,
        more: impl Fn(BasicProperties) -> BasicProperties,
    ) -> lapin::Result<Confirmation> {
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_user_id(self.user.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.channel
            .basic_publish(
                "holdfast.commands".into(),
                routing_key.into(),
                options,
                body.as_ref(),
                more(properties),
            )
            .await?
            .await
    }

    /// Sends with `reply_to` and waits for the answer.
    pub async fn ask(&self, routing_key: &str, body: impl AsRef<[u8]>) -> Value {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = self
            .channel
            .queue_declare(ShortString::default(), options, FieldTable::default())
            .await
            .expect("a queue for replies");
        let correlation = Uuid::new_v4().to_string();
        let confirmed = self
            .send_with(routing_key, body, |properties| {
                properties
                    .with_reply_to(queue.name().clone())
                    .with_correlation_id(correlation.as_str().into())
            })
            .await
            .expect("it is sent");
        assert_eq!(confirmed, Confirmation::Ack(None));
        let mut replies = self
            .channel
            .basic_consume(
                queue.name().clone(),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("a consumer");
        let reply = tokio::time::timeout(PATIENCE, replies.next())
            .await
            .expect("a reply comes")
            .expect("the consumer stays")
            .expect("the connection stays");
        reply.ack(BasicAckOptions::default()).await.expect("an acknowledgement");
        assert_eq!(
            reply.properties.correlation_id().as_ref().map(ShortString::as_str),
            Some(correlation.as_str())
        );
        serde_json::from_slice(&reply.data).expect("a reply is JSON")
    }
}

/// An answer with content, for the way back.
pub fn removed() -> Answer {
    Answer::Removed
}

/// All three ends of one queue over one vhost.
pub async fn ends(url: &str, queue: CommandQueue) -> (Bus, Publisher, Consumer) {
    let bus = connect(url).await;
    let (publisher, consumer) = (bus.publisher(queue), bus.consumer(queue));
    (bus, publisher, consumer)
}
