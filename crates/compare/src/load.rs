//! `holdfast bench` as a child process: the one client of all measurements, so that its cost is the same in each.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

/// How long a run may take beyond its load, for reading a million items' stock twice and settling doubts.
const OVERTIME_MAX: Duration = Duration::from_secs(240);

/// Whom to load.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    pub key: String,
    /// Items that are there; the load spreads over all of them.
    pub skus: usize,
    /// A bare server has none.
    pub has_books: bool,
}

/// What to do to it.
#[derive(Debug, Clone, Default)]
pub struct Load {
    mode: &'static str,
    connections: usize,
    more: Vec<String>,
}

impl Load {
    pub fn orders(connections: usize) -> Self {
        Self { mode: "orders", connections, more: Vec::new() }
    }

    pub fn reads(connections: usize) -> Self {
        Self { mode: "reads", connections, more: Vec::new() }
    }

    pub fn batch(self, orders: usize) -> Self {
        self.with("--batch", &orders.to_string())
    }

    /// Open loop: requests a second.
    pub fn rate(self, rate: u64) -> Self {
        self.with("--rate", &rate.to_string())
    }

    /// All on one SKU.
    pub fn hot(mut self) -> Self {
        self.more.push("--hot".to_owned());
        self
    }

    /// Reads of these paths, one a line, instead of items.
    pub fn paths(self, file: &Path) -> Self {
        self.with("--paths", &file.to_string_lossy())
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.more.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Runs it. An error if the server's books are wrong or nothing could be measured.
    pub async fn run(&self, bin: &Path, target: &Target, duration: Duration) -> anyhow::Result<Measured> {
        let mut command = Command::new(bin);
        command
            .args(["bench", self.mode, "--json", "--url", &target.url])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}ms", duration.as_millis())])
            .args(&self.more)
            .env("HOLDFAST_API_KEY", &target.key)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if !self.more.iter().any(|arg| arg == "--paths") {
            command.args(["--existing", crate::catalogue::PREFIX, "--skus", &target.skus.to_string()]);
        }
        if !target.has_books {
            command.arg("--no-books");
        }
        let output = tokio::time::timeout(duration + OVERTIME_MAX, command.output())
            .await
            .with_context(|| format!("holdfast bench {} does not end", self.mode))?
            .with_context(|| format!("{} cannot be run", bin.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().unwrap_or_default();
        ensure!(output.status.success(), "holdfast bench {} {:?}: {last}", self.mode, self.more);
        let said = serde_json::from_slice(&output.stdout).context("the answer of holdfast bench --json")?;
        Ok(Measured(said))
    }
}

/// What a run said.
#[derive(Debug, Clone)]
pub struct Measured(Value);

impl Measured {
    fn number(&self, path: &str) -> anyhow::Result<f64> {
        match self.0.pointer(path).and_then(Value::as_f64) {
            Some(number) => Ok(number),
            None => bail!("holdfast bench said nothing of {path}"),
        }
    }

    /// Orders decided in a second.
    pub fn orders_per_second(&self) -> anyhow::Result<f64> {
        self.number("/orders_decided_per_second")
    }

    pub fn orders_accepted(&self) -> anyhow::Result<f64> {
        self.number("/orders_accepted")
    }

    pub fn requests_per_second(&self) -> anyhow::Result<f64> {
        self.number("/requests_per_second")
    }

    /// A quantile such as `p99` of `orders`, `reads`, `refused` or `refusing`, in milliseconds.
    pub fn millis(&self, what: &str, quantile: &str) -> anyhow::Result<f64> {
        Ok(self.number(&format!("/latency/{what}/{quantile}_us"))? / 1_000.0)
    }

    /// Requests that were refused at once.
    pub fn refused(&self) -> u64 {
        self.0.pointer("/latency/refusing/count").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Requests that were due and that no connection was free for until the end.
    pub fn unsent(&self) -> anyhow::Result<f64> {
        self.number("/unsent")
    }

    /// Answers other than the good ones, by status and code.
    pub fn codes(&self) -> String {
        let codes = self.0["codes"].as_object().into_iter().flatten();
        codes.map(|(code, times)| format!("{times} × {code}")).collect::<Vec<_>>().join(", ")
    }
}

/// The binary under test, as an absolute path.
pub fn binary(path: &Path) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| {
        format!("--bin {}: build it with `cargo build --release --bin holdfast`", path.display())
    })
}
