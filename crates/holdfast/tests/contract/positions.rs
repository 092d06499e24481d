//! Read-your-writes: a read that asks for a position shows it, or says that it cannot.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::text;
use crate::server::{MAIN, Server, lines};

#[tokio::test]
async fn a_read_at_a_writes_position_shows_the_write() {
    let server = Server::shared().await;
    let sku = server.item(200).await;
    for ordered in 1..=50 {
        let reply = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await;
        let order = reply.written(201);
        let at = reply.position();
        let item = server.nobody().get(&format!("/v1/items/{sku}")).at_least(&at).send().await.expect(200);
        assert_eq!(item["available"], 200 - ordered);
        let path = format!("/v1/orders/{}", text(&order, "id"));
        server.service().get(&path).at_least(&at).send().await.expect(200);
    }
}

#[tokio::test]
async fn positions_grow_from_write_to_write() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let mut last = 0;
    for _ in 0..5 {
        let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 1 });
        let reply = server.staff().post("/v1/stock/receipts").json(&receipt).send().await;
        reply.written(201);
        let position: u64 = reply.position().parse().expect("a number, today");
        assert!(position > last);
        last = position;
    }
}

#[tokio::test]
async fn a_position_that_does_not_come_is_503_after_two_seconds() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    // What is so far ahead that it cannot come in that time is not waited for.
    for (path, position, wait) in [
        (format!("/v1/items/{sku}"), "1000000", Duration::from_millis(1_900)),
        ("/v1/items".to_owned(), "1000000", Duration::from_millis(1_900)),
        ("/v1/items".to_owned(), "999999999999", Duration::ZERO),
    ] {
        let started = Instant::now();
        let reply = server.staff().get(&path).at_least(position).send().await;
        reply.problem(503, "not_yet");
        assert!(reply.header("retry-after").is_some());
        let waited = started.elapsed();
        assert!(waited > wait && waited < wait + Duration::from_secs(2), "{waited:?}");
    }
    server
        .staff()
        .get(&format!("/v1/stock/{sku}"))
        .at_least("soon")
        .send()
        .await
        .invalid("Holdfast-At-Least");
}

#[tokio::test]
async fn writes_beside_the_log_say_a_position_too() {
    let server = Server::shared().await;
    let made = server
        .admin()
        .post("/v1/api-keys")
        .json(&json!({ "name": crate::server::unique("p"), "role": "staff" }))
        .send()
        .await;
    made.written(201);
    let path = format!("/v1/api-keys/{}", text(&made.json(), "id"));
    server.admin().delete(&path).send().await.written(204);
}
