//! Counters, kept by addition from the facts of the log, and the question at every promise: was there that much?

use std::collections::HashMap;

use holdfast_domain::{Position, SkuState, StockRow};
use holdfast_store::Snapshot;
use uuid::Uuid;

use super::Difference;
use super::facts::{Amount, Fact, ItemFact, LineFact, PartFact};

/// Gives texts small numbers.
#[derive(Default)]
pub struct Names {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Names {
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("there are fewer than 2^32 names");
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number
    }

    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", |text| text)
    }
}

/// What the log adds up to at one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counters {
    on_hand: i64,
    held: i64,
    allocated: i64,
    unavailable: i64,
    safety_stock: i64,
    incoming: i64,
    reorder_point: i64,
}

impl Counters {
    fn there_is(&self) -> i64 {
        (self.on_hand - self.held - self.allocated - self.unavailable - self.safety_stock).max(0)
    }

    fn named(&self) -> [(&'static str, i64); 7] {
        [
            ("on hand", self.on_hand),
            ("held", self.held),
            ("allocated", self.allocated),
            ("unavailable", self.unavailable),
            ("safety stock", self.safety_stock),
            ("incoming", self.incoming),
            ("reorder point", self.reorder_point),
        ]
    }

    fn of(row: &StockRow) -> Self {
        let StockRow {
            location: _,
            on_hand,
            held,
            allocated,
            unavailable,
            safety_stock,
            incoming,
            reorder_point,
        } = row.clone();
        Self { on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ItemNote {
    active: bool,
    version: u64,
    price: i64,
}

/// SKU and location, by number.
type Place = (u32, u32);

#[derive(Default)]
pub struct Books {
    pub skus: Names,
    pub locations: Names,
    items: HashMap<u32, ItemNote>,
    location_versions: HashMap<u32, u64>,
    counters: HashMap<Place, Counters>,
    /// A hold that was just confirmed: the next event must be the order that takes its units over.
    confirmed: Option<(Uuid, Vec<(Place, i64)>)>,
    oversold: u64,
    first_oversold: Option<String>,
}

impl Books {
    /// Promises beyond what was available at their moment.
    pub fn oversold(&self) -> u64 {
        self.oversold
    }

    /// The first of them, as a sentence.
    pub fn first_oversold(&self) -> Option<&str> {
        self.first_oversold.as_deref()
    }

    pub fn item_count(&self) -> usize {
        self.items.len()
    }

    /// Units on hand, everywhere.
    pub fn units(&self) -> i64 {
        self.counters.values().map(|counters| counters.on_hand).sum()
    }

    /// Enters one fact. Promises beyond what there was are counted; everything else that cannot be is an error.
    pub fn enter(&mut self, fact: &Fact<'_>, at: Position) -> Result<(), Difference> {
        let confirmed = self.confirmed.take();
        if let Some((hold, _)) = &confirmed
            && !matches!(fact, Fact::Accepted { order_id, .. } if order_id == hold)
        {
            return Err(no_order(*hold, at));
        }
        match fact {
            Fact::ItemAdded { item } => {
                let sku = self.skus.number(item.sku);
                if self.items.insert(sku, note(item)?).is_some() || item.version != 1 {
                    return wrong(at, format!("item {} is added again, or not in version 1", item.sku));
                }
            }
            Fact::ItemUpdated { item } => {
                let sku = self.item(item.sku, at)?;
                let before = self.items.insert(sku, note(item)?).map_or(0, |before| before.version);
                if item.version != before + 1 {
                    return wrong(
                        at,
                        format!("item {} goes from version {before} to {}", item.sku, item.version),
                    );
                }
            }
            Fact::ItemArchived { sku } => {
                let number = self.item(sku, at)?;
                let note = self.items.get_mut(&number).expect("the item was just found");
                note.active = false;
                note.version += 1;
            }
            Fact::LocationPut { location } => {
                let number = self.locations.number(location.code);
                let before = self.location_versions.insert(number, location.version).unwrap_or(0);
                if location.version != before + 1 {
                    let (code, version) = (location.code, location.version);
                    return wrong(at, format!("location {code} goes from version {before} to {version}"));
                }
            }
            Fact::Received { sku, location, quantity, on_hand_after } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| c.on_hand += quantity)?;
                self.expect_on_hand(place, at, *on_hand_after)?;
            }
            Fact::Adjusted { sku, location, delta, on_hand_after } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| c.on_hand += delta)?;
                self.expect_on_hand(place, at, *on_hand_after)?;
            }
            Fact::Counted { sku, location, counted, delta } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| c.on_hand += delta)?;
                self.expect_on_hand(place, at, *counted)?;
            }
            Fact::Transferred { sku, from, to, quantity, from_on_hand_after, to_on_hand_after } => {
                let (from, to) = (self.place(sku, from, at)?, self.place(sku, to, at)?);
                self.promise(from, *quantity, at, "a transfer");
                self.change(from, at, |c| c.on_hand -= quantity)?;
                self.change(to, at, |c| c.on_hand += quantity)?;
                self.expect_on_hand(from, at, *from_on_hand_after)?;
                self.expect_on_hand(to, at, *to_on_hand_after)?;
            }
            Fact::Unavailable { sku, location, delta, on_hand_after } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| c.unavailable += delta)?;
                self.expect_on_hand(place, at, *on_hand_after)?;
            }
            Fact::Incoming { sku, location, delta, on_hand_after } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| c.incoming += delta)?;
                self.expect_on_hand(place, at, *on_hand_after)?;
            }
            Fact::Levels { sku, location, safety_stock, reorder_point, on_hand_after } => {
                let place = self.place(sku, location, at)?;
                self.change(place, at, |c| {
                    c.safety_stock = *safety_stock;
                    c.reorder_point = *reorder_point;
                })?;
                self.expect_on_hand(place, at, *on_hand_after)?;
            }
            Fact::Accepted { order_id, lines, .. } => {
                let taken = self.taken(lines, at)?;
                match confirmed {
                    // Its units were promised when the hold was placed; now they only change their name.
                    Some((_, held)) if held == taken => {}
                    Some(_) => {
                        return wrong(at, format!("order {order_id} takes other units than its hold held"));
                    }
                    None => self.promise_all(&taken, at, &format!("order {order_id}")),
                }
                for (place, quantity) in taken {
                    self.change(place, at, |c| c.allocated += quantity)?;
                }
            }
            Fact::Rejected { .. } | Fact::HoldExtended { .. } => {}
            Fact::Cancelled { parts, .. } => {
                for (place, quantity) in self.parts(parts, at)? {
                    self.change(place, at, |c| c.allocated -= quantity)?;
                }
            }
            Fact::Fulfilled { parts, .. } => {
                for part in parts {
                    let place = self.place(part.sku, part.location, at)?;
                    self.positive(part.quantity, at)?;
                    self.change(place, at, |c| {
                        c.allocated -= part.quantity;
                        c.on_hand -= part.quantity;
                    })?;
                    self.expect_on_hand(place, at, part.on_hand_after)?;
                }
            }
            Fact::Returned { parts, disposition, .. } => {
                let sellable = match *disposition {
                    "restock" => true,
                    "unavailable" => false,
                    other => return wrong(at, format!("a return has the unknown disposition {other}")),
                };
                for part in parts {
                    let place = self.place(part.sku, part.location, at)?;
                    self.positive(part.quantity, at)?;
                    self.change(place, at, |c| {
                        c.on_hand += part.quantity;
                        if !sellable {
                            c.unavailable += part.quantity;
                        }
                    })?;
                    self.expect_on_hand(place, at, part.on_hand_after)?;
                }
            }
            Fact::HoldPlaced { hold_id, lines, .. } => {
                let taken = self.taken(lines, at)?;
                self.promise_all(&taken, at, &format!("hold {hold_id}"));
                for (place, quantity) in taken {
                    self.change(place, at, |c| c.held += quantity)?;
                }
            }
            Fact::HoldConfirmed { hold_id, parts } => {
                let parts = self.parts(parts, at)?;
                for (place, quantity) in &parts {
                    self.change(*place, at, |c| c.held -= quantity)?;
                }
                self.confirmed = Some((*hold_id, parts));
            }
            Fact::HoldReleased { parts, .. } | Fact::HoldExpired { parts, .. } => {
                for (place, quantity) in self.parts(parts, at)? {
                    self.change(place, at, |c| c.held -= quantity)?;
                }
            }
        }
        Ok(())
    }

    /// A confirmed hold and its order stand in the same batch.
    pub fn close_batch(&self, last: Position) -> Result<(), Difference> {
        self.confirmed.as_ref().map_or(Ok(()), |(hold, _)| Err(no_order(*hold, last.plus(1))))
    }

    fn item(&mut self, sku: &str, at: Position) -> Result<u32, Difference> {
        let number = self.skus.find(sku).filter(|number| self.items.contains_key(number));
        number
            .ok_or_else(|| Difference(format!("At position {at} the log speaks of the unknown item {sku}.")))
    }

    fn place(&mut self, sku: &str, location: &str, at: Position) -> Result<Place, Difference> {
        let sku = self.item(sku, at)?;
        match self.locations.find(location) {
            Some(location) => Ok((sku, location)),
            None => Err(Difference(format!(
                "At position {at} the log speaks of the unknown location {location}."
            ))),
        }
    }

    fn positive(&self, quantity: i64, at: Position) -> Result<(), Difference> {
        if quantity > 0 { Ok(()) } else { wrong(at, format!("{quantity} units are moved")) }
    }

    fn taken(&mut self, lines: &[LineFact<'_>], at: Position) -> Result<Vec<(Place, i64)>, Difference> {
        let mut taken = Vec::new();
        for line in lines {
            for share in &line.allocations {
                self.positive(share.quantity, at)?;
                taken.push((self.place(line.sku, share.location, at)?, share.quantity));
            }
        }
        Ok(taken)
    }

    fn parts(&mut self, parts: &[PartFact<'_>], at: Position) -> Result<Vec<(Place, i64)>, Difference> {
        let mut found = Vec::with_capacity(parts.len());
        for part in parts {
            self.positive(part.quantity, at)?;
            found.push((self.place(part.sku, part.location, at)?, part.quantity));
        }
        Ok(found)
    }

    fn promise_all(&mut self, taken: &[(Place, i64)], at: Position, who: &str) {
        let mut sums: HashMap<Place, i64> = HashMap::new();
        for (place, quantity) in taken {
            *sums.entry(*place).or_default() += quantity;
        }
        for (place, quantity) in sums {
            self.promise(place, quantity, at, who);
        }
    }

    /// Counts it when `who` takes more than there is.
    fn promise(&mut self, place: Place, quantity: i64, at: Position, who: &str) {
        let there_is = self.counters.get(&place).map_or(0, Counters::there_is);
        if quantity > there_is {
            self.oversold += 1;
            let (sku, location) = self.named(place);
            let sentence = format!(
                "Oversold: at position {at} {who} takes {quantity} of {sku} at {location}, where {there_is} were available."
            );
            self.first_oversold.get_or_insert(sentence);
        }
    }

    fn change(
        &mut self,
        place: Place,
        at: Position,
        change: impl FnOnce(&mut Counters),
    ) -> Result<(), Difference> {
        let counters = self.counters.entry(place).or_default();
        change(counters);
        let below = counters.named().into_iter().find(|(_, units)| *units < 0);
        match below {
            None => Ok(()),
            Some((name, units)) => {
                let (sku, location) = self.named(place);
                wrong(at, format!("{name} of {sku} at {location} becomes {units}"))
            }
        }
    }

    fn expect_on_hand(&self, place: Place, at: Position, recorded: i64) -> Result<(), Difference> {
        let own = self.counters.get(&place).map_or(0, |counters| counters.on_hand);
        if own == recorded {
            return Ok(());
        }
        let (sku, location) = self.named(place);
        wrong(
            at,
            format!("{recorded} of {sku} are said to be on hand at {location}, but the log adds up to {own}"),
        )
    }

    fn named(&self, (sku, location): Place) -> (&str, &str) {
        (self.skus.text(sku), self.locations.text(location))
    }

    /// Whether the tables say what the log says.
    pub fn compare(&self, snapshot: &Snapshot) -> Result<(), Difference> {
        for state in &snapshot.skus {
            self.compare_item(state)?;
        }
        // Everything in the tables is in the log; with the same number of each, the reverse is true as well.
        let rows: usize = snapshot.skus.iter().map(|state| state.stock.len()).sum();
        for (what, log, tables) in [
            ("items", self.items.len(), snapshot.skus.len()),
            ("stock rows", self.counters.len(), rows),
            ("locations", self.location_versions.len(), snapshot.locations.len()),
        ] {
            if log != tables {
                return Err(Difference(format!(
                    "The log makes {log} {what}, the tables have {tables}{}.",
                    self.missing(snapshot)
                )));
            }
        }
        for location in &snapshot.locations {
            let version =
                self.locations.find(location.code.as_str()).and_then(|n| self.location_versions.get(&n));
            if version != Some(&location.version) {
                let said = version.map_or("nothing".to_owned(), |version| format!("version {version}"));
                let (code, version) = (&location.code, location.version);
                return Err(Difference(format!(
                    "Location {code} has version {version} in the tables, the log says {said}."
                )));
            }
        }
        Ok(())
    }

    /// Names one row that the log has and the tables have not.
    fn missing(&self, snapshot: &Snapshot) -> String {
        let there: std::collections::HashSet<(&str, &str)> = snapshot
            .skus
            .iter()
            .flat_map(|state| state.stock.iter().map(|row| (state.item.sku.as_str(), row.location.as_str())))
            .collect();
        let missing =
            self.counters.keys().map(|place| self.named(*place)).filter(|place| !there.contains(place)).min();
        missing.map_or(String::new(), |(sku, location)| {
            format!("; for one, the row of {sku} at {location} is missing")
        })
    }

    fn compare_item(&self, state: &SkuState) -> Result<(), Difference> {
        let sku = state.item.sku.as_str();
        let number = self.skus.find(sku);
        let Some(own) = number.and_then(|number| self.items.get(&number)) else {
            return Err(Difference(format!("Item {sku} is in the tables but not in the log.")));
        };
        let tables = ItemNote {
            active: state.item.status == holdfast_domain::ItemStatus::Active,
            version: state.item.version,
            price: state.item.price.0.amount,
        };
        if tables != *own {
            return Err(Difference(format!("Item {sku} is {tables} in the tables, but {own} by the log.")));
        }
        for row in &state.stock {
            let place = number.zip(self.locations.find(row.location.as_str()));
            let Some(own) = place.and_then(|place| self.counters.get(&place)) else {
                let location = &row.location;
                return Err(Difference(format!(
                    "The tables have stock of {sku} at {location}, the log has none."
                )));
            };
            for ((name, log), (_, table)) in own.named().into_iter().zip(Counters::of(row).named()) {
                if log != table {
                    return Err(Difference(format!(
                        "Stock of {sku} at {}: {name} is {table} in the tables, but {log} by the log.",
                        row.location
                    )));
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for ItemNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.active { "active" } else { "archived" };
        write!(f, "{state} in version {} at {} minor units", self.version, self.price)
    }
}

fn note(item: &ItemFact<'_>) -> Result<ItemNote, Difference> {
    let Amount { amount, .. } = item.price;
    let active = match item.status {
        "active" => true,
        "archived" => false,
        other => return Err(Difference(format!("Item {} has the unknown status {other}.", item.sku))),
    };
    Ok(ItemNote { active, version: item.version, price: amount })
}

fn no_order(hold: Uuid, at: Position) -> Difference {
    Difference(format!("Hold {hold} was confirmed, but at position {at} its order does not follow."))
}

fn wrong<T>(at: Position, what: String) -> Result<T, Difference> {
    Err(Difference(format!("The log contradicts itself at position {at}: {what}.")))
}
