//! A shop whose every SKU, order and id is the same in each run: no clock, no randomness.

use std::sync::Arc;

use holdfast_domain::{
    Actor, Command, CommandBody, Keys, Ledger, Outcome, Position, Recorded, Role, Sku, SkuState, Timestamp,
    decide_batch,
};
use holdfast_store::{Committed, Snapshot};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::read_side::search::ItemQuery;

/// The time at which everything happens.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
/// Units of every SKU: never sold out.
const UNITS: u64 = 1_000_000_000;
const BRANDS: [&str; 8] = ["Aravalli", "Borealis", "Corvus", "Deccan", "Estuary", "Fjord", "Garuda", "Himal"];
const WORDS: [&str; 16] = [
    "automatic",
    "bronze",
    "ceramic",
    "diver",
    "enamel",
    "field",
    "gold",
    "hand-wound",
    "indigo",
    "jade",
    "kestrel",
    "leather",
    "moonphase",
    "nickel",
    "olive",
    "pilot",
];

/// Numbers that look random and are always the same (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound` − 1.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).expect("it is below a usize")
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    fn id(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.roll(), self.roll())
    }
}

pub fn sku(number: usize) -> Sku {
    Sku::new(format!("SKU-{number:07}")).expect("letters, digits and a hyphen are a SKU")
}

fn command(dice: &mut Dice, role: Role, body: Value) -> Command {
    let body: CommandBody = serde_json::from_value(body).expect("a well-formed command");
    Command::new(dice.id(), Actor::new("fixture", role), body)
}

/// Orders of `lines` lines each, over `skus` SKUs.
pub fn orders(seed: u64, count: usize, lines: usize, skus: usize) -> Vec<Command> {
    let mut dice = Dice::new(seed);
    let order = |_| {
        let lines: Vec<Value> =
            (0..lines).map(|_| json!({"sku": sku(dice.below(skus)), "quantity": 1})).collect();
        let body = json!({"kind": "order.place", "customer": "customer-1", "lines": lines});
        command(&mut dice, Role::Service, body)
    };
    (0..count).map(order).collect()
}

/// A ledger with `skus` items in stock at two locations, and where its log ends.
pub fn shop(skus: usize) -> (Ledger, Position) {
    let mut ledger = Ledger::new(NOW);
    let mut dice = Dice::new(1);
    let mut commands = Vec::with_capacity(skus + 2);
    for (code, priority) in [("EAST", 1), ("WEST", 2)] {
        let body = json!({"kind": "location.put", "code": code, "name": code, "priority": priority});
        commands.push(command(&mut dice, Role::Admin, body));
    }
    for number in 0..skus {
        let words: Vec<&str> = (0..6).map(|_| *dice.pick(&WORDS)).collect();
        let body = json!({
            "kind": "item.add", "sku": sku(number), "brand": *dice.pick(&BRANDS),
            "model": format!("{} {number}", dice.pick(&WORDS)), "description": words.join(" "),
            "price": {"amount": 100 * (1 + dice.below(100_000)), "currency": "INR"},
            "stock": [{"location": "EAST", "quantity": UNITS}, {"location": "WEST", "quantity": UNITS}],
        });
        commands.push(command(&mut dice, Role::Admin, body));
    }
    load(&mut ledger, &commands);
    let decided = decide_batch(&mut ledger, Position(0), &commands);
    for outcome in &decided.outcomes {
        outcome.result.as_ref().expect("the fixture's shop is a good one");
    }
    ledger.start_batch(NOW);
    (ledger, Position(0).plus(decided.events.len()))
}

/// Loads what the commands name, as the store does: what is not there yet does not exist.
pub fn load(ledger: &mut Ledger, commands: &[Command]) {
    let mut keys = Keys::default();
    for command in commands {
        keys.add(command);
    }
    for sku in keys.skus {
        if !ledger.has_sku(&sku) {
            ledger.put_sku(sku, None);
        }
    }
    for id in keys.claims {
        ledger.put_order(id, None);
        ledger.put_hold(id, None);
    }
}

/// What deciding these orders against [`shop`] yields.
pub fn decided(skus: usize, commands: &[Command]) -> (Vec<Recorded>, Vec<Outcome>, Position) {
    let (mut ledger, head) = shop(skus);
    load(&mut ledger, commands);
    let decided = decide_batch(&mut ledger, head, commands);
    (decided.events, decided.outcomes, head)
}

/// The events as followers get them, right after `head`.
pub fn committed(head: Position, events: Vec<Recorded>) -> Committed {
    let (first, last) = (head.plus(1), head.plus(events.len()));
    Committed { first, last, decided_at: NOW, events: Arc::new(events) }
}

/// What a read model of [`shop`] is loaded from.
pub fn snapshot(skus: usize) -> Snapshot {
    let (ledger, position) = shop(skus);
    let mut states: Vec<SkuState> = ledger.skus().map(|(_, state)| state.clone()).collect();
    states.sort_by(|left, right| left.item.sku.cmp(&right.item.sku));
    Snapshot { position, locations: ledger.locations().cloned().collect(), skus: states }
}

/// What people look for in [`shop`]: two words each, every fourth with a typo, some of one brand or in stock only.
pub fn queries(seed: u64, count: usize) -> Vec<ItemQuery> {
    let mut dice = Dice::new(seed);
    let query = |number: usize| {
        let mut first = (*dice.pick(&WORDS)).to_owned();
        if number.is_multiple_of(4) {
            first.remove(2);
        }
        ItemQuery {
            query: Some(format!("{first} {}", dice.pick(&WORDS))),
            brands: if number.is_multiple_of(3) {
                vec![(*dice.pick(&BRANDS)).to_owned()]
            } else {
                Vec::new()
            },
            in_stock: number.is_multiple_of(2),
            limit: 50,
            ..ItemQuery::default()
        }
    };
    (0..count).map(query).collect()
}
