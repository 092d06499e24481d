//! kill -9 at any moment: every answered order is there afterwards, and none twice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::new_id;
use crate::server::{Server, line};

const ROUNDS: u64 = 50;
const CLIENTS: usize = 8;

/// Places orders with ids of its own until the server is gone: id → whether it was answered.
async fn buy(client: crate::client::Client, sku: String) -> BTreeMap<String, bool> {
    let mut placed = BTreeMap::new();
    loop {
        let id = new_id();
        let body = json!({ "id": id, "lines": [line(&sku, 1)] });
        match client.post("/v1/orders").json(&body).try_send().await {
            Ok(reply) => {
                assert_eq!(reply.status, 201, "{}", reply.text);
                placed.insert(id, true);
            }
            Err(_gone) => {
                placed.insert(id, false);
                return placed;
            }
        }
    }
}

#[tokio::test]
async fn kill_9_under_load_loses_no_answered_order_and_applies_none_twice() {
    let server = Server::start().await;
    let sku = server.item(1_000_000).await;
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    // Clients that were answered before the end of their round.
    let mut busy = 0;
    for round in 0..ROUNDS {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(buy(server.service(), sku.clone()))).collect();
        // Each round at another moment of the worker's work.
        tokio::time::sleep(Duration::from_millis(60 + 37 * round % 140)).await;
        server.process.kill().expect("it is gone");
        for client in clients {
            let placed = client.await.expect("no panic");
            busy += u64::from(placed.values().any(|answered| *answered));
            all.extend(placed);
        }
        server.verify();
        server.process.restart().await.expect("it starts again");
    }
    assert!(busy > ROUNDS * CLIENTS as u64 / 2, "the kills came before there was load: {busy}");
    let mut there = 0;
    for (id, answered) in &all {
        let reply = server.service().get(&format!("/v1/orders/{id}")).send().await;
        assert!(reply.status == 200 || !answered, "the answered order {id} is lost");
        there += i64::from(reply.status == 200);
    }
    assert_eq!(server.stock(&sku).await["allocated"], there);

    // Whoever got no answer asks again with the same id: then everything is there, once.
    for (id, _) in all.iter().filter(|(_, answered)| !**answered) {
        let body = json!({ "id": id, "lines": [line(&sku, 1)] });
        server.service().post("/v1/orders").json(&body).send().await.written(201);
    }
    assert_eq!(server.stock(&sku).await["allocated"], all.len() as i64);
    server.verify();
}

#[tokio::test]
async fn what_was_answered_202_is_decided_after_a_kill() {
    let server = Server::start().await;
    let sku = server.item(1_000).await;
    let mut pending = Vec::new();
    for _ in 0..20 {
        let call = server.service().post("/v1/orders").header("Prefer", "respond-async");
        pending.push(call.json(&json!({ "lines": [line(&sku, 1)] })).send().await.expect(202));
    }
    server.process.kill().expect("it is gone");
    server.process.restart().await.expect("it starts again");
    for order in &pending {
        let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
        let decided = || async {
            let order: Value = server.service().get(&path).send().await.expect(200);
            order["status"] == "accepted"
        };
        let wait = Duration::from_secs(30);
        holdfast_testbed::eventually("the order is decided", wait, decided).await.expect("it is");
    }
    assert_eq!(server.stock(&sku).await["allocated"], 20);
    server.verify();
}
