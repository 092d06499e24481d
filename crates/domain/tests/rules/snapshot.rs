//! All that a ledger says, in an order of its own, so that two ledgers can be compared.

use std::collections::BTreeMap;

use holdfast_domain::{Hold, Ledger, Location, Order, Sku, SkuState};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub skus: BTreeMap<Sku, SkuState>,
    pub locations: Vec<Location>,
    pub orders: BTreeMap<Uuid, Order>,
    pub holds: BTreeMap<Uuid, Hold>,
}

/// `claims` are the ids to look for among orders and holds; the ledger must have them loaded.
pub fn snapshot(ledger: &Ledger, claims: impl Iterator<Item = Uuid>) -> Snapshot {
    let mut orders = BTreeMap::new();
    let mut holds = BTreeMap::new();
    for id in claims {
        orders.extend(ledger.order(id).map(|order| (id, order.clone())));
        holds.extend(ledger.hold(id).map(|hold| (id, hold.clone())));
    }
    Snapshot {
        skus: ledger.skus().map(|(sku, state)| (sku.clone(), state.clone())).collect(),
        locations: ledger.locations().cloned().collect(),
        orders,
        holds,
    }
}
