//! `holdfast verify` on PostgreSQL: beside a running cluster, and on a database that somebody has touched.

use holdfast_testbed::{Postgres, Ready};

use crate::binary::{holdfast, said};
use crate::stand::{HERE, lines, process, shared};

#[tokio::test]
async fn verify_proves_the_books_beside_the_running_cluster() {
    let stand = shared().await;
    let sku = stand.item(50).await;
    let printed = stand.verify();
    let is_head = |word: &&str| {
        word.split_once(':').is_some_and(|(at, hash)| at.parse::<u64>().is_ok() && hash.len() == 64)
    };
    let head = printed.split_whitespace().find(is_head).unwrap_or_else(|| panic!("no head in {printed}"));
    stand.service(HERE).post("/v1/orders").json(&lines(&sku, 2)).send().await.written(201);
    let output = stand.command_line(&["verify", "--expect", head]);
    assert!(output.status.success(), "{}", said(&output));
    let (position, hash) = head.split_once(':').expect("two parts");
    let other = format!("{position}:{}", hash.chars().rev().collect::<String>());
    let output = stand.command_line(&["verify", "--expect", &other]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[tokio::test]
async fn verify_finds_what_somebody_changed_in_the_tables() {
    let stand = shared().await;
    let postgres: &Postgres = stand.cluster.postgres();
    let url = postgres.fresh_database().await.expect("a database");
    let settings = [("HOLDFAST_DATABASE", url.as_str())];
    // One process with everything in it may use PostgreSQL too.
    let shop = process("shop")
        .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
        .env("HOLDFAST_DATABASE", &url)
        .ready(Ready::Line("listening on http://".to_owned()))
        .start()
        .await
        .expect("it starts");
    let exit = shop.stop().await.expect("it stops");
    assert!(exit.success(), "{exit}: {}", shop.log_tail());
    let output = holdfast(&["verify"], &settings);
    assert!(output.status.success(), "{}", said(&output));
    let planted =
        "UPDATE stock SET on_hand = on_hand + 1 WHERE sku = (SELECT min(sku) FROM stock) RETURNING sku";
    let sku = postgres.sql(&url, planted).await.expect("it is planted");
    let sku = sku.lines().next().expect("a row");
    let output = holdfast(&["verify"], &settings);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(sku), "{sku}: {}", said(&output));
}
