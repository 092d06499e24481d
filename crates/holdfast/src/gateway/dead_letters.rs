//! `/v1/dead-letters`: commands on the broker that could not be read, or that no worker survived. The queue keeps them
//! until somebody sends them again or drops them. The in-process bus carries only what HTTP has parsed already, so
//! nothing can die on it: there the list is empty and no id names anything.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use holdfast_bus::amqp::DeadLetter;
use holdfast_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{answered, done, earlier, fingerprint, refuse, replay};
use super::caller::Access;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query, Write, cursor, page_limit, parse_cursor};
use super::{AppState, Routes};

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Admin,
            Operation::get("/v1/dead-letters", "list_dead_letters", "What could not be processed")
                .paged()
                .answers(200, "DeadLetterPage"),
            list,
        )
        .on(
            Access::Admin,
            Operation::delete("/v1/dead-letters/{id}", "drop_dead_letter", "Drop it")
                .text_id()
                .done()
                .refuses(&[404]),
            drop_one,
        )
        .on(
            Access::Admin,
            Operation::post("/v1/dead-letters/{id}/retry", "retry_dead_letter", "Send it again")
                .text_id()
                .done()
                .refuses(&[404]),
            retry,
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// Where a page ended: how many dead letters came before. They are few, and keep their order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    shown: usize,
}

/// A dead letter as the API shows it.
fn shown(letter: &DeadLetter) -> Value {
    let command: Option<Value> = serde_json::from_str(&letter.body).ok();
    let kind = command.as_ref().and_then(|command| command["kind"].as_str());
    let at = letter.at_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
    json!({
        "id": letter.id,
        "at": Timestamp(at.saturating_mul(1_000_000)),
        "error": letter.error,
        "routing_key": letter.routing_key,
        "kind": kind,
        "command_id": letter.command_id,
        "body": letter.body,
    })
}

fn unreachable(why: String) -> Problem {
    Problem::unavailable("unavailable", format!("The broker cannot be asked: {why}."))
}

async fn list(State(state): State<AppState>, _at_least: AtLeast, Query(query): Query<ListQuery>) -> Answer {
    let limit = page_limit(query.limit.as_deref())?;
    let place: Option<Place> = parse_cursor(query.cursor.as_deref())?;
    let letters = match &state.dead_letters {
        Some(dead) => dead.list().await.map_err(unreachable)?,
        None => Vec::new(),
    };
    let before = place.map_or(0, |place| place.shown).min(letters.len());
    let page: Vec<Value> = letters[before..].iter().take(limit).map(shown).collect();
    let seen = before + page.len();
    let next = (seen < letters.len()).then(|| cursor(&Place { shown: seen }));
    Ok(Json(json!({ "items": page, "next_cursor": next })).into_response())
}

async fn retry(State(state): State<AppState>, write: Write, Path(id): Path<String>) -> Answer {
    let retried = async {
        match &state.dead_letters {
            Some(dead) => dead.retry(&id).await,
            None => Ok(false),
        }
    };
    once(&state, &write, &id, retried).await
}

async fn drop_one(State(state): State<AppState>, write: Write, Path(id): Path<String>) -> Answer {
    let dropped = async {
        match &state.dead_letters {
            Some(dead) => dead.remove(&id).await,
            None => Ok(false),
        }
    };
    once(&state, &write, &id, dropped).await
}

/// Does what is to be done with a dead letter, which says whether it was there; under a known key only answers again.
async fn once(
    state: &AppState,
    write: &Write,
    id: &str,
    work: impl Future<Output = Result<bool, String>>,
) -> Answer {
    let fingerprint = fingerprint(&id);
    if let Some(earlier) = earlier(state, write).await? {
        return replay(state, earlier, fingerprint).await;
    }
    if !work.await.map_err(unreachable)? {
        return refuse(state, write, fingerprint, Problem::not_found("dead letter")).await;
    }
    // The broker has done it, whether or not the database can say so later.
    if let Some(answered) = answered(write, fingerprint, StatusCode::NO_CONTENT, &Value::Null)
        && let Err(error) = state.database.accounts.record(answered).await
    {
        tracing::warn!(%error, "what became of a dead letter could not be recorded under its key");
    }
    Ok(done(state).await)
}
