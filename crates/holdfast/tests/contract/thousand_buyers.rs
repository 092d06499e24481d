//! The promise: never one unit more than there is, whoever comes at the same moment.

use std::collections::BTreeMap;

use serde_json::json;

use crate::server::{Server, line, unique};

const BUYERS: usize = 1_000;
const UNITS: i64 = 100;

#[tokio::test]
async fn a_thousand_buyers_of_a_hundred_units_get_a_hundred_orders() {
    let server = Server::start().await;
    let sku = server.item(UNITS).await;
    let client = server.service();
    let together = std::sync::Arc::new(tokio::sync::Barrier::new(BUYERS));
    let buyers: Vec<_> = (0..BUYERS)
        .map(|_| {
            let (client, together) = (client.clone(), together.clone());
            let body = json!({ "customer": unique("buyer"), "lines": [line(&sku, 1)] });
            tokio::spawn(async move {
                together.wait().await;
                let reply = client.post("/v1/orders").json(&body).send().await;
                match reply.status {
                    201 => {
                        reply.written(201);
                        "accepted"
                    }
                    _ => {
                        let problem = reply.problem(409, "insufficient_stock");
                        assert_eq!(problem["shortages"][0]["available"], 0);
                        "insufficient_stock"
                    }
                }
            })
        })
        .collect();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for buyer in buyers {
        *ends.entry(buyer.await.expect("no panic")).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("accepted", 100), ("insufficient_stock", 900)]));
    let stock = server.stock(&sku).await;
    assert_eq!(
        (&stock["allocated"], &stock["available"], &stock["shortage"]),
        (&json!(100), &json!(0), &json!(0))
    );
    server.verify();
    let health = server.staff().get("/v1/health").send().await.expect(200);
    assert_eq!(health["audit"]["oversold"], 0);
}

#[tokio::test]
async fn holds_orders_counts_and_cancellations_at_once_never_oversell() {
    let server = Server::start().await;
    let sku = server.item(40).await;
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let (service, staff, sku) = (server.service(), server.staff(), sku.clone());
            tokio::spawn(async move {
                for round in 0..25 {
                    let body = json!({ "lines": [line(&sku, 1 + (task + round) % 3)], "ttl_seconds": 5 });
                    match (task + round) % 4 {
                        0 => {
                            let hold = service.post("/v1/holds").json(&body).send().await;
                            if hold.status == 201 {
                                let path = format!(
                                    "/v1/holds/{}/confirm",
                                    hold.json()["id"].as_str().expect("an id")
                                );
                                service.post(&path).send().await.expect(200);
                            }
                        }
                        1 => {
                            service.post("/v1/holds").json(&body).send().await;
                        }
                        2 => {
                            let body = json!({ "lines": [line(&sku, 2)], "allow_partial": true });
                            let order = service.post("/v1/orders").json(&body).send().await;
                            if order.status == 201 {
                                let path = format!(
                                    "/v1/orders/{}/cancel",
                                    order.json()["id"].as_str().expect("an id")
                                );
                                service.post(&path).send().await.expect(200);
                            }
                        }
                        _ => {
                            let count =
                                json!({ "sku": sku, "location": crate::server::MAIN, "counted": 30 + round });
                            staff.post("/v1/stock/counts").json(&count).send().await.expect(201);
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    server.verify();
}
