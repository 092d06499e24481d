//! PostgreSQL: the same log on a server, for several processes and machines.
//!
//! One connection decides batches, each in a transaction that first locks the log's head: writers of all processes
//! take turns there, and no deadlock can exist between them. A few other connections do what needs no turn. Pages of
//! orders, holds and movements, the log and snapshots come from the read database, which may be a streaming replica;
//! single orders, holds and outcomes, accounts and cursors from the one that is written to, for they are asked for
//! right after they were made.
//!
//! Whoever loses its connection asks for a new one with its next call, and finds the primary among the URL's hosts.

mod accounts;
mod connection;
mod notes;
mod pool;
mod read;
mod schema;
mod settle;
mod target;
#[cfg(test)]
mod tests;
mod touched;
mod warm;
mod write;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::Result;
use pool::Pool;
use target::{Target, Wanted};
use warm::Warmth;
use write::{Lane, Planner, Writer};

pub use schema::VERSION as SCHEMA_VERSION;

/// Items at hand before a worker begins anew.
const CACHED_MAX: usize = 200_000;
/// The same of a worker of orders, up to 0.8 GB of them: looking up what is not at hand takes longer than all else.
const CACHED_MAX_FOR_ORDERS: usize = 1_200_000;

/// See [`crate::Database::check_postgres`].
pub(crate) async fn check_version(url: &str) -> Result<()> {
    let target = Target::parse(url, Wanted::Primary)?;
    schema::check(&target.connect().await?).await.map_err(|error| target.explain(error))
}

/// An opened PostgreSQL database.
pub struct Postgres {
    lane: Lane,
    warmth: Mutex<Warmth>,
    pool: Arc<Pool>,
    /// The same as `pool` without a read database.
    reads: Arc<Pool>,
}

impl Postgres {
    /// Connects, and brings the schema to this version; see [`crate::Database::open_postgres`].
    pub async fn connect(url: &str, read_url: Option<&str>) -> Result<Self> {
        let target = Arc::new(Target::parse(url, Wanted::Primary)?);
        let connection = target.connect().await?;
        schema::migrate(&connection).await.map_err(|error| target.explain(error))?;
        let pool = Pool::new(Arc::clone(&target));
        let reads = match read_url {
            None => Arc::clone(&pool),
            Some(url) => {
                let reads = Pool::new(Arc::new(Target::parse(url, Wanted::AsUrlSays)?));
                reads.check().await?;
                reads
            }
        };
        let writer = Arc::new(Mutex::new(Writer::new(target, connection)));
        let planner = Arc::new(Mutex::new(Planner::new(CACHED_MAX)));
        let lane = Lane { planner, writer, pool: Arc::clone(&pool) };
        Ok(Self { lane, warmth: Mutex::default(), pool, reads })
    }
}
