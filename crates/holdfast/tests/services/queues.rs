//! One walk over all three command queues and back.

use serde_json::{Value, json};

use crate::client::{new_id, text};
use crate::stand::{HERE, MAIN, SECOND, THERE, lines, shared, unique};

#[tokio::test]
async fn items_stock_and_orders_go_through_their_queues_and_back() {
    let stand = shared().await;
    let (here, there) = (stand.staff(HERE), stand.staff(THERE));
    let service = stand.service(HERE);
    let sku = stand.item(10).await;
    let path = format!("/v1/items/{sku}");

    let changed = here.patch(&path).json(&json!({ "description": "new words" })).send().await;
    let item = changed.written(200);
    assert_eq!(item["description"], "new words");
    let stale = there.patch(&path).header("If-Match", "\"1\"").json(&json!({ "model": "No" })).send().await;
    assert_eq!(stale.status, 412, "{stale:?}");
    let twice =
        json!({ "sku": sku, "brand": "Acme", "model": "Two", "price": { "amount": 1, "currency": "INR" } });
    there.post("/v1/items").json(&twice).send().await.problem(409, "sku_exists");

    for (path, body) in [
        ("receipts", json!({ "sku": sku, "location": SECOND, "quantity": 5 })),
        ("adjustments", json!({ "sku": sku, "location": MAIN, "delta": -1, "reason": "damage" })),
        ("transfers", json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 2 })),
        ("counts", json!({ "sku": sku, "location": MAIN, "counted": 8 })),
        ("unavailable", json!({ "sku": sku, "location": SECOND, "delta": 1, "reason": "other" })),
    ] {
        there.post(&format!("/v1/stock/{path}")).json(&body).send().await.written(201);
    }
    let stock = stand.stock(&sku).await;
    assert_eq!(
        (&stock["on_hand"], &stock["unavailable"], &stock["available"]),
        (&json!(15), &json!(1), &json!(14))
    );

    let order = service.post("/v1/orders").json(&lines(&sku, 10)).send().await.written(201);
    let id = text(&order, "id");
    let places: Vec<&Value> = order["lines"][0]["allocations"]
        .as_array()
        .expect("places")
        .iter()
        .map(|place| &place["location"])
        .collect();
    assert_eq!(places, [MAIN, SECOND]);
    there.delete(&path).send().await.problem(409, "item_in_use");
    let fulfilled = there.post(&format!("/v1/orders/{id}/fulfil")).send().await.written(200);
    assert_eq!(fulfilled["status"], "fulfilled");
    let back = json!({ "disposition": "restock" });
    let returned = here.post(&format!("/v1/orders/{id}/return")).json(&back).send().await.written(200);
    assert_eq!(returned["status"], "returned");

    let mut held = lines(&sku, 3);
    held["ttl_seconds"] = json!(600);
    let hold = text(&service.post("/v1/holds").json(&held).send().await.written(201), "id");
    let confirmed = stand.service(THERE).post(&format!("/v1/holds/{hold}/confirm")).send().await.written(200);
    assert_eq!((&confirmed["id"], &confirmed["status"]), (&json!(hold), &json!("accepted")));
    let cancelled = service.post(&format!("/v1/orders/{hold}/cancel")).send().await.written(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(stand.stock(&sku).await["available"], 14);
    here.delete(&path).send().await.written(204);
}

#[tokio::test]
async fn orders_of_one_envelope_stand_alone() {
    let stand = shared().await;
    let (plenty, none) = (stand.item(1_000).await, stand.item(0).await);
    let orders: Vec<Value> = (0..500)
        .map(|number| if number % 5 == 4 { lines(&none, 1) } else { lines(&plenty, 1) })
        .chain([json!({ "lines": [] }), lines(&unique("UNKNOWN"), 1)])
        .collect();
    let key = new_id();
    let body = json!({ "orders": orders });
    let first = stand.service(HERE).post("/v1/orders/batch").key(&key).json(&body).send().await.expect(200);
    let results = first["results"].as_array().expect("results");
    let count = |status: &str| results.iter().filter(|result| result["status"] == status).count();
    assert_eq!((results.len(), count("accepted"), count("rejected"), count("invalid")), (502, 400, 101, 1));
    let again = stand.service(THERE).post("/v1/orders/batch").key(&key).json(&body).send().await.expect(200);
    let ids = |answer: &Value| -> Vec<Value> {
        answer["results"].as_array().into_iter().flatten().map(|result| result["id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(stand.stock(&plenty).await["allocated"], 400);
}
