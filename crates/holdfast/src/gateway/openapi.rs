//! The API's description: `/openapi.json`, and `/docs` that renders it.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Routes;
use super::caller::Access;

/// OpenAPI 3.1. Tests hold it against the running server.
const DOCUMENT: &str = include_str!("../../openapi.json");
const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

/// The document with this version's number.
pub fn document() -> String {
    let mut document: serde_json::Value =
        serde_json::from_str(DOCUMENT).expect("the document is JSON, by test");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    serde_json::to_string_pretty(&document).expect("a JSON value serialises")
}

fn text(kind: &'static str, body: impl Into<String>) -> Response {
    let body: String = body.into();
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, super::pages::POLICY)], body)
        .into_response()
}

pub fn routes(routes: Routes) -> Routes {
    let document = document();
    routes
        .route(
            "/openapi.json",
            Access::Public,
            get(move || async move { text("application/json", document.clone()) }),
        )
        .route("/docs", Access::Public, get(|| async { text("text/html; charset=utf-8", PAGE) }))
        .route(
            "/docs/docs.js",
            Access::Public,
            get(|| async { text("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route("/docs/docs.css", Access::Public, get(|| async { text("text/css; charset=utf-8", STYLE) }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_openapi_with_this_version() {
        let document: serde_json::Value = serde_json::from_str(&super::document()).expect("JSON");
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
