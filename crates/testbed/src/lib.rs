//! Real servers for tests, benchmarks and the local cluster: RabbitMQ, PostgreSQL, Redis, HAProxy and Prometheus from the
//! installed Debian packages, each in a private folder on free loopback ports, and a TCP proxy that breaks the wire between
//! any two of them.
//!
//! ```no_run
//! # async fn example() -> holdfast_testbed::Result<()> {
//! use holdfast_testbed::{FaultProxy, Postgres, Rabbit};
//!
//! let rabbit = Rabbit::start().await?;
//! let vhost = rabbit.fresh_vhost().await?;
//! let postgres = Postgres::start().await?;
//! let wire = FaultProxy::in_front_of(postgres.port()).await?;
//! let database = wire.redirect(&postgres.url("postgres"));
//!
//! rabbit.kill()?; // kill -9 of the whole process tree
//! rabbit.restart().await?; // the same data, the same ports
//! wire.half_open().await; // open connections, and silence
//! wire.heal().await;
//! # drop((vhost, database));
//! # Ok(())
//! # }
//! ```
//!
//! - Every server dereferences to its [`Process`]: `kill`, `stop`, `pause`, `resume`, `restart`, `log_path`.
//! - Everything ends with its value, also when a test panics. When the test process itself is killed, or a server sits in
//!   a `static` ([`Rabbit::shared`]), a watchdog ends what is left and removes the folders.
//! - A missing program is an error that says how to install it; nothing is ever skipped.
//! - `HOLDFAST_TESTBED_KEEP=1` keeps the folders with their logs.

mod cluster;
mod disk;
mod error;
mod folder;
mod haproxy;
mod http;
mod port;
mod postgres;
mod postgres_pair;
mod process;
mod program;
mod prometheus;
mod proxy;
mod rabbit;
mod rabbit_cluster;
mod redis;
mod tree;

use std::future::Future;
use std::time::{Duration, Instant};

pub use cluster::{BrokerUser, Cluster, Plan};
pub use disk::TinyDisk;
pub use error::{Result, Trouble};
pub use folder::KEEP;
pub use haproxy::Haproxy;
pub use http::{HttpAnswer, http_get};
pub use port::{Port, free_port};
pub use postgres::{Postgres, PostgresBuilder};
pub use postgres_pair::PostgresPair;
pub use process::{Process, ProcessBuilder, Ready, Signal};
pub use program::find_program;
pub use prometheus::Prometheus;
pub use proxy::FaultProxy;
pub use rabbit::{Rabbit, Vhost};
pub use rabbit_cluster::RabbitCluster;
pub use redis::Redis;

/// Asks again and again until `check` is true; for tests, instead of a sleep.
///
/// # Errors
/// [`Trouble::TimedOut`] with `what` when it has not become true after `wait_max`.
pub async fn eventually<F>(what: &str, wait_max: Duration, mut check: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    const PERIOD: Duration = Duration::from_millis(20);
    let deadline = Instant::now() + wait_max;
    loop {
        if check().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Trouble::TimedOut { what: what.to_owned(), after: wait_max });
        }
        tokio::time::sleep(PERIOD).await;
    }
}
