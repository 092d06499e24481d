//! A wrong setting stops the start with one clear line that names it; what may heal is tried again.

use std::time::Duration;

use holdfast_testbed::{BrokerUser, Ready, Signal};
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};

use crate::stand::{Stand, process, shared};

const SECRET: &str = "s3cret-of-somebody";

/// Starts one worker with these settings, which does not end well; the one line that it says, checked for its manners.
pub async fn refusal(settings: &[(&str, &str)]) -> String {
    let mut builder = process("wrong").args(["serve", "--roles", "orders"]).env("HOLDFAST_LOG", "info");
    for (name, value) in settings {
        builder = builder.env(name, value);
    }
    let process = builder.ready(Ready::AtOnce).start().await.expect("the program starts");
    let exit = process.wait_exit(Duration::from_secs(20)).await.expect("it does not stay");
    let log = process.log_text();
    assert!(!exit.success(), "{log}");
    assert_eq!(log.trim().lines().count(), 1, "one line: {log}");
    assert!(log.starts_with("holdfast: ") && log.len() < 500, "{log}");
    assert!(!log.contains(SECRET), "a secret is told: {log}");
    for noise in ["panicked", "backtrace", "Error {", "ProtocolError"] {
        assert!(!log.contains(noise), "{log}");
    }
    log
}

#[track_caller]
pub fn says(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "{word:?} is not in: {log}");
    }
}

/// The broker's URL for a user that exists, with another password or vhost.
fn broker(stand: &Stand, user: &str, password: &str, vhost: &str) -> String {
    stand.cluster.rabbit().amqp_url_for(user, password, vhost)
}

#[tokio::test]
async fn a_wrong_broker_is_named() {
    let stand = shared().await;
    let database = stand.cluster.postgres().fresh_database().await.expect("a database");
    let with = |url: String| {
        let database = database.clone();
        async move { refusal(&[("HOLDFAST_DATABASE", &database), ("HOLDFAST_BROKER", &url)]).await }
    };
    let log = with(broker(&stand, "worker", SECRET, "holdfast")).await;
    says(&log, &["broker", "worker", "password"]);
    let log = with(broker(&stand, "admin", "testbed", "nowhere")).await;
    says(&log, &["broker", "vhost", "nowhere"]);
    let foreign = stand.cluster.rabbit().fresh_vhost().await.expect("a vhost");
    let url = stand.broker_url(BrokerUser::Worker).replace("/holdfast", &format!("/{}", foreign.name));
    says(&with(url).await, &["broker", "worker", "permission", &foreign.name]);
    says(&with(format!("rabbit://me:{SECRET}@127.0.0.1")).await, &["broker", "amqp://"]);
}

#[tokio::test]
async fn what_exists_with_other_properties_is_named() {
    let stand = shared().await;
    let database = stand.cluster.postgres().fresh_database().await.expect("a database");
    for what in ["exchange", "queue"] {
        let vhost = stand.cluster.rabbit().fresh_vhost().await.expect("a vhost");
        let connection = Connection::connect(&vhost.url, ConnectionProperties::default())
            .await
            .expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        let name = if what == "exchange" {
            let (options, table) = (ExchangeDeclareOptions::default(), FieldTable::default());
            let name = "holdfast.commands";
            channel
                .exchange_declare(name.into(), ExchangeKind::Direct, options, table)
                .await
                .expect("declared");
            name
        } else {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel
                .queue_declare("holdfast.orders".into(), options, FieldTable::default())
                .await
                .expect("declared");
            "holdfast.orders"
        };
        let log = refusal(&[("HOLDFAST_DATABASE", &database), ("HOLDFAST_BROKER", &vhost.url)]).await;
        says(&log, &["broker", what, name, "other properties"]);
    }
}

#[tokio::test]
async fn a_wrong_database_is_named() {
    let stand = shared().await;
    let postgres = stand.cluster.postgres();
    let broker = stand.broker_url(BrokerUser::Worker);
    let with = |url: String| {
        let broker = broker.clone();
        async move { refusal(&[("HOLDFAST_DATABASE", &url), ("HOLDFAST_BROKER", &broker)]).await }
    };
    // This one is asked for a password, the cluster's own user is not.
    let rules = postgres.data_folder().join("pg_hba.conf");
    let before = std::fs::read_to_string(&rules).expect("the rules are read");
    std::fs::write(&rules, format!("host all keeper 127.0.0.1/32 scram-sha-256\n{before}")).expect("written");
    let made = format!("CREATE ROLE keeper LOGIN PASSWORD 'another {SECRET}'; SELECT pg_reload_conf()");
    postgres.sql("postgres", &made).await.expect("the user is made");
    let at = format!("127.0.0.1:{}", postgres.port());
    let log = with(format!("postgres://keeper:{SECRET}@{at}/holdfast")).await;
    says(&log, &["database", "keeper", "password"]);
    says(&with(format!("postgres://holdfast@{at}/nowhere")).await, &["database", "nowhere"]);
    let elsewhere = format!("postgres://holdfast@{at}/nowhere");
    let database = stand.cluster.database_url();
    let settings = [
        ("HOLDFAST_DATABASE", database.as_str()),
        ("HOLDFAST_READ_DATABASE", &elsewhere),
        ("HOLDFAST_BROKER", &broker),
    ];
    says(&refusal(&settings).await, &["read_database", "nowhere"]);
    says(&with(format!("mysql://me:{SECRET}@{at}/holdfast")).await, &["database", "postgres://"]);
}

#[tokio::test]
async fn roles_that_cannot_work_together_are_named() {
    let stand = shared().await;
    let (database, broker) = (stand.cluster.database_url(), stand.broker_url(BrokerUser::Worker));
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite:{}", folder.path().join("holdfast.db").display());
    let log = refusal(&[("HOLDFAST_DATABASE", &sqlite), ("HOLDFAST_BROKER", &broker)]).await;
    says(&log, &["roles", "sqlite", "one process"]);
    says(&refusal(&[("HOLDFAST_DATABASE", &database)]).await, &["roles", "broker memory", "one process"]);
    let wrong = [
        ("HOLDFAST_DATABASE", database.as_str()),
        ("HOLDFAST_BROKER", &broker),
        ("HOLDFAST_AMQP_ROLES", "me"),
    ];
    says(&refusal(&wrong).await, &["amqp_roles"]);
    let wrong = [
        ("HOLDFAST_DATABASE", database.as_str()),
        ("HOLDFAST_BROKER", &broker),
        ("HOLDFAST_BROKER_MANAGEMENT", "x"),
    ];
    says(&refusal(&wrong).await, &["broker_management"]);
}

#[tokio::test]
async fn what_may_come_is_waited_for() {
    let stand = shared().await;
    let gone = holdfast_testbed::free_port().expect("a port");
    let database = stand.cluster.database_url();
    for (setting, settings) in [
        (
            "broker",
            [
                ("HOLDFAST_DATABASE", database),
                ("HOLDFAST_BROKER", format!("amqp://me:{SECRET}@127.0.0.1:{gone}/x")),
            ],
        ),
        (
            "database",
            [
                ("HOLDFAST_DATABASE", format!("postgres://me:{SECRET}@127.0.0.1:{gone}/x")),
                ("HOLDFAST_BROKER", stand.broker_url(BrokerUser::Worker)),
            ],
        ),
    ] {
        let mut builder = process("waiting").args(["serve", "--roles", "orders"]);
        for (name, value) in settings {
            builder = builder.env(name, value);
        }
        // It says so once a second, and goes on.
        let process = builder.ready(Ready::Line("trying again".to_owned())).start().await.expect("it waits");
        let log = process.log_text();
        says(&log, &[setting, &gone.to_string()]);
        assert!(process.is_running() && !log.contains(SECRET), "{log}");
        process.signal(Signal::SIGTERM);
        process.wait_exit(Duration::from_secs(10)).await.expect("it can be stopped while it waits");
    }
}
