//! `/v1/api-keys`: credentials of programs. A key is shown once, when it is made.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use holdfast_domain::Role;
use holdfast_store::accounts::{ApiKey, Change};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::accounts::{answered, done, fingerprint, refuse, replay};
use super::answer::{head_position, with_position};
use super::caller::Access;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Json, Query, Write, cursor, page_limit, parse_cursor, path_value};
use super::{AppState, Routes, auth};
use crate::clock;

const NAME_CHARACTERS_MAX: usize = 64;

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Admin,
            Operation::get("/v1/api-keys", "list_api_keys", "API keys").paged().answers(200, "ApiKeyPage"),
            list,
        )
        .on(
            Access::Admin,
            Operation::post("/v1/api-keys", "create_api_key", "Make an API key; the key is shown once")
                .body("NewApiKey")
                .answers(201, "ApiKey")
                .refuses(&[409, 422]),
            create,
        )
        .on(
            Access::Admin,
            Operation::delete("/v1/api-keys/{id}", "revoke_api_key", "Revoke an API key")
                .done()
                .refuses(&[404]),
            revoke,
        )
}

fn shape(key: &ApiKey) -> Value {
    json!({"id": key.id, "name": key.name, "role": key.role, "created_at": key.created_at})
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    name: String,
    role: Role,
}

async fn create(State(state): State<AppState>, write: Write, Json(new): Json<NewApiKey>) -> Answer {
    let fingerprint = fingerprint(&new);
    let characters = new.name.chars().count();
    if !(1..=NAME_CHARACTERS_MAX).contains(&characters)
        || new.name.trim() != new.name
        || new.name.chars().any(char::is_control)
    {
        let why = "must be 1 to 64 characters without control characters, or spaces at its ends";
        return Err(Problem::invalid("name", why));
    }
    let secret = auth::new_api_key();
    let key = ApiKey {
        id: Uuid::now_v7(),
        name: new.name,
        role: new.role,
        hash: auth::hash_secret(&secret),
        created_at: clock::now(),
    };
    let mut body = shape(&key);
    // What is remembered for a replay is without the key.
    let answered = answered(&write, fingerprint, StatusCode::CREATED, &body);
    match state.database.accounts.add_api_key(key, answered).await? {
        Change::Done(()) => {
            body["key"] = secret.into();
            Ok(with_position(StatusCode::CREATED, head_position(&state).await, &body))
        }
        Change::NameTaken => {
            let detail = "There is an API key of this name already.";
            let taken = Problem::new(StatusCode::CONFLICT, "name_taken", detail);
            refuse(&state, &write, fingerprint, taken).await
        }
        Change::NotFound => Err(Problem::not_found("API key")),
        Change::Replayed(earlier) => replay(&state, earlier, fingerprint).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(State(state): State<AppState>, Query(page): Query<Page>, _: AtLeast) -> Answer {
    let limit = page_limit(page.limit.as_deref())?;
    let after: Option<String> = parse_cursor(page.cursor.as_deref())?;
    let mut keys = state.database.accounts.api_keys(after.as_deref(), limit + 1).await?;
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(|key| cursor(&key.name));
    let items: Vec<Value> = keys.iter().map(shape).collect();
    Ok(axum::Json(json!({"items": items, "next_cursor": next})).into_response())
}

async fn revoke(State(state): State<AppState>, Path(id): Path<String>, write: Write) -> Answer {
    let id: Uuid = path_value(&id, "API key")?;
    let fingerprint = fingerprint(&id);
    let answered = answered(&write, fingerprint, StatusCode::NO_CONTENT, &Value::Null);
    let change = state.database.accounts.delete_api_key(id, answered).await?;
    state.auth.forget_all_of(id);
    match change {
        Change::Done(()) => Ok(done(&state).await),
        Change::NotFound | Change::NameTaken => {
            refuse(&state, &write, fingerprint, Problem::not_found("API key")).await
        }
        Change::Replayed(earlier) => replay(&state, earlier, fingerprint).await,
    }
}
