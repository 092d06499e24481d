//! What a row asks for: its commands, decided from the row, what the file said before, and what is known already.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash};

use holdfast_domain::command::{
    AddItem, CountStock, ImageUrl, InitialStock, Name, Price, SetLevels, Text, UpdateItem,
};
use holdfast_domain::{
    Command, CommandBody, Currency, Item, LocationCode, Money, Quantity, Sku, SkuState, StockRow, Units,
};
use uuid::Uuid;

use super::Options;
use super::row::{Column, Row, RowError};

/// What a command does with its row. The numbers are part of command ids.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add = 1,
    Count = 2,
    Levels = 3,
    Update = 4,
}

/// SKUs that one import may name: what it remembers of each is in memory, about 100 bytes.
pub const SKUS_MAX: usize = 5_000_000;
pub const TOO_MANY_SKUS: &str =
    "a file may have at most 5000000 SKUs; the rest of it was not read, import it as another file";

/// A row that is sound, as commands.
#[derive(Debug)]
pub struct Planned {
    pub line: u64,
    pub sku: Sku,
    /// `first` adds the item.
    pub adds: bool,
    /// The catalogue entry of a known item changes.
    pub updates: bool,
    /// The command that the rules may refuse. `None`: the row says what is so already.
    pub first: Option<Command>,
    /// What must not be sent unless `first` was accepted; cannot be refused then.
    pub rest: Vec<Command>,
}

/// What the first row of a SKU said, so that further rows can be held against it.
struct Seen {
    line: u64,
    catalogue: Fingerprints,
    currency: Currency,
    /// In minor units of `currency`.
    price: Option<i64>,
    /// This file adds the item.
    adds: bool,
    /// Its addition was refused.
    forgotten: bool,
}

/// Keyed hashes of the catalogue cells in the order of [`CATALOGUE`], 0 where blank: a file of a million SKUs must
/// not be kept in memory only to notice that it contradicts itself.
type Fingerprints = [u32; 6];
const CATALOGUE: [Column; 6] = [
    Column::Brand,
    Column::Model,
    Column::Description,
    Column::ImageUrl,
    Column::MaxPerOrder,
    Column::Attributes,
];

pub struct Planner<K> {
    options: Options,
    /// What the ids of all commands of this import begin with.
    id_start: [u8; 10],
    known: K,
    seen: HashMap<Sku, Seen>,
    /// Where a SKU (by the line of its first row) was placed, and by which line.
    places: HashMap<(u64, u32), u64>,
    hasher: RandomState,
}

impl<K: Fn(&Sku) -> Option<SkuState>> Planner<K> {
    pub fn new(mut options: Options, known: K) -> Self {
        options.locations.sort_unstable();
        let id = Uuid::new_v5(&options.import_id, b"import").into_bytes();
        Self {
            options,
            id_start: std::array::from_fn(|index| id[index]),
            known,
            seen: HashMap::new(),
            places: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.seen.len() >= SKUS_MAX
    }

    /// The item of a SKU was not added after all.
    pub fn forget(&mut self, sku: &Sku) {
        if let Some(seen) = self.seen.get_mut(sku) {
            seen.forgotten = true;
        }
    }

    pub fn is_forgotten(&self, sku: &Sku) -> bool {
        self.seen.get(sku).is_some_and(|seen| seen.forgotten)
    }

    /// What is known now of the SKU of each row.
    pub fn known(&self, rows: &[Row]) -> Vec<Option<SkuState>> {
        rows.iter().map(|row| (self.known)(&row.sku)).collect()
    }

    /// The id of the command with which this import adds the item of a row, if this row adds it.
    pub fn id_of_add(&self, row: &Row) -> Uuid {
        self.id(row, Step::Add)
    }

    /// The commands of a row, from what is known of its SKU; what this import added itself must count as unknown. A
    /// row that is refused leaves no trace: the next one of its SKU counts as the first.
    pub fn plan(&mut self, row: Row, known: Option<SkuState>) -> Result<Planned, RowError> {
        let place = match &row.location {
            None => None,
            Some(location) => Some(self.place(location, row.line)?),
        };
        if self.seen.contains_key(&row.sku) {
            self.plan_further(row, place, known)
        } else {
            self.plan_first(row, place, known)
        }
    }

    /// The number of a location among those that exist.
    fn place(&self, location: &LocationCode, line: u64) -> Result<u32, RowError> {
        let locations = &self.options.locations;
        match locations.binary_search(location) {
            Ok(index) => Ok(u32::try_from(index).expect("locations are far fewer than 2^32")),
            Err(_) => {
                let shown: Vec<&str> = locations.iter().take(10).map(LocationCode::as_str).collect();
                let more = if locations.len() > shown.len() { ", …" } else { "" };
                let there =
                    if shown.is_empty() { "none yet, add it first".to_owned() } else { shown.join(", ") };
                let message = format!("there is no location {location}; there are {there}{more}");
                Err(RowError::new(line, Some(Column::Location), message))
            }
        }
    }

    fn plan_first(
        &mut self,
        row: Row,
        place: Option<u32>,
        state: Option<SkuState>,
    ) -> Result<Planned, RowError> {
        let known_currency = state.as_ref().map(|state| state.item.price.0.currency);
        let currency = row.currency.or(known_currency).unwrap_or(Currency::INR);
        let price = price(&row, currency)?;
        let seen = Seen {
            line: row.line,
            catalogue: self.fingerprints(&row),
            currency,
            price: price.map(|price| price.0.amount),
            adds: state.is_none(),
            forgotten: false,
        };
        let planned = match &state {
            None => self.add(&row, price)?,
            Some(state) => {
                if price.is_none() && row.currency.is_some_and(|given| Some(given) != known_currency) {
                    let message = format!(
                        "the price is in {}; another currency needs a price",
                        state.item.price.0.currency
                    );
                    return Err(RowError::new(row.line, Some(Column::Currency), message));
                }
                let there = row.location.as_ref().and_then(|location| stock_row(state, location));
                let stock = self.stock(&row, there);
                let update = self.update(&row, price, &state.item);
                planned(&row, stock.into_iter().chain(update))
            }
        };
        if let Some(place) = place {
            self.places.insert((row.line, place), row.line);
        }
        self.seen.insert(row.sku, seen);
        Ok(planned)
    }

    fn plan_further(
        &mut self,
        row: Row,
        place: Option<u32>,
        known: Option<SkuState>,
    ) -> Result<Planned, RowError> {
        let seen = &self.seen[&row.sku];
        let (first, line) = (seen.line, row.line);
        if seen.forgotten {
            return Err(RowError::new(line, Some(Column::Sku), "the row that adds this item was refused"));
        }
        let differs = |column| {
            RowError::new(
                line,
                Some(column),
                format!("this differs from line {first}, which has the same SKU"),
            )
        };
        let ours = self.fingerprints(&row);
        for (index, column) in CATALOGUE.into_iter().enumerate() {
            if ours[index] != 0 && ours[index] != seen.catalogue[index] {
                return Err(differs(column));
            }
        }
        if row.currency.is_some_and(|given| given != seen.currency) {
            return Err(differs(Column::Currency));
        }
        if let Some(price) = price(&row, seen.currency)?
            && seen.price != Some(price.0.amount)
        {
            return Err(differs(Column::Price));
        }
        let (Some(place), Some(location)) = (place, &row.location) else {
            let message = format!("this cell is blank, and line {first} has the same SKU already");
            return Err(RowError::new(line, Some(Column::Location), message));
        };
        // What is known of a new item may or may not have caught up; at this location it has nothing either way.
        let state = known.filter(|_| !seen.adds);
        let there = state.as_ref().and_then(|state| stock_row(state, location));
        match self.places.entry((first, place)) {
            Entry::Occupied(earlier) => {
                let message = format!("line {} has the same SKU at the same location already", earlier.get());
                return Err(RowError::new(line, Some(Column::Location), message));
            }
            Entry::Vacant(vacant) => drop(vacant.insert(line)),
        }
        Ok(planned(&row, self.stock(&row, there).into_iter()))
    }

    fn add(&self, row: &Row, price: Option<Price>) -> Result<Planned, RowError> {
        let first = Some(self.command(row, Step::Add, CommandBody::AddItem(new_item(row, price)?)));
        Ok(Planned {
            line: row.line,
            sku: row.sku.clone(),
            adds: true,
            updates: false,
            first,
            rest: Vec::new(),
        })
    }

    /// The count first: it alone can be refused for what the row says, and it makes the row that levels belong to.
    fn stock(&self, row: &Row, there: Option<&StockRow>) -> Vec<Command> {
        let Some(location) = &row.location else { return Vec::new() };
        let (sku, location) = (row.sku.clone(), location.clone());
        let mut commands = Vec::with_capacity(2);
        let counted = match (row.quantity, there) {
            (Some(counted), _) => Some(counted),
            (None, None) => Some(Units::default()),
            (None, Some(_)) => None,
        };
        if let Some(counted) = counted {
            let count = CountStock { sku: sku.clone(), location: location.clone(), counted };
            commands.push(self.command(row, Step::Count, CommandBody::CountStock(count)));
        }
        let before = |level: fn(&StockRow) -> i64| there.map_or(0, level);
        let safety_stock = row.safety_stock.map_or(before(|row| row.safety_stock), Units::get);
        let reorder_point = row.reorder_point.map_or(before(|row| row.reorder_point), Units::get);
        if (safety_stock, reorder_point) != (before(|row| row.safety_stock), before(|row| row.reorder_point))
        {
            let units = |units| Units::new(units).expect("a level was within its bounds when it was set");
            let (safety_stock, reorder_point) = (units(safety_stock), units(reorder_point));
            let levels = SetLevels { sku, location, safety_stock, reorder_point };
            commands.push(self.command(row, Step::Levels, CommandBody::SetLevels(levels)));
        }
        commands
    }

    /// The fields that are given and differ, if any.
    fn update(&self, row: &Row, price: Option<Price>, item: &Item) -> Option<Command> {
        fn differing<T: PartialEq + Clone>(given: Option<&T>, is: &T) -> Option<T> {
            given.filter(|given| *given != is).cloned()
        }
        let update = UpdateItem {
            sku: row.sku.clone(),
            if_match: None,
            brand: differing(row.brand.as_ref(), &item.brand),
            model: differing(row.model.as_ref(), &item.model),
            description: differing(row.description.as_ref(), &item.description),
            price: differing(price.as_ref(), &item.price),
            image_url: differing(Some(&row.image_url), &item.image_url).filter(Option::is_some),
            attributes: differing(row.attributes.as_ref(), &item.attributes),
            max_per_order: differing(Some(&row.max_per_order), &item.max_per_order).filter(Option::is_some),
            status: None,
        };
        let UpdateItem { brand, model, description, price, image_url, attributes, max_per_order, .. } =
            &update;
        let changes = brand.is_some()
            || model.is_some()
            || description.is_some()
            || price.is_some()
            || image_url.is_some()
            || attributes.is_some()
            || max_per_order.is_some();
        changes.then(|| self.command(row, Step::Update, CommandBody::UpdateItem(update)))
    }

    /// Ids of one import count up with the lines, so that what the database keeps by id grows at its end: with ids
    /// that are spread evenly, each row costs a page.
    fn id(&self, row: &Row, step: Step) -> Uuid {
        let mut id = [0; 16];
        id[..10].copy_from_slice(&self.id_start);
        id[10..15].copy_from_slice(&row.line.to_be_bytes()[3..]);
        id[15] = step as u8;
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }

    fn command(&self, row: &Row, step: Step, body: CommandBody) -> Command {
        Command::new(self.id(row, step), self.options.actor.clone(), body)
    }

    fn fingerprints(&self, row: &Row) -> Fingerprints {
        let attributes = row.attributes.as_ref().map(|attributes| attributes.iter().collect::<Vec<_>>());
        [
            self.fingerprint(row.brand.as_ref().map(Name::as_str)),
            self.fingerprint(row.model.as_ref().map(Name::as_str)),
            self.fingerprint(row.description.as_ref().map(Text::as_str)),
            self.fingerprint(row.image_url.as_ref().map(ImageUrl::as_str)),
            self.fingerprint(row.max_per_order.map(Quantity::get)),
            self.fingerprint(attributes),
        ]
    }

    fn fingerprint(&self, value: Option<impl Hash>) -> u32 {
        match value {
            None => 0,
            // The low half; never 0, which means blank.
            Some(value) => (self.hasher.hash_one(value) as u32).max(1),
        }
    }
}

fn planned(row: &Row, mut commands: impl Iterator<Item = Command>) -> Planned {
    let first = commands.next();
    let rest: Vec<Command> = commands.collect();
    let updates = first.iter().chain(&rest).any(|command| matches!(command.body, CommandBody::UpdateItem(_)));
    Planned { line: row.line, sku: row.sku.clone(), adds: false, updates, first, rest }
}

pub fn price(row: &Row, currency: Currency) -> Result<Option<Price>, RowError> {
    let parsed = row.price.as_deref().map(|text| Money::parse_major(text, currency).map(Price));
    parsed.transpose().map_err(|error| RowError::new(row.line, Some(Column::Price), error))
}

fn stock_row<'a>(state: &'a SkuState, location: &LocationCode) -> Option<&'a StockRow> {
    state.stock.iter().find(|row| row.location == *location)
}

/// A new item as the first row of its SKU describes it.
pub fn new_item(row: &Row, price: Option<Price>) -> Result<AddItem, RowError> {
    let missing = |column| RowError::new(row.line, Some(column), "this is needed, because the item is new");
    Ok(AddItem {
        sku: Some(row.sku.clone()),
        brand: row.brand.clone().ok_or_else(|| missing(Column::Brand))?,
        model: row.model.clone().ok_or_else(|| missing(Column::Model))?,
        description: row.description.clone().unwrap_or_default(),
        price: price.ok_or_else(|| missing(Column::Price))?,
        image_url: row.image_url.clone(),
        attributes: row.attributes.clone().unwrap_or_default(),
        max_per_order: row.max_per_order,
        stock: initial_stock(row).into_iter().collect(),
    })
}

pub fn initial_stock(row: &Row) -> Option<InitialStock> {
    Some(InitialStock {
        location: row.location.clone()?,
        quantity: row.quantity.unwrap_or_default(),
        safety_stock: row.safety_stock,
        reorder_point: row.reorder_point,
    })
}
