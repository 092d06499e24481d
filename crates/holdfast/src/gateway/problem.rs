//! Every error of the API: `application/problem+json` (RFC 9457) with a machine word in `code`. The one place that
//! maps rejections and trouble to HTTP.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_bus::NotTaken;
use holdfast_domain::Rejection;
use holdfast_domain::wire::FieldError;
use holdfast_store::StoreError;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Seconds that an overloaded server asks callers to wait.
const RETRY_AFTER_SECONDS: u32 = 1;

#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: String,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// What the caller cannot help; the log says more.
    pub fn internal() -> Self {
        let detail = "Something went wrong on the server.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 400 with the field that does not fit.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(field, message)])
    }

    pub fn fields(errors: Vec<FieldError>) -> Self {
        let errors: Vec<FieldError> = errors.into_iter().map(named).collect();
        let detail = errors.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; ");
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail);
        problem.errors = errors;
        problem
    }

    pub fn unauthorised() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in, or send a valid token or API key.")
            .header(header::WWW_AUTHENTICATE, "Bearer")
    }

    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this.")
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    /// Known to the contract, not built into this version.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            format!("{what} is not available in this version."),
        )
    }

    /// 503: surely not taken; come back.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
    }

    /// 504: nobody here can know whether it was taken. With the id and the address of what may have come of it, if that
    /// is one thing.
    pub fn outcome_unknown(why: &str, of: Option<(Uuid, &str)>) -> Self {
        let detail = format!(
            "It may have been taken or not: {why}. Sending it again with the same id or key is safe."
        );
        let problem = Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", detail);
        match of {
            None => problem,
            Some((id, location)) => problem.with("id", json!(id)).header(header::LOCATION, location),
        }
    }

    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// A further member of the document.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    fn title(&self) -> String {
        let mut title = self.code.replace('_', " ");
        if let Some(first) = title.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        title
    }

    /// The document itself.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:holdfast:problem:{}", self.code),
            "title": self.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "trace_id": Uuid::now_v7().simple().to_string(),
        });
        let members = document.as_object_mut().expect("a problem is an object");
        if !self.errors.is_empty() {
            let errors =
                self.errors.iter().map(|e| json!({"field": e.field, "message": e.message})).collect();
            members.insert("errors".to_owned(), Value::Array(errors));
        }
        for (name, value) in &self.extra {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

/// Names a field that is missing: the parser only knows what it is missing from.
pub fn named(error: FieldError) -> FieldError {
    let missing = error.message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    let Some((name, _)) = missing else { return error };
    let field = if error.field.is_empty() { name.to_owned() } else { format!("{}.{name}", error.field) };
    FieldError::new(field, "is missing")
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Problem::fields(vec![error])
    }
}

/// The status of a rejection.
pub fn rejection_status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::InsufficientStock { .. }
        | Rejection::NegativeStock { .. }
        | Rejection::StockLimit { .. }
        | Rejection::WrongState { .. }
        | Rejection::InvalidParts { .. }
        | Rejection::SkuExists { .. }
        | Rejection::LocationExists { .. }
        | Rejection::ItemInUse { .. }
        | Rejection::IdTaken => StatusCode::CONFLICT,
        Rejection::UnknownSku { .. }
        | Rejection::ItemArchived { .. }
        | Rejection::UnknownLocation { .. }
        | Rejection::DuplicateLocation { .. }
        | Rejection::SameLocation
        | Rejection::MixedCurrencies
        | Rejection::MaxPerOrder { .. }
        | Rejection::TotalTooLarge
        | Rejection::HoldTooLong
        | Rejection::CommandIdReused
        | Rejection::NotProcessable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Rejection::HoldExpired => StatusCode::GONE,
        Rejection::StaleVersion { .. } => StatusCode::PRECONDITION_FAILED,
        Rejection::NotFound => StatusCode::NOT_FOUND,
        Rejection::Forbidden => StatusCode::FORBIDDEN,
    }
}

/// The machine word of a rejection: HTTP knows a command's id as an idempotency key.
pub fn rejection_code(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::CommandIdReused => "idempotency_key_reused",
        other => other.code(),
    }
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let code = rejection_code(rejection);
        let mut problem = Problem::new(rejection_status(rejection), code, rejection.detail());
        let value = serde_json::to_value(rejection).expect("a rejection is plain data");
        if let Value::Object(members) = value {
            // `status` is the number of RFC 9457 there; the state that was wrong goes by its own name.
            let own = |name: String| if name == "status" { "state".to_owned() } else { name };
            let members = members.into_iter().filter(|(name, _)| name != "code");
            problem.extra = members.map(|(name, value)| (own(name), value)).collect();
        }
        problem
    }
}

impl From<NotTaken> for Problem {
    fn from(not_taken: NotTaken) -> Self {
        let code = match not_taken {
            NotTaken::Overloaded => "overloaded",
            NotTaken::Unavailable(_) => "unavailable",
            NotTaken::Stopping => "stopping",
        };
        Problem::unavailable(code, format!("It was not taken: {not_taken}."))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // Addresses, users and what the system said of them are for the log, not for whoever asks.
        if error.is_transient() {
            tracing::warn!(%error, "the database did not take a request");
            let why = match error {
                StoreError::Full(_) => "The database is full.",
                _other_trouble => "The database is not reachable now.",
            };
            return Problem::unavailable("unavailable", why);
        }
        tracing::error!(%error, "the database failed a request");
        Problem::internal()
    }
}

pub type Answer<T = Response> = Result<T, Problem>;
