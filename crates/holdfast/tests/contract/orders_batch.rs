use serde_json::{Value, json};

use crate::client::{new_id, text};
use crate::server::{Server, line, lines};

const PATH: &str = "/v1/orders/batch";

fn statuses(answer: &Value) -> Vec<String> {
    answer["results"].as_array().expect("results").iter().map(|result| text(result, "status")).collect()
}

#[tokio::test]
async fn each_order_of_a_batch_stands_alone_and_in_its_place() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let named = new_id();
    let orders = json!([
        lines(&sku, 2),
        { "id": named, "lines": [line(&sku, 0)] },
        lines(&sku, 4),
        lines("NO-SUCH-SKU", 1),
        { "lines": [line(&sku, 1)], "colour": "red" },
        "not even an object",
        lines(&sku, 3),
    ]);
    let reply = server.service().post(PATH).json(&json!({ "orders": orders })).send().await;
    let answer = reply.written(200);
    let expected = ["accepted", "invalid", "rejected", "rejected", "invalid", "invalid", "accepted"];
    assert_eq!(statuses(&answer), expected);
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results[1]["id"], json!(named));
    assert_eq!(results[1]["errors"][0]["field"], "lines[0].quantity");
    assert_eq!(results[2]["code"], "insufficient_stock");
    assert_eq!(results[2]["shortages"], json!([{ "sku": sku, "requested": 4, "available": 3 }]));
    assert_eq!(results[3]["code"], "unknown_sku");
    assert_eq!(results[4]["errors"][0]["field"], "colour");
    assert_eq!(results[6]["total"]["amount"], 3 * 129_900);
    assert_eq!(server.stock(&sku).await["allocated"], 5);
    for (result, status) in [(&results[0], "accepted"), (&results[2], "rejected")] {
        let order =
            server.service().get(&format!("/v1/orders/{}", text(result, "id"))).send().await.expect(200);
        assert_eq!(order["status"], status);
    }
    let invalid = server.service().get(&format!("/v1/orders/{named}")).send().await;
    invalid.problem(404, "not_found");
}

#[tokio::test]
async fn the_same_id_twice_in_one_batch_is_one_order() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let id = new_id();
    let order = json!({ "id": id, "lines": [line(&sku, 2)] });
    let answer =
        server.service().post(PATH).json(&json!({ "orders": [order, order] })).send().await.written(200);
    assert_eq!(statuses(&answer), ["accepted", "accepted"]);
    assert_eq!(answer["results"][0]["id"], answer["results"][1]["id"]);
    assert_eq!(server.stock(&sku).await["allocated"], 2);
}

#[tokio::test]
async fn a_batch_under_the_same_key_is_done_once_and_answered_again() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let key = new_id();
    let body = json!({ "orders": [lines(&sku, 2), lines(&sku, 1)] });
    let first = server.service().post(PATH).key(&key).json(&body).send().await;
    let second = server.service().post(PATH).key(&key).json(&body).send().await;
    assert!(!first.replayed() && second.replayed());
    assert_eq!(first.written(200), second.written(200));
    assert_eq!(server.stock(&sku).await["allocated"], 3);
    let other = json!({ "orders": [lines(&sku, 1), lines(&sku, 1)] });
    let answer = server.service().post(PATH).key(&key).json(&other).send().await.written(200);
    assert_eq!(answer["results"][0]["code"], "idempotency_key_reused");
    assert_eq!(answer["results"][1]["status"], "accepted");
    assert_eq!(server.stock(&sku).await["allocated"], 3);
}

#[tokio::test]
async fn a_thousand_orders_fit_and_one_more_does_not() {
    let server = Server::shared().await;
    let sku = server.item(600).await;
    let orders: Vec<Value> = (0..1_000).map(|_| lines(&sku, 1)).collect();
    let answer = server.service().post(PATH).json(&json!({ "orders": orders })).send().await.written(200);
    let accepted = statuses(&answer).iter().filter(|status| *status == "accepted").count();
    assert_eq!((accepted, statuses(&answer).len()), (600, 1_000));
    let orders: Vec<Value> = (0..1_001).map(|_| lines(&sku, 1)).collect();
    server.service().post(PATH).json(&json!({ "orders": orders })).send().await.invalid("orders");
    server.service().post(PATH).json(&json!({ "orders": [] })).send().await.invalid("orders");
    server.service().post(PATH).json(&json!({ "orders": 7 })).send().await.invalid("orders");
    server.service().post(PATH).json(&json!({ "orders": [], "more": 1 })).send().await.invalid("more");
}

#[tokio::test]
async fn only_services_send_batches() {
    let server = Server::shared().await;
    let body = json!({ "orders": [lines("X", 1)] });
    server.nobody().post(PATH).json(&body).send().await.problem(401, "unauthenticated");
    for who in [server.customer(), server.staff()] {
        who.post(PATH).json(&body).send().await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_batch_that_does_not_want_to_wait_is_pending_and_then_decided() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let body = json!({ "orders": [lines(&sku, 1), lines(&sku, 1)] });
    let answer =
        server.service().post(PATH).header("Prefer", "respond-async").json(&body).send().await.written(200);
    assert_eq!(statuses(&answer), ["pending", "pending"]);
    let mut ends = Vec::new();
    for result in answer["results"].as_array().expect("results") {
        let path = format!("/v1/orders/{}", text(result, "id"));
        let decided =
            || async { server.service().get(&path).send().await.expect(200)["status"] != "pending" };
        holdfast_testbed::eventually("a decision", std::time::Duration::from_secs(10), decided)
            .await
            .expect("it comes");
        ends.push(text(&server.service().get(&path).send().await.expect(200), "status"));
    }
    assert_eq!(ends, ["accepted", "rejected"]);
}
