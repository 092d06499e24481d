//! The public contract, held against the real binary over HTTP and its command line: one file per page of it, named
//! after the URL where there is one.
//!
//! Most tests share one server and make items of their own on it; those that stop, kill or restart start their own.

mod accounts;
mod api_keys;
mod bad_input;
mod binary;
mod client;
mod command_line;
mod commands;
mod document;
mod events;
mod health;
mod holds;
mod idempotency;
mod imports;
mod items;
mod kill;
mod lifecycle;
mod locations;
mod not_built;
mod orders;
mod orders_after;
mod orders_batch;
mod overload;
mod pages;
mod positions;
mod server;
mod sessions;
mod stats;
mod stock;
mod stream;
mod thousand_buyers;
