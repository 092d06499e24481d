//! From a decision to a response: the status of what was done, `Holdfast-Position`, `Idempotent-Replayed`, or the
//! problem that the rules answered with.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Answer as Decided, Command, CommandBody, Outcome, Position, Rejection};
use serde::Serialize;
use serde_json::json;

use super::dispatcher::Decision;
use super::problem::{Answer, Problem};
use super::request::Write;
use super::{AppState, Gateway};

pub const POSITION: HeaderName = HeaderName::from_static("holdfast-position");
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Room for the body of an order or an item, and for the headers of an answer.
const BODY_BYTES: usize = 768;
const HEADERS: usize = 12;

/// Puts a position into a header.
pub fn position_value(position: Position) -> HeaderValue {
    HeaderValue::from(position.0)
}

/// A JSON answer with `Holdfast-Position`.
pub fn with_position(status: StatusCode, position: Position, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(BODY_BYTES);
    if let Err(error) = serde_json::to_writer(&mut bytes, body) {
        tracing::error!(%error, "an answer cannot be written as JSON");
        return Problem::internal().into_response();
    }
    let mut response = json_answer(status, bytes);
    response.headers_mut().insert(POSITION, position_value(position));
    response
}

/// An answer with JSON that is written already, and with room for more headers.
pub fn json_answer(status: StatusCode, json: Vec<u8>) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A page of a list; serialised straight from what it shows.
pub fn page(items: &[impl Serialize], next_cursor: Option<&str>) -> Response {
    #[derive(Serialize)]
    struct Page<'a, T> {
        items: &'a [T],
        next_cursor: Option<&'a str>,
    }
    Json(Page { items, next_cursor }).into_response()
}

/// Where a pending command or its result can be read.
pub fn location_of(command: &Command) -> String {
    format!("{}{}", collection_of(&command.body), command.id)
}

fn collection_of(body: &CommandBody) -> &'static str {
    match body {
        CommandBody::PlaceOrder(_) => "/v1/orders/",
        // A hold that is pending, or was refused, is nowhere else.
        _of_other_kinds => "/v1/commands/",
    }
}

impl Gateway {
    /// Sends a command and makes the response of its outcome: `shape` turns what was decided into status and body.
    pub async fn decide(
        &self,
        write: &Write,
        command: Command,
        shape: impl FnOnce(&Outcome, &Decided) -> Response,
    ) -> Answer {
        self.decide_or(write, command, |rejection| rejection.into(), shape).await
    }

    /// The same, with rejections that mean something else on this path.
    pub async fn decide_or(
        &self,
        write: &Write,
        command: Command,
        refusal: fn(&Rejection) -> Problem,
        shape: impl FnOnce(&Outcome, &Decided) -> Response,
    ) -> Answer {
        let (collection, id) = (collection_of(&command.body), command.id);
        let is_order = matches!(command.body, CommandBody::PlaceOrder(_));
        match self.dispatcher.submit(command, write.respond_async, &write.alarm).await? {
            Decision::Decided(outcome) => Ok(respond(&outcome, refusal, shape)),
            Decision::Pending => {
                let name = if is_order { "id" } else { "command_id" };
                let body = json!({ name: id, "status": "pending" });
                let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
                if let Ok(value) = HeaderValue::from_str(&format!("{collection}{id}")) {
                    response.headers_mut().insert(header::LOCATION, value);
                }
                // It has no place in the log yet; what is there now is a bound from below.
                response.headers_mut().insert(POSITION, position_value(self.model.position()));
                Ok(response)
            }
        }
    }
}

fn respond(
    outcome: &Outcome,
    refusal: fn(&Rejection) -> Problem,
    shape: impl FnOnce(&Outcome, &Decided) -> Response,
) -> Response {
    let mut response = match &outcome.result {
        Ok(decided) => shape(outcome, decided),
        Err(rejection) => refusal(rejection).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(POSITION, position_value(outcome.position));
    if outcome.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// For handlers of things outside the log: their writes answer with where the log is.
pub async fn head_position(state: &AppState) -> Position {
    state.model.position()
}
