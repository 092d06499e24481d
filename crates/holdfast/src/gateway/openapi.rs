//! The API's description: `/openapi.json`, made of what each route says of itself, and `/docs` that renders it.

pub mod operation;
mod schemas;
pub mod shapes;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::caller::Access;
use super::{Routes, auth, described};

const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

const ABOUT: &str = "Stock and orders that never oversell. Every write says its `Holdfast-Position`; a read that brings \
    it as `Holdfast-At-Least` shows at least that. A write that is not decided within 5 s answers 202 with `Pending`.";

/// OpenAPI 3.1, as text.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| serde_json::to_string_pretty(&assembled()).expect("a JSON value serialises"));
    &DOCUMENT
}

fn assembled() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (access, operation) in described().described {
        let path = paths.entry(operation.path()).or_insert_with(|| json!({}));
        let method = operation.method();
        path[method] = operation.describe(access);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "parameters": parameters(),
            "headers": {
                "Position": {
                    "description": "Place of the write in the event log",
                    "required": true,
                    "schema": shapes::position(),
                },
            },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": auth::COOKIE },
            },
        },
    })
}

/// Headers that many operations take.
fn parameters() -> Value {
    let header = |name: &str, words: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "schema": shapes::about(words, schema) });
    let key = r#"^([!#-~]([ -~]{0,253}[!-~])?|"[ -~]{1,255}")$"#;
    let tag = r#"^(\*|(W/)?("[0-9]{1,18}"|[0-9]{1,18}))$"#;
    json!({
        "IdempotencyKey":
            header("Idempotency-Key", "1 to 255 characters, bare or in quotes", shapes::pattern(key)),
        "AtLeast": header(
            "Holdfast-At-Least",
            "A position that the answer must show at least",
            shapes::pattern("^[0-9]{1,18}$"),
        ),
        "IfMatch": header("If-Match", "The ETag that must be current", shapes::pattern(tag)),
        "Prefer": header("Prefer", "respond-async: answer 202 at once, unless its id or key is known already", shapes::text()),
    })
}

fn text(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, super::pages::POLICY)], body)
        .into_response()
}

pub fn routes(routes: Routes) -> Routes {
    let page = async || text("text/html; charset=utf-8", PAGE);
    let script = async || text("text/javascript; charset=utf-8", SCRIPT);
    let style = async || text("text/css; charset=utf-8", STYLE);
    routes
        .beside("/openapi.json", Access::Public, async || text("application/json", document()))
        .beside("/docs", Access::Public, page)
        .beside("/docs/docs.js", Access::Public, script)
        .beside("/docs/docs.css", Access::Public, style)
}

#[cfg(test)]
#[path = "openapi/tests.rs"]
mod tests;
