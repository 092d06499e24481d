//! Stock of one SKU at one location: counters, what is available, and the decisions that change them.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::command::{
    AdjustStock, ChangeIncoming, CountStock, MoveUnavailable, ReceiveStock, SetLevels, TransferStock,
};
use crate::event::{CounterDelta, Event};
use crate::ledger::Ledger;
use crate::outcome::{Rejection, Shortage};
use crate::values::{LocationCode, Position, Sku, Timestamp, UNITS_MAX};

/// The counters and levels of one SKU at one location, in units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRow {
    pub location: LocationCode,
    pub on_hand: i64,
    pub held: i64,
    pub allocated: i64,
    pub unavailable: i64,
    pub safety_stock: i64,
    pub incoming: i64,
    pub reorder_point: i64,
}

impl StockRow {
    pub fn empty(location: LocationCode) -> Self {
        Self {
            location,
            on_hand: 0,
            held: 0,
            allocated: 0,
            unavailable: 0,
            safety_stock: 0,
            incoming: 0,
            reorder_point: 0,
        }
    }

    fn uncommitted(&self) -> i64 {
        self.on_hand - self.held - self.allocated - self.unavailable - self.safety_stock
    }

    /// Units that may be promised; never below 0.
    pub fn available(&self) -> i64 {
        self.uncommitted().max(0)
    }

    /// Units by which promises exceed what is there.
    pub fn shortage(&self) -> i64 {
        (-self.uncommitted()).max(0)
    }

    /// At or below its reorder point (0: none is set).
    pub fn is_low(&self) -> bool {
        self.reorder_point > 0 && self.available() <= self.reorder_point
    }

    /// Adds an event's changes.
    pub fn apply(&mut self, delta: CounterDelta) {
        self.on_hand += delta.on_hand;
        self.held += delta.held;
        self.allocated += delta.allocated;
        self.unavailable += delta.unavailable;
        self.incoming += delta.incoming;
    }
}

/// What kind of change a movement records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    Receipt,
    Adjustment,
    Count,
    TransferOut,
    TransferIn,
    Unavailable,
    Incoming,
    Levels,
    /// Units promised to an accepted order; they are still on hand, so `delta` is 0.
    Allocation,
    /// Units given back by a cancelled order; `delta` is 0.
    Cancellation,
    Fulfilment,
    Return,
}

/// One recorded change. `delta` is the change of on hand, in units; `quantity` is how many units the change was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Movement {
    pub position: Position,
    pub at: Timestamp,
    pub kind: MovementKind,
    pub sku: Sku,
    pub location: LocationCode,
    pub delta: i64,
    pub quantity: i64,
    pub on_hand_after: i64,
    pub actor: SmolStr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
}

/// The row of a SKU at a location, empty if there is none yet; a rejection if either is unknown.
fn row(ledger: &Ledger, sku: &Sku, location: &LocationCode) -> Result<StockRow, Rejection> {
    let state = ledger.sku(sku).ok_or_else(|| Rejection::UnknownSku { skus: vec![sku.clone()] })?;
    if ledger.location(location).is_none() {
        return Err(Rejection::UnknownLocation { location: location.clone() });
    }
    let known = state.stock.iter().find(|row| row.location == *location);
    Ok(known.cloned().unwrap_or_else(|| StockRow::empty(location.clone())))
}

fn within_limit(units: i64) -> Result<i64, Rejection> {
    if units > UNITS_MAX { Err(Rejection::StockLimit { maximum: UNITS_MAX }) } else { Ok(units) }
}

pub(crate) fn decide_receive(ledger: &Ledger, command: &ReceiveStock) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    let quantity = command.quantity.get();
    Ok(vec![Event::StockReceived {
        sku: command.sku.clone(),
        location: command.location.clone(),
        quantity,
        on_hand_after: within_limit(row.on_hand + quantity)?,
        reference: command.reference.clone(),
    }])
}

pub(crate) fn decide_adjust(ledger: &Ledger, command: &AdjustStock) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    let delta = command.delta.get();
    let on_hand_after = within_limit(row.on_hand + delta)?;
    if on_hand_after < 0 {
        return Err(Rejection::NegativeStock { there: row.on_hand, wanted: -delta });
    }
    Ok(vec![Event::StockAdjusted {
        sku: command.sku.clone(),
        location: command.location.clone(),
        delta,
        on_hand_after,
        reason: command.reason,
        note: command.note.clone(),
    }])
}

pub(crate) fn decide_count(ledger: &Ledger, command: &CountStock) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    let counted = command.counted.get();
    Ok(vec![Event::StockCounted {
        sku: command.sku.clone(),
        location: command.location.clone(),
        counted,
        delta: counted - row.on_hand,
    }])
}

pub(crate) fn decide_transfer(ledger: &Ledger, command: &TransferStock) -> Result<Vec<Event>, Rejection> {
    let from = row(ledger, &command.sku, &command.from)?;
    let to = row(ledger, &command.sku, &command.to)?;
    if command.from == command.to {
        return Err(Rejection::SameLocation);
    }
    let quantity = command.quantity.get();
    if from.available() < quantity {
        let shortage =
            Shortage { sku: command.sku.clone(), requested: quantity, available: from.available() };
        return Err(Rejection::InsufficientStock { shortages: vec![shortage], order_id: None });
    }
    Ok(vec![Event::StockTransferred {
        sku: command.sku.clone(),
        from: command.from.clone(),
        to: command.to.clone(),
        quantity,
        from_on_hand_after: from.on_hand - quantity,
        to_on_hand_after: within_limit(to.on_hand + quantity)?,
    }])
}

pub(crate) fn decide_unavailable(
    ledger: &Ledger,
    command: &MoveUnavailable,
) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    let delta = command.delta.get();
    let after = row.unavailable + delta;
    if after < 0 {
        return Err(Rejection::NegativeStock { there: row.unavailable, wanted: -delta });
    }
    if delta > 0 && after > row.on_hand {
        return Err(Rejection::NegativeStock { there: row.on_hand - row.unavailable, wanted: delta });
    }
    Ok(vec![Event::StockUnavailable {
        sku: command.sku.clone(),
        location: command.location.clone(),
        delta,
        on_hand_after: row.on_hand,
        reason: command.reason.clone(),
    }])
}

pub(crate) fn decide_incoming(ledger: &Ledger, command: &ChangeIncoming) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    let delta = command.delta.get();
    if row.incoming + delta < 0 {
        return Err(Rejection::NegativeStock { there: row.incoming, wanted: -delta });
    }
    within_limit(row.incoming + delta)?;
    Ok(vec![Event::StockIncoming {
        sku: command.sku.clone(),
        location: command.location.clone(),
        delta,
        on_hand_after: row.on_hand,
        expected_at: command.expected_at,
    }])
}

pub(crate) fn decide_levels(ledger: &Ledger, command: &SetLevels) -> Result<Vec<Event>, Rejection> {
    let row = row(ledger, &command.sku, &command.location)?;
    Ok(vec![Event::StockLevels {
        sku: command.sku.clone(),
        location: command.location.clone(),
        safety_stock: command.safety_stock.get(),
        reorder_point: command.reorder_point.get(),
        on_hand_after: row.on_hand,
    }])
}

/// The movements that an event makes, in order. `on_hand` tells the units on hand where the event does not carry
/// them: at an allocation or cancellation, which leave them as they are.
pub fn movements_of(
    recorded: &crate::Recorded,
    position: Position,
    at: Timestamp,
    mut on_hand: impl FnMut(&Sku, &LocationCode) -> i64,
) -> Vec<Movement> {
    let movement = |kind, sku: &Sku, location: &LocationCode, delta, quantity, on_hand_after| Movement {
        position,
        at,
        kind,
        sku: sku.clone(),
        location: location.clone(),
        delta,
        quantity,
        on_hand_after,
        actor: recorded.actor.clone(),
        reason: None,
        order_id: None,
    };
    match &recorded.event {
        Event::ItemAdded { .. }
        | Event::ItemUpdated { .. }
        | Event::ItemArchived { .. }
        | Event::LocationPut { .. }
        | Event::OrderRejected { .. }
        | Event::HoldPlaced { .. }
        | Event::HoldExtended { .. }
        | Event::HoldConfirmed { .. }
        | Event::HoldReleased { .. }
        | Event::HoldExpired { .. } => Vec::new(),
        Event::StockReceived { sku, location, quantity, on_hand_after, reference } => {
            let mut receipt =
                movement(MovementKind::Receipt, sku, location, *quantity, *quantity, *on_hand_after);
            receipt.reason = reference.as_ref().map(|reference| reference.as_str().to_owned());
            vec![receipt]
        }
        Event::StockAdjusted { sku, location, delta, on_hand_after, reason, note } => {
            let mut adjustment =
                movement(MovementKind::Adjustment, sku, location, *delta, delta.abs(), *on_hand_after);
            adjustment.reason = Some(match note {
                Some(note) => format!("{}: {}", reason.as_str(), note.as_str()),
                None => reason.as_str().to_owned(),
            });
            vec![adjustment]
        }
        Event::StockCounted { sku, location, counted, delta } => {
            vec![movement(MovementKind::Count, sku, location, *delta, *counted, *counted)]
        }
        Event::StockTransferred { sku, from, to, quantity, from_on_hand_after, to_on_hand_after } => vec![
            movement(MovementKind::TransferOut, sku, from, -quantity, *quantity, *from_on_hand_after),
            movement(MovementKind::TransferIn, sku, to, *quantity, *quantity, *to_on_hand_after),
        ],
        Event::StockUnavailable { sku, location, delta, on_hand_after, reason } => {
            let mut moved = movement(MovementKind::Unavailable, sku, location, 0, *delta, *on_hand_after);
            moved.reason = Some(reason.as_str().to_owned());
            vec![moved]
        }
        Event::StockIncoming { sku, location, delta, on_hand_after, expected_at } => {
            let mut incoming = movement(MovementKind::Incoming, sku, location, 0, *delta, *on_hand_after);
            incoming.reason = expected_at.map(|at| format!("expected {at}"));
            vec![incoming]
        }
        Event::StockLevels { sku, location, safety_stock, reorder_point, on_hand_after } => {
            let mut levels = movement(MovementKind::Levels, sku, location, 0, 0, *on_hand_after);
            levels.reason = Some(format!("safety stock {safety_stock}, reorder point {reorder_point}"));
            vec![levels]
        }
        Event::OrderAccepted { order_id, lines, .. } => crate::order::allocations(lines)
            .map(|(sku, part)| {
                let there = on_hand(sku, &part.location);
                let mut allocation =
                    movement(MovementKind::Allocation, sku, &part.location, 0, part.quantity, there);
                allocation.order_id = Some(*order_id);
                allocation
            })
            .collect(),
        Event::OrderCancelled { order_id, parts } => parts
            .iter()
            .map(|part| {
                let there = on_hand(&part.sku, &part.location);
                let mut given_back =
                    movement(MovementKind::Cancellation, &part.sku, &part.location, 0, part.quantity, there);
                given_back.order_id = Some(*order_id);
                given_back
            })
            .collect(),
        Event::OrderFulfilled { order_id, parts, .. } => parts
            .iter()
            .map(|part| {
                let kind = MovementKind::Fulfilment;
                let mut left = movement(
                    kind,
                    &part.sku,
                    &part.location,
                    -part.quantity,
                    part.quantity,
                    part.on_hand_after,
                );
                left.order_id = Some(*order_id);
                left
            })
            .collect(),
        Event::OrderReturned { order_id, parts, disposition, .. } => parts
            .iter()
            .map(|part| {
                let kind = MovementKind::Return;
                let mut came = movement(
                    kind,
                    &part.sku,
                    &part.location,
                    part.quantity,
                    part.quantity,
                    part.on_hand_after,
                );
                came.order_id = Some(*order_id);
                came.reason = Some(match disposition {
                    crate::command::Disposition::Restock => "restock".to_owned(),
                    crate::command::Disposition::Unavailable => "unavailable".to_owned(),
                });
                came
            })
            .collect(),
    }
}
