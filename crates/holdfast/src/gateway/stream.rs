//! `/v1/stream`: what happens, as Server-Sent Events. `id:` is the position up to which a client has seen everything,
//! so that `Last-Event-ID` resumes.
//!
//! Events: `stock` `{sku, available, in_stock}`; `orders` `{type, subject, data}` of orders and holds (customers: their
//! own); `health` the health document (staff); `reset` `{position}` when something was missed and lists must be loaded
//! again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, Sse};
use futures_util::stream::unfold;
use holdfast_domain::{Customer, Event, Position, Recorded, Role, Sku, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

use super::caller::{Access, Caller, SignedIn, header_text};
use super::events;
use super::openapi::operation::Operation;
use super::openapi::shapes::{about, text};
use super::problem::{Answer, Problem};
use super::request::Query;
use super::{AppState, Routes};
use crate::clock;
use crate::follow::read_model::Change;
use crate::follow::tail::stopped;

/// Streams that are open at once in one process.
const STREAMS_MAX: usize = 4_096;
/// How often a stream asks whether its token, key and role still stand.
const CHECK_EVERY: Duration = Duration::from_millis(1_500);
/// Checks between two signs of life.
const CHECKS_PER_SIGN: u32 = 8;
const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// How long a client that lost its stream waits before it comes again.
const RECONNECT: Duration = Duration::from_secs(2);
/// Changes that are taken together: of several changes of one SKU among them, only the last is sent.
const CHANGES_TOGETHER_MAX: usize = 512;
/// Bytes of the log that a resuming client is brought forward over; beyond, it gets a `reset`.
const RESUME_BYTES_MAX: usize = 1 << 20;
/// Order events that a resuming client is brought forward over.
const RESUME_EVENTS_MAX: usize = 1_000;
/// Owners of orders and holds that are remembered.
const OWNERS_MAX: usize = 20_000;

static STREAMS: Semaphore = Semaphore::const_new(STREAMS_MAX);
/// Whose an order or hold is, asked once for all streams of the process: the ids are unique, and an owner never changes.
static OWNERS: LazyLock<Mutex<HashMap<Uuid, Option<Customer>>>> = LazyLock::new(Mutex::default);

pub fn routes(routes: Routes) -> Routes {
    let operation = Operation::get("/v1/stream", "stream", "Server-Sent Events: stock, orders, health")
        .plain()
        .query("topics", about("Comma separated", text()))
        .header("Last-Event-ID", "Where an earlier stream ended")
        .sends(200, "text/event-stream", text(), "A stream of events")
        .refuses(&[503]);
    routes.on(Access::SignedIn, operation, open)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    topics: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Topics {
    stock: bool,
    orders: bool,
    health: bool,
}

impl Topics {
    /// What was asked for; without a word, everything that the role may see.
    fn of(text: Option<&str>, role: Role) -> Result<Self, Problem> {
        let Some(text) = text else {
            return Ok(Self { stock: true, orders: true, health: role.is_staff() });
        };
        let mut topics = Self { stock: false, orders: false, health: false };
        for topic in text.split(',') {
            match topic.trim() {
                "stock" => topics.stock = true,
                "orders" => topics.orders = true,
                "health" if role.is_staff() => topics.health = true,
                "health" => return Err(Problem::forbidden()),
                _ => {
                    return Err(Problem::invalid(
                        "topics",
                        "must be some of stock, orders, health, with commas",
                    ));
                }
            }
        }
        Ok(topics)
    }
}

async fn open(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Answer {
    let who = caller.0.clone().ok_or_else(Problem::unauthorised)?;
    let topics = Topics::of(query.topics.as_deref(), who.role)?;
    let permit = STREAMS
        .try_acquire()
        .map_err(|_| Problem::unavailable("overloaded", "Too many streams are open."))?;
    let mut stream = Stream::start(state, who, topics, permit);
    match header_text(&headers, "last-event-id").map(str::parse::<Position>) {
        None => {}
        Some(Ok(last)) if last <= stream.seen => {
            stream.seen = last;
            stream.catch_up().await;
        }
        // Not one of ours, or of a log that went further than this one.
        Some(Ok(_) | Err(_)) => stream.reset(),
    }
    let events = unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut response = Sse::new(events).into_response();
    // Proxies must not collect what is meant to arrive at once.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

struct Stream {
    state: AppState,
    who: Arc<SignedIn>,
    topics: Topics,
    changes: broadcast::Receiver<Arc<Change>>,
    /// Everything up to here was handed on or is none of this client's business.
    seen: Position,
    waiting: VecDeque<SseEvent>,
    checks: Interval,
    checked: u32,
    health: Interval,
    stopping: watch::Receiver<bool>,
    _permit: SemaphorePermit<'static>,
}

impl Stream {
    fn start(state: AppState, who: Arc<SignedIn>, topics: Topics, permit: SemaphorePermit<'static>) -> Self {
        let interval = |every| {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        // Listening begins before the position is read: what comes between is recognised by its number.
        let changes = state.model.changes();
        let seen = state.model.position();
        let hello = SseEvent::default().id(seen.to_string()).retry(RECONNECT).comment("welcome");
        let stopping = state.stopping.clone();
        Self {
            state,
            who,
            topics,
            changes,
            seen,
            waiting: VecDeque::from([hello]),
            checks: interval(CHECK_EVERY),
            checked: 0,
            health: interval(HEALTH_EVERY),
            stopping,
            _permit: permit,
        }
    }

    /// The next event; `None` when the stream ends.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = stopped(&mut self.stopping) => return None,
                change = self.changes.recv() => match change {
                    Ok(change) => self.take(change).await,
                    Err(broadcast::error::RecvError::Lagged(_)) => self.reset(),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.checks.tick() => {
                    if !self.still_allowed().await {
                        return None;
                    }
                    self.checked += 1;
                    if self.checked.is_multiple_of(CHECKS_PER_SIGN) {
                        self.waiting.push_back(self.event().comment("here"));
                    }
                }
                _ = self.health.tick(), if self.topics.health => {
                    let document = self.state.board.document().await;
                    self.push("health", &document);
                }
            }
        }
    }

    fn event(&self) -> SseEvent {
        SseEvent::default().id(self.seen.to_string())
    }

    fn push(&mut self, name: &str, data: &Value) {
        self.waiting.push_back(self.event().event(name).data(data.to_string()));
    }

    /// Says that something was missed, and goes on from here.
    fn reset(&mut self) {
        self.seen = self.state.model.position();
        let data = json!({ "position": self.seen });
        self.push("reset", &data);
    }

    /// Takes a change and those that wait behind it.
    async fn take(&mut self, first: Arc<Change>) {
        let mut stock: BTreeMap<Sku, (i64, bool)> = BTreeMap::new();
        let mut recorded = Vec::new();
        let mut missed = false;
        let mut next = Some(first);
        while let Some(change) = next {
            match change.as_ref() {
                Change::Stock { sku, available, in_stock } => {
                    stock.insert(sku.clone(), (*available, *in_stock));
                }
                Change::Event { .. } => recorded.push(change),
            }
            if stock.len() + recorded.len() == CHANGES_TOGETHER_MAX {
                break;
            }
            next = match self.changes.try_recv() {
                Ok(change) => Some(change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {
                    missed = true;
                    None
                }
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
            };
        }
        if missed {
            self.reset();
            return;
        }
        // Stock goes first, under the position before: who loses the stream in between sees both again.
        self.push_stock(stock);
        for change in recorded {
            let Change::Event { position, at, recorded } = change.as_ref() else { continue };
            if *position <= self.seen {
                continue;
            }
            if *position != self.seen.plus(1) {
                // Nobody was listening when the model began to apply what lies between.
                self.catch_up().await;
                if *position <= self.seen {
                    continue;
                }
            }
            self.seen = *position;
            self.push_order(recorded, *position, *at).await;
        }
    }

    fn push_stock(&mut self, stock: BTreeMap<Sku, (i64, bool)>) {
        if self.topics.stock {
            for (sku, (available, in_stock)) in stock {
                let data = stock_data(&sku, available, in_stock);
                self.push("stock", &data);
            }
        }
    }

    /// Hands on an event of an order or hold that the caller may see.
    async fn push_order(&mut self, recorded: &Recorded, position: Position, at: Timestamp) {
        if !self.topics.orders || recorded.event.claim_id().is_none() {
            return;
        }
        match self.may_see(&recorded.event).await {
            Ok(true) => {
                let mut event = events::cloud_event(recorded, position, at);
                let data = json!({
                    "type": event["type"].take(),
                    "subject": event["subject"].take(),
                    "data": event["data"].take(),
                });
                self.push("orders", &data);
            }
            Ok(false) => {}
            Err(_not_known_now) => self.reset(),
        }
    }

    async fn may_see(&self, event: &Event) -> Result<bool, Problem> {
        if self.who.role != Role::Customer {
            return Ok(true);
        }
        let own = self.who.id.to_string();
        let owner = match event {
            Event::OrderAccepted { customer, .. }
            | Event::OrderRejected { customer, .. }
            | Event::HoldPlaced { customer, .. } => customer.clone(),
            Event::OrderCancelled { order_id: id, .. }
            | Event::OrderFulfilled { order_id: id, .. }
            | Event::OrderReturned { order_id: id, .. }
            | Event::HoldExtended { hold_id: id, .. }
            | Event::HoldConfirmed { hold_id: id, .. }
            | Event::HoldReleased { hold_id: id, .. }
            | Event::HoldExpired { hold_id: id, .. } => self.owner(*id).await?,
            Event::ItemAdded { .. }
            | Event::ItemUpdated { .. }
            | Event::ItemArchived { .. }
            | Event::LocationPut { .. }
            | Event::StockReceived { .. }
            | Event::StockAdjusted { .. }
            | Event::StockCounted { .. }
            | Event::StockTransferred { .. }
            | Event::StockUnavailable { .. }
            | Event::StockIncoming { .. }
            | Event::StockLevels { .. } => None,
        };
        Ok(owner.is_some_and(|owner| owner.as_str() == own))
    }

    /// Whose an order or hold is. One look for all streams: the lock is held while the database is asked.
    async fn owner(&self, id: Uuid) -> Result<Option<Customer>, Problem> {
        let mut owners = OWNERS.lock().await;
        if let Some(owner) = owners.get(&id) {
            return Ok(owner.clone());
        }
        let reads = &self.state.database.reads;
        let owner = match reads.order(id).await? {
            Some(order) => order.customer,
            None => reads.hold(id).await?.and_then(|hold| hold.customer),
        };
        if owners.len() == OWNERS_MAX {
            owners.clear();
        }
        owners.insert(id, owner.clone());
        Ok(owner)
    }

    /// Brings the client from `seen` to the end of the log, or resets it where that is too far.
    async fn catch_up(&mut self) {
        let already = self.waiting.len();
        let mut bytes = 0;
        let mut touched = BTreeSet::new();
        let from = self.seen;
        loop {
            let Ok(batches) = self.state.database.reads.log(self.seen, RESUME_BYTES_MAX).await else {
                break self.give_up(already);
            };
            if batches.is_empty() {
                // Under the old position and first, as in `take`.
                for sku in touched.iter().rev().filter(|_| self.topics.stock) {
                    if let Some(view) = self.state.model.item(sku) {
                        let data = stock_data(sku, view.available, view.in_stock());
                        let event =
                            SseEvent::default().id(from.to_string()).event("stock").data(data.to_string());
                        self.waiting.insert(already, event);
                    }
                }
                return;
            }
            for batch in batches {
                bytes += batch.payload.len();
                let Ok(recorded) = batch.events() else { return self.give_up(already) };
                for (index, recorded) in recorded.iter().enumerate() {
                    let position = Position(batch.first.0 + index as u64);
                    if position <= from {
                        continue;
                    }
                    self.seen = position;
                    recorded.event.each_sku(|sku| {
                        touched.insert(sku.clone());
                    });
                    self.push_order(recorded, position, batch.decided_at).await;
                }
            }
            if bytes > RESUME_BYTES_MAX || self.waiting.len() - already > RESUME_EVENTS_MAX {
                break self.give_up(already);
            }
        }
    }

    fn give_up(&mut self, already: usize) {
        self.waiting.truncate(already);
        self.reset();
    }

    /// Whether the token or key still stands for the same account in the same role.
    async fn still_allowed(&self) -> bool {
        match self.state.database.accounts.principal(self.who.hash, clock::now()).await {
            Ok(principal) => principal.is_some_and(|now| now.id == self.who.id && now.role == self.who.role),
            // Trouble of the database ends nobody's session.
            Err(_trouble) => true,
        }
    }
}

fn stock_data(sku: &Sku, available: i64, in_stock: bool) -> Value {
    json!({ "sku": sku, "available": available, "in_stock": in_stock })
}
