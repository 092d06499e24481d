//! What a ledger loads, remembers between batches, and refuses to believe.

use holdfast_domain::{Keys, Ledger, Position, Recorded, Timestamp, decide_batch};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{NO_FINGERPRINT, Shop, command, load, service, sku, staff};

fn recorded(event: Value) -> Recorded {
    let event = serde_json::from_value(event).expect("the test's event is one");
    Recorded { event, actor: "sam".into(), command: None }
}

fn lines(sku: &str, quantity: i64) -> Value {
    json!([{"sku": sku, "quantity": quantity}])
}

#[test]
fn a_command_names_what_must_be_loaded_for_it() {
    let order = Uuid::from_u128(900);
    for (kind, fields, skus, claims) in [
        (
            "order.place",
            json!({"lines": [{"sku": "X", "quantity": 1}, {"sku": "Y", "quantity": 1}]}),
            vec!["X", "Y"],
            0,
        ),
        ("hold.place", json!({"lines": lines("X", 1), "ttl_seconds": 60}), vec!["X"], 0),
        ("order.cancel", json!({"order_id": order}), vec![], 1),
        ("order.fulfil", json!({"order_id": order}), vec![], 1),
        ("order.return", json!({"order_id": order, "disposition": "restock"}), vec![], 1),
        ("hold.confirm", json!({"hold_id": order}), vec![], 1),
        ("hold.extend", json!({"hold_id": order, "ttl_seconds": 60}), vec![], 1),
        ("hold.release", json!({"hold_id": order}), vec![], 1),
        ("item.update", json!({"sku": "X"}), vec!["X"], 0),
        ("item.remove", json!({"sku": "X"}), vec!["X"], 0),
        ("location.put", json!({"code": "X", "name": "n", "priority": 1}), vec![], 0),
    ] {
        let mut keys = Keys::default();
        keys.add(&command(5, &service(), kind, fields));
        let mut named: Vec<_> = keys.skus.iter().map(|sku| sku.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, skus, "{kind}");
        assert!(keys.claims.contains(&Uuid::from_u128(5)), "{kind}: its own id may be taken");
        assert_eq!(keys.claims.contains(&order), claims == 1, "{kind}");
    }
}

#[test]
fn the_skus_of_loaded_orders_and_holds_are_named_for_loading() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]).with("Y", &[("DEL", 5)]).with("Z", &[("DEL", 5)]);
    shop.accepts(&service(), "order.place", json!({"lines": lines("X", 1)}));
    shop.accepts(&service(), "hold.place", json!({"lines": lines("Y", 1), "ttl_seconds": 60}));
    let skus = shop.ledger().skus_of_claims();
    assert_eq!(skus, [sku("X"), sku("Y")].into_iter().collect());
}

#[test]
fn a_new_batch_keeps_items_and_stock_and_forgets_orders_holds_and_changes() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let order = shop.accepts(&service(), "order.place", json!({"lines": lines("X", 1)})).id;
    let mut ledger = shop.ledger().clone();
    assert_eq!(ledger.touched().new_orders, [order]);
    ledger.start_batch(shop.at(1));
    assert_eq!(ledger.now, shop.at(1));
    assert!(!ledger.has_claim(order));
    assert_eq!(*ledger.touched(), holdfast_domain::Touched::default());
    assert_eq!(ledger.sku(&sku("X")), shop.ledger().sku(&sku("X")));
    assert_eq!(ledger.locations().count(), 3);
}

#[test]
fn what_a_batch_changed_is_listed_for_writing() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 5)]).with("Y", &[("DEL", 5)]);
    let old = shop.accepts(&service(), "hold.place", json!({"lines": lines("X", 5), "ttl_seconds": 60})).id;
    let mut ledger = shop.ledger().clone();
    let hold = ledger.hold(old).cloned();
    ledger.start_batch(shop.at(0));
    ledger.put_hold(old, hold);
    ledger.put_order(old, None);
    let batch = [
        command(70, &service(), "hold.confirm", json!({"hold_id": old})),
        command(71, &service(), "order.place", json!({"lines": lines("X", 99)})),
        command(72, &service(), "hold.place", json!({"lines": lines("Y", 1), "ttl_seconds": 60})),
        command(73, &staff(), "item.update", json!({"sku": "Y", "brand": "Timex"})),
        command(74, &staff(), "location.put", json!({"code": "BOM", "name": "Bombay", "priority": 1})),
    ];
    for command in &batch {
        load(&mut ledger, command);
    }
    let decided = decide_batch(&mut ledger, shop.head(), &batch);
    let positions: Vec<_> = decided.outcomes.iter().map(|o| o.position.0 - shop.head().0).collect();
    assert_eq!(positions, [2, 3, 4, 5, 6]);
    let touched = ledger.touched();
    assert_eq!(touched.new_orders, [old, Uuid::from_u128(71)]);
    assert_eq!(touched.changed_holds, [old].into_iter().collect());
    assert_eq!(touched.new_holds, [Uuid::from_u128(72)]);
    assert_eq!(touched.items, [sku("Y")].into_iter().collect());
    assert!(touched.changed_orders.is_empty());
    let mut rows: Vec<_> = touched.stock.iter().map(|(sku, at)| (sku.as_str(), at.as_str())).collect();
    rows.sort_unstable();
    assert_eq!(rows, [("X", "DEL"), ("Y", "DEL")]);
    assert_eq!(touched.locations.iter().map(|code| code.as_str()).collect::<Vec<_>>(), ["BOM"]);
}

#[test]
#[should_panic(expected = "SKU X was not loaded for this batch")]
fn a_sku_that_was_never_loaded_is_a_defect_and_not_unknown() {
    Ledger::new(Timestamp(0)).sku(&sku("X"));
}

#[test]
#[should_panic(expected = "was not loaded for this batch")]
fn an_order_that_was_never_loaded_is_a_defect_and_not_unknown() {
    Ledger::new(Timestamp(0)).order(Uuid::from_u128(1));
}

#[test]
#[should_panic(expected = "fell below 0")]
fn a_log_that_takes_more_than_there_was_is_not_believed() {
    let mut ledger = Shop::new().with("X", &[("DEL", 5)]).ledger().clone();
    let event = json!({"stock.adjusted":
        {"sku": "X", "location": "DEL", "delta": -6, "on_hand_after": -1, "reason": "loss"}});
    ledger.evolve(&recorded(event), Position(9));
}

fn rejected_order(id: Uuid) -> Recorded {
    recorded(json!({"order.rejected": {"order_id": id, "lines": lines("X", 1), "code": "unknown_sku",
        "fingerprint": NO_FINGERPRINT}}))
}

#[test]
#[should_panic(expected = "is decided once")]
fn a_log_that_decides_an_order_twice_is_not_believed() {
    let mut ledger = Shop::new().ledger().clone();
    for position in [9, 10] {
        ledger.evolve(&rejected_order(Uuid::from_u128(7)), Position(position));
    }
}

fn hold_events(ends: &[&str]) -> Vec<Recorded> {
    let hold_id = Uuid::from_u128(7);
    let price = json!({"amount": 1, "currency": "INR"});
    let parts = json!([{"sku": "X", "location": "DEL", "quantity": 1}]);
    let placed = json!({"hold.placed": {"hold_id": hold_id, "total": price, "fingerprint": NO_FINGERPRINT,
        "expires_at": "2026-01-31T12:01:00Z", "lines": [{"sku": "X", "quantity": 1,
            "unit_price": price, "allocations": [{"location": "DEL", "quantity": 1}]}]}});
    let mut events = vec![recorded(placed.clone())];
    for end in ends {
        let event = match *end {
            "hold.placed" => placed.clone(),
            end => json!({end: {"hold_id": hold_id, "parts": parts}}),
        };
        events.push(recorded(event));
    }
    events
}

#[test]
#[should_panic(expected = "ends once")]
fn a_log_that_ends_a_hold_twice_is_not_believed() {
    let mut ledger = Shop::new().with("X", &[("DEL", 5)]).ledger().clone();
    for (n, event) in hold_events(&["hold.released", "hold.expired"]).iter().enumerate() {
        ledger.evolve(event, Position(9 + n as u64));
    }
}

#[test]
#[should_panic(expected = "is placed once")]
fn a_log_that_places_a_hold_twice_is_not_believed() {
    let mut ledger = Shop::new().with("X", &[("DEL", 5)]).ledger().clone();
    for (n, event) in hold_events(&["hold.released", "hold.placed"]).iter().enumerate() {
        ledger.evolve(event, Position(9 + n as u64));
    }
}
