//! `instructions`: runs each section of the fixed workload under callgrind and compares the counts with those recorded.
//! Counts do not move with the machine's load, as times do; they do move with the compiler.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use holdfast_testbed::find_program;
use serde::{Deserialize, Serialize};

/// More than this is a regression.
const PERCENT_MAX: f64 = 5.0;
const HOW_TO_RECORD: &str =
    "if that is meant, record the new counts with `make check-speed RECORD=1` and say why";

#[derive(clap::Args)]
pub struct Args {
    /// The workload binary
    #[arg(long, default_value = "target/release/workload")]
    workload: PathBuf,
    /// The counts to compare with
    #[arg(long, default_value = "bench/instructions.json")]
    recorded: PathBuf,
    /// Write the counts there instead of comparing
    #[arg(long)]
    record: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    /// Counts of another compiler or valgrind are no promise.
    rust: String,
    valgrind: String,
    instructions: BTreeMap<String, u64>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let valgrind = find_program("valgrind", "valgrind")?;
    let counts = count(&valgrind, &args.workload)?;
    if args.record {
        let text = serde_json::to_string_pretty(&counts)? + "\n";
        std::fs::write(&args.recorded, text).with_context(|| args.recorded.display().to_string())?;
        println!("recorded in {}", args.recorded.display());
        return Ok(());
    }
    let text = std::fs::read_to_string(&args.recorded).with_context(|| {
        format!("{}: record it with `make check-speed RECORD=1`", args.recorded.display())
    })?;
    let recorded: Counts =
        serde_json::from_str(&text).with_context(|| args.recorded.display().to_string())?;
    for (what, then, now) in
        [("rustc", &recorded.rust, &counts.rust), ("valgrind", &recorded.valgrind, &counts.valgrind)]
    {
        if then != now {
            println!("note: recorded with {then}, counted with {now}: part of a difference may be of {what}");
        }
    }
    let (lines, worse) = compare(&recorded.instructions, &counts.instructions);
    lines.iter().for_each(|line| println!("{line}"));
    ensure!(worse.is_empty(), "{} takes more than {PERCENT_MAX} % more; {HOW_TO_RECORD}", worse.join(", "));
    Ok(())
}

fn count(valgrind: &Path, workload: &Path) -> anyhow::Result<Counts> {
    let build =
        || format!("{}: build it with `cargo build --release -p holdfast-compare`", workload.display());
    let workload = std::fs::canonicalize(workload).with_context(build)?;
    let folder = tempfile::tempdir()?;
    let mut instructions = BTreeMap::new();
    for section in said(Command::new(&workload))?.lines() {
        eprintln!("counting {section}");
        let out = folder.path().join(section);
        let mut command = Command::new(valgrind);
        command
            .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&workload)
            .arg(section);
        said(command)?;
        let text = std::fs::read_to_string(&out)?;
        let count = total(&text).with_context(|| format!("callgrind counted nothing of {section}"))?;
        instructions.insert(section.to_owned(), count);
    }
    let version = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--version");
        said(command)
    };
    Ok(Counts { rust: version(Path::new("rustc"))?, valgrind: version(valgrind)?, instructions })
}

fn said(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// From the line `totals: N` of callgrind's file.
fn total(text: &str) -> Option<u64> {
    let count = text.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    count.trim().parse().ok().filter(|count| *count > 0)
}

/// A line for each section, and the sections that are worse than allowed, or gone.
fn compare(recorded: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut worse) = (Vec::new(), Vec::new());
    for (section, then) in recorded {
        match counted.get(section) {
            Some(now) => {
                let percent = (*now as f64 - *then as f64) * 100.0 / *then as f64;
                lines.push(format!("{section:<24}{then:>14} -> {now:>14}  {percent:+7.2} %"));
                if percent > PERCENT_MAX {
                    worse.push(section.clone());
                }
            }
            None => worse.push(format!("{section} (gone)")),
        }
    }
    for (section, now) in counted.iter().filter(|(section, _)| !recorded.contains_key(*section)) {
        lines.push(format!("{section:<24}{:>14} -> {now:>14}  not recorded yet", ""));
    }
    (lines, worse)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{compare, total};

    fn counts(sections: &[(&str, u64)]) -> BTreeMap<String, u64> {
        sections.iter().map(|(section, count)| ((*section).to_owned(), *count)).collect()
    }

    #[test]
    fn what_grew_beyond_the_limit_or_is_gone_is_worse_and_nothing_else() {
        let recorded = counts(&[("a", 1_000), ("b", 1_000), ("c", 1_000), ("d", 1_000)]);
        let (lines, worse) = compare(&recorded, &counts(&[("a", 1_050), ("b", 1_051), ("c", 500), ("e", 1)]));
        assert_eq!(worse, ["b", "d (gone)"]);
        assert!(lines[1].contains("+5.10 %") && lines[2].contains("-50.00 %"), "{lines:?}");
        assert!(lines[3].contains("not recorded yet"), "{lines:?}");
    }

    #[test]
    fn a_count_of_nothing_is_no_count() {
        assert_eq!(total("events: Ir\ntotals: 123\n"), Some(123));
        assert_eq!(total("totals: 0\n"), None);
        assert_eq!(total("events: Ir\n"), None);
    }
}
