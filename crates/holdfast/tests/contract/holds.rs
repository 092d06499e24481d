use std::time::{Duration, Instant};

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::client::{Reply, new_id, text};
use crate::server::{Server, line};

fn hold(sku: &str, quantity: i64, seconds: i64) -> Value {
    json!({ "lines": [line(sku, quantity)], "ttl_seconds": seconds })
}

async fn held(server: &Server, sku: &str, quantity: i64, seconds: i64) -> String {
    let body = hold(sku, quantity, seconds);
    text(&server.service().post("/v1/holds").json(&body).send().await.written(201), "id")
}

async fn confirm(server: &Server, id: &str) -> Reply {
    server.service().post(&format!("/v1/holds/{id}/confirm")).send().await
}

#[tokio::test]
async fn a_hold_takes_units_and_becomes_an_order_with_its_id_locations_and_prices() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let reply = server.service().post("/v1/holds").json(&hold(&sku, 2, 600)).send().await;
    let placed = reply.written(201);
    let id = text(&placed, "id");
    assert_eq!(reply.header("location"), Some(format!("/v1/holds/{id}").as_str()));
    assert_eq!(placed["status"], "held");
    let stock = server.stock(&sku).await;
    assert_eq!((&stock["held"], &stock["available"]), (&json!(2), &json!(3)));
    let price = json!({ "price": { "amount": 1, "currency": "INR" } });
    server.staff().patch(&format!("/v1/items/{sku}")).json(&price).send().await.written(200);

    let order = confirm(server, &id).await.written(200);
    assert_eq!((&order["id"], &order["status"]), (&placed["id"], &json!("accepted")));
    assert_eq!((&order["lines"], &order["total"]), (&placed["lines"], &placed["total"]));
    let stock = server.stock(&sku).await;
    assert_eq!((&stock["held"], &stock["allocated"], &stock["available"]), (&json!(0), &json!(2), &json!(3)));
    let read = server.service().get(&format!("/v1/holds/{id}")).send().await.expect(200);
    assert_eq!(read["status"], "confirmed");
    confirm(server, &id).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn a_released_hold_gives_its_units_back_once() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = held(server, &sku, 2, 600).await;
    let path = format!("/v1/holds/{id}");
    server.service().delete(&path).send().await.written(204);
    assert_eq!(server.stock(&sku).await["available"], 5);
    server.service().delete(&path).send().await.problem(409, "wrong_state");
    confirm(server, &id).await.problem(409, "wrong_state");
    assert_eq!(server.stock(&sku).await["available"], 5);
}

#[tokio::test]
async fn after_its_time_a_hold_is_gone_and_its_units_are_back_within_a_second() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = held(server, &sku, 2, 5).await;
    let placed = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let read = server.service().get(&format!("/v1/holds/{id}")).send().await.expect(200);
    assert_eq!(read["status"], "expired", "at the very second");
    let back = || async {
        server.staff().get(&format!("/v1/stock/{sku}")).send().await.expect(200)["available"] == 5
    };
    eventually("the units are back", Duration::from_secs(3), back).await.expect("they come back");
    assert!(placed.elapsed() < Duration::from_millis(6_500), "only after {:?}", placed.elapsed());
    confirm(server, &id).await.problem(410, "hold_expired");
    let extend = json!({ "ttl_seconds": 60 });
    server
        .service()
        .post(&format!("/v1/holds/{id}/extend"))
        .json(&extend)
        .send()
        .await
        .problem(410, "hold_expired");
    server.service().delete(&format!("/v1/holds/{id}")).send().await.problem(410, "hold_expired");
}

#[tokio::test]
async fn an_extended_hold_lives_longer() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let reply = server.service().post("/v1/holds").json(&hold(&sku, 1, 5)).send().await;
    let placed = reply.written(201);
    let path = format!("/v1/holds/{}", text(&placed, "id"));
    let extended =
        server.service().post(&format!("{path}/extend")).json(&json!({ "ttl_seconds": 3_600 })).send().await;
    let extended = extended.written(200);
    assert!(text(&extended, "expires_at") > text(&placed, "expires_at"));
    server
        .service()
        .post(&format!("{path}/extend"))
        .json(&json!({ "ttl_seconds": 4 }))
        .send()
        .await
        .invalid("ttl_seconds");
    let own = json!({ "ttl_seconds": 60, "hold_id": placed["id"] });
    server.service().post(&format!("{path}/extend")).json(&own).send().await.invalid("hold_id");
}

#[tokio::test]
async fn a_customers_hold_lives_fifteen_minutes_in_all_and_a_services_longer() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    server.customer().post("/v1/holds").json(&hold(&sku, 1, 901)).send().await.problem(422, "hold_too_long");
    let placed = server.customer().post("/v1/holds").json(&hold(&sku, 1, 60)).send().await.written(201);
    let path = format!("/v1/holds/{}/extend", text(&placed, "id"));
    server
        .customer()
        .post(&path)
        .json(&json!({ "ttl_seconds": 3_600 }))
        .send()
        .await
        .problem(422, "hold_too_long");
    server.customer().post(&path).json(&json!({ "ttl_seconds": 600 })).send().await.written(200);
    server.service().post("/v1/holds").json(&hold(&sku, 1, 86_400)).send().await.written(201);
    for seconds in [4, 86_401] {
        server.service().post("/v1/holds").json(&hold(&sku, 1, seconds)).send().await.invalid("ttl_seconds");
    }
}

#[tokio::test]
async fn more_than_there_is_cannot_be_held() {
    let server = Server::shared().await;
    let sku = server.item(2).await;
    let problem = server.service().post("/v1/holds").json(&hold(&sku, 3, 60)).send().await;
    let problem = problem.problem(409, "insufficient_stock");
    assert_eq!(problem["shortages"], json!([{ "sku": sku, "requested": 3, "available": 2 }]));
    assert!(problem.get("order_id").is_none_or(Value::is_null));
    server
        .service()
        .post("/v1/holds")
        .json(&hold("NO-SUCH-SKU", 3, 60))
        .send()
        .await
        .problem(422, "unknown_sku");
}

#[tokio::test]
async fn a_hold_is_seen_by_its_customer_and_by_those_who_serve() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let placed = server.customer().post("/v1/holds").json(&hold(&sku, 1, 60)).send().await.written(201);
    let id = text(&placed, "id");
    let path = format!("/v1/holds/{id}");
    for (who, status) in [
        (server.customer(), 200),
        (server.other_customer(), 404),
        (server.service(), 200),
        (server.staff(), 200),
        (server.nobody(), 401),
    ] {
        assert_eq!(who.get(&path).send().await.status, status);
    }
    server.other_customer().post(&format!("{path}/confirm")).send().await.problem(404, "not_found");
    server.other_customer().delete(&path).send().await.problem(404, "not_found");
    let listed =
        |page: Value| page["items"].as_array().expect("items").iter().any(|hold| hold["id"] == json!(id));
    assert!(listed(server.customer().get("/v1/holds?status=held").send().await.expect(200)));
    assert!(listed(server.staff().get("/v1/holds?status=held&limit=200").send().await.expect(200)));
    assert!(!listed(server.other_customer().get("/v1/holds").send().await.expect(200)));
    assert!(!listed(server.customer().get("/v1/holds?status=released").send().await.expect(200)));
    server.customer().get("/v1/holds?status=eaten").send().await.invalid("status");
    server.customer().get(&format!("/v1/holds/{}", new_id())).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn what_is_soonest_over_stands_first_among_those_that_hold() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let customer = new_id();
    for seconds in [300, 100, 200] {
        let body = json!({ "customer": customer, "lines": [line(&sku, 1)], "ttl_seconds": seconds });
        server.service().post("/v1/holds").json(&body).send().await.written(201);
    }
    let page =
        server.staff().get(&format!("/v1/holds?status=held&customer={customer}")).send().await.expect(200);
    let ends: Vec<String> =
        page["items"].as_array().expect("items").iter().map(|hold| text(hold, "expires_at")).collect();
    assert_eq!(ends.len(), 3);
    assert!(ends.is_sorted(), "{ends:?}");
}

#[tokio::test]
async fn staff_look_at_holds_but_do_not_place_them() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    server.staff().post("/v1/holds").json(&hold(&sku, 1, 60)).send().await.problem(403, "forbidden");
    server.nobody().post("/v1/holds").json(&hold(&sku, 1, 60)).send().await.problem(401, "unauthenticated");
    let other = json!({ "customer": "x", "lines": [line(&sku, 1)], "ttl_seconds": 60 });
    server.customer().post("/v1/holds").json(&other).send().await.problem(403, "forbidden");
}
