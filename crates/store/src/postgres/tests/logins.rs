//! What cannot be opened says why, in one line that a person can act on, without the password.

use holdfast_testbed as testbed;

use super::Server;
use crate::contract::books::check_books;
use crate::contract::{Lab, answer, furnish, place, run_one};
use crate::{Database, StoreError};

/// The error of opening a URL; checked to be a single line without a secret.
async fn refusal(url: &str) -> StoreError {
    let error = Database::open_postgres(url, None).await.err().expect("it does not open");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 400, "one line: {line}");
    assert!(!line.contains("s3cret"), "without the password: {line}");
    error
}

/// It will not heal by waiting.
fn stops(error: &StoreError, words: &[&str]) {
    assert!(matches!(error, StoreError::Other(_)), "{error:?}");
    says(error, words);
}

/// It may heal by itself.
fn waits(error: &StoreError, words: &[&str]) {
    assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
    says(error, words);
}

fn says(error: &StoreError, words: &[&str]) {
    let line = error.to_string();
    for word in words {
        assert!(line.contains(word), "{word:?} in: {line}");
    }
}

/// A server of its own that asks the user `keeper` for a password.
async fn with_password() -> testbed::Postgres {
    let server = testbed::Postgres::builder().fsync(false).start().await.expect("PostgreSQL starts");
    let file = server.data_folder().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&file).expect("the rules are read");
    std::fs::write(&file, format!("host all keeper 127.0.0.1/32 scram-sha-256\n{rules}")).expect("written");
    let statements = "CREATE ROLE keeper LOGIN PASSWORD 's3cret'; SELECT pg_reload_conf()";
    server.sql("postgres", statements).await.expect("the user is made");
    server.add_database("shop").await.expect("a database");
    server.sql("postgres", "ALTER DATABASE shop OWNER TO keeper").await.expect("given");
    server
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_named_and_a_right_one_opens() {
    let server = with_password().await;
    let at = format!("127.0.0.1:{}/shop", server.port());
    let names = ["keeper", "shop", "127.0.0.1"];
    let wrong = refusal(&format!("postgres://keeper:wrong-s3cret@{at}")).await;
    stops(&wrong, &names);
    stops(&wrong, &["password authentication failed"]);
    stops(&refusal(&format!("postgres://keeper@{at}")).await, &["password missing"]);
    let database = Database::open_postgres(&format!("postgres://keeper:s3cret@{at}"), None).await;
    let database = database.expect("the right one opens");
    furnish(&database).await;

    // A password that is changed later is no fault of the commands that meet it.
    let statements = "ALTER ROLE keeper PASSWORD 'other'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE usename = 'keeper'";
    server.sql("postgres", statements).await.expect("changed");
    let mut failure = None;
    while failure.is_none() {
        failure = database.store.execute(crate::contract::at(1), vec![place("WATCH", 1)].into()).await.err();
    }
    while !failure.as_ref().is_some_and(|error| error.to_string().contains("authentication failed")) {
        failure = database.store.execute(crate::contract::at(1), vec![place("WATCH", 1)].into()).await.err();
        assert!(failure.as_ref().is_some_and(StoreError::is_transient), "{failure:?}");
    }
    server.sql("postgres", "ALTER ROLE keeper PASSWORD 's3cret'").await.expect("changed back");
    answer(&run_one(&database, 2, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn nobody_at_the_address_is_waited_for() {
    let port = testbed::free_port().expect("a free port");
    let url = format!("postgres://holdfast:s3cret@127.0.0.1:{port}/shop");
    waits(&refusal(&url).await, &["refused", "127.0.0.1", "shop"]);
    let both = format!("postgres://holdfast@127.0.0.1:{port},[::1]:{port}/shop");
    let both = Database::open_postgres(&both, None).await.err().expect("nobody is there");
    assert!(both.is_transient(), "{both}");
}

#[tokio::test]
async fn a_missing_database_is_named_and_so_is_encryption_that_nobody_offers() {
    let lab = Server::new().await;
    stops(&refusal(&format!("{}?sslmode=require", lab.url)).await, &["TLS"]);
    stops(&refusal(&lab.server.url("nowhere")).await, &["database \"nowhere\" does not exist"]);
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_waited_for() {
    let lab = Server::new().await;
    let set = |on: &str| format!("ALTER DATABASE {} SET default_transaction_read_only = {on}", lab.name());
    lab.server.sql("postgres", &set("on")).await.expect("set");
    waits(&refusal(&lab.url).await, &["does not allow writes"]);
    lab.server.sql("postgres", &set("off")).await.expect("set");

    // It turns read-only while it is open, as a primary does that is taken down in order.
    let database = lab.open().await;
    furnish(&database).await;
    lab.server.sql("postgres", &set("on")).await.expect("set");
    let leave =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", lab.name());
    lab.server.sql("postgres", &leave).await.expect("sent away");
    for _ in 0..3 {
        let failure = database.store.execute(crate::contract::at(1), vec![place("WATCH", 1)].into()).await;
        let failure = failure.expect_err("it takes no writes");
        assert!(failure.is_transient(), "{failure:?}");
    }
    lab.server.sql("postgres", &set("off")).await.expect("set");
    answer(&run_one(&database, 2, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn missing_rights_are_named_and_tables_that_are_there_need_none_to_create() {
    let lab = Server::new().await;
    let role = format!("clerk_{}", lab.name());
    let statements = format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    lab.server.sql(&lab.url, &statements).await.expect("the user is made");
    let url = lab.url.replacen("holdfast@", &format!("{role}@"), 1);
    stops(&refusal(&url).await, &["may not create tables", "GRANT CREATE ON SCHEMA public"]);

    let owner = lab.open().await;
    furnish(&owner).await;
    stops(&refusal(&url).await, &["schema_version"]);
    let most = format!("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}");
    lab.server.sql(&lab.url, &most).await.expect("granted");
    stops(&refusal(&url).await, &["DELETE", "pending"]);
    let rest = format!("GRANT DELETE ON ALL TABLES IN SCHEMA public TO {role}");
    lab.server.sql(&lab.url, &rest).await.expect("granted");
    let clerk = Database::open_postgres(&url, None).await.expect("these rights are enough");
    answer(&run_one(&clerk, 1, &place("WATCH", 1)).await);
    check_books(&clerk).await;
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_refused_without_its_password() {
    for url in [
        "postgres://keeper:s3cret@127.0.0.1:port/shop",
        "postgres://keeper:s3cret@/shop",
        "postgres://keeper:s3cret@one:1,two:2,three:3/shop?target_session_attrs=sometimes",
        "keeper s3cret",
    ] {
        stops(&refusal(url).await, &["PostgreSQL URL"]);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let lab = Server::new().await;
    lab.open().await.store.close().await;
    lab.sql("INSERT INTO schema_version (version) VALUES (99)").await.expect("written");
    let refused = refusal(&lab.url).await;
    let known = crate::postgres::SCHEMA_VERSION;
    assert!(matches!(refused, StoreError::Newer { found: 99, known: k } if k == known), "{refused:?}");
}

#[tokio::test]
async fn whoever_is_not_to_bring_a_database_to_this_version_is_told_that_it_is_older() {
    let lab = Server::new().await;
    Database::check_postgres(&lab.url).await.expect("an empty one is of no version");
    lab.open().await.store.close().await;
    Database::check_postgres(&lab.url).await.expect("it is of this version");
    let needed = crate::postgres::SCHEMA_VERSION;
    lab.sql(&format!("DELETE FROM schema_version WHERE version = {needed}")).await.expect("deleted");
    let refused = Database::check_postgres(&lab.url).await.expect_err("it is older");
    let is_older =
        matches!(refused, StoreError::Older { found, needed: n } if (found, n) == (needed - 1, needed));
    assert!(is_older, "{refused:?}");
}

#[tokio::test]
async fn processes_that_start_at_once_make_the_tables_once() {
    let lab = Server::new().await;
    let opened = futures_util::future::join_all((0..5).map(|_| lab.open())).await;
    furnish(&opened[0]).await;
    for database in &opened {
        check_books(database).await;
    }
}

#[tokio::test]
async fn a_backup_names_the_tools_that_make_one() {
    let lab = Server::new().await;
    let refused = lab.open().await.store.backup(std::path::Path::new("copy")).await.expect_err("not here");
    stops(&refused, &["pg_dump", "pg_basebackup"]);
}
