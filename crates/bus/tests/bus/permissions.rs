//! The users that are shipped in `deploy/rabbitmq`: each can do its work, and nothing else.

use std::path::Path;
use std::process::Command;

use holdfast_bus::amqp::{Bus, Settings};
use holdfast_domain::{Actor, CommandQueue, Role};
use holdfast_testbed::Rabbit;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation};
use serde_json::json;

use crate::stand::{Producer, TestWorker, order, order_body, ready, taken};

const PASSWORD: &str = "a \"quoted\" pass\\word";

fn create(rabbit: &Rabbit, vhost: &str, kind: &str, user: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rabbitmq/users.sh");
    let output = Command::new("bash")
        .arg(script)
        .args([kind, user])
        .env("RABBITMQ_MANAGEMENT", rabbit.management_url())
        .env("RABBITMQ_ADMIN", "admin")
        .env("RABBITMQ_ADMIN_PASSWORD", "testbed")
        .env("HOLDFAST_VHOST", vhost)
        .env("HOLDFAST_BROKER_PASSWORD", PASSWORD)
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rabbit.amqp_url_for(user, PASSWORD, vhost)
}

fn settings(url: &str) -> Settings {
    Settings::new(url, "test").expect("a good URL").with_gateway_user(Some("p-gateway".to_owned()))
}

#[tokio::test]
async fn every_user_can_do_its_work_and_nothing_else() {
    let rabbit = Rabbit::shared().await.expect("RabbitMQ runs");
    let vhost = "permissions/of users";
    let worker_url = create(rabbit, vhost, "worker", "p-worker");
    let gateway_url = create(rabbit, vhost, "gateway", "p-gateway");
    let monitor_url = create(rabbit, vhost, "monitor", "p-monitor");
    let producer_url = create(rabbit, vhost, "producer", "p-producer");
    let listener_url = create(rabbit, vhost, "listener", "p-listener");

    // A gateway alone finds nothing and may not create it: it waits for a worker.
    let early = Bus::connect(settings(&gateway_url)).await.err().expect("nothing is there yet");
    assert!(early.may_heal(), "{early}");

    let worker_bus = Bus::connect(settings(&worker_url)).await.expect("a worker declares everything");
    let worker = TestWorker::start(worker_bus.consumer(CommandQueue::Orders));
    let gateway_bus = Bus::connect(settings(&gateway_url)).await.expect("a gateway finds everything");
    let publisher = gateway_bus.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    let command = order("A");
    taken(&publisher, vec![command.clone()]).await.expect("it is decided");
    assert_eq!(worker.commands(), [command]);
    worker_bus.events().publish(&[]).await.expect("a relay may publish");
    drop((worker_bus.announcer(), gateway_bus.heard()));
    let monitor_bus = Bus::connect(settings(&monitor_url)).await.expect("a monitor finds everything");
    assert_eq!(monitor_bus.dead_letters().list().await.expect("it may look").len(), 0);

    producers(&producer_url, &worker, &gateway_bus).await;
    listeners(&listener_url).await;
}

async fn producers(url: &str, worker: &TestWorker, gateway: &Bus) {
    let producer = Producer::connect(url, "p-producer").await;
    let body = order_body("B");
    producer.send("order.place", body.to_string()).await.expect("it may order");
    worker.has_seen(body["id"].as_str().expect("text").parse().expect("a UUID")).await;
    assert_eq!(worker.commands()[1].actor, Actor::new("amqp:p-producer", Role::Service));
    producer.send("order.place", "rubbish").await.expect("it may send anything there");
    holdfast_testbed::eventually("it is put aside", crate::stand::PATIENCE, || async {
        gateway.dead_letters().list().await.is_ok_and(|letters| letters.len() == 1)
    })
    .await
    .expect("it is");

    // A queue for replies of its own, and the one that needs no queue.
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let own = Producer::connect(url, "p-producer").await;
    own.channel
        .queue_declare("p-producer.replies".into(), options, FieldTable::default())
        .await
        .expect("its own");
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let direct = ShortString::from("amq.rabbitmq.reply-to");
    let mut replies = own
        .channel
        .basic_consume(direct.clone(), ShortString::default(), options, FieldTable::default())
        .await
        .expect("direct reply-to");
    let body = order_body("C");
    own.send_with("order.place", body.to_string(), |properties| properties.with_reply_to(direct.clone()))
        .await
        .expect("it is sent");
    let reply =
        futures_util::StreamExt::next(&mut replies).await.expect("a reply").expect("the connection stays");
    let reply: serde_json::Value = serde_json::from_slice(&reply.data).expect("JSON");
    assert_eq!(reply["id"], body["id"]);

    // Not stock, not events, not the queues themselves, not somebody else's name.
    let stock = json!({"id": uuid::Uuid::now_v7(), "kind": "stock.receive", "sku": "A", "location": "DEL", "quantity": 1});
    assert!(
        Producer::connect(url, "p-producer").await.send("stock.receive", stock.to_string()).await.is_err()
    );
    assert!(Producer::connect(url, "p-gateway").await.send("order.place", "{}").await.is_err());
    for (exchange, key) in
        [("holdfast.events", "order.accepted"), ("", "holdfast.dead"), ("", "holdfast.orders")]
    {
        let producer = Producer::connect(url, "p-producer").await;
        let refused = async {
            let properties = BasicProperties::default();
            let options = BasicPublishOptions::default();
            producer
                .channel
                .basic_publish(exchange.into(), key.into(), options, b"{}", properties)
                .await?
                .await
        };
        let refused = refused.await;
        assert!(!matches!(refused, Ok(Confirmation::Ack(_))), "{exchange} {key}: {refused:?}");
    }
    let producer = Producer::connect(url, "p-producer").await;
    let options = BasicConsumeOptions::default();
    let queue = ShortString::from("holdfast.orders");
    let stolen =
        producer.channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await;
    assert!(stolen.is_err());
}

async fn listeners(url: &str) {
    let listener = Producer::connect(url, "p-listener").await;
    let queue = ShortString::from("p-listener.events");
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    listener
        .channel
        .queue_declare(queue.clone(), options, FieldTable::default())
        .await
        .expect("its own queue");
    let bound = listener.channel.queue_bind(
        queue,
        "holdfast.events".into(),
        "order.#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("it may listen");
    assert!(listener.send("order.place", order_body("D").to_string()).await.is_err(), "it may not order");
}
