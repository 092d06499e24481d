//! What can be asked of Holdfast. A command's fields are those of its HTTP body; what HTTP has in its path is
//! `order_id`, `hold_id`, `sku` or `code` here. CONTRACT: one JSON form for HTTP, messages and this code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::actor::Actor;
use crate::values::{
    Customer, Delta, GeoPoint, LINES_MAX, LocationCode, Money, QUANTITY_MAX, Quantity, Sku, Timestamp, Units,
    ValueError,
};

/// Seconds that a hold may be asked to live.
pub const HOLD_TTL_SECONDS: std::ops::RangeInclusive<i64> = 5..=86_400;

/// One command, parsed and authenticated, on its way to a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Identifies the command for ever: the same id again gets the first outcome. For `order.place` and `hold.place`
    /// it is the order's or hold's id too.
    pub id: Uuid,
    /// A second name for the same command, made from an `Idempotency-Key`, when the client also gave an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Uuid>,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    pub body: CommandBody,
}

impl Command {
    pub fn new(id: Uuid, actor: Actor, body: CommandBody) -> Self {
        Self { id, key: None, actor, requested_at: None, body }
    }
}

/// What the content of a command hashes to: 16 bytes of SHA-256 over kind and fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 16]);

/// The command queues; each has one active worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandQueue {
    Orders,
    Items,
    Stock,
}

impl CommandQueue {
    pub const ALL: [CommandQueue; 3] = [CommandQueue::Orders, CommandQueue::Items, CommandQueue::Stock];
}

/// Every kind of command. The serde tag is the `kind` of messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum CommandBody {
    #[serde(rename = "order.place")]
    PlaceOrder(PlaceOrder),
    #[serde(rename = "order.cancel")]
    CancelOrder(CancelOrder),
    #[serde(rename = "order.fulfil")]
    FulfilOrder(FulfilOrder),
    #[serde(rename = "order.return")]
    ReturnOrder(ReturnOrder),
    #[serde(rename = "hold.place")]
    PlaceHold(PlaceHold),
    #[serde(rename = "hold.confirm")]
    ConfirmHold(ConfirmHold),
    #[serde(rename = "hold.extend")]
    ExtendHold(ExtendHold),
    #[serde(rename = "hold.release")]
    ReleaseHold(ReleaseHold),
    #[serde(rename = "item.add")]
    AddItem(AddItem),
    #[serde(rename = "item.update")]
    UpdateItem(UpdateItem),
    #[serde(rename = "item.remove")]
    RemoveItem(RemoveItem),
    #[serde(rename = "location.put")]
    PutLocation(PutLocation),
    #[serde(rename = "stock.receive")]
    ReceiveStock(ReceiveStock),
    #[serde(rename = "stock.adjust")]
    AdjustStock(AdjustStock),
    #[serde(rename = "stock.count")]
    CountStock(CountStock),
    #[serde(rename = "stock.transfer")]
    TransferStock(TransferStock),
    #[serde(rename = "stock.unavailable")]
    MoveUnavailable(MoveUnavailable),
    #[serde(rename = "stock.incoming")]
    ChangeIncoming(ChangeIncoming),
    #[serde(rename = "stock.levels")]
    SetLevels(SetLevels),
    /// Expires what is due and does nothing else; Holdfast's own, never accepted from outside.
    #[serde(rename = "sweep")]
    Sweep,
}

/// The kinds that may come from outside, as they are called in messages.
pub const KINDS: [&str; 19] = [
    "order.place",
    "order.cancel",
    "order.fulfil",
    "order.return",
    "hold.place",
    "hold.confirm",
    "hold.extend",
    "hold.release",
    "item.add",
    "item.update",
    "item.remove",
    "location.put",
    "stock.receive",
    "stock.adjust",
    "stock.count",
    "stock.transfer",
    "stock.unavailable",
    "stock.incoming",
    "stock.levels",
];

impl CommandBody {
    /// The kind as messages call it.
    pub fn kind(&self) -> &'static str {
        match self {
            CommandBody::PlaceOrder(_) => "order.place",
            CommandBody::CancelOrder(_) => "order.cancel",
            CommandBody::FulfilOrder(_) => "order.fulfil",
            CommandBody::ReturnOrder(_) => "order.return",
            CommandBody::PlaceHold(_) => "hold.place",
            CommandBody::ConfirmHold(_) => "hold.confirm",
            CommandBody::ExtendHold(_) => "hold.extend",
            CommandBody::ReleaseHold(_) => "hold.release",
            CommandBody::AddItem(_) => "item.add",
            CommandBody::UpdateItem(_) => "item.update",
            CommandBody::RemoveItem(_) => "item.remove",
            CommandBody::PutLocation(_) => "location.put",
            CommandBody::ReceiveStock(_) => "stock.receive",
            CommandBody::AdjustStock(_) => "stock.adjust",
            CommandBody::CountStock(_) => "stock.count",
            CommandBody::TransferStock(_) => "stock.transfer",
            CommandBody::MoveUnavailable(_) => "stock.unavailable",
            CommandBody::ChangeIncoming(_) => "stock.incoming",
            CommandBody::SetLevels(_) => "stock.levels",
            CommandBody::Sweep => "sweep",
        }
    }

    /// The queue that a kind travels on, known even before the rest of the command is parsed.
    pub fn queue_of(kind: &str) -> Option<CommandQueue> {
        match kind {
            "item.add" => Some(CommandQueue::Items),
            "item.update" | "item.remove" | "location.put" => Some(CommandQueue::Stock),
            kind if !KINDS.contains(&kind) => None,
            kind if kind.starts_with("stock.") => Some(CommandQueue::Stock),
            _ => Some(CommandQueue::Orders),
        }
    }

    pub fn queue(&self) -> CommandQueue {
        Self::queue_of(self.kind()).unwrap_or(CommandQueue::Orders)
    }

    /// What tells "the same command again" from "another command under the same id".
    pub fn fingerprint(&self) -> Fingerprint {
        let bytes = serde_json::to_vec(self).expect("a command is plain data and always serialises");
        let digest = Sha256::digest(&bytes);
        Fingerprint(digest[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// One line of an order or hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// 1 to 200 lines, repeated SKUs summed (in the order of first mention), each sum at most 1,000,000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lines(Vec<Line>);

impl Lines {
    pub fn new(lines: Vec<Line>) -> Result<Self, ValueError> {
        if lines.is_empty() || lines.len() > LINES_MAX {
            return Err(ValueError(format!("lines must be 1 to {LINES_MAX}, these are {}", lines.len())));
        }
        if lines.len() == 1 {
            return Ok(Self(lines));
        }
        let mut summed: Vec<Line> = Vec::with_capacity(lines.len());
        for line in lines {
            match summed.iter_mut().find(|known| known.sku == line.sku) {
                None => summed.push(line),
                Some(known) => {
                    known.quantity =
                        Quantity::new(known.quantity.get() + line.quantity.get()).map_err(|_| {
                            ValueError(format!(
                                "the lines of {} sum up to more than {QUANTITY_MAX}",
                                line.sku
                            ))
                        })?;
                }
            }
        }
        Ok(Self(summed))
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Line> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lines = Vec::<Line>::deserialize(deserializer)?;
        Lines::new(lines).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    pub lines: Lines,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<GeoPoint>,
    /// Take what there is instead of all lines or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_partial: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    pub order_id: Uuid,
}

/// Part of an order at one location; without `location`, wherever the order's units are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartLine {
    pub sku: Sku,
    pub quantity: Quantity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationCode>,
}

/// As many as an order may have.
fn part_lines<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<PartLine>>, D::Error> {
    let lines = Option::<Vec<PartLine>>::deserialize(deserializer)?;
    match lines.as_ref().map(Vec::len) {
        Some(count) if count > LINES_MAX => {
            Err(serde::de::Error::custom(format!("lines must be 1 to {LINES_MAX}, these are {count}")))
        }
        Some(_) | None => Ok(lines),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FulfilOrder {
    pub order_id: Uuid,
    /// What leaves now; absent: all that is left.
    #[serde(default, deserialize_with = "part_lines", skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<PartLine>>,
}

/// Where returned units go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Back on the shelf, to be sold again.
    Restock,
    /// On hand, but unavailable.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnOrder {
    pub order_id: Uuid,
    /// What comes back now; absent: all that left and has not come back. `location` is where it arrives
    /// (absent: where it left from).
    #[serde(default, deserialize_with = "part_lines", skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<PartLine>>,
    pub disposition: Disposition,
}

/// Seconds from 5 to 86,400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TtlSeconds(i64);

impl TtlSeconds {
    pub fn new(seconds: i64) -> Result<Self, ValueError> {
        if HOLD_TTL_SECONDS.contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(ValueError("ttl_seconds must be a whole number from 5 to 86400".to_owned()))
        }
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for TtlSeconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        TtlSeconds::new(number.as_i64().unwrap_or(-1)).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceHold {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    pub lines: Lines,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<GeoPoint>,
    pub ttl_seconds: TtlSeconds,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmHold {
    pub hold_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendHold {
    pub hold_id: Uuid,
    /// Counted from the decision.
    pub ttl_seconds: TtlSeconds,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseHold {
    pub hold_id: Uuid,
}

/// A text of 1 to 200 characters that is not blank: a brand, a model, a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(SmolStr);

impl Name {
    pub fn new(text: impl AsRef<str>) -> Result<Self, ValueError> {
        let text = text.as_ref();
        let fits = (1..=200).contains(&text.chars().count());
        if fits && !text.trim().is_empty() && !text.chars().any(char::is_control) {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(ValueError("must be 1 to 200 characters, not blank, without control characters".to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Name::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A text of at most 5,000 characters: a description, a note. PostgreSQL cannot keep U+0000, so nobody may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    pub fn new(text: impl Into<String>) -> Result<Self, ValueError> {
        let text = text.into();
        if text.chars().count() <= 5_000 && !text.contains('\0') {
            Ok(Self(text))
        } else {
            Err(ValueError("must be at most 5000 characters, without U+0000".to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A price as it may enter: 0 to 10^12 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Price(pub Money);

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let money = Money::deserialize(deserializer)?;
        Money::price(money.amount, money.currency).map(Price).map_err(serde::de::Error::custom)
    }
}

/// At most 50 names with values, each at most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<SmolStr, SmolStr>);

impl Attributes {
    pub fn new(map: BTreeMap<SmolStr, SmolStr>) -> Result<Self, ValueError> {
        let short = |text: &SmolStr| text.chars().count() <= 200 && !text.contains('\0');
        if map.len() <= 50 && map.iter().all(|(name, value)| !name.is_empty() && short(name) && short(value))
        {
            Ok(Self(map))
        } else {
            Err(ValueError(
                "attributes must be at most 50 names with text values, each at most 200 characters"
                    .to_owned(),
            ))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Attributes::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An address of a picture: `https://…`, `http://…`, a path on this server (`/…`) or a `data:image/…` of at most
/// 20,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ImageUrl(String);

impl ImageUrl {
    pub fn new(text: impl Into<String>) -> Result<Self, ValueError> {
        let text = text.into();
        let known = ["https://", "http://", "data:image/", "/"].iter().any(|start| text.starts_with(start));
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if known && printable && !text.starts_with("//") && text.len() <= 20_000 {
            Ok(Self(text))
        } else {
            Err(ValueError(
                "image_url must be an http(s) address, a path or a data:image, at most 20000 characters"
                    .to_owned(),
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ImageUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ImageUrl::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// First stock of a new item at one location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialStock {
    pub location: LocationCode,
    /// May be 0: the item is listed there, with levels but no units.
    pub quantity: Units,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_stock: Option<Units>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder_point: Option<Units>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddItem {
    /// Absent: made from brand and model, with a number behind it when that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    pub brand: Name,
    pub model: Name,
    #[serde(default)]
    pub description: Text,
    pub price: Price,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<ImageUrl>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_order: Option<Quantity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stock: Vec<InitialStock>,
}

/// Distinguishes "leave as it is" (absent) from "take away" (`null`).
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Changes to an item: absent fields stay as they are, `null` takes an optional one away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateItem {
    pub sku: Sku,
    /// The version that the caller saw; another one now is `stale_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub image_url: Option<Option<ImageUrl>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub max_per_order: Option<Option<Quantity>>,
    /// `active` brings an archived item back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<crate::item::ItemStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveItem {
    pub sku: Sku,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutLocation {
    pub code: LocationCode,
    pub name: Name,
    /// Lower comes first when stock is allocated.
    pub priority: i32,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "GeoPoint::latitude")]
    pub latitude: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "GeoPoint::longitude")]
    pub longitude: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<u64>,
    /// Refuse with `location_exists` instead of replacing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveStock {
    pub sku: Sku,
    pub location: LocationCode,
    pub quantity: Quantity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Name>,
}

/// Why on hand was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentReason {
    Damage,
    Loss,
    Found,
    Correction,
    Other,
}

impl AdjustmentReason {
    pub fn as_str(self) -> &'static str {
        match self {
            AdjustmentReason::Damage => "damage",
            AdjustmentReason::Loss => "loss",
            AdjustmentReason::Found => "found",
            AdjustmentReason::Correction => "correction",
            AdjustmentReason::Other => "other",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdjustStock {
    pub sku: Sku,
    pub location: LocationCode,
    pub delta: Delta,
    pub reason: AdjustmentReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountStock {
    pub sku: Sku,
    pub location: LocationCode,
    pub counted: Units,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferStock {
    pub sku: Sku,
    pub from: LocationCode,
    pub to: LocationCode,
    pub quantity: Quantity,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveUnavailable {
    pub sku: Sku,
    pub location: LocationCode,
    pub delta: Delta,
    pub reason: Name,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeIncoming {
    pub sku: Sku,
    pub location: LocationCode,
    pub delta: Delta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLevels {
    pub sku: Sku,
    pub location: LocationCode,
    pub safety_stock: Units,
    pub reorder_point: Units,
}
