use serde_json::{Value, json};

use crate::server::{Server, lines};

#[tokio::test]
async fn the_board_shows_roles_queues_stores_and_the_audit() {
    let server = Server::shared().await;
    let board = server.staff().get("/v1/health").send().await.expect(200);
    assert_eq!(board["status"], "up", "{board}");
    let roles: Vec<&Value> =
        board["roles"].as_array().expect("roles").iter().map(|role| &role["role"]).collect();
    for role in ["gateway", "orders", "items", "stock", "monitor"] {
        assert!(roles.contains(&&json!(role)), "{role} is missing: {roles:?}");
    }
    for role in board["roles"].as_array().expect("roles") {
        for instance in role["instances"].as_array().expect("instances") {
            assert_eq!(instance["status"], "up");
            assert!(
                instance["id"].is_string()
                    && instance["since"].is_string()
                    && instance["last_seen"].is_string()
            );
        }
    }
    let queues: Vec<&Value> =
        board["queues"].as_array().expect("queues").iter().map(|queue| &queue["name"]).collect();
    assert_eq!(queues, ["holdfast.orders", "holdfast.items", "holdfast.stock"]);
    assert_eq!(board["stores"][0]["status"], "up");
    assert_eq!(board["audit"]["oversold"], 0);
    assert_eq!(board["dead_letters"], 0);
    assert!(board["incidents"].is_array() && board["lag"]["read_model_events"].is_number());
    for who in [server.customer(), server.service()] {
        who.get("/v1/health").send().await.problem(403, "forbidden");
    }
    server.nobody().get("/v1/health").send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_auditor_comes_after_the_head() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let position = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.position();
    let position: u64 = position.parse().expect("a number");
    let verified = || async {
        let audit = server.staff().get("/v1/health").send().await.expect(200)["audit"].clone();
        let up_to = audit["verified_position"].as_str().and_then(|text| text.parse::<u64>().ok());
        audit["verified_at"].is_string() && up_to.is_some_and(|up_to| up_to >= position)
    };
    let wait = std::time::Duration::from_secs(10);
    holdfast_testbed::eventually("the auditor has verified it", wait, verified).await.expect("it has");
}

#[tokio::test]
async fn the_metrics_count_every_order_once_whatever_becomes_of_it() {
    let server = Server::start().await;
    let sku = server.item(5).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    let part = json!({ "lines": [{ "sku": sku, "quantity": 1 }] });
    for _ in 0..2 {
        server.staff().post(&format!("{path}/fulfil")).json(&part).send().await.written(200);
    }
    let back = json!({ "disposition": "restock" });
    server.staff().post(&format!("{path}/return")).json(&back).send().await.written(200);
    server.service().post("/v1/orders").json(&lines(&sku, 9)).send().await.problem(409, "insufficient_stock");
    server.service().post("/v1/orders").json(&lines("NOTHING", 1)).send().await.problem(422, "unknown_sku");
    let metrics = server.nobody().get("/metrics").send().await.text;
    for (outcome, count) in [("accepted", 1), ("rejected", 2)] {
        let line = format!("holdfast_orders_decided_total{{outcome=\"{outcome}\"}} {count}");
        assert!(metrics.lines().any(|one| one == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.lines().any(|line| line == "holdfast_audit_finding 0"), "{metrics}");
}

#[tokio::test]
async fn supervisors_ask_without_a_key() {
    let server = Server::shared().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.nobody().get(path).send().await.expect(200)["status"], "up");
    }
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let reply = server.nobody().get("/metrics").send().await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").is_some_and(|kind| kind.contains("text")), "{reply:?}");
    let samples: Vec<&str> =
        reply.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(samples.iter().any(|sample| sample.contains("/v1/orders")), "{}", reply.text);
    for sample in samples {
        let value = sample.rsplit(' ').next().expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{sample}");
    }
    assert!(!reply.text.contains(&sku), "labels must not grow with the catalogue");
}
