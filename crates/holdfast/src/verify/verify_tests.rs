//! A shop with every kind of event, and every kind of damage to its real file.

use std::path::Path;

use holdfast_store::{LogBatch, chain_hash};
use rusqlite::{Connection, params};
use serde_json::json;

use super::*;
use crate::follow::testing::{Shop, item, order};

const ORDER: Uuid = Uuid::from_u128(1);
const PARTLY: Uuid = Uuid::from_u128(2);
const HOLD: Uuid = Uuid::from_u128(3);

/// Everything that can happen, at least once.
async fn busy_shop() -> Shop {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 20), item("B", "Casio", "G-Shock", 500, 5)]).await;
    shop.run([
        json!({"kind": "stock.receive", "sku": "A", "location": "SOUTH", "quantity": 3}),
        json!({"kind": "stock.levels", "sku": "A", "location": "NORTH", "safety_stock": 1, "reorder_point": 2}),
        json!({"kind": "stock.transfer", "sku": "A", "from": "NORTH", "to": "SOUTH", "quantity": 2}),
        json!({"kind": "stock.unavailable", "sku": "A", "location": "SOUTH", "delta": 1, "reason": "quarantine"}),
        json!({"kind": "stock.incoming", "sku": "A", "location": "SOUTH", "delta": 7}),
        json!({"kind": "stock.adjust", "sku": "B", "location": "NORTH", "delta": -1, "reason": "loss"}),
    ])
    .await;
    let both = json!([{"sku": "A", "quantity": 19}, {"sku": "B", "quantity": 1}]);
    shop.run([
        json!({"kind": "order.place", "id": ORDER, "customer": "c-1", "lines": both}),
        json!({"kind": "order.place", "id": PARTLY, "lines": [{"sku": "B", "quantity": 9}], "allow_partial": true}),
    ])
    .await;
    let refused =
        shop.execute([order(Uuid::from_u128(4), "B", 1), order(Uuid::from_u128(5), "NONE", 1)]).await;
    assert!(refused.outcomes.iter().all(|outcome| outcome.result.is_err()));
    shop.run([json!({"kind": "order.fulfil", "order_id": ORDER, "lines": [{"sku": "B", "quantity": 1}]})])
        .await;
    shop.run([json!({"kind": "order.fulfil", "order_id": ORDER})]).await;
    shop.run([
        json!({"kind": "order.return", "order_id": ORDER, "lines": [{"sku": "A", "quantity": 2, "location": "SOUTH"}], "disposition": "unavailable"}),
        json!({"kind": "order.return", "order_id": ORDER, "lines": [{"sku": "A", "quantity": 1}], "disposition": "restock"}),
        json!({"kind": "order.cancel", "order_id": PARTLY}),
    ])
    .await;
    let hold = |id: u128| json!({"kind": "hold.place", "id": Uuid::from_u128(id), "lines": [{"sku": "B", "quantity": 1}], "ttl_seconds": 60});
    shop.run([hold(3), hold(6), hold(7)]).await;
    shop.run([
        json!({"kind": "hold.extend", "hold_id": HOLD, "ttl_seconds": 600}),
        json!({"kind": "hold.release", "hold_id": Uuid::from_u128(6)}),
    ])
    .await;
    // Less is there than was promised: a shortage, no oversell. The confirmation still stands.
    shop.run([json!({"kind": "stock.count", "sku": "B", "location": "NORTH", "counted": 0})]).await;
    shop.run([json!({"kind": "hold.confirm", "hold_id": HOLD})]).await;
    shop.pass_seconds(120);
    shop.run([
        json!({"kind": "item.update", "sku": "A", "price": {"amount": 900, "currency": "INR"}}),
        item("C", "Fossil", "Grant", 700, 1),
        json!({"kind": "item.remove", "sku": "C"}),
        json!({"kind": "location.put", "code": "SOUTH", "name": "South", "priority": 3}),
        order(Uuid::from_u128(8), "A", 1),
    ])
    .await;
    shop
}

async fn difference(shop: &Shop) -> String {
    let error = verify(&shop.database, None).await.expect_err("the damage is found");
    error.to_string()
}

/// What `verify` says of a busy shop after `damage` was done to its file.
async fn after(damage: impl FnOnce(&Connection)) -> String {
    let shop = busy_shop().await;
    damage(&Connection::open(&shop.path).expect("the file opens"));
    difference(&shop).await
}

fn run(connection: &Connection, sql: &str) {
    let changed = connection.execute(sql, []).expect("the damage can be done");
    assert_eq!(changed, 1, "{sql}");
}

#[tokio::test]
async fn a_whole_shop_is_whole_and_its_figures_are_right() {
    let shop = busy_shop().await;
    let report = verify(&shop.database, None).await.expect("nothing is wrong");
    let head = shop.database.store.head().await.expect("a head");
    assert_eq!((report.position, report.hash, report.events), (head.position, head.hash, head.position.0));
    // Six were placed, one came of a hold.
    assert_eq!((report.orders, report.holds, report.skus), (6, 3, 3));
    // A: 20 + 3 - 19 left + 3 back; B: counted 0; C: 1.
    assert_eq!(report.units, 7 + 1);
    verify(&shop.database, Some((report.position, report.hash))).await.expect("the head is as expected");
    let first = &shop.database.reads.log(Position(0), 1).await.expect("a log")[0];
    verify(&shop.database, Some((first.last, first.hash))).await.expect("the first batch is as expected");
    assert!(report.to_string().ends_with(&format!("{}:{}", head.position, hex(&head.hash))), "{report}");
}

#[tokio::test]
async fn another_log_than_the_expected_one_is_refused() {
    let shop = busy_shop().await;
    let head = shop.database.store.head().await.expect("a head");
    for (position, says) in [
        (head.position, "not the expected"),
        (Position(1), "within the batch"),
        (head.position.plus(1), "before the expected"),
    ] {
        let error = verify(&shop.database, Some((position, [7; 32]))).await.expect_err("another log");
        assert!(error.to_string().contains(says), "{position}: {error}");
    }
}

#[tokio::test]
async fn an_empty_database_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open_sqlite(&folder.path().join("new.db")).await.expect("it opens");
    assert_eq!(verify(&database, None).await.expect("nothing is wrong").events, 0);
}

#[tokio::test]
async fn every_damaged_table_is_found_and_named() {
    let blob = |id: Uuid| format!("x'{}'", id.simple());
    let order = blob(ORDER);
    let hold = blob(Uuid::from_u128(7));
    let order_body = |path: &str, value: &str| {
        format!("UPDATE orders SET body = json_set(body, '$.{path}', {value}) WHERE id = {order}")
    };
    let cases: Vec<(String, &str)> = vec![
        (
            "UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'A' AND location = 'NORTH'".into(),
            "A at NORTH: on hand is",
        ),
        ("UPDATE stock SET held = held + 1 WHERE sku = 'B'".into(), "B at NORTH: held is"),
        (
            "UPDATE stock SET allocated = allocated + 1 WHERE sku = 'A' AND location = 'SOUTH'".into(),
            "A at SOUTH: allocated is",
        ),
        (
            "UPDATE stock SET unavailable = 0 WHERE sku = 'A' AND location = 'SOUTH'".into(),
            "A at SOUTH: unavailable is 0",
        ),
        (
            "UPDATE stock SET safety_stock = 0 WHERE sku = 'A' AND location = 'NORTH'".into(),
            "safety stock is 0",
        ),
        ("UPDATE stock SET incoming = 8 WHERE sku = 'A' AND location = 'SOUTH'".into(), "incoming is 8"),
        (
            "UPDATE stock SET reorder_point = 0 WHERE sku = 'A' AND location = 'NORTH'".into(),
            "reorder point is 0",
        ),
        (
            "DELETE FROM stock WHERE sku = 'A' AND location = 'SOUTH'".into(),
            "the row of A at SOUTH is missing",
        ),
        ("DELETE FROM items WHERE sku = 'C'".into(), "C has stock and is no item"),
        ("DELETE FROM locations WHERE code = 'SOUTH'".into(), "The log makes 2 locations, the tables have 1"),
        ("UPDATE items SET body = json_set(body, '$.price.amount', 1) WHERE sku = 'A'".into(), "Item A is"),
        (order_body("status", "'cancelled'"), "its status is cancelled in the tables, but fulfilled"),
        (order_body("total.amount", "1"), "its total is 1 in the tables"),
        (order_body("lines[0].quantity", "18"), "its line of A has 18 units"),
        (order_body("lines[0].unit_price.amount", "1"), "a line is"),
        (order_body("lines[0].allocations[0].returned", "9"), "9 returned) in the tables"),
        (order_body("progress.fulfilled", "1"), "fulfilled is 1 in the tables, but 20"),
        (order_body("customer", "'c-2'"), "who it is for"),
        (
            format!("UPDATE orders SET body = json_remove(body, '$.lines[1]') WHERE id = {order}"),
            "miss its line of B",
        ),
        (format!("DELETE FROM orders WHERE id = {order}"), "is in the log but not in the tables"),
        (
            format!(
                "INSERT INTO orders SELECT 9999, x'{0}', status, customer, json_set(body, '$.id', '{0}'), fingerprint FROM orders WHERE id = {order}",
                Uuid::from_u128(99).simple()
            ),
            "is in the tables but not in the log",
        ),
        (
            format!("UPDATE holds SET body = json_set(body, '$.status', 'held') WHERE id = {hold}"),
            "its status is held in the tables, but expired",
        ),
        (
            format!(
                "UPDATE holds SET body = json_set(body, '$.expires_at', '2030-01-01T00:00:00.000000Z') WHERE id = {hold}"
            ),
            "its expiry is 2030",
        ),
        (format!("DELETE FROM holds WHERE id = {hold}"), "is in the log but not in the tables"),
        ("UPDATE log_head SET hash = zeroblob(32)".into(), "The head of the log"),
        ("UPDATE log_head SET decided_at = decided_at + 1".into(), "is dated"),
    ];
    for (sql, says) in cases {
        let said = after(|connection| run(connection, &sql)).await;
        assert!(said.contains(says), "{sql}\n  {said}");
    }
}

#[tokio::test]
async fn one_changed_byte_of_the_log_breaks_the_chain() {
    let said = after(|connection| {
        run(connection, "UPDATE log SET payload = CAST(replace(CAST(payload AS TEXT), '\"counted\":0', '\"counted\":1') AS BLOB) \
            WHERE CAST(payload AS TEXT) LIKE '%\"counted\":0%'");
    })
    .await;
    assert!(said.contains("The hash chain breaks"), "{said}");
}

#[tokio::test]
async fn a_missing_batch_is_a_hole_and_a_missing_end_is_named() {
    let middle = "DELETE FROM log WHERE last_position = (SELECT last_position FROM log ORDER BY last_position LIMIT 1 OFFSET 3)";
    let said = after(|connection| run(connection, middle)).await;
    assert!(said.contains("has a hole"), "{said}");
    let end = "DELETE FROM log WHERE last_position = (SELECT max(last_position) FROM log)";
    let said = after(|connection| run(connection, end)).await;
    assert!(said.contains("The log ends at"), "{said}");
}

#[tokio::test]
async fn two_swapped_batches_break_the_chain() {
    let shop = busy_shop().await;
    let batches = shop.database.reads.log(Position(0), usize::MAX).await.expect("a log");
    let long = |batch: &&LogBatch| batch.last.0 - batch.first.0 == 0;
    let pair: Vec<&LogBatch> = batches.iter().filter(long).take(2).collect();
    let connection = Connection::open(&shop.path).expect("the file opens");
    for (place, content) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        let sql = "UPDATE log SET payload = ?1, hash = ?2 WHERE last_position = ?3";
        let parameters = params![content.payload, content.hash, place.last.0 as i64];
        assert_eq!(connection.execute(sql, parameters).expect("swapped"), 1);
    }
    let said = difference(&shop).await;
    assert!(said.contains("The hash chain breaks"), "{said}");
}

/// Appends a batch as a forger would who knows the chain: hashes and head are right.
pub(crate) async fn forge(shop: &Shop, event: serde_json::Value) {
    let head = shop.database.store.head().await.expect("a head");
    let payload = json!({"v": 1, "events": [{"event": event, "actor": "forger"}]}).to_string().into_bytes();
    let position = head.position.plus(1);
    let hash = chain_hash(&head.hash, position, position, head.decided_at, &payload);
    let connection = Connection::open(Path::new(&shop.path)).expect("the file opens");
    let sql = "INSERT INTO log (last_position, first_position, decided_at, payload, hash) VALUES (?1, ?1, ?2, ?3, ?4)";
    connection.execute(sql, params![position.0 as i64, head.decided_at.0, payload, hash]).expect("appended");
    connection
        .execute("UPDATE log_head SET position = ?1, hash = ?2", params![position.0 as i64, hash])
        .expect("moved");
}

#[tokio::test]
async fn a_log_with_a_whole_chain_that_contradicts_itself_is_found() {
    let lines = |quantity: i64| {
        json!([{"sku": "A", "quantity": quantity, "unit_price": {"amount": 900, "currency": "INR"},
        "allocations": [{"location": "NORTH", "quantity": quantity}]}])
    };
    let accepted = |id: u128, quantity: i64, total: i64| {
        json!({"order.accepted": {"order_id": Uuid::from_u128(id), "lines": lines(quantity),
        "total": {"amount": total, "currency": "INR"}, "fingerprint": vec![0; 16]}})
    };
    let parts = json!([{"sku": "B", "location": "NORTH", "quantity": 1}]);
    for (event, says) in [
        (accepted(50, 1000, 900_000), "Oversold: at position"),
        (accepted(1, 1, 900), "is decided again"),
        (accepted(50, 1, 901), "a total is 901, its lines add up to 900"),
        (
            json!({"hold.released": {"hold_id": Uuid::from_u128(6), "parts": parts}}),
            "held of B at NORTH becomes -1",
        ),
        (
            json!({"hold.confirmed": {"hold_id": Uuid::from_u128(7), "parts": []}}),
            "ended before: it is expired",
        ),
        (json!({"order.cancelled": {"order_id": PARTLY, "parts": []}}), "is cancelled, not accepted"),
        (
            json!({"stock.received": {"sku": "A", "location": "NORTH", "quantity": 1, "on_hand_after": 1}}),
            "1 of A are said to be on hand",
        ),
        (
            json!({"stock.received": {"sku": "X", "location": "NORTH", "quantity": 1, "on_hand_after": 1}}),
            "unknown item X",
        ),
        (json!({"stock.invented": {"sku": "A"}}), "cannot be read"),
    ] {
        let shop = busy_shop().await;
        forge(&shop, event.clone()).await;
        let said = difference(&shop).await;
        assert!(said.contains(says), "{event}\n  {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_at_work_is_whole_at_every_moment() {
    let shop = std::sync::Arc::new(busy_shop().await);
    shop.run([item("HOT", "Titan", "Hot", 100, 100_000)]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let busy = tokio::spawn({
        let shop = shop.clone();
        async move {
            let mut batches = 0;
            while !*stopped.borrow() {
                let orders: Vec<_> = (0..20).map(|_| Uuid::now_v7()).collect();
                shop.run(orders.iter().map(|id| order(*id, "HOT", 1))).await;
                shop.run(orders.iter().step_by(2).map(|id| json!({"kind": "order.cancel", "order_id": id})))
                    .await;
                let hold = Uuid::now_v7();
                shop.run([json!({"kind": "hold.place", "id": hold, "lines": [{"sku": "HOT", "quantity": 1}], "ttl_seconds": 60})]).await;
                shop.run([json!({"kind": "hold.confirm", "hold_id": hold})]).await;
                batches += 1;
            }
            batches
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    let started = Instant::now();
    while seen.len() < 10 {
        seen.insert(verify(&shop.database, None).await.expect("nothing is wrong").position);
        assert!(started.elapsed().as_secs() < 60, "the shop is at work");
    }
    stop.send_replace(true);
    assert!(busy.await.expect("the orders were placed") > 0);
}
