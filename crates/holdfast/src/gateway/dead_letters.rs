//! `/v1/dead-letters`: commands on the broker that could not be read. The in-process bus carries only what HTTP has
//! parsed already, so nothing can die on it: there the list is empty and no id names anything.

use axum::Json;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::json;

use super::Routes;
use super::caller::Access;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query, Write, page_limit};

pub fn routes(routes: Routes) -> Routes {
    routes
        .route("/v1/dead-letters", Access::Admin, get(list))
        .route("/v1/dead-letters/{id}", Access::Admin, delete(unknown))
        .route("/v1/dead-letters/{id}/retry", Access::Admin, post(unknown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(_at_least: AtLeast, Query(query): Query<ListQuery>) -> Answer {
    page_limit(query.limit.as_deref())?;
    if query.cursor.is_some() {
        return Err(Problem::invalid("cursor", "must be a next_cursor of this list"));
    }
    Ok(Json(json!({ "items": [], "next_cursor": null })).into_response())
}

async fn unknown(_write: Write, Path(_id): Path<String>) -> Answer {
    Err(Problem::not_found("dead letter"))
}
