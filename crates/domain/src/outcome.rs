//! What became of a command. A [`Rejection`] is business data, not an error.
//!
//! On the wire an outcome is `{"id", "ok": true, "position", "order" | "hold" | "item" | …: {…}}` or
//! `{"id", "ok": false, "position", "code", "detail", …}`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::hold::Hold;
use crate::item::{Item, Location};
use crate::order::Order;
use crate::stock::{Movement, StockRow};
use crate::values::{LocationCode, Position, Sku};

/// A line that asked for more than there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub sku: Sku,
    pub requested: i64,
    pub available: i64,
}

/// Why the rules said no. The serde tag is the machine word of problems, replies and rejected orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Rejection {
    InsufficientStock {
        shortages: Vec<Shortage>,
        /// The rejected order, when an order was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<Uuid>,
    },
    UnknownSku {
        skus: Vec<Sku>,
    },
    ItemArchived {
        skus: Vec<Sku>,
    },
    UnknownLocation {
        location: LocationCode,
    },
    DuplicateLocation {
        location: LocationCode,
    },
    SameLocation,
    MixedCurrencies,
    /// `available` is the most that one order may have.
    MaxPerOrder {
        excess: Vec<Shortage>,
    },
    TotalTooLarge,
    NegativeStock {
        there: i64,
        wanted: i64,
    },
    StockLimit {
        maximum: i64,
    },
    WrongState {
        status: SmolStr,
    },
    /// Parts of an order that it does not have (any more).
    InvalidParts {
        #[serde(rename = "why")]
        detail: String,
    },
    HoldExpired,
    HoldTooLong,
    SkuExists {
        sku: Sku,
    },
    LocationExists {
        location: LocationCode,
    },
    ItemInUse {
        held: i64,
        allocated: i64,
    },
    StaleVersion {
        current: u64,
    },
    NotFound,
    /// The id belongs to another account.
    IdTaken,
    /// The same id or key came with another content.
    CommandIdReused,
    Forbidden,
    /// It cannot be decided at all.
    NotProcessable {
        #[serde(rename = "why")]
        detail: String,
    },
}

impl Rejection {
    /// The machine word.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::InsufficientStock { .. } => "insufficient_stock",
            Rejection::UnknownSku { .. } => "unknown_sku",
            Rejection::ItemArchived { .. } => "item_archived",
            Rejection::UnknownLocation { .. } => "unknown_location",
            Rejection::DuplicateLocation { .. } => "duplicate_location",
            Rejection::SameLocation => "same_location",
            Rejection::MixedCurrencies => "mixed_currencies",
            Rejection::MaxPerOrder { .. } => "max_per_order",
            Rejection::TotalTooLarge => "total_too_large",
            Rejection::NegativeStock { .. } => "negative_stock",
            Rejection::StockLimit { .. } => "stock_limit",
            Rejection::WrongState { .. } => "wrong_state",
            Rejection::InvalidParts { .. } => "invalid_parts",
            Rejection::HoldExpired => "hold_expired",
            Rejection::HoldTooLong => "hold_too_long",
            Rejection::SkuExists { .. } => "sku_exists",
            Rejection::LocationExists { .. } => "location_exists",
            Rejection::ItemInUse { .. } => "item_in_use",
            Rejection::StaleVersion { .. } => "stale_version",
            Rejection::NotFound => "not_found",
            Rejection::IdTaken => "id_taken",
            Rejection::CommandIdReused => "command_id_reused",
            Rejection::Forbidden => "forbidden",
            Rejection::NotProcessable { .. } => "not_processable",
        }
    }

    pub(crate) fn wrong_state(order: &Order) -> Self {
        let partly = order.status == crate::OrderStatus::Accepted && order.progress.fulfilled > 0;
        let status = if partly { "partly_fulfilled" } else { order.status.as_str() };
        Rejection::WrongState { status: SmolStr::new_static(status) }
    }

    /// Whether the answer must be the same when the command comes again. What says "not you" or "not this id" is
    /// no decision about the command.
    pub fn is_remembered(&self) -> bool {
        !matches!(self, Rejection::IdTaken | Rejection::CommandIdReused | Rejection::Forbidden)
    }

    /// One sentence for people.
    pub fn detail(&self) -> String {
        let list = |skus: &[Sku]| skus.iter().map(Sku::as_str).collect::<Vec<_>>().join(", ");
        let lines = |shortages: &[Shortage], word: &str| {
            let line = |s: &Shortage| format!("{}: {} requested, {} {word}", s.sku, s.requested, s.available);
            shortages.iter().map(line).collect::<Vec<_>>().join("; ")
        };
        match self {
            Rejection::InsufficientStock { shortages, .. } => {
                format!("There is not enough stock: {}.", lines(shortages, "available"))
            }
            Rejection::UnknownSku { skus } => format!("There is no item {}.", list(skus)),
            Rejection::ItemArchived { skus } => format!("No longer sold: {}.", list(skus)),
            Rejection::UnknownLocation { location } => format!("There is no location {location}."),
            Rejection::DuplicateLocation { location } => format!("Location {location} is named twice."),
            Rejection::SameLocation => "From and to are the same location.".to_owned(),
            Rejection::MixedCurrencies => "One order has one currency; these items have several.".to_owned(),
            Rejection::MaxPerOrder { excess } => {
                format!("More than one order may have: {}.", lines(excess, "at most"))
            }
            Rejection::TotalTooLarge => "The total is larger than money can be counted.".to_owned(),
            Rejection::NegativeStock { there, wanted } => {
                format!("{wanted} cannot be taken away, only {there} are there.")
            }
            Rejection::StockLimit { maximum } => {
                format!("A location holds at most {maximum} units of an item.")
            }
            Rejection::WrongState { status } => format!("This is not possible any more: it is {status}."),
            Rejection::InvalidParts { detail } => format!("The order does not have these units: {detail}."),
            Rejection::HoldExpired => "The hold has expired; its units are available again.".to_owned(),
            Rejection::HoldTooLong => "A customer's hold may live 15 minutes in all.".to_owned(),
            Rejection::SkuExists { sku } => format!("Item {sku} exists already."),
            Rejection::LocationExists { location } => format!("Location {location} exists already."),
            Rejection::ItemInUse { held, allocated } => {
                format!("The item is in use: {held} units held, {allocated} allocated.")
            }
            Rejection::StaleVersion { current } => {
                format!("It has changed since; its version is {current} now.")
            }
            Rejection::NotFound => "There is no such thing, or it is not yours.".to_owned(),
            Rejection::IdTaken => "This id belongs to another account.".to_owned(),
            Rejection::CommandIdReused => "This id or key was used with another content.".to_owned(),
            Rejection::Forbidden => "Your role does not allow this.".to_owned(),
            Rejection::NotProcessable { detail } => format!("It could not be processed: {detail}."),
        }
    }
}

/// What an accepted command answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Order(Arc<Order>),
    Hold(Arc<Hold>),
    Item {
        item: Arc<Item>,
        available: i64,
    },
    Removed,
    Location(Location),
    /// One, or two for a transfer (out, in).
    Movements(Vec<Movement>),
    Levels(StockRow),
    Swept,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireOutcome", into = "WireOutcome")]
pub struct Outcome {
    /// The command's id.
    pub id: Uuid,
    /// Its place in the log: that of its last event, or of the head when it had none.
    pub position: Position,
    /// This is the first answer again.
    pub replayed: bool,
    pub result: Result<Answer, Rejection>,
}

#[derive(Serialize, Deserialize)]
struct WireOutcome {
    id: Uuid,
    ok: bool,
    position: Position,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten)]
    result: WireResult,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WireResult {
    Rejected(Rejection),
    Answered(Answer),
}

impl From<Outcome> for WireOutcome {
    fn from(outcome: Outcome) -> Self {
        let detail = outcome.result.as_ref().err().map(Rejection::detail);
        let ok = outcome.result.is_ok();
        let result = match outcome.result {
            Ok(answer) => WireResult::Answered(answer),
            Err(rejection) => WireResult::Rejected(rejection),
        };
        Self { id: outcome.id, ok, position: outcome.position, replayed: outcome.replayed, detail, result }
    }
}

impl From<WireOutcome> for Outcome {
    fn from(wire: WireOutcome) -> Self {
        let result = match wire.result {
            WireResult::Answered(answer) => Ok(answer),
            WireResult::Rejected(rejection) => Err(rejection),
        };
        Self { id: wire.id, position: wire.position, replayed: wire.replayed, result }
    }
}
