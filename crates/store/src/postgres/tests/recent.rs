//! Rows of stock that follow their changes.

use std::sync::Arc;

use holdfast_domain::Command;

use super::foreseen::{begin, is_planned};
use super::{Server, inside};
use crate::contract::books::check_books;
use crate::contract::{Lab, answer, at, furnish, furnish_many, place, receive, rejection, run, run_one};
use crate::postgres::Postgres;
use crate::postgres::target::{Target, Wanted};
use crate::postgres::write::begin_at_head;
use crate::{Database, Store};

const ITEMS: usize = 500;
/// Of these, what chance orders.
const WANTED: usize = 200;

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
    let mut executing = Box::pin(postgres.execute(at(5), first));
    begin(&mut executing).await;
    let second = Arc::new(one_of_each(1..ITEMS, 101));
    assert!(is_planned(&postgres, &second).await);
    held_up.simple("ROLLBACK").await.expect("the head is free");
    answer(&executing.await.expect("it is executed").outcomes[0]);
    for outcome in postgres.execute(at(5), second).await.expect("it is executed").outcomes {
        assert_eq!(rejection(&outcome).code(), "insufficient_stock", "100 of each are left");
    }
    check_books(&database).await;
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn orders(&mut self) -> Vec<Command> {
        let count = [1, 3, 40, 90, 150][self.below(5)];
        (0..count).map(|_| place(&format!("SKU-{}", self.below(WANTED)), 1 + self.below(60) as i64)).collect()
    }
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_the_books_are_right() {
    for seed in 1..=3 {
        let mut dice = Dice(seed);
        let (lab, database, postgres) = shop().await;
        let mut other = lab.open().await;
        let mut earlier = vec![place("SKU-1", 1)];
        for step in 0..120 {
            match dice.below(12) {
                0..6 => {
                    // One batch after the other, the second planned while the first is written.
                    let (first, second) = (Arc::new(dice.orders()), Arc::new(dice.orders()));
                    earlier.extend(first.first().cloned());
                    let mut executing = Box::pin(postgres.execute(at(step), first));
                    begin(&mut executing).await;
                    postgres.foresee(at(step), second.clone()).await;
                    executing.await.expect("it is executed");
                    if dice.below(4) > 0 {
                        postgres.execute(at(step), second).await.expect("it is executed");
                    }
                }
                6 => {
                    // A plan that does not hold, with another one behind it.
                    let mut first = dice.orders();
                    first.push(earlier[dice.below(earlier.len())].clone());
                    let second = Arc::new(dice.orders());
                    let mut executing = Box::pin(postgres.execute(at(step), Arc::new(first)));
                    begin(&mut executing).await;
                    postgres.foresee(at(step), second.clone()).await;
                    executing.await.expect("it is executed");
                    postgres.execute(at(step), second).await.expect("it is executed");
                }
                7 => {
                    let number = dice.below(WANTED);
                    let receive = receive(&format!("SKU-{number}"), 200);
                    postgres.execute(at(step), Arc::new(vec![receive])).await.expect("it is executed");
                }
                8 => drop(run(&other, step, dice.orders()).await),
                9 => drop(run_one(&other, step, &receive(&format!("SKU-{}", dice.below(WANTED)), 200)).await),
                10 => {
                    // A process ends, in an orderly way or not, and another one begins.
                    if dice.below(2) == 0 {
                        other.store.close().await;
                    }
                    other = lab.open().await;
                }
                _ => {
                    // What a plan counts with is written by somebody else.
                    let planned = Arc::new(dice.orders());
                    postgres.foresee(at(step), planned.clone()).await;
                    run(&other, step, dice.orders()).await;
                    postgres.execute(at(step), planned).await.expect("it is executed");
                }
            }
            if step % 20 == 0 {
                check_books(&database).await;
            }
        }
        check_books(&database).await;
        let snapshot = database.reads.snapshot().await.expect("it is read");
        let sold_out = snapshot.skus.iter().filter(|state| state.available() < 60).count();
        assert!(sold_out > 20, "orders came to the end of the stock: {sold_out}");
        answer(&run_one(&database, 200, &receive("SKU-0", 1)).await);
        database.store.close().await;
        assert_eq!(one(&lab, PIECES).await, 0);
        check_books(&lab.open().await).await;
    }
}
