//! What the micro-benchmarks and the counted workload share: a shop of fixed content, and the read side.

pub mod fixture;
pub mod read_side;
