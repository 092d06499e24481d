//! Runs the scenarios, and prints what each fault cost.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::shop::Shop;

/// No scenario takes longer, whatever hangs.
const SCENARIO_MAX: Duration = Duration::from_secs(180);
/// Runs only scenarios whose name contains this.
const ONLY: &str = "HOLDFAST_FAULTS";

/// Waits are not stretched further, however busy the machine is.
const STRETCH_MAX: f64 = 6.0;

/// How long to wait for what takes `stated` on a machine that does nothing else: longer while others keep its cores
/// busy, for then seconds say nothing about the product. Bounded all the same.
pub fn patience(stated: Duration) -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").expect("Linux tells its load");
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).expect("a number comes first");
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    // The servers, the roles and the clients of a scenario keep up to two runnable threads a core themselves.
    stated.mul_f64((load / (2.0 * cores)).clamp(1.0, STRETCH_MAX))
}

/// What one fault cost.
pub struct Row {
    pub fault: String,
    /// The longest time in which no client got a decision.
    pub outage: Duration,
    /// 503 at once: surely not taken.
    pub refused: usize,
    /// 504: the outcome is unknown.
    pub in_doubt: usize,
    /// 202: will be decided.
    pub pending: usize,
    /// No answer at all.
    pub unanswered: usize,
    /// Orders that were decided, all told.
    pub decided: usize,
    /// What the recovery is counted from.
    pub since: &'static str,
    pub recovery: Duration,
    pub recovery_max: Duration,
}

pub struct Table {
    began: Instant,
    only: Option<String>,
    rows: Vec<Row>,
    failed: Vec<&'static str>,
}

impl Table {
    pub fn new() -> Self {
        Self { began: Instant::now(), only: std::env::var(ONLY).ok(), rows: Vec::new(), failed: Vec::new() }
    }

    /// What to run, if not everything.
    pub fn only(&self) -> Option<&str> {
        self.only.as_deref()
    }

    /// Runs one scenario; when it fails, the others still run, on a mended shop.
    pub async fn run<F>(
        &mut self,
        name: &'static str,
        shop: &Arc<Shop>,
        scenario: impl FnOnce(Arc<Shop>) -> F,
    ) where
        F: Future<Output = Row> + Send + 'static,
    {
        if self.only().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let began = Instant::now();
        let mut running = tokio::spawn(scenario(Arc::clone(shop)));
        let ended = tokio::time::timeout(patience(SCENARIO_MAX), &mut running).await;
        let took = began.elapsed().as_secs_f64();
        match ended {
            Ok(Ok(row)) => {
                say(&format!("{name}: {took:.1} s"));
                self.rows.push(row);
            }
            // A panic has been printed where it happened.
            failed => {
                running.abort();
                if failed.is_err() {
                    say(&format!("{name} has not ended after {took:.0} s"));
                }
                say(&format!("{name} FAILED after {took:.1} s\n{}", shop.logs()));
                self.failed.push(name);
                shop.mend().await;
            }
        }
    }

    pub fn finish(self) {
        say(&format!("\n{self}"));
        assert!(self.failed.is_empty(), "failed: {}", self.failed.join(", "));
        assert!(!self.rows.is_empty(), "no scenario is called like that");
    }
}

/// Past the capture of test output: a run that takes minutes shows where it is, and its table also when all went well.
fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("standard error takes it");
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.rows.iter().map(|row| row.fault.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        writeln!(
            text,
            "{:width$}  outage  503    504  202  none  decided  back after           of at most",
            "fault"
        )?;
        for row in &self.rows {
            let Row { fault, refused, in_doubt, pending, unanswered, decided, since, .. } = row;
            let (outage, recovery) = (row.outage.as_secs_f64(), row.recovery.as_secs_f64());
            let recovery_max = row.recovery_max.as_secs();
            writeln!(
                text,
                "{fault:width$}  {outage:4.1} s  {refused:5}  {in_doubt:3}  {pending:3}  {unanswered:4}  {decided:7}  {recovery:4.1} s after {since:9}  {recovery_max:3} s"
            )?;
        }
        writeln!(
            text,
            "\"of at most\": as stated, or up to {STRETCH_MAX} times that on a machine with other work"
        )?;
        write!(f, "{text}all scenarios: {:.0} s", self.began.elapsed().as_secs_f64())
    }
}
