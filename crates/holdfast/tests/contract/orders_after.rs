//! What happens to an order after it was accepted: cancel, fulfil, return.

use serde_json::{Value, json};

use crate::client::{Reply, text};
use crate::server::{MAIN, SECOND, Server, line, lines};

async fn order(server: &Server, body: &Value) -> String {
    text(&server.service().post("/v1/orders").json(body).send().await.written(201), "id")
}

async fn change(server: &Server, id: &str, what: &str, body: Option<Value>) -> Reply {
    let call = server.admin().post(&format!("/v1/orders/{id}/{what}"));
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn cancelling_gives_the_stock_back_to_the_very_locations_it_came_from() {
    let server = Server::shared().await;
    let stock = json!([{ "location": MAIN, "quantity": 2 }, { "location": SECOND, "quantity": 3 }]);
    let sku = server.item_with(json!({ "stock": stock })).await;
    let before = server.stock(&sku).await["locations"].clone();
    let id = order(server, &lines(&sku, 4)).await;
    assert_ne!(server.stock(&sku).await["locations"], before);
    let cancelled = change(server, &id, "cancel", None).await.written(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(server.stock(&sku).await["locations"], before);
}

#[tokio::test]
async fn cancelling_twice_gives_the_stock_back_once() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = order(server, &lines(&sku, 2)).await;
    change(server, &id, "cancel", None).await.written(200);
    let twice = change(server, &id, "cancel", Some(json!({}))).await;
    assert_eq!(twice.problem(409, "wrong_state")["state"], "cancelled");
    assert_eq!(server.stock(&sku).await["available"], 5);
}

#[tokio::test]
async fn the_owner_cancels_and_nobody_but_staff_fulfils() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let placed = server.customer().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let path = format!("/v1/orders/{}", text(&placed, "id"));
    for what in ["fulfil", "return"] {
        let body = json!({ "disposition": "restock" });
        server.customer().post(&format!("{path}/{what}")).json(&body).send().await.problem(403, "forbidden");
    }
    let cancelled = server.customer().post(&format!("{path}/cancel")).send().await.written(200);
    assert_eq!(cancelled["status"], "cancelled");
}

#[tokio::test]
async fn goods_leave_in_parts_and_the_status_changes_when_all_are_gone() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = order(server, &lines(&sku, 3)).await;
    let part = json!({ "lines": [{ "sku": sku, "quantity": 1, "location": MAIN }] });
    let partly = change(server, &id, "fulfil", Some(part)).await.written(200);
    assert_eq!(partly["status"], "accepted");
    assert_eq!(partly["progress"], json!({ "ordered": 3, "fulfilled": 1, "returned": 0 }));
    change(server, &id, "cancel", None).await.problem(409, "wrong_state");
    let done = change(server, &id, "fulfil", None).await.written(200);
    assert_eq!(done["status"], "fulfilled");
    assert_eq!(done["progress"]["fulfilled"], 3);
    let stock = server.stock(&sku).await;
    assert_eq!(
        (&stock["on_hand"], &stock["allocated"], &stock["available"]),
        (&json!(2), &json!(0), &json!(2))
    );
    change(server, &id, "fulfil", None).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn what_comes_back_is_sold_again_or_kept_apart() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = order(server, &lines(&sku, 3)).await;
    let restock = json!({ "disposition": "restock", "lines": [line(&sku, 1)] });
    change(server, &id, "return", Some(restock.clone())).await.problem(409, "wrong_state");
    change(server, &id, "fulfil", None).await.written(200);
    let partly = change(server, &id, "return", Some(restock)).await.written(200);
    assert_eq!((&partly["status"], &partly["progress"]["returned"]), (&json!("fulfilled"), &json!(1)));
    let all = change(server, &id, "return", Some(json!({ "disposition": "unavailable" }))).await.written(200);
    assert_eq!((&all["status"], &all["progress"]["returned"]), (&json!("returned"), &json!(3)));
    let stock = server.stock(&sku).await;
    assert_eq!(
        (&stock["on_hand"], &stock["unavailable"], &stock["available"]),
        (&json!(5), &json!(2), &json!(3))
    );
}

#[tokio::test]
async fn units_that_the_order_does_not_have_are_refused() {
    let server = Server::shared().await;
    let (sku, other) = (server.item(5).await, server.item(5).await);
    let id = order(server, &lines(&sku, 2)).await;
    for lines in [
        json!([line(&sku, 3)]),
        json!([line(&other, 1)]),
        json!([{ "sku": sku, "quantity": 1, "location": SECOND }]),
    ] {
        change(server, &id, "fulfil", Some(json!({ "lines": lines }))).await.problem(409, "invalid_parts");
    }
    assert_eq!(server.stock(&sku).await["allocated"], 2);
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_named() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = order(server, &lines(&sku, 2)).await;
    for (what, body, field) in [
        ("cancel", json!({ "why": "x" }), "why"),
        ("cancel", json!({ "order_id": id }), "order_id"),
        ("fulfil", json!({ "lines": [line(&sku, 0)] }), "lines[0].quantity"),
        ("return", json!({}), "disposition"),
        ("return", json!({ "disposition": "burn" }), "disposition"),
        ("return", json!([]), ""),
    ] {
        let reply = change(server, &id, what, Some(body)).await;
        let problem = reply.problem(400, "invalid_request");
        assert!(field.is_empty() || problem["errors"][0]["field"] == field, "{problem}");
    }
    change(server, "nothing", "cancel", None).await.problem(404, "not_found");
}
