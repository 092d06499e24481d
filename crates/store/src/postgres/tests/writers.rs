//! Several processes on one log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::{Command, Outcome};
use serde_json::json;
use uuid::Uuid;

use super::Server;
use crate::contract::books::check_books;
use crate::contract::{
    Lab, answer, at, command, furnish, place, run, run_one, seen, seen_again, service, sku, staff,
};
use crate::postgres::connection::ask;
use crate::postgres::target::{Target, Wanted};
use crate::postgres::write::begin_at_head;
use crate::{Database, Pending, StoreError};

const HOT: [&str; 3] = ["WATCH", "STRAP", "BUCKLE"];

/// An order of two hot SKUs, in whatever order: what makes row locks meet each other.
fn pair(number: usize) -> Command {
    let lines = [HOT[number % 3], HOT[(number + 1 + number % 2) % 3]];
    let lines: Vec<_> = lines.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
    command(service(), json!({"kind": "order.place", "lines": lines}))
}

async fn hammer(database: Database, who: usize) -> Vec<(Command, Outcome)> {
    let mut answered: Vec<(Command, Outcome)> = Vec::new();
    for turn in 0..12 {
        let mut commands: Vec<Command> = (0..10).map(|number| pair(who + turn + number)).collect();
        // What was accepted before is sometimes given back, and sometimes asked for again.
        for (earlier, outcome) in answered.iter().rev().take(3) {
            if outcome.result.is_ok() && earlier.body.kind() == "order.place" {
                commands.push(command(service(), json!({"kind": "order.cancel", "order_id": earlier.id})));
            }
            commands.push(earlier.clone());
        }
        let executed =
            database.store.execute(at(1), Arc::new(commands.clone())).await.expect("it is executed");
        for (command, outcome) in commands.into_iter().zip(executed.outcomes) {
            if !outcome.replayed {
                answered.push((command, outcome));
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_writers_take_turns_on_the_same_hot_skus() {
    let lab = Server::new().await;
    let first = lab.open().await;
    furnish(&first).await;
    let price = json!({"amount": 5, "currency": "INR"});
    let stock = json!([{"location": "WEST", "quantity": 40}]);
    let buckle = json!({"kind": "item.add", "sku": "BUCKLE", "brand": "B", "model": "B", "price": price, "stock": stock});
    answer(&run_one(&first, 0, &command(staff(), buckle)).await);

    let mut tasks = Vec::new();
    for who in 0..4 {
        let database = lab.open().await;
        tasks.extend((0..2).map(|half| tokio::spawn(hammer(database.clone(), who * 2 + half))));
    }
    let mut answered = HashMap::new();
    for task in tasks {
        for (command, outcome) in task.await.expect("no deadlock, no lost connection, no contradiction") {
            let earlier = answered.insert(command.id, (command, outcome));
            assert!(earlier.is_none(), "each command is decided once");
        }
    }
    assert!(answered.len() > 8 * 12 * 10, "the cancellations are decided too");
    for (command, outcome) in answered.values() {
        let (_, known) = first.reads.outcome(command.id).await.expect("read").expect("it is remembered");
        assert_eq!(seen(&known), seen(outcome), "what was answered is what is there");
    }
    let snapshot = first.reads.snapshot().await.expect("the snapshot is read");
    for name in HOT {
        let state = snapshot.skus.iter().find(|state| state.item.sku == sku(name)).expect("it is there");
        assert!(state.available() >= 0, "{name} is not promised more often than it is there");
    }
    check_books(&first).await;
}

#[tokio::test]
async fn a_writer_that_stops_in_the_middle_keeps_the_others_waiting_for_seconds_only() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let target = Target::parse(&lab.url, Wanted::Primary).expect("a good URL");
    let stopped = target.connect().await.expect("connected");
    begin_at_head(&stopped).await.expect("it has the head");
    let begun = Instant::now();
    answer(&run_one(&database, 1, &place("WATCH", 1)).await);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(9), "{waited:?}");
    let late = stopped.rows(ask!("SELECT 1")).await;
    assert!(late.as_ref().is_err_and(StoreError::is_transient), "it cannot go on where it stopped: {late:?}");
    check_books(&database).await;
}

#[tokio::test]
async fn what_was_recorded_as_pending_beside_its_decision_is_not_shown_and_goes() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let order = place("WATCH", 1);
    run(&database, 1, vec![order.clone()]).await;
    // What two transactions leave behind that did not see each other.
    let command = serde_json::to_string(&order).expect("plain data").replace('\'', "''");
    let row = format!(
        "INSERT INTO pending (id, since, is_order, command) VALUES ('{}', {}, true, '{command}')",
        order.id,
        at(1).0
    );
    lab.sql(&row).await.expect("planted");
    assert_eq!(database.reads.pending(order.id).await.expect("read"), None);
    let listed = crate::ClaimFilter {
        status: Some(holdfast_domain::OrderStatus::Pending),
        limit: 9,
        ..Default::default()
    };
    assert!(database.reads.orders(listed).await.expect("read").items.is_empty());
    let old = database.store.pending_before(at(9), 9).await.expect("read");
    assert_eq!(old, [Pending { command: order.clone(), since: at(1) }], "whoever sends it again finds it");
    assert!(run_one(&database, 10, &order).await.replayed);
    assert!(database.store.pending_before(at(9), 9).await.expect("read").is_empty());
    check_books(&database).await;
}

#[tokio::test]
async fn an_idempotency_key_that_is_used_twice_at_once_changes_one_thing() {
    use crate::accounts::{Answered, ApiKey, Change};
    let lab = Server::new().await;
    let (one, two) = (lab.open().await, lab.open().await);
    for round in 0..20_u8 {
        let answered = Answered {
            key: Uuid::now_v7(),
            fingerprint: [1; 16],
            status: 201,
            body: "{}".to_owned(),
            at: at(0),
        };
        let key = |name: &str, number: u8| ApiKey {
            id: Uuid::now_v7(),
            name: format!("{name}-{round}"),
            role: holdfast_domain::Role::Service,
            hash: [round, number].repeat(16).try_into().expect("32 bytes"),
            created_at: at(0),
        };
        let (left, right) = tokio::join!(
            one.accounts.add_api_key(key("left", 1), Some(answered.clone())),
            two.accounts.add_api_key(key("right", 2), Some(answered.clone())),
        );
        let both = [left.expect("answered"), right.expect("answered")];
        let done = both.iter().filter(|change| **change == Change::Done(())).count();
        assert_eq!(done, 1, "{both:?}");
        assert!(both.contains(&Change::Replayed(answered)), "{both:?}");
    }
    assert_eq!(one.accounts.api_keys(None, 100).await.expect("read").len(), 20);
}

#[tokio::test]
async fn what_is_remembered_is_given_to_every_writer() {
    let lab = Server::new().await;
    let (one, two) = (lab.open().await, lab.open().await);
    furnish(&one).await;
    let order = place("WATCH", 1);
    let (left, right) = tokio::join!(run_one(&one, 1, &order), run_one(&two, 1, &order));
    assert_ne!(left.replayed, right.replayed, "one of them decides");
    assert_eq!(seen_again(&left), seen_again(&right));
    check_books(&two).await;
}
