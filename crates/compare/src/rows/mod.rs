//! One file a row of the table, or a few that are measured in the same turns.

pub mod batches;
pub mod growth;
pub mod import;
pub mod light;
pub mod orders;
pub mod overload;
pub mod reads;
pub mod search;
