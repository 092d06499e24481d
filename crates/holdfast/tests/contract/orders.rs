use serde_json::json;

use crate::client::{new_id, text};
use crate::server::{MAIN, SECOND, Server, line, lines, unique};

#[tokio::test]
async fn an_order_is_answered_with_its_lines_prices_and_locations() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    let reply = server
        .service()
        .post("/v1/orders")
        .json(&json!({ "customer": "c-7", "lines": [line(&sku, 3)] }))
        .send()
        .await;
    let order = reply.written(201);
    let id = text(&order, "id");
    assert_eq!(reply.header("location"), Some(format!("/v1/orders/{id}").as_str()));
    assert_eq!(order["status"], "accepted");
    assert_eq!(order["customer"], "c-7");
    let price = json!({ "amount": 129_900, "currency": "INR" });
    let allocations = json!([{ "location": MAIN, "quantity": 3 }]);
    let expected = json!([{ "sku": sku, "quantity": 3, "unit_price": price, "allocations": allocations }]);
    assert_eq!(order["lines"], expected);
    assert_eq!(order["total"], json!({ "amount": 389_700, "currency": "INR" }));
    assert_eq!(order["position"], reply.position());
    assert!(text(&order, "placed_at").ends_with('Z'));
    let stock = server.stock(&sku).await;
    assert_eq!(
        (&stock["on_hand"], &stock["allocated"], &stock["available"]),
        (&json!(10), &json!(3), &json!(7))
    );
    let again = server.service().get(&format!("/v1/orders/{id}")).at_least(&reply.position()).send().await;
    assert_eq!(again.expect(200), order);
}

#[tokio::test]
async fn an_order_for_more_than_there_is_names_the_shortages_and_is_readable_as_rejected() {
    let server = Server::shared().await;
    let (much, little) = (server.item(10).await, server.item(2).await);
    let body = json!({ "lines": [line(&much, 1), line(&little, 3)] });
    let reply = server.customer().post("/v1/orders").json(&body).send().await;
    let problem = reply.problem(409, "insufficient_stock");
    assert_eq!(problem["shortages"], json!([{ "sku": little, "requested": 3, "available": 2 }]));
    let rejected = server.customer().get(&format!("/v1/orders/{}", text(&problem, "order_id")));
    let rejected = rejected.at_least(&reply.position()).send().await.expect(200);
    assert_eq!((&rejected["status"], &rejected["code"]), (&json!("rejected"), &json!("insufficient_stock")));
    // All lines or none.
    assert_eq!(server.stock(&much).await["available"], 10);
}

#[tokio::test]
async fn with_allow_partial_there_is_what_there_is() {
    let server = Server::shared().await;
    let (much, little, none) = (server.item(10).await, server.item(2).await, server.item(0).await);
    let body = json!({ "lines": [line(&much, 1), line(&little, 3), line(&none, 1)], "allow_partial": true });
    let order = server.service().post("/v1/orders").json(&body).send().await.written(201);
    let taken: Vec<_> = order["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|l| (text(l, "sku"), l["quantity"].clone()))
        .collect();
    assert_eq!(taken, [(much, json!(1)), (little.clone(), json!(2))]);
    let shortages = json!([
        { "sku": little, "requested": 3, "available": 2 },
        { "sku": none, "requested": 1, "available": 0 },
    ]);
    assert_eq!(order["shortages"], shortages);
    let nothing = json!({ "lines": [line(&none, 1)], "allow_partial": true });
    server.service().post("/v1/orders").json(&nothing).send().await.problem(409, "insufficient_stock");
}

#[tokio::test]
async fn repeated_skus_are_summed() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    let body = json!({ "lines": [line(&sku, 2), line(&sku, 3)] });
    let order = server.service().post("/v1/orders").json(&body).send().await.written(201);
    assert_eq!(order["lines"].as_array().expect("lines").len(), 1);
    assert_eq!(order["lines"][0]["quantity"], 5);
}

#[tokio::test]
async fn what_the_rules_refuse_is_422_with_the_reason() {
    let server = Server::shared().await;
    let euro = server.item_with(json!({ "price": { "amount": 1, "currency": "EUR" } })).await;
    let rupee = server.item(1).await;
    let few =
        server.item_with(json!({ "max_per_order": 2, "stock": [{ "location": MAIN, "quantity": 9 }] })).await;
    let gone = server.item(1).await;
    server.staff().delete(&format!("/v1/items/{gone}")).send().await.written(204);
    for (lines, code) in [
        (vec![line("NO-SUCH-SKU", 1)], "unknown_sku"),
        (vec![line(&rupee, 1), line(&euro, 1)], "mixed_currencies"),
        (vec![line(&few, 3)], "max_per_order"),
        (vec![line(&gone, 1)], "item_archived"),
    ] {
        let reply = server.service().post("/v1/orders").json(&json!({ "lines": lines })).send().await;
        reply.problem(422, code);
        reply.position();
    }
}

#[tokio::test]
async fn stock_is_taken_by_priority_with_the_fewest_splits() {
    let server = Server::shared().await;
    let both = json!([{ "location": MAIN, "quantity": 5 }, { "location": SECOND, "quantity": 5 }]);
    let sku = server.item_with(json!({ "stock": both })).await;
    let first = server.service().post("/v1/orders").json(&lines(&sku, 4)).send().await.written(201);
    assert_eq!(first["lines"][0]["allocations"], json!([{ "location": MAIN, "quantity": 4 }]));
    let second = server.service().post("/v1/orders").json(&lines(&sku, 6)).send().await.written(201);
    let split = json!([{ "location": MAIN, "quantity": 1 }, { "location": SECOND, "quantity": 5 }]);
    assert_eq!(second["lines"][0]["allocations"], split);
}

#[tokio::test]
async fn stock_is_taken_from_the_nearest_location_when_it_is_known_where_to() {
    let server = Server::shared().await;
    let (north, south) = (unique("NORTH"), unique("SOUTH"));
    for (code, latitude, priority) in [(&north, 60.0, 10), (&south, 10.0, 9)] {
        let body = json!({ "code": code, "name": code, "priority": priority, "latitude": latitude, "longitude": 20.0 });
        server.staff().post("/v1/locations").json(&body).send().await.written(201);
    }
    let stock = json!([{ "location": north, "quantity": 5 }, { "location": south, "quantity": 5 }]);
    let sku = server.item_with(json!({ "stock": stock })).await;
    let body = json!({ "lines": [line(&sku, 1)], "ship_to": { "latitude": 59.0, "longitude": 21.0 } });
    let order = server.service().post("/v1/orders").json(&body).send().await.written(201);
    assert_eq!(order["lines"][0]["allocations"][0]["location"], json!(north));
    let order = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    assert_eq!(order["lines"][0]["allocations"][0]["location"], json!(south));
}

#[tokio::test]
async fn a_customers_orders_are_for_the_own_account_and_hidden_from_others() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    let me = text(&server.customer().get("/v1/me").send().await.expect(200), "id");
    let stranger = json!({ "customer": "somebody-else", "lines": [line(&sku, 1)] });
    server.customer().post("/v1/orders").json(&stranger).send().await.problem(403, "forbidden");
    let own = json!({ "customer": me, "lines": [line(&sku, 1)] });
    let order = server.customer().post("/v1/orders").json(&own).send().await.written(201);
    assert_eq!(order["customer"], json!(me));
    let path = format!("/v1/orders/{}", text(&order, "id"));
    for (who, status) in [
        (server.customer(), 200),
        (server.other_customer(), 404),
        (server.service(), 200),
        (server.staff(), 200),
        (server.admin(), 200),
        (server.nobody(), 401),
    ] {
        assert_eq!(who.get(&path).send().await.status, status);
    }
    server.other_customer().post(&format!("{path}/cancel")).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn who_may_place_orders() {
    let server = Server::shared().await;
    let sku = server.item(10).await;
    server.nobody().post("/v1/orders").json(&lines(&sku, 1)).send().await.problem(401, "unauthenticated");
    server.staff().post("/v1/orders").json(&lines(&sku, 1)).send().await.problem(403, "forbidden");
    for who in [server.customer(), server.service(), server.admin()] {
        who.post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    }
}

#[tokio::test]
async fn lists_are_newest_first_by_status_and_customer_in_pages() {
    let server = Server::shared().await;
    let sku = server.item(3).await;
    let customer = unique("customer");
    let body = json!({ "customer": customer, "lines": [line(&sku, 1)] });
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(text(&server.service().post("/v1/orders").json(&body).send().await.written(201), "id"));
    }
    let refused = server.service().post("/v1/orders").json(&body).send().await;
    let refused = text(&refused.problem(409, "insufficient_stock"), "order_id");
    placed.reverse();

    let mut found = Vec::new();
    let mut path = format!("/v1/orders?customer={customer}&status=accepted&limit=2");
    loop {
        let page = server.service().get(&path).send().await.expect(200);
        let items = page["items"].as_array().expect("items").clone();
        assert!(items.len() <= 2);
        found.extend(items.iter().map(|order| text(order, "id")));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?customer={customer}&status=accepted&limit=2&cursor={cursor}");
    }
    assert_eq!(found, placed);
    let rejected =
        server.staff().get(&format!("/v1/orders?customer={customer}&status=rejected")).send().await;
    assert_eq!(text(&rejected.expect(200)["items"][0], "id"), refused);
    let all = server.admin().get(&format!("/v1/orders?customer={customer}")).send().await.expect(200);
    assert_eq!(all["items"].as_array().expect("items").len(), 4);
}

#[tokio::test]
async fn a_customers_list_has_only_the_own_orders() {
    let server = Server::shared().await;
    let sku = server.item(3).await;
    let own =
        text(&server.customer().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201), "id");
    let me = text(&server.customer().get("/v1/me").send().await.expect(200), "id");
    server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let page = server.customer().get("/v1/orders?limit=200").send().await.expect(200);
    let items = page["items"].as_array().expect("items");
    assert!(items.iter().any(|order| order["id"] == json!(own)));
    assert!(items.iter().all(|order| order["customer"] == json!(me)), "{items:?}");
    server.customer().get("/v1/orders?customer=somebody").send().await.problem(403, "forbidden");
}

#[tokio::test]
async fn bad_queries_are_named() {
    let server = Server::shared().await;
    for (query, field) in [
        ("status=eaten", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=bm9wZQ", "cursor"),
        ("colour=red", "query"),
    ] {
        server.service().get(&format!("/v1/orders?{query}")).send().await.invalid(field);
    }
    server.service().get("/v1/orders/not-an-id").send().await.problem(404, "not_found");
    server.service().get(&format!("/v1/orders/{}", new_id())).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn whoever_does_not_want_to_wait_gets_202_and_the_order_is_decided_all_the_same() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let reply = server
        .service()
        .post("/v1/orders")
        .header("Prefer", "respond-async")
        .json(&lines(&sku, 1))
        .send()
        .await;
    let pending = reply.written(202);
    let id = text(&pending, "id");
    assert_eq!(pending["status"], "pending");
    let path = format!("/v1/orders/{id}");
    assert_eq!(reply.header("location"), Some(path.as_str()));
    let waiting = || async {
        let order = server.service().get(&path).send().await.expect(200);
        assert!(order["status"] == "pending" || order["status"] == "accepted", "{order}");
        order["status"] == "accepted"
    };
    holdfast_testbed::eventually("the order is decided", std::time::Duration::from_secs(10), waiting)
        .await
        .expect("it is");
}

#[tokio::test]
async fn a_customer_who_floods_is_slowed_down_and_a_service_is_not() {
    let server = Server::shared().await;
    let sku = server.item(10_000).await;
    let body = json!({ "username": server.account("customer"), "password": crate::server::PASSWORD });
    let token = text(&server.nobody().post("/v1/sessions").json(&body).send().await.expect(201), "token");
    let flood = |client: crate::client::Client| {
        let calls = (0..400).map(|_| {
            let (client, body) = (client.clone(), lines(&sku, 1));
            tokio::spawn(async move { client.post("/v1/orders").json(&body).send().await })
        });
        futures_util::future::join_all(calls.collect::<Vec<_>>())
    };
    let mut slowed = 0;
    for reply in flood(server.with(&token)).await {
        let reply = reply.expect("no panic");
        if reply.status == 429 {
            reply.problem(429, "too_many_requests");
            for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
                assert!(reply.header(name).is_some(), "{name} is missing");
            }
            slowed += 1;
        } else {
            reply.written(201);
        }
    }
    assert!(slowed > 0, "400 orders at once were let in");
    for reply in flood(server.service()).await {
        reply.expect("no panic").written(201);
    }
}
