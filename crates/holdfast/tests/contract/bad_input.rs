//! Bad input is answered clearly, with nothing changed.

use serde_json::{Value, json};

use crate::client::new_id;
use crate::server::{MAIN, Server, line};

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let server = Server::shared().await;
    for body in [
        &b""[..],
        b"{",
        b"{\"lines\": [}",
        b"{\"lines\": [{\"sku\": \"A\", \"quantity\": 1}]} trailing",
        b"\xff\xfe{}",
        b"{\"customer\": \"\xc3\x28\", \"lines\": []}",
        b"lines=1",
    ] {
        let reply = server.service().post("/v1/orders").raw(body).send().await;
        let problem = reply.problem(400, "malformed_json");
        assert!(!problem["detail"].as_str().expect("a detail").is_empty());
    }
    for number in ["01", "NaN", "Infinity", "1e400", "0x1", "+1"] {
        let body = format!("{{\"lines\": [{{\"sku\": \"A\", \"quantity\": {number}}}]}}");
        assert_eq!(server.service().post("/v1/orders").raw(body).send().await.status, 400, "{number}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(server.service().post("/v1/orders").raw(deep).send().await.status, 400);
}

#[tokio::test]
async fn what_does_not_fit_an_order_is_named() {
    let server = Server::shared().await;
    let sku = server.item(1_000).await;
    let quantity = |quantity: Value| json!({ "lines": [{ "sku": sku, "quantity": quantity }] });
    let many: Vec<Value> = (0..201).map(|_| line(&sku, 1)).collect();
    for (body, field) in [
        (quantity(json!(0)), "lines[0].quantity"),
        (quantity(json!(-1)), "lines[0].quantity"),
        (quantity(json!(1_000_001)), "lines[0].quantity"),
        (quantity(json!(9_223_372_036_854_775_808_u64)), "lines[0].quantity"),
        (quantity(json!(1.5)), "lines[0].quantity"),
        (quantity(json!("1")), "lines[0].quantity"),
        (quantity(json!(true)), "lines[0].quantity"),
        (quantity(Value::Null), "lines[0].quantity"),
        (json!({ "lines": many }), "lines"),
        (json!({ "lines": [] }), "lines"),
        (json!({ "lines": {} }), "lines"),
        (json!({ "lines": [line(&sku, 1_000_000), line(&sku, 1)] }), "lines"),
        (json!({ "lines": [line("", 1)] }), "lines[0].sku"),
        (json!({ "lines": [line("has space", 1)] }), "lines[0].sku"),
        (json!({ "lines": [line(&"x".repeat(65), 1)] }), "lines[0].sku"),
        (json!({ "lines": [{ "sku": sku, "quantity": 1, "price": 1 }] }), "lines[0].price"),
        (json!({ "lines": [line(&sku, 1)], "colour": "red" }), "colour"),
        (json!({ "lines": [line(&sku, 1)], "id": "7" }), "id"),
        (json!({ "lines": [line(&sku, 1)], "customer": "" }), "customer"),
        (json!({ "lines": [line(&sku, 1)], "customer": "x".repeat(65) }), "customer"),
        (json!({ "lines": [line(&sku, 1)], "customer": "a\nb" }), "customer"),
        (json!({ "lines": [line(&sku, 1)], "allow_partial": "yes" }), "allow_partial"),
        (json!({ "lines": [line(&sku, 1)], "ship_to": { "latitude": 91, "longitude": 0 } }), "ship_to"),
    ] {
        server.service().post("/v1/orders").json(&body).send().await.invalid(field);
    }
    for (body, field) in [(json!({}), "lines"), (json!({ "lines": [{ "sku": sku }] }), "lines[0]")] {
        server.service().post("/v1/orders").json(&body).send().await.invalid(field);
    }
    for body in [json!([]), json!(7), Value::Null] {
        server.service().post("/v1/orders").json(&body).send().await.problem(400, "invalid_request");
    }
    assert_eq!(server.stock(&sku).await["available"], 1_000);
    let most: Vec<Value> = (0..200).map(|_| line(&sku, 1)).collect();
    server.service().post("/v1/orders").json(&json!({ "lines": most })).send().await.written(201);
}

#[tokio::test]
async fn what_does_not_fit_an_item_is_named() {
    let server = Server::shared().await;
    let price = json!({ "amount": 1, "currency": "INR" });
    let item = |more: Value| {
        let mut item = json!({ "brand": "B", "model": "M", "price": price });
        item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        item
    };
    for (body, field) in [
        (item(json!({ "brand": "" })), "brand"),
        (item(json!({ "brand": "   " })), "brand"),
        (item(json!({ "model": "x".repeat(201) })), "model"),
        (item(json!({ "model": 7 })), "model"),
        (item(json!({ "description": "x".repeat(5_001) })), "description"),
        (item(json!({ "description": "\u{0}" })), "description"),
        (item(json!({ "price": 7 })), "price"),
        (item(json!({ "price": { "amount": -1, "currency": "INR" } })), "price"),
        (item(json!({ "price": { "amount": 1_000_000_000_001_i64, "currency": "INR" } })), "price"),
        (item(json!({ "price": { "amount": 1.5, "currency": "INR" } })), "price.amount"),
        (item(json!({ "price": { "amount": 1, "currency": "rupees" } })), "price.currency"),
        (item(json!({ "image_url": "javascript:alert(1)" })), "image_url"),
        (item(json!({ "attributes": { "a": 7 } })), "attributes.a"),
        (item(json!({ "max_per_order": 0 })), "max_per_order"),
        (item(json!({ "sku": "a/b" })), "sku"),
        (item(json!({ "stock": [{ "location": MAIN, "quantity": -1 }] })), "stock[0].quantity"),
        (item(json!({ "colour": "red" })), "colour"),
    ] {
        server.staff().post("/v1/items").json(&body).send().await.invalid(field);
    }
    let nowhere = item(json!({ "stock": [{ "location": "NOWHERE", "quantity": 1 }] }));
    server.staff().post("/v1/items").json(&nowhere).send().await.problem(422, "unknown_location");
    let twice = json!({ "location": MAIN, "quantity": 1 });
    let twice = item(json!({ "stock": [twice, twice] }));
    server.staff().post("/v1/items").json(&twice).send().await.problem(422, "duplicate_location");
}

#[tokio::test]
async fn bodies_are_bounded_and_json() {
    let server = Server::shared().await;
    let huge = vec![b' '; 10 << 20];
    let reply = server.service().post("/v1/orders").raw(huge).try_send().await;
    // A server may answer and hang up before all of it was sent.
    if let Ok(reply) = reply {
        reply.problem(413, "body_too_large");
    }
    let over = vec![b' '; (1 << 20) + 1];
    server.service().post("/v1/orders").raw(over).send().await.problem(413, "body_too_large");
    let just = format!("{{\"lines\": []}}{}", " ".repeat((1 << 20) - 13));
    server.service().post("/v1/orders").raw(just).send().await.invalid("lines");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let reply = server.service().post("/v1/orders").body(kind, "{}").send().await;
        reply.problem(415, "unsupported_media_type");
    }
    let charset =
        server.service().post("/v1/orders").body("application/json; charset=utf-8", "{}").send().await;
    charset.invalid("lines");
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405() {
    let server = Server::shared().await;
    for path in
        ["/v1", "/v1/", "/v1/nothing", "/v1/orders/", "/v2/orders", &format!("/v1/orders/{}/eat", new_id())]
    {
        server.admin().get(path).send().await.problem(404, "not_found");
    }
    for (method, path) in [
        ("DELETE", "/v1/orders"),
        ("PUT", "/v1/orders/batch"),
        ("PATCH", "/v1/holds"),
        ("POST", "/v1/me"),
        ("GET", "/v1/stock/receipts/"),
    ] {
        let status = server.admin().call(method, path).send().await.status;
        assert!(status == 405 || status == 404, "{method} {path}: {status}");
    }
    server.admin().delete("/v1/orders").send().await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn hostile_paths_and_headers_are_refused_and_the_server_lives_on() {
    let server = Server::shared().await;
    for path in
        ["/v1/items/%00", "/v1/items/%ff", "/v1/items/..%2f..%2fetc%2fpasswd", "/v1/orders/%F0%9F%92%A9"]
    {
        let reply = server.admin().get(path).send().await;
        assert!([400, 404].contains(&reply.status), "{path}: {reply:?}");
    }
    for (name, value) in [("If-Match", "\"not a version\""), ("If-Match", "W/\"1\", \"2\"")] {
        let sku = server.item(1).await;
        let call = server.staff().patch(&format!("/v1/items/{sku}")).header(name, value);
        let reply = call.json(&json!({ "model": "X" })).send().await;
        assert!([400, 412].contains(&reply.status), "{reply:?}");
    }
    let long = "x".repeat(20_000);
    let reply = server.service().get("/v1/orders").header("X-Long", &long).send().await;
    assert!(reply.status < 500, "{reply:?}");
    let reply = server.nobody().get("/v1/items?query=").send().await;
    reply.expect(200);
    let words = "%22%27%3B--%20*%20OR%20NEAR(%20%F0%9F%92%A9";
    server.nobody().get(&format!("/v1/items?query={words}")).send().await.expect(200);
    server.nobody().get(&format!("/v1/items?query={}", "a%20".repeat(1_000))).send().await;
    server.nobody().get("/health/live").send().await.expect(200);
}

#[tokio::test]
async fn nothing_of_the_servers_inside_is_shown() {
    let server = Server::shared().await;
    let reply = server.service().post("/v1/orders").raw("{").send().await;
    for word in ["panicked", "src/", "rusqlite", "sqlite", "RUST_BACKTRACE"] {
        assert!(!reply.text.contains(word), "{}", reply.text);
    }
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}
