use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, text};
use crate::server::{Server, line, lines, unique};

const WAIT_MAX: Duration = Duration::from_secs(10);

/// A reader of Server-Sent Events.
struct Events {
    response: reqwest::Response,
    buffer: String,
}

#[derive(Debug)]
struct Sent {
    id: String,
    name: String,
    data: Value,
}

impl Events {
    async fn open(client: &Client, topics: &str, last: Option<&str>) -> Self {
        let mut call = client.get(&format!("/v1/stream?topics={topics}"));
        if let Some(last) = last {
            call = call.header("Last-Event-ID", last);
        }
        let response = call.stream().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self { response, buffer: String::new() };
        if last.is_none() {
            // The first piece shows that it listens from now on.
            events.piece().await.expect("a welcome");
        }
        events
    }

    /// One block of the stream, or `None` at its end.
    async fn piece(&mut self) -> Option<String> {
        loop {
            if let Some((piece, rest)) = self.buffer.split_once("\n\n") {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.buffer = rest;
                return Some(piece);
            }
            let chunk = tokio::time::timeout(WAIT_MAX, self.response.chunk()).await.expect("something comes");
            self.buffer.push_str(std::str::from_utf8(&chunk.ok()??).expect("UTF-8"));
        }
    }

    /// The next named event.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            let piece = self.piece().await?;
            let field = |name: &str| {
                piece.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                let data = serde_json::from_str(&data).expect("data is JSON");
                return Some(Sent { id: field("id:").expect("an id"), name, data });
            }
        }
    }

    /// The next one that fits; others are let by.
    async fn find(&mut self, fits: impl Fn(&Sent) -> bool) -> Sent {
        loop {
            let sent = self.next().await.expect("the stream goes on");
            if fits(&sent) {
                return sent;
            }
        }
    }
}

#[tokio::test]
async fn stock_and_orders_arrive_as_they_happen() {
    let server = Server::shared().await;
    let sku = server.item(5).await;
    let mut events = Events::open(&server.staff(), "stock,orders", None).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    // That the item was added may be heard of after the answer to that.
    let ordered = |sent: &Sent| sent.data["sku"] == json!(sku) && sent.data["available"] != json!(5);
    let stock = events.find(|sent| sent.name == "stock" && ordered(sent)).await;
    assert_eq!(stock.data, json!({ "sku": sku, "available": 3, "in_stock": true }));
    let accepted = events.find(|sent| sent.name == "orders" && sent.data["subject"] == order["id"]).await;
    assert_eq!(accepted.data["type"], "holdfast.order.accepted");
    assert_eq!(accepted.data["data"]["order_id"], order["id"]);
    assert_eq!(json!(accepted.id), order["position"]);
}

#[tokio::test]
async fn a_customer_hears_of_own_orders_and_holds_alone() {
    let server = Server::shared().await;
    let sku = server.item(50).await;
    let mut events = Events::open(&server.customer(), "orders", None).await;
    let other = server.other_customer().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    server
        .other_customer()
        .post(&format!("/v1/orders/{}/cancel", text(&other, "id")))
        .send()
        .await
        .written(200);
    server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let own = server.customer().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    let id = text(&own, "id");
    server.staff().post(&format!("/v1/orders/{id}/fulfil")).send().await.written(200);
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 60 });
    let hold = text(&server.customer().post("/v1/holds").json(&hold).send().await.written(201), "id");
    server.customer().delete(&format!("/v1/holds/{hold}")).send().await.written(204);
    // Other tests may act as this customer too: what must not come is what belongs to others.
    let mut wanted = vec![
        ("holdfast.order.accepted", id.clone()),
        ("holdfast.order.fulfilled", id),
        ("holdfast.hold.placed", hold.clone()),
        ("holdfast.hold.released", hold),
    ];
    while !wanted.is_empty() {
        let sent = events.next().await.expect("the stream goes on");
        assert_ne!(sent.data["subject"], other["id"], "{sent:?}");
        let subject = text(&sent.data, "subject");
        let path = if text(&sent.data, "type").contains("order") { "orders" } else { "holds" };
        server.customer().get(&format!("/v1/{path}/{subject}")).send().await.expect(200);
        wanted.retain(|(kind, id)| !(sent.data["type"] == *kind && *id == subject));
    }
}

#[tokio::test]
async fn after_a_break_it_goes_on_where_it_was() {
    let server = Server::start().await;
    let sku = server.item(50).await;
    let first = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await;
    let last = first.position();
    let mut missed = Vec::new();
    for _ in 0..3 {
        missed.push(text(
            &server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201),
            "id",
        ));
    }
    server.stock(&sku).await;
    let mut events = Events::open(&server.staff(), "stock,orders", Some(&last)).await;
    let stock = events.next().await.expect("the stream goes on");
    assert_eq!((stock.name.as_str(), &stock.data["available"]), ("stock", &json!(46)));
    for id in missed {
        let sent = events.next().await.expect("the stream goes on");
        assert_eq!((sent.name.as_str(), &sent.data["subject"]), ("orders", &json!(id)));
    }
    let now =
        text(&server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201), "id");
    let sent = events.find(|sent| sent.name == "orders").await;
    assert_eq!(sent.data["subject"], json!(now));
}

#[tokio::test]
async fn whoever_missed_too_much_is_told_to_load_again() {
    let server = Server::start().await;
    let sku = server.item(10_000).await;
    let last = server.position().await;
    for _ in 0..4 {
        let orders: Vec<Value> = (0..1_000).map(|_| lines(&sku, 1)).collect();
        server
            .service()
            .post("/v1/orders/batch")
            .json(&json!({ "orders": orders }))
            .send()
            .await
            .written(200);
    }
    server.stock(&sku).await;
    let mut events = Events::open(&server.staff(), "orders", Some(&last)).await;
    let sent = events.next().await.expect("the stream goes on");
    assert_eq!(sent.name, "reset");
    assert_eq!(json!(sent.id), sent.data["position"]);
    for strange in ["999999999", "nonsense"] {
        let mut events = Events::open(&server.staff(), "orders", Some(strange)).await;
        assert_eq!(events.next().await.expect("the stream goes on").name, "reset");
    }
}

#[tokio::test]
async fn health_comes_by_itself_and_to_staff_alone() {
    let server = Server::shared().await;
    let mut events = Events::open(&server.staff(), "health", None).await;
    for _ in 0..2 {
        let sent = events.find(|sent| sent.name == "health").await;
        assert_eq!(sent.data["audit"]["oversold"], 0);
    }
    for who in [server.customer(), server.service()] {
        who.get("/v1/stream?topics=health").send().await.problem(403, "forbidden");
    }
    server.nobody().get("/v1/stream").send().await.problem(401, "unauthenticated");
    server.staff().get("/v1/stream?topics=weather").send().await.invalid("topics");
    server.staff().get("/v1/stream?topic=stock").send().await.invalid("query");
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_key() {
    let server = Server::shared().await;
    let body = json!({ "name": unique("stream"), "role": "staff" });
    let made = server.admin().post("/v1/api-keys").json(&body).send().await.expect(201);
    let mut events = Events::open(&server.with(&text(&made, "key")), "orders", None).await;
    server.admin().delete(&format!("/v1/api-keys/{}", text(&made, "id"))).send().await;
    let end = async { while events.piece().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(4), end).await.expect("it ends");
}
