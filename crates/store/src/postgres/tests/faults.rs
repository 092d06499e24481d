//! Lost connections, full disks and fail-over: what was answered stays, and nothing happens twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_domain::{Command, Outcome};
use holdfast_testbed::{FaultProxy, Postgres, PostgresPair, eventually};

use super::Server;
use crate::contract::books::check_books;
use crate::contract::{Lab, answer, at, furnish, place, receive, run_one, seen};
use crate::{ClaimFilter, Database, StoreError};

const SOON: Duration = Duration::from_secs(20);

/// Sends batches until told to stop, each again and again until it is answered, as a worker does.
async fn order_on(database: Database, stop: Arc<AtomicBool>) -> (Vec<(Command, Outcome)>, usize) {
    let (mut answered, mut failures) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let commands: Arc<Vec<Command>> = Arc::new((0..5).map(|_| place("STRAP", 1)).collect());
        let begun = Instant::now();
        let executed = loop {
            match database.store.execute(at(1), Arc::clone(&commands)).await {
                Ok(executed) => break executed,
                Err(error) => {
                    assert!(error.is_transient(), "a lost connection is no command's fault: {error:?}")
                }
            }
            failures += 1;
            assert!(begun.elapsed() < Duration::from_secs(60), "it is found again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        answered.extend(commands.iter().cloned().zip(executed.outcomes));
    }
    (answered, failures)
}

/// Every answered order is there, as it was answered.
async fn check_answers(database: &Database, answered: &[(Command, Outcome)]) {
    for (command, outcome) in answered {
        let (_, known) = database.reads.outcome(command.id).await.expect("read").expect("an answered order");
        assert_eq!(seen(&known), seen(&Outcome { replayed: false, ..outcome.clone() }));
    }
    check_books(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_answer_was_lost_is_decided_once() {
    let lab = Server::new().await;
    let wire = FaultProxy::in_front_of(lab.server.port()).await.expect("a wire");
    let database = Database::open_postgres(&wire.redirect(&lab.url), None).await.expect("it opens");
    furnish(&database).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(order_on(database.clone(), Arc::clone(&stop)));
    for number in 0..60_u64 {
        // Cut anywhere: before the lock, within the writes, between COMMIT and its answer.
        tokio::time::sleep(Duration::from_micros(20_000 + number * 371)).await;
        wire.drop_connections().await;
    }
    stop.store(true, Ordering::Relaxed);
    let (answered, failures) = load.await.expect("the load ends");
    assert!(failures >= 10, "connections were lost within batches: {failures}");
    check_answers(&database, &answered).await;
}

#[tokio::test]
async fn a_wire_that_falls_silent_is_given_up_and_reads_find_a_new_one() {
    let lab = Server::new().await;
    let wire = FaultProxy::in_front_of(lab.server.port()).await.expect("a wire");
    let database = Database::open_postgres(&wire.redirect(&lab.url), None).await.expect("it opens");
    furnish(&database).await;
    wire.half_open().await;
    let order = place("WATCH", 1);
    let begun = Instant::now();
    let commands = Arc::new(vec![order.clone()]);
    let (written, read) = tokio::join!(database.store.execute(at(1), commands), database.store.head());
    assert!(written.as_ref().is_err_and(StoreError::is_transient), "{written:?}");
    assert!(read.as_ref().is_err_and(StoreError::is_transient), "{read:?}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    wire.heal().await;
    answer(&run_one(&database, 2, &order).await);
    check_books(&database).await;
}

#[tokio::test]
async fn sessions_that_the_server_ends_are_replaced() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", lab.name());
    for second in 0..5 {
        let order = place("STRAP", 1);
        lab.server.sql("postgres", &end).await.expect("ended");
        let answered = loop {
            match database.store.execute(at(second), Arc::new(vec![order.clone()])).await {
                Ok(executed) => break executed,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        };
        answer(&answered.outcomes[0]);
        eventually("a read to succeed", SOON, || async { database.store.head().await.is_ok() })
            .await
            .expect("reads go on");
    }
    check_books(&database).await;
}

#[tokio::test]
async fn a_full_disk_fails_writes_whole_and_lets_reads_go_on() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    // The log is written last but one: by then the order and the counters are there, and must go again.
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION full_disk()";
    lab.sql(full).await.expect("planted");
    let order = place("WATCH", 1);
    for _ in 0..3 {
        let failure = database.store.execute(at(1), Arc::new(vec![order.clone()])).await;
        assert!(matches!(failure, Err(StoreError::Full(_))), "{failure:?}");
        assert_eq!(database.reads.order(order.id).await.expect("reads go on"), None);
    }
    check_books(&database).await;
    lab.sql("DROP TRIGGER full_disk ON log").await.expect("there is room again");
    answer(&run_one(&database, 2, &order).await);
    check_books(&database).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_called_damaged() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let order = place("WATCH", 15);
    answer(&run_one(&database, 1, &order).await);
    database.store.close().await;
    lab.sql("UPDATE items SET body = 'not JSON' WHERE sku = 'WATCH'").await.expect("planted");
    let database = lab.open().await;
    let failure = database.store.execute(at(2), Arc::new(vec![receive("WATCH", 1)])).await;
    assert!(matches!(failure, Err(StoreError::Damaged(_))), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_is_found_and_has_every_answered_order() {
    let pair = PostgresPair::start_with(Postgres::builder().fsync(false)).await.expect("a pair starts");
    pair.primary().add_database("shop").await.expect("a database");
    let url = pair.url("shop");
    let read_url = pair.standby().url("shop");
    eventually("the standby to know the database", SOON, || async {
        pair.standby().sql("shop", "SELECT 1").await.is_ok()
    })
    .await
    .expect("it follows");
    let database = Database::open_postgres(&url, Some(&read_url)).await.expect("it opens");
    furnish(&database).await;

    // Lists and the log come from the standby, orders by id from the primary at once.
    let order = place("WATCH", 1);
    answer(&run_one(&database, 1, &order).await);
    assert!(database.reads.order(order.id).await.expect("read").is_some());
    let head = database.store.head().await.expect("the head is read");
    eventually("the standby to follow", SOON, || async {
        database.reads.head_of_reads().await.is_ok_and(|there| there == head)
    })
    .await
    .expect("it follows");
    let page = ClaimFilter { limit: 5, ..ClaimFilter::default() };
    assert_eq!(database.reads.orders(page).await.expect("listed").items[0].id, order.id);

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(order_on(database.clone(), Arc::clone(&stop)));
    tokio::time::sleep(Duration::from_millis(700)).await;
    pair.primary().kill().expect("killed");
    let lost = Instant::now();
    pair.promote().await.expect("promoted");
    eventually("orders to be taken again", SOON, || async {
        database.store.execute(at(1), Arc::new(vec![place("WATCH", 1)])).await.is_ok()
    })
    .await
    .expect("the new primary is found");
    let away = lost.elapsed();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let (answered, failures) = load.await.expect("the load ends");
    assert!(failures > 0 && away < SOON, "{failures} failures in {away:?}");
    check_answers(&database, &answered).await;
}
