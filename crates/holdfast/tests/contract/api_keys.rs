use serde_json::{Value, json};

use crate::client::{new_id, text};
use crate::server::{Server, unique};

#[tokio::test]
async fn a_key_is_shown_once_works_and_ends_within_two_seconds() {
    let server = Server::shared().await;
    let name = unique("key");
    let body = json!({ "name": name, "role": "service" });
    let made = server.admin().post("/v1/api-keys").json(&body).send().await.expect(201);
    assert_eq!((&made["name"], &made["role"]), (&json!(name), &json!("service")));
    let (id, secret) = (text(&made, "id"), text(&made, "key"));
    let client = server.with(&secret);
    client.get("/v1/orders").send().await.expect(200);
    let page = server.admin().get("/v1/api-keys?limit=200").send().await.expect(200);
    assert!(page["items"].as_array().expect("items").iter().any(|key| key["id"] == json!(id)));
    assert!(!page.to_string().contains(&secret), "the secret is shown again");
    assert_eq!(server.admin().delete(&format!("/v1/api-keys/{id}")).send().await.status, 204);
    let ended = || async { client.get("/v1/orders").send().await.status == 401 };
    let two_seconds = std::time::Duration::from_secs(2);
    holdfast_testbed::eventually("the key ends", two_seconds, ended).await.expect("within 2 s");
    server.admin().delete(&format!("/v1/api-keys/{}", new_id())).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn a_replayed_creation_answers_without_the_key() {
    let server = Server::shared().await;
    let (name, key) = (unique("key"), new_id());
    let body = json!({ "name": name, "role": "service" });
    let first = server.admin().post("/v1/api-keys").key(&key).json(&body).send().await;
    let second = server.admin().post("/v1/api-keys").key(&key).json(&body).send().await;
    assert!(!first.replayed() && second.replayed());
    assert!(first.expect(201)["key"].is_string());
    let second = second.expect(201);
    assert!(second.get("key").is_none_or(serde_json::Value::is_null), "{second}");
    assert_eq!(second["id"], first.json()["id"]);
    let other = json!({ "name": name, "role": "admin" });
    let reused = server.admin().post("/v1/api-keys").key(&key).json(&other).send().await;
    reused.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn refusals_are_remembered_too() {
    let server = Server::shared().await;
    let body = json!({ "name": unique("key"), "role": "service" });
    let made = server.admin().post("/v1/api-keys").json(&body).send().await.expect(201);
    let key = new_id();
    let make = |body: &Value| server.admin().post("/v1/api-keys").key(&key).json(body).send();
    let first = make(&body).await;
    first.problem(409, "name_taken");
    assert!(!first.replayed());
    // The name is free again, and the answer is what it was.
    let path = format!("/v1/api-keys/{}", text(&made, "id"));
    server.admin().delete(&path).send().await.written(204);
    let again = make(&body).await;
    again.problem(409, "name_taken");
    assert!(again.replayed(), "{again:?}");
    assert_eq!(again.text, first.text);
    let other = json!({ "name": unique("key"), "role": "service" });
    make(&other).await.problem(422, "idempotency_key_reused");

    let nobody = format!("/v1/api-keys/{}", new_id());
    for is_again in [false, true] {
        let refused = server.admin().delete(&nobody).key(&key).send().await;
        refused.problem(404, "not_found");
        assert_eq!(refused.replayed(), is_again, "{refused:?}");
    }
}

#[tokio::test]
async fn keys_are_for_admins() {
    let server = Server::shared().await;
    for who in [server.customer(), server.service(), server.staff()] {
        who.get("/v1/api-keys").send().await.problem(403, "forbidden");
        who.post("/v1/api-keys")
            .json(&json!({ "name": "x", "role": "admin" }))
            .send()
            .await
            .problem(403, "forbidden");
    }
    server.nobody().get("/v1/api-keys").send().await.problem(401, "unauthenticated");
    let bad = json!({ "name": "x", "role": "king" });
    server.admin().post("/v1/api-keys").json(&bad).send().await.invalid("role");
}
