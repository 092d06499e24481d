//! kill -9 of the servers that everything stands on, and a broker that is out of memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::shop::{Shop, VHOST};
use crate::table::{Row, patience};

const RETURN: &str = "return";
/// After the server takes connections again.
const BACK_MAX: Duration = Duration::from_secs(10);
const DOWN_FOR: Duration = Duration::from_secs(3);
/// How long gateways may not know of the alarm: an order waits that long for its confirm.
const ALARM_KNOWN_MAX: Duration = Duration::from_secs(30);
const REFUSED_AT_ONCE: Duration = Duration::from_secs(1);

pub async fn the_database_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of PostgreSQL").await;
    let is_over = |incident: &&Value| incident["what"] == "database" && !incident["to"].is_null();
    let over =
        |health: &Value| health["incidents"].as_array().map_or(0, |all| all.iter().filter(is_over).count());
    let before = shop.health().await.as_ref().map_or(0, over);
    let postgres = shop.postgres();
    postgres.kill().expect("it dies");
    let killed = Instant::now();
    for name in ["gateway-1", "gateway-2", "orders-1"] {
        shop.is_ready(name, Some("database")).await;
    }
    tokio::time::sleep_until((killed + DOWN_FOR).into()).await;
    postgres.restart().await.expect("it starts again");
    scene.serves_again(Instant::now(), RETURN, BACK_MAX).await;
    shop.everybody_is_up().await;
    let was_told = |health: Value| over(&health) > before;
    shop.health_shows("the database's incident, and its end", was_told).await;
    scene.end().await
}

pub async fn the_broker_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of the RabbitMQ node").await;
    let rabbit = shop.rabbit();
    rabbit.kill().expect("it dies");
    let killed = Instant::now();
    for name in ["gateway-1", "gateway-2", "orders-1"] {
        shop.is_ready(name, Some("broker")).await;
    }
    let is_down = |store: &Value| store["name"] == "broker" && store["status"] == "down";
    let broker_is_down =
        |health: Value| health["stores"].as_array().is_some_and(|all| all.iter().any(is_down));
    shop.health_shows("the broker to be shown down", broker_is_down).await;
    tokio::time::sleep_until((killed + DOWN_FOR).into()).await;
    rabbit.restart().await.expect("it starts again");
    scene.serves_again(Instant::now(), RETURN, BACK_MAX).await;
    shop.everybody_is_up().await;
    scene.end().await
}

pub async fn the_broker_is_out_of_memory(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "memory alarm of the broker").await;
    let rabbit = shop.rabbit();
    rabbit.memory_alarm(true).await.expect("the alarm is raised");
    // The broker tells a connection when that next publishes; from then on there is an answer at once.
    let (mut refused, mut taken) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + patience(ALARM_KNOWN_MAX);
    for name in ["gateway-1", "gateway-2"] {
        loop {
            let id = uuid::Uuid::now_v7().to_string();
            let lines = json!([{"sku": scene.plenty(), "quantity": 1}]);
            let order = json!({"id": id, "customer": "alarmed", "lines": lines});
            let asked = Instant::now();
            let answer = shop.post_to(name, "service", "/v1/orders").json(&order).send().await;
            let answer = answer.expect("it answers");
            if answer.status() == 503 {
                let took = asked.elapsed();
                assert!(took < patience(REFUSED_AT_ONCE), "refused after {took:?}");
                assert!(answer.headers().contains_key("retry-after"));
                refused.push(id);
                break;
            }
            // Sent before the alarm was known: pending, or in doubt.
            assert!(matches!(answer.status().as_u16(), 201 | 202 | 504), "{:?}", answer.text().await);
            taken.push(order);
            assert!(Instant::now() < deadline, "{name} takes orders that the broker does not");
        }
    }
    for name in ["gateway-1", "gateway-2"] {
        shop.is_ready(name, Some("broker")).await;
    }
    let alarm = |health: Value| {
        let all = |name: &str| health[name].as_array().cloned().unwrap_or_default();
        let told = |incident: &Value| {
            incident["to"].is_null()
                && incident["what"].as_str().is_some_and(|what| what.contains("memory alarm"))
        };
        all("incidents").iter().any(told)
            && all("stores").iter().any(|store| store["name"] == "broker" && store["status"] == "degraded")
    };
    shop.health_shows("the memory alarm", alarm).await;
    rabbit.memory_alarm(false).await.expect("the alarm ends");
    scene.serves_again(Instant::now(), "the alarm", BACK_MAX).await;
    for id in refused {
        let answer = shop.get("service", &format!("/v1/orders/{id}")).send().await.expect("it answers");
        assert_eq!(answer.status(), 404, "503 means that it was surely not taken");
    }
    scene.sold_besides(taken.len() as i64);
    for order in taken {
        let decided = || async {
            let answer = shop.post("service", "/v1/orders").json(&order).send().await;
            answer.is_ok_and(|answer| answer.status() == 201)
        };
        eventually("what was taken to be decided", patience(BACK_MAX), decided).await.expect("it is");
    }
    assert_eq!(rabbit.queue(VHOST, "holdfast.dead").await.expect("it is there")["messages"], 0);
    scene.end().await
}
