//! Wires between roles and their servers, cut (closed, and refused) and half open (silent).

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::FaultProxy;
use serde_json::json;

use crate::scene::Scene;
use crate::shop::{LOCATION, Shop, Wires};
use crate::table::Row;

/// How long a wire is broken at least.
const BROKEN_FOR: Duration = Duration::from_secs(5);
/// Where the work of orders does not depend on it.
const UNTOUCHED_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
pub enum End {
    ActiveOrders,
    /// One of two.
    Gateway,
}

#[derive(Clone, Copy)]
pub enum Server {
    Broker,
    Database,
}

#[derive(Clone, Copy)]
pub enum Break {
    Cut,
    HalfOpen,
}

/// From when on the service has to be back, and in what time.
#[derive(Clone, Copy)]
pub enum Back {
    /// Somebody else takes over.
    AfterTheBreak(Duration),
    /// Nobody can.
    AfterTheHealing(Duration),
}

const OTHERS: [&str; 4] = ["items", "stock", "relay", "monitor"];

/// Every role that orders can do without loses both its servers at once, and finds them again.
pub async fn the_others_are_broken_off(shop: Arc<Shop>, broken: Break) -> Row {
    let what = match broken {
        Break::Cut => "cut off from both servers",
        Break::HalfOpen => "on silent wires to both servers",
    };
    let mut scene = Scene::begin(&shop, &format!("items, stock, relay, monitor {what}")).await;
    let wires = || {
        OTHERS.iter().flat_map(|name| {
            let Wires { broker, database } = shop.role(name).wires.as_ref().expect("this shop has wires");
            [broker, database]
        })
    };
    for wire in wires() {
        match broken {
            Break::Cut => wire.cut().await,
            Break::HalfOpen => wire.half_open().await,
        }
    }
    let began = Instant::now();
    scene.serves_again(began, "the break", UNTOUCHED_MAX).await;
    for name in OTHERS {
        shop.is_ready(name, Some("broker")).await;
        shop.is_ready(name, Some("database")).await;
    }
    for wire in wires() {
        wire.heal().await;
    }
    for name in OTHERS {
        shop.is_ready(name, None).await;
        shop.shows(name, "up").await;
    }
    // They do not only say so.
    let sku = format!("AFTER-{}", scene.plenty());
    let stock = json!([{"location": LOCATION, "quantity": 1}]);
    let price = json!({"amount": 500, "currency": "INR"});
    let item = json!({"sku": sku, "brand": "Acme", "model": "After", "price": price, "stock": stock});
    let added = shop.post("staff", "/v1/items").json(&item).send().await.expect("it answers");
    assert_eq!(added.status(), 201, "{:?}", added.text().await);
    let receipt = json!({"sku": sku, "location": LOCATION, "quantity": 7});
    let booked = shop.post("staff", "/v1/stock/receipts").json(&receipt).send().await.expect("it answers");
    assert_eq!(booked.status(), 201, "{:?}", booked.text().await);
    shop.the_relay_catches_up().await;
    scene.end().await
}

pub async fn is_broken(shop: Arc<Shop>, end: End, server: Server, broken: Break, back: Back) -> Row {
    let part = match server {
        Server::Broker => "broker",
        Server::Database => "database",
    };
    let (who, what) = match (end, broken) {
        (End::ActiveOrders, Break::Cut) => ("active orders worker", "cut off from"),
        (End::ActiveOrders, Break::HalfOpen) => ("active orders worker", "on a silent wire to"),
        (End::Gateway, Break::Cut) => ("one gateway of two", "cut off from"),
        (End::Gateway, Break::HalfOpen) => ("one gateway of two", "on a silent wire to"),
    };
    let mut scene = Scene::begin(&shop, &format!("{who} {what} the {part}")).await;
    let name = match end {
        End::ActiveOrders => shop.active_and_standby().await.0,
        End::Gateway => "gateway-1",
    };
    let Wires { broker, database } = shop.role(name).wires.as_ref().expect("this shop has wires");
    let wire: &FaultProxy = match server {
        Server::Broker => broker,
        Server::Database => database,
    };
    match broken {
        Break::Cut => wire.cut().await,
        Break::HalfOpen => wire.half_open().await,
    }
    let began = Instant::now();
    if let Back::AfterTheBreak(max) = back {
        scene.serves_again(began, "the break", max).await;
    }
    shop.is_ready(name, Some(part)).await;
    tokio::time::sleep_until((began + BROKEN_FOR).into()).await;
    wire.heal().await;
    if let Back::AfterTheHealing(max) = back {
        scene.serves_again(Instant::now(), "healing", max).await;
    }
    shop.is_ready(name, None).await;
    shop.shows(name, "up").await;
    scene.end().await
}
