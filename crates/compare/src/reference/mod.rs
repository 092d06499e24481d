//! What Holdfast is compared with: each the bare minimum of one thing that it does.

pub mod batch;
pub mod batch_postgres;
pub mod batch_sqlite;
pub mod conditional;
pub mod redis;
pub mod sync;

use std::time::Duration;

use anyhow::Context;
use holdfast_testbed::{Process, Ready, free_port};

use crate::load::{Load, Target};

/// The bare HTTP server, in a process of its own.
pub struct BareServer {
    target: Target,
    _process: Process,
}

impl BareServer {
    pub async fn start(skus: usize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let port = free_port()?;
        let process = Process::build("bare", program)
            .args(["bare", "--port", &port.to_string()])
            .ready(Ready::Port(port.number()))
            .start()
            .await?;
        let url = format!("http://127.0.0.1:{port}");
        let target = Target { url, key: "none".to_owned(), skus, has_books: false };
        Ok(Self { target, _process: process })
    }

    /// POSTs of an order answered in a second.
    pub async fn posts(
        &self,
        bin: &std::path::Path,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        Load::orders(connections).run(bin, &self.target, duration).await?.requests_per_second()
    }

    /// The median answer to so many POSTs a second, in milliseconds.
    pub async fn post_p50(
        &self,
        bin: &std::path::Path,
        connections: usize,
        rate: u64,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        Load::orders(connections).rate(rate).run(bin, &self.target, duration).await?.millis("orders", "p50")
    }

    /// GETs of an item answered in a second.
    pub async fn gets(
        &self,
        bin: &std::path::Path,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        Load::reads(connections).run(bin, &self.target, duration).await?.requests_per_second()
    }
}
