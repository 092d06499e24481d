//! What ARCHITECTURE.md promises about the tree, and what the project promises about its dependencies: checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies in crates/").to_path_buf()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).expect("a source folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("source text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Fails if any file of the folder, but those whose name is excepted, contains one of the words outside comments.
fn nobody_says(folder: &str, words: &[&str], but: &[&str], why: &str) {
    for (path, text) in sources(folder) {
        let name = path.to_string_lossy();
        if but.iter().any(|exception| name.contains(exception)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                assert!(!code.contains(word), "{name}:{}: {word}: {why}", number + 1);
            }
        }
    }
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([
        ("holdfast-domain", BTreeSet::new()),
        ("holdfast-store", BTreeSet::from(["holdfast-domain"])),
        ("holdfast-bus", BTreeSet::from(["holdfast-domain"])),
        ("holdfast", BTreeSet::from(["holdfast-domain", "holdfast-store", "holdfast-bus"])),
        ("holdfast-testbed", BTreeSet::new()),
        // Measures all of them; nothing depends on it.
        (
            "holdfast-compare",
            BTreeSet::from(["holdfast-domain", "holdfast-store", "holdfast-bus", "holdfast-testbed"]),
        ),
    ]);
    let metadata = metadata();
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().expect("members").iter().filter_map(Value::as_str).collect();
    for package in metadata["packages"].as_array().expect("packages") {
        if !members.contains(package["id"].as_str().expect("an id")) {
            continue;
        }
        let name = package["name"].as_str().expect("a name");
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("{name} has no place in the layers yet"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let normal = dependency["kind"].is_null();
            let other = dependency["name"].as_str().expect("a name");
            if normal && other.starts_with("holdfast") {
                assert!(allowed.contains(other), "{name} must not import {other}");
            }
        }
    }
}

#[test]
fn the_domain_knows_no_clock_randomness_io_or_async() {
    let words = [
        "tokio",
        "async ",
        "std::fs",
        "std::net",
        "std::env",
        "SystemTime",
        "Instant::now",
        "now_v7",
        "new_v4",
        "Timestamp::now",
        "thread::",
        "rusqlite",
        "axum",
    ];
    nobody_says("crates/domain/src", &words, &[], "the domain is pure");
}

#[test]
fn only_config_reads_the_environment() {
    let words = ["env::var", "env::vars", "var_os("];
    nobody_says("crates/holdfast/src", &words, &["config.rs"], "settings come from config.rs");
    nobody_says("crates/store/src", &words, &[], "settings come from config.rs");
    nobody_says("crates/bus/src", &words, &[], "settings come from config.rs");
}

#[test]
fn only_the_clock_asks_for_the_time() {
    nobody_says(
        "crates/holdfast/src",
        &["SystemTime", "Timestamp::now"],
        &["clock.rs"],
        "time comes from clock.rs",
    );
    nobody_says("crates/store/src", &["SystemTime", "Timestamp::now"], &[], "time is handed in");
}

#[test]
fn only_the_store_knows_sql() {
    let words = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "rusqlite::", "tokio_postgres"];
    nobody_says("crates/holdfast/src", &words, &["_tests.rs", "/testing.rs"], "SQL lives in crates/store");
    nobody_says("crates/bus/src", &words, &[], "SQL lives in crates/store");
}

#[test]
fn licences_of_all_dependencies_are_known_and_free() {
    let free = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "CC0-1.0",
        "MIT-0",
        "Unlicense",
        "BSL-1.0",
        "0BSD",
        "Apache-2.0 WITH LLVM-exception",
        "CDLA-Permissive-2.0",
    ];
    for package in metadata()["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        // "A OR B" needs one of them, "A AND B" all.
        let fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            let choice = choice.trim().trim_matches(['(', ')']);
            choice.split(" AND ").all(|one| free.contains(&one.trim().trim_matches(['(', ')'])))
        });
        assert!(fits, "{name} has the licence {licence}");
    }
}

#[test]
fn banned_crates_stay_out_and_heavy_ones_come_once() {
    let banned = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "chrono", "diesel", "sqlx", "sea-orm"];
    let once = ["tokio", "hyper", "axum", "serde", "rustls", "rusqlite", "uuid", "jiff"];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata()["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        let version = package["version"].as_str().expect("a version").to_owned();
        versions.entry(name).or_default().insert(version);
    }
    for name in banned {
        assert!(!versions.contains_key(name), "{name} is banned");
    }
    for name in once {
        let count = versions.get(name).map_or(0, BTreeSet::len);
        assert!(count <= 1, "{name} comes in {count} versions");
    }
}
