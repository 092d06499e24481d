use serde_json::json;

use crate::server::{Server, unique};

#[tokio::test]
async fn locations_are_added_listed_and_changed() {
    let server = Server::shared().await;
    let code = unique("LOC");
    let body = json!({ "code": code, "name": "Harbour", "priority": 5, "latitude": 53.5, "longitude": 9.9 });
    let reply = server.staff().post("/v1/locations").json(&body).send().await;
    let added = reply.written(201);
    for (member, value) in body.as_object().expect("an object") {
        assert_eq!(&added[member], value, "{member}");
    }
    let list =
        server.staff().get("/v1/locations?limit=200").at_least(&reply.position()).send().await.expect(200);
    assert!(list["items"].as_array().expect("items").iter().any(|location| location["code"] == json!(code)));
    server.staff().post("/v1/locations").json(&body).send().await.problem(409, "location_exists");
    let path = format!("/v1/locations/{code}");
    let changed = json!({ "name": "Pier", "priority": 6 });
    let put = server.staff().put(&path).json(&changed).send().await;
    assert_eq!(put.written(200)["name"], "Pier");
    let etag = put.header("etag").expect("an ETag").to_owned();
    server
        .staff()
        .put(&path)
        .header("If-Match", &etag)
        .json(&json!({ "name": "Quay", "priority": 6 }))
        .send()
        .await
        .written(200);
    let stale = server.staff().put(&path).header("If-Match", &etag).json(&changed).send().await;
    stale.problem(412, "stale_version");
}

#[tokio::test]
async fn locations_are_for_staff() {
    let server = Server::shared().await;
    let body = json!({ "code": unique("LOC"), "name": "X", "priority": 1 });
    server.nobody().post("/v1/locations").json(&body).send().await.problem(401, "unauthenticated");
    for who in [server.customer(), server.service()] {
        who.post("/v1/locations").json(&body).send().await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn what_is_no_location_is_named() {
    let server = Server::shared().await;
    for (body, field) in [
        (json!({ "code": "has space", "name": "X", "priority": 1 }), "code"),
        (json!({ "code": "L", "name": "  ", "priority": 1 }), "name"),
        (json!({ "code": "L", "name": "X", "priority": "first" }), "priority"),
        (json!({ "code": "L", "name": "X", "priority": 1, "latitude": 91.0, "longitude": 0.0 }), "latitude"),
        (json!({ "code": "L", "name": "X", "priority": 1, "colour": "red" }), "colour"),
    ] {
        server.staff().post("/v1/locations").json(&body).send().await.invalid(field);
    }
}
