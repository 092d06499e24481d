//! Batches that are planned before their turn comes.

use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use holdfast_domain::Command;

use super::books::check_books;
use super::{Lab, answer, at, furnish, furnish_many, hold, place, receive, rejection, run, run_one};
use crate::{Database, Store};

const ITEMS: usize = 500;
/// Of these, what chance orders.
const WANTED: usize = 200;

/// A store whose planner is open to view.
#[async_trait]
pub trait Planning: Store {
    async fn has_foreseen(&self) -> bool;
    /// Begins anew from now on whenever more items than these are at hand.
    async fn cache_at_most(&self, items: usize);
    /// Lets it know in its way what the tables say now, if it has a way.
    async fn look_around(&self, database: &Database);
}

#[async_trait]
pub trait PlanningLab: Lab {
    type Inside: Planning;
    /// A store that plans every batch that can be, and the database that it is.
    async fn inside(&self) -> (Arc<Self::Inside>, Database);
    /// How many pieces of recent stock there are.
    async fn pieces(&self) -> i64;
}

/// Makes a `#[tokio::test]` of every property. The argument is an expression that makes a new [`PlanningLab`].
#[macro_export]
macro_rules! planning_tests {
    ($lab:expr) => {
        $crate::contract_tests! { @each $lab,
            planning::a_batch_planned_while_the_one_before_is_written_counts_with_it
            planning::a_plan_that_was_not_written_does_not_count_in_a_batch_that_waited_behind_it
            planning::a_plan_that_another_writer_made_untrue_is_made_anew
            planning::a_plan_whose_turn_never_comes_leaves_nothing
            planning::ids_that_come_again_are_found_in_spite_of_a_plan
            planning::nothing_is_planned_once_a_hold_is_due
        }

        #[tokio::test]
        async fn whatever_happens_in_whatever_order_the_books_are_right() {
            for seed in 1..=3 {
                let lab = $lab;
                $crate::contract::planning::whatever_happens_in_whatever_order_the_books_are_right(
                    &lab, seed, None,
                )
                .await;
            }
        }

        #[tokio::test]
        async fn whatever_happens_the_books_are_right_when_little_is_kept_at_hand() {
            for (seed, cached_max) in [(4, 80), (5, 150)] {
                let lab = $lab;
                $crate::contract::planning::whatever_happens_in_whatever_order_the_books_are_right(
                    &lab,
                    seed,
                    Some(cached_max),
                )
                .await;
            }
        }
    };
}

/// The same database twice: as everybody sees it, and with its planner open to view.
async fn shop<L: PlanningLab>(lab: &L) -> (Database, Arc<L::Inside>) {
    let database = lab.open().await;
    furnish(&database).await;
    (database, lab.inside().await.0)
}

/// Executes one order that loads the watch, so that what follows can be planned.
pub(crate) async fn warm_up(store: &impl Store) {
    execute(store, vec![place("WATCH", 1)]).await;
}

async fn execute(store: &impl Store, commands: Vec<Command>) -> Vec<holdfast_domain::Outcome> {
    store.execute(at(1), Arc::new(commands)).await.expect("it is executed").outcomes
}

async fn on_hand_for_sale(database: &Database) -> i64 {
    available(database, "WATCH").await
}

pub(crate) async fn available(database: &Database, sku: &str) -> i64 {
    let snapshot = database.reads.snapshot().await.expect("it is read");
    snapshot.skus.iter().find(|state| state.item.sku.as_str() == sku).expect("the item").available()
}

pub(crate) async fn is_planned(store: &impl Planning, commands: &Arc<Vec<Command>>) -> bool {
    store.foresee(at(1), commands.clone()).await;
    store.has_foreseen().await
}

/// Polls it once, as a worker that hands over a batch does; what is done by then is kept.
pub(crate) async fn begin<'a, T: Send + 'a>(
    executing: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    let mut executing: Pin<Box<dyn Future<Output = T> + Send + 'a>> = Box::pin(executing);
    match poll_fn(|context| Poll::Ready(executing.as_mut().poll(context))).await {
        Poll::Ready(done) => Box::pin(ready(done)),
        Poll::Pending => executing,
    }
}

pub async fn a_batch_planned_while_the_one_before_is_written_counts_with_it<L: PlanningLab>(lab: &L) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let left = on_hand_for_sale(&database).await;
    let first = Arc::new(vec![place("WATCH", left - 1)]);
    let second = Arc::new(vec![place("WATCH", 2), place("WATCH", 1), place("WATCH", 1)]);
    let executing = begin(inside.execute(at(1), first)).await;
    assert!(is_planned(inside.as_ref(), &second).await);
    answer(&executing.await.expect("it is executed").outcomes[0]);
    let executed = inside.execute(at(1), second).await.expect("it is executed");
    assert_eq!(rejection(&executed.outcomes[0]).code(), "insufficient_stock");
    answer(&executed.outcomes[1]);
    assert_eq!(rejection(&executed.outcomes[2]).code(), "insufficient_stock");
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

pub async fn a_plan_that_was_not_written_does_not_count_in_a_batch_that_waited_behind_it<L: PlanningLab>(
    lab: &L,
) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let left = on_hand_for_sale(&database).await;
    // Another writer takes everything, with as many events as the plan has that it makes untrue.
    answer(&run_one(&database, 1, &place("WATCH", left)).await);
    let planned = begin(inside.execute(at(1), Arc::new(vec![place("WATCH", 1)]))).await;
    // No batch of orders alone: it is decided on what is known, as soon as the one before it is through.
    let looked_up = begin(inside.execute(at(1), Arc::new(vec![hold("WATCH", left - 1, 60)]))).await;
    let (planned, looked_up) = futures_util::future::join(planned, looked_up).await;
    for executed in [planned, looked_up] {
        let outcomes = executed.expect("it is executed").outcomes;
        assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    }
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

pub async fn a_plan_that_another_writer_made_untrue_is_made_anew<L: PlanningLab>(lab: &L) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let left = on_hand_for_sale(&database).await;
    let all = Arc::new(vec![place("WATCH", left)]);
    assert!(is_planned(inside.as_ref(), &all).await);
    // As many events as the plan has: the head's position alone would not tell the two apart.
    answer(&run_one(&database, 1, &place("WATCH", 1)).await);
    let outcomes = inside.execute(at(1), all).await.expect("it is executed").outcomes;
    assert_eq!(rejection(&outcomes[0]).code(), "insufficient_stock");
    assert_eq!(on_hand_for_sale(&database).await, left - 1);
    answer(&execute(inside.as_ref(), vec![place("WATCH", left - 1)]).await[0]);
    check_books(&database).await;
}

pub async fn a_plan_whose_turn_never_comes_leaves_nothing<L: PlanningLab>(lab: &L) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let left = on_hand_for_sale(&database).await;
    assert!(is_planned(inside.as_ref(), &Arc::new(vec![place("WATCH", left)])).await);
    answer(&execute(inside.as_ref(), vec![place("WATCH", left)]).await[0]);
    assert_eq!(on_hand_for_sale(&database).await, 0);
    check_books(&database).await;
}

pub async fn ids_that_come_again_are_found_in_spite_of_a_plan<L: PlanningLab>(lab: &L) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let (known, refused) = (place("WATCH", 1), receive("NOTHING", 1));
    run(&database, 1, vec![known.clone()]).await;
    warm_up(inside.as_ref()).await;
    // An outcome alone does not move the head.
    let id = refused.id;
    rejection(&run_one(&database, 1, &refused).await);
    let mut taken = place("WATCH", 1);
    taken.id = id;
    let left = on_hand_for_sale(&database).await;
    for again in [known, taken] {
        // The plan before did not hold, so the next batches are looked up first.
        for _ in 0..9 {
            execute(inside.as_ref(), vec![place("STRAP", 1)]).await;
        }
        warm_up(inside.as_ref()).await;
        let batch = Arc::new(vec![place("WATCH", 1), again]);
        assert!(is_planned(inside.as_ref(), &batch).await);
        let outcomes = inside.execute(at(1), batch).await.expect("it is executed").outcomes;
        answer(&outcomes[0]);
        assert!(outcomes[1].replayed || outcomes[1].result.is_err(), "{:?}", outcomes[1]);
    }
    assert_eq!(on_hand_for_sale(&database).await, left - 4);
    check_books(&database).await;
}

pub async fn nothing_is_planned_once_a_hold_is_due<L: PlanningLab>(lab: &L) {
    let (database, inside) = shop(lab).await;
    warm_up(inside.as_ref()).await;
    let left = on_hand_for_sale(&database).await;
    execute(inside.as_ref(), vec![hold("WATCH", left, 5)]).await;
    let early = Arc::new(vec![place("WATCH", 1)]);
    assert!(is_planned(inside.as_ref(), &early).await, "it is not due yet");
    assert_eq!(
        rejection(&inside.execute(at(1), early).await.expect("executed").outcomes[0]).code(),
        "insufficient_stock"
    );
    let late = Arc::new(vec![place("WATCH", left)]);
    inside.foresee(at(60), late.clone()).await;
    assert!(!inside.has_foreseen().await);
    answer(&inside.execute(at(60), late).await.expect("executed").outcomes[0]);
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

/// One batch is planned while the one before is written; others write, and fail, and end.
pub async fn whatever_happens_in_whatever_order_the_books_are_right<L: PlanningLab>(
    lab: &L,
    seed: u64,
    cached_max: Option<usize>,
) {
    let (inside, database) = lab.inside().await;
    if let Some(cached_max) = cached_max {
        inside.cache_at_most(cached_max).await;
    }
    furnish(&database).await;
    furnish_many(&database, ITEMS).await;
    let mut dice = Dice(seed);
    let mut planned = 0;
    let mut other = lab.open().await;
    let mut earlier = vec![place("SKU-1", 1)];
    for step in 0..120 {
        match dice.below(12) {
            0..6 => {
                // One batch after the other, the second planned while the first is written.
                let (first, second) = (Arc::new(dice.orders()), Arc::new(dice.orders()));
                earlier.extend(first.first().cloned());
                let executing = begin(inside.execute(at(step), first)).await;
                inside.foresee(at(step), second.clone()).await;
                planned += usize::from(inside.has_foreseen().await);
                executing.await.expect("it is executed");
                if dice.below(4) > 0 {
                    inside.execute(at(step), second).await.expect("it is executed");
                }
            }
            6 => {
                // A plan that does not hold, with another one behind it.
                let mut first = dice.orders();
                first.push(earlier[dice.below(earlier.len())].clone());
                let second = Arc::new(dice.orders());
                let executing = begin(inside.execute(at(step), Arc::new(first))).await;
                inside.foresee(at(step), second.clone()).await;
                planned += usize::from(inside.has_foreseen().await);
                executing.await.expect("it is executed");
                inside.execute(at(step), second).await.expect("it is executed");
            }
            7 => {
                let number = dice.below(WANTED);
                let receive = receive(&format!("SKU-{number}"), 200);
                inside.execute(at(step), Arc::new(vec![receive])).await.expect("it is executed");
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
                inside.foresee(at(step), planned.clone()).await;
                run(&other, step, dice.orders()).await;
                inside.execute(at(step), planned).await.expect("it is executed");
            }
        }
        if dice.below(3) > 0 {
            inside.look_around(&database).await;
        }
        if step % 20 == 0 {
            check_books(&database).await;
        }
    }
    check_books(&database).await;
    let planned_min = if cached_max.is_some() { 4 } else { 10 };
    assert!(planned > planned_min, "plans were made: {planned}");
    let snapshot = database.reads.snapshot().await.expect("it is read");
    let sold_out = snapshot.skus.iter().filter(|state| state.available() < 60).count();
    assert!(sold_out > 20, "orders came to the end of the stock: {sold_out}");
    answer(&run_one(&database, 200, &receive("SKU-0", 1)).await);
    database.store.close().await;
    assert_eq!(lab.pieces().await, 0);
    check_books(&lab.open().await).await;
}
