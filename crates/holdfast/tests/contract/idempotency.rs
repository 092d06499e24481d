//! The same again is done once; under the same key or id, something else is refused.

use serde_json::{Value, json};

use crate::client::{Client, Reply, new_id, text};
use crate::server::{MAIN, SECOND, Server, line, lines, unique};

async fn twice(client: &Client, method: &str, path: &str, body: &Value) -> (Reply, Reply) {
    let key = new_id();
    let first = client.call(method, path).key(&key).json(body).send().await;
    let second = client.call(method, path).key(&key).json(body).send().await;
    assert!(!first.replayed(), "{first:?}");
    assert!(second.replayed(), "{method} {path} is not replayed: {second:?}");
    assert_eq!((first.status, &first.text), (second.status, &second.text), "{method} {path}");
    assert_eq!(first.position(), second.position(), "{method} {path}");
    (first, second)
}

#[tokio::test]
async fn every_write_under_the_same_key_is_done_once_and_answered_again() {
    let server = Server::shared().await;
    let (staff, service) = (server.staff(), server.service());
    let sku = server.item(100).await;
    let at = |more: Value| {
        let mut body = json!({ "sku": sku, "location": MAIN });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for (path, body) in [
        ("/v1/stock/receipts", at(json!({ "quantity": 5 }))),
        ("/v1/stock/adjustments", at(json!({ "delta": -1, "reason": "loss" }))),
        ("/v1/stock/transfers", json!({ "sku": sku, "from": MAIN, "to": SECOND, "quantity": 1 })),
        ("/v1/stock/unavailable", at(json!({ "delta": 2, "reason": "wet" }))),
        ("/v1/stock/incoming", at(json!({ "delta": 3 }))),
        ("/v1/stock/counts", at(json!({ "counted": 103 }))),
        (
            "/v1/items",
            json!({ "brand": "Once", "model": "Only", "price": { "amount": 1, "currency": "INR" } }),
        ),
        ("/v1/locations", json!({ "code": unique("ONCE"), "name": "Once", "priority": 9 })),
    ] {
        twice(&staff, "POST", path, &body).await;
    }
    let (order, _) = twice(&service, "POST", "/v1/orders", &lines(&sku, 2)).await;
    let hold = json!({ "lines": [line(&sku, 3)], "ttl_seconds": 600 });
    let (hold, _) = twice(&service, "POST", "/v1/holds", &hold).await;
    let id = text(&hold.json(), "id");
    twice(&service, "POST", &format!("/v1/holds/{id}/extend"), &json!({ "ttl_seconds": 900 })).await;
    twice(&service, "POST", &format!("/v1/holds/{id}/confirm"), &json!({})).await;
    twice(&staff, "POST", &format!("/v1/orders/{}/fulfil", text(&order.json(), "id")), &json!({})).await;
    let returned = json!({ "disposition": "restock" });
    twice(&staff, "POST", &format!("/v1/orders/{}/return", text(&order.json(), "id")), &returned).await;
    twice(&service, "POST", &format!("/v1/orders/{id}/cancel"), &json!({})).await;
    twice(&staff, "PATCH", &format!("/v1/items/{sku}"), &json!({ "model": "Twice" })).await;
    let levels = json!({ "safety_stock": 1, "reorder_point": 1 });
    twice(&staff, "PUT", &format!("/v1/stock/{sku}/levels/{MAIN}"), &levels).await;

    let stock = server.stock(&sku).await;
    let counted =
        ["on_hand", "held", "allocated", "unavailable", "incoming"].map(|counter| stock[counter].clone());
    assert_eq!(counted, [104, 0, 0, 2, 3].map(|units| json!(units)), "{stock}");
}

#[tokio::test]
async fn refusals_by_the_rules_are_remembered_too() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let key = new_id();
    let place = || server.service().post("/v1/orders").key(&key).json(&lines(&sku, 2)).send();
    let first = place().await;
    first.problem(409, "insufficient_stock");
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5 });
    server.staff().post("/v1/stock/receipts").json(&receipt).send().await.written(201);
    let second = place().await;
    second.problem(409, "insufficient_stock");
    assert!(second.replayed());
    assert_eq!(second.json()["order_id"], first.json()["order_id"]);
}

#[tokio::test]
async fn what_was_not_decided_is_not_remembered() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let key = new_id();
    server
        .service()
        .post("/v1/orders")
        .key(&key)
        .json(&lines(&sku, 0))
        .send()
        .await
        .problem(400, "invalid_request");
    server.service().post("/v1/orders").key(&key).json(&lines(&sku, 1)).send().await.written(201);
}

#[tokio::test]
async fn another_content_under_the_same_key_is_422() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let key = new_id();
    server.service().post("/v1/orders").key(&key).json(&lines(&sku, 1)).send().await.written(201);
    let other = server.service().post("/v1/orders").key(&key).json(&lines(&sku, 2)).send().await;
    other.problem(422, "idempotency_key_reused");
    // The same content, written differently, is the same.
    let spaced =
        format!("{{ \"lines\" : [ {{\"quantity\":1, \"sku\":\"{sku}\"}} ], \"allow_partial\": false }}");
    let same = server.service().post("/v1/orders").key(&key).raw(spaced).send().await;
    assert!(same.replayed());
    same.written(201);
    assert_eq!(server.stock(&sku).await["allocated"], 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_account_one_method_and_one_path() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let key = new_id();
    for who in [server.service(), server.customer(), server.other_customer()] {
        let reply = who.post("/v1/orders").key(&key).json(&lines(&sku, 1)).send().await;
        assert!(!reply.replayed());
        reply.written(201);
    }
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 60 });
    let reply = server.service().post("/v1/holds").key(&key).json(&hold).send().await;
    assert!(!reply.replayed());
    reply.written(201);
    assert_eq!(server.stock(&sku).await["allocated"], 3);
}

#[tokio::test]
async fn keys_are_1_to_255_characters_quoted_or_bare() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let place = |key: String| {
        let service = server.service();
        let body = lines(&sku, 1);
        async move { service.post("/v1/orders").key(&key).json(&body).send().await }
    };
    let bare = new_id();
    assert!(!place(bare.clone()).await.replayed());
    assert!(place(format!("\"{bare}\"")).await.replayed());
    let longest = format!("{}{}", new_id(), "x".repeat(255 - 36));
    place(longest.clone()).await.written(201);
    place(format!("{longest}x")).await.invalid("Idempotency-Key");
    place("\"\"".to_owned()).await.invalid("Idempotency-Key");
}

#[tokio::test]
async fn an_id_of_the_clients_own_works_for_ever_and_under_any_key() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let body = json!({ "id": new_id(), "lines": [line(&sku, 2)] });
    let place = |key: Option<String>, body: Value| {
        let call = server.service().post("/v1/orders").json(&body);
        async move {
            match key {
                Some(key) => call.key(&key).send().await,
                None => call.send().await,
            }
        }
    };
    let key = new_id();
    let first = place(Some(key.clone()), body.clone()).await;
    let order = first.written(201);
    assert_eq!(order["id"], body["id"]);
    for key in [None, Some(key.clone()), Some(new_id())] {
        let again = place(key, body.clone()).await;
        assert!(again.replayed());
        assert_eq!(again.written(201), order);
    }
    let mut other = body.clone();
    other["lines"][0]["quantity"] = json!(3);
    place(None, other.clone()).await.problem(422, "idempotency_key_reused");
    // The key stands for that order, whatever id comes with it.
    other["id"] = json!(new_id());
    place(Some(key), other).await.problem(422, "idempotency_key_reused");
    for stranger in [server.customer(), server.admin()] {
        stranger.post("/v1/orders").json(&body).send().await.problem(409, "id_taken");
    }
    // Its answer is that of the decision, whatever became of the order since.
    let path = format!("/v1/orders/{}/cancel", text(&order, "id"));
    server.service().post(&path).send().await.written(200);
    assert_eq!(place(None, body).await.written(201), order);
    assert_eq!(server.stock(&sku).await["allocated"], 0);
}

#[tokio::test]
async fn an_id_of_the_clients_own_works_for_holds_too() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let body = json!({ "id": new_id(), "lines": [line(&sku, 2)], "ttl_seconds": 600 });
    let first = server.service().post("/v1/holds").json(&body).send().await.written(201);
    assert_eq!(first["id"], body["id"]);
    let again = server.service().post("/v1/holds").key(&new_id()).json(&body).send().await;
    assert!(again.replayed());
    assert_eq!(again.written(201), first);
    server.customer().post("/v1/holds").json(&body).send().await.problem(409, "id_taken");
    let order = json!({ "id": body["id"], "lines": [line(&sku, 2)] });
    server.service().post("/v1/orders").json(&order).send().await.problem(422, "idempotency_key_reused");
    assert_eq!(server.stock(&sku).await["held"], 2);
}

#[tokio::test]
async fn a_key_that_came_without_an_id_stands_for_what_it_made() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let key = new_id();
    let place = |body: Value| server.service().post("/v1/orders").key(&key).json(&body).send();
    let first = place(lines(&sku, 1)).await.written(201);
    let named = json!({ "id": new_id(), "lines": [line(&sku, 1)] });
    place(named).await.problem(422, "idempotency_key_reused");
    let again = place(lines(&sku, 1)).await;
    assert!(again.replayed());
    assert_eq!(again.written(201), first);
    assert_eq!(server.stock(&sku).await["allocated"], 1);
}

#[tokio::test]
async fn whoever_does_not_want_to_wait_is_told_at_once_what_is_known_already() {
    let server = Server::shared().await;
    let sku = server.item(9).await;
    let key = new_id();
    let place = |quantity| {
        let call = server.service().post("/v1/orders").key(&key).json(&lines(&sku, quantity));
        call.header("Prefer", "respond-async").send()
    };
    let first = server.service().post("/v1/orders").key(&key).json(&lines(&sku, 1)).send().await.written(201);
    let again = place(1).await;
    assert!(again.replayed());
    assert_eq!(again.written(201), first);
    place(2).await.problem(422, "idempotency_key_reused");
    let mut taken = lines(&sku, 2);
    taken["id"] = first["id"].clone();
    let call = server.customer().post("/v1/orders").json(&taken).header("Prefer", "respond-async");
    call.send().await.problem(409, "id_taken");
    assert_eq!(server.stock(&sku).await["allocated"], 1);
}

#[tokio::test]
async fn many_at_once_under_one_key_are_one() {
    let server = Server::shared().await;
    let sku = server.item(50).await;
    let key = new_id();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, key, body) = (server.service(), key.clone(), lines(&sku, 1));
            tokio::spawn(async move { client.post("/v1/orders").key(&key).json(&body).send().await })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    let mut fresh = 0;
    for call in calls {
        let reply = call.await.expect("no panic");
        fresh += usize::from(!reply.replayed());
        ids.insert(text(&reply.written(201), "id"));
    }
    assert_eq!((ids.len(), fresh), (1, 1));
    assert_eq!(server.stock(&sku).await["allocated"], 1);
}

#[tokio::test]
async fn keys_and_ids_are_remembered_across_a_restart() {
    let server = Server::start().await;
    let sku = server.item(9).await;
    let (key, hold_key) = (new_id(), new_id());
    let body = json!({ "id": new_id(), "lines": [line(&sku, 1)] });
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 600 });
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5 });
    let registered = json!({ "username": unique("restart"), "password": crate::server::PASSWORD });
    let mut answers = Vec::new();
    for round in 0..2 {
        let replies = [
            server.service().post("/v1/orders").json(&body).send().await,
            server.service().post("/v1/orders").key(&key).json(&lines(&sku, 2)).send().await,
            server.service().post("/v1/holds").key(&hold_key).json(&hold).send().await,
            server.staff().post("/v1/stock/receipts").key(&key).json(&receipt).send().await,
            server.nobody().post("/v1/accounts").key(&key).json(&registered).send().await,
        ];
        for reply in &replies {
            assert_eq!(reply.status, 201, "{reply:?}");
            assert_eq!(reply.replayed(), round == 1, "{reply:?}");
        }
        answers.push(replies.map(|reply| reply.json()));
        if round == 0 {
            server.process.restart().await.expect("it starts again");
        }
    }
    assert_eq!(answers[0], answers[1]);
    let stock = server.stock(&sku).await;
    let counted = ["on_hand", "held", "allocated"].map(|counter| stock[counter].clone());
    assert_eq!(counted, [14, 1, 3].map(|units| json!(units)));
}
