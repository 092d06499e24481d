//! Items (the catalogue entry of a SKU) and locations (places that hold stock): state and decisions.

use serde::{Deserialize, Serialize};

use crate::command::{AddItem, Attributes, ImageUrl, Name, Price, PutLocation, RemoveItem, Text, UpdateItem};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::outcome::Rejection;
use crate::values::{GeoPoint, LocationCode, Quantity, Sku};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    Active,
    Archived,
}

/// The catalogue entry of a SKU. `version` starts at 1 and grows with each change; it is the ETag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub sku: Sku,
    pub brand: Name,
    pub model: Name,
    #[serde(default)]
    pub description: Text,
    #[serde(default)]
    pub image_url: Option<ImageUrl>,
    pub price: Price,
    #[serde(default)]
    pub attributes: Attributes,
    pub status: ItemStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_order: Option<Quantity>,
    pub version: u64,
}

/// A place that holds stock. Lower `priority` is taken from first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub code: LocationCode,
    pub name: Name,
    pub priority: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    pub version: u64,
}

impl Location {
    pub fn point(&self) -> Option<GeoPoint> {
        Some(GeoPoint { latitude: self.latitude?, longitude: self.longitude? })
    }
}

/// SKUs are tried in this order when none is given: `TITAN-EDGE`, `TITAN-EDGE-2`, … The store loads all of them.
pub const SKU_CANDIDATES: usize = 8;

/// The SKUs that an item without one may get, best first; the last ones end in digits of `salt`, so that even the
/// hundredth item of one name finds a place.
pub fn sku_candidates(brand: &Name, model: &Name, salt: u64) -> Vec<Sku> {
    let mut base = String::new();
    for c in format!("{}-{}", brand.as_str(), model.as_str()).chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            base.push(c.to_ascii_uppercase());
        } else if !base.ends_with('-') && !base.is_empty() {
            base.push('-');
        }
    }
    base.truncate(48);
    let base = base.trim_matches('-');
    let base = if base.is_empty() { "ITEM" } else { base };
    let numbered = (0..SKU_CANDIDATES).map(|n| match n {
        0 => base.to_owned(),
        1..=5 => format!("{base}-{}", n + 1),
        _ => format!("{base}-{:08X}", (salt >> (n - 6)) as u32),
    });
    numbered.map(|text| Sku::new(text).expect("a candidate is made of allowed characters")).collect()
}

pub(crate) fn decide_add(ledger: &Ledger, command: &AddItem, salt: u64) -> Result<Vec<Event>, Rejection> {
    let sku = match &command.sku {
        Some(sku) if ledger.sku(sku).is_some() => return Err(Rejection::SkuExists { sku: sku.clone() }),
        Some(sku) => sku.clone(),
        None => sku_candidates(&command.brand, &command.model, salt)
            .into_iter()
            .find(|candidate| ledger.sku(candidate).is_none())
            .ok_or(Rejection::NotProcessable {
                detail: "no free SKU could be made from brand and model".to_owned(),
            })?,
    };
    for (index, stock) in command.stock.iter().enumerate() {
        if ledger.location(&stock.location).is_none() {
            return Err(Rejection::UnknownLocation { location: stock.location.clone() });
        }
        if command.stock[..index].iter().any(|earlier| earlier.location == stock.location) {
            return Err(Rejection::DuplicateLocation { location: stock.location.clone() });
        }
    }
    let item = Item {
        sku: sku.clone(),
        brand: command.brand.clone(),
        model: command.model.clone(),
        description: command.description.clone(),
        image_url: command.image_url.clone(),
        price: command.price,
        attributes: command.attributes.clone(),
        status: ItemStatus::Active,
        max_per_order: command.max_per_order,
        version: 1,
    };
    let mut events = vec![Event::ItemAdded { item }];
    for stock in &command.stock {
        let quantity = stock.quantity.get();
        if stock.safety_stock.is_some() || stock.reorder_point.is_some() || quantity == 0 {
            events.push(Event::StockLevels {
                sku: sku.clone(),
                location: stock.location.clone(),
                safety_stock: stock.safety_stock.unwrap_or_default().get(),
                reorder_point: stock.reorder_point.unwrap_or_default().get(),
                on_hand_after: 0,
            });
        }
        if quantity > 0 {
            events.push(Event::StockReceived {
                sku: sku.clone(),
                location: stock.location.clone(),
                quantity,
                on_hand_after: quantity,
                reference: None,
            });
        }
    }
    Ok(events)
}

fn check_version(wanted: Option<u64>, current: u64) -> Result<(), Rejection> {
    match wanted {
        Some(wanted) if wanted != current => Err(Rejection::StaleVersion { current }),
        Some(_) | None => Ok(()),
    }
}

pub(crate) fn decide_update(ledger: &Ledger, command: &UpdateItem) -> Result<Vec<Event>, Rejection> {
    let item = &ledger.sku(&command.sku).ok_or(Rejection::NotFound)?.item;
    check_version(command.if_match, item.version)?;
    let mut changed = Item::clone(item);
    if let Some(brand) = &command.brand {
        changed.brand = brand.clone();
    }
    if let Some(model) = &command.model {
        changed.model = model.clone();
    }
    if let Some(description) = &command.description {
        changed.description = description.clone();
    }
    if let Some(price) = command.price {
        changed.price = price;
    }
    if let Some(image_url) = &command.image_url {
        changed.image_url = image_url.clone();
    }
    if let Some(attributes) = &command.attributes {
        changed.attributes = attributes.clone();
    }
    if let Some(max_per_order) = command.max_per_order {
        changed.max_per_order = max_per_order;
    }
    let archive = command.status == Some(ItemStatus::Archived) && item.status == ItemStatus::Active;
    if archive {
        check_not_in_use(ledger, &command.sku)?;
    }
    if let Some(status) = command.status {
        changed.status = status;
    }
    if changed == **item {
        return Ok(Vec::new());
    }
    changed.version += 1;
    Ok(vec![Event::ItemUpdated { item: changed }])
}

fn check_not_in_use(ledger: &Ledger, sku: &Sku) -> Result<(), Rejection> {
    let state = ledger.sku(sku).ok_or(Rejection::NotFound)?;
    let held: i64 = state.stock.iter().map(|row| row.held).sum();
    let allocated: i64 = state.stock.iter().map(|row| row.allocated).sum();
    if held + allocated > 0 { Err(Rejection::ItemInUse { held, allocated }) } else { Ok(()) }
}

pub(crate) fn decide_remove(ledger: &Ledger, command: &RemoveItem) -> Result<Vec<Event>, Rejection> {
    let item = &ledger.sku(&command.sku).ok_or(Rejection::NotFound)?.item;
    check_version(command.if_match, item.version)?;
    match item.status {
        // Archiving twice is as good as once.
        ItemStatus::Archived => Ok(Vec::new()),
        ItemStatus::Active => {
            check_not_in_use(ledger, &command.sku)?;
            Ok(vec![Event::ItemArchived { sku: command.sku.clone() }])
        }
    }
}

pub(crate) fn decide_put_location(ledger: &Ledger, command: &PutLocation) -> Result<Vec<Event>, Rejection> {
    let known = ledger.location(&command.code);
    if let (Some(_), true) = (known, command.create) {
        return Err(Rejection::LocationExists { location: command.code.clone() });
    }
    match (known, command.if_match) {
        (Some(location), wanted) => check_version(wanted, location.version)?,
        (None, Some(_)) => return Err(Rejection::StaleVersion { current: 0 }),
        (None, None) => {}
    }
    let mut location = Location {
        code: command.code.clone(),
        name: command.name.clone(),
        priority: command.priority,
        latitude: command.latitude,
        longitude: command.longitude,
        version: known.map_or(1, |known| known.version),
    };
    if known == Some(&location) {
        return Ok(Vec::new());
    }
    if known.is_some() {
        location.version += 1;
    }
    Ok(vec![Event::LocationPut { location }])
}
