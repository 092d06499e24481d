use serde_json::{Value, json};

use crate::client::text;
use crate::server::{MAIN, Server, line, lines};

/// All events after a position under a filter.
async fn events(server: &Server, after: &str, filter: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut place = format!("after={after}");
    loop {
        let page =
            server.service().get(&format!("/v1/events?{place}&limit=50{filter}")).send().await.expect(200);
        found.extend(page["items"].as_array().expect("items").clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => place = format!("cursor={cursor}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn the_log_is_told_as_cloud_events_in_order() {
    let server = Server::shared().await;
    let start = server.position().await;
    let sku = server.item(5).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let id = text(&order, "id");
    server.staff().post(&format!("/v1/orders/{id}/fulfil")).send().await.written(200);
    let returned = json!({ "disposition": "restock" });
    server.staff().post(&format!("/v1/orders/{id}/return")).json(&returned).send().await.written(200);
    server
        .service()
        .post("/v1/orders")
        .json(&lines(&sku, 99))
        .send()
        .await
        .problem(409, "insufficient_stock");
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 60 });
    let hold = text(&server.service().post("/v1/holds").json(&hold).send().await.written(201), "id");
    server.service().delete(&format!("/v1/holds/{hold}")).send().await.written(204);
    let loss = json!({ "sku": sku, "location": MAIN, "delta": -1, "reason": "loss" });
    server.staff().post("/v1/stock/adjustments").json(&loss).send().await.written(201);

    let found = events(server, &start, &format!("&sku={sku}")).await;
    let types: Vec<String> = found.iter().map(|event| text(event, "type")).collect();
    let expected = [
        "item.added",
        "stock.changed",
        "order.accepted",
        "order.fulfilled",
        "order.returned",
        "order.rejected",
        "hold.placed",
        "hold.released",
        "stock.changed",
    ];
    assert_eq!(types, expected.map(|kind| format!("holdfast.{kind}")));
    let accepted = &found[2];
    assert_eq!((&accepted["specversion"], &accepted["source"]), (&json!("1.0"), &json!("holdfast")));
    assert_eq!((&accepted["subject"], &accepted["data"]["order_id"]), (&json!(id), &json!(id)));
    assert_eq!((&accepted["id"], &accepted["sequence"]), (&order["position"], &order["position"]));
    assert_eq!(accepted["time"], order["placed_at"]);
    for member in ["dataschema", "datacontenttype"] {
        assert!(accepted[member].is_string());
    }
    assert!(accepted["data"].get("fingerprint").is_none());
    assert_eq!(
        (&found[1]["data"]["kind"], &found[8]["data"]["kind"]),
        (&json!("received"), &json!("adjusted"))
    );
    let sequence: Vec<u64> =
        found.iter().map(|event| text(event, "sequence").parse().expect("a number")).collect();
    assert!(sequence.is_sorted_by(|a, b| a < b), "{sequence:?}");

    let changed = events(server, &start, &format!("&sku={sku}&kind=stock.changed")).await;
    assert_eq!(changed, [found[1].clone(), found[8].clone()]);
    let changed = events(server, &start, &format!("&sku={sku}&kind=holdfast.order.accepted")).await;
    assert_eq!(changed, std::slice::from_ref(accepted));
}

#[tokio::test]
async fn pages_neither_lose_nor_repeat_an_event() {
    let server = Server::start().await;
    let sku = server.item(50).await;
    let orders: Vec<Value> = (0..30).map(|_| lines(&sku, 1)).collect();
    server.service().post("/v1/orders/batch").json(&json!({ "orders": orders })).send().await.written(200);
    let all = events(&server, "0", "").await;
    let ids: Vec<u64> = all.iter().map(|event| text(event, "id").parse().expect("a number")).collect();
    let expected: Vec<u64> = (1..=ids.len() as u64).collect();
    assert_eq!(ids, expected);
    let mut one_by_one = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page =
            server.service().get(&format!("/v1/events?limit=1&after={after}")).send().await.expect(200);
        let items = page["items"].as_array().expect("items");
        if items.is_empty() {
            break;
        }
        one_by_one.extend(items.clone());
        after = text(&page, "position");
    }
    assert_eq!(one_by_one, all);
}

#[tokio::test]
async fn the_log_is_for_staff_and_services() {
    let server = Server::shared().await;
    server.nobody().get("/v1/events").send().await.problem(401, "unauthenticated");
    server.customer().get("/v1/events").send().await.problem(403, "forbidden");
    for who in [server.service(), server.staff(), server.admin()] {
        who.get("/v1/events?limit=1").send().await.expect(200);
    }
    for (query, field) in [
        ("after=x", "after"),
        ("kind=order.eaten", "kind"),
        ("sku=a%20b", "sku"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
    ] {
        server.staff().get(&format!("/v1/events?{query}")).send().await.invalid(field);
    }
}

#[tokio::test]
async fn no_event_names_a_person() {
    let server = Server::shared().await;
    let start = server.position().await;
    let username = server.account("customer");
    let body = json!({ "username": username, "password": crate::server::PASSWORD });
    let token = text(&server.nobody().post("/v1/sessions").json(&body).send().await.expect(201), "token");
    let sku = server.item(5).await;
    server.with(&token).post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let found = events(server, &start, &format!("&sku={sku}")).await;
    assert!(found.len() >= 3);
    assert!(!json!(found).to_string().contains(&username));
}
