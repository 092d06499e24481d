//! Fulfilment and return: whole orders and parts of them.

use holdfast_domain::{OrderStatus, Rejection};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, location, service, staff};

/// A shop with an order of 6 X (5 from DEL, 1 from BOM) and 2 Y (from BOM).
fn ordered() -> (Shop, Uuid) {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]).with("Y", &[("BOM", 2)]);
    let lines = json!([{"sku": "X", "quantity": 6}, {"sku": "Y", "quantity": 2}]);
    let order = shop.accepts(&service(), "order.place", json!({"lines": lines})).id;
    (shop, order)
}

fn fulfilled() -> (Shop, Uuid) {
    let (mut shop, order) = ordered();
    shop.accepts(&staff(), "order.fulfil", json!({"order_id": order}));
    (shop, order)
}

fn why(rejection: Rejection) -> String {
    let Rejection::InvalidParts { detail } = rejection else { panic!("not about parts: {rejection:?}") };
    detail
}

#[test]
fn fulfilling_takes_the_units_from_where_they_were_promised() {
    let (mut shop, order) = ordered();
    let done = shop.accepts(&staff(), "order.fulfil", json!({"order_id": order}));
    assert_eq!(
        done.events,
        [json!({"order.fulfilled": {"order_id": order, "complete": true, "parts": [
            {"sku": "X", "location": "DEL", "quantity": 5, "on_hand_after": 0},
            {"sku": "X", "location": "BOM", "quantity": 1, "on_hand_after": 8},
            {"sku": "Y", "location": "BOM", "quantity": 2, "on_hand_after": 0}]}})]
    );
    assert_eq!(shop.counters("X", "DEL"), [0, 0, 0, 0, 0]);
    assert_eq!(shop.counters("X", "BOM"), [8, 0, 0, 0, 8]);
    assert_eq!(shop.counters("Y", "BOM"), [0, 0, 0, 0, 0]);
    assert_eq!(done.order().status, OrderStatus::Fulfilled);
    assert_eq!((done.order().progress.fulfilled, done.order().progress.ordered), (8, 8));
}

#[test]
fn an_order_is_fulfilled_when_its_last_part_has_left() {
    let (mut shop, order) = ordered();
    let steps: [(Value, Value); 4] = [
        (
            json!([{"sku": "X", "quantity": 1, "location": "BOM"}]),
            json!([{"sku": "X", "location": "BOM", "quantity": 1, "on_hand_after": 8}]),
        ),
        (
            // Two lines of one SKU share what is left of it.
            json!([{"sku": "X", "quantity": 2}, {"sku": "X", "quantity": 1}]),
            json!([{"sku": "X", "location": "DEL", "quantity": 2, "on_hand_after": 3},
                   {"sku": "X", "location": "DEL", "quantity": 1, "on_hand_after": 2}]),
        ),
        (
            json!([{"sku": "Y", "quantity": 2}, {"sku": "X", "quantity": 1}]),
            json!([{"sku": "Y", "location": "BOM", "quantity": 2, "on_hand_after": 0},
                   {"sku": "X", "location": "DEL", "quantity": 1, "on_hand_after": 1}]),
        ),
        (Value::Null, json!([{"sku": "X", "location": "DEL", "quantity": 1, "on_hand_after": 0}])),
    ];
    for (step, (lines, parts)) in steps.into_iter().enumerate() {
        let complete = step == 3;
        let done = shop.accepts(&staff(), "order.fulfil", json!({"order_id": order, "lines": lines}));
        assert_eq!(
            done.events,
            [json!({"order.fulfilled": {"order_id": order, "complete": complete, "parts": parts}})]
        );
        let status = if complete { OrderStatus::Fulfilled } else { OrderStatus::Accepted };
        assert_eq!(done.order().status, status, "after step {step}");
    }
}

#[test]
fn parts_that_an_order_does_not_have_are_refused_whole() {
    for (lines, detail) in [
        (json!([]), "lines must not be empty; leave them out for all"),
        (json!([{"sku": "X", "quantity": 7}]), "7 of X: 1 more than the order has left"),
        (json!([{"sku": "Z", "quantity": 1}]), "1 of Z: 1 more than the order has left"),
        (
            json!([{"sku": "X", "quantity": 2, "location": "BOM"}]),
            "2 of X at BOM: 1 more than the order has left",
        ),
        (
            json!([{"sku": "Y", "quantity": 1, "location": "DEL"}]),
            "1 of Y at DEL: 1 more than the order has left",
        ),
        // The good line before the bad one does not leave either.
        (
            json!([{"sku": "Y", "quantity": 2}, {"sku": "Y", "quantity": 1}]),
            "1 of Y: 1 more than the order has left",
        ),
    ] {
        let (mut shop, order) = ordered();
        let rejection =
            shop.refuses(&staff(), "order.fulfil", json!({"order_id": order, "lines": lines.clone()}));
        assert_eq!(why(rejection), detail);
    }
}

#[test]
fn what_is_not_there_cannot_leave() {
    let (mut shop, order) = ordered();
    shop.accepts(&staff(), "stock.count", json!({"sku": "X", "location": "DEL", "counted": 4}));
    let rejection = shop.refuses(&staff(), "order.fulfil", json!({"order_id": order}));
    assert_eq!(rejection, Rejection::NegativeStock { there: 4, wanted: 5 });
    // Two lines of one place do not each see the units that only one of them can have.
    let lines = json!([{"sku": "X", "quantity": 3, "location": "DEL"}, {"sku": "X", "quantity": 2, "location": "DEL"}]);
    let rejection = shop.refuses(&staff(), "order.fulfil", json!({"order_id": order, "lines": lines}));
    assert_eq!(rejection, Rejection::NegativeStock { there: 1, wanted: 2 });
    let there = json!([{"sku": "X", "quantity": 4, "location": "DEL"}]);
    shop.accepts(&staff(), "order.fulfil", json!({"order_id": order, "lines": there}));
    assert_eq!(shop.counters("X", "DEL"), [0, 0, 1, 0, 0]);
}

#[test]
fn returned_units_go_back_to_the_shelf_or_aside() {
    for (disposition, x_del, x_bom) in
        [("restock", [5, 0, 0, 0, 5], [9, 0, 0, 0, 9]), ("unavailable", [5, 0, 0, 5, 0], [9, 0, 0, 1, 8])]
    {
        let (mut shop, order) = fulfilled();
        let back = json!({"order_id": order, "disposition": disposition});
        let done = shop.accepts(&staff(), "order.return", back);
        assert_eq!(
            done.events,
            [json!({"order.returned": {
                "order_id": order, "disposition": disposition, "complete": true, "parts": [
                {"sku": "X", "location": "DEL", "origin": "DEL", "quantity": 5, "on_hand_after": 5},
                {"sku": "X", "location": "BOM", "origin": "BOM", "quantity": 1, "on_hand_after": 9},
                {"sku": "Y", "location": "BOM", "origin": "BOM", "quantity": 2, "on_hand_after": 2}]}})]
        );
        assert_eq!(shop.counters("X", "DEL"), x_del, "{disposition}");
        assert_eq!(shop.counters("X", "BOM"), x_bom, "{disposition}");
        assert_eq!(done.order().status, OrderStatus::Returned);
    }
}

#[test]
fn units_come_back_in_parts_and_to_any_known_place() {
    let (mut shop, order) = fulfilled();
    let back = |lines: Value| json!({"order_id": order, "lines": lines, "disposition": "restock"});
    // OLD had none of it; what comes there counts against what had left DEL, then BOM.
    let done =
        shop.accepts(&staff(), "order.return", back(json!([{"sku": "X", "quantity": 6, "location": "OLD"}])));
    assert_eq!(
        done.events,
        [
            json!({"order.returned": {"order_id": order, "disposition": "restock", "complete": false, "parts": [
            {"sku": "X", "location": "OLD", "origin": "DEL", "quantity": 5, "on_hand_after": 5},
            {"sku": "X", "location": "OLD", "origin": "BOM", "quantity": 1, "on_hand_after": 6}]}})
        ]
    );
    assert_eq!(shop.counters("X", "OLD"), [6, 0, 0, 0, 6]);
    assert_eq!(done.order().status, OrderStatus::Fulfilled);
    assert_eq!(done.order().progress.returned, 6);

    let again = shop.refuses(&staff(), "order.return", back(json!([{"sku": "X", "quantity": 1}])));
    assert_eq!(why(again), "1 of X: 1 more than the order has left");
    let done = shop.accepts(&staff(), "order.return", json!({"order_id": order, "disposition": "restock"}));
    assert_eq!(done.order().status, OrderStatus::Returned);
    assert_eq!(done.order().progress.returned, 8);
}

#[test]
fn returns_that_cannot_be_are_refused_whole() {
    for (lines, rejection) in [
        (
            json!([{"sku": "X", "quantity": 1, "location": "MOON"}]),
            Rejection::UnknownLocation { location: location("MOON") },
        ),
        (
            json!([{"sku": "Y", "quantity": 1}, {"sku": "X", "quantity": 7}]),
            Rejection::InvalidParts { detail: "7 of X: 1 more than the order has left".to_owned() },
        ),
        (
            json!([]),
            Rejection::InvalidParts { detail: "lines must not be empty; leave them out for all".to_owned() },
        ),
    ] {
        let (mut shop, order) = fulfilled();
        let back = json!({"order_id": order, "lines": lines, "disposition": "restock"});
        assert_eq!(shop.refuses(&staff(), "order.return", back), rejection);
    }
}
