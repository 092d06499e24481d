//! `/v1/orders`: placing one order or a batch of them, reading them, and what happens to them afterwards.

use std::time::Instant;

use axum::Json as JsonAnswer;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_bus::ENVELOPE_COMMANDS_MAX;
use holdfast_domain::command::{Lines, PlaceOrder};
use holdfast_domain::order::Written;
use holdfast_domain::wire::{FieldError, from_value};
use holdfast_domain::{
    Answer as Decided, Command, CommandBody, Customer, GeoPoint, Money, Order, OrderStatus, Outcome,
    Position, Rejection, Role, Shortage,
};
use holdfast_store::ClaimFilter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::{POSITION, REPLAYED, position_value, with_position};
use super::caller::{Access, Caller};
use super::openapi::operation::Operation;
use super::openapi::shapes::{known, text};
use super::problem::{Answer, Problem, named, rejection_code};
use super::request::{
    AtLeast, Json, Query, Write, command_body, cursor, from_slice, json_body, page_limit, parse,
    parse_cursor, path_value,
};
use super::{AppState, Gateway, Routes};

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Buyer,
            Operation::post("/v1/orders", "create_order", "Place an order: all lines or none")
                .body("NewOrder")
                .answers(201, "Order")
                .decided()
                .refuses(&[409, 422, 429, 503, 504]),
            place,
        )
        .on(
            Access::SignedIn,
            Operation::get("/v1/orders", "list_orders", "Orders, newest first; a customer sees the own ones")
                .query("status", known("OrderStatus"))
                .query("customer", text())
                .paged()
                .answers(200, "OrderPage"),
            list,
        )
        .on(
            Access::Service,
            Operation::post(
                "/v1/orders/batch",
                "create_order_batch",
                "Place up to 1,000 orders; each stands alone",
            )
            .body("OrderBatch")
            .answers(200, "OrderBatchResult"),
            place_batch,
        )
        .on(
            Access::SignedIn,
            Operation::get("/v1/orders/{id}", "get_order", "One order")
                .note("A customer sees the own ones.")
                .answers(200, "Order")
                .refuses(&[404]),
            one,
        )
        // Whose order it is, is known where it is decided: another customer's is 404.
        .on(
            Access::SignedIn,
            Operation::post(
                "/v1/orders/{id}/cancel",
                "cancel_order",
                "Cancel; the stock goes back where it came from",
            )
            .note("A customer cancels the own ones.")
            .answers(200, "Order")
            .refuses(&[404, 409, 422, 429]),
            cancel,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/orders/{id}/fulfil", "fulfil_order", "Goods leave")
                .optional_body("Fulfilment")
                .answers(200, "Order")
                .refuses(&[404, 409, 422]),
            fulfil,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/orders/{id}/return", "return_order", "Goods come back")
                .body("Return")
                .answers(200, "Order")
                .refuses(&[404, 409, 422]),
            give_back,
        )
}

/// The body of `POST /v1/orders`: an order's fields and the id that the client may give it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    customer: Option<Customer>,
    lines: Lines,
    #[serde(default)]
    ship_to: Option<GeoPoint>,
    #[serde(default)]
    allow_partial: bool,
}

impl NewOrder {
    fn split(self) -> (Option<Uuid>, PlaceOrder) {
        let Self { id, customer, lines, ship_to, allow_partial } = self;
        (id, PlaceOrder { customer, lines, ship_to, allow_partial })
    }
}

async fn place(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(order): Json<NewOrder>,
) -> Answer {
    let started = Instant::now();
    let (id, mut order) = order.split();
    order.customer = named_customer(&caller, order.customer)?;
    let command = write.command(&caller, id, CommandBody::PlaceOrder(order))?;
    let answer = state
        .decide(&write, command, |outcome, decided| {
            let mut response = order_answer(StatusCode::CREATED, outcome, decided);
            if let Ok(location) = HeaderValue::from_str(&format!("/v1/orders/{}", outcome.id)) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        })
        .await;
    state.stats.record_latency(started.elapsed());
    answer
}

/// Whom an order or hold is for, as far as the caller may say. A customer is always the own account, so that naming
/// it makes no other command than leaving it out.
pub(super) fn named_customer(caller: &Caller, named: Option<Customer>) -> Result<Option<Customer>, Problem> {
    let who = caller.signed_in()?;
    match (who.role, named) {
        (Role::Customer, Some(customer)) if customer.as_str() != who.id.to_string() => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "A customer's orders and holds are for the own account.",
        )),
        (Role::Customer, _) => Ok(None),
        (Role::Service | Role::Staff | Role::Admin, named) => Ok(named),
    }
}

/// The order that a command answered with.
pub(super) fn order_answer(status: StatusCode, outcome: &Outcome, decided: &Decided) -> Response {
    match decided {
        Decided::Order(order) => with_position(status, outcome.position, &Written(order)),
        Decided::OrderText(order) => with_position(status, outcome.position, order),
        // A client's id or key that was used for something else is refused before this.
        Decided::Hold(_)
        | Decided::Item { .. }
        | Decided::Removed
        | Decided::Location(_)
        | Decided::Movements(_)
        | Decided::Levels(_)
        | Decided::Swept => with_position(status, outcome.position, outcome),
    }
}

// Batches.

/// The usual case: every order can be read, and no tree of values is built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoodBatch {
    orders: Vec<NewOrder>,
}

/// An envelope in which some order cannot be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MixedBatch {
    orders: Vec<Value>,
}

/// In the order of the batch.
#[derive(Serialize)]
struct BatchResults {
    results: Vec<BatchResult>,
}

/// What became of one order of a batch.
#[derive(Serialize)]
struct BatchResult {
    id: Uuid,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shortages: Vec<Shortage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

impl BatchResult {
    fn new(id: Uuid, status: &'static str) -> Self {
        Self {
            id,
            status,
            code: None,
            detail: None,
            errors: Vec::new(),
            shortages: Vec::new(),
            total: None,
            position: None,
        }
    }

    fn invalid(id: Uuid, error: FieldError) -> Self {
        let error = named(error);
        let detail = Some(error.to_string());
        let errors = vec![json!({ "field": error.field, "message": error.message })];
        Self { code: Some("invalid_request"), detail, errors, ..Self::new(id, "invalid") }
    }

    fn decided(outcome: &Outcome) -> Self {
        let position = Some(outcome.position);
        match &outcome.result {
            Ok(Decided::Order(order)) => {
                let shortages = order.shortages.clone();
                Self { shortages, total: order.total, position, ..Self::new(outcome.id, "accepted") }
            }
            Ok(Decided::OrderText(order)) => {
                let (total, shortages) = order.total_and_shortages().unwrap_or_else(|error| {
                    tracing::error!(%error, id = %outcome.id, "a reply's order cannot be read");
                    (None, Vec::new())
                });
                Self { shortages, total, position, ..Self::new(outcome.id, "accepted") }
            }
            Ok(
                Decided::Hold(_)
                | Decided::Item { .. }
                | Decided::Removed
                | Decided::Location(_)
                | Decided::Movements(_)
                | Decided::Levels(_)
                | Decided::Swept,
            ) => Self { position, ..Self::new(outcome.id, "accepted") },
            Err(rejection) => {
                let shortages = match rejection {
                    Rejection::InsufficientStock { shortages, .. } => shortages.clone(),
                    Rejection::MaxPerOrder { excess } => excess.clone(),
                    _without_shortages => Vec::new(),
                };
                let code = Some(rejection_code(rejection));
                let detail = Some(rejection.detail());
                Self { code, detail, shortages, position, ..Self::new(outcome.id, "rejected") }
            }
        }
    }
}

/// One order of a batch, read on its own. A bad one keeps the id that it would have had.
enum Read {
    Good(Uuid, PlaceOrder),
    Bad(Uuid, FieldError),
}

fn read_batch(bytes: &[u8], write: &Write) -> Result<Vec<Read>, Problem> {
    let read: Vec<Read> = match from_slice::<GoodBatch>(bytes) {
        Ok(batch) => {
            let good = |(index, order): (usize, NewOrder)| {
                let (id, order) = order.split();
                Read::Good(id.unwrap_or_else(|| write.nth_id(index)), order)
            };
            batch.orders.into_iter().enumerate().map(good).collect()
        }
        Err(_some_do_not_fit) => {
            let batch: MixedBatch = parse(bytes)?;
            let read = |(index, value): (usize, Value)| {
                let id = value.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
                let id = id.unwrap_or_else(|| write.nth_id(index));
                match from_value::<NewOrder>(value) {
                    Ok(order) => Read::Good(id, order.split().1),
                    Err(error) => Read::Bad(id, error),
                }
            };
            batch.orders.into_iter().enumerate().map(read).collect()
        }
    };
    if (1..=ENVELOPE_COMMANDS_MAX).contains(&read.len()) {
        Ok(read)
    } else {
        Err(Problem::invalid("orders", format!("must be 1 to {ENVELOPE_COMMANDS_MAX} orders")))
    }
}

async fn place_batch(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    request: Request,
) -> Answer {
    let bytes = json_body(request).await?;
    let batch = read_batch(&bytes, &write)?;
    let actor = caller.actor()?;
    let mut commands = Vec::with_capacity(batch.len());
    let mut results: Vec<Option<BatchResult>> = Vec::with_capacity(batch.len());
    for (index, read) in batch.into_iter().enumerate() {
        match read {
            Read::Good(id, order) => {
                let mut command = Command::new(id, actor.clone(), CommandBody::PlaceOrder(order));
                // An order with an id of its own is known by its place under the key too.
                command.key = write.key.map(|_| write.nth_id(index)).filter(|key| *key != id);
                commands.push(command);
                results.push(None);
            }
            Read::Bad(id, error) => results.push(Some(BatchResult::invalid(id, error))),
        }
    }
    let ids: Vec<Uuid> = commands.iter().map(|command| command.id).collect();
    let outcomes = if commands.is_empty() {
        Some(Vec::new())
    } else {
        state.dispatcher.submit_envelope(commands, write.respond_async, &write.alarm).await?
    };
    let last = outcomes.iter().flatten().map(|outcome| outcome.position).max();
    let replayed = outcomes.as_ref().is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.replayed));
    let decided: Vec<BatchResult> = match &outcomes {
        Some(outcomes) => outcomes.iter().map(BatchResult::decided).collect(),
        None => ids.iter().map(|id| BatchResult::new(*id, "pending")).collect(),
    };
    let mut decided = decided.into_iter();
    let results = results
        .into_iter()
        .map(|known| known.or_else(|| decided.next()).expect("every command has an outcome"))
        .collect();
    let mut response = JsonAnswer(BatchResults { results }).into_response();
    let headers = response.headers_mut();
    headers.insert(POSITION, position_value(last.unwrap_or_else(|| state.model.position())));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

// Reading.

async fn one(
    State(state): State<AppState>,
    caller: Caller,
    _at_least: AtLeast,
    Path(id): Path<String>,
) -> Answer {
    let order = order_of(&state, &caller, path_value(&id, "order")?).await?;
    Ok(JsonAnswer(order).into_response())
}

/// An order that the caller may see.
async fn order_of(state: &Gateway, caller: &Caller, id: Uuid) -> Result<Order, Problem> {
    let actor = caller.actor()?;
    let order = state.database.reads.order(id).await?;
    order
        .filter(|order| actor.may_act_for(order.customer.as_ref()))
        .ok_or_else(|| Problem::not_found("order"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimQuery {
    status: Option<String>,
    customer: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Where a list of orders or holds goes on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimPlace {
    before: Position,
}

impl ClaimQuery {
    /// What to list for this caller: customers see their own, whatever they ask for.
    pub(super) fn filter<S>(&self, caller: &Caller) -> Result<ClaimFilter<S>, Problem>
    where
        S: std::str::FromStr<Err = holdfast_domain::ValueError>,
    {
        let status = self.status.as_deref().map(str::parse).transpose();
        let status =
            status.map_err(|error: holdfast_domain::ValueError| Problem::invalid("status", error.0))?;
        let who = caller.signed_in()?;
        let named = self.customer.as_deref().map(Customer::new).transpose();
        let named = named.map_err(|error| Problem::invalid("customer", error.0))?;
        let customer = match who.role {
            Role::Customer => {
                named_customer(caller, named)?;
                Some(who.id.to_string())
            }
            Role::Service | Role::Staff | Role::Admin => named.map(|customer| customer.as_str().to_owned()),
        };
        let before = parse_cursor::<ClaimPlace>(self.cursor.as_deref())?.map(|place| place.before);
        Ok(ClaimFilter { status, customer, before, limit: page_limit(self.limit.as_deref())? })
    }
}

/// A page of a list of orders or holds.
pub(super) fn claim_page(items: &impl Serialize, next: Option<Position>) -> Response {
    let next_cursor = next.map(|before| cursor(&ClaimPlace { before }));
    JsonAnswer(json!({ "items": items, "next_cursor": next_cursor })).into_response()
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _at_least: AtLeast,
    Query(query): Query<ClaimQuery>,
) -> Answer {
    let page = state.database.reads.orders(query.filter::<OrderStatus>(&caller)?).await?;
    Ok(claim_page(&page.items, page.next))
}

// What happens afterwards.

/// A command about the order in the path, with a body that may be left out.
async fn change(
    state: AppState,
    caller: Caller,
    write: Write,
    id: String,
    kind: &str,
    request: Request,
) -> Answer {
    let id: Uuid = path_value(&id, "order")?;
    let bytes = json_body(request).await?;
    let body = if bytes.is_empty() { Value::Object(Map::new()) } else { parse(&bytes)? };
    if body.get("order_id").is_some() {
        return Err(Problem::invalid("order_id", "unknown field: the order is named by the path"));
    }
    let body = command_body(kind, body, &[("order_id", json!(id))])?;
    let command = write.command(&caller, None, body)?;
    state.decide(&write, command, |outcome, decided| order_answer(StatusCode::OK, outcome, decided)).await
}

async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    change(state, caller, write, id, "order.cancel", request).await
}

async fn fulfil(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    change(state, caller, write, id, "order.fulfil", request).await
}

async fn give_back(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    change(state, caller, write, id, "order.return", request).await
}
