//! What both buses promise.

use holdfast_bus::{Consumer, NotTaken, Publisher, Undecided, local};
use holdfast_domain::{Command, CommandQueue, Outcome, Position};

use crate::stand::{TestWorker, ends, order, orders, ready, removed, shared, taken};

/// A bus by the ends that a gateway and a worker hold.
enum Kind {
    Local,
    Amqp,
}

/// Runs a check over either bus; what keeps it alive is dropped after it.
macro_rules! on_both_buses {
    ($($name:ident)*) => {
        mod local_bus {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Kind::Local).await;
            })*
        }
        mod amqp_bus {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Kind::Amqp).await;
            })*
        }
    };
}

on_both_buses! {
    outcomes_come_back_in_the_order_of_the_commands
    a_command_arrives_as_it_was_sent
    what_a_worker_could_not_do_is_surely_not_taken_or_comes_again
    envelopes_arrive_in_the_order_in_which_they_were_published
    a_thousand_callers_get_their_own_outcomes
    a_closed_consumer_ends_when_nothing_waits
    an_answer_with_content_survives_the_way_back
}

/// The publisher, the consumer, and what keeps them alive.
struct Ends {
    publisher: Publisher,
    consumer: Consumer,
    _bus: Option<holdfast_bus::amqp::Bus>,
}

impl Kind {
    async fn ends(&self) -> Ends {
        match self {
            Kind::Local => {
                let (publisher, consumer) = local();
                Ends { publisher, consumer, _bus: None }
            }
            Kind::Amqp => {
                let (_, vhost) = shared().await;
                let (bus, publisher, consumer) = ends(&vhost.url, CommandQueue::Orders).await;
                ready(&publisher).await;
                Ends { publisher, consumer, _bus: Some(bus) }
            }
        }
    }
}

async fn outcomes_come_back_in_the_order_of_the_commands(kind: Kind) {
    let ends = kind.ends().await;
    let _worker = TestWorker::start(ends.consumer);
    let commands = orders(300);
    let outcomes = taken(&ends.publisher, commands.clone()).await.expect("they are decided");
    let ids = |commands: &[Command]| commands.iter().map(|command| command.id).collect::<Vec<_>>();
    assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), ids(&commands));
}

async fn a_command_arrives_as_it_was_sent(kind: Kind) {
    let ends = kind.ends().await;
    let worker = TestWorker::start(ends.consumer);
    let mut command = order("ÄÖ-not-a-sku".replace(|c: char| !c.is_ascii(), "x").as_str());
    command.key = Some(uuid::Uuid::now_v7());
    command.requested_at = Some(holdfast_domain::Timestamp(1_700_000_000_123_456));
    taken(&ends.publisher, vec![command.clone()]).await.expect("it is decided");
    assert_eq!(worker.commands(), [command]);
}

async fn what_a_worker_could_not_do_is_surely_not_taken_or_comes_again(kind: Kind) {
    let mut ends = kind.ends().await;
    let reply = ends.publisher.publish(orders(1)).expect("there is room");
    let first = ends.consumer.batch(10).await.expect("it arrives").remove(0);
    let durable = first.is_durable();
    let why = NotTaken::Unavailable("the disk is full".to_owned());
    first.settle(Err(why.clone().into()));
    if durable {
        // The broker has it, so it is not the caller's to send again: it comes back, and says that it was here.
        let again = ends.consumer.batch(10).await.expect("it comes again").remove(0);
        assert_eq!(again.delivery_count, 1);
        let outcomes = again.commands.iter().map(|command| crate::stand::decision(command, 1)).collect();
        again.settle(Ok(outcomes));
        assert_eq!(reply.await.expect("a reply").expect("it is decided").len(), 1);
    } else {
        assert_eq!(reply.await.expect("a reply"), Err(Undecided::NotTaken(why)));
    }
}

async fn envelopes_arrive_in_the_order_in_which_they_were_published(kind: Kind) {
    let ends = kind.ends().await;
    let worker = TestWorker::start(ends.consumer);
    let commands = orders(2_000);
    let mut replies = Vec::new();
    for chunk in commands.chunks(7) {
        replies.push(ends.publisher.publish(chunk.to_vec()).expect("there is room"));
    }
    for reply in replies {
        reply.await.expect("a reply").expect("it is decided");
    }
    assert_eq!(worker.ids(), commands.iter().map(|command| command.id).collect::<Vec<_>>());
}

async fn a_thousand_callers_get_their_own_outcomes(kind: Kind) {
    let ends = kind.ends().await;
    let worker = TestWorker::start(ends.consumer);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let publisher = ends.publisher.clone();
        callers.spawn(async move {
            let command = order("A");
            let outcomes = publisher.publish(vec![command.clone()]).expect("there is room").await;
            let outcomes: Vec<Outcome> = outcomes.expect("a reply").expect("it is decided");
            assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), [command.id]);
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("every caller got its own");
    }
    assert_eq!(worker.ids().len(), 1_000);
}

async fn a_closed_consumer_ends_when_nothing_waits(kind: Kind) {
    let mut ends = kind.ends().await;
    let _reply = ends.publisher.publish(orders(1)).expect("there is room");
    let batch = ends.consumer.batch(10).await.expect("it arrives");
    ends.consumer.close();
    for delivery in batch {
        let outcomes = delivery.commands.iter().map(|command| crate::stand::decision(command, 1)).collect();
        delivery.settle(Ok(outcomes));
    }
    assert!(ends.consumer.batch(10).await.is_none());
}

async fn an_answer_with_content_survives_the_way_back(kind: Kind) {
    let mut ends = kind.ends().await;
    let reply = ends.publisher.publish(orders(1)).expect("there is room");
    let delivery = ends.consumer.batch(10).await.expect("it arrives").remove(0);
    let outcome =
        Outcome { id: delivery.commands[0].id, position: Position(7), replayed: true, result: Ok(removed()) };
    delivery.settle(Ok(vec![outcome.clone()]));
    assert_eq!(reply.await.expect("a reply"), Ok(vec![outcome]));
}
