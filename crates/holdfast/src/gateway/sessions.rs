//! `/v1/sessions`: signing in and out. A session is a random token; browsers keep it in a cookie that no script can
//! read.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use holdfast_store::accounts::Session;
use serde::Deserialize;
use serde_json::json;

use super::accounts::{done, shape, with_session};
use super::answer::{head_position, with_position};
use super::caller::{Access, Caller, header_text};
use super::limits::ClientAddress;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::Json;
use super::{AppState, Routes, auth};
use crate::clock;

/// How long a session lasts.
const SESSION_SECONDS: i64 = 14 * 24 * 3_600;

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Public,
            Operation::post("/v1/sessions", "sign_in", "Sign in")
                .plain()
                .body("SignIn")
                .answers(201, "Session")
                .refuses(&[401, 403, 429]),
            sign_in,
        )
        .on(
            Access::SignedIn,
            Operation::delete("/v1/sessions/current", "sign_out", "Sign out").plain().done(),
            sign_out,
        )
}

/// 401 for a wrong password. The same for an unknown name: nobody learns which names there are.
pub fn bad_credentials(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "bad_credentials", detail)
}

fn cookie(state: &AppState, headers: &HeaderMap, token: &str, seconds: i64) -> HeaderValue {
    let behind_tls = header_text(headers, "x-forwarded-proto").is_some_and(|proto| {
        proto.split(',').next().unwrap_or_default().trim().eq_ignore_ascii_case("https")
    });
    let secure = if state.settings.secure_cookies || behind_tls { "; Secure" } else { "" };
    let name = auth::COOKIE;
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("a token is plain ASCII")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

async fn sign_in(
    State(state): State<AppState>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(given): Json<Credentials>,
) -> Answer {
    if auth::cross_site(&headers) {
        // Else another site could sign a visitor in as somebody else.
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "Another site's page cannot sign in here.",
        ));
    }
    state.limits.sign_in(address)?;
    // Names that nobody can have count as one: they may be of any length.
    let name = Some(given.username.as_str()).filter(|name| auth::check_username(name).is_ok());
    state.limits.attempt(name.unwrap_or_default(), address)?;
    let account = match name {
        Some(name) => state.database.accounts.account_by_name(name).await?,
        None => None,
    };
    let account = account.filter(|account| !account.disabled);
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let fits = state.auth.verify_password(given.password, hash).await?;
    let Some(account) = account.filter(|_| fits) else {
        return Err(bad_credentials("The username and the password do not belong together."));
    };
    state.limits.succeeded(&given.username, address);
    let token = auth::new_token();
    let now = clock::now();
    let expires_at = now.plus_seconds(SESSION_SECONDS);
    let hash = auth::hash_secret(&token);
    state
        .database
        .accounts
        .add_session(Session { hash, account: account.id, created_at: now, expires_at })
        .await?;
    let body = json!({"token": token, "expires_at": expires_at, "account": shape(&account)});
    let mut response = with_position(StatusCode::CREATED, head_position(&state).await, &body);
    response.headers_mut().insert(header::SET_COOKIE, cookie(&state, &headers, &token, SESSION_SECONDS));
    Ok(response)
}

async fn sign_out(State(state): State<AppState>, caller: Caller, headers: HeaderMap) -> Answer {
    let who = caller.signed_in()?;
    with_session(who)?;
    state.database.accounts.end_session(who.hash).await?;
    state.auth.forget(&who.hash);
    let mut response = done(&state).await;
    response.headers_mut().insert(header::SET_COOKIE, cookie(&state, &headers, "", 0));
    Ok(response)
}
