//! The binary `holdfast-testbed`, and that nothing outlives it: not even when it is killed alone and cannot clean up.

use holdfast_testbed::{Process, Ready, Signal, eventually};

use crate::SOON;

async fn bare_servers(servers: &str) -> Process {
    Process::build("bare", env!("CARGO_BIN_EXE_holdfast-testbed"))
        .args(["cluster", "--bare", "--servers", servers])
        .piped_stdin()
        .ready(Ready::Line("{\"ready\":true}\n".to_owned()))
        .start_within(SOON * 4)
        .start()
        .await
        .unwrap()
}

/// What the binary printed about each server.
fn described(process: &Process) -> Vec<serde_json::Value> {
    let lines: Vec<serde_json::Value> =
        process.log_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[..lines.len() - 1].to_vec()
}

fn is_alive(server: &serde_json::Value) -> bool {
    let pid = &server["pid"];
    assert!(pid.is_u64(), "{server}");
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Its temporary folder is the private folder of its process.
fn run_folders(process: &Process) -> usize {
    std::fs::read_dir(process.folder())
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("holdfast-testbed-")
        })
        .count()
}

#[tokio::test]
async fn bare_servers_run_until_standard_input_closes() {
    let process = bare_servers("postgres,redis").await;
    let servers = described(&process);
    assert_eq!(servers.len(), 2);
    assert!(servers[0]["url"].as_str().unwrap().starts_with("postgres://"), "{}", servers[0]);
    assert!(servers[1]["url"].as_str().unwrap().starts_with("redis://"), "{}", servers[1]);
    assert!(servers.iter().all(is_alive));
    assert_eq!(run_folders(&process), 1);
    process.close_stdin();
    assert!(process.wait_exit(SOON).await.unwrap().success());
    assert!(!servers.iter().any(is_alive));
    eventually("the folder to be gone", SOON, || async { run_folders(&process) == 0 }).await.unwrap();
}

#[tokio::test]
async fn sigterm_ends_bare_servers_well() {
    let process = bare_servers("redis").await;
    let servers = described(&process);
    assert!(process.stop().await.unwrap().success());
    assert!(!servers.iter().any(is_alive));
}

#[tokio::test]
async fn a_testbed_that_is_killed_alone_leaves_no_process_no_folder_and_no_shared_memory() {
    let process = bare_servers("rabbitmq,postgres,redis").await;
    let servers = described(&process);
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(is_alive));
    let segment = shared_memory_segment(&servers[1]);
    assert!(std::fs::read_to_string("/proc/sysvipc/shm").unwrap().contains(&segment));
    // Only the one process: its servers are left to the watchdog.
    process.signal(Signal::SIGKILL);
    process.wait_exit(SOON).await.unwrap();
    eventually("the servers to be gone", SOON, || async { !servers.iter().any(is_alive) }).await.unwrap();
    eventually("the folder to be gone", SOON, || async { run_folders(&process) == 0 }).await.unwrap();
    eventually("every helper to be gone", SOON, || async { mentioning(process.folder()).is_empty() })
        .await
        .unwrap();
    assert!(!std::fs::read_to_string("/proc/sysvipc/shm").unwrap().contains(&segment));
}

/// Key and number, as the kernel's table shows them.
fn shared_memory_segment(postgres: &serde_json::Value) -> String {
    let sockets = std::path::Path::new(postgres["socket_folder"].as_str().unwrap());
    let pid_file = std::fs::read_to_string(sockets.with_file_name("data").join("postmaster.pid")).unwrap();
    let words: Vec<&str> = pid_file.lines().nth(6).unwrap().split_whitespace().collect();
    format!("{:>10} {:>10}", words[0], words[1])
}

/// Living processes whose command line or environment names the folder.
fn mentioning(folder: &std::path::Path) -> Vec<String> {
    let ours = format!("{}/", folder.display());
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
            Some(String::from_utf8_lossy(&[read("cmdline"), read("environ")].concat()).into_owned())
        })
        .filter(|text| text.contains(&ours))
        .collect()
}

#[tokio::test]
async fn a_cluster_without_a_binary_says_which_setting_is_wrong() {
    let process = Process::build("cluster", env!("CARGO_BIN_EXE_holdfast-testbed"))
        .args(["cluster", "--bin", "/no/such/holdfast", "--port", "0"])
        .start()
        .await
        .unwrap();
    assert_eq!(process.wait_exit(SOON).await.unwrap().code(), Some(1));
    let log = process.log_text();
    assert!(log.contains("--bin") && log.contains("/no/such/holdfast"), "{log}");
}
