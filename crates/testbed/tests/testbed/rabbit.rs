use std::time::Duration;

use holdfast_testbed::{FaultProxy, Rabbit, RabbitCluster, Trouble, eventually, http_get};
use serde_json::json;

use crate::SOON;

const LONG: Duration = Duration::from_secs(120);

async fn declare_quorum_queue(rabbit: &Rabbit, vhost: &str, queue: &str) {
    let body = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    rabbit.api("PUT", &format!("/api/queues/{vhost}/{queue}"), Some(body)).await.unwrap();
}

#[tokio::test]
async fn a_killed_node_comes_back_with_its_queues_users_and_confirmed_messages() {
    let rabbit = Rabbit::start().await.unwrap();
    let vhost = rabbit.fresh_vhost().await.unwrap().name;
    rabbit.add_user("worker", "p/w:d", &["monitoring"]).await.unwrap();
    declare_quorum_queue(&rabbit, &vhost, "orders").await;
    assert!(rabbit.publish(&vhost, "amq.default", "orders", "\"kept\"").await.unwrap());
    rabbit.settle().await.unwrap();
    rabbit.kill().unwrap();
    rabbit.api("GET", "/api/overview", None).await.unwrap_err();
    rabbit.restart().await.unwrap();
    let messages = rabbit.take(&vhost, "orders", 10).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["payload"], "\"kept\"");
    assert_eq!(rabbit.api("GET", "/api/users/worker", None).await.unwrap()["name"], "worker");

    // Paused, it keeps the connection and says nothing.
    rabbit.pause();
    let asked = rabbit.api("GET", "/api/overview", None);
    tokio::pin!(asked);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asked).await.is_err());
    rabbit.resume();
    asked.await.unwrap();

    // On this node of its own, as an alarm blocks the publishers of all.
    let alarm = || async {
        let path = "/api/health/checks/local-alarms";
        matches!(rabbit.api("GET", path, None).await, Err(Trouble::Http { status: 503, .. }))
    };
    assert!(!alarm().await);
    rabbit.memory_alarm(true).await.unwrap();
    eventually("the alarm", SOON, alarm).await.unwrap();
    rabbit.memory_alarm(false).await.unwrap();
    eventually("the end of the alarm", SOON, || async { !alarm().await }).await.unwrap();

    rabbit.stop().await.unwrap();
    assert!(!rabbit.is_running());
}

#[tokio::test]
async fn users_permissions_and_urls_are_as_given() {
    let rabbit = Rabbit::shared().await.unwrap();
    let vhost = rabbit.fresh_vhost().await.unwrap();
    assert_eq!(vhost.url, format!("amqp://admin:testbed@127.0.0.1:{}/{}", rabbit.port(), vhost.name));
    let user = format!("p/{}", vhost.name);
    rabbit.add_user(&user, "s3cret", &["monitoring", "management"]).await.unwrap();
    rabbit.set_permissions(&vhost.name, &user, "^$", "^out", "^in").await.unwrap();
    rabbit.set_topic_permissions(&vhost.name, &user, "amq.topic", "^order\\.", ".*").await.unwrap();
    let path = format!("/api/topic-permissions/{}/p%2F{}", vhost.name, vhost.name);
    let topics = rabbit.api("GET", &path, None).await.unwrap();
    assert_eq!(topics[0]["write"], "^order\\.");
    let url = rabbit.amqp_url_for(&user, "s3cret", "/");
    assert_eq!(url, format!("amqp://p%2F{}:s3cret@127.0.0.1:{}/%2F", vhost.name, rabbit.port()));

    let missing = rabbit.queue(&vhost.name, "none").await.unwrap_err();
    assert!(matches!(missing, Trouble::Http { status: 404, .. }), "{missing}");
    assert!(!rabbit.publish(&vhost.name, "amq.topic", "nobody.listens", "{}").await.unwrap());
    let metrics = http_get(rabbit.prometheus_port(), "/metrics").await.unwrap();
    assert!(metrics.is_success() && metrics.body.contains("rabbitmq_build_info"));
}

#[tokio::test]
async fn the_amqp_port_answers_through_a_proxy() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rabbit = Rabbit::shared().await.unwrap();
    let wire = FaultProxy::in_front_of(rabbit.port()).await.unwrap();
    assert!(wire.redirect(&rabbit.amqp_url("/")).contains(&format!(":{}/", wire.port())));
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", wire.port())).await.unwrap();
    stream.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
    let mut frame = [0; 11];
    tokio::time::timeout(SOON, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    // A method frame on channel 0: class 10 (connection), method 10 (start).
    assert_eq!((frame[0], &frame[7..]), (1, &[0, 10, 0, 10][..]));
}

#[tokio::test]
async fn a_cluster_of_three_survives_the_death_of_one_node() {
    let cluster = RabbitCluster::start(3).await.unwrap();
    declare_quorum_queue(cluster.node(0), "%2F", "orders").await;
    assert!(cluster.node(1).publish("/", "amq.default", "orders", "1").await.unwrap());
    let queue = cluster.node(2).queue("/", "orders").await.unwrap();
    assert_eq!(queue["members"].as_array().map(Vec::len), Some(3), "{queue}");

    for node in cluster.nodes() {
        node.settle().await.unwrap();
    }
    let leader = queue["leader"].as_str().unwrap();
    let dead = cluster.nodes().iter().position(|node| node.node() == leader).unwrap();
    cluster.node(dead).kill().unwrap();
    let alive = cluster.node((dead + 1) % 3);
    eventually("the survivors to take a message", LONG, || async {
        alive.publish("/", "amq.default", "orders", "2").await.unwrap_or(false)
    })
    .await
    .unwrap();
    cluster.node(dead).restart().await.unwrap();
    cluster.wait_running(3, LONG).await.unwrap();
    let messages = cluster.node(dead).take("/", "orders", 1).await.unwrap();
    assert_eq!(messages[0]["payload"], "1");
}
