//! Where the figures come from.

use std::collections::BTreeMap;
use std::process::Command;

/// What runs where, by name.
pub type Facts = BTreeMap<&'static str, String>;

/// Everything that can be known before any server runs.
pub fn facts() -> Facts {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut facts = Facts::from([
        ("Processor", format!("{cores} × {}", line_of("/proc/cpuinfo", "model name"))),
        ("Memory", memory()),
        ("Kernel", first_line("/proc/sys/kernel/osrelease")),
        ("Rust", said("rustc", &["--version"])),
        ("SQLite", rusqlite::version().to_owned()),
        ("Commit", commit()),
        ("Date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
    ]);
    facts.retain(|_, fact| !fact.is_empty());
    facts
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = said("git", &["status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock"]);
    if changed.is_empty() { commit } else { format!("{commit}, with changes of its own") }
}

fn memory() -> String {
    let kib: Option<f64> =
        line_of("/proc/meminfo", "MemTotal").split_whitespace().next().and_then(|number| number.parse().ok());
    kib.map_or_else(String::new, |kib| format!("{:.1} GiB", kib / f64::from(1 << 20)))
}

fn first_line(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn line_of(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned(),
    )
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Option<f64> {
    let kib = line_of(&format!("/proc/{pid}/status"), "VmRSS");
    let kib: f64 = kib.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}
