//! Lists, snapshots and the log, as readers see them.

use holdfast_domain::{Answer, Command, HoldStatus, Order, OrderStatus, Position};
use serde_json::json;
use uuid::Uuid;

use super::books::{check_books, replay, whole_log};
use super::{
    Lab, at, command, furnished, hold, place, place_for, receive, run, run_one, seen, service, sku, staff,
};
use crate::{ClaimFilter, Database, LIST_SCAN_MAX, Pending};

/// All pages of a list, and how many there were.
async fn pages(database: &Database, filter: ClaimFilter<OrderStatus>) -> (Vec<Order>, usize) {
    let mut filter = filter;
    let mut found = Vec::new();
    for count in 1.. {
        let page = database.reads.orders(filter.clone()).await.expect("the page is read");
        assert!(page.items.len() <= filter.limit);
        found.extend(page.items);
        match page.next {
            None => return (found, count),
            next => filter.before = next,
        }
    }
    unreachable!("the list ends")
}

fn ids(orders: &[Order]) -> Vec<Uuid> {
    orders.iter().map(|order| order.id).collect()
}

pub async fn orders_are_listed_newest_first_in_pages(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands: Vec<Command> =
        (0..25).map(|number| place_for(["anna", "bert"][number % 2], "STRAP", 1)).collect();
    run(&database, 1, commands.clone()).await;
    run(&database, 1, vec![place("STRAP", 1_000_000)]).await;
    let newest: Vec<Uuid> = commands.iter().rev().map(|command| command.id).collect();
    let filter = ClaimFilter { limit: 10, ..ClaimFilter::default() };
    let (found, count) = pages(&database, filter.clone()).await;
    assert_eq!((ids(&found[1..]), count), (newest.clone(), 3));
    assert_eq!(found[0].status, OrderStatus::Rejected);

    let accepted = ClaimFilter { status: Some(OrderStatus::Accepted), limit: 25, ..filter.clone() };
    let (found, count) = pages(&database, accepted).await;
    assert_eq!((ids(&found), count), (newest.clone(), 1), "a page that just fits is the last");

    let of_bert = ClaimFilter { customer: Some("bert".to_owned()), limit: 5, ..filter.clone() };
    let (found, count) = pages(&database, of_bert.clone()).await;
    let berts: Vec<Uuid> = newest.iter().skip(1).step_by(2).copied().collect();
    assert_eq!((ids(&found), count), (berts, 3));
    let rejected = ClaimFilter { status: Some(OrderStatus::Rejected), ..of_bert };
    assert!(pages(&database, rejected).await.0.is_empty());
    let of_nobody = ClaimFilter { customer: Some("nobody".to_owned()), ..filter };
    assert!(pages(&database, of_nobody).await.0.is_empty());
}

pub async fn a_rare_status_is_searched_in_bounded_steps(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let rare = place("STRAP", 1);
    run_one(&database, 1, &rare).await;
    let common: Vec<Command> = (0..LIST_SCAN_MAX + 500).map(|_| place("WATCH", 16)).collect();
    for batch in common.chunks(1_000) {
        run(&database, 2, batch.to_vec()).await;
    }
    let filter = ClaimFilter { status: Some(OrderStatus::Accepted), limit: 10, ..ClaimFilter::default() };
    let page = database.reads.orders(filter.clone()).await.expect("the page is read");
    assert!(page.items.is_empty() && page.next.is_some(), "a short page that goes on");
    let (found, count) = pages(&database, filter).await;
    assert_eq!((ids(&found), count), (vec![rare.id], 2));
}

pub async fn holds_are_listed_and_the_next_expiry_is_known(lab: &dyn Lab) {
    let database = furnished(lab).await;
    assert_eq!(database.store.next_expiry().await.expect("read"), None);
    let holds = [hold("STRAP", 1, 300), hold("STRAP", 1, 100), hold("STRAP", 1, 200)];
    run(&database, 0, holds.to_vec()).await;
    assert_eq!(database.store.next_expiry().await.expect("read"), Some(at(100)));
    let release = command(service(), json!({"kind": "hold.release", "hold_id": holds[1].id}));
    let extend =
        command(service(), json!({"kind": "hold.extend", "hold_id": holds[2].id, "ttl_seconds": 400}));
    run(&database, 1, vec![release, extend]).await;
    assert_eq!(database.store.next_expiry().await.expect("read"), Some(at(300)));
    let filter = ClaimFilter { status: Some(HoldStatus::Held), limit: 1, ..ClaimFilter::default() };
    let page = database.reads.holds(filter.clone()).await.expect("the page is read");
    assert_eq!((page.items[0].id, page.items[0].expires_at), (holds[2].id, at(401)));
    let filter = ClaimFilter { before: page.next, ..filter };
    assert!(filter.before.is_some());
    let page = database.reads.holds(filter).await.expect("the page is read");
    assert_eq!((page.items[0].id, page.items.len(), page.next), (holds[0].id, 1, None));
    check_books(&database).await;
}

pub async fn pending_orders_are_listed_in_pages(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands: Vec<Command> =
        (0..5).map(|number| place_for(["anna", "bert"][number % 2], "STRAP", 1)).collect();
    let receipt = receive("STRAP", 1);
    let pending = commands.iter().chain([&receipt]);
    let pending = pending.map(|command| Pending { command: command.clone(), since: at(1) }).collect();
    database.store.add_pending(pending).await.expect("recorded");
    let filter = ClaimFilter { status: Some(OrderStatus::Pending), limit: 2, ..ClaimFilter::default() };
    let (found, count) = pages(&database, filter.clone()).await;
    let newest: Vec<Uuid> = commands.iter().rev().map(|command| command.id).collect();
    assert_eq!((ids(&found), count), (newest.clone(), 3), "orders alone, newest first");
    let of_anna = ClaimFilter { customer: Some("anna".to_owned()), ..filter.clone() };
    let (found, _) = pages(&database, of_anna).await;
    assert_eq!(ids(&found), newest.iter().step_by(2).copied().collect::<Vec<_>>());
    run(&database, 2, commands).await;
    assert!(pages(&database, filter).await.0.is_empty());
}

pub async fn the_log_is_read_in_pieces(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let mut ends = Vec::new();
    for _ in 0..6 {
        let executed = run(&database, 1, (0..3).map(|_| place("STRAP", 1)).collect()).await;
        ends.push(executed.committed.expect("events").last);
    }
    let read = |after, bytes| database.reads.log(after, bytes);
    let one = read(Position(0), 0).await.expect("read");
    assert_eq!(
        (one.len(), one[0].first),
        (1, Position(1)),
        "at least one batch, however little is asked for"
    );
    let inside = Position(ends[0].0 - 1);
    let rest = read(inside, usize::MAX).await.expect("read");
    assert_eq!(
        rest.iter().map(|batch| batch.last).collect::<Vec<_>>(),
        ends,
        "with the batch that it is within"
    );
    let two = read(ends[0], rest[1].payload.len() + 1).await.expect("read");
    assert_eq!(two.len(), 2, "the piece ends with the batch that fills it");
    assert!(read(ends[5], usize::MAX).await.expect("read").is_empty());
    check_books(&database).await;
}

pub async fn a_snapshot_is_what_the_log_says(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let price = json!({"amount": 5, "currency": "INR"});
    let does = [
        json!({"kind": "stock.levels", "sku": "WATCH", "location": "WEST", "safety_stock": 2, "reorder_point": 4}),
        json!({"kind": "stock.incoming", "sku": "WATCH", "location": "EAST", "delta": 40}),
        json!({"kind": "stock.unavailable", "sku": "WATCH", "location": "EAST", "delta": 3, "reason": "quarantine"}),
        json!({"kind": "item.add", "sku": "Old.one", "brand": "Héritage", "model": "\"1\"", "price": price,
               "attributes": {"Größe": "38 mm"}, "image_url": "/old.webp", "max_per_order": 2}),
        json!({"kind": "item.remove", "sku": "Old.one"}),
        json!({"kind": "stock.count", "sku": "WATCH", "location": "EAST", "counted": 1}),
    ];
    let mut commands = vec![place("WATCH", 12), hold("WATCH", 1, 60)];
    commands.extend(does.into_iter().map(|body| command(staff(), body)));
    for outcome in run(&database, 1, commands).await.outcomes {
        super::answer(&outcome);
    }
    let snapshot = database.reads.snapshot().await.expect("the snapshot is read");
    let ledger = replay(&whole_log(&database).await);
    for state in &snapshot.skus {
        assert_eq!(ledger.sku(&state.item.sku), Some(state));
    }
    let names: Vec<_> = snapshot.skus.iter().map(|state| state.item.sku.as_str()).collect();
    assert_eq!(names, ["Old.one", "STRAP", "WATCH"], "archived items too, sorted by code point");
    let watch = ledger.sku(&sku("WATCH")).expect("it is there");
    assert!(watch.stock[0].shortage() > 0, "a count below what was promised is a shortage, not an error");
    check_books(&database).await;
}

pub async fn outcomes_are_found_wherever_they_are_kept(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let commands = [
        place("WATCH", 1),
        place("WATCH", 99),
        hold("WATCH", 1, 60),
        hold("WATCH", 99, 60),
        receive("WATCH", 1),
    ];
    let executed = run(&database, 1, commands.to_vec()).await;
    for (command, outcome) in commands.iter().zip(&executed.outcomes) {
        let (actor, found) = database.reads.outcome(command.id).await.expect("read").expect("it is known");
        assert_eq!(actor, command.actor.name);
        assert_eq!(seen(&found), seen(outcome));
    }
    assert!(matches!(super::answer(&executed.outcomes[2]), Answer::Hold(_)));
    assert!(database.reads.outcome(Uuid::now_v7()).await.expect("read").is_none());
}

pub async fn commands_that_were_decided_are_told_from_others(lab: &dyn Lab) {
    let database = furnished(lab).await;
    let (taken, refused, unsent) = (receive("WATCH", 1), receive("NONE", 1), receive("WATCH", 1));
    run(&database, 1, vec![taken.clone(), refused.clone()]).await;
    let asked = vec![unsent.id, refused.id, taken.id];
    let mut found = database.reads.decided(asked).await.expect("read");
    found.sort_unstable();
    let mut expected = vec![taken.id, refused.id];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(database.reads.decided(Vec::new()).await.expect("read").is_empty());
}
