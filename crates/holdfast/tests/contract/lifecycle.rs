//! One server on one data folder; it stops when told to; it starts again with everything.

use std::time::{Duration, Instant};

use holdfast_testbed::Signal;
use serde_json::json;

use crate::binary::{holdfast, said};
use crate::server::{Server, lines};

#[tokio::test]
async fn a_second_server_on_the_same_folder_refuses_and_says_who_has_it() {
    let server = Server::start().await;
    let output = server.command_line(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!output.status.success());
    let said = said(&output);
    let pid = server.process.pid().expect("it runs").to_string();
    assert!(said.contains(&pid) && said.contains(&server.address()), "{said}");
    server.nobody().get("/health/ready").send().await.expect(200);
    server.process.stop().await.expect("it stops");
    server.process.restart().await.expect("the folder is free again");
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_exits_0_within_ten_seconds() {
    let server = Server::start().await;
    let sku = server.item(100_000).await;
    let stream = server.staff().get("/v1/stream").stream().await;
    let client = server.service();
    let load: Vec<_> = (0..16)
        .map(|_| {
            let (client, body) = (client.clone(), lines(&sku, 1));
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                while let Ok(reply) = client.post("/v1/orders").json(&body).try_send().await {
                    match reply.status {
                        201 => accepted.push(reply.json()["id"].as_str().expect("an id").to_owned()),
                        503 => assert!(reply.header("retry-after").is_some(), "{reply:?}"),
                        _ => panic!("{reply:?}"),
                    }
                }
                accepted
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    server.process.signal(Signal::SIGTERM);
    let status = server.process.wait_exit(Duration::from_secs(10)).await.expect("it ends in time");
    assert!(status.success(), "{status}: {}", server.process.log_tail());
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(stream);
    let mut accepted = Vec::new();
    for task in load {
        accepted.extend(task.await.expect("no panic"));
    }
    assert!(!accepted.is_empty());
    server.verify();
    server.process.restart().await.expect("it starts again");
    for id in &accepted {
        let order = server.service().get(&format!("/v1/orders/{id}")).send().await.expect(200);
        assert_eq!(order["status"], "accepted");
    }
    let allocated = server.stock(&sku).await["allocated"].as_i64().expect("units");
    assert!(allocated >= accepted.len() as i64);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let server = Server::start().await;
    let sku = server.item(9).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let before = server.stock(&sku).await;
    let item = server.nobody().get(&format!("/v1/items/{sku}")).send().await.expect(200);
    server.process.restart().await.expect("it starts again");
    assert_eq!(server.stock(&sku).await, before);
    assert_eq!(server.nobody().get(&format!("/v1/items/{sku}")).send().await.expect(200), item);
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    assert_eq!(server.service().get(&path).send().await.expect(200), order);
}

#[tokio::test]
async fn the_demo_shop_opens_and_its_accounts_sign_in() {
    let server = Server::start_with(&["--demo"]).await;
    let page = server.nobody().get("/v1/items?limit=200").send().await.expect(200);
    let items = page["items"].as_array().expect("items");
    assert!(items.len() >= 60, "{} items", items.len());
    let brands: std::collections::BTreeSet<_> = items.iter().map(|item| item["brand"].to_string()).collect();
    assert!(brands.len() >= 8, "{brands:?}");
    assert!(items.iter().any(|item| item["in_stock"] == false), "some are sold out");
    let picture = items.iter().find_map(|item| item["image_url"].as_str()).expect("pictures");
    if picture.starts_with('/') {
        let reply = server.nobody().get(picture).send().await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/svg+xml")));
    }
    let log = server.process.log_text();
    let accounts: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("sign in as ")?;
            let (name, rest) = rest.split_once(" with the password ")?;
            Some((name, rest.split_whitespace().next()?))
        })
        .collect();
    assert_eq!(accounts.len(), 2, "{log}");
    for (username, password) in accounts {
        let body = json!({ "username": username, "password": password });
        server.nobody().post("/v1/sessions").json(&body).send().await.expect(201);
    }
    server.process.restart().await.expect("a second start finds the shop there");
    let again = server.nobody().get("/v1/items?limit=200").send().await.expect(200);
    assert_eq!(again["items"].as_array().expect("items").len(), items.len());
    server.verify();
}

#[tokio::test]
async fn metrics_and_health_have_an_address_of_their_own_where_one_is_set() {
    let port = holdfast_testbed::free_port().expect("a free port");
    let address = format!("127.0.0.1:{port}");
    let server = Server::start_with(&["--metrics-listen", &address]).await;
    let aside = crate::client::Client::new(format!("http://{address}"), None);
    for path in ["/metrics", "/health/live", "/health/ready"] {
        assert_eq!(aside.get(path).send().await.status, 200, "{path}");
    }
    assert_eq!(aside.get("/v1/items").send().await.status, 404, "there is no API there");
    server.process.stop().await.expect("it stops");
}

#[test]
fn a_wrong_setting_stops_the_start_with_one_line_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    for (arguments, word) in [
        (&["serve", "--listen", "nowhere"][..], "listen"),
        (&["serve", "--roles", "cook"], "roles"),
        (&["serve", "--roles", "orders"], "broker"),
        (&["serve", "--broker", "pigeon"], "broker"),
        (&["serve", "--cache", "pocket"], "cache"),
        (&["serve", "--database", "mysql://x"], "database"),
        (&["serve", "--log", "=="], "log"),
    ] {
        let output = holdfast(arguments, &[("HOLDFAST_DATA", &data)]);
        let said = said(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(word) && said.trim().lines().count() == 1, "{arguments:?}: {said}");
    }
}

/// Bounds how large a file the server may write, or lifts the bound.
fn bound_files(server: &Server, bytes: Option<u64>) {
    let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let pid = server.process.pid().expect("it runs").to_string();
    let status = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
        .status()
        .expect("prlimit runs (package util-linux)");
    assert!(status.success(), "the limit cannot be set");
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_and_reads_go_on_until_there_is_room() {
    let server = Server::start_on_a_small_disk().await;
    let sku = server.item(100).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    bound_files(&server, Some(4_096));
    let body = json!({ "id": crate::client::new_id(), "lines": lines(&sku, 2)["lines"] });
    let refused = server.service().post("/v1/orders").json(&body).send().await;
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    let item = server.nobody().get(&format!("/v1/items/{sku}")).send().await.expect(200);
    assert_eq!(item["available"], 99);
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    server.service().get(&path).send().await.expect(200);
    let path = format!("/v1/orders/{}", body["id"].as_str().expect("an id"));
    server.service().get(&path).send().await.problem(404, "not_found");

    bound_files(&server, None);
    let again = server.service().post("/v1/orders").json(&body).send().await;
    assert!(!again.replayed());
    again.written(201);
    assert_eq!(server.stock(&sku).await["allocated"], 3);
    server.verify();
}
