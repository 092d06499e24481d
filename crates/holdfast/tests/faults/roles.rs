//! kill -9 and SIGSTOP of each role.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::shop::{LOCATION, Shop};
use crate::table::{Row, patience};

const KILLED: &str = "the kill";
const RETURN: &str = "return";
/// With somebody else to do the work.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(5);
/// Where the work of orders does not depend on it.
const UNTOUCHED_MAX: Duration = Duration::from_secs(2);
const DECIDED_MAX: Duration = Duration::from_secs(10);
const PAUSED_FOR: Duration = Duration::from_secs(20);

/// kill -9 of a role that orders can do without, for as long as it takes to be shown down; then it comes back.
async fn killed(scene: &mut Scene, name: &'static str, back_max: Duration) {
    let shop = Arc::clone(&scene.shop);
    let process = &shop.role(name).process;
    process.kill().expect("it dies");
    let killed = Instant::now();
    scene.serves_again(killed, KILLED, back_max).await;
    shop.shows(name, "down").await;
    process.restart().await.expect("it starts again");
    shop.shows(name, "up").await;
}

pub async fn the_active_orders_worker_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of the active orders worker").await;
    let (active, standby) = shop.active_and_standby().await;
    killed(&mut scene, active, TAKEN_OVER_MAX).await;
    assert_eq!(shop.active_and_standby().await.0, standby, "the one that came back stands by");
    scene.end().await
}

pub async fn all_orders_workers_are_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of all orders workers").await;
    let workers = ["orders-1", "orders-2"];
    for name in workers {
        shop.role(name).process.kill().expect("it dies");
    }
    // Nobody decides; what is promised is readable as pending meanwhile.
    let mut promised = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        let order = json!({"customer": "patient", "lines": [{"sku": scene.plenty(), "quantity": 1}]});
        let request = shop.post("service", "/v1/orders").header("Prefer", "respond-async");
        let answer = request.json(&order).send().await.expect("it answers");
        assert_eq!(answer.status(), 202, "{:?}", answer.text().await);
        assert!(asked.elapsed() < patience(Duration::from_secs(2)), "it took {:?}", asked.elapsed());
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(status(&shop, &answer).await, "pending");
        promised.push(answer);
    }
    for name in workers {
        shop.shows(name, "down").await;
    }
    for name in workers {
        shop.role(name).process.restart().await.expect("it starts again");
    }
    let back = Instant::now();
    scene.serves_again(back, RETURN, TAKEN_OVER_MAX).await;
    for order in &promised {
        let accepted = || async { status(&shop, order).await == "accepted" };
        eventually("what was promised to be decided", patience(DECIDED_MAX), accepted).await.expect("it is");
    }
    scene.sold_besides(20);
    for name in workers {
        shop.shows(name, "up").await;
    }
    scene.end().await
}

async fn status(shop: &Shop, order: &Value) -> String {
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    let answer = shop.get("service", &path).send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
    let order: Value = answer.json().await.expect("JSON");
    order["status"].as_str().expect("a status").to_owned()
}

/// A write whose role is dead: promised at once, and kept when the role is back.
async fn promise(shop: &Shop, path: &str, body: &Value) -> String {
    let request = shop.post("staff", path).header("Prefer", "respond-async").json(body);
    let answer = request.send().await.expect("it answers");
    assert_eq!(answer.status(), 202, "{:?}", answer.text().await);
    answer.headers().get("location").expect("a Location").to_str().expect("ASCII").to_owned()
}

pub async fn items_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of items").await;
    let (process, name) = (&shop.role("items").process, "items");
    process.kill().expect("it dies");
    let sku = format!("LATE-{}", scene.plenty());
    let price = json!({"amount": 500, "currency": "INR"});
    let item = json!({"sku": sku, "brand": "Acme", "model": "Late", "price": price});
    promise(&shop, "/v1/items", &item).await;
    killed(&mut scene, name, UNTOUCHED_MAX).await;
    let path = format!("/v1/items/{sku}");
    let added = || async { shop.get("staff", &path).send().await.is_ok_and(|answer| answer.status() == 200) };
    eventually("the promised item", patience(DECIDED_MAX), added).await.expect("it is there");
    scene.end().await
}

pub async fn stock_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of stock: orders flow").await;
    shop.role("stock").process.kill().expect("it dies");
    let receipt = json!({"sku": scene.plenty(), "location": LOCATION, "quantity": 7});
    let location = promise(&shop, "/v1/stock/receipts", &receipt).await;
    killed(&mut scene, "stock", UNTOUCHED_MAX).await;
    let booked = || async {
        let Ok(answer) = shop.get("staff", &location).send().await else { return false };
        answer.json::<Value>().await.is_ok_and(|outcome| outcome["status"] != "pending")
    };
    eventually("the promised receipt", patience(DECIDED_MAX), booked).await.expect("it is booked");
    scene.received_besides(7);
    scene.end().await
}

pub async fn relay_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of relay").await;
    killed(&mut scene, "relay", UNTOUCHED_MAX).await;
    shop.the_relay_catches_up().await;
    scene.end().await
}

pub async fn monitor_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of monitor").await;
    killed(&mut scene, "monitor", UNTOUCHED_MAX).await;
    scene.end().await
}

pub async fn a_gateway_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of one gateway of two").await;
    killed(&mut scene, "gateway-1", TAKEN_OVER_MAX).await;
    scene.end().await
}

pub async fn the_active_orders_worker_is_paused(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "SIGSTOP of the active orders worker for 20 s").await;
    let (active, standby) = shop.active_and_standby().await;
    let process = &shop.role(active).process;
    process.pause();
    let paused = Instant::now();
    // The broker gives its work to the other one when it has not heard of it for two heartbeats.
    scene.serves_again(paused, "the pause", Duration::from_secs(15)).await;
    shop.shows(active, "down").await;
    assert_eq!(shop.active_and_standby().await.0, standby, "the other one has taken over");
    tokio::time::sleep_until((paused + PAUSED_FOR).into()).await;
    // It wakes up in the middle of its work, which the other one has done meanwhile.
    process.resume();
    shop.shows(active, "up").await;
    scene.end().await
}
