//! Rows of stock that follow their changes.

use std::sync::Arc;

use holdfast_domain::Command;

use super::{Server, inside};
use crate::contract::books::check_books;
use crate::contract::planning::{begin, is_planned};
use crate::contract::{Lab, answer, at, furnish, furnish_many, place, receive, rejection, run, run_one};
use crate::postgres::Postgres;
use crate::postgres::target::{Target, Wanted};
use crate::postgres::write::begin_at_head;
use crate::{Database, Store};

const ITEMS: usize = 500;

/// A shop of many items, and what the first of its writers has inside.
async fn shop() -> (Server, Database, Arc<Postgres>) {
    let lab = Server::new().await;
    let (postgres, database) = inside(&lab.url).await;
    furnish(&database).await;
    furnish_many(&database, ITEMS).await;
    (lab, database, postgres)
}

/// An order of `quantity` of each of the items.
fn one_of_each(items: impl Iterator<Item = usize>, quantity: i64) -> Vec<Command> {
    items.map(|number| place(&format!("SKU-{number}"), quantity)).collect()
}

async fn rush(database: &Database, quantity: i64, turns: i64) {
    for turn in 0..turns {
        for outcome in run(database, turn, one_of_each(0..ITEMS, quantity)).await.outcomes {
            answer(&outcome);
        }
    }
}

async fn one(lab: &Server, sql: &str) -> i64 {
    let answer = lab.server.sql(&lab.url, sql).await.expect("it is read");
    answer.trim().parse().expect("a number")
}

const ALLOCATED: &str = "SELECT sum(allocated) FROM stock";
const PIECES: &str = "SELECT count(*) FROM stock_recent";

#[tokio::test]
async fn what_is_recent_is_in_one_view_and_after_closing_in_the_table() {
    let (lab, database, _) = shop().await;
    rush(&database, 1, 12).await;
    assert_eq!(one(&lab, "SELECT sum(allocated) FROM stock_now").await, 12 * 500);
    let behind = one(&lab, ALLOCATED).await;
    assert!(behind < 12 * 500, "not every row is written with its batch: {behind}");
    assert!(behind > 0, "some are");
    assert!(one(&lab, PIECES).await > 0);
    check_books(&database).await;
    database.store.close().await;
    assert_eq!(one(&lab, ALLOCATED).await, 12 * 500);
    assert_eq!(one(&lab, PIECES).await, 0);
    check_books(&lab.open().await).await;
}

#[tokio::test]
async fn another_writer_finds_what_is_recent_and_leaves_little_to_find() {
    let (lab, database, _) = shop().await;
    let other = lab.open().await;
    rush(&database, 300, 3).await;
    let too_many = one_of_each(0..ITEMS, 101);
    for outcome in run(&other, 5, too_many.clone()).await.outcomes {
        assert_eq!(rejection(&outcome).code(), "insufficient_stock");
    }
    // The first of these takes over, the second leaves a piece.
    rush(&database, 1, 2).await;
    assert!(one(&lab, PIECES).await > 0);
    answer(&run_one(&other, 6, &receive("SKU-7", 1)).await);
    assert_eq!(one(&lab, PIECES).await, 0, "what it took over is in the table");
    for outcome in run(&database, 7, one_of_each(0..ITEMS, 98)).await.outcomes {
        answer(&outcome);
    }
    check_books(&database).await;
    for database in [&other, &database] {
        database.store.close().await;
    }
    check_books(&lab.open().await).await;
}

#[tokio::test]
async fn a_standby_that_did_not_hear_of_the_last_writing_is_not_taken_for_the_server_before() {
    let (lab, database, _) = shop().await;
    rush(&database, 300, 3).await;
    let other = lab.open().await;
    let remember = "CREATE TABLE s AS TABLE stock; CREATE TABLE r AS TABLE stock_recent; CREATE TABLE h AS TABLE log_head";
    lab.sql(remember).await.expect("it is copied");
    // Everything gets into the table, and the log does not go on; neither with what is refused.
    database.store.close().await;
    assert_eq!(one(&lab, PIECES).await, 0);
    rejection(&run_one(&other, 5, &receive("NOTHING", 1)).await);
    let promote = "DELETE FROM stock; INSERT INTO stock TABLE s; DELETE FROM stock_recent; \
                   INSERT INTO stock_recent TABLE r; UPDATE log_head SET stamp = (SELECT stamp FROM h)";
    lab.sql(promote).await.expect("it is as it was");
    assert!(one(&lab, PIECES).await > 0);
    for outcome in run(&other, 6, one_of_each(0..ITEMS, 101)).await.outcomes {
        assert_eq!(rejection(&outcome).code(), "insufficient_stock", "100 of each are left");
    }
    check_books(&other).await;
}

/// The items that a writer has at hand are forgotten with a plan that did not hold, what is recent is not.
async fn forget_items(postgres: &Postgres) {
    let known = place("SKU-0", 1);
    postgres.execute(at(4), Arc::new(vec![known.clone()])).await.expect("executed");
    let recent = postgres.lane.planner.lock().await.recent_rows();
    assert!(recent.is_some_and(|rows| rows > 100), "{recent:?}");
    let again = postgres.execute(at(4), Arc::new(vec![known])).await.expect("executed");
    assert!(again.outcomes[0].replayed);
    assert_eq!(
        postgres.lane.planner.lock().await.recent_rows(),
        recent,
        "the steps of the plan were taken back"
    );
    // The next are decided with everything looked up first.
    for _ in 0..8 {
        postgres.execute(at(4), Arc::new(vec![receive("SKU-0", 1)])).await.expect("executed");
    }
}

#[tokio::test]
async fn a_row_that_gets_into_the_table_while_it_is_looked_up_counts_as_it_is_now() {
    let (lab, database, postgres) = shop().await;
    rush(&database, 300, 3).await;
    forget_items(&postgres).await;
    assert!(postgres.lane.planner.lock().await.recent_rows() > Some(100), "much is still recent");
    let target = Target::parse(&lab.url, Wanted::Primary).expect("a good URL");
    let held_up = target.connect().await.expect("connected");
    begin_at_head(&held_up).await.expect("it has the head");
    // Its plan has rows follow that are looked up for the next one, at the head before it.
    let first = Arc::new(vec![place("SKU-0", 1)]);
    let executing = begin(postgres.execute(at(5), first)).await;
    let second = Arc::new(one_of_each(1..ITEMS, 101));
    assert!(is_planned(postgres.as_ref(), &second).await);
    held_up.simple("ROLLBACK").await.expect("the head is free");
    answer(&executing.await.expect("it is executed").outcomes[0]);
    for outcome in postgres.execute(at(5), second).await.expect("it is executed").outcomes {
        assert_eq!(rejection(&outcome).code(), "insufficient_stock", "100 of each are left");
    }
    check_books(&database).await;
}
