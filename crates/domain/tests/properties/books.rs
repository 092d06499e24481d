//! Books kept from the events by arithmetic of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast_domain::command::Disposition;
use holdfast_domain::{Event, LocationCode, Position, Recorded, Sku, Timestamp, movements_of};
use uuid::Uuid;

pub type Place = (Sku, LocationCode);

/// What the events say, added up by arithmetic of this file's own.
#[derive(Default)]
pub struct Books {
    received: HashMap<Place, i64>,
    found: HashMap<Place, i64>,
    lost: HashMap<Place, i64>,
    returned: HashMap<Place, i64>,
    fulfilled: HashMap<Place, i64>,
    transferred_in: HashMap<Place, i64>,
    transferred_out: HashMap<Place, i64>,
    pub unavailable: HashMap<Place, i64>,
    pub incoming: HashMap<Place, i64>,
    /// How often a hold or order came to each of its ends.
    ends: BTreeMap<(Uuid, &'static str), u32>,
    /// On hand by the movements alone, as a follower knows it.
    pub moved: HashMap<Place, i64>,
    pub kinds: BTreeSet<&'static str>,
}

impl Books {
    pub fn on_hand(&self, place: &Place) -> i64 {
        let of = |units: &HashMap<Place, i64>| units.get(place).copied().unwrap_or_default();
        of(&self.received) + of(&self.found) + of(&self.returned) + of(&self.transferred_in)
            - of(&self.transferred_out)
            - of(&self.fulfilled)
            - of(&self.lost)
    }

    pub fn enter(&mut self, recorded: &Recorded, position: Position, at: Timestamp) {
        let add = |units: &mut HashMap<Place, i64>, sku: &Sku, location: &LocationCode, more: i64| {
            *units.entry((sku.clone(), location.clone())).or_default() += more;
        };
        let end = |ends: &mut BTreeMap<(Uuid, &'static str), u32>, id: Uuid, how: &'static str| {
            *ends.entry((id, how)).or_default() += 1;
        };
        self.kinds.insert(recorded.event.kind());
        match &recorded.event {
            Event::StockReceived { sku, location, quantity, .. } => {
                add(&mut self.received, sku, location, *quantity);
            }
            Event::StockAdjusted { sku, location, delta, .. }
            | Event::StockCounted { sku, location, delta, .. } => {
                let pile = if *delta > 0 { &mut self.found } else { &mut self.lost };
                add(pile, sku, location, delta.abs());
            }
            Event::StockTransferred { sku, from, to, quantity, .. } => {
                add(&mut self.transferred_out, sku, from, *quantity);
                add(&mut self.transferred_in, sku, to, *quantity);
            }
            Event::StockUnavailable { sku, location, delta, .. } => {
                add(&mut self.unavailable, sku, location, *delta);
            }
            Event::StockIncoming { sku, location, delta, .. } => {
                add(&mut self.incoming, sku, location, *delta);
            }
            Event::OrderFulfilled { order_id, parts, complete } => {
                for part in parts {
                    add(&mut self.fulfilled, &part.sku, &part.location, part.quantity);
                }
                if *complete {
                    end(&mut self.ends, *order_id, "fulfilled");
                }
            }
            Event::OrderReturned { order_id, parts, disposition, complete } => {
                for part in parts {
                    add(&mut self.returned, &part.sku, &part.location, part.quantity);
                    if *disposition == Disposition::Unavailable {
                        add(&mut self.unavailable, &part.sku, &part.location, part.quantity);
                    }
                }
                if *complete {
                    end(&mut self.ends, *order_id, "returned");
                }
            }
            Event::OrderAccepted { order_id, .. } => end(&mut self.ends, *order_id, "accepted"),
            Event::OrderRejected { order_id, .. } => end(&mut self.ends, *order_id, "rejected"),
            Event::OrderCancelled { order_id, .. } => end(&mut self.ends, *order_id, "cancelled"),
            Event::HoldConfirmed { hold_id, .. } => end(&mut self.ends, *hold_id, "confirmed"),
            Event::HoldReleased { hold_id, .. } => end(&mut self.ends, *hold_id, "released"),
            Event::HoldExpired { hold_id, .. } => end(&mut self.ends, *hold_id, "expired"),
            Event::ItemAdded { .. }
            | Event::ItemUpdated { .. }
            | Event::ItemArchived { .. }
            | Event::LocationPut { .. }
            | Event::StockLevels { .. }
            | Event::HoldPlaced { .. }
            | Event::HoldExtended { .. } => {}
        }
        let known = self.moved.clone();
        let there = |sku: &Sku, location: &LocationCode| {
            known.get(&(sku.clone(), location.clone())).copied().unwrap_or_default()
        };
        for movement in movements_of(recorded, position, at, there) {
            let on_hand = self.moved.entry((movement.sku, movement.location)).or_default();
            *on_hand += movement.delta;
            assert_eq!(*on_hand, movement.on_hand_after, "a movement says what it left on hand");
        }
    }

    pub fn times(&self, id: Uuid, how: &'static str) -> u32 {
        self.ends.get(&(id, how)).copied().unwrap_or_default()
    }
}
