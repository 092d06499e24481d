//! What programs in any language may send, and what they get back. CONTRACT section 4.

use std::time::Duration;

use holdfast_bus::amqp::DeadLetter;
use holdfast_domain::{Actor, CommandQueue, Role};
use holdfast_testbed::eventually;
use lapin::types::ShortString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stand::{PATIENCE, Producer, TestWorker, ends, order_body, shared};

async fn dead_letters(bus: &holdfast_bus::amqp::Bus, count: usize) -> Vec<DeadLetter> {
    let dead = bus.dead_letters();
    eventually("the dead letters are there", PATIENCE, || async {
        dead.list().await.is_ok_and(|letters| letters.len() >= count)
    })
    .await
    .expect("they are put aside");
    let letters = dead.list().await.expect("they can be listed");
    assert_eq!(letters.len(), count, "{letters:?}");
    letters
}

#[tokio::test]
async fn a_single_order_is_decided_and_answered_as_one_object() {
    let (_, vhost) = shared().await;
    let (_bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let body = order_body("A");
    let reply = producer.ask("order.place", body.to_string()).await;
    assert_eq!(reply["id"], body["id"]);
    assert_eq!((&reply["ok"], &reply["code"]), (&json!(false), &json!("not_found")));
    let commands = worker.commands();
    assert_eq!(commands[0].actor, Actor::new("amqp:admin", Role::Service));
}

#[tokio::test]
async fn five_hundred_orders_with_a_bad_one_are_answered_in_order_and_the_bad_one_is_put_aside_alone() {
    let (_, vhost) = shared().await;
    let (bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let mut bodies: Vec<Value> = (0..500).map(|number| order_body(&format!("S{number}"))).collect();
    bodies[123]["lines"] = json!([{"sku": "S123", "quantity": 0}]);
    let replies = producer.ask("order.place", Value::Array(bodies.clone()).to_string()).await;
    let replies = replies.as_array().expect("an array for an array");
    assert_eq!(replies.len(), 500);
    for (body, reply) in bodies.iter().zip(replies) {
        assert_eq!(body["id"], reply["id"]);
    }
    assert_eq!((&replies[123]["ok"], &replies[123]["code"]), (&json!(false), &json!("malformed")));
    assert!(replies[123]["detail"].as_str().is_some_and(|detail| detail.contains("lines[0].quantity")));
    assert_eq!(replies[122]["code"], "not_found");
    assert_eq!(worker.ids().len(), 499);

    let letters = dead_letters(&bus, 1).await;
    assert_eq!(letters[0].routing_key, "order.place");
    assert_eq!(letters[0].user.as_deref(), Some("admin"));
    assert!(letters[0].error.contains("lines[0].quantity"), "{}", letters[0].error);
    assert_eq!(serde_json::from_str::<Value>(&letters[0].body).expect("JSON"), bodies[123]);
}

#[tokio::test]
async fn rubbish_is_put_aside_with_its_reason_and_answered() {
    let (rabbit, vhost) = shared().await;
    let (_bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let id = Uuid::now_v7();
    let too_many: Vec<Value> = (0..1_001).map(|_| order_body("A")).collect();
    let rubbish: [(String, &str); 9] = [
        ("this is not JSON".to_owned(), "malformed"),
        ("\u{0}\u{1}".to_owned(), "malformed"),
        ("42".to_owned(), "malformed"),
        (json!({"id": id, "kind": "order.eat"}).to_string(), "malformed"),
        (json!({"id": id, "kind": "sweep"}).to_string(), "malformed"),
        (json!({"id": id, "kind": "order.place", "lines": [], "x": 1}).to_string(), "malformed"),
        (json!({"kind": "order.place", "lines": [{"sku": "A", "quantity": 1}]}).to_string(), "missing_id"),
        (
            json!({"id": id, "kind": "order.cancel", "order_id": id, "surprise": true}).to_string(),
            "malformed",
        ),
        (Value::Array(too_many).to_string(), "malformed"),
    ];
    for (body, code) in &rubbish {
        let reply = producer.ask("order.place", body).await;
        assert_eq!((&reply["ok"], &reply["code"]), (&json!(false), &json!(code)), "{body}");
    }
    assert!(worker.ids().is_empty());
    // As any program sees them.
    let dead = rabbit.take(&vhost.name, "holdfast.dead", 100).await.expect("they are there");
    assert_eq!(dead.len(), rubbish.len());
    for (message, (body, code)) in dead.iter().zip(&rubbish) {
        let headers = &message["properties"]["headers"];
        assert_eq!(headers["x-holdfast-routing-key"], "order.place");
        assert!(
            headers["x-holdfast-error"].as_str().is_some_and(|error| error.starts_with(code)),
            "{headers}"
        );
        assert_eq!(message["payload"].as_str(), Some(body.as_str()));
    }
}

#[tokio::test]
async fn a_message_id_stands_in_for_missing_ids() {
    let (_, vhost) = shared().await;
    let (_bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let message_id = Uuid::now_v7();
    let anonymous = || json!({"kind": "order.place", "lines": [{"sku": "A", "quantity": 1}]});
    let own = order_body("A");
    for body in [anonymous(), json!([anonymous(), own, anonymous()])] {
        let named = |properties: lapin::BasicProperties| {
            properties.with_message_id(ShortString::from(message_id.to_string()))
        };
        producer.send_with("order.place", body.to_string(), named).await.expect("it is sent");
    }
    let expected = [
        message_id,
        Uuid::new_v5(&message_id, b"0"),
        own["id"].as_str().expect("text").parse().expect("a UUID"),
        Uuid::new_v5(&message_id, b"2"),
    ];
    worker.has_seen(expected[3]).await;
    assert_eq!(worker.ids(), expected);
}

#[tokio::test]
async fn the_same_message_twice_reaches_the_worker_twice_with_the_same_ids() {
    // What the second time has no effect is the store's promise; the bus must not invent ids.
    let (_, vhost) = shared().await;
    let (_bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let body = order_body("A");
    let first = producer.ask("order.place", body.to_string()).await;
    let second = producer.ask("order.place", body.to_string()).await;
    assert_eq!(first["id"], second["id"]);
    let ids = worker.ids();
    assert_eq!((ids.len(), ids[0]), (2, ids[1]));
}

#[tokio::test]
async fn every_kind_reaches_its_own_queue() {
    let (_, vhost) = shared().await;
    let (bus, _, orders) = ends(&vhost.url, CommandQueue::Orders).await;
    let workers = [
        TestWorker::start(orders),
        TestWorker::start(bus.consumer(CommandQueue::Items)),
        TestWorker::start(bus.consumer(CommandQueue::Stock)),
    ];
    let producer = Producer::admin(&vhost).await;
    let id = |number: u128| Uuid::from_u128(number);
    let sent = [
        (0, "hold.release", json!({"id": id(1), "hold_id": id(9)})),
        (
            1,
            "item.add",
            json!({"id": id(2), "brand": "B", "model": "M", "price": {"amount": 1, "currency": "INR"}}),
        ),
        (2, "item.remove", json!({"id": id(3), "sku": "A"})),
        (2, "location.put", json!({"id": id(4), "code": "DEL", "name": "Delhi", "priority": 1})),
        (2, "stock.receive", json!({"id": id(5), "sku": "A", "location": "DEL", "quantity": 1})),
    ];
    for (queue, kind, mut body) in sent {
        body["kind"] = json!(kind);
        producer.send(kind, body.to_string()).await.expect("it is sent");
        let id = body["id"].as_str().expect("text").parse().expect("a UUID");
        workers[queue].has_seen(id).await;
    }
}

#[tokio::test]
async fn a_dead_letter_is_retried_as_its_sender_or_dropped_and_its_neighbours_stay() {
    let (rabbit, vhost) = shared().await;
    let (bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    for text in ["one", "two", "three"] {
        producer.send("order.place", text).await.expect("it is sent");
    }
    let letters = dead_letters(&bus, 3).await;
    let dead = bus.dead_letters();
    assert_eq!(dead.remove(&letters[1].id).await, Ok(true));
    assert_eq!(dead.remove(&letters[1].id).await, Ok(false));
    let left = dead_letters(&bus, 2).await;
    assert_eq!(left.iter().map(|letter| letter.body.as_str()).collect::<Vec<_>>(), ["one", "three"]);

    // Still rubbish: it comes back, as itself.
    assert_eq!(dead.retry(&letters[0].id).await, Ok(true));
    eventually("it is dead again", PATIENCE, || async {
        dead.list().await.is_ok_and(|letters| letters.len() == 2 && letters[1].body == "one")
    })
    .await
    .expect("it is");
    assert_eq!(dead_letters(&bus, 2).await[1].id, letters[0].id);

    // A person has mended what was wrong: here, the worker of another version could not read it.
    let body = order_body("A");
    let headers = json!({"x-holdfast-error": "malformed: y", "x-holdfast-routing-key": "order.place",
        "x-holdfast-user": "webshop"});
    let message = json!({"properties": {"delivery_mode": 2, "message_id": "mended", "headers": headers},
        "routing_key": "holdfast.dead", "payload": body.to_string(), "payload_encoding": "string"});
    let path = format!("/api/exchanges/{}/amq.default/publish", vhost.name);
    rabbit.api("POST", &path, Some(message)).await.expect("it is there");
    dead_letters(&bus, 3).await;
    assert_eq!(dead.retry("mended").await, Ok(true));
    worker.has_seen(body["id"].as_str().expect("text").parse().expect("a UUID")).await;
    assert_eq!(worker.commands()[0].actor, Actor::new("amqp:webshop", Role::Service));
    dead_letters(&bus, 2).await;
}

#[tokio::test]
async fn rubbish_that_is_settled_before_its_neighbours_costs_nobody_the_consumer() {
    let (_, vhost) = shared().await;
    let (bus, _, mut consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let producer = Producer::admin(&vhost).await;
    let send = async |body: String| producer.send("order.place", body).await.expect("it is sent");
    send(order_body("A").to_string()).await;
    let first = consumer.batch(1).await.expect("it arrives").remove(0);
    send("rubbish".to_owned()).await;
    send(order_body("B").to_string()).await;
    // It comes after the rubbish, which is put aside and settled by then.
    let second = consumer.batch(1).await.expect("it arrives").remove(0);
    dead_letters(&bus, 1).await;
    let settle = |delivery: holdfast_bus::Delivery| {
        let outcomes = delivery.commands.iter().map(|command| crate::stand::decision(command, 1)).collect();
        delivery.settle(Ok(outcomes));
    };
    settle(first);
    send(order_body("C").to_string()).await;
    let third = consumer.batch(1).await.expect("it arrives").remove(0);
    // Were the channel closed, the second would come again first.
    let lines = format!("{:?}", third.commands[0].body);
    assert!(lines.contains("sku: C,") && third.delivery_count == 0, "{} {lines}", third.delivery_count);
    settle(second);
    settle(third);
}

#[tokio::test]
async fn dead_letters_are_whole_for_everybody_who_looks_at_once() {
    let (_, vhost) = shared().await;
    let (bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let _worker = TestWorker::start(consumer);
    let other = crate::stand::connect(&vhost.url).await;
    let producer = Producer::admin(&vhost).await;
    for number in 0..20 {
        producer.send("order.place", format!("rubbish {number}")).await.expect("it is sent");
    }
    dead_letters(&bus, 20).await;
    let looks = (0..10).map(|number| {
        let dead = if number % 2 == 0 { bus.dead_letters() } else { other.dead_letters() };
        async move { dead.list().await.expect("it can be listed").len() }
    });
    assert_eq!(futures_util::future::join_all(looks).await, [20; 10]);
}

#[tokio::test]
async fn a_command_that_its_worker_does_not_survive_can_be_put_aside_and_its_neighbours_decided() {
    let (_, vhost) = shared().await;
    let (bus, publisher, mut consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    crate::stand::ready(&publisher).await;
    let commands = crate::stand::orders(3);
    let reply = publisher.publish(commands.clone()).expect("there is room");
    let delivery = consumer.batch(10).await.expect("it arrives").remove(0);
    delivery.dead_letter(1, "its worker ended 6 times").await.expect("it is put aside");
    let outcomes = commands.iter().map(|command| crate::stand::decision(command, 1)).collect();
    delivery.settle(Ok(outcomes));
    assert_eq!(reply.await.expect("a reply").expect("decided").len(), 3);
    let letters = dead_letters(&bus, 1).await;
    assert_eq!(
        (letters[0].error.as_str(), letters[0].command_id),
        ("its worker ended 6 times", Some(commands[1].id))
    );

    // Tried again, it is the same command of the same account.
    let worker = TestWorker::start(consumer);
    assert_eq!(bus.dead_letters().retry(&letters[0].id).await, Ok(true));
    worker.has_seen(commands[1].id).await;
    assert_eq!(worker.commands(), [commands[1].clone()]);
}

#[tokio::test]
async fn an_envelope_without_commands_is_answered_with_nothing() {
    let (_, vhost) = shared().await;
    let (_bus, _, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let _worker = TestWorker::start(consumer);
    let producer = Producer::admin(&vhost).await;
    let asked = tokio::time::timeout(Duration::from_secs(60), producer.ask("order.place", "[]"));
    assert_eq!(asked.await.expect("a reply"), json!([]));
}
