use holdfast_testbed::{Prometheus, eventually};

use crate::SOON;

#[tokio::test]
async fn prometheus_scrapes_and_keeps_its_samples_over_kill_and_restart() {
    let rabbit = holdfast_testbed::Rabbit::shared().await.unwrap();
    let prometheus = Prometheus::scraping(&[rabbit.prometheus_port()]).await.unwrap();
    let up = || async {
        prometheus
            .query("max_over_time(up{job=\"test\"}[5m])")
            .await
            .is_ok_and(|rows| rows[0]["value"][1] == "1")
    };
    eventually("a scrape of RabbitMQ", SOON, up).await.unwrap();
    let first = prometheus.query("timestamp(max_over_time(up[1h]))").await.unwrap();
    assert!(first[0]["value"][1].is_string(), "{first}");
    prometheus.kill().unwrap();
    prometheus.query("up").await.unwrap_err();
    prometheus.restart().await.unwrap();
    eventually("the samples from before", SOON, up).await.unwrap();
    assert!(prometheus.stop().await.unwrap().success());
}
