use serde_json::{Value, json};

use crate::client::{Client, text};
use crate::server::{MAIN, SECOND, Server, lines, unique};

fn price(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "INR" })
}

/// SKUs of the whole list under a query.
async fn skus(client: &Client, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/v1/items?{query}{cursor}")).send().await.expect(200);
        found.extend(page["items"].as_array().expect("items").iter().map(|item| text(item, "sku")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn an_item_is_added_with_stock_and_everybody_may_read_it() {
    let server = Server::shared().await;
    let sku = unique("SKU");
    let body = json!({
        "sku": sku, "brand": "Titan", "model": "Edge", "description": "Thin.", "price": price(1_299_900),
        "image_url": "/pictures/edge.svg", "attributes": { "strap": "leather" }, "max_per_order": 4,
        "stock": [
            { "location": MAIN, "quantity": 5, "safety_stock": 1, "reorder_point": 2 },
            { "location": SECOND, "quantity": 0 },
        ],
    });
    let reply = server.staff().post("/v1/items").json(&body).send().await;
    let added = reply.written(201);
    let read = server.nobody().get(&format!("/v1/items/{sku}")).at_least(&reply.position()).send().await;
    let item = read.expect(200);
    assert_eq!(item, added);
    for (member, value) in [
        ("sku", json!(sku)),
        ("brand", json!("Titan")),
        ("model", json!("Edge")),
        ("description", json!("Thin.")),
        ("price", price(1_299_900)),
        ("image_url", json!("/pictures/edge.svg")),
        ("attributes", json!({ "strap": "leather" })),
        ("status", json!("active")),
        ("available", json!(4)),
        ("in_stock", json!(true)),
        ("max_per_order", json!(4)),
    ] {
        assert_eq!(item[member], value, "{member}");
    }
    assert!(read.header("etag").is_some());
}

#[tokio::test]
async fn without_a_sku_one_is_made_from_brand_and_model() {
    let server = Server::shared().await;
    let brand = unique("Brand");
    let body = json!({ "brand": brand, "model": "One Two", "price": price(1) });
    let first = text(&server.staff().post("/v1/items").json(&body).send().await.written(201), "sku");
    let second = text(&server.staff().post("/v1/items").json(&body).send().await.written(201), "sku");
    assert_ne!(first, second);
    assert!(first.to_lowercase().starts_with("brand"), "{first}");
}

#[tokio::test]
async fn a_sku_that_exists_is_409_and_changes_nothing() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let body = json!({ "sku": sku, "brand": "Other", "model": "Thing", "price": price(1) });
    server.staff().post("/v1/items").json(&body).send().await.problem(409, "sku_exists");
    assert_eq!(server.nobody().get(&format!("/v1/items/{sku}")).send().await.expect(200)["brand"], "Acme");
}

#[tokio::test]
async fn items_change_by_patch_and_put_under_their_etag() {
    let server = Server::shared().await;
    let sku = server.item(1).await;
    let path = format!("/v1/items/{sku}");
    let read = server.nobody().get(&path).send().await;
    let first = read.header("etag").expect("an ETag").to_owned();
    let patched =
        server.staff().patch(&path).header("If-Match", &first).json(&json!({ "model": "New" })).send().await;
    let position = patched.position();
    assert_eq!(patched.expect(200)["model"], "New");
    let stale =
        server.staff().patch(&path).header("If-Match", &first).json(&json!({ "model": "Lost" })).send().await;
    stale.problem(412, "stale_version");
    let stale = server.staff().delete(&path).header("If-Match", &first).send().await;
    stale.problem(412, "stale_version");
    let now = server.nobody().get(&path).at_least(&position).send().await;
    assert_eq!(now.expect(200)["model"], "New");
    let second = now.header("etag").expect("an ETag").to_owned();
    assert_ne!(first, second);
    let whole = json!({ "brand": "Acme", "model": "Whole", "description": "", "price": price(7) });
    let put = server.staff().put(&path).header("If-Match", &second).json(&whole).send().await.written(200);
    assert_eq!((&put["model"], &put["price"]), (&json!("Whole"), &price(7)));
    server
        .staff()
        .patch(&path)
        .header("If-Match", "*")
        .json(&json!({ "model": "Any" }))
        .send()
        .await
        .written(200);
}

#[tokio::test]
async fn a_reader_that_has_the_item_is_told_so() {
    let server = Server::shared().await;
    let path = format!("/v1/items/{}", server.item(1).await);
    let etag = server.nobody().get(&path).send().await.header("etag").expect("an ETag").to_owned();
    let again = server.nobody().get(&path).header("If-None-Match", &etag).send().await;
    assert!(again.status == 304 || again.status == 200, "{again:?}");
}

#[tokio::test]
async fn an_item_in_use_cannot_be_removed() {
    let server = Server::shared().await;
    let sku = server.item(2).await;
    let path = format!("/v1/items/{sku}");
    let placed = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let problem = server.staff().delete(&path).send().await.problem(409, "item_in_use");
    assert_eq!(problem["allocated"], 1);
    server.service().post(&format!("/v1/orders/{}/cancel", text(&placed, "id"))).send().await.written(200);
    let removed = server.staff().delete(&path).send().await;
    removed.written(204);
    let item = server.nobody().get(&path).at_least(&removed.position()).send().await.expect(200);
    assert_eq!((&item["status"], &item["in_stock"]), (&json!("archived"), &json!(false)));
    let brand = skus(&server.nobody(), "query=Acme&limit=200").await;
    assert!(!brand.contains(&sku), "archived items are not offered");
}

#[tokio::test]
async fn only_staff_change_items() {
    let server = Server::shared().await;
    let path = format!("/v1/items/{}", server.item(1).await);
    let body = json!({ "brand": "B", "model": "M", "price": price(1) });
    for who in [server.customer(), server.service()] {
        who.post("/v1/items").json(&body).send().await.problem(403, "forbidden");
        who.patch(&path).json(&json!({ "model": "X" })).send().await.problem(403, "forbidden");
        who.put(&path).json(&body).send().await.problem(403, "forbidden");
        who.delete(&path).send().await.problem(403, "forbidden");
    }
    server.nobody().post("/v1/items").json(&body).send().await.problem(401, "unauthenticated");
    server.nobody().delete(&path).send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn unknown_items_are_404() {
    let server = Server::shared().await;
    server.nobody().get("/v1/items/NO-SUCH-SKU").send().await.problem(404, "not_found");
    server
        .staff()
        .patch("/v1/items/NO-SUCH-SKU")
        .json(&json!({ "model": "X" }))
        .send()
        .await
        .problem(404, "not_found");
    server.staff().delete("/v1/items/NO-SUCH-SKU").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn search_finds_words_forgives_one_letter_and_counts_facets() {
    let server = Server::shared().await;
    // Words that no other test uses.
    let (brand, other) = ("Zephyrine", "Quixotica");
    let mut made = Vec::new();
    for (brand, model, amount, quantity) in
        [(brand, "Marlin Deep", 100, 3), (brand, "Osprey", 200, 0), (other, "Marlin Blue", 300, 1)]
    {
        let body = json!({
            "sku": unique("FIND"), "brand": brand, "model": model, "price": price(amount),
            "stock": [{ "location": MAIN, "quantity": quantity }],
        });
        let reply = server.staff().post("/v1/items").json(&body).send().await;
        reply.written(201);
        made.push((text(&reply.json(), "sku"), reply.position()));
    }
    let last = made[2].1.clone();
    let sku = |index: usize| made[index].0.clone();
    server.nobody().get("/v1/items").at_least(&last).send().await.expect(200);
    let nobody = server.nobody();
    assert_eq!(skus(&nobody, "query=zephyrine").await, [sku(0), sku(1)], "what is sold out is last");
    for typo in ["zephyrin", "zephyrrine", "zephirine", "zephryine"] {
        assert_eq!(skus(&nobody, &format!("query={typo}")).await, [sku(0), sku(1)], "{typo}");
    }
    assert_eq!(skus(&nobody, "query=zephyrine%20marlin").await, [sku(0)]);
    assert_eq!(skus(&nobody, "query=zephyrine&in_stock=true").await, [sku(0)]);
    assert_eq!(skus(&nobody, "query=marlin&brand=Quixotica").await, [sku(2)]);
    assert_eq!(skus(&nobody, "query=zephyrine&min_price=150").await, [sku(1)]);
    assert_eq!(skus(&nobody, "brand=Zephyrine,Quixotica&sort=-price").await, [sku(2), sku(1), sku(0)]);
    assert_eq!(skus(&nobody, "brand=Zephyrine,Quixotica&sort=price&limit=1").await, [sku(0), sku(1), sku(2)]);
    let page = nobody.get("/v1/items?query=marlin&brand=Quixotica").send().await.expect(200);
    let brands = page["facets"]["brand"].as_array().expect("a facet");
    for brand in ["Zephyrine", "Quixotica"] {
        assert!(brands.contains(&json!({ "value": brand, "count": 1 })), "{brands:?}");
    }
    assert!(page["facets"]["price"].as_array().is_some_and(|ranges| !ranges.is_empty()));
}

#[tokio::test]
async fn bad_queries_are_named() {
    let server = Server::shared().await;
    for query in
        ["sort=colour", "in_stock=perhaps", "min_price=cheap", "limit=0", "limit=999", "cursor=%21", "hue=7"]
    {
        server.nobody().get(&format!("/v1/items?{query}")).send().await.problem(400, "invalid_request");
    }
}
