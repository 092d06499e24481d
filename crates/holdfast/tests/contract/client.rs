//! A caller of the API: small words for requests, and for what an answer must be.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::document;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    pub fn new(url: String, token: Option<&str>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WAIT_MAX)
            .build()
            .expect("an HTTP client");
        Self { http, url, token: token.map(str::to_owned) }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call("PATCH", path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Call { request }
    }
}

pub struct Call {
    request: reqwest::RequestBuilder,
}

impl Call {
    pub fn json(self, body: &Value) -> Self {
        Self { request: self.request.json(body) }
    }

    /// A body as it is, called JSON.
    pub fn raw(self, body: impl Into<Vec<u8>>) -> Self {
        self.body("application/json", body)
    }

    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { request: self.request.header("content-type", content_type).body(body.into()) }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        let value = HeaderValue::from_str(value).expect("a header's value");
        Self { request: self.request.header(name, value) }
    }

    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    pub fn at_least(self, position: &str) -> Self {
        self.header("Holdfast-At-Least", position)
    }

    pub async fn send(self) -> Reply {
        self.try_send().await.expect("the server answers")
    }

    /// For servers that may be dying.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let (client, request) = self.request.build_split();
        let request = request?;
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let reply = Reply { status, headers, text: response.text().await? };
        document::check(&method, &path, status, reply.header("content-type"), &reply.text);
        Ok(reply)
    }

    /// An answer that is read piece by piece, however long it takes.
    pub async fn stream(self) -> reqwest::Response {
        self.request.timeout(Duration::from_secs(600)).send().await.expect("the server answers")
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer with this status (`null` where there is none).
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// As [`Reply::expect`], for a write: it says where in the log it is.
    #[track_caller]
    pub fn written(&self, status: u16) -> Value {
        let body = self.expect(status);
        self.position();
        body
    }

    /// A problem document (RFC 9457) with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["type", "title", "detail", "trace_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {problem}");
        }
        problem
    }

    /// A 400 that names this field.
    #[track_caller]
    pub fn invalid(&self, field: &str) -> Value {
        let problem = self.problem(400, "invalid_request");
        let fields: Vec<&Value> =
            problem["errors"].as_array().into_iter().flatten().map(|error| &error["field"]).collect();
        assert!(fields.iter().any(|named| **named == field), "{field} is not named: {problem}");
        problem
    }

    /// `Holdfast-Position`.
    #[track_caller]
    pub fn position(&self) -> String {
        self.header("holdfast-position").expect("a write says its position").to_owned()
    }

    pub fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

/// A member that is text.
#[track_caller]
pub fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is not text: {value}")).to_owned()
}

/// A new UUID as text.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
