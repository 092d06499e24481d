//! What handlers take out of a request: JSON bodies with the field that does not fit, query strings, and the
//! headers of the contract.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_domain::command::{Command, CommandBody};
use holdfast_domain::objects::Objects;
use holdfast_domain::{Position, wire};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::AppState;
use super::alarm::Alarm;
use super::caller::{Caller, header_text};
use super::problem::Problem;
use super::server::Connection;

/// Bytes of a request body at most.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a read waits for the position it was asked for.
pub const AT_LEAST_WAIT: Duration = Duration::from_secs(2);
/// How long a read that asks for no position waits for the writes that its gateway has answered.
pub const OWN_WRITES_WAIT: Duration = Duration::from_millis(250);
/// Events that a read model could catch up with in that time, and many more: nobody waits for what lies further ahead.
pub const AHEAD_MAX: usize = 5_000_000;
/// Namespace of the ids that are made from idempotency keys (a fixed random UUID).
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x6f1b_9a52_7c3d_4e0f_9b8a_2d47_51c6_e3f0);

/// A JSON body. 400 names what is wrong and where, 413 is too large, 415 is not JSON.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        parse(&json_body(request).await?).map(Json)
    }
}

/// Reads a whole body that says it is JSON (or does not say what it is).
pub async fn json_body(request: Request) -> Result<Bytes, Problem> {
    let json = header_text(request.headers(), "content-type").is_none_or(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json")
    });
    if !json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be application/json.",
        ));
    }
    body(request).await
}

/// Reads a whole body of at most [`BODY_BYTES_MAX`].
pub async fn body(request: Request) -> Result<Bytes, Problem> {
    let mut body = Limited::new(request.into_body(), BODY_BYTES_MAX);
    let first = next_part(&mut body).await?.unwrap_or_default();
    // Nearly every body is one part: it is taken as it is.
    let Some(mut part) = next_part(&mut body).await? else { return Ok(first) };
    let mut whole = Vec::from(first);
    loop {
        whole.extend_from_slice(&part);
        match next_part(&mut body).await? {
            Some(next) => part = next,
            None => return Ok(whole.into()),
        }
    }
}

async fn next_part(body: &mut Limited<Body>) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let detail = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "The body could not be read.")
            }
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Parses JSON without saying more than that it does not fit.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let deserializer = &mut serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Objects(&mut *deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// Parses JSON, naming place or field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Good bodies are read once, without noting paths; only a bad one is read again to name its field.
    if let Ok(value) = from_slice(bytes) {
        return Ok(value);
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects(&mut *deserializer)).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let field = if field == "." { String::new() } else { field };
                // "… at line 1 column 20" helps nobody who sees the field's name.
                let message = inner.to_string();
                let message = message.split(" at line ").next().unwrap_or_default().to_owned();
                Problem::invalid(field, message)
            }
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed_json",
                format!("The body is not JSON: {inner}."),
            ),
        }
    })?;
    deserializer.end().map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("The body is not JSON: {error}."))
    })?;
    Ok(value)
}

/// A query string; unknown parameters are refused by types that deny them.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let axum::extract::Query(value) =
            query.map_err(|rejection| Problem::invalid("query", rejection.body_text()))?;
        Ok(Query(value))
    }
}

/// Parses a piece of a path; what cannot be one names nothing: 404.
pub fn path_value<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}

/// What a write brings in headers: its idempotency key (already scoped) and whether it wants to wait.
#[derive(Debug, Clone)]
pub struct Write {
    /// UUIDv5 of (account, method, path, key).
    pub key: Option<Uuid>,
    pub respond_async: bool,
    pub if_match: Option<IfMatch>,
    /// For waiting on the decision.
    pub alarm: Arc<Alarm>,
}

/// `If-Match`: `*`, or a version. What is no version of ours can match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    Version(u64),
}

impl IfMatch {
    fn read(value: &HeaderValue) -> Self {
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return IfMatch::Any;
        }
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let tag = unquoted(tag).unwrap_or(tag);
        let version = Some(tag).filter(|tag| tag.bytes().all(|byte| byte.is_ascii_digit()));
        IfMatch::Version(version.and_then(|tag| tag.parse().ok()).unwrap_or(u64::MAX))
    }

    /// The version that must be current, for a command's `if_match`.
    pub fn version(self) -> Option<u64> {
        match self {
            IfMatch::Any => None,
            IfMatch::Version(version) => Some(version),
        }
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// What an `Idempotency-Key` says: 1 to 255 printable ASCII characters, bare or in quotes.
fn idempotency_key(text: &str) -> Option<&str> {
    let text = text.trim();
    let key = if text.starts_with('"') { unquoted(text)? } else { text };
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    ((1..=255).contains(&key.len()) && printable).then_some(key)
}

impl Write {
    /// A command under this write's identity: a client's own id first, the key's else, a new one otherwise.
    pub fn command(
        &self,
        caller: &Caller,
        client_id: Option<Uuid>,
        body: CommandBody,
    ) -> Result<Command, Problem> {
        let actor = caller.actor()?;
        let id = client_id.or(self.key).unwrap_or_else(Uuid::now_v7);
        let key = self.key.filter(|key| *key != id);
        Ok(Command { id, key, actor, requested_at: None, body })
    }

    /// The id of the n-th command of a batch under the same key.
    pub fn nth_id(&self, index: usize) -> Uuid {
        match self.key {
            Some(key) => Uuid::new_v5(&key, &(index as u64).to_be_bytes()),
            None => Uuid::now_v7(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Write {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let key = match parts.headers.get("idempotency-key") {
            None => None,
            Some(value) => {
                let key = value.to_str().ok().and_then(idempotency_key).ok_or_else(|| {
                    Problem::invalid("Idempotency-Key", "must be 1 to 255 ASCII characters, quoted or bare")
                })?;
                let scoped = format!("{}\n{}\n{}\n{key}", caller.scope(), parts.method, parts.uri.path());
                Some(Uuid::new_v5(&KEY_NAMESPACE, scoped.as_bytes()))
            }
        };
        let respond_async = parts
            .headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"));
        let if_match = parts.headers.get("if-match").map(IfMatch::read);
        let connection = Connection::of(&parts.extensions);
        let alarm = connection.map_or_else(Alarm::new, |connection| connection.alarm.clone());
        Ok(Write { key, respond_async, if_match, alarm })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Write {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        <Write as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

const AT_LEAST: HeaderName = HeaderName::from_static("holdfast-at-least");

/// `Holdfast-At-Least`, waited for: a handler that takes this sees at least that position in the read model.
#[derive(Debug, Clone, Copy)]
pub struct AtLeast;

impl FromRequestParts<AppState> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Some(position) = at_least(&parts.headers)? else {
            // Who does not ask still sees what this gateway has answered, unless that takes long.
            let answered = state.dispatcher.answered();
            if state.model.position() < answered {
                state.model.wait_for(answered, OWN_WRITES_WAIT).await;
            }
            return Ok(AtLeast);
        };
        let reachable = position <= state.model.position().plus(AHEAD_MAX);
        if reachable && state.model.wait_for(position, AT_LEAST_WAIT).await {
            return Ok(AtLeast);
        }
        Err(Problem::unavailable("not_yet", format!("This server cannot show position {position} yet.")))
    }
}

/// The position that a read asks for.
pub fn at_least(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(AT_LEAST) else { return Ok(None) };
    let position = value.to_str().unwrap_or_default().trim().parse();
    position.map(Some).map_err(|error: holdfast_domain::ValueError| {
        Problem::invalid("Holdfast-At-Least", error.to_string())
    })
}

/// `?limit=`: 1 to 200, default 50.
pub fn page_limit(limit: Option<&str>) -> Result<usize, Problem> {
    match limit {
        None => Ok(50),
        Some(text) => match text.parse() {
            Ok(limit) if (1..=200).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid("limit", "must be a whole number from 1 to 200")),
        },
    }
}

/// A page's `next_cursor`: base64url of `place` as JSON.
pub fn cursor(place: &impl Serialize) -> String {
    let json = serde_json::to_vec(place).expect("a place in a list is plain data");
    URL_SAFE_NO_PAD.encode(json)
}

/// Reads `?cursor=`.
pub fn parse_cursor<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |text: &str| {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&json).ok()
    };
    let refused = || Problem::invalid("cursor", "must be a next_cursor of this list");
    cursor.map(|text| read(text).ok_or_else(refused)).transpose()
}

/// Puts `id`-less fields and path pieces together and reads a command body.
pub fn command_body(
    kind: &str,
    body: serde_json::Value,
    path: &[(&str, serde_json::Value)],
) -> Result<CommandBody, Problem> {
    let serde_json::Value::Object(mut fields) = body else {
        return Err(Problem::invalid("", "the body must be a JSON object"));
    };
    for (name, value) in path {
        fields.insert((*name).to_owned(), value.clone());
    }
    Ok(wire::parse_body(kind, fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_the_same_quoted_or_bare() {
        let longest = "k".repeat(255);
        for (text, key) in [
            ("a", Some("a")),
            ("\"a\"", Some("a")),
            (" a b ", Some("a b")),
            (longest.as_str(), Some(longest.as_str())),
            ("", None),
            ("\"", None),
            ("\"\"", None),
            ("\"a", None),
            ("a\tb", None),
        ] {
            assert_eq!(idempotency_key(text), key, "{text:?}");
        }
        assert_eq!(idempotency_key(&"k".repeat(256)), None);
    }

    #[test]
    fn an_if_match_that_is_no_version_matches_nothing() {
        let read = |text: &'static str| IfMatch::read(&HeaderValue::from_static(text));
        assert_eq!(read("*"), IfMatch::Any);
        for text in ["\"7\"", "W/\"7\"", "7"] {
            assert_eq!(read(text), IfMatch::Version(7), "{text}");
        }
        for text in ["", "\"\"", "{}", "+7", "\"\"7\"\"", "\"seven\""] {
            assert_eq!(read(text), IfMatch::Version(u64::MAX), "{text}");
        }
    }
}
