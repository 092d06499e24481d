//! A worker at a real broker, with commands that its predecessors did not survive; and one that decides by itself.

use holdfast_bus::amqp::{Bus, Settings};
use holdfast_domain::{Answer, Order, OrderStatus};
use holdfast_testbed::{Rabbit, eventually};
use uuid::Uuid;

use super::*;
use crate::follow::testing::{Shop, command, item, order};
use crate::instance::Instance;
use crate::role::Role;

const PATIENCE: Duration = Duration::from_secs(60);

async fn worker(shop: &Shop, consumer: Consumer) -> Worker {
    let database = &shop.database;
    let instance = Instance::join("here", &[Role::Orders], database.clone()).await.expect("a place");
    Worker {
        queue: CommandQueue::Orders,
        consumer,
        has_own_thread: false,
        store: database.store.clone(),
        reads: database.reads.clone(),
        committed: broadcast::channel(16).0,
        metrics: Arc::new(Metrics::new()),
        beat: instance.beat(Role::Orders),
    }
}

fn status(outcome: &Outcome) -> Option<OrderStatus> {
    match &outcome.result {
        Ok(Answer::Order(order)) => Some(order.status),
        // Over the broker it comes as it was written.
        Ok(Answer::OrderText(text)) => {
            let order: Order = serde_json::from_str(text.as_str()).expect("it is an order");
            Some(order.status)
        }
        Ok(_) | Err(_) => None,
    }
}

#[tokio::test]
async fn what_killed_six_workers_is_put_aside_and_its_neighbours_are_decided() {
    let rabbit = Rabbit::shared().await.expect("RabbitMQ runs");
    let vhost = rabbit.fresh_vhost().await.expect("a vhost");
    let connect = || async {
        Bus::connect(Settings::new(&vhost.url, "test").expect("a good URL"))
            .await
            .expect("the broker is there")
    };
    let shop = Shop::open().await;
    shop.run([item("X", "B", "M", 100, 10)]).await;
    let commands: Vec<Command> = (0..4).map(|_| command(order(Uuid::now_v7(), "X", 1))).collect();
    // One was decided before its worker ended.
    let decided = shop.database.store.execute(shop.now(), Arc::new(vec![commands[0].clone()])).await;
    decided.expect("it is decided");

    let gateway = connect().await;
    let publisher = gateway.publisher(CommandQueue::Orders);
    eventually("the bus is ready", PATIENCE, || async { publisher.has_consumer() }).await.expect("it is");
    let reply = publisher.publish(commands.clone()).expect("there is room");

    // Its predecessors, one after the other.
    let dying = connect().await;
    let mut consumer = dying.consumer(CommandQueue::Orders);
    for count in 0..CULPRIT_DELIVERIES {
        let delivery = consumer.batch(1_000).await.expect("it comes again").remove(0);
        assert_eq!(delivery.delivery_count, count);
        delivery.settle(Err(NotTaken::Stopping));
    }
    drop(consumer);
    dying.close().await;

    let bus = connect().await;
    let (stop, draining) = watch::channel(false);
    let running = tokio::spawn(worker(&shop, bus.consumer(CommandQueue::Orders)).await.run(draining));
    let outcomes = tokio::time::timeout(PATIENCE, reply).await.expect("a reply").expect("a reply");
    let outcomes = outcomes.expect("they are decided");
    let ids = |commands: &[Command]| commands.iter().map(|command| command.id).collect::<Vec<_>>();
    assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), ids(&commands));
    assert!(outcomes[0].replayed);
    assert_eq!(
        outcomes.iter().map(status).collect::<Vec<_>>(),
        [Some(OrderStatus::Accepted), None, Some(OrderStatus::Accepted), Some(OrderStatus::Accepted)]
    );
    assert_eq!(outcomes[1].result.as_ref().map_err(Rejection::code), Err("not_processable"));
    let letters = gateway.dead_letters().list().await.expect("they can be listed");
    assert_eq!(letters.iter().map(|letter| letter.command_id).collect::<Vec<_>>(), [Some(commands[1].id)]);

    stop.send_replace(true);
    running.await.expect("no panic").expect("it ends well");
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_a_thread_of_its_own_answers_everybody_before_it_ends() {
    const ORDERS: usize = 500;
    let shop = Shop::open().await;
    shop.run([item("X", "B", "M", 100, 1_000_000)]).await;
    let (publisher, consumer) = holdfast_bus::local();
    let mut worker = worker(&shop, consumer).await;
    worker.has_own_thread = true;
    let (committed, mut told) = broadcast::channel(1_000);
    worker.committed = committed;
    let (stop, drain) = watch::channel(false);
    let runtime = tokio::runtime::Handle::current();
    let working = tokio::task::spawn_blocking(move || runtime.block_on(worker.run(drain)));

    // One alone, several at once, one alone right after them.
    let mut waiting = Vec::new();
    for envelopes in [1, ORDERS, 1, 3, 2, 1, ORDERS] {
        for _ in 0..envelopes {
            let order = command(order(Uuid::now_v7(), "X", 1));
            waiting.push((order.id, publisher.publish(Arc::new(vec![order])).expect("there is room")));
        }
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    let orders = waiting.len();
    for (id, answer) in waiting {
        let outcomes = answer.await.expect("it is answered").expect("it is decided");
        assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), [id]);
        assert_eq!(status(&outcomes[0]), Some(OrderStatus::Accepted));
    }
    working.await.expect("it ended").expect("without an error");

    let (mut position, mut events) = (None, 0);
    while let Ok(batch) = told.try_recv() {
        assert!(position.is_none_or(|position: holdfast_domain::Position| batch.first == position.plus(1)));
        position = Some(batch.last);
        events += batch.events.len();
    }
    assert_eq!(events, orders, "the followers are told of all, in order");
}
