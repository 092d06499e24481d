//! What every database must do, written once. [`contract_tests!`](crate::contract_tests) makes a test of each
//! property for a [`Lab`]; a property ends by checking the books: the whole log, replayed, is what the tables say.
//!
//! Not part of the product: compiled for tests alone.

pub mod accounts;
pub mod books;
pub mod deciding;
pub mod notes;
pub mod planning;
pub mod reading;
pub mod settling;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::{Actor, Answer, Command, CommandBody, Order, Outcome, Rejection, Role, Sku, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Database, Executed};

/// A place that holds one database, empty at first.
#[async_trait]
pub trait Lab: Send + Sync {
    /// Opens the database; again after it was closed, or a second time beside the first.
    async fn open(&self) -> Database;
    /// Runs one statement behind the store's back.
    async fn sql(&self, statement: &str) -> Result<(), String>;
}

/// Makes a `#[tokio::test]` of every property. The argument is an expression that makes a new [`Lab`].
#[macro_export]
macro_rules! contract_tests {
    ($lab:expr) => {
        $crate::contract_tests! { @each $lab,
            deciding::positions_are_dense_and_hashes_are_chained
            notes::the_newest_note_under_a_name_counts
            notes::notes_are_listed_by_prefix_in_pages
            notes::of_two_who_replace_the_same_note_one_does
            notes::old_notes_under_a_prefix_are_pruned
            deciding::the_same_command_again_gets_the_first_answer
            deciding::a_replay_within_one_batch_happens_once
            deciding::every_kind_of_outcome_is_given_again_as_it_was
            deciding::other_content_under_a_known_id_is_refused
            deciding::an_id_of_another_account_is_taken
            deciding::an_id_is_known_whoever_used_it
            deciding::a_key_that_came_without_an_id_stands_for_what_it_placed
            deciding::an_idempotency_key_names_its_command_too
            deciding::a_hot_item_is_promised_as_often_as_it_is_there
            deciding::due_holds_expire_before_the_batch_is_decided
            deciding::more_due_holds_than_a_batch_expires_go_with_the_next
            deciding::a_sweep_with_nothing_due_writes_nothing
            deciding::cancelling_fulfilling_and_returning_are_as_the_log_says
            deciding::a_confirmed_hold_answers_as_hold_and_as_order
            deciding::time_in_the_log_never_goes_back
            deciding::writers_at_once_keep_the_books
            deciding::two_openings_of_one_database_see_each_other
            deciding::what_was_committed_is_there_after_reopening
            deciding::a_rush_on_many_items_keeps_the_books
            deciding::counters_below_zero_are_refused_by_the_database
            settling::outcomes_are_forgotten_after_a_day_and_orders_never
            settling::a_pending_order_is_readable_until_it_is_decided
            settling::what_is_decided_does_not_become_pending_again
            settling::an_order_that_cannot_be_decided_is_rejected
            settling::another_command_that_cannot_be_decided_has_an_outcome
            settling::old_pending_commands_come_oldest_first
            settling::movements_are_applied_once
            settling::movements_are_found_however_far_apart
            settling::cursors_are_kept_by_name
            reading::orders_are_listed_newest_first_in_pages
            reading::a_rare_status_is_searched_in_bounded_steps
            reading::holds_are_listed_and_the_next_expiry_is_known
            reading::pending_orders_are_listed_in_pages
            reading::the_log_is_read_in_pieces
            reading::a_snapshot_is_what_the_log_says
            reading::outcomes_are_found_wherever_they_are_kept
            reading::commands_that_were_decided_are_told_from_others
            accounts::usernames_are_unique_without_regard_to_case
            accounts::accounts_are_listed_by_name
            accounts::a_session_stands_for_its_account_until_it_ends
            accounts::disabling_an_account_ends_its_sessions
            accounts::a_new_password_ends_the_other_sessions
            accounts::api_keys_are_added_listed_and_revoked
            accounts::an_idempotent_change_is_answered_once
            accounts::an_answer_without_a_change_is_recorded_once
            accounts::what_is_over_is_pruned
        }
    };
    (@each $lab:expr, $($module:ident :: $property:ident)*) => {
        $(
            #[tokio::test]
            async fn $property() {
                let lab = $lab;
                $crate::contract::$module::$property(&lab).await;
            }
        )*
    };
}

/// When the tests' time begins: in 2100, after the making of any id, as far as the store can tell (`crate::ids`).
pub(crate) const START: Timestamp = Timestamp(4_102_444_800_000_000);

pub(crate) fn at(seconds: i64) -> Timestamp {
    START.plus_seconds(seconds)
}

pub(crate) fn staff() -> Actor {
    Actor::new("staff", Role::Admin)
}

pub(crate) fn service() -> Actor {
    Actor::new("service", Role::Service)
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::new(text).expect("a good SKU")
}

/// A command from its JSON, as a client writes it.
pub(crate) fn command(actor: Actor, body: Value) -> Command {
    let body: CommandBody = serde_json::from_value(body).expect("the test's command is well formed");
    Command::new(Uuid::now_v7(), actor, body)
}

pub(crate) fn place(sku: &str, quantity: i64) -> Command {
    command(service(), json!({"kind": "order.place", "lines": [{"sku": sku, "quantity": quantity}]}))
}

pub(crate) fn place_for(customer: &str, sku: &str, quantity: i64) -> Command {
    let lines = json!([{"sku": sku, "quantity": quantity}]);
    command(service(), json!({"kind": "order.place", "customer": customer, "lines": lines}))
}

pub(crate) fn hold(sku: &str, quantity: i64, ttl_seconds: i64) -> Command {
    let lines = json!([{"sku": sku, "quantity": quantity}]);
    command(service(), json!({"kind": "hold.place", "lines": lines, "ttl_seconds": ttl_seconds}))
}

pub(crate) fn receive(sku: &str, quantity: i64) -> Command {
    command(staff(), json!({"kind": "stock.receive", "sku": sku, "location": "EAST", "quantity": quantity}))
}

/// Executes a batch, `seconds` after the start.
pub(crate) async fn run(database: &Database, seconds: i64, commands: Vec<Command>) -> Executed {
    let count = commands.len();
    let executed =
        database.store.execute(at(seconds), Arc::new(commands)).await.expect("the batch is executed");
    assert_eq!(executed.outcomes.len(), count, "each command has its outcome");
    executed
}

/// Executes one command.
pub(crate) async fn run_one(database: &Database, seconds: i64, command: &Command) -> Outcome {
    run(database, seconds, vec![command.clone()]).await.outcomes.remove(0)
}

/// Two locations; WATCH with 10 units in EAST and 5 in WEST, STRAP with 1,000 in EAST.
pub(crate) async fn furnish(database: &Database) {
    let item = |sku: &str, stock: Value| {
        let price = json!({"amount": 129_900, "currency": "INR"});
        let body = json!({"kind": "item.add", "sku": sku, "brand": "Titan", "model": sku, "price": price, "stock": stock});
        command(staff(), body)
    };
    let location = |code: &str, priority: i64| {
        command(staff(), json!({"kind": "location.put", "code": code, "name": code, "priority": priority}))
    };
    let commands = vec![
        location("EAST", 1),
        location("WEST", 2),
        item("WATCH", json!([{"location": "EAST", "quantity": 10}, {"location": "WEST", "quantity": 5}])),
        item("STRAP", json!([{"location": "EAST", "quantity": 1_000}])),
    ];
    for outcome in run(database, 0, commands).await.outcomes {
        answer(&outcome);
    }
}

/// `count` more items, SKU-0 and so on, with 1,000 units each in EAST.
pub(crate) async fn furnish_many(database: &Database, count: usize) {
    let price = json!({"amount": 100, "currency": "INR"});
    let stock = json!([{"location": "EAST", "quantity": 1_000}]);
    let add = |number: usize| {
        let sku = format!("SKU-{number}");
        command(
            staff(),
            json!({"kind": "item.add", "sku": sku, "brand": "B", "model": sku, "price": price, "stock": stock}),
        )
    };
    for outcome in run(database, 0, (0..count).map(add).collect()).await.outcomes {
        answer(&outcome);
    }
}

/// Opens a lab's database and furnishes it.
pub(crate) async fn furnished(lab: &dyn Lab) -> Database {
    let database = lab.open().await;
    furnish(&database).await;
    database
}

pub(crate) fn answer(outcome: &Outcome) -> &Answer {
    outcome.result.as_ref().unwrap_or_else(|rejection| panic!("accepted, and not {rejection:?}"))
}

pub(crate) fn rejection(outcome: &Outcome) -> &Rejection {
    match &outcome.result {
        Ok(answer) => panic!("rejected, and not {answer:?}"),
        Err(rejection) => rejection,
    }
}

pub(crate) fn order_in(outcome: &Outcome) -> &Order {
    match answer(outcome) {
        Answer::Order(order) => order,
        other => panic!("an order, and not {other:?}"),
    }
}

/// What a client gets to see of an outcome.
pub(crate) fn seen(outcome: &Outcome) -> Value {
    serde_json::to_value(outcome).expect("outcomes are plain data")
}

/// The same, as a repetition shows it.
pub(crate) fn seen_again(outcome: &Outcome) -> Value {
    seen(&Outcome { replayed: true, ..outcome.clone() })
}
