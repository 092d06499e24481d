//! What the contract knows and this version does not have says so.

use serde_json::json;

use crate::client::new_id;
use crate::server::Server;

#[tokio::test]
async fn webhooks_answer_501_to_admins_alone() {
    let server = Server::shared().await;
    let body = json!({ "url": "https://example.com/hook", "kinds": ["order.accepted"] });
    server.admin().post("/v1/webhooks").json(&body).send().await.problem(501, "not_implemented");
    server.admin().get("/v1/webhooks").send().await.problem(501, "not_implemented");
    server.admin().delete(&format!("/v1/webhooks/{}", new_id())).send().await.problem(501, "not_implemented");
    server.staff().get("/v1/webhooks").send().await.problem(403, "forbidden");
    server.nobody().get("/v1/webhooks").send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn stock_as_it_was_then_answers_501() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    for query in ["at=2026-01-01T00:00:00Z", "position=1"] {
        let reply = server.staff().get(&format!("/v1/stock/{sku}?{query}")).send().await;
        assert!(reply.status == 501 || reply.status == 200, "{reply:?}");
    }
}

#[tokio::test]
async fn without_a_broker_nothing_is_dead() {
    let server = Server::shared().await;
    let page = server.admin().get("/v1/dead-letters").send().await.expect(200);
    assert_eq!(page, json!({ "items": [], "next_cursor": null }));
    let path = format!("/v1/dead-letters/{}", new_id());
    server.admin().delete(&path).send().await.problem(404, "not_found");
    server.admin().post(&format!("{path}/retry")).send().await.problem(404, "not_found");
    for who in [server.staff(), server.service(), server.customer()] {
        who.get("/v1/dead-letters").send().await.problem(403, "forbidden");
    }
}
