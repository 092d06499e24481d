//! A few connections for what needs no turn at the log's head: reads, accounts, pending commands, projections.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::connection::{Connection, within};
use super::target::Target;
use crate::{Result, StoreError};

/// Connections of one pool; each is made when it is first needed.
const CONNECTIONS_MAX: usize = 6;
/// For one job on a connection, if it does not say otherwise.
const JOB_WAIT_MAX: Duration = Duration::from_secs(15);

pub(super) struct Pool {
    target: Arc<Target>,
    turns: Semaphore,
    idle: Mutex<Vec<Arc<Connection>>>,
}

impl Pool {
    pub(super) fn new(target: Arc<Target>) -> Arc<Self> {
        Arc::new(Self { target, turns: Semaphore::new(CONNECTIONS_MAX), idle: Mutex::default() })
    }

    /// Runs `job` on a connection of its own. A caller that goes away does not break it off.
    pub(super) async fn run<R, F>(
        self: &Arc<Self>,
        job: impl FnOnce(Arc<Connection>) -> F + Send + 'static,
    ) -> Result<R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        self.run_within(JOB_WAIT_MAX, job).await
    }

    /// As [`Pool::run`], for what takes its own time.
    pub(super) async fn run_within<R, F>(
        self: &Arc<Self>,
        wait_max: Duration,
        job: impl FnOnce(Arc<Connection>) -> F + Send + 'static,
    ) -> Result<R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let pool = Arc::clone(self);
        detached(async move {
            let _turn = pool.turns.acquire().await.map_err(|_| StoreError::Closed)?;
            let connection = match pool.take() {
                Some(connection) => connection,
                None => Arc::new(pool.target.reconnect().await?),
            };
            let done = within(wait_max, job(Arc::clone(&connection))).await;
            match &done {
                Ok(_) => pool.idle().push(connection),
                // Where one connection breaks, its neighbours lead to the same server.
                Err(StoreError::Transient(_) | StoreError::InDoubt(_)) => pool.idle().clear(),
                Err(_) => {}
            }
            done
        })
        .await
    }

    /// Fails if no waiting can help; a database that is only away may come later.
    pub(super) async fn check(&self) -> Result<()> {
        match self.target.connect().await {
            Ok(connection) => self.idle().push(Arc::new(connection)),
            Err(StoreError::Transient(line)) => tracing::warn!(%line, "the read database is away"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One that still lives.
    fn take(&self) -> Option<Arc<Connection>> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what runs, and refuses what comes later.
    pub(super) async fn close(&self) {
        let all = u32::try_from(CONNECTIONS_MAX).expect("a few");
        // An error: it was closed before.
        drop(self.turns.acquire_many(all).await);
        self.turns.close();
        self.idle().clear();
    }
}

/// Runs to its end, even if nobody waits for it any more: a transaction that is broken off costs its connection. One
/// that panicked found a contradiction; this process should do no more with the database.
pub(super) async fn detached<R: Send + 'static>(
    work: impl Future<Output = Result<R>> + Send + 'static,
) -> Result<R> {
    tokio::spawn(work).await.unwrap_or(Err(StoreError::Closed))
}
