//! A gateway has so many places for requests. Whoever finds none is told so at once, and nothing of it is taken.

use std::time::Duration;

use holdfast_testbed::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, lines};

const WAIT_MAX: Duration = Duration::from_secs(20);

/// An order's head that has found a place, and a body that is still to come.
async fn half_an_order(server: &Server) -> TcpStream {
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: holdfast\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        server.service_key()
    );
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("it is written");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 100");
    stream
}

#[tokio::test]
async fn what_finds_no_place_is_refused_and_can_come_again() {
    let server = Server::start_with(&["--requests-max", "1"]).await;
    let sku = server.item(5).await;
    let item = format!("/v1/items/{sku}");
    let holder = half_an_order(&server).await;
    server.service().get(&item).send().await.problem(503, "overloaded");
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
