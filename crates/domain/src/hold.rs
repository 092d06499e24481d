//! Holds: units kept for a while. A hold ends exactly once: confirmed, released or expired.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::actor::{Actor, Role};
use crate::command::{ConfirmHold, ExtendHold, Fingerprint, PlaceHold, ReleaseHold};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::order::{OrderLine, customer_for, parts, take};
use crate::outcome::Rejection;
use crate::values::{Customer, Money, Position, Timestamp};

/// Seconds that a customer's hold may live in all, extensions included. Services may hold longer.
pub const CUSTOMER_HOLD_SECONDS_MAX: i64 = 15 * 60;

/// `held` → `confirmed` (becomes an order) | `released` | `expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    Held,
    Confirmed,
    Released,
    Expired,
}

impl HoldStatus {
    pub const ALL: [HoldStatus; 4] =
        [HoldStatus::Held, HoldStatus::Confirmed, HoldStatus::Released, HoldStatus::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            HoldStatus::Held => "held",
            HoldStatus::Confirmed => "confirmed",
            HoldStatus::Released => "released",
            HoldStatus::Expired => "expired",
        }
    }
}

impl std::str::FromStr for HoldStatus {
    type Err = crate::ValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        HoldStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            crate::ValueError("status must be held, confirmed, released or expired".to_owned())
        })
    }
}

/// A hold, as stored and as answered. Prices are those of the moment it was placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub id: Uuid,
    pub status: HoldStatus,
    #[serde(default)]
    pub customer: Option<Customer>,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub placed_at: Timestamp,
    pub expires_at: Timestamp,
    /// Where it was placed in the log.
    pub position: Position,
    pub placed_by: SmolStr,
    /// When it was first to expire: the answer to the same command again.
    pub first_expires_at: Timestamp,
    #[serde(skip, default = "no_fingerprint")]
    pub fingerprint: Fingerprint,
}

fn no_fingerprint() -> Fingerprint {
    Fingerprint([0; 16])
}

impl Hold {
    /// The hold as it was answered when it was placed.
    pub fn first_answer(&self) -> Self {
        Self { status: HoldStatus::Held, expires_at: self.first_expires_at, ..self.clone() }
    }
}

pub(crate) fn decide_place(
    ledger: &Ledger,
    actor: &Actor,
    id: Uuid,
    command: &PlaceHold,
    fingerprint: Fingerprint,
) -> Result<Vec<Event>, Rejection> {
    let seconds = command.ttl_seconds.get();
    if actor.role == Role::Customer && seconds > CUSTOMER_HOLD_SECONDS_MAX {
        return Err(Rejection::HoldTooLong);
    }
    let taken = take(ledger, &command.lines, command.ship_to, false)?;
    Ok(vec![Event::HoldPlaced {
        hold_id: id,
        customer: customer_for(actor, command.customer.as_ref()),
        lines: taken.lines,
        total: taken.total,
        expires_at: ledger.now.plus_seconds(seconds),
        fingerprint,
    }])
}

/// The hold, if it is the actor's and still holds.
fn held<'a>(ledger: &'a Ledger, actor: &Actor, id: Uuid) -> Result<&'a Hold, Rejection> {
    let hold = ledger.hold(id).ok_or(Rejection::NotFound)?;
    if !actor.may_act_for(hold.customer.as_ref()) {
        return Err(Rejection::NotFound);
    }
    match hold.status {
        HoldStatus::Held if hold.expires_at > ledger.now => Ok(hold),
        HoldStatus::Held | HoldStatus::Expired => Err(Rejection::HoldExpired),
        HoldStatus::Confirmed | HoldStatus::Released => {
            Err(Rejection::WrongState { status: SmolStr::new_static(hold.status.as_str()) })
        }
    }
}

pub(crate) fn decide_confirm(
    ledger: &Ledger,
    actor: &Actor,
    command: &ConfirmHold,
    fingerprint: Fingerprint,
) -> Result<Vec<Event>, Rejection> {
    let hold = held(ledger, actor, command.hold_id)?;
    Ok(vec![
        Event::HoldConfirmed { hold_id: hold.id, parts: parts(&hold.lines) },
        Event::OrderAccepted {
            order_id: hold.id,
            customer: hold.customer.clone(),
            lines: hold.lines.clone(),
            total: hold.total,
            shortages: Vec::new(),
            fingerprint,
        },
    ])
}

pub(crate) fn decide_extend(
    ledger: &Ledger,
    actor: &Actor,
    command: &ExtendHold,
) -> Result<Vec<Event>, Rejection> {
    let hold = held(ledger, actor, command.hold_id)?;
    let expires_at = ledger.now.plus_seconds(command.ttl_seconds.get());
    let latest = hold.placed_at.plus_seconds(CUSTOMER_HOLD_SECONDS_MAX);
    if actor.role == Role::Customer && expires_at > latest {
        return Err(Rejection::HoldTooLong);
    }
    Ok(vec![Event::HoldExtended { hold_id: hold.id, expires_at }])
}

pub(crate) fn decide_release(
    ledger: &Ledger,
    actor: &Actor,
    command: &ReleaseHold,
) -> Result<Vec<Event>, Rejection> {
    let hold = held(ledger, actor, command.hold_id)?;
    Ok(vec![Event::HoldReleased { hold_id: hold.id, parts: parts(&hold.lines) }])
}

/// The events that end what is due at the ledger's time, oldest first.
pub(crate) fn expire_due(ledger: &Ledger) -> Vec<Event> {
    let mut due: Vec<&Hold> = ledger
        .holds()
        .filter(|hold| hold.status == HoldStatus::Held && hold.expires_at <= ledger.now)
        .collect();
    due.sort_by_key(|hold| (hold.expires_at, hold.id));
    due.iter().map(|hold| Event::HoldExpired { hold_id: hold.id, parts: parts(&hold.lines) }).collect()
}
