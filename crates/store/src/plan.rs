//! What a transaction will do: drop replays, decide the rest, list what changes. Pure, and shared by both databases.
//!
//! Idempotency lives here and only here. An `order.place` or an accepted `hold.place` is remembered by its own row,
//! for ever; every other command by an outcome row.

use std::sync::Arc;

use foldhash::HashMap;
use holdfast_domain::command::Fingerprint;
use holdfast_domain::order::RejectionCode;
use holdfast_domain::{
    Actor, Answer, Command, CommandBody, Event, Hold, Keys, Ledger, Order, Outcome, Position, Recorded,
    Rejection, Timestamp,
};
use uuid::Uuid;

use crate::{Head, Pending};

/// An outcome as it is remembered under a command's id or key.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// The id or key it is found by.
    pub key: Uuid,
    /// The command's id; another one than `key` for an `Idempotency-Key` beside a client's id.
    pub command: Uuid,
    pub actor: String,
    pub fingerprint: Fingerprint,
    pub outcome: Outcome,
}

/// What a batch does. The rows to write are in the ledger: `ledger.touched()` names them.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// To append at the positions after the head.
    pub events: Vec<Recorded>,
    /// In the order of the commands.
    pub outcomes: Vec<Outcome>,
    /// To write into the outcomes table.
    pub remember: Vec<Remembered>,
}

/// The keys that the commands name: load these, then `ledger.skus_of_claims()`, then call [`plan`].
pub fn keys(commands: &[Command]) -> Keys {
    let mut keys = Keys::default();
    for command in commands {
        keys.add(command);
    }
    keys
}

/// The ids under which outcomes of these commands may be remembered: look them up before planning, but for those that are
/// surely new (`ids.rs`).
pub fn outcome_keys(commands: &[Command]) -> Vec<Uuid> {
    commands.iter().flat_map(|command| [Some(command.id), command.key]).flatten().collect()
}

/// Decides a batch against a ledger that holds everything [`keys`] named, all due holds, and the SKUs of all of
/// these. `known` holds the outcomes found for [`outcome_keys`].
pub fn plan(ledger: &mut Ledger, head: Position, commands: &[Command], known: Vec<Remembered>) -> Plan {
    let mut known: HashMap<Uuid, Remembered> = known.into_iter().map(|row| (row.key, row)).collect();
    let mut plan = Plan::default();
    let mut head = head;
    ledger.expire_due(&mut head, &mut plan.events);
    for command in commands {
        let fingerprint = command.body.fingerprint();
        let outcome = match earlier(ledger, &known, command, fingerprint) {
            Some(Ok(outcome)) => {
                // Known by its id; from now on its key stands for it too.
                let is_another = |key: &Uuid| *key != command.id && !known.contains_key(key);
                if let Some(key) = command.key.filter(is_another) {
                    let first = Outcome { replayed: false, ..outcome.clone() };
                    remember_under([key], &mut plan, &mut known, command, fingerprint, &first);
                }
                outcome
            }
            Some(Err(refusal)) => {
                Outcome { id: command.id, position: head, replayed: false, result: Err(refusal) }
            }
            None => {
                let outcome = ledger.decide_and_apply(command, fingerprint, &mut head, &mut plan.events);
                remember(&mut plan, &mut known, command, fingerprint, &outcome);
                outcome
            }
        };
        plan.outcomes.push(outcome);
    }
    plan
}

/// What the last batch left in memory, and the head it is true at.
pub(crate) struct Kept {
    pub(crate) head: Position,
    pub(crate) ledger: Ledger,
}

impl Kept {
    /// The ledger for a batch, if it is still true.
    pub(crate) fn at(self, head: &Head, now: Timestamp) -> Option<Ledger> {
        let Self { head: at, mut ledger } = self;
        if at != head.position {
            return None;
        }
        ledger.start_batch(now);
        Some(ledger)
    }
}

/// How a pending command is settled that cannot be decided by the rules: an order becomes `rejected` through the log,
/// every other command gets the outcome `not_processable`.
pub(crate) fn reject(pending: &Pending, head: Position, now: Timestamp) -> (Ledger, Plan) {
    let command = &pending.command;
    let rejection = Rejection::NotProcessable { detail: "it could not be decided".to_owned() };
    let fingerprint = command.body.fingerprint();
    let mut ledger = Ledger::new(now);
    let mut position = head;
    let mut events = Vec::new();
    let own = match &command.body {
        CommandBody::PlaceOrder(place) => {
            ledger.put_order(command.id, None);
            let event = Event::OrderRejected {
                order_id: command.id,
                // What the order looks like while it is pending knows whose it is.
                customer: pending.order().and_then(|order| order.customer),
                lines: place.lines.iter().cloned().collect(),
                code: RejectionCode(rejection.code().into()),
                shortages: Vec::new(),
                fingerprint,
            };
            let recorded = Recorded { event, actor: command.actor.name.clone(), command: Some(command.id) };
            position = position.plus(1);
            ledger.evolve(&recorded, position);
            events.push(recorded);
            None
        }
        _other_commands => Some(command.id),
    };
    let outcome = Outcome { id: command.id, position, replayed: false, result: Err(rejection) };
    let row = |key| Remembered {
        key,
        command: command.id,
        actor: command.actor.name.to_string(),
        fingerprint,
        outcome: outcome.clone(),
    };
    let remember = [own, command.key].into_iter().flatten().map(row).collect();
    (ledger, Plan { events, outcomes: vec![outcome], remember })
}

/// The outcome of a command that has no outcome row, from the hold or order that it placed, and who sent it. A hold
/// that became an order has two rows under its id; the hold came first.
pub(crate) fn outcome_of_claim(
    id: Uuid,
    hold: Option<Hold>,
    order: Option<Order>,
) -> Option<(String, Outcome)> {
    let outcome = |position, result| Outcome { id, position, replayed: false, result };
    if let Some(hold) = hold {
        let result = Ok(Answer::Hold(Arc::new(hold.first_answer())));
        return Some((hold.placed_by.to_string(), outcome(hold.position, result)));
    }
    let order = order?;
    Some((order.placed_by.to_string(), outcome(order.position, first_result(&order))))
}

fn first_result(order: &Order) -> Result<Answer, Rejection> {
    match order.rejection() {
        Some(rejection) => Err(rejection),
        None => Ok(Answer::Order(Arc::new(order.first_answer()))),
    }
}

/// The first answer of a command that came before: `Ok` to give again, `Err` when this is not the same command.
fn earlier(
    ledger: &Ledger,
    known: &HashMap<Uuid, Remembered>,
    command: &Command,
    fingerprint: Fingerprint,
) -> Option<Result<Outcome, Rejection>> {
    if let Some(key) = command.key
        && let Some(row) = known.get(&key)
    {
        return Some(if row.command == command.id {
            again(row, command, fingerprint)
        } else {
            Err(Rejection::CommandIdReused)
        });
    }
    // The key came first without an id, and is that of what it placed.
    if let Some(key) = command.key.filter(|key| *key != command.id)
        && (ledger.order(key).is_some() || ledger.hold(key).is_some())
    {
        return Some(Err(Rejection::CommandIdReused));
    }
    if let Some(row) = known.get(&command.id) {
        return Some(again(row, command, fingerprint));
    }
    // A hold that became an order has two rows under its id; the hold came first.
    if let Some(hold) = ledger.hold(command.id) {
        let same = matches!(command.body, CommandBody::PlaceHold(_)) && hold.fingerprint == fingerprint;
        let answer = || Ok(Answer::Hold(Arc::new(hold.first_answer())));
        return Some(again_claim(&hold.placed_by, hold.position, same, command, answer));
    }
    if let Some(order) = ledger.order(command.id) {
        let same = matches!(command.body, CommandBody::PlaceOrder(_)) && order.fingerprint == fingerprint;
        return Some(again_claim(&order.placed_by, order.position, same, command, || first_result(order)));
    }
    None
}

fn again(row: &Remembered, command: &Command, fingerprint: Fingerprint) -> Result<Outcome, Rejection> {
    if row.actor != command.actor.name {
        return Err(Rejection::IdTaken);
    }
    if row.fingerprint != fingerprint {
        return Err(Rejection::CommandIdReused);
    }
    Ok(Outcome { replayed: true, ..row.outcome.clone() })
}

fn again_claim(
    placed_by: &str,
    position: Position,
    same: bool,
    command: &Command,
    answer: impl FnOnce() -> Result<Answer, Rejection>,
) -> Result<Outcome, Rejection> {
    if placed_by != command.actor.name {
        return Err(Rejection::IdTaken);
    }
    if !same {
        return Err(Rejection::CommandIdReused);
    }
    Ok(Outcome { id: command.id, position, replayed: true, result: answer() })
}

fn remember(
    plan: &mut Plan,
    known: &mut HashMap<Uuid, Remembered>,
    command: &Command,
    fingerprint: Fingerprint,
    outcome: &Outcome,
) {
    if matches!(command.body, CommandBody::Sweep)
        || outcome.result.as_ref().is_err_and(|r| !r.is_remembered())
    {
        return;
    }
    let has_a_row_of_its_own = match &command.body {
        CommandBody::PlaceOrder(_) => true,
        CommandBody::PlaceHold(_) => outcome.result.is_ok(),
        _other_kinds_only_have_outcomes => false,
    };
    let own = (!has_a_row_of_its_own).then_some(command.id);
    let keys = [own, command.key].into_iter().flatten();
    remember_under(keys, plan, known, command, fingerprint, outcome);
}

fn remember_under(
    keys: impl IntoIterator<Item = Uuid>,
    plan: &mut Plan,
    known: &mut HashMap<Uuid, Remembered>,
    command: &Command,
    fingerprint: Fingerprint,
    outcome: &Outcome,
) {
    for key in keys {
        let row = Remembered {
            key,
            command: command.id,
            actor: command.actor.name.to_string(),
            fingerprint,
            outcome: outcome.clone(),
        };
        known.insert(key, row.clone());
        plan.remember.push(row);
    }
}

/// A command of Holdfast's own that only expires what is due.
pub fn sweep() -> Command {
    Command::new(Uuid::nil(), Actor::system(), CommandBody::Sweep)
}
