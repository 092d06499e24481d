//! Events, the stream that keeps them, and wake-ups.

use futures_util::StreamExt;
use holdfast_bus::amqp::EventMessage;
use holdfast_domain::Position;
use holdfast_testbed::eventually;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::stand::{PATIENCE, Producer, connect, shared};

fn events(count: u64) -> Vec<EventMessage> {
    (1..=count)
        .map(|number| EventMessage {
            id: format!("event-{number}"),
            routing_key: if number % 2 == 0 { "order.accepted" } else { "stock.changed" }.to_owned(),
            sequence: number.to_string(),
            body: format!("{{\"sequence\": \"{number}\"}}").into_bytes(),
        })
        .collect()
}

fn sequence(message: &lapin::message::Delivery) -> u64 {
    let headers = message.properties.headers().as_ref().expect("it has headers");
    match headers.inner().get("sequence") {
        Some(AMQPValue::LongString(text)) => {
            std::str::from_utf8(text.as_bytes()).expect("text").parse().expect("a number")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_arrive_in_order_and_the_stream_keeps_them_for_replay() {
    let (_, vhost) = shared().await;
    let bus = connect(&vhost.url).await;
    let listener = Producer::admin(&vhost).await;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let none = ShortString::default;
    let queue =
        listener.channel.queue_declare(none(), options, FieldTable::default()).await.expect("a queue");
    listener
        .channel
        .queue_bind(
            queue.name().clone(),
            "holdfast.events".into(),
            "order.*".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("a binding");
    let mut publisher = bus.events();
    for batch in events(3_000).chunks(1_100) {
        publisher.publish(batch).await.expect("they are confirmed");
    }
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut live = listener
        .channel
        .basic_consume(queue.name().clone(), none(), options, FieldTable::default())
        .await
        .expect("a consumer");
    for number in (2..=3_000).step_by(2) {
        let message = live.next().await.expect("it arrives").expect("the connection stays");
        assert_eq!(sequence(&message), number);
        assert_eq!(message.routing_key.as_str(), "order.accepted");
        assert_eq!(
            message.properties.message_id().as_ref().map(ShortString::as_str),
            Some(format!("event-{number}").as_str())
        );
    }

    listener.channel.basic_qos(200, BasicQosOptions::default()).await.expect("a prefetch");
    let mut from_the_first = FieldTable::default();
    from_the_first.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let mut replay = listener
        .channel
        .basic_consume("holdfast.events.log".into(), none(), BasicConsumeOptions::default(), from_the_first)
        .await
        .expect("a consumer of the stream");
    for number in 1..=3_000 {
        let message = replay.next().await.expect("it is kept").expect("the connection stays");
        assert_eq!(sequence(&message), number);
        message.acker.ack(lapin::options::BasicAckOptions::default()).await.expect("an acknowledgement");
    }
}

#[tokio::test]
async fn a_commit_wakes_the_other_processes() {
    let (_, vhost) = shared().await;
    let (worker, gateway) = (connect(&vhost.url).await, connect(&vhost.url).await);
    let (announcing, heard) = (worker.announcer(), gateway.heard());
    let mut position = 0;
    // The listener's queue may not be there for the first ones: a wake-up is a hint.
    eventually("a wake-up", PATIENCE, || {
        position += 1;
        announcing.announce(Position(position));
        let heard = *heard.borrow();
        async move { heard > Position(0) }
    })
    .await
    .expect("it is heard");
    announcing.announce(Position(1_000_000));
    eventually("the last one", PATIENCE, || async { *heard.borrow() == Position(1_000_000) })
        .await
        .expect("it is heard");
}
