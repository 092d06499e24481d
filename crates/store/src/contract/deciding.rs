//! Batches: decided once, in order, and written whole.

use std::sync::Arc;

use holdfast_domain::{Command, HoldStatus, OrderStatus, Rejection};
use serde_json::json;
use uuid::Uuid;

use super::books::{check_books, check_chain, whole_log};
use super::{
    Lab, answer, at, command, furnish_many, furnished, hold, order_in, place, place_for, receive, rejection,
    run, run_one, seen, seen_again, service, sku, staff,
};
use crate::{Database, EXPIRE_PER_BATCH_MAX, Pending, plan};

pub async fn positions_are_dense_and_hashes_are_chained(lab: &dyn Lab) {
    let database = lab.open().await;
    let head = database.store.head().await.expect("a new log has a head");
    assert_eq!((head.position.0, head.hash), (0, [0; 32]), "a new log is empty");
    check_books(&database).await;

    super::furnish(&database).await;
    for number in 0..5 {
        let before = database.store.head().await.expect("the head is read");
        let executed = run(&database, number, (0..=number).map(|_| place("STRAP", 1)).collect()).await;
        let committed = executed.committed.expect("orders make events");
        assert_eq!(committed.first, before.position.plus(1));
        assert_eq!(committed.last, before.position.plus(committed.events.len()));
        let in_log = database.reads.log(before.position, usize::MAX).await.expect("the log is read");
        assert_eq!(in_log.len(), 1, "one row for the batch");
        assert_eq!(in_log[0].events().expect("events"), *committed.events);
        for (outcome, position) in executed.outcomes.iter().zip(committed.first.0..) {
            assert_eq!(outcome.position.0, position);
        }
    }
    check_books(&database).await;
}

pub async fn the_same_command_again_gets_the_first_answer(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands = [place("WATCH", 3), place("WATCH", 100), place("NOTHING", 1), hold("WATCH", 2, 600)];
    let mut first = Vec::new();
    for command in &commands {
        first.push(run_one(&database, 1, command).await);
    }
    let head = database.store.head().await.expect("the head is read");
    let again = run(&database, 2, commands.to_vec()).await;
    assert!(again.committed.is_none(), "a replay adds nothing");
    for (first, again) in first.iter().zip(&again.outcomes) {
        assert_eq!(seen_again(first), seen(again));
    }
    // What became of them since does not change the first answer.
    let cancel = command(service(), json!({"kind": "order.cancel", "order_id": commands[0].id}));
    let release = command(service(), json!({"kind": "hold.release", "hold_id": commands[3].id}));
    run(&database, 3, vec![cancel, release]).await;
    database.store.close().await;

    let database = lab.open().await;
    for (command, first) in commands.iter().zip(&first) {
        assert_eq!(seen_again(first), seen(&run_one(&database, 4, command).await));
    }
    let events = database.store.head().await.expect("the head is read").position.0 - head.position.0;
    assert_eq!(events, 2, "the cancellation and the release alone");
    check_books(&database).await;
}

pub async fn a_replay_within_one_batch_happens_once(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let (order, receipt) = (place("WATCH", 2), receive("WATCH", 7));
    let batch = vec![order.clone(), receipt.clone(), order.clone(), receipt.clone()];
    let executed = run(&database, 1, batch).await;
    assert_eq!(executed.committed.expect("two events").events.len(), 2);
    assert_eq!(seen_again(&executed.outcomes[0]), seen(&executed.outcomes[2]));
    assert_eq!(seen_again(&executed.outcomes[1]), seen(&executed.outcomes[3]));
    check_books(&database).await;
}

pub async fn every_kind_of_outcome_is_given_again_as_it_was(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let order = place("STRAP", 4);
    let kept = hold("STRAP", 2, 100);
    let price = json!({"amount": 5, "currency": "INR"});
    let staff_does = [
        json!({"kind": "order.fulfil", "order_id": order.id}),
        json!({"kind": "order.return", "order_id": order.id, "disposition": "restock"}),
        json!({"kind": "item.add", "brand": "Made", "model": "Up", "price": price}),
        json!({"kind": "item.update", "sku": "STRAP", "model": "New"}),
        json!({"kind": "item.update", "sku": "STRAP", "if_match": 77, "model": "Newer"}),
        json!({"kind": "item.remove", "sku": "MADE-UP"}),
        json!({"kind": "item.remove", "sku": "STRAP"}),
        json!({"kind": "location.put", "code": "NORTH", "name": "North", "priority": 3, "latitude": 1.5, "longitude": -2.25}),
        json!({"kind": "stock.receive", "sku": "STRAP", "location": "EAST", "quantity": 3, "reference": "PO 7"}),
        json!({"kind": "stock.adjust", "sku": "STRAP", "location": "EAST", "delta": -1, "reason": "damage", "note": "wet"}),
        json!({"kind": "stock.adjust", "sku": "STRAP", "location": "EAST", "delta": -1_000_000, "reason": "loss"}),
        json!({"kind": "stock.count", "sku": "STRAP", "location": "EAST", "counted": 900}),
        json!({"kind": "stock.transfer", "sku": "STRAP", "from": "EAST", "to": "WEST", "quantity": 10}),
        json!({"kind": "stock.transfer", "sku": "STRAP", "from": "EAST", "to": "EAST", "quantity": 10}),
        json!({"kind": "stock.unavailable", "sku": "STRAP", "location": "EAST", "delta": 5, "reason": "quarantine"}),
        json!({"kind": "stock.incoming", "sku": "STRAP", "location": "EAST", "delta": 50}),
        json!({"kind": "stock.levels", "sku": "STRAP", "location": "EAST", "safety_stock": 1, "reorder_point": 2}),
        json!({"kind": "stock.receive", "sku": "STRAP", "location": "NOWHERE", "quantity": 3}),
    ];
    let service_does = [
        json!({"kind": "hold.extend", "hold_id": kept.id, "ttl_seconds": 200}),
        json!({"kind": "hold.confirm", "hold_id": kept.id}),
        json!({"kind": "hold.release", "hold_id": kept.id}),
        json!({"kind": "order.cancel", "order_id": kept.id}),
        json!({"kind": "order.cancel", "order_id": Uuid::nil()}),
    ];
    let mut commands = vec![order.clone(), kept.clone()];
    commands.extend(staff_does.into_iter().map(|body| command(staff(), body)));
    commands.extend(service_does.into_iter().map(|body| command(service(), body)));
    let first = run(&database, 1, commands.clone()).await;
    let accepted = first.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert_eq!(accepted, commands.len() - 7, "seven of them cannot be: {:#?}", first.outcomes);
    let again = run(&database, 2, commands).await;
    assert!(again.committed.is_none());
    for (first, again) in first.outcomes.iter().zip(&again.outcomes) {
        assert_eq!(seen_again(first), seen(again));
    }
    check_books(&database).await;
}

pub async fn other_content_under_a_known_id_is_refused(lab: &dyn Lab) {
    let database = furnished(lab).await;
    for first in [place("WATCH", 1), hold("WATCH", 1, 60), receive("WATCH", 1)] {
        run_one(&database, 1, &first).await;
        let id = first.id;
        for other in [place("STRAP", 1), hold("STRAP", 1, 60), receive("STRAP", 1)] {
            let other = Command { actor: first.actor.clone(), id, ..other };
            let refused = run_one(&database, 2, &other).await;
            assert_eq!(*rejection(&refused), Rejection::CommandIdReused, "{other:?} after {first:?}");
        }
        assert!(run_one(&database, 3, &first).await.replayed, "the first is remembered all the same");
    }
    check_books(&database).await;
}

pub async fn an_id_of_another_account_is_taken(lab: &dyn Lab) {
    let database = furnished(lab).await;
    for first in [place("WATCH", 1), place("WATCH", 1_000), hold("WATCH", 1, 60), receive("WATCH", 1)] {
        run_one(&database, 1, &first).await;
        let mut thief = first.clone();
        thief.actor.name = "somebody-else".into();
        assert_eq!(*rejection(&run_one(&database, 2, &thief).await), Rejection::IdTaken);
    }
    check_books(&database).await;
}

/// By this opening of the database, by another one, or by settling without a decision.
pub async fn an_id_is_known_whoever_used_it(lab: &dyn Lab) {
    #[derive(Debug, Clone, Copy)]
    enum By {
        Itself,
        Other,
        Settling,
    }
    let (database, other) = (furnished(lab).await, lab.open().await);
    let kinds: [fn() -> Command; 4] =
        [|| place("STRAP", 1), || hold("STRAP", 1, 60), || receive("WATCH", 1), || receive("NOTHING", 1)];
    let by = [By::Itself, By::Other, By::Settling];
    let ways = by
        .into_iter()
        .flat_map(|by| kinds.into_iter().flat_map(move |kind| [(by, kind, true), (by, kind, false)]));
    for (by, kind, is_key) in ways {
        // As many as it takes until it decides on what it knows.
        for _ in 0..10 {
            answer(&run_one(&database, 1, &place("STRAP", 1)).await);
        }
        let first = Command { key: Some(Uuid::now_v7()), ..kind() };
        match by {
            By::Itself => drop(run_one(&database, 2, &first).await),
            By::Other => drop(run_one(&other, 2, &first).await),
            By::Settling => {
                let pending = Pending { command: first.clone(), since: at(1) };
                database.store.add_pending(vec![pending]).await.expect("recorded");
                database.store.remove_pending(at(2), first.id).await.expect("settled");
            }
        }
        let body = place("STRAP", 2).body;
        let second = if is_key {
            Command { id: Uuid::now_v7(), body, ..first }
        } else {
            Command { key: None, body, ..first }
        };
        let refused = run_one(&database, 3, &second).await;
        assert_eq!(*rejection(&refused), Rejection::CommandIdReused, "by {by:?}, key: {is_key}, {second:?}");
    }
    check_books(&database).await;
}

/// The key of a command without an id of its own is its id.
pub async fn a_key_that_came_without_an_id_stands_for_what_it_placed(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let kinds: [fn() -> Command; 3] =
        [|| place("STRAP", 1), || place("STRAP", 1_000_000), || hold("STRAP", 1, 60)];
    for kind in kinds {
        // As many as it takes until it decides on what it knows.
        for _ in 0..10 {
            answer(&run_one(&database, 1, &place("STRAP", 1)).await);
        }
        let alone = kind();
        let first = run_one(&database, 2, &alone).await;
        for _ in 0..10 {
            answer(&run_one(&database, 2, &place("STRAP", 1)).await);
        }
        let named = Command { id: Uuid::now_v7(), key: Some(alone.id), ..alone.clone() };
        assert_eq!(*rejection(&run_one(&database, 2, &named).await), Rejection::CommandIdReused);
        assert_eq!(seen_again(&first), seen(&run_one(&database, 3, &alone).await));
        // Known by its id, it is known by the key that comes with it from then on.
        let keyed = Command { key: Some(Uuid::now_v7()), ..alone.clone() };
        assert_eq!(seen_again(&first), seen(&run_one(&database, 3, &keyed).await));
        let other = Command { id: Uuid::now_v7(), ..keyed.clone() };
        assert_eq!(*rejection(&run_one(&database, 3, &other).await), Rejection::CommandIdReused);
        assert_eq!(seen_again(&first), seen(&run_one(&database, 3, &keyed).await));
    }
    check_books(&database).await;
}

pub async fn an_idempotency_key_names_its_command_too(lab: &dyn Lab) {
    let database = furnished(lab).await;
    for first in [place("WATCH", 1), place("WATCH", 1_000), receive("WATCH", 1)] {
        let key = Uuid::now_v7();
        let first = Command { key: Some(key), ..first };
        let outcome = run_one(&database, 1, &first).await;
        assert_eq!(seen_again(&outcome), seen(&run_one(&database, 2, &first).await));
        let other_id = Command { id: Uuid::now_v7(), ..first.clone() };
        assert_eq!(*rejection(&run_one(&database, 2, &other_id).await), Rejection::CommandIdReused);
        let (_, found) = database.reads.outcome(key).await.expect("read").expect("found by its key");
        assert_eq!(seen(&found), seen(&outcome));
    }
    // A key that is its own command's id is one row, not two.
    let mut same = receive("WATCH", 1);
    same.key = Some(same.id);
    let outcome = run_one(&database, 3, &same).await;
    assert_eq!(seen_again(&outcome), seen(&run_one(&database, 4, &same).await));
    check_books(&database).await;
}

pub async fn a_hot_item_is_promised_as_often_as_it_is_there(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let mut accepted = 0;
    for batch in 0..4 {
        let executed = run(&database, batch, (0..100).map(|_| place("WATCH", 1)).collect()).await;
        accepted += executed.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    }
    assert_eq!(accepted, 15, "as many as there were");
    let snapshot = database.reads.snapshot().await.expect("the snapshot is read");
    let watch = snapshot.skus.iter().find(|state| state.item.sku == sku("WATCH")).expect("it is there");
    assert_eq!(watch.available(), 0);
    check_books(&database).await;
}

pub async fn due_holds_expire_before_the_batch_is_decided(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let kept = hold("WATCH", 15, 60);
    answer(&run_one(&database, 0, &kept).await);
    let early = run_one(&database, 59, &place("WATCH", 15)).await;
    assert_eq!(rejection(&early).code(), "insufficient_stock", "a second before, it holds");
    let order = place("WATCH", 15);
    let executed = run(&database, 60, vec![order]).await;
    answer(&executed.outcomes[0]);
    let kinds: Vec<_> =
        executed.committed.expect("two events").events.iter().map(|recorded| recorded.event.kind()).collect();
    assert_eq!(kinds, ["hold.expired", "order.accepted"]);
    let status = database.reads.hold(kept.id).await.expect("read").expect("it is there").status;
    assert_eq!(status, HoldStatus::Expired);
    let confirm = command(service(), json!({"kind": "hold.confirm", "hold_id": kept.id}));
    assert_eq!(*rejection(&run_one(&database, 61, &confirm).await), Rejection::HoldExpired);
    check_books(&database).await;
}

pub async fn more_due_holds_than_a_batch_expires_go_with_the_next(lab: &dyn Lab) {
    let database = furnished(lab).await;
    answer(&run_one(&database, 0, &receive("STRAP", 100_000)).await);
    let count = EXPIRE_PER_BATCH_MAX + 10;
    let holds: Vec<Command> = (0..count).map(|_| hold("STRAP", 1, 60)).collect();
    for batch in holds.chunks(1_000) {
        run(&database, 0, batch.to_vec()).await;
    }
    for expected in [EXPIRE_PER_BATCH_MAX, 10] {
        let executed = run(&database, 60, vec![plan::sweep()]).await;
        assert_eq!(executed.committed.expect("holds expire").events.len(), expected);
    }
    assert!(run(&database, 60, vec![plan::sweep()]).await.committed.is_none());
    check_books(&database).await;
}

pub async fn a_sweep_with_nothing_due_writes_nothing(lab: &dyn Lab) {
    let database = furnished(lab).await;
    answer(&run_one(&database, 0, &hold("WATCH", 1, 60)).await);
    let head = database.store.head().await.expect("the head is read");
    let executed = run(&database, 30, vec![plan::sweep()]).await;
    assert!(executed.committed.is_none());
    assert_eq!(database.store.head().await.expect("the head is read"), head);
    assert!(database.reads.outcome(plan::sweep().id).await.expect("read").is_none());
    check_books(&database).await;
}

pub async fn cancelling_fulfilling_and_returning_are_as_the_log_says(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let (cancelled, partly, returned) = (place("WATCH", 12), place("WATCH", 12), place("STRAP", 3));
    answer(&run_one(&database, 1, &cancelled).await);
    let cancel = command(service(), json!({"kind": "order.cancel", "order_id": cancelled.id}));
    let twice = Command { id: Uuid::now_v7(), ..cancel.clone() };
    assert_eq!(order_in(&run_one(&database, 2, &cancel).await).status, OrderStatus::Cancelled);
    assert_eq!(rejection(&run_one(&database, 2, &twice).await).code(), "wrong_state");
    answer(&run_one(&database, 3, &partly).await);
    answer(&run_one(&database, 3, &returned).await);

    let does = |body| command(staff(), body);
    let some = json!([{"sku": "WATCH", "quantity": 4}]);
    let all_back = json!({"kind": "order.return", "order_id": returned.id, "disposition": "unavailable"});
    let batch = vec![
        does(json!({"kind": "order.fulfil", "order_id": partly.id, "lines": some})),
        does(json!({"kind": "order.fulfil", "order_id": returned.id})),
        does(all_back),
    ];
    let executed = run(&database, 4, batch).await;
    let statuses: Vec<_> = executed.outcomes.iter().map(|outcome| order_in(outcome).status).collect();
    assert_eq!(statuses, [OrderStatus::Accepted, OrderStatus::Fulfilled, OrderStatus::Returned]);
    for outcome in &executed.outcomes[..1] {
        let stored = database.reads.order(partly.id).await.expect("read").expect("it is there");
        assert_eq!(stored.progress, order_in(outcome).progress);
        assert_eq!(stored.progress.fulfilled, 4);
    }
    check_books(&database).await;
    database.store.close().await;
    let database = lab.open().await;
    let rest = does(json!({"kind": "order.fulfil", "order_id": partly.id}));
    assert_eq!(order_in(&run_one(&database, 5, &rest).await).status, OrderStatus::Fulfilled);
    check_books(&database).await;
}

pub async fn a_confirmed_hold_answers_as_hold_and_as_order(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let kept = hold("WATCH", 2, 60);
    let placed = run_one(&database, 1, &kept).await;
    let confirm = command(service(), json!({"kind": "hold.confirm", "hold_id": kept.id}));
    let confirmed = run_one(&database, 2, &confirm).await;
    assert_eq!(order_in(&confirmed).id, kept.id, "the order has the hold's id");
    assert_eq!(seen_again(&placed), seen(&run_one(&database, 3, &kept).await));
    assert_eq!(seen_again(&confirmed), seen(&run_one(&database, 3, &confirm).await));
    let order = database.reads.order(kept.id).await.expect("read").expect("the order");
    assert_eq!(order.status, OrderStatus::Accepted);
    let hold = database.reads.hold(kept.id).await.expect("read").expect("the hold");
    assert_eq!(hold.status, HoldStatus::Confirmed);
    assert!(
        run(&database, 100, vec![plan::sweep()]).await.committed.is_none(),
        "it does not expire any more"
    );
    check_books(&database).await;
}

pub async fn time_in_the_log_never_goes_back(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let late = run(&database, 1_000, vec![place("WATCH", 1)]).await.committed.expect("an event");
    let early = run(&database, 10, vec![place("WATCH", 1)]).await.committed.expect("an event");
    assert_eq!((late.decided_at, early.decided_at), (at(1_000), at(1_000)));
    assert_eq!(database.store.head().await.expect("the head is read").decided_at, at(1_000));
    check_books(&database).await;
}

async fn order_many(database: Database, who: usize) -> usize {
    let mut accepted = 0;
    for _ in 0..20 {
        let commands = (0..10).map(|_| place_for(&format!("customer-{who}"), "STRAP", 1)).collect();
        let executed = database.store.execute(at(1), Arc::new(commands)).await.expect("it is executed");
        accepted += executed.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    }
    accepted
}

pub async fn writers_at_once_keep_the_books(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let tasks: Vec<_> = (0..8).map(|who| tokio::spawn(order_many(database.clone(), who))).collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.expect("the task ends");
    }
    assert_eq!(accepted, 1_000, "of 1,600 wanted, those that were there");
    check_chain(&whole_log(&database).await, &database.store.head().await.expect("the head is read"));
    check_books(&database).await;
}

pub async fn two_openings_of_one_database_see_each_other(lab: &dyn Lab) {
    let one = furnished(lab).await;
    let two = lab.open().await;
    let mut accepted = 0;
    for turn in 0..10 {
        let database = if turn % 2 == 0 { &one } else { &two };
        let executed = run(database, turn, (0..2).map(|_| place("WATCH", 1)).collect()).await;
        accepted += executed.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    }
    assert_eq!(accepted, 15, "what one remembers of the stock is dropped when the other wrote");
    let first = place("STRAP", 1);
    run_one(&one, 20, &first).await;
    assert!(run_one(&two, 20, &first).await.replayed);
    check_books(&one).await;
    check_books(&two).await;
}

pub async fn what_was_committed_is_there_after_reopening(lab: &dyn Lab) {
    let database = furnished(lab).await;
    run(&database, 1, vec![place("WATCH", 2), hold("STRAP", 5, 600), receive("WATCH", 1)]).await;
    let head = database.store.head().await.expect("the head is read");
    let log = whole_log(&database).await;
    database.store.close().await;
    assert!(database.store.head().await.is_err(), "what is closed answers no more");
    assert!(database.store.execute(at(2), Arc::new(vec![place("WATCH", 1)])).await.is_err());

    let database = lab.open().await;
    assert_eq!(database.store.head().await.expect("the head is read"), head);
    assert_eq!(whole_log(&database).await, log);
    check_books(&database).await;
    answer(&run_one(&database, 3, &place("WATCH", 1)).await);
    check_books(&database).await;
}

pub async fn a_rush_on_many_items_keeps_the_books(lab: &dyn Lab) {
    const ITEMS: usize = 300;
    let first = furnished(lab).await;
    furnish_many(&first, ITEMS).await;
    let second = lab.open().await;
    // Far more items than one batch writes the rows of; the same ones again and others; by turns from two openings.
    let rush = async |database: &Database, seconds: i64, skus: std::ops::Range<usize>| {
        let orders = skus.map(|number| place(&format!("SKU-{}", number % ITEMS), 2)).collect();
        for outcome in run(database, seconds, orders).await.outcomes {
            answer(&outcome);
        }
    };
    for turn in 0..6 {
        rush(&first, turn, 0..ITEMS).await;
        rush(&first, turn, 100..350).await;
        run_one(&first, turn, &place("SKU-7", 1)).await;
        check_books(&second).await;
        if turn % 2 == 1 {
            rush(&second, turn, 50..200).await;
        }
    }
    check_books(&first).await;
    // One that was there before others wrote, and one that is opened while the first one still is.
    rush(&first, 7, 0..ITEMS).await;
    let third = lab.open().await;
    rush(&third, 8, 0..ITEMS).await;
    check_books(&third).await;
    let snapshot = third.reads.snapshot().await.expect("read");
    let last = snapshot.skus.iter().find(|state| state.item.sku.as_str() == "SKU-299").expect("it is there");
    assert_eq!(last.available(), 1_000 - (6 * 2 + 2) * 2, "it was ordered fourteen times");
    for database in [first, second, third] {
        database.store.close().await;
    }
    check_books(&lab.open().await).await;
}

pub async fn counters_below_zero_are_refused_by_the_database(lab: &dyn Lab) {
    let database = furnished(lab).await;
    for counter in
        ["on_hand", "held", "allocated", "unavailable", "safety_stock", "incoming", "reorder_point"]
    {
        lab.sql(&format!("UPDATE stock SET {counter} = {counter} + 0")).await.expect("a good value is taken");
        let refused = lab.sql(&format!("UPDATE stock SET {counter} = -1")).await;
        assert!(refused.is_err(), "{counter} may not fall below 0");
    }
    check_books(&database).await;
}
