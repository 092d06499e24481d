use serde_json::json;

use crate::client::{new_id, text};
use crate::server::{PASSWORD, Server, unique};

#[tokio::test]
async fn anybody_may_register_as_a_customer() {
    let server = Server::shared().await;
    let username = unique("reg");
    let body = json!({ "username": username, "password": PASSWORD });
    let account = server.nobody().post("/v1/accounts").json(&body).send().await.expect(201);
    assert_eq!((&account["username"], &account["role"]), (&json!(username), &json!("customer")));
    assert!(!account.to_string().contains("argon2"), "{account}");
    server.nobody().post("/v1/accounts").json(&body).send().await.problem(409, "username_taken");
    let shouted = json!({ "username": username.to_uppercase(), "password": PASSWORD });
    server.nobody().post("/v1/accounts").json(&shouted).send().await.problem(409, "username_taken");
}

#[tokio::test]
async fn passwords_are_long_and_not_the_username_and_usernames_are_plain() {
    let server = Server::start().await;
    let username = "a-long-username";
    for password in ["short", "elevenchars", username, "A-LONG-USERNAME", &"x".repeat(129)] {
        let body = json!({ "username": username, "password": password });
        server.nobody().post("/v1/accounts").json(&body).send().await.problem(422, "weak_password");
    }
    for (body, field) in [
        (json!({ "username": "has space", "password": PASSWORD }), "username"),
        (json!({ "username": "", "password": PASSWORD }), "username"),
        (json!({ "username": "x".repeat(65), "password": PASSWORD }), "username"),
        (json!({ "username": "good", "password": 7 }), "password"),
        (json!({ "username": "good", "password": PASSWORD, "role": "admin" }), "role"),
    ] {
        server.nobody().post("/v1/accounts").json(&body).send().await.invalid(field);
    }
}

#[tokio::test]
async fn admins_list_accounts_give_roles_and_disable() {
    let server = Server::shared().await;
    let username = server.account("customer");
    let page = server.admin().get("/v1/accounts?limit=200").send().await.expect(200);
    let accounts = page["items"].as_array().expect("items");
    let account =
        accounts.iter().find(|account| account["username"] == json!(username)).expect("it is listed");
    let path = format!("/v1/accounts/{}", text(account, "id"));
    let promoted = server.admin().patch(&path).json(&json!({ "role": "staff" })).send().await.expect(200);
    assert_eq!(promoted["role"], "staff");
    let sign_in = json!({ "username": username, "password": PASSWORD });
    let session = server.nobody().post("/v1/sessions").json(&sign_in).send().await.expect(201);
    let client = server.with(&text(&session, "token"));
    client.get("/v1/health").send().await.expect(200);

    server.admin().patch(&path).json(&json!({ "role": "customer" })).send().await.expect(200);
    let lost = || async { client.get("/v1/health").send().await.status == 403 };
    let two_seconds = std::time::Duration::from_secs(2);
    holdfast_testbed::eventually("the role ends", two_seconds, lost).await.expect("within 2 s");
    server.admin().patch(&path).json(&json!({ "disabled": true })).send().await.expect(200);
    let ended = || async { client.get("/v1/me").send().await.status == 401 };
    holdfast_testbed::eventually("the session ends", two_seconds, ended).await.expect("within 2 s");
    server.nobody().post("/v1/sessions").json(&sign_in).send().await.problem(401, "bad_credentials");
}

#[tokio::test]
async fn refusals_are_remembered_too() {
    let server = Server::start().await;
    let (username, key) = (server.account("customer"), new_id());
    let register = |password: &str| {
        let body = json!({ "username": username, "password": password });
        server.nobody().post("/v1/accounts").key(&key).json(&body).send()
    };
    for is_again in [false, true] {
        let refused = register(PASSWORD).await;
        refused.problem(409, "username_taken");
        assert_eq!(refused.replayed(), is_again, "{refused:?}");
    }
    register("another horse battery").await.problem(422, "idempotency_key_reused");

    // The only admin with an account.
    let admin = server.account("admin");
    let page = server.admin().get(&format!("/v1/accounts?query={admin}")).send().await.expect(200);
    let path = format!("/v1/accounts/{}", text(&page["items"][0], "id"));
    let demote = |key: &str| server.admin().patch(&path).key(key).json(&json!({ "role": "staff" })).send();
    demote(&key).await.problem(409, "last_admin");
    server.account("admin");
    let again = demote(&key).await;
    again.problem(409, "last_admin");
    assert!(again.replayed(), "{again:?}");
    assert_eq!(demote(&new_id()).await.expect(200)["role"], "staff");
}

#[tokio::test]
async fn accounts_are_for_admins() {
    let server = Server::shared().await;
    for who in [server.customer(), server.service(), server.staff()] {
        who.get("/v1/accounts").send().await.problem(403, "forbidden");
        let path = format!("/v1/accounts/{}", crate::client::new_id());
        who.patch(&path).json(&json!({ "role": "admin" })).send().await.problem(403, "forbidden");
    }
    server.nobody().get("/v1/accounts").send().await.problem(401, "unauthenticated");
    let path = format!("/v1/accounts/{}", crate::client::new_id());
    server.admin().patch(&path).json(&json!({ "role": "staff" })).send().await.problem(404, "not_found");
    server.admin().patch(&path).json(&json!({ "role": "king" })).send().await.invalid("role");
}

#[tokio::test]
async fn registrations_from_one_address_are_limited_and_say_when_to_come_back() {
    let server = Server::start().await;
    for _ in 0..500 {
        // Too short: it is counted, and costs no hash.
        let body = json!({ "username": unique("flood"), "password": "short" });
        let reply = server.nobody().post("/v1/accounts").json(&body).send().await;
        if reply.status == 429 {
            reply.problem(429, "too_many_requests");
            assert!(reply.header("retry-after").expect("Retry-After").parse::<u32>().is_ok());
            assert!(reply.header("ratelimit").is_some() && reply.header("ratelimit-policy").is_some());
            return;
        }
    }
    panic!("500 registrations in a row were let in");
}
