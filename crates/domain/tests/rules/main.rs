//! The rules as tables: given a shop, when somebody commands something, expect these events or this rejection.
//! Commands are written as messages carry them, events as the log keeps them.

mod authority;
mod holds;
mod items;
mod ledger;
mod orders;
mod returns;
mod shop;
mod snapshot;
mod stock;
