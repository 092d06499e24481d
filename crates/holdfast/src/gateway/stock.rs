//! `/v1/stock`: how much of each SKU is where, what changes it, and what changed it.

use axum::Extension;
use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use holdfast_domain::command::{
    AdjustStock, ChangeIncoming, CountStock, MoveUnavailable, ReceiveStock, SetLevels, TransferStock,
};
use holdfast_domain::{
    Answer as Decided, CommandBody, LocationCode, Outcome, Position, Rejection, Sku, StockRow, Timestamp,
    Units,
};
use serde::{Deserialize, Serialize};

use super::answer::{self, with_position};
use super::caller::{Access, Caller};
use super::items::flag;
use super::movements::{self, ActorNames, MovementBody};
use super::openapi::operation::Operation;
use super::openapi::shapes::{about, pattern, text, time};
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Json, Query, Write, cursor, page_limit, parse_cursor, path_value};
use super::{AppState, Routes};
use crate::follow::read_model::StockQuery;

/// SKUs in one query at most.
pub const QUERY_SKUS_MAX: usize = 500;
/// What a POST can be sent to beside the SKUs.
pub const OPERATIONS: [&str; 7] =
    ["query", "receipts", "adjustments", "counts", "transfers", "unavailable", "incoming"];

pub fn routes(routes: Routes) -> Routes {
    let names = Extension(ActorNames::new());
    let by_location = || about("Location code", pattern("^[A-Za-z0-9._-]{0,64}$"));
    let listed = Operation::get("/v1/stock", "list_stock", "Stock, filtered")
        .query("query", text())
        .flag("low", "At or below the reorder point")
        .flag("shortage", "Promised more than there is")
        .query("location", by_location())
        .paged()
        .answers(200, "StockPage");
    let shown = Operation::get("/v1/stock/{sku}", "get_stock", "Stock of one SKU, by location")
        .note("As it was at an earlier time is not in this version: 501.")
        .query("at", about("As it was then", time()))
        .query("position", about("As it was then", text()))
        .answers(200, "Stock")
        .refuses(&[404, 501]);
    let history =
        Operation::get("/v1/stock/{sku}/movements", "list_movements", "What happened to a SKU, newest first")
            .query("location", by_location())
            .paged()
            .answers(200, "MovementPage")
            .refuses(&[404]);
    let routes = routes
        .on(Access::StaffOrService, listed, list)
        .on(
            Access::StaffOrService,
            Operation::post("/v1/stock/query", "query_stock", "Stock of many SKUs")
                .asks()
                .body("StockQuery")
                .answers(200, "StockList"),
            query,
        )
        .on(Access::StaffOrService, shown, one)
        .on(Access::Staff, history, movements::list.layer(names))
        .on(
            Access::Staff,
            Operation::put(
                "/v1/stock/{sku}/levels/{location}",
                "put_levels",
                "Set safety stock and reorder point",
            )
            .body("Levels")
            .answers(200, "StockLocation")
            .refuses(&[404, 422]),
            set_levels,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/receipts", "receive_stock", "Book goods in")
                .body("Receipt")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            receive,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/adjustments", "adjust_stock", "Correct on hand, with a reason")
                .body("Adjustment")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            adjust,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/counts", "count_stock", "Record a cycle count")
                .body("Count")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            count,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/transfers", "transfer_stock", "Move between locations")
                .body("Transfer")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            transfer,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/unavailable", "change_unavailable", "Quarantine or free units")
                .body("UnavailableChange")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            move_unavailable,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/stock/incoming", "change_incoming", "Change what is on its way")
                .body("IncomingChange")
                .answers(201, "Movement")
                .refuses(&[409, 422]),
            change_incoming,
        );
    // An item may be called like an operation; its stock can be read all the same.
    OPERATIONS.into_iter().fold(routes, |routes, name| {
        let read = async move |State(state): State<AppState>, at_least: AtLeast, query: Query<OneQuery>| {
            one(State(state), at_least, Path(name.to_owned()), query).await
        };
        routes.beside(&format!("/v1/stock/{name}"), Access::StaffOrService, read)
    })
}

/// The counters of a SKU, at one location or over all. Units.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Counters {
    on_hand: i64,
    held: i64,
    allocated: i64,
    unavailable: i64,
    safety_stock: i64,
    available: i64,
    shortage: i64,
    incoming: i64,
}

impl Counters {
    fn of(row: &StockRow) -> Self {
        Self {
            on_hand: row.on_hand,
            held: row.held,
            allocated: row.allocated,
            unavailable: row.unavailable,
            safety_stock: row.safety_stock,
            available: row.available(),
            shortage: row.shortage(),
            incoming: row.incoming,
        }
    }

    /// Available and shortage are sums too: what is short at one place cannot be taken from another.
    fn add(&mut self, other: &Counters) {
        self.on_hand += other.on_hand;
        self.held += other.held;
        self.allocated += other.allocated;
        self.unavailable += other.unavailable;
        self.safety_stock += other.safety_stock;
        self.available += other.available;
        self.shortage += other.shortage;
        self.incoming += other.incoming;
    }
}

#[derive(Debug, Serialize)]
struct LocationBody<'a> {
    location: &'a LocationCode,
    #[serde(flatten)]
    counters: Counters,
    reorder_point: i64,
}

impl<'a> From<&'a StockRow> for LocationBody<'a> {
    fn from(row: &'a StockRow) -> Self {
        Self { location: &row.location, counters: Counters::of(row), reorder_point: row.reorder_point }
    }
}

#[derive(Debug, Serialize)]
struct StockBody<'a> {
    sku: &'a Sku,
    #[serde(flatten)]
    sums: Counters,
    locations: Vec<LocationBody<'a>>,
    position: Position,
}

impl<'a> StockBody<'a> {
    fn new(sku: &'a Sku, rows: &'a [StockRow], position: Position) -> Self {
        let locations: Vec<LocationBody<'a>> = rows.iter().map(LocationBody::from).collect();
        let mut sums = Counters::default();
        for location in &locations {
            sums.add(&location.counters);
        }
        Self { sku, sums, locations, position }
    }
}

// Reading.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneQuery {
    at: Option<String>,
    position: Option<String>,
}

impl OneQuery {
    /// Refuses questions about the past: what cannot be one as malformed, the others as not answered yet.
    fn only_now(&self, now: Position) -> Result<(), Problem> {
        if self.at.is_some() && self.position.is_some() {
            return Err(Problem::invalid("position", "either at or position, not both"));
        }
        if let Some(at) = &self.at {
            Timestamp::parse(at).map_err(|error| Problem::invalid("at", error.0))?;
        }
        if let Some(position) = &self.position {
            let position: Position = position
                .parse()
                .map_err(|error: holdfast_domain::ValueError| Problem::invalid("position", error.0))?;
            if position > now {
                return Err(Problem::invalid("position", "is after the end of the log"));
            }
        }
        if self.at.is_some() || self.position.is_some() {
            return Err(Problem::not_implemented("Stock as it was at an earlier time"));
        }
        Ok(())
    }
}

async fn one(
    State(state): State<AppState>,
    _at_least: AtLeast,
    Path(sku): Path<String>,
    Query(query): Query<OneQuery>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let (stock, position) = state.model.stock(&sku).ok_or_else(|| Problem::not_found("item"))?;
    query.only_now(position)?;
    Ok(JsonAnswer(StockBody::new(&sku, &stock.stock, position)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skus {
    skus: Vec<Sku>,
}

#[derive(Serialize)]
struct Found<'a> {
    items: Vec<StockBody<'a>>,
    unknown: Vec<&'a Sku>,
}

async fn query(State(state): State<AppState>, _at_least: AtLeast, Json(Skus { skus }): Json<Skus>) -> Answer {
    if !(1..=QUERY_SKUS_MAX).contains(&skus.len()) {
        return Err(Problem::invalid("skus", format!("must be 1 to {QUERY_SKUS_MAX} SKUs")));
    }
    let before = state.model.position();
    let mut asked = std::collections::HashSet::with_capacity(skus.len());
    let (mut found, mut unknown) = (Vec::with_capacity(skus.len()), Vec::new());
    for sku in skus.iter().filter(|sku| asked.insert(*sku)) {
        match state.model.stock(sku) {
            Some((stock, position)) => found.push((sku, stock, position)),
            None => unknown.push(sku),
        }
    }
    let items: Vec<StockBody<'_>> =
        found.iter().map(|(sku, stock, position)| StockBody::new(sku, &stock.stock, *position)).collect();
    Ok(with_position(StatusCode::OK, before, &Found { items, unknown }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    query: Option<String>,
    low: Option<String>,
    shortage: Option<String>,
    location: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Where the list goes on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    after: Sku,
}

async fn list(State(state): State<AppState>, _at_least: AtLeast, Query(query): Query<ListQuery>) -> Answer {
    let wanted = StockQuery {
        query: query.query.clone(),
        low: flag("low", query.low.as_ref())?,
        shortage: flag("shortage", query.shortage.as_ref())?,
        location: movements::location(query.location.as_deref())?,
        limit: page_limit(query.limit.as_deref())?,
        cursor: parse_cursor::<Place>(query.cursor.as_deref())?.map(|place| place.after.to_string()),
    };
    // What is read after this is at least as new.
    let position = state.model.position();
    let (page, next) = state.model.stock_list(&wanted);
    let items: Vec<StockBody<'_>> =
        page.iter().map(|(sku, rows)| StockBody::new(sku, rows, position)).collect();
    let next_cursor = next.and_then(|after| Sku::new(after).ok()).map(|after| cursor(&Place { after }));
    Ok(answer::page(&items, next_cursor.as_deref()))
}

// Changing.

/// Sends a command that makes movements and answers the first one; of several, all of them under `movements` too.
async fn moved(state: AppState, caller: Caller, write: Write, body: CommandBody) -> Answer {
    let command = write.command(&caller, None, body)?;
    let who = caller.signed_in()?;
    state
        .decide(&write, command, |outcome, decided| {
            let Decided::Movements(moves) = decided else { return not_of_stock(outcome) };
            // Whoever repeats a command is the account that sent it first.
            let bodies: Vec<MovementBody<'_>> =
                moves.iter().map(|movement| MovementBody::new(movement, &who.name)).collect();
            let (Some(first), true) = (bodies.first(), bodies.len() > 1) else {
                return with_position(StatusCode::CREATED, outcome.position, &bodies.first());
            };
            #[derive(Serialize)]
            struct Several<'a> {
                #[serde(flatten)]
                first: &'a MovementBody<'a>,
                movements: &'a [MovementBody<'a>],
            }
            let body = Several { first, movements: &bodies };
            with_position(StatusCode::CREATED, outcome.position, &body)
        })
        .await
}

/// A key that was used for something else is refused before it comes to this.
fn not_of_stock(outcome: &Outcome) -> Response {
    with_position(StatusCode::OK, outcome.position, outcome)
}

async fn receive(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<ReceiveStock>,
) -> Answer {
    moved(state, caller, write, CommandBody::ReceiveStock(body)).await
}

async fn adjust(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<AdjustStock>,
) -> Answer {
    moved(state, caller, write, CommandBody::AdjustStock(body)).await
}

async fn count(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<CountStock>,
) -> Answer {
    moved(state, caller, write, CommandBody::CountStock(body)).await
}

async fn transfer(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<TransferStock>,
) -> Answer {
    moved(state, caller, write, CommandBody::TransferStock(body)).await
}

async fn move_unavailable(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<MoveUnavailable>,
) -> Answer {
    moved(state, caller, write, CommandBody::MoveUnavailable(body)).await
}

async fn change_incoming(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<ChangeIncoming>,
) -> Answer {
    moved(state, caller, write, CommandBody::ChangeIncoming(body)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    safety_stock: Units,
    reorder_point: Units,
}

async fn set_levels(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path((sku, location)): Path<(String, String)>,
    Json(Levels { safety_stock, reorder_point }): Json<Levels>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let location: LocationCode = path_value(&location, "location")?;
    let body = CommandBody::SetLevels(SetLevels { sku, location, safety_stock, reorder_point });
    let command = write.command(&caller, None, body)?;
    state
        .decide_or(&write, command, named_by_path, |outcome, decided| match decided {
            Decided::Levels(row) => with_position(StatusCode::OK, outcome.position, &LocationBody::from(row)),
            Decided::Order(_)
            | Decided::OrderText(_)
            | Decided::Hold(_)
            | Decided::Item { .. }
            | Decided::Removed
            | Decided::Location(_)
            | Decided::Movements(_)
            | Decided::Swept => not_of_stock(outcome),
        })
        .await
}

/// What the path names and is not there is 404; in a body it would be 422.
fn named_by_path(rejection: &Rejection) -> Problem {
    match rejection {
        Rejection::UnknownSku { .. } => Problem::not_found("item"),
        Rejection::UnknownLocation { .. } => Problem::not_found("location"),
        other => Problem::from(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(location: &str, on_hand: i64, allocated: i64) -> StockRow {
        let location = LocationCode::new(location).expect("a code");
        StockRow { on_hand, allocated, safety_stock: 1, reorder_point: 5, ..StockRow::empty(location) }
    }

    #[test]
    fn a_shortage_at_one_place_does_not_eat_what_is_available_at_another() {
        let sku = Sku::new("A").expect("a SKU");
        let rows = [row("BLR", 10, 2), row("DEL", 1, 4)];
        let body = StockBody::new(&sku, &rows, Position(42));
        let value = serde_json::to_value(&body).expect("plain data");
        let expected = json!({
            "sku": "A", "on_hand": 11, "held": 0, "allocated": 6, "unavailable": 0, "safety_stock": 2,
            "available": 7, "shortage": 4, "incoming": 0, "position": "42",
            "locations": [
                {"location": "BLR", "on_hand": 10, "held": 0, "allocated": 2, "unavailable": 0, "safety_stock": 1,
                 "available": 7, "shortage": 0, "incoming": 0, "reorder_point": 5},
                {"location": "DEL", "on_hand": 1, "held": 0, "allocated": 4, "unavailable": 0, "safety_stock": 1,
                 "available": 0, "shortage": 4, "incoming": 0, "reorder_point": 5},
            ],
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn questions_about_the_past_are_checked_before_they_are_declined() {
        let ask = |at: Option<&str>, position: Option<&str>| {
            let query = OneQuery { at: at.map(str::to_owned), position: position.map(str::to_owned) };
            query.only_now(Position(10)).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(ask(None, None), Ok(()));
        assert_eq!(ask(Some("2026-01-31T12:00:00Z"), None), Err(501));
        assert_eq!(ask(None, Some("10")), Err(501));
        assert_eq!(ask(Some("yesterday"), None), Err(400));
        assert_eq!(ask(None, Some("-1")), Err(400));
        assert_eq!(ask(None, Some("11")), Err(400));
        assert_eq!(ask(Some("2026-01-31T12:00:00Z"), Some("1")), Err(400));
    }

    #[test]
    fn what_the_path_names_and_is_not_there_is_404() {
        let skus = vec![Sku::new("A").expect("a SKU")];
        assert_eq!(named_by_path(&Rejection::UnknownSku { skus }).status, StatusCode::NOT_FOUND);
        assert_eq!(named_by_path(&Rejection::SameLocation).status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
