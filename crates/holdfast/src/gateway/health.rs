//! The health board's data (`/v1/health`), and what supervisors and balancers ask (`/health/live`, `/health/ready`).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::caller::Access;
use super::openapi::operation::Operation;
use super::problem::Answer;
use super::request::AtLeast;
use super::{AppState, Routes};
use crate::instance::Instance;

pub fn routes(routes: Routes) -> Routes {
    let live = async || live();
    let ready = async |State(state): State<AppState>| readiness(&state.instance);
    routes
        .on(
            Access::Staff,
            Operation::get("/v1/health", "get_health", "The health board's data").answers(200, "Health"),
            board,
        )
        .on(
            Access::Public,
            Operation::get("/health/live", "get_live", "The process runs").answers(200, "Readiness"),
            live,
        )
        .on(
            Access::Public,
            Operation::get("/health/ready", "get_ready", "The process can take work")
                .answers(200, "Readiness")
                .answers(503, "Readiness"),
            ready,
        )
}

async fn board(State(state): State<AppState>, _at_least: AtLeast) -> Answer {
    Ok(Json(state.board.document().await).into_response())
}

/// 200: this process runs.
pub fn live() -> Response {
    fresh(StatusCode::OK, &[])
}

/// 200, or 503 with what this process needs to take work and lacks.
pub fn readiness(instance: &Instance) -> Response {
    match instance.ready() {
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
