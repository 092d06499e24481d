//! What is not decided yet, what is forgotten, and what followers keep.

use std::sync::Arc;

use holdfast_domain::{Command, Movement, OrderStatus, Position, Rejection, movements_of};
use uuid::Uuid;

use super::books::{check_books, whole_log};
use super::{
    Lab, answer, at, furnish_many, furnished, hold, order_in, place, place_for, receive, rejection, run,
    run_one, seen, seen_again, sku,
};
use crate::{Database, OUTCOME_HOURS, Pending};

const DAY: i64 = OUTCOME_HOURS * 3_600;

pub async fn outcomes_are_forgotten_after_a_day_and_orders_never(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let furniture = 4;
    let receipts: Vec<Command> = (0..5).map(|_| receive("WATCH", 1)).collect();
    let (order, late) = (place("WATCH", 1), receive("WATCH", 1));
    run(&database, 10, receipts.iter().cloned().chain([order.clone()]).collect()).await;
    run_one(&database, 11, &late).await;
    let prune = |seconds: i64, limit| database.store.prune_outcomes(at(seconds), limit);
    assert_eq!(prune(10 + DAY, 100).await.expect("pruned"), furniture, "a day is not over");
    assert!(run_one(&database, 10 + DAY, &receipts[0]).await.replayed);
    assert_eq!(prune(11 + DAY, 3).await.expect("pruned"), 3, "in small batches");
    assert_eq!(prune(11 + DAY, 3).await.expect("pruned"), 2);
    assert_eq!(prune(11 + DAY, 3).await.expect("pruned"), 0);
    assert!(!run_one(&database, 11 + DAY, &receipts[0]).await.replayed, "it is forgotten");
    assert!(run_one(&database, 11 + DAY, &late).await.replayed);
    assert!(run_one(&database, 100 * DAY, &order).await.replayed, "an order is remembered for ever");
    check_books(&database).await;
}

fn pending(command: &Command, seconds: i64) -> Pending {
    Pending { command: command.clone(), since: at(seconds) }
}

async fn status(database: &Database, id: Uuid) -> Option<OrderStatus> {
    database.reads.order(id).await.expect("the order is read").map(|order| order.status)
}

pub async fn a_pending_order_is_readable_until_it_is_decided(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let (order, receipt) = (place_for("carla", "WATCH", 2), receive("WATCH", 1));
    assert_eq!(status(&database, order.id).await, None);
    for new in [2, 0] {
        let both = vec![pending(&order, 5), pending(&receipt, 5)];
        assert_eq!(database.store.add_pending(both).await.expect("recorded, once and again"), new);
    }
    let shown = database.reads.order(order.id).await.expect("read").expect("it is pending");
    assert_eq!((shown.status, shown.placed_at), (OrderStatus::Pending, at(5)));
    assert_eq!(shown.customer.as_ref().map(|customer| customer.as_str()), Some("carla"));
    assert_eq!(shown.lines[0].quantity, 2);
    assert_eq!(database.reads.pending(receipt.id).await.expect("read"), Some(pending(&receipt, 5)));
    database.store.close().await;

    let database = lab.open().await;
    assert_eq!(status(&database, order.id).await, Some(OrderStatus::Pending), "also after a restart");
    run(&database, 6, vec![order.clone(), receipt.clone()]).await;
    assert_eq!(status(&database, order.id).await, Some(OrderStatus::Accepted));
    for id in [order.id, receipt.id] {
        assert_eq!(database.reads.pending(id).await.expect("read"), None);
    }
    check_books(&database).await;
}

pub async fn what_is_decided_does_not_become_pending_again(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands = [place("WATCH", 2), hold("WATCH", 1, 60), receive("WATCH", 1)];
    run(&database, 1, commands.to_vec()).await;
    let late = commands.iter().map(|command| pending(command, 2)).collect();
    assert_eq!(database.store.add_pending(late).await.expect("recorded"), 0);
    // Nor under another id, if the key is known.
    let keyed = |command: &Command| Command { id: Uuid::now_v7(), key: Some(command.id), ..command.clone() };
    let keyed: Vec<Command> = commands.iter().map(keyed).collect();
    let late = keyed.iter().map(|command| pending(command, 2)).collect();
    assert_eq!(database.store.add_pending(late).await.expect("recorded"), 0);
    for command in &commands {
        assert_eq!(database.reads.pending(command.id).await.expect("read"), None);
        database.store.remove_pending(at(2), command.id).await.expect("nothing is there to remove");
        assert!(run_one(&database, 3, command).await.result.is_ok(), "what was decided stays decided");
    }
    assert_eq!(status(&database, commands[0].id).await, Some(OrderStatus::Accepted));
    check_books(&database).await;
}

pub async fn an_order_that_cannot_be_decided_is_rejected(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let order = Command { key: Some(Uuid::now_v7()), ..place_for("carla", "WATCH", 2) };
    database.store.add_pending(vec![pending(&order, 1)]).await.expect("recorded");
    let before = database.store.head().await.expect("the head is read");
    for _ in 0..2 {
        database.store.remove_pending(at(2), order.id).await.expect("settled, once and again");
    }
    let head = database.store.head().await.expect("the head is read");
    assert_eq!(head.position, before.position.plus(1), "it is in the log, once");
    let stored = database.reads.order(order.id).await.expect("read").expect("it is there");
    assert_eq!(stored.status, OrderStatus::Rejected);
    assert_eq!(stored.code.as_ref().map(|code| code.0.as_str()), Some("not_processable"));
    assert_eq!(stored.customer.as_ref().map(|customer| customer.as_str()), Some("carla"));
    assert_eq!(database.reads.pending(order.id).await.expect("read"), None);
    // The catalogue in the writer's memory is older than the head now, and must be read again.
    let again = run_one(&database, 2, &order).await;
    assert!(again.replayed);
    assert_eq!(rejection(&again).code(), "not_processable");
    order_in(&run_one(&database, 3, &place("WATCH", 15)).await);
    check_books(&database).await;
}

pub async fn another_command_that_cannot_be_decided_has_an_outcome(lab: &dyn Lab) {
    let database = furnished(lab).await;
    for command in [receive("WATCH", 1), hold("WATCH", 1, 60)] {
        database.store.add_pending(vec![pending(&command, 1)]).await.expect("recorded");
        database.store.remove_pending(at(2), command.id).await.expect("settled");
        let (actor, outcome) = database.reads.outcome(command.id).await.expect("read").expect("an outcome");
        assert_eq!(actor, command.actor.name);
        assert!(matches!(rejection(&outcome), Rejection::NotProcessable { .. }));
        assert_eq!(database.reads.pending(command.id).await.expect("read"), None);
        assert_eq!(seen_again(&outcome), seen(&run_one(&database, 2, &command).await));
    }
    check_books(&database).await;
}

pub async fn old_pending_commands_come_oldest_first(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands: Vec<Command> = (0..5).map(|_| place("WATCH", 1)).collect();
    for (command, since) in commands.iter().zip([30, 10, 50, 20, 40]) {
        database.store.add_pending(vec![pending(command, since)]).await.expect("recorded");
    }
    let since = |found: Vec<Pending>| found.iter().map(|pending| pending.since).collect::<Vec<_>>();
    let found = database.store.pending_before(at(40), 10).await.expect("read");
    assert_eq!(since(found), [at(10), at(20), at(30)]);
    let found = database.store.pending_before(at(100), 2).await.expect("read");
    assert_eq!(since(found), [at(10), at(20)]);
}

/// The movements that the whole log makes, in its order.
async fn movements_of_log(database: &Database) -> Vec<Movement> {
    let mut movements = Vec::new();
    for batch in whole_log(database).await {
        let events = batch.events().expect("the events are read");
        for (recorded, position) in events.iter().zip(batch.first.0..) {
            let position = Position(position);
            movements.extend(movements_of(recorded, position, batch.decided_at, |_, _| 7));
        }
    }
    movements
}

pub async fn movements_are_applied_once(lab: &dyn Lab) {
    let database = furnished(lab).await;
    run(&database, 1, vec![place("WATCH", 15), receive("WATCH", 4), receive("STRAP", 9)]).await;
    let movements = movements_of_log(&database).await;
    let of_watch: Vec<Movement> =
        movements.iter().filter(|movement| movement.sku == sku("WATCH")).cloned().collect();
    assert_eq!(of_watch.len(), 5, "two receipts with the item, two allocations of the order, one receipt");
    let (half, end) =
        (movements[2].position, database.store.head().await.expect("the head is read").position);
    let first_half: Vec<Movement> =
        movements.iter().filter(|movement| movement.position <= half).cloned().collect();
    assert_eq!(database.reads.movements_cursor().await.expect("read"), Position(0));
    database.store.apply_movements(first_half.clone(), half).await.expect("applied");
    // The whole log again, from the beginning: what is there already is not there twice.
    database.store.apply_movements(movements.clone(), end).await.expect("applied");
    database.store.apply_movements(first_half, half).await.expect("ignored");
    assert_eq!(database.reads.movements_cursor().await.expect("read"), end, "the cursor does not go back");

    assert_eq!(listed_in_pages(&database).await, of_watch, "newest first, in pages");
    let on_hand = |location: &'static str| {
        let database = database.clone();
        let place = (sku("WATCH"), location.parse().expect("a location code"));
        async move {
            let found = database.reads.last_on_hand(vec![place.clone()]).await.expect("read");
            found.first().map(|(found, on_hand)| {
                assert_eq!(*found, place);
                *on_hand
            })
        }
    };
    assert_eq!(on_hand("EAST").await, Some(14));
    assert_eq!(on_hand("WEST").await, Some(5), "an allocation leaves on hand as it is, whatever it says");
    assert_eq!(on_hand("NORTH").await, None);
}

/// Movements of WATCH, oldest first, read in pages of two.
async fn listed_in_pages(database: &Database) -> Vec<Movement> {
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = database.reads.movements(&sku("WATCH"), before, 2).await.expect("read");
        let Some((number, last)) = page.last() else { break };
        before = Some((last.position, *number));
        listed.extend(page.into_iter().map(|(_, movement)| movement));
    }
    listed.reverse();
    listed
}

pub async fn movements_are_found_however_far_apart(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let first = movements_of_log(&database).await.into_iter().find(|movement| movement.sku == sku("WATCH"));
    let first = first.expect("it came with units");
    let at = |position: u64| Movement { position: Position(position), ..first.clone() };
    let far: Vec<Movement> =
        [5, 16_383, 16_384, 16_384, 40_000, 900_000, 5_000_000, 5_000_001].map(at).to_vec();
    database.store.apply_movements(far.clone(), Position(6_000_000)).await.expect("applied");
    assert_eq!(listed_in_pages(&database).await, far);
    let nothing = database.reads.movements(&sku("STRAP"), None, 10).await.expect("read");
    assert!(nothing.is_empty());
}

pub async fn cursors_are_kept_by_name(lab: &dyn Lab) {
    let database = lab.open().await;
    assert_eq!(database.store.cursor("relay").await.expect("read"), Position(0));
    database.store.save_cursor("relay", Position(7)).await.expect("saved");
    database.store.save_cursor("audit", Position(9)).await.expect("saved");
    database.store.save_cursor("relay", Position(8)).await.expect("saved");
    database.store.close().await;
    let database = lab.open().await;
    assert_eq!(database.store.cursor("relay").await.expect("read"), Position(8));
    assert_eq!(database.store.cursor("audit").await.expect("read"), Position(9));
    let executed =
        database.store.execute(at(1), Arc::new(vec![crate::plan::sweep()])).await.expect("executed");
    answer(&executed.outcomes[0]);
}

/// What an older version left is used on. `back` makes a database of this version one of the first.
pub async fn check_upgrade(lab: &dyn Lab, back: &[&str]) {
    let database = furnished(lab).await;
    furnish_many(&database, 100).await;
    run(&database, 1, (0..100).map(|number| place(&format!("SKU-{number}"), 1)).collect()).await;
    let movements = movements_of_log(&database).await;
    let head = database.store.head().await.expect("the head is read").position;
    database.store.apply_movements(movements, head).await.expect("applied");
    let before = listed_in_pages(&database).await;
    database.store.close().await;
    for statement in back {
        lab.sql(statement).await.expect("changed back");
    }
    let database = lab.open().await;
    check_books(&database).await;
    assert_eq!(listed_in_pages(&database).await, before);
    run(&database, 2, (0..100).map(|number| place(&format!("SKU-{number}"), 1)).collect()).await;
    run(&database, 3, (50..100).map(|number| place(&format!("SKU-{number}"), 1)).collect()).await;
    check_books(&database).await;
}
