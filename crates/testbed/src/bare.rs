//! `cluster --bare`: only the servers, for test scripts in any language.

use anyhow::Result;
use holdfast_testbed::{Postgres, Rabbit, Redis};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    Rabbitmq,
    Postgres,
    Redis,
}

/// Each server is there or was not asked for.
struct Servers {
    rabbit: Option<Rabbit>,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
}

pub async fn run(wanted: &[Server]) -> Result<()> {
    let end = end();
    tokio::pin!(end);
    let servers = tokio::select! {
        servers = start(wanted) => servers?,
        ended = &mut end => return ended,
    };
    for line in servers.describe().await? {
        println!("{line}");
    }
    println!("{}", json!({"ready": true}));
    end.await
}

/// At Ctrl-C, SIGTERM, or when whoever started us has gone and so closed our standard input.
async fn end() -> Result<()> {
    let (closed, stdin_closes) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a runtime would wait for its blocked read before it ends.
    std::thread::spawn(move || {
        // An error is an end like any other.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(closed);
    });
    tokio::select! {
        asked = crate::asked_to_end() => asked,
        _ = stdin_closes => Ok(()),
    }
}

async fn start(wanted: &[Server]) -> Result<Servers> {
    let (rabbit, postgres, redis) = tokio::try_join!(
        async { if wanted.contains(&Server::Rabbitmq) { Rabbit::start().await.map(Some) } else { Ok(None) } },
        async {
            if wanted.contains(&Server::Postgres) { Postgres::start().await.map(Some) } else { Ok(None) }
        },
        async { if wanted.contains(&Server::Redis) { Redis::start().await.map(Some) } else { Ok(None) } },
    )?;
    Ok(Servers { rabbit, postgres, redis })
}

impl Servers {
    async fn describe(&self) -> Result<Vec<Value>> {
        let mut lines = Vec::new();
        if let Some(rabbit) = &self.rabbit {
            rabbit.add_vhost("holdfast").await?;
            lines.push(json!({
                "server": "rabbitmq",
                "url": rabbit.amqp_url("holdfast"),
                "management_url": rabbit.management_url(),
                "metrics_url": format!("http://127.0.0.1:{}/metrics", rabbit.prometheus_port()),
                "pid": rabbit.pid(),
                "log": rabbit.log_path(),
            }));
        }
        if let Some(postgres) = &self.postgres {
            postgres.add_database("holdfast").await?;
            lines.push(json!({
                "server": "postgres",
                "url": postgres.url("holdfast"),
                "socket_folder": postgres.socket_folder(),
                "pid": postgres.pid(),
                "log": postgres.log_path(),
            }));
        }
        if let Some(redis) = &self.redis {
            let url = redis.url();
            lines.push(json!({"server": "redis", "url": url, "pid": redis.pid(), "log": redis.log_path()}));
        }
        Ok(lines)
    }
}
