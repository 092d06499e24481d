//! `/v1/holds`: units kept for a while, until they become an order, are let go, or their time is over.

use axum::Json as JsonAnswer;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::command::{ConfirmHold, Lines, PlaceHold, ReleaseHold, TtlSeconds};
use holdfast_domain::{
    Answer as Decided, CommandBody, Customer, GeoPoint, Hold, HoldStatus, Outcome, Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{POSITION, position_value, with_position};
use super::caller::{Access, Caller};
use super::openapi::operation::Operation;
use super::openapi::shapes::{known, text};
use super::orders::{ClaimQuery, claim_page, named_customer, order_answer};
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Json, Query, Write, command_body, json_body, parse, path_value};
use super::{AppState, Routes};
use crate::clock;

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Buyer,
            Operation::post("/v1/holds", "create_hold", "Keep units for a while")
                .body("NewHold")
                .answers(201, "Hold")
                .decided()
                .refuses(&[409, 422, 429, 503, 504]),
            place,
        )
        .on(
            Access::SignedIn,
            Operation::get("/v1/holds", "list_holds", "Holds, newest first; a customer sees the own ones")
                .note("Of those that still hold, each page shows first what is soonest over.")
                .query("status", known("HoldStatus"))
                .query("customer", text())
                .paged()
                .answers(200, "HoldPage"),
            list,
        )
        .on(
            Access::SignedIn,
            Operation::get("/v1/holds/{id}", "get_hold", "One hold").answers(200, "Hold").refuses(&[404]),
            one,
        )
        .on(
            Access::Buyer,
            Operation::delete("/v1/holds/{id}", "release_hold", "Give the units back")
                .done()
                .refuses(&[404, 409, 410, 422, 429]),
            release,
        )
        .on(
            Access::Buyer,
            Operation::post(
                "/v1/holds/{id}/confirm",
                "confirm_hold",
                "Turn a hold into an order with its id",
            )
            .answers(200, "Order")
            .refuses(&[404, 409, 410, 422, 429]),
            confirm,
        )
        .on(
            Access::Buyer,
            Operation::post("/v1/holds/{id}/extend", "extend_hold", "Keep the units longer")
                .body("HoldExtension")
                .answers(200, "Hold")
                .refuses(&[404, 409, 410, 422, 429]),
            extend,
        )
}

/// The body of `POST /v1/holds`: a hold's fields and the id that the client may give it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHold {
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    customer: Option<Customer>,
    lines: Lines,
    #[serde(default)]
    ship_to: Option<GeoPoint>,
    ttl_seconds: TtlSeconds,
}

async fn place(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(hold): Json<NewHold>,
) -> Answer {
    let NewHold { id, customer, lines, ship_to, ttl_seconds } = hold;
    let customer = named_customer(&caller, customer)?;
    let body = CommandBody::PlaceHold(PlaceHold { customer, lines, ship_to, ttl_seconds });
    let command = write.command(&caller, id, body)?;
    state
        .decide(&write, command, |outcome, decided| {
            let mut response = hold_answer(StatusCode::CREATED, outcome, decided);
            if let Ok(location) = HeaderValue::from_str(&format!("/v1/holds/{}", outcome.id)) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        })
        .await
}

/// The hold that a command answered with.
fn hold_answer(status: StatusCode, outcome: &Outcome, decided: &Decided) -> Response {
    match decided {
        Decided::Hold(hold) => with_position(status, outcome.position, hold),
        // A client's id or key that was used for something else is refused before this.
        Decided::Order(_)
        | Decided::OrderText(_)
        | Decided::Item { .. }
        | Decided::Removed
        | Decided::Location(_)
        | Decided::Movements(_)
        | Decided::Levels(_)
        | Decided::Swept => with_position(status, outcome.position, outcome),
    }
}

/// A hold past its time is over, also while nobody has swept it away yet.
fn as_of(now: Timestamp, mut hold: Hold) -> Hold {
    if hold.status == HoldStatus::Held && hold.expires_at <= now {
        hold.status = HoldStatus::Expired;
    }
    hold
}

async fn one(
    State(state): State<AppState>,
    caller: Caller,
    _at_least: AtLeast,
    Path(id): Path<String>,
) -> Answer {
    let actor = caller.actor()?;
    let hold = state.database.reads.hold(path_value(&id, "hold")?).await?;
    let hold = hold
        .filter(|hold| actor.may_act_for(hold.customer.as_ref()))
        .ok_or_else(|| Problem::not_found("hold"))?;
    Ok(JsonAnswer(as_of(clock::now(), hold)).into_response())
}

/// Newest first; of those that still hold, each page shows first what is soonest over.
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _at_least: AtLeast,
    Query(query): Query<ClaimQuery>,
) -> Answer {
    let filter = query.filter::<HoldStatus>(&caller)?;
    let status = filter.status;
    let page = state.database.reads.holds(filter).await?;
    let now = clock::now();
    let mut holds: Vec<Hold> = page.items.into_iter().map(|hold| as_of(now, hold)).collect();
    if status == Some(HoldStatus::Held) {
        holds.retain(|hold| hold.status == HoldStatus::Held);
        holds.sort_by_key(|hold| (hold.expires_at, hold.position));
    }
    Ok(claim_page(&holds, page.next))
}

async fn confirm(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let hold_id = path_value(&id, "hold")?;
    no_fields(request).await?;
    let command = write.command(&caller, None, CommandBody::ConfirmHold(ConfirmHold { hold_id }))?;
    state.decide(&write, command, |outcome, decided| order_answer(StatusCode::OK, outcome, decided)).await
}

async fn extend(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let id: Uuid = path_value(&id, "hold")?;
    if body.get("hold_id").is_some() {
        return Err(Problem::invalid("hold_id", "unknown field: the hold is named by the path"));
    }
    let body = command_body("hold.extend", body, &[("hold_id", json!(id))])?;
    let command = write.command(&caller, None, body)?;
    state.decide(&write, command, |outcome, decided| hold_answer(StatusCode::OK, outcome, decided)).await
}

async fn release(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let hold_id = path_value(&id, "hold")?;
    no_fields(request).await?;
    let command = write.command(&caller, None, CommandBody::ReleaseHold(ReleaseHold { hold_id }))?;
    state
        .decide(&write, command, |outcome, _hold| {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().insert(POSITION, position_value(outcome.position));
            response
        })
        .await
}

/// Reads the body of a call that takes no fields: nothing, or an empty object.
async fn no_fields(request: Request) -> Result<(), Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let bytes = json_body(request).await?;
    if !bytes.is_empty() {
        let Nothing {} = parse(&bytes)?;
    }
    Ok(())
}
