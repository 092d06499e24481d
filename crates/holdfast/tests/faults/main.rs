//! Faults under load: real processes over a real RabbitMQ and PostgreSQL, killed, paused and cut off from each other
//! while clients place orders. After each fault every answered order is there exactly once as it was answered, nothing
//! is oversold, `holdfast verify` agrees, and the service has come back by itself within the stated seconds.
//!
//! One test runs all scenarios one after the other, as they share the servers, and prints one table. While one
//! scenario is worked on, `HOLDFAST_FAULTS=WORD` runs only those whose name contains that word.

mod clusters;
mod load;
mod messages;
mod roles;
mod scene;
mod servers;
mod shop;
mod table;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use shop::Shop;
use table::Table;
use wires::{Back, Break, End, Server};

/// The roles, wires and messages of a shop over one broker and one database, and then these two themselves.
async fn alone(table: &mut Table) {
    let shop = Arc::new(Shop::alone().await);
    table.run("orders killed", &shop, roles::the_active_orders_worker_is_killed).await;
    table.run("all orders killed", &shop, roles::all_orders_workers_are_killed).await;
    table.run("items killed", &shop, roles::items_is_killed).await;
    table.run("stock killed", &shop, roles::stock_is_killed).await;
    table.run("relay killed", &shop, roles::relay_is_killed).await;
    table.run("monitor killed", &shop, roles::monitor_is_killed).await;
    table.run("gateway killed", &shop, roles::a_gateway_is_killed).await;
    table.run("orders paused", &shop, roles::the_active_orders_worker_is_paused).await;
    table.run("poison alone", &shop, messages::poison_alone).await;
    table.run("poison in an envelope", &shop, messages::poison_in_an_envelope).await;

    let taken_over = |seconds| Back::AfterTheBreak(Duration::from_secs(seconds));
    let healed = |seconds| Back::AfterTheHealing(Duration::from_secs(seconds));
    for (name, end, server, broken, back) in [
        ("wire orders broker cut", End::ActiveOrders, Server::Broker, Break::Cut, taken_over(5)),
        ("wire orders broker silent", End::ActiveOrders, Server::Broker, Break::HalfOpen, taken_over(20)),
        ("wire orders database cut", End::ActiveOrders, Server::Database, Break::Cut, healed(5)),
        ("wire orders database silent", End::ActiveOrders, Server::Database, Break::HalfOpen, healed(5)),
        ("wire gateway broker cut", End::Gateway, Server::Broker, Break::Cut, taken_over(5)),
        ("wire gateway broker silent", End::Gateway, Server::Broker, Break::HalfOpen, taken_over(20)),
        ("wire gateway database cut", End::Gateway, Server::Database, Break::Cut, taken_over(10)),
        ("wire gateway database silent", End::Gateway, Server::Database, Break::HalfOpen, taken_over(20)),
    ] {
        let scenario = |shop| wires::is_broken(shop, end, server, broken, back);
        table.run(name, &shop, scenario).await;
    }

    for (name, broken) in [("wire others cut", Break::Cut), ("wire others silent", Break::HalfOpen)] {
        table.run(name, &shop, |shop| wires::the_others_are_broken_off(shop, broken)).await;
    }

    table.run("memory alarm", &shop, servers::the_broker_is_out_of_memory).await;
    table.run("database killed", &shop, servers::the_database_is_killed).await;
    table.run("broker killed", &shop, servers::the_broker_is_killed).await;
}

/// A shop whose servers have somebody to take their place.
async fn replicated(table: &mut Table) {
    let shop = Arc::new(Shop::replicated().await);
    table.run("replicated broker killed", &shop, clusters::one_node_of_three_is_killed).await;
    table.run("replicated brokers killed", &shop, clusters::two_nodes_of_three_are_killed).await;
    table.run("replicated database killed", &shop, clusters::the_standby_is_promoted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_doubles_or_oversells_an_order_and_service_comes_back_by_itself() {
    let mut table = Table::new();
    let only = table.only().map(str::to_owned);
    if only.as_ref().is_none_or(|only| !only.contains("replicated")) {
        alone(&mut table).await;
    }
    if only.as_ref().is_none_or(|only| only.contains("replicated")) {
        replicated(&mut table).await;
    }
    table.finish();
}
