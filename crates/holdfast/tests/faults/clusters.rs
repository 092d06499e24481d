//! Servers that have somebody to take their place: three RabbitMQ nodes, and a PostgreSQL primary with its standby.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::shop::{Shop, VHOST};
use crate::table::Row;

const TAKEN_OVER_MAX: Duration = Duration::from_secs(15);
const NODES_MAX: Duration = Duration::from_secs(60);

pub async fn one_node_of_three_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of one RabbitMQ node of three").await;
    let cluster = shop.rabbits();
    // The one that hurts most: it leads the queue of orders.
    let queue = cluster.node(0).queue(VHOST, "holdfast.orders").await.expect("it is there");
    let leader = queue["leader"].as_str().expect("a quorum queue has a leader").to_owned();
    let node = cluster.nodes().iter().find(|node| node.node() == leader).expect("one of ours");
    node.kill().expect("it dies");
    let killed = Instant::now();
    scene.serves_again(killed, "the kill", TAKEN_OVER_MAX).await;
    node.restart().await.expect("it starts again");
    cluster.wait_running(3, NODES_MAX).await.expect("it joins the others");
    shop.everybody_is_up().await;
    scene.end().await
}

pub async fn the_standby_is_promoted(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of the PostgreSQL primary, standby promoted").await;
    let pair = shop.postgres_pair();
    pair.primary().kill().expect("it dies");
    pair.promote().await.expect("the standby takes over");
    scene.serves_again(Instant::now(), "promotion", TAKEN_OVER_MAX).await;
    shop.everybody_is_up().await;
    scene.end().await
}
