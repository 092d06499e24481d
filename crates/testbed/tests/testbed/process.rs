use std::time::{Duration, Instant};

use holdfast_testbed::{Process, Ready, Trouble, eventually, free_port};

use crate::SOON;

fn shell(script: &str) -> holdfast_testbed::ProcessBuilder {
    Process::build("shell", "/bin/sh").args(["-c", script])
}

fn is_alive(pid: &str) -> bool {
    // A zombie has ended; who adopted it may be slow to notice.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_start_waits_for_the_line_and_stop_gives_the_exit_code() {
    let process = shell("trap 'echo bye; exit 7' TERM; sleep 0.2; echo up; while :; do sleep 0.05; done")
        .ready(Ready::Line("up".to_owned()))
        .start()
        .await
        .unwrap();
    assert!(process.is_running());
    let exit = process.stop().await.unwrap();
    assert_eq!(exit.code(), Some(7));
    assert!(process.log_text().contains("bye"));
    assert!(!process.is_running());
}

#[tokio::test]
async fn a_failed_start_shows_the_end_of_the_log() {
    let Err(trouble) =
        shell("echo reason: port taken; exit 3").ready(Ready::Line("up".to_owned())).start().await
    else {
        panic!("it cannot have started")
    };
    let text = format!("{trouble:?}");
    assert!(text.contains("reason: port taken") && text.contains("exit status: 3"), "{text}");
}

#[tokio::test]
async fn a_start_that_hangs_is_given_up_and_killed() {
    let marker = free_port().unwrap();
    let begin = Instant::now();
    let Err(trouble) = shell(&format!("exec sleep 1000.{marker}"))
        .ready(Ready::Line("up".to_owned()))
        .start_within(Duration::from_millis(200))
        .start()
        .await
    else {
        panic!("it cannot have started")
    };
    assert!(matches!(trouble, Trouble::Start { .. }), "{trouble}");
    assert!(begin.elapsed() < SOON);
    assert!(!command_lines().contains(&format!("1000.{marker}")));
}

#[tokio::test]
async fn kill_takes_children_that_left_the_process_group_and_orphans_too() {
    // One child in a session of its own, and one whose parent has gone.
    let process = shell(
        "setsid sleep 1000 & echo child $!; (sleep 1001 & echo orphan $!); setsid --fork sh -c 'echo daemon $$; exec sleep 1002'; sleep 0.2; echo up; wait",
    )
    .ready(Ready::Line("up".to_owned()))
    .start()
    .await
    .unwrap();
    let log = process.log_text();
    let pids: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    assert_eq!(pids.len(), 3, "{log}");
    assert!(pids.iter().all(|pid| is_alive(pid)), "{log}");
    process.kill().unwrap();
    eventually("all to be gone", SOON, || async { !pids.iter().any(|pid| is_alive(pid)) }).await.unwrap();
}

#[tokio::test]
async fn a_paused_process_does_nothing_until_it_is_resumed() {
    let process = shell("while :; do echo tick; sleep 0.01; done").start().await.unwrap();
    process.wait_for_line("tick", SOON).await.unwrap();
    process.pause();
    // What was under way when the signal came may still land.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let length = process.log_text().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(process.log_text().len(), length);
    process.resume();
    eventually("more ticks", SOON, || async { process.log_text().len() > length }).await.unwrap();
}

#[tokio::test]
async fn a_restart_appends_to_the_log_and_shows_only_the_new_run() {
    let process = shell("echo run $$; echo up; exec sleep 1000")
        .ready(Ready::Line("up".to_owned()))
        .start()
        .await
        .unwrap();
    let first = process.log_text();
    process.kill().unwrap();
    process.restart().await.unwrap();
    assert_ne!(process.log_text(), first);
    assert_eq!(std::fs::read_to_string(process.log_path()).unwrap(), first + &process.log_text());
}

#[tokio::test]
async fn a_child_sees_only_the_environment_that_was_given() {
    // Cargo sets this one for us, and a shell might set HOLDFAST_DATABASE just as well.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let process = shell("env; echo up").env("GIVEN", "yes").start().await.unwrap();
    process.wait_exit(SOON).await.unwrap();
    let log = process.log_text();
    assert!(log.contains("GIVEN=yes") && !log.contains("CARGO_MANIFEST_DIR"), "{log}");
}

#[tokio::test]
async fn dropping_kills_and_removes_the_folder() {
    let process = shell("echo $$; exec sleep 1000").start().await.unwrap();
    process.wait_for_line("\n", SOON).await.unwrap();
    let (folder, pid) = (process.folder().to_owned(), process.log_text().trim().to_owned());
    assert!(folder.is_dir() && is_alive(&pid));
    drop(process);
    assert!(!folder.exists() && !is_alive(&pid));
}

fn command_lines() -> String {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .collect()
}
