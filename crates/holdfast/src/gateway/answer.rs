//! From a decision to a response: the status of what was done, `Holdfast-Position`, `Idempotent-Replayed`, or the
//! problem that the rules answered with.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Answer as Decided, Command, Outcome, Position, Rejection};
use serde::Serialize;
use serde_json::json;

use super::dispatcher::Decision;
use super::problem::{Answer, Problem};
use super::request::Write;
use super::{AppState, Gateway};

pub const POSITION: HeaderName = HeaderName::from_static("holdfast-position");
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Puts a position into a header.
pub fn position_value(position: Position) -> HeaderValue {
    HeaderValue::from(position.0)
}

/// A JSON answer with `Holdfast-Position`.
pub fn with_position(status: StatusCode, position: Position, body: &impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    // There will be several: grown once.
    response.headers_mut().reserve(8);
    response.headers_mut().insert(POSITION, position_value(position));
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
    use holdfast_domain::CommandBody as B;
    match &command.body {
        B::PlaceOrder(_) => format!("/v1/orders/{}", command.id),
        B::PlaceHold(_) => format!("/v1/holds/{}", command.id),
        _of_other_kinds => format!("/v1/commands/{}", command.id),
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
        let location = location_of(&command);
        let is_order = matches!(command.body, holdfast_domain::CommandBody::PlaceOrder(_));
        let id = command.id;
        match self.dispatcher.submit(command, write.respond_async).await? {
            Decision::Decided(outcome) => Ok(respond(&outcome, refusal, shape)),
            Decision::Pending => {
                let name = if is_order { "id" } else { "command_id" };
                let body = json!({ name: id, "status": "pending" });
                let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
                if let Ok(value) = HeaderValue::from_str(&location) {
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
