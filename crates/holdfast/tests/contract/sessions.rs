use serde_json::json;

use crate::client::text;
use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn signing_in_gives_a_token_and_a_cookie_and_signing_out_ends_both() {
    let server = Server::shared().await;
    let username = server.account("staff");
    let body = json!({ "username": username, "password": PASSWORD });
    let reply = server.nobody().post("/v1/sessions").json(&body).send().await;
    let session = reply.expect(201);
    assert_eq!(session["account"]["username"], json!(username));
    assert!(text(&session, "expires_at").ends_with('Z'));
    let cookie = reply.header("set-cookie").expect("a cookie").to_owned();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let client = server.with(&text(&session, "token"));
    let me = client.get("/v1/me").send().await.expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!(username), &json!("staff")));
    server.nobody().get("/v1/me").header("Cookie", &pair).send().await.expect(200);
    assert_eq!(client.delete("/v1/sessions/current").send().await.status, 204);
    let ended = || async { client.get("/v1/me").send().await.status == 401 };
    let two_seconds = std::time::Duration::from_secs(2);
    holdfast_testbed::eventually("the session ends", two_seconds, ended).await.expect("within 2 s");
    server.nobody().get("/v1/me").header("Cookie", &pair).send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let server = Server::shared().await;
    let username = server.account("customer");
    let mut answers = Vec::new();
    for name in [username.as_str(), "nobody-has-this-name"] {
        let body = json!({ "username": name, "password": "wrong wrong wrong" });
        let mut problem =
            server.nobody().post("/v1/sessions").json(&body).send().await.problem(401, "bad_credentials");
        problem.as_object_mut().expect("an object").remove("trace_id");
        answers.push(problem);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn repeated_failures_are_slowed_down() {
    let server = Server::start().await;
    let username = server.account("customer");
    let body = json!({ "username": username, "password": "wrong wrong wrong" });
    for _ in 0..60 {
        let reply = server.nobody().post("/v1/sessions").json(&body).send().await;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some());
            return;
        }
        reply.problem(401, "bad_credentials");
    }
    panic!("60 failures in a row were not slowed down");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let server = Server::shared().await;
    let username = server.account("customer");
    let old = json!({ "username": username, "password": PASSWORD });
    let token =
        || async { text(&server.nobody().post("/v1/sessions").json(&old).send().await.expect(201), "token") };
    let (this, other) = (server.with(&token().await), server.with(&token().await));
    let new = "another horse battery";
    let wrong = json!({ "current_password": "not the password", "new_password": new });
    assert!([401, 403, 422].contains(&this.put("/v1/me/password").json(&wrong).send().await.status));
    let weak = json!({ "current_password": PASSWORD, "new_password": "short" });
    this.put("/v1/me/password").json(&weak).send().await.problem(422, "weak_password");
    let change = json!({ "current_password": PASSWORD, "new_password": new });
    assert_eq!(this.put("/v1/me/password").json(&change).send().await.status, 204);
    this.get("/v1/me").send().await.expect(200);
    let ended = || async { other.get("/v1/me").send().await.status == 401 };
    let two_seconds = std::time::Duration::from_secs(2);
    holdfast_testbed::eventually("the other session ends", two_seconds, ended).await.expect("within 2 s");
    server.nobody().post("/v1/sessions").json(&old).send().await.problem(401, "bad_credentials");
    let body = json!({ "username": username, "password": new });
    server.nobody().post("/v1/sessions").json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_token_that_is_none_is_401() {
    let server = Server::shared().await;
    for token in ["nonsense", "hf_0000000000000000000000", ""] {
        let reply = server.with(token).get("/v1/me").send().await;
        reply.problem(401, "unauthenticated");
        assert!(reply.header("www-authenticate").is_some());
    }
}

#[tokio::test]
async fn another_sites_page_cannot_act_with_the_cookie() {
    let server = Server::shared().await;
    let body = json!({ "username": server.account("customer"), "password": PASSWORD });
    let reply = server.nobody().post("/v1/sessions").json(&body).send().await;
    let cookie = reply.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let call = || server.nobody().delete("/v1/sessions/current").header("Cookie", &cookie);
    call().header("Sec-Fetch-Site", "cross-site").send().await.problem(403, "cross_site");
    call().header("Origin", "https://evil.example").send().await.problem(403, "cross_site");
    server.nobody().get("/v1/me").header("Cookie", &cookie).send().await.expect(200);
    assert_eq!(call().header("Sec-Fetch-Site", "same-origin").send().await.status, 204);
}

#[tokio::test]
async fn an_expired_token_is_401() {
    let server = Server::start().await;
    let body = json!({ "username": server.account("customer"), "password": PASSWORD });
    let session = server.nobody().post("/v1/sessions").json(&body).send().await.expect(201);
    let client = server.with(&text(&session, "token"));
    client.get("/v1/me").send().await.expect(200);
    let database = rusqlite::Connection::open(server.data().join("holdfast.db")).expect("it opens");
    let changed = database.execute("UPDATE sessions SET expires_at = 1", []).expect("its time is over");
    assert_eq!(changed, 1);
    let ended = || async { client.get("/v1/me").send().await.status == 401 };
    let two_seconds = std::time::Duration::from_secs(2);
    holdfast_testbed::eventually("the session ends", two_seconds, ended).await.expect("within 2 s");
    client.get("/v1/me").send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_tls_alone() {
    let server = Server::start().await;
    let body = json!({ "username": server.account("customer"), "password": PASSWORD });
    for (proto, secure) in [("https", true), ("http", false)] {
        let call = server.nobody().post("/v1/sessions").header("X-Forwarded-Proto", proto);
        let reply = call.json(&body).send().await;
        assert_eq!(reply.header("set-cookie").expect("a cookie").contains("Secure"), secure, "{reply:?}");
    }
}
