//! Batches that are planned before their turn comes: what is looked up for them beside the writer.

use std::sync::Arc;

use super::Server;
use crate::contract::books::check_books;
use crate::contract::planning::{available, begin, is_planned, warm_up};
use crate::contract::{Lab, answer, at, furnish, place, rejection, run_one};
use crate::postgres::Postgres;
use crate::{Database, Store};

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
