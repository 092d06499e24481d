//! What happened. Events carry all that a follower needs: whoever adds up their parts gets the counters, without
//! looking anything up. No personal data is in them, ever.
//!
//! In the log an event is `{"order.accepted": {…}}`. Recorded forms are readable for ever: fields are only added,
//! with a default.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::command::{AdjustmentReason, Disposition, Fingerprint, Line, Name, Text};
use crate::item::{Item, Location};
use crate::order::{OrderLine, RejectionCode};
use crate::outcome::Shortage;
use crate::values::{Customer, LocationCode, Money, Sku, Timestamp};

/// An event with who caused it and by which command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub event: Event,
    pub actor: SmolStr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Uuid>,
}

/// Units of one SKU at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub sku: Sku,
    pub location: LocationCode,
    pub quantity: i64,
}

/// Units that left a location; `on_hand_after` is what remained there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfilledPart {
    pub sku: Sku,
    pub location: LocationCode,
    pub quantity: i64,
    pub on_hand_after: i64,
}

/// Units that came back to `location`; `origin` is where they had left from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedPart {
    pub sku: Sku,
    pub location: LocationCode,
    pub origin: LocationCode,
    pub quantity: i64,
    pub on_hand_after: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    #[serde(rename = "item.added")]
    ItemAdded { item: Item },
    #[serde(rename = "item.updated")]
    ItemUpdated { item: Item },
    #[serde(rename = "item.archived")]
    ItemArchived { sku: Sku },
    #[serde(rename = "location.put")]
    LocationPut { location: Location },
    #[serde(rename = "stock.received")]
    StockReceived {
        sku: Sku,
        location: LocationCode,
        quantity: i64,
        on_hand_after: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Name>,
    },
    #[serde(rename = "stock.adjusted")]
    StockAdjusted {
        sku: Sku,
        location: LocationCode,
        delta: i64,
        on_hand_after: i64,
        reason: AdjustmentReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
    },
    /// `delta` is what the count corrected on hand by; 0 when it only confirmed it.
    #[serde(rename = "stock.counted")]
    StockCounted { sku: Sku, location: LocationCode, counted: i64, delta: i64 },
    #[serde(rename = "stock.transferred")]
    StockTransferred {
        sku: Sku,
        from: LocationCode,
        to: LocationCode,
        quantity: i64,
        from_on_hand_after: i64,
        to_on_hand_after: i64,
    },
    #[serde(rename = "stock.unavailable")]
    StockUnavailable { sku: Sku, location: LocationCode, delta: i64, on_hand_after: i64, reason: Name },
    #[serde(rename = "stock.incoming")]
    StockIncoming {
        sku: Sku,
        location: LocationCode,
        delta: i64,
        on_hand_after: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_at: Option<Timestamp>,
    },
    #[serde(rename = "stock.levels")]
    StockLevels {
        sku: Sku,
        location: LocationCode,
        safety_stock: i64,
        reorder_point: i64,
        on_hand_after: i64,
    },
    #[serde(rename = "order.accepted")]
    OrderAccepted {
        order_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<Customer>,
        lines: Vec<OrderLine>,
        total: Money,
        /// What `allow_partial` left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortages: Vec<Shortage>,
        fingerprint: Fingerprint,
    },
    #[serde(rename = "order.rejected")]
    OrderRejected {
        order_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<Customer>,
        lines: Vec<Line>,
        code: RejectionCode,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortages: Vec<Shortage>,
        fingerprint: Fingerprint,
    },
    #[serde(rename = "order.cancelled")]
    OrderCancelled { order_id: Uuid, parts: Vec<Part> },
    #[serde(rename = "order.fulfilled")]
    OrderFulfilled { order_id: Uuid, parts: Vec<FulfilledPart>, complete: bool },
    #[serde(rename = "order.returned")]
    OrderReturned { order_id: Uuid, parts: Vec<ReturnedPart>, disposition: Disposition, complete: bool },
    #[serde(rename = "hold.placed")]
    HoldPlaced {
        hold_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<Customer>,
        lines: Vec<OrderLine>,
        total: Money,
        expires_at: Timestamp,
        fingerprint: Fingerprint,
    },
    #[serde(rename = "hold.extended")]
    HoldExtended { hold_id: Uuid, expires_at: Timestamp },
    /// Always followed by the `order.accepted` that claims the same parts.
    #[serde(rename = "hold.confirmed")]
    HoldConfirmed { hold_id: Uuid, parts: Vec<Part> },
    #[serde(rename = "hold.released")]
    HoldReleased { hold_id: Uuid, parts: Vec<Part> },
    #[serde(rename = "hold.expired")]
    HoldExpired { hold_id: Uuid, parts: Vec<Part> },
}

/// What one event does to the counters of one SKU at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterDelta {
    pub on_hand: i64,
    pub held: i64,
    pub allocated: i64,
    pub unavailable: i64,
    pub incoming: i64,
}

impl Event {
    /// The CloudEvents type without its prefix `holdfast.`, and the routing key on the broker.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::ItemAdded { .. } => "item.added",
            Event::ItemUpdated { .. } => "item.updated",
            Event::ItemArchived { .. } => "item.archived",
            Event::LocationPut { .. } => "location.put",
            Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::StockIncoming { .. }
            | Event::StockLevels { .. } => "stock.changed",
            Event::OrderAccepted { .. } => "order.accepted",
            Event::OrderRejected { .. } => "order.rejected",
            Event::OrderCancelled { .. } => "order.cancelled",
            Event::OrderFulfilled { .. } => "order.fulfilled",
            Event::OrderReturned { .. } => "order.returned",
            Event::HoldPlaced { .. } => "hold.placed",
            Event::HoldExtended { .. } => "hold.extended",
            Event::HoldConfirmed { .. } => "hold.confirmed",
            Event::HoldReleased { .. } => "hold.released",
            Event::HoldExpired { .. } => "hold.expired",
        }
    }

    /// What the event is about: the SKU, location code, order id or hold id.
    pub fn subject(&self) -> String {
        match self {
            Event::ItemAdded { item } | Event::ItemUpdated { item } => item.sku.to_string(),
            Event::LocationPut { location } => location.code.to_string(),
            Event::ItemArchived { sku }
            | Event::StockReceived { sku, .. }
            | Event::StockAdjusted { sku, .. }
            | Event::StockCounted { sku, .. }
            | Event::StockTransferred { sku, .. }
            | Event::StockUnavailable { sku, .. }
            | Event::StockIncoming { sku, .. }
            | Event::StockLevels { sku, .. } => sku.to_string(),
            Event::OrderAccepted { order_id, .. }
            | Event::OrderRejected { order_id, .. }
            | Event::OrderCancelled { order_id, .. }
            | Event::OrderFulfilled { order_id, .. }
            | Event::OrderReturned { order_id, .. } => order_id.to_string(),
            Event::HoldPlaced { hold_id, .. }
            | Event::HoldExtended { hold_id, .. }
            | Event::HoldConfirmed { hold_id, .. }
            | Event::HoldReleased { hold_id, .. }
            | Event::HoldExpired { hold_id, .. } => hold_id.to_string(),
        }
    }

    /// The order or hold that the event is about.
    pub fn claim_id(&self) -> Option<Uuid> {
        match self {
            Event::OrderAccepted { order_id, .. }
            | Event::OrderRejected { order_id, .. }
            | Event::OrderCancelled { order_id, .. }
            | Event::OrderFulfilled { order_id, .. }
            | Event::OrderReturned { order_id, .. } => Some(*order_id),
            Event::HoldPlaced { hold_id, .. }
            | Event::HoldExtended { hold_id, .. }
            | Event::HoldConfirmed { hold_id, .. }
            | Event::HoldReleased { hold_id, .. }
            | Event::HoldExpired { hold_id, .. } => Some(*hold_id),
            Event::ItemAdded { .. }
            | Event::ItemUpdated { .. }
            | Event::ItemArchived { .. }
            | Event::LocationPut { .. }
            | Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::StockIncoming { .. }
            | Event::StockLevels { .. } => None,
        }
    }

    /// Calls `f` with every SKU that the event names (a SKU may come more than once).
    pub fn each_sku(&self, mut f: impl FnMut(&Sku)) {
        match self {
            Event::ItemAdded { item } | Event::ItemUpdated { item } => f(&item.sku),
            Event::ItemArchived { sku }
            | Event::StockLevels { sku, .. }
            | Event::StockIncoming { sku, .. } => f(sku),
            Event::OrderRejected { lines, .. } => lines.iter().for_each(|line| f(&line.sku)),
            Event::LocationPut { .. }
            | Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::OrderAccepted { .. }
            | Event::OrderCancelled { .. }
            | Event::OrderFulfilled { .. }
            | Event::OrderReturned { .. }
            | Event::HoldPlaced { .. }
            | Event::HoldExtended { .. }
            | Event::HoldConfirmed { .. }
            | Event::HoldReleased { .. }
            | Event::HoldExpired { .. } => self.each_counter_delta(|sku, _, _| f(sku)),
        }
    }

    /// Calls `f` with every change of counters, each named by SKU and location. Levels are not counters: they are
    /// set, by [`Event::StockLevels`] alone.
    pub fn each_counter_delta(&self, mut f: impl FnMut(&Sku, &LocationCode, CounterDelta)) {
        let none = CounterDelta::default();
        match self {
            Event::ItemAdded { .. }
            | Event::ItemUpdated { .. }
            | Event::ItemArchived { .. }
            | Event::LocationPut { .. }
            | Event::StockLevels { .. }
            | Event::OrderRejected { .. }
            | Event::HoldExtended { .. } => {}
            Event::StockReceived { sku, location, quantity, .. } => {
                f(sku, location, CounterDelta { on_hand: *quantity, ..none });
            }
            Event::StockAdjusted { sku, location, delta, .. }
            | Event::StockCounted { sku, location, delta, .. } => {
                f(sku, location, CounterDelta { on_hand: *delta, ..none });
            }
            Event::StockTransferred { sku, from, to, quantity, .. } => {
                f(sku, from, CounterDelta { on_hand: -quantity, ..none });
                f(sku, to, CounterDelta { on_hand: *quantity, ..none });
            }
            Event::StockUnavailable { sku, location, delta, .. } => {
                f(sku, location, CounterDelta { unavailable: *delta, ..none });
            }
            Event::StockIncoming { sku, location, delta, .. } => {
                f(sku, location, CounterDelta { incoming: *delta, ..none });
            }
            Event::OrderAccepted { lines, .. } => {
                for (sku, allocation) in crate::order::allocations(lines) {
                    f(sku, &allocation.location, CounterDelta { allocated: allocation.quantity, ..none });
                }
            }
            Event::HoldPlaced { lines, .. } => {
                for (sku, allocation) in crate::order::allocations(lines) {
                    f(sku, &allocation.location, CounterDelta { held: allocation.quantity, ..none });
                }
            }
            Event::OrderCancelled { parts, .. } => {
                for part in parts {
                    f(&part.sku, &part.location, CounterDelta { allocated: -part.quantity, ..none });
                }
            }
            Event::OrderFulfilled { parts, .. } => {
                for part in parts {
                    let delta = CounterDelta { on_hand: -part.quantity, allocated: -part.quantity, ..none };
                    f(&part.sku, &part.location, delta);
                }
            }
            Event::OrderReturned { parts, disposition, .. } => {
                for part in parts {
                    let unavailable = match disposition {
                        Disposition::Restock => 0,
                        Disposition::Unavailable => part.quantity,
                    };
                    f(
                        &part.sku,
                        &part.location,
                        CounterDelta { on_hand: part.quantity, unavailable, ..none },
                    );
                }
            }
            Event::HoldConfirmed { parts, .. }
            | Event::HoldReleased { parts, .. }
            | Event::HoldExpired { parts, .. } => {
                for part in parts {
                    f(&part.sku, &part.location, CounterDelta { held: -part.quantity, ..none });
                }
            }
        }
    }
}
