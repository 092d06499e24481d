//! What the kernel knows about processes: who descends from whom, and who carries our mark in its environment.
//!
//! Servers do not stay in one process group (each PostgreSQL backend calls `setsid`, Erlang forks helpers), so a group kill
//! misses some. Descent finds all that still have their parents; the mark finds orphans. Nothing is ever signalled that
//! neither descends from a process of ours nor carries its mark.

use std::collections::{HashMap, HashSet};
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that every process we start inherits to its children.
pub(crate) const MARK: &str = "HOLDFAST_TESTBED";

const FREEZE_ROUNDS_MAX: usize = 20;

pub(crate) struct Stat {
    pub parent: i32,
    pub state: char,
    /// Clock ticks after boot: together with the pid it names one process for ever.
    pub started: u64,
}

/// `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may itself contain some.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, state, started })
}

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Every living process below `root`, without `root`.
pub(crate) fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all_pids() {
        if let Some(stat) = stat(pid)
            && stat.state != 'Z'
        {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(&below);
        waiting.extend(below);
    }
    found
}

/// Every living process whose environment says `HOLDFAST_TESTBED=mark`.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    all_pids()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()))
        })
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.state != 'Z'))
        .collect()
}

/// The root if it lives, all below it, and all that carry the mark.
pub(crate) fn family(root: Option<i32>, mark: &str) -> Vec<i32> {
    let mut pids: HashSet<i32> = marked(mark).into_iter().collect();
    if let Some(root) = root {
        pids.insert(root);
        pids.extend(descendants(root));
    }
    pids.into_iter().collect()
}

pub(crate) fn signal_all(pids: &[i32], signal: Signal) {
    for pid in pids {
        // A process that ended meanwhile is what we wanted, or none of our business.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// Freezes the whole family until it stops growing, so that no member can fork away from the kill that follows.
pub(crate) fn kill_family(root: Option<i32>, mark: &str) {
    let mut frozen: HashSet<i32> = HashSet::new();
    for _ in 0..FREEZE_ROUNDS_MAX {
        let fresh: Vec<i32> = family(root, mark).into_iter().filter(|pid| !frozen.contains(pid)).collect();
        if fresh.is_empty() {
            break;
        }
        signal_all(&fresh, Signal::SIGSTOP);
        frozen.extend(fresh);
    }
    signal_all(&frozen.into_iter().collect::<Vec<_>>(), Signal::SIGKILL);
}
