//! A bare axum server: JSON in, JSON out, and nothing in between. The same HTTP library, builder, runtime and allocator as
//! the gateway, the same order and item on the wire; what the gateway adds is the difference.

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_service::Service;
use uuid::Uuid;

#[derive(Deserialize)]
struct PlaceOrder {
    id: Uuid,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

#[derive(Serialize)]
struct Money {
    amount: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct Order {
    id: Uuid,
    status: &'static str,
    customer: Option<String>,
    lines: Vec<OrderLine>,
    total: Money,
    placed_at: &'static str,
    position: &'static str,
}

#[derive(Serialize)]
struct OrderLine {
    sku: String,
    quantity: i64,
    unit_price: Money,
    allocations: [Allocation; 1],
}

#[derive(Serialize)]
struct Allocation {
    location: &'static str,
    quantity: i64,
}

#[derive(Serialize)]
struct Item {
    sku: String,
    brand: &'static str,
    model: &'static str,
    description: &'static str,
    image_url: Option<&'static str>,
    price: Money,
    attributes: Nothing,
    status: &'static str,
    available: i64,
    in_stock: bool,
    version: &'static str,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

const PRICE: i64 = 129_900;

fn money(amount: i64) -> Money {
    Money { amount, currency: "INR" }
}

async fn place(Json(order): Json<PlaceOrder>) -> (StatusCode, Json<Order>) {
    let line = |line: Line| OrderLine {
        sku: line.sku,
        quantity: line.quantity,
        unit_price: money(PRICE),
        allocations: [Allocation { location: "main", quantity: line.quantity }],
    };
    let lines: Vec<OrderLine> = order.lines.into_iter().map(line).collect();
    let total = money(lines.iter().map(|line| PRICE * line.quantity).sum());
    let order = Order {
        id: order.id,
        status: "accepted",
        customer: None,
        lines,
        total,
        placed_at: "2026-01-31T12:00:00.000000Z",
        position: "1234567",
    };
    (StatusCode::CREATED, Json(order))
}

async fn item(Path(sku): Path<String>) -> Json<Item> {
    Json(Item {
        sku,
        brand: "Aravalli",
        model: "Automatic diver 0001234",
        description: "Ceramic bezel, leather strap, enamel dial, and hands you can read at dusk.",
        image_url: None,
        price: money(PRICE),
        attributes: Nothing {},
        status: "active",
        available: 1_000_000_000,
        in_stock: true,
        version: "1",
    })
}

/// Serves until the process is ended.
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let router = Router::new().route("/v1/orders", post(place)).route("/v1/items/{sku}", get(item));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    // As the gateway's.
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .pipeline_flush(true)
        .max_buf_size(64 << 10);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            router.clone().call(request.map(axum::body::Body::new))
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A connection's end concerns its client alone.
            drop(connection.await);
        });
    }
}
