//! SQLite: one file, one writer, no server.
//!
//! One thread runs what is written, one job at a time, each in a transaction of its own, over the only writing
//! connection; while it has nothing to do, a caller with a thread to spare may borrow that. A few threads with read-only
//! connections answer reads from the last commit, beside it. WAL with `synchronous = FULL`: what was committed is on the
//! disk. Memory-mapped reads stay off, for a disk error must be an error, not a signal.

mod accounts;
mod checkpoint;
mod mind;
mod notes;
mod read;
mod schema;
mod settle;
mod stock;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use holdfast_domain::{Position, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{Head, Result, StoreError};
use checkpoint::Checkpoints;
use mind::Mind;
use write::Writer;

pub use schema::VERSION as SCHEMA_VERSION;

/// Read-only connections, each with a thread.
const READERS: usize = 3;
/// Jobs that wait for the writer before callers wait too.
const WRITE_JOBS_MAX: usize = 256;
/// Jobs that wait for a reader before callers wait too.
const READ_JOBS_MAX: usize = 1_024;
/// How long a connection waits for another process's lock.
const BUSY_MS_MAX: u64 = 5_000;
/// Statements kept prepared per connection.
const STATEMENTS_MAX: usize = 64;
/// Bytes of write-ahead log kept on disk when idle.
const JOURNAL_BYTES_MAX: i64 = 64 << 20;
const WRITER_CACHE_KIB: i64 = 128 << 10;
const READER_CACHE_KIB: i64 = 16 << 10;

enum Job<T> {
    Run(Box<dyn FnOnce(&mut T) + Send>),
    Stop(oneshot::Sender<()>),
}

/// An opened SQLite database.
pub struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Job<Writer>>,
    desk: Arc<Desk>,
    /// Whoever writes what it knows of has it before the writer; who plans has it alone.
    mind: Arc<tokio::sync::Mutex<Mind>>,
    readers: mpsc::Sender<Job<Connection>>,
}

/// Where the writer is between two jobs.
#[derive(Default)]
struct Desk {
    /// Nowhere once the database is closed.
    writer: Mutex<Option<Writer>>,
    /// Whether the writer's thread waits for it. A lock knows no turns: who borrows it again and again would keep that
    /// thread from it.
    is_wanted: AtomicBool,
}

impl Desk {
    /// A job that panicked found a contradiction; whoever comes after it panics too.
    fn take_turn(&self) -> MutexGuard<'_, Option<Writer>> {
        self.is_wanted.store(true, Ordering::Relaxed);
        let writer = self.writer.lock().expect("no job has panicked");
        self.is_wanted.store(false, Ordering::Relaxed);
        writer
    }

    fn borrow(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        let is_free = !self.is_wanted.load(Ordering::Relaxed);
        is_free.then(|| self.writer.try_lock().ok()).flatten()
    }
}

impl Sqlite {
    /// Opens the database at `path`, creates it and its folder where they are missing, and brings it to this version.
    pub async fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::Other(format!("the folder {} cannot be made: {error}", folder.display()))
            })?;
        }
        let (writer, mut write_jobs) = mpsc::channel::<Job<Writer>>(WRITE_JOBS_MAX);
        let (opened, answer) = oneshot::channel();
        let file = path.to_owned();
        let desk: Arc<Desk> = Arc::default();
        let shared = Arc::clone(&desk);
        start_thread("sqlite-writer", move || {
            let checkpoints = match open_writer(&file) {
                Ok((connection, checkpoints)) => {
                    *shared.take_turn() = Some(Writer::new(connection));
                    checkpoints
                }
                Err(error) => return drop(opened.send(Err(error))),
            };
            drop(opened.send(Ok(())));
            let stopped = loop {
                match write_jobs.blocking_recv() {
                    Some(Job::Run(job)) => job(shared.take_turn().as_mut().expect("it is open")),
                    Some(Job::Stop(stopped)) => break Some(stopped),
                    None => break None,
                }
            };
            let mut state = shared.take_turn().take().expect("it is open");
            // The last connection to close empties the write-ahead log; only then is the caller told.
            checkpoints.stop(&mut state.connection);
            drop((state, write_jobs, stopped));
        })?;
        answer.await.map_err(|_| closed())??;

        let (readers, read_jobs) = mpsc::channel::<Job<Connection>>(READ_JOBS_MAX);
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        for _ in 0..READERS {
            let mut connection = open_reader(path)?;
            let jobs = Arc::clone(&read_jobs);
            start_thread("sqlite-reader", move || {
                let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let stopped = serve(&mut connection, next);
                drop((connection, jobs, stopped));
            })?;
        }
        Ok(Self { path: path.to_owned(), writer, desk, mind: Arc::default(), readers })
    }

    /// Runs `job` on this thread, if nobody writes or waits for it.
    fn write_here<R>(&self, job: impl FnOnce(&mut Writer) -> R) -> Option<R> {
        if self.writer.capacity() < self.writer.max_capacity() {
            return None;
        }
        self.desk.borrow()?.as_mut().map(job)
    }

    /// Runs `job` on the writer's thread; it makes its own transaction.
    async fn write<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Writer) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        run(&self.writer, job).await
    }

    /// Runs `job` on a reading connection, seeing one state of the database throughout.
    async fn read<R: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        run(&self.readers, move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            job(&transaction)
        })
        .await
    }

    /// As [`Sqlite::write`], and returns when it is on its way.
    async fn begin_write<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Writer) -> Result<R> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R>>> {
        begin(&self.writer, job).await
    }

    async fn stop(&self) {
        let mut mind = Arc::clone(&self.mind).lock_owned().await;
        // Nothing is lost without; the next start reads what is recent.
        drop(self.write(move |writer| writer.write_recent_stock(&mut mind)).await);
        for _ in 0..READERS {
            stop_one(&self.readers).await;
        }
        stop_one(&self.writer).await;
    }
}

fn start_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| StoreError::Other(format!("no thread for the database: {error}")))
}

/// Runs jobs until there are no more callers, or one says stop; returns whom to tell.
fn serve<T>(state: &mut T, mut next: impl FnMut() -> Option<Job<T>>) -> Option<oneshot::Sender<()>> {
    loop {
        match next()? {
            Job::Run(job) => job(state),
            Job::Stop(stopped) => return Some(stopped),
        }
    }
}

async fn run<T: 'static, R: Send + 'static>(
    jobs: &mpsc::Sender<Job<T>>,
    job: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
) -> Result<R> {
    begin(jobs, job).await?.await.map_err(|_| closed())?
}

async fn begin<T: 'static, R: Send + 'static>(
    jobs: &mpsc::Sender<Job<T>>,
    job: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
) -> Result<oneshot::Receiver<Result<R>>> {
    let (answer, answered) = oneshot::channel();
    let job = Job::Run(Box::new(move |state: &mut T| drop(answer.send(job(state)))));
    jobs.send(job).await.map_err(|_| closed())?;
    Ok(answered)
}

async fn stop_one<T>(jobs: &mpsc::Sender<Job<T>>) {
    let (stopped, wait) = oneshot::channel();
    if jobs.send(Job::Stop(stopped)).await.is_ok() {
        // The sender is dropped, unused, once the thread has closed its connection.
        drop(wait.await);
    }
}

fn closed() -> StoreError {
    StoreError::Closed
}

fn open_writer(path: &Path) -> Result<(Connection, Checkpoints)> {
    let mut connection = Connection::open(path).map_err(|error| cannot_open(path, error))?;
    prepare(&connection, WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    schema::migrate(&mut connection)?;
    let checkpoints = Checkpoints::start(path, &mut connection)?;
    Ok((connection, checkpoints))
}

/// See [`crate::Database::check_sqlite`].
pub(crate) fn check_version(path: &Path) -> Result<()> {
    if path.exists() { schema::check(&open_reader(path)?) } else { Ok(()) }
}

fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    prepare(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

fn prepare(connection: &Connection, cache_kib: i64) -> Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS_MAX))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Plans must not depend on the values that are bound, else SQLite plans anew whenever a time moves on.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

fn cannot_open(path: &Path, error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Other(why) => StoreError::Other(format!("{} cannot be opened: {why}", path.display())),
        known => known,
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => StoreError::Full(text),
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory => StoreError::Transient(text),
                // A violated check means that the tables and what was decided from them do not fit together.
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation => {
                    StoreError::Damaged(text)
                }
                _other_codes => StoreError::Other(text),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged(text),
            _other_errors => StoreError::Other(text),
        }
    }
}

/// What a column holds cannot be what was once written there.
fn damaged(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {error}"))
}

fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(what, error))
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str> {
    row.get_ref(column)?.as_str().map_err(|error| damaged("a text", error))
}

fn bytes<const N: usize>(row: &Row<'_>, column: usize) -> Result<[u8; N]> {
    let blob = row.get_ref(column)?.as_blob().map_err(|error| damaged("a blob", error))?;
    blob.try_into().map_err(|error| damaged("a blob", error))
}

fn id(row: &Row<'_>, column: usize) -> Result<Uuid> {
    Ok(Uuid::from_bytes(bytes(row, column)?))
}

fn position(row: &Row<'_>, column: usize) -> Result<Position> {
    let number: i64 = row.get(column)?;
    Ok(Position(u64::try_from(number).map_err(|error| damaged("a position", error))?))
}

fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    Ok(Timestamp(row.get(column)?))
}

/// SQLite counts in 63 bits; no log gets there.
fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

/// Reads all rows of a query.
fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    mut each: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(each(row)?);
    }
    Ok(found)
}

/// Reads at most one row of a query.
fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    each: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(each).transpose()
}

fn read_head(connection: &Connection) -> Result<Head> {
    let sql = "SELECT position, decided_at, hash FROM log_head WHERE id = 1";
    let head = |row: &Row<'_>| {
        Ok(Head { position: position(row, 0)?, decided_at: timestamp(row, 1)?, hash: bytes(row, 2)? })
    };
    first(connection, sql, [], head)?.ok_or_else(|| StoreError::Damaged("the log has no head".to_owned()))
}
