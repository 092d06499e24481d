//! What became of a command. A [`Rejection`] is business data, not an error.
//!
//! On the wire an outcome is `{"id", "ok": true, "position", "order" | "hold" | "item" | …: {…}}` or
//! `{"id", "ok": false, "position", "code", "detail", …}`.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::hold::Hold;
use crate::item::{Item, Location};
use crate::order::{Order, Written};
use crate::stock::{Movement, StockRow};
use crate::values::{LocationCode, Money, Position, Sku};

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

/// An order as another process wrote it down: most who get one only pass it on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderText(Box<RawValue>);

impl OrderText {
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// What of it is in the answer to a batch. An error if it is not an order.
    pub fn total_and_shortages(&self) -> serde_json::Result<(Option<Money>, Vec<Shortage>)> {
        #[derive(Deserialize)]
        struct Parts {
            #[serde(default)]
            total: Option<Money>,
            #[serde(default)]
            shortages: Vec<Shortage>,
        }
        let Parts { total, shortages } = serde_json::from_str(self.as_str())?;
        Ok((total, shortages))
    }
}

impl PartialEq for OrderText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// What an accepted command answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Order(Arc<Order>),
    /// An order too, of a [`ToldOutcome`].
    OrderText(OrderText),
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
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The command's id.
    pub id: Uuid,
    /// Its place in the log: that of its last event, or of the head when it had none.
    pub position: Position,
    /// This is the first answer again.
    pub replayed: bool,
    pub result: Result<Answer, Rejection>,
}

// Written by hand: what serde makes of flattened and untagged parts reads everything into a tree first, which is most
// of what a reply costs.

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Refused<'a> {
            id: Uuid,
            ok: bool,
            position: Position,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            replayed: bool,
            detail: String,
            #[serde(flatten)]
            rejection: &'a Rejection,
        }
        let Self { id, position, replayed, result } = self;
        let answer = match result {
            Ok(answer) => answer,
            Err(rejection) => {
                let (id, position, replayed, detail) = (*id, *position, *replayed, rejection.detail());
                return Refused { id, ok: false, position, replayed, detail, rejection }
                    .serialize(serializer);
            }
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("ok", &true)?;
        map.serialize_entry("position", position)?;
        if *replayed {
            map.serialize_entry("replayed", &true)?;
        }
        match answer {
            Answer::Order(order) => map.serialize_entry("order", &Written(order))?,
            Answer::OrderText(order) => map.serialize_entry("order", order)?,
            Answer::Hold(hold) => map.serialize_entry("hold", hold)?,
            Answer::Item { item, available } => {
                map.serialize_entry("item", &ItemAnswer { item: item.clone(), available: *available })?;
            }
            Answer::Removed => map.serialize_entry("removed", &())?,
            Answer::Location(location) => map.serialize_entry("location", location)?,
            Answer::Movements(movements) => map.serialize_entry("movements", movements)?,
            Answer::Levels(row) => map.serialize_entry("levels", row)?,
            Answer::Swept => map.serialize_entry("swept", &())?,
        }
        map.end()
    }
}

#[derive(Serialize, Deserialize)]
struct ItemAnswer {
    item: Arc<Item>,
    available: i64,
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutcomeVisitor { orders_as_text: false })
    }
}

/// An outcome from another process: the same, with an order left as it was written.
#[derive(Debug)]
pub struct ToldOutcome(pub Outcome);

impl<'de> Deserialize<'de> for ToldOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutcomeVisitor { orders_as_text: true }).map(ToldOutcome)
    }
}

struct OutcomeVisitor {
    orders_as_text: bool,
}

impl<'de> Visitor<'de> for OutcomeVisitor {
    type Value = Outcome;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an outcome")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outcome, A::Error> {
        let (mut id, mut ok, mut position, mut replayed) = (None, None, None, false);
        let mut answer = None;
        // What only few outcomes have: the parts of a rejection.
        let mut rest = Map::new();
        while let Some(key) = map.next_key::<SmolStr>()? {
            match (key.as_str(), ok) {
                ("id", _) => id = Some(map.next_value()?),
                ("ok", _) => ok = Some(map.next_value()?),
                ("position", _) => position = Some(map.next_value()?),
                ("replayed", _) => replayed = map.next_value()?,
                ("order", Some(true)) if self.orders_as_text => {
                    answer = Some(Answer::OrderText(map.next_value()?));
                }
                ("order", Some(true)) => answer = Some(Answer::Order(map.next_value()?)),
                ("hold", Some(true)) => answer = Some(Answer::Hold(map.next_value()?)),
                ("detail", _) => drop(map.next_value::<IgnoredAny>()?),
                (_, _) => drop(rest.insert(key.into(), map.next_value()?)),
            }
        }
        let ok: bool = ok.ok_or_else(|| A::Error::missing_field("ok"))?;
        let result = match (ok, answer) {
            (true, Some(answer)) => Ok(answer),
            (true, None) => Ok(rare_answer(rest).map_err(A::Error::custom)?),
            (false, _) => Err(Rejection::deserialize(Value::Object(rest)).map_err(A::Error::custom)?),
        };
        Ok(Outcome {
            id: id.ok_or_else(|| A::Error::missing_field("id"))?,
            position: position.ok_or_else(|| A::Error::missing_field("position"))?,
            replayed,
            result,
        })
    }
}

/// An answer that is no order or hold, or came in an unusual order of its fields.
fn rare_answer(rest: Map<String, Value>) -> serde_json::Result<Answer> {
    let known = ["order", "hold", "item", "removed", "location", "movements", "levels", "swept"];
    let found = rest.into_iter().find(|(name, _)| known.contains(&name.as_str()));
    let (name, value) = found.ok_or_else(|| serde_json::Error::custom("it is accepted and has no answer"))?;
    Ok(match name.as_str() {
        "order" => Answer::Order(serde_json::from_value(value)?),
        "hold" => Answer::Hold(serde_json::from_value(value)?),
        "item" => {
            let ItemAnswer { item, available } = serde_json::from_value(value)?;
            Answer::Item { item, available }
        }
        "removed" => Answer::Removed,
        "location" => Answer::Location(serde_json::from_value(value)?),
        "movements" => Answer::Movements(serde_json::from_value(value)?),
        "levels" => Answer::Levels(serde_json::from_value(value)?),
        _swept => Answer::Swept,
    })
}
