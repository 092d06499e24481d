//! `/v1/commands/{id}`: what became of a command, for whoever sent it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Answer as Decided, Outcome};
use serde_json::json;
use uuid::Uuid;

use super::caller::{Access, Caller, SignedIn};
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, path_value};
use super::{AppState, Gateway, Routes};

pub fn routes(routes: Routes) -> Routes {
    let operation =
        Operation::get("/v1/commands/{id}", "get_command", "The outcome of a command, or pending")
            .note("Whoever sent it, and staff.")
            .answers(200, "Outcome")
            .refuses(&[404]);
    routes.on(Access::SignedIn, operation, one)
}

async fn one(
    State(state): State<AppState>,
    caller: Caller,
    _at_least: AtLeast,
    Path(id): Path<String>,
) -> Answer {
    let id: Uuid = path_value(&id, "command")?;
    let who = caller.signed_in()?;
    let found = find(&state, id).await?;
    match found.filter(|found| may_see(who, found.sent_by())) {
        None => Err(Problem::not_found("command")),
        Some(Found::Pending { .. }) => Ok(pending(id)),
        Some(Found::Decided { outcome, .. }) => Ok(Json(*outcome).into_response()),
    }
}

enum Found {
    Pending { actor: String },
    Decided { actor: String, outcome: Box<Outcome> },
}

impl Found {
    fn sent_by(&self) -> &str {
        match self {
            Found::Pending { actor } | Found::Decided { actor, .. } => actor,
        }
    }
}

fn may_see(who: &SignedIn, actor: &str) -> bool {
    who.role.is_staff() || who.id.to_string() == actor
}

fn pending(id: Uuid) -> Response {
    Json(json!({ "id": id, "status": "pending" })).into_response()
}

/// Pending first: what is settled between two looks is then found as an outcome.
async fn find(state: &Gateway, id: Uuid) -> Result<Option<Found>, Problem> {
    let reads = &state.database.reads;
    if let Some(pending) = reads.pending(id).await? {
        return Ok(Some(Found::Pending { actor: pending.command.actor.name.to_string() }));
    }
    if let Some((actor, outcome)) = reads.outcome(id).await? {
        return Ok(Some(Found::Decided { actor, outcome: Box::new(outcome) }));
    }
    // Accepted holds and all orders are remembered by their own rows; a hold comes before the order it became.
    if let Some(hold) = reads.hold(id).await? {
        let result = Ok(Decided::Hold(Arc::new(hold.first_answer())));
        return Ok(Some(decided(id, hold.position, &hold.placed_by, result)));
    }
    Ok(reads.order(id).await?.map(|order| {
        let result = match order.rejection() {
            Some(rejection) => Err(rejection),
            None => Ok(Decided::Order(Arc::new(order.first_answer()))),
        };
        decided(id, order.position, &order.placed_by, result)
    }))
}

fn decided(
    id: Uuid,
    position: holdfast_domain::Position,
    placed_by: &str,
    result: Result<Decided, holdfast_domain::Rejection>,
) -> Found {
    let outcome = Box::new(Outcome { id, position, replayed: false, result });
    Found::Decided { actor: placed_by.to_owned(), outcome }
}
