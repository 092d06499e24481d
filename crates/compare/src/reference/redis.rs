//! A cache across a socket: `redis-benchmark` GET, with 64 clients.

use std::process::Stdio;

use anyhow::{Context, ensure};
use holdfast_testbed::{Redis, find_program};
use tokio::process::Command;

/// Longer than any item.
const VALUE_BYTES: usize = 400;

/// GETs answered in a second.
pub async fn gets(redis: &Redis, requests: u64) -> anyhow::Result<f64> {
    let value = "x".repeat(VALUE_BYTES);
    // The key that the tool asks for when it is not told to vary it.
    redis.command(&format!("SET key:__rand_int__ {value}")).await?;
    let program = find_program("redis-benchmark", "redis-tools")?;
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &redis.port().to_string(), "-t", "get", "-c", "64", "--csv"])
        .args(["-n", &requests.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("redis-benchmark")?;
    ensure!(output.status.success(), "redis-benchmark: {}", String::from_utf8_lossy(&output.stderr));
    rate(&String::from_utf8_lossy(&output.stdout)).context("redis-benchmark said no rate of GET")
}

/// From a line such as `"GET","91000.00",…`.
fn rate(csv: &str) -> Option<f64> {
    let line = csv.lines().find(|line| line.starts_with("\"GET\""))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_rate_is_in_the_second_column_with_or_without_a_header() {
        let with = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"91407.68\",\"0.4\"\n";
        assert_eq!(rate(with), Some(91_407.68));
        assert_eq!(rate("\"GET\",\"5.00\"\n"), Some(5.0));
        assert_eq!(rate("\"SET\",\"5.00\"\n"), None);
    }
}
