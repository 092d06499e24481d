//! The working set of one batch: the items, stock rows, orders and holds that its commands touch, and the two
//! functions that everything rests on: [`Ledger::decide`] says what a command makes happen, [`Ledger::evolve`]
//! makes it so.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use foldhash::{HashMap, HashSet};
use uuid::Uuid;

use crate::command::{Command, CommandBody, Fingerprint};
use crate::event::{CounterDelta, Event, Recorded};
use crate::hold::{self, Hold, HoldStatus};
use crate::item::{self, Item, ItemStatus, Location};
use crate::order::{self, Json, Order, OrderStatus, Progress};
use crate::outcome::{Answer, Outcome, Rejection};
use crate::stock::{self, StockRow};
use crate::values::{LocationCode, Position, Sku, Timestamp};

/// An item with its stock rows, sorted by location code.
#[derive(Debug, Clone, PartialEq)]
pub struct SkuState {
    pub item: Arc<Item>,
    pub stock: Vec<StockRow>,
}

impl SkuState {
    pub fn available(&self) -> i64 {
        self.stock.iter().map(StockRow::available).sum()
    }
}

/// What a batch must have in its ledger before it can be decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys {
    pub skus: HashSet<Sku>,
    /// Ids of orders and holds; both tables are asked for each.
    pub claims: HashSet<Uuid>,
}

impl Keys {
    /// The keys that a command names itself. The SKUs of the orders and holds among them come second:
    /// [`Ledger::skus_of_claims`].
    pub fn add(&mut self, command: &Command) {
        self.claims.insert(command.id);
        // A key may be the id of what it placed when it came alone.
        self.claims.extend(command.key);
        match &command.body {
            CommandBody::PlaceOrder(order) => {
                self.skus.extend(order.lines.iter().map(|line| line.sku.clone()))
            }
            CommandBody::PlaceHold(hold) => self.skus.extend(hold.lines.iter().map(|line| line.sku.clone())),
            CommandBody::CancelOrder(cancel) => drop(self.claims.insert(cancel.order_id)),
            CommandBody::FulfilOrder(fulfil) => drop(self.claims.insert(fulfil.order_id)),
            CommandBody::ReturnOrder(back) => drop(self.claims.insert(back.order_id)),
            CommandBody::ConfirmHold(confirm) => drop(self.claims.insert(confirm.hold_id)),
            CommandBody::ExtendHold(extend) => drop(self.claims.insert(extend.hold_id)),
            CommandBody::ReleaseHold(release) => drop(self.claims.insert(release.hold_id)),
            CommandBody::AddItem(add) => match &add.sku {
                Some(sku) => drop(self.skus.insert(sku.clone())),
                None => self.skus.extend(item::sku_candidates(&add.brand, &add.model, salt(command.id))),
            },
            CommandBody::UpdateItem(update) => drop(self.skus.insert(update.sku.clone())),
            CommandBody::RemoveItem(remove) => drop(self.skus.insert(remove.sku.clone())),
            CommandBody::ReceiveStock(receive) => drop(self.skus.insert(receive.sku.clone())),
            CommandBody::AdjustStock(adjust) => drop(self.skus.insert(adjust.sku.clone())),
            CommandBody::CountStock(count) => drop(self.skus.insert(count.sku.clone())),
            CommandBody::TransferStock(transfer) => drop(self.skus.insert(transfer.sku.clone())),
            CommandBody::MoveUnavailable(moved) => drop(self.skus.insert(moved.sku.clone())),
            CommandBody::ChangeIncoming(incoming) => drop(self.skus.insert(incoming.sku.clone())),
            CommandBody::SetLevels(levels) => drop(self.skus.insert(levels.sku.clone())),
            CommandBody::PutLocation(_) | CommandBody::Sweep => {}
        }
    }
}

/// Digits for a made-up SKU, from the command's id: the same command makes the same SKU.
fn salt(id: Uuid) -> u64 {
    id.as_u64_pair().1
}

/// What a batch changed and therefore has to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Touched {
    pub items: HashSet<Sku>,
    pub stock: HashSet<(Sku, LocationCode)>,
    /// Those of `stock` that were not there before.
    pub new_stock: HashSet<(Sku, LocationCode)>,
    pub locations: HashSet<LocationCode>,
    pub new_orders: Vec<Uuid>,
    pub changed_orders: HashSet<Uuid>,
    pub new_holds: Vec<Uuid>,
    pub changed_holds: HashSet<Uuid>,
}

impl Touched {
    /// Whether it is no more than what placing orders changes: rows for them, and stock that was there before.
    pub fn is_of_orders(&self) -> bool {
        let Self {
            items,
            stock: _,
            new_stock,
            locations,
            new_orders: _,
            changed_orders,
            new_holds,
            changed_holds,
        } = self;
        items.is_empty()
            && new_stock.is_empty()
            && locations.is_empty()
            && changed_orders.is_empty()
            && new_holds.is_empty()
            && changed_holds.is_empty()
    }
}

/// Rows of stock that take as much room as an item.
const ROWS_OF_AN_ITEM: usize = 8;

/// The rows at hand. A key that was loaded and does not exist is there as `None`; asking for one that was never
/// loaded is a defect in the store and panics.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The time of the decision: the only clock that rules see.
    pub now: Timestamp,
    skus: HashMap<Sku, Option<SkuState>>,
    /// Rows of stock that were loaded.
    loaded_rows: usize,
    orders: HashMap<Uuid, Option<Arc<Order>>>,
    holds: HashMap<Uuid, Option<Arc<Hold>>>,
    locations: BTreeMap<LocationCode, Location>,
    touched: Touched,
    life: Arc<()>,
}

impl Ledger {
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    // Loading.

    pub fn put_sku(&mut self, sku: Sku, state: Option<SkuState>) {
        self.loaded_rows += state.as_ref().map_or(0, |state| state.stock.len());
        self.skus.insert(sku, state);
    }

    pub fn put_order(&mut self, id: Uuid, order: Option<Order>) {
        self.orders.insert(id, order.map(Arc::new));
    }

    pub fn put_hold(&mut self, id: Uuid, hold: Option<Hold>) {
        self.holds.insert(id, hold.map(Arc::new));
    }

    pub fn put_location(&mut self, location: Location) {
        self.locations.insert(location.code.clone(), location);
    }

    pub fn has_sku(&self, sku: &Sku) -> bool {
        self.skus.contains_key(sku)
    }

    pub fn has_claim(&self, id: Uuid) -> bool {
        self.orders.contains_key(&id) && self.holds.contains_key(&id)
    }

    /// The SKUs of all loaded orders and holds: what cancelling, fulfilling or expiring them touches.
    pub fn skus_of_claims(&self) -> HashSet<Sku> {
        let orders = self.orders.values().flatten().flat_map(|order| &order.lines);
        let holds = self.holds.values().flatten().flat_map(|hold| &hold.lines);
        orders.chain(holds).map(|line| line.sku.clone()).collect()
    }

    /// Forgets orders and holds and what was touched, and keeps items, stock and locations: the cache that a worker
    /// may carry from one batch to the next as long as the log's head is where it left it.
    pub fn start_batch(&mut self, now: Timestamp) {
        self.now = now;
        self.orders.clear();
        self.holds.clear();
        self.touched = Touched::default();
    }

    /// Tells this ledger from every other one, also from those that come after it is gone.
    pub fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }

    /// How much is at hand, in items with few rows of stock; each of them takes about 0.65 KB.
    pub fn size(&self) -> usize {
        self.skus.len() + self.loaded_rows / ROWS_OF_AN_ITEM
    }

    // Reading.

    pub fn sku(&self, sku: &Sku) -> Option<&SkuState> {
        self.skus.get(sku).unwrap_or_else(|| panic!("SKU {sku} was not loaded for this batch")).as_ref()
    }

    pub fn order(&self, id: Uuid) -> Option<&Order> {
        self.orders.get(&id).unwrap_or_else(|| panic!("order {id} was not loaded for this batch")).as_deref()
    }

    /// The orders that are new, as they stand, to keep beyond the batch.
    pub fn new_orders(&self) -> impl Iterator<Item = Arc<Order>> {
        let order = |id| self.orders.get(id).cloned().flatten().expect("a new order is at hand");
        self.touched.new_orders.iter().map(order)
    }

    pub fn hold(&self, id: Uuid) -> Option<&Hold> {
        self.holds.get(&id).unwrap_or_else(|| panic!("hold {id} was not loaded for this batch")).as_deref()
    }

    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values().flatten().map(Arc::as_ref)
    }

    pub fn location(&self, code: &LocationCode) -> Option<&Location> {
        self.locations.get(code)
    }

    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.locations.values()
    }

    pub fn skus(&self) -> impl Iterator<Item = (&Sku, &SkuState)> {
        self.skus.iter().filter_map(|(sku, state)| Some((sku, state.as_ref()?)))
    }

    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    // Deciding.

    /// What a command makes happen, if the rules allow it. Changes nothing.
    pub fn decide(&self, command: &Command, fingerprint: Fingerprint) -> Result<Vec<Event>, Rejection> {
        let actor = &command.actor;
        actor.may_command(&command.body)?;
        match &command.body {
            CommandBody::PlaceOrder(place) => {
                Ok(order::decide_place(self, actor, command.id, place, fingerprint))
            }
            CommandBody::CancelOrder(cancel) => order::decide_cancel(self, actor, cancel),
            CommandBody::FulfilOrder(fulfil) => order::decide_fulfil(self, actor, fulfil),
            CommandBody::ReturnOrder(back) => order::decide_return(self, actor, back),
            CommandBody::PlaceHold(place) => hold::decide_place(self, actor, command.id, place, fingerprint),
            CommandBody::ConfirmHold(confirm) => hold::decide_confirm(self, actor, confirm, fingerprint),
            CommandBody::ExtendHold(extend) => hold::decide_extend(self, actor, extend),
            CommandBody::ReleaseHold(release) => hold::decide_release(self, actor, release),
            CommandBody::AddItem(add) => item::decide_add(self, add, salt(command.id)),
            CommandBody::UpdateItem(update) => item::decide_update(self, update),
            CommandBody::RemoveItem(remove) => item::decide_remove(self, remove),
            CommandBody::PutLocation(put) => item::decide_put_location(self, put),
            CommandBody::ReceiveStock(receive) => stock::decide_receive(self, receive),
            CommandBody::AdjustStock(adjust) => stock::decide_adjust(self, adjust),
            CommandBody::CountStock(count) => stock::decide_count(self, count),
            CommandBody::TransferStock(transfer) => stock::decide_transfer(self, transfer),
            CommandBody::MoveUnavailable(moved) => stock::decide_unavailable(self, moved),
            CommandBody::ChangeIncoming(incoming) => stock::decide_incoming(self, incoming),
            CommandBody::SetLevels(levels) => stock::decide_levels(self, levels),
            CommandBody::Sweep => Ok(Vec::new()),
        }
    }

    /// Decides a command and applies its events; `events` receives them, at the positions after `head`.
    pub fn decide_and_apply(
        &mut self,
        command: &Command,
        fingerprint: Fingerprint,
        head: &mut Position,
        events: &mut Vec<Recorded>,
    ) -> Outcome {
        let outcome = |position, result| Outcome { id: command.id, position, replayed: false, result };
        let decided = match self.decide(command, fingerprint) {
            Ok(decided) => decided,
            Err(rejection) => return outcome(*head, Err(rejection)),
        };
        let first = events.len();
        let first_position = head.plus(1);
        for event in decided {
            let recorded = Recorded { event, actor: command.actor.name.clone(), command: Some(command.id) };
            *head = head.plus(1);
            self.evolve(&recorded, *head);
            events.push(recorded);
        }
        outcome(*head, self.answer(command, &events[first..], first_position))
    }

    /// Ends the holds that are due, before anything else of a batch is decided.
    pub fn expire_due(&mut self, head: &mut Position, events: &mut Vec<Recorded>) {
        for event in hold::expire_due(self) {
            let recorded = Recorded { event, actor: "system".into(), command: None };
            *head = head.plus(1);
            self.evolve(&recorded, *head);
            events.push(recorded);
        }
    }

    /// What an accepted command is answered with, from the ledger after its events.
    fn answer(&self, command: &Command, events: &[Recorded], first: Position) -> Result<Answer, Rejection> {
        let order = |id: &Uuid| self.orders.get(id).cloned().flatten().expect("the order was just decided");
        let hold = |id: &Uuid| self.holds.get(id).cloned().flatten().expect("the hold was just decided");
        let item = |sku: &Sku| {
            let state = self.sku(sku).expect("the item was just decided");
            Answer::Item { item: state.item.clone(), available: state.available() }
        };
        Ok(match &command.body {
            CommandBody::PlaceOrder(_) => {
                let order = order(&command.id);
                if let Some(rejection) = order.rejection() {
                    return Err(rejection);
                }
                Answer::Order(order)
            }
            CommandBody::CancelOrder(cancel) => Answer::Order(order(&cancel.order_id)),
            CommandBody::FulfilOrder(fulfil) => Answer::Order(order(&fulfil.order_id)),
            CommandBody::ReturnOrder(back) => Answer::Order(order(&back.order_id)),
            CommandBody::ConfirmHold(confirm) => Answer::Order(order(&confirm.hold_id)),
            CommandBody::PlaceHold(_) => Answer::Hold(hold(&command.id)),
            CommandBody::ExtendHold(extend) => Answer::Hold(hold(&extend.hold_id)),
            CommandBody::ReleaseHold(release) => Answer::Hold(hold(&release.hold_id)),
            CommandBody::AddItem(_) => match &events[0].event {
                Event::ItemAdded { item: added } => item(&added.sku),
                _other => unreachable!("an added item's first event is item.added"),
            },
            CommandBody::UpdateItem(update) => item(&update.sku),
            CommandBody::RemoveItem(_) => Answer::Removed,
            CommandBody::PutLocation(put) => {
                Answer::Location(self.location(&put.code).expect("the location was just put").clone())
            }
            CommandBody::ReceiveStock(_)
            | CommandBody::AdjustStock(_)
            | CommandBody::CountStock(_)
            | CommandBody::TransferStock(_)
            | CommandBody::MoveUnavailable(_)
            | CommandBody::ChangeIncoming(_) => {
                let on_hand = |_: &Sku, _: &LocationCode| unreachable!("stock events carry what is on hand");
                Answer::Movements(stock::movements_of(&events[0], first, self.now, on_hand))
            }
            CommandBody::SetLevels(levels) => {
                let state = self.sku(&levels.sku).expect("the item was just decided");
                let row = state.stock.iter().find(|row| row.location == levels.location);
                Answer::Levels(row.expect("levels make a row").clone())
            }
            CommandBody::Sweep => Answer::Swept,
        })
    }

    // Evolving.

    /// Applies an event that stands at `position`, decided at `now`. Panics where the log contradicts itself:
    /// better no answer than a wrong one.
    pub fn evolve(&mut self, recorded: &Recorded, position: Position) {
        let event = &recorded.event;
        match event {
            Event::ItemAdded { item } => {
                let state = SkuState { item: Arc::new(item.clone()), stock: Vec::new() };
                self.skus.insert(item.sku.clone(), Some(state));
                self.touched.items.insert(item.sku.clone());
            }
            Event::ItemUpdated { item } => {
                self.sku_mut(&item.sku).item = Arc::new(item.clone());
                self.touched.items.insert(item.sku.clone());
            }
            Event::ItemArchived { sku } => {
                let item = Arc::make_mut(&mut self.sku_mut(sku).item);
                item.status = ItemStatus::Archived;
                item.version += 1;
                self.touched.items.insert(sku.clone());
            }
            Event::LocationPut { location } => {
                self.locations.insert(location.code.clone(), location.clone());
                self.touched.locations.insert(location.code.clone());
            }
            Event::StockLevels { sku, location, safety_stock, reorder_point, .. } => {
                let (safety_stock, reorder_point) = (*safety_stock, *reorder_point);
                let row = self.row_mut(sku, location);
                row.safety_stock = safety_stock;
                row.reorder_point = reorder_point;
            }
            Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::StockIncoming { .. } => {}
            Event::OrderAccepted { order_id, customer, lines, total, shortages, fingerprint } => {
                let ordered = lines.iter().map(|line| line.quantity).sum();
                self.new_order(Order {
                    id: *order_id,
                    status: OrderStatus::Accepted,
                    customer: customer.clone(),
                    lines: lines.clone(),
                    total: Some(*total),
                    placed_at: self.now,
                    position,
                    placed_by: recorded.actor.clone(),
                    progress: Progress { ordered, ..Progress::default() },
                    shortages: shortages.clone(),
                    code: None,
                    fingerprint: *fingerprint,
                    json: Json::default(),
                });
            }
            Event::OrderRejected { order_id, customer, lines, code, shortages, fingerprint } => {
                let line = |line: &crate::command::Line| crate::order::OrderLine {
                    sku: line.sku.clone(),
                    quantity: line.quantity.get(),
                    unit_price: None,
                    allocations: Vec::new(),
                };
                self.new_order(Order {
                    id: *order_id,
                    status: OrderStatus::Rejected,
                    customer: customer.clone(),
                    lines: lines.iter().map(line).collect(),
                    total: None,
                    placed_at: self.now,
                    position,
                    placed_by: recorded.actor.clone(),
                    progress: Progress::default(),
                    shortages: shortages.clone(),
                    code: Some(code.clone()),
                    fingerprint: *fingerprint,
                    json: Json::default(),
                });
            }
            Event::OrderCancelled { order_id, .. } => {
                self.order_mut(*order_id).status = OrderStatus::Cancelled
            }
            Event::OrderFulfilled { order_id, parts, complete } => {
                self.order_mut(*order_id).fulfil(parts, *complete);
            }
            Event::OrderReturned { order_id, parts, complete, .. } => {
                self.order_mut(*order_id).take_back(parts, *complete);
            }
            Event::HoldPlaced { hold_id, customer, lines, total, expires_at, fingerprint } => {
                let hold = Hold {
                    id: *hold_id,
                    status: HoldStatus::Held,
                    customer: customer.clone(),
                    lines: lines.clone(),
                    total: *total,
                    placed_at: self.now,
                    expires_at: *expires_at,
                    position,
                    placed_by: recorded.actor.clone(),
                    first_expires_at: *expires_at,
                    fingerprint: *fingerprint,
                };
                let before = self.holds.insert(*hold_id, Some(Arc::new(hold))).flatten();
                assert!(before.is_none(), "hold {hold_id} is placed once");
                self.touched.new_holds.push(*hold_id);
            }
            Event::HoldExtended { hold_id, expires_at } => self.hold_mut(*hold_id).expires_at = *expires_at,
            Event::HoldConfirmed { hold_id, .. } => self.end_hold(*hold_id, HoldStatus::Confirmed),
            Event::HoldReleased { hold_id, .. } => self.end_hold(*hold_id, HoldStatus::Released),
            Event::HoldExpired { hold_id, .. } => self.end_hold(*hold_id, HoldStatus::Expired),
        }
        event.each_counter_delta(|sku, location, delta| self.apply(sku, location, delta));
    }

    fn apply(&mut self, sku: &Sku, location: &LocationCode, delta: CounterDelta) {
        let row = self.row_mut(sku, location);
        row.apply(delta);
        let counters = [row.on_hand, row.held, row.allocated, row.unavailable, row.incoming];
        assert!(counters.iter().all(|units| *units >= 0), "counters of {sku} at {location} fell below 0");
    }

    fn sku_mut(&mut self, sku: &Sku) -> &mut SkuState {
        self.skus.get_mut(sku).and_then(Option::as_mut).expect("events are about loaded, existing items")
    }

    fn row_mut(&mut self, sku: &Sku, location: &LocationCode) -> &mut StockRow {
        let place = |state: &SkuState| state.stock.binary_search_by(|row| row.location.cmp(location));
        let key = (sku.clone(), location.clone());
        let found = place(self.sku_mut(sku));
        if found.is_err() {
            self.touched.new_stock.insert(key.clone());
        }
        self.touched.stock.insert(key);
        let stock = &mut self.sku_mut(sku).stock;
        let index = found.unwrap_or_else(|index| {
            stock.insert(index, StockRow::empty(location.clone()));
            index
        });
        &mut stock[index]
    }

    fn new_order(&mut self, order: Order) {
        let id = order.id;
        let before = self.orders.insert(id, Some(Arc::new(order))).flatten();
        assert!(before.is_none(), "order {id} is decided once");
        self.touched.new_orders.push(id);
    }

    fn order_mut(&mut self, id: Uuid) -> &mut Order {
        self.touched.changed_orders.insert(id);
        let order = self.orders.get_mut(&id).and_then(Option::as_mut);
        let order = Arc::make_mut(order.expect("events are about loaded, existing orders"));
        order.json = Json::default();
        order
    }

    fn hold_mut(&mut self, id: Uuid) -> &mut Hold {
        self.touched.changed_holds.insert(id);
        let hold = self.holds.get_mut(&id).and_then(Option::as_mut);
        Arc::make_mut(hold.expect("events are about loaded, existing holds"))
    }

    fn end_hold(&mut self, id: Uuid, status: HoldStatus) {
        let hold = self.hold_mut(id);
        assert_eq!(hold.status, HoldStatus::Held, "hold {id} ends once");
        hold.status = status;
    }
}

/// The events and outcomes of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decided {
    pub events: Vec<Recorded>,
    pub outcomes: Vec<Outcome>,
}

/// Decides commands one after the other, each seeing what those before it did. Idempotency is the store's: here
/// every command is new.
pub fn decide_batch(ledger: &mut Ledger, after: Position, commands: &[Command]) -> Decided {
    let mut head = after;
    let mut decided = Decided::default();
    ledger.expire_due(&mut head, &mut decided.events);
    for command in commands {
        let fingerprint = command.body.fingerprint();
        let outcome = ledger.decide_and_apply(command, fingerprint, &mut head, &mut decided.events);
        decided.outcomes.push(outcome);
    }
    decided
}
