//! The contract in the distributed mode: RabbitMQ, PostgreSQL and every role a process of its own, started once and
//! shared. Tests that kill something have the cluster for themselves and leave it whole. What happens under load while
//! things die is in `tests/faults`.

#[path = "../contract/binary.rs"]
mod binary;
#[path = "../contract/client.rs"]
#[expect(dead_code, reason = "the contract's tests use all of it")]
mod client;
#[path = "../contract/document.rs"]
mod document;

mod broker;
mod database;
mod dead_letters;
mod gateways;
mod health;
mod programs;
mod queues;
mod relay;
mod settings;
mod stand;
mod verify;
