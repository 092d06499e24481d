//! Orders: accepted all lines or none, cancelled to the very locations they came from, fulfilled and returned in parts.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::actor::{Actor, Role};
use crate::command::{CancelOrder, Fingerprint, FulfilOrder, Line, Lines, PartLine, PlaceOrder, ReturnOrder};
use crate::event::{Event, FulfilledPart, Part, ReturnedPart};
use crate::item::ItemStatus;
use crate::ledger::{Ledger, SkuState};
use crate::outcome::{Rejection, Shortage};
use crate::values::{Customer, GeoPoint, LocationCode, Money, Position, Quantity, Sku, Timestamp};

/// `pending` → `accepted` | `rejected`; `accepted` → `fulfilled` | `cancelled`; `fulfilled` → `returned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Pending,
    Accepted,
    Rejected,
    Fulfilled,
    Cancelled,
    Returned,
}

impl OrderStatus {
    pub const ALL: [OrderStatus; 6] = [
        OrderStatus::Pending,
        OrderStatus::Accepted,
        OrderStatus::Rejected,
        OrderStatus::Fulfilled,
        OrderStatus::Cancelled,
        OrderStatus::Returned,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Pending => "pending",
            OrderStatus::Accepted => "accepted",
            OrderStatus::Rejected => "rejected",
            OrderStatus::Fulfilled => "fulfilled",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Returned => "returned",
        }
    }
}

impl std::str::FromStr for OrderStatus {
    type Err = crate::ValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OrderStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            crate::ValueError(
                "status must be pending, accepted, rejected, fulfilled, cancelled or returned".to_owned(),
            )
        })
    }
}

/// Units of a line at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    pub location: LocationCode,
    pub quantity: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fulfilled: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(units: &i64) -> bool {
    *units == 0
}

/// One SKU of an order or hold. `quantity` is what was taken; `unit_price` is fixed at the decision (absent only in
/// orders rejected before a price was found).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub sku: Sku,
    pub quantity: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    pub allocations: Vec<Allocation>,
}

pub(crate) fn allocations(lines: &[OrderLine]) -> impl Iterator<Item = (&Sku, &Allocation)> {
    lines.iter().flat_map(|line| line.allocations.iter().map(move |allocation| (&line.sku, allocation)))
}

pub(crate) fn parts(lines: &[OrderLine]) -> Vec<Part> {
    let part = |(sku, allocation): (&Sku, &Allocation)| Part {
        sku: sku.clone(),
        location: allocation.location.clone(),
        quantity: allocation.quantity,
    };
    allocations(lines).map(part).collect()
}

/// How far an order has come, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    pub ordered: i64,
    pub fulfilled: i64,
    pub returned: i64,
}

/// Why an order was rejected: the code of its [`Rejection`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RejectionCode(pub SmolStr);

/// An order, as stored and as answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub id: Uuid,
    pub status: OrderStatus,
    #[serde(default)]
    pub customer: Option<Customer>,
    pub lines: Vec<OrderLine>,
    #[serde(default)]
    pub total: Option<Money>,
    pub placed_at: Timestamp,
    /// Where it was decided in the log.
    pub position: Position,
    /// The account or program that placed it.
    pub placed_by: SmolStr,
    pub progress: Progress,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<RejectionCode>,
    /// Of the command that placed it: the same id with another content is refused by it.
    #[serde(skip, default = "no_fingerprint")]
    pub fingerprint: Fingerprint,
    #[serde(skip)]
    pub json: Json,
}

/// The JSON of an order from when it was first written: its row and its answer are the same text. A copy begins without
/// it, and whoever changes an order in place has to put a new one.
#[derive(Default)]
pub struct Json(OnceLock<Box<RawValue>>);

impl Clone for Json {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// It says nothing that the order does not say.
impl PartialEq for Json {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "written" } else { "not written" })
    }
}

/// Serialises an order as the text that was written of it, if one was.
pub struct Written<'a>(pub &'a Order);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.json.0.get() {
            Some(text) => text.serialize(serializer),
            None => self.0.serialize(serializer),
        }
    }
}

fn no_fingerprint() -> Fingerprint {
    Fingerprint([0; 16])
}

impl Order {
    /// What an order looks like between a 202 and its decision.
    pub fn pending(id: Uuid, actor: &Actor, order: &PlaceOrder, requested_at: Timestamp) -> Self {
        Self {
            id,
            status: OrderStatus::Pending,
            customer: customer_for(actor, order.customer.as_ref()),
            lines: requested_lines(&order.lines),
            total: None,
            placed_at: requested_at,
            position: Position::default(),
            placed_by: actor.name.clone(),
            progress: Progress::default(),
            shortages: Vec::new(),
            code: None,
            fingerprint: no_fingerprint(),
            json: Json::default(),
        }
    }

    /// Its JSON, which is kept for the next who needs it.
    pub fn to_json(&self) -> serde_json::Result<&str> {
        let Json(written) = &self.json;
        Ok(match written.get() {
            Some(text) => text.get(),
            None => {
                let text = to_raw_value(self)?;
                written.get_or_init(|| text).get()
            }
        })
    }

    /// The order as it was answered when it was decided, whatever became of it since.
    pub fn first_answer(&self) -> Self {
        let mut first = self.clone();
        if first.status != OrderStatus::Rejected {
            first.status = OrderStatus::Accepted;
        }
        first.progress = Progress { ordered: first.progress.ordered, ..Progress::default() };
        for allocation in first.lines.iter_mut().flat_map(|line| line.allocations.iter_mut()) {
            allocation.fulfilled = 0;
            allocation.returned = 0;
        }
        first
    }

    /// The rejection that a rejected order was answered with.
    pub fn rejection(&self) -> Option<Rejection> {
        let code = self.code.as_ref()?;
        Some(match code.0.as_str() {
            "insufficient_stock" => {
                Rejection::InsufficientStock { shortages: self.shortages.clone(), order_id: Some(self.id) }
            }
            "unknown_sku" => {
                Rejection::UnknownSku { skus: self.shortages.iter().map(|s| s.sku.clone()).collect() }
            }
            "item_archived" => {
                Rejection::ItemArchived { skus: self.shortages.iter().map(|s| s.sku.clone()).collect() }
            }
            "max_per_order" => Rejection::MaxPerOrder { excess: self.shortages.clone() },
            "mixed_currencies" => Rejection::MixedCurrencies,
            "total_too_large" => Rejection::TotalTooLarge,
            other => Rejection::NotProcessable { detail: format!("the order was rejected: {other}") },
        })
    }
}

/// A customer orders for itself; everybody else for whom they say.
pub(crate) fn customer_for(actor: &Actor, named: Option<&Customer>) -> Option<Customer> {
    match actor.role {
        Role::Customer => Some(Customer::new(&actor.name).expect("an account id is a valid customer")),
        Role::Service | Role::Staff | Role::Admin => named.cloned(),
    }
}

fn requested_lines(lines: &Lines) -> Vec<OrderLine> {
    let line = |line: &Line| OrderLine {
        sku: line.sku.clone(),
        quantity: line.quantity.get(),
        unit_price: None,
        allocations: Vec::new(),
    };
    lines.iter().map(line).collect()
}

/// What was taken for the lines of an order or hold.
pub(crate) struct Taken {
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub shortages: Vec<Shortage>,
}

/// Takes all lines or none; with `allow_partial`, what there is. Changes nothing: the caller's event does.
pub(crate) fn take(
    ledger: &Ledger,
    lines: &Lines,
    ship_to: Option<GeoPoint>,
    allow_partial: bool,
) -> Result<Taken, Rejection> {
    let unknown: Vec<Sku> =
        lines.iter().filter(|line| ledger.sku(&line.sku).is_none()).map(|line| line.sku.clone()).collect();
    if !unknown.is_empty() {
        return Err(Rejection::UnknownSku { skus: unknown });
    }
    let states: Vec<(&Line, &SkuState)> = lines
        .iter()
        .map(|line| (line, ledger.sku(&line.sku).expect("unknown SKUs were refused above")))
        .collect();
    let archived: Vec<Sku> = states
        .iter()
        .filter(|(_, state)| state.item.status == ItemStatus::Archived)
        .map(|(line, _)| line.sku.clone())
        .collect();
    if !archived.is_empty() {
        return Err(Rejection::ItemArchived { skus: archived });
    }
    let mut excess = Vec::new();
    for (line, state) in &states {
        let maximum = state.item.max_per_order.map_or(i64::MAX, Quantity::get);
        if line.quantity.get() > maximum {
            let requested = line.quantity.get();
            excess.push(Shortage { sku: line.sku.clone(), requested, available: maximum });
        }
    }
    if !excess.is_empty() {
        return Err(Rejection::MaxPerOrder { excess });
    }
    let currency = states[0].1.item.price.0.currency;
    if states.iter().any(|(_, state)| state.item.price.0.currency != currency) {
        return Err(Rejection::MixedCurrencies);
    }
    let mut shortages = Vec::new();
    for (line, state) in &states {
        let (requested, available) = (line.quantity.get(), state.available());
        if available < requested {
            shortages.push(Shortage { sku: line.sku.clone(), requested, available });
        }
    }
    let something = states.iter().any(|(_, state)| state.available() > 0);
    let enough = shortages.is_empty() || (allow_partial && something);
    if !enough {
        return Err(Rejection::InsufficientStock { shortages, order_id: None });
    }
    let mut taken = Vec::with_capacity(states.len());
    let mut total: i128 = 0;
    for (line, state) in states {
        let quantity = line.quantity.get().min(state.available());
        if quantity == 0 {
            continue;
        }
        let price = state.item.price.0;
        total += i128::from(price.amount) * i128::from(quantity);
        taken.push(OrderLine {
            sku: line.sku.clone(),
            quantity,
            unit_price: Some(price),
            allocations: allocate(ledger, state, quantity, ship_to),
        });
    }
    let amount = i64::try_from(total).map_err(|_| Rejection::TotalTooLarge)?;
    Ok(Taken { lines: taken, total: Money { amount, currency }, shortages })
}

/// Chooses the locations of a line: nearest first when it is known where to, else by priority. Between equals, the
/// fewest splits: a location that covers what is left (the one with the least to spare), else the fullest one.
fn allocate(ledger: &Ledger, state: &SkuState, quantity: i64, ship_to: Option<GeoPoint>) -> Vec<Allocation> {
    let allocation = |location: &LocationCode, quantity| Allocation {
        location: location.clone(),
        quantity,
        fulfilled: 0,
        returned: 0,
    };
    if let [only] = state.stock.as_slice() {
        assert!(only.available() >= quantity, "only what is available is allocated");
        return vec![allocation(&only.location, quantity)];
    }
    let mut candidates: Vec<(Rank, i64, &LocationCode)> = state
        .stock
        .iter()
        .filter(|row| row.available() > 0)
        .map(|row| (rank(ledger, &row.location, ship_to), row.available(), &row.location))
        .collect();
    let mut left = quantity;
    let mut chosen = Vec::new();
    while left > 0 {
        let best = candidates
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| {
                let (covers_a, covers_b) = (a.1 >= left, b.1 >= left);
                let by_size = match (covers_a, covers_b) {
                    (true, true) => a.1.cmp(&b.1),
                    (false, false) => b.1.cmp(&a.1),
                    (true, false) => std::cmp::Ordering::Less,
                    (false, true) => std::cmp::Ordering::Greater,
                };
                a.0.compare(&b.0).then(by_size).then_with(|| a.2.cmp(b.2))
            })
            .map(|(index, _)| index)
            .expect("the locations together hold what is available");
        let (_, available, location) = candidates.swap_remove(best);
        let part = available.min(left);
        chosen.push(allocation(location, part));
        left -= part;
    }
    chosen
}

/// How early a location is taken from; smaller is earlier.
struct Rank {
    distance_km: f64,
    priority: i32,
}

impl Rank {
    fn compare(&self, other: &Rank) -> std::cmp::Ordering {
        self.distance_km.total_cmp(&other.distance_km).then(self.priority.cmp(&other.priority))
    }
}

fn rank(ledger: &Ledger, code: &LocationCode, ship_to: Option<GeoPoint>) -> Rank {
    let location = ledger.location(code).expect("stock lies only at known locations");
    let distance_km = match (ship_to, location.point()) {
        (Some(to), Some(from)) => distance_km(from, to),
        // Somewhere unknown is farther than anywhere on Earth.
        (Some(_), None) => 50_000.0,
        (None, _) => 0.0,
    };
    Rank { distance_km, priority: location.priority }
}

/// Great-circle distance by the haversine formula, on a sphere of 6,371 km.
fn distance_km(from: GeoPoint, to: GeoPoint) -> f64 {
    let (lat_a, lat_b) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_long = (to.longitude - from.longitude).to_radians() / 2.0;
    let chord = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_long.sin().powi(2);
    2.0 * 6_371.0 * chord.sqrt().min(1.0).asin()
}

/// An order is always decided into an event: `order.accepted`, or `order.rejected` with the reason.
pub(crate) fn decide_place(
    ledger: &Ledger,
    actor: &Actor,
    id: Uuid,
    command: &PlaceOrder,
    fingerprint: Fingerprint,
) -> Vec<Event> {
    let customer = customer_for(actor, command.customer.as_ref());
    let event = match take(ledger, &command.lines, command.ship_to, command.allow_partial) {
        Ok(taken) => Event::OrderAccepted {
            order_id: id,
            customer,
            lines: taken.lines,
            total: taken.total,
            shortages: taken.shortages,
            fingerprint,
        },
        Err(rejection) => Event::OrderRejected {
            order_id: id,
            customer,
            lines: command.lines.iter().cloned().collect(),
            code: RejectionCode(SmolStr::new_static(rejection.code())),
            shortages: concerned(&rejection, &command.lines),
            fingerprint,
        },
    };
    vec![event]
}

/// The SKUs that a rejection is about, in the form that the log keeps.
fn concerned(rejection: &Rejection, lines: &Lines) -> Vec<Shortage> {
    match rejection {
        Rejection::InsufficientStock { shortages, .. } => shortages.clone(),
        Rejection::MaxPerOrder { excess } => excess.clone(),
        Rejection::UnknownSku { skus } | Rejection::ItemArchived { skus } => lines
            .iter()
            .filter(|line| skus.contains(&line.sku))
            .map(|line| Shortage { sku: line.sku.clone(), requested: line.quantity.get(), available: 0 })
            .collect(),
        Rejection::UnknownLocation { .. }
        | Rejection::DuplicateLocation { .. }
        | Rejection::SameLocation
        | Rejection::MixedCurrencies
        | Rejection::TotalTooLarge
        | Rejection::NegativeStock { .. }
        | Rejection::StockLimit { .. }
        | Rejection::WrongState { .. }
        | Rejection::HoldExpired
        | Rejection::HoldTooLong
        | Rejection::SkuExists { .. }
        | Rejection::LocationExists { .. }
        | Rejection::ItemInUse { .. }
        | Rejection::StaleVersion { .. }
        | Rejection::NotFound
        | Rejection::IdTaken
        | Rejection::CommandIdReused
        | Rejection::Forbidden
        | Rejection::InvalidParts { .. }
        | Rejection::NotProcessable { .. } => Vec::new(),
    }
}

fn order<'a>(ledger: &'a Ledger, actor: &Actor, id: Uuid) -> Result<&'a Order, Rejection> {
    let order = ledger.order(id).ok_or(Rejection::NotFound)?;
    if actor.may_act_for(order.customer.as_ref()) { Ok(order) } else { Err(Rejection::NotFound) }
}

pub(crate) fn decide_cancel(
    ledger: &Ledger,
    actor: &Actor,
    command: &CancelOrder,
) -> Result<Vec<Event>, Rejection> {
    let order = order(ledger, actor, command.order_id)?;
    if order.status != OrderStatus::Accepted || order.progress.fulfilled > 0 {
        return Err(Rejection::wrong_state(order));
    }
    Ok(vec![Event::OrderCancelled { order_id: order.id, parts: parts(&order.lines) }])
}

/// What of an order is asked for, spread over its allocations: `room` says how many units an allocation can give.
fn spread(
    order: &Order,
    lines: Option<&[PartLine]>,
    room: impl Fn(&Allocation) -> i64,
    pinned: bool,
) -> Result<Vec<(Sku, LocationCode, LocationCode, i64)>, Rejection> {
    let mut rooms: Vec<(&Sku, &LocationCode, i64)> = allocations(&order.lines)
        .map(|(sku, allocation)| (sku, &allocation.location, room(allocation)))
        .collect();
    let mut spread = Vec::new();
    let Some(lines) = lines else {
        spread.extend(
            rooms
                .into_iter()
                .filter(|(_, _, units)| *units > 0)
                .map(|(sku, location, units)| (sku.clone(), location.clone(), location.clone(), units)),
        );
        return Ok(spread);
    };
    if lines.is_empty() {
        return Err(Rejection::InvalidParts {
            detail: "lines must not be empty; leave them out for all".to_owned(),
        });
    }
    for line in lines {
        let mut left = line.quantity.get();
        for (sku, location, units) in &mut rooms {
            // `pinned`: the named location is where the units are, not where they go to.
            let here = !pinned || line.location.as_ref().is_none_or(|wanted| wanted == *location);
            if **sku == line.sku && here && left > 0 && *units > 0 {
                let part = left.min(*units);
                let target = line.location.as_ref().unwrap_or(location);
                spread.push((line.sku.clone(), target.clone(), (*location).clone(), part));
                *units -= part;
                left -= part;
            }
        }
        if left > 0 {
            let at = line.location.as_ref().map(|l| format!(" at {l}")).unwrap_or_default();
            let detail =
                format!("{} of {}{at}: {left} more than the order has left", line.quantity.get(), line.sku);
            return Err(Rejection::InvalidParts { detail });
        }
    }
    Ok(spread)
}

pub(crate) fn decide_fulfil(
    ledger: &Ledger,
    actor: &Actor,
    command: &FulfilOrder,
) -> Result<Vec<Event>, Rejection> {
    let order = order(ledger, actor, command.order_id)?;
    if order.status != OrderStatus::Accepted {
        return Err(Rejection::wrong_state(order));
    }
    let mut parts: Vec<FulfilledPart> = Vec::new();
    for (sku, location, _, quantity) in spread(
        order,
        command.lines.as_deref(),
        |allocation| allocation.quantity - allocation.fulfilled,
        true,
    )? {
        let left_already: i64 =
            parts.iter().filter(|p| p.sku == sku && p.location == location).map(|p| p.quantity).sum();
        let state = ledger.sku(&sku).expect("the items of an order are known");
        let row =
            state.stock.iter().find(|row| row.location == location).expect("an allocation has a stock row");
        let there = row.on_hand - left_already;
        if there < quantity {
            return Err(Rejection::NegativeStock { there, wanted: quantity });
        }
        parts.push(FulfilledPart { sku, location, quantity, on_hand_after: there - quantity });
    }
    let leaving: i64 = parts.iter().map(|part| part.quantity).sum();
    let complete = order.progress.fulfilled + leaving == order.progress.ordered;
    Ok(vec![Event::OrderFulfilled { order_id: order.id, parts, complete }])
}

pub(crate) fn decide_return(
    ledger: &Ledger,
    actor: &Actor,
    command: &ReturnOrder,
) -> Result<Vec<Event>, Rejection> {
    let order = order(ledger, actor, command.order_id)?;
    if order.status != OrderStatus::Fulfilled {
        return Err(Rejection::wrong_state(order));
    }
    let mut parts: Vec<ReturnedPart> = Vec::new();
    for (sku, location, origin, quantity) in spread(
        order,
        command.lines.as_deref(),
        |allocation| allocation.fulfilled - allocation.returned,
        false,
    )? {
        if ledger.location(&location).is_none() {
            return Err(Rejection::UnknownLocation { location });
        }
        let came_already: i64 =
            parts.iter().filter(|p| p.sku == sku && p.location == location).map(|p| p.quantity).sum();
        let state = ledger.sku(&sku).expect("the items of an order are known");
        let there = state.stock.iter().find(|row| row.location == location).map_or(0, |row| row.on_hand);
        let on_hand_after = there + came_already + quantity;
        parts.push(ReturnedPart { sku, location, origin, quantity, on_hand_after });
    }
    let coming: i64 = parts.iter().map(|part| part.quantity).sum();
    let complete = order.progress.returned + coming == order.progress.fulfilled;
    Ok(vec![Event::OrderReturned { order_id: order.id, parts, disposition: command.disposition, complete }])
}

impl Order {
    pub(crate) fn fulfil(&mut self, parts: &[FulfilledPart], complete: bool) {
        for part in parts {
            let mut left = part.quantity;
            for allocation in self.allocations_mut(&part.sku, &part.location) {
                let here = left.min(allocation.quantity - allocation.fulfilled);
                allocation.fulfilled += here;
                left -= here;
            }
            assert_eq!(left, 0, "an order never fulfils more than it has");
            self.progress.fulfilled += part.quantity;
        }
        if complete {
            self.status = OrderStatus::Fulfilled;
        }
    }

    pub(crate) fn take_back(&mut self, parts: &[ReturnedPart], complete: bool) {
        for part in parts {
            let mut left = part.quantity;
            for allocation in self.allocations_mut(&part.sku, &part.origin) {
                let here = left.min(allocation.fulfilled - allocation.returned);
                allocation.returned += here;
                left -= here;
            }
            assert_eq!(left, 0, "no more comes back than had left");
            self.progress.returned += part.quantity;
        }
        if complete {
            self.status = OrderStatus::Returned;
        }
    }

    fn allocations_mut<'a>(
        &'a mut self,
        sku: &'a Sku,
        location: &'a LocationCode,
    ) -> impl Iterator<Item = &'a mut Allocation> {
        self.lines
            .iter_mut()
            .filter(move |line| line.sku == *sku)
            .flat_map(|line| line.allocations.iter_mut())
            .filter(move |allocation| allocation.location == *location)
    }
}
