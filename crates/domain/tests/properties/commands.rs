//! Random commands, weighted so that most of them can be.

use holdfast_domain::wire::parse_body;
use holdfast_domain::{Actor, Command, Role};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use uuid::Uuid;

const SKUS: [&str; 3] = ["X", "Y", "Z"];
const LOCATIONS: [&str; 3] = ["DEL", "BOM", "OLD"];

/// One command, before it is known which orders and holds there are.
#[derive(Debug, Clone)]
pub struct Action {
    actor: Actor,
    kind: &'static str,
    fields: Value,
    /// Which of the claims before it the command is about, counted from the newest.
    target: usize,
}

/// Commands that are decided at one time, some seconds after those before.
#[derive(Debug, Clone)]
pub struct Batch {
    pub seconds: i64,
    pub actions: Vec<Action>,
}

fn sku() -> impl Strategy<Value = &'static str> {
    // Seldom one that does not exist.
    prop_oneof![30 => select(&SKUS[..]), 1 => Just("NO")]
}

fn location() -> impl Strategy<Value = &'static str> {
    prop_oneof![30 => select(&LOCATIONS[..]), 1 => Just("MOON")]
}

fn lines() -> impl Strategy<Value = Value> {
    let line = (sku(), 1..7_i64).prop_map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}));
    proptest::collection::vec(line, 1..4).prop_map(Value::Array)
}

/// Parts of an order, or `null` for all of it.
fn parts() -> impl Strategy<Value = Value> {
    let place = proptest::option::weighted(0.3, location());
    let part = (sku(), 1..4_i64, place).prop_map(
        |(sku, quantity, location)| json!({"sku": sku, "quantity": quantity, "location": location}),
    );
    prop_oneof![2 => Just(Value::Null), 3 => proptest::collection::vec(part, 1..3).prop_map(Value::Array)]
}

fn ship_to() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        1 => (-90.0..90.0, -180.0..180.0).prop_map(|(lat, long)| json!({"latitude": lat, "longitude": long})),
    ]
}

fn buyer() -> impl Strategy<Value = Actor> {
    select(vec![
        Actor::new("ann", Role::Customer),
        Actor::new("bob", Role::Customer),
        Actor::new("till", Role::Service),
        Actor::new("shop", Role::Service),
    ])
}

fn staff() -> impl Strategy<Value = Actor> {
    select(vec![Actor::new("sam", Role::Staff), Actor::new("root", Role::Admin)])
}

fn orders_and_holds() -> impl Strategy<Value = (&'static str, Actor, Value)> {
    let customer = || select(vec![Value::Null, json!("ann"), json!("carl")]);
    prop_oneof![
        8 => (buyer(), lines(), customer(), ship_to(), prop::bool::weighted(0.3)).prop_map(
            |(actor, lines, customer, ship_to, allow_partial)| ("order.place", actor, json!({"lines": lines,
                "customer": customer, "ship_to": ship_to, "allow_partial": allow_partial}))),
        6 => (buyer(), lines(), customer(), ship_to(), 5..120_i64).prop_map(
            |(actor, lines, customer, ship_to, ttl)| ("hold.place", actor, json!({"lines": lines,
                "customer": customer, "ship_to": ship_to, "ttl_seconds": ttl}))),
        4 => buyer().prop_map(|actor| ("order.cancel", actor, json!({}))),
        5 => (staff(), parts()).prop_map(|(actor, lines)| ("order.fulfil", actor, json!({"lines": lines}))),
        4 => (staff(), parts(), select(vec!["restock", "unavailable"])).prop_map(
            |(actor, lines, disposition)| ("order.return", actor,
                json!({"lines": lines, "disposition": disposition}))),
        4 => buyer().prop_map(|actor| ("hold.confirm", actor, json!({}))),
        2 => buyer().prop_map(|actor| ("hold.release", actor, json!({}))),
        2 => (buyer(), prop_oneof![5 => 5..300_i64, 1 => 800..1200_i64]).prop_map(
            |(actor, ttl)| ("hold.extend", actor, json!({"ttl_seconds": ttl}))),
    ]
}

fn stock() -> impl Strategy<Value = (&'static str, Actor, Value)> {
    let delta = || prop_oneof![-8..0_i64, 1..8_i64];
    let reason = || select(vec!["damage", "loss", "found", "correction", "other"]);
    prop_oneof![
        4 => (staff(), sku(), location(), 1..12_i64).prop_map(|(actor, sku, location, quantity)|
            ("stock.receive", actor, json!({"sku": sku, "location": location, "quantity": quantity}))),
        2 => (staff(), sku(), location(), delta(), reason()).prop_map(
            |(actor, sku, location, delta, reason)| ("stock.adjust", actor,
                json!({"sku": sku, "location": location, "delta": delta, "reason": reason}))),
        1 => (staff(), sku(), location(), 0..15_i64).prop_map(|(actor, sku, location, counted)|
            ("stock.count", actor, json!({"sku": sku, "location": location, "counted": counted}))),
        2 => (staff(), sku(), location(), location(), 1..6_i64).prop_map(
            |(actor, sku, from, to, quantity)| ("stock.transfer", actor,
                json!({"sku": sku, "from": from, "to": to, "quantity": quantity}))),
        2 => (staff(), sku(), location(), delta()).prop_map(|(actor, sku, location, delta)|
            ("stock.unavailable", actor,
                json!({"sku": sku, "location": location, "delta": delta, "reason": "quarantine"}))),
        1 => (staff(), sku(), location(), delta()).prop_map(|(actor, sku, location, delta)|
            ("stock.incoming", actor, json!({"sku": sku, "location": location, "delta": delta}))),
        1 => (staff(), sku(), location(), 0..4_i64, 0..6_i64).prop_map(
            |(actor, sku, location, safety, reorder)| ("stock.levels", actor, json!({"sku": sku,
                "location": location, "safety_stock": safety, "reorder_point": reorder}))),
    ]
}

fn catalogue() -> impl Strategy<Value = (&'static str, Actor, Value)> {
    prop_oneof![
        3 => (staff(), sku(), 0..9_i64, select(vec![Value::Null, json!(3)])).prop_map(
            |(actor, sku, amount, max)| ("item.update", actor, json!({"sku": sku, "max_per_order": max,
                "status": "active", "price": {"amount": amount, "currency": "INR"}}))),
        1 => (staff(), sku()).prop_map(|(actor, sku)| ("item.remove", actor, json!({"sku": sku}))),
        1 => (staff(), prop::bool::ANY).prop_map(|(actor, named)| ("item.add", actor, json!({
            "sku": named.then_some("Z"), "brand": "B", "model": "M",
            "price": {"amount": 1, "currency": "USD"}, "stock": [{"location": "DEL", "quantity": 2}]}))),
        1 => (staff(), location(), -2..3_i32).prop_map(|(actor, code, priority)| ("location.put", actor,
            json!({"code": code, "name": code, "priority": priority}))),
    ]
}

pub fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let what = prop_oneof![12 => orders_and_holds(), 6 => stock(), 1 => catalogue()];
    let action =
        (what, 0..6_usize).prop_map(|((kind, actor, fields), target)| Action { actor, kind, fields, target });
    let batch = (0..40_i64, proptest::collection::vec(action, 0..8))
        .prop_map(|(seconds, actions)| Batch { seconds, actions });
    proptest::collection::vec(batch, 1..12)
}

fn read(id: u128, actor: &Actor, kind: &str, fields: Value) -> Command {
    let Value::Object(fields) = fields else { panic!("a command's fields are an object") };
    let body = parse_body(kind, fields).unwrap_or_else(|error| panic!("{kind} cannot be read: {error}"));
    Command::new(Uuid::from_u128(id), actor.clone(), body)
}

/// The shop that every run begins with, as commands: three locations, and three items with a few units.
pub fn opening() -> Vec<Command> {
    let admin = Actor::system();
    let place = |code: &str, latitude: Option<f64>| json!({"code": code, "name": code, "priority": 1, "latitude": latitude, "longitude": latitude});
    let item = |sku: &str, units: [i64; 3]| {
        let stock: Vec<_> = LOCATIONS
            .iter()
            .zip(units)
            .map(|(location, units)| json!({"location": location, "quantity": units}))
            .collect();
        json!({"sku": sku, "brand": "B", "model": "M", "stock": stock,
            "price": {"amount": 7, "currency": "INR"}})
    };
    let all = [
        ("location.put", place("DEL", Some(28.0))),
        ("location.put", place("BOM", Some(19.0))),
        ("location.put", place("OLD", None)),
        ("item.add", item("X", [9, 4, 0])),
        ("item.add", item("Y", [3, 3, 3])),
        ("item.add", item("Z", [0, 0, 12])),
    ];
    all.into_iter().zip(1..).map(|((kind, fields), id)| read(id, &admin, kind, fields)).collect()
}

/// The commands of the batches: numbered, and pointed at the orders and holds that were asked for before them.
pub fn commands(batches: &[Batch]) -> Vec<(i64, Vec<Command>)> {
    let mut number = 1_000;
    // With the lines that were asked for.
    let mut claims: Vec<(Uuid, Value)> = vec![(Uuid::from_u128(1), json!([{"sku": "X"}]))];
    let mut command = |action: &Action| {
        number += 1;
        let mut fields = action.fields.clone();
        let (target, asked) = &claims[claims.len().saturating_sub(1 + action.target)];
        match action.kind {
            "order.place" | "hold.place" => claims.push((Uuid::from_u128(number), fields["lines"].clone())),
            "order.fulfil" | "order.return" => {
                fields["order_id"] = json!(target);
                let asked = asked.as_array().expect("lines are a list").iter().cycle();
                let parts = fields["lines"].as_array_mut().into_iter().flatten();
                // Mostly parts that the order may have.
                for (part, asked) in parts.zip(asked).filter(|(part, _)| part["sku"] != "NO") {
                    part["sku"] = asked["sku"].clone();
                }
            }
            "order.cancel" => fields["order_id"] = json!(target),
            "hold.confirm" | "hold.extend" | "hold.release" => fields["hold_id"] = json!(target),
            _about_items_or_stock => {}
        }
        read(number, &action.actor, action.kind, fields)
    };
    batches.iter().map(|batch| (batch.seconds, batch.actions.iter().map(&mut command).collect())).collect()
}
