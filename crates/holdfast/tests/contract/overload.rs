//! A gateway has so many places for requests. Whoever finds none is told so at once, and nothing of it is taken.

use std::time::Duration;

use holdfast_testbed::eventually;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{Server, lines};

const WAIT_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_finds_no_place_is_refused_and_can_come_again() {
    let server = Server::start_with(&["--requests-max", "1"]).await;
    let sku = server.item(5).await;
    let item = format!("/v1/items/{sku}");
    let mut holder = TcpStream::connect(server.address()).await.expect("a connection");
    // An order's head, and a body that is still to come: it has its place until then.
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: holdfast\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        server.service_key()
    );
    holder.write_all(head.as_bytes()).await.expect("it is written");

    let full = || async { server.service().get(&item).send().await.status == 503 };
    eventually("the place is taken", WAIT_MAX, full).await.expect("it is");
    let mut order = lines(&sku, 2);
    order["id"] = json!(crate::client::new_id());
    let refused = server.service().post("/v1/orders").json(&order).send().await;
    refused.problem(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    for path in ["/health/live", "/health/ready"] {
        server.nobody().get(path).send().await.expect(200);
    }

    drop(holder);
    let free = || async { server.service().get(&item).send().await.status == 200 };
    eventually("the place is free", WAIT_MAX, free).await.expect("it is");
    assert_eq!(server.service().get(&item).send().await.json()["available"], 5);
    server.service().post("/v1/orders").json(&order).send().await.written(201);
    server.verify();
}
