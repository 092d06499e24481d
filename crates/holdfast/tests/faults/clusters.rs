//! Servers that have somebody to take their place: three RabbitMQ nodes, and a PostgreSQL primary with its standby.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::{Rabbit, RabbitCluster};

use crate::scene::Scene;
use crate::shop::{Shop, VHOST};
use crate::table::Row;

const TAKEN_OVER_MAX: Duration = Duration::from_secs(15);
const NO_MAJORITY_FOR: Duration = Duration::from_secs(3);
const NODES_MAX: Duration = Duration::from_secs(60);

pub async fn one_node_of_three_is_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of one RabbitMQ node of three").await;
    let cluster = shop.rabbits();
    let (node, _) = leader_and_others(cluster).await;
    node.kill().expect("it dies");
    let killed = Instant::now();
    scene.serves_again(killed, "the kill", TAKEN_OVER_MAX).await;
    node.restart().await.expect("it starts again");
    cluster.wait_running(3, NODES_MAX).await.expect("it joins the others");
    shop.everybody_is_up().await;
    scene.end().await
}

/// Without a majority nothing can be ordered; with one it can again, though the leader of before stays away.
pub async fn two_nodes_of_three_are_killed(shop: Arc<Shop>) -> Row {
    let mut scene = Scene::begin(&shop, "kill -9 of two RabbitMQ nodes of three, one back").await;
    let cluster = shop.rabbits();
    let (leader, others) = leader_and_others(cluster).await;
    leader.kill().expect("it dies");
    others[0].kill().expect("it dies");
    // Gateways connect to the node that is left, and go on trying there.
    tokio::time::sleep(NO_MAJORITY_FOR).await;
    others[0].restart().await.expect("it starts again");
    scene.serves_again(Instant::now(), "return", TAKEN_OVER_MAX).await;
    leader.restart().await.expect("it starts again");
    cluster.wait_running(3, NODES_MAX).await.expect("it joins the others");
    shop.everybody_is_up().await;
    scene.end().await
}

/// The node that leads the queue of orders, whose death hurts most.
async fn leader_and_others(cluster: &RabbitCluster) -> (&Rabbit, Vec<&Rabbit>) {
    let queue = cluster.node(0).queue(VHOST, "holdfast.orders").await.expect("it is there");
    let leader = queue["leader"].as_str().expect("a quorum queue has a leader");
    let (leaders, others): (Vec<_>, Vec<_>) = cluster.nodes().iter().partition(|node| node.node() == leader);
    (leaders.first().expect("one of ours"), others)
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
