use serde_json::json;

use crate::server::{Server, lines};

#[tokio::test]
async fn what_is_sold_is_counted() {
    let server = Server::start().await;
    let sku = server.item(9).await;
    for quantity in [2, 3] {
        server.service().post("/v1/orders").json(&lines(&sku, quantity)).send().await.written(201);
    }
    server
        .service()
        .post("/v1/orders")
        .json(&lines(&sku, 99))
        .send()
        .await
        .problem(409, "insufficient_stock");
    let counted = || async {
        let stats = server.staff().get("/v1/stats?window=15m").send().await.expect(200);
        (&stats["orders"], &stats["units"], &stats["rejected"]) == (&json!(2), &json!(5), &json!(1))
    };
    let wait = std::time::Duration::from_secs(10);
    holdfast_testbed::eventually("the orders are counted", wait, counted).await.expect("they are");
    let stats = server.staff().get("/v1/stats").send().await.expect(200);
    assert_eq!(stats["hottest"][0], json!({ "sku": sku, "units": 5, "orders": 2 }));
    assert!(stats["orders_per_second"].is_number());
    for quantile in ["p50_ms", "p90_ms", "p99_ms"] {
        assert!(stats["latency"][quantile].is_number(), "{stats}");
    }
    assert!(stats["series"].as_array().is_some_and(|series| !series.is_empty()));
}

#[tokio::test]
async fn figures_are_for_staff() {
    let server = Server::shared().await;
    for window in ["15m", "1h", "24h"] {
        server.staff().get(&format!("/v1/stats?window={window}")).send().await.expect(200);
    }
    server.staff().get("/v1/stats?window=2y").send().await.invalid("window");
    for who in [server.customer(), server.service()] {
        who.get("/v1/stats").send().await.problem(403, "forbidden");
    }
    server.nobody().get("/v1/stats").send().await.problem(401, "unauthenticated");
}
