//! Everybody who follows the log: the read model of each gateway, movements, the audit, the figures of the stats page.
//!
//! The log is the truth. What a worker of this process hands over ([`Committed`](holdfast_store::Committed)) only
//! saves reading it again; whoever misses something reads the log from where it stands ([`tail::Tail`]).

pub mod audit;
pub mod follower;
pub mod movements;
mod paging;
pub mod read_model;
pub mod relay;
pub mod rest;
pub mod search;
pub mod stats;
pub mod tail;
mod words;

#[cfg(test)]
pub mod testing;
