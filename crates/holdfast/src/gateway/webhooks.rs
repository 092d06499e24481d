//! `/v1/webhooks`: in the contract, not in this version. Saying so beats a 404 that looks like a misspelt path.

use super::Routes;
use super::caller::Access;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};

const NOT_YET: &str = "Not in this version: 501.";

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Admin,
            Operation::post("/v1/webhooks", "create_webhook", "Subscribe a URL to events")
                .plain()
                .note(NOT_YET)
                .body("NewWebhook")
                .answers(201, "Webhook")
                .refuses(&[422, 501]),
            not_here,
        )
        .on(
            Access::Admin,
            Operation::get("/v1/webhooks", "list_webhooks", "Webhooks")
                .plain()
                .note(NOT_YET)
                .answers(200, "WebhookPage")
                .refuses(&[501]),
            not_here,
        )
        .on(
            Access::Admin,
            Operation::delete("/v1/webhooks/{id}", "delete_webhook", "End a subscription")
                .plain()
                .note(NOT_YET)
                .done()
                .refuses(&[404, 501]),
            not_here,
        )
}

async fn not_here() -> Answer {
    Err(Problem::not_implemented("Sending events to webhooks"))
}
