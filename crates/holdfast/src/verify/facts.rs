//! The log as `verify` reads it: structures of its own, parsed from the recorded JSON, so that a defect in how
//! Holdfast reads its own events cannot hide itself.

use holdfast_domain::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Payload<'a> {
    pub v: u32,
    #[serde(borrow)]
    pub events: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
pub struct Entry<'a> {
    #[serde(borrow)]
    pub event: Fact<'a>,
    pub actor: String,
}

#[derive(Deserialize)]
pub struct Amount {
    pub amount: i64,
    pub currency: String,
}

#[derive(Deserialize)]
pub struct ItemFact<'a> {
    pub sku: &'a str,
    pub status: &'a str,
    pub price: Amount,
    pub version: u64,
}

#[derive(Deserialize)]
pub struct LocationFact<'a> {
    pub code: &'a str,
    pub version: u64,
}

#[derive(Deserialize)]
pub struct Share<'a> {
    pub location: &'a str,
    pub quantity: i64,
}

#[derive(Deserialize)]
pub struct LineFact<'a> {
    pub sku: &'a str,
    pub quantity: i64,
    #[serde(default)]
    pub unit_price: Option<Amount>,
    #[serde(borrow)]
    pub allocations: Vec<Share<'a>>,
}

#[derive(Deserialize)]
pub struct AskedLine<'a> {
    pub sku: &'a str,
    pub quantity: i64,
}

#[derive(Deserialize)]
pub struct ShortageFact<'a> {
    pub sku: &'a str,
    pub requested: i64,
    pub available: i64,
}

#[derive(Deserialize)]
pub struct PartFact<'a> {
    pub sku: &'a str,
    pub location: &'a str,
    pub quantity: i64,
}

#[derive(Deserialize)]
pub struct LeftFact<'a> {
    pub sku: &'a str,
    pub location: &'a str,
    pub quantity: i64,
    pub on_hand_after: i64,
}

#[derive(Deserialize)]
pub struct CameFact<'a> {
    pub sku: &'a str,
    pub location: &'a str,
    pub origin: &'a str,
    pub quantity: i64,
    pub on_hand_after: i64,
}

#[derive(Deserialize)]
pub enum Fact<'a> {
    #[serde(rename = "item.added")]
    ItemAdded {
        #[serde(borrow)]
        item: ItemFact<'a>,
    },
    #[serde(rename = "item.updated")]
    ItemUpdated {
        #[serde(borrow)]
        item: ItemFact<'a>,
    },
    #[serde(rename = "item.archived")]
    ItemArchived { sku: &'a str },
    #[serde(rename = "location.put")]
    LocationPut {
        #[serde(borrow)]
        location: LocationFact<'a>,
    },
    #[serde(rename = "stock.received")]
    Received { sku: &'a str, location: &'a str, quantity: i64, on_hand_after: i64 },
    #[serde(rename = "stock.adjusted")]
    Adjusted { sku: &'a str, location: &'a str, delta: i64, on_hand_after: i64 },
    #[serde(rename = "stock.counted")]
    Counted { sku: &'a str, location: &'a str, counted: i64, delta: i64 },
    #[serde(rename = "stock.transferred")]
    Transferred {
        sku: &'a str,
        from: &'a str,
        to: &'a str,
        quantity: i64,
        from_on_hand_after: i64,
        to_on_hand_after: i64,
    },
    #[serde(rename = "stock.unavailable")]
    Unavailable { sku: &'a str, location: &'a str, delta: i64, on_hand_after: i64 },
    #[serde(rename = "stock.incoming")]
    Incoming { sku: &'a str, location: &'a str, delta: i64, on_hand_after: i64 },
    #[serde(rename = "stock.levels")]
    Levels { sku: &'a str, location: &'a str, safety_stock: i64, reorder_point: i64, on_hand_after: i64 },
    #[serde(rename = "order.accepted")]
    Accepted {
        order_id: Uuid,
        #[serde(default)]
        customer: Option<String>,
        #[serde(borrow)]
        lines: Vec<LineFact<'a>>,
        total: Amount,
        #[serde(borrow, default)]
        shortages: Vec<ShortageFact<'a>>,
    },
    #[serde(rename = "order.rejected")]
    Rejected {
        order_id: Uuid,
        #[serde(default)]
        customer: Option<String>,
        #[serde(borrow)]
        lines: Vec<AskedLine<'a>>,
        code: String,
        #[serde(borrow, default)]
        shortages: Vec<ShortageFact<'a>>,
    },
    #[serde(rename = "order.cancelled")]
    Cancelled {
        order_id: Uuid,
        #[serde(borrow)]
        parts: Vec<PartFact<'a>>,
    },
    #[serde(rename = "order.fulfilled")]
    Fulfilled {
        order_id: Uuid,
        #[serde(borrow)]
        parts: Vec<LeftFact<'a>>,
        complete: bool,
    },
    #[serde(rename = "order.returned")]
    Returned {
        order_id: Uuid,
        #[serde(borrow)]
        parts: Vec<CameFact<'a>>,
        disposition: &'a str,
        complete: bool,
    },
    #[serde(rename = "hold.placed")]
    HoldPlaced {
        hold_id: Uuid,
        #[serde(default)]
        customer: Option<String>,
        #[serde(borrow)]
        lines: Vec<LineFact<'a>>,
        total: Amount,
        expires_at: Timestamp,
    },
    #[serde(rename = "hold.extended")]
    HoldExtended { hold_id: Uuid, expires_at: Timestamp },
    #[serde(rename = "hold.confirmed")]
    HoldConfirmed {
        hold_id: Uuid,
        #[serde(borrow)]
        parts: Vec<PartFact<'a>>,
    },
    #[serde(rename = "hold.released")]
    HoldReleased {
        hold_id: Uuid,
        #[serde(borrow)]
        parts: Vec<PartFact<'a>>,
    },
    #[serde(rename = "hold.expired")]
    HoldExpired {
        hold_id: Uuid,
        #[serde(borrow)]
        parts: Vec<PartFact<'a>>,
    },
}
