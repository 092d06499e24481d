//! Orders and holds, followed from their first event on and compared with the tables.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use holdfast_domain::{Hold, HoldStatus, Order, OrderLine, OrderStatus, Position, Shortage, Timestamp};
use uuid::Uuid;

use super::Difference;
use super::books::Books;
use super::facts::{Amount, CameFact, Entry, Fact, LeftFact, LineFact, PartFact, ShortageFact};

/// Where a rejected line would have come from.
const NOWHERE: u32 = u32::MAX;

/// Units of one SKU at one location within an order or hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    sku: u32,
    location: u32,
    /// Minor units for one; -1 for none.
    price: i64,
    quantity: u32,
    fulfilled: u32,
    returned: u32,
}

/// What an order or hold is by the log. Small: a log may have millions.
pub struct Claim<S> {
    status: S,
    placed_at: Timestamp,
    position: Position,
    /// Of the last event about it.
    changed: Position,
    /// Minor units; -1 for none.
    total: i64,
    currency: [u8; 3],
    /// Of holds; the second is the first one.
    expires_at: (Timestamp, Timestamp),
    /// A hash of what is only compared: who it is for, who placed it, why it was rejected, what was short.
    rest: u64,
    shares: Box<[Share]>,
    seen: bool,
}

#[derive(Default)]
pub struct Claims {
    pub orders: HashMap<Uuid, Claim<OrderStatus>>,
    pub holds: HashMap<Uuid, Claim<HoldStatus>>,
}

impl Claims {
    /// Follows one event. The books have it already, so all names in it are known.
    pub fn enter(
        &mut self,
        entry: &Entry<'_>,
        at: Position,
        decided_at: Timestamp,
        books: &mut Books,
    ) -> Result<(), Difference> {
        match &entry.event {
            Fact::ItemAdded { .. }
            | Fact::ItemUpdated { .. }
            | Fact::ItemArchived { .. }
            | Fact::LocationPut { .. }
            | Fact::Received { .. }
            | Fact::Adjusted { .. }
            | Fact::Counted { .. }
            | Fact::Transferred { .. }
            | Fact::Unavailable { .. }
            | Fact::Incoming { .. }
            | Fact::Levels { .. } => Ok(()),
            Fact::Accepted { order_id, customer, lines, total, shortages } => {
                let confirmed = match self.holds.get(order_id) {
                    Some(hold)
                        if hold.status != HoldStatus::Confirmed || hold.changed != Position(at.0 - 1) =>
                    {
                        return wrong(
                            at,
                            format!("order {order_id} has the id of a hold that was not just confirmed"),
                        );
                    }
                    hold => hold.map(|hold| (&hold.shares, hold.total)),
                };
                let claim = Claim {
                    status: OrderStatus::Accepted,
                    placed_at: decided_at,
                    position: at,
                    changed: at,
                    total: total.amount,
                    currency: currency(total, at)?,
                    expires_at: Default::default(),
                    rest: rest(customer.as_deref(), &entry.actor, None, short(shortages)),
                    shares: shares(lines, total, at, books)?,
                    seen: false,
                };
                if confirmed.is_some_and(|(held, total)| *held != claim.shares || total != claim.total) {
                    return wrong(at, format!("order {order_id} differs from the hold that it was made of"));
                }
                self.new_order(*order_id, claim)
            }
            Fact::Rejected { order_id, customer, lines, code, shortages } => {
                let mut asked = Vec::with_capacity(lines.len());
                for line in lines {
                    // A rejected order may name what does not exist.
                    let sku = books.skus.number(line.sku);
                    let quantity = units(line.quantity, at)?;
                    asked.push(Share {
                        sku,
                        location: NOWHERE,
                        price: -1,
                        quantity,
                        fulfilled: 0,
                        returned: 0,
                    });
                }
                self.new_order(
                    *order_id,
                    Claim {
                        status: OrderStatus::Rejected,
                        placed_at: decided_at,
                        position: at,
                        changed: at,
                        total: -1,
                        currency: [0; 3],
                        expires_at: Default::default(),
                        rest: rest(customer.as_deref(), &entry.actor, Some(code), short(shortages)),
                        shares: asked.into(),
                        seen: false,
                    },
                )
            }
            Fact::Cancelled { order_id, parts } => {
                let order = self.order(*order_id, OrderStatus::Accepted, at)?;
                order.gives_back(parts, at, books)?;
                if order.shares.iter().any(|share| share.fulfilled > 0) {
                    return wrong(at, format!("order {order_id} is cancelled after units of it left"));
                }
                order.status = OrderStatus::Cancelled;
                Ok(())
            }
            Fact::Fulfilled { order_id, parts, complete } => {
                let order = self.order(*order_id, OrderStatus::Accepted, at)?;
                order.leave(parts, at, books)?;
                let all = order.shares.iter().all(|share| share.fulfilled == share.quantity);
                if all != *complete {
                    return wrong(
                        at,
                        format!("order {order_id} is said to be fulfilled: {complete}, but it is: {all}"),
                    );
                }
                if all {
                    order.status = OrderStatus::Fulfilled;
                }
                Ok(())
            }
            Fact::Returned { order_id, parts, complete, .. } => {
                let order = self.order(*order_id, OrderStatus::Fulfilled, at)?;
                order.come_back(parts, at, books)?;
                let all = order.shares.iter().all(|share| share.returned == share.fulfilled);
                if all != *complete {
                    return wrong(
                        at,
                        format!("order {order_id} is said to be returned: {complete}, but it is: {all}"),
                    );
                }
                if all {
                    order.status = OrderStatus::Returned;
                }
                Ok(())
            }
            Fact::HoldPlaced { hold_id, customer, lines, total, expires_at } => {
                let claim = Claim {
                    status: HoldStatus::Held,
                    placed_at: decided_at,
                    position: at,
                    changed: at,
                    total: total.amount,
                    currency: currency(total, at)?,
                    expires_at: (*expires_at, *expires_at),
                    rest: rest(customer.as_deref(), &entry.actor, None, std::iter::empty()),
                    shares: shares(lines, total, at, books)?,
                    seen: false,
                };
                if self.orders.contains_key(hold_id) || self.holds.insert(*hold_id, claim).is_some() {
                    return wrong(at, format!("hold {hold_id} is placed twice"));
                }
                Ok(())
            }
            Fact::HoldExtended { hold_id, expires_at } => {
                self.hold(*hold_id, at)?.expires_at.0 = *expires_at;
                Ok(())
            }
            Fact::HoldConfirmed { hold_id, parts } => {
                let hold = self.hold(*hold_id, at)?;
                hold.gives_back(parts, at, books)?;
                hold.status = HoldStatus::Confirmed;
                Ok(())
            }
            Fact::HoldReleased { hold_id, parts } => {
                let hold = self.hold(*hold_id, at)?;
                hold.gives_back(parts, at, books)?;
                hold.status = HoldStatus::Released;
                Ok(())
            }
            Fact::HoldExpired { hold_id, parts } => {
                let hold = self.hold(*hold_id, at)?;
                hold.gives_back(parts, at, books)?;
                if hold.expires_at.0 > decided_at {
                    let until = hold.expires_at.0;
                    return wrong(
                        at,
                        format!("hold {hold_id} expires at {decided_at}, but it was to hold until {until}"),
                    );
                }
                hold.status = HoldStatus::Expired;
                Ok(())
            }
        }
    }

    fn new_order(&mut self, id: Uuid, claim: Claim<OrderStatus>) -> Result<(), Difference> {
        let at = claim.position;
        match self.orders.insert(id, claim) {
            None => Ok(()),
            Some(first) => {
                wrong(at, format!("order {id} is decided again, first at position {}", first.position))
            }
        }
    }

    /// The order that an event at `at` is about, which must be in this state.
    fn order(
        &mut self,
        id: Uuid,
        status: OrderStatus,
        at: Position,
    ) -> Result<&mut Claim<OrderStatus>, Difference> {
        match self.orders.get_mut(&id) {
            Some(order) if order.status == status => {
                order.changed = at;
                Ok(order)
            }
            Some(order) => {
                wrong(at, format!("order {id} is {}, not {}", order.status.as_str(), status.as_str()))
            }
            None => wrong(at, format!("there is no order {id}")),
        }
    }

    fn hold(&mut self, id: Uuid, at: Position) -> Result<&mut Claim<HoldStatus>, Difference> {
        match self.holds.get_mut(&id) {
            Some(hold) if hold.status == HoldStatus::Held => {
                hold.changed = at;
                Ok(hold)
            }
            Some(hold) => wrong(at, format!("hold {id} has ended before: it is {}", hold.status.as_str())),
            None => wrong(at, format!("there is no hold {id}")),
        }
    }

    // Comparing.

    pub fn saw_order(&mut self, id: Uuid) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.seen = true;
        }
    }

    pub fn saw_hold(&mut self, id: Uuid) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.seen = true;
        }
    }

    pub fn unseen_orders(&self) -> Vec<Uuid> {
        self.orders.iter().filter(|(_, order)| !order.seen).map(|(id, _)| *id).collect()
    }

    pub fn unseen_holds(&self) -> Vec<Uuid> {
        self.holds.iter().filter(|(_, hold)| !hold.seen).map(|(id, _)| *id).collect()
    }

    /// Of the last event about it; 0 when there is none.
    pub fn order_changed(&self, id: Uuid) -> Position {
        self.orders.get(&id).map_or(Position(0), |order| order.changed)
    }

    pub fn hold_changed(&self, id: Uuid) -> Position {
        self.holds.get(&id).map_or(Position(0), |hold| hold.changed)
    }

    pub fn order_row_difference(&self, id: Uuid, row: Option<&Order>, books: &Books) -> Option<Difference> {
        match row {
            Some(order) => self.order_difference(order, books),
            None => self.orders.get(&id).map(|log| {
                Difference(format!(
                    "Order {id} of position {} is in the log but not in the tables.",
                    log.position
                ))
            }),
        }
    }

    pub fn hold_row_difference(&self, id: Uuid, row: Option<&Hold>, books: &Books) -> Option<Difference> {
        match row {
            Some(hold) => self.hold_difference(hold, books),
            None => self.holds.get(&id).map(|log| {
                Difference(format!(
                    "Hold {id} of position {} is in the log but not in the tables.",
                    log.position
                ))
            }),
        }
    }

    /// Where a row and the log differ, if they do.
    pub fn order_difference(&self, order: &Order, books: &Books) -> Option<Difference> {
        let id = order.id;
        let Some(log) = self.orders.get(&id) else {
            // Taken, but not decided: the log knows nothing of it yet.
            let pending = order.status == OrderStatus::Pending;
            return (!pending)
                .then(|| Difference(format!("Order {id} is in the tables but not in the log.")));
        };
        let code = order.code.as_ref().map(|code| code.0.as_str());
        let row = Row {
            status: order.status.as_str(),
            lines: &order.lines,
            total: order.total.map_or(-1, |total| total.amount),
            currency: order.total.map(|total| total.currency.as_str().to_owned()),
            placed_at: order.placed_at,
            position: order.position,
            rest: rest(
                order.customer.as_ref().map(|c| c.as_str()),
                &order.placed_by,
                code,
                rows(&order.shortages),
            ),
        };
        let ordered =
            |own: fn(&Share) -> u32| log.shares.iter().map(|share| i64::from(own(share))).sum::<i64>();
        let placed = order.status != OrderStatus::Rejected;
        let progress = order.progress;
        let what = log.difference(log.status.as_str(), &row, books).or_else(|| {
            [
                ("ordered", progress.ordered, if placed { ordered(|share| share.quantity) } else { 0 }),
                ("fulfilled", progress.fulfilled, ordered(|share| share.fulfilled)),
                ("returned", progress.returned, ordered(|share| share.returned)),
            ]
            .into_iter()
            .find(|(_, table, log)| table != log)
            .map(|(name, table, log)| differ(name, table, log))
        })?;
        Some(Difference(format!("Order {id}: {what}.")))
    }

    pub fn hold_difference(&self, hold: &Hold, books: &Books) -> Option<Difference> {
        let id = hold.id;
        let Some(log) = self.holds.get(&id) else {
            return Some(Difference(format!("Hold {id} is in the tables but not in the log.")));
        };
        let row = Row {
            status: hold.status.as_str(),
            lines: &hold.lines,
            total: hold.total.amount,
            currency: Some(hold.total.currency.as_str().to_owned()),
            placed_at: hold.placed_at,
            position: hold.position,
            rest: rest(hold.customer.as_ref().map(|c| c.as_str()), &hold.placed_by, None, std::iter::empty()),
        };
        let what = log.difference(log.status.as_str(), &row, books).or_else(|| {
            let table = (hold.expires_at, hold.first_expires_at);
            (table != log.expires_at).then(|| differ("its expiry", table.0, log.expires_at.0))
        })?;
        Some(Difference(format!("Hold {id}: {what}.")))
    }
}

/// What orders and holds have in common in the tables.
struct Row<'a> {
    status: &'a str,
    lines: &'a [OrderLine],
    total: i64,
    currency: Option<String>,
    placed_at: Timestamp,
    position: Position,
    rest: u64,
}

fn differ(name: &str, table: impl std::fmt::Display, log: impl std::fmt::Display) -> String {
    format!("{name} is {table} in the tables, but {log} by the log")
}

impl<S> Claim<S> {
    fn difference(&self, status: &str, row: &Row<'_>, books: &Books) -> Option<String> {
        if row.status != status {
            return Some(differ("its status", row.status, status));
        }
        if row.position != self.position {
            return Some(differ("its position", row.position, self.position));
        }
        if row.placed_at != self.placed_at {
            return Some(differ("its time", row.placed_at, self.placed_at));
        }
        let currency = String::from_utf8_lossy(&self.currency);
        if row.total != self.total || row.currency.as_deref().is_some_and(|code| code != currency) {
            return Some(differ("its total", row.total, format!("{} {currency}", self.total)));
        }
        if let Some(what) = self.lines_difference(row.lines, books) {
            return Some(what);
        }
        let same = row.rest == self.rest;
        (!same).then(|| {
            "who it is for, who placed it, its reason or its shortages are not those of the log".to_owned()
        })
    }

    fn lines_difference(&self, lines: &[OrderLine], books: &Books) -> Option<String> {
        let mut own = self.shares.iter();
        for line in lines {
            let sku = books.skus.find(line.sku.as_str());
            let price = line.unit_price.map_or(-1, |price| price.amount);
            let nowhere = [(NOWHERE, line.quantity, 0, 0)];
            let table: Vec<(u32, i64, i64, i64)> = if line.allocations.is_empty() {
                nowhere.to_vec()
            } else {
                let place = |code: &str| books.locations.find(code).unwrap_or(NOWHERE);
                let share = |a: &holdfast_domain::Allocation| {
                    (place(a.location.as_str()), a.quantity, a.fulfilled, a.returned)
                };
                line.allocations.iter().map(share).collect()
            };
            if table.iter().map(|share| share.1).sum::<i64>() != line.quantity {
                return Some(format!(
                    "its line of {} has {} units, its locations another sum",
                    line.sku, line.quantity
                ));
            }
            for (location, quantity, fulfilled, returned) in table {
                let Some(share) = own.next() else {
                    return Some(format!("the tables have a line of {} that the log has not", line.sku));
                };
                let log = (
                    Some(share.sku),
                    share.location,
                    share.price,
                    i64::from(share.quantity),
                    i64::from(share.fulfilled),
                    i64::from(share.returned),
                );
                if (sku, location, price, quantity, fulfilled, returned) != log {
                    let text = |sku: &str, location, price, quantity, fulfilled, returned| {
                        let place =
                            if location == NOWHERE { "nowhere" } else { books.locations.text(location) };
                        format!(
                            "{quantity} of {sku} from {place} at {price} ({fulfilled} fulfilled, {returned} returned)"
                        )
                    };
                    return Some(differ(
                        "a line",
                        text(line.sku.as_str(), location, price, quantity, fulfilled, returned),
                        text(books.skus.text(share.sku), log.1, log.2, log.3, log.4, log.5),
                    ));
                }
            }
        }
        own.next().map(|share| format!("the tables miss its line of {}", books.skus.text(share.sku)))
    }

    /// A claim that ends gives back exactly what it took.
    fn gives_back(&self, parts: &[PartFact<'_>], at: Position, books: &Books) -> Result<(), Difference> {
        let same = parts.len() == self.shares.len()
            && parts.iter().zip(&self.shares).all(|(part, share)| {
                books.skus.find(part.sku) == Some(share.sku)
                    && books.locations.find(part.location) == Some(share.location)
                    && part.quantity == i64::from(share.quantity)
            });
        if same { Ok(()) } else { wrong(at, "other units are given back than were taken".to_owned()) }
    }

    fn leave(&mut self, parts: &[LeftFact<'_>], at: Position, books: &Books) -> Result<(), Difference> {
        for part in parts {
            let left = self.spread(part.sku, part.location, part.quantity, books, |share, left| {
                let here = left.min(i64::from(share.quantity - share.fulfilled));
                share.fulfilled += u32::try_from(here).expect("at most a share's quantity");
                here
            });
            if left != 0 {
                return wrong(
                    at,
                    format!("{left} more of {} leave {} than the order has", part.sku, part.location),
                );
            }
        }
        Ok(())
    }

    fn come_back(&mut self, parts: &[CameFact<'_>], at: Position, books: &Books) -> Result<(), Difference> {
        for part in parts {
            let left = self.spread(part.sku, part.origin, part.quantity, books, |share, left| {
                let here = left.min(i64::from(share.fulfilled - share.returned));
                share.returned += u32::try_from(here).expect("at most a share's quantity");
                here
            });
            if left != 0 {
                return wrong(
                    at,
                    format!("{left} more of {} come back to {} than had left", part.sku, part.location),
                );
            }
        }
        Ok(())
    }

    fn spread(
        &mut self,
        sku: &str,
        location: &str,
        quantity: i64,
        books: &Books,
        mut take: impl FnMut(&mut Share, i64) -> i64,
    ) -> i64 {
        let place = (books.skus.find(sku), books.locations.find(location));
        let mut left = quantity;
        for share in self.shares.iter_mut().filter(|share| (Some(share.sku), Some(share.location)) == place) {
            left -= take(share, left);
        }
        left
    }
}

/// The units of the lines; proves that each line is the sum of its parts and the total the sum of the lines.
fn shares(
    lines: &[LineFact<'_>],
    total: &Amount,
    at: Position,
    books: &mut Books,
) -> Result<Box<[Share]>, Difference> {
    let mut shares = Vec::with_capacity(lines.len());
    let mut sum: i128 = 0;
    for line in lines {
        let Some(price) = &line.unit_price else {
            return wrong(at, format!("a line of {} has no price", line.sku));
        };
        if price.currency != total.currency {
            return wrong(
                at,
                format!("a line of {} is in {}, the total in {}", line.sku, price.currency, total.currency),
            );
        }
        let parts: i64 = line.allocations.iter().map(|share| share.quantity).sum();
        if parts != line.quantity {
            return wrong(
                at,
                format!("a line has {} of {}, its locations give {parts}", line.quantity, line.sku),
            );
        }
        sum += i128::from(price.amount) * i128::from(line.quantity);
        let sku = books.skus.number(line.sku);
        for share in &line.allocations {
            let (location, quantity) = (books.locations.number(share.location), units(share.quantity, at)?);
            shares.push(Share { sku, location, price: price.amount, quantity, fulfilled: 0, returned: 0 });
        }
    }
    if sum != i128::from(total.amount) {
        return wrong(at, format!("a total is {}, its lines add up to {sum}", total.amount));
    }
    Ok(shares.into())
}

fn units(quantity: i64, at: Position) -> Result<u32, Difference> {
    u32::try_from(quantity).or_else(|_| wrong(at, format!("a line has {quantity} units")))
}

fn currency(amount: &Amount, at: Position) -> Result<[u8; 3], Difference> {
    let code = amount.currency.as_bytes().try_into();
    code.or_else(|_| wrong(at, format!("{} is no currency", amount.currency)))
}

fn short<'a>(shortages: &'a [ShortageFact<'a>]) -> impl Iterator<Item = (&'a str, i64, i64)> {
    shortages.iter().map(|short| (short.sku, short.requested, short.available))
}

fn rows(shortages: &[Shortage]) -> impl Iterator<Item = (&str, i64, i64)> {
    shortages.iter().map(|short| (short.sku.as_str(), short.requested, short.available))
}

fn rest<'a>(
    customer: Option<&str>,
    placed_by: &str,
    code: Option<&str>,
    shortages: impl Iterator<Item = (&'a str, i64, i64)>,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    (customer, placed_by, code).hash(&mut hasher);
    shortages.for_each(|short| short.hash(&mut hasher));
    hasher.finish()
}

fn wrong<T>(at: Position, what: String) -> Result<T, Difference> {
    Err(Difference(format!("The log contradicts itself at position {at}: {what}.")))
}
