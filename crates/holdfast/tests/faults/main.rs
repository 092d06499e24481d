//! Faults under load: real processes over a real RabbitMQ and PostgreSQL, killed, paused and cut off from each other
//! while clients place orders. After each fault every answered order is there exactly once as it was answered, nothing
//! is oversold, `holdfast verify` agrees, and the service has come back by itself within the stated seconds.
//!
//! One test runs all scenarios one after the other, as they share the servers, and prints one table. While one
//! scenario is worked on, `HOLDFAST_FAULTS=WORD` runs only those whose name contains that word.

mod load;
mod roles;
mod scene;
mod shop;
mod table;

use std::sync::Arc;

use shop::Shop;
use table::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_doubles_or_oversells_an_order_and_service_comes_back_by_itself() {
    let mut table = Table::new();
    let shop = Arc::new(Shop::alone().await);
    table.run("orders killed", &shop, roles::the_active_orders_worker_is_killed).await;
    table.run("all orders killed", &shop, roles::all_orders_workers_are_killed).await;
    table.run("items killed", &shop, roles::items_is_killed).await;
    table.run("stock killed", &shop, roles::stock_is_killed).await;
    table.run("relay killed", &shop, roles::relay_is_killed).await;
    table.run("monitor killed", &shop, roles::monitor_is_killed).await;
    table.run("gateway killed", &shop, roles::a_gateway_is_killed).await;
    table.run("orders paused", &shop, roles::the_active_orders_worker_is_paused).await;
    table.finish();
}
