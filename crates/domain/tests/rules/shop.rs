//! A shop to try commands in: three locations, a clock that stands still until told, a log.

use holdfast_domain::wire::parse_body;
use holdfast_domain::{
    Actor, Answer, Command, CommandBody, Hold, Keys, Ledger, LocationCode, Order, Outcome, Position,
    Recorded, Rejection, Role, Shortage, Sku, StockRow, Timestamp, decide_batch,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::snapshot::{Snapshot, snapshot};

/// Stands in events where the fingerprint does not matter.
pub const NO_FINGERPRINT: [u8; 16] = [0; 16];

pub struct Shop {
    ledger: Ledger,
    head: Position,
    commands: u128,
}

/// What an accepted command did.
pub struct Done {
    /// The command's id; for orders and holds it is theirs too.
    pub id: Uuid,
    pub answer: Answer,
    /// As in the log, without fingerprints.
    pub events: Vec<Value>,
}

impl Done {
    pub fn order(&self) -> &Order {
        let Answer::Order(order) = &self.answer else { panic!("not an order: {:?}", self.answer) };
        order
    }

    pub fn hold(&self) -> &Hold {
        let Answer::Hold(hold) = &self.answer else { panic!("not a hold: {:?}", self.answer) };
        hold
    }
}

pub fn service() -> Actor {
    Actor::new("till", Role::Service)
}

pub fn staff() -> Actor {
    Actor::new("sam", Role::Staff)
}

pub fn customer(name: &str) -> Actor {
    Actor::new(name, Role::Customer)
}

pub fn sku(text: &str) -> Sku {
    Sku::new(text).expect("the test's SKU is one")
}

pub fn location(text: &str) -> LocationCode {
    LocationCode::new(text).expect("the test's location is one")
}

pub fn short(text: &str, requested: i64, available: i64) -> Shortage {
    Shortage { sku: sku(text), requested, available }
}

pub fn command(id: u128, actor: &Actor, kind: &str, fields: Value) -> Command {
    let Value::Object(fields) = fields else { panic!("a command's fields are an object") };
    let body = parse_body(kind, fields).unwrap_or_else(|error| panic!("{kind} cannot be read: {error}"));
    Command::new(Uuid::from_u128(id), actor.clone(), body)
}

impl Shop {
    /// DEL (Delhi) comes before BOM (Mumbai), and both before OLD, of which nobody knows where it is.
    pub fn new() -> Self {
        let now = Timestamp::parse("2026-01-31T12:00:00Z").expect("a time");
        let mut shop = Self { ledger: Ledger::new(now), head: Position(0), commands: 0 };
        for place in [
            json!({"code": "DEL", "name": "Delhi", "priority": 1, "latitude": 28.6, "longitude": 77.2}),
            json!({"code": "BOM", "name": "Mumbai", "priority": 2, "latitude": 19.1, "longitude": 72.9}),
            json!({"code": "OLD", "name": "Old store", "priority": 3}),
        ] {
            shop.accepts(&staff(), "location.put", place);
        }
        shop
    }

    /// Adds an item of 100.00 INR with units at locations.
    pub fn with(mut self, sku: &str, stock: &[(&str, i64)]) -> Self {
        self.add(json!({"sku": sku}), stock);
        self
    }

    /// Adds an item of 100.00 INR, or of what `fields` says.
    pub fn add(&mut self, mut fields: Value, stock: &[(&str, i64)]) -> Done {
        let stock: Vec<Value> =
            stock.iter().map(|(location, units)| json!({"location": location, "quantity": units})).collect();
        let defaults = json!({
            "brand": "Titan", "model": "Edge", "price": {"amount": 10_000, "currency": "INR"}, "stock": stock,
        });
        let (Value::Object(fields), Value::Object(defaults)) = (&mut fields, defaults) else {
            panic!("an item's fields are an object")
        };
        for (name, value) in defaults {
            fields.entry(name).or_insert(value);
        }
        self.accepts(&staff(), "item.add", Value::Object(fields.clone()))
    }

    pub fn later(&mut self, seconds: i64) {
        self.ledger.now = self.ledger.now.plus_seconds(seconds);
    }

    pub fn at(&self, seconds: i64) -> Timestamp {
        self.ledger.now.plus_seconds(seconds)
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn head(&self) -> Position {
        self.head
    }

    /// The id that the next command gets.
    pub fn next_id(&self) -> Uuid {
        Uuid::from_u128(self.commands + 1)
    }

    pub fn row(&self, sku_: &str, at: &str) -> StockRow {
        let state = self.ledger.sku(&sku(sku_)).expect("the test's item is there");
        let row = state.stock.iter().find(|row| row.location == location(at));
        row.cloned().unwrap_or_else(|| StockRow::empty(location(at)))
    }

    /// On hand, held, allocated, unavailable, available.
    pub fn counters(&self, sku: &str, at: &str) -> [i64; 5] {
        let row = self.row(sku, at);
        [row.on_hand, row.held, row.allocated, row.unavailable, row.available()]
    }

    pub fn order(&self, id: Uuid) -> &Order {
        self.ledger.order(id).expect("the test's order is there")
    }

    pub fn hold(&self, id: Uuid) -> &Hold {
        self.ledger.hold(id).expect("the test's hold is there")
    }

    fn snapshot(&self) -> Snapshot {
        snapshot(&self.ledger, (1..=self.commands).map(Uuid::from_u128))
    }

    fn decide(&mut self, actor: &Actor, kind: &str, fields: Value) -> (Outcome, Vec<Recorded>) {
        self.commands += 1;
        let command = match kind {
            "sweep" => Command::new(Uuid::from_u128(self.commands), actor.clone(), CommandBody::Sweep),
            kind => command(self.commands, actor, kind, fields),
        };
        load(&mut self.ledger, &command);
        let mut decided = decide_batch(&mut self.ledger, self.head, std::slice::from_ref(&command));
        self.head = self.head.plus(decided.events.len());
        let outcome = decided.outcomes.pop().expect("a command has an outcome");
        assert_eq!(outcome.id, command.id);
        assert_eq!(outcome.position, self.head, "the place in the log is that of the last event");
        (outcome, decided.events)
    }

    #[track_caller]
    pub fn accepts(&mut self, actor: &Actor, kind: &str, fields: Value) -> Done {
        let text = format!("{kind} {fields}");
        let (outcome, events) = self.decide(actor, kind, fields);
        let answer = outcome.result.unwrap_or_else(|rejection| panic!("{text} was refused: {rejection:?}"));
        Done { id: outcome.id, answer, events: events.iter().map(logged).collect() }
    }

    /// The rejection; nothing else may have changed, except that a rejected order is in the log.
    #[track_caller]
    pub fn refuses(&mut self, actor: &Actor, kind: &str, fields: Value) -> Rejection {
        let text = format!("{kind} {fields}");
        let before = self.snapshot();
        let (outcome, events) = self.decide(actor, kind, fields);
        let rejection = match outcome.result {
            Ok(answer) => panic!("{text} was accepted: {answer:?}"),
            Err(rejection) => rejection,
        };
        let mut after = self.snapshot();
        if kind == "order.place" && rejection != Rejection::Forbidden {
            let order = after.orders.remove(&outcome.id).expect("a rejected order is readable");
            assert_eq!(order.rejection().as_ref(), Some(&rejection), "{text}: it says why for ever");
            let kinds: Vec<_> = events.iter().map(|recorded| recorded.event.kind()).collect();
            assert_eq!(kinds, ["order.rejected"], "{text}");
        } else {
            assert_eq!(events, [], "{text}");
        }
        assert_eq!(after, before, "{text} was refused and changed something");
        rejection
    }
}

/// Loads what a command names and the shop does not have, as the store does: it is not there.
pub fn load(ledger: &mut Ledger, command: &Command) {
    let mut keys = Keys::default();
    keys.add(command);
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

fn logged(recorded: &Recorded) -> Value {
    let mut event = serde_json::to_value(&recorded.event).expect("an event is plain data");
    for fields in event.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        fields.as_object_mut().map(|fields| fields.remove("fingerprint"));
    }
    event
}
