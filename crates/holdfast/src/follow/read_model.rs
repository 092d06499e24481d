//! The image of items, stock and locations that reads are answered from: loaded from a snapshot, then kept by the
//! follower. A read takes one short lock of one item; nobody waits for a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use holdfast_domain::event::CounterDelta;
use holdfast_domain::{
    Event, Item, ItemStatus, Location, LocationCode, Position, Recorded, Sku, SkuState, StockRow, Timestamp,
};
use holdfast_store::{Committed, Image, Snapshot};
use serde::Serialize;
use tokio::sync::{Semaphore, broadcast, watch};

use super::search::{Facets, ItemQuery, ItemWords, SearchIndex};
use super::words::beside;

/// Shards of the map of items: growing one of them holds up one read in as many.
const SHARDS: usize = 64;
/// Changes that a slow listener may be behind before it loses some.
const CHANGES_KEPT: usize = 4_096;
/// Items up to which a search is a matter of microseconds, like any other read.
const SEARCHED_IN_PLACE: usize = 5_000;
/// Items that go into the search index between two chances for searches: about a millisecond of work.
const INDEXED_AT_ONCE: usize = 64;

/// An item as the shop shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemView {
    pub item: Arc<Item>,
    /// Units, over all locations.
    pub available: i64,
}

impl ItemView {
    pub fn in_stock(&self) -> bool {
        self.item.status == ItemStatus::Active && self.available > 0
    }
}

/// A page of a search.
#[derive(Debug, Clone, Default)]
pub struct ItemResults {
    pub items: Vec<ItemView>,
    /// Items that match, over all pages.
    pub total: usize,
    pub facets: Facets,
    pub next_cursor: Option<String>,
}

/// Which stock to list; all conditions must hold. With `location`, they are asked of that location.
#[derive(Debug, Clone, Default)]
pub struct StockQuery {
    /// Part of a SKU, brand or model, in any case.
    pub query: Option<String>,
    pub low: bool,
    pub shortage: bool,
    pub location: Option<LocationCode>,
    pub limit: usize,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// Counts for the stats page and the metrics; archived items are in none of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub items: usize,
    /// At or below the reorder point at some location.
    pub low: usize,
    /// With nothing available.
    pub sold_out: usize,
    /// With promises beyond what is there at some location.
    pub shortages: usize,
}

/// One event in its batch.
#[derive(Debug, Clone)]
pub struct EventRef {
    events: Arc<Vec<Recorded>>,
    index: usize,
}

impl Deref for EventRef {
    type Target = Recorded;
    fn deref(&self) -> &Recorded {
        &self.events[self.index]
    }
}

/// What listeners (Server-Sent Events) are told.
#[derive(Debug, Clone)]
pub enum Change {
    /// Once per SKU and batch.
    Stock {
        sku: Sku,
        available: i64,
        in_stock: bool,
    },
    Event {
        position: Position,
        at: Timestamp,
        recorded: EventRef,
    },
}

/// One SKU, with its own lock.
struct Entry {
    state: RwLock<EntryState>,
}

#[derive(Clone)]
struct EntryState {
    sku: SkuState,
    available: i64,
    /// Of the last event that changed it.
    changed: Position,
    flags: Flags,
    /// In the search index; archived items are in none.
    document: Option<u32>,
}

impl EntryState {
    fn new(sku: SkuState, changed: Position) -> Self {
        let available = sku.available();
        let flags = Flags::of(&sku, available);
        Self { sku, available, changed, flags, document: None }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    active: bool,
    low: bool,
    sold_out: bool,
    shortage: bool,
}

impl Flags {
    fn of(state: &SkuState, available: i64) -> Self {
        let active = state.item.status == ItemStatus::Active;
        Self {
            active,
            low: active && state.stock.iter().any(StockRow::is_low),
            sold_out: active && available == 0,
            shortage: state.stock.iter().any(|row| row.shortage() > 0),
        }
    }
}

/// SKUs in order, for lists.
#[derive(Default)]
struct Lists {
    all: BTreeMap<Sku, Arc<Entry>>,
    low: BTreeSet<Sku>,
    shortage: BTreeSet<Sku>,
    summary: Summary,
}

impl Lists {
    fn turn(&mut self, sku: &Sku, before: Flags, after: Flags) {
        let count = |counter: &mut usize, before: bool, after: bool| {
            *counter = *counter + usize::from(after) - usize::from(before);
        };
        count(&mut self.summary.items, before.active, after.active);
        count(&mut self.summary.low, before.low, after.low);
        count(&mut self.summary.sold_out, before.sold_out, after.sold_out);
        count(&mut self.summary.shortages, before.shortage, after.shortage);
        for (set, is) in [(&mut self.low, after.low), (&mut self.shortage, after.shortage)] {
            if is {
                set.insert(sku.clone());
            } else {
                set.remove(sku);
            }
        }
    }
}

/// The read side of one process. Any number of readers; one follower that applies.
pub struct ReadModel {
    shards: Vec<RwLock<HashMap<Sku, Arc<Entry>>>>,
    hasher: RandomState,
    lists: RwLock<Lists>,
    index: RwLock<SearchIndex>,
    locations: RwLock<BTreeMap<LocationCode, Location>>,
    /// Serialises loading and applying.
    applying: Mutex<()>,
    position: watch::Sender<Position>,
    changes: broadcast::Sender<Arc<Change>>,
    /// Turns of searches that take a while.
    searches: Arc<Semaphore>,
}

// A poisoned lock means that applying panicked, and that ends the process; until then reads go on.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReadModel {
    pub fn new() -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            hasher: RandomState::default(),
            lists: RwLock::default(),
            index: RwLock::default(),
            locations: RwLock::default(),
            applying: Mutex::default(),
            position: watch::Sender::new(Position::default()),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            searches: Arc::new(Semaphore::new((cores / 2).max(1))),
        })
    }

    fn shard_number(&self, sku: &Sku) -> usize {
        // The maps hash with seeds of their own.
        usize::try_from(self.hasher.hash_one(sku) % SHARDS as u64).expect("a shard's number is small")
    }

    fn shard(&self, sku: &Sku) -> &RwLock<HashMap<Sku, Arc<Entry>>> {
        &self.shards[self.shard_number(sku)]
    }

    fn entry(&self, sku: &Sku) -> Option<Arc<Entry>> {
        read(self.shard(sku)).get(sku).cloned()
    }

    // Loading and applying.

    /// Replaces everything by a snapshot. Takes a moment with a large one.
    pub fn load(&self, snapshot: Snapshot) {
        let _applying = locked(&self.applying);
        let changed = snapshot.position;
        let mut entries: Vec<(Sku, Arc<Entry>)> = Vec::with_capacity(snapshot.skus.len());
        let mut lists = Lists::default();
        // By their numbers in the search index.
        let mut active: Vec<(Arc<Item>, i64)> = Vec::with_capacity(snapshot.skus.len());
        for mut sku in snapshot.skus {
            sku.stock.shrink_to_fit();
            let code = sku.item.sku.clone();
            let mut state = EntryState::new(sku, changed);
            if state.flags.active {
                state.document = u32::try_from(active.len()).ok();
                active.push((state.sku.item.clone(), state.available));
            }
            lists.turn(&code, Flags::default(), state.flags);
            entries.push((code, Arc::new(Entry { state: RwLock::new(state) })));
        }
        let (index, shards) = beside(|| SearchIndex::load(&active), || self.shards_of(&entries));
        lists.all = entries.into_iter().collect();
        for (shard, loaded) in self.shards.iter().zip(shards) {
            *write(shard) = loaded;
        }
        *write(&self.lists) = lists;
        *write(&self.index) = index;
        *write(&self.locations) =
            snapshot.locations.into_iter().map(|location| (location.code.clone(), location)).collect();
        self.position.send_replace(snapshot.position);
    }

    fn shards_of(&self, entries: &[(Sku, Arc<Entry>)]) -> Vec<HashMap<Sku, Arc<Entry>>> {
        let mut shards: Vec<HashMap<Sku, Arc<Entry>>> = Vec::new();
        let per_shard = entries.len() / SHARDS;
        shards.resize_with(SHARDS, || HashMap::with_capacity(per_shard + per_shard / 8));
        for (sku, entry) in entries {
            shards[self.shard_number(sku)].insert(sku.clone(), entry.clone());
        }
        shards
    }

    fn insert(&self, sku: SkuState, changed: Position) -> Arc<Entry> {
        let code = sku.item.sku.clone();
        let state = EntryState::new(sku, changed);
        let flags = state.flags;
        let entry = Arc::new(Entry { state: RwLock::new(state) });
        write(self.shard(&code)).insert(code.clone(), entry.clone());
        let mut lists = write(&self.lists);
        lists.turn(&code, Flags::default(), flags);
        lists.all.insert(code, entry.clone());
        entry
    }

    /// Applies a batch, which must be the next one: the caller sees to gaps.
    pub fn apply(&self, committed: &Committed) {
        let _applying = locked(&self.applying);
        let position = self.position();
        assert_eq!(committed.first, position.plus(1), "a batch is applied right after the one before it");
        assert_eq!(
            committed.last,
            position.plus(committed.events.len()),
            "a batch holds an event per position"
        );
        let listening = self.changes.receiver_count() > 0;
        let mut touched = BTreeSet::new();
        let mut changed_items = Vec::new();
        for (index, recorded) in committed.events.iter().enumerate() {
            let position = position.plus(index + 1);
            changed_items.extend(self.apply_event(&recorded.event, position, |sku| {
                if listening {
                    touched.insert(sku.clone());
                }
            }));
        }
        self.index(&changed_items);
        self.position.send_replace(committed.last);
        if listening {
            self.tell(committed, touched);
        }
    }

    fn tell(&self, committed: &Committed, touched: BTreeSet<Sku>) {
        for sku in touched {
            if let Some(view) = self.item(&sku) {
                let (available, in_stock) = (view.available, view.in_stock());
                // Nobody listening any more is no trouble.
                drop(self.changes.send(Arc::new(Change::Stock { sku, available, in_stock })));
            }
        }
        for index in 0..committed.events.len() {
            let recorded = EventRef { events: committed.events.clone(), index };
            let position = Position(committed.first.0 + index as u64);
            let at = committed.decided_at;
            drop(self.changes.send(Arc::new(Change::Event { position, at, recorded })));
        }
    }

    /// The entry of an item that the search index does not show yet as it is now.
    fn apply_event(
        &self,
        event: &Event,
        position: Position,
        mut touched: impl FnMut(&Sku),
    ) -> Option<Arc<Entry>> {
        match event {
            Event::ItemAdded { item } => {
                touched(&item.sku);
                let state = SkuState { item: Arc::new(item.clone()), stock: Vec::new() };
                Some(self.insert(state, position))
            }
            Event::ItemUpdated { item } => {
                touched(&item.sku);
                self.change(&item.sku, position, |state| state.item = Arc::new(item.clone()))
            }
            Event::ItemArchived { sku } => {
                touched(sku);
                self.change(sku, position, |state| {
                    let item = Arc::make_mut(&mut state.item);
                    item.status = ItemStatus::Archived;
                    item.version += 1;
                })
            }
            Event::LocationPut { location } => {
                write(&self.locations).insert(location.code.clone(), location.clone());
                None
            }
            Event::StockLevels { sku, location, safety_stock, reorder_point, .. } => {
                touched(sku);
                self.change(sku, position, |state| {
                    let row = row_mut(state, location);
                    row.safety_stock = *safety_stock;
                    row.reorder_point = *reorder_point;
                })
            }
            Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::StockIncoming { .. }
            | Event::OrderAccepted { .. }
            | Event::OrderRejected { .. }
            | Event::OrderCancelled { .. }
            | Event::OrderFulfilled { .. }
            | Event::OrderReturned { .. }
            | Event::HoldPlaced { .. }
            | Event::HoldExtended { .. }
            | Event::HoldConfirmed { .. }
            | Event::HoldReleased { .. }
            | Event::HoldExpired { .. } => {
                // Both ends of a transfer, and all locations of a line, change in one go: no reader sees half of it.
                let mut run: Option<(&Sku, Vec<(&LocationCode, CounterDelta)>)> = None;
                let deltas = deltas(event);
                for (sku, location, delta) in &deltas {
                    match &mut run {
                        Some((current, changes)) if *current == sku => changes.push((location, *delta)),
                        Some(_) | None => {
                            self.finish(run.take(), position);
                            touched(sku);
                            run = Some((sku, vec![(location, *delta)]));
                        }
                    }
                }
                self.finish(run, position);
                None
            }
        }
    }

    fn finish(&self, run: Option<(&Sku, Vec<(&LocationCode, CounterDelta)>)>, position: Position) {
        if let Some((sku, changes)) = run {
            self.change(sku, position, |state| {
                for (location, delta) in &changes {
                    row_mut(state, location).apply(*delta);
                }
            });
        }
    }

    /// Changes one SKU and everything that is derived from it; but the search index only as far as the stock goes, and
    /// the entry is given back where it is not enough.
    fn change(
        &self,
        sku: &Sku,
        position: Position,
        change: impl FnOnce(&mut SkuState),
    ) -> Option<Arc<Entry>> {
        let entry = self.entry(sku).expect("events are about known items");
        let mut guard = write(&entry.state);
        let state = &mut *guard;
        let item_before = state.sku.item.clone();
        change(&mut state.sku);
        state.changed = position;
        state.available = state.sku.available();
        let before = std::mem::replace(&mut state.flags, Flags::of(&state.sku, state.available));
        let is_same_item = Arc::ptr_eq(&item_before, &state.sku.item);
        let (available, flags, document) = (state.available, state.flags, state.document);
        drop(guard);
        if let Some(document) = document {
            // Searches only read the index, as this does: neither waits for the other.
            read(&self.index).set_available(document, available);
        }
        if before != flags {
            write(&self.lists).turn(sku, before, flags);
        }
        (!is_same_item).then_some(entry)
    }

    /// Shows items in the search index as they are. Searches go on in between.
    fn index(&self, entries: &[Arc<Entry>]) {
        for some in entries.chunks(INDEXED_AT_ONCE) {
            let words: Vec<ItemWords> =
                some.iter().map(|entry| ItemWords::of(&read(&entry.state).sku.item)).collect();
            let mut index = write(&self.index);
            for (entry, words) in some.iter().zip(words) {
                let mut state = write(&entry.state);
                let (item, available) = (state.sku.item.clone(), state.available);
                state.document = match (state.document, state.flags.active) {
                    (Some(document), true) => {
                        index.update(document, &item, words, available);
                        Some(document)
                    }
                    (Some(document), false) => {
                        index.remove(document);
                        None
                    }
                    (None, true) => Some(index.add(&item, words, available)),
                    (None, false) => None,
                };
            }
        }
    }

    // Reading.

    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Waits until the model shows at least `position`; false when that took too long.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> bool {
        if self.position() >= position {
            return true;
        }
        let mut positions = self.position.subscribe();
        let reached = positions.wait_for(|reached| *reached >= position);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    pub fn item(&self, sku: &Sku) -> Option<ItemView> {
        let entry = self.entry(sku)?;
        let state = read(&entry.state);
        Some(ItemView { item: state.sku.item.clone(), available: state.available })
    }

    /// The stock of a SKU and the position that this is true at.
    pub fn stock(&self, sku: &Sku) -> Option<(SkuState, Position)> {
        let position = self.position();
        let entry = self.entry(sku)?;
        let state = read(&entry.state);
        // A batch may be half applied: of this SKU nothing is missing up to its own last change.
        Some((state.sku.clone(), position.max(state.changed)))
    }

    /// By code.
    pub fn locations(&self) -> Vec<Location> {
        read(&self.locations).values().cloned().collect()
    }

    pub fn location(&self, code: &LocationCode) -> Option<Location> {
        read(&self.locations).get(code).cloned()
    }

    /// [`search`](Self::search), out of the way of requests that take microseconds: a large catalogue is gone through on
    /// a thread for such work, by half of the processor's cores at most at a time.
    pub async fn find(self: &Arc<Self>, query: ItemQuery) -> ItemResults {
        if read(&self.index).len() <= SEARCHED_IN_PLACE {
            return self.search(&query);
        }
        let turn = self.searches.clone().acquire_owned().await.expect("nobody closes it");
        let model = self.clone();
        let searched = tokio::task::spawn_blocking(move || {
            let found = model.search(&query);
            drop(turn);
            found
        });
        match searched.await {
            Ok(found) => found,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and nobody waits for the answer any more.
                Err(_cancelled) => ItemResults::default(),
            },
        }
    }

    /// Active items that match. A cursor that is none (see [`super::search::is_cursor`]) or belongs to another query
    /// gets an empty page.
    pub fn search(&self, query: &ItemQuery) -> ItemResults {
        let found = read(&self.index).search(query);
        ItemResults {
            items: found.skus.iter().filter_map(|sku| self.item(sku)).collect(),
            total: found.total,
            facets: found.facets,
            next_cursor: found.next_cursor,
        }
    }

    /// Stock by SKU, and where the next page begins. Archived items are listed while units of them are on hand.
    pub fn stock_list(&self, query: &StockQuery) -> (Vec<(Sku, Vec<StockRow>)>, Option<String>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = query.cursor.as_ref().map(Sku::new);
        let from = match &after {
            None => Unbounded,
            Some(Ok(sku)) => Excluded(sku),
            Some(Err(_)) => return (Vec::new(), None),
        };
        let text =
            query.query.as_ref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let limit = query.limit.max(1);
        let mut page: Vec<(Sku, Vec<StockRow>)> = Vec::new();
        let lists = read(&self.lists);
        let narrow = match (query.low, query.shortage) {
            (true, _) => Some(&lists.low),
            (false, true) => Some(&lists.shortage),
            (false, false) => None,
        };
        let mut full = false;
        let mut look = |sku: &Sku, entry: &Entry| {
            let state = read(&entry.state);
            if matches_stock(&state.sku, query, text.as_deref()) {
                full = page.len() == limit;
                if !full {
                    page.push((sku.clone(), state.sku.stock.clone()));
                }
            }
            !full
        };
        match narrow {
            Some(set) => {
                for sku in set.range::<Sku, _>((from, Unbounded)) {
                    if !lists.all.get(sku).is_none_or(|entry| look(sku, entry)) {
                        break;
                    }
                }
            }
            None => {
                for (sku, entry) in lists.all.range::<Sku, _>((from, Unbounded)) {
                    if !look(sku, entry) {
                        break;
                    }
                }
            }
        }
        let next = if full { page.last().map(|(sku, _)| sku.to_string()) } else { None };
        (page, next)
    }

    /// What happens from now on. Costs nothing while nobody listens.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    pub fn summary(&self) -> Summary {
        read(&self.lists).summary
    }
}

impl Image for ReadModel {
    fn position(&self) -> Position {
        self.position()
    }

    fn sku(&self, sku: &Sku) -> Option<SkuState> {
        self.entry(sku).map(|entry| read(&entry.state).sku.clone())
    }
}

fn deltas(event: &Event) -> Vec<(Sku, LocationCode, CounterDelta)> {
    let mut deltas = Vec::new();
    event.each_counter_delta(|sku, location, delta| deltas.push((sku.clone(), location.clone(), delta)));
    deltas
}

fn row_mut<'a>(state: &'a mut SkuState, location: &LocationCode) -> &'a mut StockRow {
    let index = match state.stock.binary_search_by(|row| row.location.cmp(location)) {
        Ok(index) => index,
        Err(index) => {
            // Most items are at a place or two: no room for more is kept for a million of them.
            state.stock.reserve_exact(1);
            state.stock.insert(index, StockRow::empty(location.clone()));
            index
        }
    };
    &mut state.stock[index]
}

fn matches_stock(state: &SkuState, query: &StockQuery, text: Option<&str>) -> bool {
    let item = &state.item;
    let archived = item.status == ItemStatus::Archived;
    if archived && state.stock.iter().all(|row| row.on_hand == 0) {
        return false;
    }
    let here = |row: &StockRow| query.location.as_ref().is_none_or(|location| row.location == *location);
    let any = |holds: &dyn Fn(&StockRow) -> bool| state.stock.iter().any(|row| here(row) && holds(row));
    let has = |field: &str, text: &str| field.to_lowercase().contains(text);
    (query.location.is_none() || any(&|_| true))
        && (!query.low || (!archived && any(&StockRow::is_low)))
        && (!query.shortage || any(&|row| row.shortage() > 0))
        && text.is_none_or(|text| {
            has(item.sku.as_str(), text) || has(item.brand.as_str(), text) || has(item.model.as_str(), text)
        })
}

#[cfg(test)]
#[path = "read_model_tests.rs"]
mod tests;
