use holdfast_testbed::{FaultProxy, Redis, eventually};

use crate::SOON;

#[tokio::test]
async fn redis_is_killed_and_comes_back_with_its_data() {
    let redis = Redis::start().await.unwrap();
    assert_eq!(redis.command("SET colour blue").await.unwrap().as_deref(), Some("OK"));
    assert_eq!(redis.command("GET size").await.unwrap(), None);
    redis.kill().unwrap();
    redis.command("PING").await.unwrap_err();
    redis.restart().await.unwrap();
    assert_eq!(redis.command("GET colour").await.unwrap().as_deref(), Some("blue"));
    assert!(redis.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_proxy_stands_between_redis_and_its_client() {
    let redis = Redis::start().await.unwrap();
    let wire = FaultProxy::in_front_of(redis.port()).await.unwrap();
    assert_eq!(wire.redirect(&redis.url()), format!("redis://127.0.0.1:{}", wire.port()));
    redis.pause();
    let asked = redis.command("PING");
    tokio::pin!(asked);
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asked).await;
    assert!(early.is_err(), "a paused server answers nothing");
    redis.resume();
    assert_eq!(asked.await.unwrap().as_deref(), Some("PONG"));
    eventually("redis to run", SOON, || async { redis.is_running() }).await.unwrap();
}
