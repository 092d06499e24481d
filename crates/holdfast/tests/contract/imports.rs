use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{new_id, text};
use crate::server::{MAIN, Server, unique};

const HEADER: &str = "sku,brand,model,description,price,currency,location,quantity";

/// Sends a file and waits until the job is over.
async fn import(server: &Server, file: impl Into<Vec<u8>>, dry_run: bool) -> Value {
    let call = server.staff().post(&format!("/v1/imports?dry_run={dry_run}"));
    let job = call.body("text/csv", file).send().await.expect(202);
    ended(server, &job).await
}

/// Waits until a job is over, and says how.
async fn ended(server: &Server, job: &Value) -> Value {
    let path = format!("/v1/imports/{}", text(job, "id"));
    let over = || async { server.staff().get(&path).send().await.expect(200)["status"] != "running" };
    holdfast_testbed::eventually("the import is over", Duration::from_secs(60), over).await.expect("it is");
    server.staff().get(&path).send().await.expect(200)
}

#[tokio::test]
async fn items_come_in_with_their_stock() {
    let server = Server::shared().await;
    let (first, second) = (unique("CSV"), unique("CSV"));
    let file = format!(
        "\u{feff}{HEADER}\r\n{first},\"Acme, Inc.\",\"The \"\"One\"\"\",\"two\nlines\",1299.00,INR,{MAIN},7\r\n\
         {second},Acme,Other,,0.50,EUR,{MAIN},0\r\n"
    );
    let job = import(server, file, false).await;
    assert_eq!(
        (&job["status"], &job["rows_applied"], &job["rows_failed"]),
        (&json!("done"), &json!(2), &json!(0)),
        "{job}"
    );
    server.stock(&first).await;
    let item = server.nobody().get(&format!("/v1/items/{first}")).send().await.expect(200);
    assert_eq!((&item["brand"], &item["model"]), (&json!("Acme, Inc."), &json!("The \"One\"")));
    assert_eq!(
        (&item["price"], &item["available"]),
        (&json!({ "amount": 129_900, "currency": "INR" }), &json!(7))
    );
    let item = server.nobody().get(&format!("/v1/items/{second}")).send().await.expect(200);
    assert_eq!((&item["price"]["amount"], &item["available"]), (&json!(50), &json!(0)));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = Server::shared().await;
    let sku = unique("CSV");
    let job = import(server, format!("{HEADER}\n{sku},Acme,One,,1,INR,{MAIN},7\n"), true).await;
    assert_eq!(
        (&job["status"], &job["rows_applied"], &job["dry_run"]),
        (&json!("done"), &json!(1), &json!(true))
    );
    server.nobody().get(&format!("/v1/items/{sku}")).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn bad_rows_are_named_by_line_and_column_and_the_good_ones_go_in() {
    let server = Server::shared().await;
    let good = unique("CSV");
    let rows = [
        format!("{good},Acme,One,,1.00,INR,{MAIN},7"),
        format!("{},Acme,One,,1.001,INR,{MAIN},7", unique("CSV")),
        format!("{},Acme,One,,1.00,INR,{MAIN},-7", unique("CSV")),
        format!("{},Acme,One,,1.00,XXX,{MAIN},7", unique("CSV")),
        format!("{},,One,,1.00,INR,{MAIN},7", unique("CSV")),
        format!("{},Acme,One,,1.00,INR,NOWHERE,7", unique("CSV")),
        "has space,Acme,One,,1.00,INR,MAIN,7".to_owned(),
        format!("{},Acme,One", unique("CSV")),
    ];
    let job = import(server, format!("{HEADER}\n{}\n", rows.join("\n")), false).await;
    assert_eq!(
        (&job["rows_read"], &job["rows_applied"], &job["rows_failed"]),
        (&json!(8), &json!(1), &json!(7)),
        "{job}"
    );
    let errors = job["errors"].as_array().expect("errors");
    let lines: Vec<i64> = errors.iter().map(|error| error["line"].as_i64().expect("a line")).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9]);
    let columns: Vec<&Value> = errors.iter().map(|error| &error["column"]).take(6).collect();
    assert_eq!(columns, ["price", "quantity", "currency", "brand", "location", "sku"]);
    assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty())));
    server.stock(&good).await;
    server.nobody().get(&format!("/v1/items/{good}")).send().await.expect(200);
}

#[tokio::test]
async fn hostile_files_end_with_a_reason() {
    let server = Server::shared().await;
    for file in
        [&b""[..], b"colour,weight\nred,7\n", b"sku\n\xff\xfe\x00", b"\"never closed\n", b"\x89PNG\r\n\x1a\n"]
    {
        let reply = server.staff().post("/v1/imports").body("text/csv", file).send().await;
        if reply.status == 202 {
            let job = ended(server, &reply.json()).await;
            assert!(job["status"] == "failed" || job["rows_applied"] == 0, "{job}");
            assert!(
                job["detail"].is_string() || job["errors"].as_array().is_some_and(|e| !e.is_empty()),
                "{job}"
            );
        } else {
            let problem = reply.json();
            assert!((400..500).contains(&reply.status) && problem["code"].is_string(), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_large_file_streams_beyond_the_limit_of_bodies() {
    let server = Server::start().await;
    let mut file = format!("{HEADER}\n");
    for row in 0..20_000 {
        file.push_str(&format!(
            "BULK-{row},Acme,Model {row},\"A description that makes the row longer\",10.00,INR,{MAIN},3\n"
        ));
    }
    assert!(file.len() > 1 << 20);
    let job = import(&server, file, false).await;
    assert_eq!((&job["status"], &job["rows_applied"]), (&json!("done"), &json!(20_000)), "{job}");
    server.stock("BULK-19999").await;
    let page = server.nobody().get("/v1/items?limit=1").send().await.expect(200);
    assert_eq!(page["total"], 20_000);
    server.verify();
}

#[tokio::test]
async fn a_file_under_a_key_is_imported_once_across_a_restart() {
    let server = Server::start().await;
    let sku = unique("CSV");
    let (file, other_file) = (
        format!("{HEADER}\n{sku},Acme,One,,1.00,INR,{MAIN},7\n"),
        format!("{HEADER}\n{sku},Acme,One,,1.00,INR,{MAIN},8\n"),
    );
    let key = new_id();
    let send = |path: &str, file: &str| server.staff().post(path).key(&key).body("text/csv", file).send();
    let first = send("/v1/imports", &file).await;
    let job = first.written(202);
    assert!(!first.replayed());
    let done = ended(&server, &job).await;
    assert_eq!((&done["status"], &done["rows_applied"]), (&json!("done"), &json!(1)), "{done}");
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5 });
    server.staff().post("/v1/stock/receipts").json(&receipt).send().await.written(201);
    for is_after_restart in [false, true] {
        if is_after_restart {
            server.process.restart().await.expect("it starts again");
        }
        let again = send("/v1/imports", &file).await;
        assert!(again.replayed(), "{again:?}");
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(ended(&server, &job).await, done);
        for (path, file) in [("/v1/imports", &other_file), ("/v1/imports?dry_run=true", &file)] {
            send(path, file).await.problem(422, "idempotency_key_reused");
        }
        assert_eq!(server.stock(&sku).await["on_hand"], 12);
    }
    // Without the key it is somebody's count, now.
    let counted = import(&server, file, false).await;
    assert_ne!(counted["id"], job["id"]);
    assert_eq!(server.stock(&sku).await["on_hand"], 7);
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_under_its_key_and_does_nothing_twice() {
    const ROWS: u64 = 20_000;
    let server = Server::start().await;
    let mut file = format!("{HEADER}\n");
    for row in 0..ROWS {
        file.push_str(&format!("KILLED-{row},Acme,Model {row},,10.00,INR,{MAIN},3\n"));
    }
    let key = new_id();
    let send = || server.staff().post("/v1/imports").key(&key).body("text/csv", file.as_str()).send();
    let job = send().await.expect(202);
    let path = format!("/v1/imports/{}", text(&job, "id"));
    let shown = || async { server.staff().get(&path).send().await.expect(200) };
    let minute = Duration::from_secs(60);
    let some_rows = || async { shown().await["rows_applied"] != 0 };
    holdfast_testbed::eventually("some rows are in", minute, some_rows).await.expect("they are");
    server.process.kill().expect("it is gone");
    server.process.restart().await.expect("it starts again");

    let receipt = json!({ "sku": "KILLED-0", "location": MAIN, "quantity": 5 });
    server.staff().post("/v1/stock/receipts").json(&receipt).send().await.written(201);
    // It may still run elsewhere, as far as anybody can tell now.
    let again = send().await;
    assert!(again.replayed(), "{again:?}");
    assert_eq!(again.expect(202), job);
    let broke_off = || async { shown().await["status"] == "failed" };
    holdfast_testbed::eventually("it has broken off", minute, broke_off).await.expect("it has");
    let failed = shown().await;
    assert!(text(&failed, "detail").contains("the same Idempotency-Key"), "{failed}");
    assert!(failed["rows_applied"].as_u64().is_some_and(|rows| rows < ROWS), "{failed}");

    let again = send().await;
    assert!(again.replayed(), "{again:?}");
    assert_eq!(again.expect(202), job);
    let done = ended(&server, &job).await;
    assert_eq!(
        (&done["status"], &done["rows_applied"], &done["rows_failed"], &done["items_added"]),
        (&json!("done"), &json!(ROWS), &json!(0), &json!(ROWS)),
        "{done}"
    );
    assert_eq!(server.stock("KILLED-0").await["on_hand"], 8);
    assert_eq!(server.stock(&format!("KILLED-{}", ROWS - 1)).await["on_hand"], 3);
    server.verify();
}

#[tokio::test]
async fn imports_are_for_staff() {
    let server = Server::shared().await;
    for who in [server.customer(), server.service()] {
        who.post("/v1/imports").body("text/csv", HEADER).send().await.problem(403, "forbidden");
    }
    server.nobody().post("/v1/imports").body("text/csv", HEADER).send().await.problem(401, "unauthenticated");
    let unknown = format!("/v1/imports/{}", crate::client::new_id());
    server.staff().get(&unknown).send().await.problem(404, "not_found");
}
