//! Random commands, and what must hold after each of them: nothing oversold, no unit lost or made, every order and
//! hold ended at most once, and the log tells it all.
//!
//! The counters are checked against books of these files' own: summed from events on one side, from orders and holds
//! on the other, never with the domain's arithmetic.

mod books;
mod commands;
#[path = "../rules/snapshot.rs"]
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast_domain::{
    Answer, Command, CommandBody, Decided, Event, HoldStatus, Keys, Ledger, LocationCode, OrderLine,
    OrderStatus, Outcome, Position, Recorded, Rejection, Role, Sku, SkuState, StockRow, Timestamp,
    decide_batch,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use uuid::Uuid;

use crate::books::{Books, Place};
use crate::commands::{Batch, batches, commands, opening};
use crate::snapshot::{Snapshot, snapshot};

/// Loads what commands name and the ledger does not have, as the store does: it is not there.
fn load(ledger: &mut Ledger, commands: &[Command]) {
    let mut keys = Keys::default();
    commands.iter().for_each(|command| keys.add(command));
    for sku in keys.skus {
        if !ledger.has_sku(&sku) {
            ledger.put_sku(sku, None);
        }
    }
    for id in keys.claims {
        if !ledger.has_claim(id) {
            ledger.put_order(id, None);
            ledger.put_hold(id, None);
        }
    }
}

/// A ledger with its log, and all that is checked about them.
struct Run {
    ledger: Ledger,
    head: Position,
    /// When each event was decided.
    log: Vec<(Timestamp, Recorded)>,
    books: Books,
    claims: BTreeSet<Uuid>,
    codes: BTreeSet<&'static str>,
}

impl Run {
    fn new() -> Self {
        let now = Timestamp::parse("2026-01-31T12:00:00Z").expect("a time");
        let mut run = Self {
            ledger: Ledger::new(now),
            head: Position(0),
            log: Vec::new(),
            books: Books::default(),
            claims: BTreeSet::new(),
            codes: BTreeSet::new(),
        };
        opening().iter().for_each(|command| drop(run.step(command)));
        assert_eq!(run.codes, BTreeSet::new(), "the shop opens");
        run
    }

    fn snapshot(&self) -> Snapshot {
        snapshot(&self.ledger, self.claims.iter().copied())
    }

    /// Decides one command, and checks everything.
    fn step(&mut self, command: &Command) -> Decided {
        load(&mut self.ledger, std::slice::from_ref(command));
        self.claims.insert(command.id);
        // What is due ends before the command is decided; it is no doing of the command's.
        let mut early = self.ledger.clone();
        let mut expired = Vec::new();
        early.expire_due(&mut Position(0), &mut expired);
        let before = snapshot(&early, self.claims.iter().copied());

        let decided = decide_batch(&mut self.ledger, self.head, std::slice::from_ref(command));
        assert_eq!(decided.events[..expired.len()], expired);
        for recorded in &decided.events {
            self.head = self.head.plus(1);
            self.books.enter(recorded, self.head, self.ledger.now);
            self.log.push((self.ledger.now, recorded.clone()));
        }
        let after = self.snapshot();
        let events = &decided.events[expired.len()..];
        self.check_promises(&before, &after, events);
        self.check_counters(&after);
        self.check_ends(&after);
        self.check_outcome(command, &decided, events, &before, &after);
        decided
    }

    /// Whoever took units, took what was available right there before, and left no shortage there.
    fn check_promises(&self, before: &Snapshot, after: &Snapshot, events: &[Recorded]) {
        let confirms = events.iter().any(|recorded| matches!(recorded.event, Event::HoldConfirmed { .. }));
        let mut taken: BTreeMap<Place, i64> = BTreeMap::new();
        let mut take = |sku: &Sku, location: &LocationCode, units: i64| {
            *taken.entry((sku.clone(), location.clone())).or_default() += units;
        };
        let take_lines = |lines: &[OrderLine], take: &mut dyn FnMut(&Sku, &LocationCode, i64)| {
            for line in lines {
                let parts: i64 = line.allocations.iter().map(|allocation| allocation.quantity).sum();
                assert_eq!(parts, line.quantity, "a line is allocated in full");
                for allocation in &line.allocations {
                    assert!(allocation.quantity > 0, "no empty allocations");
                    take(&line.sku, &allocation.location, allocation.quantity);
                }
            }
        };
        for recorded in events {
            match &recorded.event {
                // A confirmed hold had taken its units when it was placed.
                Event::OrderAccepted { .. } if confirms => {}
                Event::OrderAccepted { lines, .. } | Event::HoldPlaced { lines, .. } => {
                    take_lines(lines, &mut take);
                }
                Event::StockTransferred { sku, from, quantity, .. } => take(sku, from, *quantity),
                _other_events_promise_nothing => {}
            }
        }
        for ((sku, location), units) in taken {
            let there = row(before, &sku, &location).available();
            assert!(units <= there, "{units} of {sku} at {location} were promised, {there} were available");
            let left = row(after, &sku, &location);
            assert_eq!(left.shortage(), 0, "a promise left a shortage: {left:?}");
            assert_eq!(left.available(), there - units, "{left:?}");
        }
    }

    /// A line gets what was asked for or, in a partial order, what there was; nobody is refused who could be served.
    fn check_lines(command: &Command, outcome: &Outcome, before: &Snapshot) {
        let (asked, partial) = match &command.body {
            CommandBody::PlaceOrder(place) => (&place.lines, place.allow_partial),
            CommandBody::PlaceHold(place) => (&place.lines, false),
            _other_commands_ask_for_no_lines => return,
        };
        let there = |sku: &Sku| before.skus.get(sku).map_or(0, SkuState::available);
        let short = asked.iter().any(|line| there(&line.sku) < line.quantity.get());
        let got = match &outcome.result {
            Ok(Answer::Order(order)) => &order.lines,
            Ok(Answer::Hold(hold)) => &hold.lines,
            Ok(other) => panic!("an order or hold is answered with one, not with {other:?}"),
            Err(Rejection::InsufficientStock { .. }) => {
                assert!(short, "refused though it is there: {command:?}");
                let something = asked.iter().any(|line| there(&line.sku) > 0);
                assert!(!(partial && something), "refused though a part is there: {command:?}");
                return;
            }
            Err(_other_reason) => return,
        };
        assert!(partial || !short, "taken though it is not there: {command:?}");
        let got: Vec<_> = got.iter().map(|line| (&line.sku, line.quantity)).collect();
        let expected = asked.iter().map(|line| (&line.sku, line.quantity.get().min(there(&line.sku))));
        assert_eq!(got, expected.filter(|(_, units)| *units > 0).collect::<Vec<_>>(), "{command:?}");
    }

    /// Counters are what events, orders and holds add up to, and none is negative.
    fn check_counters(&self, after: &Snapshot) {
        let mut held: HashMap<Place, i64> = HashMap::new();
        let mut allocated: HashMap<Place, i64> = HashMap::new();
        for hold in after.holds.values().filter(|hold| hold.status == HoldStatus::Held) {
            for line in &hold.lines {
                for part in &line.allocations {
                    *held.entry((line.sku.clone(), part.location.clone())).or_default() += part.quantity;
                }
            }
        }
        for order in after.orders.values().filter(|order| order.status == OrderStatus::Accepted) {
            for line in &order.lines {
                for part in &line.allocations {
                    *allocated.entry((line.sku.clone(), part.location.clone())).or_default() +=
                        part.quantity - part.fulfilled;
                }
            }
        }
        for (sku, state) in &after.skus {
            let mut available = 0;
            for row in &state.stock {
                let place = (sku.clone(), row.location.clone());
                let of = |units: &HashMap<Place, i64>| units.get(&place).copied().unwrap_or_default();
                assert_eq!(row.on_hand, self.books.on_hand(&place), "units of {place:?} are conserved");
                assert_eq!(row.on_hand, of(&self.books.moved), "movements of {place:?} add up");
                assert_eq!(row.held, of(&held), "held units of {place:?} are those of holds");
                assert_eq!(row.allocated, of(&allocated), "allocated units of {place:?} are those of orders");
                assert_eq!(row.unavailable, of(&self.books.unavailable), "{place:?}");
                assert_eq!(row.incoming, of(&self.books.incoming), "{place:?}");
                let counters = [row.on_hand, row.held, row.allocated, row.unavailable, row.incoming];
                assert!(counters.iter().all(|units| *units >= 0), "{row:?}");
                let free = row.on_hand - row.held - row.allocated - row.unavailable - row.safety_stock;
                assert_eq!((row.available(), row.shortage()), (free.max(0), (-free).max(0)));
                available += free.max(0);
            }
            assert_eq!(state.available(), available);
        }
        for (sku, location) in self.books.moved.keys() {
            let state = after.skus.get(sku).expect("stock is of items");
            assert!(
                state.stock.iter().any(|row| row.location == *location),
                "{sku} at {location} has no row"
            );
        }
    }

    /// Orders and holds came to their ends once, and their states say to which.
    fn check_ends(&self, after: &Snapshot) {
        let times = |id: Uuid, how| self.books.times(id, how);
        for (id, hold) in &after.holds {
            let [confirmed, released, expired] =
                ["confirmed", "released", "expired"].map(|how| times(*id, how));
            let expected = match hold.status {
                HoldStatus::Held => [0, 0, 0],
                HoldStatus::Confirmed => [1, 0, 0],
                HoldStatus::Released => [0, 1, 0],
                HoldStatus::Expired => [0, 0, 1],
            };
            assert_eq!([confirmed, released, expired], expected, "ends of {hold:?}");
            let alive = hold.status == HoldStatus::Held;
            assert!(!alive || hold.expires_at > self.ledger.now, "a hold outlived its time: {hold:?}");
            assert_eq!(after.orders.contains_key(id), confirmed == 1, "only a confirmed hold is an order");
        }
        for (id, order) in &after.orders {
            let ends =
                ["accepted", "rejected", "cancelled", "fulfilled", "returned"].map(|how| times(*id, how));
            let expected = match order.status {
                OrderStatus::Pending => panic!("a decided order is not pending: {order:?}"),
                OrderStatus::Accepted => [1, 0, 0, 0, 0],
                OrderStatus::Rejected => [0, 1, 0, 0, 0],
                OrderStatus::Cancelled => [1, 0, 1, 0, 0],
                OrderStatus::Fulfilled => [1, 0, 0, 1, 0],
                OrderStatus::Returned => [1, 0, 0, 1, 1],
            };
            assert_eq!(ends, expected, "ends of {order:?}");
            let sum = |of: fn(&holdfast_domain::Allocation) -> i64| -> i64 {
                order.lines.iter().flat_map(|line| &line.allocations).map(of).sum()
            };
            let progress = order.progress;
            assert_eq!(progress.ordered, sum(|part| part.quantity), "{order:?}");
            assert_eq!(progress.fulfilled, sum(|part| part.fulfilled), "{order:?}");
            assert_eq!(progress.returned, sum(|part| part.returned), "{order:?}");
            assert!(progress.returned <= progress.fulfilled && progress.fulfilled <= progress.ordered);
        }
    }

    /// A rejection changes nothing; an answer is what the ledger says, and nobody gets at another's claims.
    fn check_outcome(
        &mut self,
        command: &Command,
        decided: &Decided,
        events: &[Recorded],
        before: &Snapshot,
        after: &Snapshot,
    ) {
        let [outcome] = decided.outcomes.as_slice() else { panic!("one command, one outcome") };
        assert_eq!((outcome.id, outcome.position, outcome.replayed), (command.id, self.head, false));
        Self::check_lines(command, outcome, before);
        let mine = |customer: Option<&str>| {
            command.actor.role != Role::Customer || customer == Some(command.actor.name.as_str())
        };
        match &outcome.result {
            Err(rejection) => {
                self.codes.insert(rejection.code());
                let mut unchanged = after.clone();
                if let CommandBody::PlaceOrder(_) = command.body {
                    let order = unchanged.orders.remove(&command.id).expect("a rejected order is readable");
                    assert_eq!(order.rejection().as_ref(), Some(rejection));
                } else {
                    assert_eq!(events, [], "{rejection:?}");
                }
                assert_eq!(&unchanged, before, "{rejection:?} changed something");
            }
            Ok(Answer::Order(order)) => {
                assert_eq!(after.orders.get(&order.id), Some(&**order));
                assert!(mine(order.customer.as_ref().map(|customer| customer.as_str())), "{order:?}");
            }
            Ok(Answer::Hold(hold)) => {
                assert_eq!(after.holds.get(&hold.id), Some(&**hold));
                assert!(mine(hold.customer.as_ref().map(|customer| customer.as_str())), "{hold:?}");
            }
            Ok(Answer::Item { item, available }) => {
                let state = after.skus.get(&item.sku).expect("an answered item is there");
                assert_eq!((&state.item, state.available()), (item, *available));
            }
            Ok(Answer::Location(location)) => assert!(after.locations.contains(location)),
            Ok(Answer::Levels(row)) => {
                assert!(after.skus.values().any(|state| state.stock.contains(row)));
            }
            Ok(Answer::Movements(movements)) => {
                let moved = movements.iter().all(|movement| {
                    row(after, &movement.sku, &movement.location).on_hand == movement.on_hand_after
                });
                assert!(moved && !movements.is_empty(), "{movements:?}");
            }
            Ok(Answer::OrderText(_)) => panic!("nothing decided here is text yet"),
            Ok(Answer::Removed | Answer::Swept) => {}
        }
    }
}

fn row(snapshot: &Snapshot, sku: &Sku, location: &LocationCode) -> StockRow {
    let stock = snapshot.skus.get(sku).map(|state| state.stock.as_slice()).unwrap_or_default();
    let row = stock.iter().find(|row| row.location == *location);
    row.cloned().unwrap_or_else(|| StockRow::empty(location.clone()))
}

/// The ledger that the log alone makes, through its JSON form.
fn replay(log: &[(Timestamp, Recorded)], claims: &BTreeSet<Uuid>) -> Snapshot {
    let mut ledger = Ledger::new(Timestamp(0));
    for id in claims {
        ledger.put_order(*id, None);
        ledger.put_hold(*id, None);
    }
    for ((now, recorded), position) in log.iter().zip(1..) {
        let text = serde_json::to_string(recorded).expect("an event is plain data");
        let read: Recorded = serde_json::from_str(&text).expect("the log reads what it wrote");
        assert_eq!(&read, recorded, "{text}");
        ledger.now = *now;
        ledger.evolve(&read, Position(position));
    }
    snapshot(&ledger, claims.iter().copied())
}

/// Runs the batches twice: command by command with all checks, and batch by batch.
fn run(batches: &[Batch]) -> Run {
    let mut run = Run::new();
    for (seconds, commands) in commands(batches) {
        run.ledger.now = run.ledger.now.plus_seconds(seconds);
        let mut together = run.ledger.clone();
        load(&mut together, &commands);
        let in_one = decide_batch(&mut together, run.head, &commands);

        let mut one_by_one = Decided::default();
        for command in &commands {
            let decided = run.step(command);
            one_by_one.events.extend(decided.events);
            one_by_one.outcomes.extend(decided.outcomes);
        }
        if !commands.is_empty() {
            assert_eq!(in_one, one_by_one, "a batch is its commands one by one");
            assert_eq!(snapshot(&together, run.claims.iter().copied()), run.snapshot());
        }
    }
    assert_eq!(replay(&run.log, &run.claims), run.snapshot(), "the log tells it all");
    run
}

fn config(cases: u32) -> Config {
    // Seeds of failures are kept beside this file, to be run first for ever.
    let persistence = FileFailurePersistence::WithSource("regressions");
    Config { cases, failure_persistence: Some(Box::new(persistence)), ..Config::default() }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn nothing_is_oversold_lost_or_ended_twice_whatever_is_commanded(batches in batches()) {
        run(&batches);
    }
}

/// The property above is worth what its commands reach.
#[test]
fn the_random_commands_reach_every_kind_of_event_and_the_rejections_of_daily_life() {
    let mut runner = TestRunner::deterministic();
    let (mut kinds, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..100 {
        let tree = batches().new_tree(&mut runner).expect("batches can be made");
        let run = run(&tree.current());
        kinds.extend(run.books.kinds);
        codes.extend(run.codes);
    }
    let all = [
        "hold.confirmed",
        "hold.expired",
        "hold.extended",
        "hold.placed",
        "hold.released",
        "item.added",
        "item.archived",
        "item.updated",
        "location.put",
        "order.accepted",
        "order.cancelled",
        "order.fulfilled",
        "order.rejected",
        "order.returned",
        "stock.changed",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    for code in [
        "hold_expired",
        "hold_too_long",
        "insufficient_stock",
        "invalid_parts",
        "item_archived",
        "item_in_use",
        "max_per_order",
        "negative_stock",
        "not_found",
        "same_location",
        "sku_exists",
        "unknown_location",
        "unknown_sku",
        "wrong_state",
    ] {
        assert!(codes.contains(code), "{code} was never reached, only {codes:?}");
    }
}
