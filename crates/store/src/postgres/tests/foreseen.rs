//! Batches that are planned before their turn comes: what is looked up for them beside the writer.

use std::sync::Arc;

use super::Server;
use crate::contract::books::check_books;
use crate::contract::planning::{Planning, PlanningLab, available, begin, is_planned, warm_up};
use crate::contract::{Lab, answer, at, furnish, furnish_many, place, receive, rejection, run_one};
use crate::postgres::Postgres;
use crate::{Database, Store, WarmUp};

crate::planning_tests!(Server::new().await);

/// The same database twice: as everybody sees it, and with its planner open to view.
async fn shop() -> (Database, Arc<Postgres>) {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    let postgres = Postgres::connect(&lab.url, None).await.expect("it opens");
    (database, Arc::new(postgres))
}

#[tokio::test]
async fn items_that_are_not_at_hand_are_looked_up_for_a_plan() {
    let (database, postgres) = shop().await;
    warm_up(postgres.as_ref()).await;
    let strap = available(&database, "STRAP").await;
    let batch = Arc::new(vec![place("STRAP", strap), place("STRAP", 1), place("NOTHING", 1)]);
    assert!(is_planned(postgres.as_ref(), &batch).await);
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    answer(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]).code(), "insufficient_stock");
    assert_eq!(rejection(&outcomes[2]).code(), "unknown_sku");
    assert_eq!(available(&database, "STRAP").await, 0);
    check_books(&database).await;
}

/// Puts at hand what it can.
async fn warm_up_whole(postgres: &Postgres) {
    while postgres.warm_up().await.expect("items are read") == WarmUp::More {}
}

async fn at_hand(postgres: &Postgres) -> Option<usize> {
    postgres.lane.planner.lock().await.at_hand().map(|(_, size)| size)
}

#[tokio::test]
async fn after_the_first_batch_the_whole_catalogue_is_at_hand() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    // A piece and a half.
    furnish_many(&database, 750).await;
    let (postgres, _) = lab.inside().await;
    assert_eq!(postgres.warm_up().await.expect("it looks"), WarmUp::Rest, "there is nothing to add to");
    assert_eq!(at_hand(&postgres).await, None);
    warm_up(postgres.as_ref()).await;
    warm_up_whole(&postgres).await;
    let items = database.reads.snapshot().await.expect("it is read").skus.len();
    assert!(at_hand(&postgres).await.is_some_and(|at_hand| at_hand >= items), "{items} items");

    let strap = available(&database, "STRAP").await;
    let batch = Arc::new(vec![place("STRAP", strap), place("STRAP", 1), place("SKU-749", 1)]);
    assert!(postgres.lane.planner.lock().await.missing(at(1), &batch).is_empty());
    assert!(is_planned(postgres.as_ref(), &batch).await);
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    answer(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]).code(), "insufficient_stock");
    answer(&outcomes[2]);
    check_books(&database).await;
}

#[tokio::test]
async fn what_another_writer_changed_is_put_at_hand_again() {
    let (database, postgres) = shop().await;
    warm_up(postgres.as_ref()).await;
    warm_up_whole(&postgres).await;
    let before = at_hand(&postgres).await;
    let strap = available(&database, "STRAP").await;
    answer(&run_one(&database, 1, &place("STRAP", strap)).await);
    // It begins anew with what this needs.
    let batch = Arc::new(vec![receive("WATCH", 1)]);
    answer(&postgres.execute(at(1), batch).await.expect("it is executed").outcomes[0]);
    assert!(at_hand(&postgres).await < before);
    assert_eq!(postgres.warm_up().await.expect("it looks"), WarmUp::Anew);
    warm_up_whole(&postgres).await;
    assert_eq!(at_hand(&postgres).await, before);

    let batch = Arc::new(vec![place("STRAP", 1)]);
    assert!(is_planned(postgres.as_ref(), &batch).await);
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    check_books(&database).await;
}

#[tokio::test]
async fn what_was_read_after_another_writer_wrote_is_not_put_at_hand() {
    let (database, postgres) = shop().await;
    warm_up(postgres.as_ref()).await;
    let before = at_hand(&postgres).await;
    let strap = available(&database, "STRAP").await;
    answer(&run_one(&database, 1, &place("STRAP", strap)).await);
    assert_eq!(postgres.warm_up().await.expect("it reads"), WarmUp::Rest);
    assert_eq!(at_hand(&postgres).await, before);
    let outcomes = postgres.execute(at(1), Arc::new(vec![place("STRAP", 1)])).await.expect("it is executed");
    assert_eq!(rejection(&outcomes.outcomes[0]).code(), "insufficient_stock");
    check_books(&database).await;
}

#[tokio::test]
async fn there_is_room_left_for_what_is_ordered() {
    let lab = Server::new().await;
    let database = lab.open().await;
    furnish(&database).await;
    furnish_many(&database, 1_600).await;
    let (postgres, _) = lab.inside().await;
    postgres.cache_at_most(1_000).await;
    warm_up(postgres.as_ref()).await;
    warm_up_whole(&postgres).await;
    let two_pieces = at_hand(&postgres).await.expect("a ledger");
    assert!((750..1_200).contains(&two_pieces), "{two_pieces}");
}

#[tokio::test]
async fn items_are_looked_up_while_the_batch_before_is_written() {
    let (database, postgres) = shop().await;
    warm_up(postgres.as_ref()).await;
    let strap = available(&database, "STRAP").await;
    let first = Arc::new(vec![place("WATCH", 1)]);
    let executing = begin(postgres.execute(at(1), first)).await;
    // The head is that of before the first batch, or its own: both were passed.
    let second = Arc::new(vec![place("STRAP", strap), place("WATCH", 1)]);
    assert!(is_planned(postgres.as_ref(), &second).await);
    answer(&executing.await.expect("it is executed").outcomes[0]);
    for outcome in postgres.execute(at(1), second).await.expect("it is executed").outcomes {
        answer(&outcome);
    }
    check_books(&database).await;
}

#[tokio::test]
async fn what_was_looked_up_at_a_head_of_another_writer_does_not_count() {
    let (database, postgres) = shop().await;
    warm_up(postgres.as_ref()).await;
    let strap = available(&database, "STRAP").await;
    answer(&run_one(&database, 1, &place("STRAP", strap)).await);
    let batch = Arc::new(vec![place("STRAP", 1)]);
    assert!(!is_planned(postgres.as_ref(), &batch).await, "it was read at a head that this writer never saw");
    let outcomes = postgres.execute(at(1), batch).await.expect("it is executed").outcomes;
    assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    check_books(&database).await;
}
