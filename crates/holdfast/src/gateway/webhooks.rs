//! `/v1/webhooks`: in the contract, not in this version. Saying so beats a 404 that looks like a misspelt path.

use axum::routing::{delete, get};

use super::Routes;
use super::caller::Access;
use super::problem::{Answer, Problem};

pub fn routes(routes: Routes) -> Routes {
    routes.route("/v1/webhooks", Access::Admin, get(not_here).post(not_here)).route(
        "/v1/webhooks/{id}",
        Access::Admin,
        delete(not_here),
    )
}

async fn not_here() -> Answer {
    Err(Problem::not_implemented("Sending events to webhooks"))
}
