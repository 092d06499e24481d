//! Batches that are planned before their turn comes.

use std::sync::Arc;

use holdfast_domain::Command;

use super::Server;
use crate::contract::books::check_books;
use crate::contract::{Lab, answer, at, furnish, hold, place, receive, rejection, run, run_one};
use crate::postgres::Postgres;
use crate::{Database, Store};

/// The same database twice: as everybody sees it, and with its planner open to view.
async fn shop() -> (Database, Arc<Postgres>) {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let postgres = Postgres::connect(&lab.url, None).await.expect("it opens");
    (database, Arc::new(postgres))
}

/// Executes one order that loads the watch, so that what follows can be planned.
async fn warm_up(postgres: &Postgres) {
    execute(postgres, vec![place("WATCH", 1)]).await;
}

async fn execute(postgres: &Postgres, commands: Vec<Command>) -> Vec<holdfast_domain::Outcome> {
    postgres.execute(at(1), Arc::new(commands)).await.expect("it is executed").outcomes
}

async fn on_hand_for_sale(database: &Database) -> i64 {
    available(database, "WATCH").await
}

async fn available(database: &Database, sku: &str) -> i64 {
    let snapshot = database.reads.snapshot().await.expect("it is read");
    snapshot.skus.iter().find(|state| state.item.sku.as_str() == sku).expect("the item").available()
}

pub(super) async fn is_planned(postgres: &Postgres, commands: &Arc<Vec<Command>>) -> bool {
    postgres.foresee(at(1), commands.clone()).await;
    postgres.lane.planner.lock().await.has_foreseen()
}

#[tokio::test]
async fn a_batch_planned_while_the_one_before_is_written_counts_with_it() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let left = on_hand_for_sale(&database).await;
    let first = Arc::new(vec![place("WATCH", left - 1)]);
    let second = Arc::new(vec![place("WATCH", 2), place("WATCH", 1), place("WATCH", 1)]);
    let mut executing = Box::pin(postgres.execute(at(1), first));
    begin(&mut executing).await;
    assert!(is_planned(&postgres, &second).await);
    answer(&executing.await.expect("it is executed").outcomes[0]);
    let executed = postgres.execute(at(1), second).await.expect("it is executed");
    assert_eq!(rejection(&executed.outcomes[0]).code(), "insufficient_stock");
    answer(&executed.outcomes[1]);
    assert_eq!(rejection(&executed.outcomes[2]).code(), "insufficient_stock");
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

/// Polls it once, as a worker that hands over a batch does.
pub(super) async fn begin<F: Future>(executing: &mut std::pin::Pin<Box<F>>) {
    std::future::poll_fn(|context| {
        drop(executing.as_mut().poll(context));
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_was_not_written_does_not_count_in_a_batch_that_waited_behind_it() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let left = on_hand_for_sale(&database).await;
    // Another writer takes everything, with as many events as the plan has that it makes untrue.
    answer(&run_one(&database, 1, &place("WATCH", left)).await);
    let mut planned = Box::pin(postgres.execute(at(1), Arc::new(vec![place("WATCH", 1)])));
    begin(&mut planned).await;
    // No batch of orders alone: it is decided on what is known, as soon as the one before it is through.
    let mut looked_up = Box::pin(postgres.execute(at(1), Arc::new(vec![hold("WATCH", left - 1, 60)])));
    begin(&mut looked_up).await;
    let (planned, looked_up) = futures_util::future::join(planned, looked_up).await;
    for executed in [planned, looked_up] {
        let outcomes = executed.expect("it is executed").outcomes;
        assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    }
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

#[tokio::test]
async fn a_plan_that_another_writer_made_untrue_is_made_anew() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let left = on_hand_for_sale(&database).await;
    let all = Arc::new(vec![place("WATCH", left)]);
    assert!(is_planned(&postgres, &all).await);
    // As many events as the plan has: the head's position alone would not tell the two apart.
    answer(&run_one(&database, 1, &place("WATCH", 1)).await);
    let outcomes = postgres.execute(at(1), all).await.expect("it is executed").outcomes;
    assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    assert_eq!(on_hand_for_sale(&database).await, left - 1);
    answer(&execute(&postgres, vec![place("WATCH", left - 1)]).await[0]);
    check_books(&database).await;
}

#[tokio::test]
async fn a_plan_whose_turn_never_comes_leaves_nothing() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let left = on_hand_for_sale(&database).await;
    assert!(is_planned(&postgres, &Arc::new(vec![place("WATCH", left)])).await);
    answer(&execute(&postgres, vec![place("WATCH", left)]).await[0]);
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

#[tokio::test]
async fn ids_that_come_again_are_found_in_spite_of_a_plan() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let (known, refused) = (place("WATCH", 1), receive("NOTHING", 1));
    run(&database, 1, vec![known.clone()]).await;
    warm_up(&postgres).await;
    // An outcome alone does not move the head.
    let id = refused.id;
    rejection(&run_one(&database, 1, &refused).await);
    let mut taken = place("WATCH", 1);
    taken.id = id;
    let left = on_hand_for_sale(&database).await;
    for again in [known, taken] {
        // The plan before did not hold, so the next batches are looked up first.
        for _ in 0..9 {
            execute(&postgres, vec![place("STRAP", 1)]).await;
        }
        warm_up(&postgres).await;
        let batch = Arc::new(vec![place("WATCH", 1), again]);
        assert!(is_planned(&postgres, &batch).await);
        let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
        answer(&outcomes[0]);
        assert!(outcomes[1].replayed || outcomes[1].result.is_err(), "{:?}", outcomes[1]);
    }
    assert_eq!(on_hand_for_sale(&database).await, left - 4);
    check_books(&database).await;
}

#[tokio::test]
async fn nothing_is_planned_once_a_hold_is_due() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let left = on_hand_for_sale(&database).await;
    execute(&postgres, vec![hold("WATCH", left, 5)]).await;
    let early = Arc::new(vec![place("WATCH", 1)]);
    assert!(is_planned(&postgres, &early).await, "it is not due yet");
    assert_eq!(
        rejection(&postgres.execute(at(1), early).await.expect("executed").outcomes[0]).code(),
        "insufficient_stock"
    );
    let late = Arc::new(vec![place("WATCH", left)]);
    postgres.foresee(at(60), late.clone()).await;
    assert!(!postgres.lane.planner.lock().await.has_foreseen());
    answer(&postgres.execute(at(60), late).await.expect("executed").outcomes[0]);
    check_books(&database).await;
}

#[tokio::test]
async fn items_that_are_not_at_hand_are_looked_up_for_a_plan() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let strap = available(&database, "STRAP").await;
    let batch = Arc::new(vec![place("STRAP", strap), place("STRAP", 1), place("NOTHING", 1)]);
    assert!(is_planned(&postgres, &batch).await);
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    answer(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]).code(), "insufficient_stock");
    assert_eq!(rejection(&outcomes[2]).code(), "unknown_sku");
    assert_eq!(available(&database, "STRAP").await, 0);
    check_books(&database).await;
}

#[tokio::test]
async fn items_are_looked_up_while_the_batch_before_is_written() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let strap = available(&database, "STRAP").await;
    let first = Arc::new(vec![place("WATCH", 1)]);
    let mut executing = Box::pin(postgres.execute(at(1), first));
    begin(&mut executing).await;
    // The head is that of before the first batch, or its own: both were passed.
    let second = Arc::new(vec![place("STRAP", strap), place("WATCH", 1)]);
    assert!(is_planned(&postgres, &second).await);
    answer(&executing.await.expect("it is executed").outcomes[0]);
    for outcome in postgres.execute(at(1), second).await.expect("it is executed").outcomes {
        answer(&outcome);
    }
    check_books(&database).await;
}

#[tokio::test]
async fn what_was_looked_up_at_a_head_of_another_writer_does_not_count() {
    let (database, postgres) = shop().await;
    warm_up(&postgres).await;
    let strap = available(&database, "STRAP").await;
    answer(&run_one(&database, 1, &place("STRAP", strap)).await);
    let batch = Arc::new(vec![place("STRAP", 1)]);
    assert!(!is_planned(&postgres, &batch).await, "it was read at a head that this writer never saw");
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    check_books(&database).await;
}
