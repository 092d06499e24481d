//! Broken wires and dead brokers: everything comes back by itself, and nothing that was confirmed is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holdfast_bus::{NotTaken, Undecided};
use holdfast_domain::CommandQueue;
use holdfast_testbed::{FaultProxy, Rabbit, eventually};
use uuid::Uuid;

use crate::stand::{PATIENCE, TestWorker, connect, ends, order, orders, ready, refused, shared, taken};

#[tokio::test]
async fn a_killed_broker_comes_back_with_everything_that_it_confirmed() {
    let rabbit = Rabbit::start().await.expect("RabbitMQ runs");
    let vhost = rabbit.fresh_vhost().await.expect("a vhost");
    let (bus, publisher, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    ready(&publisher).await;
    rabbit.settle().await.expect("the queues are on disk");
    // Nobody works yet: the consumer has them unsettled, the queue keeps them.
    let waiting = orders(50);
    let kept: Vec<_> =
        waiting.iter().map(|order| publisher.publish(vec![order.clone()]).expect("there is room")).collect();
    eventually("they are on the broker", PATIENCE, || async {
        rabbit
            .queue(&vhost.name, "holdfast.orders")
            .await
            .is_ok_and(|queue| queue["messages"].as_u64() > Some(0))
            && publisher.waiting() == 0
    })
    .await
    .expect("they are");

    rabbit.kill().expect("it dies");
    let why = refused(&publisher, Duration::from_secs(20)).await;
    assert!(matches!(why, NotTaken::Unavailable(_)), "{why:?}");
    let asked = Instant::now();
    publisher.publish(orders(1)).expect_err("it is dead");
    assert!(asked.elapsed() < Duration::from_millis(100));

    rabbit.restart().await.expect("it comes back");
    let worker = TestWorker::start(consumer);
    let command = order("AFTER");
    taken(&publisher, vec![command.clone()]).await.expect("it is decided");
    worker.has_seen(command.id).await;
    // Each of those before was either in doubt, and may be there or not, or it is there.
    let seen: BTreeSet<Uuid> = worker.ids().into_iter().collect();
    for (order, reply) in waiting.iter().zip(kept) {
        match tokio::time::timeout(Duration::from_millis(1), reply).await {
            Ok(Ok(Err(Undecided::InDoubt(_)))) => {}
            Ok(Ok(Err(Undecided::NotTaken(_)))) => assert!(!seen.contains(&order.id)),
            // Confirmed; its reply went with the connection, or came.
            Err(_) | Ok(Ok(Ok(_)) | Err(_)) => assert!(seen.contains(&order.id), "a confirmed order is lost"),
        }
    }
    bus.close().await;
}

#[tokio::test]
async fn what_was_on_its_way_when_the_wire_broke_is_in_doubt() {
    let (rabbit, vhost) = shared().await;
    let wire = FaultProxy::in_front_of(rabbit.port()).await.expect("a proxy");
    let bus = connect(&wire.redirect(&vhost.url)).await;
    let publisher = bus.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    // So slow that nothing is confirmed before the wire breaks.
    wire.delay(Duration::from_secs(3)).await;
    let reply = publisher.publish(orders(1)).expect("there is room");
    tokio::time::sleep(Duration::from_millis(300)).await;
    wire.cut().await;
    match tokio::time::timeout(PATIENCE, reply).await.expect("an answer").expect("an answer") {
        Err(Undecided::InDoubt(_)) => {}
        other => panic!("{other:?}"),
    }
    wire.heal().await;
    let worker = TestWorker::start(bus.consumer(CommandQueue::Orders));
    let command = order("A");
    taken(&publisher, vec![command.clone()]).await.expect("it is decided");
    worker.has_seen(command.id).await;
}

#[tokio::test]
async fn a_worker_whose_wire_breaks_gets_its_envelopes_again() {
    let (rabbit, vhost) = shared().await;
    let wire = FaultProxy::in_front_of(rabbit.port()).await.expect("a proxy");
    let gateway = connect(&vhost.url).await;
    let publisher = gateway.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    let worker_bus = connect(&wire.redirect(&vhost.url)).await;
    let mut consumer = worker_bus.consumer(CommandQueue::Orders);
    let command = order("A");
    let reply = publisher.publish(vec![command.clone()]).expect("there is room");
    let lost = consumer.batch(10).await.expect("it arrives").remove(0);
    assert!(lost.is_of_first_connection());
    wire.drop_connections().await;
    let again = consumer.batch(10).await.expect("it comes again").remove(0);
    assert_eq!((again.commands[0].id, again.delivery_count), (command.id, 1));
    assert!(!again.is_of_first_connection());
    // The first one is of no use any more, and does no harm.
    lost.settle(Ok(vec![crate::stand::decision(&command, 1)]));
    again.settle(Ok(vec![crate::stand::decision(&command, 1)]));
    let outcomes = tokio::time::timeout(PATIENCE, reply).await.expect("a reply").expect("a reply");
    assert_eq!(outcomes.expect("it is decided")[0].id, command.id);
}

#[tokio::test]
async fn a_silent_wire_is_noticed_and_replaced() {
    let (rabbit, vhost) = shared().await;
    let wire = FaultProxy::in_front_of(rabbit.port()).await.expect("a proxy");
    let url = format!("{}?heartbeat=1", wire.redirect(&vhost.url));
    let (_bus, publisher, consumer) = ends(&url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    taken(&publisher, orders(1)).await.expect("it is decided");
    wire.half_open().await;
    let why = refused(&publisher, Duration::from_secs(30)).await;
    assert!(matches!(why, NotTaken::Unavailable(_) | NotTaken::Overloaded), "{why:?}");
    wire.heal().await;
    let command = order("A");
    eventually("it works again", PATIENCE, || async {
        let Ok(reply) = publisher.publish(vec![command.clone()]) else { return false };
        matches!(tokio::time::timeout(Duration::from_secs(5), reply).await, Ok(Ok(Ok(_))))
    })
    .await
    .expect("it does");
    worker.has_seen(command.id).await;
}

#[tokio::test]
async fn when_the_active_worker_ends_the_one_that_stands_by_takes_over() {
    let (_, vhost) = shared().await;
    let gateway = connect(&vhost.url).await;
    let publisher = gateway.publisher(CommandQueue::Orders);
    ready(&publisher).await;
    let (first_bus, second_bus) = (connect(&vhost.url).await, connect(&vhost.url).await);
    let first = TestWorker::start(first_bus.consumer(CommandQueue::Orders));
    taken(&publisher, orders(1)).await.expect("it is decided");
    let second = TestWorker::start(second_bus.consumer(CommandQueue::Orders));
    taken(&publisher, orders(1)).await.expect("it is decided");
    assert_eq!((first.ids().len(), second.ids().len()), (2, 0), "one is active, the other stands by");
    drop(first);
    first_bus.close().await;
    let command = order("A");
    taken(&publisher, vec![command.clone()]).await.expect("it is decided");
    assert_eq!(second.ids(), [command.id]);
}

#[tokio::test]
async fn closing_sends_what_has_gathered_and_acknowledges_what_is_settled() {
    let (_, vhost) = shared().await;
    let (bus, publisher, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    let worker = TestWorker::start(consumer);
    let commands = orders(3_000);
    ready(&publisher).await;
    for chunk in commands.chunks(10) {
        drop(publisher.publish(chunk.to_vec()).expect("there is room"));
    }
    // The worker goes on until its consumer is closed, as a process that ends lets it.
    eventually("all are decided", PATIENCE, || async { worker.ids().len() == 3_000 })
        .await
        .expect("they are");
    drop(worker);
    let closing = Instant::now();
    bus.close().await;
    assert!(closing.elapsed() < Duration::from_secs(4), "{:?}", closing.elapsed());
    assert_eq!(publisher.publish(orders(1)).expect_err("it is closed"), NotTaken::Stopping);
    // Had anything been left, it would come first.
    let (_bus, publisher, mut consumer) = ends(&vhost.url, CommandQueue::Orders).await;
    ready(&publisher).await;
    let marker = order("MARKER");
    drop(publisher.publish(vec![marker.clone()]).expect("there is room"));
    let next = consumer.batch(1).await.expect("it arrives");
    assert_eq!(next[0].commands[0].id, marker.id);
}
