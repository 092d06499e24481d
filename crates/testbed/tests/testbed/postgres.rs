use std::time::Duration;

use holdfast_testbed::{FaultProxy, Postgres, PostgresPair, eventually};

use crate::SOON;

#[tokio::test]
async fn postgres_is_killed_and_comes_back_with_its_data() {
    let postgres = Postgres::start().await.unwrap();
    assert_eq!(postgres.sql("postgres", "SHOW fsync").await.unwrap(), "on");
    let url = postgres.fresh_database().await.unwrap();
    postgres.sql(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").await.unwrap();
    postgres.kill().unwrap();
    postgres.sql(&url, "SELECT 1").await.unwrap_err();
    postgres.restart().await.unwrap();
    assert_eq!(postgres.sql(&url, "SELECT n FROM kept").await.unwrap(), "42");
    assert!(postgres.stop().await.unwrap().success());
    postgres.restart().await.unwrap();
    assert_eq!(postgres.sql(&url, "SELECT n FROM kept").await.unwrap(), "42");
}

#[tokio::test]
async fn kill_ends_every_backend_at_once() {
    let postgres = Postgres::builder().fsync(false).setting("max_connections", "17").start().await.unwrap();
    assert_eq!(postgres.sql("postgres", "SHOW max_connections").await.unwrap(), "17");
    assert_eq!(postgres.sql("postgres", "SHOW fsync").await.unwrap(), "off");
    let backends = postgres.sql("postgres", "SELECT pid FROM pg_stat_activity").await.unwrap();
    assert!(backends.lines().count() > 3, "{backends}");
    postgres.kill().unwrap();
    eventually("the backends to be gone", Duration::from_secs(1), || async {
        !backends.lines().any(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_killed_and_dropped_postgres_leaves_no_shared_memory_and_no_folder() {
    let postgres = Postgres::builder().fsync(false).start().await.unwrap();
    let pid_file = std::fs::read_to_string(postgres.data_folder().join("postmaster.pid")).unwrap();
    let segment = pid_file.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert!(segments().contains(&segment), "{}", segments().join(" "));
    let folder = postgres.folder().to_owned();
    postgres.kill().unwrap();
    assert!(segments().contains(&segment), "kill -9 gives it no chance to clean up");
    drop(postgres);
    assert!(!segments().contains(&segment) && !folder.exists());
}

fn segments() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_wrong_statement_says_what_postgres_said() {
    let postgres = Postgres::shared().await.unwrap();
    let trouble = postgres.sql("postgres", "SELEKT 1").await.unwrap_err();
    assert!(trouble.to_string().contains("syntax error"), "{trouble}");
}

#[tokio::test]
async fn a_bad_setting_fails_the_start_with_the_servers_words() {
    let Err(trouble) = Postgres::builder().setting("max_connections", "many").start().await else {
        panic!("it cannot have started")
    };
    assert!(trouble.to_string().contains("max_connections"), "{trouble}");
}

#[tokio::test]
async fn a_client_behind_a_cut_wire_is_refused_while_others_work() {
    let postgres = Postgres::shared().await.unwrap();
    let wire = FaultProxy::in_front_of(postgres.port()).await.unwrap();
    let through = wire.redirect(&postgres.fresh_database().await.unwrap());
    assert_eq!(postgres.sql(&through, "SELECT 7").await.unwrap(), "7");
    wire.cut().await;
    let trouble = postgres.sql(&through, "SELECT 7").await.unwrap_err();
    assert!(trouble.to_string().contains("refused"), "{trouble}");
    assert_eq!(postgres.sql("postgres", "SELECT 7").await.unwrap(), "7");
    wire.heal().await;
    assert_eq!(postgres.sql(&through, "SELECT 7").await.unwrap(), "7");
}

#[tokio::test]
async fn a_promoted_standby_has_every_answered_commit_and_takes_writes() {
    let pair = PostgresPair::start_with(Postgres::builder().fsync(false)).await.unwrap();
    pair.primary().add_database("shop").await.unwrap();
    let url = pair.url("shop");
    pair.primary().sql(&url, "CREATE TABLE orders (n int); INSERT INTO orders VALUES (1)").await.unwrap();

    // A commit is not answered while the standby cannot write it down …
    pair.standby().pause();
    {
        let waiting = pair.primary().sql("shop", "INSERT INTO orders VALUES (2)");
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
        assert!(early.is_err(), "answered without the standby: {early:?}");
        pair.standby().resume();
        waiting.await.unwrap();
    }

    // … so that nothing answered is missing when it takes over.
    pair.primary().kill().unwrap();
    pair.promote().await.unwrap();
    assert_eq!(pair.standby().sql(&url, "SELECT sum(n) FROM orders").await.unwrap(), "3");
    pair.standby().sql(&url, "INSERT INTO orders VALUES (4)").await.unwrap();

    let pair = pair.renew_with(Postgres::builder().fsync(false)).await.unwrap();
    eventually("the new standby to have it all", SOON, || async {
        pair.standby().sql("shop", "SELECT sum(n) FROM orders").await.is_ok_and(|sum| sum == "7")
    })
    .await
    .unwrap();
}
