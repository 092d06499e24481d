//! Messages that nobody can read, among good ones, from a producer that is no gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::scene::{self, Scene};
use crate::shop::{Shop, VHOST};
use crate::table::{Row, patience};

const GOOD: usize = 1_000;
const ENVELOPES: usize = 2;
const PUBLISHERS: usize = 8;
const DECIDED_MAX: Duration = Duration::from_secs(15);
const NOT_JSON: &str = "{ this is not JSON";

fn order(sku: &str, customer: &str) -> Value {
    let id = uuid::Uuid::now_v7().to_string();
    json!({"id": id, "kind": "order.place", "customer": customer, "lines": [{"sku": sku, "quantity": 1}]})
}

async fn publish(shop: &Shop, bodies: Vec<String>) {
    let rabbit = shop.rabbit();
    let publish =
        |body: String| async move { rabbit.publish(VHOST, "holdfast.commands", "order.place", &body).await };
    let routed: Vec<bool> = stream::iter(bodies)
        .map(publish)
        .buffer_unordered(PUBLISHERS)
        .try_collect()
        .await
        .expect("published");
    assert!(routed.iter().all(|routed| *routed), "a queue takes them all");
}

async fn dead_letters(shop: &Shop) -> Vec<Value> {
    let answer = shop.get("admin", "/v1/dead-letters?limit=200").send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.expect("JSON")["items"].as_array().expect("items").clone()
}

/// Publishes, waits until all good orders are decided, and finds and drops exactly the bad ones among the dead.
async fn poisoned(
    shop: Arc<Shop>,
    fault: &str,
    bodies: impl FnOnce(&str, &str) -> Vec<String>,
    bad: usize,
) -> Row {
    let mut scene = Scene::begin(&shop, fault).await;
    let customer = format!("amqp-{}", scene.plenty());
    publish(&shop, bodies(scene.plenty(), &customer)).await;
    let published = Instant::now();
    scene.serves_again(published, "publishing", DECIDED_MAX).await;
    let orders = loop {
        let listed = scene::listed(&shop, &customer, &scene::position(&shop).await).await;
        if listed.len() >= GOOD {
            break listed;
        }
        assert!(published.elapsed() < patience(DECIDED_MAX), "only {} good orders are decided", listed.len());
    };
    assert_eq!(orders.len(), GOOD);
    assert!(orders.values().all(|order| order["status"] == "accepted"));
    scene.sold_besides(GOOD as i64);
    let dead = dead_letters(&shop).await;
    assert_eq!(dead.len(), bad, "{dead:?}");
    for letter in &dead {
        assert_eq!(letter["routing_key"], "order.place");
        assert!(letter["error"].as_str().is_some_and(|why| !why.is_empty()), "{letter}");
        assert!(letter["body"].as_str().is_some_and(|body| body.contains("this is")), "{letter}");
        let path = format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
        let dropped = shop.request(reqwest::Method::DELETE, "admin", &path).send().await.expect("it answers");
        assert_eq!(dropped.status(), 204);
    }
    assert_eq!(dead_letters(&shop).await.len(), 0);
    scene.end().await
}

pub async fn poison_alone(shop: Arc<Shop>) -> Row {
    let bodies = |sku: &str, customer: &str| {
        let mut bodies: Vec<String> = (0..GOOD).map(|_| order(sku, customer).to_string()).collect();
        bodies.insert(GOOD / 2, NOT_JSON.to_owned());
        bodies
    };
    poisoned(shop, "a message that is no JSON, among 1,000", bodies, 1).await
}

pub async fn poison_in_an_envelope(shop: Arc<Shop>) -> Row {
    let bodies = |sku: &str, customer: &str| {
        let envelope = |_| {
            let mut orders: Vec<Value> = (0..GOOD / ENVELOPES).map(|_| order(sku, customer)).collect();
            let mut strange = order(sku, customer);
            strange["kind"] = json!("this is no kind");
            orders.insert(GOOD / ENVELOPES / 2, strange);
            Value::Array(orders).to_string()
        };
        (0..ENVELOPES).map(envelope).collect()
    };
    poisoned(shop, "an unknown command in each of two envelopes of 500", bodies, ENVELOPES).await
}
