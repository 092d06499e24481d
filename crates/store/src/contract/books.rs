//! The books: the log replayed from its beginning, against everything that is derived from it.

use std::collections::{HashMap, HashSet};

use holdfast_domain::{Hold, Ledger, Order, Position, SkuState, Timestamp};
use uuid::Uuid;

use crate::{Database, Head, LogBatch, chain_hash};

/// Reads the whole log, in small pieces.
pub(crate) async fn whole_log(database: &Database) -> Vec<LogBatch> {
    let mut batches: Vec<LogBatch> = Vec::new();
    loop {
        let after = batches.last().map_or(Position(0), |batch| batch.last);
        let piece = database.reads.log(after, 10_000).await.expect("the log is read");
        if piece.is_empty() {
            return batches;
        }
        batches.extend(piece);
    }
}

/// Positions dense from 1, hashes chained, times in order, up to the head.
pub(crate) fn check_chain(batches: &[LogBatch], head: &Head) {
    let mut end = Head { position: Position(0), decided_at: Timestamp(0), hash: [0; 32] };
    for batch in batches {
        assert_eq!(batch.first, end.position.plus(1), "positions are dense");
        let events = batch.events().expect("the events are read");
        assert_eq!(batch.last, end.position.plus(events.len()), "a batch has an event for each position");
        assert!(batch.decided_at >= end.decided_at, "time goes on");
        let hash = chain_hash(&end.hash, batch.first, batch.last, batch.decided_at, &batch.payload);
        assert_eq!(batch.hash, hash, "the hash of the batch that ends at {}", batch.last);
        end = Head { position: batch.last, decided_at: batch.decided_at, hash };
    }
    assert_eq!(*head, end, "the head is where the log ends");
}

/// The ledger that the log makes.
pub(crate) fn replay(batches: &[LogBatch]) -> Ledger {
    let mut ledger = Ledger::new(Timestamp(0));
    for batch in batches {
        ledger.now = batch.decided_at;
        let mut position = batch.first;
        for recorded in batch.events().expect("the events are read") {
            ledger.evolve(&recorded, position);
            position = position.plus(1);
        }
    }
    ledger
}

/// Proves that log, counters, orders and holds say the same, and nothing is promised that was not there.
pub(crate) async fn check_books(database: &Database) {
    let head = database.store.head().await.expect("the head is read");
    assert_eq!(database.reads.head_of_reads().await.expect("the head is read"), head);
    let batches = whole_log(database).await;
    check_chain(&batches, &head);
    let ledger = replay(&batches);

    let snapshot = database.reads.snapshot().await.expect("the snapshot is read");
    assert_eq!(snapshot.position, head.position);
    assert_eq!(snapshot.locations, ledger.locations().cloned().collect::<Vec<_>>());
    let in_tables: HashMap<_, SkuState> =
        snapshot.skus.into_iter().map(|state| (state.item.sku.clone(), state)).collect();
    let in_log: HashMap<_, SkuState> =
        ledger.skus().map(|(sku, state)| (sku.clone(), state.clone())).collect();
    assert_eq!(in_tables, in_log);

    let orders = all_orders(database).await;
    assert_eq!(orders.len(), ledger.touched().new_orders.len(), "every decided order is there, once");
    for order in &orders {
        assert_eq!(Some(order), ledger.order(order.id), "an order is as the log says");
    }
    let holds = all_holds(database).await;
    assert_eq!(holds.len(), ledger.touched().new_holds.len(), "every hold is there, once");
    for hold in &holds {
        assert_eq!(Some(hold), ledger.hold(hold.id), "a hold is as the log says");
    }
}

pub(crate) async fn all_orders(database: &Database) -> Vec<Order> {
    let mut orders: Vec<Order> = Vec::new();
    loop {
        let after = orders.last().map(|order| order.id);
        let page = database.reads.orders_after(after, 700).await.expect("orders are read");
        if page.is_empty() {
            check_sorted(orders.iter().map(|order| order.id));
            return orders;
        }
        orders.extend(page);
    }
}

async fn all_holds(database: &Database) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    loop {
        let after = holds.last().map(|hold| hold.id);
        let page = database.reads.holds_after(after, 700).await.expect("holds are read");
        if page.is_empty() {
            check_sorted(holds.iter().map(|hold| hold.id));
            return holds;
        }
        holds.extend(page);
    }
}

fn check_sorted(ids: impl Iterator<Item = Uuid>) {
    let ids: Vec<Uuid> = ids.collect();
    assert!(ids.is_sorted(), "rows come by id");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "and each once");
}
