use serde_json::{Value, json};

use crate::client::text;
use crate::server::{MAIN, SECOND, Server, lines, unique};

async fn change(server: &Server, what: &str, body: Value) -> crate::client::Reply {
    server.staff().post(&format!("/v1/stock/{what}")).json(&body).send().await
}

/// (on hand, held, allocated, unavailable, safety stock, available, shortage, incoming) over all locations.
async fn counters(server: &Server, sku: &str) -> [i64; 8] {
    let stock = server.stock(sku).await;
    ["on_hand", "held", "allocated", "unavailable", "safety_stock", "available", "shortage", "incoming"]
        .map(|counter| stock[counter].as_i64().unwrap_or_else(|| panic!("no {counter}: {stock}")))
}

#[tokio::test]
async fn stock_is_shown_in_all_and_by_location() {
    let server = Server::shared().await;
    let stock = json!([
        { "location": MAIN, "quantity": 5, "safety_stock": 1, "reorder_point": 2 },
        { "location": SECOND, "quantity": 3 },
    ]);
    let sku = server.item_with(json!({ "stock": stock })).await;
    let stock = server.stock(&sku).await;
    assert_eq!((&stock["sku"], &stock["on_hand"], &stock["available"]), (&json!(sku), &json!(8), &json!(7)));
    assert!(text(&stock, "position").parse::<u64>().is_ok());
    let main = stock["locations"]
        .as_array()
        .expect("locations")
        .iter()
        .find(|l| l["location"] == MAIN)
        .expect("MAIN");
    let expected = json!({
        "location": MAIN, "on_hand": 5, "held": 0, "allocated": 0, "unavailable": 0, "safety_stock": 1, "available": 4,
        "shortage": 0, "incoming": 0, "reorder_point": 2,
    });
    assert_eq!(main, &expected);
    server.service().get(&format!("/v1/stock/{sku}")).send().await.expect(200);
    server.customer().get(&format!("/v1/stock/{sku}")).send().await.problem(403, "forbidden");
    server.staff().get("/v1/stock/NO-SUCH-SKU").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn every_operation_moves_its_counter() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5, "reference": "PO-1" });
    let movement = change(server, "receipts", receipt).await.written(201);
    assert_eq!((&movement["delta"], &movement["on_hand_after"]), (&json!(5), &json!(15)));
    assert_eq!(counters(server, &sku).await, [15, 0, 0, 0, 0, 15, 0, 0]);
    let loss = json!({ "sku": sku, "location": MAIN, "delta": -2, "reason": "damage", "note": "dropped" });
    change(server, "adjustments", loss).await.written(201);
    assert_eq!(counters(server, &sku).await, [13, 0, 0, 0, 0, 13, 0, 0]);
    change(server, "counts", json!({ "sku": sku, "location": MAIN, "counted": 12 })).await.written(201);
    assert_eq!(counters(server, &sku).await, [12, 0, 0, 0, 0, 12, 0, 0]);
    let transfer = json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 4 });
    change(server, "transfers", transfer).await.written(201);
    assert_eq!(counters(server, &sku).await, [12, 0, 0, 0, 0, 12, 0, 0]);
    let quarantine = json!({ "sku": sku, "location": SECOND, "delta": 1, "reason": "wet" });
    change(server, "unavailable", quarantine).await.written(201);
    assert_eq!(counters(server, &sku).await, [12, 0, 0, 1, 0, 11, 0, 0]);
    change(server, "incoming", json!({ "sku": sku, "location": MAIN, "delta": 7 })).await.written(201);
    assert_eq!(counters(server, &sku).await, [12, 0, 0, 1, 0, 11, 0, 7]);
    let levels = json!({ "safety_stock": 2, "reorder_point": 3 });
    server.staff().put(&format!("/v1/stock/{sku}/levels/{MAIN}")).json(&levels).send().await.written(200);
    assert_eq!(counters(server, &sku).await, [12, 0, 0, 1, 2, 9, 0, 7]);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_nothing_changed() {
    let server = Server::shared().await;
    let sku = server.item(2).await;
    let before = counters(server, &sku).await;
    for (what, body, status, code) in [
        (
            "adjustments",
            json!({ "sku": sku, "location": MAIN, "delta": -3, "reason": "loss" }),
            409,
            "negative_stock",
        ),
        (
            "transfers",
            json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 3 }),
            409,
            "insufficient_stock",
        ),
        ("transfers", json!({ "sku": sku, "from": MAIN, "to": MAIN, "quantity": 1 }), 422, "same_location"),
        ("receipts", json!({ "sku": sku, "location": "NOWHERE", "quantity": 1 }), 422, "unknown_location"),
    ] {
        change(server, what, body).await.problem(status, code);
    }
    let unknown =
        change(server, "receipts", json!({ "sku": "NO-SUCH-SKU", "location": MAIN, "quantity": 1 })).await;
    assert!([404, 422].contains(&unknown.status), "{unknown:?}");
    for (what, body, field) in [
        ("receipts", json!({ "sku": sku, "location": MAIN, "quantity": 0 }), "quantity"),
        ("receipts", json!({ "sku": sku, "location": MAIN, "quantity": 1_000_001 }), "quantity"),
        ("adjustments", json!({ "sku": sku, "location": MAIN, "delta": 0, "reason": "loss" }), "delta"),
        ("adjustments", json!({ "sku": sku, "location": MAIN, "delta": 1, "reason": "magic" }), "reason"),
        ("counts", json!({ "sku": sku, "location": MAIN, "counted": -1 }), "counted"),
        ("transfers", json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 1, "x": 1 }), "x"),
        ("receipts", json!({ "sku": "bad sku", "location": MAIN, "quantity": 1 }), "sku"),
    ] {
        change(server, what, body).await.invalid(field);
    }
    assert_eq!(counters(server, &sku).await, before);
}

#[tokio::test]
async fn a_count_below_what_is_promised_records_the_shortage() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    server.service().post("/v1/orders").json(&lines(&sku, 4)).send().await.written(201);
    change(server, "counts", json!({ "sku": sku, "location": MAIN, "counted": 1 })).await.written(201);
    assert_eq!(counters(server, &sku).await, [1, 0, 4, 0, 0, 0, 3, 0]);
    let page = server.staff().get("/v1/stock?shortage=true&limit=200").send().await.expect(200);
    assert!(page["items"].as_array().expect("items").iter().any(|stock| stock["sku"] == json!(sku)));
}

#[tokio::test]
async fn movements_say_who_what_and_why_newest_first() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    let adjustment =
        json!({ "sku": sku, "location": MAIN, "delta": -1, "reason": "damage", "note": "dropped" });
    change(server, "adjustments", adjustment).await.written(201);
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let id = text(&order, "id");
    let fulfilled = server.staff().post(&format!("/v1/orders/{id}/fulfil")).send().await;
    let position = fulfilled.position();
    fulfilled.written(200);
    let path = format!("/v1/stock/{sku}/movements");
    let there = || async {
        let page = server.staff().get(&path).at_least(&position).send().await.expect(200);
        page["items"][0]["order_id"] == json!(id)
    };
    let wait = std::time::Duration::from_secs(10);
    holdfast_testbed::eventually("the movement is listed", wait, there).await.expect("it is");
    let page = server.staff().get(&path).send().await.expect(200);
    let found: Vec<_> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|m| (m["delta"].clone(), m["on_hand_after"].clone(), m["reason"].clone()))
        .collect();
    // An accepted order promises units and moves none.
    let expected = [(-2, 7), (0, 9), (-1, 9), (10, 10)].map(|(delta, after)| (json!(delta), json!(after)));
    assert_eq!(
        found.iter().map(|(delta, after, _)| (delta.clone(), after.clone())).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(found[2].2, "damage");
    for movement in page["items"].as_array().expect("items") {
        for member in ["position", "at", "kind", "location", "actor"] {
            assert!(movement[member].is_string(), "{member}: {movement}");
        }
    }
    let first = server.staff().get(&format!("{path}?limit=2")).send().await.expect(200);
    let cursor = text(&first, "next_cursor");
    let rest = server.staff().get(&format!("{path}?limit=2&cursor={cursor}")).send().await.expect(200);
    assert_eq!(rest["items"][0], page["items"][2]);
}

#[tokio::test]
async fn stock_is_asked_for_in_bulk_and_listed_by_what_is_low() {
    let server = Server::shared().await;
    let low = json!([{ "location": MAIN, "quantity": 2, "reorder_point": 2 }]);
    let (low, enough) = (server.item_with(json!({ "stock": low })).await, server.item(50).await);
    server.stock(&enough).await;
    let query = json!({ "skus": [low, enough, "NO-SUCH-SKU"] });
    let answer = server.service().post("/v1/stock/query").json(&query).send().await.expect(200);
    let found: Vec<_> =
        answer["items"].as_array().expect("items").iter().map(|stock| text(stock, "sku")).collect();
    assert_eq!(found, [low.clone(), enough.clone()]);
    let listed = |page: Value, sku: &str| {
        page["items"].as_array().expect("items").iter().any(|s| s["sku"] == json!(sku))
    };
    let page = server.staff().get("/v1/stock?low=true&limit=200").send().await.expect(200);
    assert!(listed(page.clone(), &low) && !listed(page, &enough));
    let skus: Vec<String> = (0..501).map(|n| format!("S{n}")).collect();
    server.service().post("/v1/stock/query").json(&json!({ "skus": skus })).send().await.invalid("skus");
    server.customer().post("/v1/stock/query").json(&query).send().await.problem(403, "forbidden");
    server.staff().get("/v1/stock?hue=red").send().await.problem(400, "invalid_request");
}

#[tokio::test]
async fn only_staff_change_stock() {
    let server = Server::shared().await;
    let sku = server.item(2).await;
    for (what, body) in [
        ("receipts", json!({ "sku": sku, "location": MAIN, "quantity": 1 })),
        ("adjustments", json!({ "sku": sku, "location": MAIN, "delta": 1, "reason": "found" })),
        ("counts", json!({ "sku": sku, "location": MAIN, "counted": 1 })),
        ("transfers", json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 1 })),
        ("unavailable", json!({ "sku": sku, "location": MAIN, "delta": 1, "reason": "x" })),
        ("incoming", json!({ "sku": sku, "location": MAIN, "delta": 1 })),
    ] {
        let path = format!("/v1/stock/{what}");
        server.nobody().post(&path).json(&body).send().await.problem(401, "unauthenticated");
        for who in [server.customer(), server.service()] {
            who.post(&path).json(&body).send().await.problem(403, "forbidden");
        }
    }
    let levels = json!({ "safety_stock": 1, "reorder_point": 1 });
    let path = format!("/v1/stock/{sku}/levels/{MAIN}");
    server.service().put(&path).json(&levels).send().await.problem(403, "forbidden");
    assert_eq!(counters(server, &sku).await[0], 2);
}

#[tokio::test]
async fn an_item_can_be_received_where_it_never_was() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let place = unique("PLACE");
    let location = json!({ "code": place, "name": "New", "priority": 9 });
    server.staff().post("/v1/locations").json(&location).send().await.written(201);
    change(server, "receipts", json!({ "sku": sku, "location": place, "quantity": 3 })).await.written(201);
    assert_eq!(counters(server, &sku).await[5], 4);
}
