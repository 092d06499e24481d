use serde_json::Value;

use crate::server::Server;

#[tokio::test]
async fn the_description_of_the_api_names_every_call() {
    let server = Server::shared().await;
    let document = server.nobody().get("/openapi.json").send().await.expect(200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for (path, methods) in [
        ("/v1/accounts", &["get", "post"][..]),
        ("/v1/accounts/{id}", &["patch"]),
        ("/v1/sessions", &["post"]),
        ("/v1/sessions/current", &["delete"]),
        ("/v1/me", &["get"]),
        ("/v1/me/password", &["put"]),
        ("/v1/api-keys", &["get", "post"]),
        ("/v1/api-keys/{id}", &["delete"]),
        ("/v1/items", &["get", "post"]),
        ("/v1/items/{sku}", &["get", "put", "patch", "delete"]),
        ("/v1/locations", &["get", "post"]),
        ("/v1/locations/{code}", &["put"]),
        ("/v1/stock", &["get"]),
        ("/v1/stock/{sku}", &["get"]),
        ("/v1/stock/query", &["post"]),
        ("/v1/stock/receipts", &["post"]),
        ("/v1/stock/adjustments", &["post"]),
        ("/v1/stock/counts", &["post"]),
        ("/v1/stock/transfers", &["post"]),
        ("/v1/stock/unavailable", &["post"]),
        ("/v1/stock/incoming", &["post"]),
        ("/v1/stock/{sku}/levels/{location}", &["put"]),
        ("/v1/stock/{sku}/movements", &["get"]),
        ("/v1/orders", &["get", "post"]),
        ("/v1/orders/batch", &["post"]),
        ("/v1/orders/{id}", &["get"]),
        ("/v1/orders/{id}/cancel", &["post"]),
        ("/v1/orders/{id}/fulfil", &["post"]),
        ("/v1/orders/{id}/return", &["post"]),
        ("/v1/holds", &["get", "post"]),
        ("/v1/holds/{id}", &["get", "delete"]),
        ("/v1/holds/{id}/confirm", &["post"]),
        ("/v1/holds/{id}/extend", &["post"]),
        ("/v1/commands/{id}", &["get"]),
        ("/v1/events", &["get"]),
        ("/v1/stream", &["get"]),
        ("/v1/webhooks", &["get", "post"]),
        ("/v1/imports", &["post"]),
        ("/v1/imports/{id}", &["get"]),
        ("/v1/dead-letters", &["get"]),
        ("/v1/stats", &["get"]),
        ("/v1/health", &["get"]),
    ] {
        for method in methods {
            assert!(document["paths"][path][method].is_object(), "{method} {path} is not described");
        }
    }
    let printed = server.command_line(&["openapi"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(printed, document);
}

#[tokio::test]
async fn pages_are_html_with_a_strict_policy() {
    let server = Server::shared().await;
    for path in [
        "/",
        "/shop",
        "/shop/SKU.1",
        "/orders",
        "/register",
        "/sign-in",
        "/admin",
        "/admin/items/SKU.1",
        "/health-board",
        "/docs",
    ] {
        let reply = server.nobody().get(path).send().await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(
            policy.contains("default-src 'self'") && !policy.contains("script-src *"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src 'self' 'unsafe-inline'"), "{path}: {policy}");
    }
    server.nobody().get("/assets/nothing.js").send().await.problem(404, "not_found");
}
