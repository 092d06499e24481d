//! Surely not taken, and said at once; and starts that cannot work.

use std::time::{Duration, Instant};

use holdfast_bus::amqp::{Bus, Settings, Trouble};
use holdfast_bus::{NotTaken, Undecided};
use holdfast_domain::CommandQueue;
use holdfast_testbed::{Rabbit, eventually};
use serde_json::json;

use crate::stand::{
    PATIENCE, TestWorker, connect, ends, order, orders, ready, refused, settings, shared, taken,
};

#[tokio::test]
async fn without_its_queue_a_command_is_not_taken_and_the_queue_comes_back() {
    let (rabbit, vhost) = shared().await;
    let bus = connect(&vhost.url).await;
    let publisher = bus.publisher(CommandQueue::Items);
    ready(&publisher).await;
    rabbit
        .api("DELETE", &format!("/api/queues/{}/holdfast.items", vhost.name), None)
        .await
        .expect("it is gone");
    let add = json!({"id": uuid::Uuid::now_v7(), "kind": "item.add", "brand": "B", "model": "M",
        "price": {"amount": 1, "currency": "INR"}});
    let wire = holdfast_domain::wire::parse_command(add, None).expect("a good item");
    let command = holdfast_domain::Command::new(wire.id, crate::stand::buyer(), wire.body);
    let reply = publisher.publish(vec![command.clone()]).expect("there is room").await.expect("a reply");
    match reply {
        Err(Undecided::NotTaken(NotTaken::Unavailable(why))) => {
            assert!(why.contains("holdfast.items"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let worker = TestWorker::start(bus.consumer(CommandQueue::Items));
    // It may be refused once more until everything is there again. Refused is not taken: it is decided once.
    eventually("it is decided", PATIENCE, || async {
        match taken(&publisher, vec![command.clone()]).await {
            Ok(_) => true,
            Err(Undecided::NotTaken(_)) => false,
            Err(Undecided::InDoubt(why)) => panic!("in doubt: {why}"),
        }
    })
    .await
    .expect("the queue comes back");
    assert_eq!(worker.ids(), [command.id]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    let (rabbit, vhost) = shared().await;
    let bus = connect(&vhost.url).await;
    let publisher = bus.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    let policy =
        json!({"pattern": "^holdfast\\.orders$", "definition": {"max-length": 3}, "apply-to": "queues"});
    rabbit.api("PUT", &format!("/api/policies/{}/small", vhost.name), Some(policy)).await.expect("a policy");
    let full = eventually("the queue is full", PATIENCE, || async {
        let reply = publisher.publish(orders(1)).expect("there is room here");
        // What is taken gets no answer: nobody works.
        let told = tokio::time::timeout(Duration::from_millis(500), reply).await;
        matches!(told, Ok(Ok(Err(Undecided::NotTaken(NotTaken::Overloaded)))))
    });
    full.await.expect("it refuses");
    let worker = TestWorker::start(bus.consumer(CommandQueue::Orders));
    let command = order("A");
    eventually("there is room again", PATIENCE, || async {
        let reply = publisher.publish(vec![command.clone()]).expect("there is room here");
        matches!(tokio::time::timeout(Duration::from_secs(5), reply).await, Ok(Ok(Ok(_))))
    })
    .await
    .expect("it is taken");
    worker.has_seen(command.id).await;
}

#[tokio::test]
async fn a_publisher_that_nobody_empties_is_full_at_once_not_later() {
    let (_, vhost) = shared().await;
    let bus = connect(&vhost.url).await;
    let publisher = bus.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    // More than the waiting room holds, faster than the broker confirms.
    let batch = orders(1_000);
    let mut waiting = Vec::new();
    let not_taken = loop {
        match publisher.publish(batch.clone()) {
            Ok(reply) => waiting.push(reply),
            Err(not_taken) => break not_taken,
        }
        assert!(waiting.len() < 10_000, "the room has no end");
    };
    assert_eq!(not_taken, NotTaken::Overloaded);
}

#[tokio::test]
async fn while_the_broker_is_out_of_memory_commands_are_refused_at_once_and_taken_afterwards() {
    // A node of its own: the alarm blocks every publisher of it.
    let rabbit = Rabbit::start().await.expect("RabbitMQ runs");
    let vhost = rabbit.fresh_vhost().await.expect("a vhost");
    let (bus, publisher, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    ready(&publisher).await;
    let worker = TestWorker::start(consumer);
    taken(&publisher, orders(1)).await.expect("it is decided");

    rabbit.memory_alarm(true).await.expect("an alarm");
    // RabbitMQ blocks a connection when it next publishes; until it says so, what is sent waits for the end of the alarm.
    let why = refused(&publisher, PATIENCE).await;
    assert!(matches!(&why, NotTaken::Unavailable(why) if why.contains("takes no messages")), "{why:?}");
    let asked = Instant::now();
    for _ in 0..1_000 {
        publisher.publish(orders(1)).expect_err("it is blocked");
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(bus.trouble().is_some());

    rabbit.memory_alarm(false).await.expect("the end of the alarm");
    let command = order("A");
    taken(&publisher, vec![command.clone()]).await.expect("it is decided");
    worker.has_seen(command.id).await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_which_setting_is_wrong() {
    let (rabbit, vhost) = shared().await;
    let connect = |url: String| async move {
        Bus::connect(settings(&url)).await.err().unwrap_or_else(|| panic!("{url} cannot work"))
    };
    let place = format!("127.0.0.1:{}", rabbit.port());

    let wrong = connect(rabbit.amqp_url_for("admin", "wrong", &vhost.name)).await;
    assert_eq!(
        wrong,
        Trouble::Fatal(format!(
            "broker: {place} refuses the user \"admin\": the name or the password in the URL is wrong"
        ))
    );
    let missing = connect(rabbit.amqp_url("nowhere")).await;
    assert!(!missing.may_heal() && missing.to_string().contains("no vhost \"nowhere\""), "{missing}");

    rabbit.add_user("stranger", "secret", &[]).await.expect("a user");
    let stranger = connect(rabbit.amqp_url_for("stranger", "secret", &vhost.name)).await;
    assert!(!stranger.may_heal() && stranger.to_string().contains("no permissions"), "{stranger}");

    // In the vhost, but without any right: nothing is there yet, and it may not create it.
    rabbit.set_permissions(&vhost.name, "stranger", "^$", "^$", "^$").await.expect("permissions");
    let powerless = connect(rabbit.amqp_url_for("stranger", "secret", &vhost.name)).await;
    assert!(powerless.may_heal() && powerless.to_string().contains("start a worker first"), "{powerless}");

    let exchange = json!({"type": "fanout", "durable": true});
    rabbit
        .api("PUT", &format!("/api/exchanges/{}/holdfast.commands", vhost.name), Some(exchange))
        .await
        .expect("an exchange of another kind");
    let other = connect(vhost.url.clone()).await;
    assert!(
        !other.may_heal()
            && other.to_string().starts_with("broker: the exchange holdfast.commands exists on"),
        "{other}"
    );

    let nobody = connect("amqp://127.0.0.1:1/x".to_owned()).await;
    assert!(nobody.may_heal() && nobody.to_string().contains("cannot be reached"), "{nobody}");
    for url in ["http://127.0.0.1", "amqp://:::/", "rabbit"] {
        let error = Settings::new(url, "test").expect_err("no URL of a broker");
        assert!(!error.may_heal() && error.to_string().starts_with("broker: "), "{error}");
    }
    for trouble in [wrong, missing, stranger, powerless, other, nobody] {
        let text = trouble.to_string();
        assert!(!text.contains('\n') && !text.contains("testbed") && !text.contains("secret"), "{text}");
    }
}
