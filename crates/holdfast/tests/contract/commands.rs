use serde_json::json;

use crate::client::{new_id, text};
use crate::server::{MAIN, Server, line, lines};

#[tokio::test]
async fn what_became_of_a_command_is_told_to_who_sent_it() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5 });
    let reply = server
        .staff()
        .post("/v1/stock/receipts")
        .header("Prefer", "respond-async")
        .json(&receipt)
        .send()
        .await;
    let pending = reply.written(202);
    let id = text(&pending, "command_id");
    assert_eq!(pending["status"], "pending");
    let path = format!("/v1/commands/{id}");
    assert_eq!(reply.header("location"), Some(path.as_str()));
    let decided = || async { server.staff().get(&path).send().await.expect(200)["ok"] == true };
    let wait = std::time::Duration::from_secs(10);
    holdfast_testbed::eventually("the command is decided", wait, decided).await.expect("it is");
    let outcome = server.staff().get(&path).send().await.expect(200);
    assert_eq!((&outcome["id"], &outcome["ok"]), (&json!(id), &json!(true)));
    assert!(outcome["position"].is_string());
    server.admin().get(&path).send().await.expect(200);
    for stranger in [server.customer(), server.service()] {
        stranger.get(&path).send().await.problem(404, "not_found");
    }
    server.nobody().get(&path).send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn orders_and_holds_are_commands_too() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let order = server.customer().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let path = format!("/v1/commands/{}", text(&order, "id"));
    let outcome = server.customer().get(&path).send().await.expect(200);
    assert_eq!((&outcome["ok"], &outcome["order"]), (&json!(true), &order));
    server.other_customer().get(&path).send().await.problem(404, "not_found");
    let refused = server.customer().post("/v1/orders").json(&lines(&sku, 9)).send().await;
    let path = format!("/v1/commands/{}", text(&refused.problem(409, "insufficient_stock"), "order_id"));
    let outcome = server.customer().get(&path).send().await.expect(200);
    assert_eq!((&outcome["ok"], &outcome["code"]), (&json!(false), &json!("insufficient_stock")));
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 60 });
    let hold = server.customer().post("/v1/holds").json(&hold).send().await.written(201);
    let path = format!("/v1/commands/{}", text(&hold, "id"));
    assert_eq!(server.customer().get(&path).send().await.expect(200)["hold"], hold);
}

#[tokio::test]
async fn a_hold_that_is_not_waited_for_is_found_where_its_answer_says() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    for (quantity, ok) in [(1, true), (2, false)] {
        let hold = json!({ "lines": [line(&sku, quantity)], "ttl_seconds": 60 });
        let call = server.customer().post("/v1/holds").header("Prefer", "respond-async").json(&hold);
        let reply = call.send().await;
        let pending = reply.written(202);
        let path = reply.header("location").expect("a location").to_owned();
        assert_eq!(path, format!("/v1/commands/{}", text(&pending, "command_id")));
        let decided = || async { server.customer().get(&path).send().await.expect(200)["ok"] == ok };
        let wait = std::time::Duration::from_secs(10);
        holdfast_testbed::eventually("the hold is decided", wait, decided).await.expect("it is");
    }
}

#[tokio::test]
async fn unknown_commands_are_404() {
    let server = Server::shared().await;
    server.admin().get(&format!("/v1/commands/{}", new_id())).send().await.problem(404, "not_found");
    server.admin().get("/v1/commands/nonsense").send().await.problem(404, "not_found");
}
