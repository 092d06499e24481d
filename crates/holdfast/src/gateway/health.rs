//! The health board's data (`/v1/health`), and what supervisors and balancers ask (`/health/live`, `/health/ready`).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::caller::Access;
use super::problem::Answer;
use super::request::AtLeast;
use super::{AppState, Routes};
use crate::monitor::Monitor;

pub fn routes(routes: Routes) -> Routes {
    routes
        .route("/v1/health", Access::Staff, get(board))
        .route("/health/live", Access::Public, get(async || live()))
        .route(
            "/health/ready",
            Access::Public,
            get(async |State(state): State<AppState>| readiness(&state.monitor)),
        )
}

async fn board(State(state): State<AppState>, _at_least: AtLeast) -> Answer {
    Ok(Json(state.monitor.document().await).into_response())
}

/// 200: this process runs.
pub fn live() -> Response {
    fresh(StatusCode::OK, &[])
}

/// 200, or 503 with what this process needs to take work and lacks.
pub fn readiness(monitor: &Monitor) -> Response {
    match monitor.ready() {
        Ok(()) => fresh(StatusCode::OK, &[]),
        Err(failing) => fresh(StatusCode::SERVICE_UNAVAILABLE, &failing),
    }
}

/// True now and perhaps not in a second: nobody may keep it.
fn fresh(status: StatusCode, failing: &[String]) -> Response {
    let body = if status.is_success() {
        json!({ "status": "up" })
    } else {
        json!({ "status": "down", "failing": failing })
    };
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_is_named() {
        let response = fresh(StatusCode::SERVICE_UNAVAILABLE, &["database".to_owned()]);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body, json!({ "status": "down", "failing": ["database"] }));
    }
}
