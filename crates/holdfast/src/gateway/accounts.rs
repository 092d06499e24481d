//! `/v1/accounts`, `/v1/me`: who there is, and the own account.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Role, Timestamp};
use holdfast_store::accounts::{Account, Answered, Change, PrincipalKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::answer::{POSITION, REPLAYED, head_position, position_value, with_position};
use super::caller::{Access, Caller, SignedIn};
use super::limits::ClientAddress;
use super::openapi::operation::Operation;
use super::openapi::shapes::{about, text};
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Json, Query, Write, cursor, page_limit, parse_cursor, path_value};
use super::{AppState, Routes, auth};
use crate::clock;

/// Accounts read at once.
const READ_MAX: usize = 200;
/// Accounts that one page of a search looks through; where they end, the next page goes on.
const SEARCHED_MAX: usize = 5_000;

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Public,
            Operation::post("/v1/accounts", "register", "Register a customer")
                .body("Credentials")
                .answers(201, "Account")
                .refuses(&[409, 422, 429]),
            register,
        )
        .on(
            Access::Admin,
            Operation::get("/v1/accounts", "list_accounts", "Accounts")
                .query("query", about("A part of the username", text()))
                .paged()
                .answers(200, "AccountPage"),
            list,
        )
        .on(
            Access::Admin,
            Operation::patch("/v1/accounts/{id}", "update_account", "Change the role, disable or enable")
                .body("AccountPatch")
                .answers(200, "Account")
                .refuses(&[404, 409, 422]),
            update,
        )
        .on(
            Access::SignedIn,
            Operation::get("/v1/me", "get_me", "Who is signed in").answers(200, "Account"),
            me,
        )
        .on(
            Access::SignedIn,
            Operation::put(
                "/v1/me/password",
                "change_password",
                "Change the password; ends the other sessions",
            )
            .body("PasswordChange")
            .done()
            .refuses(&[422, 429]),
            change_password,
        )
}

/// An account as its owner and admins see it.
pub fn shape(account: &Account) -> Value {
    json!({
        "id": account.id,
        "username": account.username,
        "role": account.role,
        "disabled": account.disabled,
        "created_at": account.created_at,
    })
}

/// The fingerprint of content that holds no secret.
pub fn fingerprint(content: &impl Serialize) -> [u8; 16] {
    let json = serde_json::to_vec(content).expect("parsed content serialises");
    shortened(Sha256::digest(json).into())
}

/// The fingerprint of content from its SHA-256.
pub fn shortened(digest: [u8; 32]) -> [u8; 16] {
    let (first, _) = digest.split_first_chunk().expect("32 bytes begin with 16");
    *first
}

/// What is recorded under an idempotency key; nothing without one.
pub fn answered(write: &Write, fingerprint: [u8; 16], status: StatusCode, body: &Value) -> Option<Answered> {
    let key = write.key?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Some(Answered { key, fingerprint, status: status.as_u16(), body, at: clock::now() })
}

/// The first answer again, or 422 when the key came with other content.
pub async fn replay(state: &AppState, earlier: Answered, fingerprint: [u8; 16]) -> Answer {
    if earlier.fingerprint != fingerprint {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "This Idempotency-Key was used with other content.",
        ));
    }
    let mut response = recorded(state, earlier).await;
    response.headers_mut().insert(REPLAYED, header::HeaderValue::from_static("true"));
    Ok(response)
}

/// Refuses what was decided to be refused, and remembers it under the write's key as any other decision. What the key was
/// answered meanwhile counts instead.
pub async fn refuse(state: &AppState, write: &Write, fingerprint: [u8; 16], problem: Problem) -> Answer {
    let document = problem.document();
    let Some(answered) = answered(write, fingerprint, problem.status, &document) else {
        return Err(problem);
    };
    match state.database.accounts.record(answered.clone()).await? {
        Some(earlier) => replay(state, earlier, fingerprint).await,
        None => Ok(recorded(state, answered).await),
    }
}

/// An answer as it is recorded.
async fn recorded(state: &AppState, answered: Answered) -> Response {
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answered.body).into_response();
    let headers = response.headers_mut();
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_TYPE);
    } else {
        let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    headers.insert(POSITION, position_value(head_position(state).await));
    response
}

/// 204 with the position.
pub async fn done(state: &AppState) -> Response {
    (StatusCode::NO_CONTENT, [(POSITION, position_value(head_position(state).await))]).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    username: String,
    password: String,
}

fn weak(field: &str, why: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "weak_password", format!("Not a good password: {why}."))
        .with("errors", json!([{"field": field, "message": why}]))
}

async fn register(
    State(state): State<AppState>,
    address: ClientAddress,
    write: Write,
    Json(new): Json<Registration>,
) -> Answer {
    state.limits.registration(address)?;
    auth::check_username(&new.username).map_err(|why| Problem::invalid("username", why))?;
    auth::check_password(&new.password, &new.username).map_err(|why| weak("password", why))?;
    let fingerprint = match write.key {
        Some(key) => state.auth.fingerprint(key, format!("{}\n{}", new.username, new.password)).await?,
        None => [0; 16],
    };
    let account = Account {
        id: Uuid::now_v7(),
        username: new.username,
        role: Role::Customer,
        disabled: false,
        password_hash: state.auth.hash_password(new.password).await?,
        created_at: clock::now(),
    };
    let body = shape(&account);
    let answered = answered(&write, fingerprint, StatusCode::CREATED, &body);
    match state.database.accounts.add_account(account, answered).await? {
        Change::Done(()) => Ok(with_position(StatusCode::CREATED, head_position(&state).await, &body)),
        Change::NameTaken => {
            let taken = Problem::new(StatusCode::CONFLICT, "username_taken", "This username is taken.");
            refuse(&state, &write, fingerprint, taken).await
        }
        Change::NotFound => Err(Problem::not_found("account")),
        Change::Replayed(earlier) => replay(&state, earlier, fingerprint).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountQuery {
    /// A part of the username.
    query: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(State(state): State<AppState>, Query(query): Query<AccountQuery>, _: AtLeast) -> Answer {
    let limit = page_limit(query.limit.as_deref())?;
    let mut after: Option<String> = parse_cursor(query.cursor.as_deref())?;
    let wanted = query.query.unwrap_or_default().trim().to_lowercase();
    let mut items = Vec::new();
    let mut searched = 0;
    // One more than the page tells whether there is a next one.
    let next = loop {
        let read_max = if wanted.is_empty() { limit + 1 } else { READ_MAX };
        let accounts = state.database.accounts.accounts(after.as_deref(), read_max).await?;
        let at_end = accounts.len() < read_max;
        searched += accounts.len();
        let mut full = false;
        for account in accounts {
            let found = account.username.to_lowercase().contains(&wanted);
            if found && items.len() == limit {
                full = true;
                break;
            }
            if found {
                items.push(shape(&account));
            }
            after = Some(account.username);
        }
        if full || (!at_end && searched >= SEARCHED_MAX) {
            break after;
        }
        if at_end {
            break None;
        }
    };
    let next = next.map(|name| cursor(&name));
    Ok(axum::Json(json!({"items": items, "next_cursor": next})).into_response())
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AccountPatch {
    #[serde(default, deserialize_with = "given")]
    role: Option<Role>,
    #[serde(default, deserialize_with = "given")]
    disabled: Option<bool>,
}

/// A field that may be left out but not be `null`: neither of these can be taken away.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Whether some other account is an admin that may sign in.
async fn other_admin(state: &AppState, id: Uuid) -> Result<bool, Problem> {
    let mut after: Option<String> = None;
    loop {
        let accounts = state.database.accounts.accounts(after.as_deref(), READ_MAX).await?;
        if accounts.iter().any(|one| one.id != id && one.role == Role::Admin && !one.disabled) {
            return Ok(true);
        }
        if accounts.len() < READ_MAX {
            return Ok(false);
        }
        after = accounts.into_iter().next_back().map(|last| last.username);
    }
}

async fn update(
    State(state): State<AppState>,
    Path(id): Path<String>,
    write: Write,
    Json(patch): Json<AccountPatch>,
) -> Answer {
    let id: Uuid = path_value(&id, "account")?;
    if patch.role.is_none() && patch.disabled.is_none() {
        return Err(Problem::invalid("", "role or disabled must be given"));
    }
    let fingerprint = fingerprint(&patch);
    if let Some(earlier) = earlier(&state, &write).await? {
        return replay(&state, earlier, fingerprint).await;
    }
    let _turn = state.auth.admins.lock().await;
    let unknown = || Problem::not_found("account");
    let Some(mut account) = state.database.accounts.account(id).await? else {
        return refuse(&state, &write, fingerprint, unknown()).await;
    };
    let was_admin = account.role == Role::Admin && !account.disabled;
    account.role = patch.role.unwrap_or(account.role);
    account.disabled = patch.disabled.unwrap_or(account.disabled);
    let stays_admin = account.role == Role::Admin && !account.disabled;
    if was_admin && !stays_admin && !other_admin(&state, id).await? {
        let detail = "This is the last admin who may sign in; make somebody else admin first.";
        let last = Problem::new(StatusCode::CONFLICT, "last_admin", detail);
        return refuse(&state, &write, fingerprint, last).await;
    }
    let answered = answered(&write, fingerprint, StatusCode::OK, &shape(&account));
    let change = state.database.accounts.update_account(id, patch.role, patch.disabled, answered).await?;
    state.auth.forget_all_of(id);
    match change {
        Change::Done(account) => {
            Ok(with_position(StatusCode::OK, head_position(&state).await, &shape(&account)))
        }
        Change::NotFound | Change::NameTaken => refuse(&state, &write, fingerprint, unknown()).await,
        Change::Replayed(earlier) => replay(&state, earlier, fingerprint).await,
    }
}

/// What an earlier call under the same key was answered, for calls that cannot be checked again afterwards.
pub async fn earlier(state: &AppState, write: &Write) -> Result<Option<Answered>, Problem> {
    match write.key {
        None => Ok(None),
        Some(key) => Ok(state.database.accounts.answered(key).await?),
    }
}

async fn me(State(state): State<AppState>, caller: Caller, _: AtLeast) -> Answer {
    let who = caller.signed_in()?;
    let body = match who.kind {
        PrincipalKind::Session { .. } => {
            let account = state.database.accounts.account(who.id).await?;
            shape(&account.ok_or_else(Problem::unauthorised)?)
        }
        PrincipalKind::ApiKey => json!({"id": who.id, "username": who.name, "role": who.role}),
    };
    Ok(axum::Json(body).into_response())
}

/// Only people with a session have a password and something to sign out of.
pub fn with_session(who: &SignedIn) -> Result<Timestamp, Problem> {
    match who.kind {
        PrincipalKind::Session { expires_at } => Ok(expires_at),
        PrincipalKind::ApiKey => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not_a_session",
            "An API key has no session and no password.",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    current_password: String,
    new_password: String,
}

async fn change_password(
    State(state): State<AppState>,
    address: ClientAddress,
    caller: Caller,
    write: Write,
    Json(change): Json<PasswordChange>,
) -> Answer {
    let who = caller.signed_in()?;
    with_session(who)?;
    state.limits.sign_in(address)?;
    let PasswordChange { current_password, new_password } = change;
    let fingerprint = match write.key {
        Some(key) => state.auth.fingerprint(key, format!("{current_password}\n{new_password}")).await?,
        None => [0; 16],
    };
    // Afterwards the current password is no longer the one that was sent.
    if let Some(earlier) = earlier(&state, &write).await? {
        return replay(&state, earlier, fingerprint).await;
    }
    state.limits.attempt(&who.name, address)?;
    let account = state.database.accounts.account(who.id).await?.ok_or_else(Problem::unauthorised)?;
    if !state.auth.verify_password(current_password, Some(account.password_hash)).await? {
        return Err(super::sessions::bad_credentials("The current password is not this one."));
    }
    state.limits.succeeded(&who.name, address);
    auth::check_password(&new_password, &account.username).map_err(|why| weak("new_password", why))?;
    let hash = state.auth.hash_password(new_password).await?;
    let answered = answered(&write, fingerprint, StatusCode::NO_CONTENT, &Value::Null);
    let change = state.database.accounts.set_password(who.id, hash, Some(who.hash), answered).await?;
    state.auth.forget_all_of(who.id);
    match change {
        Change::Done(()) => Ok(done(&state).await),
        Change::NotFound | Change::NameTaken => Err(Problem::unauthorised()),
        Change::Replayed(earlier) => replay(&state, earlier, fingerprint).await,
    }
}
