//! A worker at a real broker, with commands that its predecessors did not survive; and one that decides by itself.

use holdfast_bus::amqp::{Bus, Settings};
use holdfast_domain::{Answer, Order, OrderStatus};
use holdfast_testbed::{Postgres, Rabbit, eventually};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::follow::testing::{Shop, command, item, location, order};
use crate::instance::Instance;
use crate::role::Role;

const PATIENCE: Duration = Duration::from_secs(60);

async fn worker(database: &Database, consumer: Consumer) -> Worker {
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
        delivery.settle(Err(NotTaken::Stopping.into()));
    }
    drop(consumer);
    dying.close().await;

    let bus = connect().await;
    let (stop, draining) = watch::channel(false);
    let running =
        tokio::spawn(worker(&shop.database, bus.consumer(CommandQueue::Orders)).await.run(draining));
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
    let mut worker = worker(&shop.database, consumer).await;
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

/// Over PostgreSQL, where planning waits for its turn, as deciding does.
#[tokio::test]
async fn a_full_batch_is_planned_behind_one_that_waits_for_its_turn() {
    let postgres = Postgres::shared().await.expect("PostgreSQL runs");
    let url = postgres.fresh_database().await.expect("a database");
    let database = Database::open_postgres(&url, None).await.expect("it opens");
    let execute = |commands: Vec<Command>| {
        let store = database.store.clone();
        async move { store.execute(clock::now(), Arc::new(commands)).await.expect("it is executed") }
    };
    let furniture = [location("NORTH", 1), item("X", "B", "M", 100, 10_000)].map(command);
    execute(furniture.to_vec()).await;
    let (publisher, consumer) = holdfast_bus::local();
    let (_stop, draining) = watch::channel(false);
    let running = tokio::spawn(worker(&database, consumer).await.run(draining));

    // Somebody holds the log, so that a receipt keeps its turn; an order waits behind it, and a full batch behind that.
    let hold = "BEGIN; SELECT 1 FROM log_head FOR UPDATE; SELECT pg_sleep(3); ROLLBACK";
    let held = postgres.sql(&url, hold);
    let rest = async {
        let pause = || tokio::time::sleep(Duration::from_millis(500));
        let sleeping = "SELECT count(*) FROM pg_stat_activity \
                        WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let is_held = || async { postgres.sql(&url, sleeping).await.is_ok_and(|count| count.trim() == "1") };
        eventually("the log to be held", PATIENCE, is_held).await.expect("it is");
        let receipt = json!({"kind": "stock.receive", "sku": "X", "location": "NORTH", "quantity": 1});
        let receipt = tokio::spawn(execute(vec![command(receipt)]));
        pause().await;
        let orders =
            |count: usize| (0..count).map(|_| command(order(Uuid::now_v7(), "X", 1))).collect::<Vec<_>>();
        let first = publisher.publish(orders(1)).expect("there is room");
        pause().await;
        let full = publisher.publish(orders(1_000)).expect("there is room");
        receipt.await.expect("no panic");
        [first, full]
    };
    let (held, replies) = tokio::join!(held, rest);
    held.expect("the log is let go");
    for reply in replies {
        let outcomes = tokio::time::timeout(PATIENCE, reply).await.expect("nobody waits for ever");
        let outcomes = outcomes.expect("a reply").expect("they are decided");
        assert!(outcomes.iter().all(|outcome| status(outcome) == Some(OrderStatus::Accepted)));
    }
    drop(publisher);
    running.await.expect("no panic").expect("it ends");
}

#[tokio::test]
async fn putting_items_at_hand_ends_when_it_is_told_to_where_there_is_nothing_to_do_too() {
    let shop = Shop::open().await;
    let (drain, draining) = watch::channel(false);
    let warming = tokio::spawn(warm_up(shop.database.store.clone(), draining));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!warming.is_finished(), "a task that ends by itself ends its process");
    drain.send_replace(true);
    tokio::time::timeout(PATIENCE, warming).await.expect("it ends").expect("no panic").expect("well");
}
