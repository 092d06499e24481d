//! `/v1/dead-letters`: commands on the broker that could not be read. The in-process bus carries only what HTTP has
//! parsed already, so nothing can die on it: there the list is empty and no id names anything.

use axum::Json;
use axum::extract::Path;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::Routes;
use super::caller::Access;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query, Write, page_limit};

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Admin,
            Operation::get("/v1/dead-letters", "list_dead_letters", "What could not be processed")
                .paged()
                .answers(200, "DeadLetterPage"),
            list,
        )
        .on(
            Access::Admin,
            Operation::delete("/v1/dead-letters/{id}", "drop_dead_letter", "Drop it")
                .text_id()
                .done()
                .refuses(&[404]),
            unknown,
        )
        .on(
            Access::Admin,
            Operation::post("/v1/dead-letters/{id}/retry", "retry_dead_letter", "Send it again")
                .text_id()
                .done()
                .refuses(&[404]),
            unknown,
        )
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
