//! The commands beside the server: verify that finds damage, backup and restore, import and export, accounts.

use std::path::Path;

use serde_json::json;

use crate::binary::{holdfast, said};
use crate::server::{MAIN, PASSWORD, Server, line, lines, unique};

/// A stopped server's data with some history; the database file and the SKU.
async fn history() -> (Server, String) {
    let server = Server::start().await;
    let sku = server.item(50).await;
    for _ in 0..5 {
        server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    }
    let hold = json!({ "lines": [line(&sku, 1)], "ttl_seconds": 3_600 });
    server.service().post("/v1/holds").json(&hold).send().await.written(201);
    let loss = json!({ "sku": sku, "location": MAIN, "delta": -1, "reason": "loss" });
    server.staff().post("/v1/stock/adjustments").json(&loss).send().await.written(201);
    server.process.stop().await.expect("it stops");
    (server, sku)
}

#[tokio::test]
async fn verify_proves_the_books_and_compares_with_a_head_noted_earlier() {
    let server = Server::start().await;
    let sku = server.item(50).await;
    let printed = server.verify();
    let head = printed
        .split_whitespace()
        .find(|word| {
            word.split_once(':').is_some_and(|(at, hash)| at.parse::<u64>().is_ok() && hash.len() == 64)
        })
        .unwrap_or_else(|| panic!("no POSITION:HASH in {printed}"))
        .to_owned();
    server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let output = server.command_line(&["verify", "--expect", &head]);
    assert!(output.status.success(), "{}", said(&output));
    let (position, hash) = head.split_once(':').expect("two parts");
    let other = format!("{position}:{}", hash.chars().rev().collect::<String>());
    let output = server.command_line(&["verify", "--expect", &other]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for wrong in
        ["nonsense", "1:2", "99999999:0000000000000000000000000000000000000000000000000000000000000000"]
    {
        assert!(!server.command_line(&["verify", "--expect", wrong]).status.success(), "{wrong}");
    }
}

#[tokio::test]
async fn verify_names_every_kind_of_damage() {
    let (server, sku) = history().await;
    server.verify();
    let whole = server.data().join("holdfast.db");
    let folder = tempfile::tempdir().expect("a folder");
    for (what, sql) in [
        ("a counter", "UPDATE stock SET on_hand = on_hand + 1".to_owned()),
        ("a lost order", "DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)".to_owned()),
        ("a lost hold", "DELETE FROM holds".to_owned()),
        ("a missing batch", "DELETE FROM log WHERE first_position = (SELECT max(first_position) FROM log WHERE last_position < (SELECT max(last_position) FROM log))".to_owned()),
        ("a byte of the log", format!("UPDATE log SET payload = CAST(replace(CAST(payload AS TEXT), '{sku}', '{}') AS BLOB) WHERE last_position = (SELECT max(last_position) FROM log)", sku.replace("SKU", "SKX"))),
        ("the head", "UPDATE log_head SET position = position + 1".to_owned()),
    ] {
        let copy = folder.path().join("copy");
        std::fs::create_dir_all(&copy).expect("a folder");
        copy_database(&whole, &copy.join("holdfast.db"));
        let connection = rusqlite::Connection::open(copy.join("holdfast.db")).expect("the copy opens");
        connection.pragma_update(None, "ignore_check_constraints", true).expect("a pragma");
        let changed = connection.execute(&sql, []).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(changed > 0, "{what} was not planted");
        drop(connection);
        let output = holdfast(&["verify"], &[("HOLDFAST_DATA", &copy.display().to_string())]);
        assert_eq!(output.status.code(), Some(1), "{what} went unseen: {}", said(&output));
        assert!(said(&output).trim().len() > 20, "{what}: {}", said(&output));
        std::fs::remove_dir_all(&copy).expect("it goes away");
    }
}

fn copy_database(from: &Path, to: &Path) {
    let source = rusqlite::Connection::open(from).expect("the database opens");
    source.execute("VACUUM INTO ?1", [to.display().to_string()]).expect("it is copied");
}

#[tokio::test]
async fn a_live_backup_is_restored_with_everything() {
    let server = Server::start().await;
    let sku = server.item(50).await;
    let order = server.service().post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.db").display().to_string();
    let output = server.command_line(&["backup", &file]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!server.command_line(&["backup", &file]).status.success(), "a backup overwrites nothing");
    assert!(!server.command_line(&["restore", &file]).status.success(), "a restore overwrites nothing");
    server.service().post("/v1/orders").json(&lines(&sku, 3)).send().await.written(201);

    let data = folder.path().join("restored").display().to_string();
    let output = holdfast(&["restore", &file], &[("HOLDFAST_DATA", &data)]);
    assert!(output.status.success(), "{}", said(&output));
    let output = holdfast(&["verify"], &[("HOLDFAST_DATA", &data)]);
    assert!(output.status.success(), "{}", said(&output));
    let copy = rusqlite::Connection::open(Path::new(&data).join("holdfast.db")).expect("it opens");
    let orders: i64 = copy.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).expect("a count");
    assert_eq!(orders, 1, "{order}");
    drop(copy);
    // What SQLite keeps beside a database that was moved away belongs to that one.
    let left = Path::new(&data).join("holdfast.db-wal");
    std::fs::remove_file(Path::new(&data).join("holdfast.db")).expect("moved away");
    std::fs::write(&left, "the log of another database").expect("written");
    let output = holdfast(&["restore", &file], &[("HOLDFAST_DATA", &data)]);
    assert!(!output.status.success() && said(&output).contains("holdfast.db-wal"), "{}", said(&output));
    std::fs::remove_file(&left).expect("moved away, too");
    let output = holdfast(&["restore", &file], &[("HOLDFAST_DATA", &data)]);
    assert!(output.status.success(), "{}", said(&output));
    std::fs::write(folder.path().join("rubbish.db"), b"not a database").expect("written");
    let rubbish = folder.path().join("rubbish.db").display().to_string();
    let other = folder.path().join("other").display().to_string();
    assert!(!holdfast(&["restore", &rubbish], &[("HOLDFAST_DATA", &other)]).status.success());
    assert!(!Path::new(&other).join("holdfast.db").exists(), "nothing is left of it");
}

#[tokio::test]
async fn what_is_exported_is_imported_again() {
    let server = Server::start().await;
    let sku = server.item(50).await;
    let exported = server.command_line(&["export"]);
    assert!(exported.status.success(), "{}", said(&exported));
    let text = String::from_utf8(exported.stdout.clone()).expect("UTF-8");
    assert!(text.contains(&sku) && text.contains("1299.00"), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("items.csv");
    std::fs::write(&file, text.replace(&sku, "COPY-1")).expect("written");
    let file = file.display().to_string();
    let output = server.command_line(&["import", &file, "--dry-run"]);
    assert!(output.status.success(), "{}", said(&output));
    server.nobody().get("/v1/items/COPY-1").send().await.problem(404, "not_found");
    let output = server.command_line(&["import", &file]);
    assert!(output.status.success(), "{}", said(&output));
    // The server follows what another process wrote.
    let there = || async { server.nobody().get("/v1/items/COPY-1").send().await.status == 200 };
    let wait = std::time::Duration::from_secs(5);
    holdfast_testbed::eventually("the item is there", wait, there).await.expect("it is");
    let item = server.nobody().get("/v1/items/COPY-1").send().await.expect(200);
    assert_eq!((&item["price"]["amount"], &item["available"]), (&json!(129_900), &json!(50)));
    std::fs::write(folder.path().join("bad.csv"), text.replace("1299.00", "cheap")).expect("written");
    let bad = folder.path().join("bad.csv").display().to_string();
    let output = server.command_line(&["import", &bad]);
    assert!(!output.status.success());
    assert!(said(&output).contains('2') && said(&output).contains("price"), "{}", said(&output));
    server.verify();
}

#[tokio::test]
async fn accounts_and_keys_are_made_beside_the_running_server() {
    let server = Server::shared().await;
    let username = server.account("admin");
    let body = json!({ "username": username, "password": PASSWORD });
    let session = server.nobody().post("/v1/sessions").json(&body).send().await.expect(201);
    assert_eq!(session["account"]["role"], "admin");
    let data = server.data().display().to_string();
    let settings = |password| [("HOLDFAST_DATA", data.as_str()), ("HOLDFAST_PASSWORD", password)];
    let again = holdfast(&["accounts", "add", &username, "--role", "staff"], &settings(PASSWORD));
    assert!(!again.status.success() && said(&again).contains("taken"), "{}", said(&again));
    let weak = holdfast(&["accounts", "add", &unique("weak"), "--role", "staff"], &settings("short"));
    assert!(!weak.status.success(), "{}", said(&weak));
    let king = holdfast(&["accounts", "add", &unique("king"), "--role", "king"], &settings(PASSWORD));
    assert!(!king.status.success() && said(&king).contains("role"), "{}", said(&king));
    assert!(!server.process.log_text().contains(PASSWORD), "a password is in the log");
}

#[tokio::test]
async fn a_password_may_come_from_standard_input() {
    let server = Server::shared().await;
    let name = unique("stdin");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["accounts", "add", &name, "--role", "customer"])
        .env_clear()
        .env("HOLDFAST_DATA", server.data())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("an input");
    std::io::Write::write_all(&mut input, format!("{PASSWORD}\nnot this\n").as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let body = json!({ "username": name, "password": PASSWORD });
    server.nobody().post("/v1/sessions").json(&body).send().await.expect(201);
}

#[test]
fn a_folder_without_a_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    for arguments in [&["verify"][..], &["export"], &["backup", "/nowhere/file.db"]] {
        let output = holdfast(arguments, &[("HOLDFAST_DATA", &data)]);
        assert!(!output.status.success());
        assert!(said(&output).contains("database"), "{}", said(&output));
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_not_touched() {
    let (server, _) = history().await;
    let file = server.data().join("holdfast.db");
    let connection = rusqlite::Connection::open(&file).expect("it opens");
    connection.execute("INSERT INTO schema_version (version) VALUES (999)", []).expect("planted");
    drop(connection);
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["verify"], &["migrate"]] {
        let output = server.command_line(arguments);
        assert!(!output.status.success());
        assert!(said(&output).contains("newer"), "{}", said(&output));
    }
}
